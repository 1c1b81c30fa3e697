// The drops of a run: grouped, one by one, and which failure of the scenario caused them.
#include <algorithm>
#include <functional>
#include <set>

#include "scenarios/run/world.h"

namespace weft::scenarios {
namespace {

/// What the scenario's `fail` events took away, and when.
class Failures {
 public:
  Failures(const Scenario& scenario,
           const std::function<std::vector<Time>(std::uint32_t)>& times_of)
      : scenario_(scenario) {
    for (std::uint32_t e = 0; e < scenario.events.size(); ++e) {
      const auto& fail = scenario.events[e].fail;
      if (!fail) continue;
      for (const Time from : times_of(e)) {
        Time to = fail->duration ? from + *fail->duration : Time::never();
        for (std::uint32_t h = 0; h < scenario.events.size(); ++h) {
          const auto& heal = scenario.events[h].heal;
          if (!heal || heal->link != fail->link || heal->node != fail->node) continue;
          for (const Time at : times_of(h))
            if (at > from) to = std::min(to, at);
        }
        outages_.push_back({e, from, to});
      }
    }
    std::stable_sort(outages_.begin(), outages_.end(),
                     [](const Outage& a, const Outage& b) { return a.from < b.from; });
  }

  /// The event that is to blame for a drop at a node, on one of its links if it was on one: the
  /// latest that took away the link or the node; for a missing route the latest that had not been
  /// repaired.
  std::optional<std::size_t> cause(DropReason reason, std::size_t node,
                                   std::optional<std::size_t> link, Time at) const {
    for (auto o = outages_.rbegin(); o != outages_.rend(); ++o) {
      if (o->from > at) continue;
      const FailEvent& fail = *scenario_.events[o->event].fail;
      bool to_blame = false;
      if (reason == DropReason::node_down) {
        to_blame = fail.node == node;
      } else if (reason == DropReason::link_down && link) {
        const LinkSpec& spec = scenario_.underlay.links[*link];
        to_blame =
            fail.link == *link || (fail.node && (*fail.node == spec.a || *fail.node == spec.b));
      } else if (reason == DropReason::no_route) {
        to_blame = scenario_.underlay.nodes[node].kind == NodeKind::router &&
                   (o->to == Time::never() || at < o->to + scenario_.underlay.convergence);
      }
      if (to_blame) return o->event;
    }
    return std::nullopt;
  }

 private:
  struct Outage {
    std::uint32_t event;
    Time from, to;
  };
  const Scenario& scenario_;
  std::vector<Outage> outages_;  // by start
};

}  // namespace

std::optional<std::size_t> World::link_at(std::size_t node, std::uint32_t where) const {
  for (std::size_t l = 0; l < scenario_.underlay.links.size(); ++l) {
    const LinkSpec& link = scenario_.underlay.links[l];
    if ((link.a == node || link.b == node) && port_index(node, l) == where) return l;
  }
  return std::nullopt;
}

const EventSpec* World::failure_behind(std::size_t node, const models::DropRecord& record) const {
  if (record.reason != DropReason::link_down && record.reason != DropReason::node_down &&
      record.reason != DropReason::no_route)
    return nullptr;
  const Failures failures(scenario_, [this](std::uint32_t event) { return times_of(event); });
  const auto cause = failures.cause(record.reason, node, link_at(node, record.where), record.at);
  return cause ? &scenario_.events[*cause] : nullptr;
}

/// A rule that no line of the scenario's policy names: it came by an event of the intent.
std::optional<control::CookieMeaning> World::intent_rule(std::uint64_t cookie) const {
  const auto* controller = controller_ == nullptr ? nullptr : controller_->controller();
  if (controller == nullptr) return std::nullopt;
  auto meaning = controller->describe_cookie(cookie);
  return meaning && meaning->is_policy ? meaning : std::nullopt;
}

void World::fill_drops(analysis::Results& out) {
  std::map<models::DropKey, std::uint64_t> counts;
  for (const auto* n : nodes_)
    for (const auto& [key, count] : n->ledger.by_key) counts[key] += count;
  struct Item {
    models::DropKey key;
    analysis::DropGroup group;
  };
  std::vector<Item> items;
  for (const auto& [key, count] : counts) {
    analysis::DropGroup g;
    g.traffic = key.flow == 0 ? "" : scenario_.traffic[key.flow - 1].name;
    g.reason = std::string(name_of(key.reason));
    if (const auto* origin = origin_of(key.cookie);
        origin != nullptr && key.reason == DropReason::policy) {
      g.rule = origin->rule;
      g.tenant = scenario_.tenants[origin->tenant].name;
      g.place = origin->place;
    } else if (const auto meaning = intent_rule(key.cookie);
               meaning && key.reason == DropReason::policy) {
      g.tenant = meaning->tenant;
      const std::string own = meaning->tenant + "/";
      g.rule = "policy." +
               (meaning->name.starts_with(own) ? meaning->name.substr(own.size()) : meaning->name);
    }
    g.count = count;
    items.push_back({key, std::move(g)});
  }
  std::stable_sort(items.begin(), items.end(),
                   [](const Item& a, const Item& b) { return a.group.count > b.group.count; });
  std::map<models::DropKey, std::uint32_t> index;
  for (const auto& item : items) {
    index[item.key] = static_cast<std::uint32_t>(out.drops.size());
    out.drops.push_back(item.group);
  }
  std::uint64_t kept = 0;
  const Failures failures(scenario_, [this](std::uint32_t event) { return times_of(event); });
  std::vector<std::set<std::size_t>> causes(out.drops.size());  // event + 1; 0: of no failure
  for (std::size_t i = 0; i < nodes_.size(); ++i) {
    if (nodes_[i]->ledger.records.empty()) continue;
    std::map<std::uint32_t, std::size_t> links;  // of the node's ports
    for (std::size_t l = 0; l < scenario_.underlay.links.size(); ++l) {
      const LinkSpec& link = scenario_.underlay.links[l];
      if (link.a == i || link.b == i) links[port_index(i, l)] = l;
    }
    for (const auto& r : nodes_[i]->ledger.records) {
      const std::uint32_t group = index.at({r.flow, r.reason, r.cookie});
      const auto link = links.find(r.where);
      const auto cause = failures.cause(
          r.reason, i, link == links.end() ? std::nullopt : std::optional(link->second), r.at);
      causes[group].insert(cause ? *cause + 1 : 0);
      out.drop_entries.push_back({.at = r.at,
                                  .order = r.order,
                                  .packet = r.packet,
                                  .group = group,
                                  .where = where_text(i, r.where),
                                  .size = r.size,
                                  .packet_text = r.frame,
                                  .event = cause ? scenario_.events[*cause].name : "",
                                  .place = cause ? scenario_.events[*cause].place : Place{}});
      ++kept;
    }
  }
  for (std::size_t g = 0; g < causes.size(); ++g) {
    if (causes[g].size() != 1 || *causes[g].begin() == 0) continue;
    const EventSpec& event = scenario_.events[*causes[g].begin() - 1];
    out.drops[g].event = event.name;
    out.drops[g].place = event.place;
  }
  std::stable_sort(out.drop_entries.begin(), out.drop_entries.end(),
                   [](const auto& a, const auto& b) {
                     return std::pair(a.at, a.order) < std::pair(b.at, b.order);
                   });
  out.drop_entries_left_out = out.totals.dropped - kept;
}

}  // namespace weft::scenarios
