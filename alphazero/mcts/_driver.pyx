"""The compiled loop between compiled trees and compiled rules, once a batch and without the GIL.

`LeafCollector.collect` is the twin of `BatchedSearch._collect_leaves`, `legal_priors` that of
`alphazero.mcts.puct.legal_priors`. The trees are reached through `alphazero_tree_ops` (tree_ops.h), the
rules through `alphazero::StateArena` (state_arena.h), so that any two compiled sides fit together.

Axis letters: K trees wanted or rows found, A actions.
"""

from cpython.pycapsule cimport PyCapsule_GetPointer
from libc.math cimport exp
from libc.stdint cimport int32_t, int64_t, uint8_t
from libc.stdlib cimport free, malloc

from alphazero.games.native._arena cimport StateArena
from alphazero.mcts.tree_ops cimport alphazero_tree_ops

cdef extern from *:
    """
    #include <chrono>
    static inline long long now_ns() {
        return std::chrono::duration_cast<std::chrono::nanoseconds>(
            std::chrono::steady_clock::now().time_since_epoch()).count();
    }
    """
    int64_t now_ns() noexcept nogil


cdef class LeafCollector:
    """Collects leaves for the network from trees and positions that are both compiled.

    Keeps both alive. Belongs to one process, one thread at a time, like them.

    Args:
        trees: a tree backend with a `handle` (PyCapsule "alphazero.tree_ops").
        states: the positions of those trees, with a `handle` (PyCapsule "alphazero.StateArena").
        leaves_per_tree: how often one tree may be wanted in one `collect`.
    """

    cdef object trees
    cdef object states
    cdef const alphazero_tree_ops* ops
    cdef StateArena* arena
    cdef int32_t num_trees
    cdef int32_t most_rows
    # Scratch of most_rows entries each, in one piece of memory that belongs to `values`.
    cdef double* values
    cdef int32_t* wanted
    cdef int32_t* nodes
    cdef int32_t* parents
    cdef int32_t* actions
    cdef uint8_t* terminal
    cdef int64_t tree_ns, rules_ns, encoding_ns  # spent since they were last taken

    def __cinit__(self, trees, states, int leaves_per_tree=1):
        cdef size_t count = trees.num_trees * leaves_per_tree
        if states.num_trees != trees.num_trees:
            raise ValueError(f"{trees.num_trees} trees, but positions for {states.num_trees}")
        self.trees = trees
        self.states = states
        self.num_trees = trees.num_trees
        self.tree_ns = self.rules_ns = self.encoding_ns = 0
        self.most_rows = <int32_t>count
        self.ops = <const alphazero_tree_ops*>PyCapsule_GetPointer(trees.handle, "alphazero.tree_ops")
        self.arena = <StateArena*>PyCapsule_GetPointer(states.handle, "alphazero.StateArena")
        self.values = <double*>malloc(count * (sizeof(double) + 4 * sizeof(int32_t) + sizeof(uint8_t)))
        if self.values == NULL:
            raise MemoryError(f"no memory to collect leaves of {count} trees")
        self.wanted = <int32_t*>(self.values + count)
        self.nodes = self.wanted + count
        self.parents = self.nodes + count
        self.actions = self.parents + count
        self.terminal = <uint8_t*>(self.actions + count)

    def __dealloc__(self):
        free(self.values)

    def collect(
        self,
        const int32_t[::1] trees,
        int32_t[::1] leaf_trees,
        int32_t[::1] leaf_nodes,
        int32_t[::1] offsets,
        int32_t[::1] actions,
        uint8_t[:, :, :, ::1] observations,
    ):
        """Select one leaf in each of `trees` and return how many need the network.

        A leaf where the game is over is backed up at once and its tree selects again; a tree with no
        simulations remaining has no row. Rows stand in the order in which they were found.

        Args:
            trees: int32 [K] IN, no tree more than leaves_per_tree times.
            leaf_trees, leaf_nodes: int32 [>= K] OUT.
            offsets: int32 [>= K+1] OUT; actions: int32 OUT, room for K * max_legal_actions: the legal
                actions of the rows in CSR form, ascending.
            observations: uint8 [>= K, C, H, W] OUT.
        """
        cdef int32_t count = <int32_t>trees.shape[0]
        cdef int32_t rows, row
        cdef int64_t found, listed
        if count == 0:
            offsets[0] = 0
            return 0
        if (
            count > self.most_rows
            or leaf_trees.shape[0] < count
            or leaf_nodes.shape[0] < count
            or offsets.shape[0] <= count
            or observations.shape[0] < count
        ):
            raise ValueError(f"arrays too short for {count} leaves (of {self.most_rows} at most)")
        for row in range(count):
            if not 0 <= trees[row] < self.num_trees:
                raise IndexError(f"tree {trees[row]} of {self.num_trees}")
            self.wanted[row] = trees[row]
        with nogil:
            rows = self.find_leaves(count, &leaf_trees[0], &leaf_nodes[0])
            if rows > 0:
                found = now_ns()
                self.arena.legal_actions(&leaf_trees[0], &leaf_nodes[0], rows, &offsets[0], &actions[0])
                listed = now_ns()
                self.arena.encode(&leaf_trees[0], &leaf_nodes[0], rows, &observations[0, 0, 0, 0])
                self.rules_ns += listed - found
                self.encoding_ns += now_ns() - listed
        if rows < 0:
            raise MemoryError("no memory for one more node of a tree")
        return rows

    def take_seconds(self):
        """Return the seconds spent in (tree, rules, encoding) since the last call.

        The clock is read a few times a batch, not a leaf: that costs nothing one could measure.
        """
        seconds = (1e-9 * self.tree_ns, 1e-9 * self.rules_ns, 1e-9 * self.encoding_ns)
        self.tree_ns = self.rules_ns = self.encoding_ns = 0
        return seconds

    cdef int32_t find_leaves(self, int32_t count, int32_t* leaf_trees, int32_t* leaf_nodes) except? -2 nogil:
        """Fill the leaves of the first `count` trees in `wanted`; return their number, -1 without memory."""
        cdef int32_t rows = 0
        cdef int32_t row, selected, again
        cdef int64_t began = now_ns()
        cdef int64_t chosen, stepped
        while count > 0:
            if self.ops.select_leaves(
                self.ops.self, self.wanted, count, self.nodes, self.parents, self.actions
            ):
                return -1
            selected = 0
            for row in range(count):
                if self.nodes[row] >= 0:
                    self.wanted[selected] = self.wanted[row]
                    self.nodes[selected] = self.nodes[row]
                    self.parents[selected] = self.parents[row]
                    self.actions[selected] = self.actions[row]
                    selected += 1
            chosen = now_ns()
            self.arena.step(self.wanted, self.parents, self.actions, self.nodes, selected)
            self.arena.terminal_values(self.wanted, self.nodes, selected, self.terminal, self.values)
            stepped = now_ns()
            self.tree_ns += chosen - began
            self.rules_ns += stepped - chosen
            self.ops.backup_terminal(
                self.ops.self, self.wanted, self.nodes, self.terminal, self.values, selected
            )
            again = 0
            for row in range(selected):
                if self.terminal[row]:
                    self.wanted[again] = self.wanted[row]
                    again += 1
                else:
                    leaf_trees[rows] = self.wanted[row]
                    leaf_nodes[rows] = self.nodes[row]
                    rows += 1
            count = again
            began = now_ns()
            self.tree_ns += began - stepped
        return rows


def legal_priors(
    const float[:, ::1] policy_logits, const int32_t[::1] offsets, const int32_t[::1] actions, float[::1] priors
):
    """Fill `priors` with the softmax over the legal actions of each row: see `alphazero.mcts.puct`."""
    cdef Py_ssize_t rows = offsets.shape[0] - 1
    cdef Py_ssize_t row
    cdef double* exponentials
    if rows <= 0:
        return
    if policy_logits.shape[0] < rows or offsets[rows] > actions.shape[0] or offsets[rows] > priors.shape[0]:
        raise ValueError(
            f"{rows} rows with {offsets[rows]} legal actions in {policy_logits.shape[0]} rows of logits, "
            f"{actions.shape[0]} actions and {priors.shape[0]} priors"
        )
    exponentials = <double*>malloc(max(policy_logits.shape[1], 1) * sizeof(double))
    if exponentials == NULL:
        raise MemoryError(f"no memory for {policy_logits.shape[1]} actions")
    with nogil:
        for row in range(rows):
            if offsets[row + 1] <= offsets[row]:  # a plug-in's mistake, which the trees refuse with its node's number
                continue
            softmax(
                &policy_logits[row, 0], &actions[offsets[row]], offsets[row + 1] - offsets[row],
                exponentials, &priors[offsets[row]],
            )
    free(exponentials)


cdef inline void softmax(
    const float* logits, const int32_t* actions, int32_t count, double* exponentials, float* priors
) noexcept nogil:
    """logits float32 [A] IN; actions int32 [count > 0] IN; exponentials scratch [A]; priors float32 [count] OUT."""
    cdef double largest
    cdef double total = 0.0
    cdef int32_t i
    largest = logits[actions[0]]
    for i in range(1, count):
        largest = max(largest, <double>logits[actions[i]])
    for i in range(count):
        exponentials[i] = exp(logits[actions[i]] - largest)
        total += exponentials[i]
    for i in range(count):
        priors[i] = <float>(exponentials[i] / total)
