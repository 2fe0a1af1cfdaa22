"""One run a results folder: a lock that the operating system takes back when its process dies."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import sys
from pathlib import Path
from typing import IO, Any

from alphazero.errors import UserError

LOCK_NAME = "run.lock"
# Windows locks bytes, and nobody else may read those: lock one far beyond the text.
_LOCKED_BYTE = 1 << 20
# What a lock that somebody else has is called: EWOULDBLOCK by flock, the other two by msvcrt.locking.
_HELD = {errno.EWOULDBLOCK, errno.EACCES, errno.EDEADLK}


class LockHeld(UserError):
    """Another process has the lock."""


class RunLock:
    """Held for as long as a run writes to a folder; a context manager.

    An operating-system lock on `run.lock` (flock on POSIX, msvcrt.locking on Windows): it is gone as soon
    as its process is, also after `kill -9`. The file's text says who holds it, and is only informative. A file system
    without such locks gives a warning and no lock.

    Args:
        folder: made if it is not there.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / LOCK_NAME
        self._file: IO[bytes] | None = None

    def acquire(self) -> None:
        """Take the lock; LockHeld, naming the holder, if another run has it, UserError if the folder is read-only."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            file = self._path.open("ab+", buffering=0)
        except OSError as error:
            raise UserError(
                f"cannot write to {self._path.parent}: {error.strerror or error}; "
                "choose another results folder or change its permissions"
            ) from error
        try:
            _lock(file)
        except OSError as error:
            if error.errno in _HELD:
                holder = _holder(file)
                file.close()
                raise LockHeld(
                    f"another run{holder} is writing to {self._path.parent}; wait for it, stop it, "
                    "or choose another results folder"
                ) from error
            print(
                f"warning: {self._path} cannot be locked ({error.strerror or error}): see to it that no other run "
                "writes to that folder",
                file=sys.stderr,
            )
        with contextlib.suppress(OSError):  # a full disk
            file.seek(0)
            file.truncate()
            file.write(json.dumps({"pid": os.getpid(), "host": platform.node()}).encode())
        self._file = file

    def release(self) -> None:
        """Give the lock back; the file stays, since removing it would race with the next run."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                self._file.seek(0)
                self._file.truncate()
                _unlock(self._file)
            self._file.close()
            self._file = None

    def __enter__(self) -> RunLock:
        self.acquire()
        return self

    def __exit__(self, *exception: object) -> None:
        self.release()


def _holder(file: IO[bytes]) -> str:
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        file.seek(0)
        holder: dict[str, Any] = json.load(file)
        return f" (process {holder['pid']} on {holder['host']})"
    return ""


if sys.platform == "win32":
    import msvcrt

    def _lock(file: IO[bytes]) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)

    def _unlock(file: IO[bytes]) -> None:
        file.seek(_LOCKED_BYTE)
        msvcrt.locking(file.fileno(), msvcrt.LK_UNLCK, 1)
else:
    import fcntl

    def _lock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: IO[bytes]) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
