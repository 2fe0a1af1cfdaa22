"""The hardware profile that `alphazero autotune` wrote for one machine, and whether it is for this one.

results/<machine>/tuned.toml
    based_on = "cpu"           a shipped hardware profile, for all that is not set here
    [tuned_for]                what has to be as it was, or --profile auto passes the file over
    gpu = "none"
    cpu = "AMD EPYC 7763"
    usable_cores = 2
    game = "connect_four"
    network = "3 blocks of 32 filters"
    [inference]                the settings found, with their evidence in comments
    [selfplay]
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from alphazero.config import Config
from alphazero.config_layers import METADATA_KEYS, Layer, layer_from_tables, read_toml
from alphazero.errors import UserError
from alphazero.hardware.description import Hardware

BASED_ON, TUNED_FOR = "based_on", "tuned_for"

Surroundings = dict[str, str | int]


@dataclass(frozen=True)
class ProfileFile:
    """What the TOML file of a hardware profile says.

    Attributes:
        settings: by dotted name, without those of the profile it is based on.
        based_on: name of a shipped profile; "" if it stands by itself.
        tuned_for: what it was measured on, see `surroundings`; empty if it was not measured.
    """

    settings: Layer
    based_on: str
    tuned_for: Mapping[str, object]


def read_profile(path: Path) -> ProfileFile:
    """Return the hardware profile in `path`; UserError, in one line, for whatever is wrong in it."""
    table = read_toml(path)
    based_on, tuned_for = table.pop(BASED_ON, ""), table.pop(TUNED_FOR, {})
    if not isinstance(based_on, str):
        raise UserError(f"{path}: {BASED_ON} is {based_on!r}, but must be the name of a shipped profile")
    if not isinstance(tuned_for, Mapping):
        raise UserError(f"{path}: {TUNED_FOR!r} must be a table; `alphazero autotune` writes it")
    settings = {name: content for name, content in table.items() if name not in METADATA_KEYS}
    return ProfileFile(layer_from_tables(settings, str(path)), based_on, tuned_for)


def tuned_profile_path(hardware: Hardware) -> Path:
    """Return where the tuned profile of a machine lies, below the working folder."""
    return Path("results", hardware.machine_slug(), "tuned.toml")


def surroundings(hardware: Hardware, config: Config) -> Surroundings:
    """Return what the fastest settings depend on: device, processor, game and network."""
    gpu = hardware.gpu_for(config.inference.device)
    return {
        "gpu": gpu.device_name if gpu else "none",
        "gpu_memory_mib": (gpu.device_memory_total_mib or 0) if gpu else 0,
        "cpu": hardware.cpu.model,
        "usable_cores": hardware.cpu.usable_cores,
        "game": config.run.game,
        "network": config.network.in_words(),
    }


def mismatch(tuned_for: Mapping[str, object], now: Surroundings) -> str:
    """Return in words the first thing that is not as it was when the profile was tuned; "" if all is."""
    for name, value in now.items():
        if tuned_for.get(name) != value:
            return f"its {name} is {tuned_for.get(name, 'not said')}, and here it is {value}"
    return ""
