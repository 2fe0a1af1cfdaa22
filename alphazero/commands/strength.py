"""`alphazero strength RESULTS_FOLDER ...`: how long it took until the agent was that strong."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alphazero.commands.options import require_at_least
from alphazero.commands.workers_option import add_workers_option, worker_count
from alphazero.errors import UserError

if TYPE_CHECKING:
    from alphazero.config import Config
    from alphazero.evaluation.agents import Setting

DEFAULT_POINTS = 12
DEFAULT_POSITIONS_PER_SET = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to `parser`."""
    parser.add_argument(
        "run_folders",
        type=Path,
        nargs="+",
        metavar="RESULTS_FOLDER",
        help="results of training runs of one game, such as those of several seeds",
    )
    parser.add_argument(
        "--points", type=int, default=DEFAULT_POINTS, metavar="N", help="moments of each run (default: 12)"
    )
    parser.add_argument(
        "--positions-per-set",
        type=int,
        default=DEFAULT_POSITIONS_PER_SET,
        metavar="N",
        help="solved positions of each set (default: 200)",
    )
    parser.add_argument(
        "--errors",
        type=float,
        nargs="+",
        metavar="PERCENT",
        help="bounds of the mean error (default: 5 2 1 0.5)",
    )
    add_workers_option(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where strength.json, tables, pictures and the page go (default: strength in the first of them)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Evaluate the runs at moments along their way, write what came out and print the table; return 0."""
    from alphazero.commands.agent_search import results_config
    from alphazero.commands.progress_lines import ProgressLines
    from alphazero.evaluation.run import Session, solved_positions_of
    from alphazero.evaluation.strength import ERRORS, FORMAT, measure_strength, strength_record
    from alphazero.evaluation.workers import WorkerPool
    from alphazero.folders import require_writable, writing_results
    from alphazero.hardware.probe import probe_hardware
    from alphazero.metrics.provenance import collect_provenance
    from alphazero.report.strength_page import render_strength_page, time_table, write_strength_parts

    errors = _errors(arguments) or list(ERRORS)
    require_at_least(arguments, points=2, positions_per_set=1)
    configs = [results_config(folder) for folder in arguments.run_folders]
    games = {config.run.game for config in configs}
    if len(games) > 1:
        raise UserError(f"the runs play different games ({', '.join(sorted(games))}); give runs of one game")
    first = configs[0]
    budgets = sorted({config.evaluation.simulations for config in configs})
    if len(budgets) > 1:
        raise UserError(
            f"the runs' agents are scored with different simulations a move ({', '.join(map(str, budgets))}: "
            "evaluation.simulations); give runs of one number"
        )
    positions, note = solved_positions_of(first.run.game, arguments.positions_per_set)
    if not positions:
        raise UserError(
            f"time to strength is told by solved positions, and there are none ({note}); `alphazero rate` compares a "
            "run's checkpoints by matches"
        )
    out = arguments.out or arguments.run_folders[0] / "strength"
    require_writable(out, "choose another --out")
    settings = [_own_setting(config) for config in configs]
    with WorkerPool(worker_count(arguments, settings[0].inference.device)) as pool:
        runs = []
        names = run_names(arguments.run_folders)
        for folder, config, setting, name in zip(
            arguments.run_folders, configs, settings, names, strict=True
        ):
            session = Session(pool, setting, ProgressLines())
            points = measure_strength(session, folder, arguments.points, positions)
            runs.append(strength_record(name, config.run.seed, points))
    document = {
        "format": FORMAT,
        "game": first.run.game,
        "simulations": first.evaluation.simulations,
        "solved_note": note,
        "errors": errors,
        "runs": runs,
        "hardware": probe_hardware().to_json(),
        "provenance": collect_provenance(),
    }
    try:
        with writing_results(out):
            (out / "strength.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
            write_strength_parts(document, out)
            (out / "strength.html").write_text(render_strength_page(document), encoding="utf-8", newline="\n")
    finally:
        print(time_table(document).markdown())
    print(f"page: {(out / 'strength.html').as_posix()}")
    return 0


def run_names(folders: Sequence[Path]) -> list[str]:
    """Return so much of the end of each path as tells the runs apart: NAME, or PROFILE/EXPERIMENT/NAME."""
    parts = [folder.resolve().parts for folder in folders]
    for length in range(1, max(map(len, parts)) + 1):
        names = ["/".join(each[-length:]) for each in parts]
        if len(set(names)) == len(set(parts)):
            break
    return names


def _own_setting(config: Config) -> Setting:
    """Return how a run's agents search where the run itself scores them."""
    from alphazero.commands.agent_search import inference_here
    from alphazero.evaluation.agents import Setting

    return Setting.of(replace(config, inference=inference_here(config.inference)))


def _errors(arguments: argparse.Namespace) -> list[float]:
    """Return the bounds as shares, the largest first."""
    percents = arguments.errors or []
    for percent in percents:
        if not 0 < percent < 100:
            raise UserError(f"--errors {percent:g}: an error is in percent, more than 0 and less than 100")
    return sorted((percent / 100 for percent in percents), reverse=True)
