"""JSON documents that one command writes and others read: each has a format's number and its own keys."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from alphazero.errors import UserError
from alphazero.folders import write_whole


def read_document(path: Path, name: str, number: int, keys: Sequence[str], command: str) -> dict[str, Any]:
    """Return the content of `path`; UserError if it is something else than the JSON document meant.

    Args:
        name: what such a document is called, such as quality.json.
        number: its format, under the key "format".
        keys: without these it is another document, or half of one.
        command: what writes it.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); give a file of `{command}`") from error
    if not isinstance(document, dict) or document.get("format") != number:
        raise UserError(f"{path} is no {name} of format {number}; make it again with `{command}`")
    missing = [key for key in keys if key not in document]
    if missing:
        raise UserError(f"{path} is no {name}, it has no {', '.join(missing)}; give a file of `{command}`")
    return document


def write_document(document: Mapping[str, Any], path: Path) -> None:
    """Write what a session measured whole or not at all; UserError if that cannot be done."""
    advice = "make room there and run the same command again: what was measured is kept"
    write_whole(path, json.dumps(document, indent=1) + "\n", advice)
