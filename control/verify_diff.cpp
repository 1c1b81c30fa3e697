#include "control/verify_diff.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>
#include <tuple>

namespace weft::control {
namespace {

namespace at = datapath::place;
constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

/// Addresses and ports that the way has written into the packets.
datapath::Match rewritten(const Arrival& a) {
  const datapath::Match sent = a.sent.match(), now = a.arrives();
  datapath::Match out;
  const auto take = [&](unsigned word, std::uint64_t bits) {
    const std::uint64_t same = sent.mask.w[word] & ~(sent.value.w[word] ^ now.value.w[word]);
    out.mask.w[word] = a.beam->known.w[word] & ~same & bits;
    out.value.w[word] = now.value.w[word] & out.mask.w[word];
  };
  take(at::tp_dst.word, at::tp_dst.ones() << at::tp_dst.shift | at::tp_src.ones()
                                                                    << at::tp_src.shift);
  for (unsigned word = at::ip_src; word < at::ip_dst + 2; ++word) take(word, ~0ULL);
  return out;
}

using ByRewriting = std::map<std::pair<datapath::FlowMask, datapath::FlowKey>, Reach>;
ByRewriting by_rewriting(const Reach* reach) {
  ByRewriting out;
  if (reach == nullptr) return out;
  for (const Arrival& a : reach->arrivals) {
    const datapath::Match m = rewritten(a);
    out[{m.mask, m.value}].arrivals.push_back(a);
  }
  return out;
}

/// What of `a` is not in `b`. None: too much work.
std::optional<Reach> without(const Reach* a, const Reach* b, std::size_t most) {
  Reach out;
  const ByRewriting theirs = by_rewriting(b);
  for (const auto& [way, reach] : by_rewriting(a)) {
    const auto other = theirs.find(way);
    const CubeSet gone = other == theirs.end() ? CubeSet() : other->second.sent();
    for (const Arrival& arrival : reach.arrivals) {
      const auto left = CubeSet({arrival.sent}).subtract_within(gone, most);
      if (!left) return std::nullopt;
      for (const Cube& c : left->cubes()) out.arrivals.push_back({c, arrival.beam});
    }
  }
  return out;
}

/// Classes of both networks, in one order; a port that a side does not have is in a class without
/// a component there.
struct Joint {
  std::vector<PortClass> before, after;
};

Joint joint_classes(const Verifier& before, const Verifier& after) {
  const auto places = [](const Verifier& v) {
    std::map<std::string, std::size_t> out;
    for (std::size_t k = 0; k < v.classes().size(); ++k)
      for (const std::string& port : v.classes()[k].ports) out[port] = k;
    return out;
  };
  const auto in_before = places(before), in_after = places(after);
  std::set<std::string> names;
  for (const auto& [name, k] : in_before) names.insert(name);
  for (const auto& [name, k] : in_after) names.insert(name);
  std::map<std::tuple<std::size_t, std::size_t, std::string>, std::vector<std::string>> members;
  for (const std::string& name : names) {
    const auto b = in_before.find(name), a = in_after.find(name);
    std::string alone;
    if (b != in_before.end() && a != in_after.end()) {
      const Port &was = before.intent().ports().at(name), &is = after.intent().ports().at(name);
      if (was.mac != is.mac || was.addresses != is.addresses) alone = name;
    }
    members[{b == in_before.end() ? kNowhere : b->second,
             a == in_after.end() ? kNowhere : a->second, alone}]
        .push_back(name);
  }
  Joint out;
  for (const auto& [key, ports] : members) {
    const auto& [b, a, alone] = key;
    out.before.push_back({ports, b == kNowhere ? kNowhere : before.classes()[b].component});
    out.after.push_back({ports, a == kNowhere ? kNowhere : after.classes()[a].component});
  }
  return out;
}

}  // namespace

Result<std::vector<ReachChange>> compare_reach(const Intent& before, const Intent& after,
                                               const Verifier::Options& options) {
  auto was = Verifier::of(before, options);
  if (!was) return was.error();
  auto is = Verifier::of(after, options);
  if (!is) return is.error();
  const Joint joint = joint_classes(*was, *is);
  const auto old_reach = was->run(joint.before);
  if (!old_reach) return old_reach.error();
  const auto new_reach = is->run(joint.after);
  if (!new_reach) return new_reach.error();

  std::set<Verification::Pair> pairs;
  for (const auto& [pair, reach] : old_reach->reach) pairs.insert(pair);
  for (const auto& [pair, reach] : new_reach->reach) pairs.insert(pair);
  std::vector<ReachChange> out;
  for (const auto& pair : pairs) {
    const auto find = [&](const Verification& v) {
      const auto it = v.reach.find(pair);
      return it == v.reach.end() ? nullptr : &it->second;
    };
    const Reach *a = find(*old_reach), *b = find(*new_reach);
    const auto more = without(b, a, options.limits.cubes);
    const auto less = without(a, b, options.limits.cubes);
    const auto& from = joint.before[pair.first].ports;
    const auto& to = joint.before[pair.second].ports;
    const std::string& first = from[0];
    const std::string& second = to[pair.first == pair.second ? 1 : 0];
    if (!more || !less)
      return Error{fmt::format("cannot compare what {} can send to {}: more than {} sets of "
                               "packets are to be told apart",
                               first, second, options.limits.cubes),
                   {},
                   ""};
    if (more->arrivals.empty() && less->arrivals.empty()) continue;
    ReachChange change{from, to, ReachSummary::of(*more), ReachSummary::of(*less), {}, {}, {}, {}};
    if (!more->arrivals.empty()) {
      change.allowed_text = reach_text(after, change.allowed, first, second);
      change.allowed_example = example_packet(after, *more, first, second);
    }
    if (!less->arrivals.empty()) {
      change.forbidden_text = reach_text(before, change.forbidden, first, second);
      change.forbidden_example = example_packet(before, *less, first, second);
    }
    out.push_back(std::move(change));
  }
  std::sort(out.begin(), out.end(), [](const ReachChange& x, const ReachChange& y) {
    return std::tie(x.from, x.to) < std::tie(y.from, y.to);
  });
  return out;
}

}  // namespace weft::control
