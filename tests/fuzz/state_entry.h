// What the fuzzers of the datapath's memory and texts do to an input: connection tracking as a
// script, NAT on real frames, exported zones, the text of rules. As in wire_entry.h, each throws
// InternalFault when a promise is broken.
#pragma once

#include <algorithm>
#include <set>
#include <string_view>
#include <vector>

#include "datapath/nat.h"
#include "datapath/rule.h"
#include "datapath/wire/wire.h"
#include "tests/fuzz/switch_entry.h"
#include "tests/fuzz/target.h"
#include "tests/fuzz/wire_entry.h"

namespace weft::fuzz {

/// Reads numbers off the input; zeros when it is over.
struct Reader {
  std::span<const std::uint8_t> left;
  std::uint8_t byte() {
    if (left.empty()) return 0;
    const std::uint8_t b = left[0];
    left = left.subspan(1);
    return b;
  }
  std::uint32_t word() {
    std::uint32_t v = 0;
    for (int i = 0; i < 4; ++i) v = v << 8 | byte();
    return v;
  }
};

/// Every live tuple belongs to one connection, and finds it.
inline void check_table(const datapath::ConnTrack& table, std::uint16_t zones, Time now) {
  std::uint32_t count = 0;
  for (std::uint16_t zone = 0; zone < zones; ++zone) {
    std::set<datapath::CtTuple> tuples;
    for (const auto& c : table.connections(zone, now)) {
      ++count;
      WEFT_CHECK(tuples.insert(c.original).second, "two connections share an original tuple");
      WEFT_CHECK(c.reply == c.original || tuples.insert(c.reply).second,
                 "two connections share a tuple");
      const auto found = table.find(c.reply, zone, now);
      WEFT_CHECK(found && found->original == c.original, "a reply does not find its connection");
    }
  }
  WEFT_CHECK(count <= table.size());
  WEFT_CHECK(table.dump(now).size() == count);
}

inline constexpr const char* kFuzzNats[] = {
    "",        "src",         "src=0.0.0.1-0.0.0.2:1-2", "dst=0.0.0.1:1-3,hash",
    "dst=::1", "src=::1-::3", "src=0.0.0.9,random",      "src=0.0.0.0-255.255.255.255,persistent",
};

/// A small world of addresses and ports; each step is a packet that is tracked or committed, a jump
/// in time, an expiry, or a zone that moves.
inline void conntrack_script(std::span<const std::uint8_t> input) {
  Reader in{input};
  datapath::CtOptions options;
  options.max_connections = 40;
  options.tcp.loose = in.byte() % 2 == 0;
  datapath::ConnTrack table(options, in.byte());
  table.set_zone_limit(1, 10);
  Time now{};
  while (!in.left.empty()) {
    const std::uint8_t what = in.byte();
    const std::uint16_t zone = what / 64 % 3;
    datapath::CtPacket p;
    const std::uint8_t shape = in.byte(), ends = in.byte();
    p.kind = shape % 8 == 7 ? datapath::CtPacket::Kind::icmp_error : datapath::CtPacket::Kind::flow;
    constexpr std::uint8_t kProtocols[] = {6, 6, 17, 1, 47};
    datapath::CtTuple& t = p.tuple;
    t.protocol = kProtocols[shape / 8 % 5];
    t.is6 = shape / 64 == 3;
    t.src.low = ends % 4;
    t.dst.low = ends / 4 % 4;
    if (t.protocol == 1) {
      if (t.is6) t.protocol = 58;
      t.echo = static_cast<std::uint8_t>(1 + ends / 16 % 2);
      t.src_port = t.dst_port = ends / 32 % 4;
    } else if (t.protocol != 47) {
      t.src_port = ends / 16 % 4;
      t.dst_port = ends / 64 % 4;
    }
    if (t.protocol == 6) {
      p.tcp.flags = in.byte() & 0x3f;
      p.tcp.sequence = in.word();
      p.tcp.acknowledgement = p.tcp.sack = in.word();
      p.tcp.window = static_cast<std::uint16_t>(in.byte() * 100);
      p.tcp.length = in.byte();
      if (shape % 2 == 0) p.tcp.window_scale = in.byte();
    }
    datapath::CtCommit commit;
    switch (what % 8) {
      case 0:
      case 1: {
        const auto said = table.peek(p, zone, now, true);
        const auto result = table.track(p, zone, now, true);
        WEFT_CHECK(said.state == result.state && said.mark == result.mark,
                   "peek says {:#x}, track {:#x}", said.state, result.state);
        if (result.translate) table.translation(result);
        break;
      }
      case 2:
      case 3:
      case 4: {
        commit.mark = in.byte();
        commit.mark_mask = in.byte();
        commit.label = {0, in.byte()};
        commit.label_mask = {0, what % 8 == 4 ? 255u : 0u};
        commit.force = what % 8 == 3;
        commit.nat = datapath::parse_nat(kFuzzNats[in.byte() % std::size(kFuzzNats)]).value();
        const auto result = table.commit(p, zone, now, commit, false);
        WEFT_CHECK(!result.created || table.find(p.tuple, zone, now).has_value());
        WEFT_CHECK(table.size() <= options.max_connections && table.size_of_zone(1) <= 10);
        break;
      }
      case 5:
        now += seconds(in.byte());
        break;
      case 6:
        table.expire(now, in.byte());
        break;
      default:
        WEFT_CHECK(table.import_zone(zone, table.export_zone(in.byte() % 3, now), now).ok());
    }
    check_table(table, 3, now);
  }
}

/// A frame goes out through a gateway, and is answered: checksums that were right stay right, the
/// length stays, and translating back gives the packet that was.
inline void nat_one(std::span<const std::uint8_t> input) {
  thread_local PacketArena arena;
  thread_local PacketPool pool(arena);
  if (input.empty()) return;
  const datapath::NatSpec spec =
      datapath::parse_nat(kFuzzNats[input[0] % std::size(kFuzzNats)]).value();
  Packet* p = pool.take();
  set_frame(*p, input.subspan(1));
  const datapath::ParsedHeaders h = datapath::parse_materialising(*p);
  const datapath::CtPacket packet = datapath::ct_packet(*p, h);
  if (h.ok() && packet.kind != datapath::CtPacket::Kind::invalid) {
    datapath::ConnTrack table;
    datapath::CtCommit commit;
    commit.nat = spec;
    datapath::CtPacket first = packet;
    first.kind = datapath::CtPacket::Kind::flow;  // for an error: what it is about
    if (first.tuple.protocol == wire::kProtoTcp) first.tcp.flags = wire::TcpHeader::kSyn;
    datapath::CtResult result = table.commit(first, 0, Time{}, commit);
    if (packet.kind == datapath::CtPacket::Kind::icmp_error)
      result = table.track(packet, 0, Time{}, true);
    std::vector<std::uint8_t> before, after;
    p->copy_frame(before);
    const bool right = verify_checksums(*p) == ChecksumFault::ok;
    if (result.translate) {
      const datapath::CtTuple now = table.translation(result);
      datapath::translate_packet(*p, h, packet, now);
      WEFT_CHECK(p->size() == before.size());
      WEFT_CHECK(!right || verify_checksums(*p) == ChecksumFault::ok,
                 "NAT broke a checksum that was right");
      const datapath::CtPacket as_sent = datapath::ct_packet(*p, datapath::parse_headers(*p));
      WEFT_CHECK(as_sent.kind == packet.kind);
      const bool error = packet.kind == datapath::CtPacket::Kind::icmp_error;
      WEFT_CHECK((error ? as_sent.tuple.reversed() : as_sent.tuple) == now);
    }
  }
  pool.give(p);
}

/// Bytes that somebody sent as an exported zone.
inline void import_one(std::span<const std::uint8_t> input) {
  datapath::CtOptions options;
  options.max_connections = 64;
  datapath::ConnTrack table(options);
  const Time now = Time{} + seconds(3);
  const auto count = table.import_zone(2, input, now);
  WEFT_CHECK(count.ok() || table.size() == 0, "a refused zone left something behind");
  check_table(table, 3, now);
  if (!count.ok()) return;
  // What came in goes out again, the same.
  datapath::ConnTrack other(options);
  WEFT_CHECK(other.import_zone(2, table.export_zone(2, now), now).ok());
  WEFT_CHECK(other.dump(now) == table.dump(now));
  for (const auto& c : table.connections(2, now)) {
    datapath::CtPacket p;
    p.kind = datapath::CtPacket::Kind::flow;
    p.tuple = c.reply;
    p.tcp.flags = wire::TcpHeader::kAck;
    table.track(p, 2, now, true);
  }
}

/// A line of a switch file: what can be read can be printed, and reads back the same.
inline void rule_one(std::span<const std::uint8_t> input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto rule = datapath::parse_rule(text);
  if (!rule) {
    WEFT_CHECK(!rule.error().message.empty());
    return;
  }
  const std::string printed = datapath::format_rule(*rule);
  const auto again = datapath::parse_rule(printed);
  WEFT_CHECK(again.ok(), "'{}' is printed but not read: {}", printed, again.error().text());
  WEFT_CHECK(*again == *rule && datapath::format_rule(*again) == printed, "'{}' reads back as '{}'",
             printed, datapath::format_rule(*again));
}

inline constexpr Target kTargets[] = {
    {"parse", parse_one},
    {"tunnel", tunnel_one},
    {"reassembly", receive_script},
    {"conntrack", conntrack_script},
    {"nat", nat_one},
    {"import", import_one},
    {"rule", rule_one},
    {"switch", switch_file},
};

}  // namespace weft::fuzz
