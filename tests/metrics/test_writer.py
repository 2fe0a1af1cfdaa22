"""metrics.csv survives kills and resumes; what was not measured stays empty."""

import csv
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from alphazero.errors import UserError
from alphazero.metrics.catalog import ROW_METRICS, UnknownMetricError
from alphazero.metrics.writer import MetricsWriter


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def read_rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_columns_are_the_catalog_and_cells_not_measured_are_empty(tmp_path: Path) -> None:
    clock = Clock()
    with MetricsWriter(tmp_path, clock=clock) as writer:
        clock.now = 2.5
        writer.write({"games": 3, "fill_rate": 0.1, "gpu_utilization": None})
    (row,) = read_rows(tmp_path)
    assert tuple(row) == ROW_METRICS
    measured = {name: cell for name, cell in row.items() if cell}
    assert measured == {"run_time_s": "2.5", "games": "3", "fill_rate": "0.1"}


def test_an_unknown_name_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        with pytest.raises(UnknownMetricError, match="games_per_hour"):
            writer.write({"games_an_hour": 1.0})
        with pytest.raises(ValueError, match="run_time_s"):
            writer.write({"run_time_s": 1.0})
        with pytest.raises(ValueError, match="search_error"):
            writer.write({"search_error": 0.1})
    assert read_rows(tmp_path) == []


@pytest.mark.parametrize("torn", [b"17,4", b"17", b"9.0,9\n", b"\0\0\0\0\n"])
def test_a_row_torn_by_a_kill_is_dropped_and_time_goes_on(tmp_path: Path, torn: bytes) -> None:
    clock = Clock()
    with MetricsWriter(tmp_path, clock=clock) as writer:
        for games in (1, 2):
            clock.now += 10.0
            writer.write({"games": games})
    with (tmp_path / "metrics.csv").open("ab") as file:
        file.write(torn)
    clock.now = 5000.0  # another process: its clock has nothing to do with the first one's
    with MetricsWriter(tmp_path, resume=True, clock=clock) as writer:
        assert writer.run_time_s == 20.0
        clock.now = 5003.0
        writer.write({"games": 1})  # the counter steps back to the checkpoint, the time does not
    rows = read_rows(tmp_path)
    assert [row["games"] for row in rows] == ["1", "2", "1"]
    assert [float(row["run_time_s"]) for row in rows] == [10.0, 20.0, 23.0]


def test_resuming_with_a_torn_header_starts_afresh(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(b"run_time_s,gam")
    with MetricsWriter(tmp_path, resume=True) as writer:
        writer.write({"games": 1})
    assert len(read_rows(tmp_path)) == 1


def test_a_file_of_another_catalog_keeps_its_values_by_name(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_bytes(b"games,no_longer_known,run_time_s\n7,0.5,30.0\n")
    with MetricsWriter(tmp_path, resume=True) as writer:
        writer.write({"games": 8})
    old, new = read_rows(tmp_path)
    assert (old["games"], old["no_longer_known"], old["run_time_s"]) == ("7", "0.5", "30.0")
    assert (new["games"], new["no_longer_known"]) == ("8", "")
    assert float(new["run_time_s"]) >= 30.0


@pytest.mark.parametrize(
    "name", ["share_of_ceiling", "evaluations_per_core_second", "weights_staleness_positions"]
)
def test_a_file_with_columns_that_no_run_measures_goes_on_and_is_read(tmp_path: Path, name: str) -> None:
    assert name not in ROW_METRICS
    (tmp_path / "metrics.csv").write_bytes(f"run_time_s,games,{name}\n30.0,7,\n".encode())
    with MetricsWriter(tmp_path, resume=True) as writer:
        writer.write({"games": 8})
    assert [(row["games"], row[name]) for row in read_rows(tmp_path)] == [("7", ""), ("8", "")]


def test_a_folder_of_an_earlier_run_is_refused_unless_resumed(tmp_path: Path) -> None:
    MetricsWriter(tmp_path).close()
    with pytest.raises(UserError, match="earlier run"):
        MetricsWriter(tmp_path)


def test_a_folder_that_cannot_be_made_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match="cannot write metrics to"):
        MetricsWriter(tmp_path / "file" / "run")


def test_tensorboard_shows_every_measured_value_at_its_positions(tmp_path: Path) -> None:
    with MetricsWriter(tmp_path) as writer:
        writer.write({"positions": 100, "loss": 2.5, "gpu_utilization": None})
        writer.write({"positions": 300, "loss": 1.5})
    with MetricsWriter(tmp_path, resume=True) as writer:
        writer.write({"positions": 200, "loss": 2.0})  # resumed from the checkpoint at 200
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(100, 2.5), (200, 2.0)]
    assert "gpu_utilization" not in events.Tags()["scalars"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux's /dev/full")
def test_a_full_disk_is_one_error_and_closing_adds_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No space left") as raised, MetricsWriter(tmp_path) as writer:
        writer._file.close()
        writer._file = Path("/dev/full").open("ab")  # noqa: SIM115 (the writer closes it)
        writer.write({"games": 5})
    assert raised.value.__context__ is None
