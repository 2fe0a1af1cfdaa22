"""One layer of settings, from a TOML table or from `section.field=value`, checked as it enters.

A layer maps dotted names (`inference.batch_size`) to values of the field's type. Whatever is wrong in it
is refused with one line that names the place, what is allowed and the nearest valid name.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path

import tomli

from alphazero.config import Config
from alphazero.config_validation import Value, check_value
from alphazero.errors import UserError, did_you_mean

Layer = dict[str, Value]

# Keys that a profile or an experiment may have at its top, for people; they are no settings.
METADATA_KEYS = ("title", "description")

_TYPE_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text"}
_BOOLEANS = {"true": True, "false": False}


def layer_from_toml(path: Path) -> Layer:
    """Return the settings in the TOML file `path`; its title and description are left out."""
    table = {name: content for name, content in read_toml(path).items() if name not in METADATA_KEYS}
    return layer_from_tables(table, str(path))


def layer_from_tables(tables: Mapping[str, object], source: str) -> Layer:
    """Return the settings in nested mappings, one for each section of `Config`.

    `source` names the place in messages, such as a file. Raises UserError for an unknown table or key, a
    value of the wrong type, and an impossible value.
    """
    if not isinstance(tables, Mapping):  # what a plug-in game calls its defaults
        raise UserError(
            f"{source}: settings are a table of tables, not {type(tables).__name__}; correct it there"
        )
    layer: Layer = {}
    for section, content in tables.items():
        if section in field_types():  # the one setting outside the tables
            layer[section] = typed_value(section, content, source)
        elif section not in section_names():
            raise UserError(
                f"{source}: unknown table or key {section!r}{did_you_mean(section, _top_level_names(), cutoff=0.5)} "
                f"(tables: {', '.join(section_names())})"
            )
        elif not isinstance(content, Mapping):
            raise UserError(
                f"{source}: {section!r} is a table of settings; write it as [{section}] with a key a line"
            )
        else:
            for key, value in content.items():
                name = f"{section}.{key}"
                if name not in field_types():
                    raise UserError(f"{source}: unknown key {key!r} in [{section}]{_nearest_field(name)}")
                layer[name] = typed_value(name, value, source)
    return layer


def layer_from_overrides(overrides: Iterable[str]) -> Layer:
    """Return the settings in texts of the form `section.field=value`; of two for one field the last wins."""
    source = "command line"
    layer: Layer = {}
    for override in overrides:
        name, equals, text = (part.strip() for part in override.partition("="))
        if not equals or not name:
            raise UserError(
                f"{source}: {override!r} is no setting; write --set section.field=value, "
                "such as --set inference.batch_size=64"
            )
        if name not in field_types():
            raise UserError(f"{source}: unknown setting {name!r}{_nearest_field(name)}")
        layer[name] = _value_from_text(name, text, source)
    return layer


def typed_value(name: str, value: object, source: str) -> Value:
    """Return `value` as the type of the field `name` (a whole number will do where a number is meant)."""
    expected = field_types()[name]
    if expected is float and type(value) is int:
        value = float(value) if abs(value) < 2**1023 else str(value)
    if type(value) is not expected:
        raise UserError(
            f"{source}: {name} is {value!r}, but must be {_TYPE_WORDS[expected]}; correct it there"
        )
    result = typing.cast(Value, value)
    check_value(name, result, source)
    return result


def config_from_layer(layer: Mapping[str, Value]) -> Config:
    """Return the defaults with the settings of `layer` put over them."""
    defaults = Config()
    sections: dict[str, object] = {}
    for field in dataclasses.fields(Config):
        if field.name in field_types():
            if field.name in layer:
                sections[field.name] = layer[field.name]
            continue
        prefix = f"{field.name}."
        changes = {
            name.removeprefix(prefix): value for name, value in layer.items() if name.startswith(prefix)
        }
        sections[field.name] = dataclasses.replace(getattr(defaults, field.name), **changes)
    return Config(**sections)  # type: ignore[arg-type]  # each section's class was looked up by its name


def read_toml(path: Path) -> dict[str, object]:
    """Return the content of a TOML file; UserError if it cannot be read or is not TOML."""
    try:
        with path.open("rb") as file:
            return tomli.load(file)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise UserError(
            f"{path}: cannot be read ({reason}); give the path of a readable TOML file"
        ) from error
    except (ValueError, RecursionError) as error:  # wrong syntax or encoding, endless digits, deep nesting
        raise UserError(f"{path}: not valid TOML: {error}; correct the file") from error


@functools.cache
def field_types() -> dict[str, type]:
    """Return the type (bool, int, float or str) of every setting by its dotted name."""
    types: dict[str, type] = {"hardware_profile": str}
    for section, section_type in _section_types().items():
        hints = typing.get_type_hints(section_type)
        types.update(
            {f"{section}.{field.name}": hints[field.name] for field in dataclasses.fields(section_type)}
        )
    return types


def section_names() -> list[str]:
    """Return the names of the tables a TOML file may have, in the order of `Config`."""
    return list(_section_types())


@functools.cache
def _section_types() -> dict[str, typing.Any]:
    hints = typing.get_type_hints(Config)
    return {name: hint for name, hint in hints.items() if dataclasses.is_dataclass(hint)}


def _value_from_text(name: str, text: str, source: str) -> Value:
    expected = field_types()[name]
    value: object = text
    try:
        if expected is bool:
            value = _BOOLEANS[text.lower()]
        elif expected is not str:
            value = expected(text)
    except (KeyError, ValueError):
        pass  # left a text, which typed_value refuses in words
    return typed_value(name, value, source)


def _nearest_field(name: str) -> str:
    """Return, for an unknown dotted name, the nearest setting and what its section allows."""
    section, _, key = name.rpartition(".")
    own_keys = [known.rpartition(".")[2] for known in field_types() if known.startswith(f"{section}.")]
    allowed = f" ([{section}] has: {', '.join(own_keys)})"
    nearest = difflib.get_close_matches(key, own_keys, n=1)
    if nearest:
        return f"; did you mean '{section}.{nearest[0]}'?{allowed}"
    elsewhere = [repr(known) for known in field_types() if known.endswith(f".{key}")]
    if elsewhere:
        return f"; did you mean {' or '.join(elsewhere)}?"
    if own_keys:
        return allowed
    return f"{did_you_mean(name, field_types(), cutoff=0.5)} (sections: {', '.join(section_names())})"


def _top_level_names() -> list[str]:
    return [*section_names(), "hardware_profile", *METADATA_KEYS]
