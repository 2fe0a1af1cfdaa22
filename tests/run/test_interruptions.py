"""`alphazero train` as a user runs it: killed, interrupted, run twice, and run again."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.usefixtures("hang_ups_heeded")
posix_only = pytest.mark.skipif(sys.platform == "win32", reason="sends POSIX signals")

TINY = """
[network]
blocks = 1
filters = 8
[search]
simulations = 16
[inference]
engine = "frozen"
[selfplay]
games_per_actor = 8
groups = 2
[training]
batch_size = 32
replay_ratio = 1.0
min_positions = 64
checkpoint_every_minutes = 0.02
[run]
log_every_seconds = 0.5
"""
PATIENCE_S = 120


class Trainer:
    """Starts `alphazero train` on one run folder, as often as asked."""

    def __init__(self, folder: Path) -> None:
        self.run_folder = folder / "run"
        self.out = folder / "out"
        self.log = folder / "log.txt"
        self.experiment = folder / "tiny.toml"
        self.experiment.write_text(TINY, encoding="utf-8")
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str, **how: Any) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "alphazero", "train", "--profile", "none", "--game", "tic_tac_toe"]
        command += ["--experiment", str(self.experiment), "--evaluate", "no"]
        command += ["--set", "inference.placement=local", "--actors", "1"]
        command += ["--checkpoints", str(self.run_folder), "--out", str(self.out), *options]
        with self.log.open("ab") as log:
            how = {"stdout": log, "stderr": log, **how}
            process = subprocess.Popen(command, start_new_session=True, **how)
        self.processes.append(process)
        return process

    def said(self) -> str:
        return self.log.read_text(encoding="utf-8") if self.log.exists() else ""

    def steps(self) -> list[int]:
        """Steps of the checkpoints that are there."""
        return sorted(int(path.name.split("-")[1]) for path in self.run_folder.glob("step-*"))

    def wait_for(self, what: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < end, f"waited in vain; the run said:\n{self.said()}"
            time.sleep(0.05)

    def wait_for_a_trained_checkpoint(self) -> int:
        self.wait_for(lambda: bool(self.steps()) and self.steps()[-1] > 0)
        return self.steps()[-1]


@pytest.fixture
def trainer(tmp_path: Path) -> Iterator[Trainer]:
    trainer = Trainer(tmp_path)
    yield trainer
    for process in trainer.processes:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def children_of(process: subprocess.Popen[bytes], name: str) -> list[psutil.Process]:
    """The worker processes of a trainer: those started by multiprocessing's spawn, its resource tracker aside."""
    found = []
    for child in psutil.Process(process.pid).children(recursive=True):
        words = " ".join(child.cmdline())
        if "spawn_main" in words:
            found.append(child)
    assert found, name
    return found


def test_a_run_ends_with_its_results_in_place(trainer: Trainer) -> None:
    assert trainer.start("--steps", "10").wait(PATIENCE_S) == 0, trainer.said()
    summary = json.loads((trainer.out / "training.json").read_text(encoding="utf-8"))
    assert summary["steps"] == 10
    # the replay ratio is held by counting: 10 steps of 32 need 320 positions generated at ratio 1
    assert summary["positions"] >= 320
    for name in ("model.safetensors", "metrics.csv", "config.toml", "hardware.json", "provenance.json"):
        assert (trainer.out / name).stat().st_size > 0
    assert len(list((trainer.out / "weights").glob("step-*.safetensors"))) >= 2


@posix_only
def test_a_killed_actor_is_started_again_ctrl_c_saves_and_the_same_command_goes_on(trainer: Trainer) -> None:
    process = trainer.start("--set", "training.positions=1000000")
    saved = trainer.wait_for_a_trained_checkpoint()
    children_of(process, "actors")[0].kill()
    trainer.wait_for(lambda: "it was started again (1 of at most 3 times)" in trainer.said())
    trainer.wait_for(lambda: trainer.steps()[-1] > saved + 5)
    started = time.monotonic()
    process.send_signal(signal.SIGINT)
    os.killpg(process.pid, signal.SIGINT)  # as `timeout` and schedulers do: the process, and then its group
    assert process.wait(30) == 130
    assert time.monotonic() - started < 20
    assert "run the same command again to go on from here" in trainer.said()
    stopped_at = trainer.steps()[-1]

    again = trainer.start("--set", "training.positions=1000000")
    trainer.wait_for(lambda: f"going on from step {stopped_at}" in trainer.said())
    trainer.wait_for(lambda: trainer.steps()[-1] > stopped_at)
    again.send_signal(signal.SIGINT)
    assert again.wait(30) == 130


@posix_only
def test_a_closed_terminal_ends_the_run_with_a_checkpoint(trainer: Trainer) -> None:
    import fcntl
    import termios

    screen, terminal = os.openpty()
    options = ("--set", "training.positions=1000000", "--set", "training.checkpoint_every_minutes=60")
    process = trainer.start(
        *options,
        **dict.fromkeys(("stdin", "stdout", "stderr"), terminal),
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    os.set_blocking(screen, False)

    def has_trained() -> bool:
        with contextlib.suppress(BlockingIOError):
            while os.read(screen, 1 << 16):  # a full terminal would hold the run up
                pass
        metrics = trainer.run_folder / "metrics.csv"
        rows = csv.DictReader(metrics.read_text(encoding="utf-8").splitlines()) if metrics.exists() else ()
        return any(float(row["training_steps"] or 0) > 0 for row in rows)

    trainer.wait_for(has_trained)
    workers = children_of(process, "actors")
    os.close(screen)
    assert process.wait(30) == 130
    assert trainer.steps()[-1] > 0
    assert not psutil.wait_procs(workers, timeout=20)[1]


@posix_only
def test_a_run_started_to_outlive_its_terminal_does(trainer: Trainer) -> None:
    process = trainer.start(
        "--set", "training.positions=1000000", preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN)
    )
    saved = trainer.wait_for_a_trained_checkpoint()
    os.killpg(process.pid, signal.SIGHUP)
    trainer.wait_for(lambda: trainer.steps()[-1] > saved)
    trainer.wait_for(lambda: trainer.steps()[-1] > saved + 1)
    assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 130
    assert "resource_tracker" not in trainer.said()


@posix_only
def test_a_hang_up_of_all_processes_is_an_orderly_stop(trainer: Trainer) -> None:
    process = trainer.start("--set", "training.positions=1000000")
    trainer.wait_for_a_trained_checkpoint()
    os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(30) == 130
    assert "run the same command again to go on from here" in trainer.said()
    assert "Traceback" not in trainer.said() and "resource_tracker" not in trainer.said()


@posix_only
def test_a_second_run_is_refused_and_a_killed_one_leaves_no_process_and_loses_no_checkpoint(
    trainer: Trainer,
) -> None:
    process = trainer.start("--set", "training.positions=1000000")
    trainer.wait_for(lambda: (trainer.run_folder / "config.toml").exists())
    assert trainer.start("--set", "training.positions=1000000").wait(60) == 2
    assert str(process.pid) in trainer.said()
    saved = trainer.wait_for_a_trained_checkpoint()
    workers = children_of(process, "actors")
    process.kill()
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive
    again = trainer.start("--set", "training.positions=1000000")
    trainer.wait_for(lambda: "going on from step" in trainer.said())
    trainer.wait_for(lambda: trainer.steps()[-1] > saved)
    again.send_signal(signal.SIGTERM)
    assert again.wait(30) == 130


@posix_only
def test_a_killed_server_ends_the_run_with_a_message_and_the_run_goes_on_later(trainer: Trainer) -> None:
    options = ("--set", "training.positions=1000000", "--set", "inference.placement=server")
    process = trainer.start(*options)
    saved = trainer.wait_for_a_trained_checkpoint()
    # the server is started first
    min(children_of(process, "server"), key=lambda child: child.create_time()).kill()
    assert process.wait(60) == 1
    assert "the inference server ended without a message (killed by SIGKILL)" in trainer.said()
    again = trainer.start(*options)
    trainer.wait_for(lambda: "going on from step" in trainer.said())
    trainer.wait_for(lambda: trainer.steps()[-1] > saved)
    again.send_signal(signal.SIGINT)
    assert again.wait(30) == 130


@posix_only
def test_a_damaged_checkpoint_is_named_and_nothing_is_overwritten(trainer: Trainer) -> None:
    assert trainer.start("--single-process", "--steps", "5").wait(PATIENCE_S) == 0, trainer.said()
    newest = sorted(trainer.run_folder.glob("step-*"))[-1]
    (newest / "replay.npz").write_bytes(b"half")
    assert trainer.start("--single-process", "--steps", "10").wait(60) == 2
    last_line = trainer.said().splitlines()[-1]
    assert "replay.npz" in last_line and "delete the folder" in last_line
    assert (newest / "replay.npz").read_bytes() == b"half"
