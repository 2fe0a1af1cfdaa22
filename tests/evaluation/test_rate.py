"""A rating list: who meets whom, openings that are even, perfect play, and the same list for the same seed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from alphazero.cli import main
from alphazero.config import InferenceConfig, NetworkConfig, SearchConfig
from alphazero.evaluation.agents import PERFECT, PURE_MCTS, RANDOM, Agent, Setting, make_policy_player
from alphazero.evaluation.elo import PairScore, pentanomial
from alphazero.evaluation.exhaustive import perfect_moves
from alphazero.evaluation.match import draw_openings, play_match
from alphazero.evaluation.players import PerfectPlayer, RandomPlayer
from alphazero.evaluation.rate import balanced_openings, pairs_of, players_of
from alphazero.games.connect_four import ConnectFour
from alphazero.games.tic_tac_toe import TicTacToe
from alphazero.network.resnet import build_network
from alphazero.training.weights_file import save_weights

SETTING = Setting(SearchConfig(simulations=8), InferenceConfig(device="cpu", use_amp=False), 8)


def test_perfect_play_never_loses_and_beats_random_play() -> None:
    game = TicTacToe()
    moves = perfect_moves(game)
    assert moves is not None
    # The three kinds of first moves, each drawn. Two games of each: openings of a match are not played twice.
    results = [
        play_match(game, PerfectPlayer(game, moves), RandomPlayer(game), 6, 1, seed=seed) for seed in range(6)
    ]
    assert all(result.total.losses == 0 for result in results)
    assert sum(result.total.wins for result in results) > sum(result.total.games for result in results) / 2


def test_perfect_play_is_offered_every_move_that_keeps_the_result() -> None:
    game = TicTacToe()
    moves = perfect_moves(game)
    assert moves is not None
    assert moves[game.initial_state()] == tuple(range(9))  # every first move draws
    state = game.step(game.initial_state(), 0)  # a corner: only the centre holds
    assert moves[state] == (4,)


def test_a_large_game_is_not_solved() -> None:
    assert perfect_moves(ConnectFour(), most_positions=100) is None


def test_each_player_meets_the_two_that_follow_and_checkpoints_meet_every_pure_mcts() -> None:
    line = [Agent(RANDOM, RANDOM, "g"), *(Agent(f"m{n}", PURE_MCTS, "g", simulations=n) for n in (1, 2))]
    line += [Agent(f"step {n}", "network", "g") for n in (0, 1, 2)]
    names = [(one.name, other.name) for one, other in pairs_of(line)]
    assert len(names) == len(set(names))
    assert set(names) == {
        *{("m1", "random"), ("m2", "random"), ("m2", "m1"), ("step 0", "m1"), ("step 0", "m2")},
        *{("step 1", "m2"), ("step 1", "step 0"), ("step 2", "step 0"), ("step 2", "step 1")},
        *{("step 1", "m1"), ("step 2", "m1"), ("step 2", "m2")},
    }


def test_each_checkpoint_plays_with_the_weights_of_its_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("alphazero.evaluation.rate.perfect_moves", lambda game: {})
    size = NetworkConfig(blocks=1, filters=4, policy_filters=2, value_filters=2, value_hidden=8)
    network = build_network(TicTacToe(), size)
    paths = [tmp_path / "weights" / f"step-{step:08d}.safetensors" for step in (0, 10, 20)]
    paths.append(tmp_path / "model.safetensors")
    for step, path in zip((0, 10, 20, 23), paths, strict=True):
        save_weights(path, network, {"step": str(step)})
    random, mcts, *checkpoints, perfect = players_of(tmp_path, "tic_tac_toe", points=3, budgets=(8,))
    assert (random.kind, mcts.kind, mcts.simulations, perfect.kind) == (RANDOM, PURE_MCTS, 8, PERFECT)
    names = ("untrained", "step 10", "step 20", "step 23")
    assert [(each.name, each.path) for each in checkpoints] == list(zip(names, paths, strict=True))


def test_the_openings_are_the_most_even_ones_by_the_judge() -> None:
    judge = Agent("judge", "network", "connect_four", seed=3)
    chosen = balanced_openings(judge, SETTING, 10, 3, seed=1)
    assert chosen == balanced_openings(judge, SETTING, 10, 3, seed=1)
    candidates = draw_openings(ConnectFour(), 40, 3, seed=1)
    _, values = make_policy_player(judge, SETTING).choose_and_value(candidates)
    sizes = dict(zip(candidates, np.abs(values), strict=True))
    left_out = [size for opening, size in sizes.items() if opening not in chosen]
    assert max(sizes[opening] for opening in chosen) <= min(left_out)


def test_openings_are_counted_by_what_both_games_gave() -> None:
    pairs = [PairScore(2, 2), PairScore(1.5, 2), PairScore(1, 2), PairScore(1, 2), PairScore(0, 2)]
    assert pentanomial([*pairs, PairScore(1, 1)]) == (1, 0, 2, 1, 1)  # half a pair does not count


@pytest.fixture(scope="module")
def tiny_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("run")
    words = ["train", "--single-process", "--profile", "none", "--game", "tic_tac_toe", "--evaluate", "no"]
    settings = ["search.simulations=8", "training.positions=150", "training.min_positions=64"]
    settings += ["training.batch_size=32", "training.replay_ratio=1", "network.blocks=1", "network.filters=8"]
    settings += ["selfplay.games_per_actor=8", "inference.device=cpu", "evaluation.simulations=8"]
    for setting in settings:
        words += ["--set", setting]
    assert main([*words, "--checkpoints", str(folder / "run"), "--out", str(folder / "out")]) == 0
    yield folder / "out"


def test_the_same_seed_gives_the_same_list(tiny_run: Path, tmp_path: Path) -> None:
    """Whoever plays the games: worker processes, or this one."""
    lists = []
    for name, workers in (("one", "2"), ("other", "0")):
        words = ["rate", str(tiny_run), "--points", "2", "--games", "6", "--pure-mcts", "4", "16"]
        assert (
            main([*words, "--opening-moves", "1", "--workers", workers, "--out", str(tmp_path / name)]) == 0
        )
        lists.append(json.loads((tmp_path / name / "ratings.json").read_text()))
    assert lists[0] == lists[1]
    players = {row["agent"] for row in lists[0]["ratings"]}
    assert {"random", "pure_mcts 4", "pure_mcts 16", "untrained", "perfect"} <= players
    assert all(row["games"] <= row["games_played"] for row in lists[0]["matches"])
    assert {
        "ratings.html",
        "ratings.csv",
        "matches.md",
        "ratings.svg",
        "provenance.json",
        "hardware.json",
    } <= {path.name for path in (tmp_path / "one").iterdir()}


def test_a_wrong_number_is_refused(tiny_run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rate", str(tiny_run), "--points", "1"]) == 2
    assert "--points is 1" in capsys.readouterr().err
    assert main(["rate", str(tiny_run), "--seed", str(2**63)]) == 2
    assert "--seed is 9223372036854775808; it must be a whole number from 0 to" in capsys.readouterr().err
    assert main(["rate", str(tiny_run), "--workers", "-1"]) == 2
    assert "--workers is -1; it must be at least 0" in capsys.readouterr().err
