"""Records when real actors ask: `python tests/selfplay/record_arrivals.py`, from the repository's root.

Each pattern is one run of real actor processes against a server that evaluates at once. Written for every
request, in order: actor, group, rows, and the time from the group's last answer (its start for the first) in
microseconds. `test_batching.py` replays them against the collection rules.
"""

from __future__ import annotations

import json
import multiprocessing
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from alphazero.config import Config, SelfPlayConfig
from alphazero.games.registry import get_game
from alphazero.selfplay.actor import ActorSpec, actor_main, group_shape
from alphazero.selfplay.transport.messages import InferenceResponse
from alphazero.selfplay.transport.shared_memory import (
    SharedMemoryRequestQueue,
    SharedMemoryResponseQueue,
    SharedSlots,
)

FILE = Path(__file__).with_name("recorded_arrivals.json")
REQUESTS = 400
PATTERNS = {
    # The plan's numbers for a small card: one leaf in flight an actor.
    "one_leaf_an_actor": SelfPlayConfig(actors=6, games_per_actor=1, groups=1),
    # The same card's profile as shipped.
    "many_games_an_actor": SelfPlayConfig(actors=6, games_per_actor=64, groups=2),
}


def record(selfplay: SelfPlayConfig) -> dict[str, Any]:
    """Play with `selfplay` until REQUESTS requests came after the first moves, and return them."""
    config = replace(Config(), selfplay=selfplay)
    game = get_game(config.run.game)
    context = multiprocessing.get_context("spawn")
    groups, rows = group_shape(config)
    slots = SharedSlots(context, selfplay.actors, groups, rows, game.observation_shape, game.num_actions)
    flag = context.RawArray("b", 1)
    pipes = [context.Pipe() for _ in range(selfplay.actors)]
    parents = [context.Pipe() for _ in range(selfplay.actors)]
    processes = []
    for actor in range(selfplay.actors):
        spec = ActorSpec(
            actor, 0, config, parents[actor][1], flag, flag, slots, pipes[actor][0], stagger=True
        )
        processes.append(context.Process(target=actor_main, args=(spec,), daemon=True))
        processes[-1].start()
    requests = SharedMemoryRequestQueue(slots, [theirs for _, theirs in pipes])
    ends = [SharedMemoryResponseQueue(slots, actor, theirs) for actor, (_, theirs) in enumerate(pipes)]
    logits = np.zeros((rows, game.num_actions), np.float32)
    values = np.zeros(rows, np.float32)
    answered: dict[tuple[int, int], float] = {}
    found: list[list[int]] = []
    skipped = 0
    while len(found) < REQUESTS:
        request = requests.get()
        key, asked = (request.actor, request.group), len(request.observations)
        if len(answered) == selfplay.actors * groups:
            skipped += 1
            if skipped > REQUESTS:  # searches are under way in every actor
                think_us = round(1e6 * (request.submitted_at - answered[key]))
                found.append([request.actor, request.group, asked, think_us])
        answered[key] = time.monotonic()
        ends[request.actor].put(
            InferenceResponse(request.group, request.ticket, logits[:asked], values[:asked], 0)
        )
    for mine, _ in parents:
        mine.send("stop")
    for end in ends:
        end._connection.close()
    for process in processes:
        process.join(5.0)
        process.kill()
    return {"actors": selfplay.actors, "groups": groups, "rows": rows, "requests": found}


if __name__ == "__main__":
    recorded = {name: record(selfplay) for name, selfplay in PATTERNS.items()}
    FILE.write_text(json.dumps(recorded, separators=(",", ":")).replace("],[", "],\n[") + "\n", "utf-8")
