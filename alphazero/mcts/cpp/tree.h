// One search tree: the memory of its nodes, how it grows, and how a subtree is kept.
//
// All nodes stand one after the other, in the order of their numbers, in one piece of memory that grows. A
// node and its edges are one block; a block is addressed by its offset in words of 8 bytes, and a child's
// block stands after its parent's:
//
//     word 0      2            4             2+2E           2+3E            2+4E
//          | Node | Edge 0     | ... Edge E-1 | Link 0 ...  | (Mark 0 ...)  |  next block
//          16 B     16 B each                   8 B each       8 B each
//
// So an edge takes 24 bytes. Marks are there only in trees that have more than one leaf in flight or the
// solver (32 bytes an edge); those also know the block of every node by its number. Of a terminal node the
// block is the Node and one double, its value for the player to move there.
//
// Free of Python. Methods that need memory say so by their result and never throw.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <utility>

#if defined(__GNUC__)
#define ALPHAZERO_PREFETCH(address) __builtin_prefetch(address)
#else
#define ALPHAZERO_PREFETCH(address) static_cast<void>(address)
#endif

namespace alphazero {

constexpr int32_t kNoNode = -1;
constexpr int32_t kNoBlock = -1;
constexpr int32_t kNoEdge = -1;
constexpr int32_t kUnexpanded = 0;
constexpr int32_t kTerminal = -1;

struct Edge {
  double value_sum;     // for the player who chooses this edge; so minus the child's
  int32_t visit_count;  // 0: the edge is unvisited
  float prior;
};

struct Link {
  int32_t action;
  int32_t child;  // block of the child, kNoBlock while there is none
};

struct Mark {
  int32_t in_flight;  // leaves below this edge that wait for their answer and bear a virtual loss
  int32_t proven;     // +1 proven to win, -1 to lose, 0 not known, for the player who chooses this edge
};

struct Node {
  int32_t number;
  int32_t parent;       // number of the parent, kNoNode at the root
  int32_t parent_edge;  // which of the parent's edges leads here
  int32_t edge_count;   // kUnexpanded, kTerminal or the number of legal actions

  bool is_expanded() const { return edge_count > 0; }
};

static_assert(sizeof(Edge) == 16 && sizeof(Link) == 8 && sizeof(Mark) == 8 && sizeof(Node) == 16);

// A growable array of trivial T on the C heap: grows without throwing, and without filling what it gains.
template <class T>
class RawArray {
 public:
  RawArray() = default;
  RawArray(RawArray&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)), capacity_(std::exchange(other.capacity_, 0)) {}
  RawArray& operator=(RawArray&&) = delete;
  ~RawArray() { std::free(data_); }

  T* data() const { return data_; }
  T& operator[](int32_t index) const { return data_[index]; }
  int32_t capacity() const { return capacity_; }

  // By an eighth more than there was: with a thousand trees, doubling would leave too much unused.
  bool reserve(int64_t needed, int32_t first) {
    if (needed <= capacity_) return true;
    const int64_t capacity = std::max({needed, int64_t{capacity_} + capacity_ / 8, int64_t{first}});
    return capacity <= std::numeric_limits<int32_t>::max() && set_capacity(static_cast<int32_t>(capacity));
  }

  // Give memory back if there is half as much again as `wanted`.
  void give_back(int32_t wanted) {
    if (capacity_ > int64_t{wanted} + wanted / 2) set_capacity(wanted);
  }

 private:
  bool set_capacity(int32_t capacity) {
    void* memory = std::realloc(data_, static_cast<size_t>(capacity) * sizeof(T));
    if (memory == nullptr) return false;
    data_ = static_cast<T*>(memory);
    capacity_ = capacity;
    return true;
  }

  T* data_ = nullptr;
  int32_t capacity_ = 0;
};

class Tree {
 public:
  static constexpr int32_t kNodeWords = 2;
  static constexpr int32_t kEdgeWords = 2;
  static constexpr int32_t kTerminalWords = 3;  // the Node and its value

  // marked: whether edges have Marks. spare_words: room always kept, so that so many leaves can turn out to
  // be terminal without asking for memory.
  Tree(bool marked, int32_t spare_words)
      : marked_(marked), words_an_edge_(marked ? 4 : 3), spare_words_(spare_words) {}

  // ---- blocks ----

  Node* node(int32_t block) const { return reinterpret_cast<Node*>(words_.data() + block); }
  Edge* edge_at(int32_t offset) const { return reinterpret_cast<Edge*>(words_.data() + offset); }
  const double* words() const { return words_.data(); }
  static Edge* edges(Node* node) { return reinterpret_cast<Edge*>(node + 1); }
  static Link* links(Node* node) { return reinterpret_cast<Link*>(edges(node) + node->edge_count); }
  static Mark* marks(Node* node) { return reinterpret_cast<Mark*>(links(node) + node->edge_count); }
  static double& terminal_value(Node* node) { return *reinterpret_cast<double*>(node + 1); }
  static int32_t edge_offset(int32_t block, int32_t edge) { return block + kNodeWords + edge * kEdgeWords; }

  int32_t block_words(const Node* node) const {
    return node->edge_count == kTerminal ? kTerminalWords : kNodeWords + node->edge_count * words_an_edge_;
  }

  Node* root() const { return node(0); }
  bool is_marked() const { return marked_; }
  int32_t node_count() const { return node_count_; }
  int32_t last_block() const { return last_block_; }

  // Marked trees only: a node by its number, and the edge that leads to a node.
  int32_t block_of(int32_t number) const { return block_of_[number]; }
  Edge& edge_to(const Node* node) {
    if (node->parent == kNoNode) return root_edge;
    return edges(this->node(block_of_[node->parent]))[node->parent_edge];
  }
  Mark& mark_to(const Node* node) {
    if (node->parent == kNoNode) return root_mark;
    return marks(this->node(block_of_[node->parent]))[node->parent_edge];
  }

  // ---- growing ----

  // Leave a root that waits for its evaluation; memory for as much as there was is kept. False without memory.
  bool clear() {
    give_back();
    used_ = 0;
    node_count_ = 0;
    root_edge = {};
    root_mark = {};
    return append(kNoNode, 0) != kNoBlock;
  }

  // Add an unexpanded node, which may move the memory; return its block, or kNoBlock without memory.
  int32_t append(int32_t parent, int32_t parent_edge) {
    const int32_t block = used_;
    if (!has_room(kTerminalWords)) return kNoBlock;  // it may turn out to be terminal
    if (marked_) {
      if (!block_of_.reserve(int64_t{node_count_} + 1, kFirstNodes)) return kNoBlock;
      block_of_[node_count_] = block;
    }
    *node(block) = {node_count_, parent, parent_edge, kUnexpanded};
    used_ += kNodeWords;
    ++node_count_;
    last_block_ = block;
    return block;
  }

  // Give the unexpanded node at `block` its edges: actions int32 [count], priors float [count].
  bool expand(int32_t block, int32_t count, const int32_t* actions, const float* priors) {
    // With room to spare, which leaves in flight may need to become terminal.
    const int64_t more_words = int64_t{count} * words_an_edge_;
    if (!has_room(more_words) || !widen(block, more_words)) return false;
    Node* leaf = node(block);
    leaf->edge_count = count;
    Edge* edge = edges(leaf);
    Link* link = links(leaf);
    for (int32_t i = 0; i < count; ++i) {
      edge[i] = {0.0, 0, priors[i]};
      link[i] = {actions[i], kNoBlock};
    }
    if (marked_) std::fill_n(marks(leaf), count, Mark{});
    return true;
  }

  // Make the unexpanded node at `block` terminal; `append` has seen to the memory.
  void end(int32_t block, double value) {
    widen(block, kTerminalWords - kNodeWords);
    Node* leaf = node(block);
    leaf->edge_count = kTerminal;
    terminal_value(leaf) = value;
  }

  // ---- keeping a subtree ----

  // Make the child under edge `root_edge_index` the root and move its subtree to the front, in one ascending
  // pass. kept, new_blocks: int32 [node_count()] OUT; kept receives the old numbers of the nodes kept, whose
  // count is returned; new_blocks is scratch (old number -> block after the move). Memory for as much as there
  // was is kept.
  int32_t keep_subtree(int32_t root_edge_index, int32_t* kept, int32_t* new_blocks) {
    const int32_t kept_count = subtree_blocks(links(root())[root_edge_index].child, kept);
    root_edge = edges(root())[root_edge_index];
    if (marked_) root_mark = marks(root())[root_edge_index];
    give_back();
    used_ = 0;
    for (int32_t number = 0; number < kept_count; ++number) {
      const Node* old = node(kept[number]);
      const int32_t old_number = old->number;
      const int32_t size = block_words(old);
      std::memmove(words_.data() + used_, old, static_cast<size_t>(size) * sizeof(double));
      Node* moved = node(used_);
      moved->number = number;
      if (number == 0) {
        moved->parent = kNoNode;
      } else {
        Node* parent = node(new_blocks[moved->parent]);
        moved->parent = parent->number;
        links(parent)[moved->parent_edge].child = used_;
      }
      if (marked_) block_of_[number] = used_;
      kept[number] = old_number;
      new_blocks[old_number] = used_;
      last_block_ = used_;
      used_ += size;
    }
    node_count_ = kept_count;
    return kept_count;
  }

  // Bytes in use, room to grow not counted.
  int64_t memory_bytes() const {
    return int64_t{used_} * static_cast<int64_t>(sizeof(double)) +
           (marked_ ? int64_t{node_count_} * static_cast<int64_t>(sizeof(int32_t)) : 0);
  }

  // Bytes held, room to grow included.
  int64_t reserved_bytes() const {
    return int64_t{words_.capacity()} * static_cast<int64_t>(sizeof(double)) +
           int64_t{block_of_.capacity()} * static_cast<int64_t>(sizeof(int32_t));
  }

  Edge root_edge = {};  // visits and values of the root, as if an edge led there
  Mark root_mark = {};

 private:
  static constexpr int32_t kFirstWords = 512;
  static constexpr int32_t kFirstNodes = 64;

  bool has_room(int64_t more_words) {
    return words_.reserve(int64_t{used_} + more_words + spare_words_, kFirstWords);
  }

  // Fill `blocks` with those of the node at block `top` and of all below it, ascending; return their number. By the
  // links: to walk over all the blocks of a tree would fetch a line from memory for each node that is left out.
  int32_t subtree_blocks(int32_t top, int32_t* blocks) const {
    int32_t count = 0;
    blocks[count++] = top;
    for (int32_t looked_at = 0; looked_at < count; ++looked_at) {
      Node* here = node(blocks[looked_at]);
      for (int32_t edge = 0; edge < here->edge_count; ++edge) {
        const int32_t child = links(here)[edge].child;
        if (child == kNoBlock) continue;
        ALPHAZERO_PREFETCH(words_.data() + child);
        blocks[count++] = child;
      }
    }
    std::sort(blocks, blocks + count);
    return count;
  }

  // What the search before needed, the next one probably needs too; what a larger one needed once, it does not.
  void give_back() { words_.give_back(std::max(used_, kFirstWords)); }

  // Add words at the end of an unexpanded node's block. With several leaves in flight there may be younger
  // nodes behind it: they move up, few of them, so that blocks stay in the order of their numbers.
  bool widen(int32_t block, int64_t more_words) {
    if (used_ + more_words > words_.capacity() && !has_room(more_words)) return false;
    const int32_t shift = static_cast<int32_t>(more_words);
    const int32_t tail = block + kNodeWords;
    if (block != last_block_) {
      std::memmove(words_.data() + tail + shift, words_.data() + tail,
                   static_cast<size_t>(used_ - tail) * sizeof(double));
      for (int32_t number = node(block)->number + 1; number < node_count_; ++number) {
        block_of_[number] += shift;
        const Node* moved = node(block_of_[number]);
        links(node(block_of_[moved->parent]))[moved->parent_edge].child = block_of_[number];
      }
      last_block_ += shift;
    }
    used_ += shift;
    return true;
  }

  bool marked_;
  int32_t words_an_edge_;
  int32_t spare_words_;
  RawArray<double> words_;
  RawArray<int32_t> block_of_;  // marked trees: node number -> block
  int32_t used_ = 0;            // words in use
  int32_t node_count_ = 0;
  int32_t last_block_ = 0;
};

}  // namespace alphazero
