// DHCP answers of the switch, read with a parser of the test's own.
#include "datapath/dhcp.h"

#include <map>

#include "datapath/checksum.h"
#include "tests/catch.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

struct Ask {
  std::uint8_t type = 1;
  std::uint32_t wanted = 0, server = 0, client = 0, relay = 0;
  bool broadcast = false, vlan = false;
};

Bytes be32(std::uint32_t v) {
  return {static_cast<std::uint8_t>(v >> 24), static_cast<std::uint8_t>(v >> 16),
          static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
}

Bytes request(const Ask& ask) {
  Bytes m = hex("01 01 06 00 deadbeef 0000");
  const auto add = [&m](const Bytes& b) { m.insert(m.end(), b.begin(), b.end()); };
  add(ask.broadcast ? hex("8000") : hex("0000"));
  add(be32(ask.client));
  add(hex("00000000 00000000"));
  add(be32(ask.relay));
  add(hex("02000000 0042"));
  m.resize(236);
  add(hex("63825363 3501"));
  m.push_back(ask.type);
  m.push_back(0);  // padding between options
  if (ask.wanted != 0) {
    add(hex("3204"));
    add(be32(ask.wanted));
  }
  if (ask.server != 0) {
    add(hex("3604"));
    add(be32(ask.server));
  }
  m.push_back(255);
  Bytes f = hex("ffffffffffff 020000000042");
  const auto put = [&f](const Bytes& b) { f.insert(f.end(), b.begin(), b.end()); };
  if (ask.vlan) put(hex("8100 0064"));
  put(hex("0800 4500"));
  const auto length = static_cast<std::uint16_t>(28 + m.size());
  f.push_back(static_cast<std::uint8_t>(length >> 8));
  f.push_back(static_cast<std::uint8_t>(length));
  put(hex("00000000 4011 0000 00000000 ffffffff 0044 0043"));
  f.push_back(static_cast<std::uint8_t>((length - 20) >> 8));
  f.push_back(static_cast<std::uint8_t>(length - 20));
  put(hex("0000"));
  put(m);
  return f;
}

struct Answer {
  std::string mac, to;
  std::uint16_t port = 0;
  std::string address, xid;
  std::map<int, std::string> options;
};

std::string text_of(const std::uint8_t* p, std::size_t n) {
  std::string out;
  for (std::size_t i = 0; i < n; ++i) {
    const char* digits = "0123456789abcdef";
    out += digits[p[i] >> 4];
    out += digits[p[i] & 15];
  }
  return out;
}

Answer read(const Bytes& f) {
  const std::size_t l3 = f[12] == 0x81 ? 18 : 14;
  Answer a;
  a.mac = text_of(&f[0], 6);
  a.to = text_of(&f[l3 + 16], 4);
  a.port = static_cast<std::uint16_t>(f[l3 + 22] << 8 | f[l3 + 23]);
  const std::uint8_t* b = &f[l3 + 28];
  REQUIRE(b[0] == 2);
  a.xid = text_of(b + 4, 4);
  a.address = text_of(b + 16, 4);
  REQUIRE(text_of(b + 28, 6) == "020000000042");
  REQUIRE(text_of(b + 236, 4) == "63825363");
  std::size_t at = l3 + 28 + 240;
  while (f.at(at) != 255) {
    a.options[f[at]] = text_of(&f[at + 2], f.at(at + 1));
    at += 2u + f[at + 1];
  }
  return a;
}

const char* const kRule =
    "udp,tp_dst=67,actions=dhcp_reply(address=10.0.0.5,server=10.0.0.1,mac=02:00:00:00:00:01,"
    "netmask=255.255.255.0,router=10.0.0.1,dns=8.8.8.8,dns=1.1.1.1,lease=600,mtu=1400,"
    "domain=lab,hostname=vm,option43=0102)";

TEST_CASE("DHCP: offer, acknowledgement, refusal", "[dhcp]") {
  Lab lab;
  lab.rules(kRule);
  const auto ask = [&](const Ask& a) {
    REQUIRE(lab.send(lab.packet(request(a)), 3) == "3 consumed");
    REQUIRE(verify_checksums(*lab.outputs.out[0].packet) == ChecksumFault::ok);
    return read(lab.output_bytes());
  };
  const Answer offer = ask({});
  CHECK(offer.options == std::map<int, std::string>{{53, "02"},
                                                    {54, "0a000001"},
                                                    {51, "00000258"},
                                                    {1, "ffffff00"},
                                                    {3, "0a000001"},
                                                    {6, "0808080801010101"},
                                                    {12, "766d"},
                                                    {15, "6c6162"},
                                                    {26, "0578"},
                                                    {43, "0102"}});
  CHECK(offer.address == "0a000005");
  CHECK(offer.xid == "deadbeef");
  CHECK(offer.mac == "020000000042");
  CHECK(offer.to == "0a000005");
  CHECK(offer.port == 68);
  CHECK(ask({.broadcast = true}).to == "ffffffff");
  CHECK(ask({.broadcast = true}).mac == "ffffffffffff");

  const Answer ack = ask({.type = 3, .wanted = 0x0a000005, .server = 0x0a000001});
  CHECK(ack.options.at(53) == "05");
  CHECK(ack.address == "0a000005");
  const Answer renewed = ask({.type = 3, .client = 0x0a000005});
  CHECK(renewed.options.at(53) == "05");
  CHECK(renewed.to == "0a000005");

  const Answer nak = ask({.type = 3, .wanted = 0x0a000063});
  CHECK(nak.options == std::map<int, std::string>{{53, "06"}, {54, "0a000001"}});
  CHECK(nak.address == "00000000");
  CHECK(nak.to == "ffffffff");

  const Answer inform = ask({.type = 8, .client = 0x0a000009});
  CHECK(inform.options.at(53) == "05");
  CHECK(inform.options.count(51) == 0);
  CHECK(inform.address == "00000000");
  CHECK(inform.to == "0a000009");

  const Answer relayed = ask({.relay = 0x0a000101});
  CHECK(relayed.to == "0a000101");
  CHECK(relayed.port == 67);
  const Answer tagged = ask({.vlan = true});
  CHECK(tagged.options.at(53) == "02");
}

TEST_CASE("DHCP: what gets no answer", "[dhcp]") {
  Lab lab;
  lab.rules(kRule);
  CHECK(lab.send(lab.packet(request({.type = 4})), 3) == "consumed");
  CHECK(lab.send(lab.packet(request({.type = 7})), 3) == "consumed");
  CHECK(lab.send(lab.packet(request({.type = 3, .server = 0x0a000002})), 3) == "consumed");
  // Cut short, or no BOOTP request at all.
  Bytes cut = request({});
  Bytes broken = cut;
  broken[14 + 28] = 2;
  CHECK(lab.send(lab.packet(broken), 3) == "drop(parse.malformed)");
  broken = cut;
  broken[broken.size() - 4] = 53;
  broken[broken.size() - 3] = 200;
  CHECK(lab.send(lab.packet(broken), 3) == "drop(parse.malformed)");
  // Other packets go past the action.
  CHECK(lab.send(FlowSpec{.protocol = wire::kProtoUdp, .src_port = 5, .dst_port = 67}, 3) ==
        "drop(flow.drop)");
}

}  // namespace
}  // namespace weft::test
