"""The C++ arena as Cython sees it, and the class that carries one across to Python."""

from libc.stdint cimport int32_t, uint8_t, uint64_t


cdef extern from "alphazero/games/native/state_arena.h" namespace "alphazero" nogil:
    cdef cppclass StateArena:
        void reset(const int32_t* trees, int32_t count) except +
        void set_root(int32_t tree, const int32_t* moves, int32_t count) except +
        void step(
            const int32_t* trees, const int32_t* parents, const int32_t* actions, const int32_t* nodes,
            int32_t count,
        ) except +
        void terminal_values(
            const int32_t* trees, const int32_t* nodes, int32_t count, uint8_t* terminal, double* values
        )
        int32_t legal_actions(
            const int32_t* trees, const int32_t* nodes, int32_t count, int32_t* offsets, int32_t* actions
        )
        void encode(const int32_t* trees, const int32_t* nodes, int32_t count, uint8_t* out)
        void advance(int32_t tree, int32_t action, const int32_t* kept, int32_t kept_count) except +


cdef extern from "alphazero/games/native/rollouts.h" namespace "alphazero" nogil:
    double random_rollout(
        StateArena& arena, int32_t tree, int32_t leaf, uint64_t& stream, int32_t* actions
    ) except +


cdef class NativeStates:
    cdef StateArena* arena  # owned; set once, by the subclass's __cinit__
    cdef readonly int num_trees
