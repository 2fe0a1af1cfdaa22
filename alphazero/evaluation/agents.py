"""Agents by name: a checkpoint, an untrained network, random moves or pure MCTS, and the players they make.

An `Agent` is a description that any process can turn into a player; the network is loaded where it is used.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch

from alphazero.config import Config, InferenceConfig, NetworkConfig, SearchConfig
from alphazero.errors import UserError
from alphazero.evaluation.exhaustive import perfect_moves
from alphazero.evaluation.players import (
    TREES,
    NetworkPlayer,
    PerfectPlayer,
    Player,
    PolicyPlayer,
    PureMctsPlayer,
    RandomPlayer,
)
from alphazero.games.registry import game_names, get_checked_game, get_game
from alphazero.mcts.search import Evaluator
from alphazero.network.engines import make_engine
from alphazero.network.resnet import PolicyValueNetwork, build_network
from alphazero.training.checkpoint import load_agent

UNTRAINED = "untrained"
RANDOM = "random"
PURE_MCTS = "pure_mcts"
PERFECT = "perfect"
# What `parse_agent` takes, in words.
AGENT_WORDS = (
    "a results folder, a checkpoint folder, a .safetensors file, untrained:GAME, random:GAME or "
    "pure_mcts:GAME"
)


@dataclass(frozen=True)
class Agent:
    """Who plays.

    Attributes:
        name: stands in tables.
        kind: "network" (search), "random", "pure_mcts" or "perfect" (for a game that is small enough).
        game: name of the game; for a network that of its weights.
        path: weights file, results folder or checkpoint folder; None: an untrained network, or no network.
        seed: of an untrained network's weights.
        network: size of an untrained network.
        simulations: a move of pure MCTS; 0: as the setting says.
    """

    name: str
    kind: str
    game: str
    path: Path | None = None
    seed: int = 0
    network: NetworkConfig = field(default_factory=NetworkConfig)
    simulations: int = 0

    @property
    def has_network(self) -> bool:
        return self.kind == "network"


@dataclass(frozen=True)
class Setting:
    """What is the same for all agents of one evaluation.

    Attributes:
        search: the search of network players, `search.simulations` a move.
        inference: device and engine; `batch_size` is the largest forward pass.
        pure_mcts_simulations: simulations a move of the pure MCTS player.
    """

    search: SearchConfig
    inference: InferenceConfig
    pure_mcts_simulations: int

    @classmethod
    def of(cls, config: Config) -> Setting:
        """Return the setting that `config.evaluation` asks for, with the search and the inference of `config`."""
        return cls(
            search=replace(config.search, simulations=config.evaluation.simulations),
            inference=config.inference,
            pure_mcts_simulations=config.evaluation.pure_mcts_simulations,
        )


def parse_agent(text: str, game: str | None = None, seed: int = 0) -> Agent:
    """Return the agent that `text` names.

    Args:
        text: a results folder, a checkpoint folder or a .safetensors file; "untrained:GAME"; "random" or "pure_mcts",
            also as "random:GAME".
        game: the game of "random", "pure_mcts" and "untrained" where they do not name one.

    Raises UserError if it names none or an unknown game, or if the weights cannot be read.
    """
    word, colon, named_game = text.partition(":")
    if word in (RANDOM, PURE_MCTS, UNTRAINED) and not Path(text).exists():
        chosen = named_game if colon else game
        if not chosen:
            raise UserError(
                f"{text!r} does not say for which game; write {text}:GAME, such as {text}:connect_four"
            )
        get_checked_game(chosen)
        return Agent(word, "network" if word == UNTRAINED else word, chosen, seed=seed)
    path = Path(text)
    if not path.exists():
        raise UserError(
            f"no agent {text!r}; give a results folder, a checkpoint folder or a .safetensors file that exists, "
            f"{UNTRAINED}:GAME, {RANDOM} or {PURE_MCTS} (games: {', '.join(game_names())})"
        )
    return network_agent(path)


def network_agent(path: Path, name: str | None = None) -> Agent:
    """Return the agent of a results folder, a checkpoint folder or a weights file; UserError if it cannot be read."""
    network = load_agent(path, "cpu")
    return Agent(name or path.stem or str(path), "network", network.architecture.game, path)


def make_player(agent: Agent, setting: Setting, kept: int | None = None) -> Player:
    """Return a player for this process; `kept`: evaluations that a search with the network keeps."""
    game = get_game(agent.game)
    if agent.kind == RANDOM:
        return RandomPlayer(game, agent.name, setting.search.native_rules)
    if agent.kind == PURE_MCTS:
        simulations = agent.simulations or setting.pure_mcts_simulations
        search = replace(setting.search, simulations=simulations)
        return PureMctsPlayer(game, search, agent.name)
    if agent.kind == PERFECT:
        moves = perfect_moves(game)
        if moves is None:
            raise UserError(f"{agent.game} has too many positions to be played perfectly here")
        return PerfectPlayer(game, moves, agent.name)
    return make_network_player(agent, setting, kept)


def make_policy_player(agent: Agent, setting: Setting) -> PolicyPlayer:
    """Return the bare policy head of a network agent."""
    evaluate = _evaluator(agent, setting.inference)
    return PolicyPlayer(get_game(agent.game), evaluate, setting.search.native_rules)


def make_network_player(agent: Agent, setting: Setting, kept: int | None = None) -> NetworkPlayer:
    """Return the network agent with search; for `kept` see `NetworkPlayer`."""
    evaluate = _evaluator(agent, setting.inference)
    trees = max(TREES, setting.inference.batch_size)
    return NetworkPlayer(get_game(agent.game), evaluate, setting.search, agent.name, trees, kept)


@functools.lru_cache(maxsize=4)
def _evaluator(agent: Agent, inference: InferenceConfig) -> Evaluator:
    """Return the agent's network in an engine of this process; the newest few are kept."""
    engine = make_engine(
        inference.engine,
        _network(agent),
        inference.device,
        inference.use_amp,
        inference.pinned_memory,
        inference.batch_size,
    )
    return engine.evaluate


def _network(agent: Agent) -> PolicyValueNetwork:
    if agent.path is not None:
        return load_agent(agent.path, "cpu")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(agent.seed)
        return build_network(get_game(agent.game), agent.network)
