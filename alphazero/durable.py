"""Files that survive a crash: written completely and flushed to the disk before they get their name."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path

from alphazero.folders import replace_when_free


def write_durably(path: Path, data: bytes) -> None:
    """Write `data` to `path` and flush it to the disk. Not atomic: write under another name, then rename."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        flush_to_disk(file.fileno())


def replace_durably(source: Path, target: Path) -> None:
    """Rename `source` to `target` (a file is replaced; a folder must not be there) and flush the folder."""
    replace_when_free(source, target)
    sync_folder(target.parent)


def flush_to_disk(descriptor: int) -> None:
    """Flush an open file to the disk itself: on macOS `fsync` leaves that to the drive, `F_FULLFSYNC` does not."""
    os.fsync(descriptor)
    if sys.platform == "darwin":
        import fcntl

        with contextlib.suppress(OSError):  # a file system without it
            fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk. Windows has no such call, and keeps them in its journal."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        flush_to_disk(descriptor)
    finally:
        os.close(descriptor)
