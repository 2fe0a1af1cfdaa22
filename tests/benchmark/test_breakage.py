"""A full disk, a killed process, a planted slow-down: one clear line, or the row it belongs in; the rest is kept."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from made_up_measuring import (
    BASELINE,
    FakeMeasurer,
    made_up_profile,
    measurement,
    speed_by_games,
    write_phases,
)

from alphazero.benchmark.measurement import RealMeasurer
from alphazero.benchmark.session import Budget
from alphazero.benchmark.summary import summarise
from alphazero.benchmark.window import Window
from alphazero.benchmark.window_log import SELFPLAY, WindowLog, WindowRow
from alphazero.config import Config, NetworkConfig, SelfPlayConfig
from alphazero.documents import write_document
from alphazero.errors import UserError

HERE = Path(__file__).resolve().parent

# It measures for ever, a window every 50 ms, under the machine's lock.
MEASURES_FOR_EVER = """
import sys, time
from pathlib import Path
from made_up_measuring import BUDGET, FakeMeasurer, measurement, speed_by_games
from alphazero.benchmark import session
from dataclasses import replace
folder = Path(sys.argv[1])
session.shared_temporary_folder = lambda: folder  # a lock of its own
class Slow(FakeMeasurer):
    def selfplay(self, *arguments):
        time.sleep(0.05)
        return super().selfplay(*arguments)
with session.one_measurement_at_a_time():
    this = measurement(folder, folder / "phases", budget=replace(BUDGET, rounds=1000))
    this.run(Slow(speed_by_games), lambda text: print(text, flush=True))
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for 64 KiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only root on Linux may mount a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def row(number: int) -> WindowRow:
    return WindowRow(f"key{number}", SELFPLAY, "label", "block", "2026-01-31", metrics={"x": 1.0})


def test_on_a_full_disk_what_was_measured_is_kept_and_goes_on_once_there_is_room(small_disk: Path) -> None:
    path, ballast = small_disk / "windows.jsonl", small_disk / "ballast"
    log = WindowLog(path)
    log.append(row(0))
    with pytest.raises(OSError, match="No space"):
        ballast.write_bytes(b"0" * 100_000)
    with pytest.raises(UserError, match=r"No space left.*the windows measured so far are kept") as raised:
        for number in range(1, 1_000):
            log.append(row(number))
    assert "\n" not in str(raised.value)
    WindowLog(path)  # the unfinished line goes, though there is no room to write
    ballast.unlink()
    again = WindowLog(path)
    again.append(row(1_000))
    assert [bool(WindowLog(path).measured(f"key{number}")) for number in (0, 999, 1_000)] == [
        True,
        False,
        True,
    ]


def test_a_result_that_finds_no_room_leaves_the_old_one_whole(small_disk: Path) -> None:
    path = small_disk / "measurements.json"
    write_document({"format": 1}, path)
    old = path.read_bytes()
    with pytest.raises(UserError, match=r"No space left.*what was measured is kept"):
        write_document({"format": 1, "windows": ["x" * 100_000]}, path)
    assert path.read_bytes() == old


@pytest.mark.skipif(sys.platform == "win32", reason="kill -9")
def test_a_killed_measurement_leaves_whole_windows_and_no_lock(tmp_path: Path) -> None:
    write_phases(tmp_path / "phases")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])])}
    command = [sys.executable, "-c", MEASURES_FOR_EVER, str(tmp_path)]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(10):
            assert process.stdout.readline()
        process.send_signal(signal.SIGKILL)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as second:
        assert second.stdout is not None
        assert second.stdout.readline().startswith("round ")  # the lock went with its owner
        second.kill()
    measurer = FakeMeasurer(speed_by_games)
    this = measurement(tmp_path, tmp_path / "phases")
    this.run(measurer, lambda text: None)
    assert (summarise(this.document())["status"] != "missing").all()


def test_windows_below_a_file_are_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(UserError, match="cannot be written") as raised:
        WindowLog(tmp_path / "file" / "windows.jsonl")
    assert "\n" not in str(raised.value)


def test_a_baseline_that_fails_is_tried_once_and_the_rest_is_measured(tmp_path: Path) -> None:
    tried: list[Config] = []

    def failing(config: Config) -> float:
        if config.inference.collection == "drain" and config.selfplay.games_per_actor == 1:
            tried.append(config)
            raise RuntimeError("planted")
        return speed_by_games(config)

    this = measurement(tmp_path, write_phases(tmp_path / "phases"))
    this.run(FakeMeasurer(failing), lambda text: None)
    rows = summarise(this.document()).set_index("name")
    assert rows.loc["baseline", "status"] == "failed"
    assert rows.loc["ladder/adaptive", "windows"] == 3
    assert tried.count(this.variants[0].config) == 1


def test_no_round_is_begun_that_would_not_end_in_time(tmp_path: Path) -> None:
    said: list[str] = []
    this = measurement(tmp_path, write_phases(tmp_path / "phases"), budget=Budget(rounds=3, minutes=0.001))
    measurer = FakeMeasurer(lambda config: time.sleep(0.05) or speed_by_games(config))
    this.run(measurer, said.append)
    assert "round 2 of 3 is left out: it would not end within 0.001 minutes" in said


class SelfPlayOnly(RealMeasurer):
    """Measures self-play as it is; the learner and the ceiling are no matter here."""

    def learner(self, config: Config, budget: Budget, number: int) -> Window:
        return Window(1.0, {"training_steps_per_second": 1.0})

    def ceiling(self, config: Config, budget: Budget, number: int) -> Window:
        return Window(1.0, {"1": 1.0}, "none")


def test_a_sleep_planted_by_an_overlay_shows_in_the_row_of_its_phase(tmp_path: Path) -> None:
    """Real processes. The server sleeps 2 x 200 ms for a batch of 64 that 4 leaves in flight never fill."""
    sleeps = """
        order = 1
        title = "Sleeps"
        caption = "Planted."
        [inference]
        collection = "plan"
        min_fill = 1.0
        batch_timeout_ms = 200.0
    """
    folder = tmp_path / "phases"
    folder.mkdir()
    (folder / "baseline.toml").write_text(BASELINE.replace("actors = 4", "actors = 2"), encoding="utf-8")
    (folder / "sleeps.toml").write_text(sleeps, encoding="utf-8")
    profile = made_up_profile()
    tiny = replace(
        profile.config, network=NetworkConfig(1, 4, 2, 2, 8), selfplay=SelfPlayConfig(2, games_per_actor=2)
    )
    this = measurement(
        tmp_path,
        folder,
        resolved=replace(profile, config=tiny),
        budget=Budget(rounds=4, window_s=2.0, warm_up_s=0.2),  # of two rounds no interval of 95 % says much
        readings=("ladder",),
    )
    this.run(SelfPlayOnly(), print)
    rows = summarise(this.document()).set_index("name")
    assert rows.loc["ladder/sleeps", "status"] == "measured", rows.loc["ladder/sleeps", "reason"]
    assert rows.loc["ladder/sleeps", "speed_up"] < 0.5
    assert rows.loc["ladder/sleeps", "speed_up_high"] < 0.5
