"""`CppTrees`: the tree backend in C++, equal to `PythonTrees` to the last bit.

Arrays are checked here; all else is in forest.h (searching) and tree.h (memory of one tree).

Axis letters: K leaves or trees in one call, M nodes of a tree, E edges.
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libcpp cimport bool as cpp_bool

import numpy as np

from alphazero.mcts.backend import RootStatistics, SearchedNodes, TreeSnapshot

from alphazero.mcts.tree_ops cimport alphazero_tree_ops


cdef extern from "alphazero/mcts/cpp/tree_copies.h" namespace "alphazero" nogil:
    int32_t NO_BLOCK "alphazero::kNoBlock"

    struct Edge:
        double value_sum
        int32_t visit_count
        float prior

    struct Link:
        int32_t action
        int32_t child

    struct Node:
        int32_t edge_count
        cpp_bool is_expanded()

    cdef cppclass Tree:
        Edge root_edge
        Node* root()
        int32_t node_count()
        cpp_bool clear()
        @staticmethod
        Edge* edges(Node* node)
        @staticmethod
        Link* links(Node* node)

    void copy_root_edges(
        const Tree& tree, cpp_bool marked, int32_t* actions, int32_t* visit_counts, double* value_sums,
        float* priors, int8_t* proven,
    )
    int32_t find_searched_nodes(
        const Tree& tree, int32_t min_visits, int32_t except_action, int32_t* blocks, int32_t* numbers,
        int32_t* visit_counts, double* value_sums, int32_t* edge_offsets,
    )
    void copy_edges(
        const Tree& tree, cpp_bool marked, const int32_t* blocks, int32_t count, int32_t* actions,
        int32_t* visit_counts, float* priors, int8_t* proven,
    )
    int32_t count_edges(const Tree& tree)
    void copy_tree(
        const Tree& tree, cpp_bool marked, int32_t* parent, int32_t* action, int32_t* visit_count,
        double* value_sum, uint8_t* terminal, int8_t* proven, int32_t* edge_offsets, int32_t* edge_actions,
        float* edge_priors, int32_t* edge_children,
    )


cdef extern from "alphazero/mcts/cpp/forest.h" namespace "alphazero" nogil:
    enum class Status(int32_t):
        kDone
        kNotInFlight
        kNoActions
        kOutOfMemory

    cdef cppclass TreeOptions:
        cpp_bool first_play_from_parent
        double first_play_value
        int32_t leaves_per_tree
        int32_t virtual_loss
        cpp_bool solver
        cpp_bool marked()

    cdef cppclass Forest:
        Forest(int32_t num_trees, int32_t* remaining, int32_t* spared, const TreeOptions& options) except +
        void set_exploration(const double* table, int32_t size)
        int32_t table_size()
        Tree& tree(int32_t index)
        void reset(int32_t index)
        void set_forced_playouts(int32_t index, double factor)
        void set_early_stop(int32_t index, cpp_bool early_stop)
        cpp_bool set_root_quota(int32_t index, const int32_t* quota)
        Status select_leaves(
            const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents, int32_t* actions
        )
        cpp_bool awaits_answer(int32_t index, int32_t number)
        cpp_bool has_leaf_in_flight(int32_t index)
        void backup_terminal(
            const int32_t* trees, const int32_t* nodes, const uint8_t* terminal, const double* values,
            int32_t count,
        )
        Status expand_and_backup(
            const int32_t* trees, const int32_t* nodes, const int32_t* offsets, const int32_t* actions,
            const float* priors, const double* values, int32_t count, int32_t* failed_row,
        )
        int32_t keep_subtree(int32_t index, int32_t root_edge, int32_t* kept, int32_t* new_blocks)
        int64_t memory_bytes(cpp_bool reserved)

    alphazero_tree_ops tree_ops_of(Forest* forest)


cdef class CppTrees:
    """`alphazero.mcts.backend.Trees` in C++.

    Owns its memory and frees it; belongs to one process, one thread at a time. Arrays are int32, uint8,
    float32 and float64, C-contiguous.

    Args:
        num_trees: number of independent trees, at least 1.
        exploration_table: float64, see `alphazero.mcts.puct.exploration_table`.
        options: see `alphazero.mcts.backend.TreeOptions`.
    """

    cdef readonly int num_trees
    cdef readonly object remaining
    cdef int32_t[::1] remaining_view
    cdef readonly object spared
    cdef int32_t[::1] spared_view
    cdef const double[::1] exploration_table  # kept alive for the forest
    cdef TreeOptions options
    cdef int32_t most_virtual_visits
    cdef Forest* forest  # owned
    cdef alphazero_tree_ops ops

    def __cinit__(self, int num_trees, exploration_table, options):
        if num_trees < 1:
            raise ValueError(f"num_trees is {num_trees}; at least 1 is needed")
        self.options.first_play_from_parent = options.first_play_from_parent
        self.options.first_play_value = options.first_play_value
        self.options.leaves_per_tree = options.leaves_per_tree
        self.options.virtual_loss = options.virtual_loss
        self.options.solver = options.solver
        self.most_virtual_visits = options.most_virtual_visits
        self.num_trees = num_trees
        self.remaining = np.zeros(num_trees, dtype=np.int32)
        self.remaining_view = self.remaining
        self.spared = np.zeros(num_trees, dtype=np.int32)
        self.spared_view = self.spared
        self.forest = new Forest(num_trees, &self.remaining_view[0], &self.spared_view[0], self.options)
        self.set_exploration_table(exploration_table)
        self.ops = tree_ops_of(self.forest)

    def __dealloc__(self):
        del self.forest

    @property
    def handle(self):
        """PyCapsule "alphazero.tree_ops" around an `alphazero_tree_ops*`, for the compiled driver.

        The capsule does not own the trees: whoever uses the pointer keeps this object alive as well.
        """
        return PyCapsule_New(<void*>&self.ops, "alphazero.tree_ops", NULL)

    def set_exploration_table(self, table not None):
        cdef const double[::1] values = table
        if values.shape[0] == 0:
            raise ValueError("the exploration table is empty")
        self.exploration_table = values
        self.forest.set_exploration(&values[0], <int32_t>values.shape[0])

    def reset(self, const int32_t[::1] trees):
        cdef Py_ssize_t row
        for row in range(trees.shape[0]):
            self.check_tree(trees[row])
            self.forest.reset(trees[row])

    def select_leaves(
        self, const int32_t[::1] trees, int32_t[::1] nodes, int32_t[::1] parents, int32_t[::1] actions
    ):
        cdef int32_t count = <int32_t>trees.shape[0]
        cdef Status status
        self.check_rows(trees, nodes.shape[0])
        self.check_rows(trees, parents.shape[0])
        self.check_rows(trees, actions.shape[0])
        self.check_table(trees)
        if count == 0:
            return
        with nogil:
            status = self.forest.select_leaves(&trees[0], count, &nodes[0], &parents[0], &actions[0])
        if status != Status.kDone:
            raise MemoryError("no memory for one more node")

    def backup_terminal(
        self, const int32_t[::1] trees, const int32_t[::1] nodes, const uint8_t[::1] terminal,
        const double[::1] values,
    ):
        cdef int32_t count = <int32_t>trees.shape[0]
        cdef int32_t row
        self.check_rows(trees, nodes.shape[0])
        self.check_rows(trees, terminal.shape[0])
        self.check_rows(trees, values.shape[0])
        for row in range(count):
            if terminal[row] and not self.forest.awaits_answer(trees[row], nodes[row]):
                raise_status(Status.kNotInFlight, trees[row], nodes[row])
        if count > 0:
            with nogil:
                self.forest.backup_terminal(&trees[0], &nodes[0], &terminal[0], &values[0], count)

    def expand_and_backup(
        self, const int32_t[::1] trees, const int32_t[::1] nodes, const int32_t[::1] offsets,
        const int32_t[::1] actions, const float[::1] priors, const double[::1] values,
    ):
        cdef int32_t count = <int32_t>trees.shape[0]
        cdef int32_t row = 0
        cdef Status status
        self.check_rows(trees, nodes.shape[0])
        self.check_rows(trees, values.shape[0])
        self.check_rows(trees, offsets.shape[0] - 1)
        if count == 0:
            return
        if offsets[count] > actions.shape[0] or offsets[count] > priors.shape[0]:
            raise ValueError(
                f"{offsets[count]} edges in {actions.shape[0]} actions and {priors.shape[0]} priors"
            )
        if offsets[count] <= 0:
            raise_status(Status.kNoActions, trees[0], nodes[0])
        with nogil:
            status = self.forest.expand_and_backup(
                &trees[0], &nodes[0], &offsets[0], &actions[0], &priors[0], &values[0], count, &row
            )
        if status != Status.kDone:
            raise_status(status, trees[row], nodes[row])
        self.check_table(trees)

    def is_expanded(self, int tree):
        self.check_tree(tree)
        return self.forest.tree(tree).root().is_expanded()

    def set_root_priors(self, int tree, const float[::1] priors):
        cdef Node* root = self.expanded_root(tree)
        cdef int32_t edge
        if priors.shape[0] != root.edge_count:
            raise ValueError(f"{priors.shape[0]} priors for a root with {root.edge_count} edges")
        for edge in range(root.edge_count):
            Tree.edges(root)[edge].prior = priors[edge]

    def set_forced_playouts(self, int tree, double factor):
        self.check_tree(tree)
        if factor > 0.0 and self.options.leaves_per_tree > 1:
            raise ValueError("playouts are forced with one leaf a tree only")
        self.forest.set_forced_playouts(tree, factor)

    def set_early_stop(self, int tree, bint early_stop):
        self.check_tree(tree)
        if early_stop and self.options.leaves_per_tree > 1:
            raise ValueError("a search stops early with one leaf a tree only")
        self.forest.set_early_stop(tree, early_stop)

    def set_root_quota(self, int tree, const int32_t[::1] quota):
        cdef Node* root = self.expanded_root(tree)
        if self.options.leaves_per_tree > 1:
            raise ValueError("a root has quotas with one leaf a tree only")
        if quota.shape[0] != root.edge_count:
            raise ValueError(f"{quota.shape[0]} quotas for a root with {root.edge_count} edges")
        if not self.forest.set_root_quota(tree, &quota[0]):
            raise MemoryError(f"no memory for {root.edge_count} quotas")

    def root_statistics(self, int tree):
        cdef Node* root = self.expanded_root(tree)
        cdef Edge root_edge = self.forest.tree(tree).root_edge
        cdef int32_t count = root.edge_count
        cdef int32_t[::1] actions = np.empty(count, dtype=np.int32)
        cdef int32_t[::1] visit_counts = np.empty(count, dtype=np.int32)
        cdef double[::1] value_sums = np.empty(count, dtype=np.float64)
        cdef float[::1] priors = np.empty(count, dtype=np.float32)
        cdef int8_t[::1] proven = np.empty(count, dtype=np.int8)
        copy_root_edges(
            self.forest.tree(tree), self.options.marked(), &actions[0], &visit_counts[0], &value_sums[0],
            &priors[0], &proven[0],
        )
        return RootStatistics(
            actions=actions.base, visit_counts=visit_counts.base, value_sums=value_sums.base,
            priors=priors.base, visit_count=root_edge.visit_count, value_sum=0.0 - root_edge.value_sum,
            proven=proven.base,
        )

    def searched_nodes(self, int tree, int min_visits, int except_action=-1):
        self.check_tree(tree)
        cdef int32_t room = self.forest.tree(tree).node_count()
        cdef int32_t[::1] blocks = np.empty(room, dtype=np.int32)
        cdef int32_t[::1] numbers = np.empty(room, dtype=np.int32)
        cdef int32_t[::1] visit_counts = np.empty(room, dtype=np.int32)
        cdef double[::1] value_sums = np.empty(room, dtype=np.float64)
        cdef int32_t[::1] edge_offsets = np.empty(room + 1, dtype=np.int32)
        cdef int32_t found = find_searched_nodes(
            self.forest.tree(tree), min_visits, except_action, &blocks[0], &numbers[0], &visit_counts[0],
            &value_sums[0], &edge_offsets[0],
        )
        # Copies, since most of the room is not used. One entry more than there are edges: without any, an
        # array has an address too.
        cdef int32_t edges = edge_offsets[found]
        cdef int32_t[::1] edge_actions = np.empty(edges + 1, dtype=np.int32)
        cdef int32_t[::1] edge_visit_counts = np.empty(edges + 1, dtype=np.int32)
        cdef float[::1] edge_priors = np.empty(edges + 1, dtype=np.float32)
        cdef int8_t[::1] edge_proven = np.empty(edges + 1, dtype=np.int8)
        copy_edges(
            self.forest.tree(tree), self.options.marked(), &blocks[0], found, &edge_actions[0],
            &edge_visit_counts[0], &edge_priors[0], &edge_proven[0],
        )
        return SearchedNodes(
            nodes=numbers.base[:found].copy(), visit_counts=visit_counts.base[:found].copy(),
            value_sums=value_sums.base[:found].copy(), edge_offsets=edge_offsets.base[:found + 1].copy(),
            edge_actions=edge_actions.base[:edges], edge_visit_counts=edge_visit_counts.base[:edges],
            edge_priors=edge_priors.base[:edges], edge_proven=edge_proven.base[:edges],
        )

    def advance(self, int tree, int action):
        self.check_tree(tree)
        if self.forest.has_leaf_in_flight(tree):
            raise ValueError(f"tree {tree} has leaves in flight: answer them before it is advanced")
        cdef Node* root = self.forest.tree(tree).root()
        cdef int32_t edge = 0
        cdef int32_t kept_count
        while edge < root.edge_count and Tree.links(root)[edge].action != action:
            edge += 1
        if root.edge_count != 0 and edge >= root.edge_count:
            legal = [Tree.links(root)[edge].action for edge in range(root.edge_count)]
            raise ValueError(f"action {action} is not legal at the root of tree {tree}: {legal}")
        if root.edge_count == 0 or Tree.links(root)[edge].child == NO_BLOCK:
            self.forest.reset(tree)
            return np.empty(0, dtype=np.int32)
        kept = np.empty(self.forest.tree(tree).node_count(), dtype=np.int32)
        cdef int32_t[::1] kept_view = kept
        cdef int32_t[::1] new_blocks = np.empty_like(kept)
        with nogil:
            kept_count = self.forest.keep_subtree(tree, edge, &kept_view[0], &new_blocks[0])
        return kept[:kept_count].copy()

    def snapshot(self, int tree):
        self.check_tree(tree)
        cdef int32_t nodes = self.forest.tree(tree).node_count()
        cdef int32_t edges = count_edges(self.forest.tree(tree))
        cdef int32_t[::1] parent = np.empty(nodes, dtype=np.int32)
        cdef int32_t[::1] action = np.empty(nodes, dtype=np.int32)
        cdef int32_t[::1] visit_count = np.empty(nodes, dtype=np.int32)
        cdef double[::1] value_sum = np.empty(nodes, dtype=np.float64)
        cdef uint8_t[::1] terminal = np.empty(nodes, dtype=np.uint8)
        cdef int8_t[::1] proven = np.empty(nodes, dtype=np.int8)
        cdef int32_t[::1] edge_offsets = np.empty(nodes + 1, dtype=np.int32)
        # One entry more than there are edges: a tree without any has an address too.
        cdef int32_t[::1] edge_actions = np.empty(edges + 1, dtype=np.int32)
        cdef float[::1] edge_priors = np.empty(edges + 1, dtype=np.float32)
        cdef int32_t[::1] edge_children = np.empty(edges + 1, dtype=np.int32)
        copy_tree(
            self.forest.tree(tree), self.options.marked(), &parent[0], &action[0], &visit_count[0],
            &value_sum[0], &terminal[0], &proven[0], &edge_offsets[0], &edge_actions[0], &edge_priors[0],
            &edge_children[0],
        )
        return TreeSnapshot(
            parent=parent.base, action=action.base, visit_count=visit_count.base, value_sum=value_sum.base,
            terminal=terminal.base, proven=proven.base, edge_offsets=edge_offsets.base,
            edge_actions=edge_actions.base[:edges], edge_priors=edge_priors.base[:edges],
            edge_children=edge_children.base[:edges],
        )

    def memory_bytes(self, bint reserved=False):
        """Return the bytes of all trees as they are; `reserved`: with the room that they keep to grow."""
        return self.forest.memory_bytes(reserved)

    cdef int check_tree(self, int tree) except -1:
        if not 0 <= tree < self.num_trees:
            raise IndexError(f"tree {tree} of {self.num_trees}")
        return 0

    cdef Node* expanded_root(self, int tree) except NULL:
        self.check_tree(tree)
        cdef Node* root = self.forest.tree(tree).root()
        if not root.is_expanded():
            raise ValueError(f"the root of tree {tree} is not expanded: evaluate it first")
        return root

    cdef int check_rows(self, const int32_t[::1] trees, Py_ssize_t rows) except -1:
        """Raise unless another array's `rows` fit `trees`, every tree exists and there are not too many."""
        cdef Py_ssize_t row
        cdef int64_t most_rows = <int64_t>self.num_trees * self.options.leaves_per_tree
        if rows != trees.shape[0]:
            raise ValueError(f"an array of {rows} rows beside {trees.shape[0]} trees")
        if rows > most_rows:
            raise ValueError(f"{rows} rows, more than the {most_rows} leaves that may be in flight")
        for row in range(rows):
            self.check_tree(trees[row])
        return 0

    cdef int check_table(self, const int32_t[::1] trees) except -1:
        """Raise if a visit count could outgrow the exploration table before the search is done."""
        cdef Py_ssize_t row
        cdef int32_t visits, remaining
        for row in range(trees.shape[0]):
            visits = self.forest.tree(trees[row]).root_edge.visit_count
            remaining = self.remaining_view[trees[row]]
            if visits + remaining + self.most_virtual_visits > self.forest.table_size():
                raise IndexError(
                    f"the exploration table has {self.forest.table_size()} entries, too few for {remaining} "
                    f"simulations and {self.most_virtual_visits} virtual visits on top of {visits} visits in "
                    f"tree {trees[row]}"
                )
        return 0


cdef int raise_status(Status status, int32_t tree, int32_t node) except -1:
    if status == Status.kNoActions:
        raise ValueError(f"leaf {node} of tree {tree} has no legal action: it should be terminal")
    if status == Status.kOutOfMemory:
        raise MemoryError(f"no memory to expand leaf {node} of tree {tree}")
    raise ValueError(f"node {node} of tree {tree} is not the leaf that select_leaves handed out")
