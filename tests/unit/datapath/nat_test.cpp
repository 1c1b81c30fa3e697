// NAT: its text, the choice of addresses and ports, the bytes, and the way through the switch.
#include "datapath/nat.h"

#include <set>

#include "datapath/conntrack.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using datapath::CtCommit;
using datapath::CtPacket;
using datapath::CtResult;
using datapath::CtTuple;
using datapath::parse_nat;

TEST_CASE("nat() as text, both ways", "[nat]") {
  for (const char* text :
       {"src", "dst", "src=10.0.0.1", "dst=10.0.0.1:80", "src=10.0.0.1-10.0.0.9:1000-2000,random",
        "src=10.0.0.1-10.0.0.9,persistent,hash", "dst=fd00::1-fd00::9", "dst=[fd00::1]:80",
        "src=[fd00::1]-[fd00::9]:80-90,random"}) {
    INFO(text);
    const auto spec = parse_nat(text);
    if (!spec) FAIL(spec.error().text());
    REQUIRE(datapath::format_nat(*spec) == "nat(" + std::string(text) + ")");
  }
  REQUIRE(datapath::format_nat(parse_nat("").value()) == "nat");
  const struct {
    const char* text;
    int column;
    const char* message;
  } wrong[] = {
      {"src=10.0.0.1,dst=10.0.0.2", 14, "nat() takes one of src and dst"},
      {"source=10.0.0.1", 1, "nat() has no 'source=10.0.0.1'"},
      {"dst=", 1, "dst has no address"},
      {"src=10.0.0.9-10.0.0.1", 5, "'10.0.0.9-10.0.0.1' is not a range of addresses"},
      {"src=fd00::1-fd00::9-1", 5, "'fd00::1-fd00::9-1' is not a range of addresses"},
      {"src=10.0.0.1:0", 14, "'0' is not a range of ports"},
      {"src=10.0.0.1:9-8", 14, "'9-8' is not a range of ports"},
      {"src=10.0.0.1:70000", 14, "'70000' is not a range of ports"},
      {"src=[fd00::1:80", 5, "a '[' that no ']' closes"},
      {"random", 1, "a flag of nat() without src or dst"},
      {"src=1.1.1.1,hash,random", 1, "nat() takes one of hash and random"},
  };
  for (const auto& w : wrong) {
    INFO(w.text);
    const auto spec = parse_nat(w.text);
    REQUIRE_FALSE(spec.ok());
    CHECK(spec.error().message == w.message);
    CHECK(spec.error().place.column == w.column);
  }
}

CtPacket flow(std::uint32_t src, std::uint16_t src_port, std::uint8_t protocol = 17) {
  CtPacket p;
  p.kind = CtPacket::Kind::flow;
  p.tuple.src.low = src;
  p.tuple.dst.low = 0x08080808;
  p.tuple.src_port = src_port;
  p.tuple.dst_port = protocol == 1 ? src_port : 53;
  p.tuple.protocol = protocol;
  p.tuple.echo = protocol == 1 ? 1 : 0;
  p.tcp.flags = 2;
  p.tcp.window = 1000;
  return p;
}

CtCommit nat(const char* text) {
  CtCommit c;
  c.nat = parse_nat(text).value();
  return c;
}

/// The tuple of the packet behind NAT.
CtTuple behind(datapath::ConnTrack& ct, const CtPacket& p, const CtCommit& what,
               std::uint16_t zone = 0) {
  const CtResult r = ct.commit(p, zone, Time{}, what);
  REQUIRE(r.created);
  return r.translate ? ct.translation(r) : p.tuple;
}

TEST_CASE("addresses and ports are chosen as documented", "[nat]") {
  datapath::ConnTrack ct({}, 5);
  SECTION("the own port if it is free, one of its class if not") {
    REQUIRE(behind(ct, flow(1, 40000), nat("src=9.9.9.9")).src_port == 40000);
    REQUIRE(behind(ct, flow(2, 40000), nat("src=9.9.9.9")).src_port > 1023);
    REQUIRE(behind(ct, flow(1, 500), nat("src=9.9.9.9")).src_port == 500);
    REQUIRE(behind(ct, flow(2, 500), nat("src=9.9.9.9")).src_port < 512);
    const auto port = behind(ct, flow(3, 40000), nat("src=9.9.9.9:50-59")).src_port;
    REQUIRE((port >= 50 && port <= 59));
    REQUIRE(behind(ct, flow(4, 55), nat("src=9.9.9.9:50-59")).src_port == 55);
  }
  SECTION("persistent: one client, one address") {
    std::set<std::uint64_t> per_client, all;
    for (std::uint32_t client = 0; client < 30; ++client) {
      per_client.clear();
      for (std::uint16_t n = 0; n < 30; ++n) {
        CtPacket p = flow(client, static_cast<std::uint16_t>(2000 + n));
        p.tuple.dst.low += n;
        per_client.insert(behind(ct, p, nat("src=9.9.9.0-9.9.9.15,persistent")).src.low);
      }
      REQUIRE(per_client.size() == 1);
      all.insert(per_client.begin(), per_client.end());
    }
    REQUIRE(all.size() > 8);
  }
  SECTION("without it, destinations spread over the range") {
    std::set<std::uint64_t> all;
    for (std::uint16_t n = 0; n < 100; ++n) {
      CtPacket p = flow(1, 2000);
      p.tuple.dst.low += n;
      all.insert(behind(ct, p, nat("src=9.9.9.0-9.9.9.15")).src.low);
    }
    REQUIRE(all.size() > 12);
  }
  SECTION("a range is used up to the last port, and no further") {
    for (const std::uint8_t protocol : {std::uint8_t{17}, std::uint8_t{6}, std::uint8_t{1}}) {
      std::set<std::pair<std::uint64_t, std::uint16_t>> used;
      for (std::uint16_t n = 0; n < 1000; ++n) {
        const CtTuple t = behind(ct, flow(n, 7, protocol), nat("src=9.9.9.1-9.9.9.4:100-349"));
        REQUIRE((t.src_port >= 100 && t.src_port <= 349));
        REQUIRE(used.emplace(t.src.low, t.src_port).second);
      }
      const CtResult r =
          ct.commit(flow(5000, 7, protocol), 0, Time{}, nat("src=9.9.9.1-9.9.9.4:100-349"));
      REQUIRE(r.refused == CtResult::Refused::nat_exhausted);
      REQUIRE_FALSE(r.created);
      // Another destination is another matter, and so is another zone.
      CtPacket other = flow(5000, 7, protocol);
      other.tuple.dst.low = 5;
      REQUIRE(ct.commit(other, 0, Time{}, nat("src=9.9.9.1-9.9.9.4:100-349")).created);
      REQUIRE(ct.commit(flow(5000, 7, protocol), 1, Time{}, nat("src=9.9.9.1:100")).created);
    }
    // What has expired is free again.
    REQUIRE(ct.commit(flow(5000, 7), 0, Time{} + seconds(31), nat("src=9.9.9.1-9.9.9.4:100-349"))
                .created);
  }
  SECTION("other protocols have addresses only") {
    CtPacket p = flow(1, 0, 47);
    p.tuple.dst_port = 0;
    p.tuple.echo = 0;
    for (std::uint32_t n = 0; n < 3; ++n) {
      p.tuple.src.low = n;
      REQUIRE(ct.commit(p, 0, Time{}, nat("src=9.9.9.1-9.9.9.3:5-6")).created);
    }
    p.tuple.src.low = 3;
    REQUIRE(ct.commit(p, 0, Time{}, nat("src=9.9.9.1-9.9.9.3:5-6")).refused ==
            CtResult::Refused::nat_exhausted);
  }
  SECTION("two services behind one server: the client's port gives way") {
    CtPacket a = flow(1, 4000), b = a;
    b.tuple.dst.low = 0x08080809;
    const CtTuple first = behind(ct, a, nat("dst=10.0.0.5:99"));
    const CtTuple second = behind(ct, b, nat("dst=10.0.0.5:99"));
    REQUIRE(first.dst == second.dst);
    REQUIRE(first.src_port == 4000);
    REQUIRE(second.src_port != 4000);
  }
  SECTION("a plain connection whose replies are taken is refused") {
    REQUIRE(behind(ct, flow(1, 4000), nat("src=9.9.9.9")).src.low == 0x09090909);
    REQUIRE(ct.commit(flow(0x09090909, 4000), 0, Time{}).refused == CtResult::Refused::clash);
    REQUIRE(ct.commit(flow(0x09090909, 4000), 1, Time{}).created);
  }
  SECTION("the same choice in every run, another with another seed") {
    datapath::ConnTrack same({}, 5), other({}, 6);
    int different = 0;
    for (std::uint16_t n = 0; n < 50; ++n) {
      const CtPacket p = flow(n, 9);
      const CtTuple t = behind(ct, p, nat("src=9.9.9.9,random"));
      REQUIRE(t == behind(same, p, nat("src=9.9.9.9,random")));
      different += t != behind(other, p, nat("src=9.9.9.9,random"));
    }
    REQUIRE(different > 40);
  }
}

/// The frame with another tuple, built afresh.
FlowSpec turned(FlowSpec f) {
  std::swap(f.src, f.dst);
  std::swap(f.src_port, f.dst_port);
  return f;
}

TEST_CASE("bytes of translated packets are those that the other end would have sent", "[nat]") {
  OnePacket one, want;
  for (const bool is6 : {false, true}) {
    for (const std::uint8_t protocol : {wire::kProtoTcp, wire::kProtoUdp, wire::kProtoIcmp}) {
      for (const bool vlan : {false, true}) {
        for (const std::uint32_t payload : {0u, 1u, 100u, 9001u}) {
          FlowSpec f{.is6 = is6, .protocol = protocol, .vlan = vlan, .payload = payload};
          if (protocol == wire::kProtoIcmp && is6) {
            f.protocol = wire::kProtoIcmpv6;
            f.icmp_type = wire::kIcmpv6EchoRequest;
          }
          INFO(is6 << int(f.protocol) << vlan << payload);
          build(*one.p, f);
          const auto parsed = datapath::parse_headers(*one.p);
          const CtPacket was = datapath::ct_packet(*one.p, parsed);
          FlowSpec g = f;
          g.src = 0x09090909;
          g.src_port = 1234;
          if (protocol == wire::kProtoIcmp) g.dst_port = f.dst_port;
          CtTuple now = was.tuple;
          now.src.low = g.src;
          now.src_port = g.src_port;
          if (protocol == wire::kProtoIcmp) now.dst_port = g.src_port;
          if (protocol != wire::kProtoIcmp) {
            g.dst = 0x0a636363;
            g.dst_port = 77;
            now.dst.low = g.dst;
            now.dst_port = g.dst_port;
          }
          datapath::translate_packet(*one.p, parsed, was, now);
          REQUIRE(verify_checksums(*one.p) == ChecksumFault::ok);
          build(*want.p, g);
          Bytes a = frame_of(*one.p), b = frame_of(*want.p);
          std::copy_n(a.begin(), 12, b.begin());  // MACs stay
          REQUIRE(a == b);
        }
      }
    }
  }
}

TEST_CASE("a UDP checksum that is not there stays away, and one that comes out 0 becomes 0xffff",
          "[nat]") {
  OnePacket one;
  FlowSpec f{.protocol = wire::kProtoUdp, .payload = 4};
  build(*one.p, f);
  const auto parsed = datapath::parse_headers(*one.p);
  auto& udp = wire::at<wire::UdpHeader>(one.p->data() + parsed.l4);
  udp.checksum = 0;
  const CtPacket was = datapath::ct_packet(*one.p, parsed);
  CtTuple now = was.tuple;
  now.src.low = 1;
  now.dst_port = 9;
  datapath::translate_packet(*one.p, parsed, was, now);
  REQUIRE(wire::at<wire::UdpHeader>(one.p->data() + parsed.l4).checksum == 0);
  for (std::uint32_t port = 0; port < 65536; ++port) {
    build(*one.p, f);
    now = was.tuple;
    now.src_port = static_cast<std::uint16_t>(port);
    datapath::translate_packet(*one.p, parsed, was, now);
    REQUIRE(wire::at<wire::UdpHeader>(one.p->data() + parsed.l4).checksum != 0);
    REQUIRE(verify_checksums(*one.p) == ChecksumFault::ok);
  }
}

/// An ICMP error from `router` to `to` about the frame of `about`, of which `keep` bytes of IP
/// packet are quoted.
Bytes error_about(const FlowSpec& about, std::uint32_t router, std::uint32_t to,
                  std::uint32_t keep) {
  OnePacket one;
  build(*one.p, about);
  Bytes quoted = frame_of(*one.p);
  quoted.erase(quoted.begin(), quoted.begin() + (about.vlan ? 18 : 14));
  quoted.resize(std::min<std::size_t>(quoted.size(), keep));
  FlowSpec error{.is6 = about.is6, .protocol = wire::kProtoIcmp};
  error.protocol = about.is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp;
  error.icmp_type = about.is6 ? wire::kIcmpv6Unreachable : wire::kIcmpUnreachable;
  error.src = router;
  error.dst = to;
  error.src_port = error.dst_port = 0;
  error.payload = static_cast<std::uint32_t>(quoted.size());
  build(*one.p, error);
  one.p->payload = Payload::copy_of(quoted);
  finish_l4_checksum(*one.p, 14);
  return frame_of(*one.p);
}

TEST_CASE("an ICMP error is translated inside and outside", "[nat]") {
  for (const bool is6 : {false, true}) {
    for (const std::uint8_t protocol : {wire::kProtoTcp, wire::kProtoUdp, wire::kProtoIcmp}) {
      for (const bool destination : {false, true}) {
        for (const std::uint32_t keep : {is6 ? 48u : 28u, is6 ? 60u : 40u, 200u}) {
          for (const std::size_t in_headers : {std::size_t{14}, std::size_t{64}, SIZE_MAX}) {
            FlowSpec sent{.is6 = is6, .protocol = protocol, .payload = 300};
            if (protocol == wire::kProtoIcmp && is6) {
              sent.protocol = wire::kProtoIcmpv6;
              sent.icmp_type = wire::kIcmpv6EchoRequest;
            }
            INFO(is6 << " " << int(sent.protocol) << " " << destination << " " << keep);
            FlowSpec seen = sent;  // behind the translation
            (destination ? seen.dst : seen.src) = 0x09090909;
            OnePacket one;
            datapath::ConnTrack ct;
            build(*one.p, sent);
            const CtPacket first = datapath::ct_packet(*one.p, datapath::parse_headers(*one.p));
            CtCommit what = nat(destination ? (is6 ? "dst=fd00::909:909" : "dst=9.9.9.9")
                                            : (is6 ? "src=fd00::909:909" : "src=9.9.9.9"));
            REQUIRE(ct.commit(first, 0, Time{}, what).translate);
            // A router beyond says that it could not pass it on.
            const std::uint32_t router = 0x0b0b0b0b;
            set_frame(*one.p, error_about(seen, router, seen.src, keep), in_headers);
            const auto parsed = datapath::parse_materialising(*one.p);
            const CtPacket error = datapath::ct_packet(*one.p, parsed);
            REQUIRE(error.kind == CtPacket::Kind::icmp_error);
            const CtResult r = ct.track(error, 0, Time{}, true);
            REQUIRE(int(r.state) ==
                    (datapath::kCtTracked | datapath::kCtRelated | datapath::kCtReply |
                     (destination ? datapath::kCtSnat : datapath::kCtDnat)));
            REQUIRE(r.translate);
            datapath::translate_packet(*one.p, parsed, error, ct.translation(r));
            // As if there were no NAT, but that the address the sender talks to speaks up.
            Bytes want = error_about(sent, destination ? sent.dst : router, sent.src, keep);
            const Bytes have = frame_of(*one.p);
            std::copy_n(have.begin(), 12, want.begin());
            REQUIRE(have == want);
          }
        }
      }
    }
  }
}

constexpr const char* kGateway =
    "table=0,priority=9,in_port=1,ip,actions=ct(commit,zone=5,nat(src=9.9.9.9:5000-5001),table=1)\n"
    "table=0,priority=9,in_port=2,ip,actions=ct(zone=5,nat,table=1)\n"
    "table=1,priority=9,in_port=1,ct_state=+snat,ct_nw_src=10.0.1.2,ct_tp_src=40000,ip,"
    "nw_src=9.9.9.9,actions=output:2\n"
    "table=1,priority=9,in_port=2,ct_state=+dnat+rpl,ip,nw_dst=10.0.1.2,actions=output:1\n"
    "table=1,priority=1,actions=drop(policy)\n";

TEST_CASE("the switch translates, recirculates and translates back", "[nat][pipeline]") {
  for (const bool cached : {true, false}) {
    datapath::CacheOptions options;
    options.exact_match = options.megaflow = cached;
    Lab lab(options);
    lab.pipeline.check_caches(1);
    lab.rules(kGateway);
    FlowSpec out{.protocol = wire::kProtoUdp, .payload = 40};
    for (int round = 0; round < 3; ++round) {
      REQUIRE(lab.send(out, 1) == "2");
      OnePacket want;
      FlowSpec seen = out;
      seen.src = 0x09090909;
      seen.src_port =
          static_cast<std::uint16_t>(wire::load_be<std::uint16_t>(lab.output_bytes().data() + 34));
      REQUIRE((seen.src_port == 5000 || seen.src_port == 5001));
      build(*want.p, seen);
      Bytes expected = frame_of(*want.p), have = lab.output_bytes();
      std::copy_n(have.begin(), 12, expected.begin());
      REQUIRE(have == expected);
      REQUIRE(lab.send(turned(seen), 2) == "1");
      FlowSpec back = turned(out);
      build(*want.p, back);
      expected = frame_of(*want.p);
      have = lab.output_bytes();
      std::copy_n(have.begin(), 12, expected.begin());
      REQUIRE(have == expected);
      REQUIRE(verify_checksums(*lab.outputs.out[0].packet) == ChecksumFault::ok);
    }
    REQUIRE(lab.pipeline.stats().connections == 1);
    const auto dump = lab.pipeline.dump_connections();
    REQUIRE(
        dump[0].starts_with("udp,orig=(src=10.0.1.2,dst=10.0.2.3,sport=40000,dport=8080),"
                            "reply=(src=10.0.2.3,dst=9.9.9.9,sport=8080,dport=500"));
    // The third client finds no port. Its drop is counted under its own reason.
    out.src += 1;
    REQUIRE(lab.send(out, 1) == "drop(policy)");  // translated, but the rule names the first one
    out.src += 1;
    REQUIRE(lab.send(out, 1) == "drop(ct.nat_exhausted)");
  }
}

TEST_CASE("a copy that was looked up again goes on once, though the packet itself is refused",
          "[nat][pipeline]") {
  Lab lab;
  lab.rules(
      "ip,actions=ct(table=1,zone=3),ct(commit,zone=2,nat(src=9.9.9.9:7-7)),output:2\n"
      "table=1,actions=output:3\n");
  FlowSpec out{.protocol = wire::kProtoUdp, .src = 0x0a000102, .dst = 0x0a000203, .payload = 4};
  REQUIRE(lab.send(out, 1) == "2 3");
  out.src += 1;
  REQUIRE(lab.send(out, 1) == "3 drop(ct.nat_exhausted)");
}

TEST_CASE("hairpin: a client reaches a server beside it through the outer address",
          "[nat][pipeline]") {
  // Zone 1 translates the destination, zone 2 the source, as a router with a port forwarding does.
  Lab lab;
  lab.pipeline.check_caches(1);
  lab.rules(
      "table=0,ip,ct_state=-trk,actions=ct(zone=2,nat,table=1)\n"
      "table=1,ip,actions=ct(zone=1,nat,table=2)\n"
      "table=2,priority=5,ct_state=+new,ip,nw_dst=9.9.9.9,"
      "actions=ct(commit,zone=1,nat(dst=10.0.1.3:80),table=3)\n"
      "table=2,priority=1,actions=resubmit(,3)\n"
      "table=3,priority=5,ct_state=+new,ip,nw_dst=10.0.1.3,"
      "actions=ct(commit,zone=2,nat(src=9.9.9.9),table=4)\n"
      "table=3,priority=1,actions=resubmit(,4)\n"
      "table=4,priority=5,ip,nw_dst=10.0.1.3,actions=in_port\n"
      "table=4,priority=5,ip,nw_dst=10.0.1.2,actions=in_port\n");
  FlowSpec out{.protocol = wire::kProtoUdp, .src = 0x0a000102, .dst = 0x09090909, .payload = 4};
  REQUIRE(lab.send(out, 1) == "1");
  Bytes frame = lab.output_bytes();
  REQUIRE(verify_checksums(*lab.outputs.out[0].packet) == ChecksumFault::ok);
  REQUIRE(wire::load_be<std::uint32_t>(frame.data() + 26) == 0x09090909);
  REQUIRE(wire::load_be<std::uint32_t>(frame.data() + 30) == 0x0a000103);
  REQUIRE(wire::load_be<std::uint16_t>(frame.data() + 36) == 80);
  // The server answers to the outer address.
  FlowSpec back{.protocol = wire::kProtoUdp, .src = 0x0a000103, .dst = 0x09090909, .src_port = 80};
  back.dst_port = wire::load_be<std::uint16_t>(frame.data() + 34);
  REQUIRE(lab.send(back, 1) == "1");
  frame = lab.output_bytes();
  REQUIRE(wire::load_be<std::uint32_t>(frame.data() + 26) == 0x09090909);
  REQUIRE(wire::load_be<std::uint32_t>(frame.data() + 30) == 0x0a000102);
  REQUIRE(wire::load_be<std::uint16_t>(frame.data() + 34) == 8080);
  REQUIRE(wire::load_be<std::uint16_t>(frame.data() + 36) == 40000);
}

}  // namespace
}  // namespace weft::test
