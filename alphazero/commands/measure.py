"""`alphazero measure PART`: how fast one part of the suite runs by itself on this machine."""

from __future__ import annotations

import argparse

from alphazero.commands import (
    measure_inference,
    measure_learner,
    measure_rules,
    measure_scaling,
    measure_selfplay,
    measure_tree,
)

_PARTS = {
    "tree": (measure_tree, "trees, rules and encoding, with a network that costs nothing, on one core"),
    "rules": (measure_rules, "a game's rules, compiled and in Python: positions a second of perft"),
    "inference": (measure_inference, "evaluations a second of the network alone, by batch size and engine"),
    "selfplay": (measure_selfplay, "self-play as training runs it, without a learner, and what limits it"),
    "scaling": (measure_scaling, "self-play by actors, games an actor, and where leaves are evaluated"),
    "learner": (measure_learner, "training steps a second, fed by the replay buffer and without feeding"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add one subcommand for each part."""
    parts = parser.add_subparsers(dest="part", metavar="PART", required=True)
    for name, (module, text) in _PARTS.items():
        part = parts.add_parser(name, help=text, description=text[0].upper() + text[1:] + ".")
        module.add_arguments(part)


def run(arguments: argparse.Namespace) -> int:
    """Measure, print the numbers and return 0."""
    module, _ = _PARTS[arguments.part]
    return int(module.run(arguments))
