"""Whether two complete measurements agree."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from alphazero.benchmark.agreement import compare_documents
from alphazero.cli import main
from alphazero.errors import UserError

ROWS = 24


def document(seed: int, speeds: dict[str, float] | None = None, noise: float = 0.08) -> dict[str, Any]:
    """Return a measurement of a baseline and `ROWS` rows, 4 windows each, 12 of the baseline."""
    rng = np.random.default_rng(seed)
    names = ["baseline", *(f"ladder/row{row}" for row in range(ROWS))]
    windows = []
    for place, name in enumerate(names):
        speed = 1000.0 * (1 + place) * (speeds or {}).get(name, 1.0)
        for _ in range(12 if name == "baseline" else 4):
            rate = speed * float(np.exp(noise * rng.standard_normal()))
            metrics = {"leaves_per_second": rate}
            windows.append(
                {"key": name, "kind": "selfplay", "error": "", "metrics": metrics, "block": "1-2-0-0"}
            )
    return {
        "game": "connect_four",
        "hardware_profile": "cpu",
        "simulations": 800,
        "hardware": {"machine": "a machine"},
        "provenance": {"source_hash": "code"},
        "variants": [{"name": name, "keys": {"selfplay": name}} for name in names],
        "windows": windows,
    }


def test_repeats_agree_in_all_rows_about_as_often_as_promised() -> None:
    agree = [
        all(row.agrees for row in compare_documents(document(2 * seed), document(2 * seed + 1)))
        for seed in range(60)
    ]
    assert np.mean(agree) >= 0.9


def test_a_row_that_is_half_as_fast_again_disagrees_and_the_others_do_not() -> None:
    faster = {"ladder/row7": 1.6}
    rows = compare_documents(document(0), document(1, faster))
    assert [row.name for row in rows if not row.agrees] == ["ladder/row7"]


def test_intervals_narrow_with_the_noise() -> None:
    noisy, quiet = (compare_documents(document(0, noise=n), document(1, noise=n)) for n in (0.1, 0.01))
    assert max(row.factor for row in quiet) < 1.1 < min(row.factor for row in noisy)


def test_equal_configurations_are_one_row() -> None:
    first = document(0)
    first["variants"].append({"name": "plan/row0", "keys": {"selfplay": "ladder/row0"}})
    assert len(compare_documents(first, first)) == ROWS


def test_measurements_of_several_sessions_are_not_compared() -> None:
    second = document(1)
    second["windows"][-1]["block"] = "another-2-0-0"
    with pytest.raises(UserError, match="made in several sessions"):
        compare_documents(document(0), second)


def test_measurements_of_different_code_are_not_compared() -> None:
    other = copy.deepcopy(document(1))
    other["provenance"]["source_hash"] = "other code"
    with pytest.raises(UserError, match=r"differ in source_hash \(code and other code\)"):
        compare_documents(document(0), other)


def test_the_command_says_how_many_rows_agree_and_fails_if_not_all_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from alphazero.benchmark.measurement import FORMAT

    paths = []
    for name, made in (
        ("same", document(0)),
        ("repeat", document(1)),
        ("slow", document(2, {"ladder/row3": 0.5})),
    ):
        paths.append(str(tmp_path / f"{name}.json"))
        Path(paths[-1]).write_text(json.dumps({"format": FORMAT, **made}), encoding="utf-8")
    assert main(["benchmark", "agree", paths[0], paths[1]]) == 0
    assert f"{ROWS} of {ROWS} rows agree" in capsys.readouterr().out
    assert main(["benchmark", "agree", paths[0], paths[2]]) == 1
    assert f"{ROWS - 1} of {ROWS} rows agree" in capsys.readouterr().out
