"""`alphazero measure scaling`: self-play by actors, games an actor, and where leaves are evaluated."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from alphazero.commands.measure_options import add_measure_arguments, measured_config, say
from alphazero.commands.options import require_at_least
from alphazero.config import Config
from alphazero.config_loading import config_to_toml
from alphazero.config_validation import check_value
from alphazero.errors import UserError
from alphazero.folders import require_writable, writing_results
from alphazero.metrics.catalog import format_duration
from alphazero.metrics.provenance import collect_provenance

if TYPE_CHECKING:
    from alphazero.benchmark.scaling import CellSpeed
    from alphazero.report.tables import Table

SHORTEST_S = 2.0  # holds a few of the reports that every process sends twice a second
ACTORS = "1,2,4,8"
GAMES = "1,8,64,512"
NAME = "scaling"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add this part's options."""
    add_measure_arguments(parser, seconds=3.0)
    parser.add_argument(
        "--by-actors", default=ACTORS, metavar="N,N,...", help="actors to try; default: %(default)s"
    )
    parser.add_argument(
        "--by-games", default=GAMES, metavar="N,N,...", help="games an actor to try; default: %(default)s"
    )
    parser.add_argument(
        "--placement", choices=("both", "local", "server"), default="both", help="default: %(default)s"
    )
    parser.add_argument(
        "--rounds",
        type=int,
        default=2,
        metavar="N",
        help="windows of each cell (2 give intervals of 50 %%, 6 of 97 %%); default: %(default)s",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="where scaling.json, .csv and .md go (default: results/MACHINE/scaling/GAME-BLOCKSxFILTERS)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Say how long it will take, measure, write the files, print the table (or JSON), return 0."""
    require_at_least(arguments, seconds=SHORTEST_S, rounds=1)
    actors = _numbers("--by-actors", arguments.by_actors, "selfplay.actors")
    games = _numbers("--by-games", arguments.by_games, "selfplay.games_per_actor")
    config = measured_config(arguments)
    if config.inference.simulated and arguments.placement != "server":
        raise UserError("a simulated device is shared by all actors; add --placement server")
    from alphazero.benchmark.scaling import PLACEMENTS, grid, measure_scaling, seconds_needed

    out = arguments.out or _folder(config)
    require_writable(out, "make it writable, or choose another folder with --out")
    placements = PLACEMENTS if arguments.placement == "both" else (arguments.placement,)
    cells = grid(placements, actors, games)
    estimate = seconds_needed(len(cells), arguments.rounds, arguments.seconds)
    say(
        f"{len(cells)} configurations, {arguments.rounds} windows of {arguments.seconds:g} s each: "
        f"about {format_duration(estimate)}"
    )
    speeds = measure_scaling(config, cells, arguments.rounds, arguments.seconds, say)
    document = as_json(config, speeds, arguments)
    tables = [scaling_table(config, placement, speeds) for placement in placements]
    _write(out, document, speeds, tables)
    if arguments.json:
        print(json.dumps(document, indent=2))
        return 0
    for table in tables:
        print(f"{table.caption}\n\n{table.markdown()}")
    print(f"written: {out.as_posix()}")
    return 0


def as_json(config: Config, speeds: Sequence[CellSpeed], arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the measurement with the settings and the code that it was made with."""
    return {
        "game": config.run.game,
        "network": asdict(config.network),
        "simulations": config.search.simulations,
        "engine": config.inference.engine,
        "simulated": config.inference.simulated,
        "window_s": arguments.seconds,
        "rounds": arguments.rounds,
        "cells": [
            {
                **asdict(speed.cell),
                **{name: value for name, value in asdict(speed).items() if name != "cell"},
            }
            for speed in speeds
        ],
        "config": config_to_toml(config),
        "provenance": collect_provenance(),
    }


def scaling_table(config: Config, placement: str, speeds: Sequence[CellSpeed]) -> Table:
    """Return evaluations a second, with intervals: a row for each number of actors."""
    import pandas as pd

    from alphazero.report.tables import Table

    here = [speed for speed in speeds if speed.cell.placement == placement]
    confidences = [speed.evaluations_per_second.confidence for speed in here]
    actors = list(dict.fromkeys(speed.cell.actors for speed in here))
    games = list(dict.fromkeys(speed.cell.games_per_actor for speed in here))
    shown = pd.DataFrame("", index=pd.Index(actors, name="actors"), columns=[f"{g} games" for g in games])
    intervals = shown.copy()
    for speed in here:
        place = (speed.cell.actors, f"{speed.cell.games_per_actor} games")
        estimate = speed.evaluations_per_second
        shown.loc[place] = f"{estimate.value:,.0f}"
        intervals.loc[place] = f"{estimate.low:,.0f} to {estimate.high:,.0f}"
    where = "one server evaluates" if placement == "server" else "each actor evaluates its own leaves"
    mark = "SIMULATED device, no measurement: " if config.inference.simulated else ""
    caption = (
        f"{mark}evaluations/s of self-play by actors and games an actor, {where}; {config.run.game}, "
        f"network {config.network.blocks} x {config.network.filters}, {config.search.simulations} "
        f"simulations a move; median of the rounds and an interval of {min(confidences):.1%}"
    )
    return Table(f"{NAME}_{placement}", caption, shown, shown, intervals)


def _write(out: Path, document: dict[str, Any], speeds: Sequence[CellSpeed], tables: Sequence[Table]) -> None:
    import pandas as pd

    rows = pd.DataFrame(
        {
            **asdict(speed.cell),
            "evaluations_per_second": speed.evaluations_per_second.value,
            "evaluations_per_second_low": speed.evaluations_per_second.low,
            "evaluations_per_second_high": speed.evaluations_per_second.high,
            "confidence": speed.evaluations_per_second.confidence,
            "simulations_per_second": speed.simulations_per_second.value,
            "fill_rate": speed.fill_rate,
            "inference_latency_ms": speed.inference_latency_ms,
            "simulated": document["simulated"],
        }
        for speed in speeds
    )
    text = "\n".join(f"{table.caption}\n\n{table.markdown()}" for table in tables)
    with writing_results(out, "choose another --out"):
        (out / f"{NAME}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
        rows.to_csv(out / f"{NAME}.csv", index=False, lineterminator="\n")
        (out / f"{NAME}.md").write_text(text, encoding="utf-8", newline="\n")


def _folder(config: Config) -> Path:
    from alphazero.hardware.probe import probe_hardware

    name = f"{config.run.game.replace(':', '.')}-{config.network.blocks}x{config.network.filters}"
    return Path("results", probe_hardware().machine_slug(), NAME, name)


def _numbers(option: str, text: str, field: str) -> list[int]:
    """Return the numbers of a list such as "1,2,4", each possible for the setting `field`."""
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        raise UserError(f"{option} is {text!r}; it must be whole numbers, such as 1,2,4") from None
    for number in numbers:
        check_value(field, number, option)
    return list(dict.fromkeys(numbers))
