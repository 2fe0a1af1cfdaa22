"""The compiled driver against its Python twins in `search.py` and `puct.py`."""

from __future__ import annotations

import importlib
import sys
import time

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts import make_trees
from alphazero.mcts.puct import legal_priors_in_numpy
from alphazero.mcts.search import BatchedSearch
from alphazero.mcts.self_check import same_tree
from alphazero.seeding import generator

from .helpers import HashedEvaluator, random_position

driver = pytest.importorskip("alphazero.mcts._driver", reason="not built: run `make build`")
GAME = get_game("connect_four")


def connect_four_states(num_trees: int) -> object:
    states = GAME.native_states(num_trees)
    assert states is not None
    return states


def test_every_round_has_the_rows_of_the_python_loop(compiled_backend: str) -> None:
    """Near the end of the game, so that many trees select several times a round."""
    games = 16
    rng = generator(0, "driver")
    evaluator = HashedEvaluator(GAME.num_actions)
    compiled = BatchedSearch(GAME, games, SearchConfig(mcts_backend=compiled_backend))
    plain = BatchedSearch(GAME, games, SearchConfig(mcts_backend="python", native_rules=False))
    for tree in range(games):
        moves = random_position(GAME, 38, rng)
        for search in (compiled, plain):
            search.set_position(tree, moves)
            search.begin(tree, int(tree * 5))  # some end earlier than others, one at once
    wanted = np.array([15, 3, 0, 8, *range(9, 15), 1, 2, 4, 5, 6, 7], np.int32)
    rounds = 0
    while True:
        rows = compiled.collect(wanted)
        assert plain.collect(wanted) == rows
        assert compiled.leaf_trees[:rows].tolist() == plain.leaf_trees[:rows].tolist()
        assert compiled.observations[:rows].tobytes() == plain.observations[:rows].tobytes()
        if rows == 0:
            break
        for search in (compiled, plain):
            search.apply(*evaluator(search.observations[:rows]))
        rounds += 1
    assert rounds > 10
    for tree in range(games):
        assert same_tree(compiled.trees.snapshot(tree), plain.trees.snapshot(tree))


@pytest.mark.parametrize("native_rules", [True, False])
def test_trees_and_rules_that_are_not_both_compiled_go_through_python(
    native_rules: bool, compiled_backend: str
) -> None:
    mixed_backend = "python" if native_rules else compiled_backend
    mixed = BatchedSearch(GAME, 2, SearchConfig(mcts_backend=mixed_backend, native_rules=native_rules))
    plain = BatchedSearch(GAME, 2, SearchConfig(mcts_backend="python", native_rules=False))
    for search in (mixed, plain):
        search.set_position(1, [3, 3, 3])
        search.search(np.arange(2, dtype=np.int32), HashedEvaluator(GAME.num_actions), 50)
    for tree in range(2):
        assert same_tree(mixed.trees.snapshot(tree), plain.trees.snapshot(tree))


def test_a_collector_refuses_arrays_that_are_too_short(compiled_backend: str) -> None:
    trees = make_trees(compiled_backend, 2, np.ones(10))
    with pytest.raises(ValueError, match="positions for 3"):
        driver.LeafCollector(trees, connect_four_states(3))
    collector = driver.LeafCollector(trees, connect_four_states(2))
    two, three = (np.zeros(length, np.int32) for length in (2, 3))
    room, observations = np.zeros(14, np.int32), np.zeros((2, 2, 6, 7), np.uint8)
    with pytest.raises(ValueError, match="too short"):
        collector.collect(np.arange(2, dtype=np.int32), two, two, two, room, observations)
    with pytest.raises(ValueError, match="too short"):
        collector.collect(np.arange(2, dtype=np.int32), two, two, three, room, observations[:1])
    with pytest.raises(IndexError, match="tree 2 of 2"):
        collector.collect(np.array([2], np.int32), two, two, three, room, observations)
    assert collector.collect(two[:0], two, two, three, room, observations) == 0


def test_compiled_priors_equal_those_in_numpy_up_to_one_rounding() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 30, 200)
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int32)
    actions = np.concatenate([np.sort(rng.choice(40, count, replace=False)) for count in counts])
    logits = (rng.standard_normal((200, 40)) * 10.0 ** rng.integers(-2, 5, (200, 1))).astype(np.float32)
    ours, theirs = (np.zeros(offsets[-1], np.float32) for _ in range(2))
    driver.legal_priors(logits, offsets, actions.astype(np.int32), ours)
    legal_priors_in_numpy(logits, offsets, actions.astype(np.int32), theirs)
    np.testing.assert_array_max_ulp(ours, theirs, maxulp=1)


def test_compiled_priors_refuse_arrays_that_are_too_short() -> None:
    offsets, actions = np.array([0, 2], np.int32), np.arange(2, dtype=np.int32)
    with pytest.raises(ValueError, match="1 priors"):
        driver.legal_priors(np.zeros((1, 3), np.float32), offsets, actions, np.zeros(1, np.float32))


def test_the_driver_is_the_one_that_search_uses(compiled_backend: str) -> None:
    search = BatchedSearch(GAME, 1, SearchConfig(mcts_backend=compiled_backend))
    module = importlib.import_module("alphazero.mcts._driver")
    assert isinstance(search._collector, module.LeafCollector)


def test_the_driver_times_tree_rules_and_encoding_apart(compiled_backend: str) -> None:
    search = BatchedSearch(GAME, 8, SearchConfig(mcts_backend=compiled_backend, simulations=50))
    logits, values = np.zeros((8, GAME.num_actions), np.float32), np.zeros(8, np.float32)
    began = time.perf_counter()
    search.search(np.arange(8, dtype=np.int32), lambda rows: (logits[: len(rows)], values[: len(rows)]))
    elapsed = time.perf_counter() - began
    seconds = search.take_seconds()
    assert seconds is not None
    assert all(part > 0 for part in seconds)
    assert sum(seconds) < elapsed
    assert search.take_seconds() == (0.0, 0.0, 0.0)
    search.call_parts_from_python()
    assert search.take_seconds() is None


def test_a_row_without_legal_actions_reads_nothing() -> None:
    logits = np.zeros((2, 3), np.float32)
    priors = np.full(2, 7.0, np.float32)
    driver.legal_priors(logits, np.array([0, 2, 2], np.int32), np.array([0, 2], np.int32), priors)
    assert priors.tolist() == [0.5, 0.5]


def test_without_the_driver_the_same_rows_come_from_the_python_loop(
    monkeypatch: pytest.MonkeyPatch, compiled_backend: str
) -> None:
    evaluator = HashedEvaluator(GAME.num_actions)
    trees = []
    for missing in (False, True):
        if missing:
            monkeypatch.setitem(sys.modules, "alphazero.mcts._driver", None)
        search = BatchedSearch(GAME, 4, SearchConfig(mcts_backend=compiled_backend))
        assert (search.take_seconds() is None) == missing
        for tree in range(4):
            search.set_position(tree, [3] * tree)
        search.search(np.arange(4, dtype=np.int32), evaluator, 30)
        trees.append([search.trees.snapshot(tree) for tree in range(4)])
    assert all(same_tree(one, other) for one, other in zip(*trees, strict=True))
