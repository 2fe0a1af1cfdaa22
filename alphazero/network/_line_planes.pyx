"""Line planes of many observations: `LinePlanes.forward` in a fifth of the time, on a CPU."""

from libc.stdint cimport int32_t, uint8_t


def fill(
    const uint8_t[:, :, ::1] observations,
    const int32_t[:, ::1] lines,
    float[:, :, ::1] planes,
):
    """Fill `planes` [B, 2 (K - 1), N], what `LinePlanes` gives for `observations` [B, C, N] and `lines` [L, K].

    Planes 0 and 1 of an observation are 0 or 1; C is 2 or more.
    """
    cdef Py_ssize_t row, line, place, cell
    cdef Py_ssize_t length = lines.shape[1]
    cdef Py_ssize_t cells = observations.shape[2]
    cdef int own, opponents
    cdef Py_ssize_t plane
    planes[:, :, :] = 0.0
    with nogil:
        for row in range(observations.shape[0]):
            for line in range(lines.shape[0]):
                own = 0
                opponents = 0
                for place in range(length):
                    cell = lines[line, place]
                    own += observations[row, 0, cell]
                    opponents += observations[row, 1, cell]
                if (own == 0) == (opponents == 0):
                    continue  # nobody's yet, or nobody's any more
                if own + opponents >= length:
                    continue  # filled
                plane = 2 * (own + opponents - 1) + (opponents > 0)
                for place in range(length):
                    cell = lines[line, place]
                    if observations[row, 0, cell] + observations[row, 1, cell] == 0:
                        planes[row, plane, cell] += 1.0
