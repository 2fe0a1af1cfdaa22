"""Choosing a tree backend by name."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator

import numpy as np
import pytest

import alphazero.mcts as mcts
from alphazero.errors import UserError
from alphazero.mcts.python.trees import PythonTrees
from alphazero.mcts.self_check import agrees_with_reference

TABLE = np.ones(8)


@pytest.fixture
def nothing_compiled(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """As on a machine without a compiler: the extension modules cannot be imported."""
    for module in ("alphazero.mcts.cython._trees", "alphazero.mcts.cpp._trees"):
        monkeypatch.setitem(sys.modules, module, None)
    yield from fresh_caches()


@pytest.fixture
def fresh_choice() -> Iterator[None]:
    yield from fresh_caches()


def fresh_caches() -> Iterator[None]:
    caches = (mcts._why_not, mcts._warn_that_nothing_is_compiled)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def test_the_best_backend_is_the_first_available_one_and_auto_uses_it() -> None:
    best = mcts.get_best_mcts_backend()
    assert best == mcts.available_backends()[0]
    assert type(mcts.make_trees("auto", 1, TABLE)) is type(mcts.make_trees(best, 1, TABLE))


def test_python_is_always_available() -> None:
    assert mcts.available_backends()[-1] == "python"


def test_auto_falls_back_to_python_with_one_warning(nothing_compiled: None) -> None:
    with pytest.warns(RuntimeWarning, match="make build") as record:
        assert isinstance(mcts.make_trees("auto", 1, TABLE), PythonTrees)
        assert mcts.get_best_mcts_backend() == "python"
    assert len(record) == 1


def test_choosing_python_by_name_warns_of_nothing(nothing_compiled: None) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mcts.make_trees("python", 1, TABLE)


def test_a_backend_that_is_not_built_is_an_error_when_asked_for_by_name(nothing_compiled: None) -> None:
    with pytest.raises(UserError, match="'cython' is not built; run `make build`"):
        mcts.make_trees("cython", 1, TABLE)


def test_an_unknown_backend_names_the_nearest_and_all() -> None:
    with pytest.raises(UserError, match=r"did you mean 'cython'\? \(known: auto, cython, cpp, python\)"):
        mcts.make_trees("cyton", 1, TABLE)


def test_a_backend_that_gives_other_trees_is_not_used(
    monkeypatch: pytest.MonkeyPatch, fresh_choice: None
) -> None:
    class LastOfEqualScores(PythonTrees):
        def _best_edge(self, nodes, node):  # type: ignore[no-untyped-def]
            return len(node.actions) - 1

    assert agrees_with_reference(PythonTrees)
    assert not agrees_with_reference(LastOfEqualScores)
    load = mcts._load
    monkeypatch.setattr(mcts, "_load", lambda name: LastOfEqualScores if name == "cython" else load(name))
    assert "cython" not in mcts.available_backends()
    with pytest.raises(UserError, match="gives other trees than the reference"):
        mcts.make_trees("cython", 1, TABLE)


def test_a_backend_that_crashes_in_its_self_check_is_not_used(
    monkeypatch: pytest.MonkeyPatch, fresh_choice: None
) -> None:
    def broken(*_: object) -> PythonTrees:
        raise SystemError("wrong binary")

    load = mcts._load
    monkeypatch.setattr(mcts, "_load", lambda name: broken if name == "cython" else load(name))
    with pytest.raises(UserError, match=r"fails its self-check \(SystemError: wrong binary"):
        mcts.make_trees("cython", 1, TABLE)
