// Graph: values that follow from other values, recomputed only as far as a change reaches.
//
//   fact ──read──▶ cell ──read──▶ cell ──▶ output
//                    └──────hold──────────▶ output
//
// A *fact* is something outside (a row of the intent, the set of rows that refer to one): touch()
// says that it may have changed. A *cell* is a pure function of its key; what it reads while it
// computes - facts and other cells - is written down by itself, so that a change finds its way
// without anybody saying who depends on whom. A cell whose new value equals the old one stops the
// change there.
//
// A cell lives while a root or another cell reads or *holds* it. Holding keeps a cell alive and up
// to date without being told of its changes: a policy profile holds the rules of its members, and a
// member's new address is no change of the profile. Cells that nobody holds are dropped at the end
// of an update. Memo::on_change hears of every value that came, changed or went, which is how
// records are kept in step.
//
// Recomputing from nothing gives the same values, since each is a function of facts alone: that is
// what the tests compare. The order of computation is free, so nothing that is visible may depend
// on it; change hooks must commute.
//
// A cell must not read itself, even by way of others: that is a programmer's error and ends the
// program.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/check.h"

namespace weft::control {

class Graph {
 public:
  class Node {
   public:
    virtual ~Node() = default;
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;

   protected:
    Node() = default;

   private:
    friend class Graph;
    /// Computes the value anew; true if it differs.
    virtual bool compute() = 0;
    /// Nobody needs it any more: takes it out of its memo, which destroys it.
    virtual void drop() = 0;

    struct Reader {
      std::uint32_t node;
      std::uint32_t generation;
    };
    std::uint32_t id_ = 0;
    std::uint32_t generation_ = 0;  // of its reads: those of earlier ones do not count
    std::uint32_t users_ = 0;       // that read or hold it, and roots
    std::uint32_t last_reader_ = 0, last_generation_ = 0;
    std::uint64_t changed_ = 0, checked_ = 0;
    bool dirty_ = true, is_output_ = false, running_ = false, listed_ = false;
    std::vector<Node*> reads_, holds_;
    std::vector<Reader> readers_;
  };

  Graph() = default;
  Graph(const Graph&) = delete;
  Graph& operator=(const Graph&) = delete;

  /// Brings every output that is held up to date and drops what nobody holds.
  void update();
  /// Cells computed since the graph was made: for benchmarks and tests of how far a change reaches.
  std::uint64_t computed() const { return computed_; }
  std::size_t size() const { return nodes_.size() - free_.size(); }

  // --- for Memo and Facts ---
  void add(Node& node, bool is_output);
  void remove(Node& node);
  void read(Node& node);
  void hold(Node& node);
  void root(Node& node, bool on);
  void touch(Node& node);

 private:
  void ensure(Node& node);
  void recompute(Node& node);
  void spread(Node& node);
  void use(Node& node, int by);
  void enlist(Node& node);

  std::vector<Node*> nodes_{nullptr};  // by id; 0 is nobody
  std::vector<std::uint32_t> free_;
  std::vector<std::uint32_t> generations_{0};  // of ids, across their owners
  std::vector<Node*> running_;
  std::vector<std::uint32_t> outputs_;  // dirty ones
  std::vector<std::uint32_t> unused_;   // candidates for dropping
  std::uint64_t revision_ = 1;
  std::uint64_t computed_ = 0;
};

/// Values by key, each computed by `function` from what it reads through the graph.
template <class Key, class Value, class Hash = std::hash<Key>>
class Memo {
 public:
  using Function = std::function<Value(const Key&)>;
  /// (key, value before, value after): null where there was or is none.
  using OnChange = std::function<void(const Key&, const Value*, const Value*)>;

  /// With `on_change` its cells are outputs: they are computed whenever they are held.
  Memo(Graph& graph, Function function, OnChange on_change = {})
      : graph_(graph), function_(std::move(function)), on_change_(std::move(on_change)) {}

  /// The value, for the cell that is computing now.
  const Value& operator()(const Key& key) {
    Cell& cell = at(key);
    graph_.read(cell);
    return *cell.value;
  }
  void hold(const Key& key) { graph_.hold(at(key)); }
  void root(const Key& key, bool on) {
    if (on || cells_.contains(key)) graph_.root(at(key), on);
  }
  /// The value as of the last update; null if nobody holds it.
  const Value* peek(const Key& key) const {
    const auto it = cells_.find(key);
    return it == cells_.end() || !it->second->value ? nullptr : &*it->second->value;
  }

 private:
  struct Cell final : Graph::Node {
    Cell(Memo& m, const Key& k) : memo(m), key(k) {}
    bool compute() override {
      Value fresh = memo.function_(key);
      if (value && *value == fresh) return false;
      std::optional<Value> old = std::exchange(value, std::move(fresh));
      if (memo.on_change_) memo.on_change_(key, old ? &*old : nullptr, &*value);
      return true;
    }
    void drop() override {
      if (memo.on_change_ && value) memo.on_change_(key, &*value, nullptr);
      memo.graph_.remove(*this);
      const Key gone = key;
      memo.cells_.erase(gone);
    }
    Memo& memo;
    const Key key;
    std::optional<Value> value;
  };
  friend struct Cell;

  Cell& at(const Key& key) {
    auto& slot = cells_[key];
    if (!slot) {
      slot = std::make_unique<Cell>(*this, key);
      graph_.add(*slot, static_cast<bool>(on_change_));
    }
    return *slot;
  }

  Graph& graph_;
  Function function_;
  OnChange on_change_;
  std::unordered_map<Key, std::unique_ptr<Cell>, Hash> cells_;
};

/// Things outside, by key: read() before looking at one, touch() when it may have changed.
template <class Key, class Hash = std::hash<Key>>
class Facts {
 public:
  explicit Facts(Graph& graph) : graph_(graph) {}
  void read(const Key& key) {
    auto& slot = cells_[key];
    if (!slot) {
      slot = std::make_unique<Cell>(*this, key);
      graph_.add(*slot, false);
    }
    graph_.read(*slot);
  }
  void touch(const Key& key) {
    if (const auto it = cells_.find(key); it != cells_.end()) graph_.touch(*it->second);
  }

 private:
  struct Cell final : Graph::Node {
    Cell(Facts& f, const Key& k) : facts(f), key(k) {}
    bool compute() override { return false; }
    void drop() override {
      facts.graph_.remove(*this);
      const Key gone = key;
      facts.cells_.erase(gone);
    }
    Facts& facts;
    const Key key;
  };
  friend struct Cell;

  Graph& graph_;
  std::unordered_map<Key, std::unique_ptr<Cell>, Hash> cells_;
};

}  // namespace weft::control
