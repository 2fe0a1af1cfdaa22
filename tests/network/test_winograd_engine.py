"""Every kind of processor's code computes the network, whatever its sizes; where there is none, a user is told."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games.game import Game, Line, winning_lines
from alphazero.games.registry import get_game
from alphazero.games.tic_tac_toe import TicTacToe
from alphazero.network import winograd_engine
from alphazero.network.engines import candidate_engines, make_engine, usual_engine
from alphazero.network.resnet import Architecture, PolicyValueNetwork, build_network
from alphazero.network.winograd_engine import WinogradEngine, instruction_set

SETS = [] if winograd_engine._native is None else winograd_engine._native.instruction_sets()
every_instruction_set = pytest.mark.parametrize("name", [known.name for known in SETS])
needs_code = pytest.mark.skipif(not SETS, reason="nothing is compiled for this processor")


@pytest.fixture
def engine_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, PolicyValueNetwork], WinogradEngine]:
    """Return what makes an engine with the instructions of a name."""

    def make(name: str, network: PolicyValueNetwork) -> WinogradEngine:
        chosen = next(known for known in SETS if known.name == name)
        monkeypatch.setattr(winograd_engine, "instruction_set", lambda half: chosen)
        return WinogradEngine(network, torch.device("cpu"), max_batch=1024)

    return make


def trained_looking_network(game: Game, config: NetworkConfig) -> PolicyValueNetwork:
    """Return a network whose batch norms, position biases and answers are not their initial ones."""
    torch.manual_seed(0)
    network = build_network(game, config)
    for name, tensor in network.state_dict().items():
        if tensor.dtype.is_floating_point and (tensor.dim() == 1 or name.endswith("position_bias")):
            tensor += 0.5 * torch.rand_like(tensor)
    torch.nn.init.normal_(network.policy_output.weight, std=0.1)
    return network.eval()


def positions(game: Game, rows: int) -> np.ndarray:
    """Return boards, each cell one player's, the other's or nobody's; further planes are bits as well."""
    rng = np.random.default_rng(rows)
    planes = rng.integers(0, 2, (rows, *game.observation_shape), dtype=np.uint8)
    planes[:, 1] &= 1 - planes[:, 0]
    return planes


def assert_computes(
    engine: WinogradEngine, network: PolicyValueNetwork, inputs: np.ndarray, bfloat16: bool
) -> None:
    logits, values = engine.evaluate(inputs)
    with torch.inference_mode():
        expected_logits, expected_values = (
            answers.numpy() for answers in network.double()(torch.from_numpy(inputs))
        )
    tolerance = 1e-5 * max(1.0, np.abs(expected_logits).max())
    if bfloat16:  # 8 bits of mantissa: a percent or two of the spread of the answers
        tolerance = 0.05 * expected_logits.std() + 0.02
    np.testing.assert_allclose(logits, expected_logits, atol=tolerance, rtol=0)
    np.testing.assert_allclose(values, expected_values, atol=min(tolerance, 0.1), rtol=0)


@every_instruction_set
@pytest.mark.parametrize("rows", [1, 5, 12, 13, 300])
@pytest.mark.parametrize("filters", [4, 16, 24, 32, 40, 48])
def test_filters_that_fill_vectors_or_do_not(
    name: str, rows: int, filters: int, engine_of: Callable[[str, PolicyValueNetwork], WinogradEngine]
) -> None:
    game = get_game("connect_four")
    config = NetworkConfig(blocks=2, filters=filters, position_bias=True, line_planes=True)
    network = trained_looking_network(game, config)
    assert_computes(engine_of(name, network), network, positions(game, rows), name == "avx512_bf16")


@every_instruction_set
@pytest.mark.parametrize("game_name", ["tic_tac_toe", "connect_four", "chess"])
@pytest.mark.parametrize(("policy_filters", "value_filters", "value_hidden"), [(2, 1, 256), (3, 5, 20)])
def test_boards_of_every_size_and_heads_of_any(
    name: str,
    game_name: str,
    policy_filters: int,
    value_filters: int,
    value_hidden: int,
    engine_of: Callable[[str, PolicyValueNetwork], WinogradEngine],
) -> None:
    game = get_game(game_name)
    config = NetworkConfig(1, 20, policy_filters, value_filters, value_hidden)
    network = trained_looking_network(game, config)
    assert_computes(engine_of(name, network), network, positions(game, 30), name == "avx512_bf16")


@every_instruction_set
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 3, 1), (1, 3, 2), (3, 3, 1), (17, 1, 2)], ids=str)
def test_boards_smaller_than_a_vector(
    name: str, shape: tuple[int, int, int], engine_of: Callable[[str, PolicyValueNetwork], WinogradEngine]
) -> None:
    # (1, 3, 1) and (1, 3, 2): what is written for the last cell would end beyond the board's memory of AVX2, where
    # only a sanitizer sees it.
    architecture = Architecture("small", shape, 3, (1.0,) * shape[0], NetworkConfig(blocks=1, filters=8))
    torch.manual_seed(0)
    network = PolicyValueNetwork(architecture).eval()
    inputs = np.random.default_rng(0).integers(0, 2, (30, *shape), dtype=np.uint8)
    assert_computes(engine_of(name, network), network, inputs, name == "avx512_bf16")


@every_instruction_set
def test_a_network_without_blocks(
    name: str, engine_of: Callable[[str, PolicyValueNetwork], WinogradEngine]
) -> None:
    game = get_game("connect_four")
    network = trained_looking_network(game, NetworkConfig(blocks=0, filters=16, line_planes=True))
    assert_computes(engine_of(name, network), network, positions(game, 20), name == "avx512_bf16")


def in_a_row(cells: int, lines: tuple[Line, ...]) -> Game:
    """Return a game, of which a network alone makes use, of so many cells in a row and of `lines`."""

    class InARow(TicTacToe):
        name = "in_a_row"
        num_actions = cells
        observation_shape = (2, 1, cells)
        winning_lines = lines

    return InARow()


FIFTEEN_CELLS = in_a_row(16, (tuple(range(15)), tuple(range(1, 16))))
SEVENTEEN_CELLS = in_a_row(17, (tuple(range(17)),))
# A star: all lines go through the first cell.
LINES_OF_A_BYTE = in_a_row(256, tuple((0, cell) for cell in range(1, 256)))
LINES_BEYOND_A_BYTE = in_a_row(257, tuple((0, cell) for cell in range(1, 257)))
WITH_LINES = NetworkConfig(blocks=0, filters=16, line_planes=True)


@every_instruction_set
@pytest.mark.parametrize("game", [FIFTEEN_CELLS, LINES_OF_A_BYTE], ids=["15 cells", "255 lines"])
def test_lines_as_long_and_as_many_as_are_counted(
    name: str, game: Game, engine_of: Callable[[str, PolicyValueNetwork], WinogradEngine]
) -> None:
    network = trained_looking_network(game, WITH_LINES)
    assert usual_engine(network, "cpu", False) == "winograd"
    cells = game.num_actions
    # All stones one player's, or the other's, but for the first cell or the last, and a board of both players'.
    inputs = np.zeros((5, *game.observation_shape), np.uint8)
    for row, plane, empty in ((0, 0, 0), (1, 1, 0), (2, 0, cells - 1), (3, 1, cells - 1)):
        inputs[row, plane] = np.arange(cells) != empty
    inputs[4] = positions(game, 1)
    assert_computes(engine_of(name, network), network, inputs, name == "avx512_bf16")


@needs_code
@pytest.mark.parametrize("game", [SEVENTEEN_CELLS, LINES_BEYOND_A_BYTE], ids=["17 cells", "256 lines"])
def test_lines_beyond_what_is_counted_are_refused_and_auto_does_without(game: Game) -> None:
    network = trained_looking_network(game, WITH_LINES)
    with pytest.raises(UserError, match="lines of up to 15 cells, up to 255 of them through a cell"):
        make_engine("winograd", network, device="cpu")
    assert "winograd" not in candidate_engines("cpu", winning_lines(game))
    assert usual_engine(network, "cpu", False) == "frozen"
    without = trained_looking_network(game, NetworkConfig(blocks=0, filters=16))
    assert usual_engine(without, "cpu", False) == "winograd"
    make_engine("winograd", without, device="cpu")


@needs_code
@every_instruction_set
@pytest.mark.parametrize(
    "part", ["stem", "blocks", "policy_convolution", "value_convolution", "value_hidden"]
)
def test_weights_that_are_not_finite_show_in_the_answers(
    engine_of: Callable[[str, PolicyValueNetwork], WinogradEngine], name: str, part: str
) -> None:
    network = trained_looking_network(get_game("connect_four"), NetworkConfig(blocks=1, filters=16))
    broken = [name for name, _ in network.named_parameters() if name.startswith(part)]
    assert broken, [name for name, _ in network.named_parameters()]
    with torch.no_grad():
        network.get_parameter(broken[0]).fill_(float("nan"))
    logits, values = engine_of(name, network).evaluate(positions(get_game("connect_four"), 3))
    assert np.isnan(logits).any() or np.isnan(values).any()


def test_an_answer_does_not_depend_on_the_rows_beside_it() -> None:
    game = get_game("connect_four")
    network = trained_looking_network(game, NetworkConfig(blocks=1, filters=32, line_planes=True))
    engine = make_engine("winograd", network, device="cpu")
    inputs = positions(game, 40)
    logits, values = engine.evaluate(inputs)
    for row in (0, 11, 12, 39):
        alone_logits, alone_values = engine.evaluate(inputs[row : row + 1])
        np.testing.assert_array_equal(alone_logits[0], logits[row])
        np.testing.assert_array_equal(alone_values[0], values[row])


@needs_code
def test_what_is_compiled_refuses_sizes_and_names_that_do_not_fit() -> None:
    network = trained_looking_network(get_game("tic_tac_toe"), NetworkConfig(blocks=1, filters=16))
    evaluator = WinogradEngine(network, torch.device("cpu"), max_batch=8)._evaluator
    with pytest.raises(ValueError, match="2 layers for 1 blocks"):
        evaluator.load([(np.zeros(1, np.float32), np.zeros(1, np.float32))] * 2)
    inputs = positions(get_game("tic_tac_toe"), 3)
    with pytest.raises(ValueError, match="as many answers as observations"):
        evaluator.evaluate(inputs, np.zeros((2, 9), np.float32), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="this processor has no avx1024"):
        winograd_engine._native.Evaluator("avx1024", dict.fromkeys(SIZES, 1), None)


SIZES = (
    "rows",
    "columns",
    "planes",
    "filters",
    "blocks",
    "policy_filters",
    "value_filters",
    "value_hidden",
    "actions",
)


def test_without_compiled_code_a_user_is_told_and_auto_does_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd_engine, "_native", None)
    network = trained_looking_network(get_game("tic_tac_toe"), NetworkConfig(blocks=1, filters=16))
    with pytest.raises(UserError, match="needs an x86-64 processor with AVX2 and compiled code"):
        make_engine("winograd", network, device="cpu")
    assert "winograd" not in candidate_engines("cpu")


@needs_code
def test_on_a_cpu_auto_measures_it_and_takes_it_for_small_networks_where_nothing_is_measured() -> None:
    assert "winograd" in candidate_engines("cpu")
    assert "winograd" not in candidate_engines("cuda:0")
    game = get_game("tic_tac_toe")
    small, large = (build_network(game, NetworkConfig(blocks=0, filters=filters)) for filters in (48, 64))
    assert make_engine("auto", small, device="cpu").name.startswith("winograd")
    assert make_engine("auto", large, device="cpu").name.startswith("frozen")
    assert usual_engine(small, "cuda", True) == "graphs"


def test_in_float32_nothing_is_multiplied_in_bfloat16() -> None:
    instructions = instruction_set(half=False)
    assert instructions is None or instructions.word_channels == 1
