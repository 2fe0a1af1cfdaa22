"""Games that are played at once by one actor, their searches in lock step.

The same class plays in the single-process spine, in actor processes and in benchmarks; it knows nothing of
processes, queues or networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from alphazero.config import SearchConfig, SelfPlayConfig
from alphazero.games.game import ByteArray, Game
from alphazero.mcts.backend import IntArray, RootStatistics
from alphazero.mcts.forced_playouts import pruned_visits
from alphazero.mcts.gumbel import SequentialHalving, policy_shares
from alphazero.mcts.search import BatchedSearch, best_action, sample_action
from alphazero.records import Episode
from alphazero.seeding import generator
from alphazero.selfplay.episode import EpisodeBuilder
from alphazero.selfplay.policy_targets import visits_not_refuted
from alphazero.selfplay.random_stage import play_random_opening, set_random_stage
from alphazero.selfplay.side_positions import nodes_left_behind
from alphazero.selfplay.start_archive import StartArchive

_PLAIN = SelfPlayConfig()


@dataclass
class SelfPlayCounts:
    """What has been done since the counts were last taken; all are plain totals."""

    simulations: int = 0
    leaves: int = 0  # rows that needed an answer, from the network or from a cache
    positions: int = 0
    games: int = 0

    def merge(self, other: SelfPlayCounts) -> None:
        """Add all that `other` counted, which is of the same class or of one that this class derives from."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class GameGroup:
    """Plays `num_games` games for ever, each slot starting a new game when its last one has ended.

    Every game has its own random stream, derived from (seed, actor, launch, game index), so that a game
    depends neither on the other games nor on how their leaves are batched; but for where it begins, with
    `archive_start_share`. Owned by one thread.

    Args:
        first_slot: index of this group's first slot among the actor's `actor_games` slots; the k-th game
            of slot s has game index s + k * actor_games.
        launch: counts the times that this actor was started in a run, so that it never repeats a game.
        selfplay: its options of play; actors, games_per_actor and groups have no part here. A move's search is drawn by
            its game's stream. Without a trained network (weights version 0) values say nothing but what the rules alone
            show: no side positions are taken then, no game is resigned and no opening judged. Of
            `policy_surprise_share`, the game's own positions share one weight, its side positions another: visits
            of few simulations stay closer to the prior than those of a full search. Positions
            that teach no policy (fast searches), and those searched without a trained network, keep the weight 1.
        stagger: begin each slot's first game at a random stage, and with a random share of a search to do,
            so that a window of time holds all stages of play. For measuring: such a game counts, but it is
            no episode to learn from.
    """

    def __init__(
        self,
        game: Game,
        config: SearchConfig,
        num_games: int,
        seed: int,
        actor: int = 0,
        launch: int = 0,
        first_slot: int = 0,
        actor_games: int | None = None,
        selfplay: SelfPlayConfig = _PLAIN,
        stagger: bool = False,
    ) -> None:
        self.game = game
        self.config = config
        # Batches are filled from many games; several leaves a tree would change the search.
        self.search = BatchedSearch(game, num_games, replace(config, leaves_per_tree=1))
        self.counts = SelfPlayCounts()
        self._alpha = config.root_noise_alpha or game.root_noise_alpha
        self._temperature_moves = (
            game.temperature_moves if config.temperature_moves < 0 else config.temperature_moves
        )
        self._selfplay = selfplay
        self._searched_in_full = [True] * num_games
        # Of the search that is under way, with search.root_search = "gumbel".
        self._halvings: list[SequentialHalving | None] = [None] * num_games
        self._stream = (seed, actor, launch)
        self._actor_games = num_games if actor_games is None else actor_games
        self._next_index = [first_slot + slot for slot in range(num_games)]
        self._slots = np.arange(num_games, dtype=np.int32)
        self._builders: list[EpisodeBuilder] = []
        self._generators: list[np.random.Generator] = []
        self._weights_version = 0
        self._untrained = False  # whether trees hold what was searched without a network
        self._no_logits = np.zeros((num_games, game.num_actions), np.float32)
        self._no_values = np.zeros(num_games, np.float32)
        self._simulations_begun = 0
        self._simulations_counted = 0
        self._finished: list[Episode] = []
        self._archive = StartArchive()
        self._unjudged_openings: set[int] = set()  # slots whose opening the network has not seen yet
        self._may_resign = [False] * num_games
        self._moves_skipped = [0] * num_games  # of the slot's game, before it was taken up
        self._staggered = set(range(num_games)) if stagger else set()
        stages = generator(seed, "stagger", "actor", actor, "launch", launch, "slot", first_slot)
        for slot in range(num_games):
            self._builders.append(EpisodeBuilder(actor, 0))
            self._generators.append(generator(seed))
            if stagger:
                self._moves_skipped[slot] = set_random_stage(self.search, slot, stages)
                self._start_game(slot, int(stages.integers(1, config.simulations + 1)))
            else:
                self._start_game(slot)

    def collect(self) -> int:
        """Play the moves whose searches are done and select a leaf in every game; return the rows.

        The rows to evaluate are in `search.observations[:rows]`; at least one unless simulations is 0.
        """
        while True:
            for slot in np.flatnonzero(self.search.trees.remaining == 0).tolist():
                while self.search.is_finished(slot):  # again if the next search is decided before it begins
                    self._go_on(slot)
            rows = self.search.collect(self._slots)
            if rows:
                self.counts.leaves += rows
                return rows

    def apply(
        self,
        policy_logits: npt.NDArray[np.float32],
        values: npt.NDArray[np.float32],
        weights_version: int,
    ) -> None:
        """Take the network's answers for the rows of the last `collect`; see `BatchedSearch.apply`."""
        self._weights_version = weights_version
        uneven = self._take_uneven_openings(values) if self._unjudged_openings else []
        self.search.apply(policy_logits, values)
        for slot in uneven:
            self._open_again(slot)
        if self._untrained and weights_version > 0:
            self._untrained = False
            for slot in self._slots.tolist():
                self._search_again(slot)

    def apply_untrained(self, rows: int) -> None:
        """Answer the rows of the last `collect` with equal priors and values of 0, as an untrained network would.

        They do not count as leaves. What they left in the trees is dropped when a trained network first answers, so
        that no search is of both.
        """
        self._untrained = True
        self.counts.leaves -= rows
        self.apply(self._no_logits[:rows], self._no_values[:rows], weights_version=0)

    def take_episodes(self) -> list[Episode]:
        """Return the games finished since the last call."""
        episodes, self._finished = self._finished, []
        return episodes

    def take_counts(self) -> SelfPlayCounts:
        """Return what was done since the last call, unfinished searches included."""
        counts, self.counts = self.counts, SelfPlayCounts()
        spared = self.search.trees.spared
        self._simulations_begun -= int(spared.sum())
        spared[:] = 0
        done = self._simulations_begun - int(self.search.trees.remaining.sum())
        counts.simulations = done - self._simulations_counted
        self._simulations_counted = done
        return counts

    def _go_on(self, slot: int) -> None:
        """Begin the next phase of the root's search if there is one, or play the move."""
        halving = self._halvings[slot]
        if halving is not None and halving.simulations:
            self._begin_phase(slot, halving)
        else:
            self._play_move(slot)

    def _play_move(self, slot: int) -> None:
        builder = self._builders[slot]
        statistics = self.search.root_statistics(slot)
        halving = self._halvings[slot]
        if self._draws_move(slot):
            action = sample_action(statistics, self.config.temperature, self._generators[slot])
        elif halving is not None:
            action = halving.winner(statistics)
        else:
            action = best_action(statistics)
        observation = self._root_observation(slot)
        policy_visits = self._policy_visits(slot, statistics)
        priors = (
            self.search.network_priors(slot, statistics) if self._selfplay.policy_surprise_share else None
        )
        builder.append(observation, statistics, policy_visits, action, self._weights_version, priors)
        self.counts.positions += 1
        if self._selfplay.archive_start_share:
            self._archive_alternatives(slot, statistics, action)
        resigned = self._resigns(slot, statistics)
        if self._selfplay.side_position_visits and self._weights_version > 0:
            self._take_side_positions(slot, None if resigned else action)

        if resigned:  # who moved has won or lost: for the other it is the opposite
            terminal_value: float | None = -math.copysign(1.0, statistics.value)
        else:
            self.search.play(slot, action)
            terminal_value = self.search.terminal_value(slot)
        if terminal_value is None:
            self._begin_search(slot)
        else:
            if slot not in self._staggered:
                final = None if resigned else self._root_observation(slot)
                self._finished.append(builder.finish(terminal_value, self._generators[slot], final))
            self._staggered.discard(slot)
            self._moves_skipped[slot] = 0
            self.counts.games += 1
            self.search.reset(slot)
            self._start_game(slot)

    def _draws_move(self, slot: int) -> bool:
        """Return whether the slot's next move is drawn by its visits; else it is the best one."""
        builder = self._builders[slot]
        move = self._moves_skipped[slot] + len(builder.opening) + len(builder)
        return move < self._temperature_moves and self.config.temperature > 0

    def _root_observation(self, slot: int) -> ByteArray:
        """Return the observation of the slot's root, uint8 [C, H, W]."""
        observation = np.empty(self.game.observation_shape, np.uint8)
        self.search.encode_root(slot, observation)
        return observation

    def _resigns(self, slot: int, statistics: RootStatistics) -> bool:
        """Return whether the game ends here, won for the side that the search of its newest position favours."""
        if (
            self._selfplay.resign_value == 0.0
            or self._weights_version == 0
            or not self._searched_in_full[slot]
        ):
            return False
        value = statistics.value
        if abs(value) < self._selfplay.resign_value:
            return False
        self._builders[slot].foresee(math.copysign(1.0, value), resigned=self._may_resign[slot])
        return self._may_resign[slot]

    def _archive_alternatives(self, slot: int, statistics: RootStatistics, action: int) -> None:
        """Keep the moves beside `action`, which was just played, for other games to begin with."""
        in_full = self._searched_in_full[slot] and self._weights_version > 0
        if in_full and slot not in self._staggered:  # how such a game began, is not known
            self._archive.add_alternatives(self._builders[slot].moves[:-1], statistics, action)

    def _take_side_positions(self, slot: int, action: int | None) -> None:
        """Add what the search knows of positions that are left behind when `action` is played (None: nothing is)."""
        found = nodes_left_behind(self.search, slot, action, self._selfplay.side_position_visits)
        if len(found) == 0:
            return
        observations = np.empty((len(found), *self.game.observation_shape), np.uint8)
        self.search.states.encode(np.full(len(found), slot, np.int32), found.nodes, observations)
        self._builders[slot].append_side_positions(observations, found)

    def _policy_visits(self, slot: int, statistics: RootStatistics) -> IntArray:
        """Return what the search says of the policy, for `Episode.policy_visits`: int32 [E]."""
        if not self._searched_in_full[slot]:
            return np.zeros_like(statistics.visit_counts)
        visits = statistics.visit_counts
        if self.config.root_search == "gumbel":
            visits = policy_shares(statistics, self.config)
        elif self.config.forced_playouts > 0:
            visits = pruned_visits(statistics, self.config)
        return visits_not_refuted(visits, statistics.proven, np.array([0, len(visits)]))

    def _start_game(self, slot: int, simulations: int | None = None) -> None:
        seed, actor, launch = self._stream
        game_index = self._next_index[slot]
        self._next_index[slot] += self._actor_games
        rng = generator(seed, "self-play", "actor", actor, "launch", launch, "game", game_index)
        self._generators[slot] = rng
        self._builders[slot] = EpisodeBuilder(
            actor, game_index, surprise_share=self._selfplay.policy_surprise_share
        )
        self._may_resign[slot] = (
            self._selfplay.resign_value > 0 and rng.random() < self._selfplay.resign_share
        )
        if self._moves_skipped[slot] == 0:
            self._open(slot)
        self._begin_search(slot, simulations)

    def _open(self, slot: int) -> None:
        """Put the position at the slot's root that its game begins from."""
        rng, share = self._generators[slot], self._selfplay.archive_start_share
        moves: list[int] = []
        if share and len(self._archive) and rng.random() < share:
            moves = self._archive.draw(rng)
            self.search.set_position(slot, moves)
            if self.search.terminal_value(slot) is not None:  # the last of them made a draw
                moves = []
                self.search.reset(slot)
        elif self._selfplay.random_opening_moves:
            moves = play_random_opening(self.search, slot, self._selfplay.random_opening_moves, rng)
            if self._selfplay.opening_evenness:
                self._unjudged_openings.add(slot)
        self._builders[slot].opening = moves

    def _open_again(self, slot: int) -> None:
        """Replace the slot's opening, of which nothing but the root was searched yet, by another."""
        self._simulations_begun -= int(self.search.trees.remaining[slot])
        self._open(slot)
        self._begin_search(slot)

    def _search_again(self, slot: int) -> None:
        """Begin the search of the slot's position anew, with an empty tree."""
        if slot in self._staggered:  # nobody knows the moves to its position, and nothing is learned from it
            return
        self._simulations_begun -= int(self.search.trees.remaining[slot])
        self.search.set_position(slot, self._builders[slot].moves)
        self._begin_search(slot)

    def _take_uneven_openings(self, values: npt.NDArray[np.float32]) -> list[int]:
        """Return the slots that are to begin again, of those whose opening is among the rows of the last `collect`.

        values: float32 [rows], the network's answers for these rows.
        """
        roots = np.flatnonzero(self.search.leaf_nodes[: len(values)] == 0)
        uneven = []
        for row, slot in zip(roots.tolist(), self.search.leaf_trees[roots].tolist(), strict=True):
            if slot in self._unjudged_openings:
                self._unjudged_openings.discard(slot)
                chance = self._selfplay.opening_evenness * abs(float(values[row]))
                if self._weights_version > 0 and self._generators[slot].random() < chance:
                    uneven.append(slot)
        return uneven

    def _begin_search(self, slot: int, simulations: int | None = None) -> None:
        in_full = (
            self._selfplay.full_search_share == 1.0
            or self._generators[slot].random() < self._selfplay.full_search_share
        )
        self._searched_in_full[slot] = in_full
        if simulations is None:
            full, fast = self.config.simulations, self._selfplay.fast_simulations
            simulations = full if in_full else min(fast, full)
        if self.config.root_search == "gumbel":
            actions = len(self.search.legal_actions(slot))
            noise = self._generators[slot].gumbel(size=actions) if in_full else np.zeros(actions)
            self._halvings[slot] = halving = SequentialHalving(self.config, simulations, noise)
            self._begin_phase(slot, halving)
            return
        self._simulations_begun += simulations
        noisy = in_full and self.config.root_noise_fraction > 0
        self.search.begin(
            slot,
            simulations,
            root_noise=self._root_noise if noisy else None,
            forced_playouts=self.config.forced_playouts if in_full else 0.0,
            early_stop=self._selfplay.fast_early_stop and not in_full and not self._draws_move(slot),
        )

    def _begin_phase(self, slot: int, halving: SequentialHalving) -> None:
        self._simulations_begun += halving.simulations
        self.search.begin(slot, halving.simulations, root_quota=halving.next_quota)

    def _root_noise(self, tree: int, num_children: int) -> npt.NDArray[np.float64]:
        return self._generators[tree].dirichlet([self._alpha] * num_children)
