// A router between three stations: forwarding, ICMP errors, ARP, ECMP, queues, marks, failures -
// through the public face (frames in, frames out), on the real kernel.
#include "models/router.h"

#include <map>

#include "datapath/checksum.h"
#include "datapath/wire/wire.h"
#include "models/hop.h"
#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

using namespace weft;
using namespace weft::models;

namespace {

constexpr std::uint64_t kMac = 0x020000000000;

struct Flow : test::FlowSpec {
  std::uint8_t ttl = 64;
  bool dont_fragment = false;
};

void build(Packet& packet, const Flow& flow) {
  test::build(packet, flow);
  auto& eth = wire::at<wire::EthernetHeader>(packet.data());
  eth.src = Mac::from_u64(kMac);
  eth.dst = Mac::from_u64(kMac + 1);
  auto& ip = wire::at<wire::Ipv4Header>(packet.data() + 14);
  ip.ttl = flow.ttl;
  ip.flags_fragment = flow.dont_fragment ? wire::Ipv4Header::kDontFragment : std::uint16_t{0};
  finish_ipv4_checksum(packet, 14);
}

/// Sends what it is told at time zero, keeps what arrives.
class Wire final : public Device {
 public:
  Wire(Node node, std::vector<Flow> flows) : node_(std::move(node)), flows_(std::move(flows)) {}
  Node& node() override { return node_; }
  void handle(sim::Context& context, const sim::Event& event) override {
    node_.enter(context);
    if (event.kind == kStart) {
      for (const auto& flow : flows_) {
        Packet* p = node_.create();
        build(*p, flow);
        node_.transmit(0, p);
      }
      return;
    }
    if (event.kind != kFrame) {
      node_.handle_state(event);
      return;
    }
    if (Packet* p = node_.receive(event)) {
      got.push_back(test::frame_of(*p));
      node_.deliver(p);
    }
  }
  std::vector<test::Bytes> got;

 private:
  Node node_;
  std::vector<Flow> flows_;
};

/// host 0 -- router 1 ==(two links)== router 2 -- host 3
struct Lab {
  Pools pools{1};
  std::shared_ptr<Topology> topology = std::make_shared<Topology>();
  std::unique_ptr<sim::Engine> engine = std::make_unique<sim::Engine>(sim::EngineOptions{});
  std::vector<Node*> nodes;
  std::vector<Wire*> wires;

  explicit Lab(std::vector<Flow> flows, PortConfig middle = {}, Duration until = milliseconds(5),
               bool fail_one = false) {
    auto& t = *topology;
    const NodeRole roles[] = {NodeRole::host, NodeRole::router, NodeRole::router, NodeRole::host};
    for (std::uint32_t i = 0; i < 4; ++i) {
      TopologyNode n;
      n.name = "n" + std::to_string(i);
      n.role = roles[i];
      n.mac = Mac::from_u64(kMac + i);
      n.prefix_length = 24;
      n.addresses = {i == 0   ? IpAddress{Ip4{0x0a000001}}
                     : i == 3 ? IpAddress{Ip4{0x0a000101}}
                              : IpAddress{Ip4{0xac100000 + i}}};
      t.nodes.push_back(n);
      t.interfaces.emplace_back();
    }
    const std::pair<std::uint32_t, std::uint32_t> links[] = {{0, 1}, {1, 2}, {1, 2}, {2, 3}};
    for (const auto& [a, b] : links) {
      TopologyLink l;
      l.a = a;
      l.b = b;
      l.port_a = static_cast<std::uint16_t>(t.interfaces[a].size());
      t.interfaces[a].push_back({.mac = t.nodes[a].mac, .addresses = {}});
      l.port_b = static_cast<std::uint16_t>(t.interfaces[b].size());
      t.interfaces[b].push_back({.mac = t.nodes[b].mac, .addresses = {}});
      t.links.push_back(l);
    }
    t.interfaces[1][0].addresses.push_back({Ip4{0x0a0000fe}, 24});
    t.interfaces[2][2].addresses.push_back({Ip4{0x0a0001fe}, 24});
    for (std::uint32_t i = 0; i < 4; ++i) {
      Node node(t.nodes[i].name, i, pools);
      for (std::uint32_t l = 0; l < 4; ++l) {
        const auto& link = t.links[l];
        if (link.a != i && link.b != i) continue;
        Port p;
        const bool core = l == 1 || l == 2;
        p.config = core && middle.rate.bps > 0 ? middle : PortConfig{};
        p.config.name = node.name + "." + std::to_string(l);
        p.config.link = l;
        if (p.config.rate.bps == 0) p.config.rate = {10'000'000'000};
        if (p.config.queue_bytes == 0) p.config.queue_bytes = 1'000'000;
        p.config.delay = microseconds(1);
        p.config.mac = t.nodes[i].mac;
        p.prepare(7);
        node.ports.push_back(std::move(p));
      }
      std::unique_ptr<Device> device;
      if (roles[i] == NodeRole::router) {
        device = std::make_unique<Router>(std::move(node), topology, 1000 + i);
      } else {
        auto wire = std::make_unique<Wire>(std::move(node), i == 0 ? flows : std::vector<Flow>{});
        wires.push_back(wire.get());
        device = std::move(wire);
      }
      nodes.push_back(&device->node());
      engine->add(t.nodes[i].name, std::move(device));
    }
    for (const auto& l : t.links)
      for (const bool forward : {true, false}) {
        Port& p = nodes[forward ? l.a : l.b]->ports[forward ? l.port_a : l.port_b];
        auto channel =
            engine->connect(sim::LpId{forward ? l.a : l.b}, sim::LpId{forward ? l.b : l.a},
                            p.config.delay + Duration{p.wire_ps(0)});
        REQUIRE(channel.ok());
        p.channel = *channel;
        p.peer_port = forward ? l.port_b : l.port_a;
      }
    if (fail_one) {
      for (const std::uint32_t n : {1u, 2u}) {
        const auto port = n == 1 ? t.links[1].port_a : t.links[1].port_b;
        engine->post(sim::LpId{n}, Time{}, sim::EventClass::port_state, kPortState, port, 0);
        engine->post(sim::LpId{n}, Time{}, sim::EventClass::port_state, kTopology, 0,
                     TopologyChange{1, true, false}.pack());
      }
    }
    engine->post(sim::LpId{0}, Time{}, sim::EventClass::command, kStart, 0, 0);
    engine->run(Time{} + until);
  }
  const std::vector<test::Bytes>& sender() const { return wires[0]->got; }
  const std::vector<test::Bytes>& receiver() const { return wires[1]->got; }
  std::uint64_t dropped(DropReason reason) const {
    std::uint64_t n = 0;
    for (const auto* node : nodes) n += node->ledger.by_reason[static_cast<std::size_t>(reason)];
    return n;
  }
};

Flow flow(std::uint16_t source_port = 1000, std::uint32_t payload = 100) {
  Flow f;
  f.src = 0x0a000001;
  f.dst = 0x0a000101;
  f.protocol = wire::kProtoUdp;
  f.src_port = source_port;
  f.dst_port = 9;
  f.payload = payload;
  return f;
}

}  // namespace

TEST_CASE("a packet crosses two routers: TTL, checksum and MACs are those of the hops",
          "[router]") {
  auto f = flow();
  f.ttl = 10;
  Lab lab({f});
  REQUIRE(lab.receiver().size() == 1);
  const auto& b = lab.receiver()[0];
  CHECK(b[14 + 8] == 8);
  CHECK(test::slow_verify(b, 14));
  CHECK(b[5] == 3);   // to host 3
  CHECK(b[11] == 2);  // from router 2
}

TEST_CASE("a TTL that runs out is answered by the router where it did", "[router]") {
  auto f = flow();
  for (const std::uint8_t ttl : {1, 2}) {
    f.ttl = ttl;
    Lab lab({f});
    CHECK(lab.receiver().empty());
    CHECK(lab.dropped(DropReason::ttl_expired) == 1);
    REQUIRE(lab.sender().size() == 1);
    const auto& b = lab.sender()[0];
    CHECK(b[14 + 9] == wire::kProtoIcmp);
    CHECK(b[34] == wire::kIcmpTimeExceeded);
    CHECK(test::slow_verify(b, 14));
    // It quotes the packet: its destination is at its place in the quoted header.
    CHECK(b[34 + 8 + 19] == 1);
    CHECK(b[34 + 8 + 18] == 1);
  }
}

TEST_CASE("no route: net unreachable", "[router]") {
  auto f = flow();
  f.dst = 0x0b000001;
  Lab lab({f});
  CHECK(lab.dropped(DropReason::no_route) == 1);
  REQUIRE(lab.sender().size() == 1);
  CHECK(lab.sender()[0][34] == wire::kIcmpUnreachable);
  CHECK(lab.sender()[0][35] == wire::kIcmpNetUnreachable);
}

TEST_CASE("a packet that exceeds the next link's MTU and may not be fragmented gets the MTU",
          "[router]") {
  PortConfig small;
  small.rate = {10'000'000'000};
  small.mtu = 1000;
  auto f = flow(1000, 1200);
  f.dont_fragment = true;
  Lab lab({f}, small);
  CHECK(lab.dropped(DropReason::too_big) == 1);
  REQUIRE(lab.sender().size() == 1);
  const auto& b = lab.sender()[0];
  CHECK(b[34] == wire::kIcmpUnreachable);
  CHECK(b[35] == wire::kIcmpFragmentationNeeded);
  CHECK(b[40] * 256 + b[41] == 1000);
  f.dont_fragment = false;
  Lab silent({f}, small);
  CHECK(silent.dropped(DropReason::too_big) == 1);
  CHECK(silent.sender().empty());
}

TEST_CASE("ECMP spreads flows and keeps each on its path", "[router]") {
  std::vector<Flow> flows;
  for (int i = 0; i < 400; ++i) flows.push_back(flow(static_cast<std::uint16_t>(2000 + i / 2)));
  Lab lab(flows);
  REQUIRE(lab.receiver().size() == 400);
  const auto one = lab.nodes[1]->ports[1].counters.tx_packets;
  const auto two = lab.nodes[1]->ports[2].counters.tx_packets;
  CHECK(one + two == 400);
  CHECK(one % 2 == 0);  // both packets of a flow take the same link
  CHECK(one > 100);
  CHECK(two > 100);
}

TEST_CASE("after a failure and its convergence all flows take the link that is left", "[router]") {
  std::vector<Flow> flows;
  for (int i = 0; i < 100; ++i) flows.push_back(flow(static_cast<std::uint16_t>(2000 + i)));
  Lab lab(flows, {}, milliseconds(5), true);
  CHECK(lab.receiver().size() == 100);
  CHECK(lab.nodes[1]->ports[1].counters.tx_packets == 0);
}

TEST_CASE("DropTail: what does not fit the queue is dropped, the rest arrives in order",
          "[router]") {
  PortConfig slow;
  slow.rate = {1'000'000'000};
  slow.queue_bytes = 20'000;
  std::vector<Flow> flows(200, flow(1000, 958));  // 1000-byte frames, 1024 on the wire
  Lab lab(flows, slow);
  const auto lost = lab.dropped(DropReason::queue_full);
  CHECK(lost > 0);
  CHECK(lab.receiver().size() + lost == 200);
  const auto& port = lab.nodes[1]->ports[lab.nodes[1]->ports[1].counters.tx_packets > 0 ? 1 : 2];
  CHECK(port.counters.drops == lost);
  CHECK(port.peak_backlog_bytes() <= 20'000);
  CHECK(port.peak_backlog_bytes() > 20'000 - 1100);
}

TEST_CASE("ECN: capable packets are marked when the queue grows, others never", "[router]") {
  PortConfig slow;
  slow.rate = {1'000'000'000};
  slow.queue_bytes = 1'000'000;
  slow.ecn_min = 5'000;
  slow.ecn_max = 50'000;
  for (const bool capable : {true, false}) {
    auto f = flow(1000, 958);
    f.tos = capable ? 2 : 0;
    Lab lab(std::vector<Flow>(200, f), slow);
    std::size_t marked = 0;
    for (const auto& b : lab.receiver()) {
      marked += (b[15] & 3) == 3;
      CHECK(test::slow_verify(b, 14));
    }
    REQUIRE(lab.receiver().size() == 200);
    if (capable) {
      CHECK(marked > 100);  // the backlog is above ecn_max for most of the burst
      CHECK(marked < 200);  // and below ecn_min at its beginning
    } else {
      CHECK(marked == 0);
    }
  }
}

TEST_CASE("loss and corruption are counted where they happen", "[router]") {
  PortConfig bad;
  bad.rate = {10'000'000'000};
  bad.loss_ppb = 200'000'000;        // 20 %
  bad.corruption_ppb = 100'000'000;  // 10 %
  std::vector<Flow> flows(1000, flow());
  Lab lab(flows, bad);
  const auto lost = lab.dropped(DropReason::link_loss);
  const auto broken = lab.dropped(DropReason::bad_fcs);
  CHECK(lost > 150);
  CHECK(lost < 250);
  CHECK(broken > 50);
  CHECK(broken < 110);
  CHECK(lab.receiver().size() + lost + broken == 1000);
}

TEST_CASE("every packet is accounted for", "[router]") {
  std::vector<Flow> flows(50, flow());
  Lab lab(flows);
  std::uint64_t created = 0, ended = 0;
  for (const auto* n : lab.nodes) {
    created += n->ledger.created;
    ended += n->ledger.delivered + n->ledger.consumed + n->ledger.dropped;
  }
  CHECK(created == 50);
  CHECK(ended == 50);
}
