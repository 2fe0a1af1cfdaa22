"""What the tests of the search share: a deterministic evaluator, a game of sparse actions, positions."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from alphazero.games.game import ByteArray, Game, IllegalMoveError, States, Symmetry
from alphazero.mcts.search import LogitArray


@dataclass(frozen=True)
class HashedEvaluator:
    """A 'network' that is a pure function of each observation's bytes.

    Logits are spread over +-logit_scale (0: all priors equal); with `extreme`, each is one of
    -logit_scale, 0, +logit_scale. Values lie in [-1, 1).
    """

    num_actions: int
    logit_scale: float = 2.0
    extreme: bool = False

    def __call__(self, observations: ByteArray) -> tuple[LogitArray, LogitArray]:
        digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8).digest() for row in observations)
        seeds = np.frombuffer(digests, np.uint64)[:, None]
        # Multiplicative hashing: the high bits of a product with an odd number look like noise.
        spread = ((seeds * _multipliers(self.num_actions + 1)) >> np.uint64(40)) / 2.0**23 - 1.0
        logits = np.round(spread) if self.extreme else spread
        return (
            (logits[:, 1:] * self.logit_scale).astype(np.float32),
            spread[:, 0].astype(np.float32),
        )


@cache
def _multipliers(count: int) -> npt.NDArray[np.uint64]:
    return np.random.default_rng(0).integers(2**64, size=count, dtype=np.uint64) | np.uint64(1)


class TakeAway:
    """A pile of counters; a move takes 1, 2 or 3 (actions 3, 40, 77); whoever takes the last one wins.

    Few legal actions out of many, one legal move at the end of every line, and every game ends in a win.
    """

    name = "take_away"
    num_actions = 80
    max_legal_actions = 3
    max_game_length = 12
    observation_shape = (1, 3, 4)
    plane_scale = (1.0,)
    root_noise_alpha = 3.0
    temperature_moves = 2
    TAKES = {3: 1, 40: 2, 77: 3}  # noqa: RUF012

    def initial_state(self) -> int:
        return self.max_game_length

    def legal_actions(self, state: int) -> list[int]:
        return [action for action, take in self.TAKES.items() if take <= state]

    def step(self, state: int, action: int) -> int:
        return state - self.TAKES[action]

    def terminal_value(self, state: int) -> float | None:
        return -1.0 if state == 0 else None

    def encode(self, state: int, out: ByteArray) -> None:
        out.reshape(-1)[:] = np.arange(self.max_game_length) < state

    def symmetries(self) -> tuple[Symmetry, ...]:
        return (Symmetry("identity", np.arange(12, dtype=np.int32), np.arange(80, dtype=np.int32)),)

    def action_to_text(self, state: int, action: int) -> str:
        return str(self.TAKES[action])

    def text_to_action(self, state: int, text: str) -> int:
        for action in self.legal_actions(state):
            if str(self.TAKES[action]) == text:
                return action
        raise IllegalMoveError(f"{text!r} is not a legal move here")

    def render(self, state: int) -> str:
        return "o" * state

    def native_states(self, num_trees: int) -> States | None:
        return None


def random_position(game: Game, length: int, rng: np.random.Generator) -> list[int]:
    """Return up to `length` random moves from the start that do not end the game."""
    state, moves = game.initial_state(), []
    while len(moves) < length:
        action = int(rng.choice(game.legal_actions(state)))
        after = game.step(state, action)
        if game.terminal_value(after) is not None:
            break
        state = after
        moves.append(action)
    return moves


def random_game(game: Game, rng: np.random.Generator) -> list[int]:
    """Return random moves from the start up to the last position in which the game goes on."""
    return random_position(game, game.max_game_length, rng)


def position_with_one_legal_move(game: Game, rng: np.random.Generator) -> list[int]:
    """Return moves to a random position in which only one action is legal."""
    while True:
        moves = random_game(game, rng)
        found, state = [], game.initial_state()
        for length, move in enumerate(moves, start=1):
            state = game.step(state, move)
            if len(game.legal_actions(state)) == 1:
                found.append(moves[:length])
        if found:
            return found[int(rng.integers(len(found)))]
