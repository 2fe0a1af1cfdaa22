"""Trains configurations as a user would, `alphazero train`, as many at a time as the machine has room for."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from alphazero.config import Config
from alphazero.config_loading import save_config
from alphazero.errors import RunError
from alphazero.folders import MODEL_NAME

_POLL_S = 0.2
_LOG_LINES = 15  # of a failed training, shown


@dataclass(frozen=True)
class Training:
    """One run to train: a name for people, its settings, and where it goes.

    `folder` gets `settings.toml`, `log.txt`, the run folder `run` and the results `out`.
    """

    label: str
    config: Config
    folder: Path

    @property
    def results(self) -> Path:
        return self.folder / "out"

    @property
    def is_done(self) -> bool:
        return (self.results / MODEL_NAME).exists()  # what a training hands over last

    @property
    def cores(self) -> int | None:
        """Cores that the run keeps busy; None: all there are."""
        return 1 if self.config.run.single_process else None


def train_all(trainings: Sequence[Training], side_by_side: int, say: Callable[[str], None]) -> None:
    """Train all that are not done yet; runs in one process `side_by_side` at once, the others alone.

    Raises RunError with the end of the log of a training that failed, after the others were stopped.
    """
    waiting = [training for training in trainings if not training.is_done]
    running: dict[subprocess.Popen[bytes], tuple[Training, float]] = {}
    try:
        while waiting or running:
            while waiting and _fits(waiting[0], [training for training, _ in running.values()], side_by_side):
                training = waiting.pop(0)
                running[_start(training)] = (training, time.monotonic())
            time.sleep(_POLL_S)
            for process in [each for each in running if each.poll() is not None]:
                training, started = running.pop(process)
                if process.returncode != 0 or not training.is_done:
                    raise RunError(_failure(training, process.returncode))
                say(f"  {training.label}: trained in {time.monotonic() - started:.0f} s")
    finally:
        for process in running:
            process.terminate()
        for process in running:
            process.wait()


def _fits(training: Training, running: Sequence[Training], side_by_side: int) -> bool:
    if not running:
        return True
    if training.cores is None or any(each.cores is None for each in running):
        return False
    return len(running) < side_by_side


def _start(training: Training) -> subprocess.Popen[bytes]:
    training.folder.mkdir(parents=True, exist_ok=True)
    settings = training.folder / "settings.toml"
    save_config(training.config, settings)
    command = [sys.executable, "-u", "-m", "alphazero", "train", "--config", str(settings)]
    command += ["--checkpoints", str(training.folder / "run"), "--out", str(training.results)]
    command += ["--evaluate", "no"]
    # Runs side by side must not take each other's cores; torch would start a thread for each core.
    environment = {**os.environ, "OMP_NUM_THREADS": "1"} if training.cores else None
    with _log(training).open("wb") as log:
        return subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)


def _failure(training: Training, status: int) -> str:
    lines = _log(training).read_text(encoding="utf-8", errors="replace").splitlines()[-_LOG_LINES:]
    return "\n".join([f"training {training.label} ended with status {status} ({_log(training)}):", *lines])


def _log(training: Training) -> Path:
    return training.folder / "log.txt"
