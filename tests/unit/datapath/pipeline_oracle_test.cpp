// The switch against its slow twin, with and without caches, while rules come and go; and the masks
// of decisions against flipped bits.
#include <set>

#include "datapath/extract.h"
#include "datapath/translate.h"
#include "tests/oracle/pipeline_twin.h"
#include "tests/unit/datapath/random_rules.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using datapath::FlowKey;

FlowKey key_of(const Packet& packet) {
  FlowKey key;
  datapath::extract(packet, datapath::parse_headers(packet), key);
  return key;
}

/// The fields that a frame carries, as text.
std::string frame_text(const FlowKey& key) {
  std::string out;
  for (unsigned i : {7u, 8u, 9u, 10u, 11u, 12u, 13u, 16u, 17u, 18u, 19u})
    out += std::to_string(key.w[i]) + ",";
  return out + std::to_string(key.w[14] & 0xffff);
}

using Texts = std::multiset<std::string>;

Texts expected(const oracle::TwinResult& r) {
  Texts t;
  for (const auto& o : r.out) t.insert(std::to_string(o.port) + ": " + frame_text(o.key));
  for (const auto d : r.dropped) t.insert(std::string(name_of(d)));
  for (const auto& key : r.controller) t.insert("controller: " + frame_text(key));
  return t;
}
Texts seen(const datapath::Outputs& o) {
  Texts t;
  for (const auto& x : o.out) {
    const ChecksumFault sums = verify_checksums(*x.packet);
    t.insert(std::to_string(x.port.value) + ": " + frame_text(key_of(*x.packet)) +
             (sums == ChecksumFault::ok ? "" : to_string(sums)));
  }
  for (const auto& d : o.dropped) t.insert(std::string(name_of(d.reason)));
  for (const auto& c : o.controller) t.insert("controller: " + frame_text(key_of(*c.packet)));
  return t;
}
std::string lines(const Texts& t) {
  std::string out;
  for (const auto& x : t) out += "  " + x + "\n";
  return out;
}

struct Tally {
  std::uint64_t exact_hits = 0, megaflow_hits = 0, slow = 0, revalidated = 0;
};

/// Runs random rules and packets through both; what differed first, or "".
std::string compare(std::uint64_t seed, datapath::CacheOptions options, Tally& tally,
                    std::string_view fault = {}) {
  RandomRules random(seed);
  Lab lab(options);
  lab.pipeline.check_caches(2);
  if (!fault.empty()) REQUIRE(lab.pipeline.plant(fault).ok());
  lab.foresees = fault.empty();
  oracle::PipelineTwin twin;
  twin.ports = {1, 2, 3, 4, 10, 11, 20, 30};
  for (const std::string& line : random.surroundings()) {
    if (line[0] == 'm' && line[1] == 'i' && seed % 3 != 1) continue;
    lab.rules(line);
    const auto s = datapath::parse_statement(line).value();
    using Subject = datapath::Statement::Subject;
    if (s.subject == Subject::group) twin.groups.push_back(s.group);
    if (s.subject == Subject::meter) twin.meters.push_back({s.meter});
    if (s.subject == Subject::mirror) twin.mirrors.push_back(s.mirror);
  }
  std::vector<std::string> texts;
  std::vector<std::pair<FlowSpec, std::uint32_t>> sent;
  const unsigned tables = 4;
  for (int step = 0; step < 200; ++step) {
    if (step < 25 || random.below(8) == 0) {
      if (texts.size() < 10 || random.below(3) != 0) {
        const std::string text = random.rule(tables);
        REQUIRE(lab.pipeline.add_flow(text).ok());
        twin.add(datapath::parse_rule(text).value());
        texts.push_back(text);
      } else {
        const std::string text = texts[random.below(texts.size())];
        const auto rule = datapath::parse_rule(text).value();
        const std::size_t before = twin.rules.size();
        twin.remove(rule);
        REQUIRE(lab.pipeline.delete_flow(text).ok() == (twin.rules.size() < before));
      }
    }
    if (random.below(30) == 0) {
      // A port fails or comes back.
      const auto port = static_cast<std::uint32_t>(1 + random.below(4));
      const bool up = std::erase(twin.down, port) != 0;
      if (!up) twin.down.push_back(port);
      lab.pipeline.set_port_up(datapath::PortNo{port}, up);
    }
    lab.now += milliseconds(10);
    if (random.below(10) == 0) lab.pipeline.expire(lab.now);
    // Half of the packets belong to a flow that has been there before.
    if (sent.empty() || random.below(2) == 0)
      sent.emplace_back(random.packet(), static_cast<std::uint32_t>(1 + random.below(4)));
    const auto [spec, in_port] = sent[random.below(sent.size())];
    Packet* packet = lab.packet(spec);
    FlowKey key = key_of(*packet);
    key.set(datapath::place::in_port, in_port);
    const auto result = twin.run(key, spec.src_port,
                                 ct_packet(*packet, datapath::parse_headers(*packet)).tcp, lab.now);
    const std::string trace =
        format_trace(lab.pipeline.trace(*packet, datapath::PortNo{in_port}, lab.now));
    try {
      lab.send(packet, in_port);
    } catch (const InternalFault& e) {
      return e.what();
    }
    const Texts want = expected(result), got = seen(lab.outputs);
    if (lab.pipeline.stats().rules != twin.rules.size())
      return "seed " + std::to_string(seed) + ": " + std::to_string(twin.rules.size()) +
             " rules wanted, got " + std::to_string(lab.pipeline.stats().rules) + "\n" + trace;
    if (want != got || lab.pipeline.stats().connections != twin.connections.size())
      return "seed " + std::to_string(seed) + " step " + std::to_string(step) + "\n" + trace +
             "wanted\n" + lines(want) + "got\n" + lines(got);
  }
  const auto& s = lab.pipeline.stats();
  tally.exact_hits += s.exact_match_hits;
  tally.megaflow_hits += s.megaflow_hits;
  tally.slow += s.slow_path;
  tally.revalidated += s.revalidated;
  return "";
}

datapath::CacheOptions options_of(std::uint64_t seed) {
  datapath::CacheOptions options;
  options.exact_match = seed % 2 == 0;
  options.megaflow = seed % 4 < 2;
  // Small enough that entries are evicted and the exact-match cache grows.
  if (seed % 3 == 0) options.megaflow_limit = 12;
  if (seed % 5 == 0) options.exact_match_entries = 8;
  options.classifier = {.staged_lookup = seed % 7 != 0,
                        .prefix_tracking = seed % 8 < 6,
                        .priority_sorting = seed % 9 < 7,
                        .port_tries = seed % 11 < 8};
  return options;
}

TEST_CASE("the switch does what its slow twin does", "[pipeline][oracle]") {
  Tally tally;
  for (std::uint64_t seed = 1; seed <= 120; ++seed) {
    const std::string difference = compare(seed, options_of(seed), tally);
    INFO(difference);
    REQUIRE(difference.empty());
  }
  REQUIRE(tally.exact_hits > 1000);
  REQUIRE(tally.megaflow_hits > 1000);
  REQUIRE(tally.slow > 1000);
  REQUIRE(tally.revalidated > 300);
}

TEST_CASE("planted faults are caught by the comparison", "[pipeline][oracle]") {
  for (const char* fault :
       {"skip_revalidation", "widen_mask", "skip_checksum_update", "skip_commit"}) {
    bool caught = false;
    for (std::uint64_t seed = 1; seed <= 40 && !caught; ++seed) {
      Tally tally;
      caught = !compare(seed, options_of(seed & ~3ULL), tally, fault).empty();
    }
    INFO(fault);
    REQUIRE(caught);
  }
  Lab lab;
  REQUIRE_FALSE(lab.pipeline.plant("no_such_fault").ok());
}

TEST_CASE("bits that a decision did not look at do not matter", "[pipeline][oracle]") {
  datapath::VtepConfig vtep = lab_vtep();
  std::vector<datapath::PortConfig> ports;
  for (std::uint32_t n = 1; n <= 4; ++n)
    ports.push_back(
        {datapath::PortNo{n}, "vm", datapath::PortKind::vm, datapath::TunnelKind::none, 1});
  std::uint64_t wildcarded = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    RandomRules random(1000 + seed);
    datapath::FlowTables tables(options_of(seed).classifier);
    for (int i = 0; i < 25; ++i) tables.add(datapath::parse_rule(random.rule(4)).value(), Time{});
    const datapath::Faults faults;
    datapath::GroupTable groups;
    datapath::MeterTable meters;
    std::vector<datapath::Mirror> mirrors;
    for (const std::string& line : random.surroundings()) {
      const auto s = datapath::parse_statement(line).value();
      if (s.subject == datapath::Statement::Subject::group) groups.put(s.group, Time{});
      if (s.subject == datapath::Statement::Subject::meter) meters.put(s.meter, Time{});
      if (s.subject == datapath::Statement::Subject::mirror) mirrors.push_back(s.mirror);
    }
    const datapath::SwitchView view{&tables, &vtep, &ports, &faults, &groups, &meters, &mirrors};
    PacketArena arena;
    PacketPool pool(arena);
    for (int n = 0; n < 8; ++n) {
      datapath::RecirculationTable recirculation;
      Packet* packet = pool.take();
      build(*packet, random.packet());
      FlowKey key = key_of(*packet);
      pool.give(packet);
      key.w[0] = 1 + random.below(4);
      if (random.below(2) == 0) key.set(datapath::place::ct_state, 0x20 | 1u << random.below(4));
      const auto decision = translate(view, recirculation, key);
      for (unsigned w = 0; w < datapath::kPacketWords; ++w) {
        for (unsigned bit = 0; bit < 64; ++bit) {
          if ((decision.mask.w[w] >> bit & 1) != 0) continue;
          FlowKey other = key;
          other.w[w] ^= 1ULL << bit;
          const auto same = translate(view, recirculation, other);
          ++wildcarded;
          if (same.same_effect(decision) && same.rules == decision.rules) continue;
          FAIL("seed " << seed << ": bit " << bit << " of word " << w << " mattered");
        }
      }
    }
  }
  REQUIRE(wildcarded > 100'000);
}

}  // namespace
}  // namespace weft::test
