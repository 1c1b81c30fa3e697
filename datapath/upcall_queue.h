// UpcallQueue: what waits for the slow path, when the slow path is given a speed
// (SlowPathOptions::per_second). One server takes upcalls one at a time, each for 1 / per_second;
// whoever misses the caches waits behind those who missed before, and is refused when the queue is
// full. That is how one tenant that makes new flows can starve the others.
//
// With `port_queue` each port - behind a tunnel, each network - has a queue of its own, and the
// server takes from them in turn: a flood then waits behind itself. Open vSwitch does the same with
// a socket per port.
#pragma once

#include <cstdint>
#include <deque>
#include <utility>
#include <vector>

#include "base/time.h"
#include "datapath/cache_options.h"

namespace weft::datapath {

template <class Item>
class UpcallQueue {
 public:
  explicit UpcallQueue(SlowPathOptions options) : options_(options) {}

  bool limited() const { return options_.per_second != 0; }
  std::size_t size() const { return size_; }
  std::uint64_t refused() const { return refused_; }

  /// False, and `item` is untouched: there is no room for it.
  bool push(std::uint64_t owner, Item& item, Time now) {
    Queue& q = queue_of(options_.port_queue != 0 ? owner : 0);
    if (size_ >= options_.queue ||
        (options_.port_queue != 0 && q.items.size() >= options_.port_queue)) {
      ++refused_;
      return false;
    }
    q.items.push_back(std::move(item));
    // An idle server begins at once.
    if (size_++ == 0) done_ = now + service();
    return true;
  }
  /// When the one that is being served is done; never if nobody waits.
  Time next() const { return size_ == 0 ? Time::never() : done_; }
  /// The one that was served until next(): now >= next().
  Item pop() {
    while (queues_[turn_].items.empty()) turn_ = (turn_ + 1) % queues_.size();
    Item item = std::move(queues_[turn_].items.front());
    queues_[turn_].items.pop_front();
    turn_ = (turn_ + 1) % queues_.size();
    --size_;
    done_ = done_ + service();
    return item;
  }

 private:
  struct Queue {
    std::uint64_t owner = 0;
    std::deque<Item> items;
  };
  Queue& queue_of(std::uint64_t owner) {
    Queue* spare = nullptr;
    for (Queue& q : queues_) {
      if (q.owner == owner) return q;
      if (q.items.empty()) spare = &q;
    }
    if (spare == nullptr) spare = &queues_.emplace_back();
    spare->owner = owner;
    return *spare;
  }
  Duration service() const {
    return Duration{static_cast<std::int64_t>(1'000'000'000'000ULL / options_.per_second)};
  }

  SlowPathOptions options_;
  std::vector<Queue> queues_;  // in the order of their first packet; an empty one may be another's
  std::size_t turn_ = 0;
  std::size_t size_ = 0;
  Time done_{};
  std::uint64_t refused_ = 0;
};

}  // namespace weft::datapath
