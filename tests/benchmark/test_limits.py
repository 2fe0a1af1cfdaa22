"""The sentence that names the limit, for made-up measurements."""

from __future__ import annotations

import pytest

from alphazero.benchmark.limits import limiting_resource

SERVER = {
    "share_of_ceiling": 0.5,
    "time_waiting": 0.05,
    "time_network": 0.9,
    "time_copies": 0.02,
    "time_collecting": 0.08,
    "fill_rate": 0.3,
}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"share_of_ceiling": 0.93}, "inference-bound: 93% of the ceiling"),
        (
            {"time_collecting": 0.4, "time_network": 0.58},
            "actor-bound: 50% of the ceiling; the server waits 40%",
        ),
        (
            {"time_collecting": 0.6, "time_network": 0.38, "time_waiting": 0.8},
            "latency-bound: 50% of the ceiling; the server waits 60% of its time for rows and actors 80%",
        ),
        ({"time_copies": 0.3, "time_network": 0.6}, "transport-bound"),
        ({}, "batch-bound: 50% of the ceiling though the server, whose batches are 30% full,"),
    ],
)
def test_the_limit_with_a_server(changes: dict[str, float], sentence: str) -> None:
    assert limiting_resource({**SERVER, **changes}).startswith(sentence)


def test_actors_that_evaluate_themselves_are_bound_by_the_search_or_by_small_batches() -> None:
    searching = {"share_of_ceiling": 0.5, "time_tree": 0.3, "time_rules": 0.1, "time_evaluation": 0.55}
    assert limiting_resource(searching).startswith(
        "actor-bound: 50% of the ceiling; actors search 40% of their time and evaluate 55%"
    )
    small = {"share_of_ceiling": 0.5, "time_search": 0.05, "time_evaluation": 0.94}
    assert limiting_resource(small).startswith("batch-bound: 50% of the ceiling though actors evaluate 94%")


def test_without_a_ceiling_nothing_is_claimed() -> None:
    assert limiting_resource({"time_network": 0.9}) == "not known: the ceiling was not measured"
