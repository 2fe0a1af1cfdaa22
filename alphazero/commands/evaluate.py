"""`alphazero evaluate`: score an agent on solved positions and in matches, or a whole training run."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from alphazero.commands.agent_search import (
    add_config_option,
    inference_here,
    load_run_config,
    results_config,
    search_of,
)
from alphazero.commands.progress_lines import ProgressLines
from alphazero.commands.seed_option import add_seed_option
from alphazero.commands.workers_option import add_workers_option, worker_count
from alphazero.config import Config, EvaluationConfig
from alphazero.errors import UserError
from alphazero.evaluation.agents import AGENT_WORDS, Agent, Setting, parse_agent
from alphazero.evaluation.files import evaluation_record, format_evaluation, write_evaluation
from alphazero.evaluation.run import (
    Evaluation,
    Session,
    evaluate_agent,
    evaluate_run,
    solved_positions_of,
)
from alphazero.evaluation.solved_positions import SolvedPosition, load_positions_file
from alphazero.evaluation.workers import WorkerPool
from alphazero.folders import require_writable, writing_results
from alphazero.network.engines import resolve_device

_EPILOG = """examples:
  alphazero evaluate model.safetensors --against random pure_mcts earlier.safetensors
  alphazero evaluate untrained:connect_four --simulations 100 --positions-per-set 50 --json
  alphazero evaluate --run results/MACHINE/cpu/train/connect_four_seed0"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `alphazero evaluate`."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EPILOG
    parser.add_argument(
        "agent",
        nargs="?",
        metavar="CHECKPOINT",
        help=AGENT_WORDS,
    )
    _add_run_arguments(parser)
    _add_match_arguments(parser)
    _add_position_arguments(parser)
    defaults = EvaluationConfig()
    parser.add_argument(
        "--simulations",
        type=_number(1),
        metavar="N",
        help=f"simulations a move, without root noise, at temperature 0 (default: {defaults.simulations})",
    )
    parser.add_argument(
        "--device", help="auto, cpu, cuda or cuda:N (default: the run's; of a CHECKPOINT auto)"
    )
    add_config_option(parser)
    add_workers_option(parser)
    add_seed_option(parser, "openings and random players", default=None)  # of --run: the run's
    parser.add_argument("--json", action="store_true", help="print the result as JSON")
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FOLDER",
        help="write evaluation.json and CSV tables here (with --run by default: its folder evaluation)",
    )


def _add_run_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("a whole training run, instead of CHECKPOINT")
    group.add_argument(
        "--run",
        type=Path,
        metavar="FOLDER",
        help="before and after, learning curve and matches from the weights that the run kept",
    )


def _add_match_arguments(parser: argparse.ArgumentParser) -> None:
    defaults = EvaluationConfig()
    group = parser.add_argument_group("matches")
    group.add_argument(
        "--against",
        nargs="+",
        default=[],
        metavar="AGENT",
        help="play a match with each of these (the same words as CHECKPOINT; the game may be left out)",
    )
    group.add_argument(
        "--matches",
        type=_number(2),
        metavar="N",
        help=f"games against each opponent (default: {defaults.match_games})",
    )
    group.add_argument(
        "--opening-moves",
        type=_number(0),
        metavar="N",
        help=f"random moves at the start of a game (default: {defaults.opening_moves})",
    )
    group.add_argument(
        "--pure-mcts-simulations",
        type=_number(1),
        metavar="N",
        help=f"simulations a move of pure_mcts (default: {defaults.pure_mcts_simulations})",
    )


def _add_position_arguments(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("solved positions")
    group.add_argument(
        "--positions",
        type=Path,
        metavar="FILE.csv",
        help="Connect Four positions with the columns set,moves,ply,score,move_scores instead of the "
        "6,000 that come with the package",
    )
    group.add_argument(
        "--positions-per-set", type=_number(1), metavar="N", help="positions of each set (default: all)"
    )
    group.add_argument("--no-positions", action="store_true", help="matches only")


def run(arguments: argparse.Namespace) -> int:
    """Evaluate, print the result to standard output and what is going on to standard error; return 0."""
    if (arguments.agent is None) == (arguments.run is None):
        raise UserError("give either a CHECKPOINT or --run FOLDER; see alphazero evaluate --help")
    if arguments.run is None:
        return _run_agent(arguments)
    return _run_run(arguments)


def _run_run(arguments: argparse.Namespace) -> int:
    if arguments.against or arguments.positions is not None or arguments.no_positions:
        raise UserError(
            "--run decides itself what is evaluated: leave out --against, --positions and --no-positions, "
            "or evaluate a CHECKPOINT"
        )
    config = results_config(arguments.run) if arguments.config is None else load_run_config(arguments.config)
    config = _with_arguments(config, arguments)
    out = arguments.out or arguments.run / "evaluation"
    require_writable(out, "choose another --out")
    workers = worker_count(arguments, config.inference.device)
    evaluation = evaluate_run(arguments.run, config, workers, ProgressLines())
    extra = {
        "run": str(arguments.run),
        "seed": config.run.seed,
        "device": config.inference.device,
        "search": asdict(replace(config.search, simulations=config.evaluation.simulations)),
    }
    return _finish(arguments, evaluation, extra, out)


def _run_agent(arguments: argparse.Namespace) -> int:
    config = _with_arguments(Config(), arguments)
    seed, evaluation_config = config.run.seed, config.evaluation
    agent = parse_agent(arguments.agent, seed=seed)
    search, search_note = search_of(agent, arguments.config)
    opponents = [parse_agent(text, agent.game, seed) for text in arguments.against]
    for text, opponent in zip(arguments.against, opponents, strict=True):
        if opponent.game != agent.game:
            raise UserError(
                f"{text} plays {opponent.game}, {arguments.agent} plays {agent.game}; give agents of one game"
            )
    positions, note = _positions(arguments, agent.game)
    if positions and not agent.has_network:
        positions, note = [], f"not used, {agent.name} has no network whose choices could be scored"
    if not opponents and not positions:
        raise UserError(f"nothing to do (solved positions: {note}); add --against random, for instance")
    if arguments.out is not None:
        require_writable(arguments.out, "choose another --out")
    setting = Setting.of(replace(config, search=search))
    print(f"search: {search_note}", file=sys.stderr, flush=True)
    with WorkerPool(worker_count(arguments, config.inference.device)) as pool:
        evaluation = evaluate_agent(
            Session(pool, setting, ProgressLines()),
            agent,
            _with_different_names([agent, *opponents])[1:],
            positions,
            note,
            evaluation_config.match_games,
            evaluation_config.opening_moves,
            seed,
        )
    extra = {
        "checkpoint": arguments.agent,
        "seed": seed,
        "device": config.inference.device,
        "search": asdict(setting.search),
        "search_note": search_note,
    }
    return _finish(arguments, evaluation, extra, arguments.out)


def _finish(
    arguments: argparse.Namespace, evaluation: Evaluation, extra: Mapping[str, Any], out: Path | None
) -> int:
    try:
        if out is not None:
            with writing_results(out):
                write_evaluation(out, evaluation, extra)
    finally:
        if arguments.json:
            print(json.dumps({**evaluation_record(evaluation), **extra}, indent=2))
        else:
            print(format_evaluation(evaluation))
    return 0


def _with_arguments(config: Config, arguments: argparse.Namespace) -> Config:
    """Return `config` with what was given on the command line, and with its device looked up."""
    given = {
        "simulations": arguments.simulations,
        "positions_per_set": arguments.positions_per_set,
        "match_games": arguments.matches,
        "opening_moves": arguments.opening_moves,
        "pure_mcts_simulations": arguments.pure_mcts_simulations,
    }
    changes = {name: value for name, value in given.items() if value is not None}
    inference = config.inference
    if arguments.device is not None:
        inference = replace(inference, device=str(resolve_device(arguments.device)))
    return replace(
        config,
        evaluation=replace(config.evaluation, **changes),
        inference=inference_here(inference),
        run=config.run if arguments.seed is None else replace(config.run, seed=arguments.seed),
    )


def _positions(arguments: argparse.Namespace, game: str) -> tuple[list[SolvedPosition], str]:
    """Return the solved positions to use, and a sentence about them."""
    if arguments.no_positions:
        return [], "left out (--no-positions)"
    if arguments.positions is None:
        return solved_positions_of(game, arguments.positions_per_set)
    if game != "connect_four":
        raise UserError(f"--positions holds Connect Four positions, but {arguments.agent} plays {game}")
    positions = load_positions_file(arguments.positions, arguments.positions_per_set)
    return positions, f"{len(positions):,} positions of {arguments.positions}"


def _with_different_names(agents: list[Agent]) -> list[Agent]:
    """Number agents whose names are taken, so that tables tell them apart."""
    named: list[Agent] = []
    for agent in agents:
        name, number = agent.name, 2
        while name in {other.name for other in named}:
            name, number = f"{agent.name} ({number})", number + 1
        named.append(replace(agent, name=name))
    return named


def _number(least: int) -> Callable[[str], int]:
    """Return an argparse type: a whole number of at least `least`."""

    def parse(text: str) -> int:
        try:
            number = int(text)
        except ValueError:
            number = least - 1
        if number < least:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least {least}")
        return number

    return parse
