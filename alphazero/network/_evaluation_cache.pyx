"""`EvaluationCache.look_up` for a batch in one pass: the same keys, places and answers as with NumPy, sooner."""

from libc.stdint cimport int32_t, uint8_t, uint32_t, uint64_t
from libc.string cimport memcpy

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define AZ_PREFETCH(address) __builtin_prefetch(address)
    #else
    #define AZ_PREFETCH(address) ((void)(address))
    #endif
    """
    void AZ_PREFETCH(const void* address) noexcept nogil


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
    const uint8_t[:, ::1] table,
    uint32_t generation,
    float[:, ::1] policy_logits,
    float[::1] values,
    Py_ssize_t[::1] places,
    Py_ssize_t[::1] asked,
    Py_ssize_t[::1] missing,
    Py_ssize_t[::1] twins,
    int32_t[::1] slots,
):
    """Look up `keys` [B, W]; return how many of `asked` and of `missing` [B] were filled.

    Args:
        multipliers: [W]. hash_bits, table [P, bytes of a place], generation: see `EvaluationCache` and `_empty_table`.
        policy_logits, values: [B, A] and [B] OUT, of the keys that are known.
        places: [B] OUT, of each key.
        asked: OUT, rows with an unknown key, the first of each.
        missing: OUT, rows with an unknown key; twins: OUT, for each its index in `asked`.
        slots: scratch, a power of two and at least 2 B.
    """
    cdef Py_ssize_t row, word, place, other
    cdef Py_ssize_t words = keys.shape[1]
    cdef Py_ssize_t num_actions = policy_logits.shape[1]
    cdef Py_ssize_t num_asked = 0, num_missing = 0
    cdef uint64_t last_slot = slots.shape[0] - 1
    cdef uint64_t slot
    cdef const uint8_t* entry
    cdef const float* answer
    cdef bint same
    check_entry(table, words, num_actions)
    slots[:] = -1
    with nogil:
        # All places first: their memory is on its way while the next ones are worked out.
        for row in range(keys.shape[0]):
            place = mixed(keys, multipliers, row) >> (64 - hash_bits)
            places[row] = place
            AZ_PREFETCH(&table[place, 0])
        for row in range(keys.shape[0]):
            entry = &table[places[row], 0]
            answer = <const float*>(entry + words * sizeof(uint64_t))
            same = (<const uint32_t*>(answer + num_actions + 1))[0] == generation
            for word in range(words):
                same = same and (<const uint64_t*>entry)[word] == keys[row, word]
            if same:
                memcpy(&policy_logits[row, 0], answer, num_actions * sizeof(float))
                values[row] = answer[num_actions]
                continue
            slot = mixed(keys, multipliers, row) & last_slot
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


def keep(
    uint8_t[:, ::1] table,
    uint32_t generation,
    const Py_ssize_t[::1] places,
    const uint64_t[:, ::1] keys,
    const float[:, ::1] policy_logits,
    const float[::1] values,
):
    """Write D answers to their places [D]: keys [D, W], policy logits [D, A], values [D]; of two at one place the later.

    table, generation: as for `find`.
    """
    cdef Py_ssize_t row
    cdef Py_ssize_t words = keys.shape[1]
    cdef Py_ssize_t num_actions = policy_logits.shape[1]
    cdef uint8_t* entry
    cdef float* answer
    check_entry(table, words, num_actions)
    if not keys.shape[0] == policy_logits.shape[0] == values.shape[0] == places.shape[0]:
        raise ValueError("as many places, keys, policy logits and values are wanted")
    with nogil:
        for row in range(places.shape[0]):
            AZ_PREFETCH(&table[places[row], 0])
        for row in range(places.shape[0]):
            entry = &table[places[row], 0]
            answer = <float*>(entry + words * sizeof(uint64_t))
            memcpy(entry, &keys[row, 0], words * sizeof(uint64_t))
            memcpy(answer, &policy_logits[row, 0], num_actions * sizeof(float))
            answer[num_actions] = values[row]
            (<uint32_t*>(answer + num_actions + 1))[0] = generation


cdef int check_entry(const uint8_t[:, ::1] table, Py_ssize_t words, Py_ssize_t num_actions) except -1:
    if table.shape[1] < <Py_ssize_t>(words * sizeof(uint64_t) + (num_actions + 2) * sizeof(float)):
        raise ValueError(f"a place of {table.shape[1]} bytes has no room for {words} words and {num_actions} actions")
    return 0


cdef inline uint64_t mixed(const uint64_t[:, ::1] keys, const uint64_t[::1] multipliers, Py_ssize_t row) noexcept nogil:
    """Return the hash of a key: `_mixed` in cached_evaluator.py."""
    cdef uint64_t hashed = 0
    cdef Py_ssize_t word
    for word in range(keys.shape[1]):
        hashed += keys[row, word] * multipliers[word]
    hashed ^= hashed >> 30
    hashed *= <uint64_t>0xBF58476D1CE4E5B9
    hashed ^= hashed >> 27
    hashed *= <uint64_t>0x94D049BB133111EB
    return hashed
