"""A pool of processes that share out evaluation work, and say so clearly when one of them dies."""

from __future__ import annotations

import multiprocessing
import signal
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, Protocol, TypeVar

from alphazero.connections import Waitable, has_more, wait
from alphazero.errors import RunError, UserError

Result = TypeVar("Result")
Outcome = TypeVar("Outcome", covariant=True)
Report = Callable[[int], None]


class Task(Protocol[Outcome]):
    """A piece of work; picklable, so that it can be done in another process."""

    def run(self, report: Report) -> Outcome:
        """Do the work and return its result; `report(n)` says that n more of its parts are done."""
        ...


class EvaluationWorkerError(RunError):
    """A worker process failed or died; the message says which, how, and shows its traceback."""


class WorkerPool:
    """Processes started afresh (spawn), each doing one task at a time.

    With no workers, tasks are done one after the other in the calling process: the choice for a GPU, which
    one process can keep busy. Owned by one thread; use it in a `with` block, which ends all processes.
    """

    def __init__(self, workers: int) -> None:
        self.workers = workers
        self._processes: list[tuple[BaseProcess, Connection]] = []

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def run(self, tasks: Sequence[Task[Result]], report: Report | None = None) -> list[Result]:
        """Return the tasks' results in their order.

        report: called with the number of parts done since the last call.
        Raises UserError if a task found wrong input, EvaluationWorkerError if it failed or its process died.
        """
        report = report or (lambda parts: None)
        if self.workers == 0:
            return [task.run(report) for task in tasks]
        self._start(min(self.workers, len(tasks)))
        try:
            return self._share_out(tasks, report)
        except BaseException:
            self.close()  # what the others are doing is of no use any more
            raise

    def close(self) -> None:
        """End all processes at once, whatever they are doing."""
        for process, connection in self._processes:
            connection.close()
            process.terminate()
        for process, _ in self._processes:
            process.join()
        self._processes = []

    def _start(self, count: int) -> None:
        context = multiprocessing.get_context("spawn")
        while len(self._processes) < count:
            ours, theirs = context.Pipe()
            name = f"evaluation-{len(self._processes)}"
            process = context.Process(target=worker_main, args=(theirs,), name=name, daemon=True)
            process.start()
            theirs.close()
            self._processes.append((process, ours))

    def _share_out(self, tasks: Sequence[Task[Result]], report: Report) -> list[Result]:
        results: dict[int, Result] = {}
        waiting = iter(enumerate(tasks))
        doing: dict[Connection, tuple[int, BaseProcess]] = {}

        def hand_out(process: BaseProcess, connection: Connection) -> None:
            following = next(waiting, None)
            if following is None:
                return
            doing[connection] = (following[0], process)
            try:
                connection.send(following[1])
            except OSError:
                raise _death(process) from None

        for process, connection in self._processes:
            hand_out(process, connection)
        while doing:
            ended = {process.sentinel: connection for connection, (_, process) in doing.items()}
            ends: list[Waitable] = [*doing, *ended]
            for ready in wait(ends):
                if isinstance(ready, int):
                    if ended[ready] in doing and not has_more(ended[ready]):
                        raise _death(doing[ended[ready]][1])
                    continue
                index, process = doing[ready]
                try:
                    kind, content = ready.recv()
                except (EOFError, OSError):
                    raise _death(process) from None
                if kind == "progress":
                    report(content)
                elif kind == "result":
                    results[index] = content
                    del doing[ready]
                    hand_out(process, ready)
                elif kind == "wrong input":
                    raise UserError(content)
                else:
                    raise EvaluationWorkerError(f"{process.name} failed:\n{content}")
        return [results[index] for index in range(len(tasks))]


def _death(process: BaseProcess) -> EvaluationWorkerError:
    process.join(timeout=5.0)
    code = process.exitcode
    if code is not None and code < 0:
        how = f"was killed by signal {-code}"
        if hasattr(signal, "SIGKILL") and -code == signal.SIGKILL:
            how += " (SIGKILL: often the system, out of memory; try fewer --workers)"
    else:
        how = f"ended with exit code {code}"
    return EvaluationWorkerError(f"{process.name} {how} in the middle of its work; evaluate again")


def worker_main(connection: Connection) -> None:
    """Do the tasks that come through `connection`, one thread of torch each, until it closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers itself
    import torch

    torch.set_num_threads(1)

    def report(parts: int) -> None:
        connection.send(("progress", parts))

    try:
        while True:
            task: Task[Any] = connection.recv()
            connection.send(_outcome(task, report))
    except (EOFError, OSError):
        return  # the parent closed the connection, or is gone


def _outcome(task: Task[Any], report: Report) -> tuple[str, Any]:
    try:
        return "result", task.run(report)
    except UserError as error:
        return "wrong input", str(error)
    except (BrokenPipeError, ConnectionResetError):
        raise
    except BaseException:
        return "failure", traceback.format_exc()
