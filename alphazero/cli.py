"""The `alphazero` command: one subcommand for each module in `alphazero.commands`.

A command module has `add_arguments(parser)` and `run(arguments) -> exit status`. It is imported only when it is the
one called, so that `alphazero --help` takes no time; what it is for, in a line, therefore stands in COMMANDS.
"""

from __future__ import annotations

import argparse
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from alphazero.errors import RunError, UserError
from alphazero.hardware.nvidia import number_by_bus
from alphazero.stop_signals import HANG_UP, interrupt, is_heeded

COMMANDS = {
    "detect": "show the GPUs, CPU and memory found, and the hardware profile they lead to",
    "config": "show the resolved configuration of a run, and where each value came from",
    "train": "train an agent: self-play and learning side by side",
    "evaluate": "score a checkpoint on solved positions and in matches",
    "play": "play against an agent in the terminal, or ask it about a position",
    "report": "write the self-contained HTML page of a training run",
    "measure": "measure one part of the suite by itself: tree, rules, inference, selfplay, scaling, learner",
    "rate": "rate a run's checkpoints against random play, pure MCTS of several budgets, and one another",
    "strength": "show how long runs took, all in, until their error was below given bounds",
    "quality": "test whether faster configurations train agents that are no worse",
    "benchmark": "measure what each optimization phase gives on this machine",
    "autotune": "find this machine's fastest settings of self-play, and write them as a hardware profile",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0 done, 1 failed, 2 wrong input, 130 interrupted."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a name that cannot be shown is no reason to fail
    number_by_bus(os.environ)
    try:
        arguments, module = _parse(list(sys.argv[1:] if argv is None else argv))
        with _termination_as_interrupt():
            return int(module.run(arguments))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except RunError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except MemoryError as error:
        print(
            f"error: not enough memory ({error or 'of this machine'}); ask for less at once", file=sys.stderr
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1


@contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Let SIGTERM and SIGHUP unwind the stack as Ctrl-C does.

    Killed at once, a command would leave its processes behind.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's
        return
    ends = [number for number in (signal.SIGTERM, HANG_UP) if number is not None and is_heeded(number)]
    previous = {number: signal.signal(number, interrupt) for number in ends}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _parse(argv: Sequence[str]) -> tuple[argparse.Namespace, Any]:
    """Return the arguments of the command that was called, and its module."""
    parser = argparse.ArgumentParser(
        prog="alphazero", description="AlphaZero training at the speed of the hardware."
    )
    subparsers = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    called = next((word for word in argv if word in COMMANDS), None)
    for name, summary in COMMANDS.items():
        subparser = subparsers.add_parser(
            name, help=summary, description=summary[0].upper() + summary[1:] + "."
        )
        if name == called:
            module = importlib.import_module(f"alphazero.commands.{name}")
            module.add_arguments(subparser)
    return parser.parse_args(argv), module
