"""One sentence that names what limits self-play on this machine, from what was measured."""

from __future__ import annotations

from collections.abc import Mapping

AT_THE_CEILING = 0.85  # share of the ceiling from which nothing but the network limits
BUSY = 0.85  # share of the time that an actor evaluates when nothing else limits it
BOTH_WAIT = 0.7  # server's and actors' waiting added up from which neither is the bottleneck
MUCH = 0.15  # share of the time that is worth naming


def limiting_resource(metrics: Mapping[str, float | None]) -> str:
    """Return the sentence for one measurement, in catalog metrics (shares from 0 to 1).

    Needs share_of_ceiling. Looks at the time split of the actors (time_waiting, time_evaluation) and of the
    server (time_collecting, time_network, time_copies), where there is one, and at the fill rate.
    """
    share = metrics.get("share_of_ceiling")
    if share is None:
        return "not known: the ceiling was not measured"
    if share >= AT_THE_CEILING:
        return f"inference-bound: {share:.0%} of the ceiling"
    if metrics.get("time_network") is None:
        return _limit_without_server(metrics, share)
    return _limit_with_server(metrics, share)


def _limit_without_server(metrics: Mapping[str, float | None], share: float) -> str:
    evaluating = metrics.get("time_evaluation") or 0.0
    searching = _searching(metrics)
    if evaluating >= BUSY:
        return (
            f"batch-bound: {share:.0%} of the ceiling though actors evaluate {evaluating:.0%} of their time; "
            "play more games an actor, so that batches grow"
        )
    return (
        f"actor-bound: {share:.0%} of the ceiling; actors search {searching:.0%} of their time and evaluate "
        f"{evaluating:.0%}; use a compiled backend and rules, or more cores"
    )


def _limit_with_server(metrics: Mapping[str, float | None], share: float) -> str:
    collecting = metrics.get("time_collecting") or 0.0
    copies = metrics.get("time_copies") or 0.0
    waiting = metrics.get("time_waiting") or 0.0
    if collecting > MUCH and waiting > MUCH and collecting + waiting > BOTH_WAIT:
        # Neither side is busy most of the time: both wait for the other's message, or for the timeout.
        return (
            f"latency-bound: {share:.0%} of the ceiling; the server waits {collecting:.0%} of its time for "
            f"rows and actors {waiting:.0%} of theirs for answers; play more games an actor, or shorten the "
            "timeout"
        )
    if collecting > MUCH:
        return (
            f"actor-bound: {share:.0%} of the ceiling; the server waits {collecting:.0%} of its time for "
            "rows; add cores or actors"
        )
    if copies > MUCH:
        return (
            f"transport-bound: {share:.0%} of the ceiling; the server copies rows and answers {copies:.0%} "
            "of its time; use larger groups, or the transport shared_memory"
        )
    fill = metrics.get("fill_rate")
    filled = "" if fill is None else f", whose batches are {fill:.0%} full,"
    return (
        f"batch-bound: {share:.0%} of the ceiling though the server{filled} is always at work; "
        "play more games an actor or raise the batch size"
    )


def _searching(metrics: Mapping[str, float | None]) -> float:
    parts = ("time_search", "time_tree", "time_rules", "time_encoding")
    return sum(metrics.get(part) or 0.0 for part in parts)
