"""A run folder with invented numbers, for tests of the report only. None of them was measured."""

from __future__ import annotations

import json
import math
from pathlib import Path

SETS = ("beginning-easy", "beginning-medium", "beginning-hard", "middle-easy", "middle-medium", "end-easy")
RANDOM_ERROR = (0.30, 0.52, 0.46, 0.50, 0.55, 0.42)
TRAINED_SEARCH = (0.01, 0.05, 0.12, 0.02, 0.06, 0.0)
TRAINED_POLICY = (0.05, 0.15, 0.22, 0.11, 0.18, 0.07)
UNTRAINED_SEARCH = (0.20, 0.40, 0.39, 0.25, 0.33, 0.05)
TRAINED = "final (step 780)"
UNTRAINED_POLICY = (0.31, 0.53, 0.45, 0.51, 0.53, 0.44)

CONFIG = """hardware_profile = "cpu"

[network]
blocks = 3
filters = 32

[search]
simulations = 800
mcts_backend = "cython"

[run]
game = "connect_four"
seed = 7
"""


def write_made_up_run(folder: Path, rows: int = 60) -> Path:
    """Write every input of a report into `folder`, `rows` of them in metrics.csv; return `folder`."""
    (folder / "evaluation").mkdir(parents=True)
    (folder / "config.toml").write_text(CONFIG, encoding="utf-8")
    hardware = {
        "machine": "made-up-cpu-2c",
        "gpus": [],
        "driver_version": None,
        "cpu": {"model": "Made-up CPU <with angle brackets>", "usable_cores": 2},
        "memory": {"usable_mib": 8192},
    }
    (folder / "hardware.json").write_text(json.dumps(hardware), encoding="utf-8")
    provenance = {
        "version": "0.1.0",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "dirty": True,
        "source_hash": "f" * 64,
        "python": "CPython 3.11.7",
        "libraries": {"torch": "2.7.0", "numpy": "2.0.0", "snakemake": None},
        "platform": "Linux",
        "command": ["alphazero", "train", "--profile", "cpu"],
        "time_utc": "2001-01-01T00:00:00+00:00",
    }
    (folder / "provenance.json").write_text(json.dumps(provenance), encoding="utf-8")
    (folder / "train.log").write_text("step 1\nwarning: <b>made up</b>\n", encoding="utf-8")
    _write(folder / "metrics.csv", _metrics(rows))
    evaluation = folder / "evaluation"
    note = {"solved_positions_note": "6,000 made-up positions"}
    (evaluation / "evaluation.json").write_text(json.dumps(note), encoding="utf-8")
    _write(evaluation / "solved_positions.csv", _solved())
    _write(evaluation / "matches.csv", _matches())
    _write(evaluation / "ratings.csv", _ratings())
    _write(evaluation / "learning_curve.csv", _learning_curve())
    _write(evaluation / "learning_curve_sets.csv", _learning_curve_sets())
    return folder


def _metrics(rows: int) -> list[dict[str, object]]:
    table: list[dict[str, object]] = []
    for row in range(1, rows + 1):
        wave = math.sin(row * 1.7)
        table.append(
            {
                "run_time_s": 10.0 * row,
                "games": 160 * row,
                "positions": 3400 * row,
                "training_steps": 13 * row,
                "games_per_hour": 57_600 + 900 * wave,
                "simulations_per_second": 272_000 + 9_000 * wave,
                "evaluations_per_second": 49_000 + 1_500 * wave,
                "training_steps_per_second": 1.3 + 0.05 * wave,
                "fill_rate": 0.94 + 0.02 * wave,
                "inference_latency_ms": 8.1 + 0.4 * wave,
                "gpu_utilization": "",
                "policy_loss": 1.1 + 0.8 * math.exp(-row / 15) + 0.01 * wave,
                "value_loss": 0.45 + 0.5 * math.exp(-row / 12) + 0.01 * wave,
                "policy_entropy": 0.9 + 0.9 * math.exp(-row / 20) + 0.01 * wave,
                "replay_ratio": 3.9,
                "time_tree": 0.14,
                "time_rules": 0.03,
                "time_encoding": 0.01,
                "time_waiting": 0.58,
                "time_paused": 0.20,
                "time_other": 0.04,
                "time_network": 0.91,
                "time_copies": 0.03,
                "time_collecting": 0.06,
            }
        )
    return table


def _solved() -> list[dict[str, object]]:
    agents = (
        ("random", "", "random", RANDOM_ERROR, ""),
        ("untrained", 0, "policy", UNTRAINED_POLICY, ""),
        ("untrained", 0, "search", UNTRAINED_SEARCH, 800),
        (TRAINED, 780, "policy", TRAINED_POLICY, ""),
        (TRAINED, 780, "search", TRAINED_SEARCH, 800),
    )
    table: list[dict[str, object]] = []
    for agent, step, mode, errors, simulations in agents:
        for name, error in [*zip(SETS, errors, strict=True), ("mean", sum(errors) / 6)]:
            spread = 0.0 if agent == "random" else (0.02 if name != "mean" else 0.008)
            table.append(
                {
                    "agent": agent,
                    "step": step,
                    "mode": mode,
                    "simulations": simulations,
                    "set": name,
                    "positions": 6000 if name == "mean" else 1000,
                    "error": round(error, 4),
                    "error_low": round(max(error - spread, 0.0), 4),
                    "error_high": round(error + spread, 4),
                }
            )
    return table


def _matches() -> list[dict[str, object]]:
    columns = ("agent", "opponent", "games_played", "games", "wins", "draws", "losses", "score")
    columns += ("elo_difference", "elo_low", "elo_high")
    lines = (
        (TRAINED, "random", 200, 200, 199, 0, 1, 0.9975, 920, 690, ""),
        (TRAINED, "pure_mcts", 200, 196, 150, 12, 34, 0.796, 236, 181, 297),
        (TRAINED, "untrained", 200, 190, 190, 0, 0, 1.0, "", 640, ""),
    )
    return [dict(zip(columns, line, strict=True)) for line in lines]


def _ratings() -> list[dict[str, object]]:
    lines = (
        (TRAINED, 803, 640, "", 586),
        ("pure_mcts", 567, 400, 790, 196),
        ("step 390", 420, 320, 540, 200),
        ("untrained", 0, 0, 0, 190),
        ("random", -117, -330, 60, 200),
    )
    return [dict(zip(("agent", "elo", "elo_low", "elo_high", "games"), line, strict=True)) for line in lines]


def _errors_along() -> list[tuple[int, str, list[float]]]:
    """Return (step, mode, error by set) of seven points along the run."""
    modes = (("policy", UNTRAINED_POLICY, TRAINED_POLICY), ("search", UNTRAINED_SEARCH, TRAINED_SEARCH))
    return [
        (130 * point, mode, [b + (a - b) * math.exp(-point / 1.6) for a, b in zip(first, last, strict=True)])
        for point in range(7)
        for mode, first, last in modes
    ]


def _learning_curve() -> list[dict[str, object]]:
    table: dict[int, dict[str, object]] = {}
    for step, mode, errors in _errors_along():
        mean = sum(errors) / len(errors)
        row = table.setdefault(step, {"step": step, "agent": f"step {step}", "positions": 600})
        row[f"{mode}_error"] = round(mean, 4)
        row[f"{mode}_error_low"] = round(max(mean - 0.02, 0), 4)
        row[f"{mode}_error_high"] = round(mean + 0.02, 4)
    return list(table.values())


def _learning_curve_sets() -> list[dict[str, object]]:
    return [
        {"agent": f"step {step}", "step": step, "mode": mode, "set": name, "error": round(error, 4)}
        for step, mode, errors in _errors_along()
        for name, error in zip(SETS, errors, strict=True)
    ]


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    lines = [",".join(rows[0]), *(",".join(str(cell) for cell in row.values()) for row in rows)]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
