"""Tokens are taken whole or not at all, whenever their reader is killed."""

import contextlib
import multiprocessing
import os
import signal
import struct
import subprocess
import sys

import pytest

from alphazero.selfplay.transport.tokens import receive_token, send_token

FORM = struct.Struct("<iqi")
READER = """
import sys
from multiprocessing.connection import Connection
from alphazero.selfplay.transport.tokens import receive_token
import struct
connection = Connection(int(sys.argv[1]))
while True:
    receive_token(connection, struct.Struct("<iqi"))
"""


def test_fields_come_as_they_were_sent_and_in_order() -> None:
    ours, theirs = multiprocessing.Pipe()
    for number in range(3):
        send_token(ours, FORM, number, -(2**60), number + 1)
    assert [receive_token(theirs, FORM) for _ in range(3)] == [(n, -(2**60), n + 1) for n in range(3)]
    send_token(theirs, FORM, 1, 2, 3)
    assert receive_token(ours, FORM) == (1, 2, 3)


def test_the_other_end_is_gone() -> None:
    ours, theirs = multiprocessing.Pipe()
    theirs.close()
    with pytest.raises(OSError):
        send_token(ours, FORM, 1, 2, 3)
    with pytest.raises((EOFError, OSError)):
        receive_token(ours, FORM)


@pytest.mark.skipif(sys.platform == "win32", reason="there is no SIGKILL, and pipes carry messages")
def test_a_killed_reader_leaves_whole_tokens_to_its_successor() -> None:
    ours, theirs = multiprocessing.Pipe()
    sent = 0
    for _ in range(5):
        reader = subprocess.Popen(
            [sys.executable, "-c", READER, str(theirs.fileno())], pass_fds=[theirs.fileno()]
        )
        for _ in range(20_000):  # blocks while the reader is behind
            send_token(ours, FORM, 7, sent, 9)
            sent += 1
        os.kill(reader.pid, signal.SIGKILL)
        reader.wait()
    with contextlib.suppress(
        BlockingIOError
    ):  # full: the last reader was killed behind, and there are tokens to look at
        os.set_blocking(ours.fileno(), False)
        send_token(ours, FORM, 7, sent, 9)
    left = []
    while theirs.poll():
        left.append(receive_token(theirs, FORM))
    numbers = [number for _, number, _ in left]
    assert left == [(7, number, 9) for number in range(numbers[0], numbers[0] + len(left))]
    assert sent - 1 <= numbers[-1] <= sent
