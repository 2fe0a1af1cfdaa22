"""The workflow profile for Slurm: what it asks the cluster for, and a job that really goes through."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROFILE = "workflow/profiles/slurm"
PROFILES = ("high", "mid", "low")

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("snakemake_executor_plugin_slurm") is None or sys.platform == "win32",
    reason="snakemake-executor-plugin-slurm is not installed",
)


@pytest.fixture
def cluster(tmp_path: Path) -> Path:
    """Return a folder that notes what is submitted to the Slurm commands in its `bin`."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name in ("sbatch", "srun", "squeue", "sacct", "scontrol", "sacctmgr", "scancel", "sinfo"):
        command = commands / name
        text = (Path(__file__).parent / "stand_in.py").read_text(encoding="utf-8")
        command.write_text(f"#!{sys.executable}\n{text}", encoding="utf-8")
        command.chmod(0o755)
    return tmp_path


def snakemake(cluster: Path, folder: Path, *arguments: str) -> tuple[int, str]:
    """Run Snakemake in `folder` with the stand-in's commands first on the path."""
    path = f"{cluster / 'bin'}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=folder, capture_output=True, text=True, timeout=220,
        env={**os.environ, "PATH": path, "STAND_IN": str(cluster)},
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_one_command_plans_the_benchmark_of_every_profile_on_its_own_node(cluster: Path) -> None:
    status, said = snakemake(
        cluster, ROOT, "benchmark_nodes", "--dry-run", "--forceall", "--workflow-profile", PROFILE
    )
    assert status == 0, said
    for profile in PROFILES:
        assert f"rule measure_node_{profile}:" in said
        assert f"results/nodes/{profile}/benchmark/report.html" in said


@pytest.mark.slow
def test_a_node_job_goes_through_the_cluster_with_its_partition_cores_and_gpu(
    cluster: Path, tmp_path: Path
) -> None:
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns(
        ".git", "results", "logs", "checkpoints", ".snakemake", "build", "__pycache__"
    )
    shutil.copytree(ROOT, clone, ignore=ignored)
    tiny = "search.simulations=4 network.blocks=1 network.filters=8 inference.placement=server"
    measurements = "results/nodes/low/benchmark_quick_*/measurements.json"
    status, said = snakemake(
        cluster, clone, "--workflow-profile", PROFILE, "--latency-wait", "5",
        "--slurm-init-seconds-before-status-checks", "2", "--until", "measure_node_low",
        "--rerun-triggers", "input", "--config", "quick=true", f"set={tiny}", "--", "benchmark_nodes",
    )  # fmt: skip
    assert status == 0, said
    assert len(list(clone.glob(measurements))) == 1
    (submitted,) = (cluster / "submitted").read_text(encoding="utf-8").splitlines()
    for option in ("-p low", "--gpus=rtx_4060:1", "--cpus-per-task=8", "--mem 32000", "-t 60"):
        assert option in submitted
