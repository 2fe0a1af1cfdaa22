"""The quality page says what was found; the benchmark's tables show its verdicts and lead to it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from made_up_measuring import ADAPTIVE, BATCHING, FakeMeasurer, measurement, speed_by_games, write_phases

from alphazero.cli import main
from alphazero.documents import write_document
from alphazero.errors import UserError
from alphazero.metrics.catalog import find_metric
from alphazero.report.plots import LIGHT
from alphazero.report.quality_page import (
    comparison_table,
    plot_differences,
    read_quality,
    render_quality_page,
    summary,
    write_quality_parts,
)
from alphazero.report.quality_receipt import Receipt, Receipts, read_receipts

from .made_up_quality import made_up_quality


def test_the_page_says_every_verdict_and_stands_by_itself(tmp_path: Path) -> None:
    document = made_up_quality(full="no worse", stale_weights="worse", half_precision="not shown")
    assert summary(document) == (
        "Shown to be no worse than the reference, within the stated margins: Full. "
        "Worse than the reference: Stale weights. Neither shown; more runs would tell: Half precision."
    )
    page = render_quality_page(document)
    assert summary(document) in page and "no effect on training" in page
    assert 'src="http' not in page and "<script" not in page
    write_quality_parts(document, tmp_path)
    assert {"quality.csv", "quality.md", "runs.csv", "search_sets.csv", "quality.svg"} <= {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (-42.0, 18.0, "-12 (-42 to +18)"),
        (-42.0, None, "-12 (above -42)"),
        (None, 18.0, "-12 (below +18)"),
        (None, None, "-12"),
    ],
)
def test_an_interval_says_which_of_its_ends_are_known(
    low: float | None, high: float | None, told: str
) -> None:
    document = made_up_quality(full="not shown")
    (full,) = [variant for variant in document["variants"] if variant["name"] == "full"]
    elo = next(each for each in full["comparison"]["metrics"] if each["metric"] == "elo_difference")
    elo["low"], elo["high"] = low, high
    (row,) = [line for line in comparison_table(document).markdown().splitlines() if "Full" in line]
    assert row.rstrip(" |").split(" | ")[-1] == told
    receipt = Receipts(document, "quality.html").of("full")
    assert receipt is not None and receipt.details.endswith(f"Elo {told}")


def test_an_interval_without_an_end_goes_to_the_edge_of_the_picture() -> None:
    document = made_up_quality(full="not shown")
    (full,) = [variant for variant in document["variants"] if variant["name"] == "full"]
    elo = next(each for each in full["comparison"]["metrics"] if each["metric"] == "elo_difference")
    elo["low"] = elo["high"] = None
    drawing = plot_differences(document, LIGHT)
    assert drawing is not None
    panel = next(axes for axes in drawing.axes if axes.get_title() == find_metric("elo_difference").label)
    ends = {float(x) for lines in panel.collections for segment in lines.get_segments() for x, _ in segment}
    assert set(panel.get_xlim()) <= ends


@pytest.mark.parametrize(("judged", "told"), [("no worse", True), ("worse", False)])
def test_a_planted_case_that_is_judged_wrongly_puts_the_others_in_doubt(judged: str, told: bool) -> None:
    document = made_up_quality(fewer_simulations=judged)
    document["variants"][1]["expected"] = "worse"
    assert ("the other verdicts are in doubt" in render_quality_page(document)) == told


def test_another_file_is_refused_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "quality.json"
    measurements = json.dumps({"format": 1, "variants": [{"name": "baseline"}], "windows": []})
    for text, answer in (
        ("{}", "is no quality.json of format 1; make it again with `alphazero quality measure`"),
        ("{", "cannot be read"),
        (
            measurements,
            "is no quality.json, it has no config_toml, .*; give a file of `alphazero quality measure`",
        ),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(UserError, match=answer):
            read_quality(path)


def test_a_receipt_is_a_verdict_with_its_differences() -> None:
    receipts = Receipts(made_up_quality(full="no worse"), "quality.html")
    assert receipts.of("full") == Receipt(
        "no worse",
        "policy error +1.0 points (+0.0 to +2.0), search error -0.4 points (-1.4 to +0.6), Elo -12 (above -42)",
    )
    assert receipts.of("several_leaves") is None and receipts.of("unheard_of") is None


def test_a_quick_comparison_says_that_it_says_nothing() -> None:
    sentence = Receipts(made_up_quality("Quick", full="no worse"), "").sentence
    assert sentence.endswith("This was the quick plan, whose verdicts say nothing.")


def test_the_benchmark_shows_the_verdicts_and_leads_to_the_quality_page(tmp_path: Path) -> None:
    phases = write_phases(
        tmp_path / "phases",
        batching=BATCHING.replace("fill_batch", 'quality = "many_games"\nfill_batch'),
        adaptive=ADAPTIVE.replace("[inference]", 'quality = "half_precision"\n[inference]', 1),
    )
    made = measurement(tmp_path, phases)
    made.run(FakeMeasurer(speed_by_games), lambda text: None)
    folder, beside = tmp_path / "cpu/benchmark", tmp_path / "cpu/quality/quality.json"
    write_document(made.document(), folder / "measurements.json")
    beside.parent.mkdir()
    found = made_up_quality(full="worse", many_games="no worse", half_precision="not shown")
    beside.write_text(json.dumps(found), encoding="utf-8")
    words = ["benchmark", "tabulate", str(folder / "measurements.json")]
    words += ["--out", str(folder / "report.html"), "--parts", str(folder / "tables")]

    assert main(words) == 0
    assert "Not tested yet" in (folder / "report.html").read_text(encoding="utf-8")
    assert "quality |" not in (folder / "tables/ladder.md").read_text(encoding="utf-8")

    assert main([*words, "--quality", str(beside)]) == 0
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert '<a href="../quality/quality.html">no worse</a>' in page and "Not tested yet" not in page
    rows = {
        line.split(" |")[0].removeprefix("| "): line
        for line in (folder / "tables/ladder.md").read_text(encoding="utf-8").splitlines()
    }
    assert "[no worse](../../quality/quality.html) (policy error +1.0 points" in rows["Batching"]
    assert (
        "[worse](" in rows["Adaptive collection"]
    )  # the top of the ladder stands for the full configuration
    readings = (folder / "tables/readings.md").read_text(encoding="utf-8")
    assert "[not shown](" in readings and "[worse](" not in readings


def test_addresses_are_relative_to_where_they_stand(tmp_path: Path) -> None:
    path = tmp_path / "quality/quality.json"
    path.parent.mkdir()
    path.write_text(json.dumps(made_up_quality()), encoding="utf-8")
    assert read_receipts(path, tmp_path / "quality").href == "quality.html"
    assert read_receipts(path, tmp_path / "a/b").href == "../../quality/quality.html"
