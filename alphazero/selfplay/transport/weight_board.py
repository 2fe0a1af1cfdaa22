"""The newest weights, on a board in shared memory: one process writes, any number read, nobody waits.

Two copies take turns: version v stands in copy v % 2, so a reader of the newest one is disturbed only if
two more versions appear while it copies. A checksum tells it so, and it reads again. Nothing is locked and
nothing is sent: a reader that is slow, stopped or killed costs the writer nothing.
"""

from __future__ import annotations

import queue
import zlib
from collections.abc import Mapping
from multiprocessing.context import SpawnContext
from typing import Any

import numpy as np
import numpy.typing as npt

Weights = dict[str, npt.NDArray[np.float32]]


class WeightBoard:
    """Float32 arrays of fixed names and shapes. Made by the parent, handed to children when spawned."""

    def __init__(self, context: SpawnContext, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        self._shapes = {name: array.shape for name, array in weights.items()}
        self._size = sum(array.size for array in weights.values())
        self._copies: Any = context.RawArray("f", 2 * self._size)
        self._header: Any = context.RawArray("q", 3)  # version, checksum of copy 0, checksum of copy 1
        self._header[0] = -1

    @property
    def version(self) -> int:
        """Version of the newest weights; -1 before any were written."""
        return int(self._header[0])

    def write(self, version: int, weights: Mapping[str, npt.NDArray[np.float32]]) -> None:
        """Put up `weights` as `version`, which must be larger than the last. For one process only."""
        copy = self._copy(version)
        start = 0
        for name, shape in self._shapes.items():
            array = np.asarray(weights[name], np.float32)
            if array.shape != shape:
                raise ValueError(f"weights {name!r} have shape {array.shape}, the board expects {shape}")
            copy[start : start + array.size] = array.ravel()
            start += array.size
        self._header[1 + version % 2] = _checksum(copy)
        self._header[0] = version

    def read(self) -> tuple[int, Weights]:
        """Return the newest version and a copy of its weights."""
        while True:
            version = self.version
            flat = self._copy(version).copy()
            if _checksum(flat) == self._header[1 + version % 2] and self.version - version < 2:
                break
        weights: Weights = {}
        start = 0
        for name, shape in self._shapes.items():
            size = int(np.prod(shape))
            weights[name] = flat[start : start + size].reshape(shape)
            start += size
        return version, weights

    def _copy(self, version: int) -> npt.NDArray[np.float32]:
        start = version % 2 * self._size
        return np.frombuffer(self._copies, np.float32)[start : start + self._size]


def _checksum(array: npt.NDArray[np.float32]) -> int:
    return zlib.crc32(array.data)


class WeightBoardReader:
    """One reader's place at the board; looks like the `queue.Queue` that the inference server expects."""

    def __init__(self, board: WeightBoard) -> None:
        self._board = board
        self._seen = -1

    def get_nowait(self) -> tuple[int, Weights]:
        """Return (version, weights) if they are newer than the last ones returned; else `queue.Empty`."""
        if self._board.version <= self._seen:
            raise queue.Empty
        self._seen, weights = self._board.read()
        return self._seen, weights
