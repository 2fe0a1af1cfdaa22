"""Tables show what the files say: nothing is invented, nothing is lost."""

import io
from pathlib import Path

import pandas as pd

from alphazero.metrics.catalog import OF_SEARCHES
from alphazero.report.tables import (
    Table,
    match_table,
    metrics_table,
    over_the_run,
    solved_errors,
    solved_table,
)

TWO_SETS = pd.read_csv(
    io.StringIO("""agent,mode,simulations,set,error,error_low,error_high
random,random,,easy,0.5,0.5,0.5
random,random,,hard,0.7,0.7,0.7
untrained,search,800,easy,0.2,0.1,0.3
untrained,search,800,hard,0.4,0.3,0.5
step 90,policy,,easy,0.10,0.05,0.15
step 90,search,800,easy,0.02,0.00,0.05
step 90,search,800,hard,0.06,0.03,0.09
""")
)


def test_a_missing_mean_is_the_mean_over_the_sets() -> None:
    errors = solved_errors(TWO_SETS)
    assert list(errors.columns) == ["easy", "hard", "mean"]
    assert errors.loc["untrained, 800 simulations", "mean"] == (0.2 + 0.4) / 2
    assert errors.loc["random move", "mean"] == 0.6


def test_a_mean_over_fewer_sets_is_not_given() -> None:
    assert pd.isna(solved_errors(TWO_SETS).loc["step 90, policy head", "mean"])


def test_rows_keep_the_order_of_the_file_and_the_trained_agent_is_strong() -> None:
    table = solved_table(TWO_SETS, "two made-up sets")
    assert list(table.shown.index) == [
        "random move",
        "untrained, 800 simulations",
        "step 90, policy head",
        "step 90, 800 simulations",
    ]
    assert table.strong == ("step 90, policy head", "step 90, 800 simulations")
    assert "two made-up sets" in table.caption


def test_cells_are_percent_with_intervals_and_a_dash_where_not_measured() -> None:
    lines = solved_table(TWO_SETS).markdown().splitlines()
    assert lines[0] == "| agent | easy | hard | mean |"
    assert lines[2] == "| random move | 50.0 % | 70.0 % | 60.0 % |"  # exact: no interval
    assert lines[4] == "| step 90, policy head | 10.0 % (5.0 to 15.0) | - | - |"


def test_matches_show_open_intervals_in_words() -> None:
    matches = pd.read_csv(
        io.StringIO("""agent,opponent,games,wins,draws,losses,score,elo_difference,elo_low,elo_high
final,random,100,100,0,0,1.0,,500,
final,pure_mcts,100,60,20,20,0.7,147,90,210
final,hard,10,0,0,10,0.0,,,-200
""")
    )
    table = match_table(matches)
    assert table.shown["Elo difference"].tolist() == ["above +500", "+147", "below -200"]
    assert table.intervals is not None
    assert table.intervals["Elo difference"].tolist() == ["", "+90 to +210", ""]
    assert table.shown["score"].tolist() == ["100.0 %", "70.0 %", "0.0 %"]


def test_throughput_over_a_run_leaves_out_the_time_without_a_network_but_not_pauses() -> None:
    metrics = pd.DataFrame(
        {
            "games_per_hour": [9_000.0, 4_000.0, 0.0, 100.0, 200.0, None],
            "positions_per_second": [900.0, 400.0, 0.0, 10.0, 20.0, None],
            "simulations_per_second": [90_000.0, 40_000.0, 0.0, 1_000.0, 2_000.0, None],
            "evaluations_per_second": [0.0, 300.0, 0.0, 500.0, 700.0, None],  # the second: at its end
        }
    )
    assert over_the_run("games_per_hour", metrics) == 100.0
    assert over_the_run("simulations_per_second", metrics) == 1_000.0
    assert over_the_run("fill_rate", metrics) is None
    assert over_the_run("games_per_hour", metrics[:3]) == 2_000.0  # no other row had a network
    assert over_the_run("games_per_hour", metrics[:1]) is None
    assert over_the_run("games_per_hour", metrics[2:]) == 100.0  # all had one


def test_the_throughput_of_a_run_says_what_it_leaves_out() -> None:
    rows = {name: [1.0, 2.0] for name in OF_SEARCHES}
    table = metrics_table(pd.DataFrame(rows | {"games": [1.0, 2.0]}))
    said = table.shown["definition"].str.contains("Over a run: of the time with a network.")
    assert set(table.shown.index[said]) == set(OF_SEARCHES)


def test_only_measured_metrics_are_listed() -> None:
    metrics = pd.DataFrame({"run_time_s": [10.0, 20.0], "games": [1.0, 5.0], "gpu_utilization": [None, None]})
    table = metrics_table(metrics)
    assert list(table.shown.index) == ["run_time_s", "games"]
    assert table.numbers["value"].tolist() == [20.0, 5.0]


def test_texts_are_escaped() -> None:
    cells = pd.DataFrame([["<b>", "a|b"]], index=pd.Index(["<i>"], name="&"), columns=["x<y", "z"])
    table = Table("name", "1 < 2", cells, cells)
    assert "<b>" not in table.html() and "&lt;b&gt;" in table.html() and "1 &lt; 2" in table.html()
    assert "a\\|b" in table.markdown()


def test_csv_holds_numbers_and_markdown_the_caption(tmp_path: Path) -> None:
    solved_table(TWO_SETS).write(tmp_path)
    written = pd.read_csv(tmp_path / "solved_positions.csv", index_col=0)
    assert written.loc["step 90, 800 simulations", "hard"] == 0.06
    assert (tmp_path / "solved_positions.md").read_text(encoding="utf-8").startswith("Share of solved")
