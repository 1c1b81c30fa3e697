// weft trace on random networks: what it says is what the page-long oracle of policy says, the same
// whether switches have all rules or only those that packets need, the same at rest and in a
// simulation that has come to rest, and what happens when the packet is sent there in earnest.
#include <fmt/format.h>

#include <algorithm>

#include "analysis/trace/tracer.h"
#include "base/random.h"
#include "scenarios/run/run.h"
#include "scenarios/run/trace_world.h"
#include "scenarios/swarm/generate.h"
#include "scenarios/swarm/watch.h"
#include "tests/catch.h"
#include "tests/oracle/policy_oracle.h"

namespace weft::scenarios {
namespace {

using analysis::Switches;
using analysis::TraceAnswer;
using analysis::Tracer;
using analysis::TraceVerdict;

struct Query {
  std::size_t tenant = 0;
  oracle::Question question;
  std::string from, to, packet;
};

Scenario load(const std::string& text, const std::string& name) {
  const LoadResult loaded = load_scenario_text(text, name);
  for (const auto& e : loaded.errors) UNSCOPED_INFO(e.text());
  REQUIRE(loaded.scenario);
  return *loaded.scenario;
}

/// Between two VMs of a tenant that have addresses of one family; nothing if these two have not.
std::optional<Query> random_query(const Scenario& s, RandomStream& random) {
  Query q;
  q.tenant = random.below(s.tenants.size());
  const TenantSpec& tenant = s.tenants[q.tenant];
  if (tenant.vms.size() < 2) return std::nullopt;
  q.question.from = random.below(tenant.vms.size());
  q.question.to = random.below(tenant.vms.size());
  const VmSpec &a = tenant.vms[q.question.from], &b = tenant.vms[q.question.to];
  if (q.question.from == q.question.to || b.addresses.empty()) return std::nullopt;
  q.question.destination = b.addresses[random.below(b.addresses.size())];
  const bool is6 = q.question.destination.is6;
  const auto own = std::find_if(a.addresses.begin(), a.addresses.end(),
                                [is6](const IpAddress& x) { return x.is6 == is6; });
  if (own == a.addresses.end()) return std::nullopt;
  q.question.source = *own;
  q.from = a.name;
  q.to = b.name;
  const char* six = is6 ? "6" : "";
  const std::string to =
      fmt::format("{}={}", is6 ? "ipv6_dst" : "ip_dst", q.question.destination.text());
  q.question.port = static_cast<std::uint16_t>(random.below(2) == 0 ? 1 + random.below(1024)
                                                                    : 1024 + random.below(10000));
  switch (random.below(3)) {
    case 0:
      q.question.protocol = Protocol::icmp;
      q.question.port = 0;
      q.packet = fmt::format("icmp{},{}", six, to);
      break;
    case 1:
      q.question.protocol = Protocol::tcp;
      q.packet = fmt::format("tcp{},{},tcp_dst={}", six, to, q.question.port);
      break;
    default:
      q.question.protocol = Protocol::udp;
      q.packet = fmt::format("udp{},{},udp_dst={}", six, to, q.question.port);
      break;
  }
  return q;
}

/// One that some rule of the tenant names, if there is one: random ports rarely meet any.
void aim_at_rule(const Scenario& s, Query& q, RandomStream& random) {
  const auto& policy = s.tenants[q.tenant].policy;
  if (!policy || policy->rules.empty() || q.question.protocol == Protocol::icmp) return;
  const auto& rule = policy->rules[random.below(policy->rules.size())];
  if (rule.ports.empty()) return;
  const std::string before = fmt::format("_dst={}", q.question.port);
  q.question.port = rule.ports[random.below(rule.ports.size())].first;
  q.packet.replace(q.packet.rfind(before), before.size(), fmt::format("_dst={}", q.question.port));
}

/// "" if the answer is what the oracle says.
std::string differs(const Scenario& s, const Query& q, const TraceAnswer& a) {
  const TenantSpec& tenant = s.tenants[q.tenant];
  const auto wanted = oracle::judge(tenant, tenant.policy ? &*tenant.policy : nullptr, q.question);
  const std::string said =
      fmt::format("{} {}: {} ({}, {})", q.from, q.packet, name_of(a.verdict), a.reason, a.intent);
  if (wanted.allowed) {
    const bool got = a.verdict == TraceVerdict::delivered && a.ports == std::vector{q.to};
    return got ? "" : said + ", the oracle allows it";
  }
  if (a.verdict != TraceVerdict::dropped) return said + ", the oracle forbids it";
  if (wanted.reasons.empty()) return a.reason == "policy" ? said + ", but nothing joins them" : "";
  for (const std::string& reason : wanted.reasons) {
    const std::string row = reason == "default" ? "default of tenant " + tenant.name
                                                : "acl " + tenant.name + "/" + reason;
    if (a.intent == row || a.intent.starts_with(row + ",")) return "";
  }
  return said + ", the oracle names another rule";
}

TraceAnswer ask(Tracer& tracer, const std::string& from, const std::string& packet) {
  auto answer = tracer.ask(from, packet, false);
  INFO(from << " " << packet << (answer ? "" : answer.error().text()));
  REQUIRE(answer.ok());
  return std::move(answer).value();
}

std::string text(const TraceAnswer& a) { return trace_json(a, -1); }

Tracer with_rules(const TraceTarget& target, analysis::RestRules which) {
  return {target.view, switches_at_rest(*target.view, which)};
}

TEST_CASE("traces say what the oracle of policy says", "[swarm][trace]") {
  std::uint64_t delivered = 0, refused = 0, apart = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    const Scenario s = load(swarm::generate(seed).text(), fmt::format("swarm-{}.yaml", seed));
    const auto target = trace_at_rest(s);
    REQUIRE(target.ok());
    Tracer all = with_rules(*target, analysis::RestRules::all);
    Tracer needed = with_rules(*target, analysis::RestRules::needed);
    RandomStream random(seed, "trace");
    for (int i = 0; i < 60; ++i) {
      auto q = random_query(s, random);
      if (!q) continue;
      if (random.below(2) == 0) aim_at_rule(s, *q, random);
      const TraceAnswer answer = ask(all, q->from, q->packet);
      INFO("seed " << seed);
      REQUIRE(differs(s, *q, answer) == "");
      REQUIRE(text(ask(needed, q->from, q->packet)) == text(answer));
      // Asking again changes nothing: no connection is there.
      if (i % 8 == 0) REQUIRE(text(ask(all, q->from, q->packet)) == text(answer));
      const bool by_policy = answer.reason == "policy";
      ++(answer.verdict == TraceVerdict::delivered ? delivered : by_policy ? refused : apart);
    }
    // What is no conversation: who has an address, known or not; a flood; a stray MAC.
    for (const TenantSpec& tenant : s.tenants) {
      if (tenant.vms.empty()) continue;
      const VmSpec& vm = tenant.vms[random.below(tenant.vms.size())];
      const VmSpec& other = tenant.vms[random.below(tenant.vms.size())];
      std::vector<std::string> packets{"eth_dst=ff:ff:ff:ff:ff:ff,eth_type=0x88b5",
                                       "eth_dst=02:99:00:00:00:01,eth_type=0x88b5",
                                       "eth_type=0x88b5,eth_dst=" + other.mac.text()};
      for (const IpAddress& a : vm.addresses)
        packets.push_back(a.is6 ? "ipv6,ipv6_dst=ff02::1,nw_proto=99"
                                : "ip,ip_dst=224.0.0.1,nw_proto=99");
      for (const IpAddress& a : other.addresses)
        for (const IpAddress& own : vm.addresses)
          if (a.is6 == own.is6)
            packets.push_back(a.is6 ? "icmp6,nd_target=" + a.text() : "arp,arp_tpa=" + a.text());
      for (const std::string& packet : packets) {
        INFO("seed " << seed << " " << vm.name << " " << packet);
        REQUIRE(text(ask(needed, vm.name, packet)) == text(ask(all, vm.name, packet)));
      }
    }
  }
  REQUIRE(delivered > 300);
  REQUIRE(refused > 300);
  REQUIRE(apart > 50);
}

/// One ping each, shortly before the end.
std::string with_pings(swarm::Draft draft, const std::vector<Query>& queries, Time start) {
  draft.traffic.clear();
  draft.events.clear();
  for (std::size_t i = 0; i < queries.size(); ++i)
    draft.traffic.push_back(
        fmt::format("{{name: q{}, from: {}, to: {}, family: {}, start: {}us, "
                    "ping: {{interval: 1ms, count: 1}}}}",
                    i, queries[i].from, queries[i].to,
                    queries[i].question.destination.is6 ? "ipv6" : "ipv4", start.ps / 1'000'000));
  return draft.text();
}

bool is_calm(const Scenario& s) {
  for (const LinkSpec& l : s.underlay.links)
    if (l.loss.ppb != 0 || l.corruption.ppb != 0) return false;
  return s.overlay.control.loss.ppb == 0;
}

TEST_CASE("traces say what happens to the packet in simulation", "[swarm][trace]") {
  std::uint64_t given = 0, refused = 0;
  for (std::uint64_t seed = 1; seed <= 40; ++seed) {
    const swarm::Draft draft = swarm::generate(seed);
    const Scenario plain = load(draft.text(), "plain.yaml");
    if (!is_calm(plain)) continue;
    const Time start = Time{} + plain.duration - milliseconds(20);
    RandomStream random(seed, "pings");
    std::vector<Query> queries;
    for (int i = 0; i < 60 && queries.size() < 12; ++i)
      if (auto q = random_query(plain, random); q && q->question.protocol == Protocol::icmp)
        queries.push_back(*q);
    if (queries.empty()) continue;
    const Scenario s = load(with_pings(draft, queries, start), "pings.yaml");

    swarm::Watch watch;
    RunOptions options;
    options.write_folder = false;
    options.check = CheckLevel::basic;
    options.prepare = [&](World& world) { watch.attach(world); };
    REQUIRE(run_loaded(s, options).exit_code <= 1);
    const std::vector<swarm::Sight> sights = watch.take();

    const auto rest = trace_at_rest(s);
    REQUIRE(rest.ok());
    Tracer at_rest = with_rules(*rest, analysis::RestRules::all);
    auto then = trace_at(s, start - microseconds(1), 1);
    REQUIRE(then.ok());
    Tracer in_run(then->view, std::move(then->switches));
    for (std::size_t i = 0; i < queries.size(); ++i) {
      const Query& q = queries[i];
      INFO("seed " << seed << " " << q.from << " " << q.packet);
      const TraceAnswer answer = ask(at_rest, q.from, q.packet);
      const TraceAnswer later = ask(in_run, q.from, q.packet);
      REQUIRE(later.verdict == answer.verdict);
      REQUIRE(later.ports == answer.ports);
      REQUIRE(later.reason == answer.reason);
      REQUIRE(later.packet == answer.packet);
      REQUIRE(later.intent == answer.intent);
      for (const swarm::Sight& sight : sights) {
        if (sight.flow != i + 1 || !sight.ip || (sight.icmp_type != 8 && sight.icmp_type != 128))
          continue;
        INFO(sight.text());
        if (sight.given) {
          REQUIRE(answer.ports == std::vector{sight.vm});
          REQUIRE(answer.packet.get(datapath::place::eth_src) == sight.source_mac.to_u64());
          ++given;
        } else {
          REQUIRE(answer.reason == "policy");
          ++refused;
        }
      }
    }
  }
  REQUIRE(given > 50);
  REQUIRE(refused > 20);
}

}  // namespace
}  // namespace weft::scenarios
