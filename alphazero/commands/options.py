"""Bounds of the numbers that a command's options take; what is no number at all is refused by argparse."""

from __future__ import annotations

import argparse
import math

from alphazero.errors import UserError


def require_at_least(arguments: argparse.Namespace, **smallest: float) -> None:
    """Raise UserError if an option has less than its smallest value, such as opening_moves=0, or no finite number.

    None is taken as not given.
    """
    for name, least in smallest.items():
        value = getattr(arguments, name)
        if value is not None and not least <= value < math.inf:
            raise UserError(f"{_is(name, value)}; it must be at least {least:g}")


def require_more_than_0(arguments: argparse.Namespace, *names: str, below: float = math.inf) -> None:
    """Raise UserError if one of the options `names` is not more than 0 and less than `below`; None: not given."""
    allowed = "more than 0" + ("" if below == math.inf else f" and less than {below:,.0f}")
    for name in names:
        value = getattr(arguments, name)
        if value is not None and not 0 < value < below:
            raise UserError(f"{_is(name, value)}; it must be {allowed}")


def _is(name: str, value: float) -> str:
    return f"--{name.replace('_', '-')} is {f'{value:g}' if isinstance(value, float) else value}"
