"""Games by name, `get_game("connect_four")`, and your own by place, `get_game("package.module:MyGame")`."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Iterable
from pathlib import Path

from alphazero.errors import UserError, did_you_mean
from alphazero.games.contract import check_attributes, check_game
from alphazero.games.game import Game

# name -> "module:class"; imported when first asked for.
_BUILT_IN = {
    "chess": "alphazero.games.chess:Chess",
    "connect_four": "alphazero.games.connect_four:ConnectFour",
    "tic_tac_toe": "alphazero.games.tic_tac_toe:TicTacToe",
}
_PLUGGED_IN: dict[str, Callable[[], Game]] = {}
_INSTANCES: dict[str, Game] = {}
_CHECKED: set[str] = set()
_GAMES_TO_CHECK = 3  # random games that a plug-in plays where it enters; a broken rule shows early


def game_names() -> list[str]:
    """Return the names of all games, sorted."""
    return sorted({*_BUILT_IN, *_PLUGGED_IN})


def register(name: str, factory: Callable[[], Game]) -> None:
    """Add a game of your own under `name`, in this process; UserError if the name is taken."""
    if name in _BUILT_IN or name in _PLUGGED_IN:
        raise UserError(f"a game called {name!r} is registered already; choose another name")
    _PLUGGED_IN[name] = factory


def get_game(name: str) -> Game:
    """Return the game called `name`, or import it from "module:class".

    The second form needs no registration, so that it also works in processes that are started afresh.
    The same instance is returned every time: games are stateless.
    Raises UserError for an unknown name, a plug-in that can't be loaded and one that is not a game.
    """
    if name not in _INSTANCES:
        game = _PLUGGED_IN[name]() if name in _PLUGGED_IN else _import_game(name)
        check_attributes(game)
        _INSTANCES[name] = game
    return _INSTANCES[name]


def asked_name(game: Game) -> str:
    """Return the name under which `get_game` gave `game`, by which any process finds it; else its own."""
    return next((name for name, instance in _INSTANCES.items() if instance is game), game.name)


def is_game(asked: str, named: str) -> bool:
    """Return whether `asked`, a name or "module:class", is the game `named`: so, or by its own name, as networks do."""
    return named in (asked, get_game(asked).name)


def get_checked_game(name: str) -> Game:
    """Return `get_game(name)`; a plug-in has first to keep every axiom through a few random games.

    For names that come from a person: an actor would meet a broken rule later, and less clearly. Raises
    GameContractError (a UserError) with the axiom that is broken, the position and its moves.
    """
    game = get_game(name)
    if name not in _BUILT_IN and name not in _CHECKED:
        check_game(game, games=_GAMES_TO_CHECK)
        _CHECKED.add(name)
    return game


def plug_in_files(name: str, suffixes: Iterable[str]) -> list[Path]:
    """Return the source files of a game that is named by its place, absolute and sorted; none of any other game.

    Its module's file, or, where the module is part of a package, all files with one of `suffixes` in that folder
    and below.
    """
    module_name, colon, _ = name.partition(":")
    spec = importlib.util.find_spec(module_name) if colon else None
    if spec is None or spec.origin is None:
        return []
    file = Path(spec.origin).resolve()
    if not spec.parent:
        return [file]
    return sorted(path for path in file.parent.rglob("*") if path.suffix in tuple(suffixes))


def _import_game(name: str) -> Game:
    """Import "module:class" and construct it; every failure says what is wrong with `name`."""
    module_name, colon, class_name = _BUILT_IN.get(name, name).partition(":")
    if not colon:
        raise UserError(
            f"unknown game {name!r}{did_you_mean(name, game_names())} (known: {', '.join(game_names())}; "
            "a game of your own: 'package.module:ClassName')"
        )
    if not all(part.isidentifier() for part in [*module_name.split("."), class_name]):
        raise UserError(f"cannot load game {name!r}: the form is 'package.module:ClassName'")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and module_name.startswith(str(error.name)):
            reason = f"there is no module {error.name!r}; is the folder that holds it on PYTHONPATH?"
        else:
            reason = f"importing {module_name!r} raised {type(error).__name__}: {error}"
        raise UserError(f"cannot load game {name!r}: {reason}") from error
    if not hasattr(module, class_name):
        hint = did_you_mean(class_name, vars(module))
        raise UserError(f"cannot load game {name!r}: {module_name!r} has no {class_name!r}{hint}")
    try:
        game: Game = getattr(module, class_name)()
    except Exception as error:
        raise UserError(
            f"cannot load game {name!r}: {class_name}() must give the game, "
            f"but raised {type(error).__name__}: {error}"
        ) from error
    return game
