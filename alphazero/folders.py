"""Folders that results are written to."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alphazero.errors import UserError

MODEL_NAME = "model.safetensors"  # the agent of a run, in its results folder

_PATIENCE_S = 10.0
_RETRY_S = 0.1


def workflow_folder(name: str) -> Path:
    """Return `workflow/<name>` of the repository, or what an installed package has of it (`setup.py`)."""
    package = Path(__file__).parent
    packaged = package / "workflow_files" / name
    return packaged if packaged.is_dir() else package.parent / "workflow" / name


def require_writable(folder: Path, advice: str) -> None:
    """Make `folder` and see that it can be written, before anything is measured that could be lost.

    Raises UserError, ending in `advice`, if not.
    """
    probe = folder / ".writable"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror}; {advice}") from error


def require_writable_file(file: Path, advice: str) -> None:
    """See that `file` can be written, as `require_writable` does for a folder."""
    if file.is_dir():
        raise UserError(f"{file} is a folder, and a file is to be written there; {advice}")
    require_writable(file.parent, advice)


def replace_when_free(source: Path, target: Path) -> None:
    """Rename `source` to `target`; on Windows wait up to 10 s for those who look into what was just written.

    A virus scanner or an indexer that has a file open keeps it, and the folders that it lies in, from being renamed.
    """
    give_up_at = time.perf_counter() + (_PATIENCE_S if sys.platform == "win32" else 0.0)
    while True:
        try:
            source.replace(target)
            return
        except PermissionError:
            if time.perf_counter() >= give_up_at:
                raise
        time.sleep(_RETRY_S)


@contextmanager
def writing_results(
    place: Path, advice: str = "make room there, or choose another --out, and run the same command again"
) -> Iterator[None]:
    """Turn what goes wrong while `place`, a folder or a file, is written to into a UserError that ends in `advice`."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {place}: {error.strerror or error}; {advice}") from error


def write_text(file: Path, text: str, advice: str) -> None:
    """Write `text` to `file`, whose folder is made if need be; UserError, ending in `advice`, if that fails."""
    with writing_results(file, advice):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8", newline="\n")


def write_whole(file: Path, text: str, advice: str) -> None:
    """Write `text` as `write_text` does, whole or not at all: what `file` held before stays until then."""
    temporary = file.with_name(file.name + ".new")
    with writing_results(file, advice):
        file.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(text, encoding="utf-8", newline="\n")
        replace_when_free(temporary, file)
