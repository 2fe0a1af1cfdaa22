"""One run a folder, and a dead run's lock is no lock."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from alphazero.benchmark.session import one_measurement_at_a_time
from alphazero.errors import UserError
from alphazero.run_lock import RunLock

ROOT = Path(__file__).parents[1]

# Takes the lock, says so, and waits until it is killed.
HOLD_THE_LOCK = """
import os, sys, time
from pathlib import Path
from alphazero.run_lock import RunLock
lock = RunLock(Path(sys.argv[1]))
lock.acquire()
print(os.getpid(), flush=True)
time.sleep(600)
"""


def test_second_run_is_refused_with_the_first_ones_process_id(tmp_path: Path) -> None:
    with RunLock(tmp_path), pytest.raises(UserError, match=rf"another run \(process {os.getpid()} on"):
        RunLock(tmp_path).acquire()


def test_lock_can_be_taken_again_after_release(tmp_path: Path) -> None:
    for _ in range(2):
        with RunLock(tmp_path / "run"):
            pass


def test_a_file_system_without_locks_gives_a_warning_and_no_lock(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(file: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("alphazero.run_lock._lock", refuse)
    for _ in range(2):
        with RunLock(tmp_path):
            assert str(os.getpid()) in (tmp_path / "run.lock").read_text(encoding="utf-8")
    assert capsys.readouterr().err.count("cannot be locked (No locks available)") == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_takes_the_lock_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "run.lock").symlink_to("/dev/full")
    with RunLock(tmp_path):
        pass


def test_lock_of_a_killed_process_is_free(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLD_THE_LOCK, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout is not None
        process_id = int(holder.stdout.readline())  # on Windows, of a virtual environment, not `holder`'s own
        try:
            with pytest.raises(UserError, match=f"process {process_id} on"):
                RunLock(tmp_path).acquire()
        finally:
            os.kill(process_id, getattr(signal, "SIGKILL", signal.SIGTERM))
        holder.wait()
        with RunLock(tmp_path):
            pass


def test_folder_that_cannot_be_written_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="choose another results folder"):
        RunLock(tmp_path / "file").acquire()


def test_another_users_lock_can_be_taken_and_only_a_held_one_says_that_somebody_measures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alphazero.benchmark.session.shared_temporary_folder", lambda: tmp_path)
    folder = tmp_path / "alphazero-measuring"
    with one_measurement_at_a_time():
        with pytest.raises(UserError, match="another measurement is going on"), one_measurement_at_a_time():
            pass
        if os.name == "posix":
            assert folder.stat().st_mode & 0o777 == 0o777
            assert (folder / "run.lock").stat().st_mode & 0o777 == 0o666
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    folder.write_text("in the way", encoding="utf-8")
    with pytest.raises(UserError, match="cannot write to"), one_measurement_at_a_time():
        pass
