"""The proof says yes to another backend and no to another search."""

from __future__ import annotations

from dataclasses import replace

import pytest

from alphazero.benchmark.search_proof import SearchProof, fixed_positions, visit_counts
from alphazero.config import SearchConfig
from alphazero.games.registry import get_game
from alphazero.mcts import available_backends

GAME = get_game("connect_four")
SEARCH = SearchConfig(simulations=60, mcts_backend="python", native_rules=False)


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("native_rules", [False, True])
def test_every_backend_searches_as_the_reference_does(backend: str, native_rules: bool) -> None:
    proof = SearchProof(GAME, SEARCH)
    assert proof.is_unchanged(replace(SEARCH, mcts_backend=backend, native_rules=native_rules))


@pytest.mark.parametrize(
    "planted",
    [
        replace(SEARCH, c_puct_init=1.3),
        replace(SEARCH, first_play_urgency="parent"),
        replace(SEARCH, tree_reuse=False),
        replace(SEARCH, simulations=59),
    ],
)
def test_every_other_search_is_told_apart(planted: SearchConfig) -> None:
    assert not SearchProof(GAME, SEARCH).is_unchanged(planted)


def test_the_positions_are_always_the_same_and_reach_into_the_game() -> None:
    positions = fixed_positions(GAME)
    assert positions == fixed_positions(GAME)
    assert positions[0] == [] and max(len(moves) for moves in positions) > 8


def test_all_simulations_are_counted_before_and_after_the_move() -> None:
    found = visit_counts(GAME, SEARCH, [[]])
    assert sum(found[0][1]) == 60
    assert sum(found[1][1]) > 60  # the kept subtree and 60 more
