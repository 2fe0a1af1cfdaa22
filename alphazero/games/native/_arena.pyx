"""`NativeStates`: the `States` protocol over any C++ `StateArena`.

A game derives from it in a few lines: its `__cinit__` makes the arena, everything else is here
(`_connect_four.pyx` is the example). All work is done without the GIL.
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int32_t, uint8_t, uint64_t

import numpy as np


cdef class NativeStates:
    """An arena of positions in C++; see `alphazero.games.game.States` for every method.

    Owns its arena and frees it. Belongs to one process and one thread at a time.
    Arrays are int32, uint8 and float64, C-contiguous; anything else raises ValueError. Tree and node
    numbers and actions are trusted, as the protocol says.
    """

    def __cinit__(self, int num_trees, *_):
        if num_trees < 1:
            raise ValueError(f"num_trees is {num_trees}; an arena needs at least one tree")
        self.arena = NULL
        self.num_trees = num_trees

    def __init__(self, int num_trees, *_):
        if self.arena == NULL:
            raise TypeError("NativeStates has no rules; use the class of a game, such as ConnectFourStates")

    def __dealloc__(self):
        del self.arena

    @property
    def handle(self):
        """PyCapsule "alphazero.StateArena" around the `alphazero::StateArena*`, for compiled drivers.

        The capsule does not own the arena: whoever uses the pointer keeps this object alive as well.
        """
        return PyCapsule_New(<void*>self.arena, "alphazero.StateArena", NULL)

    def reset(self, const int32_t[::1] trees):
        cdef const int32_t* first_tree = _first(trees)
        cdef int32_t count = <int32_t>trees.shape[0]
        with nogil:
            self.arena.reset(first_tree, count)

    def set_root(self, int tree, moves):
        cdef const int32_t[::1] move_array = np.asarray(moves, dtype=np.int32)
        self.arena.set_root(tree, _first(move_array), <int32_t>move_array.shape[0])

    def step(
        self,
        const int32_t[::1] trees,
        const int32_t[::1] parents,
        const int32_t[::1] actions,
        const int32_t[::1] nodes,
    ):
        cdef int32_t count = <int32_t>trees.shape[0]
        _check_length("parents", parents.shape[0], count)
        _check_length("actions", actions.shape[0], count)
        _check_length("nodes", nodes.shape[0], count)
        if count == 0:
            return
        with nogil:
            self.arena.step(&trees[0], &parents[0], &actions[0], &nodes[0], count)

    def terminal_values(
        self,
        const int32_t[::1] trees,
        const int32_t[::1] nodes,
        uint8_t[::1] terminal,
        double[::1] values,
    ):
        cdef int32_t count = <int32_t>trees.shape[0]
        _check_length("nodes", nodes.shape[0], count)
        _check_length("terminal", terminal.shape[0], count)
        _check_length("values", values.shape[0], count)
        if count == 0:
            return
        with nogil:
            self.arena.terminal_values(&trees[0], &nodes[0], count, &terminal[0], &values[0])

    def legal_actions(
        self,
        const int32_t[::1] trees,
        const int32_t[::1] nodes,
        int32_t[::1] offsets,
        int32_t[::1] actions,
    ):
        cdef int32_t count = <int32_t>trees.shape[0]
        cdef int32_t total
        _check_length("nodes", nodes.shape[0], count)
        _check_length("offsets", offsets.shape[0], count + 1)
        if count == 0:
            offsets[0] = 0
            return 0
        with nogil:
            total = self.arena.legal_actions(&trees[0], &nodes[0], count, &offsets[0], &actions[0])
        return total

    def encode(self, const int32_t[::1] trees, const int32_t[::1] nodes, uint8_t[:, :, :, ::1] out):
        cdef int32_t count = <int32_t>trees.shape[0]
        _check_length("nodes", nodes.shape[0], count)
        _check_length("out", out.shape[0], count)
        if count == 0:
            return
        with nogil:
            self.arena.encode(&trees[0], &nodes[0], count, &out[0, 0, 0, 0])

    def advance(self, int tree, int action, const int32_t[::1] kept_nodes):
        cdef const int32_t* kept = _first(kept_nodes)
        cdef int32_t count = <int32_t>kept_nodes.shape[0]
        with nogil:
            self.arena.advance(tree, action, kept, count)

    def random_rollouts(
        self,
        const int32_t[::1] trees,
        const int32_t[::1] leaves,
        uint64_t[::1] streams,
        int32_t[::1] actions,
        float[::1] values,
    ):
        """Play a random game from each (trees[i], leaves[i]), where the game must go on.

        Beyond the protocol: a search with random rollouts needs hundreds of moves a leaf. Nodes behind
        a leaf are overwritten.

        Args:
            streams: uint64 [B], a SplitMix64 state each; they advance.
            actions: int32, scratch memory for the legal actions of one position.
            values: float32 [B], filled: +1, 0 or -1 for the player to move at the leaf.
        """
        cdef int32_t i, count = <int32_t>trees.shape[0]
        _check_length("leaves", leaves.shape[0], count)
        _check_length("streams", streams.shape[0], count)
        _check_length("values", values.shape[0], count)
        with nogil:
            for i in range(count):
                values[i] = <float>random_rollout(self.arena[0], trees[i], leaves[i], streams[i], &actions[0])


cdef inline const int32_t* _first(const int32_t[::1] array) noexcept:
    """Pointer to the first entry; NULL for an empty array, whose entry 0 may not be named."""
    return &array[0] if array.shape[0] > 0 else NULL


cdef inline int _check_length(str name, Py_ssize_t length, Py_ssize_t needed) except -1:
    """One comparison a call: shorter arrays would be read and written outside their memory."""
    if length < needed:
        raise ValueError(f"{name} has {length} entries; {needed} are needed, to fit `trees`")
    return 0
