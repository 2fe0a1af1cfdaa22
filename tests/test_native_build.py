"""What a machine without a compiler is told, and what a build is made of."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from alphazero import native_build
from alphazero.folders import workflow_folder


@pytest.fixture
def no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    if os.name == "nt":
        pytest.skip("MSVC is found through the registry, not through PATH")
    monkeypatch.setenv("CC", "no-such-compiler")
    monkeypatch.setenv("CXX", "no-such-compiler")


@pytest.mark.usefixtures("no_compiler")
def test_without_a_compiler_the_build_warns_once_succeeds_and_says_so_in_its_record(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    record = tmp_path / "build.json"
    monkeypatch.setattr("sys.argv", ["native_build", "--record", str(record)])
    assert native_build.main() == 0
    output = capfd.readouterr()
    assert output.out == ""
    assert len(output.err.splitlines()) == 1
    assert "no-such-compiler" in output.err
    assert "docs/install.md" in output.err
    saved = json.loads(record.read_text(encoding="utf-8"))
    assert saved["native"] is False
    assert "no-such-compiler" in saved["reason"]


def test_each_pyx_is_one_extension_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "alphazero" / "mcts"
    folder.mkdir(parents=True)
    for name in ("_trees.pyx", "_trees.cpp", "_trees.pxd", "tree_ops.h", "kernel.cpp"):
        (folder / name).touch()
    (tmp_path / "setup.py").touch()
    [path] = native_build.extension_paths(tmp_path)
    assert path.parent == Path("alphazero/mcts")
    assert path.name.startswith("_trees.") and path.suffix in (".so", ".pyd")
    # The .cpp that Cython writes from _trees.pyx is no source.
    names = [path.name for path in native_build.native_sources(tmp_path)]
    assert sorted(names) == [
        "_trees.pxd", "_trees.pyx", "kernel.cpp", "native_flags.py", "setup.py", "tree_ops.h",
    ]  # fmt: skip


def test_a_package_has_the_files_that_commands_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = native_build.clone_root()
    command = [
        sys.executable,
        "setup.py",
        "-q",
        "egg_info",
        "--egg-base",
        str(tmp_path),
        "build",
        "--build-base",
        str(tmp_path),
        "--build-lib",
        str(tmp_path / "lib"),
    ]
    environment = {**os.environ, "ALPHAZERO_NATIVE": "skip"}
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
    package = tmp_path / "lib" / "alphazero"
    monkeypatch.setattr("alphazero.folders.__file__", str(package / "folders.py"))
    for name in ("phases", "quality"):
        packed = workflow_folder(name)
        assert packed.is_relative_to(package)
        wanted = root / "workflow" / name
        files = [
            sorted(path.relative_to(folder) for path in folder.rglob("*.toml")) for folder in (packed, wanted)
        ]
        assert files[0] == files[1] and len(files[0]) > 10
    assert {path.name for path in (package / "profiles").iterdir()} >= {"cpu.toml", "high.toml"}


def test_a_build_s_record_names_compiler_flags_versions_and_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CPPFLAGS", "-march=native")
    monkeypatch.setenv("ALPHAZERO_DEBUG_BUILD", "1")
    record = native_build.build_record(native_build.clone_root(), None)
    assert record["environment_flags"] == {
        name: os.environ[name]
        for name in ("CFLAGS", "CXXFLAGS", "CPPFLAGS", "LDFLAGS")
        if os.environ.get(name)
    }
    assert record["debug_build"] is True
    flags = record["flags"]
    assert isinstance(flags, list)
    assert "-ffp-contract=off" in flags or "/fp:precise" in flags
    assert not any("march" in flag or "fast" in flag for flag in flags)
    for name in ("compiler", "cython", "setuptools", "numpy", "python", "source_hash"):
        assert isinstance(record[name], str) and record[name]
