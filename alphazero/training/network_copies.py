"""Pieces of a training batch that go through copies of the network at the same time, on a CPU.

Every operator of a small network is too short to be shared out among cores well: each waits for the slowest of
them, and much of a step is not shared out at all. Whole pieces of a batch are.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
from torch import Tensor

from alphazero.network.resnet import PolicyValueNetwork


class NetworkCopies:
    """A network and its copies: they share their parameters, and have gradients and batch-norm statistics of their own.

    Args:
        network: in training; its parameters must stay where they are.
        count: of networks that work at once, this one included; each in a thread of its own.
        threads_each: threads that each of these computes with.
    """

    def __init__(self, network: PolicyValueNetwork, count: int, threads_each: int) -> None:
        self.count = count
        self._networks = [network, *(_copy(network) for _ in range(count - 1))]
        self._statistics = [_statistics(copied) for copied in self._networks]
        self._parameters = [list(copied.parameters()) for copied in self._networks]
        self._workers = ThreadPoolExecutor(
            count, "learner", initializer=torch.set_num_threads, initargs=(threads_each,)
        )

    def gradients(self, compute: Callable[[PolicyValueNetwork, int], Tensor]) -> list[Tensor]:
        """Call `compute` with each network and its number, at the same time; return what it returns, in order.

        The gradients that it leaves in the parameters are added up in those of the network, in order, and the
        statistics of all are their mean.
        """
        for parameters in self._parameters[1:]:
            for parameter in parameters:
                parameter.grad = None
        for statistics in self._statistics[1:]:
            torch._foreach_copy_(statistics, self._statistics[0])
        results = list(self._workers.map(compute, self._networks, range(self.count)))
        for copied_parameters in self._parameters[1:]:
            sums, others = _gradients(self._parameters[0]), _gradients(copied_parameters)
            torch._foreach_add_(sums, others)
        for statistic, *of_copies in zip(*self._statistics, strict=True):
            statistic.copy_(torch.stack([statistic, *of_copies]).mean(0))
        return results


def _copy(network: PolicyValueNetwork) -> PolicyValueNetwork:
    copied = copy.deepcopy(network).train()
    for parameter, shared in zip(copied.parameters(), network.parameters(), strict=True):
        parameter.data = shared.data
    return copied


def _statistics(network: PolicyValueNetwork) -> list[Tensor]:
    return [
        tensor for name, tensor in network.named_buffers() if name.endswith(("running_mean", "running_var"))
    ]


def _gradients(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
