"""The command-line options that choose a configuration, shared by every command that needs one."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path

from alphazero.config_loading import AUTO_PROFILE, Origin, ResolvedConfig, resolve_config
from alphazero.errors import UserError
from alphazero.hardware.description import Hardware, difference
from alphazero.hardware.probe import probe_hardware
from alphazero.mcts import available_backends

# Options that are short for `--set section.field=value`.
_SHORTCUTS = {
    "actors": ("selfplay.actors", "actor processes"),
    "inference_batch_size": ("inference.batch_size", "rows at most in one forward pass"),
    "simulations": ("search.simulations", "simulations a move"),
    "seed": ("run.seed", "seed that every random generator is derived from"),
}


_BACKEND_FIELD = "search.mcts_backend"


def add_config_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that `config_from_arguments` reads."""
    group = parser.add_argument_group(
        "configuration", "later wins: defaults < game < hardware profile < experiment < these options"
    )
    group.add_argument(
        "--profile",
        default=AUTO_PROFILE,
        metavar="NAME",
        help="hardware profile: auto (the one tuned for this machine, or else the shipped one for its device's "
        "memory), shipped, high, mid, low, cpu, none, or the path of a TOML file (default: auto)",
    )
    group.add_argument("--game", metavar="GAME", help="game to play (default: connect_four)")
    group.add_argument("--experiment", type=Path, metavar="FILE", help="TOML file of settings for this run")
    for option, (field, meaning) in _SHORTCUTS.items():
        group.add_argument(f"--{option.replace('_', '-')}", metavar="N", help=f"{meaning} ({field})")
    group.add_argument(
        "--set",
        action="append",
        default=[],
        dest="overrides",
        metavar="SECTION.FIELD=VALUE",
        help="any other setting, such as --set training.learning_rate=0.001 (may be repeated)",
    )
    group.add_argument(
        "--hardware",
        type=Path,
        metavar="FILE.json",
        help="fit to the machine that `alphazero detect --out FILE.json` described, not to this one as it is",
    )


def config_options_given(arguments: argparse.Namespace) -> list[str]:
    """Return the names of the options that were given, of those that `add_config_arguments` adds."""
    given = {f"--{option.replace('_', '-')}": getattr(arguments, option) is not None for option in _SHORTCUTS}
    given |= {
        "--profile": arguments.profile != AUTO_PROFILE,
        "--game": arguments.game is not None,
        "--experiment": arguments.experiment is not None,
        "--set": bool(arguments.overrides),
        "--hardware": arguments.hardware is not None,
    }
    return [option for option, is_given in given.items() if is_given]


def overrides_from_arguments(arguments: argparse.Namespace) -> list[str]:
    """Return what the options override, each as "section.field=value"."""
    shortcuts = [
        f"{field}={value}"
        for option, (field, _) in _SHORTCUTS.items()
        if (value := getattr(arguments, option)) is not None
    ]
    return [*shortcuts, *arguments.overrides]


def config_from_arguments(arguments: argparse.Namespace) -> ResolvedConfig:
    """Return the configuration that the parsed options describe; UserError if they are wrong."""
    resolved = resolve_config(
        game=arguments.game,
        profile=arguments.profile,
        experiment=arguments.experiment,
        overrides=overrides_from_arguments(arguments),
        hardware=None if arguments.hardware is None else _read_hardware(arguments.hardware),
    )
    return _with_a_backend_that_is_built(resolved)


def require_this_machine(arguments: argparse.Namespace) -> None:
    """Raise UserError if `--hardware` describes another machine than this one, on which things are measured."""
    if arguments.hardware is None:
        return
    different = difference(_read_hardware(arguments.hardware), probe_hardware(), with_memory=False)
    if different:
        raise UserError(
            f"{arguments.hardware} describes another machine, and this one is measured: {different}; "
            "leave --hardware out"
        )


def _with_a_backend_that_is_built(resolved: ResolvedConfig) -> ResolvedConfig:
    """Let a tree backend that only a profile named, and that is not built here, give way to the best one."""
    backend = resolved.config.search.mcts_backend
    chosen_here = resolved.origins[_BACKEND_FIELD] in (Origin.EXPERIMENT, Origin.COMMAND_LINE)
    if backend == "auto" or chosen_here or backend in available_backends():
        return resolved
    search = replace(resolved.config.search, mcts_backend="auto")
    adjustment = f"{_BACKEND_FIELD} {backend} -> auto: '{backend}' is not built here (`make build` builds it)"
    return replace(
        resolved,
        config=replace(resolved.config, search=search),
        origins={**resolved.origins, _BACKEND_FIELD: Origin.FITTED},
        adjustments=(*resolved.adjustments, adjustment),
    )


def _read_hardware(path: Path) -> Hardware:
    try:
        return Hardware.from_json(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, UserError) as error:
        raise UserError(
            f"{path} describes no machine ({error}); give a file from `alphazero detect --out {path.name}`"
        ) from error
