"""What a run showed, in plain words: sentences and claims from the tables, nothing that was not measured."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from alphazero.metrics.catalog import aggregate, format_duration, format_share
from alphazero.report.run_folder import RunData
from alphazero.report.tables import MEAN, POLICY, RANDOM, SEARCH, UNTRAINED, solved_errors, trained_agent

WIN_RATE_AGAINST_RANDOM = 0.98
SHARE_OF_ERROR_LEFT = 0.5  # the trained agent's error at most, as a share of what it is compared to


@dataclass(frozen=True)
class Claim:
    """A statement that a run should bear out; `holds` is None where it was not measured."""

    text: str
    evidence: str
    holds: bool | None


@dataclass(frozen=True)
class MeanErrors:
    """Errors on the solved positions, mean over the sets, as shares; None where not measured."""

    random_move: float | None
    untrained_policy: float | None
    untrained_search: float | None
    trained_policy: float | None
    trained_search: float | None
    simulations: int | None


def verdict(run: RunData) -> str:
    """Return one paragraph: how strong the agent is, compared to what, and what it took."""
    errors = mean_errors(run.solved)
    sentences = []
    took = _effort(run.metrics)
    simulations = _simulations(errors)
    if errors.trained_search is not None:
        sentence = f"{took or 'After training'}, the agent with {simulations} "
        sentence += f"errs on {format_share(errors.trained_search)} of the solved positions"
        if errors.untrained_search is not None:
            sentence += (
                f"; the untrained network, with as many, erred on {format_share(errors.untrained_search)}"
            )
        sentences.append(sentence + ".")
    elif took:
        sentences.append(f"{took}, the run ended; its agent was not scored on solved positions.")
    else:
        sentences.append("Neither training nor a trained agent was measured.")
    if errors.trained_policy is not None:
        sentence = f"Without any search its policy head errs on {format_share(errors.trained_policy)}"
        if errors.random_move is not None:
            sentence += f", a random move on {format_share(errors.random_move)}"
        sentences.append(sentence + ".")
    win_rate, games = win_rate_against_random(run.matches)
    if win_rate is not None:
        sentences.append(f"Against a random player it won {format_share(win_rate)} of {games:,} games.")
    return " ".join(sentences)


def claims(run: RunData) -> list[Claim]:
    """Return what a training run is meant to show, each with its evidence."""
    errors = mean_errors(run.solved)
    win_rate, games = win_rate_against_random(run.matches)
    return [
        Claim(
            f"With {_simulations(errors)}, the agent wins at least "
            f"{100 * WIN_RATE_AGAINST_RANDOM:.0f} % of its games against a random player.",
            "not measured" if win_rate is None else f"{format_share(win_rate)} of {games:,} games",
            None if win_rate is None else win_rate >= WIN_RATE_AGAINST_RANDOM,
        ),
        _halved(
            f"With {_simulations(errors)}, it errs less than half as often as the untrained network.",
            errors.trained_search,
            errors.untrained_search,
        ),
        _halved(
            "Its policy head alone errs less than half as often as a random move.",
            errors.trained_policy,
            errors.random_move,
        ),
    ]


def mean_errors(solved: pd.DataFrame | None) -> MeanErrors:
    """Return the mean errors of a random move, the untrained network and the trained agent."""
    trained = None if solved is None else trained_agent(solved)

    def error(agent: str | None, mode: str | None) -> float | None:
        if solved is None:
            return None
        rows = solved[(solved["agent"] == agent) & ((solved["mode"] == mode) | (mode is None))]
        if rows.empty:
            return None
        value = float(solved_errors(rows)[MEAN].iloc[0])
        return None if pd.isna(value) else value

    simulations = None
    if solved is not None and "simulations" in solved:
        counts = solved[(solved["agent"] == trained) & (solved["mode"] == SEARCH)]["simulations"].dropna()
        simulations = int(counts.iloc[0]) if len(counts) else None
    return MeanErrors(
        random_move=error(RANDOM, None),
        untrained_policy=error(UNTRAINED, POLICY),
        untrained_search=error(UNTRAINED, SEARCH),
        trained_policy=error(trained, POLICY),
        trained_search=error(trained, SEARCH),
        simulations=simulations,
    )


def win_rate_against_random(matches: pd.DataFrame | None) -> tuple[float | None, int]:
    """Return (games won / games, games) of the first match of a trained agent against the random player."""
    if matches is None or "wins" not in matches:
        return None, 0
    met = matches[(matches["opponent"] == RANDOM) & ~matches["agent"].isin((RANDOM, UNTRAINED))]
    met = met[met["games"] > 0].dropna(subset=["wins"])
    if met.empty:
        return None, 0
    games = int(met["games"].iloc[0])
    return float(met["wins"].iloc[0]) / games, games


def _halved(text: str, error: float | None, reference: float | None) -> Claim:
    if error is None or reference is None:
        return Claim(text, "not measured", None)
    evidence = f"{format_share(error)} against {format_share(reference)}"
    if reference > 0:
        evidence += f", {error / reference:.2f} times as often"
    return Claim(text, evidence, error < SHARE_OF_ERROR_LEFT * reference)


def _effort(metrics: pd.DataFrame | None) -> str:
    """Return 'After 12,000 self-play positions in 5 min 03 s', as far as it was measured."""
    if metrics is None:
        return ""
    positions = aggregate("positions", metrics["positions"].tolist()) if "positions" in metrics else None
    seconds = aggregate("run_time_s", metrics["run_time_s"].tolist())
    if positions is None and seconds is None:
        return ""
    what = "" if positions is None else f" {positions:,.0f} self-play positions"
    took = (
        ""
        if seconds is None
        else f" in {format_duration(seconds)}"
        if what
        else f" {format_duration(seconds)}"
    )
    return f"After{what}{took}"


def _simulations(errors: MeanErrors) -> str:
    return "search" if errors.simulations is None else f"{errors.simulations:,} simulations a move"
