#include "control/replica.h"

#include "control/flow.h"
#include "control/logical.h"
#include "control/records.h"
#include "tests/catch.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::control;
using weft::test::Channel;

namespace {

RecordValue value(const std::string& text) { return std::make_shared<const std::string>(text); }

std::map<std::string, std::string> plain(const RecordTable& table) {
  std::map<std::string, std::string> out;
  for (const auto& [key, v] : table) out[key] = *v;
  return out;
}

/// Two ends and a bad channel.
struct Pair {
  explicit Pair(std::uint64_t seed, Channel c) : random(seed, "pair"), channel(c) {
    restart(0);
    restart(1);
  }
  void restart(int i) {
    const auto published = ends[i] ? ends[i]->published() : RecordTable{};
    ends[i] = std::make_unique<Replica>(++sessions, timing);
    for (const auto& [key, v] : published) ends[i]->set(key, v);
    shown[i] = {};  // a new life has seen nothing
    ends[i]->start(now);
  }
  void collect() {
    for (int i = 0; i < 2; ++i) {
      ends[i]->run(now, true);
      for (Bytes& b : ends[i]->take_outgoing()) {
        largest = std::max(largest, b.size());
        for (auto n = random.below(100) < channel.duplicate_percent ? 2 : 1; n > 0; --n) {
          if (random.below(100) < channel.loss_percent) continue;
          Bytes copy = b;
          if (random.below(100) < channel.garbage_percent)
            copy[random.below(copy.size())] ^= static_cast<std::uint8_t>(1 + random.below(255));
          const auto spread = static_cast<std::uint64_t>(channel.delay_max.ps);
          queue.emplace(
              std::pair(now + picoseconds(static_cast<std::int64_t>(random.below(spread))),
                        ++order),
              std::pair(1 - i, std::move(copy)));
        }
      }
    }
  }
  void run_for(Duration d) {
    const Time end = now + d;
    collect();
    while (true) {
      Time at = std::min(ends[0]->next_wakeup(), ends[1]->next_wakeup());
      if (!queue.empty()) at = std::min(at, queue.begin()->first.first);
      if (at > end) break;
      now = std::max(now, at);
      while (!queue.empty() && queue.begin()->first.first <= now) {
        const auto [to, bytes] = queue.begin()->second;
        queue.erase(queue.begin());
        std::vector<RecordChange> changes;
        ends[to]->receive(bytes, now, changes);
        for (const RecordChange& c : changes) {
          if (c.value) shown[to][c.key] = *c.value;
          if (!c.value) shown[to].erase(c.key);
        }
        total_changes += changes.size();
      }
      collect();
    }
    now = end;
  }
  bool equal() {
    for (int i = 0; i < 2; ++i)
      if (plain(ends[i]->published()) != plain(ends[1 - i]->mirror()) || !ends[i]->confirmed())
        return false;
    return true;
  }

  Timing timing{};
  RandomStream random;
  Channel channel;
  std::unique_ptr<Replica> ends[2];
  std::map<std::string, std::string> shown[2];  // the changes added up
  std::map<std::pair<Time, std::uint64_t>, std::pair<int, Bytes>> queue;
  std::uint64_t sessions = 0, order = 0, total_changes = 0;
  std::size_t largest = 0;
  Time now{};
};

}  // namespace

TEST_CASE("both tables become equal over a channel that loses, repeats, reorders and damages") {
  const std::uint64_t seed = GENERATE(range(1, 41));
  RandomStream r(seed, "test");
  Channel channel;
  channel.loss_percent = static_cast<std::uint32_t>(r.below(50));
  channel.duplicate_percent = static_cast<std::uint32_t>(r.below(50));
  channel.garbage_percent = static_cast<std::uint32_t>(r.below(20));
  channel.delay_max = microseconds(1 + static_cast<std::int64_t>(r.below(20'000)));
  Pair p(seed, channel);
  for (int step = 0; step < 30; ++step) {
    for (auto n = r.below(40); n > 0; --n) {
      Replica& end = *p.ends[r.below(2)];
      const std::string key = "key-" + std::to_string(r.below(60));
      if (r.below(4) == 0) {
        end.erase(key);
      } else {
        end.set(key, value(std::string(r.below(r.below(10) == 0 ? 9000 : 100), 'x') +
                           std::to_string(r.below(1000))));
      }
    }
    if (r.below(8) == 0) p.restart(static_cast<int>(r.below(2)));
    p.run_for(milliseconds(static_cast<std::int64_t>(r.below(30))));
  }
  for (int i = 0; i < 400 && !p.equal(); ++i) p.run_for(milliseconds(100));
  REQUIRE(p.equal());
  REQUIRE(p.largest <= p.timing.message_limit);
}

TEST_CASE("changes add up to the mirror, and a restart that publishes the same shows none") {
  Pair p(5, {20, 20, 0, {}, milliseconds(2)});
  for (int i = 0; i < 300; ++i) p.ends[0]->set("k" + std::to_string(i), value(std::to_string(i)));
  p.run_for(seconds(5));
  REQUIRE(p.equal());
  REQUIRE(p.shown[1] == plain(p.ends[1]->mirror()));
  const auto before = p.total_changes;
  p.restart(0);
  p.run_for(seconds(5));
  REQUIRE(p.equal());
  REQUIRE(p.total_changes == before);
  REQUIRE(p.ends[1]->stats().full_states_received == 2);
}

TEST_CASE("an end at rest is silent") {
  Pair p(6, {0, 0, 0, {}, microseconds(200)});
  p.ends[0]->set("a", value("1"));
  p.run_for(seconds(1));
  REQUIRE(p.equal());
  const auto sent = p.ends[0]->stats().messages_out + p.ends[1]->stats().messages_out;
  p.run_for(seconds(100));
  REQUIRE(p.ends[0]->stats().messages_out + p.ends[1]->stats().messages_out == sent);
  REQUIRE(p.ends[0]->next_wakeup() == Time::never());
  REQUIRE(p.ends[0]->stats().retransmits == 0);
}

TEST_CASE("a batch is seen whole") {
  Pair p(7, {30, 30, 0, {}, milliseconds(3)});
  for (int round = 0; round < 50; ++round) {
    for (int i = 0; i < 40; ++i)
      p.ends[0]->set("k" + std::to_string(i), value(std::string(200, 'a') + std::to_string(round)));
    for (int i = 0; i < 20; ++i) {
      p.run_for(milliseconds(1));
      std::set<std::string> values;
      for (const auto& [key, v] : p.shown[1]) values.insert(v);
      REQUIRE(values.size() <= 1);
    }
    p.run_for(seconds(3));
  }
  REQUIRE(p.equal());
}

TEST_CASE("garbage is counted and ignored") {
  Replica replica(1, {});
  replica.start({});
  RandomStream r(1, "garbage");
  std::vector<RecordChange> changes;
  for (int i = 0; i < 20'000; ++i) {
    Bytes bytes(r.below(100));
    for (auto& b : bytes) b = static_cast<std::uint8_t>(r.below(256));
    if (bytes.size() > 8 && r.below(2) == 0) {
      bytes[0] = 'W';
      bytes[1] = 'F';
      bytes[2] = 1;
      bytes[3] = static_cast<std::uint8_t>(1 + r.below(3));
      bytes[4] = bytes[5] = bytes[6] = 0;
      bytes[7] = static_cast<std::uint8_t>(bytes.size());
    }
    REQUIRE_FALSE(replica.receive(bytes, {}, changes));
  }
  REQUIRE(changes.empty());
  REQUIRE(replica.stats().ignored == 20'000);
}

TEST_CASE("decoders survive any bytes") {
  RandomStream r(2, "decoders");
  std::vector<Flow> flows = {stage_flow(Stage::route, 7, "ip,nw_dst=10.0.0.1", "resubmit(,24)")};
  const std::string good[] = {encode_flows(flows),
                              encode(PortRecord{"a", {}, flows}),
                              encode(LocationRecord{Ip4{1}, "hv"}),
                              encode(RuleBody{1, "drop"}),
                              encode(Chassis{Ip4{1}, 2, TunnelType::geneve}),
                              encode(LocalPort{"p", 10, true, 1})};
  for (int i = 0; i < 20'000; ++i) {
    std::string b = good[r.below(std::size(good))];
    for (auto n = r.below(4); n > 0 && !b.empty(); --n)
      b[r.below(b.size())] = static_cast<char>(r.below(256));
    b.resize(r.below(b.size() + 3));
    (void)decode_flows(b);
    (void)decode_port_record(b);
    (void)decode_location(b);
    (void)decode_rule_body(b);
    (void)decode_chassis(b);
    (void)decode_report("x", b);
    (void)parse_rule_text(b);
    (void)parse_rule_record_key(b);
  }
  REQUIRE(decode_flows(good[0]) == flows);
  REQUIRE(decode_port_record(good[1])->flows == flows);
  REQUIRE(decode_location(good[2])->hypervisor == "hv");
  const RuleKey key{35, 1201, "reg1=0x1,ip"};
  REQUIRE(parse_rule_record_key(rule_record_key(key)) == key);
  REQUIRE(parse_rule_text(rule_text(key, {5, "drop(policy)"})) == Flow{key, {5, "drop(policy)"}});
  REQUIRE(parse_rule_text(rule_text({1, 0, ""}, {0, "drop"})) == Flow{{1, 0, ""}, {0, "drop"}});
}

TEST_CASE("port ranges are covered by masks exactly") {
  RandomStream r(3, "masks");
  for (int i = 0; i < 300; ++i) {
    AclPorts range;
    range.first = static_cast<std::uint16_t>(r.below(65536));
    range.last = static_cast<std::uint16_t>(range.first + r.below(65536 - range.first));
    if (i == 0) range = {0, 65535};
    if (i == 1) range = {65535, 65535};
    if (i == 2) range = {0, 0};
    std::vector<int> covered(65536);
    for (const std::string& text : port_masks(range)) {
      std::uint32_t v = 0, mask = 0xffff;
      if (text.empty()) {
        mask = 0;
      } else if (std::sscanf(text.c_str(), "0x%x/0x%x", &v, &mask) != 2) {
        v = static_cast<std::uint32_t>(std::stoul(text));
        mask = 0xffff;
      }
      for (std::uint32_t p = 0; p < 65536; ++p)
        if ((p & mask) == v) ++covered[p];
    }
    for (std::uint32_t p = 0; p < 65536; ++p)
      if (covered[p] != (p >= range.first && p <= range.last ? 1 : 0))
        FAIL("port " << p << " of " << range.first << "-" << range.last);
  }
}
