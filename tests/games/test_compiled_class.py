"""Compiled rules that are missing, and such as are there and broken."""

from __future__ import annotations

import sys

import pytest

from alphazero.errors import UserError
from alphazero.games import native
from alphazero.games.registry import get_game


@pytest.mark.parametrize("name", ["connect_four", "chess"])
def test_rules_that_are_not_built_are_none(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, f"alphazero.games.native._{name}", None)
    assert get_game(name).native_states(1) is None


@pytest.mark.parametrize(
    "error",
    [
        ImportError("undefined symbol: _ZTV"),
        ModuleNotFoundError("No module named 'numpy'", name="numpy"),
    ],
)
def test_rules_that_cannot_be_loaded_are_an_error(
    error: ImportError, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(name: str) -> object:
        raise error

    monkeypatch.setattr(native.importlib, "import_module", fail)
    with pytest.raises(UserError, match=r"_chess are built but cannot be loaded \(.*run `make build` again"):
        get_game("chess").native_states(1)
