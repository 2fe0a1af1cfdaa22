"""`CythonTrees`: the tree backend in Cython, equal to `PythonTrees` to the last bit.

Arrays are checked here; the search is in `_forest.pxd`, the memory of a tree in `_tree.pxd`.

Axis letters: K leaves or trees in one call, M nodes of a tree, E edges.
"""

from cpython.pycapsule cimport PyCapsule_New
from libc.stdint cimport int8_t, int32_t, int64_t, uint8_t
from libc.stdlib cimport calloc, free

import numpy as np

from alphazero.mcts.backend import RootStatistics, SearchedNodes, TreeSnapshot

from alphazero.mcts.cython._forest cimport (
    Forest,
    awaits_answer,
    backup_terminal_rows,
    expand_rows,
    select_rows,
    stop_if_decided,
)
from alphazero.mcts.cython._tree cimport (
    DONE,
    NO_ACTIONS,
    NO_BLOCK,
    NO_NODE,
    NOT_IN_FLIGHT,
    OUT_OF_MEMORY,
    TERMINAL,
    UNEXPANDED,
    Edge,
    Node,
    Tree,
    block_words,
    count_edges,
    edges_of,
    empty_tree,
    find_searched_nodes,
    keep_subtree,
    links_of,
    marks_of,
    node_at,
    set_quota,
)
from alphazero.mcts.tree_ops cimport alphazero_tree_ops


cdef class CythonTrees:
    """`alphazero.mcts.backend.Trees` in Cython.

    Owns its memory and frees it; belongs to one process, one thread at a time. Arrays are int32, uint8,
    float32 and float64, C-contiguous.

    Args:
        num_trees: number of independent trees, at least 1.
        exploration_table: float64, see `alphazero.mcts.puct.exploration_table`.
        options: see `alphazero.mcts.backend.TreeOptions`.
    """

    cdef readonly int num_trees
    cdef readonly object remaining
    cdef readonly object spared
    cdef object exploration_table  # kept alive for the forest
    cdef int32_t most_virtual_visits
    cdef Forest forest
    cdef alphazero_tree_ops ops

    def __cinit__(self, int num_trees, exploration_table, options):
        cdef int32_t[::1] remaining, spared
        cdef bint several_leaves, marked
        cdef int tree
        if num_trees < 1:
            raise ValueError(f"num_trees is {num_trees}; at least 1 is needed")
        self.num_trees = num_trees
        self.remaining = np.zeros(num_trees, dtype=np.int32)
        remaining = self.remaining
        self.spared = np.zeros(num_trees, dtype=np.int32)
        spared = self.spared
        self.set_exploration_table(exploration_table)
        self.forest.remaining = &remaining[0]
        self.forest.spared = &spared[0]
        self.forest.num_trees = num_trees
        self.forest.first_play_from_parent = options.first_play_from_parent
        self.forest.first_play_value = options.first_play_value
        self.forest.leaves_per_tree = options.leaves_per_tree
        self.forest.virtual_loss = options.virtual_loss
        self.forest.solver = options.solver
        self.most_virtual_visits = options.most_virtual_visits
        several_leaves = self.forest.leaves_per_tree > 1
        marked = several_leaves or self.forest.solver
        self.forest.trees = <Tree*>calloc(num_trees, sizeof(Tree))
        if self.forest.trees == NULL:
            raise MemoryError(f"no memory for {num_trees} trees")
        for tree in range(num_trees):
            self.forest.trees[tree].marked = marked
            self.forest.trees[tree].words_an_edge = 4 if marked else 3
            self.forest.trees[tree].spare_words = self.forest.leaves_per_tree if several_leaves else 0
            if empty_tree(&self.forest.trees[tree]) != DONE:
                raise MemoryError(f"no memory for {num_trees} trees")
        self.ops.self = &self.forest
        self.ops.select_leaves = select_rows
        self.ops.backup_terminal = backup_terminal_rows

    def __dealloc__(self):
        cdef int tree
        if self.forest.trees != NULL:
            for tree in range(self.num_trees):
                free(self.forest.trees[tree].words)
                free(self.forest.trees[tree].path)
                free(self.forest.trees[tree].block_of)
                free(self.forest.trees[tree].visits_due)
            free(self.forest.trees)

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
        self.forest.exploration = &values[0]
        self.forest.table_size = <int32_t>values.shape[0]

    def reset(self, const int32_t[::1] trees):
        cdef Py_ssize_t row
        for row in range(trees.shape[0]):
            empty_tree(self.tree_at(trees[row]))

    def select_leaves(
        self, const int32_t[::1] trees, int32_t[::1] nodes, int32_t[::1] parents, int32_t[::1] actions
    ):
        cdef int32_t count = <int32_t>trees.shape[0]
        cdef int32_t status
        self.check_rows(trees, nodes.shape[0])
        self.check_rows(trees, parents.shape[0])
        self.check_rows(trees, actions.shape[0])
        self.check_table(trees)
        if count == 0:
            return
        with nogil:
            status = select_rows(&self.forest, &trees[0], count, &nodes[0], &parents[0], &actions[0])
        if status != DONE:
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
            if terminal[row] and not awaits_answer(
                &self.forest, &self.forest.trees[trees[row]], nodes[row]
            ):
                raise_status(NOT_IN_FLIGHT, trees[row], nodes[row])
        if count > 0:
            with nogil:
                backup_terminal_rows(&self.forest, &trees[0], &nodes[0], &terminal[0], &values[0], count)

    def expand_and_backup(
        self, const int32_t[::1] trees, const int32_t[::1] nodes, const int32_t[::1] offsets,
        const int32_t[::1] actions, const float[::1] priors, const double[::1] values,
    ):
        cdef int32_t count = <int32_t>trees.shape[0]
        cdef int32_t status, row = 0
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
            raise_status(NO_ACTIONS, trees[0], nodes[0])
        with nogil:
            status = expand_rows(
                &self.forest, &trees[0], &nodes[0], &offsets[0], &actions[0], &priors[0], &values[0], count,
                &row,
            )
        if status != DONE:
            raise_status(status, trees[row], nodes[row])
        self.check_table(trees)

    def is_expanded(self, int tree):
        return node_at(self.tree_at(tree), 0).edge_count > 0

    def set_root_priors(self, int tree, const float[::1] priors):
        cdef Node* root = self.expanded_root(tree)
        cdef int32_t edge
        if priors.shape[0] != root.edge_count:
            raise ValueError(f"{priors.shape[0]} priors for a root with {root.edge_count} edges")
        for edge in range(root.edge_count):
            edges_of(root)[edge].prior = priors[edge]

    def set_forced_playouts(self, int tree, double factor):
        if factor > 0.0 and self.forest.leaves_per_tree > 1:
            raise ValueError("playouts are forced with one leaf a tree only")
        self.tree_at(tree).forced_playouts = factor

    def set_early_stop(self, int tree, bint early_stop):
        if early_stop and self.forest.leaves_per_tree > 1:
            raise ValueError("a search stops early with one leaf a tree only")
        self.tree_at(tree).early_stop = early_stop
        stop_if_decided(&self.forest, tree)

    def set_root_quota(self, int tree, const int32_t[::1] quota):
        cdef Node* root = self.expanded_root(tree)
        if self.forest.leaves_per_tree > 1:
            raise ValueError("a root has quotas with one leaf a tree only")
        if quota.shape[0] != root.edge_count:
            raise ValueError(f"{quota.shape[0]} quotas for a root with {root.edge_count} edges")
        if not set_quota(&self.forest.trees[tree], &quota[0]):
            raise MemoryError(f"no memory for {root.edge_count} quotas")

    def root_statistics(self, int tree):
        cdef Node* root = self.expanded_root(tree)
        cdef Edge root_edge = self.forest.trees[tree].root_edge
        cdef int32_t count = root.edge_count
        cdef int32_t edge
        actions = np.empty(count, dtype=np.int32)
        visit_counts = np.empty(count, dtype=np.int32)
        value_sums = np.empty(count, dtype=np.float64)
        priors = np.empty(count, dtype=np.float32)
        proven = np.zeros(count, dtype=np.int8)
        cdef int32_t[::1] action_view = actions
        cdef int32_t[::1] visit_view = visit_counts
        cdef double[::1] value_view = value_sums
        cdef float[::1] prior_view = priors
        cdef int8_t[::1] proven_view = proven
        for edge in range(count):
            action_view[edge] = links_of(root)[edge].action
            visit_view[edge] = edges_of(root)[edge].visit_count
            value_view[edge] = edges_of(root)[edge].value_sum
            prior_view[edge] = edges_of(root)[edge].prior
            if self.forest.trees[tree].marked:
                proven_view[edge] = marks_of(root)[edge].proven
        return RootStatistics(
            actions, visit_counts, value_sums, priors, root_edge.visit_count, 0.0 - root_edge.value_sum, proven
        )

    def searched_nodes(self, int tree_index, int min_visits, int except_action=-1):
        cdef Tree* tree = self.tree_at(tree_index)
        cdef int32_t room = tree.node_count
        cdef int32_t[::1] blocks = np.empty(room, dtype=np.int32)
        cdef int32_t[::1] numbers = np.empty(room, dtype=np.int32)
        cdef int32_t[::1] visit_counts = np.empty(room, dtype=np.int32)
        cdef double[::1] value_sums = np.empty(room, dtype=np.float64)
        cdef int32_t[::1] edge_offsets = np.zeros(room + 1, dtype=np.int32)
        cdef int32_t found = find_searched_nodes(
            tree, min_visits, except_action, &blocks[0], &numbers[0], &visit_counts[0], &value_sums[0],
            &edge_offsets[0],
        )
        # Copies, since most of the room is not used. One entry more than there are edges: without any, an
        # array has an address too.
        cdef int32_t edges = edge_offsets[found]
        cdef int32_t[::1] edge_actions = np.empty(edges + 1, dtype=np.int32)
        cdef int32_t[::1] edge_visit_counts = np.empty(edges + 1, dtype=np.int32)
        cdef float[::1] edge_priors = np.empty(edges + 1, dtype=np.float32)
        cdef int8_t[::1] edge_proven = np.zeros(edges + 1, dtype=np.int8)
        cdef Node* node
        cdef int32_t index, edge
        cdef int32_t total = 0
        for index in range(found):
            node = node_at(tree, blocks[index])
            for edge in range(node.edge_count):
                edge_actions[total] = links_of(node)[edge].action
                edge_visit_counts[total] = edges_of(node)[edge].visit_count
                edge_priors[total] = edges_of(node)[edge].prior
                if tree.marked:
                    edge_proven[total] = marks_of(node)[edge].proven
                total += 1
        return SearchedNodes(
            numbers.base[:found].copy(), visit_counts.base[:found].copy(), value_sums.base[:found].copy(),
            edge_offsets.base[:found + 1].copy(), edge_actions.base[:edges], edge_visit_counts.base[:edges],
            edge_priors.base[:edges], edge_proven.base[:edges],
        )

    def advance(self, int tree_index, int action):
        cdef Tree* tree = self.tree_at(tree_index)
        cdef Node* root = node_at(tree, 0)
        cdef int32_t edge = 0
        cdef int32_t kept_count
        if tree.root_mark.in_flight:
            raise ValueError(f"tree {tree_index} has leaves in flight: answer them before it is advanced")
        if root.edge_count == UNEXPANDED:
            empty_tree(tree)
            return np.empty(0, dtype=np.int32)
        while edge < root.edge_count and links_of(root)[edge].action != action:
            edge += 1
        if edge >= root.edge_count:
            legal = [links_of(root)[edge].action for edge in range(root.edge_count)]
            raise ValueError(f"action {action} is not legal at the root of tree {tree_index}: {legal}")
        if links_of(root)[edge].child == NO_BLOCK:
            empty_tree(tree)
            return np.empty(0, dtype=np.int32)
        kept = np.empty(tree.node_count, dtype=np.int32)
        blocks = np.empty(tree.node_count, dtype=np.int32)
        cdef int32_t[::1] kept_view = kept
        cdef int32_t[::1] block_view = blocks
        with nogil:
            kept_count = keep_subtree(tree, edge, &kept_view[0], &block_view[0])
        return kept[:kept_count].copy()

    def snapshot(self, int tree_index):
        cdef Tree* tree = self.tree_at(tree_index)
        cdef int32_t count = tree.node_count
        cdef int32_t number, edge, child, block = 0
        cdef int32_t total = 0
        cdef int32_t edges = count_edges(tree)
        cdef Node* node
        cdef Edge* edge_here
        cdef int32_t[::1] parent = np.empty(count, dtype=np.int32)
        cdef int32_t[::1] action = np.full(count, -1, dtype=np.int32)
        cdef int32_t[::1] visit_count = np.empty(count, dtype=np.int32)
        cdef double[::1] value_sum = np.empty(count, dtype=np.float64)
        cdef uint8_t[::1] terminal = np.empty(count, dtype=np.uint8)
        cdef int8_t[::1] proven = np.zeros(count, dtype=np.int8)
        cdef int32_t[::1] edge_offsets = np.zeros(count + 1, dtype=np.int32)
        cdef int32_t[::1] edge_actions = np.empty(edges, dtype=np.int32)
        cdef float[::1] edge_priors = np.empty(edges, dtype=np.float32)
        cdef int32_t[::1] edge_children = np.empty(edges, dtype=np.int32)
        visit_count[0] = tree.root_edge.visit_count
        value_sum[0] = 0.0 - tree.root_edge.value_sum
        proven[0] = -tree.root_mark.proven
        for number in range(count):
            node = node_at(tree, block)
            block += block_words(tree, node)
            parent[number] = node.parent
            terminal[number] = node.edge_count == TERMINAL
            for edge in range(node.edge_count):
                edge_here = &edges_of(node)[edge]
                edge_actions[total] = links_of(node)[edge].action
                edge_priors[total] = edge_here.prior
                child = NO_NODE
                if links_of(node)[edge].child != NO_BLOCK:
                    child = node_at(tree, links_of(node)[edge].child).number
                    action[child] = links_of(node)[edge].action
                    visit_count[child] = edge_here.visit_count
                    value_sum[child] = 0.0 - edge_here.value_sum
                    if tree.marked:
                        proven[child] = -marks_of(node)[edge].proven
                edge_children[total] = child
                total += 1
            edge_offsets[number + 1] = total
        return TreeSnapshot(
            parent.base, action.base, visit_count.base, value_sum.base, terminal.base, proven.base,
            edge_offsets.base, edge_actions.base, edge_priors.base, edge_children.base,
        )

    def memory_bytes(self, bint reserved=False):
        """Return the bytes of all trees as they are; `reserved`: with the room that they keep to grow."""
        cdef int64_t total = self.num_trees * <int64_t>sizeof(Tree)
        cdef int tree
        cdef Tree* here
        for tree in range(self.num_trees):
            here = &self.forest.trees[tree]
            total += (here.capacity if reserved else here.used) * <int64_t>sizeof(double)
            total += (here.path_capacity + here.due_count) * <int64_t>sizeof(int32_t)
            if here.marked:
                total += (here.block_capacity if reserved else here.node_count) * <int64_t>sizeof(int32_t)
        return total

    cdef Tree* tree_at(self, int tree) except NULL:
        if not 0 <= tree < self.num_trees:
            raise IndexError(f"tree {tree} of {self.num_trees}")
        return &self.forest.trees[tree]

    cdef Node* expanded_root(self, int tree) except NULL:
        cdef Node* root = node_at(self.tree_at(tree), 0)
        if root.edge_count <= 0:
            raise ValueError(f"the root of tree {tree} is not expanded: evaluate it first")
        return root

    cdef int check_rows(self, const int32_t[::1] trees, Py_ssize_t rows) except -1:
        """Raise unless another array's `rows` fit `trees`, every tree exists and there are not too many."""
        cdef Py_ssize_t row
        cdef int64_t most_rows = <int64_t>self.num_trees * self.forest.leaves_per_tree
        if rows != trees.shape[0]:
            raise ValueError(f"an array of {rows} rows beside {trees.shape[0]} trees")
        if rows > most_rows:
            raise ValueError(f"{rows} rows, more than the {most_rows} leaves that may be in flight")
        for row in range(rows):
            if not 0 <= trees[row] < self.num_trees:
                raise IndexError(f"tree {trees[row]} of {self.num_trees}")
        return 0

    cdef int check_table(self, const int32_t[::1] trees) except -1:
        """Raise if a visit count could outgrow the exploration table before the search is done."""
        cdef Py_ssize_t row
        cdef int32_t visits, remaining
        for row in range(trees.shape[0]):
            visits = self.forest.trees[trees[row]].root_edge.visit_count
            remaining = self.forest.remaining[trees[row]]
            if visits + remaining + self.most_virtual_visits > self.forest.table_size:
                raise IndexError(
                    f"the exploration table has {self.forest.table_size} entries, too few for {remaining} "
                    f"simulations and {self.most_virtual_visits} virtual visits on top of {visits} visits in "
                    f"tree {trees[row]}"
                )
        return 0


cdef int raise_status(int32_t status, int32_t tree, int32_t node) except -1:
    if status == NO_ACTIONS:
        raise ValueError(f"leaf {node} of tree {tree} has no legal action: it should be terminal")
    if status == OUT_OF_MEMORY:
        raise MemoryError(f"no memory to expand leaf {node} of tree {tree}")
    raise ValueError(f"node {node} of tree {tree} is not the leaf that select_leaves handed out")
