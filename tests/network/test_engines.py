"""Every engine gives what the network in float32 gives, for any number of rows and after new weights."""

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games.game import winning_lines
from alphazero.games.registry import get_game
from alphazero.network import fused_network
from alphazero.network.engine_protocol import PipelinedEngine
from alphazero.network.engines import has_code_for, make_engine, resolve_device
from alphazero.network.folding import CHANNELS_LAST, CONTIGUOUS, ONEDNN, FoldedNetwork
from alphazero.network.frozen_engine import computes_in_bfloat16
from alphazero.network.fused_network import FusedNetwork, fused_operators_work
from alphazero.network.openvino_engine import has_openvino
from alphazero.network.resnet import Architecture, PolicyValueNetwork, build_network
from alphazero.network.winograd_engine import instruction_set

GAME = get_game("connect_four")


PAPERS = NetworkConfig()
BIASED = NetworkConfig(position_bias=True)
WITH_LINES = NetworkConfig(line_planes=True, ownership_head=True)  # as Connect Four's


def trained_looking_network(
    seed: int, config: NetworkConfig = PAPERS, plane_scale: tuple[float, ...] = (1.0, 1.0)
) -> PolicyValueNetwork:
    """Return a network none of whose parameters and batch-norm statistics has its initial value."""
    torch.manual_seed(seed)
    lines = winning_lines(GAME) if config.line_planes else ()
    architecture = Architecture("connect_four", GAME.observation_shape, 7, plane_scale, config, lines)
    network = PolicyValueNetwork(architecture)
    for name, tensor in network.state_dict().items():
        if tensor.dtype.is_floating_point and tensor.dim() == 1:
            tensor += 0.5 * torch.rand_like(tensor)
        if name.endswith("position_bias"):
            torch.nn.init.normal_(tensor, std=0.1)
    torch.nn.init.normal_(network.policy_output.weight, std=0.1)
    return network.eval()


def observations(rows: int) -> np.ndarray:
    shape = (rows, *GAME.observation_shape)
    return np.random.default_rng(rows).integers(0, 2, shape, dtype=np.uint8)


@torch.inference_mode()
def reference(network: PolicyValueNetwork, inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    logits, values = network(torch.from_numpy(inputs))
    return logits.numpy(), values.numpy()


all_networks = pytest.mark.parametrize(
    "config", [PAPERS, BIASED, WITH_LINES], ids=["paper", "position_bias", "line_planes"]
)
needs_openvino = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
OPENVINO = pytest.param("openvino", marks=needs_openvino)
needs_winograd = pytest.mark.skipif(
    instruction_set(half=False) is None, reason="this processor has no instructions that are written for"
)
WINOGRAD = pytest.param("winograd", marks=needs_winograd)


@pytest.mark.parametrize("name", ["eager", "frozen", "auto", WINOGRAD, OPENVINO])
@pytest.mark.parametrize("rows", [0, 1, 16, 37])
@all_networks
def test_engine_on_cpu_equals_the_network_in_float32(name: str, rows: int, config: NetworkConfig) -> None:
    network = trained_looking_network(0, config)
    engine = make_engine(
        name, network, device="cpu", use_amp=False, max_batch=16
    )  # 37 rows: pieces of 16, 16 and 5
    inputs = observations(rows)
    logits, values = engine.evaluate(inputs)
    expected_logits, expected_values = reference(network, inputs)
    assert logits.dtype == values.dtype == np.float32
    np.testing.assert_allclose(logits, expected_logits, atol=1e-5)
    np.testing.assert_allclose(values, expected_values, atol=1e-5)


@pytest.mark.parametrize("name", ["eager", "frozen", "auto", WINOGRAD, OPENVINO])
@pytest.mark.parametrize("use_amp", [False, True])
@pytest.mark.parametrize("rows", [1, 5])
@all_networks
def test_a_question_asked_again_gets_the_same_answer(
    name: str, use_amp: bool, rows: int, config: NetworkConfig
) -> None:
    engine = make_engine(name, trained_looking_network(0, config), device="cpu", use_amp=use_amp)
    inputs = observations(rows)
    first = [answers.copy() for answers in engine.evaluate(inputs)]
    for answers, again in zip(first, engine.evaluate(inputs), strict=True):
        np.testing.assert_array_equal(answers, again)


@pytest.mark.parametrize("name", ["eager", "frozen", WINOGRAD, OPENVINO])
@all_networks
def test_new_weights_replace_the_old_ones(name: str, config: NetworkConfig) -> None:
    engine = make_engine(name, trained_looking_network(0, config), device="cpu", use_amp=False)
    newer = trained_looking_network(1, config)
    engine.load_weights(newer.state_dict())
    logits, values = engine.evaluate(observations(8))
    expected_logits, expected_values = reference(newer, observations(8))
    np.testing.assert_allclose(logits, expected_logits, atol=1e-5)
    np.testing.assert_allclose(values, expected_values, atol=1e-5)


@all_networks
@pytest.mark.parametrize("name", ["eager", "frozen", WINOGRAD])
def test_training_the_network_on_does_not_change_an_engine_made_from_it(
    name: str, config: NetworkConfig
) -> None:
    network = trained_looking_network(0, config)
    engine = make_engine(name, network, device="cpu", use_amp=False)
    before = engine.evaluate(observations(4))[0].copy()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1.0
    np.testing.assert_array_equal(engine.evaluate(observations(4))[0], before)


@pytest.mark.parametrize(
    "layout",
    [
        CONTIGUOUS,
        CHANNELS_LAST,
        pytest.param(
            ONEDNN,
            marks=pytest.mark.skipif(not torch.backends.mkldnn.is_available(), reason="no oneDNN here"),
        ),
    ],
)
@all_networks
def test_folding_takes_plane_scales_and_channels_last_weights_along(
    layout: str, config: NetworkConfig
) -> None:
    network = trained_looking_network(2, config, plane_scale=(1.0, 0.01))
    network.to(memory_format=torch.channels_last)
    inputs = observations(8) * np.array([1, 50], dtype=np.uint8)[:, None, None]
    with torch.inference_mode():
        logits, values = FoldedNetwork(network, torch.device("cpu"), layout=layout)(torch.from_numpy(inputs))
    # In float64: two networks in float32 would each round logits of 10 their own way, depending on the processor.
    expected_logits, expected_values = reference(network.double(), inputs)
    np.testing.assert_allclose(logits.numpy(), expected_logits, atol=1e-5)
    np.testing.assert_allclose(values.numpy(), expected_values, atol=1e-5)


needs_fused_operators = pytest.mark.skipif(
    not fused_operators_work(torch.float32), reason="this PyTorch has no fused operators for this CPU"
)


@needs_fused_operators
@pytest.mark.parametrize("rows", [1, 16, 200])
@all_networks
def test_fused_operators_compute_the_network_in_float32(rows: int, config: NetworkConfig) -> None:
    network = trained_looking_network(0, config)
    fused = FusedNetwork(trained_looking_network(1, config), torch.float32)
    fused.load_weights(network.state_dict())
    inputs = observations(rows)
    with torch.inference_mode():
        logits, values = fused(torch.from_numpy(inputs))
    expected_logits, expected_values = reference(network.double(), inputs)
    np.testing.assert_allclose(logits.numpy(), expected_logits, atol=1e-5)
    np.testing.assert_allclose(values.numpy(), expected_values, atol=1e-5)


@needs_fused_operators
@pytest.mark.parametrize(
    "broken", [AttributeError("no such operator"), RuntimeError("could not create a primitive"), "wrong"]
)
def test_fused_operators_that_are_missing_or_wrong_are_not_used(
    broken: Exception | str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def instead(features: torch.Tensor, packed: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
        if isinstance(broken, Exception):
            raise broken
        return torch.zeros_like(features)

    monkeypatch.setattr(fused_network, "_convolution_relu", instead)
    assert not fused_operators_work.__wrapped__(torch.float32)


@pytest.mark.parametrize("layout", [CONTIGUOUS, CHANNELS_LAST])
def test_new_weights_go_to_the_same_addresses(layout: str) -> None:
    network, newer = (trained_looking_network(seed, BIASED) for seed in (0, 1))
    folded = FoldedNetwork(network, torch.device("cpu"), layout=layout)

    def addresses() -> list[int]:
        tensors = [tensor for pair in folded._parameters.values() for tensor in pair]
        return [tensor.data_ptr() for tensor in [*tensors, *folded._position_biases.values()]]

    before = addresses()
    assert len(before) == 2 * (1 + 2 * 3 + 2 + 3) + (1 + 2 * 3)  # weights and biases, position biases
    folded.load_weights(newer.state_dict())
    assert addresses() == before


def test_unknown_engine_is_a_user_error_that_names_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"unknown inference engine 'fast'; known: auto, eager"):
        make_engine("fast", trained_looking_network(0), device="cpu", use_amp=False)


def test_graphs_engine_refuses_a_cpu() -> None:
    with pytest.raises(UserError, match="needs a CUDA device"):
        make_engine("graphs", trained_looking_network(0), device="cpu", use_amp=False)


@pytest.mark.parametrize("device", ["gpu", "tpu:0", "", "mps"])
def test_unknown_device_is_a_user_error(device: str) -> None:
    with pytest.raises(UserError, match="allowed: auto, cpu, cuda, cuda:N"):
        resolve_device(device)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_cuda_without_a_device_is_a_user_error() -> None:
    with pytest.raises(UserError, match="sees no CUDA device"):
        resolve_device("cuda:0")


@pytest.mark.parametrize(
    ("capability", "built_for", "runs"),
    [
        ((8, 6), ["sm_80", "sm_90"], True),  # code for 8.0 runs on all of 8
        ((8, 0), ["sm_75", "sm_86"], False),
        ((7, 0), ["sm_75", "sm_80", "sm_90", "sm_120"], False),  # a V100 under torch for CUDA 12.9
        ((12, 0), ["sm_50", "sm_80", "sm_90"], False),  # an RTX 5090 under torch for CUDA 12.6
        ((12, 0), ["sm_80", "compute_90"], True),
        ((9, 0), ["sm_90a"], True),
        ((10, 0), ["sm_90a"], False),
        ((11, 0), ["gfx1100"], True),
        ((9, 0), [], True),
    ],
)
def test_whether_a_gpu_runs_what_torch_was_built_for(
    capability: tuple[int, int], built_for: list[str], runs: bool
) -> None:
    assert has_code_for(capability, built_for) == runs


def test_a_gpu_that_torch_has_no_code_for_is_a_user_error(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, answer in {
        "is_available": lambda: True,
        "device_count": lambda: 1,
        "get_device_capability": lambda index: (7, 0),
        "get_device_name": lambda index: "Tesla V100",
        "get_arch_list": lambda: ["sm_75", "sm_80"],
    }.items():
        monkeypatch.setattr(torch.cuda, name, answer)
    for device in ("auto", "cuda", "cuda:0"):
        with pytest.raises(
            UserError, match=r"Tesla V100 has compute capability 7\.0, and torch .* sm_75, sm_80 only"
        ):
            resolve_device(device)
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_70"])
    assert resolve_device("cuda") == resolve_device("auto") == torch.device("cuda", 0)
    with pytest.raises(UserError, match="torch sees 1 CUDA device"):
        resolve_device("cuda:1")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("use_amp", [False, True])
@pytest.mark.parametrize("name", ["eager", "graphs", pytest.param("compiled", marks=pytest.mark.slow)])
@all_networks
def test_engine_on_cuda_is_close_to_float32_on_cpu(
    name: str, use_amp: bool, config: NetworkConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    # cuDNN's float32 has 10 bits of mantissa by default (TF32), as float16 has; here it is to be float32.
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    first, newer = (trained_looking_network(seed, config) for seed in (0, 1))
    engine = make_engine(name, first, device="cuda", use_amp=use_amp, max_batch=64)
    for network in (first, newer):
        engine.load_weights(network.state_dict())
        for rows in (1, 8, 50, 64, 200):
            logits, values = engine.evaluate(observations(rows))
            expected_logits, expected_values = reference(network, observations(rows))
            if use_amp:
                assert_near(logits, values, expected_logits, expected_values)
            else:
                np.testing.assert_allclose(logits, expected_logits, atol=2e-3)
                np.testing.assert_allclose(values, expected_values, atol=2e-3)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("name", ["graphs", pytest.param("compiled", marks=pytest.mark.slow)])
def test_two_batches_on_their_way_on_cuda_are_not_mixed_up(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    network = trained_looking_network(0)
    engine = make_engine(name, network, device="cuda", use_amp=False, max_batch=64)
    assert isinstance(engine, PipelinedEngine) and engine.depth == 2
    waiting: list[int] = []
    # new sizes capture graphs while a batch is on its way
    for rows in [64, 7, 1, 33, 64, 100, 64, 8, 50] * 5:
        engine.submit(observations(rows))
        waiting.append(rows)
        if len(waiting) == engine.depth:
            expected_logits, expected_values = reference(network, observations(waiting.pop(0)))
            logits, values = engine.collect()
            np.testing.assert_allclose(logits, expected_logits, atol=2e-3)
            np.testing.assert_allclose(values, expected_values, atol=2e-3)


@pytest.mark.skipif(has_openvino(), reason="OpenVINO is installed")
def test_an_engine_that_is_not_installed_says_what_to_install() -> None:
    with pytest.raises(
        UserError, match=r"not installed; run `pip install openvino`, or use 'frozen' or 'auto'"
    ):
        make_engine("openvino", trained_looking_network(0), device="cpu")


@pytest.mark.parametrize("name", ["frozen", WINOGRAD, OPENVINO])
def test_a_network_of_another_game_is_evaluated_by_the_folded_engines(name: str) -> None:
    game = get_game("tic_tac_toe")
    torch.manual_seed(0)
    network = build_network(game, NetworkConfig(blocks=1, filters=4)).eval()
    inputs = np.random.default_rng(0).integers(0, 2, (3, *game.observation_shape), dtype=np.uint8)
    logits, values = make_engine(name, network, device="cpu", use_amp=False).evaluate(inputs)
    expected_logits, expected_values = reference(network, inputs)
    np.testing.assert_allclose(logits, expected_logits, atol=1e-5)
    np.testing.assert_allclose(values, expected_values, atol=1e-5)


@pytest.mark.skipif(not computes_in_bfloat16(), reason="this CPU has no bfloat16 instructions")
@pytest.mark.parametrize("name", ["frozen", WINOGRAD, OPENVINO])
@all_networks
def test_bfloat16_on_a_cpu_stays_near_float32(name: str, config: NetworkConfig) -> None:
    network = trained_looking_network(0, config)
    inputs = observations(300)
    engine = make_engine(name, network, device="cpu", use_amp=True)
    assert engine.name == f"{name} bfloat16"
    logits, values = engine.evaluate(inputs)
    assert_near(logits, values, *reference(network, inputs))


def assert_near(
    logits: np.ndarray, values: np.ndarray, expected_logits: np.ndarray, expected_values: np.ndarray
) -> None:
    """8 bits of mantissa through a few layers: about a percent of the spread of the answers."""
    assert np.quantile(np.abs(values - expected_values), 0.99) < 0.03
    assert np.quantile(np.abs(logits - expected_logits), 0.99) < 0.03 * expected_logits.std() + 0.03
