"""`alphazero play`: play against an agent in the terminal, or ask it about a position."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

import numpy as np

from alphazero.commands.agent_search import add_config_option, search_of
from alphazero.commands.options import require_at_least
from alphazero.commands.seed_option import add_seed_option
from alphazero.config import EvaluationConfig, InferenceConfig
from alphazero.errors import UserError
from alphazero.evaluation.agents import AGENT_WORDS, Setting, make_player, parse_agent
from alphazero.evaluation.players import NetworkPlayer, Player
from alphazero.games.game import Game, IllegalMoveError
from alphazero.games.registry import get_game
from alphazero.mcts.backend import RootStatistics
from alphazero.mcts.search import best_action
from alphazero.network.engines import resolve_device
from alphazero.seeding import generator

_EPILOG = """examples:
  alphazero play results/MACHINE/cpu/train/connect_four_seed0
  alphazero play model.safetensors --second --simulations 100
  alphazero play model.safetensors --moves 3 3 3 3 2        (then: hint)"""
_HELP = "a move in the game's notation, or: hint, undo, moves, help, quit"
_MOVES_SHOWN = 4
_LEAST_SHARE_SHOWN = 0.01
_PROVEN = {1: "won", -1: "lost"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `alphazero play`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "agent",
        metavar="AGENT",
        help=AGENT_WORDS,
    )
    parser.add_argument("--second", action="store_true", help="the agent makes the first move, not you")
    parser.add_argument(
        "--moves", nargs="+", default=[], metavar="MOVE", help="made already, in the game's notation"
    )
    parser.add_argument(
        "--simulations",
        type=int,
        default=EvaluationConfig().simulations,
        metavar="N",
        help="simulations a move (default: %(default)s)",
    )
    add_config_option(parser)
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    add_seed_option(parser, "random players")


def run(arguments: argparse.Namespace) -> int:
    """Play until the game is over, the input ends or the human has had enough; return 0."""
    require_at_least(arguments, simulations=1)
    agent = parse_agent(arguments.agent, seed=arguments.seed)
    search, note = search_of(agent, arguments.config)
    setting = Setting(
        search=replace(search, simulations=arguments.simulations),
        inference=replace(InferenceConfig(), device=str(resolve_device(arguments.device))),
        pure_mcts_simulations=arguments.simulations,
    )
    table = _Table(
        get_game(agent.game), make_player(agent, setting), human=int(arguments.second), seed=arguments.seed
    )
    for text in arguments.moves:
        try:
            table.make_move(text)
        except IllegalMoveError as error:
            raise UserError(f"--moves: {error}") from error
    print(f"{agent.name} plays {agent.game}" + (f"; search: {note}" if agent.has_network else ""))
    print(f"You give {_HELP}.")
    table.play()
    return 0


class _Table:
    """A game under way between a human and a player.

    Args:
        human: 0 if the human makes the first move of the game, 1 if the second.
        seed: of a random player's moves.
    """

    def __init__(self, game: Game, player: Player, human: int, seed: int) -> None:
        self._game = game
        self._player = player
        self._human = human
        self._seed = seed
        self._moves: list[int] = []
        self._states: list[Any] = [game.initial_state()]

    def make_move(self, text: str) -> None:
        """Make the move that `text` names; IllegalMoveError otherwise."""
        self._make(self._game.text_to_action(self._states[-1], text))

    def play(self) -> None:
        """Let both move in turn until the game is over or the human has had enough."""
        self._show()
        while (value := self._game.terminal_value(self._states[-1])) is None:
            if self._is_humans_turn:
                if not self._human_moves():
                    return
            else:
                action, why = self._choice()
                print(f"it plays {self._text(action)}{why}")
                self._make(action)
            self._show()
        if value == 0.0:
            print("a draw")
        else:
            print("you have won" if (value > 0) == self._is_humans_turn else "it has won")

    @property
    def _is_humans_turn(self) -> bool:
        return len(self._moves) % 2 == self._human

    def _make(self, action: int) -> None:
        self._states.append(self._game.step(self._states[-1], action))
        self._moves.append(action)

    def _show(self) -> None:
        print(f"\n{self._game.render(self._states[-1])}")

    def _text(self, action: int) -> str:
        return self._game.action_to_text(self._states[-1], action)

    def _human_moves(self) -> bool:
        """Do what the human says until a move is made or taken back; return False if there will be none."""
        while True:
            try:
                words = input("your move: ").strip()
            except EOFError:
                print()
                return False
            if words == "quit":
                return False
            if words in ("", "help"):
                print(_HELP)
            elif words == "moves":
                print(*(self._text(action) for action in self._game.legal_actions(self._states[-1])))
            elif words == "hint":
                action, why = self._choice()
                print(f"it would play {self._text(action)}{why}")
            elif words == "undo" and len(self._moves) < 2:
                print("there is no move of yours to take back")
            elif words == "undo":
                del self._moves[-2:], self._states[-2:]
                return True
            else:
                try:
                    self.make_move(words)
                except IllegalMoveError as error:
                    print(error)
                else:
                    return True

    def _choice(self) -> tuple[int, str]:
        """Return the player's move in the position, and what a search with a network found there."""
        if isinstance(self._player, NetworkPlayer):
            statistics = self._player.root_statistics(self._moves)
            return best_action(statistics), self._findings(statistics)
        stream = generator(self._seed, "play", len(self._moves)).integers(1 << 63, dtype=np.uint64)
        return self._player.choose_moves([self._moves], np.array([stream], np.uint64))[0], ""

    def _findings(self, statistics: RootStatistics) -> str:
        """Return the position's value and the moves searched most, with their shares and values."""
        shares = statistics.visit_counts / max(1, int(statistics.visit_counts.sum()))
        most = np.argsort(-shares, kind="stable")[:_MOVES_SHOWN]
        moves = []
        for edge in most[shares[most] >= _LEAST_SHARE_SHOWN].tolist():
            value = _PROVEN.get(int(statistics.proven[edge]), f"{statistics.q_values[edge]:+.2f}")
            moves.append(f"{self._text(int(statistics.actions[edge]))} {shares[edge]:.0%} ({value})")
        return f"   value {statistics.value:+.2f} for the player to move; searched {', '.join(moves)}"
