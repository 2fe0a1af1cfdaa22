"""`metrics.csv` and TensorBoard events: one row every few seconds, for the whole life of a run."""

from __future__ import annotations

import contextlib
import csv
import io
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tensorboard.compat.proto.event_pb2 import Event, SessionLog
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.summary.writer.event_file_writer import EventFileWriter

from alphazero.errors import UserError
from alphazero.folders import replace_when_free
from alphazero.metrics.catalog import ROW_METRICS, check_names

CSV_NAME = "metrics.csv"
TENSORBOARD_FOLDER = "tensorboard"


class MetricsWriter:
    """Appends rows to `folder/metrics.csv` and events to `folder/tensorboard/`.

    A row is handed to the operating system whole and at once, so a killed run loses at most the row it was
    writing; resuming drops such a half line. Rows written after the checkpoint that a run resumes from stay:
    counters may step back there, `run_time_s`, which the writer fills in by itself, never does.

    Owned by one process, used by one thread, closed by its owner.
    """

    def __init__(
        self, folder: Path, resume: bool = False, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Open the files.

        Args:
            folder: the run folder; created where missing.
            resume: go on with the metrics.csv of the folder, if there is one.
            clock: seconds, monotonic.

        Raises:
            UserError: the folder cannot be written, or has a metrics.csv and `resume` is false.
        """
        self._clock = clock
        self._path = folder / CSV_NAME
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if self._path.exists() and not resume:
                raise UserError(
                    f"{self._path} belongs to an earlier run; resume that run or choose another folder"
                )
            self._columns, last_row_s = _repair(self._path)
            self._file = self._path.open("ab")
            self._events = EventFileWriter(str(folder / TENSORBOARD_FOLDER))
        except OSError as error:
            raise UserError(
                f"cannot write metrics to {folder}: {error.strerror}; choose another folder"
            ) from error
        self._start = clock() - (last_row_s or 0.0)
        self._resumed = last_row_s is not None

    @property
    def run_time_s(self) -> float:
        """Seconds the run has been going, counting its earlier parts up to their last row."""
        return self._clock() - self._start

    def write(self, metrics: Mapping[str, float | None]) -> None:
        """Append one row; None and absent names become empty cells.

        Args:
            metrics: values by catalog name; `run_time_s` is the writer's own.

        Raises:
            UnknownMetricError: a name that the catalog lacks.
            ValueError: `run_time_s`, or a metric that is not measured row by row.
        """
        check_names(metrics)
        for name in metrics:
            if name == "run_time_s" or name not in ROW_METRICS:
                raise ValueError(f"'{name}' is not for the caller to put in a row of {CSV_NAME}")
        row = {**metrics, "run_time_s": round(self.run_time_s, 3)}
        self._file.write(_csv_line([_cell(row.get(name)) for name in self._columns]))
        self._file.flush()
        self._write_events(row)

    def close(self) -> None:
        """Flush and close both; a second call does nothing."""
        if not self._file.closed:
            self._file.close()
            self._events.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self.close()
            return
        # On a full disk closing tries again to write what could not be written: what went wrong was said already.
        for file in (self._file, self._events):
            with contextlib.suppress(OSError):
                file.close()

    def _write_events(self, row: Mapping[str, float | None]) -> None:
        """Write one event for the row, at the step that is the number of positions generated."""
        step = int(row.get("positions") or 0)
        now = time.time()
        if self._resumed:
            # TensorBoard then hides what the interrupted part wrote after its last checkpoint.
            self._resumed = False
            log = SessionLog(status=SessionLog.START)
            self._events.add_event(Event(wall_time=now, step=step, session_log=log))
        summary = Summary(
            value=[
                Summary.Value(tag=name, simple_value=float(value))
                for name, value in row.items()
                if value is not None
            ]
        )
        self._events.add_event(Event(wall_time=now, step=step, summary=summary))
        self._events.flush()


def _repair(path: Path) -> tuple[list[str], float | None]:
    """Make `path` ready to be appended to; return its columns and the run_time_s of its last row, if any.

    Drops half lines. Where the catalog has grown since the file was begun, the file gets the new columns;
    columns that the catalog no longer has are kept. Replaces the file in one step or not at all.
    """
    old = path.read_bytes() if path.exists() else b""
    whole = old[: old.rfind(b"\n") + 1].decode("utf-8", errors="replace")
    lines = list(csv.reader(io.StringIO(whole)))
    header = lines[0] if lines else []
    rows = [dict(zip(header, line, strict=True)) for line in lines[1:] if len(line) == len(header)]
    rows = [row for row in rows if _is_number(row.get("run_time_s", ""))]
    columns = [*ROW_METRICS, *(name for name in header if name not in ROW_METRICS)]
    new = _csv_line(columns) + b"".join(_csv_line([row.get(name, "") for name in columns]) for row in rows)
    if new != old:
        temporary = path.with_name(path.name + ".new")
        temporary.write_bytes(new)
        replace_when_free(temporary, path)
    return columns, float(rows[-1]["run_time_s"]) if rows else None


def _csv_line(cells: list[str]) -> bytes:
    return (",".join(cells) + "\n").encode()


def _cell(value: float | None) -> str:
    """Return the shortest text that reads back as the same number; empty for None."""
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, int) else repr(float(value))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
