"""The numbers that PUCT is given."""

from __future__ import annotations

import math

import numpy as np
import pytest

from alphazero.mcts.puct import exploration_table, legal_priors, legal_priors_in_numpy, mix_root_noise

EVERY_VERSION = pytest.mark.parametrize("version", [legal_priors, legal_priors_in_numpy])


def test_exploration_table_is_the_papers_formula() -> None:
    table = exploration_table(1000, 1.25, 19652.0)
    assert table[0] == 0.0
    # log((100 + 19652 + 1) / 19652) + 1.25 = 0.005126... + 1.25, times sqrt(100)
    assert table[100] == pytest.approx(10 * (math.log(19753 / 19652) + 1.25), rel=1e-15)
    assert table.dtype == np.float64


@EVERY_VERSION
def test_priors_are_a_softmax_over_the_legal_actions_only(version: object) -> None:
    # Row 0: actions 1 and 3, whose logits differ by log 3: 1/4 and 3/4. Row 1: one legal action.
    logits = np.array([[99.0, 0.0, 99.0, math.log(3.0)], [1.0, -50.0, 1.0, 1.0]], np.float32)
    priors = np.full(5, 7.0, np.float32)
    offsets, actions = np.array([0, 2, 3], np.int32), np.array([1, 3, 1, 0, 0], np.int32)
    version(logits, offsets, actions, priors)  # type: ignore[operator]
    assert priors[:3] == pytest.approx([0.25, 0.75, 1.0], abs=1e-7)
    assert priors[3:].tolist() == [7.0, 7.0]  # what lies behind the last offset is not touched


@EVERY_VERSION
def test_extreme_logits_give_finite_priors(version: object) -> None:
    logits = np.array([[1e4, -1e4, 1e4]], np.float32)
    priors = np.zeros(3, np.float32)
    version(logits, np.array([0, 3], np.int32), np.arange(3, dtype=np.int32), priors)  # type: ignore[operator]
    assert priors.tolist() == [0.5, 0.0, 0.5]


@EVERY_VERSION
def test_a_row_does_not_depend_on_the_others(version: object) -> None:
    rng = np.random.default_rng(3)
    logits = rng.standard_normal((9, 7)).astype(np.float32)
    offsets, actions = np.arange(0, 64, 7, dtype=np.int32), np.tile(np.arange(7, dtype=np.int32), 9)
    together, alone = np.zeros(63, np.float32), np.zeros(7, np.float32)
    version(logits, offsets, actions, together)  # type: ignore[operator]
    for row in range(9):
        version(logits[row : row + 1], offsets[:2], actions[:7], alone)  # type: ignore[operator]
        assert alone.tolist() == together[7 * row : 7 * row + 7].tolist()


@EVERY_VERSION
def test_no_rows_are_no_work(version: object) -> None:
    empty = np.zeros(0, np.int32)
    version(np.zeros((0, 3), np.float32), np.zeros(1, np.int32), empty, np.zeros(0, np.float32))  # type: ignore[operator]


def test_root_noise_is_mixed_in_by_its_fraction() -> None:
    mixed = mix_root_noise(np.array([0.5, 0.5], np.float32), np.array([1.0, 0.0]), 0.25)
    assert mixed.tolist() == [0.625, 0.375]
    assert mixed.dtype == np.float32
