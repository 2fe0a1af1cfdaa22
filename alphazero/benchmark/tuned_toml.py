"""The hardware profile that a search led to, as TOML with its evidence in comments (read by `tuned_profile`)."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tomli_w

from alphazero.benchmark.autotune import TUNED, Effort, Trial, Tuning, describe
from alphazero.config_validation import flatten
from alphazero.folders import write_whole
from alphazero.hardware.description import Hardware
from alphazero.tuned_profile import BASED_ON, TUNED_FOR, surroundings


def tuned_toml(tuning: Tuning, hardware: Hardware, effort: Effort, origin: dict[str, Any], now: str) -> str:
    """Return the file's text.

    Args:
        origin: what `collect_provenance` said.
        now: the day, for people.
    """
    shipped = tuning.shipped.hardware_profile
    head: dict[str, object] = {
        "title": f"Tuned for {hardware.machine_slug()}",
        "description": f"The profile '{shipped}' with what `alphazero autotune` found to be fastest here.",
        BASED_ON: shipped,
        TUNED_FOR: surroundings(hardware, tuning.shipped),
    }
    sections: dict[str, dict[str, object]] = {}
    for name, value in flatten(tuning.chosen).items():
        if name in TUNED:
            section, _, key = name.partition(".")
            sections.setdefault(section, {})[key] = value
    comments = "\n".join(f"# {line}".rstrip() for line in _evidence(tuning, effort, origin, now))
    return f"{comments}\n\n{tomli_w.dumps({**head, **sections})}"


def write_tuned(text: str, path: Path) -> None:
    """Write the profile whole or not at all; UserError if that cannot be done."""
    write_whole(path, text, "make room, or choose another place with --out")


def _evidence(tuning: Tuning, effort: Effort, origin: dict[str, Any], now: str) -> Iterator[str]:
    commit = str(origin["commit"] or "unknown")[:10] + (" (edited)" if origin["dirty"] else "")
    yield f"Written by `alphazero autotune` on {now}, commit {commit}, torch {origin['libraries'].get('torch')}."
    yield from textwrap.wrap(
        f"Evidence: {tuning.verdict}. Compared in leaves/s at {tuning.shipped.search.simulations} simulations a "
        f"move, at the end in {effort.final_pairs} windows of {effort.final_s:g} s each, in turns.",
        100,
    )
    yield ""
    yield f"shipped: {describe(tuning.shipped)}"
    yield f"chosen:  {describe(tuning.chosen)}"
    stage = ""
    for trial in tuning.trials:
        if trial.stage != stage:
            stage = trial.stage
            yield ""
            yield f"{stage} (leaves/s in windows of so many seconds):"
        yield f"  {describe(trial.config):<58} {_outcome(trial)}"


def _outcome(trial: Trial) -> str:
    if trial.error:
        return f"failed: {trial.error}"
    return ", ".join(f"{rate:,.0f} ({seconds:g} s)" for seconds, rate in trial.windows)
