"""Monte Carlo tree search: tree backends by name, and which one is best here.

    trees = make_trees("auto", num_trees, exploration_table, TreeOptions(solver=True))

All backends give the same trees (`docs/mcts_contract.md`), so that choosing one is choosing a speed.
"""

from __future__ import annotations

import importlib
import warnings
from functools import cache

from alphazero.errors import UserError, did_you_mean
from alphazero.mcts.backend import FloatArray, TreeOptions, Trees
from alphazero.mcts.self_check import TreesClass, agrees_with_reference

# Fastest first: name -> (module, class).
_BACKENDS = {
    "cython": ("alphazero.mcts.cython._trees", "CythonTrees"),
    "cpp": ("alphazero.mcts.cpp._trees", "CppTrees"),
    "python": ("alphazero.mcts.python.trees", "PythonTrees"),
}


def get_best_mcts_backend() -> str:
    """Return the name of the fastest tree backend that is built and works on this machine.

    Warns once a process if that is the pure-Python one.
    """
    best = available_backends()[0]
    if best == "python":
        _warn_that_nothing_is_compiled()
    return best


def available_backends() -> list[str]:
    """Return the names of the backends that are built and work, the fastest first; "python" always is."""
    return [name for name in _BACKENDS if _why_not(name) == ""]


def make_trees(
    backend: str, num_trees: int, exploration_table: FloatArray, options: TreeOptions | None = None
) -> Trees:
    """Return `num_trees` empty trees of the backend called `backend`, or of the best one for "auto".

    UserError if there is no such backend or if it does not work here. The other arguments: see `Trees`.
    """
    return _load(usable_backend(backend))(num_trees, exploration_table, options or TreeOptions())


def usable_backend(backend: str) -> str:
    """Return the name of a backend that works here: `backend` itself, or the best one for "auto".

    UserError if there is no such backend or if it does not work here.
    """
    if backend == "auto":
        return get_best_mcts_backend()
    if backend not in _BACKENDS:
        hint = did_you_mean(backend, ["auto", *_BACKENDS])
        raise UserError(f"unknown mcts_backend {backend!r}{hint} (known: auto, {', '.join(_BACKENDS)})")
    reason = _why_not(backend)
    if reason:
        raise UserError(f"mcts_backend {backend!r} {reason}; run `make build`, or choose 'auto'")
    return backend


def _load(name: str) -> TreesClass:
    module_name, class_name = _BACKENDS[name]
    trees_class: TreesClass = getattr(importlib.import_module(module_name), class_name)
    return trees_class


@cache
def _why_not(name: str) -> str:
    """Return why the backend cannot be used here, as the rest of a sentence; "" if it can."""
    try:
        trees_class = _load(name)
    except ModuleNotFoundError:
        return "is not built"
    except (ImportError, AttributeError) as error:
        return f"is built but cannot be loaded ({error})"
    try:
        agrees = agrees_with_reference(trees_class)
    except Exception as error:  # whatever a broken build does, the other backends stand
        return f"is built but fails its self-check ({type(error).__name__}: {error})"
    return "" if agrees else "is built but gives other trees than the reference"


@cache
def _warn_that_nothing_is_compiled() -> None:
    reasons = "; ".join(f"{name!r} {_why_not(name)}" for name in _BACKENDS if _why_not(name))
    warnings.warn(
        f"the search runs on the pure-Python tree backend, which is far slower: {reasons}. "
        "Run `make build` (it needs a C++ compiler) to get the compiled ones.",
        RuntimeWarning,
        stacklevel=3,
    )
