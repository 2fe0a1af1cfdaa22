"""One tree of `CythonTrees`: its memory, how it grows, and how a subtree is kept.

All nodes of a tree stand one after the other, in expansion order, in one piece of memory that grows. A node
and its edges are one block; a block is addressed by its offset in words of 8 bytes, and a child's block
stands after its parent's:

    word 0      2            4             2+2E           2+3E            2+4E
         | Node | Edge 0     | ... Edge E-1 | Link 0 ...  | (Mark 0 ...)  |  next block
         16 B     16 B each                   8 B each       8 B each

So an edge takes 24 bytes. A PUCT step reads the E edges, which lie side by side, and one link. Marks are there
only in trees that have more than one leaf in flight or the solver (32 bytes an edge); those also know the block
of every node by its number. Of a terminal node the block is the Node and one double, its value for the player
to move there.

All inline: compiled into `_trees.pyx`, its only user. Axis letters: M nodes of a tree, E edges.
"""

from libc.stdint cimport INT32_MAX, int32_t, int64_t
from libc.stdlib cimport realloc
from libc.string cimport memmove
from libcpp.algorithm cimport sort

cdef extern from *:
    """
    #if defined(__GNUC__)
    #define alphazero_prefetch(address) __builtin_prefetch(address)
    #else
    #define alphazero_prefetch(address) ((void)(address))
    #endif
    """
    void prefetch "alphazero_prefetch"(const void* address) noexcept nogil

cdef enum:
    NO_NODE = -1
    NO_BLOCK = -1
    NO_EDGE = -1
    UNEXPANDED = 0
    TERMINAL = -1
    NODE_WORDS = 2
    EDGE_WORDS = 2
    TERMINAL_WORDS = 3  # the Node and its value
    FIRST_WORDS = 512
    FIRST_NODES = 64
    FIRST_PATH = 32
    CACHE_LINE_WORDS = 8
    PREFETCH_LINES = 4
    PREFETCH_MARKED_LINES = 5
    SIDE_BY_SIDE = 32  # trees whose nodes on the way fit into the core's first cache together
    ROWS_AHEAD = 8  # whose memory is on its way while a row is worked on

cdef enum Status:
    DONE
    NOT_IN_FLIGHT
    NO_ACTIONS
    OUT_OF_MEMORY


cdef struct Edge:
    double value_sum  # for the player who chooses this edge; so minus the child's
    int32_t visit_count  # 0: the edge is unvisited
    float prior


cdef struct Link:
    int32_t action
    int32_t child  # block of the child, NO_BLOCK while there is none


cdef struct Mark:
    int32_t in_flight  # leaves below this edge that wait for their answer and bear a virtual loss
    int32_t proven  # +1 proven to win, -1 to lose, 0 not known, for the player who chooses this edge


cdef struct Node:
    int32_t number
    int32_t parent  # number of the parent, -1 at the root
    int32_t parent_edge  # which of the parent's edges leads here
    int32_t edge_count  # UNEXPANDED, TERMINAL or the number of legal actions


cdef struct Tree:
    double* words  # owned; the blocks
    int32_t used  # words in use
    int32_t capacity  # words allocated
    int32_t spare_words  # room always kept, so that so many leaves can turn out to be terminal
    int32_t words_an_edge  # 3, or 4 with Marks
    int32_t* block_of  # owned; node number -> block, in marked trees only
    int32_t block_capacity
    int32_t node_count
    int32_t last_block
    int32_t here  # block that the descent has come to
    int32_t settled  # with the solver: what is proven of `here`, for the player to move there
    Mark mark_here  # of the edge to `here`, as the descent found it; in marked trees only
    int32_t* path  # owned; offsets of the edges from the root to `here`
    int32_t path_length
    int32_t path_capacity
    int32_t waits  # one leaf a tree: the last leaf handed out has no answer yet
    int32_t marked  # whether edges have Marks
    double forced_playouts  # factor of `Trees.set_forced_playouts`, 0: none
    int32_t early_stop  # whether a search ends once it is decided
    int32_t* visits_due  # owned; visits that each edge of the root is to reach by its quota
    int32_t due_count  # edges of the root if it has a quota, else 0
    Edge root_edge  # visits and values of the root, as if an edge led there
    Mark root_mark


# ---- growing, emptying, keeping a subtree ----


cdef inline int32_t empty_tree(Tree* tree) noexcept nogil:
    """Leave a root that waits for its evaluation; memory for as much as there was is kept. Returns a Status."""
    give_back(tree)
    tree.used = 0
    tree.node_count = 0
    tree.path_length = 0
    tree.waits = False
    tree.due_count = 0
    tree.root_edge.value_sum = 0.0
    tree.root_edge.visit_count = 0
    tree.root_mark.in_flight = tree.root_mark.proven = 0
    return OUT_OF_MEMORY if append_node(tree, NO_NODE, 0) == NO_BLOCK else DONE


cdef inline int32_t append_node(Tree* tree, int32_t parent, int32_t parent_edge) noexcept nogil:
    """Add an unexpanded node, which may move the tree's memory; return its block, or NO_BLOCK."""
    cdef int32_t block = tree.used
    cdef Node* node
    if not has_room(tree, TERMINAL_WORDS):  # it may turn out to be terminal
        return NO_BLOCK
    if tree.marked:
        if tree.node_count == tree.block_capacity and not grow_block_of(tree):
            return NO_BLOCK
        tree.block_of[tree.node_count] = block
    node = node_at(tree, block)
    node.number = tree.node_count
    node.parent = parent
    node.parent_edge = parent_edge
    node.edge_count = UNEXPANDED
    tree.used += NODE_WORDS
    tree.node_count += 1
    tree.last_block = block
    return block


cdef inline int32_t expand_leaf(
    Tree* tree, int32_t block, int32_t edge_count, const int32_t* actions, const float* priors
) noexcept nogil:
    """Give the unexpanded node at `block` its edges: actions int32 [E], priors float32 [E] IN. Returns a Status."""
    cdef Node* leaf
    cdef Edge* edges
    cdef Link* links
    cdef int32_t edge
    cdef int64_t more_words = edge_count * <int64_t>tree.words_an_edge
    # With room to spare, which leaves in flight may need to become terminal.
    if not has_room(tree, more_words) or not widen(tree, block, more_words):
        return OUT_OF_MEMORY
    leaf = node_at(tree, block)
    leaf.edge_count = edge_count
    edges = edges_of(leaf)
    links = links_of(leaf)
    for edge in range(edge_count):
        edges[edge].value_sum = 0.0
        edges[edge].visit_count = 0
        edges[edge].prior = priors[edge]
        links[edge].action = actions[edge]
        links[edge].child = NO_BLOCK
    if tree.marked:
        for edge in range(edge_count):
            marks_of(leaf)[edge].in_flight = marks_of(leaf)[edge].proven = 0
    return DONE


cdef inline bint widen(Tree* tree, int32_t block, int64_t more_words) noexcept nogil:
    """Add words at the end of an unexpanded node's block; False if there is no memory.

    With several leaves in flight there may be younger nodes behind it: they move up, few of them, so that
    blocks stay in the order of their numbers.
    """
    cdef int32_t tail = block + NODE_WORDS
    cdef int32_t number
    cdef Node* moved
    if tree.used + more_words > tree.capacity and not has_room(tree, more_words):
        return False
    if block != tree.last_block:
        memmove(tree.words + tail + more_words, tree.words + tail, (tree.used - tail) * sizeof(double))
        for number in range(node_at(tree, block).number + 1, tree.node_count):
            tree.block_of[number] += <int32_t>more_words
            moved = node_at(tree, tree.block_of[number])
            links_of(parent_of(tree, moved))[moved.parent_edge].child = tree.block_of[number]
        tree.last_block += <int32_t>more_words
    tree.used += <int32_t>more_words
    return True


cdef inline bint has_room(Tree* tree, int64_t more_words) noexcept nogil:
    cdef int64_t needed = tree.used + more_words + tree.spare_words
    return needed <= tree.capacity or grow(tree, needed)


cdef inline bint grow(Tree* tree, int64_t needed_words) noexcept nogil:
    """Move the blocks to more memory; False if there is none.

    By an eighth more: with a thousand trees, doubling would leave too much of it unused.
    """
    cdef int64_t capacity = max(needed_words, tree.capacity + <int64_t>tree.capacity // 8, <int64_t>FIRST_WORDS)
    return capacity <= INT32_MAX and set_capacity(tree, <int32_t>capacity)


cdef inline void give_back(Tree* tree) noexcept nogil:
    """Give memory back if there is half as much again as is in use.

    What the search before needed, the next one probably needs too; what a larger one needed once, it does not.
    """
    cdef int64_t wanted = max(tree.used, <int32_t>FIRST_WORDS)
    if tree.capacity > wanted + wanted // 2:
        set_capacity(tree, <int32_t>wanted)


cdef inline bint set_capacity(Tree* tree, int32_t words) noexcept nogil:
    cdef void* memory = realloc(tree.words, words * sizeof(double))
    if memory == NULL:
        return False
    tree.words = <double*>memory
    tree.capacity = words
    return True


cdef inline bint grow_path(Tree* tree) noexcept nogil:
    cdef int32_t capacity = max(<int32_t>FIRST_PATH, 2 * tree.path_capacity)
    cdef void* memory = realloc(tree.path, capacity * sizeof(int32_t))
    if memory == NULL:
        return False
    tree.path = <int32_t*>memory
    tree.path_capacity = capacity
    return True


cdef inline bint grow_block_of(Tree* tree) noexcept nogil:
    cdef int32_t capacity = max(<int32_t>FIRST_NODES, tree.block_capacity + tree.block_capacity // 8)
    cdef void* memory = realloc(tree.block_of, capacity * sizeof(int32_t))
    if memory == NULL:
        return False
    tree.block_of = <int32_t*>memory
    tree.block_capacity = capacity
    return True


cdef inline bint set_quota(Tree* tree, const int32_t* quota) noexcept nogil:
    """Make it the quota of the expanded root: int32 [E] IN; False if there is no memory."""
    cdef Node* root = node_at(tree, 0)
    cdef int32_t edge
    cdef void* memory = realloc(tree.visits_due, root.edge_count * sizeof(int32_t))
    if memory == NULL:
        return False
    tree.visits_due = <int32_t*>memory
    tree.due_count = root.edge_count
    for edge in range(root.edge_count):
        tree.visits_due[edge] = edges_of(root)[edge].visit_count + quota[edge]
    return True


cdef inline int32_t keep_subtree(Tree* tree, int32_t root_edge, int32_t* kept, int32_t* new_blocks) noexcept nogil:
    """Make the child under `root_edge` the root; move its subtree to the front in one ascending pass.

    kept, new_blocks: int32 [M] OUT, M the number of nodes so far. kept receives the old numbers of the
    nodes kept, whose count is returned; new_blocks is scratch (old number -> block after the move). Memory for as
    much as there was is kept.
    """
    give_back(tree)
    cdef Node* root = node_at(tree, 0)
    cdef int32_t kept_count = subtree_blocks(tree, links_of(root)[root_edge].child, kept)
    cdef int32_t size, old_number, i
    cdef Node* node
    cdef Node* parent
    tree.root_edge.value_sum = edges_of(root)[root_edge].value_sum
    tree.root_edge.visit_count = edges_of(root)[root_edge].visit_count
    if tree.marked:
        tree.root_mark = marks_of(root)[root_edge]
    tree.used = 0
    for i in range(kept_count):
        node = node_at(tree, kept[i])
        size = block_words(tree, node)
        old_number = node.number
        memmove(tree.words + tree.used, node, size * sizeof(double))
        node = node_at(tree, tree.used)
        node.number = i
        if i == 0:
            node.parent = NO_NODE
        else:
            parent = node_at(tree, new_blocks[node.parent])
            node.parent = parent.number
            links_of(parent)[node.parent_edge].child = tree.used
        if tree.marked:
            tree.block_of[i] = tree.used
        kept[i] = old_number
        new_blocks[old_number] = tree.used
        tree.last_block = tree.used
        tree.used += size
    tree.node_count = kept_count
    tree.path_length = 0
    tree.waits = False
    tree.due_count = 0
    return kept_count


cdef inline int32_t subtree_blocks(const Tree* tree, int32_t top, int32_t* blocks) noexcept nogil:
    """Fill `blocks` with those of the node at block `top` and of all below it, ascending; return their number.

    By the links: to walk over all the blocks of a tree would fetch a line from memory for each node that is left out.
    """
    cdef int32_t count = 1
    cdef int32_t looked_at = 0
    cdef int32_t edge
    cdef const Node* node
    blocks[0] = top
    while looked_at < count:
        node = node_at(tree, blocks[looked_at])
        looked_at += 1
        for edge in range(node.edge_count):
            if links_of(node)[edge].child != NO_BLOCK:
                blocks[count] = links_of(node)[edge].child
                prefetch(tree.words + blocks[count])
                count += 1
    sort(blocks, blocks + count)
    return count


cdef inline int32_t count_edges(const Tree* tree) noexcept nogil:
    """Number of edges in the tree."""
    cdef int32_t number
    cdef int32_t total = 0
    cdef int32_t block = 0
    cdef const Node* node
    for number in range(tree.node_count):
        node = node_at(tree, block)
        total += max(node.edge_count, 0)
        block += block_words(tree, node)
    return total


cdef inline int32_t find_searched_nodes(
    const Tree* tree, int32_t min_visits, int32_t except_action, int32_t* blocks, int32_t* numbers,
    int32_t* visit_counts, double* value_sums, int32_t* edge_offsets
) noexcept nogil:
    """Find the nodes of `Trees.searched_nodes`, level by level, and return N.

    OUT, with room for every node of the tree: blocks, numbers, visit_counts and value_sums [N], edge_offsets
    [N+1].
    """
    cdef Node* node = node_at(tree, 0)
    cdef Node* below
    cdef Link* link
    cdef int32_t found = 0
    cdef int32_t walked = 0
    cdef int32_t edge
    edge_offsets[0] = 0
    while True:
        for edge in range(node.edge_count):
            link = &links_of(node)[edge]
            if link.child == NO_BLOCK or edges_of(node)[edge].visit_count < min_visits:
                continue
            below = node_at(tree, link.child)
            if below.edge_count <= 0 or (node.number == 0 and link.action == except_action):
                continue
            blocks[found] = link.child
            numbers[found] = below.number
            visit_counts[found] = edges_of(node)[edge].visit_count
            value_sums[found] = 0.0 - edges_of(node)[edge].value_sum
            edge_offsets[found + 1] = edge_offsets[found] + below.edge_count
            found += 1
        if walked == found:
            return found
        node = node_at(tree, blocks[walked])
        walked += 1


# ---- finding one's way in the blocks ----


cdef inline Node* node_at(const Tree* tree, int32_t block) noexcept nogil:
    return <Node*>(tree.words + block)


cdef inline Edge* edge_at(const Tree* tree, int32_t offset) noexcept nogil:
    return <Edge*>(tree.words + offset)


cdef inline void prefetch_node(const Tree* tree) noexcept nogil:
    """Ask for the first cache lines of `here`: those of a node with up to seven edges, wherever in a line it begins."""
    cdef int32_t line
    for line in range(PREFETCH_MARKED_LINES if tree.marked else PREFETCH_LINES):
        prefetch(tree.words + tree.here + line * CACHE_LINE_WORDS)


cdef inline void prefetch_path(const Tree* tree) noexcept nogil:
    """Ask for what the answer of the leaf `here` will be written to."""
    cdef int32_t depth
    for depth in range(tree.path_length):
        prefetch(tree.words + tree.path[depth])
    prefetch_node(tree)


cdef inline Edge* edges_of(const Node* node) noexcept nogil:
    return <Edge*>(node + 1)


cdef inline Link* links_of(const Node* node) noexcept nogil:
    return <Link*>(edges_of(node) + node.edge_count)


cdef inline Mark* marks_of(const Node* node) noexcept nogil:
    return <Mark*>(links_of(node) + node.edge_count)


cdef inline double* terminal_value(const Node* node) noexcept nogil:
    return <double*>(node + 1)


cdef inline int32_t block_words(const Tree* tree, const Node* node) noexcept nogil:
    if node.edge_count == TERMINAL:
        return TERMINAL_WORDS
    return NODE_WORDS + node.edge_count * tree.words_an_edge


cdef inline Node* parent_of(const Tree* tree, const Node* node) noexcept nogil:
    """Of a marked tree; NULL at the root."""
    if node.parent == NO_NODE:
        return NULL
    return node_at(tree, tree.block_of[node.parent])


cdef inline Edge* edge_to(Tree* tree, const Node* node) noexcept nogil:
    """The edge of a marked tree that leads to `node`."""
    if node.parent == NO_NODE:
        return &tree.root_edge
    return &edges_of(parent_of(tree, node))[node.parent_edge]


cdef inline Mark* mark_to(const Tree* tree, const Node* node) noexcept nogil:
    """The mark of that edge."""
    if node.parent == NO_NODE:
        return <Mark*>&tree.root_mark
    return &marks_of(parent_of(tree, node))[node.parent_edge]
