"""Imports extension modules whose work Python can do as well, only slower."""

from __future__ import annotations

import importlib
import warnings
from types import ModuleType


def compiled_module(full_name: str) -> ModuleType | None:
    """Return the extension module called `full_name`, or None if it is not built.

    None, too, and a RuntimeWarning, if it is built and cannot be loaded (for another Python, say, or without a library
    that it needs).
    """
    try:
        return importlib.import_module(full_name)
    except ImportError as error:
        if not (isinstance(error, ModuleNotFoundError) and error.name == full_name):
            warnings.warn(
                f"{full_name} is built but cannot be loaded ({error}); slower Python does its work. "
                "Run `make build` again.",
                RuntimeWarning,
                stacklevel=2,
            )
        return None
