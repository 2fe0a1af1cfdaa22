"""Every setting of a run, as frozen dataclasses: one field, one meaning, one unit, one source.

One merge order, later wins:

    defaults (this file) < game < hardware profile (profiles/*.toml) < experiment (TOML) < command line

A TOML file has one table for each dataclass below, under its field name in `Config`
(`[inference] batch_size = 512`). On the command line a field is `--set inference.batch_size=512`.
Paper values in the comments are AlphaZero's for chess (Silver et al. 2018).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

SIMULATED_PREFIX = "simulated:"  # of the names of engines that only take a device's time


@dataclass(frozen=True)
class NetworkConfig:
    """Residual network with a policy and a value head (AlphaZero: 19 blocks of 256 filters)."""

    blocks: int = 3  # residual blocks
    filters: int = 32  # channels of every convolution in the tower
    policy_filters: int = 8  # channels of the 1x1 convolution in the policy head
    value_filters: int = 8  # channels of the 1x1 convolution in the value head
    value_hidden: int = 64  # units of the value head's hidden layer (paper: 256)
    # Each convolution of the tower also learns a bias for each filter and cell, so that the network knows where on the
    # board it is: edges, odd and even rows (paper: none)
    position_bias: bool = False
    # The network is also told what each player has in the lines that are still open; for games that are won by
    # completing a line (network/line_planes.py; paper: none)
    line_planes: bool = False
    # In training the value head also says whose stone each cell will hold when the game has ended, which teaches it
    # more than who wins does; for games that are won by completing a line (Wu 2019; paper: none)
    ownership_head: bool = False

    def in_words(self) -> str:
        """Return size and additions to the paper's network as it plays: "1 block of 32 filters with line planes"."""
        blocks = f"{self.blocks} block" if self.blocks == 1 else f"{self.blocks} blocks"
        additions = {"position biases": self.position_bias, "line planes": self.line_planes}
        present = " and ".join(name for name, is_on in additions.items() if is_on)
        return f"{blocks} of {self.filters} filters" + (f" with {present}" if present else "")

    def grown_to(self, size: NetworkConfig) -> NetworkConfig:
        """Return the larger of both in each setting: what a network of this size can grow into."""
        return NetworkConfig(**{name: max(value, vars(self)[name]) for name, value in vars(size).items()})


def network_in_words(settings: Mapping[str, Any]) -> str:
    """Return `NetworkConfig.in_words` of the settings in a file, which may be older than one of them."""
    known = {name: settings[name] for name in vars(NetworkConfig()) if name in settings}
    return NetworkConfig(**known).in_words()


@dataclass(frozen=True)
class SearchConfig:
    """PUCT search, the same for self-play and evaluation."""

    simulations: int = 800  # simulations a move, on top of any reused subtree (paper: 800)
    mcts_backend: str = "auto"  # auto | cython | cpp | python
    native_rules: bool = True  # compiled rules where the game has them; False: the Python twin
    c_puct_init: float = 2.5  # paper: 1.25 on values from 0 to 1; ours go from -1 to 1
    c_puct_base: float = 19652.0  # paper: 19652
    first_play_urgency: str = "constant"  # Q of an unvisited edge: constant | parent
    first_play_value: float = 0.0  # constant: the Q itself; parent: subtracted from the node's Q
    leaves_per_tree: int = 1  # leaves in flight a tree in `BatchedSearch.search`; self-play always has one
    virtual_loss: int = 1  # lost visits that each leaf in flight counts for; no effect with one leaf a tree
    solver: bool = False  # hand certain wins and losses up the tree (MCTS-solver, Winands et al. 2008)
    tree_reuse: bool = True  # keep the subtree of the played move (AlphaGo Zero)
    root_noise_fraction: float = 0.25  # share of Dirichlet noise in the root's priors, self-play only
    root_noise_alpha: float = 0.0  # Dirichlet alpha; 0: the game's own
    # Forced playouts (Wu, 'Accelerating Self-Play Learning in Go', 2019): in full searches of self-play each child of
    # the root that was visited gets at least sqrt(forced_playouts * prior * visits); policy targets are pruned of what
    # that added. KataGo: 2; 0: none (paper)
    forced_playouts: float = 0.0
    # gumbel: self-play draws a few of the root's actions with Gumbel noise (no root noise then) and halves their number
    # by sequential halving (Danihelka et al., 'Policy improvement by planning with Gumbel', ICLR 2022); policy targets
    # are softmax(logits + scaled values). For few simulations a move. Below the root, and in evaluation, PUCT
    root_search: str = "puct"  # puct (AlphaZero) | gumbel
    gumbel_considered: int = 16  # gumbel: actions considered at most (paper: 16)
    gumbel_c_visit: float = (
        50.0  # gumbel: values count (c_visit + most visits of an action) * c_scale (paper: 50) ...
    )
    gumbel_c_scale: float = 1.0  # ... put on a scale from 0 to 1 (paper, Go and chess: 1)
    temperature: float = 1.0  # moves are sampled from visit counts ** (1 / temperature) ...
    temperature_moves: int = -1  # ... for the first so many moves of a game, then the best; -1: the game's


@dataclass(frozen=True)
class InferenceConfig:
    """Who evaluates leaves, and how they are gathered into batches."""

    placement: str = "server"  # server: one process owns the device | local: inside each actor
    transport: str = "shared_memory"  # shared_memory | queue (the baseline's)
    device: str = "auto"  # auto | cpu | cuda | cuda:N
    # auto (measured at start) | eager | frozen (folded batch norm, CPU) | winograd (a position at a time, x86 CPU)
    # | openvino (CPU, if installed) | graphs (CUDA graphs) | compiled (torch.compile, slow to start) | simulated:a100,
    # :t4, :laptop or :FILE.toml (takes such a device's time, to measure what feeds it)
    engine: str = "auto"
    batch_size: int = 256  # rows at most in one forward pass
    batch_timeout_ms: float = 15.0  # longest wait for a batch to fill; below min_fill, twice that
    collection: str = "adaptive"  # drain (stop when the queue is empty) | plan (minimum fill) | adaptive
    min_fill: float = 0.25  # plan, adaptive: share of batch_size to wait for, up to twice the timeout
    use_amp: bool = True  # half precision on CUDA, and on CPUs with bfloat16 instructions
    pinned_memory: bool = True  # page-locked staging buffers on CUDA; no effect on CPU
    threads: int = 1  # CPU threads of an inference engine that runs on the CPU
    cache_positions: int = 0  # answers that an actor remembers until new weights come; 0: none

    @property
    def simulated(self) -> bool:
        """Whether nothing is evaluated, so that nothing measured is a measurement of this machine."""
        return self.engine.startswith(SIMULATED_PREFIX)


@dataclass(frozen=True)
class SelfPlayConfig:
    """Actor processes and the games they play."""

    actors: int = 4  # actor processes
    games_per_actor: int = 64  # games an actor plays at once, one leaf in flight each
    groups: int = 2  # groups an actor's games take turns in, so that selection overlaps evaluation
    # Playout cap randomization (Wu, 'Accelerating Self-Play Learning in Go', 2019): so large a share of the moves gets
    # a full search; the others get a fast one without noise, and teach the network their value alone. 1: all (paper)
    full_search_share: float = 1.0
    fast_simulations: int = 100  # simulations of a fast search, or as many as a full one has if that is less
    # A fast search, once no move is drawn at random any more, ends as soon as what remains of it cannot change the most
    # visited move (Baier, Winands, 'Time management for Monte-Carlo tree search in Go', 2012). No part in Gumbel search
    fast_early_stop: bool = False
    # Positions that a search visited at least so often, and that are left behind when another move is played, are
    # learned from as well, after TreeStrap (Veness et al., 'Bootstrapping from game tree search', 2009). 0: none
    side_position_visits: int = 0
    # Policy surprise weighting (Wu, KataGo's docs/KataGoMethods.md): so large a share of a game's weight in the replay
    # buffer goes to its positions in proportion to how far the policy target is from the network's prior; they are
    # written there more or less often than once. KataGo: 0.5; 0: each once (paper)
    policy_surprise_share: float = 0.0
    random_opening_moves: int = 0  # games begin with 0 to so many random moves, not learned from (paper: 0)
    # Random openings are drawn again with a probability of opening_evenness * |the network's value of where they lead|,
    # so that games begin with something to decide. 0: never
    opening_evenness: float = 0.0
    # So large a share of the games begins from what searches came upon beside other games, after Go-Exploit (Trudeau,
    # Bowling, 'Targeted search control in AlphaZero for effective policy improvement', 2023). 0: none (paper)
    archive_start_share: float = 0.0
    # Resignation (Silver et al., 'Mastering the game of Go without human knowledge', 2017): a game ends when its search
    # finds a value beyond so much for either side, as won for that side. 0: all games are played to their end
    resign_value: float = 0.0
    resign_share: float = 0.9  # share of the games that may end so; the others show how often it is wrong
    max_restarts: int = 3  # times one actor may die and be started again in a run


@dataclass(frozen=True)
class TrainingConfig:
    """The learner, the replay buffer, and how far to go."""

    batch_size: int = 1024  # positions a step (paper: 4096)
    learning_rate: float = 2e-3  # peak of the schedule
    warmup_steps: int = 50  # steps over which the learning rate rises to its peak
    final_learning_rate_fraction: float = 0.05  # cosine decay ends at this share of the peak
    optimizer: str = "adamw"  # adamw | sgd (momentum 0.9, as in the paper)
    weight_decay: float = 1e-4  # paper: 1e-4
    gradient_clip: float = 1.0  # largest global L2 norm of the gradient
    value_loss_weight: float = 1.0  # paper: 1
    ownership_loss_weight: float = 1.0  # of networks with an ownership_head
    # A step, of the averaged weights that play, reached by and by (docs/decisions/0039); 0: the newest (paper)
    weight_average_decay: float = 0.0
    # Share of the search's root value in the value target (paper: 0); without a trained network, of proven ones alone
    root_value_share: float = 0.0
    # The rest of the value target is TD(lambda)'s return (Sutton 1988), begun one step earlier: the root values of this
    # and the moves that follow, each with lambda times the weight of the one before, and what is left for the outcome.
    # 1: the outcome (paper)
    td_lambda: float = 1.0
    # Positions that no move was played from (side positions), or that were searched without a trained network, are
    # drawn so often for each draw of another one. What they say of the value is a search's word alone. 1: all alike
    side_position_weight: float = 1.0
    # Positions of the second half of the game's greatest length are drawn so often for each draw of an earlier one: a
    # search comes to the end of the game by itself there. 1: all alike (paper)
    late_position_weight: float = 1.0
    symmetries: bool = True  # train on a random symmetry of each position
    use_amp: bool = True  # half precision on CUDA, and on CPUs with bfloat16 instructions
    pinned_memory: bool = True  # page-locked batches on CUDA, copied while the step before computes
    threads: int = 1  # CPU threads of the learner: each computes a piece of the batch, of at least 64 rows
    replay_capacity: int = 500_000  # positions kept (paper: 1 million games)
    replay_window: int = 0  # of these, so many of the newest are trained on while self-play goes on; 0: all
    replay_ratio: float = 4.0  # positions trained / positions generated, held by counting
    min_positions: int = 5_000  # positions generated before the first step
    # So many positions at the start are searched with equal priors and values of 0: an untrained network says
    # no more than that, but takes thirty times as long. No more than there are after a fifth of max_minutes. 0: ask
    # it nevertheless (paper)
    untrained_positions: int = 0
    untrained_replay_ratio: float = 4.0  # replay ratio of these, all of it before the first weights play
    positions: int = 200_000  # the run ends when self-play has generated so many positions ...
    max_minutes: float = 0.0  # ... or after so many minutes, whichever comes first; 0: no limit
    max_steps: int = 0  # ... or after so many training steps; 0: no limit
    # After so large a share of self-play the network that plays grows to the size of `grown_network`, and goes on: a
    # small one learns fast, and is soon as good as it can be. 0: never (paper)
    grow_after: float = 0.0
    # So many minutes after self-play has ended, a larger network, `final_network`, grows out of the agent, learns on
    # from the replay buffer, and is the run's agent then. 0: none, the agent is the network that played (paper)
    final_minutes: float = 0.0
    publish_every_steps: int = 10  # steps between new weights for the actors
    checkpoint_every_minutes: float = 2.0  # minutes between checkpoints
    keep_checkpoints: int = 2  # full checkpoints kept; weights for the learning curve are kept besides


@dataclass(frozen=True)
class EvaluationConfig:
    """How an agent is scored."""

    simulations: int = 800  # simulations a move, without root noise, at temperature 0
    positions_per_set: int = 1000  # positions of each solved set (at most 1000)
    match_games: int = 200  # games against each opponent
    pure_mcts_simulations: int = 800  # simulations of the pure MCTS opponent
    opening_moves: int = 2  # random moves that vary the openings of a match
    curve_points: int = 6  # checkpoints along the run that the learning curves show
    curve_positions_per_set: int = 100  # positions of each set at those points


@dataclass(frozen=True)
class RunConfig:
    """What is run, and where it writes."""

    game: str = "connect_four"  # a registered game, or "package.module:Class"
    seed: int = 0  # every generator of the run is derived from it
    single_process: bool = False  # all in one process, in turns: slower, repeats bit for bit on a CPU
    log_every_seconds: float = 10.0  # between two progress lines and two rows of metrics.csv


@dataclass(frozen=True)
class Config:
    """A resolved configuration; `hardware_profile` names the profile it came from."""

    hardware_profile: str = "none"
    network: NetworkConfig = field(default_factory=NetworkConfig)
    grown_network: NetworkConfig = field(  # no smaller than network; no effect without training.grow_after
        default_factory=lambda: NetworkConfig(blocks=2, filters=32)
    )
    final_network: NetworkConfig = field(  # no smaller than network; no effect without training.final_minutes
        default_factory=lambda: NetworkConfig(blocks=4, filters=48, position_bias=True)
    )
    search: SearchConfig = field(default_factory=SearchConfig)
    inference: InferenceConfig = field(default_factory=InferenceConfig)
    selfplay: SelfPlayConfig = field(default_factory=SelfPlayConfig)
    training: TrainingConfig = field(default_factory=TrainingConfig)
    evaluation: EvaluationConfig = field(default_factory=EvaluationConfig)
    run: RunConfig = field(default_factory=RunConfig)

    @property
    def ownership_is_taught(self) -> bool:
        """Whether a network of the run has an ownership head, so that the replay buffer keeps its targets."""
        return self.last_playing_network.ownership_head or self.final_network.ownership_head

    @property
    def last_playing_network(self) -> NetworkConfig:
        """The network that plays when self-play ends: no smaller than the one that begins."""
        return self.network.grown_to(self.grown_network) if self.training.grow_after else self.network
