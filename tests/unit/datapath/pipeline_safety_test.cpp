// What connection tracking asks of a packet before it believes it: checksums, and all fragments of
// it. And what several fragments of one datagram have in common outside.
#include <set>

#include "datapath/checksum.h"
#include "datapath/conntrack.h"
#include "datapath/parse.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using wire::kProtoIcmp;
using wire::kProtoTcp;
using wire::kProtoUdp;

constexpr const char* kStateful =
    "ct_state=-trk,ip,actions=ct(table=1)\n ct_state=-trk,ipv6,actions=ct(table=1)\n"
    "table=1,ct_state=+trk+inv,actions=drop(ct.invalid)\n"
    "table=1,ct_state=+trk+new,udp,tp_dst=53,actions=ct(commit),output:2\n"
    "table=1,ct_state=+trk+new,udp6,tp_dst=53,actions=ct(commit),output:2\n"
    "table=1,ct_state=+trk+new,tcp,actions=ct(commit),output:2\n"
    "table=1,ct_state=+trk+new,icmp,actions=ct(commit),output:2\n"
    "table=1,ct_state=+trk+est,actions=output:2\n";

/// The packets that IP makes of a frame where no more than `mtu` bytes go.
std::vector<Bytes> fragments_of(Lab& lab, const Bytes& frame, std::uint32_t mtu,
                                std::uint32_t id = 77) {
  Packet* whole = lab.packet(frame);
  std::vector<Packet*> more;
  datapath::cut_to_fragments(
      *whole, mtu, id, lab.pool, [&] { return ++lab.next_id; }, more);
  std::vector<Bytes> out{frame_of(*whole)};
  lab.pool.give(whole);
  for (Packet* p : more) {
    out.push_back(frame_of(*p));
    lab.pool.give(p);
  }
  return out;
}

Bytes whole_frame(Lab& lab, const FlowSpec& f) {
  Packet* p = lab.packet(f);
  const Bytes out = frame_of(*p);
  lab.pool.give(p);
  return out;
}

TEST_CASE("a packet with a wrong checksum is invalid, unless nobody checks", "[pipeline][ct]") {
  for (const bool checks : {true, false}) {
    for (const std::uint8_t protocol : {kProtoTcp, kProtoUdp, kProtoIcmp}) {
      for (const std::size_t wrong : {std::size_t{24}, std::size_t{0}, std::size_t{60}}) {
        Lab lab;
        lab.rules(kStateful);
        if (!checks) lab.rules("ct checksums=0");
        const FlowSpec f{.protocol = protocol, .dst_port = 53, .payload = 40};
        Bytes bytes = whole_frame(lab, f);
        if (wrong != 0) bytes[wrong] ^= 0x10;  // the IPv4 header's checksum; a byte of data
        INFO("protocol " << int(protocol) << " wrong " << wrong << " checks " << checks);
        const bool told = checks && wrong != 0;
        CHECK(lab.send(lab.packet(bytes), 1) == (told ? "drop(ct.invalid)" : "2"));
        CHECK(lab.pipeline.connection_tracking().size() == (told ? 0u : 1u));
        if (told || wrong != 0) continue;
        CHECK(lab.outputs.out[0].packet->checksums_good == (checks ? 1 : 0));
      }
    }
  }
}

TEST_CASE("what somebody has checked is not checked again, and damage is", "[pipeline][ct]") {
  Lab lab;
  lab.rules(kStateful);
  Bytes bytes = whole_frame(lab, {.protocol = kProtoUdp, .dst_port = 53, .payload = 40});
  bytes[60] ^= 1;
  Packet* p = lab.packet(bytes);
  p->checksums_good = 1;
  REQUIRE(lab.send(p, 1) == "2");
  p = lab.packet(bytes);
  REQUIRE(lab.send(p, 1) == "drop(ct.invalid)");
  // UDP without a checksum is right over IPv4.
  bytes[40] = bytes[41] = 0;
  REQUIRE(lab.send(lab.packet(bytes), 1) == "2");
}

TEST_CASE("a RST with a wrong checksum ends nothing", "[pipeline][ct]") {
  Lab lab;
  lab.rules(kStateful);
  FlowSpec f{.protocol = kProtoTcp, .dst_port = 80};
  lab.send(f, 1);
  auto& connections = lab.pipeline.connection_tracking();
  const auto state = [&] { return connections.connections(0, lab.now).at(0).tcp; };
  const auto before = state();
  Packet* rst = lab.packet(f);
  auto& tcp = wire::at<wire::TcpHeader>(rst->data() + 34);
  tcp.flags = 4;
  finish_l4_checksum(*rst, 14);
  Bytes bytes = frame_of(*rst);
  lab.pool.give(rst);
  bytes[50] ^= 1;
  REQUIRE(lab.send(lab.packet(bytes), 1) == "drop(ct.invalid)");
  REQUIRE(state() == before);
  bytes[50] ^= 1;
  lab.send(lab.packet(bytes), 1);
  REQUIRE(state() != before);
}

TEST_CASE("a datagram in fragments passes a stateful policy", "[pipeline][ct]") {
  Lcg random{5};
  for (const bool v6 : {false, true}) {
    for (int i = 0; i < 40; ++i) {
      Lab lab;
      lab.rules(kStateful);
      FlowSpec f{.is6 = v6, .protocol = kProtoUdp, .dst_port = 53};
      f.payload = static_cast<std::uint32_t>(2000 + random.below(6000));
      const Bytes whole = whole_frame(lab, f);
      const auto mtu = static_cast<std::uint32_t>(600 + random.below(900));
      auto pieces = fragments_of(lab, whole, mtu);
      REQUIRE(pieces.size() >= 2);
      const auto in_order = pieces;
      for (std::size_t k = pieces.size(); k > 1; --k)
        std::swap(pieces[k - 1], pieces[random.below(k)]);
      lab.release();
      for (std::size_t k = 0; k < pieces.size(); ++k) {
        INFO("v6 " << v6 << " piece " << k << " of " << pieces.size());
        Packet* p = lab.packet(pieces[k]);
        lab.pipeline.process(std::span<Packet* const>(&p, 1), datapath::PortNo{1}, lab.now,
                             lab.outputs);
        if (k + 1 < pieces.size()) REQUIRE(lab.outputs.out.empty());
      }
      // The same fragments come out, in order, and each that went in has one end.
      REQUIRE(lab.outputs.out.size() == pieces.size());
      REQUIRE(lab.outputs.consumed.size() + 1 == pieces.size());
      REQUIRE(lab.outputs.created.size() + 1 == pieces.size());
      REQUIRE(lab.outputs.dropped.empty());
      std::vector<Bytes> came;
      for (std::size_t k = 0; k < pieces.size(); ++k) came.push_back(lab.output_bytes(k));
      REQUIRE(came == in_order);
      REQUIRE(lab.pipeline.connection_tracking().size() == 1);
    }
  }
}

TEST_CASE("fragments of a datagram that no rule allows, or whose checksum is wrong, do not pass",
          "[pipeline][ct]") {
  for (const bool damaged : {false, true}) {
    Lab lab;
    lab.rules(kStateful);
    FlowSpec f{.protocol = kProtoUdp, .dst_port = damaged ? std::uint16_t{53} : std::uint16_t{54}};
    f.payload = 3000;
    Bytes whole = whole_frame(lab, f);
    if (damaged) whole[2000] ^= 4;
    lab.release();
    for (const Bytes& piece : fragments_of(lab, whole, 1500)) {
      Packet* p = lab.packet(piece);
      lab.pipeline.process(std::span<Packet* const>(&p, 1), datapath::PortNo{1}, lab.now,
                           lab.outputs);
    }
    REQUIRE(lab.outputs.out.empty());
    REQUIRE(lab.outputs.dropped.size() == 1);
    REQUIRE(lab.outputs.dropped[0].reason ==
            (damaged ? DropReason::ct_invalid : DropReason::no_rule));
  }
}

TEST_CASE("fragments cross a tunnel, translated, as fragments of one source port",
          "[pipeline][ct]") {
  Lab a({}, lab_vtep(1)), b({}, lab_vtep(2));
  a.rules(
      "ip,actions=ct(commit,nat(src=192.0.2.1),table=1)\n"
      "table=1,actions=set_field:5->tun_id,set_field:172.16.0.2->tun_dst,output:10");
  b.rules("in_port=10,actions=output:2");
  FlowSpec f{.protocol = kProtoUdp, .dst_port = 53, .payload = 4000};
  const auto pieces = fragments_of(a, whole_frame(a, f), 1500);
  a.release();
  for (const Bytes& piece : pieces) {
    Packet* p = a.packet(piece);
    a.pipeline.process(std::span<Packet* const>(&p, 1), datapath::PortNo{1}, a.now, a.outputs);
  }
  REQUIRE(a.outputs.out.size() == pieces.size());
  std::set<std::uint16_t> source_ports;
  datapath::Reassembly whole(datapath::ReassemblyLimits{});
  std::vector<datapath::Part> parts;
  std::vector<datapath::GivenUp> given_up;
  for (std::size_t k = 0; k < pieces.size(); ++k) {
    const Bytes outer = a.output_bytes(k);
    source_ports.insert(static_cast<std::uint16_t>(outer[34] << 8 | outer[35]));
    REQUIRE(outer.size() <= 14 + 36 + 14 + 1500);
    b.release();
    Packet* p = b.packet(outer);
    b.pipeline.process(std::span<Packet* const>(&p, 1), datapath::PortNo{20}, b.now, b.outputs);
    REQUIRE(b.outputs.out.size() == 1);
    Packet* inner = b.take_output();
    const auto place = datapath::fragment_place(*inner, datapath::parse_materialising(*inner));
    REQUIRE(place.ok);
    whole.add(place.key, place.part, place.total, Time{}, parts, given_up);
  }
  REQUIRE(source_ports.size() == 1);
  REQUIRE(parts.size() == pieces.size());
  Packet* joined = b.packet();
  REQUIRE(datapath::join_fragments(parts, *joined) == datapath::Joined::ok);
  REQUIRE(verify_checksums(*joined) == ChecksumFault::ok);
  REQUIRE(wire::at<wire::Ipv4Header>(joined->data() + 14).src.get() == Ip4{0xc0000201});
  for (const auto& part : parts) b.pool.give(part.packet);
  b.pool.give(joined);
}

TEST_CASE("fragments wait in bounded room, for a bounded time, each port in its own",
          "[pipeline][ct]") {
  Lab lab;
  lab.rules(kStateful);
  datapath::CtOptions options = lab.pipeline.connection_tracking().options();
  options.fragments.limits = {4, 1u << 20, seconds(2)};
  lab.pipeline.connection_tracking().set_options(options);
  FlowSpec f{.protocol = kProtoUdp, .dst_port = 53, .payload = 2000};
  const auto mine = fragments_of(lab, whole_frame(lab, f), 1500, 1);
  lab.release();
  const auto put = [&](Bytes bytes, std::uint32_t port, std::uint16_t id) {
    bytes[18] = static_cast<std::uint8_t>(id >> 8);
    bytes[19] = static_cast<std::uint8_t>(id);
    Packet* p = lab.packet(bytes);
    finish_ipv4_checksum(*p, 14);
    lab.pipeline.process(std::span<Packet* const>(&p, 1), datapath::PortNo{port}, lab.now,
                         lab.outputs);
  };
  put(mine[0], 1, 1);
  for (std::uint16_t id = 100; id < 200; ++id) put(mine[0], 3, id);
  // The flood has pushed out its own.
  REQUIRE(lab.outputs.dropped.size() == 96);
  for (const auto& d : lab.outputs.dropped) REQUIRE(d.reason == DropReason::part_full);
  put(mine[1], 1, 1);
  REQUIRE(lab.outputs.out.size() == 2);
  lab.release();
  lab.now += seconds(1);
  lab.pipeline.expire(lab.now, lab.outputs);
  REQUIRE(lab.outputs.dropped.empty());
  lab.now += seconds(1);
  lab.pipeline.expire(lab.now, lab.outputs);
  REQUIRE(lab.outputs.dropped.size() == 4);
  for (const auto& d : lab.outputs.dropped) REQUIRE(d.reason == DropReason::part_missing);
}

TEST_CASE("with fragments=invalid only what is whole is tracked", "[pipeline][ct]") {
  Lab lab;
  lab.rules(kStateful);
  lab.rules("ct fragments=invalid");
  FlowSpec f{.protocol = kProtoUdp, .dst_port = 53, .payload = 2000};
  const auto pieces = fragments_of(lab, whole_frame(lab, f), 1500);
  REQUIRE(lab.send(lab.packet(pieces[0]), 1) == "2");
  REQUIRE(lab.send(lab.packet(pieces[1]), 1) == "drop(ct.invalid)");
}

TEST_CASE("a trace says that a fragment waits", "[pipeline][ct]") {
  Lab lab;
  lab.rules(kStateful);
  FlowSpec f{.protocol = kProtoUdp, .dst_port = 53, .payload = 2000};
  const auto pieces = fragments_of(lab, whole_frame(lab, f), 1500);
  Packet* p = lab.packet(pieces[1]);
  const auto trace = lab.pipeline.trace_packet(*p, datapath::PortNo{1}, lab.now);
  lab.pool.give(p);
  REQUIRE(format_trace(trace.lines).find("waits for the rest") != std::string::npos);
  REQUIRE(trace.ends.size() == 1);
  REQUIRE(trace.ends[0].kind == datapath::TraceEnd::Kind::consumed);
}

TEST_CASE("fragments of one datagram have one outer source port, tracked or not",
          "[pipeline][tunnel]") {
  Lab lab;
  lab.rules("actions=set_field:5->tun_id,set_field:172.16.0.2->tun_dst,output:11");
  for (const bool v6 : {false, true}) {
    FlowSpec f{.is6 = v6, .protocol = kProtoUdp, .dst_port = 53, .payload = 5000};
    std::set<std::uint16_t> ports;
    for (const Bytes& piece : fragments_of(lab, whole_frame(lab, f), 1500)) {
      REQUIRE(lab.send(lab.packet(piece), 1) == "20");
      const Bytes outer = lab.output_bytes();
      ports.insert(static_cast<std::uint16_t>(outer[34] << 8 | outer[35]));
    }
    REQUIRE(ports.size() == 1);
  }
}

TEST_CASE("what GRE is depends on ports and keys, not on the order of a file",
          "[pipeline][tunnel]") {
  struct Line {
    const char* ports;
    std::uint64_t key;
    bool has_key;
    const char* arrives;
  };
  const Line lines[] = {
      {"port 12=nvgre", 0x123400, true, "1"},
      {"port 12=nvgre", 0, false, "drop(tunnel.bad)"},
      {"port 12=gre", 0x123400, true, "2"},
      {"port 12=gre", 0, false, "2"},
      {"port 12=gre\nport 13=nvgre", 0x123400, true, "1"},
      {"port 13=nvgre\nport 12=gre", 0x123400, true, "1"},
      {"port 12=gre\nport 13=nvgre", 0, false, "2"},
      {"port 13=nvgre\nport 12=gre,key=0x123400", 0x123400, true, "2"},
      {"port 12=gre,key=0x123400\nport 13=nvgre", 0x123400, true, "2"},
      {"port 12=gre,key=7\nport 13=nvgre", 0x123400, true, "1"},
  };
  for (const Line& line : lines) {
    for (const bool vtep_last : {false, true}) {
      INFO(line.ports << " vtep last " << vtep_last << " key " << line.has_key);
      Lab lab;
      const std::string vtep = "vtep address=172.16.0.1,mac=0a:00:00:00:00:01";
      if (!vtep_last) lab.rules(vtep);
      lab.rules(line.ports);
      lab.rules("tun_id=0x1234,actions=output:1\npriority=1,actions=output:2");
      if (vtep_last) lab.rules(vtep);
      datapath::TunnelEncap e;
      e.kind = datapath::TunnelKind::gre;
      e.src = Ip4{0xac100002};
      e.dst = Ip4{0xac100001};
      e.vni = line.key;
      e.gre_key = line.has_key;
      Packet* p = lab.packet(FlowSpec{.payload = 20});
      REQUIRE(datapath::encap(*p, datapath::make_outer(e), 1));
      CHECK(lab.send(lab.packet(frame_of(*p)), 20) == line.arrives);
      lab.pool.give(p);
    }
  }
}

TEST_CASE("congestion marks reach inner frames with any number of tags", "[pipeline][tunnel]") {
  for (const std::uint32_t tags : {0u, 1u, 2u, 3u}) {
    Lab a({}, lab_vtep(1)), b({}, lab_vtep(2));
    a.rules("actions=set_field:5->tun_id,set_field:172.16.0.2->tun_dst,output:11");
    b.rules("actions=output:2");
    Bytes inner = whole_frame(a, {.tos = 2, .payload = 30});  // ECT(0)
    for (std::uint32_t t = 0; t < tags; ++t) {
      const Bytes tag = t == 0 ? Bytes{0x81, 0, 0, 7} : Bytes{0x88, 0xa8, 0, 8};
      inner.insert(inner.begin() + 12, tag.begin(), tag.end());
    }
    INFO("tags " << tags);
    a.send(a.packet(inner), 1);
    Bytes outer = a.output_bytes();
    REQUIRE((outer[15] & 3) == 2);
    outer[15] = static_cast<std::uint8_t>(outer[15] | 3);  // a router marks it
    Packet* p = b.packet(outer);
    finish_ipv4_checksum(*p, 14);
    // The outer UDP checksum does not cover TOS.
    REQUIRE(b.send(p, 20) == "2");
    REQUIRE((b.output_bytes()[15 + tags * 4] & 3) == 3);
    // Not-ECT inside: the mark costs the packet.
    inner[15 + tags * 4] = 0;
    Packet* q = a.packet(inner);
    finish_ipv4_checksum(*q, 14 + tags * 4);
    a.send(q, 1);
    outer = a.output_bytes();
    REQUIRE((outer[15] & 3) == 0);
    outer[15] = 3;
    p = b.packet(outer);
    finish_ipv4_checksum(*p, 14);
    REQUIRE(b.send(p, 20) == "drop(tunnel.bad)");
  }
}

}  // namespace
}  // namespace weft::test
