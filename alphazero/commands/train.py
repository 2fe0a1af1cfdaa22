"""`alphazero train`: a whole training run on this machine."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
from pathlib import Path

from alphazero.config import Config
from alphazero.config_arguments import (
    add_config_arguments,
    config_from_arguments,
    config_options_given,
    overrides_from_arguments,
)
from alphazero.config_loading import config_hash, load_config, load_resolved_config
from alphazero.errors import UserError
from alphazero.folders import MODEL_NAME, replace_when_free, require_writable
from alphazero.metrics.provenance import source_root
from alphazero.run.run_files import CONFIG_NAME, SUMMARY_NAME, with_backend, write_json
from alphazero.workflow import experiment_name, results_folder, run_key, training_source_hash

# What of the run folder goes to the results.
RESULT_FILES = (
    "metrics.csv",
    "config.toml",
    "hardware.json",
    "provenance.json",
    "training.json",
    "health.json",
)
RESULT_FOLDERS = ("weights", "tensorboard")
# What `evaluate`, `report`, `rate` and `strength` make of them.
TABLES_NAME = "tables"
DIGEST_NAME = "model.sha256"  # of the agent that what was made of results is of; for `sha256sum --check`
MADE_OF_RESULTS = ("evaluation", TABLES_NAME, "ratings", "strength")
REPORT_NAME = "report.html"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to `parser`."""
    add_config_arguments(parser)
    parser.add_argument(
        "--config",
        type=Path,
        metavar="FILE",
        help="a resolved configuration (from `alphazero config --out`), instead of the options above",
    )
    parser.add_argument(
        "--steps", metavar="N", help="end after N training steps; 0: no such limit (training.max_steps)"
    )
    parser.add_argument(
        "--single-process",
        action="store_true",
        help="self-play and learning in turns in one process, without a limit of time: slower, and the same "
        "bit for bit with the same seed on a CPU (run.single_process=true "
        "training.max_minutes=0 training.final_minutes=0)",
    )
    parser.add_argument(
        "--checkpoints",
        type=Path,
        metavar="FOLDER",
        help="the run folder, with checkpoints and live metrics; the same folder goes on where it stopped "
        "(default: checkpoints/PROFILE/GAME_seedN-SETTINGS-SOURCES, hashes of what a run begins with)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where the results go at the end, no folder with results of other settings (default: "
        "results/MACHINE/PROFILE/EXPERIMENT/GAME_seedN, where EXPERIMENT is train, or the name of --experiment or "
        "--config, with a mark of other options)",
    )
    parser.add_argument(
        "--evaluate",
        choices=("auto", "yes", "no"),
        default="auto",
        help="score the agent and write the report at the end; auto: unless training.max_steps (--steps) ended the run",
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, put the results in place, score the agent; return 0, 1 (failed) or 130 (interrupted)."""
    config = _config(arguments)
    if config.inference.simulated:
        raise UserError(
            f"inference.engine {config.inference.engine!r} answers nothing that could be learned from; it is "
            "for `alphazero measure` alone, choose auto to train"
        )
    source_hash = training_source_hash(source_root(), config.run.game)
    run_folder, out = _folders(arguments, config, source_hash)
    status = _train(config, run_folder, source_hash)
    if status != 0:
        return status
    _check_health(run_folder)
    _publish(run_folder, out)
    print(f"results: {out}", flush=True)
    if arguments.evaluate == "auto" and _ended_by_steps(run_folder):
        print(
            "not scored: training.max_steps ended the run (--evaluate yes scores it all the same)", flush=True
        )
        return 0
    return 0 if arguments.evaluate == "no" else _evaluate(out)


def _config(arguments: argparse.Namespace) -> Config:
    if arguments.config is not None:
        others = config_options_given(arguments)
        others += ["--steps"] if arguments.steps is not None else []
        others += ["--single-process"] if arguments.single_process else []
        if others:
            raise UserError(
                f"--config is a whole configuration and takes no {' or '.join(others)} beside it; give settings "
                "to `alphazero config --out` instead"
            )
        return load_resolved_config(arguments.config)
    if arguments.steps is not None:
        arguments.overrides.append(f"training.max_steps={arguments.steps}")
    if arguments.single_process:
        arguments.overrides += [
            "run.single_process=true",
            "training.max_minutes=0",
            "training.final_minutes=0",
        ]
    resolved = config_from_arguments(arguments)
    print("\n".join(resolved.summary_lines()), flush=True)
    return resolved.config


def _folders(arguments: argparse.Namespace, config: Config, source_hash: str) -> tuple[Path, Path]:
    """Return the run folder and the results folder, both there and writable."""
    name = f"{config.run.game.replace(':', '.')}_seed{config.run.seed}"
    profile = config.hardware_profile
    run_folder = arguments.checkpoints or Path(
        "checkpoints", profile, f"{name}-{run_key(config, source_hash)}"
    )
    out = arguments.out
    if out is None:
        from alphazero.hardware.probe import probe_hardware

        machine = probe_hardware().machine_slug()
        out = Path("results", results_folder(machine, config, _experiment(arguments)))
    _require_apart(run_folder, out)
    _require_no_other_results(out, config)
    for folder in (run_folder, out):
        require_writable(folder, "make it writable, or choose other folders with --out and --checkpoints")
    return run_folder, out


def _require_apart(run_folder: Path, out: Path) -> None:
    run, results = run_folder.resolve(), out.resolve()
    if run.is_relative_to(results) or results.is_relative_to(run):
        raise UserError(
            f"the run folder {run_folder} (--checkpoints) and the results folder {out} (--out) must be two folders, "
            "neither inside the other; choose another --checkpoints or --out"
        )


def _require_no_other_results(out: Path, config: Config) -> None:
    """Raise UserError if `out` holds what another game or other settings gave; limits and scoring may differ.

    The workflow trains into the same folder when settings have changed: Snakemake removes its outputs, the
    configuration among them, before a job begins.
    """
    kept_file = out / CONFIG_NAME
    if not kept_file.exists():
        return
    try:
        kept = load_config(kept_file)
        other_game = kept.run.game != config.run.game
        whose = f"a run of {kept.run.game}" if other_game else "a run with other settings"
        same = config_hash(with_backend(kept, "auto")) == config_hash(with_backend(config, "auto"))
    except UserError as error:  # damaged, or of a version with other settings
        whose, same = f"another run ({error})", False
    if not same:
        raise UserError(
            f"{out} holds the results of {whose}; choose another --out, or remove that folder if nobody needs it"
        )


def _experiment(arguments: argparse.Namespace) -> str:
    """Return what sets the results of these options apart, as the workflow does it: other settings, other folder."""
    if arguments.config is not None:
        return experiment_name(arguments.config, ())
    overrides = [
        override for override in overrides_from_arguments(arguments) if not override.startswith("run.seed=")
    ]
    return experiment_name(arguments.experiment, overrides)


def _train(config: Config, run_folder: Path, source_hash: str) -> int:
    from alphazero.metrics.progress import Progress
    from alphazero.run.single_process import SingleProcessRun
    from alphazero.run.training_run import TrainingRun

    kind = SingleProcessRun if config.run.single_process else TrainingRun
    with Progress(f"training {config.run.game}, profile {config.hardware_profile}, {run_folder}") as progress:
        return kind(config, run_folder, progress, source_hash).run()


def _check_health(run_folder: Path) -> None:
    """Say in words what of a finished run is not as it should be; the report shows it, too.

    By the run's own settings: another run's limits may be asked for, and this one found to have reached its end.
    """
    from alphazero.metrics.health import read_health
    from alphazero.run.health import HEALTH_NAME, health_lines, measure_health

    measured = measure_health(load_config(run_folder / CONFIG_NAME), run_folder)
    write_json(run_folder, HEALTH_NAME, measured)
    print("\n".join(health_lines([reading.warning for reading in read_health(measured) if reading.warning])))


def _ended_by_steps(run_folder: Path) -> bool:
    """Return whether the limit that ended a finished run's self-play was its number of training steps."""
    done = json.loads((run_folder / SUMMARY_NAME).read_text(encoding="utf-8"))
    max_steps = load_config(run_folder / CONFIG_NAME).training.max_steps
    return 0 < max_steps <= int(done["steps"]) - int(done.get("final_steps", 0))


def _publish(run_folder: Path, out: Path) -> None:
    """Copy what a finished run leaves from the run folder to the results; the agent last.

    What was made of another agent's results there (scores, tables, report) goes.
    """
    from alphazero.training.checkpoint import WEIGHTS, CheckpointStore, sha256_of

    latest = CheckpointStore(run_folder).latest()
    assert latest is not None
    agent, model, unfinished = latest / WEIGHTS, out / MODEL_NAME, out / f"{MODEL_NAME}.new"
    digest, digest_file = f"{sha256_of(agent)}  {MODEL_NAME}\n", out / DIGEST_NAME
    try:
        # Not by the model itself: Snakemake removes that before a job makes it, also if it is to be the same again.
        if not digest_file.exists() or digest_file.read_text(encoding="utf-8") != digest:
            for name in MADE_OF_RESULTS:
                shutil.rmtree(out / name, ignore_errors=True)
            (out / REPORT_NAME).unlink(missing_ok=True)
        for name in RESULT_FILES:
            if (run_folder / name).exists():
                shutil.copyfile(run_folder / name, out / name)
        for name in RESULT_FOLDERS:
            shutil.rmtree(out / name, ignore_errors=True)
            # A file in use is left where it is (Windows).
            shutil.copytree(run_folder / name, out / name, dirs_exist_ok=True)
        digest_file.write_text(digest, encoding="utf-8", newline="\n")
        shutil.copyfile(agent, unfinished)
        replace_when_free(unfinished, model)
    except OSError as error:
        several = error.args[0] if isinstance(error, shutil.Error) else None  # what `copytree` failed on
        reason = several[0][2] if isinstance(several, list) else error
        raise UserError(
            f"the results could not be written to {out} ({reason}); make room there and run the same command "
            f"again (the trained agent is safe in {run_folder})"
        ) from error


def _evaluate(out: Path) -> int:
    """Do what the workflow's rules evaluate and report do."""
    from alphazero.commands import evaluate, report

    for command, words in (
        (evaluate, ["--run", str(out)]),
        (report, [str(out), "--parts", str(out / TABLES_NAME)]),
    ):
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        status: int = command.run(parser.parse_args(words))
        if status != 0:
            return status
    print(f"report: {(out / REPORT_NAME).resolve().as_uri()}", file=sys.stdout)
    return 0
