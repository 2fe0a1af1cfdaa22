"""Games are found by name or by place, and whatever cannot be loaded is explained in one line."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

from alphazero.config import NetworkConfig
from alphazero.errors import UserError
from alphazero.games import registry
from alphazero.games.connect_four import ConnectFour
from alphazero.games.registry import asked_name, game_names, get_checked_game, get_game, is_game, register
from alphazero.games.tic_tac_toe import TicTacToe
from alphazero.network.growth import grow
from alphazero.network.resnet import build_network, network_from_metadata, network_metadata


@pytest.fixture(autouse=True)
def _fresh_registry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_PLUGGED_IN", {})
    monkeypatch.setattr(registry, "_INSTANCES", {})
    monkeypatch.setattr(registry, "_CHECKED", set())


@pytest.fixture
def plug_in_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path


def test_built_in_game_is_found_by_name_and_made_once() -> None:
    assert isinstance(get_game("connect_four"), ConnectFour)
    assert get_game("connect_four") is get_game("connect_four")


def test_game_is_found_by_place() -> None:
    assert isinstance(get_game("alphazero.games.tic_tac_toe:TicTacToe"), TicTacToe)


def test_game_in_a_file_of_your_own_is_found_by_place(plug_in_folder: Path) -> None:
    (plug_in_folder / "my_first_game.py").write_text(
        "from alphazero.games.tic_tac_toe import TicTacToe\n\n\nclass Mine(TicTacToe):\n    name = 'mine'\n",
        encoding="utf-8",
    )
    assert get_game("my_first_game:Mine").name == "mine"
    assert is_game("my_first_game:Mine", "mine") and is_game("my_first_game:Mine", "my_first_game:Mine")
    assert not is_game("my_first_game:Mine", "tic_tac_toe")


def test_a_game_of_your_own_is_known_by_its_place_wherever_its_network_goes(plug_in_folder: Path) -> None:
    (plug_in_folder / "my_named_game.py").write_text(
        "from alphazero.games.tic_tac_toe import TicTacToe\n\n\nclass Mine(TicTacToe):\n    name = 'mine'\n",
        encoding="utf-8",
    )
    place = "my_named_game:Mine"
    assert asked_name(get_game(place)) == place
    assert asked_name(TicTacToe()) == "tic_tac_toe"
    network = build_network(get_game(place), NetworkConfig(blocks=1, filters=4))
    kept = network_from_metadata(network_metadata(network))
    assert get_game(kept.architecture.game) is get_game(place)
    grown = grow(kept, NetworkConfig(blocks=1, filters=8))  # as a final network does
    assert grown.architecture.game == place


def test_registered_game_is_found_and_listed() -> None:
    register("noughts", TicTacToe)
    assert isinstance(get_game("noughts"), TicTacToe)
    assert "noughts" in game_names()


@pytest.mark.parametrize("name", ["connect_four", "noughts"])
def test_taken_name_is_refused(name: str) -> None:
    register("noughts", TicTacToe) if name == "noughts" else None
    with pytest.raises(UserError, match=f"'{name}' is registered already"):
        register(name, TicTacToe)


def test_misspelt_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UserError, match="unknown game 'conect_four'; did you mean 'connect_four'"):
        get_game("conect_four")


def test_unknown_name_lists_the_games() -> None:
    with pytest.raises(UserError, match=r"known: .*connect_four.*tic_tac_toe; a game of your own"):
        get_game("zzz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("no_such_module:Game", "no module 'no_such_module'.*PYTHONPATH"),
        ("alphazero.games.no_such_module:Game", "no module 'alphazero.games.no_such_module'"),
        ("alphazero.games.tic_tac_toe:TicTacTo", "has no 'TicTacTo'; did you mean 'TicTacToe'"),
        ("alphazero.games.tic_tac_toe:", "the form is 'package.module:ClassName'"),
        (":TicTacToe", "the form is 'package.module:ClassName'"),
        ("games/tic_tac_toe.py:TicTacToe", "the form is 'package.module:ClassName'"),
        ("alphazero.games.tic_tac_toe:SIZE", "must give the game, but raised TypeError"),
        ("alphazero.games.game:PythonStates", "must give the game, but raised TypeError"),
        ("alphazero.games.tic_tac_toe:TicTacToeState", "must give the game, but raised TypeError"),
        ("collections:OrderedDict", "OrderedDict is no game: it lacks name, num_actions, max_legal"),
    ],
)
def test_place_that_holds_no_game_is_explained(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        get_game(name)


def test_missing_members_are_named(plug_in_folder: Path) -> None:
    (plug_in_folder / "half_a_game.py").write_text(
        "from alphazero.games.tic_tac_toe import TicTacToe\n\n\n"
        "class Half:\n"
        "    pass\n\n\n"
        "for member in dir(TicTacToe):\n"
        "    if member[0] != '_' and member not in ('encode', 'max_game_length'):\n"
        "        setattr(Half, member, getattr(TicTacToe, member))\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match=r"Half is no game: it lacks max_game_length, encode$"):
        get_game("half_a_game:Half")


@pytest.mark.parametrize(
    ("module", "source", "message"),
    [
        ("needs_another", "import a_package_that_is_not_there\n", "raised ModuleNotFoundError.*not_there"),
        ("misspelt_python", "clas Game:\n", "importing 'misspelt_python' raised SyntaxError"),
        ("fails_early", "1 / 0\n", "raised ZeroDivisionError"),
    ],
)
def test_error_inside_a_plug_in_is_told_from_a_missing_one(
    plug_in_folder: Path, module: str, source: str, message: str
) -> None:
    (plug_in_folder / f"{module}.py").write_text(source, encoding="utf-8")
    with pytest.raises(UserError, match=message):
        get_game(f"{module}:Game")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("def legal_actions(self, state): return []", "'a position has legal actions unless"),
        ("def legal_actions(self, state): return [9]", "'actions are 0 .. 8'"),
        ("max_legal_actions = 3", "'at most 3 actions are legal'"),
        ("def step(self, state, action): return 1 / 0", "raised ZeroDivisionError: division by zero"),
        ("def terminal_value(self, state): return 'won'", "'a terminal value is -1, 0, 1 or None'"),
        ("def step(self, state, action): return state", "'a game ends within 9 moves'"),
        ("def initial_state(self): raise KeyError('start')", "raised KeyError: 'start'"),
        ("def symmetries(self): return ()", "the first one must be the identity"),
        ("def symmetries(self): return None", "raised TypeError"),
        ("def encode(self, state, out): out[7] = 1", "raised IndexError"),
    ],
)
def test_a_plug_in_that_breaks_an_axiom_is_refused_where_it_enters(
    plug_in_folder: Path, body: str, message: str
) -> None:
    (plug_in_folder / "broken_game.py").write_text(
        "from alphazero.games.tic_tac_toe import TicTacToe\n\n\n"
        f"class Broken(TicTacToe):\n    name = 'broken'\n    {body}\n",
        encoding="utf-8",
    )
    sys.modules.pop("broken_game", None)
    importlib.invalidate_caches()
    with pytest.raises(UserError, match=re.escape(message)):
        get_checked_game("broken_game:Broken")


def test_a_member_that_cannot_be_read_is_explained(plug_in_folder: Path) -> None:
    (plug_in_folder / "raising_game.py").write_text(
        "from alphazero.games.tic_tac_toe import TicTacToe\n\n\n"
        "class Raising(TicTacToe):\n"
        "    @property\n"
        "    def num_actions(self):\n"
        "        raise RuntimeError('not yet')\n",
        encoding="utf-8",
    )
    with pytest.raises(UserError, match="reading its members raised RuntimeError: not yet"):
        get_game("raising_game:Raising")


def test_a_game_that_keeps_the_axioms_is_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    checked: list[str] = []
    monkeypatch.setattr(registry, "check_game", lambda game, games: checked.append(game.name))
    for name in ("alphazero.games.tic_tac_toe:TicTacToe", "connect_four"):
        assert get_checked_game(name) is get_checked_game(name) is get_game(name)
    assert checked == ["tic_tac_toe"]
