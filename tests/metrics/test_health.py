"""Warnings come where a metric leaves its healthy range, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from alphazero.metrics import health
from alphazero.metrics.health import RANGES, read_health

HEALTHY = {
    "training_steps": 100,
    "policy_entropy": 1.2,
    "policy_divergence": 0.2,
    "value_explained_variance": 0.5,
    "value_calibration_error": 0.03,
    "duplicate_share": 0.3,
    "staleness_share": 0.02,
    "steps_share": 0.99,
    "positions_per_game": 24.0,
    "draw_rate": 0.08,
    "false_resignation_rate": 0.01,
    "first_player_win_rate": 0.55,
}


def warnings(**changed: float | None) -> list[str]:
    return [reading.warning for reading in read_health({**HEALTHY, **changed}) if reading.warning]


def test_a_healthy_run_has_no_warning_and_every_metric_is_read() -> None:
    assert warnings() == []
    assert {each.metric for each in RANGES} == set(HEALTHY)


@pytest.mark.parametrize(
    ("metric", "value", "advice"),
    [
        ("training_steps", 0, "before the first training step"),
        ("policy_entropy", 0.02, "root_noise_fraction"),
        ("policy_divergence", 1.5, "replay_ratio"),
        ("value_explained_variance", -0.1, "value_loss_weight"),
        ("value_explained_variance", 0.999, "by heart"),
        ("value_calibration_error", 0.4, "lower training.replay_ratio"),
        ("duplicate_share", 0.9, "repetitions"),
        ("staleness_share", 0.5, "publish_every_steps"),
        ("steps_share", 0.5, "keep up"),
        ("positions_per_game", 1.5, "end at once"),
        ("draw_rate", 0.99, "drawn"),
        ("false_resignation_rate", 0.2, "resign_value"),
        ("first_player_win_rate", 1.0, "first player"),
        ("first_player_win_rate", 0.0, "second player"),
    ],
)
def test_a_metric_outside_its_range_is_warned_of_in_words(metric: str, value: float, advice: str) -> None:
    said = warnings(**{metric: value})
    assert len(said) == 1
    assert advice in said[0] and "healthy: " in said[0]


def test_what_was_not_measured_is_no_warning() -> None:
    assert warnings(**dict.fromkeys(HEALTHY)) == []
    assert all(reading.value is None for reading in read_health({}))


def test_the_document_is_the_table() -> None:
    document = Path(__file__).parents[2] / "docs" / "health.md"
    assert document.read_text(encoding="utf-8") == health.health_markdown()
