// Each choice of a tunnel endpoint, as a switch file writes it, and what it does to the bytes.
#include "datapath/tunnel/endpoint.h"

#include "datapath/checksum.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

struct Sent {
  Bytes frame;
  std::uint32_t at(std::size_t i, int bytes) const {
    std::uint32_t v = 0;
    for (int k = 0; k < bytes; ++k) v = v << 8 | frame.at(i + static_cast<std::size_t>(k));
    return v;
  }
};

/// The frame of `f` behind the tunnel `kind` of a switch with these words in its vtep and port.
Sent send_through(const std::string& kind, const std::string& vtep, const std::string& port,
                  const FlowSpec& f = {.tos = 0xb8 | 1, .payload = 50}, bool v6 = false) {
  Lab lab;
  lab.rules(std::string("vtep address=") + (v6 ? "fd00::1" : "172.16.0.1") +
            ",mac=0a:00:00:00:00:01,next_hop=0a:00:00:00:00:ff" + (vtep.empty() ? "" : "," + vtep));
  lab.rules("port 15=" + kind + (v6 ? ",remote=fd00::2" : ",remote=172.16.0.2") +
            (port.empty() ? "" : "," + port));
  lab.rules("actions=set_field:0x12345->tun_id,output:15");
  REQUIRE(lab.send(f, 1) == "20");
  const Packet& p = *lab.outputs.out[0].packet;
  CHECK(verify_checksums(p) == ChecksumFault::ok);
  return {frame_of(p)};
}

TEST_CASE("choices of an endpoint, and their bytes", "[pipeline][tunnel][endpoint]") {
  // The inner packet has TOS 0xb9 (EF, ECT(1)) and TTL 64.
  struct Line {
    const char* kind;
    const char* choice;
    std::size_t at;
    int bytes;
    std::uint32_t without, with;
  };
  const Line lines[] = {
      {"vxlan", "ecn=compatibility", 15, 1, 0x01, 0x00},
      {"vxlan", "ecn=copy", 15, 1, 0x01, 0x01},
      {"geneve", "dscp=10", 15, 1, 0x01, 0x29},
      {"geneve", "dscp=inherit", 15, 1, 0x01, 0xb9},
      {"geneve", "ttl=7", 22, 1, 64, 7},
      {"geneve", "df=0", 20, 2, 0x4000, 0},
      {"gre", "ttl=7", 22, 1, 64, 7},
      {"vxlan", "outer_vlan=100", 12, 4, 0x08004500 | 0x01, 0x81000064},
      {"gre", "gre_key=0", 34, 2, 0x2000, 0x0000},
      {"gre", "gre_checksum=1", 34, 2, 0x2000, 0xa000},
      {"gre", "gre_sequence=1", 34, 2, 0x2000, 0x3000},
      {"gre", "gre_sequence=1", 42, 4, 0x0200'0a00, 0},
      {"nvgre", "flow_id=0", 38, 4, 0xffffffff, 0x01234500},
      {"lisp", "lisp_nonce=0x123456", 42, 4, 0x08000000, 0x88123456},
      {"lisp", "lisp_nonce=0x123456,lisp_echo_nonce=1", 42, 4, 0x08000000, 0xa8123456},
      {"lisp", "lisp_map_versions=1-2", 42, 4, 0x08000000, 0x18001002},
      {"lisp", "lisp_locators=5", 46, 4, 0x01234500, 0x01234505},
      {"lisp", "lisp_instance=0", 42, 4, 0x08000000, 0},
  };
  for (const Line& line : lines) {
    const bool in_port_only = false;
    for (const bool in_port : {false, true}) {
      if (in_port_only && !in_port) continue;
      INFO(line.kind << " " << line.choice << (in_port ? " in the port" : " in the vtep"));
      const Sent plain = send_through(line.kind, "", "");
      const Sent chosen =
          send_through(line.kind, in_port ? "" : line.choice, in_port ? line.choice : "");
      if (line.without != 0xffffffff && line.at != 42 && line.at != 12)
        CHECK(plain.at(line.at, line.bytes) == line.without);
      CHECK(chosen.at(line.at, line.bytes) == line.with);
    }
  }
}

TEST_CASE("a port's choice comes before the endpoint's", "[pipeline][tunnel][endpoint]") {
  CHECK(send_through("geneve", "ttl=9,dscp=3", "ttl=7").at(22, 1) == 7);
  CHECK(send_through("geneve", "ttl=9,dscp=3", "ttl=7").at(15, 1) == (3 << 2 | 1));
  CHECK(send_through("geneve", "ttl=9", "ttl=inherit").at(22, 1) == 64);
}

TEST_CASE("UDP checksums and source ports as chosen", "[pipeline][tunnel][endpoint]") {
  for (const bool v6 : {false, true}) {
    const std::size_t udp = v6 ? 54 : 34;
    const auto sum = [&](const char* kind, const char* choice) {
      return send_through(kind, choice, "", {.payload = 50}, v6).at(udp + 6, 2);
    };
    INFO("v6 " << v6);
    CHECK((sum("vxlan", "") != 0) == v6);
    CHECK(sum("vxlan", "udp_checksum=1") != 0);
    CHECK(sum("vxlan", "udp_checksum=0") == 0);
    CHECK(sum("geneve", "") != 0);
    CHECK(sum("geneve", "udp_checksum=0") == 0);
    for (const char* kind : {"vxlan", "geneve", "stt", "otv", "lisp"}) {
      std::set<std::uint32_t> seen;
      for (std::uint16_t port = 1; port <= 60; ++port) {
        const auto at =
            send_through(kind, "source_ports=700-707", "", {.src_port = port, .payload = 50}, v6)
                .at(udp, 2);
        REQUIRE(at >= 700);
        REQUIRE(at <= 707);
        seen.insert(at);
      }
      CHECK(seen.size() >= 6);
    }
  }
}

TEST_CASE("inner tags are kept, or go where the choice says", "[pipeline][tunnel][endpoint]") {
  const FlowSpec tagged{.vlan = true, .payload = 50};
  CHECK(send_through("vxlan", "", "", tagged).at(62, 2) == 0x0800);
  CHECK(send_through("vxlan", "inner_vlan=1", "", tagged).at(62, 4) == 0x81006064);
  CHECK(send_through("vxlan", "", "inner_vlan=1", tagged).at(62, 4) == 0x81006064);
  // STT: 20 bytes of what looks like TCP, then the header whose bytes 6 and 7 are the tag.
  CHECK(send_through("stt", "", "", tagged).at(60, 2) == 0x7064);
  CHECK(send_through("stt", "stt_vlan=0", "", tagged).at(60, 2) == 0);
  CHECK(send_through("stt", "stt_vlan=0", "", tagged).at(84, 4) == 0x81006064);
}

/// What a switch with these words in its vtep makes of a frame.
std::string receives(const std::string& vtep, const Bytes& frame, bool v6 = false) {
  Lab lab;
  lab.rules(std::string("vtep address=") + (v6 ? "fd00::2" : "172.16.0.2") + "," + vtep);
  lab.rules("port 12=lisp\nport 13=otv\nactions=output:2");
  return lab.send(lab.packet(frame), 20);
}

TEST_CASE("what is accepted without a checksum", "[pipeline][tunnel][endpoint]") {
  struct Line {
    const char* kind;
    bool v6;
    const char *by_rfc, *accept, *ipv4, *refuse;
  };
  const char* no = "drop(parse.checksum)";
  const Line lines[] = {
      {"vxlan", false, "2", "2", "2", no},  {"vxlan", true, "2", "2", no, no},
      {"geneve", false, "2", "2", "2", no}, {"geneve", true, no, "2", no, no},
      {"otv", true, "2", "2", no, no},      {"lisp", true, "2", "2", no, no},
  };
  for (const Line& line : lines) {
    INFO(line.kind << " v6 " << line.v6);
    const Sent s = send_through(line.kind, "udp_checksum=0", "", {.payload = 50}, line.v6);
    CHECK(receives("mtu=9000", s.frame, line.v6) == line.by_rfc);
    CHECK(receives("zero_checksum=by_rfc", s.frame, line.v6) == line.by_rfc);
    CHECK(receives("zero_checksum=accept", s.frame, line.v6) == line.accept);
    CHECK(receives("zero_checksum=ipv4", s.frame, line.v6) == line.ipv4);
    CHECK(receives("zero_checksum=refuse", s.frame, line.v6) == line.refuse);
  }
}

TEST_CASE("what else a receiver may choose", "[pipeline][tunnel][endpoint]") {
  const FlowSpec tagged{.vlan = true, .payload = 50};
  const Sent kept = send_through("vxlan", "inner_vlan=1", "", tagged);
  CHECK(receives("mtu=9000", kept.frame) == "drop(tunnel.bad)");
  CHECK(receives("inner_vlan=1", kept.frame) == "2");
  Bytes wrong = send_through("geneve", "", "").frame;
  wrong.back() ^= 1;
  CHECK(receives("mtu=9000", wrong) == "drop(parse.checksum)");
  CHECK(receives("verify_checksum=0", wrong) == "2");
  // DSCP and TTL of the outer packet.
  for (const bool copy : {false, true}) {
    const Sent s = send_through("geneve", "dscp=10,ttl=9", "");
    Lab lab;
    lab.rules(std::string("vtep address=172.16.0.2") +
              (copy ? ",decap_dscp=copy,decap_ttl=copy" : ""));
    lab.rules("actions=output:2");
    REQUIRE(lab.send(lab.packet(s.frame), 20) == "2");
    CHECK(int(lab.output_bytes()[15]) == (copy ? 0x29 : 0xb9));
    CHECK(int(lab.output_bytes()[22]) == (copy ? 9 : 64));
  }
  // A fragment of an outer packet.
  Bytes fragment = send_through("vxlan", "df=0", "").frame;
  fragment[20] = 0x20;  // more fragments
  Lab lab;
  Packet* p = lab.packet(fragment);
  finish_ipv4_checksum(*p, 14);
  fragment = frame_of(*p);
  lab.pool.give(p);
  CHECK(receives("fragments=refuse", fragment) == "drop(reassembly.refused)");
}

}  // namespace
}  // namespace weft::test
