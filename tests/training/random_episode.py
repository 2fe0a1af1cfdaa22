"""Random games as episodes, for the tests of this folder."""

from collections.abc import Sequence

import numpy as np

from alphazero.games.game import Game
from alphazero.records import Episode


def play_episode(game: Game, rng: np.random.Generator, moves: Sequence[int] | None = None) -> Episode:
    """Play one game, random or given move by move, with visit counts drawn from `rng`."""
    state = game.initial_state()
    actions: list[int] = []
    observations, policy_actions, policy_visits, offsets = [], [], [], [0]
    while game.terminal_value(state) is None and (moves is None or len(actions) < len(moves)):
        legal = game.legal_actions(state)
        observation = np.zeros(game.observation_shape, dtype=np.uint8)
        game.encode(state, observation)
        observations.append(observation)
        policy_actions += legal
        policy_visits += rng.integers(0, 800, len(legal)).tolist()
        offsets.append(len(policy_actions))
        actions.append(int(rng.choice(legal)) if moves is None else moves[len(actions)])
        state = game.step(state, actions[-1])
    final = None
    if game.terminal_value(state) is not None:
        final = np.zeros(game.observation_shape, dtype=np.uint8)
        game.encode(state, final)
    length = len(actions)
    # The value at the end is for the player to move there; it changes sign with every ply backwards.
    last = game.terminal_value(state) or 0.0
    outcomes = [last * (-1.0) ** (length - ply) for ply in range(length)]
    return Episode(
        opening=np.zeros(0, np.int32),
        actions=np.array(actions, dtype=np.int32),
        observations=np.stack(observations),
        policy_offsets=np.array(offsets, dtype=np.int32),
        policy_actions=np.array(policy_actions, dtype=np.int32),
        policy_visits=np.array(policy_visits, dtype=np.int32),
        root_values=np.zeros(length, dtype=np.float32),
        outcomes=np.array(outcomes, dtype=np.float32),
        weights_versions=np.zeros(length, dtype=np.int32),
        actor=0,
        game_index=0,
        final_observation=final,
    )
