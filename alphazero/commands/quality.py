"""`alphazero quality`: does a faster configuration train as good an agent?"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alphazero.commands.options import require_more_than_0
from alphazero.config_arguments import add_config_arguments, config_from_arguments
from alphazero.errors import UserError

if TYPE_CHECKING:
    from alphazero.config import Config
    from alphazero.evaluation.agents import Setting
    from alphazero.hardware.description import Gpu
    from alphazero.quality.plan import Plan, Variant

_MIB_OF_A_RUN = 1536  # allowance (not measured) for a small training and its CUDA context


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)

    text = "train the reference and the others, several times each, compare them, and write quality.json"
    measure = parts.add_parser("measure", help=text, description=text[0].upper() + text[1:] + ".")
    add_config_arguments(measure)
    measure.add_argument("--quick", action="store_true", help="tiny: shows that all works, and says nothing")
    measure.add_argument("--runs", type=int, metavar="N", help="trainings of each configuration")
    measure.add_argument("--minutes", type=float, metavar="M", help="begin no trainings that would end later")
    measure.add_argument(
        "--only", nargs="+", metavar="NAME", help="these configurations only, beside the reference"
    )
    measure.add_argument(
        "--planted", action="store_true", help="also the configurations whose verdict is known"
    )
    measure.add_argument(
        "--learning", action="store_true", help="also the options of self-play and learning, one row each"
    )
    measure.add_argument(
        "--files", type=Path, metavar="FOLDER", help="with plan.toml and variants (default: workflow/quality)"
    )
    measure.add_argument(
        "--trainings",
        type=Path,
        metavar="FOLDER",
        help="where trainings are kept; the same folder goes on where it stopped "
        "(default: checkpoints/MACHINE/PROFILE/quality)",
    )
    measure.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="what was found")

    text = "make tables, pictures and the page from quality.json"
    tabulate = parts.add_parser("tabulate", help=text, description=text[0].upper() + text[1:] + ".")
    tabulate.add_argument("found", type=Path, metavar="QUALITY.json")
    tabulate.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    tabulate.add_argument("--parts", type=Path, required=True, metavar="FOLDER", help="tables and pictures")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; return 0 whatever the verdicts are: they are the result."""
    return _measure(arguments) if arguments.part == "measure" else _tabulate(arguments)


def _measure(arguments: argparse.Namespace) -> int:
    from alphazero.benchmark.session import one_measurement_at_a_time, print_line
    from alphazero.documents import write_document
    from alphazero.evaluation.workers import WorkerPool
    from alphazero.folders import require_writable_file, workflow_folder
    from alphazero.hardware.host import probe_cpu
    from alphazero.hardware.probe import probe_hardware
    from alphazero.metrics.provenance import source_root
    from alphazero.network.engines import resolve_device
    from alphazero.network.frozen_engine import computes_in_bfloat16
    from alphazero.quality.session import Bench, Session, positions_of
    from alphazero.source_meaning import meaning_hash
    from alphazero.workflow import evaluation_sources, training_source_hash

    require_writable_file(arguments.out, "choose another --out")
    files = arguments.files or workflow_folder("quality")
    plan = _plan(arguments, files)
    variants = _variants(arguments, files)
    resolved = config_from_arguments(arguments)
    profile = resolved.config
    positions = positions_of(profile.run.game, plan)
    if not positions:
        raise UserError(
            f"{profile.run.game} has no solved positions to compare agents on; choose a game that has, such "
            "as connect_four"
        )
    folder = arguments.trainings
    if folder is None:
        machine = (resolved.hardware or probe_hardware()).machine_slug()
        folder = Path("checkpoints", machine, profile.hardware_profile, "quality")
    root = source_root()
    source_hash = training_source_hash(root, profile.run.game)
    on_gpu = resolve_device(profile.inference.device).type == "cuda"
    session = Session(plan, variants, profile, folder, source_hash, on_gpu or computes_in_bfloat16())
    compared = session.trainings(0)[0].config
    cores = probe_cpu().usable_cores
    with one_measurement_at_a_time(), WorkerPool(0 if on_gpu else cores) as pool:
        for line in resolved.summary_lines():
            print_line(line)
        document = session.run(
            Bench(
                pool,
                positions,
                _setting(compared),
                compared.evaluation.opening_moves,
                cores,
                print_line,
                meaning_hash(root, evaluation_sources(root, profile.run.game)),
                # By what is free now, not when the machine was recorded.
                min(cores, runs_on_a_gpu(probe_hardware().gpu_for(profile.inference.device)))
                if on_gpu
                else cores,
            )
        )
        write_document(document, arguments.out)
    print(f"wrote {arguments.out}")
    return 0


def runs_on_a_gpu(gpu: Gpu | None) -> int:
    """Return how many trainings the free memory of a GPU has room for side by side, at least 1."""
    free_mib = None if gpu is None else gpu.device_memory_free_mib
    return max(1, (free_mib or 0) // _MIB_OF_A_RUN)


def _setting(config: Config) -> Setting:
    """Return how all agents search when they are compared: the same float32 arithmetic for everyone."""
    from alphazero.evaluation.agents import Setting
    from alphazero.network.engines import resolve_device

    device = str(resolve_device(config.inference.device))
    return Setting.of(replace(config, inference=replace(config.inference, device=device, use_amp=False)))


def _plan(arguments: argparse.Namespace, files: Path) -> Plan:
    from alphazero.quality.plan import read_plan

    plan = read_plan(files / ("quick.toml" if arguments.quick else "plan.toml"))
    if arguments.runs is not None:
        if arguments.runs < 2:
            raise UserError(f"--runs is {arguments.runs}; at least 2 are needed to see how much runs differ")
        plan = replace(plan, runs=arguments.runs)
    require_more_than_0(arguments, "minutes", below=1e6)
    if arguments.minutes is not None:
        plan = replace(plan, minutes=arguments.minutes)
    return plan


def _variants(arguments: argparse.Namespace, files: Path) -> list[Variant]:
    from alphazero.quality.plan import read_variants

    if arguments.only is None:
        asked = {"planted": arguments.planted, "learning": arguments.learning}
        return read_variants(files / "variants", *(files / name for name, also in asked.items() if also))
    variants = read_variants(files / "variants", files / "planted", files / "learning")
    names = [variant.name for variant in variants]
    for name in arguments.only:
        if name not in names:
            raise UserError(f"--only {name}: no such configuration (there are: {', '.join(names)})")
    for option, also in (("planted", arguments.planted), ("learning", arguments.learning)):
        if also and not {path.stem for path in (files / option).glob("*.toml")} & set(arguments.only):
            raise UserError(
                f"--only leaves out all that --{option} adds; name some of it, or leave out one of the two"
            )
    return [each for each in variants if each is variants[0] or each.name in arguments.only]


def _tabulate(arguments: argparse.Namespace) -> int:
    from alphazero.folders import write_text, writing_results
    from alphazero.report.quality_page import read_quality, render_quality_page, write_quality_parts

    document = read_quality(arguments.found)
    with writing_results(arguments.parts, "choose another folder with --parts"):
        write_quality_parts(document, arguments.parts)
    write_text(arguments.out, render_quality_page(document), "choose another --out")
    print((arguments.parts / "quality.md").read_text(encoding="utf-8"))
    print(f"page: {arguments.out.as_posix()}")
    return 0
