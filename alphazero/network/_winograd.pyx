"""The policy and value network on one core of an x86-64 processor (winograd.h), as winograd_engine.py prepares it."""

from dataclasses import dataclass

import numpy as np

from libc.stdint cimport int32_t, uint8_t
from libcpp cimport bool as cpp_bool
from libcpp.memory cimport unique_ptr
from libcpp.vector cimport vector


cdef extern from "alphazero/network/winograd.h" namespace "az::winograd" nogil:
    cppclass Sizes:
        int rows, columns, planes, filters, blocks, policy_filters, value_filters, value_hidden, actions, line_length
        vector[int32_t] lines

    cppclass Layer:
        const void* weights
        const float* bias

    cppclass Weights:
        vector[Layer] tower
        Layer heads, policy_output, value_hidden, value_output

    cppclass AnyEvaluator:
        void evaluate(const Weights&, size_t, const uint8_t*, float*, float*)

    cppclass Instructions:
        const char* name
        int lanes
        int word_channels
        cpp_bool (*here)()
        unique_ptr[AnyEvaluator] (*make)(const Sizes&) except +

    vector[Instructions] all_instructions()


@dataclass(frozen=True)
class InstructionSet:
    """What an evaluator can be made for on this processor.

    Attributes:
        name: "avx512_bf16", "avx512" or "avx2".
        lanes: filters and outputs are padded to multiples of it.
        word_channels: inputs that are multiplied at once: 2, in bfloat16, or 1, in float32.
    """

    name: str
    lanes: int
    word_channels: int


def instruction_sets() -> list:
    """Return those that this processor has, the fastest first; none where none is written for it."""
    return [
        InstructionSet(instructions.name.decode(), instructions.lanes, instructions.word_channels)
        for instructions in all_instructions()
        if instructions.here()
    ]


cdef class Evaluator:
    """Evaluates observations; used by one thread at a time. Sizes are trusted.

    Args:
        instructions: name of one of `instruction_sets`.
        sizes: the fields of `Sizes` in winograd.h but for `lines`.
        lines: int32 [L, K], or None for a network without line planes.
    """

    cdef unique_ptr[AnyEvaluator] _evaluator
    cdef Weights _weights
    cdef list _arrays  # what `_weights` points to
    cdef int _blocks

    def __init__(self, str instructions, dict sizes, const int32_t[:, ::1] lines):
        cdef Sizes native
        cdef Py_ssize_t line, place
        native.rows = sizes["rows"]
        native.columns = sizes["columns"]
        native.planes = sizes["planes"]
        native.filters = sizes["filters"]
        native.blocks = self._blocks = sizes["blocks"]
        native.policy_filters = sizes["policy_filters"]
        native.value_filters = sizes["value_filters"]
        native.value_hidden = sizes["value_hidden"]
        native.actions = sizes["actions"]
        native.line_length = 0
        if lines is not None:
            native.line_length = lines.shape[1]
            for line in range(lines.shape[0]):
                for place in range(lines.shape[1]):
                    native.lines.push_back(lines[line, place])
        for known in all_instructions():
            if known.name.decode() == instructions and known.here():
                self._evaluator = known.make(native)
                return
        raise ValueError(f"this processor has no {instructions}")

    def load(self, list layers) -> None:
        """Take over (packed weights, float32 biases) of each layer of the tower, of the heads, and of the three linear
        layers, policy first. The arrays are kept, not copied; their sizes are trusted.
        """
        cdef list arrays = []
        cdef vector[Layer] native
        cdef Layer layer
        cdef const uint8_t[::1] weights
        cdef const float[::1] biases
        if len(layers) != 1 + 2 * self._blocks + 4:
            raise ValueError(f"{len(layers)} layers for {self._blocks} blocks")
        for packed, bias in layers:
            weights = packed.reshape(-1).view(np.uint8)
            biases = bias.reshape(-1)
            layer.weights = &weights[0]
            layer.bias = &biases[0]
            native.push_back(layer)
            arrays.append((packed, bias))
        self._weights.value_output = native.back()
        native.pop_back()
        self._weights.value_hidden = native.back()
        native.pop_back()
        self._weights.policy_output = native.back()
        native.pop_back()
        self._weights.heads = native.back()
        native.pop_back()
        self._weights.tower = native
        self._arrays = arrays

    def evaluate(self, const uint8_t[:, :, :, ::1] observations, float[:, ::1] logits, float[::1] values) -> None:
        """Write policy logits [B, A] and values [B] of observations [B, C, H, W]."""
        cdef size_t rows = observations.shape[0]
        if logits.shape[0] != observations.shape[0] or values.shape[0] != observations.shape[0]:
            raise ValueError("as many answers as observations are to be written")
        if rows == 0:
            return
        with nogil:
            self._evaluator.get().evaluate(self._weights, rows, &observations[0, 0, 0, 0], &logits[0, 0], &values[0])
