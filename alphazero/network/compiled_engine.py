"""The engine of torch.compile: the folded network as kernels that inductor generates for this machine.

Compiled once, in the constructor, for any number of rows: nothing is compiled in mid-game, whatever the size of a
batch. Weights are inputs of the kernels, so that new ones are copied in and nothing is compiled again. On a CPU
the kernels are C++ and run as they are; on CUDA they are Triton's, and `GraphsEngine` captures them.

Measured in docs/decisions/0015-torch-compile-is-an-option.md.
"""

from __future__ import annotations

import torch
from torch import Tensor

from alphazero.errors import UserError
from alphazero.network.engine_protocol import FloatArray, Observations, in_pieces
from alphazero.network.folding import CHANNELS_LAST, FoldedNetwork, StateDict
from alphazero.network.frozen_engine import computes_in_bfloat16
from alphazero.network.guarded_engine import is_out_of_device_memory
from alphazero.network.resnet import PolicyValueNetwork

# Smaller batches are filled up: torch.compile makes other code for sizes 0 and 1, and torch chooses another
# convolution (float32 on a CPU) below 16 rows.
_FEWEST_ROWS = 16
# Kinds of networks that one process compiles before torch gives up; its own limit is 8.
_MOST_KINDS = 256


class CompiledNetwork:
    """A `FoldedNetwork` run through torch.compile. Used by one thread at a time, in inference mode.

    Networks of one size, precision and layout share what was compiled first in their process. Torch keeps the
    result on disk as well (TORCHINDUCTOR_CACHE_DIR), so that other processes and later runs only load it.

    Args:
        network: called from now on through this object alone.
        shape: (C, H, W) of an observation.
        rows: what the code is made for first of all; it takes any number.
        device: of `network`.

    Raises UserError if this machine cannot compile.
    """

    def __init__(
        self, network: FoldedNetwork, shape: tuple[int, int, int], rows: int, device: torch.device
    ) -> None:
        self._network = network
        with torch.inference_mode():  # as at work: code made for one kind of tensor does not take the other
            self._filling = torch.zeros((_FEWEST_ROWS, *shape), dtype=torch.uint8, device=device)
            example = torch.zeros((max(rows, _FEWEST_ROWS), *shape), dtype=torch.uint8, device=device)
        try:
            # dynamic=False: every size is fixed but for the rows, which `mark_dynamic` leaves open.
            self._forward = torch.compile(FoldedNetwork.__call__, fullgraph=True, dynamic=False)
            self._warm_up(example)
        # Compilers fail in as many ways as there are layers between here and the linker.
        except Exception as error:
            if is_out_of_device_memory(error):
                raise
            raise UserError(
                f"engine 'compiled' cannot be made here, torch.compile failed: {_reason(error)}; it needs a C++ "
                "compiler on a CPU (docs/install.md) and Triton on CUDA: install that, or set inference.engine "
                "to auto or any other"
            ) from error

    def __call__(self, observations: Tensor) -> tuple[Tensor, Tensor]:
        """Return what `FoldedNetwork` returns, for uint8 [B, C, H, W] on the network's device, any B."""
        rows = len(observations)
        if rows < _FEWEST_ROWS:
            observations = torch.cat([observations, self._filling[rows:]])
        torch._dynamo.mark_dynamic(observations, 0)
        logits, values = self._forward(self._network, observations)
        return logits[:rows], values[:rows]

    def load_weights(self, state_dict: StateDict) -> None:
        """Take over the weights of a `PolicyValueNetwork`, without compiling."""
        self._network.load_weights(state_dict)

    @torch.inference_mode()
    def _warm_up(self, example: Tensor) -> None:
        """Compile, with fewer rows than those of `example` if they do not fit into the device's memory."""
        from torch._inductor import config  # takes a second that other engines need not wait

        # Threads: the cache on disk has to tell processes with other numbers of them apart.
        settings = {"cpp.threads": torch.get_num_threads()}
        if example.device.type == "cpu":
            settings["compile_threads"] = 1  # every actor may be compiling at this moment
        with config.patch(settings), torch._dynamo.config.patch(recompile_limit=_MOST_KINDS):
            while True:
                try:
                    self(example)
                    return
                except RuntimeError as error:
                    if not is_out_of_device_memory(error) or len(example) <= _FEWEST_ROWS:
                        raise
                example = example[: len(example) // 2]


class CompiledEngine:
    """`InferenceEngine` for a CPU: folded batch norm, torch.compile, channels last.

    Args:
        half: compute convolutions in bfloat16 if this CPU has instructions for it.
    """

    def __init__(self, network: PolicyValueNetwork, max_batch: int, half: bool = False) -> None:
        bfloat16 = half and computes_in_bfloat16()
        self.name = "compiled bfloat16" if bfloat16 else "compiled"
        self.max_batch = max_batch
        device = torch.device("cpu")
        dtype = torch.bfloat16 if bfloat16 else torch.float32
        folded = FoldedNetwork(network, device, dtype, CHANNELS_LAST)
        self._network = CompiledNetwork(folded, network.architecture.observation_shape, max_batch, device)

    @torch.inference_mode()
    def evaluate(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        return in_pieces(self._evaluate_piece, observations, self.max_batch)

    def load_weights(self, state_dict: StateDict) -> None:
        self._network.load_weights(state_dict)

    def _evaluate_piece(self, observations: Observations) -> tuple[FloatArray, FloatArray]:
        logits, values = self._network(torch.from_numpy(observations))
        return logits.numpy(), values.numpy()


def _reason(error: Exception) -> str:
    """Return the line of an error's text that a compiler marked as the error, or else the first that says something."""
    lines = [line.strip() for line in str(error).splitlines()]
    said = [line for line in lines if line and not line.endswith("raised:")] or [type(error).__name__]
    return next((line for line in said if " error: " in line), said[0])
