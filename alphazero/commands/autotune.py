"""`alphazero autotune`: the fastest settings of self-play on this machine, as a hardware profile."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from alphazero.commands.options import require_more_than_0
from alphazero.config_arguments import add_config_arguments, config_from_arguments, require_this_machine
from alphazero.config_loading import AUTO_PROFILE, SHIPPED_PROFILE, profile_names
from alphazero.errors import UserError
from alphazero.hardware.choose import choose_profile

if TYPE_CHECKING:
    from alphazero.config import Config
    from alphazero.config_validation import Value

WARM_UP_S = 1.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    add_config_arguments(parser)
    parser.add_argument("--quick", action="store_true", help="short windows: shows that all works")
    parser.add_argument("--seconds", type=float, metavar="S", help="of the shortest windows (default: 1.5)")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE.toml",
        help="the profile; --profile auto looks for it in its default place, results/MACHINE/tuned.toml",
    )


def run(arguments: argparse.Namespace) -> int:
    """Search, write the profile, and return 0."""
    from alphazero.benchmark.autotune import Effort, Tuner, longest_minutes
    from alphazero.benchmark.session import one_measurement_at_a_time, print_line
    from alphazero.benchmark.tuned_toml import tuned_toml, write_tuned
    from alphazero.folders import require_writable
    from alphazero.metrics.provenance import collect_provenance
    from alphazero.tuned_profile import tuned_profile_path

    require_this_machine(arguments)
    resolved = config_from_arguments(arguments)
    if arguments.profile == AUTO_PROFILE and resolved.config.hardware_profile not in profile_names():
        arguments.profile = SHIPPED_PROFILE  # what an earlier search found is not where this one begins
        resolved = config_from_arguments(arguments)
    hardware = resolved.hardware
    if hardware is not None and resolved.config.hardware_profile not in profile_names():
        raise UserError(
            f"autotune begins with a shipped hardware profile, and {resolved.config.hardware_profile!r} is none; "
            f"choose --profile auto or one of {', '.join(profile_names())}"
        )
    if hardware is None or resolved.config.inference.simulated:
        raise UserError(
            "autotune measures this machine: choose another --profile than none, and no simulated engine"
        )
    effort = Effort(0.5, 1.0, 2) if arguments.quick else Effort()
    require_more_than_0(arguments, "seconds", below=1e6)
    if arguments.seconds is not None:
        effort = replace(effort, window_s=arguments.seconds)
    out = arguments.out or tuned_profile_path(hardware)
    require_writable(out.parent, "choose another place with --out")

    tuner = Tuner(
        resolved.config, hardware, _leaves_per_second, _identity(resolved.config), effort, print_line
    )
    with one_measurement_at_a_time():
        for line in resolved.summary_lines():
            print_line(line)
        print_line(f"searching for at most about {longest_minutes(tuner):.0f} minutes")
        tuning = tuner.run()
    origin = collect_provenance()
    write_tuned(tuned_toml(tuning, hardware, effort, origin, str(origin["time_utc"])[:10]), out)
    print(f"{tuning.verdict}\nwrote {out.as_posix()}")
    begun_with = resolved.config.hardware_profile
    if out == tuned_profile_path(hardware) and begun_with == choose_profile(hardware)[0]:
        print("--profile auto uses it from now on, on this machine, for this game and network")
    return 0


def _leaves_per_second(config: Config, seconds: float, number: int) -> float:
    from alphazero.benchmark.window import measure_selfplay_window

    return measure_selfplay_window(config, seconds, WARM_UP_S, number).metrics["leaves_per_second"]


def _identity(shipped: Config) -> Callable[[Config], dict[str, Value]]:
    """Return what tells configurations apart on this machine: the settings that have an effect."""
    from alphazero.benchmark.variants import effective_settings
    from alphazero.mcts import get_best_mcts_backend
    from alphazero.network.engines import resolve_device
    from alphazero.network.frozen_engine import computes_in_bfloat16

    on_cpu = resolve_device(shipped.inference.device).type == "cpu"
    backend, bfloat16 = get_best_mcts_backend(), computes_in_bfloat16()
    return lambda config: effective_settings(config, on_cpu, backend, bfloat16)
