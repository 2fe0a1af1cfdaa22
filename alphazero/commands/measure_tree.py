"""`alphazero measure tree`: trees, rules and encoding by themselves."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from alphazero.commands.options import require_at_least, require_more_than_0
from alphazero.commands.seed_option import add_seed_option
from alphazero.config import SearchConfig

if TYPE_CHECKING:
    from alphazero.benchmark.tree_speed import TreeSpeed


def add_arguments(tree: argparse.ArgumentParser) -> None:
    """Add this part's options."""
    tree.add_argument("--game", default="connect_four", metavar="NAME", help="default: %(default)s")
    tree.add_argument(
        "--backend", default="auto", metavar="NAME", help="auto, cython, cpp or python; default: %(default)s"
    )
    tree.add_argument("--python-rules", action="store_true", help="use the rules in Python, not the compiled")
    tree.add_argument("--games", type=int, default=64, metavar="N", help="at once; default: %(default)s")
    tree.add_argument(
        "--simulations", type=int, default=800, metavar="N", help="a move; default: %(default)s"
    )
    tree.add_argument(
        "--seconds", type=float, default=10.0, metavar="S", help="time to take; default: %(default)s"
    )
    add_seed_option(tree, "the games")
    tree.add_argument("--json", action="store_true", help="print JSON (keys: docs/metrics.md)")


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the numbers and return 0."""
    from alphazero.benchmark.tree_speed import measure_tree_speed
    from alphazero.games.registry import get_checked_game
    from alphazero.mcts import get_best_mcts_backend

    require_at_least(arguments, games=1, simulations=1)
    require_more_than_0(arguments, "seconds")
    game = get_checked_game(arguments.game)
    backend = get_best_mcts_backend() if arguments.backend == "auto" else arguments.backend
    compiled_rules = not arguments.python_rules and game.native_states(1) is not None
    config = replace(
        SearchConfig(),
        mcts_backend=backend,
        native_rules=compiled_rules,
        simulations=arguments.simulations,
    )
    speed = measure_tree_speed(game, config, arguments.games, arguments.seconds, arguments.seed)
    settings = {
        "game": game.name,
        "mcts_backend": backend,
        "native_rules": compiled_rules,
        "games": arguments.games,
        "simulations": arguments.simulations,
    }
    print(
        json.dumps({**settings, **asdict(speed)}, indent=2)
        if arguments.json
        else "\n".join(table_lines(settings, speed))
    )
    return 0


def table_lines(settings: dict[str, object], speed: TreeSpeed) -> list[str]:
    """Return the numbers for people, a line each."""
    rules = "compiled" if settings["native_rules"] else "Python"
    rows = [
        (
            "measured",
            f"{settings['game']}, {settings['mcts_backend']} trees, {rules} rules, {settings['games']} games "
            f"at once, {settings['simulations']} simulations a move",
        ),
        (
            "simulations/s",
            f"{speed.simulations_per_second:,.0f} "
            f"({speed.simulations_per_second_low:,.0f} to {speed.simulations_per_second_high:,.0f})",
        ),
        ("evaluations/s", f"{speed.evaluations_per_second:,.0f}"),
        ("mean depth", f"{speed.mean_depth:.1f}"),
        (
            "time split",
            f"tree {speed.time_tree:.0%}, rules {speed.time_rules:.0%}, encoding {speed.time_encoding:.0%}, "
            f"other {speed.time_other:.0%} (each part called by itself, which is slower)",
        ),
        ("bytes a node", "not known" if speed.bytes_per_node is None else f"{speed.bytes_per_node:.0f}"),
        ("bytes an edge", "not known" if speed.bytes_per_edge is None else f"{speed.bytes_per_edge:.0f}"),
    ]
    return [f"{label:<15}{text}" for label, text in rows]
