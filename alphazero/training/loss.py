"""AlphaZero's loss: cross-entropy of the policy plus squared error of the value.

    loss = - sum_a target(a) log p(a)  +  value_loss_weight * (value - outcome)^2

Networks with an ownership head add ownership_loss_weight * `ownership_loss`.

Source: Silver et al. (2017), equation 1; the L2 term there is the optimizer's weight decay here.

p is the softmax over *legal* actions: logits of illegal actions are left out, in training as in the search
(`alphazero.mcts.puct.legal_priors`). So no capacity is spent on learning the rules, and what the search
uses is exactly what was trained. Targets come for legal actions only: chess has 4,672 actions, and 218 legal
ones at most. Axis letters: B batch, A actions, M most legal actions.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from alphazero.training.targets import NO_ACTION, NOT_TAUGHT


@dataclass(frozen=True)
class Losses:
    """Means over the batch (of the policy: over rows that teach it), scalar tensors; `total` is differentiated.

    Attributes:
        policy: cross-entropy in nats; its smallest possible value is `target_entropy`.
        value: mean squared error, values in -1..1.
        total: policy + value_loss_weight * value.
        policy_entropy: entropy of the network's policy over legal actions, nats.
        target_entropy: entropy of the policy targets, nats.
    """

    policy: Tensor
    value: Tensor
    total: Tensor
    policy_entropy: Tensor
    target_entropy: Tensor


def policy_value_loss(
    policy_logits: Tensor,
    values: Tensor,
    actions: Tensor,
    policy_targets: Tensor,
    value_targets: Tensor,
    value_loss_weight: float,
) -> Losses:
    """Return the losses of a batch; computed in float32 whatever the network's precision.

    Args:
        policy_logits: [B, A]. values: [B], for the player to move.
        actions: integers [B, M], the legal actions, at least one a row; NO_ACTION where there is none.
        policy_targets: float32 [B, M], rows sum to 1, 0 where there is no action; or all 0: such a row has no
            part in the policy loss.
        value_targets: float32 [B], for the player to move.
        value_loss_weight: factor of the value loss.
    """
    absent = actions == NO_ACTION
    logits = policy_logits.gather(1, actions.long().masked_fill(absent, 0)).float()
    # log 0 = -inf of no action is replaced before it meets its target 0 (0 * inf is not a number)
    log_policy = torch.log_softmax(logits.masked_fill(absent, -torch.inf), dim=1).masked_fill(absent, 0.0)
    with_policy = (policy_targets > 0).any(dim=1).sum().clamp(min=1)
    policy_loss = -(policy_targets * log_policy).sum() / with_policy
    value_loss = torch.square(values.float() - value_targets).mean()
    with torch.no_grad():
        policy_entropy = torch.special.entr(log_policy.exp() * ~absent).sum(dim=1).mean()
        target_entropy = torch.special.entr(policy_targets).sum() / with_policy
    return Losses(
        policy=policy_loss,
        value=value_loss,
        total=policy_loss + value_loss_weight * value_loss,
        policy_entropy=policy_entropy,
        target_entropy=target_entropy,
    )


def ownership_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy of the cells that are taught, nats, computed in float32; 0 if there is none.

    logits: [B, H*W, 3]. targets: integers [B, H*W], see `alphazero.training.targets.ownership_targets`.
    """
    # [B, 3, H*W]: a softmax along the axis in front of the last one is vectorized, one of three neighbours is not.
    by_owner = logits.transpose(1, 2).float().contiguous()
    entropies = functional.cross_entropy(by_owner, targets.long(), ignore_index=NOT_TAUGHT, reduction="sum")
    return entropies / (targets != NOT_TAUGHT).sum().clamp(min=1)
