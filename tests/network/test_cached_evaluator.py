"""The cache answers like the evaluator behind it, asking it once a position."""

from __future__ import annotations

import numpy as np
import pytest

from alphazero.games.game import ByteArray
from alphazero.mcts.search import Evaluator, LogitArray
from alphazero.network import cached_evaluator
from alphazero.network.cached_evaluator import CachedEvaluator, EvaluationCache, _distinct


def observations(*seeds: int) -> ByteArray:
    return np.stack([np.random.default_rng(seed).integers(0, 2, (2, 6, 7), np.uint8) for seed in seeds])


def assert_equal_answers(first: tuple[LogitArray, LogitArray], second: tuple[LogitArray, LogitArray]) -> None:
    np.testing.assert_array_equal(first[0], second[0])
    np.testing.assert_array_equal(first[1], second[1])


def test_answers_are_those_of_the_evaluator(hashed: Evaluator) -> None:
    cached = CachedEvaluator(hashed, 7)
    for batch in (observations(1, 2, 3), observations(3, 4, 1, 4), observations(2)):
        assert_equal_answers(cached(batch), hashed(batch))


def test_each_position_is_evaluated_once_even_within_a_batch(hashed: Evaluator) -> None:
    cached = CachedEvaluator(hashed, 7)
    cached(observations(1, 2, 1, 1))
    cached(observations(2, 3))
    assert (cached.rows, cached.evaluations) == (6, 3)


def test_positions_that_share_a_place_push_each_other_out(hashed: Evaluator) -> None:
    cached = CachedEvaluator(hashed, 7, capacity=2)
    batch = observations(*range(50))
    for _ in range(2):
        assert_equal_answers(cached(batch), hashed(batch))
        for row in range(50):
            assert_equal_answers(cached(batch[row : row + 1]), hashed(batch[row : row + 1]))
    assert cached.evaluations > 100


def test_a_table_with_room_keeps_nearly_everything(hashed: Evaluator) -> None:
    cached = CachedEvaluator(hashed, 7, capacity=100_000)
    batch = observations(*range(3000))
    assert_equal_answers(cached(batch), hashed(batch))
    assert_equal_answers(cached(batch), hashed(batch))
    assert 3000 <= cached.evaluations < 3300


def test_what_was_learned_before_new_weights_is_forgotten(hashed: Evaluator) -> None:
    cached = CachedEvaluator(hashed, 7)
    cached(observations(1, 2))
    cached.clear()
    assert_equal_answers(cached(observations(1, 2)), hashed(observations(1, 2)))
    assert cached.evaluations == 4


@pytest.mark.skipif(cached_evaluator._native is None, reason="native code is not built")
@pytest.mark.parametrize("shape", [(2, 6, 7), (2, 3, 3), (1, 8, 8), (1, 1, 3)])
@pytest.mark.parametrize("largest", [1, 200])
def test_compiled_code_finds_what_numpy_finds(
    shape: tuple[int, int, int], largest: int, hashed: Evaluator, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    pool = rng.integers(0, largest + 1, (60, *shape), np.uint8)
    compiled, numpy = EvaluationCache(7, 32), EvaluationCache(7, 32)
    for rows in (1, 5, 40, 40, 200, 3):
        batch = pool[rng.integers(0, len(pool), rows)]
        found = compiled.look_up(batch)
        with monkeypatch.context() as without:
            without.setattr(cached_evaluator, "_native", None)
            expected = numpy.look_up(batch)
        for name in ("asked", "missing", "twins", "keys", "places"):
            np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), name)
        answers = hashed(np.concatenate([batch[found.asked], pool[:1]]))  # it takes no empty batch
        answers = answers[0][:-1], answers[1][:-1]
        for cache, looked_up in ((compiled, found), (numpy, expected)):
            cache.keep(looked_up, *answers)
            assert_equal_answers(looked_up.completed(*answers), hashed(batch))


@pytest.mark.skipif(cached_evaluator._native is None, reason="native code is not built")
def test_compiled_code_tells_different_keys_with_one_hash_apart(hashed: Evaluator) -> None:
    cache = EvaluationCache(7, 4096)
    cache.look_up(observations(0))
    cache._multipliers[:] = 0  # every position has the hash 0
    batch = observations(1, 2, 1, 3, 2)
    looked_up = cache.look_up(batch)
    assert looked_up.asked.tolist() == [0, 1, 3]
    answers = hashed(batch[looked_up.asked])
    assert_equal_answers(looked_up.completed(*answers), hashed(batch))


def test_different_keys_with_one_hash_are_told_apart() -> None:
    keys = np.array([[1, 2], [3, 4], [1, 2]], np.uint64)
    first, twins = _distinct(keys, np.zeros(3, np.uint64))
    assert (keys[first[twins]] == keys).all()


def test_bytes_that_are_not_bits_are_told_apart(hashed: Evaluator) -> None:
    cached = CachedEvaluator(hashed, 7)
    one, two = observations(1), observations(1) * np.uint8(2)
    assert_equal_answers(cached(np.concatenate([one, two])), hashed(np.concatenate([one, two])))
    assert cached.evaluations == 2


def test_batches_may_be_looked_up_before_the_first_is_answered(hashed: Evaluator) -> None:
    cache = EvaluationCache(7, 4096)
    batches = [observations(1, 2, 2), observations(2, 3)]
    looked_up = [cache.look_up(batch) for batch in batches]
    for batch, each in zip(reversed(batches), reversed(looked_up), strict=True):
        answers = hashed(batch[each.asked])
        cache.keep(each, *answers)
        assert_equal_answers(each.completed(*answers), hashed(batch))
    known = cache.look_up(observations(1, 2, 3))
    assert len(known.asked) == 0
    assert_equal_answers((known.policy_logits, known.values), hashed(observations(1, 2, 3)))


@pytest.mark.parametrize("emptied_by", ["new weights", "bytes that are not bits"])
def test_an_answer_to_what_was_asked_before_the_cache_was_emptied_is_not_kept(
    hashed: Evaluator, emptied_by: str
) -> None:
    cache = EvaluationCache(7, 4096)
    batch = observations(1)
    looked_up = cache.look_up(batch)
    if emptied_by == "new weights":
        cache.clear()
    else:
        cache.look_up(batch * np.uint8(2))  # keys are longer from here on
    answers = hashed(batch)
    cache.keep(looked_up, *answers)
    assert_equal_answers(looked_up.completed(*answers), answers)
    assert cache.look_up(batch).asked.tolist() == [0]


def test_a_failed_evaluation_leaves_nothing_behind(hashed: Evaluator) -> None:
    failing = True

    def sometimes(batch: ByteArray) -> tuple[LogitArray, LogitArray]:
        if failing:
            raise RuntimeError("device lost")
        return hashed(batch)

    cached = CachedEvaluator(sometimes, 7)
    with pytest.raises(RuntimeError):
        cached(observations(1, 2))
    failing = False
    assert_equal_answers(cached(observations(2, 1)), hashed(observations(2, 1)))
