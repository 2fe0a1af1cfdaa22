"""What is proven decides which visits teach the policy."""

import numpy as np
import pytest

from alphazero.config import SearchConfig, SelfPlayConfig
from alphazero.games.registry import get_game
from alphazero.selfplay.game_group import GameGroup
from alphazero.selfplay.policy_targets import visits_not_refuted
from alphazero.selfplay.side_positions import nodes_left_behind
from tests.selfplay.test_game_group import play


@pytest.mark.parametrize(
    ("proven", "kept"),
    [
        ([0, 0, 0], [5, 0, 7]),
        ([-1, 0, 0], [0, 0, 7]),
        ([-1, 0, -1], [0, 0, 0]),  # what is left was not visited
        ([1, 0, 0], [5, 0, 0]),
        ([1, 0, 1], [5, 0, 7]),
        ([1, -1, -1], [5, 0, 0]),
        ([-1, -1, -1], [0, 0, 0]),
    ],
)
def test_visits_that_are_kept(proven: list[int], kept: list[int]) -> None:
    # beside a position of two moves where nothing is proven, and one where one move wins
    found = visits_not_refuted(
        np.array([3, 4, 5, 0, 7, 8, 1], np.int32),
        np.array([0, 0, *proven, 0, 1], np.int8),
        np.array([0, 2, 5, 7], np.int32),
    )
    assert found.dtype == np.int32
    assert found.tolist() == [3, 4, *kept, 0, 1]


def test_moves_of_games_and_side_positions_teach_no_refuted_move(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last move of a game that was won by force: its position teaches nothing but winning moves."""
    game = get_game("connect_four")
    found = []

    def noted(*arguments: object) -> object:
        found.append(nodes_left_behind(*arguments))  # type: ignore[arg-type]
        return found[-1]

    monkeypatch.setattr("alphazero.selfplay.game_group.nodes_left_behind", noted)
    selfplay = SelfPlayConfig(side_position_visits=10)
    group = GameGroup(game, SearchConfig(simulations=100, solver=True), 4, seed=1, selfplay=selfplay)
    forced, lost, refuted = 0, 0, 0
    for episode in play(group, 8):
        for move, value in enumerate(episode.root_values):
            visits = episode.policy_visits[slice(*episode.policy_offsets[move : move + 2])]
            actions = episode.policy_actions[slice(*episode.policy_offsets[move : move + 2])]
            if value == 1.0:
                assert visits[actions == episode.actions[move]] > 0
                forced += 1
            elif value == -1.0:
                assert not visits.any()
                lost += 1
        side = episode.side_positions
        assert side is not None
        won = side.values == 1.0
        totals = np.add.reduceat(side.policy_visits, side.policy_offsets[:-1])
        assert (totals[won] > 0).all() and not totals[side.values == -1.0].any()
    for nodes in found:
        kept = visits_not_refuted(nodes.edge_visit_counts, nodes.edge_proven, nodes.edge_offsets)
        assert not kept[nodes.edge_proven < 0].any()
        refuted += int((nodes.edge_visit_counts[nodes.edge_proven < 0] > 0).sum())
    assert forced > 5 and lost > 5 and refuted > 20
