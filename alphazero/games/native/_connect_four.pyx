"""`ConnectFourStates`: Connect Four's compiled arena (`connect_four.h`)."""

from libc.stdint cimport int32_t

from alphazero.games.native._arena cimport NativeStates, StateArena


cdef extern from "alphazero/games/native/connect_four.h" namespace "alphazero" nogil:
    cdef cppclass ConnectFourArena(StateArena):
        ConnectFourArena(int32_t num_trees) except +


cdef class ConnectFourStates(NativeStates):
    """`alphazero.games.game.States` for Connect Four, every root at the start position."""

    def __cinit__(self, int num_trees):
        self.arena = new ConnectFourArena(num_trees)
