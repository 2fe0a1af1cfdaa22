"""What a person sees while a run goes on: a live table on a terminal, single lines in a log."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from alphazero.metrics.catalog import check_names, find_metric, format_duration, format_metric

# What is shown, in this order, as far as it was measured.
SHOWN = (
    "games",
    "positions",
    "games_per_hour",
    "simulations_per_second",
    "evaluations_per_second",
    "fill_rate",
    "inference_latency_ms",
    "gpu_utilization",
    "training_steps",
    "training_steps_per_second",
    "replay_ratio",
    "policy_loss",
    "value_loss",
    "weights_staleness_versions",
)
NARROW = 64  # columns of a terminal below which the table has one metric a row
WIDEST = 100  # columns at most: a wider table is harder to read


class Progress:
    """Shows the state of a run: `update` as often as there is news, `note` for messages, then `close`.

    On a terminal the newest state stands in a table that is redrawn in place and notes scroll by above it.
    Anywhere else (a pipe, a log, TERM=dumb) every update and every note is a line. NO_COLOR is respected,
    and what the stream cannot encode is replaced. Owned by one process, used by one thread.
    """

    def __init__(
        self, title: str, stream: TextIO | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Show `title`, on `stream` (standard output where None)."""
        self._title = title
        self._stream = sys.stdout if stream is None else stream
        self._clock = clock
        self._start = clock()
        self._console = Console(file=self._stream, highlight=False)
        self._metrics: Mapping[str, float | None] = {}
        self._fraction_done: float | None = None
        self._seconds_left: float | None = None
        self._live: Live | None = None
        if self._console.is_terminal and not self._console.is_dumb_terminal:
            self._live = Live(get_renderable=self._view, console=self._console, refresh_per_second=4)
            self._live.start()
        else:
            self._print_line(title)

    def update(
        self,
        metrics: Mapping[str, float | None],
        fraction_done: float | None = None,
        seconds_left: float | None = None,
    ) -> None:
        """Show the newest values.

        Args:
            metrics: values by catalog name; those that were not measured are left out.
            fraction_done: 0 to 1; None if it is not known.
            seconds_left: None if it is not known.

        Raises:
            UnknownMetricError: a name that the catalog lacks.
        """
        check_names(metrics)
        self._metrics, self._fraction_done, self._seconds_left = dict(metrics), fraction_done, seconds_left
        if self._live is not None:
            self._live.refresh()
        else:
            self._print_line(self._line())

    def note(self, text: str) -> None:
        """Show a message once, such as a warning or a new checkpoint."""
        if self._live is not None:
            self._console.print(Text(self._encodable(text)))
        else:
            self._print_line(text)

    def close(self) -> None:
        """Leave the last state on the terminal and give the cursor back; a second call does nothing."""
        if self._live is not None:
            self._live.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _view(self) -> RenderableType:
        """Return the table; the live display asks for it a few times a second."""
        width = min(self._console.width, WIDEST)
        times = Text(format_duration(self._clock() - self._start))
        if self._seconds_left is not None:
            times.append(f", {format_duration(self._seconds_left)} left")
        state = Table.grid(padding=(0, 1))
        if self._fraction_done is None:
            state.add_row(times)
        else:
            share = min(max(self._fraction_done, 0.0), 1.0)
            bar = ProgressBar(total=1.0, completed=share, width=max(10, width - 45), complete_style="green")
            state.add_row(bar, f"{100 * share:.0f} %", times)
        pairs = 1 if width < NARROW else 2
        table = Table.grid(padding=(0, 2))
        for _ in range(pairs):
            table.add_column(style="dim", no_wrap=True, overflow="crop")
            table.add_column(justify="right", no_wrap=True, overflow="crop", min_width=10)
        cells = self._cells()
        rows = -(-len(cells) // pairs)
        for row in range(rows):
            table.add_row(*(text for cell in cells[row::rows] for text in cell))
        return Group(Text(self._encodable(self._title), style="bold"), state, table)

    def _line(self) -> str:
        parts = [format_duration(self._clock() - self._start)]
        if self._fraction_done is not None:
            parts.append(f"{100 * self._fraction_done:.0f} % done")
        parts += [f"{label} {value}" for label, value in self._cells()]
        if self._seconds_left is not None:
            parts.append(f"{format_duration(self._seconds_left)} left")
        return " | ".join(parts)

    def _cells(self) -> list[tuple[str, str]]:
        """Return (label, value) of every metric that is shown and was measured."""
        return [
            (find_metric(name).label, format_metric(name, self._metrics[name]))
            for name in SHOWN
            if self._metrics.get(name) is not None
        ]

    def _print_line(self, text: str) -> None:
        self._stream.write(self._encodable(text) + "\n")
        self._stream.flush()

    def _encodable(self, text: str) -> str:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        return text.encode(encoding, errors="replace").decode(encoding)
