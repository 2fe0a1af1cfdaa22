"""What the command line does around every command."""

import os
import subprocess
import sys

# A command in place of `detect`, whose results lie in a folder with an accent.
COMMAND = """
import sys
from alphazero.cli import main
from alphazero.commands import detect

detect.run = lambda arguments: print("r\\xe9sultats") or 0
sys.exit(main(["detect"]))
"""


def test_a_name_that_the_terminal_cannot_show_is_escaped() -> None:
    done = subprocess.run(
        [sys.executable, "-c", COMMAND],
        env={**os.environ, "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (0, "r\\xe9sultats\n"), done.stderr
