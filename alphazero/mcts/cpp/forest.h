// Many search trees at once: selection, backup and proofs, over arrays.
//
// The C++ side of `alphazero.mcts.backend.Trees`; docs/mcts_contract.md states the arithmetic. Free of Python.
// Arguments are checked by the caller; `count` is the number of rows K. One thread at a time.
#pragma once

#include <algorithm>
#include <cstdint>
#include <new>
#include <vector>

#include "alphazero/mcts/cpp/tree.h"
#include "alphazero/mcts/tree_ops.h"

namespace alphazero {

enum class Status : int32_t { kDone, kNotInFlight, kNoActions, kOutOfMemory };

// `alphazero.mcts.backend.TreeOptions`.
struct TreeOptions {
  bool first_play_from_parent = false;
  double first_play_value = 0.0;
  int32_t leaves_per_tree = 1;
  int32_t virtual_loss = 1;
  bool solver = false;

  bool several_leaves() const { return leaves_per_tree > 1; }
  bool marked() const { return several_leaves() || solver; }
};

class Forest {
 public:
  // remaining, spared: int32 [num_trees], kept by the caller for as long as the forest. Throws std::bad_alloc.
  Forest(int32_t num_trees, int32_t* remaining, int32_t* spared, const TreeOptions& options)
      : options_(options), remaining_(remaining), spared_(spared) {
    descents_.reserve(static_cast<size_t>(num_trees));
    for (int32_t tree = 0; tree < num_trees; ++tree) {
      descents_.emplace_back(options.marked(), options.several_leaves() ? options.leaves_per_tree : 0);
      if (!descents_.back().tree.clear()) throw std::bad_alloc();
    }
  }

  // table: float64 [size], kept by the caller until another one is set.
  void set_exploration(const double* table, int32_t size) {
    exploration_ = table;
    table_size_ = size;
  }
  int32_t table_size() const { return table_size_; }

  Tree& tree(int32_t index) { return descents_[static_cast<size_t>(index)].tree; }

  // See `alphazero.mcts.backend.Trees.set_forced_playouts`.
  void set_forced_playouts(int32_t index, double factor) { descent(index).forced_playouts = factor; }

  // See `alphazero.mcts.backend.Trees.set_early_stop`.
  void set_early_stop(int32_t index, bool early_stop) {
    descent(index).early_stop = early_stop;
    stop_if_decided(index);
  }

  // See `alphazero.mcts.backend.Trees.set_root_quota`: int32 [E] IN, of an expanded root; false without memory.
  bool set_root_quota(int32_t index, const int32_t* quota) {
    Descent& way = descent(index);
    Node* root = way.tree.root();
    if (!way.visits_due.reserve(root->edge_count, 1)) return false;
    way.due_count = root->edge_count;
    for (int32_t edge = 0; edge < root->edge_count; ++edge) {
      way.visits_due[edge] = Tree::edges(root)[edge].visit_count + quota[edge];
    }
    return true;
  }

  void reset(int32_t index) {
    descent(index).waits = false;
    descent(index).due_count = 0;
    tree(index).clear();  // the memory is there
  }

  // trees IN; nodes, parents, actions OUT.
  //
  // With one leaf a tree several trees descend side by side, one level at a time: while the next node of one is
  // on its way from memory, the others use the processor. What happens within a tree does not depend on it.
  Status select_leaves(const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents,
                       int32_t* actions) {
    std::fill_n(nodes, count, kNoNode);
    std::fill_n(parents, count, kNoNode);
    std::fill_n(actions, count, -1);
    if (options_.several_leaves()) return select_one_by_one(trees, count, nodes, parents, actions);
    for (int32_t first = 0; first < count; first += kSideBySide) {
      const int32_t size = std::min(kSideBySide, count - first);
      const Status status =
          options_.solver
              ? select_side_by_side<true>(trees + first, size, nodes + first, parents + first, actions + first)
              : select_side_by_side<false>(trees + first, size, nodes + first, parents + first, actions + first);
      if (status != Status::kDone) return status;
    }
    return Status::kDone;
  }

  // Whether node `number` was handed out and has had no answer yet.
  bool awaits_answer(int32_t index, int32_t number) {
    const Tree& tree = this->tree(index);
    if (number < 0 || number >= tree.node_count()) return false;
    if (!options_.several_leaves()) {
      return descent(index).waits && tree.node(tree.last_block())->number == number;
    }
    const Node* node = tree.node(tree.block_of(number));
    return node->edge_count == kUnexpanded && this->tree(index).mark_to(node).in_flight > 0;
  }

  bool has_leaf_in_flight(int32_t index) { return tree(index).root_mark.in_flight > 0; }

  // All arrays IN; a terminal row must await its answer.
  void backup_terminal(const int32_t* trees, const int32_t* nodes, const uint8_t* terminal,
                       const double* values, int32_t count) {
    for (int32_t row = 0; row < count; ++row) {
      if (!terminal[row]) continue;
      Tree& tree = this->tree(trees[row]);
      tree.end(leaf_block(tree, nodes[row]), values[row]);
      finish_leaf(trees[row], nodes[row], values[row]);
      if (options_.solver && values[row] != 0.0) prove(tree, nodes[row], values[row] > 0.0 ? 1 : -1);
    }
  }

  // All arrays IN, but failed_row OUT: the row whose Status it is, unless all is done.
  Status expand_and_backup(const int32_t* trees, const int32_t* nodes, const int32_t* offsets,
                           const int32_t* actions, const float* priors, const double* values,
                           int32_t count, int32_t* failed_row) {
    for (int32_t row = 0; row < std::min(kRowsAhead, count); ++row) prefetch_path(descent(trees[row]));
    for (int32_t row = 0; row < count; ++row) {
      if (row + kRowsAhead < count) prefetch_path(descent(trees[row + kRowsAhead]));
      const int32_t start = offsets[row];
      const int32_t edge_count = offsets[row + 1] - start;
      *failed_row = row;
      if (edge_count <= 0) return Status::kNoActions;
      if (!awaits_answer(trees[row], nodes[row])) return Status::kNotInFlight;
      Tree& tree = this->tree(trees[row]);
      if (!tree.expand(leaf_block(tree, nodes[row]), edge_count, actions + start, priors + start)) {
        return Status::kOutOfMemory;
      }
      finish_leaf(trees[row], nodes[row], values[row]);
    }
    return Status::kDone;
  }

  // See Tree::keep_subtree.
  int32_t keep_subtree(int32_t index, int32_t root_edge, int32_t* kept, int32_t* new_blocks) {
    descent(index).waits = false;
    descent(index).due_count = 0;
    return tree(index).keep_subtree(root_edge, kept, new_blocks);
  }

  // Bytes of all trees as they are; reserved: with the room that they keep to grow.
  int64_t memory_bytes(bool reserved) const {
    int64_t total = 0;
    for (const Descent& descent : descents_) {
      total += static_cast<int64_t>(sizeof(Descent)) +
               (reserved ? descent.tree.reserved_bytes() : descent.tree.memory_bytes()) +
               (int64_t{descent.path.capacity()} + descent.visits_due.capacity()) *
                   static_cast<int64_t>(sizeof(int32_t));
    }
    return total;
  }

 private:
  static constexpr int32_t kFirstPath = 32;
  static constexpr int32_t kPrefetchLines = 4;
  static constexpr int32_t kPrefetchMarkedLines = 5;
  static constexpr int32_t kSideBySide = 32;  // trees whose nodes on the way fit into the core's first cache together
  static constexpr int32_t kRowsAhead = 8;    // whose memory is on its way while a row is worked on
  static constexpr int32_t kCacheLineWords = 8;

  // A tree and the way down it: `here` is the block that the descent has come to.
  struct Descent {
    Descent(bool marked, int32_t spare_words) : tree(marked, spare_words) {}

    Tree tree;
    RawArray<int32_t> path;  // offsets of the edges from the root to `here`
    int32_t path_length = 0;
    int32_t here = 0;
    int32_t settled = 0;  // with the solver: what is proven of `here`, for the player to move there
    Mark mark_here = {};  // of the edge to `here`, as the descent found it; in marked trees only
    double forced_playouts = 0.0;  // factor; 0: none
    bool early_stop = false;
    RawArray<int32_t> visits_due;  // visits that each edge of the root is to reach by its quota
    int32_t due_count = 0;         // edges of the root if it has a quota, else 0
    bool waits = false;            // one leaf a tree: the last leaf handed out has no answer yet
  };

  enum class Step { kOnTheWay, kLeaf, kNoLeaf, kOutOfMemory };

  Descent& descent(int32_t index) { return descents_[static_cast<size_t>(index)]; }

  // ---- selection ----

  template <bool kMarked>
  Status select_side_by_side(const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents,
                             int32_t* actions) {
    int32_t to_do[kSideBySide];  // rows whose tree is still on its way
    int32_t on_the_way = 0;
    for (int32_t row = 0; row < count; ++row) {
      if (remaining_[trees[row]] <= 0) continue;
      start(descent(trees[row]));
      to_do[on_the_way++] = row;
    }
    while (on_the_way > 0) {
      int32_t still = 0;
      for (int32_t i = 0; i < on_the_way; ++i) {
        const int32_t row = to_do[i];
        const Step step = go_on<kMarked>(trees[row], &actions[row]);
        if (step == Step::kOnTheWay) {
          to_do[still++] = row;
        } else if (step == Step::kLeaf) {
          hand_out(descent(trees[row]), &nodes[row], &parents[row]);
        } else if (step == Step::kOutOfMemory) {
          return Status::kOutOfMemory;
        }
      }
      on_the_way = still;
    }
    return Status::kDone;
  }

  Status select_one_by_one(const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents,
                           int32_t* actions) {
    for (int32_t row = 0; row < count; ++row) {
      Descent& way = descent(trees[row]);
      if (!may_hand_out(trees[row])) continue;
      start(way);
      Step step = Step::kOnTheWay;
      while (step == Step::kOnTheWay) step = go_on<true>(trees[row], &actions[row]);
      if (step == Step::kOutOfMemory) return Status::kOutOfMemory;
      if (step == Step::kNoLeaf) continue;
      const Node* leaf = way.tree.node(way.here);
      if (way.tree.mark_to(leaf).in_flight > 0) {  // on its way already: this tree has no other leaf now
        actions[row] = -1;
        continue;
      }
      count_in_flight(way.tree, leaf, 1);
      hand_out(way, &nodes[row], &parents[row]);
    }
    return Status::kDone;
  }

  bool may_hand_out(int32_t index) {
    const int32_t in_flight = tree(index).root_mark.in_flight;
    return remaining_[index] > in_flight && in_flight < options_.leaves_per_tree;
  }

  static void hand_out(Descent& way, int32_t* node, int32_t* parent) {
    const Node* leaf = way.tree.node(way.here);
    *node = leaf->number;
    *parent = leaf->parent;
    way.waits = true;
  }

  static void start(Descent& way) {
    way.here = 0;
    way.path_length = 0;
    way.settled = 0;
    way.mark_here = way.tree.root_mark;
    prefetch(way);
  }

  // Go down one level, or complete a simulation if the game is decided here and start again at the root.
  template <bool kMarked>
  Step go_on(int32_t index, int32_t* action) {
    Descent& way = descent(index);
    Node* node = way.tree.node(way.here);
    double value;
    if (node->edge_count == kTerminal) {
      value = Tree::terminal_value(node);
    } else if (kMarked && way.settled != 0) {
      value = way.settled;
    } else if (node->edge_count == kUnexpanded) {
      return Step::kLeaf;
    } else {
      return descend_one_level<kMarked>(way, node, action) ? Step::kOnTheWay : Step::kOutOfMemory;
    }
    complete_simulation(index, value);
    *action = -1;
    if (remaining_[index] <= (kMarked ? way.tree.root_mark.in_flight : 0)) return Step::kNoLeaf;
    start(way);
    return Step::kOnTheWay;
  }

  // Take the best edge of the expanded node `here`, to a new node if need be; false without memory.
  template <bool kMarked>
  bool descend_one_level(Descent& way, Node* node, int32_t* action) {
    Tree& tree = way.tree;
    const Edge* edge_here = &tree.root_edge;
    int32_t best = kNoEdge;
    if (way.path_length > 0) {
      edge_here = tree.edge_at(way.path[way.path_length - 1]);
    } else if (way.due_count > 0) {
      best = edge_with_quota<kMarked>(way, node);
    } else if (way.forced_playouts > 0.0) {
      best = forced_edge<kMarked>(way, node);
    }
    if (!way.path.reserve(int64_t{way.path_length} + 1, kFirstPath)) return false;
    if constexpr (kMarked) {
      if (best == kNoEdge) best = best_marked_edge(way.mark_here, node, edge_here);
      way.mark_here = Tree::marks(node)[best];
      way.settled = -way.mark_here.proven;
    } else {
      if (best == kNoEdge) best = best_edge(node, edge_here);
    }
    way.path[way.path_length++] = Tree::edge_offset(way.here, best);
    *action = Tree::links(node)[best].action;
    int32_t child = Tree::links(node)[best].child;
    if (child == kNoBlock) {
      child = tree.append(node->number, best);
      if (child == kNoBlock) return false;
      Tree::links(tree.node(way.here))[best].child = child;
    }
    way.here = child;
    prefetch(way);
    return true;
  }

  // Return the root's edge with most of its quota left, the lowest if several have it; kNoEdge if none has any.
  // No quota counts if a move is proven to win, none of a move that is proven to lose unless all are.
  template <bool kMarked>
  static int32_t edge_with_quota(const Descent& way, Node* root) {
    const int32_t proven = kMarked ? way.tree.root_mark.proven : 0;  // for the player who moved here
    if (proven < 0) return kNoEdge;
    int32_t best = kNoEdge;
    int32_t most_left = 0;
    for (int32_t edge = 0; edge < root->edge_count; ++edge) {
      if (kMarked && proven == 0 && Tree::marks(root)[edge].proven < 0) continue;
      const int32_t left = way.visits_due[edge] - Tree::edges(root)[edge].visit_count;
      if (left > most_left) {
        most_left = left;
        best = edge;
      }
    }
    return best;
  }

  // Return the root's first edge that was visited, but lacks forced playouts; kNoEdge if there is none.
  // None is forced if a move is proven to win, none that is proven to lose unless all are.
  template <bool kMarked>
  static int32_t forced_edge(const Descent& way, Node* root) {
    const int32_t proven = kMarked ? way.tree.root_mark.proven : 0;  // for the player who moved here
    if (proven < 0) return kNoEdge;
    const Edge* edges = Tree::edges(root);
    const double visits_of_all = way.tree.root_edge.visit_count - 1;
    for (int32_t edge = 0; edge < root->edge_count; ++edge) {
      if (kMarked && proven == 0 && Tree::marks(root)[edge].proven < 0) continue;
      const double visit_count = edges[edge].visit_count;
      const double prior = edges[edge].prior;
      if (visit_count > 0.0 &&
          visit_count * visit_count < way.forced_playouts * prior * visits_of_all) {
        return edge;
      }
    }
    return kNoEdge;
  }

  // Return the edge with the highest PUCT score; the lowest action if several have it.
  // edge_here: the edge that leads to `node`; its value_sum is for the player who moved there.
  int32_t best_edge(Node* node, const Edge* edge_here) const {
    const Edge* edges = Tree::edges(node);
    const double exploration = exploration_factor(edge_here->visit_count);
    const double unvisited_q_value = first_play_q_value(edge_here);
    const int32_t count = node->edge_count;
    double best_score = puct_score(edges[0], exploration, unvisited_q_value);
    int32_t best = 0;
    for (int32_t edge = 1; edge < count; ++edge) {
      const double score = puct_score(edges[edge], exploration, unvisited_q_value);
      if (score > best_score) {
        best_score = score;
        best = edge;
      }
    }
    return best;
  }

  // The same with leaves in flight and proofs: an edge proven to win is taken at once, edges proven to lose
  // are left out, unless all are.
  int32_t best_marked_edge(const Mark& mark_here, Node* node, const Edge* edge_here) const {
    const Edge* edges = Tree::edges(node);
    const Mark* marks = Tree::marks(node);
    const double exploration =
        exploration_factor(edge_here->visit_count + options_.virtual_loss * mark_here.in_flight);
    const double unvisited_q_value = first_play_q_value(edge_here);
    const bool all_lose = mark_here.proven > 0;  // proven to win for the player who moved here
    double best_score = 0.0;
    int32_t best = -1;
    for (int32_t edge = 0; edge < node->edge_count; ++edge) {
      const Mark& mark = marks[edge];
      if (mark.proven > 0) return edge;
      if (mark.proven < 0 && !all_lose) continue;
      const int32_t virtual_visits = options_.virtual_loss * mark.in_flight;
      const Edge seen = {edges[edge].value_sum - virtual_visits, edges[edge].visit_count + virtual_visits,
                         edges[edge].prior};
      const double score = puct_score(seen, exploration, unvisited_q_value);
      if (best < 0 || score > best_score) {
        best_score = score;
        best = edge;
      }
    }
    return best;
  }

  double exploration_factor(int32_t visit_count) const {
    return exploration_[std::min(visit_count, table_size_ - 1)];
  }

  double first_play_q_value(const Edge* edge_here) const {
    if (!options_.first_play_from_parent) return options_.first_play_value;
    return -edge_here->value_sum / edge_here->visit_count - options_.first_play_value;
  }

  // Without a branch on `visit_count`, which would often be guessed wrongly; the two quotients stand side by
  // side, so that the compiler can make one packed division of them.
  static double puct_score(const Edge& edge, double exploration, double unvisited_q_value) {
    const double q_value = edge.visit_count > 0 ? edge.value_sum / edge.visit_count : unvisited_q_value;
    return q_value + exploration * static_cast<double>(edge.prior) / (1 + edge.visit_count);
  }

  // Ask for what the answer of the leaf `here` will be written to.
  static void prefetch_path(const Descent& way) {
    for (int32_t depth = 0; depth < way.path_length; ++depth) {
      ALPHAZERO_PREFETCH(way.tree.words() + way.path[depth]);
    }
    prefetch(way);
  }

  // Ask for the first cache lines of `here`: those of a node with up to seven edges, wherever in a line it begins.
  static void prefetch(const Descent& way) {
    const int32_t lines = way.tree.is_marked() ? kPrefetchMarkedLines : kPrefetchLines;
    for (int32_t line = 0; line < lines; ++line) {
      ALPHAZERO_PREFETCH(way.tree.words() + way.here + line * kCacheLineWords);
    }
  }

  // ---- answers ----

  int32_t leaf_block(const Tree& tree, int32_t number) const {
    return options_.several_leaves() ? tree.block_of(number) : tree.last_block();
  }

  // Take `value`, for the player to move at leaf `number`, as its answer.
  void finish_leaf(int32_t index, int32_t number, double value) {
    Descent& way = descent(index);
    way.waits = false;
    if (options_.several_leaves()) {
      if (number != 0) --remaining_[index];  // the root's own evaluation is not a simulation
      const Node* leaf = way.tree.node(way.tree.block_of(number));
      count_in_flight(way.tree, leaf, -1);
      backup_from(way.tree, leaf, value);
    } else if (number == 0) {
      backup_path(way, value);
    } else {
      complete_simulation(index, value);
    }
  }

  void complete_simulation(int32_t index, double value) {
    --remaining_[index];
    backup_path(descent(index), value);
    stop_if_decided(index);
  }

  // End a search that may stop early if what remains of it cannot change the root's most visited move.
  void stop_if_decided(int32_t index) {
    Descent& way = descent(index);
    if (!way.early_stop) return;
    Node* root = way.tree.root();
    const bool all_lose = way.tree.root_mark.proven > 0;  // proven to win for the player who moved here
    int32_t most = 0;
    int32_t second = 0;
    for (int32_t edge = 0; edge < root->edge_count; ++edge) {
      if (options_.marked() && Tree::marks(root)[edge].proven < 0 && !all_lose) continue;
      const int32_t visit_count = Tree::edges(root)[edge].visit_count;
      second = std::max(second, std::min(most, visit_count));
      most = std::max(most, visit_count);
    }
    if (most - second > remaining_[index]) {
      spared_[index] += remaining_[index];
      remaining_[index] = 0;
    }
  }

  // Add `value`, for the player to move at `here`, to every edge of the path, with alternating sign.
  static void backup_path(Descent& way, double value) {
    for (int32_t depth = way.path_length - 1; depth >= 0; --depth) {
      value = -value;
      add_visit(*way.tree.edge_at(way.path[depth]), value);
    }
    add_visit(way.tree.root_edge, -value);
  }

  // The same where the path is no longer known: from `leaf` up, by parents.
  static void backup_from(Tree& tree, const Node* leaf, double value) {
    for (const Node* node = leaf; node != nullptr; node = parent_of(tree, node)) {
      value = -value;
      add_visit(tree.edge_to(node), value);
    }
  }

  static void add_visit(Edge& edge, double value) {
    edge.visit_count += 1;
    edge.value_sum += value;
  }

  static void count_in_flight(Tree& tree, const Node* leaf, int32_t change) {
    for (const Node* node = leaf; node != nullptr; node = parent_of(tree, node)) {
      tree.mark_to(node).in_flight += change;
    }
  }

  // Mark leaf `number` as won (+1) or lost (-1) for the player to move there, and what follows above: a node
  // is won if a child is lost, and lost if all of its children are won.
  static void prove(Tree& tree, int32_t number, int32_t proven) {
    const Node* node = tree.node(tree.block_of(number));
    tree.mark_to(node).proven = -proven;
    while (node->parent != kNoNode) {
      Node* parent = tree.node(tree.block_of(node->parent));
      Mark& mark = tree.mark_to(parent);
      if (mark.proven != 0) return;
      const Mark* marks = Tree::marks(parent);
      const bool all_lose = std::all_of(marks, marks + parent->edge_count,
                                        [](const Mark& child) { return child.proven < 0; });
      if (proven > 0 && !all_lose) return;
      proven = -proven;
      mark.proven = -proven;
      node = parent;
    }
  }

  static const Node* parent_of(const Tree& tree, const Node* node) {
    return node->parent == kNoNode ? nullptr : tree.node(tree.block_of(node->parent));
  }

  TreeOptions options_;
  int32_t* remaining_;
  int32_t* spared_;
  const double* exploration_ = nullptr;
  int32_t table_size_ = 0;
  std::vector<Descent> descents_;
};

// What the compiled driver needs of `forest`, which has to outlive it.
inline alphazero_tree_ops tree_ops_of(Forest* forest) {
  return {
      forest,
      [](void* self, const int32_t* trees, int32_t count, int32_t* nodes, int32_t* parents,
         int32_t* actions) {
        return static_cast<int32_t>(
            static_cast<Forest*>(self)->select_leaves(trees, count, nodes, parents, actions));
      },
      [](void* self, const int32_t* trees, const int32_t* nodes, const uint8_t* terminal,
         const double* values, int32_t count) {
        static_cast<Forest*>(self)->backup_terminal(trees, nodes, terminal, values, count);
      },
  };
}

}  // namespace alphazero
