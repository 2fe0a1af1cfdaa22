"""A quality.json with invented numbers, for tests of the report only. None of them was measured."""

from __future__ import annotations

from typing import Any

SETS = ("easy", "hard")
METRICS = ("policy_error", "search_error", "value_mse", "elo_difference")


def made_up_quality(title: str = "Quality", **verdicts: str) -> dict[str, Any]:
    """Return a comparison with a reference, a configuration for each of `verdicts`, and one without effect."""
    variants = [_variant("reference", 0, None), _variant("several_leaves", 99, None, runs=0)]
    variants += [
        _variant(name, 10 + place, verdict) for place, (name, verdict) in enumerate(verdicts.items())
    ]
    return {
        "format": 1,
        "plan": {
            "title": title,
            "runs": 2,
            "match_games": 2,
            "margins": {"policy_error": 0.03, "search_error": 0.02, "elo_difference": 120.0},
        },
        "game": "connect_four",
        "hardware_profile": "cpu",
        "simulations": 800,
        "positions": 20,
        "sets": list(SETS),
        "config_toml": "seed = 0\n",
        "hardware": {"machine": "invented-2c"},
        "provenance": {"commit": "0123456789abcdef", "time_utc": "2026-01-31T00:00:00+00:00"},
        "variants": sorted(variants, key=lambda variant: int(variant["order"])),
    }


def _variant(name: str, order: int, verdict: str | None, runs: int = 2) -> dict[str, Any]:
    run = {"seed": order, "games": 10, "positions": 300, "steps": 20, "run_time_s": 9.0, "core_s": 9.0}
    errors = {"policy_error": 0.2, "search_error": 0.1, "value_error": 0.3, "value_mse": 0.5}
    return {
        "name": name,
        "order": order,
        "title": name.replace("_", " ").capitalize(),
        "caption": f"What {name} changes.",
        "base": "reference",
        "expected": None,
        "settings": {},
        "runs": [{**run, **errors}] * runs,
        "comparison": None if verdict is None else _comparison(verdict),
    }


def _comparison(verdict: str) -> dict[str, Any]:
    values = {"policy_error": 0.01, "search_error": -0.004, "value_mse": 0.02, "elo_difference": -12.0}
    metrics = [
        {
            "metric": name,
            "value": value,
            "low": value - 0.01 if abs(value) < 1 else value - 30,
            "high": value + 0.01 if abs(value) < 1 else None,
            "margin": 0.03,
            "verdict": verdict,
        }
        for name, value in values.items()
    ]
    sets = [
        {
            "metric": metric,
            "set": name,
            "candidate": 0.21,
            "reference": 0.2,
            "value": 0.01,
            "low": 0.0,
            "high": 0.02,
        }
        for metric in ("policy_error", "search_error")
        for name in (*SETS, "mean")
    ]
    return {"verdict": verdict, "games": 8, "equal_time_games": 0, "metrics": metrics, "sets": sets}
