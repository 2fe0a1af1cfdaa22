"""What a person who waits for an evaluation reads."""

from __future__ import annotations

import pytest

from alphazero.commands.progress_lines import ProgressLines


def test_progress_says_start_end_and_not_everything_between(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter(range(100))
    lines = ProgressLines(every_seconds=5.0, clock=lambda: float(next(times)))
    for done in range(11):
        lines("games", done, 10)
    lines("games", 10, 10)
    said = capsys.readouterr().err.split("\n")[:-1]
    assert said == ["games: 0 of 10", "games: 5 of 10", "games: 10 of 10"]
