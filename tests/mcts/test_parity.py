"""Every compiled backend gives the reference's trees: the same nodes, counts and sums, compared with ==.

The compiled side also uses compiled rules and the compiled driver where there are any, so that whole
searches are compared, not only trees. Each test runs once in little (some three thousand searches in all, by every
backend) and, marked slow, with other positions and `MANY` times as many of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from alphazero.config import SearchConfig
from alphazero.games.game import Game
from alphazero.games.registry import get_game
from alphazero.mcts.backend import TreeSnapshot
from alphazero.mcts.search import BatchedSearch, sample_action
from alphazero.mcts.self_check import same_tree
from alphazero.seeding import generator

from .helpers import HashedEvaluator, TakeAway, position_with_one_legal_move, random_game

GAMES: dict[str, Game] = {
    "connect_four": get_game("connect_four"),
    "chess": get_game("chess"),
    "tic_tac_toe": get_game("tic_tac_toe"),
    "take_away": TakeAway(),
}
FPU_MODES = [("constant", 0.0), ("constant", -0.5), ("parent", 0.25)]
# Several leaves a tree and the solver, alone and together.
OPTIONS: list[dict[str, object]] = [
    {"solver": True},
    {"leaves_per_tree": 5, "virtual_loss": 1},
    {"leaves_per_tree": 3, "virtual_loss": 3, "solver": True},
]
# What is asked of the root: forced playouts, quotas, and to stop when its move is decided.
AT_ROOT: list[dict[str, object]] = [
    {"forced_playouts": 2.0},
    {"forced_playouts": 8.0, "solver": True},
    {"root_search": "gumbel"},
    {"root_search": "gumbel", "solver": True},
    {"early_stop": True},
    {"early_stop": True, "solver": True},
]
MANY = 25
EVERY_OPTION = pytest.mark.parametrize("options", OPTIONS, ids=str)
EVERY_GAME = pytest.mark.parametrize("game", GAMES.values(), ids=GAMES.keys())
EVERY_FPU = pytest.mark.parametrize("fpu", FPU_MODES, ids=str)
SOME_AND_MANY = pytest.mark.parametrize(
    "amount",
    [
        pytest.param(1, id="some"),
        pytest.param(MANY, id="many", marks=[pytest.mark.slow, pytest.mark.timeout(7200)]),
    ],
)


def settings(backend: str, fpu: tuple[str, float] = FPU_MODES[0], **others: object) -> SearchConfig:
    config = SearchConfig(
        mcts_backend=backend,
        native_rules=backend != "python",
        first_play_urgency=fpu[0],
        first_play_value=fpu[1],
    )
    return replace(config, **others)  # type: ignore[arg-type]


def positions_of_random_games(
    game: Game, count: int, rng: np.random.Generator, most_moves_missing: int | None = None
) -> list[list[int]]:
    """Return `count` positions: random games, cut off anywhere or at most so many moves before the end.

    Six positions come from one game of chess, since playing it in Python takes as long as searching.
    """
    from_one_game = 6 if game.name == "chess" else 1
    positions: list[list[int]] = []
    while len(positions) < count:
        moves = random_game(game, rng)
        fewest = 0 if most_moves_missing is None else max(0, len(moves) - most_moves_missing)
        positions += [moves[: int(rng.integers(fewest, len(moves) + 1))] for _ in range(from_one_game)]
    return positions[:count]


def batches(game: Game, count: int, amount: int, seed: int) -> Iterator[tuple[int, np.random.Generator]]:
    """Yield how many positions, and a generator for them: `count` in all (of chess a third), `amount` times."""
    for batch in range(amount):
        yield (count // 3 if game.name == "chess" else count), generator(seed, game.name, amount, batch)


def assert_same_searches(
    game: Game,
    backends: list[str],
    positions: list[list[int]],
    evaluator: HashedEvaluator,
    simulations: int,
    fpu: tuple[str, float],
    **options: object,
) -> None:
    """Search all positions at once, in Python and in each of `backends`, and compare every tree."""
    reference = searched_trees(game, "python", positions, evaluator, simulations, fpu, **options)
    for tree in reference:
        assert tree.visit_count[0] == simulations + 1
        if options.get("solver"):
            assert_proofs_are_right(tree)
    for backend in backends:
        ours = searched_trees(game, backend, positions, evaluator, simulations, fpu, **options)
        for moves, expected, found in zip(positions, reference, ours, strict=True):
            assert same_tree(expected, found), (backend, moves, expected, found)


def searched_trees(
    game: Game,
    backend: str,
    positions: list[list[int]],
    evaluator: HashedEvaluator,
    simulations: int,
    fpu: tuple[str, float] = FPU_MODES[0],
    **options: object,
) -> list[TreeSnapshot]:
    """Return the tree of each position, all searched at once."""
    search = BatchedSearch(game, len(positions), settings(backend, fpu, **options))
    for tree, moves in enumerate(positions):
        search.set_position(tree, moves)
    search.search(np.arange(len(positions), dtype=np.int32), evaluator, simulations)
    return [search.trees.snapshot(tree) for tree in range(len(positions))]


def assert_proofs_are_right(tree: TreeSnapshot) -> None:
    """A node is won if a child is lost, lost if all of its children are won, and otherwise not known."""
    for node in np.flatnonzero(tree.terminal == 0).tolist():
        children = tree.edge_children[tree.edge_offsets[node] : tree.edge_offsets[node + 1]]
        proven = [int(tree.proven[child]) if child >= 0 else 0 for child in children]
        expected = 1 if -1 in proven else -1 if proven and min(proven) == 1 else 0
        assert tree.proven[node] == expected


@EVERY_GAME
@EVERY_FPU
@SOME_AND_MANY
def test_random_positions(
    game: Game, fpu: tuple[str, float], amount: int, compiled_backends: list[str]
) -> None:
    evaluator = HashedEvaluator(game.num_actions)
    for count, rng in batches(game, 120, amount, seed=1):
        positions = positions_of_random_games(game, count, rng)
        assert_same_searches(game, compiled_backends, positions, evaluator, 40, fpu)


@EVERY_GAME
@EVERY_FPU
@SOME_AND_MANY
def test_positions_near_the_end(
    game: Game, fpu: tuple[str, float], amount: int, compiled_backends: list[str]
) -> None:
    evaluator = HashedEvaluator(game.num_actions)
    for count, rng in batches(game, 80, amount, seed=2):
        positions = positions_of_random_games(game, count, rng, most_moves_missing=2)
        assert_same_searches(game, compiled_backends, positions, evaluator, 60, fpu)


@EVERY_GAME
@EVERY_OPTION
@SOME_AND_MANY
def test_several_leaves_and_the_solver(
    game: Game, options: dict[str, object], amount: int, compiled_backends: list[str]
) -> None:
    evaluator = HashedEvaluator(game.num_actions)
    for count, rng in batches(game, 30, amount, seed=8):
        positions = positions_of_random_games(game, count, rng)
        positions += positions_of_random_games(game, count, rng, most_moves_missing=0)
        for fpu in FPU_MODES:
            assert_same_searches(game, compiled_backends, positions, evaluator, 40, fpu, **options)


@EVERY_GAME
@SOME_AND_MANY
def test_one_legal_move(game: Game, amount: int, compiled_backends: list[str]) -> None:
    evaluator = HashedEvaluator(game.num_actions)
    for count, rng in batches(game, 24, amount, seed=3):
        positions = [position_with_one_legal_move(game, rng) for _ in range(count)]
        assert_same_searches(game, compiled_backends, positions, evaluator, 30, FPU_MODES[0])


@EVERY_GAME
@pytest.mark.parametrize("scale, extreme", [(0.0, False), (30.0, False), (1e4, False), (1e4, True)])
@SOME_AND_MANY
def test_equal_priors_and_extreme_logits(
    game: Game, scale: float, extreme: bool, amount: int, compiled_backends: list[str]
) -> None:
    evaluator = HashedEvaluator(game.num_actions, logit_scale=scale, extreme=extreme)
    for count, rng in batches(game, 30, amount, seed=4):
        positions = positions_of_random_games(game, count, rng)
        for fpu in FPU_MODES:
            assert_same_searches(game, compiled_backends, positions, evaluator, 30, fpu)


@EVERY_GAME
@EVERY_FPU
@pytest.mark.parametrize("options", [{}, {"tree_reuse": False}, *OPTIONS], ids=str)
@SOME_AND_MANY
def test_games_with_root_noise(
    game: Game, fpu: tuple[str, float], options: dict[str, object], amount: int, compiled_backends: list[str]
) -> None:
    for count, rng in batches(game, 6, amount, seed=5):
        assert_same_whole_games(game, compiled_backends, count, rng, fpu, **options)


@EVERY_GAME
@pytest.mark.parametrize("options", AT_ROOT, ids=str)
@SOME_AND_MANY
def test_games_with_something_asked_of_the_root(
    game: Game, options: dict[str, object], amount: int, compiled_backends: list[str]
) -> None:
    for count, rng in batches(game, 3, amount, seed=11):
        assert_same_whole_games(game, compiled_backends, count, rng, FPU_MODES[2], **options)


def assert_same_whole_games(
    game: Game,
    backends: list[str],
    count: int,
    rng: np.random.Generator,
    fpu: tuple[str, float],
    **options: object,
) -> None:
    """Play `count` games from the start; of chess, a few moves from anywhere."""
    plies = 6 if game.name == "chess" else game.max_game_length
    starts = positions_of_random_games(game, count, rng) if game.name == "chess" else [[]] * count
    early_stop = bool(options.pop("early_stop", False))
    searches = [BatchedSearch(game, count, settings(name, fpu, **options)) for name in ("python", *backends)]
    for search in searches:
        for tree, moves in enumerate(starts):
            search.set_position(tree, moves)
    assert_same_games(searches, int(rng.integers(2**30)), plies, early_stop)
    assert early_stop == any(search.trees.spared.any() for search in searches)


def assert_same_games(searches: list[BatchedSearch], seed: int, plies: int, early_stop: bool = False) -> None:
    """Play all games in all searches for `plies` moves or to the end; compare every tree after every move."""
    reference = searches[0]
    evaluator = HashedEvaluator(reference.game.num_actions)
    playing = list(range(reference.num_trees))
    for ply in range(plies):
        trees = np.tile(np.array(playing, np.int32), reference.config.leaves_per_tree)
        for search in searches:
            for tree in playing:
                rng = generator(seed, "noise", tree, ply)
                noise = lambda _, edges, rng=rng: rng.dirichlet([0.5] * edges)  # noqa: E731
                quota = None
                if search.config.root_search == "gumbel":  # more or less than there are simulations
                    quota = lambda root, rng=rng: rng.integers(0, 8, len(root.actions), np.int32)  # noqa: E731
                search.begin(tree, 20, noise, search.config.forced_playouts, quota, early_stop)
            while rows := search.collect(trees):
                search.apply(*evaluator(search.observations[:rows]))
        for tree in list(playing):
            assert_same_in_all(searches, tree)
            action = sample_action(reference.root_statistics(tree), 1.0, generator(seed, "move", tree, ply))
            for search in searches:
                search.play(tree, action)
            assert_same_in_all(searches, tree)
            value = reference.terminal_value(tree)
            assert [search.terminal_value(tree) for search in searches] == [value] * len(searches)
            if value is not None:
                playing.remove(tree)
        if not playing:
            break
    assert not playing or plies < reference.game.max_game_length


def assert_same_in_all(searches: list[BatchedSearch], tree: int) -> None:
    expected = searches[0].trees.snapshot(tree)
    for search in searches[1:]:
        assert search.trees.spared[tree] == searches[0].trees.spared[tree]
        assert same_tree(expected, search.trees.snapshot(tree)), (search.config.mcts_backend, tree)


@cache
def the_same_256_positions(game: Game) -> list[list[int]]:
    return positions_of_random_games(game, 256, generator(7, game.name))


@EVERY_GAME
def test_64_and_256_games_at_once_equal_each_game_alone(game: Game, backend: str) -> None:
    simulations = 6 if game.name == "chess" else 16
    positions = the_same_256_positions(game)
    evaluator = HashedEvaluator(game.num_actions)
    together = searched_trees(game, backend, positions, evaluator, simulations)
    for at_once in (64, 1):
        search = BatchedSearch(game, at_once, settings(backend))
        every = np.arange(at_once, dtype=np.int32)
        for start in range(0, 256, at_once):
            for tree in range(at_once):
                search.set_position(tree, positions[start + tree])
            search.search(every, evaluator, simulations)
            for tree in range(at_once):
                assert same_tree(search.trees.snapshot(tree), together[start + tree]), positions[start + tree]


@EVERY_OPTION
def test_a_long_search_with_options_agrees_too(
    options: dict[str, object], compiled_backends: list[str]
) -> None:
    """From a position where proofs reach the root only after a while."""
    game = GAMES["connect_four"]
    evaluator = HashedEvaluator(game.num_actions)
    positions = [[], [3, 3, 3, 3, 2, 2], random_game(game, generator(9))[:24]]
    assert_same_searches(game, compiled_backends, positions, evaluator, 500, FPU_MODES[0], **options)


def test_a_leaf_at_a_time_is_the_same_search_whatever_leaves_per_tree(backend: str) -> None:
    """Self-play calls `collect` with each tree once: `search.leaves_per_tree` cannot change it."""
    game = GAMES["connect_four"]
    evaluator = HashedEvaluator(game.num_actions)
    one, several = (BatchedSearch(game, 2, settings(backend, leaves_per_tree=leaves)) for leaves in (1, 4))
    every = np.arange(2, dtype=np.int32)
    for search in (one, several):
        for tree in range(2):
            search.set_position(tree, [3] * tree)
            search.begin(tree, 60)
        while rows := search.collect(every):
            search.apply(*evaluator(search.observations[:rows]))
    for tree in range(2):
        assert same_tree(one.trees.snapshot(tree), several.trees.snapshot(tree))


@EVERY_GAME
@SOME_AND_MANY
def test_long_searches_agree_too(game: Game, amount: int, compiled_backends: list[str]) -> None:
    """800 simulations, from the start and from anywhere."""
    evaluator = HashedEvaluator(game.num_actions)
    for _, rng in batches(game, 1, amount, seed=10):
        positions = [[], positions_of_random_games(game, 1, rng)[0]]
        assert_same_searches(game, compiled_backends, positions, evaluator, 800, FPU_MODES[2])
