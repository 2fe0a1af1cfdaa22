"""Where a result came from: code, libraries, machine, command, time. Imports neither torch nor numpy."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import alphazero

SOURCE_SUFFIXES = frozenset({".py", ".pyx", ".pxd", ".h", ".hpp", ".cpp"})
LIBRARIES = (
    "torch",
    "openvino",
    "numpy",
    "Cython",
    "pandas",
    "snakemake",
    "safetensors",
    "nvidia-ml-py",
    "tensorboard",
)


def collect_provenance() -> dict[str, Any]:
    """Return what is needed to make a result again, ready for JSON.

    Keys: `version` of the suite, `commit` and `dirty` (None where the package is not a git checkout),
    `source_hash`, `python`, `libraries` (name to version; None where not installed), `platform`, `machine`,
    `command` (the words of the command line), `time_utc` (ISO 8601).
    """
    package = package_folder()
    commit, dirty = git_state(package)
    return {
        "version": _version("alphazero-suite"),
        "commit": commit,
        "dirty": dirty,
        "source_hash": source_hash(package),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "libraries": {name: _version(name) for name in LIBRARIES},
        "platform": platform.platform(),
        "machine": platform.machine(),
        "command": [_program(Path(sys.argv[0])), *sys.argv[1:]],
        "time_utc": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def package_folder() -> Path:
    """Return the folder of the `alphazero` package that is imported."""
    return Path(next(iter(alphazero.__path__)))


def source_root() -> Path:
    """Return the folder that the package lies in; the paths that `alphazero.workflow` hashes are relative to it."""
    return package_folder().parent


def source_hash(package: Path) -> str:
    """Return the SHA-256, as hex, over the names and contents of the package's own sources.

    The same on every system: forward slashes, newlines as LF, sorted by name. C++ that Cython generated
    (a .cpp beside a .pyx of the same name) does not count.
    """
    digest = hashlib.sha256()
    files = {
        path.relative_to(package).as_posix(): path
        for path in package.rglob("*")
        if path.suffix in SOURCE_SUFFIXES
        and not (path.suffix == ".cpp" and path.with_suffix(".pyx").exists())
    }
    for name in sorted(files):
        content = files[name].read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()


def git_state(package: Path) -> tuple[str | None, bool | None]:
    """Return (commit, whether tracked files differ from it); (None, None) where git does not track `package`.

    An installed package may lie in a virtual environment inside somebody else's repository: that
    repository's commit says nothing about it.
    """
    if _git(package, "ls-files", "--error-unmatch", "__init__.py") is None:
        return None, None
    commit = _git(package, "rev-parse", "HEAD")
    status = _git(package, "status", "--porcelain", "--untracked-files=no")
    return commit, None if status is None else bool(status)


def _program(path: Path) -> str:
    """Return the program's name; for `python -m alphazero`, whose path ends in __main__.py, the package's."""
    return path.parent.name if path.name == "__main__.py" else path.name


def _git(folder: Path, *arguments: str) -> str | None:
    """Return what git printed, stripped; None if there is no git or it failed."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *arguments], capture_output=True, text=True, timeout=20, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None
