"""`tree_ops.h` as Cython sees it."""

from libc.stdint cimport int32_t, uint8_t


cdef extern from "alphazero/mcts/tree_ops.h" nogil:
    ctypedef struct alphazero_tree_ops:
        void* self
        int32_t (*select_leaves)(
            void* self, const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents, int32_t* actions
        ) noexcept nogil
        void (*backup_terminal)(
            void* self, const int32_t* trees, const int32_t* nodes, const uint8_t* terminal,
            const double* values, int32_t count,
        ) noexcept nogil
