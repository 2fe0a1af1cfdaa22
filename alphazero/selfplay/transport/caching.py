"""An actor's memory of the network's answers, in front of any way to the network.

    submit    look the rows up;  those without an answer, each position once  ──►  inner client
    receive   the answers looked up, completed by the inner client's  ◄──  if it was asked for anything

A round in which all rows are known asks nothing, so that nobody waits for anybody.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np

from alphazero.network.cached_evaluator import EvaluationCache, LookUp
from alphazero.selfplay.transport.messages import EvaluationClient, InferenceResponse, ObservationArray


class CachingClient:
    """An `EvaluationClient` that asks `inner` only for what it was not told since new weights came.

    All answers in the cache are of one version of the weights. Whether there are newer ones is looked at before each
    round, on the weight board, since an actor that knows every position would never learn it from an answer. What
    was asked for before they came is not kept. A position that one group waits for is asked for by another, too.

    Args:
        inner: gets rows through its own `observations`.
        newest_version: returns the version of the newest weights; what is submitted later is answered with those or
            newer ones.
        cache_positions: answers remembered, rounded up to a power of two.

    Attributes:
        looked_up_rows: rows asked of the cache since this was last set to zero.
        cached_rows: of them, those that `inner` was not asked for, also since an equal row was.
        look_up_s: seconds spent in `submit` without `inner`'s since this was last set to zero.
        keep_s: the same in `receive`.
    """

    def __init__(
        self,
        inner: EvaluationClient,
        newest_version: Callable[[], int],
        num_actions: int,
        cache_positions: int,
    ) -> None:
        self.inner = inner
        self.observations: list[ObservationArray] = [np.zeros_like(rows) for rows in inner.observations]
        self.looked_up_rows = 0
        self.cached_rows = 0
        self.look_up_s = 0.0
        self.keep_s = 0.0
        self._newest_version = newest_version
        self._cache = EvaluationCache(num_actions, cache_positions)
        self._version = -1  # of the weights that the answers in the cache are from
        self._looked_up: dict[int, tuple[LookUp, int]] = {}  # by group, with that version

    def submit(self, group: int, rows: int) -> None:
        started = time.perf_counter()
        self._forget_old_weights()
        observations = self.observations[group][:rows]
        looked_up = self._cache.look_up(observations)
        asked = len(looked_up.asked)
        self._looked_up[group] = (looked_up, self._version)
        # Without mode="clip", which no index needs, NumPy would make a copy first.
        np.take(observations, looked_up.asked, 0, self.inner.observations[group][:asked], mode="clip")
        self.looked_up_rows += rows
        self.cached_rows += rows - asked
        self.look_up_s += time.perf_counter() - started
        if asked:
            self.inner.submit(group, asked)

    def receive(self, group: int) -> InferenceResponse:
        looked_up, version = self._looked_up.pop(group)
        if not len(looked_up.asked):
            return InferenceResponse(group, 0, looked_up.policy_logits, looked_up.values, version)
        response = self.inner.receive(group)
        started = time.perf_counter()
        if response.weights_version == self._version:
            self._cache.keep(looked_up, response.policy_logits, response.values)
        policy_logits, values = looked_up.completed(response.policy_logits, response.values)
        self.keep_s += time.perf_counter() - started
        return InferenceResponse(group, response.ticket, policy_logits, values, response.weights_version)

    def _forget_old_weights(self) -> None:
        newest = self._newest_version()
        if newest > self._version:
            self._cache.clear()
            self._version = newest
