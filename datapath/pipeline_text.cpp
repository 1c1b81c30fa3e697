// What a Pipeline says about itself: dumps.
#include <fmt/core.h>

#include <algorithm>

#include "datapath/pipeline_impl.h"

namespace weft::datapath {
namespace {

/// What a run of steps writes, by the names that the fields have in `key`.
std::string format_sets(std::span<const Step> run, const FlowKey& key) {
  Match m;
  for (const Step& s : run) {
    m.mask.w[s.word] |= s.mask;
    m.value.w[s.word] = (m.value.w[s.word] & ~s.mask) | s.value;
  }
  return "set(" + format_match(m, &key) + ")";
}
bool is_set(const Step& s) { return s.kind == StepKind::set || s.kind == StepKind::set_key; }

std::string format_commit(std::uint16_t zone, const CtCommit& c) {
  std::string out = fmt::format("ct(commit,{}zone={}", c.force ? "force," : "", zone);
  if (c.mark_mask != 0) out += fmt::format(",mark={:#x}/{:#x}", c.mark, c.mark_mask);
  const FieldInfo& label = info(Field::ct_label);
  if (c.label_mask != Ip6{}) out += ",label=" + format_field_value(label, {c.label, c.label_mask});
  if (c.nat.kind != NatSpec::Kind::none) out += "," + format_nat(c.nat);
  return out + ")";
}

std::string format_step(const Step& s, const Decision& d) {
  switch (s.kind) {
    case StepKind::output:
      return fmt::format("{}", s.number);
    case StepKind::tunnel: {
      const OuterStep& o = d.outers[s.number];
      std::string ports;
      if (o.encap.ports)
        ports = fmt::format(",ports={}->{}", o.encap.ports->ingress, o.encap.ports->egress);
      return fmt::format("{}(tun_id={:#x},dst={}{})", name_of(o.encap.kind), o.encap.vni,
                         o.encap.dst.text(), ports);
    }
    case StepKind::set:  // with those beside it: format_some
    case StepKind::set_key:
      return "";
    case StepKind::set_vlan:
      return fmt::format("set_vlan({:#x})", s.value);
    case StepKind::push_vlan:
      return s.number == 0x8100 ? fmt::format("push_vlan({:#x})", s.value)
                                : fmt::format("push_vlan({:#x},{:#x})", s.number, s.value);
    case StepKind::pop_vlan:
      return "pop_vlan";
    case StepKind::track:
      return fmt::format("ct(zone={}{})", s.zone, s.number != 0 ? ",nat" : "");
    case StepKind::commit:
      return format_commit(s.zone, d.commits[s.number]);
    case StepKind::clone:  // with what is in them: format_some
    case StepKind::aside:
      return "";
    case StepKind::recirculate:
      return fmt::format("recirc({})", s.number);
    case StepKind::arp_reply:
      return fmt::format("arp_reply({})", Mac::from_u64(s.value).text());
    case StepKind::nd_reply:
      return fmt::format("nd_reply({})", Mac::from_u64(s.value).text());
    case StepKind::icmp_error: {
      const IcmpErrorStep& e = d.errors[s.number];
      return fmt::format("icmp_error({},{},{})", e.type, e.code, e.source.text());
    }
    case StepKind::icmp_echo_reply:
      return "icmp_echo_reply";
    case StepKind::dhcp_reply: {
      const DhcpLease& lease = d.leases[s.number];
      return fmt::format("dhcp_reply({},server={})", lease.address.text(), lease.server.text());
    }
    case StepKind::dhcpv6_reply:
      return fmt::format("dhcpv6_reply({})", d.leases6[s.number].address.text());
    case StepKind::dns_reply:
      return fmt::format("dns_reply({} names)", d.names[s.number].table->names().size());
    case StepKind::reject: {
      const IpAddress& source = d.errors[s.number].source;
      const std::string from = source.is_zero() ? "" : source.text();
      if (s.value != 0)
        return fmt::format("reject({}{}recirc({:#x}))", from, from.empty() ? "" : ",", s.value);
      return from.empty() ? "reject" : "reject(" + from + ")";
    }
    case StepKind::mirror:
      return fmt::format("mirror({})", s.number);
    case StepKind::meter:
      return fmt::format("meter({})", d.meters[s.number]->meter.id);
    case StepKind::learn:
      return fmt::format("learn({})", format_rule(*d.learns[s.number]));
    case StepKind::controller:
    case StepKind::packet_in: {
      const ControllerStep& c = d.controllers[s.number];
      return fmt::format("userspace(controller(reason={},id={}))", c.spec.reason, c.spec.id);
    }
    case StepKind::drop:
      return fmt::format("drop({})", name_of(static_cast<DropReason>(s.number)));
  }
  return "";
}

}  // namespace

namespace {
std::string format_some(std::span<const Step> steps, const Decision& d, const FlowKey& key) {
  std::string out;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& s = steps[i];
    out += out.empty() ? "" : ",";
    if (is_set(s)) {
      std::size_t end = i + 1;
      while (end < steps.size() && is_set(steps[end])) ++end;
      out += format_sets(steps.subspan(i, end - i), key);
      i = end - 1;
      continue;
    }
    const bool block = s.kind == StepKind::clone || s.kind == StepKind::aside;
    if (block && !(s.kind == StepKind::clone && s.last)) {
      out += fmt::format("{}({})", s.kind == StepKind::clone ? "clone" : "aside",
                         format_some(steps.subspan(i + 1, s.number), d, key));
      i += s.number;
    } else if (block) {
      out += format_some(steps.subspan(i + 1, s.number), d, key);
      i += s.number;
    } else {
      out += format_step(s, d);
    }
  }
  return out;
}
}  // namespace

std::string format_steps(const Decision& d, const FlowKey& key) {
  return format_some(d.steps, d, key);
}

std::string format_key(const FlowKey& key, const FlowMask& mask) {
  Match m;
  m.mask = mask;
  std::string out;
  if (mask.get(place::recirc_id) != 0)
    out = key.get(place::recirc_id) == 0
              ? "recirc_id=0"
              : fmt::format("recirc_id={:#x}", key.get(place::recirc_id));
  m.mask.set(place::recirc_id, 0);
  // The endpoints of a tunnel over IPv4 are shown as IPv4, though all 128 bits were looked at.
  for (const unsigned at : {place::tun_src, place::tun_dst})
    if (key.w[at] == 0 && key.w[at + 1] >> 32 == 0 && key.w[at + 1] != 0) {
      m.mask.w[at] = 0;
      m.mask.w[at + 1] &= 0xffffffff;
    }
  for (unsigned i = 0; i < kKeyWords; ++i) m.value.w[i] = key.w[i] & m.mask.w[i];
  const std::string match = format_match(m, &key);
  if (!match.empty()) out += (out.empty() ? "" : ",") + match;
  return out;
}

std::vector<std::string> Pipeline::dump_flows() const {
  impl_->megaflows.count_for_rules();
  std::vector<std::string> out;
  for (const auto& r : impl_->tables.sorted()) {
    std::string timeouts;
    if (r->rule.idle_timeout != 0)
      timeouts += fmt::format("idle_timeout={}, ", r->rule.idle_timeout);
    if (r->rule.hard_timeout != 0)
      timeouts += fmt::format("hard_timeout={}, ", r->rule.hard_timeout);
    out.push_back(fmt::format("cookie={:#x}, table={}, n_packets={}, n_bytes={}, {}{} actions={}",
                              r->rule.cookie, r->rule.table, r->packets, r->bytes, timeouts,
                              format_priority_and_match(r->rule),
                              format_actions(r->rule.actions, &r->rule.match)));
  }
  return out;
}

std::vector<std::string> Pipeline::take_removed() {
  impl_->megaflows.count_for_rules();
  constexpr std::string_view kReasons[] = {"idle_timeout", "hard_timeout", "delete"};
  std::vector<std::string> out;
  for (const auto& r : impl_->tables.take_removed()) {
    const std::int64_t lived = (r.at - r.rule->added).ps;
    out.push_back(fmt::format(
        "reason={}, duration={}.{:03}s, cookie={:#x}, table={}, n_packets={}, n_bytes={}, {}",
        kReasons[static_cast<std::size_t>(r.reason)], lived / 1'000'000'000'000,
        lived / 1'000'000'000 % 1000, r.rule->rule.cookie, r.rule->rule.table, r.rule->packets,
        r.rule->bytes, format_priority_and_match(r.rule->rule)));
  }
  return out;
}

std::vector<std::string> Pipeline::dump_groups() const {
  impl_->megaflows.count_for_rules();
  std::vector<std::string> out;
  impl_->groups.for_each([&](const InstalledGroup& g) {
    std::string line = fmt::format("{}, packet_count={}, byte_count={}", format_group(g.group),
                                   g.count->packets, g.count->bytes);
    for (std::size_t i = 0; i < g.bucket_counts.size(); ++i)
      line += fmt::format(", bucket{}:packet_count={},byte_count={}", g.group.buckets[i].id,
                          g.bucket_counts[i]->packets, g.bucket_counts[i]->bytes);
    out.push_back(std::move(line));
  });
  return out;
}

std::vector<std::string> Pipeline::dump_meters() const {
  std::vector<std::string> out;
  impl_->meters.for_each([&](const InstalledMeter& m) {
    std::string line = fmt::format("{}, packet_in_count={}, byte_in_count={}",
                                   format_meter(m.meter), m.packets, m.bytes);
    for (std::size_t i = 0; i < m.bands.size(); ++i)
      line += fmt::format(", band{}:packet_count={},byte_count={}", i, m.bands[i].packets,
                          m.bands[i].bytes);
    out.push_back(std::move(line));
  });
  return out;
}

std::vector<std::string> Pipeline::dump_megaflows() const {
  std::vector<std::string> out;
  impl_->megaflows.for_each([&](const Megaflow& e) {
    out.push_back(fmt::format("{}, packets:{}, bytes:{}, actions:{}",
                              format_key(e.full_key(), e.table->mask), e.packets, e.bytes,
                              format_steps(e.decision(), e.full_key())));
  });
  std::sort(out.begin(), out.end());
  return out;
}

std::vector<std::string> Pipeline::dump_connections() const {
  return impl_->connections.dump(impl_->clock);
}

}  // namespace weft::datapath
