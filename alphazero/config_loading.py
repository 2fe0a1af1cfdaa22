"""Resolves a run's configuration from its layers, and saves and loads the result.

The one merge order, later wins:

    defaults < game < hardware profile < experiment < command line

`defaults` are the dataclasses of `alphazero.config`; `game` is the optional attribute `config_defaults` of
the game, tables as in a TOML file; the others are TOML files and `section.field=value` texts. At the end the
numbers that came from the hardware profile or below are fitted to the machine's cores and memory. What
an experiment or the command line says is kept; where it does not fit, a warning says so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import tomli_w

from alphazero.config import Config
from alphazero.config_layers import (
    Layer,
    config_from_layer,
    field_types,
    layer_from_overrides,
    layer_from_tables,
    layer_from_toml,
)
from alphazero.config_validation import (
    Value,
    fill_warnings,
    flatten,
    require_learning,
    search_warnings,
    validate,
)
from alphazero.errors import UserError, did_you_mean
from alphazero.games.game import require_winning_lines
from alphazero.games.registry import get_checked_game
from alphazero.hardware.choose import choose_profile
from alphazero.hardware.description import Hardware
from alphazero.hardware.fit import fit_to_hardware
from alphazero.hardware.probe import probe_hardware
from alphazero.tuned_profile import mismatch, read_profile, surroundings, tuned_profile_path

AUTO_PROFILE = "auto"  # the profile that suits the machine: tuned on it, or else shipped
SHIPPED_PROFILE = "shipped"  # the shipped one that suits the machine, even if there is a tuned one
NO_PROFILE = "none"  # no profile and no fitting: nothing depends on the machine

# Left out of `config_hash`: how long and how visibly a run goes on, how it is scored, and what is fitted
# to the machine without a part in what is learned. Changing these continues the same run.
_NOT_HASHED = frozenset(
    {
        "hardware_profile",
        "inference.device",
        "inference.batch_size",
        "inference.batch_timeout_ms",
        "inference.cache_positions",
        "inference.threads",
        "selfplay.actors",
        "selfplay.games_per_actor",
        "selfplay.max_restarts",
        "training.threads",
        "training.max_minutes",
        "training.max_steps",
        "training.final_minutes",
        "training.checkpoint_every_minutes",
        "training.keep_checkpoints",
        "run.log_every_seconds",
    }
)
# A final network learns from what a run has found, and is asked for before or after: see `TrainingRun`.
_NOT_HASHED_SECTIONS = ("evaluation.", "final_network.")


class Origin(StrEnum):
    """The layer that a value came from."""

    DEFAULT = "default"
    GAME = "game"
    PROFILE = "hardware profile"
    EXPERIMENT = "experiment"
    COMMAND_LINE = "command line"
    FITTED = "fitted to hardware"


@dataclass(frozen=True)
class ResolvedConfig:
    """A configuration with the story of how it came about, for people and for the files beside results.

    Attributes:
        config: the merged, fitted and validated settings.
        origins: the layer of each field, by dotted name.
        profile_reason: why this hardware profile, one sentence.
        overridden: a sentence for each value that an experiment or the command line changed.
        adjustments: a sentence for each value that was fitted to the hardware or to a short run, with its reason.
        warnings: a sentence for each thing that will not work well, but is done as asked.
        hardware: the machine it was fitted to; None for profile 'none'.
    """

    config: Config
    origins: Mapping[str, Origin]
    profile_reason: str
    overridden: tuple[str, ...]
    adjustments: tuple[str, ...]
    warnings: tuple[str, ...]
    hardware: Hardware | None

    def summary_lines(self) -> list[str]:
        """Return what a user should read before a run: profile, overrides, adjustments, warnings."""
        return [
            self.profile_reason,
            *(f"overridden: {sentence}" for sentence in self.overridden),
            *(f"fitted: {sentence}" for sentence in self.adjustments),
            *(f"warning: {sentence}" for sentence in self.warnings),
        ]


def resolve_config(
    game: str | None = None,
    profile: str = AUTO_PROFILE,
    experiment: Path | None = None,
    overrides: Sequence[str] = (),
    hardware: Hardware | None = None,
) -> ResolvedConfig:
    """Return the merged, fitted and validated configuration of a run.

    Args:
        game: a registered name, or "module:class"; the same as the override run.game=...
        profile: auto, shipped (auto without `alphazero autotune`'s), none, the name of a shipped hardware
            profile, or the path of a TOML file. An experiment may name the profile it is for
            (`hardware_profile = "high"`), which replaces auto.
        experiment: TOML file of settings, or None.
        overrides: texts of the form section.field=value, the command line's.
        hardware: the machine; None: this one, probed here unless `profile` is none.

    Raises UserError for anything unknown, of the wrong type, impossible or unreadable.
    """
    game_override = [] if game is None else [f"run.game={game}"]
    command_line = layer_from_overrides([*overrides, *game_override])
    experiment_layer = {} if experiment is None else layer_from_toml(experiment)
    profile_of_experiment = str(experiment_layer.pop("hardware_profile", AUTO_PROFILE))
    if "hardware_profile" in command_line:
        raise UserError("command line: the hardware profile is chosen with --profile NAME, not with --set")
    if profile == AUTO_PROFILE:
        profile = profile_of_experiment
        _require_profile_there(profile, experiment)
    if hardware is None and profile != NO_PROFILE:
        hardware = probe_hardware()
    explicit = {**experiment_layer, **command_line}
    device = str(explicit.get("inference.device", "auto"))
    profile_name, profile_file, profile_reason = _find_profile(profile, hardware, device)
    profile_layer = {} if profile_file is None else _profile_layer(profile_file)

    layers: dict[Origin, Layer] = {
        Origin.DEFAULT: {
            name: value for name, value in flatten(Config()).items() if name != "hardware_profile"
        },
        Origin.GAME: {},
        Origin.PROFILE: {**profile_layer, "hardware_profile": profile_name},
        Origin.EXPERIMENT: experiment_layer,
        Origin.COMMAND_LINE: command_line,
    }
    game_name = str(_merge(layers)[0]["run.game"])
    rules = get_checked_game(game_name)
    layers[Origin.GAME] = layer_from_tables(getattr(rules, "config_defaults", {}), f"game {game_name}")
    if profile == AUTO_PROFILE:
        assert hardware is not None
        tuned_file, remark = _tuned_profile(hardware, profile_name, config_from_layer(_merge(layers)[0]))
        profile_reason += remark
        if tuned_file is not None:
            profile_file, profile_layer = tuned_file, _profile_layer(tuned_file)
            layers[Origin.PROFILE] = {**profile_layer, "hardware_profile": tuned_file.stem}
    values, origins = _merge(layers)
    config = config_from_layer(values)
    sources = {Origin.GAME: f"game {game_name}", Origin.COMMAND_LINE: "command line"}
    if profile_file is not None:
        sources[Origin.PROFILE] = str(profile_file)
    if experiment is not None:
        sources[Origin.EXPERIMENT] = str(experiment)
    validate(config, {name: sources.get(origin, str(origin)) for name, origin in origins.items()})
    for section in ("network", "grown_network", "final_network"):
        for setting in ("line_planes", "ownership_head"):
            if getattr(getattr(config, section), setting):
                require_winning_lines(rules, f"{section}.{setting}")

    adjustments: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    if hardware is not None and profile != NO_PROFILE:
        fitted = fit_to_hardware(config, hardware, rules, explicit, profile_layer)
        validate(fitted.config)
        config, adjustments = fitted.config, fitted.adjustments
        origins |= dict.fromkeys(fitted.changed, Origin.FITTED)
        warnings = (*hardware.warnings, *fitted.warnings)
    require_learning(config)
    if origins["selfplay.games_per_actor"] is not Origin.FITTED:  # else its adjustment speaks of batches
        warnings = (*warnings, *fill_warnings(config))
    return ResolvedConfig(
        config=config,
        origins=origins,
        profile_reason=profile_reason,
        overridden=_overridden(layers),
        adjustments=adjustments,
        warnings=(*warnings, *search_warnings(config)),
        hardware=hardware,
    )


def save_config(config: Config, path: Path, origins: Mapping[str, Origin] | None = None) -> None:
    """Write `config` as a TOML file that `load_config` gives back exactly.

    With `origins` each line ends in a comment that names the layer its value came from.
    """
    path.write_text(config_to_toml(config, origins), encoding="utf-8")


def config_to_toml(config: Config, origins: Mapping[str, Origin] | None = None) -> str:
    """Return the text that `save_config` writes."""
    origins = origins or {}
    lines = []
    current_section = ""
    for name, value in flatten(config).items():
        section, _, key = name.rpartition(".")
        if section != current_section:
            lines += ["", f"[{section}]"]
            current_section = section
        line = tomli_w.dumps({key: value}).rstrip("\n")
        lines.append(f"{line}  # {origins[name]}" if name in origins else line)
    return "\n".join(lines) + "\n"


def load_config(path: Path) -> Config:
    """Return the configuration that `save_config` wrote; UserError if the file is damaged or impossible.

    Settings that it lacks are the defaults: files of older versions lack some.
    """
    config = config_from_layer(layer_from_toml(path))
    validate(config, {name: str(path) for name in flatten(config)})
    return config


def load_resolved_config(path: Path) -> Config:
    """Return the configuration in `path`, which must have every setting; UserError if not, as in `load_config`."""
    given = layer_from_toml(path)
    missing = [name for name in field_types() if name not in given]
    if missing:
        raise UserError(
            f"{path} is no resolved configuration (it lacks {len(missing)} settings, such as {missing[0]}); to change "
            "some settings use --experiment FILE"
        )
    return load_config(path)


def config_hash(config: Config) -> str:
    """Return 10 hexadecimal digits that differ when runs of two configurations must not be mixed.

    The key of a run's checkpoint folder: the same command finds its checkpoints again. Limits, logging,
    evaluation and the numbers fitted to cores and memory have no part in it.
    """
    hashed = {
        name: value
        for name, value in flatten(config).items()
        if name not in _NOT_HASHED and not name.startswith(_NOT_HASHED_SECTIONS)
    }
    return hashlib.sha256(json.dumps(hashed, sort_keys=True).encode()).hexdigest()[:10]


def profile_names() -> list[str]:
    """Return the names of the shipped hardware profiles, sorted."""
    return sorted(path.stem for path in _profile_folder().glob("*.toml"))


def profile_path(name: str) -> Path:
    """Return the file of a hardware profile, by its name or by the path of a TOML file of your own."""
    if name.endswith(".toml"):
        return Path(name)
    if name not in profile_names():
        choices = [AUTO_PROFILE, SHIPPED_PROFILE, *profile_names(), NO_PROFILE]
        raise UserError(
            f"unknown hardware profile '{name}'{did_you_mean(name, choices, cutoff=0.7)} "
            f"(choose {', '.join(choices)}, or give the path of a .toml file)"
        )
    return _profile_folder() / f"{name}.toml"


def _profile_folder() -> Path:
    """Return `alphazero/profiles`, which an installed package has, or else the repository's `profiles`."""
    package = Path(__file__).parent
    packaged = package / "profiles"
    return packaged if packaged.is_dir() else package.parent / "profiles"


def _find_profile(profile: str, hardware: Hardware | None, device: str) -> tuple[str, Path | None, str]:
    """Return name, file and reason of the hardware profile; `device` is inference.device, if given."""
    if profile == NO_PROFILE:
        return NO_PROFILE, None, "no hardware profile, as requested: defaults, not fitted to this machine"
    if profile in (AUTO_PROFILE, SHIPPED_PROFILE):
        assert hardware is not None
        name, reason = choose_profile(hardware, device)
        return name, profile_path(name), reason
    path = profile_path(profile)
    name = path.stem
    ours = [profile_path(each) for each in profile_names()]
    ours += [] if hardware is None else [tuned_profile_path(hardware)]
    # One of the user's own may have a name of ours.
    if path.resolve() not in [each.resolve() for each in ours]:
        settings = json.dumps(_profile_layer(path), sort_keys=True)
        name += f"-{hashlib.sha256(settings.encode()).hexdigest()[:6]}"
    return name, path, f"hardware profile '{name}', as requested"


def _require_profile_there(profile: str, experiment: Path | None) -> None:
    """Raise UserError if an experiment is for a profile that is none of those shipped, as one of `autotune` is."""
    if profile.endswith(".toml") or profile in (AUTO_PROFILE, SHIPPED_PROFILE, NO_PROFILE, *profile_names()):
        return
    raise UserError(
        f"{experiment}: hardware_profile is {profile!r}, which is no shipped one ({', '.join(profile_names())}); add "
        "--profile none to take its settings as they are, or --profile FILE.toml"
    )


def _profile_layer(path: Path) -> Layer:
    """Return the settings of a hardware profile, over those of the shipped one that it is based on."""
    profile = read_profile(path)
    if not profile.based_on:
        return profile.settings
    if profile.based_on not in profile_names():
        raise UserError(
            f"{path}: based_on is {profile.based_on!r}, but must be a shipped hardware profile "
            f"({', '.join(profile_names())}); correct it, or run `alphazero autotune` again"
        )
    return {**layer_from_toml(profile_path(profile.based_on)), **profile.settings}


def _tuned_profile(hardware: Hardware, shipped: str, config: Config) -> tuple[Path | None, str]:
    """Return the tuned profile that goes before the one called `shipped`, and what to say about it.

    `config` is what would be run without it; None: there is no tuned profile, or it is for something else.
    """
    path = tuned_profile_path(hardware)
    if not path.exists():
        return None, ""
    profile = read_profile(path)
    problem = mismatch(profile.tuned_for, surroundings(hardware, config))
    if profile.based_on != shipped:
        problem = f"it is based on '{profile.based_on}'"
    if problem:
        return None, f"; {path.as_posix()} is passed over: {problem}"
    return path, f"; tuned for this machine, game and network by {path.as_posix()}, which goes before it"


def _merge(layers: Mapping[Origin, Layer]) -> tuple[Layer, dict[str, Origin]]:
    """Return the last value given for each field, and the layer that gave it."""
    values: Layer = {}
    origins: dict[str, Origin] = {}
    for origin, layer in layers.items():
        values |= layer
        origins |= dict.fromkeys(layer, origin)
    return values, origins


def _overridden(layers: Mapping[Origin, Layer]) -> tuple[str, ...]:
    """Return a sentence for each value that an explicit layer changed from what stood below it."""
    sentences = {}
    below: dict[str, tuple[Value, Origin]] = {}
    for origin, layer in layers.items():
        for name, value in layer.items():
            old = below.get(name)
            if origin in (Origin.EXPERIMENT, Origin.COMMAND_LINE) and old is not None and old[0] != value:
                sentences[name] = f"{name} = {_text(value)} ({origin}) instead of {_text(old[0])} ({old[1]})"
            below[name] = (value, origin)
    return tuple(sentences.values())


def _text(value: Value) -> str:
    """Return a value as TOML and the command line write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
