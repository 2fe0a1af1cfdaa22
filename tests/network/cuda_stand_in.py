"""As much of `torch.cuda` as `GraphsEngine` calls, computed by the CPU at once, for machines without a GPU.

Streams and events do nothing, since every call has ended when it returns. A graph records the operators that run while
it is captured, and computes them again, into the same tensors, when it is replayed.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode


class _Stream:
    def __init__(self, device: torch.device | None = None) -> None:
        pass

    def wait_event(self, event: object) -> None:
        pass

    def wait_stream(self, stream: object) -> None:
        pass

    def synchronize(self) -> None:
        pass


class _Event:
    def record(self) -> None:
        pass

    def query(self) -> bool:
        return True

    def synchronize(self) -> None:
        pass


class _Graph(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, Any, Any, Any]] = []

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = operator(*args, **(kwargs or {}))
        self._calls.append((operator, args, kwargs or {}, result))
        return result

    def replay(self) -> None:
        for operator, args, kwargs, result in self._calls:
            again = operator(*args, **kwargs)
            pairs = (
                zip(result, again, strict=True) if isinstance(result, (tuple, list)) else [(result, again)]
            )
            for first, new in pairs:
                if (
                    isinstance(first, Tensor) and first.data_ptr() != new.data_ptr()
                ):  # neither in place nor a view
                    first.copy_(new)


class CudaStandIn:
    """Installs itself in place of what `GraphsEngine` uses; a test undoes that by pytest's monkeypatch.

    Attributes:
        captures: pools of the graphs captured so far, in order.
        failing_ends: so many captures from now on fail at their end, as they do when memory has run out: the pool
            remains as if it was still recorded to, and the stream of the capture remains the current one.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.captures: list[object] = []
        self.failing_ends = 0
        self.current = _Stream()
        self._recording: list[object] = []
        for name, stand_in in {
            "Stream": _Stream,
            "Event": _Event,
            "CUDAGraph": _Graph,
            "graph": self._graph,
            "stream": self._stream,
            "current_stream": lambda device=None: self.current,
            "device": lambda device: nullcontext(),
            "synchronize": lambda device=None: None,
            "graph_pool_handle": object,
        }.items():
            monkeypatch.setattr(torch.cuda, name, stand_in)

    @contextmanager
    def _stream(self, stream: _Stream) -> Iterator[None]:
        before, self.current = self.current, stream
        try:
            yield
        finally:
            self.current = before

    @contextmanager
    def _graph(self, graph: _Graph, pool: object, stream: _Stream, capture_error_mode: str) -> Iterator[None]:
        if pool in self._recording:
            raise RuntimeError("beginAllocateToPool: already recording to mempool_id")
        before, self.current = self.current, stream
        self.captures.append(pool)
        with graph:
            yield
        if self.failing_ends:
            self.failing_ends -= 1
            self._recording.append(pool)
            error = RuntimeError("CUDA error: operation failed due to a previous error during capture")
            raise error from torch.cuda.OutOfMemoryError("CUDA out of memory")
        self.current = before
