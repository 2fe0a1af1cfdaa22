"""Build the native extensions of a clone in place, or say once and clearly why this machine cannot.

    python -m alphazero.native_build [--record FILE.json]

Exit status 0: every extension is built, or this machine has no toolchain and the pure-Python backend serves
(one warning, with the remedy). Status 1: the toolchain works and an extension does not compile; that is a
mistake in the source, never passed over. `make build` and the Snakemake rule `build_extension` call this.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from importlib import metadata
from pathlib import Path

from alphazero.metrics.provenance import source_hash
from alphazero.native_flags import build_settings

# An extension in small: what it asks of a machine is a C++20 compiler and the headers of this Python.
_PROBE_SOURCE = """\
#include <Python.h>
#include <bit>
static PyModuleDef module = {PyModuleDef_HEAD_INIT, "probe", nullptr, std::bit_cast<int>(0u), nullptr};
PyMODINIT_FUNC PyInit_probe() { return PyModule_Create(&module); }
"""
_PROBE_SETUP = """\
import sys
from setuptools import Extension, setup
import Cython
standard = "/std:c++20" if sys.platform == "win32" else "-std=c++20"
probe = Extension("probe", ["probe.cpp"], extra_compile_args=[standard], language="c++")
setup(name="probe", ext_modules=[probe])
"""


def main() -> int:
    """Build, record, and return the exit status."""
    parser = argparse.ArgumentParser(description="Build the native extensions in place.")
    parser.add_argument("--record", type=Path, help="write what was built, and with what, to this JSON file")
    arguments = parser.parse_args()
    root = clone_root()
    problem = toolchain_problem()
    if problem:
        print(warning(problem), file=sys.stderr)
    elif build(root) != 0:
        print("error: the compiler works, but an extension does not build (see above)", file=sys.stderr)
        return 1
    if arguments.record:
        arguments.record.parent.mkdir(parents=True, exist_ok=True)
        arguments.record.write_text(
            json.dumps(build_record(root, problem), indent=2) + "\n", encoding="utf-8"
        )
    return 0


def warning(problem: str) -> str:
    """Return what to tell a user whose machine cannot build."""
    return (
        f"warning: no native code on this machine ({problem}). The pure-Python backend is used: the "
        "same search, far slower. docs/install.md says what to install; then run the same command again."
    )


def clone_root() -> Path:
    """Return the folder with `setup.py`: this package's parent."""
    return Path(__file__).resolve().parent.parent


def native_sources(root: Path) -> list[Path]:
    """Return every file that a native build reads, relative to `root`, sorted."""
    package = root / "alphazero"
    found = [path for suffix in ("pyx", "pxd", "h", "hpp") for path in package.rglob(f"*.{suffix}")]
    # A .cpp beside a .pyx of the same name is what Cython wrote.
    found += [path for path in package.rglob("*.cpp") if not path.with_suffix(".pyx").exists()]
    found += [root / "setup.py", package / "native_flags.py"]
    return sorted(path.relative_to(root) for path in found)


def extension_paths(root: Path) -> list[Path]:
    """Return where each extension module lies once built, relative to `root`, sorted."""
    suffix = str(sysconfig.get_config_var("EXT_SUFFIX"))
    sources = (path.relative_to(root) for path in (root / "alphazero").rglob("*.pyx"))
    return sorted(path.with_name(path.stem + suffix) for path in sources)


def toolchain_problem() -> str | None:
    """Return why this machine cannot build extensions, or None if it can: a tiny one is built to find out."""
    folder = tempfile.mkdtemp()
    try:
        Path(folder, "probe.cpp").write_text(_PROBE_SOURCE, encoding="utf-8")
        Path(folder, "setup.py").write_text(_PROBE_SETUP, encoding="utf-8")
        tried = subprocess.run(
            [sys.executable, "setup.py", "build_ext", "--inplace"],
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",  # compilers write in the console's encoding, which need not be Python's
        )
    finally:
        shutil.rmtree(folder, ignore_errors=True)  # MSVC leaves a helper running that uses it for a while
    if tried.returncode == 0:
        return None
    lines = [line.strip() for line in (tried.stdout + tried.stderr).splitlines() if "error" in line.lower()]
    return lines[0] if lines else f"building a tiny extension ended with status {tried.returncode}"


def build(root: Path) -> int:
    """Run setup.py's build_ext in place, as many compilers at once as there are cores; return its status."""
    command = [sys.executable, "setup.py", "build_ext", "--inplace", f"-j{os.cpu_count() or 1}"]
    environment = {**os.environ, "ALPHAZERO_NATIVE": "require"}
    return subprocess.run(command, cwd=root, env=environment).returncode


def build_record(root: Path, problem: str | None) -> dict[str, object]:
    """Return what was built, and with what, or why nothing was."""
    record: dict[str, object] = {
        "native": problem is None,
        "reason": problem,
        "platform": platform.platform(),
        "python": platform.python_version(),
    }
    if problem is None:
        record |= {
            "compiler": _compiler(),
            **build_settings(),
            "cython": metadata.version("Cython"),
            "setuptools": metadata.version("setuptools"),
            "numpy": metadata.version("numpy"),
            "source_hash": source_hash(root / "alphazero"),
            "extensions": [path.as_posix() for path in extension_paths(root)],
        }
    return record


def _compiler() -> str:
    """Return the first line of the C++ compiler's own description, or the one that Python was built with."""
    command = os.environ.get("CXX") or sysconfig.get_config_var("CXX")
    if command:
        tried = subprocess.run([*shlex.split(command), "--version"], capture_output=True, text=True)
        if tried.returncode == 0:
            return tried.stdout.splitlines()[0]
    return platform.python_compiler()


if __name__ == "__main__":
    sys.exit(main())
