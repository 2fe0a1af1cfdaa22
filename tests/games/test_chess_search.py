"""Chess under the search: compiled rules and Python rules give the same trees."""

from __future__ import annotations

import zlib

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.chess import Chess
from alphazero.games.chess.notation import START_FEN
from alphazero.games.game import ByteArray
from alphazero.mcts.search import BatchedSearch, LogitArray, best_action
from alphazero.mcts.self_check import same_tree

SIMULATIONS, MOVES, TREES = 40, 5, 2


def hashed_evaluator(observations: ByteArray) -> tuple[LogitArray, LogitArray]:
    """Logits and values that are a pure function of each observation's bytes: all 119 planes count."""
    rows = [np.random.default_rng(zlib.crc32(row.tobytes())) for row in observations]
    logits = np.stack([row.standard_normal(4672, np.float32) for row in rows])
    return logits, np.array([row.uniform(-1, 1) for row in rows], np.float32)


@pytest.mark.parametrize(
    "fen",
    [
        START_FEN,
        "r3k2r/p1ppqpb1/bn2pnp1/3PN3/1p2P3/2N2Q1p/PPPBBPPP/R3K2R w KQkq - 0 1",
        "7k/8/6K1/8/8/8/8/R7 w - - 93 80",  # mates, stalemates and the fifty-move rule within reach
        "n1n5/PPPk4/8/8/8/8/4Kppp/5N1N b - - 0 1",
        "8/8/4k3/8/2nb4/8/3BK3/8 w - - 60 90",
    ],
)
def test_native_and_python_rules_give_the_same_trees(fen: str) -> None:
    """Move after move with the subtree kept, so that the history crosses the root."""
    game = Chess(fen)
    if game.native_states(1) is None:
        pytest.skip("native rules are not built")
    native, plain = (
        BatchedSearch(game, TREES, SearchConfig(native_rules=native_rules)) for native_rules in (True, False)
    )
    for _ in range(MOVES):
        values = [native.terminal_value(tree) for tree in range(TREES)]
        assert [plain.terminal_value(tree) for tree in range(TREES)] == values
        playing = np.array([tree for tree in range(TREES) if values[tree] is None], np.int32)
        for search in (native, plain):
            search.search(playing, hashed_evaluator, SIMULATIONS)
        for tree in playing.tolist():
            assert same_tree(native.trees.snapshot(tree), plain.trees.snapshot(tree))
            # The first tree plays the best move, the second its first one: one keeps much, one little.
            action = (
                best_action(plain.root_statistics(tree)) if tree == 0 else int(plain.legal_actions(tree)[0])
            )
            for search in (native, plain):
                search.play(tree, action)
