"""`alphazero quality`."""

from __future__ import annotations

from pathlib import Path

import pytest

from alphazero.cli import main


@pytest.mark.parametrize("option", ["planted", "learning"])
def test_only_and_what_it_would_leave_out_altogether_are_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["quality", "measure", f"--{option}", "--only", "full", "--out", str(tmp_path / "quality.json")]
    assert main(words) == 2
    assert f"--only leaves out all that --{option} adds" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
