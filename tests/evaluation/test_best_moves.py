"""Searches that end when their answer is certain give the answer of the whole search."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.evaluation.best_moves import BestMove, find_best_moves
from alphazero.evaluation.solved_positions import SolvedPosition, load_pons_positions
from alphazero.games.game import Game
from alphazero.mcts.search import BatchedSearch, Evaluator, LogitArray, best_action

SIMULATIONS = 60
CONFIG = replace(SearchConfig(), simulations=SIMULATIONS)


@pytest.fixture(scope="module")
def positions() -> list[SolvedPosition]:
    return load_pons_positions(positions_per_set=8)


def answers(
    game: Game,
    evaluate: Evaluator,
    positions: list[SolvedPosition],
    trees: int,
    with_classes: bool,
    config: SearchConfig = CONFIG,
) -> list[BestMove]:
    search = BatchedSearch(game, trees, config)

    def evaluate_leaves(rows: int) -> tuple[LogitArray, LogitArray]:
        return evaluate(search.observations[:rows])

    return find_best_moves(
        search,
        [each.moves for each in positions],
        evaluate_leaves,
        SIMULATIONS,
        [each.move_classes() for each in positions] if with_classes else None,
    )


def whole_search(
    game: Game, evaluate: Evaluator, positions: list[SolvedPosition], config: SearchConfig = CONFIG
) -> list[int]:
    search = BatchedSearch(game, len(positions), config)
    trees = np.arange(len(positions), dtype=np.int32)
    for tree, each in enumerate(positions):
        search.set_position(tree, each.moves)
    search.search(trees, evaluate)
    return [best_action(search.root_statistics(tree)) for tree in trees.tolist()]


def test_moves_are_those_of_the_whole_search_for_any_number_of_trees(
    connect_four: Game, hashed: Evaluator, positions: list[SolvedPosition]
) -> None:
    expected = whole_search(connect_four, hashed, positions)
    for trees in (1, 7, len(positions) + 5):
        found = answers(connect_four, hashed, positions, trees, with_classes=False)
        assert [best.action for best in found] == expected
        assert all(1 <= best.simulations <= SIMULATIONS for best in found)


def test_moves_are_those_of_the_whole_search_with_the_solver(
    connect_four: Game, hashed: Evaluator, positions: list[SolvedPosition]
) -> None:
    config = replace(CONFIG, solver=True)
    found = answers(connect_four, hashed, positions, 7, with_classes=False, config=config)
    assert [best.action for best in found] == whole_search(connect_four, hashed, positions, config)


def test_errors_are_those_of_the_whole_search(
    connect_four: Game, hashed: Evaluator, positions: list[SolvedPosition]
) -> None:
    expected = whole_search(connect_four, hashed, positions)
    found = answers(connect_four, hashed, positions, 16, with_classes=True)
    for position, best, action in zip(positions, found, expected, strict=True):
        assert position.is_error(best.action) == position.is_error(action)


def test_simulations_that_cannot_matter_are_not_done(
    connect_four: Game, uniform: Evaluator, positions: list[SolvedPosition]
) -> None:
    found = answers(connect_four, uniform, positions, 16, with_classes=True)
    for position, best in zip(positions, found, strict=True):
        assert (best.simulations > 0) == position.is_decisive
    assert sum(best.simulations for best in found) < SIMULATIONS * sum(p.is_decisive for p in positions)


def test_a_single_legal_move_needs_no_whole_search(connect_four: Game, uniform: Evaluator) -> None:
    # Columns 0 to 5 are full without four in a row; only column 6 has room.
    moves = tuple(map(int, "010101101010232323323232454545545454"))
    position = SolvedPosition("one", moves, ((6, 0),), 7)
    (best,) = answers(connect_four, uniform, [position], 1, with_classes=False)
    assert best.action == 6
    (best,) = answers(connect_four, uniform, [position], 1, with_classes=True)
    assert best == BestMove(6, 0)


def test_progress_counts_every_position(
    connect_four: Game, uniform: Evaluator, positions: list[SolvedPosition]
) -> None:
    search = BatchedSearch(connect_four, 4, CONFIG)
    counts: list[int] = []
    find_best_moves(
        search,
        [each.moves for each in positions],
        lambda rows: uniform(search.observations[:rows]),
        5,
        on_answer=counts.append,
    )
    assert counts == list(range(1, len(positions) + 1))
