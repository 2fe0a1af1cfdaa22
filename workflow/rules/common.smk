# What the rules share, decided once while parsing: RUN (what was asked for), RUNS by folder, MACHINE, EXTENSIONS.

import dataclasses
import json
import os
import re
import shlex
import sys
import time
from pathlib import Path

import jsonschema
import yaml
from snakemake.exceptions import WorkflowError

ROOT = Path(workflow.basedir)
sys.path.insert(0, str(ROOT))  # a clone works without being installed

from alphazero import config_loading, native_build, workflow as planning
from alphazero.errors import UserError, did_you_mean
from alphazero.hardware.description import Hardware, difference
from alphazero.hardware.nvidia import number_by_bus
from alphazero.hardware.probe import probe_hardware

# Rules find this interpreter's `python` also when its environment is not activated.
shell.prefix(planning.shell_prefix(Path(sys.executable).parent))


def checked_config():
    """Return the configuration, each key known and of the right type; WorkflowError names the nearest key."""
    schema = yaml.safe_load((ROOT / "workflow/schemas/config.schema.yaml").read_text(encoding="utf-8"))
    known = schema["properties"]
    for key in config:
        if key not in known:
            raise WorkflowError(
                f"unknown key '{key}' in --config{did_you_mean(key, known)} (known: {', '.join(known)})"
            )
    for error in jsonschema.Draft202012Validator(schema).iter_errors(config):
        key = error.path[0]
        raise WorkflowError(f"--config {key}={error.instance}: must be {known[key]['description']}")
    return config


def machine_as_recorded():
    """Return this machine's description, as first recorded if it was, and if that is still the machine.

    Numbers are fitted to free memory, which comes and goes; a run must not become stale with it. A record of another
    machine of this name is put aside, and rule detect_hardware writes it anew.
    """
    hardware = probe_hardware()
    record = Path("results", hardware.machine_slug(), "hardware.json")
    if not record.exists():
        return hardware
    try:
        recorded = Hardware.from_json(json.loads(record.read_text(encoding="utf-8")))
        different = difference(recorded, hardware) if workflow.is_main_process else ""
        if not different:
            return recorded
        aside = record.with_name("hardware_before.json")
        record.replace(aside)
    except (OSError, ValueError, UserError) as error:
        raise WorkflowError(f"{record}: {error}; delete it, and it is written again")
    print(
        f"warning: {record} is no longer this machine: {different}; it is written again (the old one: {aside})",
        file=sys.stderr,
    )
    return hardware


def requested_run():
    """Return the run that the configuration asks for; WorkflowError if that cannot be."""
    wanted = checked_config()
    experiment = wanted["experiment"]
    if is_quick():
        if experiment:
            raise WorkflowError(
                "--config: quick=true is an experiment of its own; give it or experiment=, not both"
            )
        experiment = "workflow/experiments/quick.toml"
    try:
        return planning.plan_run(
            machine=MACHINE,
            hardware=HARDWARE,
            profile=wanted["profile"],
            game=wanted["game"],
            seed=wanted["seed"],
            experiment=Path(experiment) if experiment else None,
            overrides=(wanted["set"] or "").split(),
        )
    except UserError as error:
        raise WorkflowError(str(error))


def is_quick():
    return str(config["quick"]).lower() == "true"


def benchmark_name():
    """Return the folder of the benchmark that was asked for: another game, seed, setting or size has its own."""
    overrides = [setting for setting in RUN.overrides if setting != "run.seed=0"]
    parts = ["benchmark", "quick" if is_quick() else "", "" if RUN.game == "connect_four" else RUN.game]
    variant = planning.experiment_name(None if is_quick() else RUN.experiment, overrides).removeprefix(planning.DEFAULT_EXPERIMENT).strip("-")
    return re.sub(r"[^\w.-]+", "_", "_".join(part for part in (*parts, variant) if part))


def measuring_options(run):
    """Return the options of `alphazero benchmark measure` and `alphazero autotune` for the settings of `run`.

    Quick is a smaller measurement here, not the small training run of the experiment of that name.
    """
    if is_quick():
        run = dataclasses.replace(run, experiment=None)
    return planning.config_options(run) + (" --quick" if is_quick() else "")


def machines_to_compare(wildcards):
    """Return (the files of all machines' measurements, their contents' hash); WorkflowError where there is none."""
    try:
        found = planning.measured_machines(Path("results"))
        return shlex.join(found), planning.contents_hash(found)
    except UserError as error:
        raise WorkflowError(str(error))


def missing_extensions_problem():
    """Return why no native code can be built here; None if it is built, or can be. Warns once.

    WorkflowError where it is built of older sources and cannot be built again: Snakemake would delete it first.
    """
    built = [ROOT / path for path in native_build.extension_paths(ROOT)]
    is_built = all(path.exists() for path in built)
    sources = (ROOT / path for path in native_build.native_sources(ROOT))
    # Whoever edits a source while jobs run is told by the next call, not by the next job.
    if is_built and (not workflow.is_main_process or newest(sources) <= min(path.stat().st_mtime for path in built)):
        return None
    problem = native_build.toolchain_problem()
    if problem and is_built:
        raise WorkflowError(
            f"the native code was built of older sources and cannot be built again here ({problem}): install what is "
            "missing (docs/install.md), or do without native code (`make clean`)"
        )
    if problem:
        print(native_build.warning(problem), file=sys.stderr)
    return problem


def newest(paths):
    """Return the modification time of the newest of these files."""
    return max(path.stat().st_mtime for path in paths)


def is_made_now():
    """Return whether this call builds native code, or records the build or the machine."""
    built = [Path(path) for path in EXTENSIONS]
    records = [Path("results", MACHINE, name) for name in ("build.json", "hardware.json")]
    if not all(path.exists() for path in built + records):
        return True
    sources = [Path(path) for path in native_build.native_sources(ROOT)] if built else []
    times = [[path.stat().st_mtime for path in paths] for paths in (sources, built, records[:1])]
    return any(max(before) > min(after) for before, after in zip(times, times[1:]) if before and after)


def once_there(files):
    """Return an input that must be there, and whose age says nothing.

    `ancient`, unless this very call makes it: behind a job that has to run Snakemake looks at no job whose inputs are
    all ancient, and would build and then end, without what was asked for.
    """
    return files if IS_MADE_NOW else ancient(files)


def print_summary():
    """Print the tables of the run that was asked for, if its report was written by this very invocation."""
    folder = Path("results", RUN.folder)
    page = folder / "report.html"
    if not page.exists() or page.stat().st_mtime < PARSED_AT:
        return
    for table in ("solved_positions.md", "matches.md"):
        if (folder / "tables" / table).exists():
            print("\n" + (folder / "tables" / table).read_text(encoding="utf-8"))
    print(f"report: {page.as_posix()}")


PARSED_AT = time.time()
number_by_bus(os.environ)  # of the jobs, too
LIVING = planning.clear_abandoned_locks(Path(".snakemake"), workflow.is_main_process)  # held until Snakemake ends
HARDWARE = machine_as_recorded()
MACHINE = HARDWARE.machine_slug()
RUN = requested_run()
RUNS = {RUN.folder: RUN}
EXTENSIONS = (
    [] if missing_extensions_problem() else [path.as_posix() for path in native_build.extension_paths(ROOT)]
)

IS_MADE_NOW = is_made_now()


wildcard_constraints:
    run="|".join(map(re.escape, RUNS)),
