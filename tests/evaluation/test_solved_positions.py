"""Solved positions: reading, checking, and errors worked out by hand."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from alphazero.errors import UserError
from alphazero.evaluation.solved_positions import (
    MEAN_OVER_SETS,
    SolvedPosition,
    load_pons_positions,
    load_positions_file,
    read_positions,
    score_moves,
    score_random_moves,
    score_values,
    set_names,
    thin_out,
)

HEADER = "set,moves,ply,score,move_scores\n"
GOOD_ROW = "beginning-easy,21053514,8,11,-4 -3 11 4 0 -2 -5\n"


@pytest.fixture(scope="module")
def pons() -> list[SolvedPosition]:
    return load_pons_positions()


def position(set_name: str, *scores: int) -> SolvedPosition:
    return SolvedPosition(set_name, (), tuple(enumerate(scores)), len(scores))


def test_the_package_has_six_sets_of_a_thousand(pons: list[SolvedPosition]) -> None:
    assert len(pons) == 6000
    assert len(set_names(pons)) == 6
    assert all(sum(each.set == name for each in pons) == 1000 for name in set_names(pons))
    assert sum(each.is_decisive for each in pons) == 3273


def test_random_moves_err_as_published(pons: list[SolvedPosition]) -> None:
    shares = {score.set: round(100 * score.error, 1) for score in score_random_moves(pons)}
    assert shares == {
        "beginning-easy": 26.1,
        "beginning-medium": 29.5,
        "beginning-hard": 52.0,
        "middle-easy": 28.6,
        "middle-medium": 42.1,
        "end-easy": 31.1,
        MEAN_OVER_SETS: 34.9,  # (26.1 + 29.5 + 52.0 + 28.6 + 42.1 + 31.1) / 6
    }


def test_the_perfect_player_never_errs(pons: list[SolvedPosition]) -> None:
    best = [max(each.move_scores, key=lambda scored: scored[1])[0] for each in pons]
    for score in score_moves(pons, best):
        assert score.error == 0.0
        assert score.error_decisive == 0.0


def test_the_anti_perfect_player_errs_in_every_decisive_position(pons: list[SolvedPosition]) -> None:
    worst = [min(each.move_scores, key=lambda scored: scored[1])[0] for each in pons]
    scores = score_moves(pons, worst)
    assert all(score.error_decisive == 1.0 for score in scores)
    assert scores[-1].error == pytest.approx(3273 / 6000)


def test_a_smaller_win_is_no_error_but_a_draw_is() -> None:
    won = position("a", 5, 1, 0)
    assert [won.is_error(action) for action in range(3)] == [False, False, True]
    assert won.move_classes().tolist() == [1, 1, 0]
    assert won.random_error == pytest.approx(1 / 3)


def test_a_position_that_is_lost_anyway_is_not_decisive() -> None:
    assert not position("a", -3, -8).is_decisive


def test_errors_are_counted_by_set_and_averaged_over_sets() -> None:
    positions = [position("a", 1, -1), position("a", 1, 1), position("b", 0, -2)]
    first, second, mean = score_moves(positions, [1, 1, 0])
    # Set a: the first of two is wrong, and it is the only decisive one. Set b: right.
    assert (first.error, first.error_decisive, first.decisive_positions) == (0.5, 1.0, 1)
    assert (second.error, second.error_decisive) == (0.0, 0.0)
    assert (mean.set, mean.error, mean.error_decisive, mean.positions) == (MEAN_OVER_SETS, 0.25, 0.5, 3)
    assert mean.error_low < 0.25 < mean.error_high


def test_no_decisive_position_leaves_the_decisive_error_empty() -> None:
    score = score_moves([position("a", 1, 2)], [0])[-1]
    assert score.error_decisive is None
    assert score.error_decisive_low is None


def test_values_are_read_in_thirds() -> None:
    positions = [position("a", 4), position("a", 0), position("a", -4), position("a", 4)]
    score = score_values(positions, [0.5, 0.2, -0.5, 0.0])[0]
    assert score.value_error == 0.25  # only the last one is read as a draw
    # (0.5 - 1)^2 + 0.2^2 + (-0.5 + 1)^2 + (0 - 1)^2 = 0.25 + 0.04 + 0.25 + 1 = 1.54
    assert score.value_mse == pytest.approx(1.54 / 4)


def test_thinning_takes_evenly_spaced_positions_of_each_set() -> None:
    positions = [position("a", i) for i in range(10)] + [position("b", i) for i in range(3)]
    chosen = thin_out(positions, 5)
    assert [each.score for each in chosen if each.set == "a"] == [0, 2, 4, 6, 8]
    assert [each.score for each in chosen if each.set == "b"] == [0, 1, 2]


def test_a_good_row_is_read() -> None:
    (read,) = read_positions(io.StringIO(HEADER + GOOD_ROW), "file.csv")
    assert read.moves == (2, 1, 0, 5, 3, 5, 1, 4)
    assert read.score == 11
    assert dict(read.move_scores)[2] == 11


@pytest.mark.parametrize(
    ("row", "says"),
    [
        (",21053514,8,11,-4 -3 11 4 0 -2 -5", "set is ''"),
        ("mean,21053514,8,11,-4 -3 11 4 0 -2 -5", "set is 'mean'"),
        ("a,21053517,8,11,-4 -3 11 4 0 -2 -5", "move 8 of '21053517' is '7'"),
        ("a,33333333,8,11,-4 -3 11 4 0 -2 -5", "move 7 of '33333333' is '3'; legal there: 0, 1, 2, 4, 5, 6"),
        ("a,01010101,8,0,0 0 0 0 0 0 0", "go on after the game was over at move 7"),
        ("a,0101010,7,0,0 0 0 0 0 0 0", "the game is over after moves '0101010'"),
        ("a,21053514,9,11,-4 -3 11 4 0 -2 -5", "ply is '9', but moves has 8"),
        ("a,21053514,8,12,-4 -3 11 4 0 -2 -5", "score is 12, but the best of move_scores is 11"),
        ("a,21053514,8,win,-4 -3 11 4 0 -2 -5", "'win', which is not a whole number"),
        ("a,21053514,8,11,-4 -3 11 4 0 -2", "move_scores has 6 entries; 7 are needed"),
        ("a,21053514,8,11,-4 -3 11 4 0 -2 x", "'x' for column 6, which is not full"),
        ("a,333333,6,0,0 0 0 1 0 0 0", "'1' for column 3, which is full"),
        ("a,21053514,8,99,-4 -3 99 4 0 -2 -5", "99; scores are between -21 and 21"),
        ("a,21053514", "ply is '', but moves has 8"),
    ],
)
def test_a_wrong_row_is_named_by_file_and_line(row: str, says: str) -> None:
    with pytest.raises(UserError) as caught:
        read_positions(io.StringIO(HEADER + GOOD_ROW + row + "\n"), "file.csv")
    assert str(caught.value).startswith("file.csv, line 3: ")
    assert says in str(caught.value)


def test_missing_columns_and_empty_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no column ply, move_scores"):
        read_positions(io.StringIO("set,moves,score\n"), "file.csv")
    with pytest.raises(UserError, match="has no positions"):
        read_positions(io.StringIO(HEADER), "file.csv")
    with pytest.raises(UserError, match="cannot read positions from"):
        load_positions_file(tmp_path / "absent.csv")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00\x81")
    with pytest.raises(UserError, match="not text in UTF-8"):
        load_positions_file(binary)
