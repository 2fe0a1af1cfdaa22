"""A learner's state without pickle: tensors as safetensors, everything else as JSON in the same file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import safetensors
import safetensors.torch
from torch import Tensor

_JSON_KEY = "learner_state"
_TENSOR_MARK = "tensor"  # {"tensor": key} stands in the JSON for the tensor stored under that key
_INTEGER_KEYS_MARK = "integer_keys"  # JSON has text keys only; optimizers number their parameters


def encode_learner_state(state: Mapping[str, Any]) -> bytes:
    """Return `Learner.state_dict()` as the content of a safetensors file.

    Handles dicts with text or integer keys, lists, tuples (which come back as lists), tensors, numbers,
    text, booleans and None; TypeError for anything else.
    """
    tensors: dict[str, Tensor] = {}

    def plain(value: Any, path: str) -> Any:
        if isinstance(value, Tensor):
            tensors[path] = value.detach().to("cpu", copy=True).contiguous()
            return {_TENSOR_MARK: path}
        if isinstance(value, dict):
            encoded = {str(key): plain(item, f"{path}.{key}") for key, item in value.items()}
            if value and all(isinstance(key, int) for key in value):
                return {_INTEGER_KEYS_MARK: encoded}
            return encoded
        if isinstance(value, list | tuple):
            return [plain(item, f"{path}.{index}") for index, item in enumerate(value)]
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise TypeError(f"a learner's state cannot hold a {type(value).__name__} (at {path})")

    text = json.dumps(plain(dict(state), "state"))
    return safetensors.torch.save(tensors, {_JSON_KEY: text})


def decode_learner_state(data: bytes) -> dict[str, Any]:
    """Return what `encode_learner_state` was given; ValueError if `data` is something else."""
    try:
        tensors = safetensors.torch.load(data)
        header_size = int.from_bytes(data[:8], "little")
        header = json.loads(data[8 : 8 + header_size])
        encoded = json.loads(header["__metadata__"][_JSON_KEY])
    except (safetensors.SafetensorError, KeyError, ValueError) as error:
        raise ValueError(f"not a learner's state: {error}") from error

    def original(value: Any) -> Any:
        if isinstance(value, list):
            return [original(item) for item in value]
        if not isinstance(value, dict):
            return value
        if value.keys() == {_TENSOR_MARK}:
            return tensors[value[_TENSOR_MARK]]
        if value.keys() == {_INTEGER_KEYS_MARK}:
            return {int(key): original(item) for key, item in value[_INTEGER_KEYS_MARK].items()}
        return {key: original(item) for key, item in value.items()}

    state: dict[str, Any] = original(encoded)
    return state
