"""`alphazero benchmark` refuses what it cannot do, each in one line, and makes tables from measurements."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_up_measuring import FakeMeasurer, measurement, speed_by_games, write_phases

from alphazero.cli import main
from alphazero.documents import write_document
from alphazero.hardware.description import Hardware


@pytest.fixture(autouse=True)
def own_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is measured here: a measurement that goes on beside the tests is in nobody's way."""
    monkeypatch.setattr("alphazero.benchmark.session.shared_temporary_folder", lambda: tmp_path)


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["--only", "batchign"], "no such phase"),
        (["--rounds", "0"], "--rounds is 0"),
        (["--minutes", "2e6"], "--minutes is 2e+06; it must be more than 0 and less than 1,000,000"),
        (["--phases", "nowhere"], "there is no baseline.toml"),
        (
            ["--set", "inference.engine=simulated:a100", "--set", "inference.placement=server"],
            "no measurement of this machine",
        ),
        (["--profile", "hihg"], "did you mean 'high'"),
    ],
)
def test_wrong_options_are_one_clear_line(
    options: list[str], answer: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["benchmark", "measure", *options, "--out", str(tmp_path / "m.json")]
    assert main([*words, "--windows", str(tmp_path / "w.jsonl")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert answer in said[-1]


@pytest.mark.parametrize("command", [["autotune"], ["benchmark", "measure"]])
def test_another_machines_description_is_not_measured(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], machine: Callable[..., Hardware]
) -> None:
    other = tmp_path / "other.json"
    other.write_text(json.dumps(machine(cores=99).to_json()), encoding="utf-8")
    assert main([*command, "--hardware", str(other), "--out", str(tmp_path / "out")]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert f"{other} describes another machine, and this one is measured: its processor is AMD" in said[-1]


def test_a_benchmark_without_a_profile_knows_where_its_windows_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    phases = write_phases(tmp_path / "phases")
    monkeypatch.setattr("alphazero.benchmark.measurement.RealMeasurer", lambda: FakeMeasurer(speed_by_games))
    words = ["benchmark", "measure", "--profile", "none", "--rounds", "1", "--phases", str(phases)]
    assert main([*words, "--set", "search.simulations=20", "--out", "m.json"]) == 0
    assert [path.parts[-3:-1] for path in Path("checkpoints").rglob("windows.jsonl")] == [
        ("none", "benchmark")
    ]


def test_tables_and_page_are_made_from_measurements(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = measurement(tmp_path, write_phases(tmp_path / "phases"))
    made.run(FakeMeasurer(speed_by_games), lambda text: None)
    write_document(made.document(), tmp_path / "m.json")
    page, parts = tmp_path / "page.html", tmp_path / "tables"
    assert (
        main(["benchmark", "tabulate", str(tmp_path / "m.json"), "--out", str(page), "--parts", str(parts)])
        == 0
    )
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")
    assert "| Batching |" in capsys.readouterr().out
    other = tmp_path / "other.json"  # the same machine, measured another time
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    other.write_text(text.replace('"time_utc": "20', '"time_utc": "19'), encoding="utf-8")
    assert main(["benchmark", "machines", str(tmp_path / "m.json"), str(other), "--parts", str(parts)]) == 0
    lines = (parts / "machines.md").read_text(encoding="utf-8").splitlines()
    assert [line.split("|")[-2].strip()[:2] for line in lines[-2:]] == [
        "20",
        "19",
    ]  # a line each, nothing mixed


def test_files_that_are_something_else_are_one_clear_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = measurement(tmp_path, write_phases(tmp_path / "phases"))
    made.run(FakeMeasurer(speed_by_games), lambda text: None)
    good, other, parts = tmp_path / "m.json", tmp_path / "other.json", tmp_path / "tables"
    write_document(made.document(), good)
    other.write_text('{"format": 1}', encoding="utf-8")
    page = ["--out", str(tmp_path / "page.html"), "--parts", str(parts)]
    for words, answer in (
        (["tabulate", str(other), *page], "is no measurements.json, it has no game,"),
        (
            ["machines", str(good), str(other), "--parts", str(parts)],
            "give a file of `alphazero benchmark measure`",
        ),
        (
            ["tabulate", str(good), "--quality", str(other), *page],
            "give a file of `alphazero quality measure`",
        ),
        (["machines", str(good), "--parts", str(other)], "choose another folder with --parts"),
    ):
        assert main(["benchmark", *words]) == 2
        said = capsys.readouterr().err.strip().splitlines()
        assert len(said) == 1 and str(other) in said[0] and answer in said[0]


def test_published_measurements_are_read(tmp_path: Path) -> None:
    published = sorted((Path(__file__).parents[2] / "results/published").rglob("measurements.json"))
    assert published
    assert main(["benchmark", "machines", *map(str, published), "--parts", str(tmp_path)]) == 0
