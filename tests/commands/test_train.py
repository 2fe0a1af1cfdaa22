"""`alphazero train`: where results go, what becomes of those that were there, and which options it refuses."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from alphazero.commands import train
from alphazero.config import Config, TrainingConfig
from alphazero.config_loading import save_config
from alphazero.errors import UserError
from alphazero.folders import MODEL_NAME
from alphazero.hardware.probe import probe_hardware
from alphazero.metrics.provenance import source_root
from alphazero.run import health
from alphazero.run.run_files import with_backend
from alphazero.training.checkpoint import WEIGHTS
from alphazero.workflow import checkpoint_key, plan_run


def parsed(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    return parser.parse_args(words)


def results_folder(*words: str) -> Path:
    return folders("--profile", "cpu", *words)[1]


def folders(*words: str, source_hash: str = "0" * 16) -> tuple[Path, Path]:
    arguments = parsed(*words)
    return train._folders(arguments, train._config(arguments), source_hash)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_run_with_options_does_not_take_the_folder_of_the_plain_run(here: Path) -> None:
    plain = results_folder()
    assert plain.parts[-2:] == ("train", "connect_four_seed0")
    assert results_folder("--seed", "3").parts[-2:] == ("train", "connect_four_seed3")
    assert results_folder("--set", "run.seed=3") == results_folder("--seed", "3")
    others = {
        results_folder("--steps", "20"),
        results_folder("--actors", "1"),
        results_folder("--set", "training.max_minutes=1"),
        results_folder("--single-process"),
    }
    assert len(others) == 4 and plain not in others
    (here / "wide.toml").write_text("[network]\nfilters = 48\n", encoding="utf-8")
    experiment, game = results_folder("--experiment", "wide.toml").parts[-2:]
    assert experiment.startswith("wide-") and game == "connect_four_seed0"  # marked by its content


def test_a_file_of_a_few_settings_is_no_whole_configuration(here: Path) -> None:
    (here / "wide.toml").write_text("[network]\nfilters = 48\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"wide\.toml is no resolved configuration \(it lacks \d{3} settings"):
        train._config(parsed("--config", "wide.toml"))


def test_new_settings_or_new_sources_begin_a_new_run_and_other_limits_do_not(here: Path) -> None:
    plain = folders("--profile", "none")[0]
    assert plain.parent == Path("checkpoints/none")
    assert folders("--profile", "none", "--set", "training.final_minutes=1", "--steps", "5")[0] == plain
    assert folders("--profile", "none", "--simulations", "7")[0] != plain
    assert folders("--profile", "none", source_hash="1" * 16)[0] != plain


def test_a_run_without_a_folder_is_named_as_the_workflows_is(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[Path] = []

    def interrupted(config: Config, run_folder: Path, source_hash: str) -> int:
        found.append(run_folder)
        return 130

    monkeypatch.setattr(train, "_train", interrupted)
    assert train.run(parsed("--profile", "cpu")) == 130
    planned = plan_run("machine", probe_hardware(), "cpu", "connect_four", 0)
    key = checkpoint_key(source_root(), planned)
    assert found == [Path("checkpoints", "cpu", f"connect_four_seed0-{key}")]


@pytest.mark.parametrize(
    ("run_folder", "out"), [("a", "a"), ("a", "b/../a"), ("a/run", "a"), ("a", "a/out"), ("link", "a")]
)
def test_run_folder_and_results_that_overlap_are_refused_before_training(
    run_folder: str, out: str, here: Path
) -> None:
    try:
        (here / "link").symlink_to("a")
    except OSError:  # Windows, without the right to
        pytest.skip("no symbolic links here")
    with pytest.raises(UserError, match="must be two folders, neither inside the other"):
        results_folder("--checkpoints", run_folder, "--out", out)
    assert not (here / "a").exists()
    results_folder("--checkpoints", "a/run", "--out", "a/out")  # side by side


def test_results_of_another_run_are_not_replaced(here: Path) -> None:
    kept = here / "out" / "config.toml"
    kept.parent.mkdir()
    plain = ("--profile", "none", "--out", "out", "--checkpoints", "run")
    save_config(with_backend(train._config(parsed(*plain)), "python"), kept)
    # The same run: limits, scoring and backend have no part.
    folders(*plain, "--steps", "5", "--set", "evaluation.match_games=4")
    for words, says in (
        (("--game", "tic_tac_toe"), "out holds the results of a run of connect_four; choose another --out"),
        (("--seed", "1"), "out holds the results of a run with other settings; choose another --out"),
    ):
        with pytest.raises(UserError, match=says):
            folders(*plain, *words)
    kept.write_text("[search]\nno_longer_known = 1\n", encoding="utf-8")
    with pytest.raises(UserError, match=r"results of another run .*no_longer_known"):
        folders(*plain)
    assert [path.name for path in kept.parent.iterdir()] == ["config.toml"]


@pytest.mark.parametrize(
    "words",
    [
        ("--seed", "1"),
        ("--actors", "1"),
        ("--simulations", "10"),
        ("--inference-batch-size", "8"),
        ("--profile", "low"),
        ("--hardware", "hardware.json"),
        ("--game", "chess"),
        ("--experiment", "wide.toml"),
        ("--set", "run.seed=1"),
        ("--steps", "5"),
        ("--single-process",),
    ],
)
def test_a_whole_configuration_takes_no_other_setting(words: tuple[str, ...]) -> None:
    with pytest.raises(UserError, match=f"takes no {words[0]} beside it"):
        train._config(parsed("--config", "settings.toml", *words))


@pytest.fixture
def published(tmp_path: Path) -> tuple[Path, Path]:
    """A finished run's folder, and its results with scores."""
    run, out = tmp_path / "run", tmp_path / "out"
    (run / "step-00000005").mkdir(parents=True)
    (run / "step-00000005" / WEIGHTS).write_bytes(b"agent")
    for name in ("weights", "tensorboard"):
        (run / name).mkdir()
    (run / "training.json").write_text("{}", encoding="utf-8")
    out.mkdir()
    train._publish(run, out)
    for name in train.MADE_OF_RESULTS:
        (out / name).mkdir()
    (out / train.REPORT_NAME).touch()
    return run, out


@pytest.mark.parametrize("model_removed", [False, True])  # True: by Snakemake, before the job that makes it
def test_scores_of_another_agent_do_not_stay_beside_a_new_one(
    published: tuple[Path, Path], model_removed: bool
) -> None:
    run, out = published
    if model_removed:
        (out / MODEL_NAME).unlink()
    train._publish(run, out)  # the same agent again
    assert {*train.MADE_OF_RESULTS, train.REPORT_NAME} <= {path.name for path in out.iterdir()}
    (run / "step-00000005" / WEIGHTS).write_bytes(b"other")
    if model_removed:
        (out / MODEL_NAME).unlink()
    train._publish(run, out)
    assert {path.name for path in out.iterdir()} == {
        "model.safetensors",
        "model.sha256",
        "training.json",
        "weights",
        "tensorboard",
    }
    assert (out / MODEL_NAME).read_bytes() == (run / "step-00000005" / WEIGHTS).read_bytes()


NO_ROOM = OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "error", [NO_ROOM, shutil.Error([("a", "b", str(NO_ROOM)), ("c", "d", str(NO_ROOM))])]
)
def test_the_agent_is_handed_over_last(
    error: OSError, published: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    run, out = published
    (run / "step-00000005" / WEIGHTS).write_bytes(b"other")

    def full(*arguments: object, **options: object) -> None:
        raise error

    monkeypatch.setattr("shutil.copytree", full)
    with pytest.raises(
        UserError, match=r"\(\[Errno 28\] No space left on device\); make room there and run the same"
    ):
        train._publish(run, out)
    assert (out / MODEL_NAME).read_bytes() == b"agent"


@pytest.mark.parametrize(
    ("words", "max_steps", "steps", "final_steps", "scored"),
    [
        ((), 0, 100, 0, True),
        (("--steps", "0"), 0, 100, 0, True),  # no such limit
        (("--steps", "500"), 500, 100, 0, True),  # positions or minutes came first
        (("--steps", "500"), 500, 600, 200, True),  # the final network's steps are not limited
        (("--steps", "100"), 100, 100, 0, False),
        ((), 100, 100, 0, False),  # an experiment's
        (("--evaluate", "no"), 0, 100, 0, False),
        (("--steps", "100", "--evaluate", "yes"), 100, 100, 0, True),
    ],
)
def test_a_run_is_scored_unless_its_step_limit_ended_it(
    words: tuple[str, ...],
    max_steps: int,
    steps: int,
    final_steps: int,
    scored: bool,
    here: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def finished(config: Config, run_folder: Path, *others: object) -> int:
        (run_folder / "step-00000100").mkdir(parents=True)
        (run_folder / "step-00000100" / WEIGHTS).write_bytes(b"agent")
        for name in train.RESULT_FOLDERS:
            (run_folder / name).mkdir()
        save_config(Config(training=TrainingConfig(max_steps=max_steps)), run_folder / "config.toml")
        summary = {"steps": steps, "final_steps": final_steps}
        (run_folder / "training.json").write_text(json.dumps(summary), encoding="utf-8")
        return 0

    evaluated: list[Path] = []
    monkeypatch.setattr(train, "_train", finished)
    monkeypatch.setattr(train, "_check_health", lambda run_folder: None)
    monkeypatch.setattr(train, "_evaluate", lambda out: evaluated.append(out) or 0)
    assert train.run(parsed("--profile", "none", *words)) == 0
    assert bool(evaluated) == scored


def test_the_health_of_a_run_is_that_under_its_own_limits(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of today's command may be others: a run that had reached its end is handed out as it is."""
    of_the_run = Config(training=TrainingConfig(max_steps=7))
    save_config(of_the_run, tmp_path / "config.toml")
    asked: list[Config] = []
    monkeypatch.setattr(health, "measure_health", lambda config, run_folder: asked.append(config) or {})
    train._check_health(tmp_path)
    assert asked == [of_the_run]
    assert json.loads((tmp_path / "health.json").read_text(encoding="utf-8")) == {}


SCRIPT = source_root() / "scripts/train.py"


def run_script(script: Path, folder: Path, *words: str) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(
        [sys.executable, str(script), *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_script_of_a_clone_runs_from_any_folder(tmp_path: Path) -> None:
    assert "--checkpoints" in run_script(SCRIPT, tmp_path, "--help")


@pytest.mark.parametrize(
    ("words", "command"),
    [(["--steps", "5"], ["train"]), (["--benchmark", "--steps", "5"], ["benchmark", "compare"])],
)
def test_the_script_takes_its_own_clone_whatever_is_installed(
    tmp_path: Path, words: list[str], command: list[str]
) -> None:
    clone = tmp_path / "clone"
    (clone / "alphazero").mkdir(parents=True)
    (clone / "alphazero/__init__.py").touch()
    cli = "def main(words):\n    print(*words)\n    return 0\n"
    (clone / "alphazero/cli.py").write_text(cli, encoding="utf-8")
    (clone / "scripts").mkdir()
    script = Path(shutil.copy(SCRIPT, clone / "scripts"))
    assert run_script(script, tmp_path, *words).split() == [*command, "--steps", "5"]
