"""`EvaluationCache.look_up` for a batch in one pass: the same keys, places and answers as with NumPy, sooner."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t


def pack(const uint8_t[:, ::1] rows, bint bits, uint8_t[:, ::1] keys):
    """Write rows [B, N] into `keys` [B, bytes of a key], zeros; return whether they were all bits, if `bits` says so.

    bits: eight bytes of a row, each 0 or 1, become one, the first its highest bit, as `numpy.packbits` has it.
    """
    cdef Py_ssize_t row, byte, bit
    cdef Py_ssize_t length = rows.shape[1]
    cdef uint8_t packed, seen = 0
    with nogil:
        for row in range(rows.shape[0]):
            if not bits:
                for byte in range(length):
                    keys[row, byte] = rows[row, byte]
                continue
            for byte in range(length // 8):
                packed = 0
                for bit in range(8):
                    packed = (packed << 1) | rows[row, 8 * byte + bit]
                    seen |= rows[row, 8 * byte + bit]
                keys[row, byte] = packed
            packed = 0
            for bit in range(length % 8):
                packed |= rows[row, length - length % 8 + bit] << (7 - bit)
                seen |= rows[row, length - length % 8 + bit]
            if length % 8:
                keys[row, length // 8] = packed
    return seen <= 1


def find(
    const uint64_t[:, ::1] keys,
    const uint64_t[::1] multipliers,
    int hash_bits,
    const uint64_t[:, ::1] table,
    const uint32_t[::1] filled_in,
    uint32_t generation,
    Py_ssize_t[::1] places,
    Py_ssize_t[::1] asked,
    Py_ssize_t[::1] missing,
    Py_ssize_t[::1] twins,
    int32_t[::1] slots,
):
    """Look up `keys` [B, W]; return how many of `asked` and of `missing` [B] were filled.

    Args:
        multipliers: [W]. hash_bits, table [P, W], filled_in [P], generation: see `EvaluationCache`.
        places: [B] OUT, of each key.
        asked: OUT, rows with an unknown key, the first of each.
        missing: OUT, rows with an unknown key; twins: OUT, for each its index in `asked`.
        slots: scratch, a power of two and at least 2 B.
    """
    cdef Py_ssize_t row, word, place, other
    cdef Py_ssize_t words = keys.shape[1]
    cdef Py_ssize_t num_asked = 0, num_missing = 0
    cdef uint64_t mixed
    cdef uint64_t last_slot = slots.shape[0] - 1
    cdef uint64_t slot
    cdef bint same
    slots[:] = -1
    with nogil:
        for row in range(keys.shape[0]):
            mixed = 0
            for word in range(words):
                mixed += keys[row, word] * multipliers[word]
            mixed ^= mixed >> 30
            mixed *= <uint64_t>0xBF58476D1CE4E5B9
            mixed ^= mixed >> 27
            mixed *= <uint64_t>0x94D049BB133111EB
            place = mixed >> (64 - hash_bits)
            places[row] = place
            same = filled_in[place] == generation
            for word in range(words):
                same = same and table[place, word] == keys[row, word]
            if same:
                continue
            slot = mixed & last_slot
            while slots[slot] >= 0:
                other = asked[slots[slot]]
                same = True
                for word in range(words):
                    same = same and keys[other, word] == keys[row, word]
                if same:
                    break
                slot = (slot + 1) & last_slot
            if slots[slot] < 0:
                slots[slot] = num_asked
                asked[num_asked] = row
                num_asked += 1
            missing[num_missing] = row
            twins[num_missing] = slots[slot]
            num_missing += 1
    return num_asked, num_missing
