// Group: a set of buckets (lists of actions) of which a group's type says which are run, each on a
// copy of the packet as it is at `group:N`; what comes behind the group sees none of their changes.
//
//   all            every bucket
//   indirect       the only one
//   select         one: by a hash of the flow, in proportion to the buckets' weights
//   fast_failover  the first that is live
//
// A bucket is live if the port that it watches is there and up and the group that it watches has a
// live bucket; one that watches nothing is live. Only live buckets are run.
//
// select hashes addresses, protocol and ports (of other frames MACs and type), or with
// selection_method=hash the fields that `fields(...)` names; the megaflow then distinguishes what
// was hashed. The hash picks a bucket
//   - by its place in the sum of weights (default and hash): shares are exact, but a bucket that
//     comes or goes moves many flows;
//   - with selection_method=maglev, by a table of selection_method_param entries (a prime; 4093 if
//     none is given) filled in turns as in Maglev (Eisenbud et al., NSDI 2016): nearly only the
//     flows of that bucket move.
//
// Text as of ovs-ofctl add-group:
//   group_id=1,type=select,selection_method=maglev,bucket=bucket_id:1,weight:5,actions=output:2,...
//
// The table owns the groups. A change of any group is a change that every decision depends on.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "datapath/action.h"
#include "datapath/decision.h"

namespace weft::datapath {

enum class GroupType : std::uint8_t { all, select, indirect, fast_failover };
enum class SelectionMethod : std::uint8_t { flow, hash, maglev };

struct Bucket {
  static constexpr std::uint32_t kNone = 0xffffffff;
  /// Places in a list of buckets, beside ids.
  static constexpr std::uint32_t kFirst = 0xfffffffd, kLast = 0xfffffffe, kAll = 0xffffffff;
  std::uint32_t id = 0;
  std::uint16_t weight = 1;  ///< select: its share; 0: none
  std::uint32_t watch_port = kNone;
  std::uint32_t watch_group = kNone;
  std::vector<Action> actions;
  bool operator==(const Bucket&) const = default;
};

struct Group {
  static constexpr std::uint32_t kMaxId = 0xffffff00;
  static constexpr std::uint32_t kMaglevSize = 4093;

  std::uint32_t id = 0;
  GroupType type = GroupType::all;
  SelectionMethod method = SelectionMethod::flow;
  std::uint64_t parameter = 0;  ///< hash: a basis; maglev: size of the table, 0: kMaglevSize
  struct HashField {
    Field field{};
    Ip6 mask{};
    bool operator==(const HashField&) const = default;
  };
  std::vector<HashField> fields;  ///< in the order of the table of fields
  std::vector<Bucket> buckets;
  bool operator==(const Group&) const = default;
};

/// Errors carry the column (1-based). Without `need_type` (del-group) an id is enough.
Result<Group> parse_group(std::string_view text, const PortNames* names = nullptr, int column = 1,
                          bool need_type = true);
std::string format_group(const Group& group);
/// ",bucket=...,bucket=..."
std::string format_buckets(const Group& group);

/// A group in the table; its counts are shared with the decisions that use it.
struct InstalledGroup {
  Group group;
  std::shared_ptr<Counter> count = std::make_shared<Counter>();
  std::vector<std::shared_ptr<Counter>> bucket_counts;  ///< by bucket
  Time added{};

  /// Maglev's table for these buckets, by place in `group.buckets`; made when it is asked for.
  const std::vector<std::uint16_t>& maglev_table(const std::vector<bool>& live) const;

 private:
  mutable std::vector<bool> table_for_;
  mutable std::vector<std::uint16_t> table_;
};

class GroupTable {
 public:
  static constexpr std::uint32_t kAll = 0xfffffffc;  ///< del-group without an id

  /// Replaces a group with the same id; counts begin anew.
  void put(Group group, Time now);
  bool remove(std::uint32_t id);
  /// OpenFlow 1.5's insert and remove bucket: the buckets of `change` go in at the place `at`
  /// (behind a bucket with this id), or the bucket there goes. Counts of the others stay.
  Result<> change_buckets(const Group& change, bool insert, std::uint32_t at);
  const InstalledGroup* find(std::uint32_t id) const;
  std::size_t size() const { return groups_.size(); }
  template <class Visit>
  void for_each(Visit visit) const {
    for (const auto& [id, g] : groups_) visit(*g);
  }
  void clear() { groups_.clear(); }

  /// `port_up` says whether a port is there and up.
  bool is_live(const Bucket& bucket, const std::function<bool(std::uint32_t)>& port_up,
               int depth = 0) const;

 private:
  std::map<std::uint32_t, std::unique_ptr<InstalledGroup>> groups_;
};

/// The hash of a flow in a select group; adds what was hashed to `looked_at`.
std::uint64_t group_hash(const Group& group, const FlowKey& key, FlowMask& looked_at);
/// The bucket for this hash, by place, or -1 if none is live with a weight.
int select_bucket(const InstalledGroup& group, std::uint64_t hash, const std::vector<bool>& live);

}  // namespace weft::datapath
