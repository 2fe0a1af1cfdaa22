"""Tokens are taken whole or not at all, whenever their reader is killed."""

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
    send_token(ours, FORM, 7, -1, 9)
    last = 0
    while last != -1:
        seven, number, nine = receive_token(theirs, FORM)
        assert (seven, nine) == (7, 9) and (number == -1 or 0 <= number < sent)
        last = number
