"""Positions whose perfect play is known, and an agent's error on them.

An agent errs in a position if the move it chooses does not keep the result (win, draw or loss) that perfect
play has there. In a decisive position at least one legal move throws the result away; in the others no
agent can err.

Scores are for the player to move: positive won, 0 drawn, negative lost.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import numpy.typing as npt

from alphazero.errors import UserError
from alphazero.evaluation.intervals import mean_share_interval, wilson_interval
from alphazero.games.connect_four import COLUMNS, ConnectFour

COLUMN_NAMES = ("set", "moves", "ply", "score", "move_scores")
MEAN_OVER_SETS = "mean"
_FULL_COLUMN = "x"
_LARGEST_SCORE = 21  # a win with the fourth stone would score 18
# A value above this is read as a win, below its negative as a loss, between them as a draw: equal thirds.
_DRAW_VALUE = 1.0 / 3.0


@dataclass(frozen=True)
class SolvedPosition:
    """A position that is not terminal, and how good each move is.

    Attributes:
        set: name of the set it belongs to.
        moves: actions from the start position.
        move_scores: the score of each legal action, ascending by action.
        num_actions: A, the size of the game's action space.
    """

    set: str
    moves: tuple[int, ...]
    move_scores: tuple[tuple[int, int], ...]
    num_actions: int

    @property
    def score(self) -> int:
        """Score of the position under perfect play."""
        return max(score for _, score in self.move_scores)

    @property
    def result(self) -> int:
        """+1 won, 0 drawn, -1 lost for the player to move."""
        return _sign(self.score)

    @property
    def is_decisive(self) -> bool:
        return any(_sign(score) != self.result for _, score in self.move_scores)

    @property
    def random_error(self) -> float:
        """Probability that a uniformly random legal move errs."""
        errors = sum(_sign(score) != self.result for _, score in self.move_scores)
        return errors / len(self.move_scores)

    def is_error(self, action: int) -> bool:
        """Return whether `action` throws the result away."""
        return _sign(dict(self.move_scores)[action]) != self.result

    def move_classes(self) -> npt.NDArray[np.int8]:
        """Return int8 [A]: 1 where the move keeps the result, else 0."""
        classes = np.zeros(self.num_actions, np.int8)
        for action, _ in self.move_scores:
            classes[action] = not self.is_error(action)
        return classes


@dataclass(frozen=True)
class SetScore:
    """An agent's errors on one set, or their unweighted mean over the sets (`set` = "mean").

    Shares in [0, 1] with 95 % intervals; None where there is nothing to measure. `error_decisive` is the
    share among the decisive positions alone.
    """

    set: str
    positions: int
    decisive_positions: int
    error: float
    error_low: float
    error_high: float
    error_decisive: float | None
    error_decisive_low: float | None
    error_decisive_high: float | None


@dataclass(frozen=True)
class ValueScore:
    """How well predicted values agree with the solved results.

    `value_error`: share of positions whose value, read in thirds of [-1, 1] as loss, draw and win, is not
    the solved result. `value_mse`: mean of (value - result) ** 2.
    """

    set: str
    value_error: float
    value_mse: float


# ---- loading ----


def load_pons_positions(positions_per_set: int | None = None) -> list[SolvedPosition]:
    """Return the six Connect Four sets that come with the package; see `data/README.md`."""
    data = resources.files("alphazero.evaluation") / "data" / "connect4_pons_6000.csv"
    text = io.StringIO(data.read_text(encoding="utf-8"))
    return thin_out(read_positions(text, data.name), positions_per_set)


def load_positions_file(path: Path, positions_per_set: int | None = None) -> list[SolvedPosition]:
    """Return the positions of a CSV file with the columns of the Pons data; UserError if it is not one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return thin_out(read_positions(file, str(path)), positions_per_set)
    except OSError as error:
        raise UserError(
            f"cannot read positions from {path}: {error.strerror}; give a CSV file with the columns "
            + ", ".join(COLUMN_NAMES)
        ) from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not text in UTF-8; give a CSV file") from error


def read_positions(file: TextIO, name: str) -> list[SolvedPosition]:
    """Read and check every row; UserError names the file and line of the first that is wrong."""
    reader = csv.DictReader(file)
    header = reader.fieldnames or []
    missing = [column for column in COLUMN_NAMES if column not in header]
    if missing:
        raise UserError(
            f"{name}: the first line has no column {', '.join(missing)}; needed: {','.join(COLUMN_NAMES)}"
        )
    positions = []
    try:
        for row in reader:
            try:
                positions.append(_read_row(row))
            except ValueError as error:
                raise UserError(f"{name}, line {reader.line_num}: {error}") from error
    except csv.Error as error:
        raise UserError(f"{name}, line {reader.line_num}: not CSV: {error}") from error
    if not positions:
        raise UserError(f"{name} has no positions, only a header; add at least one row")
    return positions


def thin_out(positions: Sequence[SolvedPosition], per_set: int | None) -> list[SolvedPosition]:
    """Return at most `per_set` positions of each set, evenly spaced in their order (None: all)."""
    return [positions[place] for place in thinned_places(positions, per_set)]


def thinned_places(positions: Sequence[SolvedPosition], per_set: int | None) -> list[int]:
    """Return the indices of the positions that `thin_out` chooses."""
    if per_set is None:
        return list(range(len(positions)))
    members: dict[str, list[int]] = {}
    for place, position in enumerate(positions):
        members.setdefault(position.set, []).append(place)
    return [
        places[i * len(places) // min(per_set, len(places))]
        for places in members.values()
        for i in range(min(per_set, len(places)))
    ]


def set_names(positions: Sequence[SolvedPosition]) -> list[str]:
    """Return the names of the sets, in order of first appearance."""
    return list(dict.fromkeys(position.set for position in positions))


def _read_row(row: dict[str, str | None]) -> SolvedPosition:
    """Return the position of one row; ValueError says what is wrong with it."""
    cells = {column: (row[column] or "").strip() for column in COLUMN_NAMES}
    name = cells["set"]
    if not name or name == MEAN_OVER_SETS:
        raise ValueError(f"set is {name!r}; give any name but the empty one and {MEAN_OVER_SETS!r}")
    moves, legal = _read_moves(cells["moves"])
    if cells["ply"] != str(len(moves)):
        raise ValueError(f"ply is {cells['ply']!r}, but moves has {len(moves)} moves")
    scores = cells["move_scores"].split()
    if len(scores) != COLUMNS:
        raise ValueError(f"move_scores has {len(scores)} entries; {COLUMNS} are needed, one a column")
    for column, score in enumerate(scores):
        if (score == _FULL_COLUMN) == (column in legal):
            filled = "is not full" if column in legal else "is full"
            raise ValueError(
                f"move_scores has {score!r} for column {column}, which {filled}; "
                f"give a number for a column with room, {_FULL_COLUMN!r} for a full one"
            )
    move_scores = tuple((column, _read_score("move_scores", scores[column])) for column in legal)
    position = SolvedPosition(name, moves, move_scores, COLUMNS)
    if _read_score("score", cells["score"]) != position.score:
        raise ValueError(f"score is {cells['score']}, but the best of move_scores is {position.score}")
    return position


def _read_moves(text: str) -> tuple[tuple[int, ...], list[int]]:
    """Return the moves of a column string and the columns that are then legal."""
    game = ConnectFour()
    state = game.initial_state()
    moves: list[int] = []
    for number, letter in enumerate(text, start=1):
        legal = game.legal_actions(state)
        if not legal:
            raise ValueError(f"moves {text!r} go on after the game was over at move {number - 1}")
        if letter not in map(str, legal):
            raise ValueError(
                f"move {number} of {text!r} is {letter!r}; legal there: {', '.join(map(str, legal))}"
            )
        moves.append(int(letter))
        state = game.step(state, int(letter))
    legal = game.legal_actions(state)
    if not legal:
        raise ValueError(f"the game is over after moves {text!r}; give a position where it goes on")
    return tuple(moves), legal


def _read_score(column: str, text: str) -> int:
    try:
        score = int(text)
    except ValueError:
        raise ValueError(f"{column} has {text!r}, which is not a whole number") from None
    if abs(score) > _LARGEST_SCORE:
        raise ValueError(f"{column} has {score}; scores are between -{_LARGEST_SCORE} and {_LARGEST_SCORE}")
    return score


def _sign(score: int) -> int:
    return (score > 0) - (score < 0)


# ---- scoring ----


def score_moves(positions: Sequence[SolvedPosition], actions: Sequence[int]) -> list[SetScore]:
    """Return the errors of the chosen `actions`, one entry a set and last the mean over the sets."""
    errors = [float(position.is_error(action)) for position, action in zip(positions, actions, strict=True)]
    return _set_scores(positions, errors)


def score_random_moves(positions: Sequence[SolvedPosition]) -> list[SetScore]:
    """Return the expected errors of uniformly random legal moves; exact, so low = high = error."""
    scores = _set_scores(positions, [position.random_error for position in positions])
    return [
        SetScore(
            score.set,
            score.positions,
            score.decisive_positions,
            *(score.error,) * 3,
            *(score.error_decisive,) * 3,
        )
        for score in scores
    ]


def score_values(positions: Sequence[SolvedPosition], values: Sequence[float]) -> list[ValueScore]:
    """Return how `values` (for the player to move) agree with the results; per set, last the mean."""
    results = np.array([position.result for position in positions])
    predicted = np.array(values)
    wrong, squares = value_classes(predicted) != results, (predicted - results) ** 2
    scores = []
    for name in set_names(positions):
        members = np.array([position.set == name for position in positions])
        scores.append(ValueScore(name, float(wrong[members].mean()), float(squares[members].mean())))
    mean_error = float(np.mean([score.value_error for score in scores]))
    mean_mse = float(np.mean([score.value_mse for score in scores]))
    return [*scores, ValueScore(MEAN_OVER_SETS, mean_error, mean_mse)]


def value_classes(values: npt.NDArray[np.floating[Any]]) -> npt.NDArray[np.int64]:
    """Return `values` read in thirds of [-1, 1]: 1 a win, 0 a draw, -1 a loss for the player to move."""
    return np.where(values > _DRAW_VALUE, 1, np.where(values < -_DRAW_VALUE, -1, 0))


def _set_scores(positions: Sequence[SolvedPosition], errors: Sequence[float]) -> list[SetScore]:
    """`errors`: 1 or 0 for each position, or the probability of an error."""
    names = set_names(positions)
    counts: dict[str, list[float]] = {name: [0, 0, 0.0] for name in names}  # positions, decisive, errors
    for position, error in zip(positions, errors, strict=True):
        counts[position.set][0] += 1
        counts[position.set][1] += position.is_decisive
        counts[position.set][2] += error
    scores = [
        SetScore(
            name,
            int(total),
            int(decisive),
            wrong / total,
            *wilson_interval(wrong / total, total),
            *_decisive_share([wrong], [int(decisive)]),
        )
        for name, (total, decisive, wrong) in counts.items()
    ]
    mean = SetScore(
        MEAN_OVER_SETS,
        sum(score.positions for score in scores),
        sum(score.decisive_positions for score in scores),
        *mean_share_interval([score.error for score in scores], [score.positions for score in scores]),
        *_decisive_share(
            [wrong for _, _, wrong in counts.values()], [int(decisive) for _, decisive, _ in counts.values()]
        ),
    )
    return [*scores, mean]


def _decisive_share(
    wrong: Sequence[float], decisive: Sequence[int]
) -> tuple[float, float, float] | tuple[None, None, None]:
    """Return the mean over the sets of errors / decisive positions; sets without such are left out."""
    pairs = [(errors / count, count) for errors, count in zip(wrong, decisive, strict=True) if count]
    if not pairs:
        return None, None, None
    return mean_share_interval([share for share, _ in pairs], [count for _, count in pairs])
