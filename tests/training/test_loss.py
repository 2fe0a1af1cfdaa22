"""The loss by hand."""

import math

import pytest
import torch

from alphazero.training.loss import ownership_loss, policy_value_loss
from alphazero.training.targets import NO_ACTION, NOBODY, NOT_TAUGHT, OPPONENT

BOTH_LEGAL = torch.tensor([[0, 1]])


def test_losses_of_one_position_worked_out_by_hand() -> None:
    # p = softmax(0, log 3) = (1/4, 3/4)
    losses = policy_value_loss(
        policy_logits=torch.tensor([[0.0, math.log(3.0)]]),
        values=torch.tensor([0.5]),
        actions=BOTH_LEGAL,
        policy_targets=torch.tensor([[0.5, 0.5]]),
        value_targets=torch.tensor([-1.0]),
        value_loss_weight=2.0,
    )
    cross_entropy = -0.5 * math.log(0.25) - 0.5 * math.log(0.75)
    assert float(losses.policy) == pytest.approx(cross_entropy)
    assert float(losses.value) == pytest.approx(2.25)  # (0.5 - -1)^2
    assert float(losses.total) == pytest.approx(cross_entropy + 4.5)
    assert float(losses.target_entropy) == pytest.approx(math.log(2.0))
    assert float(losses.policy_entropy) == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))


def test_illegal_actions_have_no_part_in_loss_or_gradient() -> None:
    logits = torch.tensor([[0.0, math.log(3.0), 50.0]], requires_grad=True)
    losses = policy_value_loss(
        logits,
        torch.zeros(1),
        torch.tensor([[1, 0, NO_ACTION]], dtype=torch.int16),
        torch.tensor([[0.5, 0.5, 0.0]]),
        torch.zeros(1),
        1.0,
    )
    losses.total.backward()
    assert float(losses.policy.detach()) == pytest.approx(-0.5 * math.log(0.25) - 0.5 * math.log(0.75))
    assert logits.grad is not None
    # gradient of a softmax cross-entropy: p - target = (1/4 - 1/2, 3/4 - 1/2)
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.25, 0.25, 0.0]]))


def test_one_legal_action_has_loss_zero() -> None:
    losses = policy_value_loss(
        torch.tensor([[3.0, -2.0]]),
        torch.ones(1),
        torch.tensor([[1, NO_ACTION]]),
        torch.tensor([[1.0, 0.0]]),
        torch.ones(1),
        1.0,
    )
    assert float(losses.total) == 0.0
    assert float(losses.policy_entropy) == 0.0
    assert float(losses.target_entropy) == 0.0


def test_position_without_a_policy_target_teaches_its_value_alone() -> None:
    logits = torch.tensor([[0.0, math.log(3.0)], [1.0, -1.0]], requires_grad=True)
    losses = policy_value_loss(
        logits,
        torch.zeros(2),
        torch.tensor([[0, 1], [0, 1]]),
        torch.tensor([[0.5, 0.5], [0.0, 0.0]]),
        torch.tensor([0.0, 1.0]),
        1.0,
    )
    losses.total.backward()
    # The policy's mean is over the one position that teaches it, the value's over both.
    assert float(losses.policy.detach()) == pytest.approx(-0.5 * math.log(0.25) - 0.5 * math.log(0.75))
    assert float(losses.target_entropy) == pytest.approx(math.log(2.0))
    assert float(losses.value) == pytest.approx(0.5)
    assert logits.grad is not None
    torch.testing.assert_close(logits.grad, torch.tensor([[-0.25, 0.25], [0.0, 0.0]]))


def test_ownership_loss_is_the_mean_over_the_cells_that_are_taught() -> None:
    logits = torch.log(torch.tensor([[[0.5, 0.25, 0.25], [0.1, 0.2, 0.7], [0.6, 0.3, 0.1]]]))
    loss = ownership_loss(logits, torch.tensor([[NOBODY, NOT_TAUGHT, OPPONENT]], dtype=torch.uint8))
    assert float(loss) == pytest.approx((-math.log(0.5) - math.log(0.1)) / 2)


def test_ownership_loss_of_nothing_that_is_taught_is_nought_and_moves_nothing() -> None:
    logits = torch.ones((2, 3, 3), requires_grad=True)
    loss = ownership_loss(logits, torch.full((2, 3), NOT_TAUGHT, dtype=torch.uint8))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None and not logits.grad.any()
