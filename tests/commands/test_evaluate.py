"""The command line of `alphazero evaluate`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from alphazero import mcts
from alphazero.cli import main
from alphazero.config import Config, InferenceConfig, NetworkConfig, RunConfig, SearchConfig
from alphazero.config_loading import save_config
from alphazero.games.registry import get_game
from alphazero.network.engines import resolve_device
from alphazero.network.resnet import build_network
from alphazero.run.run_files import write_particulars
from alphazero.training.weights_file import save_weights

TINY = ["--positions-per-set", "2", "--simulations", "8", "--workers", "0", "--device", "cpu"]


def evaluate(*words: str) -> int:
    return main(["evaluate", *words])


def test_json_has_the_catalogs_words(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    out = tmp_path / "out"
    arguments = ["untrained:connect_four", *TINY, "--against", "random", "--matches", "4", "--out", str(out)]
    assert evaluate(*arguments, "--json") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["agent"] == "untrained"
    assert 0.0 <= printed["policy_error"] <= 1.0
    assert printed["simulations"] == 8
    (match,) = printed["matches"]
    assert match["opponent"] == "random"
    assert match["wins"] + match["draws"] + match["losses"] == match["games"] <= match["games_played"] == 4
    assert {"elo_difference", "elo_low", "elo_high", "score", "win_rate"} <= set(match)
    assert json.loads((out / "evaluation.json").read_text(encoding="utf-8")) == printed


def test_a_file_of_positions_is_used(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text(
        "set,moves,ply,score,move_scores\nmine,21053514,8,11,-4 -3 11 4 0 -2 -5\n", encoding="utf-8"
    )
    assert evaluate("untrained:connect_four", *TINY, "--positions", str(path)) == 0
    assert f"1 positions of {path}" in capsys.readouterr().out


def test_tic_tac_toe_is_scored_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("untrained:tic_tac_toe", *TINY) == 0
    assert "solved by trying all" in capsys.readouterr().out


def test_random_against_itself_needs_no_network(capsys: pytest.CaptureFixture[str]) -> None:
    assert evaluate("random:connect_four", *TINY, "--against", "random", "--matches", "6") == 0
    assert "random - random (2)" in capsys.readouterr().out


def test_a_checkpoint_searches_as_its_run_did(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    less = replace(Config(), search=replace(SearchConfig(), c_puct_init=0.7))
    folder = tmp_path / "run"
    (folder / "weights").mkdir(parents=True)
    weights, elsewhere = (
        folder / "weights" / "step-00000001.safetensors",
        tmp_path / "step-00000001.safetensors",
    )
    save_weights(weights, build_network(get_game("connect_four"), NetworkConfig(blocks=1, filters=4)))
    elsewhere.write_bytes(weights.read_bytes())
    write_particulars(less, folder)

    def c_puct(*words: str) -> float:
        assert evaluate(*words, *TINY, "--json") == 0
        printed = capsys.readouterr()
        assert f"search: {json.loads(printed.out)['search_note']}" in printed.err
        return float(json.loads(printed.out)["search"]["c_puct_init"])

    assert c_puct(str(weights)) == 0.7
    (folder / "model.safetensors").write_bytes(weights.read_bytes())
    assert c_puct(str(folder)) == 0.7  # a results folder
    assert c_puct(str(elsewhere)) == SearchConfig().c_puct_init
    assert c_puct(str(elsewhere), "--config", str(folder / "config.toml")) == 0.7
    (folder / "provenance.json").unlink()  # not a run's folder then, whatever its config.toml may be
    assert c_puct(str(weights)) == SearchConfig().c_puct_init


def test_what_a_run_of_another_machine_names_is_replaced_here(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its tree backend is not built here, and its GPU not in this machine."""
    config = replace(
        Config(),
        search=replace(SearchConfig(), mcts_backend="cpp"),
        inference=replace(InferenceConfig(), device="cuda:7", engine="graphs"),
    )
    save_config(config, tmp_path / "config.toml")
    network = build_network(get_game("connect_four"), NetworkConfig(blocks=1, filters=4))
    save_weights(tmp_path / "weights" / "step-00000000.safetensors", network)
    monkeypatch.setattr(mcts, "_why_not", lambda name: "" if name == "python" else "is not built")
    mcts._warn_that_nothing_is_compiled.cache_clear()  # it warns once a process
    small = ["--simulations", "8", "--workers", "0"]
    with pytest.warns(RuntimeWarning, match="pure-Python"):
        assert evaluate("--run", str(tmp_path), *small, "--positions-per-set", "2", "--matches", "2") == 0
    printed = capsys.readouterr().err
    assert "warning: of the run: " in printed and "'cuda:7'" in printed
    written = json.loads((tmp_path / "evaluation" / "evaluation.json").read_text(encoding="utf-8"))
    assert written["search"]["mcts_backend"] == "python"
    assert written["device"] == str(resolve_device("auto"))
    assert main(["rate", str(tmp_path), *small, "--games", "2", "--pure-mcts", "8"]) == 0


@pytest.mark.parametrize("command", ["rate", "strength", "evaluate --run"])
def test_a_folder_without_a_run_is_called_so(
    command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert main([*command.split(), str(tmp_path)]) == 2
    assert "holds no run's results (no config.toml); give a folder such as" in capsys.readouterr().err


def test_another_games_configuration_is_refused(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    config = replace(Config(), run=replace(RunConfig(), game="tic_tac_toe"))
    save_config(config, tmp_path / "config.toml")
    assert evaluate("untrained:connect_four", *TINY, "--config", str(tmp_path / "config.toml")) == 2
    assert "of a run of tic_tac_toe, but untrained plays connect_four" in capsys.readouterr().err
    network = build_network(get_game("connect_four"), NetworkConfig(blocks=1, filters=4))
    save_weights(tmp_path / "run" / "weights" / "step-00000000.safetensors", network)
    assert evaluate("--run", str(tmp_path / "run"), *TINY, "--config", str(tmp_path / "config.toml")) == 2
    assert (
        "holds agents of connect_four, but the configuration is of a run of tic_tac_toe"
        in capsys.readouterr().err
    )
    (tmp_path / "experiment.toml").write_text("[search]\nc_puct_init = 0.7\n", encoding="utf-8")
    assert evaluate("untrained:connect_four", *TINY, "--config", str(tmp_path / "experiment.toml")) == 2
    assert "experiment.toml is no run's configuration (it lacks run.game)" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give either a CHECKPOINT or --run FOLDER"),
        (["random:connect_four", "--run", "x"], "give either a CHECKPOINT or --run FOLDER"),
        (["absent.safetensors"], "no agent 'absent.safetensors'"),
        (["untrained"], "write untrained:GAME"),
        (["untrained:conect_four"], "did you mean 'connect_four'"),
        (["random:connect_four"], "nothing to do"),
        (["untrained:connect_four", "--against", "random:tic_tac_toe"], "give agents of one game"),
        (["untrained:tic_tac_toe", "--positions", "x.csv"], "holds Connect Four positions"),
        (["untrained:connect_four", "--positions", "absent.csv"], "cannot read positions from absent.csv"),
        (["untrained:connect_four", "--config", "absent.toml"], "absent.toml"),
        (["--run", "absent", "--against", "random"], "leave out --against"),
        (["--run", "absent"], "absent"),
        (["untrained:connect_four", "--device", "tpu"], "tpu"),
        (["untrained:connect_four", "--seed", "-1"], "--seed is -1; it must be a whole number from 0 to"),
        (["untrained:connect_four", "--seed", "one"], "--seed is one; it must be a whole number from 0 to"),
        (["untrained:connect_four", "--seed", str(2**63)], "from 0 to 9223372036854775807"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(
    words: list[str],
    says: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert evaluate(*words) == 2
    complaint = capsys.readouterr().err.strip()
    assert says in complaint
    assert len(complaint.splitlines()) == 1


def test_a_damaged_checkpoint_is_one_line(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "broken.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00not safetensors")
    assert evaluate(str(path), *TINY) == 2
    complaint = capsys.readouterr().err.strip()
    assert "broken.safetensors" in complaint
    assert len(complaint.splitlines()) == 1


@pytest.mark.parametrize("option", ["--simulations", "--matches", "--positions-per-set"])
def test_numbers_out_of_range_are_refused(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        evaluate("untrained:connect_four", option, "-1")
    assert caught.value.code == 2
    assert "'-1' is not a whole number of at least" in capsys.readouterr().err
