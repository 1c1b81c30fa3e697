#include "control/graph.h"

#include <algorithm>

namespace weft::control {

void Graph::add(Node& node, bool is_output) {
  if (free_.empty()) {
    node.id_ = static_cast<std::uint32_t>(nodes_.size());
    nodes_.push_back(&node);
    generations_.push_back(0);
  } else {
    node.id_ = free_.back();
    free_.pop_back();
    nodes_[node.id_] = &node;
  }
  node.generation_ = ++generations_[node.id_];
  node.is_output_ = is_output;
  enlist(node);
}

void Graph::remove(Node& node) {
  WEFT_CHECK(node.users_ == 0 && !node.running_, "a node that is in use was dropped");
  for (Node* n : node.reads_) use(*n, -1);
  for (Node* n : node.holds_) use(*n, -1);
  generations_[node.id_] = node.generation_;
  nodes_[node.id_] = nullptr;
  free_.push_back(node.id_);
}

/// Whoever has no users when the update ends is dropped.
void Graph::enlist(Node& node) {
  if (node.listed_) return;
  node.listed_ = true;
  unused_.push_back(node.id_);
}

void Graph::use(Node& node, int by) {
  node.users_ += static_cast<std::uint32_t>(by);
  if (node.users_ == 0) enlist(node);
  if (by > 0 && node.users_ == 1 && node.is_output_ && node.dirty_) outputs_.push_back(node.id_);
}

void Graph::read(Node& node) {
  WEFT_CHECK(!running_.empty(), "a value was read outside of a computation");
  Node& reader = *running_.back();
  if (node.last_reader_ == reader.id_ && node.last_generation_ == reader.generation_) return;
  use(node, 1);
  reader.reads_.push_back(&node);
  ensure(node);
  node.last_reader_ = reader.id_;
  node.last_generation_ = reader.generation_;
  auto& readers = node.readers_;
  if (readers.size() == readers.capacity() && readers.size() >= 8)
    std::erase_if(readers, [&](const Node::Reader& r) {
      const Node* n = nodes_[r.node];
      return n == nullptr || n->generation_ != r.generation;
    });
  readers.push_back({reader.id_, reader.generation_});
}

void Graph::hold(Node& node) {
  WEFT_CHECK(!running_.empty(), "a value was held outside of a computation");
  use(node, 1);
  running_.back()->holds_.push_back(&node);
}

void Graph::root(Node& node, bool on) { use(node, on ? 1 : -1); }

void Graph::touch(Node& node) {
  node.changed_ = ++revision_;
  spread(node);
}

/// Everything that may follow from it has to be looked at.
void Graph::spread(Node& node) {
  std::vector<Node*> work{&node};
  while (!work.empty()) {
    Node* from = work.back();
    work.pop_back();
    std::erase_if(from->readers_, [&](const Node::Reader& r) {
      Node* n = nodes_[r.node];
      if (n == nullptr || n->generation_ != r.generation) return true;
      if (!n->dirty_) {
        n->dirty_ = true;
        if (n->is_output_) outputs_.push_back(n->id_);
        work.push_back(n);
      }
      return false;
    });
  }
}

void Graph::ensure(Node& node) {
  if (!node.dirty_) return;
  WEFT_CHECK(!node.running_, "a value depends on itself");
  bool stale = node.checked_ == 0;
  for (std::size_t i = 0; !stale && i < node.reads_.size(); ++i) {
    ensure(*node.reads_[i]);
    stale = node.reads_[i]->changed_ > node.checked_;
  }
  if (stale) recompute(node);
  node.checked_ = revision_;
  node.dirty_ = false;
}

void Graph::recompute(Node& node) {
  const std::vector<Node*> reads = std::exchange(node.reads_, {});
  const std::vector<Node*> holds = std::exchange(node.holds_, {});
  node.generation_ = ++generations_[node.id_];
  node.running_ = true;
  running_.push_back(&node);
  ++computed_;
  if (node.compute()) node.changed_ = revision_;
  running_.pop_back();
  node.running_ = false;
  for (Node* n : reads) use(*n, -1);
  for (Node* n : holds) use(*n, -1);
}

void Graph::update() {
  ++revision_;
  while (!outputs_.empty() || !unused_.empty()) {
    while (!outputs_.empty()) {
      const std::uint32_t id = outputs_.back();
      outputs_.pop_back();
      Node* node = nodes_[id];
      if (node != nullptr && node->is_output_ && node->users_ > 0) ensure(*node);
    }
    // A drop may leave others without users, which enlists them.
    while (!unused_.empty()) {
      const std::uint32_t id = unused_.back();
      unused_.pop_back();
      Node* node = nodes_[id];
      if (node == nullptr || !node->listed_) continue;
      node->listed_ = false;
      if (node->users_ == 0) node->drop();
    }
  }
}

}  // namespace weft::control
