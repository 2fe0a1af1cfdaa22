"""A larger network that begins as what a smaller one has learned.

The larger network answers like the smaller one at first, and learns on from there:

    a block more     its last batch norm is scaled by 0, so that the block adds nothing to what passes it
    a channel more   computes something at random, and nobody listens: weights from it to what was there before are 0

Weights of 0 learn as others do, since what is on their other side is not 0.

Source: Chen, Goodfellow and Shlens, 'Net2Net: accelerating learning via knowledge transfer' (2016). There new channels
are copies of old ones, with their outgoing weights shared; here they are new, and need no noise to tell them apart.
"""

from __future__ import annotations

from typing import cast

import torch
from torch import Tensor

from alphazero.config import NetworkConfig
from alphazero.games.registry import get_game
from alphazero.network.resnet import PolicyValueNetwork, ResidualBlock, build_network


@torch.no_grad()
def grow(network: PolicyValueNetwork, size: NetworkConfig) -> PolicyValueNetwork:
    """Return a network of `network`'s size grown to `size`, on the CPU, that answers like `network`.

    New weights come from torch's generator.
    """
    large = build_network(get_game(network.architecture.game), network.architecture.config.grown_to(size))
    known = network.state_dict()
    for name, tensor in large.state_dict().items():
        if name in known:
            _write_into(tensor, known[name])
    for block in large.blocks[network.architecture.config.blocks :]:
        cast(ResidualBlock, block).second.norm.weight.zero_()
    return large


def _write_into(tensor: Tensor, known: Tensor) -> None:
    """Put `known` into the first places of each axis of `tensor`, in place.

    The rest of the rows that it fills, weights from new inputs [out, in, ...] to known outputs, becomes 0.
    """
    if tensor.dim() > 1:
        tensor[: len(known)] = 0.0
    tensor[tuple(slice(size) for size in known.shape)] = known
