"""`alphazero quality`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from alphazero.cli import main
from alphazero.commands.quality import runs_on_a_gpu
from alphazero.hardware.description import Gpu


@pytest.mark.parametrize("option", ["planted", "learning"])
def test_only_and_what_it_would_leave_out_altogether_are_refused(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["quality", "measure", f"--{option}", "--only", "full", "--out", str(tmp_path / "quality.json")]
    assert main(words) == 2
    assert f"--only leaves out all that --{option} adds" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("free_mib", "runs"), [(None, 1), (900, 1), (7_000, 4)])
def test_trainings_side_by_side_fit_into_a_gpus_memory(
    free_mib: int | None, runs: int, gpu: Callable[..., Gpu]
) -> None:
    assert runs_on_a_gpu(gpu(memory_free_mib=free_mib)) == runs
    assert runs_on_a_gpu(None) == 1
