// Connection tracking: conversations as tables, the slow twin on random traffic, limits, expiry,
// and zones as bytes.
#include "datapath/conntrack.h"

#include "tests/catch.h"
#include "tests/oracle/conntrack_twin.h"
#include "tests/unit/datapath/frames.h"

namespace weft::datapath {
namespace {

constexpr std::uint8_t kNew = kCtTracked | kCtNew;
constexpr std::uint8_t kEst = kCtTracked | kCtEstablished;
constexpr std::uint8_t kRpl = kCtTracked | kCtEstablished | kCtReply;
constexpr std::uint8_t kInv = kCtTracked | kCtInvalid;
constexpr std::uint8_t kRel = kCtTracked | kCtRelated;
constexpr std::uint8_t kRelRpl = kCtTracked | kCtRelated | kCtReply;

Time at(std::int64_t s) { return Time{} + seconds(s); }

std::uint8_t flags_of(const std::string& letters) {
  std::uint8_t f = 0;
  for (char c : letters)
    f |= c == 'S'   ? 2
         : c == 'A' ? 16
         : c == 'F' ? 1
         : c == 'R' ? 4
         : c == 'P' ? 8
         : c == 'U' ? 32
                    : 0;
  return f;
}

CtPacket tcp(const std::string& letters, bool reply = false, std::uint16_t port = 8080) {
  CtPacket p;
  p.kind = CtPacket::Kind::flow;
  p.tuple.src.low = 0x0a000001;
  p.tuple.dst.low = 0x0a000002;
  p.tuple.src_port = 40000;
  p.tuple.dst_port = port;
  p.tuple.protocol = 6;
  p.tcp.flags = flags_of(letters);
  p.tcp.window = 1000;
  if (reply) p.tuple = p.tuple.reversed();
  return p;
}

CtCommit mark(std::uint32_t value, std::uint32_t mask) {
  CtCommit c;
  c.mark = value;
  c.mark_mask = mask;
  return c;
}

struct Line {
  bool reply;
  const char* flags;
  std::uint8_t state;
  TcpState after;
};

void play(const std::vector<Line>& lines, bool loose = true) {
  CtOptions options;
  options.tcp.loose = loose;
  ConnTrack ct(options);
  int number = 0;
  std::uint32_t next[2] = {0xfffffff0, 77};  // numbers wrap
  for (const Line& line : lines) {
    INFO("line " << ++number << " " << (line.reply ? "<- " : "-> ") << line.flags);
    CtPacket p = tcp(line.flags, line.reply);
    const std::uint32_t first = line.reply ? 77 : 0xfffffff0;
    p.tcp.sequence = (p.tcp.flags & 2) != 0 ? first : next[line.reply];
    p.tcp.acknowledgement = p.tcp.sack = next[!line.reply];
    if ((p.tcp.flags & 8) != 0) p.tcp.length = 10;
    const bool late_syn = p.tcp.flags == 2 && line.after == TcpState::established;
    if (line.state != kInv && !late_syn) next[line.reply] = p.tcp.end();
    REQUIRE(int(ct.peek(p, 1, at(number)).state) == int(line.state));
    const CtResult r = ct.track(p, 1, at(number));
    REQUIRE(int(r.state) == int(line.state));
    if ((r.state & kCtNew) != 0) ct.commit(p, 1, at(number), {}, true);
    const auto c = ct.find(p.tuple, 1, at(number));
    REQUIRE(std::string(to_string(c ? c->tcp : TcpState::none)) == to_string(line.after));
  }
}

TEST_CASE("TCP conversations") {
  using T = TcpState;
  SECTION("a whole connection and its successor") {
    play({{false, "S", kNew, T::syn_sent},
          {false, "S", kNew, T::syn_sent},
          {true, "SA", kRpl, T::syn_received},
          {false, "A", kEst, T::established},
          {false, "PA", kEst, T::established},
          {true, "A", kRpl, T::established},
          {false, "FA", kEst, T::fin_wait},
          {true, "A", kRpl, T::close_wait},
          {true, "PA", kRpl, T::close_wait},
          {true, "FA", kRpl, T::last_ack},
          {false, "A", kEst, T::time_wait},
          {true, "FA", kRpl, T::time_wait},
          {false, "S", kNew, T::syn_sent},
          {true, "SA", kRpl, T::syn_received}});
  }
  SECTION("refused, then tried again") {
    play({{false, "S", kNew, T::syn_sent},
          {true, "RA", kRpl, T::close},
          {false, "S", kNew, T::syn_sent}});
  }
  SECTION("simultaneous open") {
    play({{false, "S", kNew, T::syn_sent},
          {true, "S", kRpl, T::syn_sent2},
          {false, "SA", kEst, T::syn_received},
          {true, "SA", kRpl, T::syn_received},
          {false, "A", kEst, T::established}});
  }
  SECTION("what starts nothing") {
    for (const char* flags : {"SA", "R", "RA", "FA", "F", "", "SF", "SR", "SFA", "SAU", "P"}) {
      INFO(flags);
      play({{false, flags, kInv, T::none}});
    }
  }
  SECTION("picked up in the middle, if loose") {
    play({{false, "A", kNew, T::established}, {true, "A", kRpl, T::established}});
    play({{false, "A", kInv, T::none}}, false);
  }
  SECTION("nonsense on an open connection") {
    play({{false, "S", kNew, T::syn_sent},
          {false, "A", kInv, T::syn_sent},
          {true, "FA", kInv, T::syn_sent},
          {true, "SA", kRpl, T::syn_received},
          {false, "A", kEst, T::established},
          {true, "S", kInv, T::established},
          {false, "SA", kInv, T::established},
          {false, "SF", kInv, T::established},
          {false, "S", kEst, T::established},
          {false, "R", kEst, T::close}});
  }
}

TEST_CASE("uncommitted stays new, zones are apart, marks stick") {
  ConnTrack ct;
  REQUIRE(ct.track(tcp("S"), 1, at(0)).state == kNew);
  REQUIRE(ct.track(tcp("S"), 1, at(0)).state == kNew);
  REQUIRE(ct.size() == 0);
  CtResult r = ct.commit(tcp("S"), 1, at(0), mark(0xff, 0x0f));
  REQUIRE(r.created);
  REQUIRE(r.state == kNew);
  REQUIRE(r.mark == 0x0f);
  REQUIRE(ct.track(tcp("SA", true), 2, at(0)).state == kInv);
  REQUIRE(ct.track(tcp("SA", true), 1, at(0)).state == kRpl);
  r = ct.commit(tcp("A"), 1, at(0), mark(0x50, 0xf0));
  REQUIRE_FALSE(r.created);
  REQUIRE(r.mark == 0x5f);
  REQUIRE(ct.size() == 1);
  REQUIRE(ct.size_of_zone(1) == 1);
  REQUIRE(ct.size_of_zone(2) == 0);
}

TEST_CASE("packets become tuples") {
  const test::OnePacket one;
  Packet* p = one.p;
  ConnTrack ct;
  test::FlowSpec flow;
  for (bool is6 : {false, true}) {
    flow.is6 = is6;
    flow.protocol = is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp;
    flow.icmp_type = is6 ? wire::kIcmpv6EchoRequest : wire::kIcmpEchoRequest;
    test::build(*p, flow);
    const CtPacket request = ct_packet(*p, parse_headers(*p));
    REQUIRE(request.kind == CtPacket::Kind::flow);
    REQUIRE(request.tuple.src_port == 40000);
    test::FlowSpec back = flow;
    std::swap(back.src, back.dst);
    back.icmp_type = is6 ? wire::kIcmpv6EchoReply : wire::kIcmpEchoReply;
    test::build(*p, back);
    const CtPacket reply = ct_packet(*p, parse_headers(*p));
    REQUIRE(reply.tuple == request.tuple.reversed());
    REQUIRE(ct.track(reply, 1, at(0)).state == kInv);
    ct.commit(request, 1, at(0));
    REQUIRE(ct.track(reply, 1, at(0)).state == kRpl);
    REQUIRE(ct.track(request, 1, at(0)).state == kEst);
    // The other side's own request with the same identifier is another connection.
    back.icmp_type = flow.icmp_type;
    test::build(*p, back);
    REQUIRE(ct.track(ct_packet(*p, parse_headers(*p)), 1, at(0)).state == kNew);
    back.icmp_type = is6 ? 136 : 13;
    test::build(*p, back);
    REQUIRE(ct_packet(*p, parse_headers(*p)).kind == CtPacket::Kind::invalid);
  }
  flow = {};
  flow.protocol = wire::kProtoUdp;
  test::build(*p, flow);
  wire::at<wire::Ipv4Header>(p->data() + 14).flags_fragment = 5;
  REQUIRE(ct_packet(*p, parse_headers(*p)).kind == CtPacket::Kind::invalid);
}

TEST_CASE("an ICMP error is related to the connection that it quotes") {
  const test::OnePacket one;
  Packet* p = one.p;
  for (bool is6 : {false, true}) {
    ConnTrack ct;
    test::FlowSpec flow;
    flow.is6 = is6;
    flow.protocol = wire::kProtoUdp;
    flow.payload = 20;
    test::build(*p, flow);
    const CtPacket original = ct_packet(*p, parse_headers(*p));
    test::Bytes quoted = test::frame_of(*p);
    quoted.erase(quoted.begin(), quoted.begin() + 14);
    quoted.resize(is6 ? 48 : 28);
    test::FlowSpec error;
    error.is6 = is6;
    error.protocol = is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp;
    error.icmp_type = is6 ? wire::kIcmpv6Unreachable : wire::kIcmpUnreachable;
    error.src = 0x01020304;  // some router
    error.dst = flow.src;
    error.payload = static_cast<std::uint32_t>(quoted.size());
    for (std::size_t in_headers : {std::size_t{0}, std::size_t{7}, quoted.size()}) {
      test::build(*p, error);
      p->payload = Payload::copy_of(quoted);
      p->materialise_payload(static_cast<std::uint32_t>(in_headers));
      const CtPacket e = ct_packet(*p, parse_headers(*p));
      REQUIRE(e.kind == CtPacket::Kind::icmp_error);
      REQUIRE(e.tuple == original.tuple);
      ConnTrack fresh;
      REQUIRE(fresh.track(e, 1, at(0)).state == kInv);
      fresh.commit(original, 1, at(0), mark(7, 7));
      REQUIRE(fresh.track(e, 1, at(0)).state == kRelRpl);
      REQUIRE(fresh.track(e, 1, at(0)).mark == 7);
      CtPacket other = e;
      other.tuple = e.tuple.reversed();  // about a reply
      REQUIRE(fresh.track(other, 1, at(0)).state == kRel);
      REQUIRE_FALSE(fresh.commit(e, 1, at(0)).created);
      REQUIRE(fresh.track(e, 1, at(29)).state == kRelRpl);
      REQUIRE(fresh.track(e, 1, at(30)).state == kInv);
    }
    // A quote that is cut off before the ports.
    quoted.resize(is6 ? 43 : 23);
    error.payload = static_cast<std::uint32_t>(quoted.size());
    test::build(*p, error);
    p->payload = Payload::copy_of(quoted);
    REQUIRE(ct_packet(*p, parse_headers(*p)).kind == CtPacket::Kind::invalid);
  }
}

constexpr std::uint64_t kBases[] = {0, 0xffffff00, 0x7ffff000};

CtPacket random_packet(test::Lcg& random, std::uint32_t base) {
  static const char* const kFlags[] = {"S", "SA", "A", "PA", "FA", "R", "RA", "A", "SF", "AU"};
  CtPacket p;
  p.kind = random.below(40) == 0   ? CtPacket::Kind::invalid
           : random.below(12) == 0 ? CtPacket::Kind::icmp_error
                                   : CtPacket::Kind::flow;
  CtTuple& t = p.tuple;
  t.is6 = random.below(4) == 0;
  t.src.low = random.below(2);
  t.dst.low = random.below(3);
  if (t.is6) t.src.high = t.dst.high = 0xfd00ULL << 48;
  const std::uint8_t protocols[] = {6, 6, 6, 17, 1, 132};
  t.protocol = protocols[random.below(6)];
  if (t.protocol == 1) {
    if (t.is6) t.protocol = 58;
    t.src_port = t.dst_port = static_cast<std::uint16_t>(random.below(2));
    t.echo = static_cast<std::uint8_t>(1 + random.below(2));
  } else if (t.protocol != 132) {
    t.src_port = static_cast<std::uint16_t>(random.below(3));
    t.dst_port = static_cast<std::uint16_t>(random.below(3));
  }
  if (t.protocol == 6) {
    TcpSegment& s = p.tcp;
    s.flags = flags_of(kFlags[random.below(10)]);
    s.sequence = base + static_cast<std::uint32_t>(random.below(300));
    s.acknowledgement = base + static_cast<std::uint32_t>(random.below(300));
    if (random.below(20) == 0) s.sequence = 0;
    if (random.below(20) == 0) s.acknowledgement = 0;
    s.sack = s.acknowledgement + static_cast<std::uint32_t>(random.below(4) == 0 ? 50 : 0);
    s.length = static_cast<std::uint32_t>(random.below(3) * 20);
    s.window = static_cast<std::uint16_t>(random.below(5) * 50);
    if (random.below(2) == 0) s.window_scale = static_cast<std::uint8_t>(random.below(17));
    s.sack_permitted = random.below(2) == 0;
  }
  return p;
}

/// A segment that continues a conversation as a stack would, or nearly so.
CtPacket likely_segment(test::Lcg& random, ConnTrack& ct, std::uint16_t zone, Time now) {
  auto all = ct.connections(zone, now);
  std::erase_if(all, [](const Connection& c) { return c.tcp == TcpState::none; });
  if (all.empty()) return {};
  const Connection& c = all[random.below(all.size())];
  const bool reply = random.below(2) == 0;
  CtPacket p;
  p.kind = CtPacket::Kind::flow;
  p.tuple = reply ? c.reply : c.original;
  TcpSegment& s = p.tcp;
  static const char* const kFlags[] = {"A", "PA", "FA", "RA", "S", "SA", "A", "A"};
  s.flags = flags_of(kFlags[random.below(8)]);
  if (c.tcp == TcpState::syn_sent && reply && random.below(2) == 0) s.flags = flags_of("SA");
  s.sequence = c.windows.end[reply];
  s.acknowledgement = c.windows.end[!reply];
  if (random.below(4) == 0) s.acknowledgement = c.windows.last_end;
  if (random.below(4) == 0) s.sequence = c.windows.max_ack[!reply];
  if (random.below(4) == 0) s.sequence = c.windows.max_end[reply] + 1;
  if (random.below(4) == 0) s.sequence -= static_cast<std::uint32_t>(random.below(200));
  s.sack = s.acknowledgement;
  s.window = static_cast<std::uint16_t>(100 + random.below(3));
  s.length = static_cast<std::uint32_t>(random.below(2) * 30);
  if ((s.flags & 2) != 0 && random.below(2) == 0) s.window_scale = 3;
  return p;
}

const char* const kNats[] = {
    "",
    "src=0.0.0.2-0.0.0.3:10-12",
    "src=0.0.0.9:1-2,random",
    "dst=0.0.0.1-0.0.0.2",
    "dst=0.0.0.2:1-3,hash",
    "src",
    "src=fd00::7-fd00::8",
    "dst=[fd00::1]-[fd00::2]:2-3",
    "src=0.0.0.0-0.0.0.2,persistent",
};

CtCommit random_commit(test::Lcg& random) {
  CtCommit c;
  c.mark = static_cast<std::uint32_t>(random.next());
  c.mark_mask = static_cast<std::uint32_t>(random.next());
  if (random.below(3) == 0) {
    c.label = {random.next(), random.next()};
    c.label_mask = {random.next() & random.next(), random.below(2) == 0 ? 0 : ~0ULL};
  }
  if (random.below(2) == 0) c.nat = parse_nat(kNats[random.below(std::size(kNats))]).value();
  c.force = random.below(8) == 0;
  return c;
}

void require_same(const CtResult& a, const CtResult& b) {
  REQUIRE(int(a.state) == int(b.state));
  REQUIRE(a.mark == b.mark);
  REQUIRE(a.created == b.created);
  REQUIRE(int(a.refused) == int(b.refused));
  REQUIRE(a.translate == b.translate);
}

void require_same(const std::vector<Connection>& a,
                  const std::vector<test::ConnTrackTwin::Entry>& b) {
  REQUIRE(a.size() == b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    REQUIRE(a[i].original == b[i].original);
    REQUIRE(a[i].reply == b[i].reply);
    REQUIRE(a[i].tcp == b[i].state);
    REQUIRE(a[i].seen_reply == b[i].seen_reply);
    REQUIRE(a[i].mark == b[i].mark);
    REQUIRE(a[i].label == b[i].label);
    REQUIRE(a[i].expires == b[i].expires);
  }
}

TEST_CASE("the slow twin says the same on random traffic") {
  std::uint64_t created = 0, translated = 0, exhausted = 0, clashes = 0, outside = 0;
  for (std::uint64_t seed = 1; seed <= 12; ++seed) {
    test::Lcg random{seed};
    CtOptions options;
    options.tcp.loose = seed % 2 == 0;
    options.tcp.liberal = seed % 5 == 0;
    options.timeouts.tcp_established = seconds(400);
    ConnTrack ct(options, seed);
    test::ConnTrackTwin twin(options);
    CtTimeouts brief;
    brief.udp = seconds(3);
    brief.tcp_established = seconds(50);
    brief.tcp_unacknowledged = seconds(9);
    ct.set_zone_timeouts(1, brief);
    twin.set_zone_timeouts(1, brief);
    const auto base = static_cast<std::uint32_t>(kBases[seed % 3]);
    Time now{};
    for (int i = 0; i < 12000; ++i) {
      INFO("seed " << seed << " step " << i);
      if (random.below(3) == 0) now += milliseconds(static_cast<std::int64_t>(random.below(4000)));
      if (random.below(2000) == 0) now += seconds(200);
      const auto zone = static_cast<std::uint16_t>(random.below(3));
      CtPacket p = random_packet(random, base);
      if (seed % 3 != 0 && random.below(2) == 0) p = likely_segment(random, ct, zone, now);
      const bool nat = random.below(2) == 0;
      const CtCommit what = random_commit(random);
      // A table over this one foresees all that this one is going to say.
      ConnTrack over = ConnTrack::over(ct);
      const auto foreseen = [&](const CtResult& before, const CtResult& r) {
        require_same(before, r);
        if (r.translate) REQUIRE(over.translation(before) == ct.translation(r));
        if (r.connection != 0) REQUIRE(over.label(before) == ct.label(r));
        REQUIRE(over.original(before, p) == ct.original(r, p));
      };
      const auto commit = [&](bool already) {
        const CtResult ahead = over.commit(p, zone, now, what, already);
        const CtResult r = ct.commit(p, zone, now, what, already);
        foreseen(ahead, r);
        std::optional<Connection> made;
        if (r.created) made = ct.find(p.tuple, zone, now);
        require_same(r, twin.commit(p, zone, now, what, already, made));
        created += r.created;
        translated += made && made->translated();
        exhausted += r.refused == CtResult::Refused::nat_exhausted;
        clashes += r.refused == CtResult::Refused::clash;
      };
      switch (random.below(3)) {
        case 0: {
          const CtResult ahead = over.track(p, zone, now, nat);
          const CtResult r = ct.track(p, zone, now, nat);
          foreseen(ahead, r);
          outside += p.tuple.protocol == 6 && (r.state & kCtInvalid) != 0 && r.mark != 0;
          require_same(r, twin.track(p, zone, now, nat));
          break;
        }
        case 1:
          commit(false);
          break;
        default: {
          const CtResult before = ct.peek(p, zone, now, nat);
          const CtResult ahead = over.track(p, zone, now, nat);
          const CtResult r = ct.track(p, zone, now, nat);
          require_same(before, r);
          foreseen(ahead, r);
          require_same(r, twin.track(p, zone, now, nat));
          if ((r.state & kCtInvalid) == 0) commit(true);
        }
      }
      if (random.below(20) == 0) ct.expire(now, static_cast<std::uint32_t>(random.below(30)));
      if (random.below(500) == 0) {
        const auto port = static_cast<std::uint16_t>(random.below(3));
        ct.remove_if([port](const Connection& c) { return c.original.dst_port == port; });
        twin.remove_port(port);
      }
      if (random.below(500) == 0) {
        REQUIRE(ct.import_zone(2, ct.export_zone(0, now), now).ok());
        twin.copy_zone(0, 2, now);
      }
      if (i % 50 == 0) {
        for (std::uint16_t z = 0; z < 3; ++z)
          require_same(ct.connections(z, now), twin.connections(z, now));
      }
    }
  }
  REQUIRE(created > 5000);
  REQUIRE(translated > 1000);
  REQUIRE(exhausted > 20);
  REQUIRE(clashes > 20);
  REQUIRE(outside > 1000);
}

TEST_CASE("the table survives growth and deletion in any order") {
  ConnTrack ct;
  test::Lcg random{8};
  std::vector<bool> there(5000, false);
  auto packet = [](std::size_t i) {
    CtPacket p = tcp("S", false, static_cast<std::uint16_t>(i));
    p.tuple.protocol = 17;
    p.tcp = {};
    return p;
  };
  for (int round = 0; round < 40000; ++round) {
    const std::size_t i = random.below(there.size());
    if (there[i]) {
      const auto port = static_cast<std::uint16_t>(i);
      if (random.below(20) == 0) {
        REQUIRE(ct.remove_if([port](const Connection& c) { return c.original.dst_port == port; }) ==
                1);
        there[i] = false;
      } else {
        REQUIRE(ct.find(packet(i).tuple.reversed(), 0, at(0)));
      }
    } else {
      REQUIRE_FALSE(ct.find(packet(i).tuple, 0, at(0)));
      REQUIRE(ct.commit(packet(i), 0, at(0)).created);
      there[i] = true;
    }
  }
  std::uint32_t expected = 0;
  for (std::size_t i = 0; i < there.size(); ++i) {
    expected += there[i];
    REQUIRE(ct.find(packet(i).tuple, 0, at(0)).has_value() == there[i]);
  }
  REQUIRE(ct.size() == expected);
}

TEST_CASE("limits of table and zone, and room after expiry") {
  CtOptions options;
  options.max_connections = 10;
  options.early_drop = false;
  ConnTrack ct(options);
  ct.set_zone_limit(1, 4);
  auto add = [&](std::uint16_t zone, std::uint16_t port, Time now) {
    return ct.commit(tcp("S", false, port), zone, now);
  };
  for (std::uint16_t port = 0; port < 4; ++port) REQUIRE(add(1, port, at(0)).created);
  CtResult r = add(1, 9, at(0));
  REQUIRE(r.refused == CtResult::Refused::full);
  REQUIRE_FALSE(r.created);
  REQUIRE(r.state == kNew);
  for (std::uint16_t port = 0; port < 6; ++port) REQUIRE(add(2, port, at(60)).created);
  REQUIRE(add(2, 9, at(60)).refused == CtResult::Refused::full);
  REQUIRE(add(1, 0, at(60)).state == kNew);  // refreshed: there, not made
  REQUIRE(ct.size() == 10);
  REQUIRE(add(2, 9, at(120)).created);  // three of zone 1 are over by now
  REQUIRE(ct.size_of_zone(1) == 1);
  REQUIRE(ct.remove_zone(2) == 7);
  REQUIRE(ct.size() == 1);
}

TEST_CASE("who floods pays") {
  CtOptions options;
  options.max_connections = 100;
  options.zone_limit = 90;
  ConnTrack ct(options);
  const auto opens = [&](std::uint16_t zone, std::uint16_t port) {
    return ct.commit(tcp("S", false, port), zone, at(0)).created;
  };
  const auto converses = [&](std::uint16_t zone, std::uint16_t port) {
    CtPacket p = tcp("S", false, port);
    REQUIRE(ct.commit(p, zone, at(0)).created);
    p = tcp("SA", true, port);
    p.tcp.acknowledgement = p.tcp.sack = 1;
    ct.track(p, zone, at(0));
    p = tcp("A", false, port);
    p.tcp.sequence = p.tcp.acknowledgement = p.tcp.sack = 1;
    ct.track(p, zone, at(0));
    REQUIRE(ct.find(p.tuple, zone, at(0))->tcp == TcpState::established);
  };
  for (std::uint16_t port = 1; port <= 5; ++port) converses(7, port);
  for (std::uint16_t port = 6; port <= 10; ++port) REQUIRE(opens(7, port));
  SECTION("a zone at its limit gives up its own, the oldest first") {
    for (std::uint16_t port = 1; port <= 200; ++port) REQUIRE(opens(1, port));
    REQUIRE(ct.size_of_zone(1) == 90);
    REQUIRE(ct.size_of_zone(7) == 10);
    REQUIRE(ct.early_drops() == 110);
    REQUIRE_FALSE(ct.find(tcp("S", false, 110).tuple, 1, at(0)));
    REQUIRE(ct.find(tcp("S", false, 111).tuple, 1, at(0)));
  }
  SECTION("twenty zones that flood cost one that does not nothing") {
    options.max_connections = 300;
    ct.set_options(options);
    for (std::uint16_t port = 1; port <= 1000; ++port)
      for (std::uint16_t zone = 100; zone < 120; ++zone) REQUIRE(opens(zone, port));
    REQUIRE(ct.size() == 300);
    REQUIRE(ct.size_of_zone(7) == 10);
    for (std::uint16_t zone = 100; zone < 120; ++zone) REQUIRE(ct.size_of_zone(zone) >= 14);
    for (std::uint16_t port = 11; port <= 14; ++port) REQUIRE(opens(7, port));
    REQUIRE(ct.size_of_zone(7) == 14);
  }
  SECTION("conversations are never given up, and nobody pays for one who holds more") {
    for (std::uint16_t port = 1; port <= 90; ++port) converses(1, port);
    REQUIRE(ct.commit(tcp("S", false, 99), 1, at(0)).refused == CtResult::Refused::full);
    CtOptions wide = options;
    wide.zone_limit = 0;
    ct.set_options(wide);
    REQUIRE(ct.commit(tcp("S", false, 99), 1, at(0)).refused == CtResult::Refused::full);
    REQUIRE(ct.size_of_zone(7) == 10);
    REQUIRE(opens(8, 1));  // zone 7 pays: it has half-open ones, and more
    REQUIRE(ct.size_of_zone(7) == 9);
  }
  SECTION("one that closes is expendable again") {
    for (std::uint16_t port = 1; port <= 90; ++port) converses(1, port);
    CtPacket rst = tcp("R", false, 50);
    rst.tcp.sequence = 1;
    ct.track(rst, 1, at(0));
    REQUIRE(opens(1, 99));
    REQUIRE_FALSE(ct.find(rst.tuple, 1, at(0)));
  }
}

TEST_CASE("what is given up is what the slow twin gives up") {
  // UDP only: expendable until a reply has been seen.
  struct Known {
    std::uint16_t zone, port;
    bool replied;
  };
  test::Lcg random{77};
  CtOptions options;
  options.max_connections = 60;
  options.zone_limit = 40;
  ConnTrack ct(options);
  std::vector<Known> twin;  // by age
  const auto of = [&](std::uint16_t zone, bool only_expendable) {
    return static_cast<std::uint32_t>(std::count_if(twin.begin(), twin.end(), [&](const Known& k) {
      return k.zone == zone && !(only_expendable && k.replied);
    }));
  };
  std::uint64_t refused = 0, dropped = 0;
  for (int step = 0; step < 30000; ++step) {
    INFO("step " << step);
    const auto zone = static_cast<std::uint16_t>(random.below(random.below(5) + 1));
    const auto port = static_cast<std::uint16_t>(random.below(60));
    CtPacket p = tcp("", false, port);
    p.tuple.protocol = 17;
    p.tcp = {};
    const auto known = std::find_if(
        twin.begin(), twin.end(), [&](const Known& k) { return k.zone == zone && k.port == port; });
    const std::uint64_t what = random.below(8);
    if (what <= 2) {
      p.tuple = p.tuple.reversed();
      if (known != twin.end()) {
        ct.track(p, zone, at(0));
        known->replied = true;
      }
    } else if (what == 3 && known != twin.end() && random.below(4) == 0) {
      REQUIRE(ct.remove_if([&](const Connection& c) {
        return c.zone == zone && c.original.dst_port == port;
      }) == 1);
      twin.erase(known);
    } else if (known == twin.end()) {
      const CtResult r = ct.commit(p, zone, at(0));
      std::uint16_t payer = zone;
      bool room = true;
      if (of(zone, false) >= 40 || twin.size() >= 60) {
        if (of(zone, false) < 40) {
          std::uint32_t most = 0;
          for (std::uint16_t z = 0; z < 5; ++z) most = std::max(most, of(z, true));
          // Of equals it may have been any: the one that has shrunk, or else who asked.
          for (std::uint16_t z = 0; z < 5; ++z)
            if (z != zone && ct.size_of_zone(z) < of(z, false)) payer = z;
          bool right = payer == zone ? of(zone, true) == most : of(payer, true) == most;
          for (std::uint16_t z = 0; z < 5 && payer == zone; ++z)
            right = right || (of(z, true) == most && of(z, false) < of(zone, false));
          REQUIRE(right);
          REQUIRE(of(payer, false) >= of(zone, false));
        }
        const auto victim = std::find_if(twin.begin(), twin.end(), [&](const Known& k) {
          return k.zone == payer && !k.replied;
        });
        room = victim != twin.end();
        if (room) {
          twin.erase(victim);
          ++dropped;
        }
      }
      refused += !room;
      REQUIRE(r.created == room);
      if (room) twin.push_back({zone, port, false});
    }
    REQUIRE(ct.size() == twin.size());
    for (const Known& k : twin) {
      CtPacket q = p;
      q.tuple = tcp("", false, k.port).tuple;
      q.tuple.protocol = 17;
      REQUIRE(ct.find(q.tuple, k.zone, at(0)));
    }
  }
  REQUIRE(refused > 100);
  REQUIRE(dropped > 1000);
  REQUIRE(dropped == ct.early_drops());
}

TEST_CASE("expire looks at no more slots than it may") {
  ConnTrack ct;
  for (std::uint16_t port = 0; port < 100; ++port) ct.commit(tcp("S", false, port), 0, at(0));
  REQUIRE(ct.expire(at(119), 1000) == 0);
  REQUIRE(ct.expire(at(120), 30) == 30);
  REQUIRE(ct.expire(at(120), 30) == 30);
  REQUIRE(ct.size() == 40);
  REQUIRE(ct.connections(0, at(120)).empty());
  REQUIRE(ct.expire(at(120), 1000) == 40);
}

TEST_CASE("dump is sorted and reads as ovs-appctl's") {
  ConnTrack ct;
  ct.commit(tcp("S", false, 443), 7, at(0), mark(5, 0xff));
  ct.commit(tcp("S", false, 80), 7, at(0));
  ct.commit(tcp("S", false, 443), 2, at(0));
  const std::vector<std::string> lines = ct.dump(at(1));
  const std::string tail = ",protoinfo=(state=SYN_SENT)";
  auto line = [](int port) {
    return "tcp,orig=(src=10.0.0.1,dst=10.0.0.2,sport=40000,dport=" + std::to_string(port) +
           "),reply=(src=10.0.0.2,dst=10.0.0.1,sport=" + std::to_string(port) + ",dport=40000)";
  };
  REQUIRE(lines == std::vector<std::string>{line(443) + ",zone=2" + tail,
                                            line(80) + ",zone=7" + tail,
                                            line(443) + ",zone=7,mark=5" + tail});
  REQUIRE(ct.dump(at(200)).empty());
}

TEST_CASE("a zone moves as bytes") {
  ConnTrack a;
  a.commit(tcp("S"), 7, at(0), mark(3, 3));
  a.track(tcp("SA", true), 7, at(1));
  a.track(tcp("A"), 7, at(2));
  a.commit(tcp("S", false, 81), 7, at(2));
  a.commit(tcp("S", false, 82), 8, at(2));
  const auto bytes = a.export_zone(7, at(10));
  REQUIRE(bytes == a.export_zone(7, at(10)));
  REQUIRE(a.size() == 3);

  ConnTrack b;
  const Result<std::uint32_t> in = b.import_zone(9, bytes, at(1000));
  REQUIRE(in.ok());
  REQUIRE(*in == 2);
  // It answers as if it had always been there, with the time that was left.
  REQUIRE(b.track(tcp("PA", true), 9, at(1000)).state == kRpl);
  REQUIRE(b.track(tcp("PA"), 9, at(1000)).mark == 3);
  REQUIRE(b.find(tcp("S", false, 81).tuple, 9, at(1111)));
  REQUIRE_FALSE(b.find(tcp("S", false, 81).tuple, 9, at(1112)));

  // Damage is refused as a whole.
  const std::uint32_t before = b.size();
  for (std::size_t n = 0; n < bytes.size(); ++n)
    REQUIRE_FALSE(b.import_zone(1, std::span(bytes).first(n), at(1000)).ok());
  auto bad = bytes;
  bad.push_back(0);
  REQUIRE_FALSE(b.import_zone(1, bad, at(1000)).ok());
  bad = bytes;
  bad[5] = 3;
  const auto version = b.import_zone(1, bad, at(1000));
  REQUIRE_FALSE(version.ok());
  REQUIRE(version.error().message.find("version 3") != std::string::npos);
  REQUIRE(b.size() == before);
  // Any single byte changed: an error or a table that still works.
  test::Lcg random{3};
  for (int i = 0; i < 20000; ++i) {
    bad = bytes;
    bad[random.below(bad.size())] = static_cast<std::uint8_t>(random.next());
    ConnTrack c;
    if (!c.import_zone(1, bad, at(5)).ok()) {
      REQUIRE(c.size() == 0);
      continue;
    }
    for (const Connection& x : c.connections(1, at(5)))
      REQUIRE(c.find(x.original.reversed(), 1, at(5)));
    c.dump(at(5));
  }
}

}  // namespace
}  // namespace weft::datapath
