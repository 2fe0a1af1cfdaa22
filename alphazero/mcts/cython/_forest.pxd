"""The search of `CythonTrees`: selection, backup and proofs over many trees, without the GIL.

`docs/mcts_contract.md` states the arithmetic, `_tree.pxd` draws the memory layout. All inline: compiled into
`_trees.pyx`, its only user. Axis letters: K rows (leaves or trees in one call), E edges.
"""

from libc.stdint cimport int32_t, uint8_t

from alphazero.mcts.cython._tree cimport (
    DONE,
    NO_ACTIONS,
    NO_BLOCK,
    NO_EDGE,
    NO_NODE,
    NODE_WORDS,
    EDGE_WORDS,
    NOT_IN_FLIGHT,
    OUT_OF_MEMORY,
    ROWS_AHEAD,
    SIDE_BY_SIDE,
    TERMINAL,
    TERMINAL_WORDS,
    UNEXPANDED,
    Edge,
    Mark,
    Node,
    Tree,
    append_node,
    edge_at,
    edge_to,
    edges_of,
    expand_leaf,
    grow_path,
    links_of,
    mark_to,
    marks_of,
    node_at,
    parent_of,
    prefetch_node,
    prefetch_path,
    terminal_value,
    widen,
)


cdef struct Forest:
    Tree* trees  # owned, [num_trees]
    int32_t num_trees
    int32_t* remaining  # the memory of CythonTrees.remaining
    int32_t* spared  # the memory of CythonTrees.spared
    const double* exploration  # the memory of CythonTrees.exploration_table, [table_size]
    int32_t table_size
    int32_t first_play_from_parent
    double first_play_value
    int32_t leaves_per_tree
    int32_t virtual_loss
    int32_t solver


cdef enum Step:
    ON_THE_WAY
    AT_LEAF
    NO_LEAF
    WITHOUT_MEMORY


# ---- one batch ----


cdef inline int32_t select_rows(
    void* self, const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents, int32_t* actions
) noexcept nogil:
    """`Trees.select_leaves`: trees int32 [K] IN; nodes, parents, actions int32 [K] OUT. Returns a Status.

    With one leaf a tree several trees descend side by side, one level at a time: while the next node of one tree is
    on its way from memory, the others use the processor. What happens within a tree does not depend on it.
    """
    cdef const Forest* forest = <const Forest*>self
    cdef int32_t row, size, status
    cdef int32_t first = 0
    for row in range(count):
        nodes[row] = parents[row] = NO_NODE
        actions[row] = -1
    if forest.leaves_per_tree > 1:
        return select_one_by_one(forest, trees, count, nodes, parents, actions)
    while first < count:
        size = min(<int32_t>SIDE_BY_SIDE, count - first)
        status = select_side_by_side(
            forest, trees + first, size, nodes + first, parents + first, actions + first
        )
        if status != DONE:
            return status
        first += size
    return DONE


cdef inline int32_t select_side_by_side(
    const Forest* forest, const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents, int32_t* actions
) noexcept nogil:
    cdef int32_t[SIDE_BY_SIDE] descending  # rows whose tree is still on its way
    cdef int32_t row, i, still, step
    cdef int32_t on_the_way = 0
    for row in range(count):
        if forest.remaining[trees[row]] > 0:
            start_descent(&forest.trees[trees[row]])
            descending[on_the_way] = row
            on_the_way += 1
    while on_the_way > 0:
        still = 0
        for i in range(on_the_way):
            row = descending[i]
            step = go_on(forest, trees[row], &actions[row])
            if step == ON_THE_WAY:
                descending[still] = row
                still += 1
            elif step == AT_LEAF:
                hand_out(&forest.trees[trees[row]], &nodes[row], &parents[row])
            elif step == WITHOUT_MEMORY:
                return OUT_OF_MEMORY
        on_the_way = still
    return DONE


cdef inline int32_t select_one_by_one(
    const Forest* forest, const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents, int32_t* actions
) noexcept nogil:
    """The same with several leaves a tree: each row's descent sees the virtual losses of those before it."""
    cdef int32_t row, step
    cdef Tree* tree
    cdef Node* leaf
    for row in range(count):
        tree = &forest.trees[trees[row]]
        if (
            forest.remaining[trees[row]] <= tree.root_mark.in_flight
            or tree.root_mark.in_flight >= forest.leaves_per_tree
        ):
            continue
        start_descent(tree)
        step = ON_THE_WAY
        while step == ON_THE_WAY:
            step = go_on(forest, trees[row], &actions[row])
        if step == WITHOUT_MEMORY:
            return OUT_OF_MEMORY
        if step == NO_LEAF:
            continue
        leaf = node_at(tree, tree.here)
        if mark_to(tree, leaf).in_flight > 0:  # on its way already: this tree has no other leaf now
            actions[row] = -1
            continue
        count_in_flight(tree, leaf, 1)
        hand_out(tree, &nodes[row], &parents[row])
    return DONE


cdef inline void backup_terminal_rows(
    void* self, const int32_t* trees, const int32_t* nodes, const uint8_t* terminal, const double* values,
    int32_t count,
) noexcept nogil:
    """`Trees.backup_terminal`: every array [K] IN; a terminal row must await its answer."""
    cdef const Forest* forest = <const Forest*>self
    cdef int32_t row, block
    cdef Tree* tree
    cdef Node* leaf
    for row in range(count):
        if not terminal[row]:
            continue
        tree = &forest.trees[trees[row]]
        block = leaf_block(forest, tree, nodes[row])
        widen(tree, block, TERMINAL_WORDS - NODE_WORDS)  # append_node has seen to the memory
        leaf = node_at(tree, block)
        leaf.edge_count = TERMINAL
        terminal_value(leaf)[0] = values[row]
        finish_leaf(forest, trees[row], nodes[row], values[row])
        if forest.solver and values[row] != 0.0:
            prove(tree, nodes[row], 1 if values[row] > 0.0 else -1)


cdef inline int32_t expand_rows(
    const Forest* forest, const int32_t* trees, const int32_t* nodes, const int32_t* offsets,
    const int32_t* actions, const float* priors, const double* values, int32_t count, int32_t* failed_row,
) noexcept nogil:
    """`Trees.expand_and_backup`: every array IN. Returns a Status, of row failed_row[0] (OUT) if it failed."""
    cdef int32_t row, start, status
    cdef Tree* tree
    for row in range(min(<int32_t>ROWS_AHEAD, count)):
        prefetch_path(&forest.trees[trees[row]])
    for row in range(count):
        if row + ROWS_AHEAD < count:
            prefetch_path(&forest.trees[trees[row + ROWS_AHEAD]])
        tree = &forest.trees[trees[row]]
        start = offsets[row]
        failed_row[0] = row
        if offsets[row + 1] <= start:
            return NO_ACTIONS
        if not awaits_answer(forest, tree, nodes[row]):
            return NOT_IN_FLIGHT
        status = expand_leaf(
            tree, leaf_block(forest, tree, nodes[row]), offsets[row + 1] - start, actions + start, priors + start
        )
        if status != DONE:
            return status
        finish_leaf(forest, trees[row], nodes[row], values[row])
    return DONE


# ---- one simulation ----


cdef inline void start_descent(Tree* tree) noexcept nogil:
    tree.here = 0
    tree.path_length = 0
    tree.settled = 0
    tree.mark_here = tree.root_mark
    prefetch_node(tree)


cdef inline void hand_out(Tree* tree, int32_t* number, int32_t* parent) noexcept nogil:
    cdef Node* leaf = node_at(tree, tree.here)
    number[0] = leaf.number
    parent[0] = leaf.parent
    tree.waits = True


cdef inline int32_t go_on(const Forest* forest, int32_t tree_index, int32_t* action) noexcept nogil:
    """Go down one level, or complete a simulation if the game is decided here and start again; return a Step.

    action: the action taken, OUT; -1 at the root.
    """
    cdef Tree* tree = &forest.trees[tree_index]
    cdef Node* node = node_at(tree, tree.here)
    cdef double value
    if node.edge_count > 0 and tree.settled == 0:
        return descend_one_level(forest, tree, action)
    if node.edge_count == UNEXPANDED:
        return AT_LEAF
    value = terminal_value(node)[0] if node.edge_count == TERMINAL else tree.settled
    complete_simulation(forest, tree_index, value)
    action[0] = -1
    if forest.remaining[tree_index] <= tree.root_mark.in_flight:
        return NO_LEAF
    start_descent(tree)
    return ON_THE_WAY


cdef inline int32_t descend_one_level(const Forest* forest, Tree* tree, int32_t* action) noexcept nogil:
    """Take the best edge of the expanded node `here`, to a new node if need be. Returns a Step."""
    cdef Node* node = node_at(tree, tree.here)
    cdef Edge* edge_here = &tree.root_edge
    cdef int32_t child
    cdef int32_t best = NO_EDGE
    if tree.path_length > 0:
        edge_here = edge_at(tree, tree.path[tree.path_length - 1])
    elif tree.due_count > 0:
        best = edge_with_quota(tree, node)
    elif tree.forced_playouts > 0.0:
        best = forced_edge(tree, node)
    if tree.path_length == tree.path_capacity and not grow_path(tree):
        return WITHOUT_MEMORY
    if tree.marked:
        if best == NO_EDGE:
            best = best_marked_edge(forest, tree, node, edge_here)
        tree.mark_here = marks_of(node)[best]
        tree.settled = -tree.mark_here.proven
    elif best == NO_EDGE:
        best = best_edge(forest, node, edge_here)
    tree.path[tree.path_length] = tree.here + NODE_WORDS + best * EDGE_WORDS
    tree.path_length += 1
    action[0] = links_of(node)[best].action
    child = links_of(node)[best].child
    if child == NO_BLOCK:
        child = append_node(tree, node.number, best)
        if child == NO_BLOCK:
            return WITHOUT_MEMORY
        links_of(node_at(tree, tree.here))[best].child = child
    tree.here = child
    prefetch_node(tree)
    return ON_THE_WAY


cdef inline int32_t edge_with_quota(const Tree* tree, const Node* root) noexcept nogil:
    """Return the root's edge with most of its quota left, the lowest if several have it; NO_EDGE if none has any.

    No quota counts if a move is proven to win, none of a move that is proven to lose unless all are.
    """
    cdef int32_t best = NO_EDGE
    cdef int32_t most_left = 0
    cdef int32_t edge, left
    if tree.root_mark.proven < 0:  # proven to lose for the player who moved here
        return NO_EDGE
    for edge in range(root.edge_count):
        if tree.marked and marks_of(root)[edge].proven < 0 and tree.root_mark.proven == 0:
            continue
        left = tree.visits_due[edge] - edges_of(root)[edge].visit_count
        if left > most_left:
            most_left = left
            best = edge
    return best


cdef inline int32_t forced_edge(const Tree* tree, const Node* root) noexcept nogil:
    """Return the root's first edge that was visited, but lacks forced playouts; NO_EDGE if there is none.

    None is forced if a move is proven to win, none that is proven to lose unless all are.
    """
    cdef const Edge* edges = edges_of(root)
    cdef double visits_of_all = tree.root_edge.visit_count - 1
    cdef double visit_count
    cdef int32_t edge
    if tree.root_mark.proven < 0:  # proven to lose for the player who moved here
        return NO_EDGE
    for edge in range(root.edge_count):
        if tree.marked and marks_of(root)[edge].proven < 0 and tree.root_mark.proven == 0:
            continue
        visit_count = edges[edge].visit_count
        if visit_count > 0.0 and visit_count * visit_count < tree.forced_playouts * edges[edge].prior * visits_of_all:
            return edge
    return NO_EDGE


cdef inline int32_t best_edge(const Forest* forest, const Node* node, const Edge* edge_here) noexcept nogil:
    """Return the edge of `node` with the highest PUCT score; the lowest action if several have it.

    edge_here: the edge that leads to `node`; its value_sum is for the player who moved there.
    """
    cdef const Edge* edges = edges_of(node)
    cdef double exploration = exploration_factor(forest, edge_here.visit_count)
    cdef double unvisited_q_value = first_play_q_value(forest, edge_here)
    cdef double score, best_score
    cdef int32_t edge, best = 0
    best_score = puct_score(&edges[0], exploration, unvisited_q_value)
    for edge in range(1, node.edge_count):
        score = puct_score(&edges[edge], exploration, unvisited_q_value)
        if score > best_score:
            best_score = score
            best = edge
    return best


cdef inline int32_t best_marked_edge(
    const Forest* forest, const Tree* tree, const Node* node, const Edge* edge_here
) noexcept nogil:
    """The same with leaves in flight and proofs.

    An edge proven to win is taken at once; edges proven to lose are left out, unless all are.
    """
    cdef const Mark* marks = marks_of(node)
    cdef double exploration = exploration_factor(
        forest, edge_here.visit_count + forest.virtual_loss * tree.mark_here.in_flight
    )
    cdef double unvisited_q_value = first_play_q_value(forest, edge_here)
    cdef bint all_lose = tree.mark_here.proven > 0  # proven to win for the player who moved here
    cdef double score, best_score = 0.0
    cdef int32_t edge, virtual_visits, best = -1
    cdef Edge seen
    for edge in range(node.edge_count):
        if marks[edge].proven > 0:
            return edge
        if marks[edge].proven < 0 and not all_lose:
            continue
        virtual_visits = forest.virtual_loss * marks[edge].in_flight
        seen = edges_of(node)[edge]
        seen.value_sum -= virtual_visits
        seen.visit_count += virtual_visits
        score = puct_score(&seen, exploration, unvisited_q_value)
        if best < 0 or score > best_score:
            best_score = score
            best = edge
    return best


cdef inline double exploration_factor(const Forest* forest, int32_t visit_count) noexcept nogil:
    return forest.exploration[min(visit_count, forest.table_size - 1)]


cdef inline double first_play_q_value(const Forest* forest, const Edge* edge_here) noexcept nogil:
    if not forest.first_play_from_parent:
        return forest.first_play_value
    return -edge_here.value_sum / edge_here.visit_count - forest.first_play_value


cdef inline double puct_score(const Edge* edge, double exploration, double unvisited_q_value) noexcept nogil:
    if edge.visit_count == 0:  # division by 1 + 0 changes nothing
        return unvisited_q_value + exploration * edge.prior
    return edge.value_sum / edge.visit_count + exploration * edge.prior / (1 + edge.visit_count)


cdef inline void finish_leaf(
    const Forest* forest, int32_t tree_index, int32_t number, double value
) noexcept nogil:
    """Take `value`, for the player to move at leaf `number`, as its answer."""
    cdef Tree* tree = &forest.trees[tree_index]
    cdef Node* leaf
    tree.waits = False
    if forest.leaves_per_tree > 1:
        if number != 0:  # the root's own evaluation is not a simulation
            forest.remaining[tree_index] -= 1
        leaf = node_at(tree, tree.block_of[number])
        count_in_flight(tree, leaf, -1)
        backup_from(tree, leaf, value)
    elif number == 0:
        backup(tree, value)
    else:
        complete_simulation(forest, tree_index, value)


cdef inline void complete_simulation(const Forest* forest, int32_t tree_index, double value) noexcept nogil:
    forest.remaining[tree_index] -= 1
    backup(&forest.trees[tree_index], value)
    stop_if_decided(forest, tree_index)


cdef inline void stop_if_decided(const Forest* forest, int32_t tree_index) noexcept nogil:
    """End a search that may stop early if what remains of it cannot change the root's most visited move."""
    cdef Tree* tree = &forest.trees[tree_index]
    cdef Node* root
    cdef int32_t edge, visit_count, most = 0, second = 0
    if not tree.early_stop:
        return
    root = node_at(tree, 0)
    for edge in range(root.edge_count):
        # Left out if proven to lose, unless all are: the root is then proven to win for the player who moved here.
        if tree.marked and marks_of(root)[edge].proven < 0 and tree.root_mark.proven <= 0:
            continue
        visit_count = edges_of(root)[edge].visit_count
        second = max(second, min(most, visit_count))
        most = max(most, visit_count)
    if most - second > forest.remaining[tree_index]:
        forest.spared[tree_index] += forest.remaining[tree_index]
        forest.remaining[tree_index] = 0


cdef inline void backup(Tree* tree, double value) noexcept nogil:
    """Add `value`, for the player to move at the leaf, to every edge of the path, with alternating sign."""
    cdef int32_t depth
    cdef Edge* edge
    for depth in range(tree.path_length - 1, -1, -1):
        value = -value
        edge = edge_at(tree, tree.path[depth])
        edge.visit_count += 1
        edge.value_sum += value
    tree.root_edge.visit_count += 1
    tree.root_edge.value_sum += -value


cdef inline void backup_from(Tree* tree, Node* leaf, double value) noexcept nogil:
    """The same where the path is no longer known: from `leaf` up, by parents."""
    cdef Node* node = leaf
    cdef Edge* edge
    while node != NULL:
        value = -value
        edge = edge_to(tree, node)
        edge.visit_count += 1
        edge.value_sum += value
        node = parent_of(tree, node)


cdef inline void count_in_flight(Tree* tree, Node* leaf, int32_t change) noexcept nogil:
    cdef Node* node = leaf
    while node != NULL:
        mark_to(tree, node).in_flight += change
        node = parent_of(tree, node)


cdef inline void prove(Tree* tree, int32_t number, int32_t proven) noexcept nogil:
    """Mark leaf `number` as won (+1) or lost (-1) for the player to move there, and what follows above.

    A node is won if a child is lost, and lost if all of its children are won.
    """
    cdef Node* node = node_at(tree, tree.block_of[number])
    cdef Node* parent = parent_of(tree, node)
    mark_to(tree, node).proven = -proven
    while parent != NULL and mark_to(tree, parent).proven == 0:
        if proven > 0 and not all_edges_lose(parent):
            return
        proven = -proven
        mark_to(tree, parent).proven = -proven
        parent = parent_of(tree, parent)


cdef inline bint all_edges_lose(const Node* node) noexcept nogil:
    cdef int32_t edge
    for edge in range(node.edge_count):
        if marks_of(node)[edge].proven >= 0:
            return False
    return True


# ---- leaves in flight ----


cdef inline int32_t leaf_block(const Forest* forest, const Tree* tree, int32_t number) noexcept nogil:
    """The block of leaf `number`, which awaits its answer."""
    return tree.block_of[number] if forest.leaves_per_tree > 1 else tree.last_block


cdef inline bint awaits_answer(const Forest* forest, const Tree* tree, int32_t number) noexcept nogil:
    """Whether node `number` was handed out and has had no answer yet."""
    cdef Node* leaf
    if number < 0 or number >= tree.node_count:
        return False
    if forest.leaves_per_tree == 1:
        return tree.waits and node_at(tree, tree.last_block).number == number
    leaf = node_at(tree, tree.block_of[number])
    return leaf.edge_count == UNEXPANDED and mark_to(tree, leaf).in_flight > 0
