"""The rating list says what the games bound, and no more."""

from __future__ import annotations

from typing import Any

import pytest

from alphazero.report.ratings_page import crosstable


def match(wins: int, losses: int, *elo: float | None) -> dict[str, Any]:
    """Return a match of 20 games, as ratings.json has it; elo: difference, low and high."""
    games = {"agent": "a", "opponent": "b", "games": 20, "wins": wins, "draws": 0, "losses": losses}
    bounds = dict(zip(("elo_difference", "elo_low", "elo_high"), elo, strict=True))
    return {**games, **bounds, "score": wins / 20, "pentanomial": [losses // 2, 0, 0, 0, wins // 2]}


@pytest.mark.parametrize(
    ("played", "told"),
    [
        (match(12, 8, 70.4, -88.0, 240.0), "+70 (-88 to +240)"),
        (match(20, 0, None, 254.4, None), "above +254"),
        (match(0, 20, None, None, -254.4), "below -254"),
    ],
)
def test_a_match_without_a_lost_point_has_one_bound(played: dict[str, Any], told: str) -> None:
    row = crosstable({"matches": [played]}).markdown().splitlines()[2]
    assert row.split(" | ")[4] == told
