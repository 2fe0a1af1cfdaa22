"""Files that survive a crash: written completely and flushed to the disk before they get their name."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def write_durably(path: Path, data: bytes) -> None:
    """Write `data` to `path` and flush it to the disk. Not atomic: write under another name, then rename."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def replace_durably(source: Path, target: Path) -> None:
    """Rename `source` to `target` (a file is replaced; a folder must not be there) and flush the folder."""
    source.replace(target)
    sync_folder(target.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk. Windows has no such call, and keeps them in its journal."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
