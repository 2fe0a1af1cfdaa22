"""A command that is ended from outside takes its processes with it."""

import os
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.usefixtures("hang_ups_heeded")

# A command in place of `detect`, which starts a process as `quality` and `benchmark` do and waits for it.
COMMAND = """
import subprocess, sys
from alphazero.cli import main
from alphazero.commands import detect

def run(arguments):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    try:
        print(child.pid, flush=True)
        return child.wait()
    finally:
        child.terminate()
        child.wait()

detect.run = run
sys.exit(main(["detect"]))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
def test_a_terminated_command_ends_its_processes_first(number: str) -> None:
    with subprocess.Popen([sys.executable, "-c", COMMAND], stdout=subprocess.PIPE, text=True) as command:
        assert command.stdout is not None
        child = int(command.stdout.readline())
        os.kill(child, 0)  # it is there
        command.send_signal(getattr(signal, number))
        assert command.wait(timeout=30) == 130
    for _ in range(100):
        try:
            os.kill(child, 0)
        except ProcessLookupError:
            return
        time.sleep(0.1)
    pytest.fail("the process that the command had started is still there")
