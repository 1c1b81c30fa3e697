#include "scenarios/swarm/judge.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "base/units.h"
#include "tests/oracle/policy_oracle.h"

namespace weft::scenarios::swarm {
namespace {

struct Span {
  Time from, to;
};

bool meet(const Span& a, Time from, Time to) { return a.from <= to && from <= a.to; }

/// A policy of one tenant from `from` on; until the next one has certainly arrived, `sure_until`.
struct Version {
  Time from{};
  Time sure_until = Time::never();
  PolicySpec policy;
};

class Judge {
 public:
  Judge(const Scenario& scenario, const analysis::Results& results)
      : scenario_(scenario), results_(results) {
    const auto& control = scenario.overlay.control;
    slack_ = control.latency * 4 + milliseconds(5);
    if (control.loss.ppb > 0) slack_ += milliseconds(200);
    // TCP over the fabric: what it loses is sent again after a timer that doubles.
    if (control.in_band) slack_ += lossy() ? milliseconds(1000) : milliseconds(5);
    for (const auto& event : scenario.events) collect_trouble(event);
    for (std::size_t t = 0; t < scenario.tenants.size(); ++t) build_versions(t);
  }

  Verdicts run(const std::vector<Sight>& sights) {
    Verdicts out;
    std::vector<std::uint64_t> refused_of(scenario_.traffic.size() + 1, 0);
    for (const Sight& s : sights) {
      ++(s.given ? out.deliveries : out.refusals);
      if (!s.given && s.flow < refused_of.size()) ++refused_of[s.flow];
      const std::string why = s.given ? complaint_of_delivery(s) : complaint_of_refusal(s);
      if (why.empty()) continue;
      out.complaint = s.text() + ": " + why;
      return out;
    }
    for (std::size_t t = 0; t < scenario_.traffic.size() && !out.complaint; ++t)
      judge_liveness(t, refused_of[t + 1], out);
    return out;
  }

 private:
  // --- time ---

  void collect_trouble(const EventSpec& event) {
    if (event.migrate) return;
    if (!event.at) {
      unknown_times_ = true;
      return;
    }
    const Time at = *event.at;
    if (event.controller && event.controller->stop)
      outages_.push_back(
          {at, event.controller->duration ? at + *event.controller->duration : Time::never()});
    // In band its connections die with it; the hypervisors try again only now and then.
    if (event.controller && event.controller->stop && scenario_.overlay.control.in_band)
      deaf_.push_back({at, later(outages_.back().to, milliseconds(1000))});
    if (event.controller && !event.controller->stop) unknown_times_ = true;
    if (event.heal) unknown_times_ = true;
    if (event.fail) {
      const Time end = event.fail->duration ? at + *event.fail->duration : Time::never();
      const auto& u = scenario_.underlay;
      const auto router = [&](std::size_t n) { return u.nodes[n].kind == NodeKind::router; };
      const auto* link = event.fail->link ? &u.links[*event.fail->link] : nullptr;
      const bool fabric =
          u.leaf_spine && (link != nullptr ? router(link->a) && router(link->b)
                                           : u.nodes[*event.fail->node].name.starts_with("spine-"));
      failures_.push_back({{at, end}, fabric});
      const bool hypervisor =
          event.fail->node && u.nodes[*event.fail->node].kind == NodeKind::hypervisor;
      if (scenario_.overlay.control.in_band)
        deaf_.push_back({at, later(end, milliseconds(1000))});
      else if (hypervisor)
        deaf_.push_back({at, end});
    }
  }

  static Time later(Time t, Duration d) { return t == Time::never() ? t : t + d; }

  /// When something that the controller learns or says at `t` has certainly reached everyone.
  Time arrived(Time t) const {
    Time end = later(t, slack_);
    for (bool moved = true; moved && end != Time::never();) {
      moved = false;
      for (const auto& o : outages_)
        if (meet(o, t, end) && end < later(o.to, slack_ * 2)) {
          end = later(o.to, slack_ * 2);
          moved = true;
        }
      // Retransmission backs off while nobody answers: at most as long again.
      for (const auto& d : deaf_)
        if (meet(d, t, end) && (d.to == Time::never() || end < d.to + (d.to - d.from) + slack_)) {
          end = d.to == Time::never() ? d.to : d.to + (d.to - d.from) + slack_;
          moved = end != Time::never();
        }
    }
    return end;
  }

  void build_versions(std::size_t tenant) {
    auto& versions = versions_.emplace_back();
    const auto& spec = scenario_.tenants[tenant];
    if (!spec.policy) return;
    versions.push_back({Time{}, Time::never(), *spec.policy});
    std::vector<const EventSpec*> changes;
    for (const auto& e : scenario_.events)
      if (e.policy && e.policy->tenant == tenant && e.at) changes.push_back(&e);
    std::stable_sort(changes.begin(), changes.end(),
                     [](const auto* a, const auto* b) { return *a->at < *b->at; });
    for (const auto* e : changes) {
      const bool down = std::any_of(outages_.begin(), outages_.end(), [&](const Span& o) {
        return o.from <= *e->at && *e->at < o.to;
      });
      if (down) continue;
      PolicySpec next = versions.back().policy;
      std::size_t removed = 0;
      for (const auto& name : e->policy->remove)
        removed += std::erase_if(next.rules, [&](const auto& r) { return r.name == name; });
      if (removed != e->policy->remove.size()) continue;  // refused as a whole
      next.rules.insert(next.rules.end(), e->policy->add.begin(), e->policy->add.end());
      versions.back().sure_until = arrived(*e->at);
      versions.push_back({*e->at, Time::never(), std::move(next)});
    }
  }

  // --- packets ---

  enum class Direction : std::uint8_t { opening, reply, other };

  static bool is_icmp(const Sight& s) { return s.protocol == 1 || s.protocol == 58; }

  static Direction direction_of(const Sight& s) {
    constexpr std::uint16_t kFirstClientPort = 32768;
    if (s.protocol == 6 || s.protocol == 17) {
      if (s.destination_port < kFirstClientPort) return Direction::opening;
      return s.source_port < kFirstClientPort ? Direction::reply : Direction::other;
    }
    if (!is_icmp(s)) return Direction::other;
    if (s.icmp_type == (s.protocol == 1 ? 8 : 128)) return Direction::opening;
    if (s.icmp_type == (s.protocol == 1 ? 0 : 129)) return Direction::reply;
    return Direction::other;
  }

  static Protocol protocol_of(const Sight& s) {
    return s.protocol == 6    ? Protocol::tcp
           : s.protocol == 17 ? Protocol::udp
           : is_icmp(s)       ? Protocol::icmp
                              : Protocol::any;
  }

  /// The question that decides about the packet if `from` sent it to `to`.
  static oracle::Question question(const Sight& s, std::size_t from, std::size_t to) {
    if (direction_of(s) == Direction::reply)
      return {to, from, s.destination, s.source, protocol_of(s), s.source_port};
    return {from, to, s.source, s.destination, protocol_of(s), s.destination_port};
  }

  std::vector<std::size_t> owners(const TenantSpec& tenant, const IpAddress& address) const {
    std::vector<std::size_t> out;
    for (std::size_t v = 0; v < tenant.vms.size(); ++v) {
      const auto& a = tenant.vms[v].addresses;
      if (std::find(a.begin(), a.end(), address) != a.end()) out.push_back(v);
    }
    return out;
  }

  static const RouterSpec* router_of(const TenantSpec& tenant, std::size_t network) {
    for (const auto& r : tenant.routers)
      if (std::count(r.networks.begin(), r.networks.end(), network) > 0) return &r;
    return nullptr;
  }

  /// Same network: from the sender's MAC; else from the router's. Nothing else comes out of a port.
  static bool came_rightly(const TenantSpec& tenant, const Sight& s, std::size_t from,
                           std::size_t to) {
    const auto &a = tenant.vms[from], &b = tenant.vms[to];
    if (!oracle::joined(tenant, a.network, b.network)) return false;
    if (a.network == b.network) return s.source_mac == a.mac;
    const auto* router = router_of(tenant, b.network);
    return router != nullptr && s.source_mac == router->mac;
  }

  bool could_be(std::size_t tenant, const Sight& s, std::size_t from, std::size_t to,
                bool allowed) const {
    const auto& spec = scenario_.tenants[tenant];
    const auto& versions = versions_[tenant];
    const auto q = question(s, from, to);
    if (versions.empty()) return allowed;
    const bool reply = direction_of(s) == Direction::reply;
    return std::any_of(versions.begin(), versions.end(), [&](const Version& v) {
      // A reply lives on what was allowed when its conversation was opened.
      if (s.at < v.from || (!reply && s.at > v.sure_until)) return false;
      const auto answer = oracle::judge(spec, &v.policy, q);
      if (answer.allowed != allowed) return false;
      return allowed || reply ||
             std::any_of(answer.reasons.begin(), answer.reasons.end(),
                         [&](const std::string& r) { return s.rule == "policy." + r; });
    });
  }

  std::string complaint_of_delivery(const Sight& s) const {
    if (s.tenant == 0 || s.tenant > scenario_.tenants.size()) return "it belongs to no tenant";
    const std::size_t t = s.tenant - 1;
    const auto& tenant = scenario_.tenants[t];
    const auto found = std::find_if(tenant.vms.begin(), tenant.vms.end(),
                                    [&](const VmSpec& v) { return v.name == s.vm; });
    if (found == tenant.vms.end()) return "it was sent by another tenant";
    const auto to = static_cast<std::size_t>(found - tenant.vms.begin());
    const auto* router = router_of(tenant, found->network);
    if (!s.destination_mac.is_multicast() && s.destination_mac != found->mac)
      return "it is for another MAC";
    const bool discovery = !s.ip || (s.protocol == 58 && s.icmp_type >= 133 && s.icmp_type <= 137);
    if (discovery) {
      const bool neighbour = std::any_of(
          tenant.vms.begin(), tenant.vms.end(),
          [&](const VmSpec& v) { return v.network == found->network && v.mac == s.source_mac; });
      if (neighbour || (router != nullptr && s.source_mac == router->mac)) return {};
      return "its sender is not in the receiver's network";
    }
    const auto& own = found->addresses;
    if (std::find(own.begin(), own.end(), s.destination) == own.end())
      return "it is for another address";
    if (is_icmp(s) && direction_of(s) != Direction::opening && router != nullptr &&
        s.source_mac == router->mac && owners(tenant, s.source).empty())
      return {};  // the router's own answer
    bool came = false;
    for (const std::size_t from : owners(tenant, s.source)) {
      if (!came_rightly(tenant, s, from, to)) continue;
      came = true;
      if (direction_of(s) == Direction::other || could_be(t, s, from, to, true)) return {};
    }
    if (!came) return "nobody who could send it is joined with the receiver";
    return "the policy denies it";
  }

  /// A port whose policy has not come yet lets nothing in: at the start, and where a VM has just
  /// moved to (it may have been faster than the message).
  bool just_arrived(std::size_t tenant, const Sight& s) const {
    if (s.at <= arrived(Time{})) return true;
    const auto to = owners(scenario_.tenants[tenant], s.destination);
    for (std::size_t e = 0; e < scenario_.events.size(); ++e) {
      const auto& move = scenario_.events[e].migrate;
      if (!move || *move->vm.tenant != tenant || e >= results_.events.size()) continue;
      if (std::count(to.begin(), to.end(), move->vm.index) == 0) continue;
      const auto& event = results_.events[e];
      if (event.started && *event.started <= s.at &&
          (!event.ended || s.at <= arrived(*event.ended)))
        return true;
    }
    return false;
  }

  std::string complaint_of_refusal(const Sight& s) const {
    if (s.tenant == 0 || s.tenant > scenario_.tenants.size()) return "it belongs to no tenant";
    const std::size_t t = s.tenant - 1;
    const auto& tenant = scenario_.tenants[t];
    if (direction_of(s) == Direction::other) return {};
    bool any = false;
    if (s.rule.empty() && just_arrived(t, s)) return {};
    for (const std::size_t from : owners(tenant, s.source))
      for (const std::size_t to : owners(tenant, s.destination)) {
        if (!oracle::joined(tenant, tenant.vms[from].network, tenant.vms[to].network)) continue;
        any = true;
        if (could_be(t, s, from, to, false)) return {};
      }
    if (!any) return "sender and receiver are not joined: policy had nothing to decide";
    return "the policy allows it, or names another rule";
  }

  // --- liveness ---

  /// When something may be lost although it is allowed: while a VM moves, from a failure until
  /// routes avoid it (or until it is over, if there may be no way around), and from a repair until
  /// routes have settled. A stopped controller by itself breaks nothing.
  std::vector<Span> broken_spans() const {
    std::vector<Span> out;
    if (unknown_times_) return {{Time{}, Time::never()}};
    const Duration settle = scenario_.underlay.convergence + milliseconds(2);
    for (const auto& f : failures_) {
      const bool avoidable = failures_.size() == 1 && f.fabric && scenario_.underlay.spines > 1;
      out.push_back({f.span.from, later(avoidable ? f.span.from : f.span.to, settle)});
      if (avoidable && f.span.to != Time::never()) out.push_back({f.span.to, f.span.to + settle});
    }
    if (!scenario_.overlay.control.in_band)  // without its controller a switch goes on
      for (const auto& d : deaf_) out.push_back({d.from, arrived(d.to)});
    for (std::size_t e = 0; e < scenario_.events.size(); ++e) {
      if (!scenario_.events[e].migrate || e >= results_.events.size()) continue;
      const auto& event = results_.events[e];
      if (event.started)
        out.push_back({*event.started, event.ended ? arrived(*event.ended) : Time::never()});
    }
    return out;
  }

  bool lossy() const {
    return std::any_of(scenario_.underlay.links.begin(), scenario_.underlay.links.end(),
                       [](const LinkSpec& l) { return l.loss.ppb > 0 || l.corruption.ppb > 0; });
  }

  /// What the oracle says of a pair of a traffic over the whole run: 1 always, -1 never, 0 mixed.
  int fate(const TrafficSpec& traffic, const PairSpec& pair, bool& is_joined) const {
    const std::size_t t = *pair.from.tenant;
    const auto& tenant = scenario_.tenants[t];
    const auto &a = tenant.vms[pair.from.index], &b = tenant.vms[pair.to.index];
    is_joined = t == *pair.to.tenant && oracle::joined(tenant, a.network, b.network);
    if (!is_joined) return -1;
    const auto of_family = [&](const VmSpec& vm) {
      for (const auto& x : vm.addresses)
        if (x.is6 == traffic.ipv6) return x;
      return IpAddress{};
    };
    std::vector<std::uint16_t> ports{traffic.port};
    Protocol protocol = Protocol::tcp;
    if (traffic.kind == TrafficKind::ping) ports = {0}, protocol = Protocol::icmp;
    if (traffic.kind == TrafficKind::udp) protocol = Protocol::udp;
    if (traffic.kind == TrafficKind::scan) {
      ports.clear();
      for (unsigned p = traffic.scan_first; p <= traffic.scan_last; ++p)
        ports.push_back(static_cast<std::uint16_t>(p));
    }
    bool always = true, never = true;
    for (const auto port : ports) {
      const oracle::Question q{pair.from.index, pair.to.index, of_family(a),
                               of_family(b),    protocol,      port};
      if (versions_[t].empty()) never = false;
      for (const auto& v : versions_[t])
        (oracle::judge(tenant, &v.policy, q).allowed ? never : always) = false;
    }
    return always ? 1 : never ? -1 : 0;
  }

  void judge_liveness(std::size_t index, std::uint64_t refused, Verdicts& out) const {
    const auto& traffic = scenario_.traffic[index];
    const auto& result = results_.traffic[index];
    bool all_allowed = true, denied_and_joined = true;
    std::uint64_t sent = 0;
    for (std::size_t p = 0; p < traffic.pairs.size(); ++p) {
      bool is_joined = false;
      const int f = fate(traffic, traffic.pairs[p], is_joined);
      const auto& pair = result.pairs[p];
      sent += pair.sent;
      all_allowed &= f == 1;
      denied_and_joined &= f == -1 && is_joined;
      if (f == -1 && (pair.delivered > 0 || pair.bytes > 0))
        out.complaint =
            fmt::format("traffic {}: {} delivered from {} to {}, which is never allowed",
                        traffic.name, pair.delivered, pair.from, pair.to);
    }
    if (!out.complaint) judge_senders(traffic, result, out);
    const auto broken = broken_spans();
    if (out.complaint || lossy()) return;
    if (broken.empty() && denied_and_joined && sent > 0 && refused == 0)
      out.complaint = fmt::format("traffic {}: {} sent and denied, but no policy refused anything",
                                  traffic.name, sent);
    if (!all_allowed || out.complaint) return;
    const bool datagrams = traffic.kind == TrafficKind::ping || traffic.kind == TrafficKind::udp;
    // TCP may be waiting for a retransmission timer when all is well again.
    if (!broken.empty() && !datagrams) return;
    constexpr Duration kAnswered = milliseconds(15);
    std::uint64_t checked = 0, lost = 0;
    if (traffic.kind == TrafficKind::bulk) {
      for (const auto& pair : result.pairs) lost += pair.connections_lost;
      checked = sent;
    }
    for (std::size_t b = 0; b < result.series.size() && traffic.kind != TrafficKind::bulk; ++b) {
      const Time from = Time{} + results_.traffic_interval * static_cast<std::int64_t>(b);
      const Time answered = from + results_.traffic_interval + kAnswered;
      if (answered > results_.identity.reached) break;
      if (std::any_of(broken.begin(), broken.end(),
                      [&](const Span& x) { return meet(x, from, answered); }))
        continue;
      checked += result.series[b].sent;
      lost += result.series[b].sent - result.series[b].answered;
    }
    if (checked > 0) ++out.traffics_alive;
    if (lost > 0)
      out.complaint =
          fmt::format("traffic {}: {} of {} lost, although always allowed and nothing was broken",
                      traffic.name, lost, checked);
  }

  /// Who pings goes on doing it: a VM that stands still for longer than its move took has lost its
  /// clock.
  void judge_senders(const TrafficSpec& traffic, const analysis::TrafficResult& result,
                     Verdicts& out) const {
    if (traffic.kind != TrafficKind::ping || traffic.count > 0) return;
    // The first SYN of a control connection may be lost: then nothing works for a second.
    if (scenario_.overlay.control.in_band && lossy()) return;
    const Time end = std::min(traffic.stop, results_.identity.reached);
    for (const auto& pair : result.pairs) {
      Duration running = end - (traffic.start + traffic.warmup);
      bool known = true;
      for (const auto& move : results_.migrations) {
        if (move.vm != pair.from || !move.started) continue;
        known &= move.state == analysis::MigrationState::done;
        running -= move.downtime;
      }
      const std::int64_t least = running / traffic.interval - 2;
      if (known && least > 0 && pair.sent < static_cast<std::uint64_t>(least))
        out.complaint = fmt::format("traffic {}: {} sent {} pings, at least {} were due",
                                    traffic.name, pair.from, pair.sent, least);
    }
  }

  const Scenario& scenario_;
  const analysis::Results& results_;
  Duration slack_{};
  struct Failure {
    Span span;
    bool fabric = false;  ///< between leaves and spines, where there may be another way
  };
  std::vector<Failure> failures_;
  std::vector<Span> outages_, deaf_;
  bool unknown_times_ = false;  ///< something happens at a time that is not written
  std::vector<std::vector<Version>> versions_;
};

}  // namespace

Verdicts judge_run(const Scenario& scenario, const std::vector<Sight>& sights,
                   const analysis::Results& results) {
  return Judge(scenario, results).run(sights);
}

}  // namespace weft::scenarios::swarm
