"""Evaluate each position once: searches of neighbouring positions meet the same positions again and again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from alphazero.games.game import ByteArray
from alphazero.mcts.search import Evaluator, LogitArray
from alphazero.native_import import compiled_module

_native: Any = compiled_module("alphazero.network._evaluation_cache")

_DEFAULT_BYTES = 2**28
_MOST_BY_DEFAULT = 2**18

WordArray = npt.NDArray[np.uint64]
IndexArray = npt.NDArray[np.intp]
TableArray = npt.NDArray[np.void]  # fields key, policy_logits, value, filled_in: see `_empty_table`
# Of a batch: policy logits [B, A] and values [B] that the table holds, places [B]; asked, missing, twins: see `LookUp`.
Found = tuple[LogitArray, LogitArray, IndexArray, IndexArray, IndexArray, IndexArray]

_CACHE_LINE = 64  # bytes


@dataclass(frozen=True)
class LookUp:
    """What a cache knew of a batch, and which rows somebody has to evaluate.

    Attributes:
        policy_logits: float32 [B, A], a copy; rows in `missing` hold nothing until they are evaluated.
        values: float32 [B], for the player to move; likewise.
        asked: rows to evaluate [D], each position once.
        missing: rows without an answer [M >= D].
        twins: for each of `missing`, the index in `asked` of the row with its position.
        keys, places, generation: what the cache needs to keep the answers.
    """

    policy_logits: LogitArray
    values: LogitArray
    asked: IndexArray
    missing: IndexArray
    twins: IndexArray
    keys: WordArray
    places: IndexArray
    generation: int

    def completed(self, policy_logits: LogitArray, values: LogitArray) -> tuple[LogitArray, LogitArray]:
        """Return the answers to all B rows, given those to the rows asked for: float32 [D, A] and [D]."""
        self.policy_logits[self.missing] = policy_logits[self.twins]
        self.values[self.missing] = values[self.twins]
        return self.policy_logits, self.values


def default_capacity(num_actions: int) -> int:
    """Return how many answers' policy logits fit into 256 MiB, 262,144 at most."""
    return min(_MOST_BY_DEFAULT, _DEFAULT_BYTES // (4 * num_actions))


class EvaluationCache:
    """Remembers the network's answers, keyed by the whole observation. One process, one thread.

    A table with one place for each hash: a position takes the place of the one that held it. So nothing is
    ever moved. All that is kept at a place lies side by side, in as few cache lines as it fits into: places are random,
    and each line has to be waited for. Several batches may be looked up before the first of them is answered.

    Args:
        capacity: places, rounded up to a power of two; None: `default_capacity`.
    """

    def __init__(self, num_actions: int, capacity: int | None = None) -> None:
        capacity = capacity or default_capacity(num_actions)
        self._hash_bits = max(1, (capacity - 1).bit_length())
        self._num_actions = num_actions
        self._generation = 1
        self._table: TableArray | None = None  # once the first batch shows the shape of a key
        self._multipliers: WordArray = np.zeros(0, np.uint64)
        self._bits = True  # keys hold one bit for each byte of an observation

    def clear(self) -> None:
        """Forget every answer, also those still to come: the network has new weights."""
        self._generation += 1

    def look_up(self, observations: ByteArray) -> LookUp:
        """Return what is known of `observations`, uint8 [B, C, H, W], and which rows to evaluate."""
        keys, table = self._keys_of(observations)
        find = self._find if _native is None else self._find_compiled
        policy_logits, values, places, asked, missing, twins = find(keys, table)
        return LookUp(
            policy_logits, values, asked, missing, twins, keys[asked], places[asked], self._generation
        )

    def keep(self, looked_up: LookUp, policy_logits: LogitArray, values: LogitArray) -> None:
        """Remember the answers to the rows asked for: float32 [D, A] and [D].

        Not if the cache was cleared since the look-up: the answers may be those of the old weights.
        """
        if looked_up.generation != self._generation:
            return
        table = self._table
        assert table is not None
        if _native is not None:
            answers = (np.ascontiguousarray(array, np.float32) for array in (policy_logits, values))
            _native.keep(_bytes(table), self._generation, looked_up.places, looked_up.keys, *answers)
            return
        # Of two rows with one place the later one stays, in all four fields.
        table["key"][looked_up.places] = looked_up.keys
        table["policy_logits"][looked_up.places] = policy_logits
        table["value"][looked_up.places] = values
        table["filled_in"][looked_up.places] = self._generation

    def _find(self, keys: WordArray, table: TableArray) -> Found:
        """Return the rows of the table, and what `LookUp` says of them; rows asked for in the order of the batch."""
        hashes = _mixed((keys * self._multipliers).sum(axis=1, dtype=np.uint64))
        places = (hashes >> np.uint64(64 - self._hash_bits)).astype(np.intp)
        found = table[places]
        held = (found["filled_in"] == self._generation) & (found["key"] == keys).all(axis=1)
        missing = np.flatnonzero(~held)
        first, twins = _distinct(keys[missing], hashes[missing])
        policy_logits, values = (np.ascontiguousarray(found[name]) for name in ("policy_logits", "value"))
        return policy_logits, values, places, missing[first], missing, twins

    def _find_compiled(self, keys: WordArray, table: TableArray) -> Found:
        """Do what `_find` does in compiled code (`_evaluation_cache.pyx`)."""
        policy_logits = np.empty((len(keys), self._num_actions), np.float32)
        values = np.empty(len(keys), np.float32)
        places, asked, missing, twins = np.empty((4, len(keys)), np.intp)
        slots = np.empty(1 << (2 * len(keys)).bit_length(), np.int32)
        num_asked, num_missing = _native.find(
            keys,
            self._multipliers,
            self._hash_bits,
            _bytes(table),
            self._generation,
            policy_logits,
            values,
            places,
            asked,
            missing,
            twins,
            slots,
        )
        return policy_logits, values, places, asked[:num_asked], missing[:num_missing], twins[:num_missing]

    def _keys_of(self, observations: ByteArray) -> tuple[WordArray, TableArray]:
        """Return the keys of the rows, uint64 [B, words], and the table.

        Bit planes are packed to an eighth of their size. The first observation that holds more than bits
        empties the table, and from then on keys are whole bytes.
        """
        rows = observations.reshape(len(observations), -1)
        keys = _packed(rows, self._bits)
        if keys is None:
            self._bits, self._table = False, None
            self.clear()
            keys = _packed(rows, self._bits)
            assert keys is not None
        if self._table is None:
            words = keys.shape[1]
            self._table = _empty_table(1 << self._hash_bits, words, self._num_actions)
            self._multipliers = np.random.default_rng(0).integers(0, 2**64, words, np.uint64) | np.uint64(1)
        return keys, self._table


class CachedEvaluator:
    """An `Evaluator` that remembers the answers of another one.

    Two positions with the same observation get the same answer from any network, so a search through the
    cache differs from one without only by the rounding of the network in batches of another size.
    Belongs to one process and one thread.

    Args:
        capacity: see `EvaluationCache`.

    Attributes:
        rows: observations asked for.
        evaluations: observations that the inner evaluator had to evaluate.
    """

    def __init__(self, evaluate: Evaluator, num_actions: int, capacity: int | None = None) -> None:
        self._evaluate = evaluate
        self._cache = EvaluationCache(num_actions, capacity)
        self.rows = 0
        self.evaluations = 0

    def clear(self) -> None:
        """Forget every answer: the inner evaluator has new weights."""
        self._cache.clear()

    def __call__(self, observations: ByteArray) -> tuple[LogitArray, LogitArray]:
        """Return (policy logits float32 [B, A], values float32 [B] for the player to move)."""
        looked_up = self._cache.look_up(observations)
        self.rows += len(observations)
        if not len(looked_up.asked):
            return looked_up.policy_logits, looked_up.values
        policy_logits, values = self._evaluate(observations[looked_up.asked])
        self.evaluations += len(looked_up.asked)
        self._cache.keep(looked_up, policy_logits, values)
        return looked_up.completed(policy_logits, values)


def _empty_table(places: int, words: int, num_actions: int) -> TableArray:
    """Return a table of places that nobody has filled, each at the start of a cache line.

    Memory is taken as places are filled. `_evaluation_cache.pyx` reads and writes the same fields, in this order:
    the generation in which a place was last filled is the last one.
    """
    used = 8 * words + 4 * num_actions + 8
    entry = np.dtype(
        [
            ("key", np.uint64, (words,)),
            ("policy_logits", np.float32, (num_actions,)),
            ("value", np.float32),
            ("filled_in", np.uint32),
            ("unused", np.uint8, (-used % _CACHE_LINE,)),
        ]
    )
    memory = np.zeros(places * entry.itemsize + _CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % _CACHE_LINE
    table: TableArray = memory[start : start + places * entry.itemsize].view(entry)
    return table


def _bytes(table: TableArray) -> ByteArray:
    """Return the memory of a table, uint8 [places, bytes of one]."""
    return table.view(np.uint8).reshape(len(table), -1)


def _packed(rows: ByteArray, bits: bool) -> WordArray | None:
    """Return keys of rows, uint8 [B, N]: uint64 [B, words]; None if `bits`, one a byte, do not hold all of them."""
    length = rows.shape[1]
    used = -(-length // 8) if bits else length
    keys = np.zeros((len(rows), 8 * -(-used // 8)), np.uint8)
    if _native is not None:
        if not _native.pack(rows, bits, keys):
            return None
    elif bits and rows.max(initial=0) > 1:
        return None
    else:
        keys[:, :used] = np.packbits(rows, axis=1) if bits else rows
    return keys.view(np.uint64)


def _mixed(sums: WordArray) -> WordArray:
    """Return hashes whose high bits depend on all bits of `sums` (the last steps of SplitMix64)."""
    sums ^= sums >> np.uint64(30)
    sums *= np.uint64(0xBF58476D1CE4E5B9)
    sums ^= sums >> np.uint64(27)
    sums *= np.uint64(0x94D049BB133111EB)
    return sums


def _distinct(keys: WordArray, hashes: WordArray) -> tuple[IndexArray, IndexArray]:
    """Return (rows [D] without repetitions, ascending, for each row its index among those [B])."""
    _, first, twins = np.unique(hashes, return_index=True, return_inverse=True)
    if (keys[first[twins]] == keys).all():
        order = first.argsort()
        return first[order], order.argsort()[twins]
    every = np.arange(len(keys))  # different keys with the same 64-bit hash: once in ages
    return every, every
