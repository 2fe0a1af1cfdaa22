"""Checkpoints: everything a run needs to go on, in one folder that is either whole or not there.

    checkpoints/
      step-00001234/
        weights.safetensors     the network; its header can rebuild it
        learner.safetensors     optimizer, gradient scaler, step counter
        replay.npz              the filled part of the replay buffer
        state.json              counters, random states, whatever else the run wants to keep
        manifest.json           size and SHA-256 of each of the others
      .writing-step-00001234/   a save that did not end; removed at the next start

A checkpoint is written under a temporary name, flushed to the disk, and then renamed, which file systems do
in one piece. So a crash at any moment leaves the previous checkpoint as it was.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from alphazero.durable import flush_to_disk, replace_durably, sync_folder, write_durably
from alphazero.errors import UserError
from alphazero.folders import MODEL_NAME
from alphazero.network.resnet import PolicyValueNetwork
from alphazero.training.learner_file import decode_learner_state, encode_learner_state
from alphazero.training.weights_file import load_network, load_weights_file, weights_bytes

WEIGHTS = "weights.safetensors"
_LEARNER = "learner.safetensors"
_REPLAY = "replay.npz"
_STATE = "state.json"
_MANIFEST = "manifest.json"
_FILES = (WEIGHTS, _LEARNER, _REPLAY, _STATE)
_FORMAT = 1
_STEP_NAME = re.compile(r"step-(\d{8,})")
_WRITING = ".writing-"
_RETIRED = ".retired-"


@dataclass(frozen=True)
class Checkpoint:
    """The state of a run between two training steps, as read from a checkpoint.

    Attributes:
        step: training steps done.
        weights: state of the network.
        learner: `Learner.state_dict()`.
        replay: `ReplayBuffer.state_dict()`.
        state: whatever else the run kept, as JSON: counters, random states, hashes of configuration and sources.
    """

    step: int
    weights: Mapping[str, Tensor]
    learner: Mapping[str, Any]
    replay: Mapping[str, npt.NDArray[Any]]
    state: Mapping[str, Any]


class CheckpointStore:
    """The checkpoints of one run. Written by one process at a time (see `RunLock`).

    Args:
        folder: made when the first checkpoint is saved.
        keep: full checkpoints kept, 1 or more; older ones are deleted after a new one is safe.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise UserError(f"training.keep_checkpoints is {keep}; it must be 1 or more")
        self.folder = folder
        self._keep = keep

    def save(
        self,
        step: int,
        network: PolicyValueNetwork,
        learner: Mapping[str, Any],
        replay: Mapping[str, npt.NDArray[Any]],
        state: Mapping[str, Any],
    ) -> Path:
        """Write a checkpoint and return its folder.

        Args:
            step: training steps done; names the folder. The same step again replaces what is there.
            network: weights and architecture.
            learner: `Learner.state_dict()`.
            replay: `ReplayBuffer.state_dict()`.
            state: anything else that JSON can hold.

        Raises UserError if it cannot be written (full disk, read-only folder); earlier ones stay as they
        are, and nothing half-written is left.
        """
        target = self.folder / step_name(step)
        unfinished = self.folder / f"{_WRITING}{target.name}"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self.clean()
            unfinished.mkdir()
            _write_files(unfinished, step, network, learner, replay, state)
            if target.exists():  # move the old one aside, never delete it first
                replace_durably(target, self.folder / f"{_RETIRED}{target.name}")
            replace_durably(unfinished, target)
        except OSError as error:
            shutil.rmtree(unfinished, ignore_errors=True)
            raise UserError(
                f"cannot write checkpoint {target}: {error.strerror or error}; free disk space or make the "
                "folder writable, then run the same command again: it goes on from the last checkpoint, if "
                "there is one"
            ) from error
        self.clean()
        for old in self.checkpoints()[: -self._keep]:
            shutil.rmtree(old, ignore_errors=True)
        return target

    def checkpoints(self) -> list[Path]:
        """Return the folders of the checkpoints, oldest first.

        One that a save had moved aside when its process died counts until its step is saved again.
        """
        retired = [
            path
            for path in self.folder.glob(f"{_RETIRED}step-*")
            if not path.with_name(path.name.removeprefix(_RETIRED)).exists()
        ]
        folders = [path for path in (*self.folder.glob("step-*"), *retired) if path.is_dir()]
        steps = {}
        for path in folders:
            if match := _STEP_NAME.fullmatch(path.name.removeprefix(_RETIRED)):
                steps[path] = int(match[1])
        return sorted(steps, key=steps.__getitem__)

    def latest(self) -> Path | None:
        """Return the folder of the newest checkpoint, or None if there is none; nothing is verified."""
        checkpoints = self.checkpoints()
        return checkpoints[-1] if checkpoints else None

    def clean(self) -> None:
        """Remove what an interrupted save left behind, and put back a checkpoint it had moved aside."""
        for unfinished in self.folder.glob(f"{_WRITING}*"):
            shutil.rmtree(unfinished, ignore_errors=True)
        for retired in self.folder.glob(f"{_RETIRED}*"):
            original = self.folder / retired.name.removeprefix(_RETIRED)
            if original.exists():
                shutil.rmtree(retired, ignore_errors=True)
            else:
                retired.replace(original)

    def load(self, folder: Path | None = None) -> Checkpoint:
        """Read the checkpoint in `folder` (None: the newest), after checking every file's size and SHA-256.

        Raises UserError, naming the file and what to do, if there is none, or it is damaged.
        """
        chosen = folder or self.latest()
        if chosen is None:
            raise UserError(f"there is no checkpoint in {self.folder}")
        try:
            return _read_checkpoint(chosen)
        except _DamagedError as error:
            raise UserError(f"{error}; {self._advice(chosen)}") from error

    def _advice(self, damaged: Path) -> str:
        checkpoints = self.checkpoints()
        older = checkpoints[: checkpoints.index(damaged)] if damaged in checkpoints else []
        if older:
            return f"delete the folder {damaged} to go on from {older[-1].name}, or start anew elsewhere"
        return f"there is no older checkpoint: delete the folder {damaged} to start anew"


def step_name(step: int) -> str:
    """Return the name under which step number `step` is stored; names sort as numbers do."""
    return f"step-{step:08d}"


def load_agent(path: Path, device: str | torch.device = "cpu") -> PolicyValueNetwork:
    """Return the network to play with, on `device`, in evaluation mode.

    Args:
        path: a weights file, a checkpoint (`step-...`), a run's results folder (with model.safetensors), or a folder of
            checkpoints (its newest is used; `path/checkpoints` works as well).

    Raises UserError if there is none, or it is damaged.
    """
    if (path / MODEL_NAME).exists():
        path = path / MODEL_NAME
    elif path.is_dir() and not (path / WEIGHTS).exists() and not _STEP_NAME.fullmatch(path.name):
        latest = CheckpointStore(path).latest() or CheckpointStore(path / "checkpoints").latest()
        if latest is None:
            raise UserError(f"there is no checkpoint in {path}, and no {MODEL_NAME}; train an agent first")
        path = latest
    return load_network(path / WEIGHTS if path.is_dir() else path, device)


class _DamagedError(Exception):
    """A file of a checkpoint is missing or not what was written; the message names it."""


def _write_files(
    folder: Path,
    step: int,
    network: PolicyValueNetwork,
    learner: Mapping[str, Any],
    replay: Mapping[str, npt.NDArray[Any]],
    state: Mapping[str, Any],
) -> None:
    write_durably(folder / WEIGHTS, weights_bytes(network, {"step": str(step), "version": _version()}))
    write_durably(folder / _LEARNER, encode_learner_state(learner))
    with (folder / _REPLAY).open("wb") as file:  # straight to the file: it may be gigabytes
        np.savez(file, allow_pickle=False, **replay)
        file.flush()
        flush_to_disk(file.fileno())
    write_durably(folder / _STATE, json.dumps({"step": step, "state": dict(state)}, indent=1).encode())
    manifest = {
        "format": _FORMAT,
        "files": {
            name: {"bytes": (folder / name).stat().st_size, "sha256": sha256_of(folder / name)}
            for name in _FILES
        },
    }
    write_durably(folder / _MANIFEST, json.dumps(manifest, indent=1).encode())
    sync_folder(folder)


def _read_checkpoint(folder: Path) -> Checkpoint:
    try:
        _verify(folder)
        _, weights = load_weights_file(folder / WEIGHTS)
        state = json.loads((folder / _STATE).read_bytes())
        with np.load(folder / _REPLAY, allow_pickle=False) as replay:
            arrays = {name: replay[name] for name in replay.files}
        learner = decode_learner_state((folder / _LEARNER).read_bytes())
    except OSError as error:
        raise _DamagedError(f"cannot read {error.filename or folder}: {error.strerror or error}") from error
    return Checkpoint(
        step=state["step"],
        weights=weights,
        learner=learner,
        replay=arrays,
        state=state["state"],
    )


def _verify(folder: Path) -> None:
    """Check every file against the manifest; _DamagedError names the first that differs."""
    manifest_path = folder / _MANIFEST
    try:
        manifest = json.loads(manifest_path.read_bytes())
        written_as, files = manifest["format"], manifest["files"]
        expected = {name: (files[name]["bytes"], files[name]["sha256"]) for name in _FILES}
    except (ValueError, KeyError, TypeError) as error:
        raise _DamagedError(f"{manifest_path} is damaged (not a complete list of files)") from error
    if written_as != _FORMAT:
        raise _DamagedError(f"{folder} has checkpoint format {written_as}; this version reads {_FORMAT}")
    for name, (size, sha256) in expected.items():
        path = folder / name
        found = path.stat().st_size
        if found != size:
            raise _DamagedError(f"{path} is damaged ({found} bytes instead of {size})")
        if sha256_of(path) != sha256:
            raise _DamagedError(f"{path} is damaged (its content has changed since it was written)")


def sha256_of(path: Path) -> str:
    """Return a file's SHA-256 as hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _version() -> str:
    try:
        return importlib.metadata.version("alphazero-suite")
    except importlib.metadata.PackageNotFoundError:  # run from a source tree that is not installed
        return "not installed"
