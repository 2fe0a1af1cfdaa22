"""What was planted shows up in its row; what failed fails alone; what was measured is not measured again."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from made_up_measuring import (
    ADAPTIVE,
    BATCHING,
    BUDGET,
    FakeMeasurer,
    made_up_profile,
    measurement,
    speed_by_games,
    write_phases,
)

from alphazero.benchmark.measurement import Measurement, read_measurements
from alphazero.benchmark.session import Budget
from alphazero.benchmark.summary import ceiling_warnings, noise_warnings, summarise
from alphazero.benchmark.window import Window
from alphazero.benchmark.window_log import WindowLog
from alphazero.config import Config
from alphazero.documents import write_document
from alphazero.errors import UserError
from alphazero.hardware.probe import probe_hardware
from alphazero.report.benchmark_data import engine_speeds
from alphazero.report.benchmark_page import render_benchmark_page, write_benchmark_parts

ENGINE = """
order = 3
title = "Engine"
caption = "The profile's."
from_profile = ["inference.engine"]
"""


def measured(this: Measurement, measurer: FakeMeasurer) -> dict[str, Any]:
    this.run(measurer, lambda text: None)
    return this.document()


def rows_by_name(document: dict[str, Any]) -> pd.DataFrame:
    return summarise(document).set_index("name")


@pytest.fixture
def phases(tmp_path: Path) -> Path:
    return write_phases(tmp_path / "phases")


def test_speed_ups_are_ratios_to_the_baseline_and_gains_to_the_row_above(
    tmp_path: Path, phases: Path
) -> None:
    rows = rows_by_name(measured(measurement(tmp_path, phases), FakeMeasurer(speed_by_games)))
    # 4 games; 64 games; 64 games and twice as fast: 16 and 32 times the baseline, to 2 % between windows
    assert rows.loc["ladder/batching", "speed_up"] == pytest.approx(16, rel=0.03)
    assert rows.loc["ladder/adaptive", "speed_up"] == pytest.approx(32, rel=0.03)
    assert rows.loc["ladder/adaptive", "gain"] == pytest.approx(2, rel=0.001)
    assert rows.loc["without/batching", "gain"] == pytest.approx(16, rel=0.03)
    assert rows.loc["ladder/adaptive", "gain_low"] <= 2 <= rows.loc["ladder/adaptive", "gain_high"]
    assert (rows.loc["ladder/batching", ["expected_low", "expected_high"]] == [3, 4]).all()
    assert rows.loc["ladder/batching", "share_of_ceiling"] == pytest.approx(6464 / 5000)
    assert rows.loc["ladder/batching", "batch_copy_ms"] == 0.25  # of the learner's window
    # a game has 300 / 10 positions of 20 simulations, and there are two simulations to a leaf
    assert rows.loc["baseline", "games_per_hour"] == pytest.approx(3600 * 2 * 404 / (20 * 30), rel=0.02)


def test_a_phase_gets_no_larger_caches_than_the_memory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hardware = probe_hardware()
    little = replace(hardware, memory=replace(hardware.memory, usable_mib=1_000))
    monkeypatch.setattr("alphazero.benchmark.measurement.probe_hardware", lambda: little)
    huge = ADAPTIVE.replace("[inference]", "[inference]\ncache_positions = 1_000_000_000", 1)
    planned = write_phases(tmp_path / "phases", adaptive=huge)
    caches = {
        variant.name: variant.config.inference.cache_positions
        for variant in measurement(tmp_path, planned).variants
    }
    assert 2**15 <= caches["ladder/adaptive"] <= 2**20
    assert caches["ladder/batching"] == 0


def test_a_planted_slow_down_shows_up_in_its_row_and_in_no_other(tmp_path: Path, phases: Path) -> None:
    def slowed(config: Config) -> float:
        return speed_by_games(config) / (4 if config.inference.collection == "adaptive" else 1)

    rows = rows_by_name(measured(measurement(tmp_path, phases), FakeMeasurer(slowed)))
    assert rows.loc["ladder/adaptive", "gain"] == pytest.approx(0.5, rel=0.001)
    assert rows.loc["without/adaptive", "gain"] == pytest.approx(0.5, rel=0.001)
    assert rows.loc["ladder/batching", "speed_up"] == pytest.approx(16, rel=0.03)


def test_a_planted_search_change_trips_the_proof(tmp_path: Path) -> None:
    planted = write_phases(tmp_path / "phases", adaptive=ADAPTIVE + "[search]\nc_puct_init = 1.0\n")
    rows = rows_by_name(measured(measurement(tmp_path, planted), FakeMeasurer(speed_by_games)))
    assert rows.loc["ladder/adaptive", "search_unchanged"] == False  # noqa: E712
    assert rows.loc["ladder/batching", "search_unchanged"] == True  # noqa: E712
    assert rows.loc["plan/adaptive", "search_unchanged"] == True  # noqa: E712


def test_a_phase_that_fails_has_its_reason_and_the_others_stand(tmp_path: Path, phases: Path) -> None:
    def failing(config: Config) -> float:
        if config.inference.collection == "adaptive":
            raise RuntimeError("actor 0 failed:\nTraceback ...\nValueError: planted")
        return speed_by_games(config)

    document = measured(measurement(tmp_path, phases), FakeMeasurer(failing))
    rows = rows_by_name(document)
    assert rows.loc["ladder/adaptive", ["status", "reason"]].tolist() == [
        "failed", "actor 0 failed: ValueError: planted"
    ]  # fmt: skip
    assert pd.isna(rows.loc["ladder/adaptive", "speed_up"])
    assert rows.loc["ladder/batching", "speed_up"] == pytest.approx(16, rel=0.03)
    page = render_benchmark_page(document, summarise(document), [])
    assert "ladder/adaptive failed: actor 0 failed: ValueError: planted" in page


def test_without_a_baseline_row_speeds_stand_without_speed_ups(tmp_path: Path, phases: Path) -> None:
    def failing(config: Config) -> float:
        if config.selfplay.games_per_actor == 1 and config.inference.collection == "drain":
            raise RuntimeError("planted")
        return speed_by_games(config)

    rows = rows_by_name(measured(measurement(tmp_path, phases), FakeMeasurer(failing)))
    assert rows.loc["baseline", "status"] == "failed"
    assert rows.loc["ladder/adaptive", "simulations_per_second"] > 0
    assert rows["speed_up"].isna().all()


def test_a_killed_measurement_goes_on_where_it_was(tmp_path: Path, phases: Path) -> None:
    class Killed(FakeMeasurer):
        def selfplay(self, config: Config, budget: Any, number: int) -> Window:
            if len(self.calls) == 8:
                raise KeyboardInterrupt
            return super().selfplay(config, budget, number)

    with pytest.raises(KeyboardInterrupt):
        measurement(tmp_path, phases).run(Killed(speed_by_games), lambda text: None)
    with (tmp_path / "windows.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"key": "half a li')
    second = FakeMeasurer(speed_by_games)
    rows = rows_by_name(measured(measurement(tmp_path, phases), second))
    # plan/batching is the baseline, under another name
    assert (rows.loc[~rows.index.isin(["baseline", "plan/batching"]), "windows"] == BUDGET.rounds).all()
    whole = FakeMeasurer(speed_by_games)
    measurement(tmp_path / "other", phases).run(whole, lambda text: None)
    assert len(second.calls) < len(whole.calls)


def test_what_was_measured_is_not_measured_again(tmp_path: Path, phases: Path) -> None:
    measurement(tmp_path, phases).run(FakeMeasurer(speed_by_games), lambda text: None)
    again = FakeMeasurer(speed_by_games)
    measurement(tmp_path, phases).run(again, lambda text: None)
    assert again.calls == []


def test_an_edited_phase_measures_its_rows_again_beside_the_baseline(tmp_path: Path, phases: Path) -> None:
    measurement(tmp_path, phases).run(FakeMeasurer(speed_by_games), lambda text: None)
    write_phases(phases, adaptive=ADAPTIVE + "[search]\ntree_reuse = false\n")
    again = FakeMeasurer(speed_by_games)
    measurement(tmp_path, phases).run(again, lambda text: None)
    edited = [config for config in again.calls if not config.search.tree_reuse]
    others = {config for config in again.calls if config.search.tree_reuse}
    assert (
        len(edited) == 2 * BUDGET.rounds
    )  # ladder/adaptive = without nothing, alone/adaptive = without/batching
    assert {(config.inference.batch_size, config.inference.collection) for config in others} == {
        (32, "drain")
    }


def test_windows_of_a_slower_day_are_held_against_that_days_baseline(tmp_path: Path, phases: Path) -> None:
    """The rows that were measured again, with the machine at a third of its speed, are no slower for that."""
    measurement(tmp_path, phases).run(FakeMeasurer(speed_by_games), lambda text: None)
    write_phases(phases, adaptive=ADAPTIVE + "[search]\ntree_reuse = false\n")
    rows = rows_by_name(
        measured(measurement(tmp_path, phases), FakeMeasurer(lambda config: speed_by_games(config) / 3))
    )
    assert rows.loc["ladder/adaptive", "speed_up"] == pytest.approx(32, rel=0.05)
    assert rows.loc["ladder/adaptive", "gain"] == pytest.approx(2, rel=0.05)
    assert rows.loc["ladder/batching", "speed_up"] == pytest.approx(16, rel=0.05)


def test_rows_with_a_cache_are_judged_by_simulations(tmp_path: Path) -> None:
    """Evaluations leave out what a cache answers, and its share differs between the two sides."""
    judged = BATCHING.replace("fill_batch", 'judged_by = "evaluations_per_second"\nfill_batch')
    remembering = ADAPTIVE.replace("[inference]", "[inference]\ncache_positions = 1000", 1)
    planned = write_phases(tmp_path / "phases", batching=judged, adaptive=remembering)
    rows = rows_by_name(measured(measurement(tmp_path, planned), FakeMeasurer(speed_by_games)))
    assert rows.loc["ladder/batching", "judged_by"] == "evaluations_per_second"
    assert rows.loc["without/batching", "judged_by"] == "simulations_per_second"


def test_the_plans_timeout_and_batch_do_nothing_under_a_rule_that_never_waits(
    tmp_path: Path, phases: Path
) -> None:
    """Four rows in flight fill no batch of 32, let alone one of 64."""
    rows = rows_by_name(measured(measurement(tmp_path, phases), FakeMeasurer(speed_by_games)))
    assert rows.loc["plan/batching", ["status", "reason"]].tolist() == [
        "same", "changes nothing that takes effect here"
    ]  # fmt: skip
    assert rows.loc["plan/adaptive", "status"] == "measured"


def test_other_code_is_measured_afresh(tmp_path: Path, phases: Path) -> None:
    measurement(tmp_path, phases).run(FakeMeasurer(speed_by_games), lambda text: None)
    again = FakeMeasurer(speed_by_games)
    measurement(tmp_path, phases, source_hash="other").run(again, lambda text: None)
    assert again.calls


def test_configurations_take_turns_and_each_block_has_a_baseline(tmp_path: Path, phases: Path) -> None:
    measurer = FakeMeasurer(speed_by_games)
    measurement(tmp_path, phases).run(measurer, lambda text: None)
    a_round = len(measurer.calls) // BUDGET.rounds
    first, second = measurer.calls[:a_round], measurer.calls[a_round : 2 * a_round]
    assert first[0] == second[0]  # the baseline
    assert first[1:] == second[:0:-1]  # and then backwards


def test_a_noisy_machine_is_named(tmp_path: Path, phases: Path) -> None:
    document = measured(measurement(tmp_path, phases), FakeMeasurer(speed_by_games))
    assert noise_warnings(document) == []  # three rounds
    for window in document["windows"]:
        window["foreign_cpu"] = float(document["hardware"]["cpu"]["usable_cores"])
    assert "the machine was not quiet" in noise_warnings(document)[0]


def test_rows_above_their_ceiling_are_named(tmp_path: Path, phases: Path) -> None:
    rows = summarise(measured(measurement(tmp_path, phases), FakeMeasurer(speed_by_games)))
    assert "ladder/batching" in ceiling_warnings(rows)[0]  # 6,400 leaves/s, and 5,000 evaluations/s alone
    assert ceiling_warnings(rows[rows["name"] == "baseline"]) == []


def test_a_document_is_read_back_and_strangers_are_refused(tmp_path: Path, phases: Path) -> None:
    document = measured(measurement(tmp_path, phases), FakeMeasurer(speed_by_games))
    path = tmp_path / "deep" / "measurements.json"
    write_document(document, path)
    assert read_measurements(path) == json.loads(json.dumps(document))
    path.write_text("[]", encoding="utf-8")
    with pytest.raises(UserError, match=r"is no measurements\.json of format 1"):
        read_measurements(path)


def test_a_damaged_log_is_one_clear_line(tmp_path: Path) -> None:
    path = tmp_path / "windows.jsonl"
    path.write_text('{"nonsense": 1}\n', encoding="utf-8")
    with pytest.raises(UserError, match="line 1 is no window of this version"):
        WindowLog(path)


def test_the_page_stands_by_itself_and_names_every_phase(tmp_path: Path, phases: Path) -> None:
    document = measured(measurement(tmp_path, phases), FakeMeasurer(speed_by_games))
    rows = summarise(document)
    page = render_benchmark_page(document, rows, ["planted warning"])
    for text in ("Batching", "Adaptive collection", "3 to 4", "planted warning", "times the baseline ("):
        assert text in page
    assert 'src="http' not in page and "<script" not in page
    write_benchmark_parts(document, rows, tmp_path / "tables")
    names = {path.name for path in (tmp_path / "tables").iterdir()}
    assert {
        "all.csv",
        "ladder.csv",
        "ladder.md",
        "plan.md",
        "readings.md",
        "ladder.svg",
        "roofline.svg",
        "fill_distribution.svg",
        "utilization.svg",
    } <= names
    assert "| Batching | 16.0" in (tmp_path / "tables" / "ladder.md").read_text(encoding="utf-8")


def test_self_play_is_held_against_no_other_engines_ceiling(tmp_path: Path, phases: Path) -> None:
    document = measured(measurement(tmp_path, phases), FakeMeasurer(speed_by_games))
    assert (rows_by_name(document)["engine"] == "fake float32").all()
    for window in document["windows"]:
        if window["kind"] == "ceiling":
            window["engine"] = "other bfloat16"
    rows = rows_by_name(document)
    assert (rows["engine"] == "fake").all()
    assert rows["share_of_ceiling"].isna().all()


def test_engines_that_auto_may_choose_differently_have_ceilings_of_their_own(
    tmp_path: Path, phases: Path
) -> None:
    def ceilings(engine: str) -> set[str]:
        profile = made_up_profile()
        inference = replace(profile.config.inference, engine=engine)
        profile = replace(profile, config=replace(profile.config, inference=inference))
        engines = write_phases(tmp_path / engine, engine=ENGINE)
        planned = measurement(tmp_path, engines, resolved=profile)
        return {planned._keys[name].ceiling for name in ("ladder/engine", "without/batching")}

    assert len(ceilings("frozen")) == 1
    assert len(ceilings("auto")) == 2  # batches of 64 and of 32 rows


def test_a_baseline_measured_often_does_not_stand_for_the_others(tmp_path: Path, phases: Path) -> None:
    few = measured(measurement(tmp_path, phases, budget=Budget(rounds=2)), FakeMeasurer(speed_by_games))
    baseline = next(window for window in few["windows"] if window["label"] == "baseline")
    few["windows"] += [baseline] * 5
    assert any("fewer than three windows" in warning for warning in noise_warnings(few))


def test_an_engine_that_was_measured_again_keeps_the_diamonds_of_all_rungs(
    tmp_path: Path, phases: Path
) -> None:
    """As that of a reading with other batches is, of which 'auto' may choose another engine."""
    document = measured(measurement(tmp_path, phases), FakeMeasurer(speed_by_games))
    (ceiling,) = [window for window in document["windows"] if window["kind"] == "ceiling"]
    for window in document["windows"]:
        if window["kind"] == "selfplay":
            window["metrics"]["inference_batch_size"] = 64.0
    document["windows"].append({**ceiling, "key": "another", "metrics": {"64": 5000.0}})
    document["variants"][-1]["keys"]["ceiling"] = "another"
    assert document["variants"][-1]["reading"] != "ladder"
    document["windows"].append(
        {**ceiling, "block": "later-0", "metrics": {"64": 7000.0}}
    )  # in another session
    (speed,) = engine_speeds(document, summarise(document)).values()
    assert speed.alone == {64: 7000.0}
    rungs = [variant for variant in document["variants"] if variant["reading"] in ("baseline", "ladder")]
    assert len(speed.in_selfplay) == len(rungs)
