"""Pictures are equal for equal data, and absent where there is nothing to show."""

from xml.etree import ElementTree

import pandas as pd
import pytest

from alphazero.report import plots
from alphazero.report.benchmark_data import EngineSpeed
from alphazero.report.benchmark_plots import plot_ladder, plot_roofline
from alphazero.report.run_folder import RunData, read_run_folder

from .made_up_run import write_made_up_run


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> RunData:
    return read_run_folder(write_made_up_run(tmp_path_factory.mktemp("runs") / "run", rows=5))


def test_equal_data_gives_equal_svg_and_themes_differ(run: RunData) -> None:
    first, second, dark = (
        plots.render(plots.plot_ratings, run.ratings, theme=theme)
        for theme in (plots.LIGHT, plots.LIGHT, plots.DARK)
    )
    assert first is not None
    assert first == second != dark
    assert ElementTree.fromstring(first).tag.endswith("svg")


def test_metrics_that_were_not_measured_have_no_picture() -> None:
    metrics = pd.DataFrame({"run_time_s": [10.0], "fill_rate": [float("nan")]})
    for plot in (plots.plot_losses, plots.plot_throughput, plots.plot_use, plots.plot_time_split):
        assert plots.render(plot, metrics, theme=plots.LIGHT) is None


def test_curves_without_numbers_have_no_picture() -> None:
    nan = float("nan")
    curve = pd.DataFrame(
        {"step": [1.0], "training_positions": [nan], "policy_error": [nan], "search_error": [nan]}
    )
    assert plots.render(plots.plot_mean_error, curve, None, theme=plots.LIGHT) is None
    sets = pd.DataFrame({"step": [1.0], "mode": ["policy"], "set": ["easy"], "error": [nan]})
    assert plots.render(plots.plot_set_errors, sets, None, theme=plots.LIGHT) is None


def test_a_perfect_agent_and_a_single_point_can_be_drawn() -> None:
    nan = float("nan")
    curve = pd.DataFrame(
        {"step": [1.0], "training_positions": [nan], "policy_error": [0.0], "search_error": [0.0]}
    )
    assert plots.render(plots.plot_mean_error, curve, None, theme=plots.LIGHT) is not None
    metrics = pd.DataFrame({"run_time_s": [10.0], "games_per_hour": [0.0], "loss": [0.0]})
    assert plots.render(plots.plot_throughput, metrics, theme=plots.LIGHT) is not None


def test_the_global_settings_of_matplotlib_stay_as_they_were(run: RunData) -> None:
    import matplotlib

    before = dict(matplotlib.rcParams)
    plots.render(plots.plot_time_split, run.metrics, theme=plots.DARK)
    assert dict(matplotlib.rcParams) == before


def test_one_game_without_sets_of_random_moves_is_drawn(run: RunData) -> None:
    assert run.set_curves is not None
    one = run.set_curves[run.set_curves["set"] == "end-easy"]
    assert plots.render(plots.plot_set_errors, one, None, theme=plots.LIGHT) is not None


def test_parts_of_a_time_split_are_told_apart_by_their_colours() -> None:
    colors = plots.share_colors(plots.ACTOR_TIMES, plots.LIGHT)
    assert len(set(colors.values())) == len(plots.ACTOR_TIMES)
    assert (colors["time_waiting"], colors["time_paused"]) == (plots.LIGHT.idle, plots.LIGHT.muted)
    assert plots.LIGHT.idle != plots.LIGHT.grid  # else it is taken for the background


def test_lines_of_the_roofline_are_told_apart_also_where_there_are_more_than_colours() -> None:
    engines = {f"engine {place}": EngineSpeed({1: 10.0, 2: 20.0 + place}) for place in range(10)}
    engines["engine 9"].in_selfplay.append((2.0, 15.0))
    figure = plot_roofline(engines, plots.LIGHT)
    assert figure is not None
    lines = [line for line in figure.axes[0].lines if line.get_label() in engines]
    assert len({(line.get_color(), line.get_linestyle()) for line in lines}) == len(engines)
    assert lines[0].get_label() == "engine 9"  # the one that self-play used has a colour of its own


def test_bars_of_the_ladder_begin_at_the_baseline_and_expectations_are_those_of_self_play() -> None:
    """Nothing else is a beginning on a logarithmic axis: a bar to 1 has no length, one below it goes the other way."""
    rows = pd.DataFrame(
        {
            "title": ["same", "faster", "slower"],
            "speed_up": [1.0, 4.0, 0.5],
            "speed_up_low": [0.9, 3.0, 0.4],
            "speed_up_high": [1.1, 5.0, 0.6],
            "expected_low": [2.0, 1.2, 3.0],
            "expected_high": [3.0, 1.2, 3.0],
            "judged_by": ["simulations_per_second", "training_steps_per_second", "simulations_per_second"],
        }
    )
    figure = plot_ladder(rows, plots.LIGHT)
    assert figure is not None
    axes = figure.axes[0]
    ends = [sorted((bar.get_x(), bar.get_x() + bar.get_width())) for bar in axes.patches]
    assert ends == [[1.0, 1.0], [1.0, 4.0], [0.5, 1.0]]
    expected = next(lines for lines in axes.collections if lines.get_label() == "expected, up to here")
    assert [path.vertices[:, 0].tolist() for path in expected.get_paths()] == [[2.0, 3.0], [6.0, 9.0]]
