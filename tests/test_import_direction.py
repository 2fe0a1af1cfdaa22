"""Imports point downward, torch stays where it belongs, and importing does nothing."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "alphazero"

# From the bottom up. A module may import its own package, its own row, and every row above it in this table;
# no two packages may import each other.
LAYERS = (
    (
        "connections",
        "documents",
        "durable",
        "errors",
        "folders",
        "run_lock",
        "stop_signals",
        "source_meaning",
        "student",
        "native_flags",
        "native_import",
    ),
    ("config", "config_validation", "records", "seeding", "metrics", "hardware"),
    ("games", "mcts", "config_layers"),
    ("config_loading", "config_arguments", "tuned_profile", "network"),
    ("selfplay", "training", "evaluation"),
    ("loop", "run", "benchmark", "quality"),
    ("report", "workflow", "native_build"),
    ("commands", "cli", "__main__"),
)
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# Packages that read only what a run left in files may not reach what makes it.
READS_FILES_ONLY = {
    "report": {"documents", "errors", "metrics", "config", "config_validation", "config_layers"}
}

# Where torch may be imported; in selfplay only by those that evaluate positions or start those that do.
WITH_TORCH = ("network", "training", "evaluation", "loop", "run", "benchmark", "quality")
SELFPLAY_WITH_TORCH = (
    "engine_at_start.py",
    "inference_server.py",
    "server_process.py",
    "actor.py",
    "transport/local.py",
)


def modules() -> list[Path]:
    return sorted(path.relative_to(PACKAGE) for path in PACKAGE.rglob("*.py"))


def part_of(module: Path) -> str:
    """Return the first name below `alphazero`: `mcts/search.py` is part of `mcts`."""
    return module.parts[0].removesuffix(".py")


def imported(module: Path) -> Iterator[str]:
    """Yield the dotted name of everything that `module` imports, also inside functions."""
    for node in ast.walk(ast.parse((PACKAGE / module).read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield from (f"{node.module}.{name.name}" for name in node.names)


def imported_parts(module: Path) -> set[str]:
    names = (name.split(".") for name in imported(module))
    found = {words[1] for words in names if words[0] == "alphazero" and len(words) > 1}
    return found - {part_of(module), "__path__", "__version__"}


@pytest.mark.parametrize(
    "module", [path for path in modules() if path.name != "__init__.py" or len(path.parts) > 1]
)
def test_imports_point_downward(module: Path) -> None:
    own = part_of(module)
    assert own in LEVEL, f"{own} has no place in LAYERS yet"
    allowed = READS_FILES_ONLY.get(own) or {name for name, level in LEVEL.items() if level <= LEVEL[own]}
    assert imported_parts(module) <= allowed


def test_no_two_packages_import_each_other() -> None:
    edges = {(part_of(module), other) for module in modules() for other in imported_parts(module)}
    assert [(one, other) for one, other in edges if (other, one) in edges] == []


def test_trees_never_see_a_game_and_games_never_see_a_tree() -> None:
    assert [
        str(module) for module in modules() if part_of(module) == "games" and "mcts" in imported_parts(module)
    ] == []
    backends = [
        module
        for module in modules()
        if module.parts[:2] in {("mcts", name) for name in ("python", "cython", "cpp")}
    ]
    assert backends
    assert [str(module) for module in backends if "games" in imported_parts(module)] == []


def test_torch_is_imported_only_where_positions_are_evaluated_or_learned_from() -> None:
    with_torch = {
        module for module in modules() if any(name.split(".")[0] == "torch" for name in imported(module))
    }
    strangers = {
        module.as_posix()
        for module in with_torch
        if part_of(module) not in WITH_TORCH
        and module.as_posix() not in {f"selfplay/{name}" for name in SELFPLAY_WITH_TORCH}
    }
    assert strangers == set()


def in_a_new_process(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_the_command_line_starts_without_heavy_libraries() -> None:
    heavy = "{'torch', 'numpy', 'pandas', 'matplotlib'}"
    assert in_a_new_process(f"import sys, alphazero.cli; print({heavy} & sys.modules.keys())") == "set()"


def test_parsing_the_workflow_does_not_import_torch() -> None:
    modules = "alphazero.workflow, alphazero.hardware.probe, alphazero.native_build"
    assert in_a_new_process(f"import sys, {modules}; print('torch' in sys.modules)") == "False"


def test_importing_every_module_does_nothing() -> None:
    """No start method, no thread, no child, no changed path, no warning, nothing printed."""
    names = [
        ".".join(("alphazero", *module.with_suffix("").parts)).removesuffix(".__init__")
        for module in modules()
        if module.name != "__main__.py"
    ]
    code = f"""
import importlib, multiprocessing, sys, threading
path = list(sys.path)
for name in {names!r}:
    importlib.import_module(name)
assert multiprocessing.get_start_method(allow_none=True) is None
assert multiprocessing.active_children() == []
assert [thread.name for thread in threading.enumerate()] == ["MainThread"]
assert sys.path == path
"""
    assert in_a_new_process(code) == ""
