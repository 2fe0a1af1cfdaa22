"""A checkpoint is whole or not there; what is damaged is named; nothing that was safe is lost."""

import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from alphazero import durable
from alphazero.config import NetworkConfig, TrainingConfig
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.network.resnet import PolicyValueNetwork, build_network
from alphazero.training.checkpoint import CheckpointStore, load_agent
from alphazero.training.learner import Learner
from alphazero.training.replay_buffer import ReplayBuffer
from alphazero.training.weights_file import load_weights_file, save_weights
from tests.training.random_episode import play_episode

GAME = get_game("connect_four")
CPU = torch.device("cpu")
ROOT = Path(__file__).parents[2]
FILES = ("weights.safetensors", "learner.safetensors", "replay.npz", "state.json", "manifest.json")

# Saves step 1, then dies by its own hand in the middle of saving step 2, at its third flush to the disk.
DIE_WHILE_SAVING = """
import os, signal, sys
from pathlib import Path
from tests.training import test_checkpoint
run = test_checkpoint.Run(seed=0)
store = test_checkpoint.CheckpointStore(Path(sys.argv[1]))
run.train(1)
run.save(store)
run.train(1)
flush, calls = os.fsync, []
def fsync(descriptor):
    calls.append(descriptor)
    if len(calls) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    flush(descriptor)
os.fsync = fsync
run.save(store)
"""


class Run:
    """The parts of a run that a checkpoint holds, small."""

    def __init__(self, seed: int) -> None:
        torch.manual_seed(seed)
        network = build_network(GAME, NetworkConfig(blocks=1, filters=8))
        self.learner = Learner(network, TrainingConfig(), CPU)
        self.buffer = ReplayBuffer(100, GAME)
        self.rng = np.random.default_rng(seed)

    def train(self, steps: int) -> list[float]:
        losses = []
        for _ in range(steps):
            self.buffer.add_episode(play_episode(GAME, self.rng))
            losses.append(self.learner.train_step(self.buffer.sample(16, self.rng), 0.0).total_loss)
        return losses

    def save(self, store: CheckpointStore) -> Path:
        return store.save(
            self.learner.steps,
            network=self.learner.network,
            learner=self.learner.state_dict(),
            replay=self.buffer.state_dict(),
            state={"rng": self.rng.bit_generator.state},
        )

    def restore(self, store: CheckpointStore) -> None:
        checkpoint = store.load()
        self.learner.load_state_dict(checkpoint.weights, checkpoint.learner)
        self.buffer.load_state_dict(checkpoint.replay)
        self.rng.bit_generator.state = checkpoint.state["rng"]


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "checkpoints")


def names(store: CheckpointStore) -> list[str]:
    return sorted(path.name for path in store.folder.iterdir())


def test_resumed_run_goes_on_bit_for_bit(store: CheckpointStore) -> None:
    run = Run(seed=0)
    run.train(8)  # more positions than the replay buffer holds
    run.save(store)
    uninterrupted = run.train(5)
    resumed = Run(seed=99)
    resumed.restore(store)
    assert resumed.learner.steps == 8
    assert resumed.train(5) == uninterrupted
    for name, tensor in run.learner.weights().items():
        assert torch.equal(tensor, resumed.learner.weights()[name]), name


def test_only_the_newest_checkpoints_are_kept(store: CheckpointStore) -> None:
    run = Run(seed=0)
    for _ in range(4):
        run.train(1)
        assert store.latest() != run.save(store)
    assert names(store) == ["step-00000003", "step-00000004"]
    assert store.latest() == store.folder / "step-00000004"


def test_the_same_step_again_replaces_its_checkpoint(store: CheckpointStore) -> None:
    run = Run(seed=0)
    run.train(1)
    run.save(store)
    run.rng.random()  # what is saved differs now
    run.save(store)
    assert names(store) == ["step-00000001"]
    assert store.load().state["rng"] == run.rng.bit_generator.state


@pytest.mark.parametrize("damaged", FILES)
@pytest.mark.parametrize("damage", ["truncated", "changed", "missing"])
def test_damaged_file_is_named_with_the_way_back(damaged: str, damage: str, store: CheckpointStore) -> None:
    run = Run(seed=0)
    for _ in range(2):
        run.train(1)
        run.save(store)
    path = store.folder / "step-00000002" / damaged
    content = path.read_bytes()
    if damage == "missing":
        path.unlink()
    elif damage == "truncated":
        path.write_bytes(content[: len(content) // 2])
    else:
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 255]) + content[middle + 1 :])
    with pytest.raises(UserError) as caught:
        store.load()
    message = str(caught.value)
    assert str(path) in message
    assert f"delete the folder {path.parent} to go on from step-00000001" in message


def test_damage_to_the_only_checkpoint_says_to_start_anew(store: CheckpointStore) -> None:
    run = Run(seed=0)
    (run.save(store) / "replay.npz").write_bytes(b"")
    with pytest.raises(UserError, match=r"no older checkpoint: delete the folder .* to start anew"):
        store.load()


def test_checkpoint_of_a_newer_format_is_refused(store: CheckpointStore) -> None:
    manifest_path = Run(seed=0).save(store) / "manifest.json"
    manifest_path.write_text(json.dumps(json.loads(manifest_path.read_text()) | {"format": 2}))
    with pytest.raises(UserError, match="has checkpoint format 2; this version reads 1"):
        store.load()


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on Windows")
def test_killed_in_the_middle_of_a_save_leaves_the_previous_checkpoint(tmp_path: Path) -> None:
    command = [sys.executable, "-c", DIE_WHILE_SAVING, str(tmp_path)]
    died = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert died.returncode == -signal.SIGKILL, died.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == [".writing-step-00000002", "step-00000001"]
    store = CheckpointStore(tmp_path)
    assert store.load().step == 1
    run = Run(seed=1)
    run.restore(store)
    run.train(1)
    run.save(store)
    assert names(store) == ["step-00000001", "step-00000002"]


def test_checkpoint_moved_aside_when_the_process_died_still_counts(store: CheckpointStore) -> None:
    folder = Run(seed=0).save(store)
    aside = folder.rename(folder.with_name(f".retired-{folder.name}"))
    assert store.latest() == aside
    assert store.load().step == 0
    Run(seed=0).save(store)
    assert names(store) == ["step-00000000"]


# The sixth is the folder's, which Windows has no call for.
@pytest.mark.parametrize("failing_call", [1, 2, 3, 4, 5, *([] if sys.platform == "win32" else [6])])
def test_full_disk_is_a_user_error_and_the_previous_checkpoint_stays(
    failing_call: int, store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Run(seed=0)
    run.train(1)
    run.save(store)
    run.train(1)
    monkeypatch.setattr(os, "fsync", fails_at(failing_call, os.fsync))
    with pytest.raises(UserError, match=r"cannot write checkpoint .*step-00000002: No space left"):
        run.save(store)
    monkeypatch.undo()
    assert names(store) == ["step-00000001"]
    assert store.load().step == 1


def fails_at(number: int, function: Callable[[int], None]) -> Callable[[int], None]:
    calls = []

    def call(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == number:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        function(descriptor)

    return call


def test_folder_that_cannot_be_made_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write checkpoint"):
        Run(seed=0).save(CheckpointStore(tmp_path / "file" / "checkpoints"))


def test_keeping_no_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="keep_checkpoints is 0; it must be 1 or more"):
        CheckpointStore(tmp_path, keep=0)


def answers(network: PolicyValueNetwork) -> torch.Tensor:
    observations = torch.ones((2, *GAME.observation_shape), dtype=torch.uint8)
    with torch.inference_mode():
        logits, _ = network.eval()(observations)
    return logits


def test_agent_is_loaded_from_a_run_a_store_a_checkpoint_or_a_weights_file(
    tmp_path: Path, store: CheckpointStore
) -> None:
    run = Run(seed=0)
    run.train(2)
    folder = run.save(store)
    save_weights(tmp_path / "curve" / "agent.safetensors", run.learner.network, {"positions": "12"})
    save_weights(tmp_path / "results" / "model.safetensors", run.learner.network)
    results = (tmp_path / "results", tmp_path / "results" / "model.safetensors")
    for path in (tmp_path, store.folder, folder, tmp_path / "curve" / "agent.safetensors", *results):
        network = load_agent(path)
        torch.testing.assert_close(answers(network), answers(run.learner.network))
        assert not network.training


def test_weights_file_carries_its_metadata(tmp_path: Path) -> None:
    network = Run(seed=0).learner.network
    save_weights(tmp_path / "agent.safetensors", network, {"positions": "12"})
    metadata, weights = load_weights_file(tmp_path / "agent.safetensors")
    assert metadata["positions"] == "12"
    assert weights.keys() == network.state_dict().keys()


@pytest.mark.parametrize("content", [b"", b"no weights file", b"\xff" * 100])
def test_damaged_weights_file_is_a_user_error(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "agent.safetensors"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"agent\.safetensors is damaged or no weights file"):
        load_agent(path)


def test_missing_agents_are_user_errors(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="there is no weights file"):
        load_agent(tmp_path / "agent.safetensors")
    with pytest.raises(UserError, match="there is no checkpoint in"):
        load_agent(tmp_path)


def test_weights_of_something_else_are_a_user_error(tmp_path: Path) -> None:
    safetensors.torch.save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(UserError, match=r"other\.safetensors cannot be used: the weights do not say"):
        load_agent(tmp_path / "other.safetensors")


def test_full_disk_while_writing_weights_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "agent.safetensors"
    save_weights(path, Run(seed=0).learner.network)
    before = path.read_bytes()
    monkeypatch.setattr(durable.os, "fsync", fails_at(1, os.fsync))
    with pytest.raises(UserError, match="No space left"):
        save_weights(path, Run(seed=1).learner.network)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
