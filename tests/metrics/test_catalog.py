"""The catalog is one, complete, and refuses what it does not have."""

from pathlib import Path

import pytest

from alphazero.metrics import catalog
from alphazero.metrics.catalog import CATALOG, aggregate, find_metric, format_metric


def test_the_document_is_the_catalog() -> None:
    document = Path(__file__).parents[2] / "docs" / "metrics.md"
    assert document.read_text(encoding="utf-8") == catalog.catalog_markdown()


def test_an_unknown_name_is_refused_and_the_nearest_named() -> None:
    with pytest.raises(catalog.UnknownMetricError, match=r"'fillrate'.*nearest is 'fill_rate'"):
        find_metric("fillrate")


def test_a_name_like_nothing_in_the_catalog_is_still_one_clear_line() -> None:
    with pytest.raises(catalog.UnknownMetricError, match=r"no metric is called '\?\?\?'"):
        find_metric("???")


def test_names_are_unique_and_in_one_section_each() -> None:
    names = [metric.name for metrics in catalog._SECTIONS.values() for metric in metrics]
    assert len(names) == len(set(names)) == len(CATALOG)
    assert all(metric.section for metric in CATALOG.values())


def test_rows_of_a_run_aggregate_over_what_was_measured() -> None:
    nan = float("nan")
    assert aggregate("games", [3.0, None, 8.0, None]) == 8.0  # last
    assert aggregate("fill_rate", [0.5, None, 1.0, nan]) == 0.75  # mean
    assert aggregate("inference_latency_p99_ms", [9.0, 1.0, 2.0]) == 2.0  # median
    assert aggregate("gpu_memory_mib", [100.0, 300.0, 200.0]) == 300.0  # max


def test_nothing_measured_aggregates_to_nothing_not_to_zero() -> None:
    assert aggregate("gpu_utilization", [None, None]) is None
    assert format_metric("gpu_utilization", None) == "-"


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("fill_rate", 0.913, "91.3 %"),
        ("gpu_utilization", 93.6, "94 %"),
        ("games", 12345, "12,345"),
        ("inference_latency_ms", 12.14, "12.1 ms"),
        ("learning_rate", 0.00213, "0.00213"),
        ("elo_difference", 87.6, "+88"),
        ("run_time_s", 3725.0, "1 h 02 min"),
        ("run_time_s", 59.6, "1 min 00 s"),
        ("loss", float("inf"), "inf"),
    ],
)
def test_values_are_written_as_a_person_would(name: str, value: float, text: str) -> None:
    assert format_metric(name, value) == text
