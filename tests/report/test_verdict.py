"""Sentences say what was measured, and claims are judged by the numbers alone."""

from dataclasses import replace

import pytest

from alphazero.report.run_folder import RunData, read_run_folder
from alphazero.report.verdict import claims, mean_errors, verdict, win_rate_against_random

from .made_up_run import write_made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return read_run_folder(write_made_up_run(tmp_path_factory.mktemp("runs") / "run"))


def nothing_measured(run: RunData) -> RunData:
    return replace(run, metrics=None, solved=None, matches=None, curve=None, set_curves=None, ratings=None)


def test_the_verdict_names_strength_comparison_and_effort(run: RunData) -> None:
    text = verdict(run)
    assert text.startswith("After 204,000 self-play positions in 10 min 00 s, the agent with 800 simulations")
    # Made-up means: trained (1 + 5 + 12 + 2 + 6 + 0) / 6 = 4.3, untrained 27.0, random 45.8 percent.
    for number in ("4.3 %", "27.0 %", "13.0 %", "45.8 %", "99.5 % of 200 games"):
        assert number in text


def test_all_claims_of_the_made_up_run_hold(run: RunData) -> None:
    assert [claim.holds for claim in claims(run)] == [True, True, True]


def test_a_claim_that_fails_is_not_hidden(run: RunData) -> None:
    assert run.solved is not None and run.matches is not None
    worse = run.solved.assign(error=run.solved["error"].where(run.solved["agent"] != "untrained", 0.05))
    losing = run.matches.assign(wins=150.0)
    judged = claims(replace(run, solved=worse, matches=losing))
    assert [claim.holds for claim in judged] == [False, False, True]
    assert "4.3 % against 5.0 %" in judged[1].evidence


def test_what_was_not_measured_is_neither_true_nor_false(run: RunData) -> None:
    empty = nothing_measured(run)
    assert [(claim.holds, claim.evidence) for claim in claims(empty)] == [(None, "not measured")] * 3
    assert verdict(empty) == "Neither training nor a trained agent was measured."


def test_a_run_that_was_not_scored_says_so(run: RunData) -> None:
    text = verdict(replace(nothing_measured(run), metrics=run.metrics))
    assert text.endswith("the run ended; its agent was not scored on solved positions.")


def test_agents_are_told_apart_by_name_and_mode(run: RunData) -> None:
    errors = mean_errors(run.solved)
    assert errors.simulations == 800
    assert errors.trained_policy == pytest.approx(0.13)
    assert errors.untrained_policy == pytest.approx(0.4617, abs=1e-4)


def test_the_win_rate_counts_wins_not_score(run: RunData) -> None:
    assert win_rate_against_random(run.matches) == (0.995, 200)
    assert win_rate_against_random(None) == (None, 0)


def test_an_untrained_agent_says_nothing_about_training(run: RunData) -> None:
    assert run.matches is not None and run.solved is not None
    untrained = replace(
        nothing_measured(run),
        matches=run.matches.assign(agent="untrained"),
        solved=run.solved[run.solved["agent"].isin(("random", "untrained"))],
    )
    assert verdict(untrained) == "Neither training nor a trained agent was measured."
    assert [claim.holds for claim in claims(untrained)] == [None, None, None]
