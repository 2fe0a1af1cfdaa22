"""The learner: takes batches, moves the weights."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from alphazero.config import TrainingConfig
from alphazero.errors import UserError
from alphazero.network.eager_engine import half_precision
from alphazero.network.frozen_engine import computes_in_bfloat16
from alphazero.network.guarded_engine import is_out_of_device_memory, no_room_for_a_row
from alphazero.network.resnet import PolicyValueNetwork
from alphazero.training.device_batch import DeviceBatch, copy_to_device
from alphazero.training.loss import Losses, ownership_loss, policy_value_loss
from alphazero.training.network_copies import NetworkCopies
from alphazero.training.targets import Batch

_LOG = logging.getLogger(__name__)

_SGD_MOMENTUM = 0.9  # Silver et al. (2017)
_AVERAGE_WARM_UP = 9  # n / (n + 9), as TensorFlow's ExponentialMovingAverage has it for its num_updates
# Of a piece of a batch that is worth a thread: calling its operators takes as long for fewer rows.
_LEAST_ROWS_AT_ONCE = 64


@dataclass(frozen=True)
class LossRecord:
    """What one training step reports.

    Attributes:
        step: number of this step, the first is 1.
        policy_loss: cross-entropy over legal actions, nats.
        value_loss: mean squared error.
        ownership_loss: cross-entropy over the cells that are taught, nats; None without an ownership head.
        total_loss: policy_loss + value_loss_weight * value_loss + ownership_loss_weight * ownership_loss.
        policy_entropy: entropy of the network's policy over legal actions, nats.
        target_entropy: entropy of the policy targets, nats: the least that policy_loss can be.
        gradient_norm: global L2 norm before clipping.
        learning_rate: of this step.
    """

    step: int
    policy_loss: float
    value_loss: float
    ownership_loss: float | None
    total_loss: float
    policy_entropy: float
    target_entropy: float
    gradient_norm: float
    learning_rate: float


def learning_rate(config: TrainingConfig, steps_done: int, progress: float) -> float:
    """Return the learning rate: a linear warm-up over steps times a cosine over the run.

    Args:
        config: gives the peak, the warm-up and the share of the peak at the end.
        steps_done: training steps done before this one.
        progress: how much of the run is over, 0 to 1 (values outside are clipped).

    Source of the cosine: Loshchilov and Hutter, 'SGDR' (2017), without restarts.
    """
    warmup = min(1.0, (steps_done + 1) / config.warmup_steps) if config.warmup_steps > 0 else 1.0
    progress = min(max(progress, 0.0), 1.0)
    final = config.final_learning_rate_fraction
    cosine = final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))
    return config.learning_rate * warmup * cosine


class Learner:
    """Owns the network being trained and its optimizer. Used by one thread.

    Args:
        network: moved to `device` and trained in place.
        config: batch size, optimizer, schedule, precision.
        device: where training runs.

    Attributes:
        agent: the network to play with, in evaluation mode only: the exponential moving average of the
            trained network's weights (`training.weight_average_decay`), or the trained network itself.
        steps: training steps done.
        threads: that a step on a CPU is computed with, `config.threads` at first; may be changed between steps.
            Pieces of at least 64 rows go through copies of the network at the same time (`network_copies.py`); each
            then has for itself what `most_rows` says of pieces.
        most_rows: rows that go through the network at once; None: the whole batch. Running out of device memory
            halves it: a step then adds up the gradients of several pieces, and is the same step but for batch
            norm and the means over positions that teach the policy and over cells that teach their owner, which each
            piece has for itself.
    """

    def __init__(self, network: PolicyValueNetwork, config: TrainingConfig, device: torch.device) -> None:
        self.network = network.to(device)
        self.steps = 0
        self.most_rows: int | None = None
        self.threads = max(1, config.threads)
        self._copies: dict[tuple[int, int], NetworkCopies] = {}  # by their number, and the threads of each
        self._config = config
        self._device = device
        on_cuda = device.type == "cuda"
        # Faster on CUDA (tensor cores) and on x86 CPUs alike (a quarter less time a step was seen).
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = (
            WeightAverage(self.network, config.weight_average_decay) if config.weight_average_decay else None
        )
        self.agent = self.network if self._average is None else self._average.network
        self._half = _half_precision(device) if config.use_amp else None
        # float16 has too little range for gradients; bfloat16 has float32's and needs no scaling
        self._scaler = torch.amp.GradScaler(device.type, enabled=self._half is torch.float16)
        self._pinned_memory = config.pinned_memory and on_cuda
        self._optimizer = _optimizer(self.network, config, scaled=self._scaler.is_enabled())

    def train_step(self, batch: Batch | DeviceBatch, progress: float) -> LossRecord:
        """Do one step on `batch` and return its record.

        Args:
            batch: positions to train on, any number.
            progress: how much of the run is over, 0 to 1; drives the learning-rate schedule.

        Raises UserError if the loss or the gradient is NaN or infinity, or if not even a single row fits into
        the device's memory; the optimizer has not moved then.
        """
        rate = learning_rate(self._config, self.steps, progress)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        on_device = batch if isinstance(batch, DeviceBatch) else self.to_device(batch)
        self.network.train()
        means = self._gradients_within_memory(on_device)
        self._scaler.unscale_(self._optimizer)
        gradient_norm = torch.nn.utils.clip_grad_norm_(self.network.parameters(), self._config.gradient_clip)
        # One copy for all numbers: each read of a device scalar waits for the device.
        scalars = torch.cat([means, gradient_norm[None]]).tolist()
        policy, value, ownership, total, entropy, target_entropy, norm = scalars
        # With a scaler, infinite gradients are normal now and then: it skips the step and lowers its scale.
        if not math.isfinite(total) or not (math.isfinite(norm) or self._scaler.is_enabled()):
            raise UserError(
                f"loss or gradient of training step {self.steps + 1} is not finite (loss {total}, "
                f"gradient norm {norm}): training has diverged; begin a new run with a lower "
                "training.learning_rate or training.gradient_clip"
            )
        self._scaler.step(self._optimizer)
        self._scaler.update()
        if self._average is not None:
            self._average.update(self.steps)
        self.steps += 1
        return LossRecord(
            step=self.steps,
            policy_loss=policy,
            value_loss=value,
            ownership_loss=None if self.network.ownership_output is None else ownership,
            total_loss=total,
            policy_entropy=entropy,
            target_entropy=target_entropy,
            gradient_norm=norm,
            learning_rate=rate,
        )

    def to_device(self, batch: Batch) -> DeviceBatch:
        """Return `batch` on the learner's device; a copy still on its way is waited for by the next step."""
        return copy_to_device(batch, self._device, self._pinned_memory)

    def weights(self) -> dict[str, Tensor]:
        """Return copies of the agent's parameters and batch-norm statistics, on the CPU."""
        return _copies(self.agent)

    def state_dict(self) -> dict[str, Any]:
        """Return all that is needed to go on, beside the agent's weights, which are `weights()`."""
        return {
            "optimizer": self._optimizer.state_dict(),
            "gradient_scaler": self._scaler.state_dict(),
            "steps": self.steps,
            "trained_weights": {} if self._average is None else _copies(self.network),
        }

    def load_state_dict(self, weights: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Go on from what `weights` and `state_dict` returned.

        Raises UserError if they belong to a network of another size or to another optimizer.
        """
        try:
            self.agent.load_state_dict(weights)
            if self._average is not None:
                self.network.load_state_dict(state["trained_weights"])
            self._optimizer.load_state_dict(state["optimizer"])
        except (RuntimeError, ValueError, KeyError) as error:
            raise UserError(
                "the checkpoint belongs to another network or optimizer than the configuration asks for; "
                f"use the same network.* and training.optimizer, or another results folder ({error})"
            ) from error
        self._restore_memory_layout()
        if state["gradient_scaler"]:
            self._scaler.load_state_dict(state["gradient_scaler"])
        self.steps = int(state["steps"])

    def _gradients_within_memory(self, batch: DeviceBatch) -> Tensor:
        """Do what `_gradients` does, with fewer rows at once if the device's memory makes it necessary."""
        while True:
            rows = min(self.most_rows or len(batch.observations), len(batch.observations))
            try:
                return self._gradients(batch, rows)
            except RuntimeError as error:
                if not is_out_of_device_memory(error):
                    raise
                if rows <= 1:
                    raise no_room_for_a_row("the learner", error) from error
            # Outside the handler: the exception's traceback keeps the failed pass's tensors alive.
            self.most_rows = (rows + 1) // 2
            self._optimizer.zero_grad(set_to_none=True)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            _LOG.warning(
                "out of device memory at %d rows; training on at most %d at once", rows, self.most_rows
            )

    def _gradients(self, batch: DeviceBatch, most_rows: int) -> Tensor:
        """Set the gradients of the mean loss of `batch`, in pieces of `most_rows` rows.

        Returns the means of policy, value, ownership, total, policy entropy and target entropy, float32 [6].
        """
        self._optimizer.zero_grad(set_to_none=True)
        rows = len(batch.observations)
        copies = self._copies_for(rows)
        count = math.ceil(rows / most_rows) if copies is None else copies.count
        pieces = [
            DeviceBatch(*piece)
            for piece in zip(*(tensor.tensor_split(count) for tensor in batch), strict=True)
        ]
        if copies is None:
            parts = [self._add_gradients(self.network, piece, rows) for piece in pieces]
        else:
            parts = copies.gradients(
                lambda network, number: self._add_gradients(network, pieces[number], rows)
            )
        return torch.stack(parts).sum(0)

    def _add_gradients(self, network: PolicyValueNetwork, piece: DeviceBatch, rows: int) -> Tensor:
        """Add the gradients of a piece of a batch of so many rows to those of `network`'s parameters.

        Returns its part in the means that `_gradients` returns.
        """
        share = len(piece.observations) / rows
        losses, ownership = self._losses(network, piece)
        total = losses.total + self._config.ownership_loss_weight * ownership
        self._scaler.scale(share * total).backward()  # type: ignore[no-untyped-call]
        scalars = (
            losses.policy,
            losses.value,
            ownership,
            total,
            losses.policy_entropy,
            losses.target_entropy,
        )
        return share * torch.stack([scalar.detach() for scalar in scalars])

    def _copies_for(self, rows: int) -> NetworkCopies | None:
        """Return what computes so many rows in pieces at the same time, None if this thread is to compute them.

        On a CPU: lets this thread compute with what the pieces do not take.
        """
        if self._device.type != "cpu":
            return None
        at_once = max(1, min(self.threads, rows // _LEAST_ROWS_AT_ONCE))
        threads_here = self.threads if at_once == 1 else 1
        if torch.get_num_threads() != threads_here:
            torch.set_num_threads(threads_here)
        if at_once == 1:
            return None
        shape = (at_once, self.threads // at_once)
        if shape not in self._copies:
            self._copies[shape] = NetworkCopies(self.network, *shape)
        return self._copies[shape]

    def _losses(self, network: PolicyValueNetwork, batch: DeviceBatch) -> tuple[Losses, Tensor]:
        """Return the losses of the policy and the value, and that of the ownership head, 0 without one."""
        with torch.autocast(self._device.type, dtype=self._half, enabled=self._half is not None):
            policy_logits, values, owners = network.all_outputs(batch.observations)
        ownership = (
            values.new_zeros(()) if owners is None else ownership_loss(owners, batch.ownership_targets)
        )
        losses = policy_value_loss(
            policy_logits,
            values,
            batch.actions,
            batch.policy_targets,
            batch.value_targets,
            self._config.value_loss_weight,
        )
        return losses, ownership

    @torch.no_grad()
    def _restore_memory_layout(self) -> None:
        # Fused optimizers walk parameter and moments side by side: both must lie in memory alike.
        for parameter, moments in self._optimizer.state.items():
            for name, moment in moments.items():
                if isinstance(moment, Tensor) and moment.shape == parameter.shape:
                    moments[name] = torch.empty_like(parameter).copy_(moment)


def _half_precision(device: torch.device) -> torch.dtype | None:
    """Return the precision of the convolutions under autocast, None for float32."""
    if device.type == "cuda":
        return half_precision(device)
    return torch.bfloat16 if device.type == "cpu" and computes_in_bfloat16() else None


def _copies(network: PolicyValueNetwork) -> dict[str, Tensor]:
    return {
        name: tensor.detach().to("cpu", copy=True).contiguous()
        for name, tensor in network.state_dict().items()
    }


class WeightAverage:
    """The exponential moving average of a network's parameters and batch-norm statistics.

    Its decay grows to what is asked for, as n / (n + 9) after n updates: or else the first, hardly trained weights
    would be much of the average for hundreds of steps. So it begins as what is trained, and spans some tenth of all
    updates until it has its length.

    Source: Polyak and Juditsky, 'Acceleration of stochastic approximation by averaging' (1992); exponential
    as in Tarvainen and Valpola, 'Mean teachers are better role models' (2017).

    Args:
        trained: the network whose tensors are averaged; they must stay where they are.
        decay: share of the average that an update leaves in it, in the end.

    Attributes:
        network: the network of the averages, in evaluation mode.
    """

    def __init__(self, trained: PolicyValueNetwork, decay: float) -> None:
        self.network = copy.deepcopy(trained).eval()
        self._decay = decay
        # Listed once: going through the modules at each step takes longer than to average.
        self._averages, self._trained = _floating(self.network), _floating(trained)

    def update(self, updates: int) -> None:
        """Move the averages towards what is trained, after so many updates: none, all the way."""
        decay = min(self._decay, updates / (updates + _AVERAGE_WARM_UP))
        get_ema_multi_avg_fn(decay)(self._averages, self._trained, None)  # type: ignore[no-untyped-call]


def _floating(network: PolicyValueNetwork) -> list[Tensor]:
    return [tensor for tensor in (*network.parameters(), *network.buffers()) if tensor.is_floating_point()]


def _optimizer(network: PolicyValueNetwork, config: TrainingConfig, scaled: bool) -> torch.optim.Optimizer:
    """Weight decay is for weights of convolutions and linear layers, not for biases of any kind and batch norm.

    scaled: a gradient scaler may skip steps.
    """
    decayed: list[Tensor] = []
    spared: list[Tensor] = []
    for name, parameter in network.named_parameters():
        (decayed if parameter.dim() > 1 and name.endswith(".weight") else spared).append(parameter)
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": spared, "weight_decay": 0.0},
    ]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=config.learning_rate, fused=True)
    if config.optimizer == "sgd":
        # A fused first step that is skipped would leave its momentum uninitialised.
        return torch.optim.SGD(groups, lr=config.learning_rate, momentum=_SGD_MOMENTUM, fused=not scaled)
    raise UserError(f"unknown training.optimizer {config.optimizer!r}; known: adamw, sgd")
