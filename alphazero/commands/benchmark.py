"""`alphazero benchmark`: what each optimization phase gives on this machine."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphazero.commands.options import require_more_than_0
from alphazero.config_arguments import add_config_arguments, config_from_arguments, require_this_machine
from alphazero.errors import UserError

if TYPE_CHECKING:
    from alphazero.benchmark.measurement import Measurement
    from alphazero.benchmark.phases import Phase
    from alphazero.benchmark.session import Budget
    from alphazero.benchmark.variants import Variant

COMPARED = ("baseline", "full")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the subcommands."""
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)

    text = "measure the phases, interleaved, and write measurements.json"
    measure = parts.add_parser("measure", help=text, description=text[0].upper() + text[1:] + ".")
    add_config_arguments(measure)
    _add_measuring_options(measure)
    measure.add_argument("--only", metavar="PHASE", help="this phase only, and what it is compared with")
    measure.add_argument(
        "--windows",
        type=Path,
        metavar="FILE",
        help="where windows are kept as they are measured; the same file goes on where a measurement stopped "
        "(default: checkpoints/MACHINE/PROFILE/benchmark/windows.jsonl)",
    )
    measure.add_argument("--out", type=Path, required=True, metavar="FILE.json", help="what was measured")

    text = "make tables, pictures and the page from measurements.json"
    tabulate = parts.add_parser("tabulate", help=text, description=text[0].upper() + text[1:] + ".")
    tabulate.add_argument("measurements", type=Path, metavar="MEASUREMENTS.json")
    tabulate.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    tabulate.add_argument("--parts", type=Path, required=True, metavar="FOLDER", help="tables and pictures")
    tabulate.add_argument(
        "--quality",
        type=Path,
        metavar="QUALITY.json",
        help="what `alphazero quality measure` found: its verdicts stand in the table, linked to its page",
    )

    text = "measure the full configuration against the baseline, and print both"
    compare = parts.add_parser("compare", help=text, description=text[0].upper() + text[1:] + ".")
    add_config_arguments(compare)
    _add_measuring_options(compare)
    compare.add_argument(
        "--steps",
        type=int,
        metavar="N",
        help="training steps to time the learner over, or as many as 30 s have room for",
    )
    compare.add_argument("--json", action="store_true", help="print JSON (keys: docs/metrics.md)")

    text = "put several machines' measurements side by side"
    machines = parts.add_parser("machines", help=text, description=text[0].upper() + text[1:] + ".")
    machines.add_argument("measurements", type=Path, nargs="+", metavar="MEASUREMENTS.json")
    machines.add_argument("--parts", type=Path, required=True, metavar="FOLDER", help="where the table goes")

    text = "say whether two complete measurements of the same code and machine agree, row by row"
    agree = parts.add_parser("agree", help=text, description=text[0].upper() + text[1:] + ".")
    agree.add_argument("measurements", type=Path, nargs=2, metavar="MEASUREMENTS.json")


def run(arguments: argparse.Namespace) -> int:
    """Do what was asked; return 0, or 1 if measurements do not agree."""
    parts = {
        "measure": _measure,
        "tabulate": _tabulate,
        "compare": _compare,
        "machines": _machines,
        "agree": _agree,
    }
    return parts[arguments.part](arguments)


def _add_measuring_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--quick", action="store_true", help="one short window each: shows that all works")
    parser.add_argument("--rounds", type=int, metavar="N", help="windows of each configuration")
    parser.add_argument("--seconds", type=float, metavar="S", help="of a window")
    parser.add_argument("--minutes", type=float, metavar="M", help="begin no round that would end later")
    parser.add_argument(
        "--phases", type=Path, metavar="FOLDER", help="with the phases' files (default: workflow/phases)"
    )


def _measure(arguments: argparse.Namespace) -> int:
    from alphazero.benchmark.measurement import RealMeasurer
    from alphazero.benchmark.session import one_measurement_at_a_time, print_line
    from alphazero.benchmark.variants import LADDER, READINGS, variants_of_phase
    from alphazero.documents import write_document
    from alphazero.folders import require_writable_file

    require_writable_file(arguments.out, "choose another --out")
    phases = _phases(arguments.phases)
    only = arguments.only
    if only is not None and only not in [phase.name for phase in phases]:
        raise UserError(f"--only {only}: no such phase (phases: {', '.join(phase.name for phase in phases)})")

    def wanted(variants: list[Variant]) -> list[Variant]:
        return variants if only is None else variants_of_phase(variants, only)

    readings = (LADDER,) if arguments.quick and only is None else READINGS
    with one_measurement_at_a_time():  # its windows are read under the lock, too
        measurement = _measurement(arguments, phases, readings, arguments.windows, wanted)
        for line in (*measurement.resolved.summary_lines(), *measurement.plan_lines()):
            print_line(line)
        measurement.run(RealMeasurer(), print_line)
        write_document(measurement.document(), arguments.out)
    print(f"wrote {arguments.out}")
    return 0


def _tabulate(arguments: argparse.Namespace) -> int:
    from alphazero.benchmark.measurement import read_measurements
    from alphazero.benchmark.summary import ceiling_warnings, noise_warnings, summarise
    from alphazero.folders import write_text, writing_results
    from alphazero.report.benchmark_page import render_benchmark_page, write_benchmark_parts
    from alphazero.report.quality_receipt import read_receipts

    document = read_measurements(arguments.measurements)
    rows = summarise(document)
    warnings = noise_warnings(document) + ceiling_warnings(rows)
    beside = arguments.quality
    on_page = None if beside is None else read_receipts(beside, arguments.out.parent)
    in_parts = None if beside is None else read_receipts(beside, arguments.parts)
    page = render_benchmark_page(document, rows, warnings, on_page)
    with writing_results(arguments.parts, "choose another folder with --parts"):
        write_benchmark_parts(document, rows, arguments.parts, in_parts)
    write_text(arguments.out, page, "choose another --out")
    for warning in warnings:
        print(f"warning: {warning}")
    for name in ("ladder", "plan"):
        table = arguments.parts / f"{name}.md"
        if table.exists():
            print("\n" + table.read_text(encoding="utf-8"))
    print(f"page: {arguments.out.as_posix()}")
    return 0


def _compare(arguments: argparse.Namespace) -> int:
    import tempfile

    from alphazero.benchmark.measurement import RealMeasurer, full_name
    from alphazero.benchmark.session import one_measurement_at_a_time, print_line
    from alphazero.benchmark.summary import ceiling_warnings, noise_warnings, summarise
    from alphazero.benchmark.variants import LADDER
    from alphazero.report.benchmark_tables import comparison_table

    if arguments.steps is not None and arguments.steps < 1:
        raise UserError(f"--steps is {arguments.steps}; at least 1 training step must be timed")
    phases = _phases(arguments.phases)
    names = ("baseline", full_name(phases))

    def wanted(variants: list[Variant]) -> list[Variant]:
        return [variant for variant in variants if variant.name in names]

    with one_measurement_at_a_time(), tempfile.TemporaryDirectory() as folder:
        measurement = _measurement(arguments, phases, (LADDER,), Path(folder) / "windows.jsonl", wanted)
        if not arguments.json:
            for line in (*measurement.resolved.summary_lines(), *measurement.plan_lines()):
                print_line(line)
        measurement.run(RealMeasurer(), (lambda text: None) if arguments.json else print_line)
        document = measurement.document()
    rows = summarise(document)
    warnings = noise_warnings(document) + ceiling_warnings(rows)
    if arguments.json:
        found = {
            label: json.loads(rows[rows["name"] == name].iloc[0].to_json())
            for label, name in zip(COMPARED, names, strict=True)
        }
        print(json.dumps({**found, "warnings": warnings}, indent=2))
        return 0
    print("\n" + comparison_table(rows, dict(zip(names, COMPARED, strict=True))).markdown())
    for warning in warnings:
        print(f"warning: {warning}")
    return 0


def _machines(arguments: argparse.Namespace) -> int:
    import pandas as pd

    from alphazero.benchmark.measurement import read_measurements
    from alphazero.benchmark.summary import summarise
    from alphazero.folders import writing_results
    from alphazero.report.benchmark_tables import machines_table

    of_each = [
        summarise(read_measurements(path)).assign(source=path.as_posix()) for path in arguments.measurements
    ]
    table = machines_table(pd.concat(of_each))
    with writing_results(arguments.parts, "choose another folder with --parts"):
        table.write(arguments.parts)
    print(table.markdown())
    return 0


def _agree(arguments: argparse.Namespace) -> int:
    from alphazero.benchmark.agreement import CONFIDENCE, compare_documents
    from alphazero.benchmark.measurement import read_measurements

    first, second = (read_measurements(path) for path in arguments.measurements)
    rows = compare_documents(first, second)
    print(f"{'row':<34}{'speed-up':>10}{'repeat':>10}{'repeat / first':>16}   a repeat may differ by")
    for row in rows:
        print(
            f"{row.name:<34}{row.first:>10.2f}{row.second:>10.2f}{row.second / row.first:>16.2f}"
            f"   a factor of {row.factor:.2f}{'' if row.agrees else '   DISAGREES'}"
        )
    agreeing = sum(row.agrees for row in rows)
    print(
        f"{agreeing} of {len(rows)} rows agree; if nothing has changed, all do with a probability of "
        f"{CONFIDENCE:.0%} or more"
    )
    return 0 if agreeing == len(rows) else 1


def _measurement(
    arguments: argparse.Namespace, phases: list[Phase], readings: Any, windows: Path | None, only: Any
) -> Measurement:
    from alphazero.benchmark.measurement import Measurement
    from alphazero.benchmark.window_log import WindowLog
    from alphazero.hardware.probe import probe_hardware
    from alphazero.metrics.provenance import source_root
    from alphazero.workflow import measuring_hash

    require_this_machine(arguments)
    resolved = config_from_arguments(arguments)
    if windows is None:
        machine = (resolved.hardware or probe_hardware()).machine_slug()
        windows = Path("checkpoints") / machine / resolved.config.hardware_profile / "benchmark/windows.jsonl"
    source_hash = measuring_hash(source_root(), resolved.config.run.game)
    budget = _budget(arguments)
    return Measurement(phases, resolved, WindowLog(windows), source_hash, budget, readings, only)


def _budget(arguments: argparse.Namespace) -> Budget:
    from alphazero.benchmark.session import FULL, QUICK

    require_more_than_0(arguments, "rounds", "seconds", "minutes", below=1e6)
    budget = QUICK if arguments.quick else FULL
    for option, field in (("rounds", "rounds"), ("seconds", "window_s"), ("minutes", "minutes")):
        value = getattr(arguments, option)
        if value is not None:
            budget = replace(budget, **{field: value})
    steps = getattr(arguments, "steps", None)
    return budget if steps is None else replace(budget, learner_steps=steps)


def _phases(folder: Path | None) -> list[Phase]:
    from alphazero.benchmark.phases import read_phases
    from alphazero.folders import workflow_folder

    return read_phases(folder or workflow_folder("phases"))
