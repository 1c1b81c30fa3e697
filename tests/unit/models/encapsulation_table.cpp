// The table of docs/encapsulations.md: made from the code and from measurements with the
// simulator's own switches and endpoints, and compared with the document. WEFT_WRITE_DOCS=1 writes
// it.
#include <fmt/format.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

#include "base/random.h"
#include "datapath/tunnel/receiver.h"
#include "datapath/tunnel/stt.h"
#include "models/hop.h"
#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft {
namespace {

using datapath::TunnelEncap;
using datapath::TunnelKind;

TunnelEncap encap_of(TunnelKind kind, bool is6 = false) {
  TunnelEncap e;
  e.kind = kind;
  e.src = is6 ? IpAddress(Ip6{1, 1}) : IpAddress(Ip4{0xc0a80001});
  e.dst = is6 ? IpAddress(Ip6{1, 2}) : IpAddress(Ip4{0xc0a80002});
  e.vni = kind == TunnelKind::etherip ? 0 : 0x5001;
  return e;
}

/// Per mille of the flows on the busiest of four paths.
std::uint32_t busiest_path(TunnelKind kind, bool hash_gre_key) {
  constexpr std::uint32_t kFlows = 1024;
  const auto outer = datapath::make_outer(encap_of(kind));
  test::OnePacket one;
  std::uint32_t on_path[4] = {};
  for (std::uint32_t i = 0; i < kFlows; ++i) {
    test::FlowSpec flow;
    flow.src_port = static_cast<std::uint16_t>(20000 + i);
    flow.payload = 100;
    test::build(*one.p, flow);
    const std::uint32_t hash = datapath::flow_hash(*one.p, datapath::parse_headers(*one.p), 7);
    REQUIRE(datapath::encap(*one.p, outer, hash, i));
    const std::uint32_t route = models::route_hash(*one.p, models::FrameKind::ipv4, hash_gre_key);
    ++on_path[models::ecmp_choice(route, 42, 4)];
  }
  return *std::max_element(on_path, on_path + 4) * 1000 / kFlows;
}

/// The outer packets of one super-segment, as the tunnel or the NIC in front of it cuts it.
std::vector<Packet*> send(PacketPool& pool, const datapath::OuterTemplate& outer,
                          std::uint32_t data, std::uint32_t mtu, std::uint32_t number) {
  std::vector<Packet*> sent;
  test::FlowSpec flow;
  flow.payload = data;
  if (outer.kind == TunnelKind::stt) {
    Packet* first = pool.take();
    test::build(*first, flow);
    REQUIRE(datapath::stt::encap_frame(
        *first, outer, 5, number, pool, [] { return PacketId{1}; }, sent));
    sent.insert(sent.begin(), first);
    return sent;
  }
  const std::uint32_t room = mtu - (outer.size - outer.l3) - 14 - 20 - 20;
  for (std::uint32_t at = 0; at < data; at += room) {
    flow.payload = std::min(room, data - at);
    sent.push_back(pool.take());
    test::build(*sent.back(), flow);
    REQUIRE(datapath::encap(*sent.back(), outer, 5));
  }
  return sent;
}

/// Data that is lost, in millionths, when each outer packet is lost with a probability of 1/1000.
std::uint64_t lost_data(TunnelKind kind) {
  constexpr std::uint32_t kFrames = 2000;
  constexpr std::uint64_t kData = 64000;
  constexpr std::uint32_t kMtu = 1500;
  PacketArena arena;
  PacketPool pool(arena);
  RandomStream loss(1, "encapsulation-table");
  TunnelEncap e = encap_of(kind);
  e.mtu = kMtu;
  const auto outer = datapath::make_outer(e);
  datapath::ReceiverOptions options;
  if (kind == TunnelKind::gre) options.decap.gre = datapath::GreReading::gre;
  datapath::TunnelReceiver receiver(options);
  std::uint64_t got = 0;
  Time now{};
  std::vector<Packet*> joined;
  std::vector<datapath::GivenUp> given_up;
  for (std::uint32_t i = 0; i < kFrames; ++i) {
    now += milliseconds(1);
    for (Packet* p : send(pool, outer, kData, kMtu, i)) {
      REQUIRE(p->size() - 14 <= kMtu);
      if (loss.chance_ppb(1'000'000)) {
        pool.give(p);
        continue;
      }
      const auto r = receiver.receive(*p, datapath::parse_materialising(*p), now, joined, given_up);
      if (r.decap.ok()) got += p->size() - 54;
      if (r.what != datapath::TunnelReceiver::Result::What::held) pool.give(p);
    }
    for (Packet* p : joined) pool.give(p);
    for (const auto& g : given_up) pool.give(g.packet);
    joined.clear();
    given_up.clear();
  }
  return (kFrames * kData - got) * 1'000'000 / (kFrames * kData);
}

std::string table() {
  std::string out =
      "| name | overhead IPv4 / IPv6 (B) | identifier (bits) | busiest of 4 paths, plain | hashing "
      "the GRE key | data lost |\n| --- | --- | --- | --- | --- | --- |\n";
  for (std::size_t k = 1; k < datapath::kTunnelKinds; ++k) {
    const auto kind = static_cast<TunnelKind>(k);
    const std::uint32_t less = kind == TunnelKind::lisp ? 14 : 0;  // the inner Ethernet header
    const std::uint32_t plain = busiest_path(kind, false), keyed = busiest_path(kind, true);
    const std::uint64_t lost = lost_data(kind);
    const unsigned bits = datapath::identifier_bits(kind);
    const std::string identifier = kind == TunnelKind::nvgre ? "24, and 8 of FlowID"
                                   : bits == 0               ? "none"
                                                             : std::to_string(bits);
    out += fmt::format("| `{}` | {} / {} | {} | {}.{} % | {}.{} % | {}.{:02} % |\n",
                       datapath::name_of(kind), overhead_of(encap_of(kind)) - less,
                       overhead_of(encap_of(kind, true)) - less, identifier, plain / 10, plain % 10,
                       keyed / 10, keyed % 10, lost / 10000, lost / 100 % 100);
  }
  return out;
}

TEST_CASE("the table of encapsulations in the documents is what the code does") {
  const std::string path = std::string(WEFT_SOURCE_DIR) + "/docs/encapsulations.md";
  std::stringstream file;
  file << std::ifstream(path).rdbuf();
  const std::string text = file.str();
  const std::string begin =
      "<!-- generated by tests/unit/models/encapsulation_table.cpp: do not edit by hand -->\n";
  const auto from = text.find(begin);
  const auto to = text.find("<!-- end of what is generated -->", from);
  REQUIRE(from != std::string::npos);
  REQUIRE(to != std::string::npos);
  const std::string whole =
      text.substr(0, from + begin.size()) + "\n" + table() + "\n" + text.substr(to);
  const bool write = std::getenv("WEFT_WRITE_DOCS") != nullptr;
  if (write) std::ofstream(path) << whole;
  INFO("WEFT_WRITE_DOCS=1 build/bin/test_models brings " << path << " up to date");
  REQUIRE((write || text == whole));
}

TEST_CASE("what the comparison of encapsulations says") {
  for (const TunnelKind kind :
       {TunnelKind::vxlan, TunnelKind::geneve, TunnelKind::stt, TunnelKind::lisp, TunnelKind::otv})
    REQUIRE(busiest_path(kind, false) < 320);
  for (const TunnelKind kind : {TunnelKind::nvgre, TunnelKind::gre, TunnelKind::etherip})
    REQUIRE(busiest_path(kind, false) == 1000);
  REQUIRE(busiest_path(TunnelKind::nvgre, true) < 320);
  REQUIRE(busiest_path(TunnelKind::gre, true) == 1000);  // one key
  REQUIRE(lost_data(TunnelKind::stt) > 20 * lost_data(TunnelKind::vxlan));
}

}  // namespace
}  // namespace weft
