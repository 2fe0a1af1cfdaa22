"""What an evaluation leaves behind: evaluation.json, CSV tables, and a few lines for the terminal."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alphazero.evaluation.elo import Rating
from alphazero.evaluation.match import MatchResult
from alphazero.evaluation.run import AgentScore, Evaluation
from alphazero.evaluation.solved_positions import MEAN_OVER_SETS, SetScore

JSON_NAME = "evaluation.json"
SUMMARY_NAME = "summary.txt"
Row = dict[str, Any]

_SOLVED_COLUMNS = (
    "agent", "step", "mode", "simulations", "set", "positions", "decisive_positions",
    "error", "error_low", "error_high", "error_decisive", "error_decisive_low", "error_decisive_high",
    "value_error", "value_mse",
)  # fmt: skip
_CURVE_COLUMNS = (
    "step", "agent", "positions",
    "policy_error", "policy_error_low", "policy_error_high", "policy_error_decisive",
    "search_error", "search_error_low", "search_error_high", "search_error_decisive",
    "value_error", "value_mse", "simulations_per_second",
)  # fmt: skip
_SET_CURVE_COLUMNS = ("agent", "step", "mode", "set", "positions", "error", "error_low", "error_high")
_MATCH_COLUMNS = (
    "agent", "opponent", "games_played", "games", "wins", "draws", "losses", "win_rate", "score",
    "elo_difference", "elo_low", "elo_high", "game_length",
    "first_wins", "first_draws", "first_losses", "second_wins", "second_draws", "second_losses",
)  # fmt: skip
_RATING_COLUMNS = ("agent", "elo", "elo_low", "elo_high", "games")


def write_evaluation(folder: Path, evaluation: Evaluation, extra: Mapping[str, Any] | None = None) -> None:
    """Write all tables and their summary into `folder`, made if it is not there; evaluation.json last.

    `extra` is added to evaluation.json. An empty cell was not measured.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_csv(folder / "solved_positions.csv", _SOLVED_COLUMNS, solved_rows(evaluation))
    _write_csv(folder / "learning_curve.csv", _CURVE_COLUMNS, [mean_row(score) for score in evaluation.curve])
    _write_csv(folder / "learning_curve_sets.csv", _SET_CURVE_COLUMNS, set_curve_rows(evaluation))
    _write_csv(folder / "matches.csv", _MATCH_COLUMNS, [match_row(match) for match in evaluation.matches])
    _write_csv(folder / "ratings.csv", _RATING_COLUMNS, rating_rows(evaluation.ratings))
    (folder / SUMMARY_NAME).write_text(format_evaluation(evaluation) + "\n", encoding="utf-8")
    text = json.dumps({**evaluation_record(evaluation), **(extra or {})}, indent=2)
    (folder / JSON_NAME).write_text(text + "\n", encoding="utf-8")


def evaluation_record(evaluation: Evaluation) -> Row:
    """Return everything measured as JSON: the last agent's numbers at the top, then all the tables."""
    record: Row = {
        "game": evaluation.game,
        "simulations": evaluation.simulations,
        "solved_positions_note": evaluation.solved_note,
    }
    if evaluation.random:
        record["random_move_error"] = evaluation.random[-1].error
        record["random_move_error_decisive"] = evaluation.random[-1].error_decisive
    if evaluation.scores:
        record.update(mean_row(evaluation.scores[-1]))
    record["solved_positions"] = solved_rows(evaluation)
    record["learning_curve"] = [mean_row(score) for score in evaluation.curve]
    record["matches"] = [match_row(match) for match in evaluation.matches]
    record["ratings"] = rating_rows(evaluation.ratings)
    return record


def solved_rows(evaluation: Evaluation) -> list[Row]:
    """Return a row for each agent, mode ("random", "policy", "search") and set; shares are in [0, 1]."""
    rows = [_set_row("random", None, "random", None, score) for score in evaluation.random]
    for agent in evaluation.scores:
        for score, value in zip(agent.policy, agent.values, strict=True):
            row = _set_row(agent.agent, agent.step, "policy", None, score)
            rows.append({**row, "value_error": value.value_error, "value_mse": value.value_mse})
        rows.extend(
            _set_row(agent.agent, agent.step, "search", evaluation.simulations, score)
            for score in agent.search
        )
    return rows


def mean_row(score: AgentScore) -> Row:
    """Return an agent's means over the sets under the catalog's names."""
    policy, search, value = score.policy[-1], score.search[-1], score.values[-1]
    row: Row = {"step": score.step, "agent": score.agent, "positions": policy.positions}
    for name, mean in (("policy_error", policy), ("search_error", search)):
        row[name] = mean.error
        row[f"{name}_low"] = mean.error_low
        row[f"{name}_high"] = mean.error_high
        row[f"{name}_decisive"] = mean.error_decisive
    row["value_error"] = value.value_error
    row["value_mse"] = value.value_mse
    row["simulations_per_second"] = score.simulations_per_second
    return row


def set_curve_rows(evaluation: Evaluation) -> list[Row]:
    """Return a row for each point of the learning curve, mode ("policy", "search") and set."""
    return [
        {
            "agent": agent.agent,
            "step": agent.step,
            "mode": mode,
            "set": score.set,
            "positions": score.positions,
            "error": score.error,
            "error_low": score.error_low,
            "error_high": score.error_high,
        }
        for agent in evaluation.curve
        for mode, scores in (("policy", agent.policy), ("search", agent.search))
        for score in scores
        if score.set != MEAN_OVER_SETS
    ]


def match_row(match: MatchResult) -> Row:
    """Return a match from the agent's point of view; `games` are the different ones, which count."""
    row: Row = {
        "agent": match.player_a,
        "opponent": match.player_b,
        "games_played": match.played,
        "games": match.total.games,
        "wins": match.total.wins,
        "draws": match.total.draws,
        "losses": match.total.losses,
        "win_rate": match.total.wins / match.total.games,
        "score": match.total.points,
        "elo_difference": match.elo.difference,
        "elo_low": match.elo.low,
        "elo_high": match.elo.high,
        "game_length": match.mean_length,
    }
    for side, score in (("first", match.as_first), ("second", match.as_second)):
        row.update({f"{side}_wins": score.wins, f"{side}_draws": score.draws, f"{side}_losses": score.losses})
    return row


def rating_rows(ratings: Sequence[Rating]) -> list[Row]:
    """Return a row for each rating, in their order."""
    return [
        {
            "agent": rating.player,
            "elo": rating.rating,
            "elo_low": rating.low,
            "elo_high": rating.high,
            "games": rating.games,
        }
        for rating in ratings
    ]


def format_evaluation(evaluation: Evaluation) -> str:
    """Return the tables as plain text for a terminal: errors in percent, one column an agent and mode."""
    lines = [f"Solved positions: {evaluation.solved_note}."]
    if evaluation.random:
        columns = [("random move", evaluation.random)]
        for score in evaluation.scores:
            columns.append((f"{score.agent}: policy", score.policy))
            columns.append((f"{score.agent}: {evaluation.simulations} simulations", score.search))
        lines += ["Errors in percent (moves that throw the result away):", "", *_error_table(columns)]
    if evaluation.matches:
        lines += ["", "Matches (every game counted once):"]
        lines += [f"  {_match_sentence(match)}" for match in evaluation.matches]
    return "\n".join(lines)


def _error_table(columns: Sequence[tuple[str, Sequence[SetScore]]]) -> list[str]:
    table = [["", *(heading for heading, _ in columns)]]
    scores = [column for _, column in columns]
    for row in zip(*scores, strict=True):
        label = "mean over the sets" if row[0].set == MEAN_OVER_SETS else row[0].set
        table.append([label, *(f"{100 * score.error:.1f}" for score in row)])
    decisive = [column[-1].error_decisive for column in scores]
    table.append(["mean, decisive only", *("-" if x is None else f"{100 * x:.1f}" for x in decisive)])
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]


def _match_sentence(match: MatchResult) -> str:
    total = match.total
    return (
        f"{match.player_a} - {match.player_b}: {total.wins} won, {total.draws} drawn, {total.losses} lost "
        f"of {total.games} different games ({100 * total.points:.1f} %), Elo difference {match.elo}"
    )


def _set_row(agent: str, step: int | None, mode: str, simulations: int | None, score: SetScore) -> Row:
    return {
        "agent": agent,
        "step": step,
        "mode": mode,
        "simulations": simulations,
        "set": score.set,
        "positions": score.positions,
        "decisive_positions": score.decisive_positions,
        "error": score.error,
        "error_low": score.error_low,
        "error_high": score.error_high,
        "error_decisive": score.error_decisive,
        "error_decisive_low": score.error_decisive_low,
        "error_decisive_high": score.error_decisive_high,
    }


def _write_csv(path: Path, columns: Sequence[str], rows: Sequence[Row]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
