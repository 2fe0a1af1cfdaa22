"""Windows as they were measured, a line of JSON each, in a file that outlives a killed measurement."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from alphazero.errors import UserError

SELFPLAY, LEARNER, CEILING = "selfplay", "learner", "ceiling"


@dataclass(frozen=True)
class WindowRow:
    """One window.

    Attributes:
        key: what was measured, see `variants.key_of`.
        kind: selfplay, learner or ceiling.
        label: for people.
        block: windows of one block were measured right after each other, a baseline window first.
        time_utc: when it was over, ISO 8601.
        metrics: by catalog name. For a ceiling: evaluations a second by batch size (a text).
        fills, samples: as in `Window`.
        error: why there is nothing; "" if all went well.
    """

    key: str
    kind: str
    label: str
    block: str
    time_utc: str
    seconds: float = 0.0
    metrics: dict[str, float] = field(default_factory=dict)
    engine: str = ""
    foreign_cpu: float | None = None
    fills: list[int] = field(default_factory=list)
    samples: list[dict[str, float]] = field(default_factory=list)
    error: str = ""


class WindowLog:
    """The rows in `path`, and room for more. Written by one process, whole lines at once.

    A line that a killed process left unfinished is dropped.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, list[WindowRow]] = defaultdict(list)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            text = path.read_bytes() if path.exists() else b""
            whole = text[: text.rfind(b"\n") + 1]
            if whole != text:
                os.truncate(path, len(whole))  # needs no room, unlike writing it again
        except OSError as error:
            raise self._cannot_write(error) from error
        for number, line in enumerate(whole.decode("utf-8").splitlines(), 1):
            self._remember(self._parse(number, line))

    def append(self, row: WindowRow) -> None:
        """Write one row to the disk; UserError if that cannot be done."""
        try:
            with self._path.open("ab") as file:
                file.write((json.dumps(asdict(row)) + "\n").encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise self._cannot_write(error) from error
        self._remember(row)

    def measured(self, key: str) -> list[WindowRow]:
        """Return the windows of `key` that went well, in the order in which they were measured."""
        return [row for row in self._rows[key] if not row.error]

    def last(self, key: str) -> WindowRow | None:
        """Return the newest row of `key`, which may be a failure; None if there is none."""
        return self._rows[key][-1] if self._rows[key] else None

    def _remember(self, row: WindowRow) -> None:
        self._rows[row.key].append(row)

    def _parse(self, number: int, line: str) -> WindowRow:
        try:
            values: dict[str, Any] = json.loads(line)
            return WindowRow(**values)
        except (ValueError, TypeError) as error:
            raise UserError(
                f"{self._path}: line {number} is no window of this version ({error}); "
                "delete the file to measure afresh"
            ) from error

    def _cannot_write(self, error: OSError) -> UserError:
        return UserError(
            f"{self._path} cannot be written ({error.strerror or error}); make room or change its "
            f"permissions, "
            "then run the same command again: the windows measured so far are kept"
        )
