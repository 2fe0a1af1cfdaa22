"""Worker processes: results in order, failures named, nothing left running."""

from __future__ import annotations

import multiprocessing
import os
import sys
from dataclasses import dataclass

import pytest

from alphazero.errors import UserError
from alphazero.evaluation.workers import EvaluationWorkerError, Report, WorkerPool


@dataclass(frozen=True)
class Square:
    number: int

    def run(self, report: Report) -> int:
        report(1)
        return self.number**2


@dataclass(frozen=True)
class Fail:
    how: str

    def run(self, report: Report) -> int:
        if self.how == "wrong input":
            raise UserError("this file is not a checkpoint")
        if self.how == "exit":
            os._exit(7)
        raise ZeroDivisionError("told to fail")


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_the_order_of_the_tasks(workers: int) -> None:
    reported: list[int] = []
    with WorkerPool(workers) as pool:
        assert pool.run([Square(i) for i in range(5)], reported.append) == [0, 1, 4, 9, 16]
        assert pool.run([Square(7)]) == [49]  # the same processes again
    assert sum(reported) == 5
    assert not multiprocessing.active_children()


@pytest.mark.skipif(sys.platform == "win32", reason="descriptors are the POSIX stand-in for it")
def test_a_worker_that_is_gone_is_missed_though_its_pipe_stays_open(no_end_of_file: None) -> None:
    with WorkerPool(1) as pool, pytest.raises(EvaluationWorkerError, match="ended with exit code 7"):
        pool.run([Fail("exit")])


@pytest.mark.parametrize(
    ("how", "error", "says"),
    [
        ("wrong input", UserError, "this file is not a checkpoint"),
        ("exception", EvaluationWorkerError, "ZeroDivisionError: told to fail"),
        ("exit", EvaluationWorkerError, "evaluation-0 ended with exit code 7"),
    ],
)
def test_a_failure_is_told_and_ends_all_workers(how: str, error: type[Exception], says: str) -> None:
    with WorkerPool(1) as pool, pytest.raises(error, match=says):
        pool.run([Fail(how)])
    assert not multiprocessing.active_children()
