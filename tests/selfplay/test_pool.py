"""The processes of self-play: the games they play, and what becomes of them when one is killed."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from alphazero.config import Config, InferenceConfig, NetworkConfig, RunConfig, SearchConfig, SelfPlayConfig
from alphazero.games.registry import get_game
from alphazero.network.engines import make_engine
from alphazero.network.openvino_engine import has_openvino
from alphazero.network.resnet import PolicyValueNetwork, build_network
from alphazero.records import Episode
from alphazero.selfplay.game_group import GameGroup
from alphazero.selfplay.pool import LAUNCHES_A_RUN, SelfPlayPool, WorkerDied
from alphazero.selfplay.reports import SelfPlayStatistics, ServerReport

ROOT = Path(__file__).resolve().parents[2]
GAME = get_game("connect_four")
BASE = Config(
    network=NetworkConfig(blocks=1, filters=4, policy_filters=2, value_filters=2, value_hidden=4),
    search=SearchConfig(simulations=12),
    inference=InferenceConfig(
        device="cpu", engine="eager", use_amp=False, batch_size=16, batch_timeout_ms=5.0
    ),
    selfplay=SelfPlayConfig(actors=2, games_per_actor=8, groups=2),
    run=RunConfig(seed=7),
)
SHARED_MEMORY = BASE.inference
QUEUE = replace(SHARED_MEMORY, transport="queue")
LOCAL = replace(SHARED_MEMORY, placement="local")
PATIENCE_S = 150.0  # for what takes seconds on a machine that is not busy with other things

needs_openvino = pytest.mark.skipif(not has_openvino(), reason="OpenVINO is not installed")
no_compiler = shutil.which(os.environ.get("CXX", "g++")) is None
compiles = [pytest.mark.slow, pytest.mark.skipif(no_compiler, reason="there is no C++ compiler")]
needs_sigkill = pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="the system has no SIGKILL")


def exact_network() -> PolicyValueNetwork:
    """A network whose answers are the same bits in every batch, engine and order of summation.

    Weights are whole numbers, so that every sum is exact in float32; batch norm does nothing; values are
    tanh of 0 or of at least 20, which is -1, 0 or 1.
    """
    network = build_network(GAME, BASE.network).eval()
    rng = np.random.default_rng(3)
    state = network.state_dict()
    for name, tensor in state.items():
        if name.endswith("running_var"):
            tensor.fill_(1.0 - 1e-5)  # plus batch norm's epsilon: 1
        elif name.endswith(("running_mean", "norm.bias")):
            tensor.zero_()
        elif name.endswith("norm.weight"):
            tensor.fill_(1.0)
        elif tensor.is_floating_point():
            tensor.copy_(torch.from_numpy(rng.integers(-1, 2, tuple(tensor.shape)).astype(np.float32)))
    state["value_output.weight"].mul_(20.0)
    state["value_output.bias"].zero_()
    network.load_state_dict(state)
    return network


def weights_of(network: PolicyValueNetwork) -> dict[str, np.ndarray]:
    return {name: tensor.float().numpy() for name, tensor in network.state_dict().items()}


@contextmanager
def running(config: Config, untrained: bool = False, launch: int = 0) -> Iterator[SelfPlayPool]:
    weights = weights_of(exact_network())
    with SelfPlayPool(config, weights, "cpu", launch=launch, untrained=untrained) as pool:
        pool.start()
        yield pool


def take(pool: SelfPlayPool, games: int, timeout: float = PATIENCE_S) -> list[Episode]:
    """Return at least `games` finished games."""
    episodes: list[Episode] = []
    deadline = time.monotonic() + timeout
    while len(episodes) < games:
        assert time.monotonic() < deadline, f"only {len(episodes)} of {games} games came"
        episodes += pool.take_episodes(timeout=0.1)
    return episodes


def wait_until_all_work(pool: SelfPlayPool, timeout: float = PATIENCE_S) -> None:
    deadline = time.monotonic() + timeout
    while not pool.all_at_work():
        assert time.monotonic() < deadline, "the processes did not start"
        pool.take_episodes(timeout=0.05)


def shared_memory_segments() -> set[Path]:
    """What Python's multiprocessing has put into the system's shared memory by name, where it can be listed."""
    folder = Path("/dev/shm")
    names = folder.iterdir() if folder.is_dir() else []
    return {path for path in names if path.name.startswith(("pym-", "sem.mp-", "psm_"))}


def assert_nothing_left(before: set[Path]) -> None:
    """Fail if what came into shared memory since `before` stays there.

    Tests beside this one have segments for a while, too.
    """
    new, deadline = shared_memory_segments() - before, time.monotonic() + PATIENCE_S
    while new := new & shared_memory_segments():
        assert time.monotonic() < deadline, f"left in shared memory: {sorted(new)}"
        time.sleep(0.1)


def played_alone(actor: int, game_index: int, untrained: bool = False, launch: int = 0) -> Episode:
    """Return that very game, played by itself in this process, leaf by leaf."""
    engine = make_engine("eager", exact_network(), "cpu", use_amp=False)
    group = GameGroup(
        GAME, BASE.search, 1, BASE.run.seed, actor, launch=launch, first_slot=game_index, actor_games=1
    )
    while True:
        rows = group.collect()
        if untrained:
            group.apply_untrained(rows)
        else:
            logits, values = engine.evaluate(group.search.observations[:rows])
            group.apply(logits, values, 0)
        for episode in group.take_episodes():
            return episode


# ---- the same games, however they are evaluated ----


@pytest.mark.parametrize(
    "inference",
    [
        pytest.param(SHARED_MEMORY, id="shared memory"),
        pytest.param(QUEUE, id="queue"),
        pytest.param(LOCAL, id="local"),
        pytest.param(replace(SHARED_MEMORY, cache_positions=1000), id="shared memory, cached"),
        pytest.param(replace(QUEUE, cache_positions=1000), id="queue, cached"),
        pytest.param(replace(LOCAL, cache_positions=1000), id="local, cached"),
        pytest.param(replace(SHARED_MEMORY, engine="frozen"), id="shared memory, frozen"),
        pytest.param(replace(QUEUE, engine="frozen"), id="queue, frozen"),
        pytest.param(replace(LOCAL, engine="frozen"), id="local, frozen"),
        pytest.param(replace(LOCAL, engine="frozen", cache_positions=1000), id="local, frozen, cached"),
        pytest.param(replace(SHARED_MEMORY, engine="openvino"), id="openvino", marks=needs_openvino),
        pytest.param(replace(SHARED_MEMORY, engine="compiled"), id="compiled", marks=compiles),
        pytest.param(replace(LOCAL, engine="compiled"), id="local, compiled", marks=compiles),
        pytest.param(replace(SHARED_MEMORY, collection="plan", batch_size=7), id="plan's collection"),
    ],
)
def test_games_are_those_of_one_process(inference: InferenceConfig) -> None:
    """First those played without a network, then, from the first publication on, those played with it."""
    # actors that evaluate for themselves have nobody to get an answer mixed up with
    selfplay = replace(BASE.selfplay, actors=1) if inference.placement == "local" else BASE.selfplay
    with running(replace(BASE, inference=inference, selfplay=selfplay), untrained=True) as pool:
        untrained = take(pool, 8)
        pool.publish(1, weights_of(exact_network()))
        episodes: list[Episode] = []
        begun_with_it: set[tuple[int, int]] = set()  # places where the game of that moment has ended
        while len(episodes) < 24:
            for episode in take(pool, 1):
                slot = (episode.actor, episode.game_index % 8)
                if slot in begun_with_it:
                    episodes.append(episode)
                elif episode.weights_versions[-1] == 1:
                    begun_with_it.add(slot)
    assert all((episode.weights_versions == 1).all() for episode in episodes)
    slots = {(episode.actor, episode.game_index % 8) for episode in episodes}
    assert {actor for actor, _ in slots} <= {0, 1}
    assert len({(episode.actor, episode.game_index) for episode in episodes}) == len(episodes)
    for episode in untrained[:4]:
        assert (episode.weights_versions == 0).all()
        assert_same_game(episode, played_alone(episode.actor, episode.game_index, untrained=True))
    lengths = set()
    for episode in episodes[:12] + episodes[-4:]:
        assert_same_game(episode, played_alone(episode.actor, episode.game_index))
        lengths.add(len(episode))
    assert len(lengths) > 1  # games differ, so that swapped answers would show


def assert_same_game(episode: Episode, alone: Episode) -> None:
    for name in ("actions", "policy_actions", "policy_visits", "root_values", "outcomes"):
        np.testing.assert_array_equal(getattr(episode, name), getattr(alone, name), err_msg=name)


@pytest.mark.parametrize("inference", [SHARED_MEMORY, LOCAL], ids=["shared memory", "local"])
def test_every_leaf_is_looked_up_and_the_network_evaluates_the_rest(inference: InferenceConfig) -> None:
    config = replace(BASE, inference=replace(inference, cache_positions=100_000))
    statistics = SelfPlayStatistics()
    with running(config) as pool:
        deadline = time.monotonic() + PATIENCE_S
        while statistics.batches == 0 or statistics.games < 16:
            assert time.monotonic() < deadline
            pool.take_episodes(timeout=0.1)
            statistics.merge(pool.take_statistics())
    assert statistics.looked_up_rows == statistics.leaves
    assert 0 < statistics.cached_rows < statistics.looked_up_rows
    assert 0 < statistics.batch_rows < statistics.looked_up_rows
    assert 0 < statistics.cache_s < statistics.actor_s


# ---- pauses ----


def test_a_paused_pool_plays_nothing_until_it_is_told_to_go_on() -> None:
    config = replace(BASE, inference=LOCAL, selfplay=replace(BASE.selfplay, actors=1))
    with running(config) as pool:
        take(pool, 2)
        pool.pause(True)
        did = SelfPlayStatistics()
        deadline = time.monotonic() + 20.0
        while did.positions or not did.paused_s:  # until the round that was under way is reported
            assert time.monotonic() < deadline, "it plays on"
            pool.take_episodes(timeout=1.0)
            did = pool.take_statistics()
        assert pool.take_episodes(timeout=1.0) == []
        did = pool.take_statistics()
        assert (did.games, did.positions, did.leaves) == (0, 0, 0)
        assert did.paused_s == pytest.approx(did.actor_s)
        pool.pause(False)
        take(pool, 2)


# ---- what a person is told ----


def server_report(engine: str, most_rows: int) -> ServerReport:
    return ServerReport(SelfPlayStatistics(batches=1, batch_rows=8, batch_slots=16), engine, most_rows)


def test_an_engine_that_lost_memory_or_precision_is_reported_once() -> None:
    config = replace(BASE, inference=replace(SHARED_MEMORY, engine="graphs"))
    pool = SelfPlayPool(config, weights_of(exact_network()), "cuda:0")  # never started
    for engine, most_rows in [("graphs", 16), ("graphs", 8), ("graphs", 8), ("eager", 8), ("eager", 4)]:
        pool._handle_report("inference server", server_report(engine, most_rows))
    notes = []
    while not pool.notes.empty():
        notes.append(pool.notes.get())
    assert notes == [
        "inference server: out of device memory; from here on at most 8 rows go through the network at once "
        "(inference.batch_size is 16)",
        "inference server: engine 'graphs' answered NaN or infinity; from here on it runs in float32 'eager', "
        "which is slower",
        "inference server: out of device memory; from here on at most 4 rows go through the network at once "
        "(inference.batch_size is 16)",
    ]


# ---- killed processes ----


@needs_sigkill
def test_a_killed_actor_is_started_again_with_new_games_and_the_others_play_on() -> None:
    with running(BASE, launch=2) as pool:
        take(pool, 2)
        killed = pool.process_ids()["actor 0"]
        os.kill(killed, signal.SIGKILL)
        note = pool.notes.get(timeout=PATIENCE_S)
        assert "actor 0 ended (killed by SIGKILL)" in note
        assert "1 of at most 3 times" in note
        pool.take_episodes()  # what the killed one had sent
        games: list[Episode] = []
        deadline = time.monotonic() + PATIENCE_S
        while not (pool.all_at_work() and {0, 1} <= {episode.actor for episode in games}):
            assert time.monotonic() < deadline
            games += pool.take_episodes(timeout=0.1)
        assert pool.process_ids()["actor 0"] != killed
    first_launch = 2 * LAUNCHES_A_RUN
    for episode in [episode for episode in games if episode.actor == 0][:2]:
        assert_same_game(episode, played_alone(0, episode.game_index, launch=first_launch + 1))
        with pytest.raises(AssertionError):
            assert_same_game(episode, played_alone(0, episode.game_index, launch=first_launch))


@needs_sigkill
def test_a_killed_actor_is_missed_though_its_pipe_stays_open(no_end_of_file: None) -> None:
    with running(replace(BASE, inference=LOCAL)) as pool:
        wait_until_all_work(pool)
        os.kill(pool.process_ids()["actor 1"], signal.SIGKILL)
        assert "actor 1 ended (killed by SIGKILL)" in pool.notes.get(timeout=PATIENCE_S)


@needs_sigkill
def test_a_killed_actor_of_the_queue_ends_the_run_clearly() -> None:
    with running(replace(BASE, inference=QUEUE)) as pool:
        take(pool, 2)
        os.kill(pool.process_ids()["actor 1"], signal.SIGKILL)
        with pytest.raises(WorkerDied, match="transport 'queue' cannot go on without it"):
            take(pool, 10_000)


@needs_sigkill
def test_an_actor_that_keeps_dying_ends_the_run_clearly() -> None:
    config = replace(BASE, selfplay=replace(BASE.selfplay, max_restarts=0))
    with running(config) as pool:
        wait_until_all_work(pool)
        os.kill(pool.process_ids()["actor 0"], signal.SIGKILL)
        with pytest.raises(WorkerDied, match=r"actor 0 ended \(killed by SIGKILL\), .*max_restarts = 0"):
            take(pool, 10_000)


@needs_sigkill
def test_a_killed_server_ends_the_run_clearly_and_at_once() -> None:
    with running(BASE) as pool:
        take(pool, 2)
        processes = list(pool.process_ids().values())
        os.kill(pool.process_ids()["inference server"], signal.SIGKILL)
        killed = time.monotonic()
        with pytest.raises(WorkerDied, match=r"the inference server ended .*killed by SIGKILL"):
            take(pool, 10_000)
        pool.close()
        assert time.monotonic() - killed < 20.0  # twice what close() gives the listener and the processes
    assert not any(psutil.pid_exists(process) for process in processes)


def test_an_exception_in_a_process_reaches_the_parent_with_its_traceback() -> None:
    config = replace(BASE, inference=LOCAL)  # there is nobody but actors
    with SelfPlayPool(config, weights_of(exact_network()), "cpu") as pool:
        pool.config = replace(config, run=replace(config.run, game="no.such.module:Game"))
        pool.start()
        told = r"(?s)^actor \d failed:\nTraceback .*UserError: .*there is no module 'no"
        with pytest.raises(WorkerDied, match=told):
            take(pool, 1)


PARENT = """
    import sys, time
    sys.path[:0] = [{root!r}, {tests!r}]
    from test_pool import BASE, running, take
    if __name__ == "__main__":
        with running(BASE) as pool:
            take(pool, 2)
            print(*pool.process_ids().values(), flush=True)
            take(pool, 10**9, timeout=1e9)
"""


@needs_sigkill
def test_when_the_parent_is_killed_nothing_stays_behind(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    source = textwrap.dedent(PARENT).format(root=str(ROOT), tests=str(Path(__file__).parent))
    script.write_text(source, encoding="utf-8")
    before = shared_memory_segments()
    parent = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    try:
        assert parent.stdout is not None
        line = parent.stdout.readline()
        children = [psutil.Process(int(word)) for word in line.split()]
        assert len(children) == 3
    finally:
        parent.kill()
        parent.wait()
    _, alive = psutil.wait_procs(children, timeout=20)
    assert alive == []
    assert_nothing_left(before)


# ---- stop signals ----


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_signals_for_the_whole_process_group_are_left_to_the_parent() -> None:
    with running(BASE) as pool:
        processes = list(pool.process_ids().values())
        for wait in (lambda: None, lambda: wait_until_all_work(pool)):  # while they start, and at work
            wait()
            for process in processes:
                for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                    os.kill(process, number)
        take(pool, 2)
        assert list(pool.process_ids().values()) == processes  # none was started again
    assert not any(psutil.pid_exists(process) for process in processes)


TRACKER = """
import os, signal, time
from multiprocessing import resource_tracker
from alphazero.stop_signals import stop_signals_held_back

with stop_signals_held_back():
    pass
os.kill(resource_tracker._resource_tracker._pid, signal.SIGHUP)
time.sleep(0.5)
print(resource_tracker._resource_tracker._check_alive())
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
def test_what_cleans_shared_memory_up_outlives_a_closed_terminal() -> None:
    done = subprocess.run([sys.executable, "-c", TRACKER], capture_output=True, text=True)
    assert done.stdout == "True\n", done.stderr


@needs_sigkill
def test_an_interrupted_close_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = SelfPlayPool(BASE, weights_of(exact_network()), "cpu")
    pool.start()
    wait_until_all_work(pool)
    processes = list(pool.process_ids().values())

    def interrupt(timeout: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(pool._listener, "join", interrupt)
    with pytest.raises(KeyboardInterrupt):
        pool.close()
    assert not any(psutil.pid_exists(process) for process in processes)


# ---- many kills ----


def kill_at_random(kills: int, seed: int) -> None:
    """Kill actors at random moments; after each, the pool must go on and games of every actor must come."""
    rng = np.random.default_rng(seed)
    config = replace(BASE, selfplay=replace(BASE.selfplay, max_restarts=10 * kills))
    shared_before = shared_memory_segments()
    with running(config) as pool:
        wait_until_all_work(pool)
        open_files, children = psutil.Process().num_fds(), len(psutil.Process().children(recursive=True))
        for _ in range(kills):
            if rng.random() < 0.2:  # else most would be hit while they start
                wait_until_all_work(pool)
            time.sleep(float(rng.uniform(0.0, 0.3)))
            victim = f"actor {rng.integers(config.selfplay.actors)}"
            os.kill(pool.process_ids()[victim], signal.SIGKILL)
            assert "killed by SIGKILL" in pool.notes.get(timeout=PATIENCE_S)
            pool.take_episodes()  # raises if the pool gave up
        heard: set[int] = set()
        deadline = time.monotonic() + PATIENCE_S
        while heard < {0, 1}:
            assert time.monotonic() < deadline, f"after {kills} kills only actors {heard} play"
            heard |= {episode.actor for episode in pool.take_episodes(timeout=0.1)}
        assert psutil.Process().num_fds() <= open_files + 4
        assert len(psutil.Process().children(recursive=True)) == children
        processes = list(pool.process_ids().values())
    assert not any(psutil.pid_exists(process) for process in processes)
    assert_nothing_left(shared_before)


@needs_sigkill
def test_five_random_kills_leave_nothing_hanging() -> None:
    kill_at_random(5, seed=0)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@needs_sigkill
def test_five_hundred_random_kills_leave_nothing_hanging() -> None:
    kill_at_random(500, seed=1)
