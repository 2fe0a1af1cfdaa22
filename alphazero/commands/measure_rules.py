"""`alphazero measure rules`: a game's rules by themselves, compiled and in Python."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from alphazero.commands.options import require_more_than_0
from alphazero.errors import UserError

if TYPE_CHECKING:
    from alphazero.benchmark.rules_speed import RulesComparison, RulesSpeed


def add_arguments(rules: argparse.ArgumentParser) -> None:
    """Add this part's options."""
    rules.add_argument("--game", default="connect_four", metavar="NAME", help="default: %(default)s")
    rules.add_argument(
        "--method",
        default="perft",
        metavar="NAME",
        help="perft (every line of play from the start) or random (whole random games); default: %(default)s",
    )
    rules.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="time to take; default: %(default)s"
    )
    rules.add_argument("--json", action="store_true", help="print JSON")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the numbers and return 0."""
    from alphazero.benchmark.rules_speed import METHODS, measure_rules_speed
    from alphazero.games.registry import get_checked_game

    require_more_than_0(arguments, "seconds")
    if arguments.method not in METHODS:
        raise UserError(f"--method is {arguments.method!r}; it may be {' or '.join(METHODS)}")
    game = get_checked_game(arguments.game)
    found = measure_rules_speed(game, arguments.seconds, arguments.method)
    if arguments.json:
        print(json.dumps({"game": game.name, "method": arguments.method, **asdict(found)}, indent=2))
    else:
        print("\n".join(table_lines(game.name, found)))
    return 0


def table_lines(game: str, found: RulesComparison) -> list[str]:
    """Return the numbers for people, a line each."""
    what = (
        f"random games of {game}"
        if found.python.depth is None
        else f"perft of {game}, the last move not played"
    )
    lines = [f"{'measured':<16}{what} (positions/s)"]
    lines.append(f"{'compiled rules':<16}{'none here' if found.native is None else _speed(found.native)}")
    lines.append(f"{'Python rules':<16}{_speed(found.python)}")
    if found.speed_up is not None:
        lines.append(
            f"{'ratio':<16}{found.speed_up:,.0f} ({found.speed_up_low:,.0f} to {found.speed_up_high:,.0f})"
        )
    return lines


def _speed(speed: RulesSpeed) -> str:
    interval = f"{speed.rules_positions_per_second_low:,.0f} to {speed.rules_positions_per_second_high:,.0f}"
    counted = "moves" if speed.depth is None else f"sequences of {speed.depth} moves"
    return f"{speed.rules_positions_per_second:,.0f} ({interval}), {speed.positions:,} {counted} a round"
