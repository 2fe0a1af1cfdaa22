"""The display is a table on a terminal and lines elsewhere, on any encoding and width."""

import io

import pytest

from alphazero.metrics.catalog import UnknownMetricError
from alphazero.metrics.progress import Progress

METRICS = {"games": 120, "games_per_hour": 3412.0, "fill_rate": 0.913, "gpu_utilization": None}


class Terminal(io.TextIOWrapper):
    """A terminal with an encoding, such as an old Windows console's."""

    def __init__(self, encoding: str) -> None:
        self.bytes = io.BytesIO()
        super().__init__(self.bytes, encoding=encoding, write_through=True)

    def isatty(self) -> bool:
        return True

    def text(self) -> str:
        return self.bytes.getvalue().decode(self.encoding)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLORTERM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "90")
    monkeypatch.setenv("LINES", "30")


def test_a_log_gets_one_line_for_each_update_and_note() -> None:
    log = io.StringIO()
    clock = iter([0.0, 65.0, 70.0])
    with Progress("Training connect_four", stream=log, clock=lambda: next(clock)) as progress:
        progress.update(METRICS, fraction_done=0.25, seconds_left=195.0)
        progress.note("checkpoint written")
        progress.update({})
    assert log.getvalue().splitlines() == [
        "Training connect_four",
        "1 min 05 s | 25 % done | games 120 | games/hour 3,412 | fill rate 91.3 % | 3 min 15 s left",
        "checkpoint written",
        "1 min 10 s",
    ]


def test_a_terminal_gets_a_table_with_what_was_measured() -> None:
    terminal = Terminal("utf-8")
    with Progress("Training", stream=terminal) as progress:
        progress.update(METRICS, fraction_done=0.25, seconds_left=195.0)
        progress.note("warning: [brackets] stay as they are")
    text = terminal.text()
    assert "3,412" in text and "3 min 15 s left" in text
    assert "GPU" not in text
    assert "warning: [brackets] stay as they are" in text
    assert text.rstrip().endswith("\x1b[?25h")  # the cursor is back


@pytest.mark.parametrize("encoding", ["ascii", "cp1252", "cp437"])
@pytest.mark.parametrize("columns", ["20", "80"])
def test_consoles_without_utf8_and_narrow_ones_do_not_fail(
    encoding: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    terminal = Terminal(encoding)
    with Progress("Training – ε", stream=terminal) as progress:
        progress.update(METRICS, fraction_done=0.5)
        progress.note("a note – with a dash")
    assert "a note" in terminal.text()


def test_a_log_that_is_not_utf8_does_not_fail() -> None:
    log = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    with Progress("ε", stream=log) as progress:
        progress.note("–")


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal("utf-8")
    with Progress("Training", stream=terminal) as progress:
        progress.update(METRICS, fraction_done=0.5)
    assert "\x1b[9" not in terminal.text() and "\x1b[3" not in terminal.text()


def test_a_dumb_terminal_gets_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    terminal = Terminal("utf-8")
    with Progress("Training", stream=terminal) as progress:
        progress.update(METRICS)
    assert "\x1b" not in terminal.text()


def test_a_name_that_the_catalog_lacks_is_refused() -> None:
    with Progress("Training", stream=io.StringIO()) as progress, pytest.raises(UnknownMetricError):
        progress.update({"gamez": 1})
