"""Matches: two players, the same openings with both colours, every game counted once.

Two players that do not draw at random play the same game again from the same opening. A match therefore
starts from different random openings, and a game that repeats another one move by move is not counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from alphazero.errors import UserError
from alphazero.evaluation.elo import EloDifference, Pairing, PairScore, elo_difference, pentanomial
from alphazero.evaluation.players import Player
from alphazero.games.game import Game
from alphazero.seeding import generator

Moves = tuple[int, ...]

_TRIES_PER_OPENING = 50  # draws of an opening that was drawn before, until openings get one move longer


@dataclass(frozen=True)
class PlayedGame:
    """A finished game; `points` are player A's: 1 won, 0.5 drawn, 0 lost."""

    opening: int  # index of the opening
    a_moves_first: bool  # whether player A moves at the start position (opening moves counted as a player's)
    moves: Moves
    points: float


@dataclass(frozen=True, eq=False)
class Match:
    """Two players and what they play: both games of each (index, opening)."""

    player_a: Player
    player_b: Player
    openings: Sequence[tuple[int, Moves]]
    seed: int


@dataclass(frozen=True)
class Score:
    """Results of one side."""

    wins: int
    draws: int
    losses: int

    @property
    def games(self) -> int:
        return self.wins + self.draws + self.losses

    @property
    def points(self) -> float:
        """Wins and half the draws, as a share of the games; the games must not be none."""
        return (self.wins + 0.5 * self.draws) / self.games


@dataclass(frozen=True)
class MatchResult:
    """What came out of a match, from player A's point of view.

    Attributes:
        player_a, player_b: names.
        played: games played; `total.games` are the different ones among them, which count.
        total, as_first, as_second: all counted games, and those where A had the first and second move.
        mean_length: moves of a counted game, opening included.
        elo: how much stronger A is.
        pentanomial: openings played with both colours that gave A 0, 0.5, 1, 1.5 and 2 points.
    """

    player_a: str
    player_b: str
    played: int
    total: Score
    as_first: Score
    as_second: Score
    mean_length: float
    elo: EloDifference
    pentanomial: tuple[int, int, int, int, int]

    @property
    def pairing(self) -> Pairing:
        """Return the result for `rating_list`."""
        return Pairing(self.player_a, self.player_b, self.total.wins, self.total.draws, self.total.losses)


def draw_openings(game: Game, count: int, opening_moves: int, seed: int) -> list[Moves]:
    """Return `count` random openings that end in different positions, none of them terminal.

    Images of a position under the game's symmetries are not different: equal players would play equal games. They have
    `opening_moves` moves. Where the game has too few different positions after so many moves, the rest gets a move
    more, and so on; only when the whole game is too small are openings repeated.
    """
    random = generator(seed, "openings")
    openings: list[Moves] = []
    seen: set[bytes] = set()
    length, tries = opening_moves, 0
    while len(openings) < count and length < game.max_game_length:
        moves, position = _random_opening(game, length, random)
        if position is not None and position not in seen:
            seen.add(position)
            openings.append(moves)
            tries = 0
        else:
            tries += 1
        if tries == _TRIES_PER_OPENING:
            length, tries = length + 1, 0
    if not openings:
        raise UserError(
            f"no game of {game.name} goes on after {opening_moves} random moves (the longest has "
            f"{game.max_game_length}); ask for fewer opening moves"
        )
    return [openings[i % len(openings)] for i in range(count)]


def play_match(
    game: Game,
    player_a: Player,
    player_b: Player,
    games: int,
    opening_moves: int,
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> MatchResult:
    """Play `games` games, two from each opening with the colours swapped, and return the result."""
    openings = draw_openings(game, (games + 1) // 2, opening_moves, seed)
    played = play_openings(game, player_a, player_b, list(enumerate(openings)), seed, on_progress)
    return match_result(player_a.name, player_b.name, played)


def play_openings(
    game: Game,
    player_a: Player,
    player_b: Player,
    openings: Iterable[tuple[int, Moves]],
    seed: int,
    on_progress: Callable[[int], None] | None = None,
) -> list[PlayedGame]:
    """Play both games of each (index, opening) side by side; a game depends on its opening and seed alone.

    on_progress: called with the number of games that have ended.
    """
    return play_side_by_side(game, [Match(player_a, player_b, tuple(openings), seed)], on_progress)[0]


def play_side_by_side(
    game: Game, matches: Sequence[Match], on_progress: Callable[[int], None] | None = None
) -> list[list[PlayedGame]]:
    """Play the games of all matches at the same time; return those of each match, as by itself.

    A player that takes part in several is asked once for its moves in all of them: larger batches for its network.
    """
    running = [
        _RunningGame(game, match, index, opening, a_moves_first)
        for match in matches
        for index, opening in match.openings
        for a_moves_first in (True, False)
    ]
    finished: list[_RunningGame] = []
    while running:
        for player in _players(matches):
            to_move = [each for each in running if each.player_to_move is player]
            if not to_move:
                continue
            streams = np.array([each.stream() for each in to_move], np.uint64)
            actions = player.choose_moves([each.moves for each in to_move], streams)
            for each, action in zip(to_move, actions, strict=True):
                each.play(action)
            finished.extend(each for each in to_move if each.value is not None)
            running = [each for each in running if each.value is None]
            if on_progress is not None:
                on_progress(len(finished))
    return [
        sorted(
            (each.result() for each in finished if each.match is match),
            key=lambda each: (each.opening, not each.a_moves_first),
        )
        for match in matches
    ]


def match_result(name_a: str, name_b: str, played: Sequence[PlayedGame]) -> MatchResult:
    """Count games, each different one once, and rate the players."""
    counted: list[PlayedGame] = []
    seen: set[tuple[bool, Moves]] = set()
    for each in played:
        if (each.a_moves_first, each.moves) not in seen:
            seen.add((each.a_moves_first, each.moves))
            counted.append(each)
    by_opening: dict[int, list[float]] = {}
    for each in counted:
        by_opening.setdefault(each.opening, []).append(each.points)
    pairs = [PairScore(sum(points), len(points)) for points in by_opening.values()]
    return MatchResult(
        player_a=name_a,
        player_b=name_b,
        played=len(played),
        total=_score(counted),
        as_first=_score(each for each in counted if each.a_moves_first),
        as_second=_score(each for each in counted if not each.a_moves_first),
        mean_length=float(np.mean([len(each.moves) for each in counted])) if counted else 0.0,
        elo=elo_difference(pairs),
        pentanomial=pentanomial(pairs),
    )


class _RunningGame:
    """A game that goes on: its moves, its state in the plain rules, and who is who."""

    def __init__(self, game: Game, match: Match, opening: int, moves: Moves, a_moves_first: bool) -> None:
        self.match = match
        self.moves: list[int] = []
        self.value: float | None = None  # for the player to move, once the game is over
        self._game = game
        self._state: Any = game.initial_state()
        self._opening = opening
        self._a_moves_first = a_moves_first
        self._random = generator(match.seed, "match", opening, int(a_moves_first))
        for move in moves:
            self.play(move)

    @property
    def a_to_move(self) -> bool:
        return self._a_moves_first == (len(self.moves) % 2 == 0)

    @property
    def player_to_move(self) -> Player:
        return self.match.player_a if self.a_to_move else self.match.player_b

    def stream(self) -> int:
        """Return the next move's 64 random bits."""
        return int(self._random.integers(0, 2**64, dtype=np.uint64))

    def play(self, action: int) -> None:
        self._state = self._game.step(self._state, action)
        self.moves.append(action)
        self.value = self._game.terminal_value(self._state)

    def result(self) -> PlayedGame:
        assert self.value is not None
        points_to_move = (self.value + 1.0) / 2.0
        points = points_to_move if self.a_to_move else 1.0 - points_to_move
        return PlayedGame(self._opening, self._a_moves_first, tuple(self.moves), points)


def _random_opening(game: Game, length: int, random: np.random.Generator) -> tuple[Moves, bytes | None]:
    """Return random moves, and what the position and its images under symmetries share; None if the game ended."""
    state = game.initial_state()
    moves: list[int] = []
    for _ in range(length):
        legal = game.legal_actions(state)
        if not legal:
            break
        moves.append(legal[int(random.integers(len(legal)))])
        state = game.step(state, moves[-1])
    if game.terminal_value(state) is not None:
        return tuple(moves), None
    observation = np.zeros(game.observation_shape, np.uint8)
    game.encode(state, observation)
    cells = observation.reshape(len(observation), -1)
    return tuple(moves), min(cells[:, symmetry.cell_source].tobytes() for symmetry in game.symmetries())


def _players(matches: Sequence[Match]) -> list[Player]:
    """Return the players of all matches, each once."""
    each_once = {id(player): player for match in matches for player in (match.player_a, match.player_b)}
    return list(each_once.values())


def _score(games: Iterable[PlayedGame]) -> Score:
    results = Counter(each.points for each in games)
    return Score(wins=results[1.0], draws=results[0.5], losses=results[0.0])
