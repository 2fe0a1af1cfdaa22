"""The learner lowers the loss, follows its schedule, and goes on bit for bit from a saved state."""

import dataclasses

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig, TrainingConfig
from alphazero.errors import UserError
from alphazero.games.registry import get_game
from alphazero.network.resnet import PolicyValueNetwork, build_network
from alphazero.training.learner import Learner, _optimizer, learning_rate
from alphazero.training.learner_file import decode_learner_state, encode_learner_state
from alphazero.training.targets import Batch

GAME = get_game("connect_four")
CPU = torch.device("cpu")
CONFIG = TrainingConfig(learning_rate=1e-2, warmup_steps=2)


def fixed_batch(seed: int, size: int = 16) -> Batch:
    rng = np.random.default_rng(seed)
    policy = np.zeros((size, 7), dtype=np.float32)
    policy[np.arange(size), rng.integers(0, 7, size)] = 1.0
    return Batch(
        observations=rng.integers(0, 2, (size, 2, 6, 7), dtype=np.uint8),
        actions=np.tile(np.arange(7, dtype=np.int16), (size, 1)),
        policy_targets=policy,
        value_targets=rng.choice([-1.0, 0.0, 1.0], size).astype(np.float32),
        ownership_targets=rng.integers(0, 4, (size, 42), dtype=np.uint8),
    )


def new_learner(
    config: TrainingConfig = CONFIG, seed: int = 0, position_bias: bool = False, ownership_head: bool = False
) -> Learner:
    torch.manual_seed(seed)
    size = NetworkConfig(blocks=1, filters=8, position_bias=position_bias, ownership_head=ownership_head)
    return Learner(build_network(GAME, size), config, CPU)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_loss_of_a_fixed_batch_falls_to_a_tenth(optimizer: str) -> None:
    rate = 1e-2 if optimizer == "adamw" else 0.05
    learner = new_learner(dataclasses.replace(CONFIG, optimizer=optimizer, learning_rate=rate))
    records = [learner.train_step(fixed_batch(0), progress=0.0) for _ in range(80)]
    assert records[-1].policy_loss < 0.1 * records[0].policy_loss
    assert records[-1].value_loss < 0.1 * records[0].value_loss


def test_record_of_the_first_step_of_an_untrained_network() -> None:
    record = new_learner().train_step(fixed_batch(0), progress=0.0)
    assert record.step == 1
    assert record.policy_loss == pytest.approx(np.log(7), abs=0.1)  # near-uniform over 7 actions
    assert record.policy_entropy == pytest.approx(np.log(7), abs=0.1)
    assert record.target_entropy == 0.0
    assert record.ownership_loss is None
    assert record.total_loss == pytest.approx(record.policy_loss + record.value_loss)
    assert record.gradient_norm > 0
    assert record.learning_rate == pytest.approx(0.5e-2)  # first of two warm-up steps


def test_an_ownership_head_learns_and_its_loss_counts_with_its_weight() -> None:
    learner = new_learner(dataclasses.replace(CONFIG, ownership_loss_weight=0.5), ownership_head=True)
    records = [learner.train_step(fixed_batch(0), progress=0.0) for _ in range(80)]
    first, last = records[0].ownership_loss, records[-1].ownership_loss
    assert first == pytest.approx(np.log(3), abs=0.3)
    assert last is not None and last < 0.6 * np.log(3)
    assert records[0].total_loss == pytest.approx(
        records[0].policy_loss + records[0].value_loss + 0.5 * np.log(3), abs=0.15
    )
    # with a weight of 0 the value head's hidden layer learns as without the head, and the head nothing
    unweighted = new_learner(
        dataclasses.replace(CONFIG, ownership_loss_weight=0.0, weight_decay=0.0), ownership_head=True
    )
    head = unweighted.network.ownership_output
    assert head is not None
    before = head.weight.detach().clone()
    unweighted.train_step(fixed_batch(0), progress=0.0)
    torch.testing.assert_close(head.weight, before, rtol=0, atol=0)


def test_learning_rate_rises_over_the_warm_up_and_falls_along_a_cosine() -> None:
    config = TrainingConfig(learning_rate=1.0, warmup_steps=4, final_learning_rate_fraction=0.1)
    assert [learning_rate(config, steps, 0.0) for steps in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert learning_rate(config, 100, 0.5) == pytest.approx(0.55)  # 0.1 + 0.9 / 2
    assert learning_rate(config, 100, 1.0) == pytest.approx(0.1)
    assert learning_rate(config, 100, 2.0) == pytest.approx(0.1)


def test_no_warm_up_starts_at_the_peak() -> None:
    assert learning_rate(TrainingConfig(learning_rate=1.0, warmup_steps=0), 0, 0.0) == 1.0


def test_a_clipped_gradient_moves_the_weights_no_further_than_the_learning_rate_lets_it() -> None:
    clipped = {"optimizer": "sgd", "gradient_clip": 1e-3, "learning_rate": 1.0, "warmup_steps": 0}
    learner = new_learner(TrainingConfig(**clipped, weight_decay=0.0, use_amp=False))
    before = [parameter.detach().clone() for parameter in learner.network.parameters()]
    record = learner.train_step(fixed_batch(0), progress=0.0)
    assert record.gradient_norm > 0.1  # before it was clipped
    moved = [new.detach() - old for new, old in zip(learner.network.parameters(), before, strict=True)]
    # SGD's first step is the gradient times the learning rate.
    assert torch.cat([each.flatten() for each in moved]).norm().item() == pytest.approx(1e-3, rel=1e-2)


def test_weight_decay_spares_biases_and_batch_norm() -> None:
    learner = new_learner(dataclasses.replace(CONFIG, weight_decay=0.5), position_bias=True)
    decayed, spared = learner._optimizer.param_groups
    names = {parameter: name for name, parameter in learner.network.named_parameters()}
    layers = [f"{layer}.convolution" for layer in ("stem", "blocks.0.first", "blocks.0.second")]
    layers += ["policy_convolution.convolution", "policy_output"]
    layers += ["value_convolution.convolution", "value_hidden", "value_output"]
    assert decayed["weight_decay"] == 0.5
    assert [names[parameter] for parameter in decayed["params"]] == [f"{layer}.weight" for layer in layers]
    assert spared["weight_decay"] == 0.0
    assert len(spared["params"]) == len(names) - len(layers)


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_fused_optimizer_moves_the_weights_as_the_plain_one_does(optimizer: str) -> None:
    config = dataclasses.replace(CONFIG, optimizer=optimizer, use_amp=False)
    learner, plain = (new_learner(config, position_bias=True) for _ in range(2))
    for group in plain._optimizer.param_groups:
        group.update(fused=False, foreach=False)
    before = learner.weights()
    for seed in range(3):
        for each in (learner, plain):
            each.train_step(fixed_batch(seed), progress=0.0)
    for name, weights in plain.weights().items():
        torch.testing.assert_close(learner.weights()[name], weights, msg=name)
        assert not torch.equal(weights, before[name]), name


@pytest.mark.parametrize("optimizer", ["adamw", "sgd"])
def test_resumed_learner_goes_on_bit_for_bit(optimizer: str) -> None:
    config = dataclasses.replace(CONFIG, optimizer=optimizer)
    learner = new_learner(config)
    for seed in range(3):
        learner.train_step(fixed_batch(seed), progress=0.1)
    stored = encode_learner_state(learner.state_dict())
    resumed = new_learner(config, seed=99)
    resumed.load_state_dict(learner.weights(), decode_learner_state(stored))
    for seed in range(3, 6):
        assert learner.train_step(fixed_batch(seed), 0.2) == resumed.train_step(fixed_batch(seed), 0.2)
    for name, tensor in learner.weights().items():
        assert torch.equal(tensor, resumed.weights()[name]), name


def test_restored_moments_lie_in_memory_as_their_parameters_do() -> None:
    learner = new_learner(position_bias=True)
    learner.train_step(fixed_batch(0), progress=0.0)
    resumed = new_learner(position_bias=True)
    stored = encode_learner_state(learner.state_dict())
    resumed.load_state_dict(learner.weights(), decode_learner_state(stored))
    for parameter, moments in resumed._optimizer.state.items():
        assert moments["exp_avg"].stride() == parameter.stride()


@pytest.mark.parametrize("name", ["policy_output.weight", "stem.position_bias", "stem.norm.running_var"])
@pytest.mark.parametrize(("decay", "decays"), [(0.9, [1 / 10, 2 / 11, 3 / 12]), (0.15, [0.1, 0.15, 0.15])])
def test_the_agent_is_the_running_average_of_the_trained_weights(
    name: str, decay: float, decays: list[float]
) -> None:
    learner = new_learner(dataclasses.replace(CONFIG, weight_average_decay=decay), position_bias=True)
    trained = []
    for seed in range(4):
        learner.train_step(fixed_batch(seed), progress=0.0)
        trained.append(learner.network.state_dict()[name].clone())
    expected = trained[0]
    for kept, weights in zip(decays, trained[1:], strict=True):
        expected = kept * expected + (1 - kept) * weights
    torch.testing.assert_close(learner.weights()[name], expected)
    torch.testing.assert_close(learner.agent.state_dict()[name], expected)
    assert not torch.equal(learner.weights()[name], trained[-1])


def test_without_an_average_the_agent_is_the_trained_network() -> None:
    learner = new_learner()
    assert learner.agent is learner.network


@pytest.mark.parametrize("position_bias", [False, True])
def test_resumed_average_goes_on_bit_for_bit(position_bias: bool) -> None:
    config = dataclasses.replace(CONFIG, weight_average_decay=0.9)
    learner = new_learner(config, position_bias=position_bias)
    for seed in range(3):
        learner.train_step(fixed_batch(seed), progress=0.1)
    resumed = new_learner(config, seed=99, position_bias=position_bias)
    stored = encode_learner_state(learner.state_dict())
    resumed.load_state_dict(learner.weights(), decode_learner_state(stored))
    for seed in range(3, 6):
        assert learner.train_step(fixed_batch(seed), 0.2) == resumed.train_step(fixed_batch(seed), 0.2)
    for name, tensor in learner.weights().items():
        assert torch.equal(tensor, resumed.weights()[name]), name


def test_weights_are_copies() -> None:
    learner = new_learner()
    before = learner.weights()
    kept = {name: tensor.clone() for name, tensor in before.items()}
    learner.train_step(fixed_batch(0), progress=0.0)
    assert all(torch.equal(before[name], kept[name]) for name in kept)
    assert not torch.equal(learner.weights()["policy_output.weight"], kept["policy_output.weight"])


def test_loss_that_is_not_finite_is_a_user_error_and_moves_no_weight() -> None:
    learner = new_learner()
    before = [parameter.detach().clone() for parameter in learner.network.parameters()]
    batch = fixed_batch(0)
    batch.value_targets[3] = np.nan
    with pytest.raises(UserError, match=r"training step 1 is not finite.*diverged"):
        learner.train_step(batch, progress=0.0)
    after = list(learner.network.parameters())
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


def test_state_of_another_network_size_is_a_user_error() -> None:
    learner = new_learner()
    larger = Learner(build_network(GAME, NetworkConfig(blocks=2, filters=8)), CONFIG, CPU)
    for other in (larger, new_learner(position_bias=True)):
        with pytest.raises(UserError, match="another network or optimizer"):
            other.load_state_dict(learner.weights(), learner.state_dict())


def test_a_first_step_that_a_gradient_scaler_skips_leaves_sgd_nothing_to_go_wrong() -> None:
    """A fused step that is skipped would keep momentum of memory that nobody has written."""
    config = dataclasses.replace(CONFIG, optimizer="sgd", learning_rate=0.01, value_loss_weight=1e4)
    learner = new_learner(config)
    learner._scaler = torch.amp.GradScaler("cpu", init_scale=2.0**127)  # the first gradients overflow
    learner._optimizer = _optimizer(learner.network, learner._config, scaled=True)
    before = {name: tensor.clone() for name, tensor in learner.network.named_parameters()}
    learner.train_step(fixed_batch(0), progress=0.0)
    for name, tensor in learner.network.named_parameters():
        assert torch.equal(tensor, before[name]), name
    assert not learner._optimizer.state  # nothing that the next step would take for momentum
    assert not learner._optimizer.defaults["fused"]
    assert new_learner(dataclasses.replace(CONFIG, optimizer="sgd"))._optimizer.defaults["fused"]


def test_unknown_optimizer_is_a_user_error() -> None:
    with pytest.raises(UserError, match="known: adamw, sgd"):
        new_learner(dataclasses.replace(CONFIG, optimizer="adam"))


def test_learner_state_that_is_something_else_is_refused() -> None:
    with pytest.raises(ValueError, match="not a learner's state"):
        decode_learner_state(b"nothing of the kind")
    with pytest.raises(TypeError, match=r"at state\.rng"):
        encode_learner_state({"rng": np.random.default_rng(0)})


class LittleMemory(torch.nn.Module):
    """A network on a device whose memory holds `rows` rows at most; batch norm does not look at the batch."""

    def __init__(self, network: PolicyValueNetwork, rows: int) -> None:
        super().__init__()
        self.network, self.rows, self.seen = network, rows, []

    def train(self, mode: bool = True) -> "LittleMemory":
        return super().train(False)

    @property
    def ownership_output(self) -> torch.nn.Linear | None:
        return self.network.ownership_output

    def all_outputs(
        self, observations: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor | None]:
        self.seen.append(len(observations))
        if len(observations) > self.rows:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")
        return self.network.all_outputs(observations)


def learner_with_memory_for(rows: int) -> Learner:
    torch.manual_seed(0)
    network = LittleMemory(build_network(GAME, NetworkConfig(blocks=1, filters=8)), rows)
    # float32: in bfloat16, where the CPU has it, the gradients of pieces are rounded one by one
    return Learner(network, dataclasses.replace(CONFIG, use_amp=False), CPU)


def test_out_of_device_memory_splits_the_batch_and_the_step_stays_the_same() -> None:
    plenty, little = learner_with_memory_for(100), learner_with_memory_for(5)
    for step in range(3):
        record, expected = (learner.train_step(fixed_batch(step), 0.0) for learner in (little, plenty))
        assert record.ownership_loss is expected.ownership_loss is None
        numbers, expected_numbers = (
            {name: number for name, number in vars(each).items() if number is not None}
            for each in (record, expected)
        )
        assert numbers == pytest.approx(expected_numbers, rel=1e-5)
    assert (plenty.most_rows, little.most_rows) == (None, 4)
    assert little.network.seen == [16, 8, *[4] * 12]  # found once, kept
    for one, other in zip(little.network.parameters(), plenty.network.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-5)


def learner_of_normed_network(threads: int, use_amp: bool) -> Learner:
    torch.manual_seed(0)
    size = NetworkConfig(blocks=1, filters=16, position_bias=True, ownership_head=True)
    config = dataclasses.replace(CONFIG, threads=threads, use_amp=use_amp)
    return Learner(build_network(GAME, size), config, CPU)


def test_threads_compute_pieces_of_a_batch_that_add_up_to_the_step() -> None:
    rows = 150
    together, in_turn = (learner_of_normed_network(threads, use_amp=False) for threads in (2, 1))
    in_turn.most_rows = rows // 2
    for step in range(3):
        batch = fixed_batch(step, rows)
        record, expected = (learner.train_step(batch, 0.0) for learner in (together, in_turn))
        assert vars(record) == pytest.approx(vars(expected), rel=1e-6)
    one, other = together.network.state_dict(), in_turn.network.state_dict()
    for name, _ in together.network.named_parameters():
        assert torch.equal(one[name], other[name]), name
    # Of the statistics together's are means over pieces, in_turn's have moved once for each piece.
    means = [name for name in one if name.endswith("running_mean")]
    assert any(not torch.equal(one[name], other[name]) for name in means)
    assert torch.get_num_threads() == 1


def test_threads_that_come_and_go_are_as_many_as_asked_for() -> None:
    """While self-play is paused the learner has all cores; each piece computes with its share of them."""
    learner = learner_of_normed_network(1, use_amp=False)
    seen: dict[int, list[int]] = {}
    for threads in (16, 4, 16):
        learner.threads = threads
        copies = learner._copies_for(256)
        assert copies is not None and copies.count == 4
        seen.setdefault(id(copies), []).append(copies._workers.submit(torch.get_num_threads).result())
    assert sorted(seen.values()) == [[1], [4, 4]]  # kept for when they are wanted again


def test_threads_repeat_bit_for_bit() -> None:
    first, second = (learner_of_normed_network(2, use_amp=True) for _ in range(2))
    for step in range(5):
        records = [learner.train_step(fixed_batch(step, 200), 0.0) for learner in (first, second)]
        assert records[0] == records[1]
    one, other = first.network.state_dict(), second.network.state_dict()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_statistics_of_threads_are_the_mean_of_those_of_their_pieces() -> None:
    learner = learner_of_normed_network(2, use_amp=False)
    batch = fixed_batch(0, 128)
    halves = []
    for start in (0, 64):
        half = learner_of_normed_network(1, use_amp=False)
        half.train_step(Batch(*(array[start : start + 64] for array in vars(batch).values())), 0.0)
        halves.append(half.network.state_dict())
    learner.train_step(batch, 0.0)
    for name, buffer in learner.network.named_buffers():
        if buffer.is_floating_point():
            expected = (halves[0][name] + halves[1][name]) / 2 if name in halves[0] else buffer
            torch.testing.assert_close(buffer, expected, msg=name)


def test_pieces_too_small_for_a_thread_stay_together() -> None:
    few, one = learner_of_normed_network(2, use_amp=False), learner_of_normed_network(1, use_amp=False)
    record, expected = (learner.train_step(fixed_batch(0, 127), 0.0) for learner in (few, one))
    assert vars(record) == pytest.approx(vars(expected), rel=1e-5)


def test_what_goes_wrong_in_a_thread_is_said_and_nothing_moves() -> None:
    learner = learner_of_normed_network(2, use_amp=False)
    before = [parameter.clone() for parameter in learner.network.parameters()]
    batch = fixed_batch(0, 128)
    batch.value_targets[100] = np.nan
    with pytest.raises(UserError, match=r"training step 1 is not finite"):
        learner.train_step(batch, 0.0)
    assert all(map(torch.equal, before, learner.network.parameters()))


def test_no_memory_for_a_single_row_is_said_and_nothing_moves() -> None:
    learner = learner_with_memory_for(0)
    before = [parameter.clone() for parameter in learner.network.parameters()]
    with pytest.raises(UserError, match=r"out of device memory with a single row.*network.filters"):
        learner.train_step(fixed_batch(0), 0.0)
    assert learner.steps == 0
    assert all(map(torch.equal, before, learner.network.parameters()))
