"""`ChessStates`: chess's compiled arena (`chess.h`), and perft (`chess_moves.h`).

Nothing is parsed or checked in C++: positions come from `alphazero.games.chess`, which does both.
"""

from libc.stdint cimport int32_t, uint8_t, uint16_t, uint64_t

from alphazero.games.chess.notation import parse_fen

from alphazero.games.native._arena cimport NativeStates, StateArena


cdef extern from "alphazero/games/native/chess.h" namespace "alphazero::chess" nogil:
    cdef cppclass Position:
        uint64_t[6] pieces
        uint64_t[2] colors
        uint64_t key
        uint8_t turn
        uint8_t castling
        uint8_t en_passant

    cdef cppclass PackedPosition:
        pass

    cdef cppclass Node:
        PackedPosition position
        uint16_t halfmove_clock
        uint16_t fullmove_number
        uint16_t ply
        uint8_t repetitions

    PackedPosition pack(const Position& position)
    Position unpack(const PackedPosition& packed)
    uint64_t zobrist_key(const Position& position)
    uint64_t count_sequences "alphazero::chess::perft"(const Position& position, int depth)


cdef extern from "alphazero/games/native/chess.h" namespace "alphazero" nogil:
    cdef cppclass ChessArena(StateArena):
        ChessArena(int32_t num_trees, const Node& start) except +
        const Node& node(int32_t tree, int32_t node)


cdef class ChessStates(NativeStates):
    """`alphazero.games.game.States` for chess, every root at `start`.

    start: a `ChessState` without a past (ply 0), such as `Chess(fen).initial_state()`.
    """

    def __cinit__(self, int num_trees, start):
        cdef Node node
        node.position = pack(_native_position(start.position))
        node.halfmove_clock = start.halfmove_clock
        node.fullmove_number = start.fullmove_number
        self.arena = new ChessArena(num_trees, node)

    def state(self, int tree, int node):
        """Return what `ChessState` holds but for the past, as nested tuples, for comparison with it."""
        cdef Node native = (<ChessArena*>self.arena).node(tree, node)
        cdef Position position = unpack(native.position)
        pieces = tuple(position.pieces[kind] for kind in range(6))
        colors = (position.colors[0], position.colors[1])
        return (
            (pieces, colors, position.turn, position.castling, position.en_passant),
            native.halfmove_clock,
            native.fullmove_number,
            native.ply,
            native.repetitions,
        )

    def key_is_current(self, int tree, int node):
        """Return whether the key kept move by move is the one worked out afresh."""
        cdef Position position = unpack((<ChessArena*>self.arena).node(tree, node).position)
        return position.key == zobrist_key(position)


def perft(str fen, int depth):
    """Return the number of sequences of `depth` legal moves from `fen`, draws ignored.

    Raises NotationError for no FEN, ValueError for a negative depth.
    """
    if depth < 0:
        raise ValueError(f"the depth of perft is {depth}; it must be at least 0")
    cdef Position position = _native_position(parse_fen(fen).position)
    cdef uint64_t count
    with nogil:
        count = count_sequences(position, depth)
    return count


cdef Position _native_position(position):
    cdef Position native
    for kind in range(6):
        native.pieces[kind] = position.pieces[kind]
    for color in range(2):
        native.colors[color] = position.colors[color]
    native.turn = position.turn
    native.castling = position.castling
    native.en_passant = position.en_passant
    native.key = zobrist_key(native)
    return native
