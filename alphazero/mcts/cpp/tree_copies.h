// Copies of what is in a tree, into arrays of the caller, for statistics, parity tests and analysis.
#pragma once

#include <cstdint>

#include "alphazero/mcts/cpp/tree.h"

namespace alphazero {

// The edges of the expanded root, all arrays [edge_count] OUT; see `alphazero.mcts.backend.RootStatistics`.
inline void copy_root_edges(const Tree& tree, bool marked, int32_t* actions, int32_t* visit_counts,
                            double* value_sums, float* priors, int8_t* proven) {
  Node* root = tree.root();
  for (int32_t edge = 0; edge < root->edge_count; ++edge) {
    const Edge& here = Tree::edges(root)[edge];
    actions[edge] = Tree::links(root)[edge].action;
    visit_counts[edge] = here.visit_count;
    value_sums[edge] = here.value_sum;
    priors[edge] = here.prior;
    proven[edge] = marked ? static_cast<int8_t>(Tree::marks(root)[edge].proven) : int8_t{0};
  }
}

// Number of edges in the tree.
inline int32_t count_edges(const Tree& tree) {
  int32_t total = 0;
  int32_t block = 0;
  for (int32_t number = 0; number < tree.node_count(); ++number) {
    const Node* node = tree.node(block);
    if (node->is_expanded()) total += node->edge_count;
    block += tree.block_words(node);
  }
  return total;
}

// Everything, in the arrays of `alphazero.mcts.backend.TreeSnapshot`, OUT: [node_count] up to `proven`,
// edge_offsets [node_count + 1], then [count_edges(tree)].
inline void copy_tree(const Tree& tree, bool marked, int32_t* parent, int32_t* action, int32_t* visit_count,
                      double* value_sum, uint8_t* terminal, int8_t* proven, int32_t* edge_offsets,
                      int32_t* edge_actions, float* edge_priors, int32_t* edge_children) {
  action[0] = -1;
  visit_count[0] = tree.root_edge.visit_count;
  value_sum[0] = 0.0 - tree.root_edge.value_sum;
  proven[0] = static_cast<int8_t>(-tree.root_mark.proven);
  edge_offsets[0] = 0;
  int32_t total = 0;
  int32_t block = 0;
  for (int32_t number = 0; number < tree.node_count(); ++number) {
    Node* node = tree.node(block);
    block += tree.block_words(node);
    parent[number] = node->parent;
    terminal[number] = node->edge_count == kTerminal;
    for (int32_t edge = 0; edge < node->edge_count; ++edge, ++total) {
      const Edge& here = Tree::edges(node)[edge];
      const Link& link = Tree::links(node)[edge];
      edge_actions[total] = link.action;
      edge_priors[total] = here.prior;
      edge_children[total] = kNoNode;
      if (link.child == kNoBlock) continue;
      const int32_t child = tree.node(link.child)->number;
      edge_children[total] = child;
      action[child] = link.action;
      visit_count[child] = here.visit_count;
      value_sum[child] = 0.0 - here.value_sum;
      proven[child] = marked ? static_cast<int8_t>(-Tree::marks(node)[edge].proven) : int8_t{0};
    }
    edge_offsets[number + 1] = total;
  }
}

// Find the nodes of `alphazero.mcts.backend.Trees.searched_nodes`, level by level, and return N.
//
// OUT, with room for every node of the tree: blocks, numbers, visit_counts and value_sums [N], edge_offsets [N+1].
inline int32_t find_searched_nodes(const Tree& tree, int32_t min_visits, int32_t except_action, int32_t* blocks,
                                   int32_t* numbers, int32_t* visit_counts, double* value_sums,
                                   int32_t* edge_offsets) {
  int32_t found = 0;
  int32_t walked = 0;
  edge_offsets[0] = 0;
  for (Node* node = tree.root();; node = tree.node(blocks[walked++])) {
    for (int32_t edge = 0; edge < node->edge_count; ++edge) {
      const Edge& here = Tree::edges(node)[edge];
      const Link& link = Tree::links(node)[edge];
      if (link.child == kNoBlock || here.visit_count < min_visits) continue;
      const Node* below = tree.node(link.child);
      if (!below->is_expanded() || (node->number == 0 && link.action == except_action)) continue;
      blocks[found] = link.child;
      numbers[found] = below->number;
      visit_counts[found] = here.visit_count;
      value_sums[found] = 0.0 - here.value_sum;
      edge_offsets[found + 1] = edge_offsets[found] + below->edge_count;
      ++found;
    }
    if (walked == found) return found;
  }
}

// The edges of the `count` expanded nodes at `blocks` (IN), one node's after the other's: all other arrays OUT.
inline void copy_edges(const Tree& tree, bool marked, const int32_t* blocks, int32_t count, int32_t* actions,
                       int32_t* visit_counts, float* priors, int8_t* proven) {
  int32_t total = 0;
  for (int32_t index = 0; index < count; ++index) {
    Node* node = tree.node(blocks[index]);
    for (int32_t edge = 0; edge < node->edge_count; ++edge, ++total) {
      const Edge& here = Tree::edges(node)[edge];
      actions[total] = Tree::links(node)[edge].action;
      visit_counts[total] = here.visit_count;
      priors[total] = here.prior;
      proven[total] = marked ? static_cast<int8_t>(Tree::marks(node)[edge].proven) : int8_t{0};
    }
  }
}

}  // namespace alphazero
