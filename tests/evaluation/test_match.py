"""Matches: openings, colours, repetitions, determinism."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.errors import UserError
from alphazero.evaluation.match import (
    Match,
    PlayedGame,
    Score,
    draw_openings,
    match_result,
    play_match,
    play_openings,
    play_side_by_side,
)
from alphazero.evaluation.players import NetworkPlayer, Position, PureMctsPlayer, RandomPlayer
from alphazero.evaluation.rollouts import StreamArray
from alphazero.games.game import Game
from alphazero.games.registry import get_game
from alphazero.games.tic_tac_toe import TicTacToe
from alphazero.mcts.search import Evaluator

FEW = replace(SearchConfig(), simulations=8)


class LowestMove:
    """Plays the lowest legal column; remembers the plies it was asked about."""

    def __init__(self, game: Game, name: str) -> None:
        self.name = name
        self.game = game
        self.asked: list[int] = []
        self.calls: list[int] = []  # positions of each call

    def choose_moves(self, positions: Sequence[Position], streams: StreamArray) -> list[int]:
        self.calls.append(len(positions))
        moves = []
        for position in positions:
            state = self.game.initial_state()
            for move in position:
                state = self.game.step(state, move)
            moves.append(self.game.legal_actions(state)[0])
            self.asked.append(len(position))
        return moves


def played(opening: int, a_moves_first: bool, moves: tuple[int, ...], points: float) -> PlayedGame:
    return PlayedGame(opening, a_moves_first, moves, points)


@pytest.mark.parametrize("name", ["connect_four", "tic_tac_toe"])
def test_openings_are_different_positions_where_the_game_goes_on(name: str) -> None:
    game = get_game(name)
    seen = set()
    for moves in draw_openings(game, 100, 2, seed=1):
        state = game.initial_state()
        for move in moves:
            assert move in game.legal_actions(state)
            state = game.step(state, move)
        assert game.terminal_value(state) is None
        observation = np.zeros(game.observation_shape, np.uint8)
        game.encode(state, observation)
        cells = observation.reshape(len(observation), -1)
        images = {cells[:, symmetry.cell_source].tobytes() for symmetry in game.symmetries()}
        assert not images & seen
        seen |= images


def test_openings_get_longer_only_when_short_ones_run_out(connect_four: Game) -> None:
    lengths = [len(moves) for moves in draw_openings(connect_four, 60, 2, seed=0)]
    assert lengths == sorted(lengths)
    assert 20 <= lengths.count(2) <= 25  # there are 7 x 7, and 24 of them are mirror images of 24 others
    assert set(lengths) == {2, 3}


def test_openings_repeat_when_the_game_is_too_small() -> None:
    class ShortGame(TicTacToe):
        max_game_length = 2  # so that openings have at most one move: 1 + 3 positions

    openings = draw_openings(ShortGame(), 15, 0, seed=0)
    assert len(openings) == 15
    assert len(set(openings)) == 4
    assert openings[4:] == (openings[:4] * 3)[:11]


@pytest.mark.parametrize("opening_moves", [42, 60])
def test_openings_as_long_as_the_game_are_refused(connect_four: Game, opening_moves: int) -> None:
    with pytest.raises(
        UserError, match=f"no game of connect_four goes on after {opening_moves} random moves"
    ):
        draw_openings(connect_four, 3, opening_moves, seed=0)


def test_openings_follow_from_the_seed(connect_four: Game) -> None:
    assert draw_openings(connect_four, 20, 3, 5) == draw_openings(connect_four, 20, 3, 5)
    assert draw_openings(connect_four, 20, 3, 5) != draw_openings(connect_four, 20, 3, 6)


def test_each_opening_is_played_with_both_colours(connect_four: Game) -> None:
    first, second = LowestMove(connect_four, "first"), LowestMove(connect_four, "second")
    games = play_openings(connect_four, first, second, [(0, (3,)), (1, (4, 4))], seed=0)
    assert [(each.opening, each.a_moves_first) for each in games] == [
        (0, True),
        (0, False),
        (1, True),
        (1, False),
    ]
    # After opening (3,) the player who moves second plays first; A does in the swapped game.
    assert {1, 2} <= set(first.asked) and {1, 2} <= set(second.asked)
    # Equal players: what A wins with one colour it loses with the other.
    assert games[0].moves == games[1].moves
    assert games[0].points + games[1].points == 1.0


def test_the_winner_gets_the_points(connect_four: Game) -> None:
    # Columns fill from the left, so the first player has the bottom row of each: 0, 1, 2, 3 are four.
    players = LowestMove(connect_four, "a"), LowestMove(connect_four, "b")
    as_first, as_second = play_openings(connect_four, *players, [(0, ())], seed=0)
    assert len(as_first.moves) % 2 == 1  # the first player made the last move, and wins
    assert (as_first.points, as_second.points) == (1.0, 0.0)


def test_repeated_games_count_once() -> None:
    games = [
        played(0, True, (1, 2, 3), 1.0),
        played(0, False, (1, 2, 3), 0.0),  # the same moves with other colours are another game
        played(1, True, (1, 2, 3), 1.0),  # the first one again
        played(1, False, (1, 2, 4), 0.5),
    ]
    result = match_result("a", "b", games)
    assert result.played == 4
    assert result.total == Score(wins=1, draws=1, losses=1)
    assert result.as_first == Score(1, 0, 0)
    assert result.as_second == Score(0, 1, 1)
    assert result.mean_length == 3.0
    assert result.total.points == pytest.approx(0.5)
    assert result.elo.difference == pytest.approx(0.0)


def test_a_match_with_search_and_chance_repeats_itself(connect_four: Game, hashed: Evaluator) -> None:
    def play() -> object:
        network = NetworkPlayer(connect_four, hashed, FEW, "network")
        return play_match(connect_four, network, PureMctsPlayer(connect_four, FEW), 6, 2, seed=3)

    assert play() == play()


def test_a_match_in_parts_is_the_match_at_once(connect_four: Game) -> None:
    openings = list(enumerate(draw_openings(connect_four, 4, 2, seed=0)))

    def games(part: list[tuple[int, tuple[int, ...]]]) -> list[PlayedGame]:
        mcts, random = PureMctsPlayer(connect_four, FEW), RandomPlayer(connect_four)
        return play_openings(connect_four, mcts, random, part, seed=9)

    parts = games(openings[::2]) + games(openings[1::2])
    assert sorted(parts, key=lambda g: (g.opening, not g.a_moves_first)) == games(openings)


def test_matches_side_by_side_are_the_matches_one_by_one(connect_four: Game, hashed: Evaluator) -> None:
    network = NetworkPlayer(connect_four, hashed, FEW, "network")
    mcts, random = PureMctsPlayer(connect_four, FEW), RandomPlayer(connect_four)
    openings = list(enumerate(draw_openings(connect_four, 2, 2, seed=0)))
    # Each player in two matches, with either letter; the last as the first, of another seed.
    pairs = [(network, random), (mcts, network), (random, mcts), (network, random)]
    matches = [Match(*pair, openings, seed) for seed, pair in enumerate(pairs)]
    counts: list[int] = []
    together = play_side_by_side(connect_four, matches, counts.append)
    assert together == [
        play_openings(connect_four, match.player_a, match.player_b, openings, match.seed) for match in matches
    ]
    assert together[0] != together[3]
    assert counts[-1] == 16


def test_a_player_is_asked_once_for_all_its_matches(connect_four: Game) -> None:
    one, others = LowestMove(connect_four, "one"), [LowestMove(connect_four, name) for name in "abc"]
    play_side_by_side(connect_four, [Match(one, other, [(0, ())], 0) for other in others])
    assert one.calls[:2] == [3, 6]  # those it begins, then all
    assert others[0].calls[:2] == [2, 2]


def test_progress_counts_games(connect_four: Game) -> None:
    counts: list[int] = []
    players = RandomPlayer(connect_four, "a"), RandomPlayer(connect_four, "b")
    play_match(connect_four, *players, 10, 2, seed=0, on_progress=counts.append)
    assert counts == sorted(counts)
    assert counts[-1] == 10
