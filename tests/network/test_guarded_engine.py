"""Running out of device memory halves the batch; answers that are not finite lead to float32."""

import logging
from collections import deque

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.network.eager_engine import EagerEngine
from alphazero.network.engine_protocol import pipelined
from alphazero.network.guarded_engine import GuardedEngine
from alphazero.network.resnet import PolicyValueNetwork, build_network

GAME = get_game("connect_four")
CPU = torch.device("cpu")


class DeviceWithRoomFor:
    """An engine whose device holds `room` rows; it answers each row with the row's own first cell."""

    name = "fake"

    def __init__(self, room: int, max_batch: int, error: RuntimeError | None = None) -> None:
        self.room = room
        self.max_batch = max_batch
        self.error = error or torch.cuda.OutOfMemoryError("CUDA out of memory")

    def evaluate(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if min(len(observations), self.max_batch) > self.room:
            raise self.error
        marks = observations[:, 0, 0, 0].astype(np.float32)
        return np.repeat(marks[:, None], 7, axis=1), marks

    def load_weights(self, state_dict: object) -> None:
        pass


class BrokenEngine(EagerEngine):
    """An engine that answers `bad` in one place, as half precision does when it overflows."""

    name = "broken"

    def __init__(self, network: PolicyValueNetwork, bad: float) -> None:
        super().__init__(network, CPU, use_amp=False, pinned_memory=False, max_batch=8)
        self.bad = bad

    def evaluate(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        logits, values = super().evaluate(observations)
        logits = logits.copy()
        logits[-1, 3] = self.bad
        return logits, values


def small_network() -> PolicyValueNetwork:
    torch.manual_seed(0)
    return build_network(GAME, NetworkConfig(blocks=1, filters=4)).eval()


def numbered_rows(rows: int) -> np.ndarray:
    observations = np.zeros((rows, *GAME.observation_shape), dtype=np.uint8)
    observations[:, 0, 0, 0] = np.arange(rows)
    return observations


def test_out_of_memory_halves_the_batch_until_it_fits_and_loses_no_row(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = GuardedEngine(DeviceWithRoomFor(20, max_batch=64), small_network(), CPU)
    with caplog.at_level(logging.WARNING):
        _, values = engine.evaluate(numbered_rows(50))
    # 64 -> 32 -> 16, which fits in 20
    assert engine.max_batch == 16
    assert values.tolist() == list(range(50))
    assert [record.message for record in caplog.records] == [
        "out of device memory at 50 rows; going on with at most 32",
        "out of device memory at 32 rows; going on with at most 16",
    ]


def no_memory_for_a_graph() -> RuntimeError:
    """What is left of an OutOfMemoryError when ending the capture fails as well."""
    error = RuntimeError("CUDA error: operation failed due to a previous error during capture")
    error.__context__ = torch.cuda.OutOfMemoryError("CUDA out of memory")
    return error


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
        RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
        RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"),
        RuntimeError("GET was unable to find an engine to execute this computation"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        no_memory_for_a_graph(),
    ],
)
def test_libraries_that_run_out_of_device_memory_halve_the_batch_too(error: RuntimeError) -> None:
    engine = GuardedEngine(DeviceWithRoomFor(20, 64, error), small_network(), CPU)
    _, values = engine.evaluate(numbered_rows(50))
    assert engine.max_batch == 16
    assert values.tolist() == list(range(50))


def test_another_error_of_the_device_is_not_taken_for_a_lack_of_memory() -> None:
    error = RuntimeError("CUDA error: an illegal memory access was encountered")
    engine = GuardedEngine(DeviceWithRoomFor(20, 64, error), small_network(), CPU)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        engine.evaluate(numbered_rows(50))


def test_buffers_that_do_not_fit_at_half_the_batch_are_halved_again() -> None:
    class NeedsBuffers(DeviceWithRoomFor):
        def __setattr__(self, name: str, value: int) -> None:
            if name == "max_batch" and self.__dict__.get("max_batch", 0) and value > self.room:
                raise torch.cuda.OutOfMemoryError("CUDA out of memory")
            super().__setattr__(name, value)

    engine = GuardedEngine(NeedsBuffers(20, max_batch=64), small_network(), CPU)
    _, values = engine.evaluate(numbered_rows(50))
    assert engine.max_batch == 16
    assert values.tolist() == list(range(50))


def test_out_of_memory_with_a_single_row_is_a_user_error() -> None:
    engine = GuardedEngine(DeviceWithRoomFor(0, max_batch=4), small_network(), CPU)
    with pytest.raises(UserError, match="out of device memory with a single row"):
        engine.evaluate(numbered_rows(4))


def test_a_device_that_can_compute_nothing_is_quoted() -> None:
    """cuDNN says the same of a GPU that it does not know as of one that has no memory left."""
    error = RuntimeError("FIND was unable to find an engine to execute this computation\nmore")
    engine = GuardedEngine(DeviceWithRoomFor(0, 4, error), small_network(), CPU)
    with pytest.raises(
        UserError, match=r"The device said: FIND was unable to find an engine .* computation$"
    ):
        engine.evaluate(numbered_rows(4))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_answers_that_are_not_finite_lead_to_float32_with_one_warning(
    bad: float, caplog: pytest.LogCaptureFixture
) -> None:
    network = small_network()
    engine = GuardedEngine(BrokenEngine(network, bad), network, CPU)
    expected, _ = EagerEngine(network, CPU, False, False, 8).evaluate(numbered_rows(5))
    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            logits, _ = engine.evaluate(numbered_rows(5))
            np.testing.assert_array_equal(logits, expected)
    assert engine.name == "eager"
    assert len(caplog.records) == 1


def test_the_fallback_uses_the_newest_weights() -> None:
    network = small_network()
    engine = GuardedEngine(BrokenEngine(network, np.nan), network, CPU)
    newer = small_network()
    with torch.no_grad():
        newer.policy_output.bias += 1.0
    engine.load_weights(newer.state_dict())
    logits, _ = engine.evaluate(numbered_rows(5))
    expected, _ = EagerEngine(newer, CPU, False, False, 8).evaluate(numbered_rows(5))
    np.testing.assert_array_equal(logits, expected)


def test_weights_that_are_not_finite_are_a_user_error() -> None:
    network = small_network()
    with torch.no_grad():
        network.value_output.bias.fill_(np.nan)
    engine = GuardedEngine(EagerEngine(network, CPU, False, False, 8), network, CPU)
    with pytest.raises(UserError, match="training has diverged"):
        engine.evaluate(numbered_rows(2))


# ---- two batches on their way ----


class PipelinedDevice(DeviceWithRoomFor):
    """The same, for two batches; `bad` replaces the answer of a row whose first cell is 99."""

    depth = 2

    def __init__(self, room: int, max_batch: int, bad: float = 0.0) -> None:
        super().__init__(room, max_batch)
        self.bad = bad
        self.submitted = 0
        self._on_their_way: deque[np.ndarray] = deque()

    def evaluate(self, observations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        assert not self._on_their_way, "evaluated with a batch on its way"
        return super().evaluate(observations)

    def submit(self, observations: np.ndarray) -> None:
        if len(observations) > self.room:
            raise self.error
        assert len(self._on_their_way) < 2
        self.submitted += 1
        self._on_their_way.append(observations)

    def ready(self) -> bool:
        return False

    def collect(self) -> tuple[np.ndarray, np.ndarray]:
        observations = self._on_their_way.popleft()
        marks = observations[:, 0, 0, 0].astype(np.float32)
        marks[marks == 99] = self.bad
        return np.repeat(marks[:, None], 7, axis=1), marks


def collected(engine: GuardedEngine, batches: int) -> list[list[float]]:
    return [engine.collect()[1].tolist() for _ in range(batches)]


def test_batches_on_their_way_are_answered_in_order() -> None:
    engine = GuardedEngine(PipelinedDevice(64, 64), small_network(), CPU)
    assert pipelined(engine) is engine
    engine.submit(numbered_rows(3))
    engine.submit(numbered_rows(5))
    assert not engine.ready()
    assert collected(engine, 2) == [[0, 1, 2], [0, 1, 2, 3, 4]]


def test_an_engine_for_one_batch_is_no_pipeline() -> None:
    assert pipelined(GuardedEngine(DeviceWithRoomFor(64, 64), small_network(), CPU)) is None


def test_out_of_memory_with_a_batch_on_its_way_loses_neither() -> None:
    device = PipelinedDevice(20, 64)
    engine = GuardedEngine(device, small_network(), CPU)
    engine.submit(numbered_rows(10))
    engine.submit(numbered_rows(50))  # does not fit; waits until the device is free
    assert collected(engine, 1) == [list(range(10))]
    assert engine.ready()
    engine.submit(numbered_rows(4))  # behind it, so not on the device either
    assert device.submitted == 1
    assert collected(engine, 2) == [list(range(50)), list(range(4))]
    assert engine.max_batch == 16
    engine.submit(numbered_rows(30))  # more than the device takes at once by now
    assert collected(engine, 1) == [list(range(30))]


def test_answers_that_are_not_finite_lead_to_float32_for_the_batch_behind_as_well() -> None:
    network = small_network()
    engine = GuardedEngine(PipelinedDevice(64, 64, bad=np.nan), network, CPU)
    broken = numbered_rows(5)
    broken[2, 0, 0, 0] = 99
    expected = EagerEngine(network, CPU, False, False, 64)
    engine.submit(broken)
    engine.submit(numbered_rows(7))
    np.testing.assert_array_equal(engine.collect()[1], expected.evaluate(broken)[1])
    assert (engine.name, engine.depth) == ("eager", 1)
    np.testing.assert_array_equal(engine.collect()[1], expected.evaluate(numbered_rows(7))[1])
