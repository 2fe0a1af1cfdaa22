"""Rules in C++ (headers without Python) and the extension modules that carry them across; `make build` builds them."""

from __future__ import annotations

import importlib
from typing import Any

from alphazero.errors import UserError


def compiled_class(module: str, name: str) -> Any:
    """Return the class `name` of the extension module `module` in this folder, or None if it is not built.

    UserError if it is built and cannot be loaded: going on without it would hide that the search is slow.
    """
    full_name = f"{__name__}.{module}"
    try:
        return getattr(importlib.import_module(full_name), name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == full_name:
            return None
        raise UserError(
            f"the compiled rules {full_name} are built but cannot be loaded ({error}); "
            "run `make build` again, or set search.native_rules = false"
        ) from error
