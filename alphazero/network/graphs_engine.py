"""The CUDA engine: folded network, half precision, channels last, CUDA graphs, overlapped copies.

Small networks are bound by kernel launches, not by arithmetic; a CUDA graph launches a whole forward pass
at once. Graphs have fixed shapes, so one is captured for each bucket of batch sizes (8, 16, 32, ...,
max_batch) when it is first needed, and a batch runs in the smallest bucket that holds it. What rows
beyond the batch compute is never read: without batch norm, rows do not mix.

    host                      device
    pinned in ──upload──► slot in ──► graph in ─ graph ─► graph out ──► slot out ──download──► pinned out
              (stream)                     (compute stream)                       (stream)

Two slots take turns, so that one batch, or one piece of a large batch, is copied while the other is computed.
What a graph launches is the folded network as PyTorch runs it, or as torch.compile makes it (engine `compiled`).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch

from alphazero.network.compiled_engine import CompiledNetwork
from alphazero.network.eager_engine import half_precision
from alphazero.network.engine_protocol import FloatArray, Observations
from alphazero.network.folding import CHANNELS_LAST, CONTIGUOUS, FoldedNetwork, StateDict
from alphazero.network.resnet import PolicyValueNetwork

_SMALLEST_BUCKET = 8
_WARM_UP_PASSES = 3  # before a capture: cuDNN chooses its algorithms, libraries allocate workspaces


def bucket_sizes(max_batch: int) -> list[int]:
    """Return 8, 16, 32, ... below `max_batch`, then `max_batch` itself."""
    sizes = []
    size = _SMALLEST_BUCKET
    while size < max_batch:
        sizes.append(size)
        size *= 2
    return [*sizes, max_batch]


class _Slot:
    """Staging buffers of one piece on its way; `done` is recorded when its answer is on the host."""

    def __init__(
        self, rows: int, shape: tuple[int, int, int], actions: int, device: torch.device, pinned: bool
    ) -> None:
        self.host_in = torch.empty((rows, *shape), dtype=torch.uint8, pin_memory=pinned)
        self.host_logits = torch.empty((rows, actions), dtype=torch.float32, pin_memory=pinned)
        self.host_values = torch.empty(rows, dtype=torch.float32, pin_memory=pinned)
        self.device_in = torch.empty((rows, *shape), dtype=torch.uint8, device=device)
        self.device_logits = torch.empty((rows, actions), dtype=torch.float32, device=device)
        self.device_values = torch.empty(rows, dtype=torch.float32, device=device)
        self.uploaded = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self.computed = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self.done = torch.cuda.Event()  # type: ignore[no-untyped-call]


class GraphsEngine:
    """`InferenceEngine` for CUDA. Owned by one thread; keeps a copy of the network on the device.

    Also a `PipelinedEngine`, for batches of at most `max_batch` rows.

    Args:
        compiled: capture the network that torch.compile makes, compiled here and now; UserError if it cannot be.
    """

    depth = 2  # slots

    def __init__(
        self,
        network: PolicyValueNetwork,
        device: torch.device,
        use_amp: bool,
        pinned_memory: bool,
        max_batch: int,
        compiled: bool = False,
    ) -> None:
        self.name = "compiled" if compiled else "graphs"
        self._device = device
        self._pinned_memory = pinned_memory
        self._shape = network.architecture.observation_shape
        self._actions = network.architecture.num_actions
        dtype = half_precision(device) if use_amp else torch.float32
        # Tensor cores want channels last; float32 convolutions are faster in the plain layout.
        folded = FoldedNetwork(network, device, dtype, CHANNELS_LAST if use_amp else CONTIGUOUS)
        self._network = self._compile(folded, max_batch) if compiled else folded
        self._compute = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._upload = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._download = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._next_slot = 0
        self._allocate(max_batch)

    @property
    def max_batch(self) -> int:
        """Rows that go through the network at once."""
        return self._max_batch

    @max_batch.setter
    def max_batch(self, max_batch: int) -> None:
        self._allocate(max_batch)

    @torch.inference_mode()
    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        total = len(observations)
        if total <= self._max_batch:
            self._submit(self._slots[0], observations)
            return self._collect(self._slots[0], total)
        logits = np.empty((total, self._actions), dtype=np.float32)
        values = np.empty(total, dtype=np.float32)
        pieces = [slice(start, start + self._max_batch) for start in range(0, total, self._max_batch)]
        self._submit(self._slots[0], observations[pieces[0]])
        for index, piece in enumerate(pieces):
            if index + 1 < len(pieces):
                self._submit(self._slots[(index + 1) % 2], observations[pieces[index + 1]])
            rows = len(observations[piece])
            logits[piece], values[piece] = self._collect(self._slots[index % 2], rows)
        return logits, values

    @torch.inference_mode()
    def submit(self, observations: Observations) -> None:
        slot = self._slots[self._next_slot]
        self._submit(slot, observations)
        # Only now: where the capture of a graph fails, nothing is on its way.
        self._next_slot = (self._next_slot + 1) % self.depth
        self._on_their_way.append((slot, len(observations)))

    def ready(self) -> bool:
        return bool(self._on_their_way[0][0].done.query())  # type: ignore[no-untyped-call]

    def collect(self) -> tuple[FloatArray, FloatArray]:
        return self._collect(*self._on_their_way.popleft())

    def load_weights(self, state_dict: StateDict) -> None:
        # What is on its way keeps the old weights: they are copied in its compute stream's order. The captured
        # graphs read the parameters' addresses, which do not change.
        with torch.cuda.device(self._device), torch.cuda.stream(self._compute):
            self._network.load_weights(state_dict)
        self._compute.synchronize()

    def _compile(self, network: FoldedNetwork, rows: int) -> CompiledNetwork:
        with (
            torch.cuda.device(self._device),
            _timed_algorithms(),
        ):  # as in `_capture`, which compiles nothing then
            return CompiledNetwork(network, self._shape, rows, self._device)

    @torch.inference_mode()
    def _allocate(self, max_batch: int) -> None:
        """(Re)allocate all buffers for at most `max_batch` rows and forget the captured graphs.

        What was in flight, after a failed call, has ended when this returns.
        """
        torch.cuda.synchronize(self._device)
        self._graphs: dict[int, torch.cuda.CUDAGraph] = {}
        self._slots: list[_Slot] = []
        self._on_their_way: deque[tuple[_Slot, int]] = deque()  # with their rows, oldest first
        self._next_slot = 0
        self._graph_pool = torch.cuda.graph_pool_handle()
        # The graphs' own ends: outside their memory pool, because the graphs share the pool and each may
        # overwrite what another left there.
        self._graph_in = torch.zeros((max_batch, *self._shape), dtype=torch.uint8, device=self._device)
        self._graph_logits = torch.empty((max_batch, self._actions), device=self._device)
        self._graph_values = torch.empty(max_batch, device=self._device)
        self._slots = [
            _Slot(max_batch, self._shape, self._actions, self._device, self._pinned_memory)
            for _ in range(self.depth)
        ]
        self._max_batch = max_batch  # last: there is room for so many
        torch.cuda.synchronize(self._device)

    def _submit(self, slot: _Slot, observations: Observations) -> None:
        """Start upload, forward pass and download of one piece; returns before they are done."""
        rows = len(observations)
        graph = self._graph_for(rows)
        slot.host_in[:rows].copy_(torch.from_numpy(observations))
        with torch.cuda.stream(self._upload):
            slot.device_in[:rows].copy_(slot.host_in[:rows], non_blocking=True)
            slot.uploaded.record()
        with torch.cuda.stream(self._compute):
            self._compute.wait_event(slot.uploaded)
            self._graph_in[:rows].copy_(slot.device_in[:rows])
            graph.replay()
            slot.device_logits[:rows].copy_(self._graph_logits[:rows])
            slot.device_values[:rows].copy_(self._graph_values[:rows])
            slot.computed.record()
        with torch.cuda.stream(self._download):
            self._download.wait_event(slot.computed)
            slot.host_logits[:rows].copy_(slot.device_logits[:rows], non_blocking=True)
            slot.host_values[:rows].copy_(slot.device_values[:rows], non_blocking=True)
            slot.done.record()

    def _collect(self, slot: _Slot, rows: int) -> tuple[FloatArray, FloatArray]:
        """Wait for the piece in `slot` and return views of its answer, valid until the slot's next use."""
        slot.done.synchronize()
        return slot.host_logits[:rows].numpy(), slot.host_values[:rows].numpy()

    def _graph_for(self, rows: int) -> torch.cuda.CUDAGraph:
        bucket = next(size for size in bucket_sizes(self._max_batch) if size >= rows)
        if bucket not in self._graphs:
            self._graphs[bucket] = self._capture(bucket)
        return self._graphs[bucket]

    def _capture(self, rows: int) -> torch.cuda.CUDAGraph:
        graph = torch.cuda.CUDAGraph()
        before = torch.cuda.current_stream(self._device)
        self._compute.wait_stream(before)
        try:
            # The stream once more, around all: what fails at the end of a capture leaves another one behind.
            with torch.cuda.device(self._device), torch.cuda.stream(before), _timed_algorithms():
                with torch.cuda.stream(self._compute):
                    for _ in range(_WARM_UP_PASSES):
                        self._network(self._graph_in[:rows])
                self._compute.synchronize()
                # thread_local: a thread that pins memory or allocates meanwhile does not break the capture
                with torch.cuda.graph(
                    graph, pool=self._graph_pool, stream=self._compute, capture_error_mode="thread_local"
                ):
                    logits, values = self._network(self._graph_in[:rows])
                    self._graph_logits[:rows].copy_(logits)
                    self._graph_values[:rows].copy_(values)
        except BaseException:
            # A capture whose end failed may still be recording to the pool, which then takes no other.
            self._graph_pool = torch.cuda.graph_pool_handle()
            raise
        return graph


@contextmanager
def _timed_algorithms() -> Iterator[None]:
    """Let cuDNN time its algorithms for each shape and keep the fastest."""
    before = torch.backends.cudnn.benchmark
    torch.backends.cudnn.benchmark = True
    try:
        yield
    finally:
        torch.backends.cudnn.benchmark = before
