"""What every kind of training run writes about itself into its folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alphazero.config import Config
from alphazero.config_loading import save_config
from alphazero.errors import UserError
from alphazero.folders import writing_results
from alphazero.hardware.probe import probe_hardware
from alphazero.metrics.provenance import collect_provenance
from alphazero.metrics.writer import CSV_NAME, TENSORBOARD_FOLDER

CONFIG_NAME = "config.toml"
PROVENANCE_NAME = "provenance.json"
SUMMARY_NAME = "training.json"


@dataclass
class Counters:
    """How far a run is; saved with every checkpoint."""

    steps: int = 0  # those of a final network included
    positions: int = 0
    games: int = 0
    weights_version: int = 0
    run_time_s: float = 0.0
    launches: int = 0  # how often self-play was started, after growth of its network included
    final_steps: int = 0  # of these, those of the final network (training.final_minutes)
    untrained_ended_at: int = 0  # positions at which the clock ended play without a network; 0: it did not

    def row(self, replay_positions: int) -> dict[str, int]:
        """Return the columns of metrics.csv that say how far the run is."""
        return {
            "games": self.games,
            "positions": self.positions,
            "training_steps": self.steps,
            "replay_positions": replay_positions,
            "weights_version": self.weights_version,
        }


def with_backend(config: Config, mcts_backend: str) -> Config:
    """Return `config` with that tree backend."""
    return replace(config, search=replace(config.search, mcts_backend=mcts_backend))


def point_metadata(positions: int, run_time_s: float) -> dict[str, str]:
    """Return what the weights of a point of the learning curve say about themselves."""
    return {"positions": str(positions), "run_time_s": f"{run_time_s:.1f}"}


def remove_points_after(step: int, run_folder: Path) -> None:
    """Remove the points of the learning curve after `step`: nothing that goes on from there has come through them."""
    with writing_to(run_folder):
        for path in (run_folder / "weights").glob("step-*.safetensors"):
            if int(path.stem.removeprefix("step-")) > step:
                path.unlink()


def remove_unsaved(run_folder: Path) -> None:
    """Remove the rows, events, points and summary of a run that never got to a checkpoint: it begins afresh."""
    with writing_to(run_folder):
        for name in (CSV_NAME, SUMMARY_NAME):
            (run_folder / name).unlink(missing_ok=True)
        for path in (run_folder / TENSORBOARD_FOLDER).glob("events.out.tfevents.*"):
            path.unlink()
    remove_points_after(-1, run_folder)


def require_same_run(
    state: Mapping[str, Any], config_hash: str, source_hash: str | None, run_folder: Path
) -> None:
    """Raise UserError unless a checkpoint of `run_folder` is of a run with these settings and these sources.

    state: what the checkpoint kept; older ones kept no hash of the sources, and their runs go on.
    source_hash: of the sources that would go on; None: whichever.
    """
    if state["config_hash"] != config_hash:
        raise UserError(
            f"{run_folder} holds a run with another configuration ({run_folder / CONFIG_NAME}); run it with that "
            "one, or choose another folder"
        )
    begun_by = state.get("source_hash")
    if None not in (begun_by, source_hash) and begun_by != source_hash:
        raise UserError(
            f"{run_folder} holds a run that was begun by other sources; choose another folder with --checkpoints, "
            f"or go back to the commit that {run_folder / PROVENANCE_NAME} names"
        )


def write_particulars(config: Config, run_folder: Path) -> None:
    """Write the configuration, where the code came from, and the machine."""
    with writing_to(run_folder):
        save_config(config, run_folder / CONFIG_NAME)
    write_json(run_folder, PROVENANCE_NAME, collect_provenance())
    write_json(run_folder, "hardware.json", probe_hardware().to_json())


def run_config(weights: Path) -> Path | None:
    """Return the configuration of the run whose folder `weights` is or lies in, None if it does not.

    weights: a weights file, a checkpoint, a folder of checkpoints, or a results folder.
    """
    path = weights.absolute()
    for folder in (path, *path.parents[:2]):  # RUN/weights/step-00000100.safetensors, RUN/step-00000100
        if (folder / CONFIG_NAME).exists() and (folder / PROVENANCE_NAME).exists():
            return folder / CONFIG_NAME
    return None


def write_json(run_folder: Path, name: str, record: Mapping[str, Any]) -> None:
    """Write `record` as `run_folder/name`; UserError if it cannot be written."""
    with writing_to(run_folder):
        (run_folder / name).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")


def writing_to(run_folder: Path) -> AbstractContextManager[None]:
    """Turn a full disk or a read-only folder into one clear message."""
    return writing_results(
        run_folder,
        "make room or make it writable, then run the same command again: it goes on from the last checkpoint, if there "
        "is one",
    )
