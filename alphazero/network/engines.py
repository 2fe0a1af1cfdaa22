"""Inference engines by name.

    eager    the network as it is: float32, or autocast to half precision on CUDA (the baseline)
    frozen   CPU: batch norm folded, activations in oneDNN's layout (docs/decisions/0003-cpu-engine.md)
    winograd CPU: one position after the other, in our own compiled code (winograd_engine.py)
    openvino CPU: the same on OpenVINO, if that is installed (openvino_engine.py)
    graphs   CUDA: folded, half precision, channels last, CUDA graphs, pinned staging, copy streams
    compiled CPU and CUDA: the folded network through torch.compile (compiled_engine.py), on CUDA in graphs' place
             of the plain one; takes long to start, so that it is used only where it is named
    simulated:NAME   computes nothing, takes the time of a modelled device (simulated_engine.py)

`make_engine` builds one and wraps it in a `GuardedEngine`, which survives running out of device memory
and answers that are not finite.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch

from alphazero.config import SIMULATED_PREFIX
from alphazero.errors import UserError
from alphazero.games.game import Line
from alphazero.network.compiled_engine import CompiledEngine
from alphazero.network.eager_engine import EagerEngine
from alphazero.network.engine_protocol import InferenceEngine
from alphazero.network.frozen_engine import FrozenEngine
from alphazero.network.graphs_engine import GraphsEngine
from alphazero.network.guarded_engine import GuardedEngine, is_out_of_device_memory
from alphazero.network.openvino_engine import OpenVinoEngine, has_openvino
from alphazero.network.resnet import PolicyValueNetwork
from alphazero.network.simulated_engine import SimulatedEngine
from alphazero.network.winograd_engine import WinogradEngine, counts_lines, instruction_set

ENGINE_NAMES = ("auto", "eager", "frozen", "winograd", "openvino", "graphs", "compiled")

# Up to so many it was the fastest for Connect Four, with all batches and instructions measured (docs/decisions/0033).
_FILTERS_FOR_WINOGRAD = 48


def make_engine(
    name: str,
    network: PolicyValueNetwork,
    device: str = "auto",
    use_amp: bool = True,
    pinned_memory: bool = True,
    max_batch: int = 256,
) -> InferenceEngine:
    """Return a guarded engine that evaluates with (a copy of) `network`.

    Args:
        name: "auto" (`usual_engine`; self-play measures all of `candidate_engines`, see
            `selfplay.engine_at_start`), "eager", "frozen", "winograd", "openvino", "graphs", "compiled", or
            "simulated:a100"
            and the like, which needs no device.
        network: first weights; not kept.
        device: "auto" (CUDA if there is any), "cpu", "cuda" or "cuda:N".
        use_amp: half precision on CUDA; bfloat16 in `frozen`, `winograd`, `openvino` and `compiled` on a CPU that has
            instructions for it.
        pinned_memory: page-locked staging on CUDA; no effect on a CPU.
        max_batch: rows at most in one forward pass.

    Raises UserError for an unknown name, a device that is not there, or an engine that cannot run on it.
    """
    if name.startswith(SIMULATED_PREFIX):
        return SimulatedEngine(name, network, max_batch)
    if name not in ENGINE_NAMES:
        raise UserError(f"unknown inference engine {name!r}; known: {', '.join(ENGINE_NAMES)}")
    resolved = resolve_device(device)
    if name == "auto":
        name = usual_engine(network, resolved.type, use_amp)
    try:
        engine = _make_engine(name, network, resolved, use_amp, pinned_memory, max_batch)
    except RuntimeError as error:
        if not is_out_of_device_memory(error):
            raise
        raise UserError(
            f"the device has no memory left for an inference engine of {max_batch} rows; free some, lower "
            f"inference.batch_size or use a smaller network. The device said: {str(error).splitlines()[0]}"
        ) from error
    return GuardedEngine(engine, network, resolved)


def _make_engine(
    name: str,
    network: PolicyValueNetwork,
    device: torch.device,
    use_amp: bool,
    pinned_memory: bool,
    max_batch: int,
) -> InferenceEngine:
    if name == "eager":
        return EagerEngine(network, device, use_amp, pinned_memory, max_batch)
    if name == "frozen":
        return FrozenEngine(network, device, max_batch, half=use_amp)
    if name == "winograd":
        return WinogradEngine(network, device, max_batch, half=use_amp)
    if name == "openvino":
        return OpenVinoEngine(network, device, max_batch, half=use_amp)
    if name == "compiled" and device.type == "cpu":
        return CompiledEngine(network, max_batch, half=use_amp)
    if device.type != "cuda":
        raise UserError("engine 'graphs' needs a CUDA device; on a CPU use 'frozen', 'eager' or 'auto'")
    return GraphsEngine(network, device, use_amp, pinned_memory, max_batch, name == "compiled")


def usual_engine(network: PolicyValueNetwork, device: str, use_amp: bool) -> str:
    """Return what 'auto' stands for on `device` ("cpu", "cuda") where nothing is measured."""
    architecture = network.architecture
    suits = architecture.config.filters <= _FILTERS_FOR_WINOGRAD and counts_lines(architecture.winning_lines)
    if device == "cpu" and suits and instruction_set(use_amp) is not None:
        return "winograd"
    return candidate_engines(device)[0]


def candidate_engines(device: str, lines: tuple[Line, ...] = ()) -> list[str]:
    """Return the engines that 'auto' chooses from on `device` ("cpu", "cuda:0", ...), the usual winner first.

    lines: those that the network has planes of.
    """
    if device.startswith("cuda"):
        return ["graphs", "eager"]
    winograd = ["winograd"] if instruction_set(half=True) and counts_lines(lines) else []
    openvino = ["openvino"] if has_openvino() else []
    return ["frozen", *winograd, *openvino, "eager"]


def resolve_device(device: str) -> torch.device:
    """Return the torch device for "auto", "cpu", "cuda" (the first) or "cuda:N".

    Raises UserError for anything else, or if the device is not there.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise UserError(f"unknown device {device!r}; allowed: auto, cpu, cuda, cuda:N") from error
    if resolved.type not in ("cpu", "cuda"):
        raise UserError(f"device {device!r} is not supported; allowed: auto, cpu, cuda, cuda:N")
    if resolved.type == "cpu":
        return resolved
    if not torch.cuda.is_available():
        raise UserError(
            f"device {device!r} was asked for, but torch sees no CUDA device; "
            "use device = 'auto' or 'cpu', or check the driver with `alphazero detect`"
        )
    count = torch.cuda.device_count()
    index = resolved.index or 0
    if index >= count:
        raise UserError(f"there is no {device!r}: torch sees {count} CUDA device(s), numbered from 0")
    capability, built_for = torch.cuda.get_device_capability(index), torch.cuda.get_arch_list()
    if not has_code_for(capability, built_for):
        raise UserError(
            f"{torch.cuda.get_device_name(index)} has compute capability {capability[0]}.{capability[1]}, and torch "
            f"{torch.__version__} has code for {', '.join(built_for)} only; install torch for another CUDA "
            "(docs/install.md), or set inference.device = 'cpu'"
        )
    return torch.device("cuda", index)


def has_code_for(capability: tuple[int, int], built_for: Sequence[str]) -> bool:
    """Return whether a GPU runs what torch was built for, as `torch.cuda.get_arch_list` names it.

    sm_86 is machine code for 8.6 to 8.9, sm_90a for 9.0 alone; compute_90 is compiled for 9.0 and all that came
    later. True where no name is of this kind (other vendors).
    """
    known = [re.fullmatch(r"(sm|compute)_(\d+)(\d)([a-z]?)", name) for name in built_for]
    named = [match for match in known if match]
    return not named or any(
        (major, minor) == capability
        if suffix
        else (major, minor) <= capability and (kind == "compute" or major == capability[0])
        for kind, major, minor, suffix in ((m[1], int(m[2]), int(m[3]), m[4]) for m in named)
    )
