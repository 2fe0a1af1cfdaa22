"""A network in one `.safetensors` file: its weights, and in the header what is needed to rebuild it."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor

from alphazero.durable import replace_durably, write_durably
from alphazero.errors import UserError
from alphazero.network.resnet import PolicyValueNetwork, network_from_metadata, network_metadata


def weights_bytes(network: PolicyValueNetwork, metadata: Mapping[str, str]) -> bytes:
    """Return the content of a weights file: weights, architecture, and further entries of the header."""
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    return safetensors.torch.save(weights, {**metadata, **network_metadata(network)})


def save_weights(path: Path, network: PolicyValueNetwork, metadata: Mapping[str, str] | None = None) -> None:
    """Write a weights file, atomically.

    Args:
        path: ends in .safetensors; its folder is made if it is not there.
        network: whose weights and architecture are written.
        metadata: further entries of the header, such as step and positions.

    Raises UserError if it cannot be written.
    """
    unfinished = path.with_name(f".writing-{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_durably(unfinished, weights_bytes(network, metadata or {}))
        replace_durably(unfinished, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            unfinished.unlink(missing_ok=True)
        raise UserError(
            f"cannot write {path}: {error.strerror or error}; free disk space, make the folder writable "
            "or choose another one"
        ) from error


def load_weights_file(path: Path) -> tuple[dict[str, str], dict[str, Tensor]]:
    """Return (metadata, state_dict) of a weights file; UserError if it is missing or damaged."""
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata: dict[str, str] = file.metadata() or {}
            return metadata, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except FileNotFoundError as error:
        raise UserError(f"there is no weights file {path}") from error
    except (safetensors.SafetensorError, OSError, ValueError) as error:
        raise UserError(f"{path} is damaged or no weights file ({error}); use another one") from error


def load_network(path: Path, device: str | torch.device = "cpu") -> PolicyValueNetwork:
    """Return the network in a weights file, on `device`, in evaluation mode.

    Raises UserError if the file is missing, damaged, or was not written by `save_weights`.
    """
    metadata, weights = load_weights_file(path)
    try:
        network = network_from_metadata(metadata)
        network.load_state_dict(weights)
    except (UserError, RuntimeError) as error:
        raise UserError(f"{path} cannot be used: {error}") from error
    return network.to(device).eval()
