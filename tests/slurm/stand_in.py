"""Stands in for Slurm's commands on a machine without Slurm, as far as Snakemake's executor plugin uses them.

Called under the name of the command that it is to be. sbatch notes its arguments in $STAND_IN/submitted, a line a
job, and runs the job then and there; squeue and sacct say how it ended; srun runs a command.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

FOLDER = Path(os.environ["STAND_IN"])


def sbatch(arguments: list[str]) -> None:
    submitted = FOLDER / "submitted"
    number = len(submitted.read_text().splitlines()) + 1 if submitted.exists() else 1
    options = [word for word in arguments if not word.startswith("--wrap=")]
    with submitted.open("a") as file:
        file.write(" ".join(options) + "\n")
    command = next(word.removeprefix("--wrap=") for word in arguments if word.startswith("--wrap="))
    output = Path(arguments[arguments.index("--output") + 1].replace("%j", str(number)))
    output.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "SLURM_JOB_ID": str(number), "SLURM_GPUS": "1"}
    with output.open("w") as log:
        done = subprocess.run(command, shell=True, env=environment, stdout=log, stderr=subprocess.STDOUT)
    state = "COMPLETED" if done.returncode == 0 else "FAILED"
    with (FOLDER / "ended").open("a") as file:
        file.write(f"{number}|{state}\n")
    print(number)


def srun(arguments: list[str]) -> None:
    command = arguments
    while command and command[0].startswith("-"):
        command = command[1:]
    sys.exit(subprocess.run(command).returncode)


def states(arguments: list[str]) -> None:
    ended = FOLDER / "ended"
    if ended.exists() and "--name" in arguments:
        print(ended.read_text(), end="")


if __name__ == "__main__":
    name, words = Path(sys.argv[0]).name, sys.argv[1:]
    commands = {"sbatch": sbatch, "srun": srun, "squeue": states, "sacct": states}
    commands.get(name, lambda arguments: None)(words)
