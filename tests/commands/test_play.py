"""`alphazero play`: a game in the terminal, from what is typed to how it ends."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

import pytest

from alphazero.cli import main

Play = Callable[..., str]
UNTRAINED = ("untrained:connect_four", "--simulations", "60", "--device", "cpu")


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Play:
    """Return what is printed when `lines` are typed, one after the other."""

    def played(*words: str, lines: str = "", status: int = 0) -> str:
        monkeypatch.setattr("sys.stdin", io.StringIO(lines.replace(" ", "\n") + "\n" if lines else ""))
        assert main(["play", *words]) == status
        printed = capsys.readouterr()
        return printed.err if status else printed.out

    return played


def test_the_human_wins_with_the_fourth_stone(play: Play) -> None:
    said = play(*UNTRAINED, "--moves", *"060606", lines="0")
    assert said.endswith(
        "x . . . . . .\nx . . . . . o\nx . . . . . o\nx . . . . . o\n0 1 2 3 4 5 6\nyou have won\n"
    )


def test_the_agent_wins_and_knows_it(play: Play) -> None:
    said = play(*UNTRAINED, "--second", "--moves", *"060606")
    assert "it plays 0   value" in said
    assert said.endswith("it has won\n")


def test_a_draw(play: Play) -> None:
    moves = ("a3", "b3", "c3", "b2", "b1", "c2", "a2", "a1")
    said = play("untrained:tic_tac_toe", "--simulations", "9", "--moves", *moves, lines="c1")
    assert said.endswith("a draw\n")


def test_a_hint_shows_what_the_search_found(play: Play) -> None:
    said = play(*UNTRAINED, "--moves", *"060606", lines="hint quit")
    assert "it would play 0   value" in said
    assert "for the player to move; searched 0 " in said


def test_undo_takes_back_both_moves_and_not_more_than_there_are(play: Play) -> None:
    said = play(*UNTRAINED, lines="undo 3 undo moves")
    assert "there is no move of yours to take back" in said
    boards = re.findall(r"(?:[.xo ]+\n)+0 1 2 3 4 5 6\n", said)
    assert [len(board.translate(str.maketrans("", "", ". \n0123456"))) for board in boards] == [0, 1, 2, 0]
    assert "your move: 0 1 2 3 4 5 6\n" in said  # of `moves`


def test_what_is_no_move_is_said_and_asked_again(play: Play) -> None:
    said = play(*UNTRAINED, lines="9 help quit")
    assert "'9' is not a legal move here" in said
    assert said.count("hint, undo, moves, help, quit") == 2


def test_a_random_players_game_repeats_with_its_seed(play: Play) -> None:
    games = {seed: play("random:connect_four", "--seed", seed, lines="0 1 2 3") for seed in ("1", "2")}
    assert games["1"] == play("random:connect_four", "--seed", "1", lines="0 1 2 3")
    assert games["1"] != games["2"]
    assert "search" not in games["1"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["absent.safetensors"], "no agent 'absent.safetensors'"),
        ([*UNTRAINED, "--moves", "3", "x"], "--moves: 'x' is not a legal move here"),
        (["untrained:connect_four", "--simulations", "0"], "--simulations is 0; it must be at least 1"),
        ([*UNTRAINED, "--config", "absent.toml"], "absent.toml"),
        ([*UNTRAINED, "--seed", str(2**64)], "--seed is 18446744073709551616; it must be"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(words: list[str], says: str, play: Play) -> None:
    complaint = play(*words, status=2)
    assert says in complaint
    assert len(complaint.strip().splitlines()) == 1
