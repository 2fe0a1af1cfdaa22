"""Positions that random moves lead to: where games of self-play begin, and where a measurement finds them."""

from __future__ import annotations

import itertools

import numpy as np

from alphazero.mcts.search import BatchedSearch

TRIAL_SIMULATIONS = 64
_GAMES_TO_TRY = 100  # that end too early, before an opening is made shorter


def play_random_opening(
    search: BatchedSearch, tree: int, most_moves: int, rng: np.random.Generator
) -> list[int]:
    """Put the position after 0 to `most_moves` random moves at the root of `tree`; return the moves.

    Every number of moves is equally likely; a game that ends among them is begun again. Where games hardly
    ever last so long, half as many moves will do.
    """
    wanted = int(rng.integers(most_moves + 1))
    for tried in itertools.count(1):
        search.reset(tree)
        moves: list[int] = []
        while len(moves) < wanted and search.terminal_value(tree) is None:
            moves.append(_random_move(search, tree, rng))
            search.play(tree, moves[-1])
        if search.terminal_value(tree) is None:
            break
        if tried % _GAMES_TO_TRY == 0:
            wanted //= 2
    return moves


def set_random_stage(search: BatchedSearch, tree: int, rng: np.random.Generator) -> int:
    """Put a position of a random game at the root of `tree`, without a search tree; return its move number.

    A moment of self-play finds a game where it spends its time: at moves whose searches ask the network
    often. Near the end most simulations stop at a known result at once, and such moves are over soon. So a
    position, drawn uniformly from a random game, is kept with the probability that a simulation of a short
    search from it asks the network.
    """
    while True:
        moves = _random_game(search, tree, rng)
        stage = int(rng.integers(len(moves)))
        if rng.random() < _leaf_share(search, tree, moves[:stage]):
            search.set_position(tree, moves[:stage])
            return stage


def _random_game(search: BatchedSearch, tree: int, rng: np.random.Generator) -> list[int]:
    search.reset(tree)
    moves: list[int] = []
    while search.terminal_value(tree) is None:
        moves.append(_random_move(search, tree, rng))
        search.play(tree, moves[-1])
    return moves


def _random_move(search: BatchedSearch, tree: int, rng: np.random.Generator) -> int:
    legal = search.legal_actions(tree)
    return int(legal[rng.integers(len(legal))])  # what `rng.choice` does, in a fraction of the time


def _leaf_share(search: BatchedSearch, tree: int, moves: list[int]) -> float:
    """Return leaves / simulations of a short search whose network knows nothing."""
    search.set_position(tree, moves)
    search.begin(tree, TRIAL_SIMULATIONS)
    policy_logits = np.zeros((1, search.game.num_actions), np.float32)
    values = np.zeros(1, np.float32)
    trees = np.array([tree], np.int32)
    leaves = 0
    while search.collect(trees):
        search.apply(policy_logits, values)
        leaves += 1
    return min(1.0, leaves / TRIAL_SIMULATIONS)
