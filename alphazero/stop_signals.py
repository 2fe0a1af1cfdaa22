"""Ctrl-C, SIGTERM and SIGHUP reach every process of a group; in self-play the parent alone decides what they mean.

Without this, a scheduler that ends a job (Slurm, `timeout`, a closing terminal) would kill actors and server
before their parent has asked them to stop, and the run would end as one whose processes have failed.
"""

from __future__ import annotations

import contextlib
import os
import signal
import stat
import threading
import time
from collections.abc import Iterator
from types import FrameType

HANG_UP: signal.Signals | None = getattr(signal, "SIGHUP", None)  # the terminal is gone; Windows has none
STOP_SIGNALS: tuple[signal.Signals, ...] = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
)
SAME_SIGNAL_S = 2.0


@contextlib.contextmanager
def stop_asked_by_signals(stop: threading.Event) -> Iterator[None]:
    """In here stop signals set `stop`; another one interrupts at once.

    Not if it follows closely: who ends a job often signals the process and its group, which is one wish.
    """
    first = 0.0

    def handle(signum: int, frame: FrameType | None) -> None:
        nonlocal first
        if signum == HANG_UP:
            leave_terminal()
        if not stop.is_set():
            first = time.monotonic()
            stop.set()
        elif time.monotonic() - first > SAME_SIGNAL_S:
            raise KeyboardInterrupt

    previous = {number: signal.signal(number, handle) for number in STOP_SIGNALS if is_heeded(number)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def interrupt(signum: int, frame: FrameType | None) -> None:
    """Unwind the stack, as a handler of SIGTERM or SIGHUP."""
    if signum == HANG_UP:
        leave_terminal()
    raise KeyboardInterrupt


def is_heeded(number: signal.Signals) -> bool:
    """Return whether this process is to stop at the signal: not at SIGHUP if it was started to outlive it (nohup)."""
    return number != HANG_UP or signal.getsignal(number) is not signal.SIG_IGN


def leave_terminal() -> None:
    """Send nowhere what is still printed to the terminal: it is gone, and writing to it would be an OSError."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        with contextlib.suppress(OSError):  # closed
            if stat.S_ISCHR(os.fstat(stream).st_mode):
                os.dup2(nowhere, stream)
    os.close(nowhere)


def ignore_stop_signals() -> None:
    """Let this process outlive every signal but SIGKILL; it leaves when its parent says so or is gone."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextlib.contextmanager
def stop_signals_held_back() -> Iterator[None]:
    """Start processes in here: a stop signal reaches this one afterwards, and those never.

    A new process needs a second or two until it can ignore signals itself; until then the mask that it
    inherits does. Windows has no such mask: there a process that is still starting may be ended.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    from multiprocessing import resource_tracker

    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        resource_tracker.ensure_running()  # of these it ignores all but SIGHUP, which stays blocked in it
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)  # it has unblocked some here
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
