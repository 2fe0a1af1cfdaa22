"""The collection rules, and a discrete-event picture of where the plan's literal rule starves."""

import heapq

import pytest

from alphazero.selfplay.batching import BatchPolicy, seconds_to_wait

TIMEOUT_S = 0.020


def policy(rule, batch_size=512):
    return BatchPolicy(rule, batch_size, TIMEOUT_S, min_fill=0.25)


@pytest.mark.parametrize("rule", ["drain", "plan", "adaptive"])
def test_a_full_batch_goes_at_once(rule):
    assert seconds_to_wait(policy(rule), waiting=512, can_arrive=100, waited_s=0.0) == 0.0


def test_drain_never_waits():
    assert seconds_to_wait(policy("drain"), waiting=1, can_arrive=511, waited_s=0.0) == 0.0


def test_adaptive_waits_for_the_rest_of_its_timeout_while_rows_can_come():
    assert seconds_to_wait(policy("adaptive"), 10, 5, waited_s=0.015) == pytest.approx(0.005)
    assert seconds_to_wait(policy("adaptive"), 10, 5, waited_s=0.030) == 0.0
    assert seconds_to_wait(policy("adaptive"), 10, None, waited_s=0.015) == pytest.approx(0.005)


def test_adaptive_does_not_wait_for_rows_that_cannot_come():
    assert seconds_to_wait(policy("adaptive"), 10, 0, waited_s=0.0) == 0.0


def test_plan_goes_past_the_timeout_only_with_its_minimum_fill():
    assert seconds_to_wait(policy("plan"), 128, 0, waited_s=0.019) == pytest.approx(0.001)
    assert seconds_to_wait(policy("plan"), 128, 0, waited_s=0.021) == 0.0  # 25 % of 512
    assert seconds_to_wait(policy("plan"), 127, 0, waited_s=0.021) == pytest.approx(0.019)
    assert seconds_to_wait(policy("plan"), 1, 0, waited_s=0.040) == 0.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("fastest", 1, 0.0), "unknown collection rule 'fastest'; known: drain, plan, adaptive"),
        (("drain", 0, 0.0), "batch_size must be at least 1, not 0"),
        (("drain", 1, -1.0), "timeout_s must not be negative, but is -1.0"),
    ],
)
def test_impossible_policies_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        BatchPolicy(*arguments)


def simulate(rule, actors, rows_per_request, seconds, batch_size=512, network_s=0.002, think_s=0.001):
    """Drive a policy with actors that send a request `think_s` after each answer; return rows a second.

    A discrete-event simulation: time is a number, arrivals are a heap. One request in flight an actor.
    """
    arrivals = [(think_s * (1 + actor / actors), actor) for actor in range(actors)]
    heapq.heapify(arrivals)
    now, done = 0.0, 0
    rule_of = policy(rule, batch_size)
    while now < seconds:
        first, actor = heapq.heappop(arrivals)
        now = max(now, first)
        gathered = [actor]
        while True:
            waiting = len(gathered) * rows_per_request
            elsewhere = (actors - len(gathered)) * rows_per_request
            wait = seconds_to_wait(rule_of, waiting, elsewhere, now - first)
            if arrivals and arrivals[0][0] <= now + wait and waiting < batch_size:
                time, actor = heapq.heappop(arrivals)
                now = max(now, time)
                gathered.append(actor)
            elif wait > 0:
                now += wait + 1e-9
            else:
                break
        now += network_s
        done += len(gathered) * rows_per_request
        for actor in gathered:
            heapq.heappush(arrivals, (now + think_s, actor))
    return done / now


def test_the_plan_rule_starves_with_one_leaf_an_actor_and_the_adaptive_rule_does_not():
    # 24 leaves in flight never make 25 % of 512, so each batch waits out 2 x 20 ms for nobody.
    plan = simulate("plan", actors=24, rows_per_request=1, seconds=5.0)
    adaptive = simulate("adaptive", actors=24, rows_per_request=1, seconds=5.0)
    # 24 rows every 40 + 2 ms (the first row's think time passes within the 40), against every 2 + 1 ms
    assert plan == pytest.approx(24 / 0.043, rel=0.05)
    assert adaptive == pytest.approx(24 / 0.003, rel=0.05)


def test_with_enough_games_in_flight_both_rules_fill_the_batch():
    plan = simulate("plan", actors=24, rows_per_request=32, seconds=2.0)
    adaptive = simulate("adaptive", actors=24, rows_per_request=32, seconds=2.0)
    assert plan == pytest.approx(adaptive, rel=0.05)
