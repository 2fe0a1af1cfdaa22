"""Tokens: messages of a fixed few bytes, written and read in one system call each.

A pipe may outlive the process at its end: a restarted actor goes on with its predecessor's. `Connection.recv_bytes`
reads a message's length, then its bytes; killed in between, a process would leave half a message to its successor. A
token is taken whole or not at all.
"""

from __future__ import annotations

import os
import struct
import sys
from multiprocessing.connection import Connection
from typing import Any


def send_token(connection: Connection, form: struct.Struct, *fields: float) -> None:
    """Write `fields` as one token; OSError if nobody is left to read it."""
    token = form.pack(*fields)
    if sys.platform == "win32":  # whose pipes carry messages, not bytes
        connection.send_bytes(token)
    else:
        os.write(connection.fileno(), token)


def receive_token(connection: Connection, form: struct.Struct) -> tuple[Any, ...]:
    """Return the fields of the next token, waiting for it; EOFError or OSError if none can come any more."""
    if sys.platform == "win32":
        return form.unpack(connection.recv_bytes())
    token = os.read(connection.fileno(), form.size)
    if not token:
        raise EOFError
    return form.unpack(token)
