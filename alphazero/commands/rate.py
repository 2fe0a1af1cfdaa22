"""`alphazero rate RESULTS_FOLDER`: a rating list of a run's checkpoints, with anchors."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from pathlib import Path

from alphazero.commands.options import require_at_least
from alphazero.commands.seed_option import add_seed_option
from alphazero.commands.workers_option import add_workers_option, worker_count
from alphazero.errors import UserError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this command's options to `parser`."""
    parser.add_argument("run_folder", type=Path, metavar="RESULTS_FOLDER", help="results of a training run")
    for option, default, meaning in (
        ("points", 6, "checkpoints of the run"),
        ("games", 40, "games of each match, two from each opening"),
        ("opening-moves", 4, "random moves at the start of a game"),
    ):
        parser.add_argument(
            f"--{option}", type=int, default=default, metavar="N", help=f"{meaning} (default: {default})"
        )
    add_seed_option(parser, "openings and random players")
    parser.add_argument(
        "--pure-mcts",
        type=int,
        nargs="+",
        metavar="N",
        help="simulations a move of the pure MCTS anchors (default: 50 200 800)",
    )
    parser.add_argument(
        "--simulations",
        type=int,
        metavar="N",
        help="simulations a move of the checkpoints (default: the run's)",
    )
    add_workers_option(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where ratings.json, tables, the picture and the page go (default: ratings in that folder)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Play, write the list and print it; return 0."""
    from alphazero.commands.agent_search import inference_here, results_config
    from alphazero.commands.progress_lines import ProgressLines
    from alphazero.evaluation.agents import Setting
    from alphazero.evaluation.files import match_row, rating_rows
    from alphazero.evaluation.rate import PURE_MCTS_BUDGETS, pairs_of, players_of, rate_run
    from alphazero.evaluation.workers import WorkerPool
    from alphazero.folders import require_writable, writing_results
    from alphazero.hardware.probe import probe_hardware
    from alphazero.metrics.provenance import collect_provenance
    from alphazero.report.ratings_page import rating_table, write_ratings

    budgets = arguments.pure_mcts or list(PURE_MCTS_BUDGETS)
    require_at_least(arguments, points=2, games=2, opening_moves=0, simulations=1)
    if min(budgets) < 1:
        raise UserError(f"--pure-mcts {min(budgets)}: a search has at least 1 simulation")
    config = results_config(arguments.run_folder)
    out = arguments.out or arguments.run_folder / "ratings"
    require_writable(out, "choose another --out")
    setting = Setting.of(replace(config, inference=inference_here(config.inference)))
    if arguments.simulations:
        setting = replace(setting, search=replace(setting.search, simulations=arguments.simulations))
    players = players_of(arguments.run_folder, config.run.game, arguments.points, budgets)
    progress, done = ProgressLines(), 0
    total = len(pairs_of(players)) * 2 * ((arguments.games + 1) // 2)

    def report(ended: int) -> None:
        nonlocal done
        done += ended
        progress("games", done, total)

    with WorkerPool(worker_count(arguments, setting.inference.device)) as pool:
        rated = rate_run(
            pool, setting, players, arguments.games, arguments.opening_moves, arguments.seed, report
        )
    document = {
        "format": 1,
        "run": arguments.run_folder.resolve().name,
        "game": config.run.game,
        "simulations": setting.search.simulations,
        "seed": arguments.seed,
        "openings": len(rated.openings),
        "opening_moves": arguments.opening_moves,
        "setting": asdict(setting.search),
        "ratings": rating_rows(rated.ratings),
        "matches": [{**match_row(match), "pentanomial": match.pentanomial} for match in rated.matches],
    }
    # Not in ratings.json: the same seed gives the same one.
    origin = {"hardware": probe_hardware().to_json(), "provenance": collect_provenance()}
    try:
        with writing_results(out):
            for name, content in {"ratings": document, **origin}.items():
                (out / f"{name}.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
            write_ratings({**document, **origin}, out)
    finally:
        print(rating_table(document).markdown())
    print(f"page: {(out / 'ratings.html').as_posix()}")
    return 0
