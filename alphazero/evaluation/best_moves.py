"""The most visited move of many positions, searched side by side, with no simulation that cannot matter.

A search of n simulations is stopped early when the simulations that remain cannot change the answer: a
move that trails the leader by more visits than remain can no longer overtake it. With the solver visits do
not decide alone, and a search is stopped early only once a move is proven to win. What is returned is exactly
what the whole search would have returned.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from alphazero.mcts.backend import IntArray, RootStatistics
from alphazero.mcts.search import BatchedSearch, LogitArray, best_action

# Number of leaves K that wait in the search -> policy logits float32 [K, A], values float32 [K] for the
# player to move at the leaf.
LeafEvaluator = Callable[[int], tuple[LogitArray, LogitArray]]

_ROUNDS_BETWEEN_CHECKS = 16


@dataclass(frozen=True)
class BestMove:
    """`action` as the whole search would choose it; `simulations` that were needed to know."""

    action: int
    simulations: int


def find_best_moves(
    search: BatchedSearch,
    positions: Sequence[Sequence[int]],
    evaluate_leaves: LeafEvaluator,
    simulations: int,
    classes: Sequence[npt.NDArray[np.int8]] | None = None,
    on_answer: Callable[[int], None] | None = None,
) -> list[BestMove]:
    """Return the most visited move (ties: the lowest) of each position, which must not be terminal.

    No root noise, a fresh tree for each position. All trees of `search` are kept busy: one that is done
    gets the next position at once.

    Args:
        positions: moves from the start position.
        evaluate_leaves: answers the rows that wait in `search`.
        simulations: simulations a position.
        classes: for each position int8 [A]. When given, only the class of the best move has to be right:
            the search ends as soon as all moves that could still be the most visited are of one class,
            and the move returned is one of that class. A position whose legal moves are all of one class
            needs no simulation at all.
        on_answer: called with the number of positions answered so far.
    """
    answers: list[BestMove | None] = [None] * len(positions)
    waiting = iter(range(len(positions)))
    position_of: dict[int, int] = {}  # tree -> index of the position it searches
    answered = 0

    def answer(index: int, best: BestMove) -> None:
        nonlocal answered
        answers[index] = best
        answered += 1
        if on_answer is not None:
            on_answer(answered)

    def take_next(tree: int) -> None:
        """Start the next position that needs a search in `tree`, if there is one."""
        position_of.pop(tree, None)
        for index in waiting:
            search.set_position(tree, positions[index])
            if classes is not None:
                legal = search.legal_actions(tree)
                if _of_one_class(classes[index], legal):
                    answer(index, BestMove(int(legal[0]), 0))
                    continue
            search.begin(tree, simulations)
            position_of[tree] = index
            return

    for tree in range(search.num_trees):
        take_next(tree)
    busy = np.array(sorted(position_of), np.int32)
    rounds = 0
    while len(busy):
        rows = search.collect(busy)
        if rows:
            search.apply(*evaluate_leaves(rows))
        rounds += 1
        # Trees that are done are seen at once; whether the others have to go on, only now and then: it takes as long
        # as a round.
        looked_at = busy
        if rounds % _ROUNDS_BETWEEN_CHECKS:
            looked_at = busy[search.trees.remaining[busy] == 0]
        for tree in looked_at.tolist():
            index = position_of[tree]
            statistics = search.root_statistics(tree)
            remaining = int(search.trees.remaining[tree])
            of_position = None if classes is None else classes[index]
            if _is_decided(statistics, remaining, of_position, search.config.solver):
                answer(index, BestMove(best_action(statistics), simulations - remaining))
                take_next(tree)
        if len(looked_at):
            busy = np.array(sorted(position_of), np.int32)
    return [best for best in answers if best is not None]


def _is_decided(
    statistics: RootStatistics, remaining: int, classes: npt.NDArray[np.int8] | None, solver: bool
) -> bool:
    """Return whether `remaining` more simulations cannot change the best move (or its class)."""
    if remaining == 0:
        return True
    if solver:  # a proof may come with the last simulation
        return bool((statistics.proven > 0).any())
    visits = statistics.visit_counts
    could_win = statistics.actions[visits + remaining >= visits.max()]
    return len(could_win) == 1 or (classes is not None and _of_one_class(classes, could_win))


def _of_one_class(classes: npt.NDArray[np.int8], actions: IntArray) -> bool:
    return bool((classes[actions] == classes[actions[0]]).all())
