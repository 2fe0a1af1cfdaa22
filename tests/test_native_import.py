"""Compiled modules that Python can stand in for."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from alphazero.native_import import compiled_module


def test_a_module_that_is_not_built_is_none_without_a_word(recwarn: pytest.WarningsRecorder) -> None:
    assert compiled_module("alphazero.mcts._no_such_module") is None
    assert not list(recwarn)


def test_a_module_that_loads_is_returned() -> None:
    assert compiled_module("alphazero.mcts.puct") is sys.modules["alphazero.mcts.puct"]


@pytest.mark.parametrize(
    "content", ["raise ImportError('undefined symbol: _Z3foo')", "import a_library_that_is_missing"]
)
def test_a_module_that_is_built_and_does_not_load_is_named(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_build.py").write_text(content)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.warns(RuntimeWarning, match=r"broken_build is built but cannot be loaded.*make build"):
        assert compiled_module("broken_build") is None
