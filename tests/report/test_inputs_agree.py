"""What the evaluation writes is what the report reads."""

from pathlib import Path

from alphazero.evaluation.files import write_evaluation
from alphazero.evaluation.run import AgentScore, Evaluation
from alphazero.evaluation.solved_positions import SetScore, ValueScore
from alphazero.report.run_folder import read_run_folder
from alphazero.report.tables import solved_errors
from alphazero.report.verdict import mean_errors


def scores(error: float) -> list[SetScore]:
    return [SetScore(name, 10, 5, error, error, error, 2 * error, None, None) for name in ("easy", "mean")]


def agent(name: str, step: int, policy: float, search: float) -> AgentScore:
    values = [ValueScore(name, 0.5, 1.0) for name in ("easy", "mean")]
    return AgentScore(name, step, scores(policy), scores(search), values, None)


def test_errors_written_by_the_evaluation_reach_the_report(tmp_path: Path) -> None:
    untrained, final = agent("untrained", 0, 0.5, 0.25), agent("final (step 1,200)", 1200, 0.125, 0.0625)
    evaluation = Evaluation(
        game="connect_four",
        simulations=800,
        solved_note="10 made-up positions",
        random=scores(0.75),
        scores=[untrained, final],
        curve=[untrained, final],
    )
    write_evaluation(tmp_path / "evaluation", evaluation)
    run = read_run_folder(tmp_path)
    assert run.problems == ()
    assert run.solved is not None and run.curve is not None and run.set_curves is not None
    assert solved_errors(run.solved).loc["final (step 1,200), 800 simulations", "easy"] == 0.0625
    errors = mean_errors(run.solved)
    assert (errors.random_move, errors.untrained_search, errors.trained_policy) == (0.75, 0.25, 0.125)
    assert run.curve["policy_error"].tolist() == [0.5, 0.125]
    assert run.set_curves.query("set == 'easy'")["error"].tolist()[:2] == [0.5, 0.25]
    assert run.solved_note == "10 made-up positions"
