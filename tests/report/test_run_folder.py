"""Inputs that are missing are None, inputs that are damaged are noted, and neither ends the report."""

from pathlib import Path

import pandas as pd
import pytest

from alphazero.errors import UserError
from alphazero.report.run_folder import read_run_folder

from .made_up_run import write_made_up_run


def test_a_complete_folder_has_no_problems(tmp_path: Path) -> None:
    folder = write_made_up_run(tmp_path / "run")
    run = read_run_folder(folder, folder / "train.log")
    assert run.problems == ()
    assert run.config is not None and run.config["run"]["game"] == "connect_four"
    assert run.metrics is not None and len(run.metrics) == 60
    assert run.metrics["gpu_utilization"].isna().all()
    assert run.log_tail[-1] == "warning: <b>made up</b>"
    assert run.solved_note == "6,000 made-up positions"


def test_positions_along_the_run_are_read_off_the_metrics(tmp_path: Path) -> None:
    run = read_run_folder(write_made_up_run(tmp_path / "run"))
    assert run.curve is not None
    # Rows are at 13 steps and 3,400 positions each: step 130 is the tenth row.
    assert run.curve["training_positions"].tolist()[:2] == [0.0, 34_000.0]


def test_positions_of_play_without_a_network_are_there_at_the_first_step(tmp_path: Path) -> None:
    folder = write_made_up_run(tmp_path / "run")
    metrics = pd.read_csv(folder / "metrics.csv")
    metrics.loc[:8, ["training_steps", "positions"]] = [0, 100_000]
    metrics.loc[9:, "positions"] += 100_000
    metrics.to_csv(folder / "metrics.csv", index=False)
    curve = read_run_folder(folder).curve
    assert curve is not None and curve["training_positions"].iloc[0] == 0.0
    assert (curve["training_positions"].iloc[1:] >= 100_000).all()


def test_without_metrics_positions_along_the_run_are_not_known(tmp_path: Path) -> None:
    folder = write_made_up_run(tmp_path / "run")
    (folder / "metrics.csv").unlink()
    run = read_run_folder(folder)
    assert run.curve is not None
    assert run.curve["training_positions"].isna().all()


def test_one_file_is_enough(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("hardware_profile = 'cpu'\n", encoding="utf-8")
    run = read_run_folder(tmp_path)
    assert run.config == {"hardware_profile": "cpu"}
    assert run.metrics is None and run.solved is None and run.log_tail == () and run.problems == ()


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("metrics.csv", "games,positions\n1,2\n", "no column run_time_s"),
        ("metrics.csv", "", "metrics.csv could not be read"),
        ("hardware.json", "[1, 2]", "not a JSON object"),
        ("hardware.json", '{"gpus": 5}', "gpus is 5, not a list"),
        ("health.json", '{"policy_entropy": "low"}', "policy_entropy is 'low', not a number"),
        ("provenance.json", '{"commit": ', "provenance.json could not be read"),
        ("config.toml", "= nonsense", "config.toml could not be read"),
        ("evaluation/matches.csv", "who,whom\na,b\n", "no column agent, opponent, games, score"),
    ],
)
def test_a_damaged_file_is_one_sentence(tmp_path: Path, name: str, content: str, complaint: str) -> None:
    folder = write_made_up_run(tmp_path / "run", rows=2)
    (folder / name).write_text(content, encoding="utf-8")
    (problem,) = [each for each in read_run_folder(folder).problems if name in each]
    assert complaint in problem


def test_a_table_without_rows_counts_as_not_measured(tmp_path: Path) -> None:
    folder = write_made_up_run(tmp_path / "run", rows=2)
    (folder / "evaluation" / "matches.csv").write_text("agent,opponent,games,score\n", encoding="utf-8")
    run = read_run_folder(folder)
    assert run.matches is None and run.problems == ()


def test_a_row_torn_by_a_kill_is_skipped(tmp_path: Path) -> None:
    folder = write_made_up_run(tmp_path / "run", rows=3)
    with (folder / "metrics.csv").open("a", encoding="utf-8") as file:
        file.write("40.0,6")
    run = read_run_folder(folder)
    assert run.metrics is not None and run.metrics["games_per_hour"].notna().sum() == 3


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_without_a_run_is_refused(tmp_path: Path, folder: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="give the folder of a training run"):
        read_run_folder(tmp_path / folder)
