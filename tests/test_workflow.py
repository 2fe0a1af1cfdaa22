"""The workflow parses, refuses what it does not know, and makes exactly what depends on an edit stale."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from alphazero.cli import _parse
from alphazero.errors import UserError
from alphazero.hardware.description import Cpu, Hardware, Memory
from alphazero.hardware.probe import probe_hardware
from alphazero.native_build import extension_paths, native_sources
from alphazero.tuned_profile import surroundings, tuned_profile_path
from alphazero.workflow import (
    Run,
    before_tuning,
    checkpoint_key,
    clear_abandoned_locks,
    config_options,
    evaluation_hash,
    measured_machines,
    plan_run,
    quality_beside,
    report_hash,
    shell_prefix,
    tables_options,
    training_hash,
    training_sources,
    tuning_hash,
)

ROOT = Path(__file__).resolve().parent.parent
HARDWARE = Hardware(
    gpus=(),
    driver_version=None,
    cuda_driver_version=None,
    torch_version=None,
    torch_cuda_version=None,
    gpu_problem="no GPU was found",
    cpu=Cpu("Test CPU", 2, 2, None, 2),
    memory=Memory(8192, 8192, None, 8192),
    operating_system="Linux",
    python_version="3.11",
)


def planned(
    *overrides: str, experiment: Path | None = None, game: str = "connect_four", seed: int = 0
) -> Run:
    return plan_run("test-2c", HARDWARE, "auto", game, seed, experiment, overrides)


def write_experiment(path: Path, filters: int) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"[network]\nfilters = {filters}\n", encoding="utf-8")
    return path


def hashes(root: Path, run: Run) -> tuple[str, str, str]:
    return training_hash(root, run), evaluation_hash(root, run), report_hash(root)


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of the sources, to edit."""
    ignored = shutil.ignore_patterns("__pycache__", "*.so", "*.pyd", "*.csv")
    shutil.copytree(ROOT / "alphazero", tmp_path / "alphazero", ignore=ignored)
    return tmp_path


def test_a_run_lies_where_machine_profile_experiment_game_and_seed_say(tmp_path: Path) -> None:
    assert planned().folder == "test-2c/cpu/train/connect_four_seed0"
    assert planned(seed=3).folder == "test-2c/cpu/train/connect_four_seed3"
    experiment = write_experiment(tmp_path / "wide.toml", filters=48)
    folder = planned(experiment=experiment).folder
    assert re.fullmatch(r"test-2c/cpu/wide-[0-9a-f]{6}/connect_four_seed0", folder)


def test_experiments_that_differ_lie_in_different_folders(tmp_path: Path) -> None:
    one = write_experiment(tmp_path / "a/my.toml", filters=48)
    same = write_experiment(tmp_path / "b/my.toml", filters=48)
    other = write_experiment(tmp_path / "c/my.toml", filters=56)
    assert planned(experiment=one).folder == planned(experiment=same).folder
    shipped = ROOT / "workflow/experiments"
    runs = [planned(), planned("network.filters=48")]
    runs += [planned(experiment=shipped / f"{name}.toml") for name in ("quick", "one_hour")]
    runs += [planned(experiment=path) for path in (one, other)]
    runs += [planned("search.c_puct_init=2", experiment=path) for path in (one, other)]
    runs += [
        planned(experiment=write_experiment(tmp_path / f"{name}.toml", filters=48))
        for name in ("train", "quick", "one_hour")
    ]
    assert len({run.folder for run in runs}) == len(runs)


@pytest.mark.parametrize(("name", "found"), [("seed", "3"), ("game", "tic_tac_toe")])
def test_settings_that_name_another_game_or_seed_are_refused(tmp_path: Path, name: str, found: str) -> None:
    experiment = tmp_path / "my.toml"
    value = found if found.isdigit() else f'"{found}"'
    experiment.write_text(f"[run]\n{name} = {value}\n", encoding="utf-8")
    advice = f"run.{name} is {found}, .* choose with --config {name}={found}"
    with pytest.raises(UserError, match=f"^set: {advice}"):
        planned(f"run.{name}={found}")
    with pytest.raises(UserError, match=f"my.toml: {advice}"):
        planned(experiment=experiment)
    planned(experiment=experiment, game=found if name == "game" else "connect_four", seed=3)  # as it says


@pytest.mark.skipif(sys.platform == "win32", reason="a rule's command is bash's")
@pytest.mark.parametrize("folder", ["a b", "Ann's", "{braces}", "$HOME"])
def test_rules_find_their_python_in_a_folder_of_any_name(tmp_path: Path, folder: str) -> None:
    programs = tmp_path / folder
    programs.mkdir()
    (programs / "python").write_text("#!/bin/sh\necho found\n", encoding="utf-8")
    (programs / "python").chmod(0o755)
    command = shell_prefix(programs).format() + "python"  # as Snakemake formats it
    assert subprocess.run(["bash", "-c", command], capture_output=True, text=True).stdout == "found\n"


def test_overrides_keep_a_folder_of_their_own() -> None:
    one, other = planned("training.max_minutes=1"), planned("training.max_minutes=2")
    assert len({planned().folder, one.folder, other.folder}) == 3


def test_options_give_the_command_the_same_settings() -> None:
    options = config_options(planned("training.max_minutes=1", seed=2))
    assert options == "--game connect_four --profile auto --set training.max_minutes=1 --set run.seed=2"


def test_wrong_choices_are_refused() -> None:
    with pytest.raises(UserError, match="did you mean 'high'"):
        plan_run("test-2c", HARDWARE, "hihg", "connect_four", 0)
    with pytest.raises(UserError, match="did you mean 'connect_four'"):
        planned(game="connect_for")


def test_quick_is_an_experiment_that_resolves() -> None:
    assert planned(experiment=ROOT / "workflow/experiments/quick.toml").folder.startswith(
        "test-2c/cpu/quick/"
    )


@pytest.mark.parametrize(
    ("file", "stale"),
    [
        ("mcts/search.py", (True, True, False)),
        ("games/connect_four.py", (True, True, False)),
        ("games/tic_tac_toe.py", (False, False, False)),
        ("games/chess/rules.py", (False, False, False)),
        ("commands/agent_search.py", (False, True, False)),
        ("training/learner.py", (True, False, False)),
        ("loop.py", (True, False, False)),
        ("evaluation/__init__.py", (False, True, False)),
        ("report/__init__.py", (False, False, True)),
        ("cli.py", (False, False, False)),
        ("config.py", (False, False, False)),
    ],
)
def test_an_edited_statement_makes_exactly_its_results_stale(
    clone: Path, file: str, stale: tuple[bool, ...]
) -> None:
    before = hashes(clone, planned())
    with (clone / "alphazero" / file).open("a", encoding="utf-8") as source:
        source.write("\nADDED = 1\n")
    after = hashes(clone, planned())
    assert tuple(one != other for one, other in zip(before, after, strict=True)) == stale


def test_whatever_of_a_run_does_not_just_watch_it_is_a_training_source() -> None:
    ours = {path.name for path in training_sources(ROOT, "connect_four") if path.parent.name == "run"}
    every = {path.name for path in (ROOT / "alphazero/run").glob("*.py")}
    assert every - ours == {"__init__.py", "run_metrics.py", "health.py"}


def test_an_edit_of_a_game_of_ones_own_makes_its_agents_stale_and_no_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "chess_at_home.py"  # a built-in game's name in it
    text = "from alphazero.games.tic_tac_toe import TicTacToe\n\n\nclass AtHome(TicTacToe):\n    pass\n"
    module.write_text(text, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    run = planned(game="chess_at_home:AtHome")
    before, others = hashes(ROOT, run), hashes(ROOT, planned())
    key = checkpoint_key(ROOT, run)
    module.write_text(text + "    # a remark\n", encoding="utf-8")
    assert hashes(ROOT, run) == before
    module.write_text(text + "    max_game_length = 9\n", encoding="utf-8")
    assert [one != other for one, other in zip(before, hashes(ROOT, run), strict=True)] == [True, True, False]
    assert checkpoint_key(ROOT, run) != key
    assert hashes(ROOT, planned()) == others


def test_a_comment_makes_nothing_stale(clone: Path) -> None:
    before = hashes(clone, planned())
    for path in training_sources(clone, "connect_four"):
        with (clone / path).open("a", encoding="utf-8") as source:
            source.write("\n# A remark.\n" if path.suffix.startswith(".p") else "\n// A remark.\n")
    assert hashes(clone, planned()) == before


def test_settings_make_stale_only_what_reads_them() -> None:
    training, evaluation, _ = hashes(ROOT, planned())
    assert hashes(ROOT, planned("evaluation.match_games=10"))[0] == training
    assert hashes(ROOT, planned("evaluation.match_games=10"))[1] != evaluation
    assert hashes(ROOT, planned("network.filters=48"))[0] != training
    assert hashes(ROOT, planned("run.log_every_seconds=5")) == hashes(ROOT, planned())


def test_a_run_goes_on_from_its_checkpoints_when_only_its_limits_changed(clone: Path) -> None:
    key = checkpoint_key(clone, planned())
    assert checkpoint_key(clone, planned("training.max_minutes=5")) == key
    assert checkpoint_key(clone, planned("network.filters=48")) != key
    (clone / "alphazero" / "training" / "loss.py").write_text("CHANGED = 1\n", encoding="utf-8")
    assert checkpoint_key(clone, planned()) != key


def snakemake(*arguments: str) -> tuple[int, str]:
    """Run Snakemake in the clone and return its exit status and everything it said."""
    if sys.platform == "win32":
        pytest.skip("Snakemake does not support Windows")
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", *arguments],
        cwd=ROOT, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_the_training_workflow_parses() -> None:
    status, said = snakemake(
        "train", "--dry-run", "--forceall", "--cores", "all", "--config", "seed=7", "quick=true"
    )
    assert status == 0, said
    for rule in ("detect_hardware", "resolve_config", "train_game", "evaluate_agent", "write_report"):
        assert f"rule {rule}:" in said
    assert "quick/connect_four_seed7/report.html" in said


def test_the_benchmark_parses_and_each_phase_can_be_measured_by_itself() -> None:
    phases = [path.stem for path in (ROOT / "workflow/phases").glob("*.toml")]
    status, said = snakemake(
        "benchmark_all", *(f"benchmark_{name}" for name in phases), "--dry-run", "--forceall"
    )
    assert status == 0, said
    assert "rule measure_phases:" in said
    assert "/benchmark/report.html" in said
    for name in phases:
        assert f"/benchmark/phases/{name}/report.html" in said


def test_every_command_of_the_rules_is_one_that_the_command_line_takes() -> None:
    rules = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "workflow/rules").glob("*.smk"))
    targets = ["train", "benchmark_all", "benchmark_native_rules", "benchmark_nodes", "benchmark_compare"]
    targets += ["quality", "strength", "ratings", "autotune"]
    options = ["--config", "quick=true", "seed=7", "set=search.simulations=4"]
    status, said = snakemake(*targets, "--dry-run", "-p", "--forceall", *options)
    assert status == 0, said
    commands = [shlex.split(words) for words in re.findall(r"python -u -m alphazero (.*?) 2?>", said)]
    called = {" ".join(words[:2]) if words[0] in ("benchmark", "quality") else words[0] for words in commands}
    assert called == set(re.findall(r"python -u -m alphazero ((?:benchmark |quality )?\w+)", rules))
    for words in commands:
        arguments, _ = _parse(words)  # which says what it does not know, and exits
        assert arguments.command == words[0]


def test_a_quick_benchmark_is_kept_apart_and_measures_the_profile_not_the_quick_training_run() -> None:
    status, said = snakemake("benchmark_all", "--dry-run", "-p", "--forceall", "--config", "quick=true")
    assert status == 0, said
    command = next(line for line in said.splitlines() if "alphazero benchmark measure" in line)
    assert "--quick" in command and "quick.toml" not in command
    assert "/benchmark_quick/measurements.json" in command


def test_machines_are_compared_by_all_whole_benchmarks_that_are_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no machine's measurements; run `snakemake benchmark_all`"):
        measured_machines(tmp_path)
    wanted = ["a/cpu/benchmark", "a/cpu/benchmark_chess", "nodes/high/benchmark", "published/b/benchmark_cpu"]
    others = ["a/cpu/benchmark_quick", "a/cpu/benchmark/phases/actors", "a/cpu/benchmark_0a1b2c"]
    others += [
        "a/cpu/benchmark_one_hour",
        "a/cpu/benchmark_chess_plain_alphazero",
        "a/cpu/benchmark_chess_0a1b2c",
    ]
    for folder in (*wanted, *others):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "measurements.json").write_text("{}", encoding="utf-8")
    assert measured_machines(tmp_path) == [
        f"{tmp_path.as_posix()}/{each}/measurements.json" for each in wanted
    ]


def test_the_published_machines_are_compared_and_nothing_is_measured_for_it() -> None:
    status, said = snakemake("benchmark_compare", "--dry-run", "-p", "--forceall")
    assert status == 0, said
    assert "results/published/amd-epyc-2c/benchmark_cpu/measurements.json" in said
    assert "measure_phases" not in said


def test_tables_show_the_quality_comparison_that_is_there_and_begin_none(tmp_path: Path) -> None:
    assert quality_beside("m-2c/cpu/benchmark") == "m-2c/cpu/quality/quality.json"
    assert quality_beside("m-2c/cpu/benchmark_quick/phases/actors") == "m-2c/cpu/quality_quick/quality.json"
    path = tmp_path / "quality.json"
    assert tables_options(path) == ("", "")
    path.write_text("{}", encoding="utf-8")
    option, content = tables_options(path)
    assert option == f"--quality {path.as_posix()}"
    path.write_text("{ }", encoding="utf-8")
    assert tables_options(path)[1] != content  # other verdicts, other tables
    status, said = snakemake("benchmark_all", "--dry-run", "--forceall")
    assert status == 0 and "tabulate_benchmark" in said and "compare_quality" not in said


@pytest.mark.parametrize(
    ("option", "answer"),
    [
        ("profle=high", "unknown key 'profle' in --config; did you mean 'profile'?"),
        ("profile=hihg", "unknown hardware profile 'hihg'; did you mean 'high'?"),
    ],
)
def test_a_wrong_option_is_one_clear_line(option: str, answer: str) -> None:
    status, said = snakemake("train", "--dry-run", "--config", option)
    assert status != 0
    assert len([line for line in said.splitlines() if answer in line]) == 1, said
    assert "Traceback" not in said


TINY = "search.simulations=4 network.blocks=1 network.filters=4 training.batch_size=16"


@pytest.fixture
def whole_clone(tmp_path: Path) -> Path:
    """A clone as it is after a build, without results."""
    clone = tmp_path / "clone"
    ignored = shutil.ignore_patterns(
        ".git", ".venv", "results", "logs", "checkpoints", ".snakemake", "build", "__pycache__", "tests"
    )
    shutil.copytree(ROOT, clone, ignore=ignored)
    return clone


def jobs_of_training(clone: Path) -> set[str]:
    """Return the names of the jobs that `snakemake train` would run."""
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "train", "--dry-run", "--config", "quick=true"],
        cwd=clone, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    table = done.stdout.rpartition("Job stats:")[2].partition("total")[0]
    return {line.split()[0] for line in table.splitlines()[3:] if line}


@pytest.mark.skipif(sys.platform == "win32", reason="Snakemake does not support Windows")
def test_training_runs_in_the_same_call_that_builds_or_looks_at_the_machine(whole_clone: Path) -> None:
    """Snakemake looks at no job whose inputs are all `ancient` behind one that has to run (`once_there`)."""
    now = time.time()
    hardware = probe_hardware()
    results = whole_clone / "results" / hardware.machine_slug()
    results.mkdir(parents=True)
    (results / "hardware.json").write_text(json.dumps(hardware.to_json()), encoding="utf-8")
    (results / "build.json").write_text("{}", encoding="utf-8")
    extensions = [whole_clone / path for path in extension_paths(whole_clone)]
    for path in extensions:
        path.touch()
    for path in native_sources(whole_clone):
        os.utime(whole_clone / path, (now - 100, now - 100))
    for path in extensions:
        os.utime(path, (now - 50, now - 50))
    training = {"resolve_config", "train_game", "evaluate_agent", "write_report", "train"}
    assert jobs_of_training(whole_clone) == training
    for path in extensions:
        os.utime(path, (now + 50, now + 50))  # built, and not recorded yet
    assert jobs_of_training(whole_clone) == training | {"record_build"}
    os.utime(whole_clone / "alphazero/mcts/tree_ops.h", (now + 100, now + 100))
    assert jobs_of_training(whole_clone) == training | {"record_build", "build_extension"}
    # Without a compiler it cannot be built again, and Snakemake would delete it first.
    environment = {**os.environ, "CC": "no-such-compiler", "CXX": "no-such-compiler"}
    said = subprocess.run(
        [sys.executable, "-m", "snakemake", "train", "--cores", "1", "--config", "quick=true"],
        cwd=whole_clone, env=environment, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert said.returncode == 1
    assert "built of older sources and cannot be built again here" in said.stdout + said.stderr
    assert all(path.exists() for path in extensions)
    os.utime(whole_clone / "alphazero/mcts/tree_ops.h", (now - 100, now - 100))
    for path in extensions:
        os.utime(path, (now - 50, now - 50))
    (results / "hardware.json").unlink()
    assert jobs_of_training(whole_clone) == training | {"detect_hardware"}


HOLD = """
import sys, time
from pathlib import Path
from alphazero.workflow import clear_abandoned_locks

living = clear_abandoned_locks(Path(".snakemake"))
print("held", flush=True)
time.sleep(100)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Snakemake does not support Windows")
def test_a_killed_snakemake_holds_nobody_up_and_a_living_one_does(whole_clone: Path) -> None:
    record = Path("results", probe_hardware().machine_slug(), "hardware.json")
    lock = whole_clone / ".snakemake/locks/0.output.lock"

    def detect() -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", record.as_posix(), "--cores", "1"],
            cwd=whole_clone, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        return done.returncode, done.stdout + done.stderr

    with subprocess.Popen(
        [sys.executable, "-c", HOLD], cwd=whole_clone, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline() == "held\n"
        lock.parent.mkdir()
        lock.write_text(f"{record.as_posix()}\n", encoding="utf-8")
        status, said = detect()
        holder.kill()
    assert status != 0 and "LockException" in said
    status, said = detect()
    assert status == 0 and (whole_clone / record).exists(), said


@pytest.mark.skipif(sys.platform == "win32", reason="Snakemake does not support Windows")
def test_a_record_of_another_machine_of_this_name_is_written_again(whole_clone: Path) -> None:
    hardware = probe_hardware()
    record = whole_clone / "results" / hardware.machine_slug() / "hardware.json"
    record.parent.mkdir(parents=True)
    memory = replace(hardware.memory, available_mib=1, usable_mib=3 * hardware.memory.usable_mib)
    record.write_text(json.dumps(replace(hardware, memory=memory).to_json()), encoding="utf-8")

    def detect() -> str:
        done = subprocess.run(
            [sys.executable, "-m", "snakemake", record.relative_to(whole_clone).as_posix(), "--cores", "1"],
            cwd=whole_clone, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    assert "hardware.json is no longer this machine: its usable memory is" in detect()
    written = json.loads(record.read_text(encoding="utf-8"))
    assert written["memory"]["usable_mib"] == pytest.approx(hardware.memory.usable_mib, rel=0.02)
    # Of free memory it keeps what it says.
    written["memory"]["available_mib"] = 1
    record.write_text(json.dumps(written), encoding="utf-8")
    assert "no longer this machine" not in detect()
    assert json.loads(record.read_text(encoding="utf-8"))["memory"]["available_mib"] == 1


def test_a_job_of_snakemake_clears_no_locks(tmp_path: Path) -> None:
    lock = tmp_path / "locks/0.output.lock"
    lock.parent.mkdir()
    lock.touch()
    clear_abandoned_locks(tmp_path, clear=False)
    assert lock.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="a rule's command is bash's")
def test_a_rule_can_say_what_it_saves_when_its_terminal_closes(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    command = "trap '' HUP; sleep 0.3; kill -HUP 0; sleep 0.3; echo saved"  # to all processes here
    script = (
        shell_prefix(Path(sys.executable).parent).format() + f"({command}) | tee -i {shlex.quote(str(log))}"
    )
    subprocess.run(["bash", "-c", script], capture_output=True, start_new_session=True)
    assert log.read_text(encoding="utf-8") == "saved\n"


@pytest.fixture
def small_benchmark(whole_clone: Path) -> Path:
    """A clone with two phases beside the baseline, whose benchmark takes seconds."""
    for path in (whole_clone / "workflow/phases").glob("*.toml"):
        if path.stem not in ("baseline", "native_rules", "mcts_backend"):
            path.unlink()
    return whole_clone


def in_clone(clone: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "benchmark_all", *arguments, "--config", "quick=true", f"set={TINY}"],
        cwd=clone, capture_output=True, text=True, timeout=220,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.slow
def test_a_benchmark_run_again_does_nothing_and_an_edited_phase_measures_its_own_rows(
    small_benchmark: Path,
) -> None:
    in_clone(small_benchmark)
    assert "Nothing to be done" in in_clone(small_benchmark, "--dry-run")
    phase = small_benchmark / "workflow/phases/native_rules.toml"
    phase.touch()  # the same content
    assert "Nothing to be done" in in_clone(small_benchmark, "--dry-run")
    phase.write_text(phase.read_text(encoding="utf-8") + "tree_reuse = false\n", encoding="utf-8")
    again = in_clone(small_benchmark, "--dry-run")
    assert "measure_phases" in again and "tabulate_benchmark" in again
    assert "rule detect_hardware" not in again and "rule build_extension" not in again
    again = in_clone(small_benchmark)
    assert "  ladder/native_rules  " in again and "  ladder/mcts_backend  " not in again
    assert "NO |" in again  # another search trips the proof, in its row


def test_a_search_for_settings_begins_with_the_shipped_profile_whatever_was_found_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before = before_tuning(planned(), "test-2c", HARDWARE)
    path = tuned_profile_path(HARDWARE)
    path.parent.mkdir(parents=True)
    around = {**surroundings(HARDWARE, before.settings), "games": 0}
    table = "".join(f"{name} = {json.dumps(value)}\n" for name, value in around.items())
    path.write_text(
        f'based_on = "cpu"\n[tuned_for]\n{table}[selfplay]\ngames_per_actor = 32\n', encoding="utf-8"
    )
    assert planned().folder.startswith("test-2c/tuned/")
    assert planned().settings.selfplay.games_per_actor == 32
    assert before_tuning(planned(), "test-2c", HARDWARE) == before
    assert tuning_hash(ROOT, before_tuning(planned(), "test-2c", HARDWARE)) == tuning_hash(ROOT, before)


def test_autotune_parses_and_a_quick_search_is_kept_away_from_auto() -> None:
    status, said = snakemake("autotune", "--dry-run", "-p", "--forceall")
    assert status == 0, said
    assert "alphazero autotune --game connect_four --profile shipped" in said and "/tuned.toml" in said
    status, said = snakemake("autotune", "--dry-run", "-p", "--forceall", "--config", "quick=true")
    assert status == 0, said
    assert "--quick" in said and "/tuned_quick.toml" in said
