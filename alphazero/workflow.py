"""What the Snakemake workflow decides while it is parsed: the run wanted, where it lies, what it depends on.

A run's folder is `<machine>/<hardware profile>/<experiment>/<game>_seed<n>`, its settings in a file in it.
Results carry three hashes as Snakemake parameters, so that exactly what depends on a change becomes stale:

    training    the resolved settings that training reads, and the sources of games, search, network,
                self-play and training. Other games' rules, comments and docstrings do not count.
    evaluation  the [evaluation] settings, and the sources of games, search, network and evaluation
    report      the sources of the report

Ratings and time to strength depend on the evaluation, and on the sources of their tables and pages.
The benchmark has two more: of what is measured (with the resolved settings), and of the tables made from it;
a tuned hardware profile has one.

Parsing imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from alphazero.config import Config
from alphazero.config_layers import layer_from_overrides, layer_from_toml
from alphazero.config_loading import (
    AUTO_PROFILE,
    SHIPPED_PROFILE,
    ResolvedConfig,
    config_hash,
    resolve_config,
)
from alphazero.config_validation import flatten
from alphazero.errors import UserError
from alphazero.games.registry import game_names, plug_in_files
from alphazero.hardware.description import Hardware
from alphazero.source_meaning import meaning_hash

# What a result is made by, as files and folders of the package. Not among them: the configuration's code (its
# outcome counts, as settings) and what only watches a run (metrics, hardware, progress).
_TRAINING_SOURCES = (
    "games", "mcts", "network", "selfplay", "training", "loop.py", "records.py", "seeding.py",
    "run/training_run.py", "run/single_process.py", "run/run_files.py", "commands/train.py",
)  # fmt: skip
_EVALUATION_SOURCES = (
    "games", "mcts", "network", "evaluation", "seeding.py", "commands/evaluate.py", "commands/agent_search.py",
)  # fmt: skip
_ALONG_THE_RUN_SOURCES = (
    "commands/rate.py", "commands/strength.py", "metrics/catalog.py", "metrics/usage.py", "metrics/rows.py",
    "report/ratings_page.py", "report/strength_page.py",
    "report/plots.py", "report/figure.py", "report/page.py", "report/page_style.py", "report/tables.py",
    "report/provenance_section.py",
)  # fmt: skip
_MEASURING_SOURCES = (
    "games", "mcts", "network", "selfplay", "training", "records.py", "seeding.py", "run/run_metrics.py",
    "benchmark/window.py", "benchmark/learner_speed.py", "benchmark/engine_speed.py",
)  # fmt: skip
_CHOOSING_SOURCES = tuple(
    f"benchmark/{name}.py" for name in ("phases", "variants", "measurement", "session", "search_proof")
)
_TUNING_SOURCES = tuple(f"benchmark/{name}.py" for name in ("autotune", "tuned_toml", "session", "variants"))
_TABLE_SOURCES = ("benchmark", "report", "metrics/catalog.py", "student.py", "commands/benchmark.py")
_REPORT_SOURCES = ("report", "metrics/catalog.py", "metrics/health.py", "commands/report.py")
_SOURCE_SUFFIXES = (".py", ".pyx", ".pxd", ".h", ".hpp", ".cpp")

# Settings that change how a run is seen, not what comes out of it.
_WATCHING = ("run.log_every_seconds",)

DEFAULT_EXPERIMENT = "train"  # the folder of a run without an experiment file
_SHIPPED_EXPERIMENTS = Path(__file__).resolve().parent.parent / "workflow/experiments"


@dataclass(frozen=True)
class Run:
    """One training run of the workflow."""

    folder: str  # relative to results/, logs/ and checkpoints/
    game: str
    profile: str  # as asked for: a name, auto, or the path of a TOML file
    experiment: Path | None
    overrides: tuple[str, ...]
    resolved: ResolvedConfig

    @property
    def settings(self) -> Config:
        return self.resolved.config


def plan_run(
    machine: str,
    hardware: Hardware,
    profile: str,
    game: str,
    seed: int,
    experiment: Path | None = None,
    overrides: Sequence[str] = (),
) -> Run:
    """Return the run that these choices mean on `machine`; UserError if one of them is wrong.

    The run's folder is named by `game` and `seed`: settings that say another one are refused, not passed over.
    """
    _require_same(game, seed, experiment, overrides)
    all_overrides = (*overrides, f"run.seed={seed}")
    resolved = resolve_config(game, profile, experiment, all_overrides, hardware)
    folder = results_folder(machine, resolved.config, experiment_name(experiment, overrides))
    return Run(folder, game, profile, experiment, all_overrides, resolved)


def clear_abandoned_locks(folder: Path, clear: bool = True) -> IO[str] | None:
    """Remove Snakemake's locks in `folder` (.snakemake) if no living Snakemake works there.

    They are files, which a killed one leaves behind. Returned is a lock of the operating system, which dies with its
    process and says that this one works there: keep it to the end. None: there are no such locks here.

    Args:
        clear: False in a job that Snakemake started.
    """
    if sys.platform == "win32":
        return None
    import fcntl

    try:
        folder.mkdir(exist_ok=True)
        living = (folder / "living").open("a", encoding="utf-8")
        try:
            fcntl.flock(living, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            clear = False
        for lock in (folder / "locks").glob("*.lock") if clear else ():
            lock.unlink()
        fcntl.flock(living, fcntl.LOCK_SH)
    except OSError:  # a read-only folder, or a file system without locks
        return None
    return living


def results_folder(machine: str, config: Config, experiment: str) -> str:
    """Return where the results of a run lie, relative to results/; experiment: see `experiment_name`."""
    parts = (machine, config.hardware_profile, experiment, f"{config.run.game}_seed{config.run.seed}")
    return "/".join(re.sub(r"[^\w.-]+", "_", part) for part in parts)


def experiment_name(experiment: Path | None, overrides: Sequence[str]) -> str:
    """Return what sets a variant's folder apart: the experiment file's stem, and a mark of any overrides.

    A file of one's own has a mark of its settings too: another file may have the same name, or it may be a name of
    ours. UserError if the file cannot be read.
    """
    name = experiment.stem if experiment else DEFAULT_EXPERIMENT
    marked = sorted(overrides)
    if experiment and (experiment.resolve().parent != _SHIPPED_EXPERIMENTS or name == DEFAULT_EXPERIMENT):
        marked.append(json.dumps(layer_from_toml(experiment), sort_keys=True))
    return f"{name}-{_digest(marked)[:6]}" if marked else name


def shell_prefix(programs: Path) -> str:
    """Return what goes before each rule's command, for `shell.prefix`: `programs` is where its `python` is found.

    `tee` outlives a terminal that closes, so that the command before it can still say what it saves.
    """
    tee = "tee() { trap '' HUP; command tee \"$@\"; }"
    prefix = f'set -euo pipefail; export PATH={shlex.quote(str(programs))}:"$PATH"; {tee}; '
    return prefix.replace("{", "{{").replace("}", "}}")  # Snakemake formats it


def config_options(run: Run) -> str:
    """Return the options of `alphazero config` that give this run's settings, quoted for a shell."""
    options = ["--game", run.game, "--profile", run.profile]
    if run.experiment:
        options += ["--experiment", run.experiment.as_posix()]
    for override in run.overrides:
        options += ["--set", override]
    return shlex.join(options)


def settings_hash(run: Run) -> str:
    """Return the resolved settings as 16 hex digits."""
    return _digest([_settings(run, evaluation=False), _settings(run, evaluation=True)])


def training_hash(root: Path, run: Run) -> str:
    """Return what the trained agent depends on, as 16 hex digits."""
    return _digest([_settings(run, evaluation=False), training_source_hash(root, run.game)])


def evaluation_hash(root: Path, run: Run) -> str:
    """Return what the scores depend on besides the agent, as 16 hex digits."""
    sources = meaning_hash(root, evaluation_sources(root, run.game))
    return _digest([_settings(run, evaluation=True), sources])


def along_the_run_hash(root: Path, run: Run) -> str:
    """Return what ratings and time to strength depend on besides the agents, as 16 hex digits."""
    return _digest([evaluation_hash(root, run), meaning_hash(root, _sources(root, _ALONG_THE_RUN_SOURCES))])


def measuring_hash(root: Path, game: str) -> str:
    """Return the sources of what the benchmark measures, as 16 hex digits: other code gives other windows."""
    return meaning_hash(root, _sources(root, _MEASURING_SOURCES, game))


def benchmark_hash(root: Path, run: Run) -> str:
    """Return what the benchmark's measurements depend on besides the phases, as 16 hex digits."""
    return _digest([_settings(run, evaluation=False), benchmark_sources_hash(root, run.game)])


def benchmark_sources_hash(root: Path, game: str) -> str:
    """Return the sources that measure, and that choose what is measured, as 16 hex digits."""
    chosen = meaning_hash(root, _sources(root, _CHOOSING_SOURCES))
    return _digest([measuring_hash(root, game), chosen])


def before_tuning(run: Run, machine: str, hardware: Hardware) -> Run:
    """Return `run` as it is without the profile that autotune wrote: where a search begins, also a second one."""
    profile = SHIPPED_PROFILE if run.profile == AUTO_PROFILE else run.profile
    overrides = [override for override in run.overrides if not override.startswith("run.seed=")]
    seed = run.resolved.config.run.seed
    return plan_run(machine, hardware, profile, run.game, seed, run.experiment, overrides)


def tuning_hash(root: Path, run: Run) -> str:
    """Return what a tuned profile depends on, as 16 hex digits; `run` is one `before_tuning`."""
    how = meaning_hash(root, _sources(root, _TUNING_SOURCES))
    return _digest([_settings(run, evaluation=False), measuring_hash(root, run.game), how])


def benchmark_tables_hash(root: Path) -> str:
    """Return what the benchmark's tables depend on besides the measurements, as 16 hex digits."""
    return meaning_hash(root, _sources(root, _TABLE_SOURCES))


def quality_hash(root: Path, run: Run) -> str:
    """Return what a quality comparison depends on besides its files, as 16 hex digits."""
    sources = _sources(root, (*_EVALUATION_SOURCES, "quality", "student.py", "commands/quality.py"))
    return _digest([training_hash(root, run), evaluation_hash(root, run), meaning_hash(root, sources)])


def measured_machines(results: Path) -> list[str]:
    """Return all measurements of whole benchmarks below `results`, of this machine and of others, published or not.

    Not among them: quick ones, of one phase, of an experiment, with settings of their own (`benchmark_HASH`).
    UserError if there is none.
    """
    shipped = "|".join(re.escape(path.stem) for path in sorted(_SHIPPED_EXPERIMENTS.glob("*.toml")))
    own = rf"(?!quick)(?!(.*_)?({shipped}|[0-9a-f]{{6}})$)"
    found = [
        path.as_posix()
        for path in sorted(results.glob("**/measurements.json"))
        if re.fullmatch(rf"benchmark(_{own}[\w.]+)?", path.parent.name)
    ]
    if not found:
        raise UserError(
            f"{results.as_posix()} holds no machine's measurements; run `snakemake benchmark_all`, or put the "
            "results folders of other machines there"
        )
    return found


def contents_hash(paths: Sequence[str]) -> str:
    """Return the contents of files as 16 hex digits."""
    return _digest([Path(path).read_text(encoding="utf-8") for path in paths])


def quality_beside(benchmark: str) -> str:
    """Return where the quality comparison lies whose verdicts the tables of the folder `benchmark` show."""
    folder, _, name = benchmark.partition("/phases/")[0].rpartition("/")
    return f"{folder}/{name.replace('benchmark', 'quality', 1)}/quality.json"


def tables_options(quality: Path) -> tuple[str, str]:
    """Return the option of `alphazero benchmark tabulate` for the comparison in `quality`, and its content's hash.

    Both are empty where there is none. It is no rule's input on purpose: tables that are made again must not begin
    half an hour of trainings because a comparison has become stale; the one that is there is shown, with its commit.
    """
    if not quality.exists():
        return "", ""
    option = f"--quality {shlex.quote(quality.as_posix())}"
    return option, contents_hash([quality.as_posix()])


def report_hash(root: Path) -> str:
    """Return what the report depends on besides the results in it, as 16 hex digits."""
    return meaning_hash(root, _sources(root, _REPORT_SOURCES))


def checkpoint_key(root: Path, run: Run) -> str:
    """Return the name of the run's checkpoint folder."""
    return run_key(run.settings, training_source_hash(root, run.game))


def run_key(config: Config, source_hash: str) -> str:
    """Return what tells the checkpoint folder of a run from those of others; source_hash: `training_source_hash`.

    A resumed run goes on with the code and the settings that it began with, or not at all: an edit of either
    begins a new folder and leaves the old one where it is. Limits (minutes, steps) may change under way.
    """
    return f"{config_hash(config)}-{source_hash[:10]}"


def training_source_hash(root: Path, game: str) -> str:
    """Return the sources that make a training run of `game` what it is, as 16 hex digits; takes half a second."""
    return meaning_hash(root, training_sources(root, game))


def training_sources(root: Path, game: str) -> list[Path]:
    """Return the files that make a training run of `game` what it is, relative to `root` where they lie in it."""
    return _sources(root, _TRAINING_SOURCES, game)


def evaluation_sources(root: Path, game: str) -> list[Path]:
    """Return the files that an agent's answers and scores are made by, likewise."""
    return _sources(root, _EVALUATION_SOURCES, game)


def _sources(root: Path, parts: Sequence[str], game: str | None = None) -> list[Path]:
    package = root / "alphazero"
    found: list[Path] = []
    for part in parts:
        path = package / part
        found += (
            [path]
            if path.is_file()
            else [file for file in path.rglob("*") if file.suffix in _SOURCE_SUFFIXES]
        )
    generated = {file.with_suffix(".cpp") for file in found if file.suffix == ".pyx"}
    others = [name for name in game_names() if game is not None and name != game]
    own = [
        file.relative_to(root)
        for file in found
        if file not in generated
        and not any(name in part for part in file.relative_to(package).parts for name in others)
    ]
    plugged_in = plug_in_files(game, _SOURCE_SUFFIXES) if game is not None else []
    return sorted({*own, *plugged_in})


def _require_same(game: str, seed: int, experiment: Path | None, overrides: Sequence[str]) -> None:
    layers = {"set": layer_from_overrides(overrides)}
    if experiment is not None:
        layers[str(experiment)] = layer_from_toml(experiment)
    for source, layer in layers.items():
        for name, wanted in (("game", game), ("seed", seed)):
            found = layer.get(f"run.{name}", wanted)
            if found != wanted:
                raise UserError(
                    f"{source}: run.{name} is {found}, but the run's {name} is {wanted} and names its results; "
                    f"leave it out there, and choose with --config {name}={found}"
                )


def _settings(run: Run, evaluation: bool) -> str:
    values = {
        name: value
        for name, value in flatten(run.settings).items()
        if name.startswith("evaluation.") == evaluation and name not in _WATCHING
    }
    return json.dumps(values, sort_keys=True)


def _digest(parts: Sequence[str]) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]
