"""The engine of CUDA graphs on a stand-in for CUDA: sizes, two batches on their way, captures that fail.

On a real device it is tested in test_engines.py.
"""

import numpy as np
import pytest
import torch

from alphazero.network.graphs_engine import GraphsEngine, bucket_sizes
from alphazero.network.guarded_engine import GuardedEngine
from tests.network.cuda_stand_in import CudaStandIn
from tests.network.test_engines import BIASED, observations, reference, trained_looking_network

CPU = torch.device("cpu")
ROWS = 20


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> CudaStandIn:
    return CudaStandIn(monkeypatch)


def graphs_engine(seed: int = 0) -> GuardedEngine:
    network = trained_looking_network(seed, BIASED)
    engine = GraphsEngine(network, CPU, use_amp=False, pinned_memory=False, max_batch=ROWS)
    return GuardedEngine(engine, network, CPU)


def assert_answers(answers: tuple[np.ndarray, np.ndarray], rows: int, seed: int = 0) -> None:
    expected = reference(trained_looking_network(seed, BIASED), observations(rows))
    for found, right in zip(answers, expected, strict=True):
        np.testing.assert_allclose(found, right, atol=1e-5)


def test_buckets_double_up_to_the_largest_batch() -> None:
    assert bucket_sizes(100) == [8, 16, 32, 64, 100]
    assert bucket_sizes(64) == [8, 16, 32, 64]
    assert bucket_sizes(1) == [1]


def test_any_number_of_rows_is_answered_and_each_bucket_captured_once(cuda: CudaStandIn) -> None:
    engine = graphs_engine()
    for rows in (1, 8, 3, 9, 20, 53, 17, 1):  # 53: pieces of 20, 20 and 13
        assert_answers(engine.evaluate(observations(rows)), rows)
    assert len(cuda.captures) == 3  # 8, 16 and 20 rows
    assert len(set(map(id, cuda.captures))) == 1  # one pool


def test_new_weights_reach_the_graphs_that_are_captured(cuda: CudaStandIn) -> None:
    engine = graphs_engine(seed=0)
    assert_answers(engine.evaluate(observations(5)), 5)
    engine.load_weights(trained_looking_network(1, BIASED).state_dict())
    assert_answers(engine.evaluate(observations(5)), 5, seed=1)
    assert len(cuda.captures) == 1


def test_two_batches_on_their_way_are_not_mixed_up(cuda: CudaStandIn) -> None:
    engine = graphs_engine()
    assert engine.depth == 2
    waiting: list[int] = []
    for rows in [20, 7, 1, 13, 20, 33, 20, 8, 5] * 3:
        engine.submit(observations(rows))
        waiting.append(rows)
        if len(waiting) == engine.depth:
            assert_answers(engine.collect(), waiting.pop(0))


def test_a_capture_that_fails_at_its_end_loses_no_batch(cuda: CudaStandIn) -> None:
    engine = graphs_engine()
    stream = cuda.current
    engine.submit(observations(4))
    cuda.failing_ends = 1
    engine.submit(observations(12))  # another bucket, whose capture fails: evaluated when it is collected
    assert cuda.current is stream
    assert_answers(engine.collect(), 4)
    assert_answers(engine.collect(), 12)
    assert engine.max_batch == ROWS
    assert_answers(engine.evaluate(observations(4)), 4)
    assert len(cuda.captures) == 3  # that of 12 rows twice, the second time with a pool of its own
    assert cuda.captures[1] is not cuda.captures[2]


def test_a_capture_that_fails_again_leads_to_fewer_rows(cuda: CudaStandIn) -> None:
    engine = graphs_engine()
    cuda.failing_ends = 2
    assert_answers(engine.evaluate(observations(20)), 20)
    assert engine.max_batch == 5
    assert engine.name == "graphs"
