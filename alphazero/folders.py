"""Folders that results are written to."""

from __future__ import annotations

from pathlib import Path

from alphazero.errors import UserError

MODEL_NAME = "model.safetensors"  # the agent of a run, in its results folder


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
