#include "cli/drills.h"

#include <fmt/core.h>

#include <algorithm>
#include <memory>
#include <stdexcept>
#include <vector>

#include "datapath/checksum.h"
#include "datapath/conntrack.h"
#include "datapath/faults.h"
#include "datapath/icmp_error.h"
#include "datapath/pipeline.h"
#include "datapath/tunnel/receiver.h"
#include "datapath/tunnel/stt.h"
#include "datapath/wire/wire.h"

namespace weft::cli {
namespace {

using namespace datapath;
using Tcp = wire::TcpHeader;

/// What a drill throws when it does not see what it must.
struct Wrong : std::runtime_error {
  using runtime_error::runtime_error;
};
void expect(bool holds, const std::string& otherwise) {
  if (!holds) throw Wrong(otherwise);
}

struct Spec {
  Ip4 src{0x0a000001}, dst{0x0a000002};
  std::uint16_t src_port = 40000, dst_port = 80;
  std::uint8_t flags = 0;  ///< TCP if not 0, else UDP
  std::uint32_t sequence = 0, ack = 0;
  std::uint32_t length = 32;
  std::uint8_t tos = 0;
};
Spec turned(Spec s) {
  std::swap(s.src, s.dst);
  std::swap(s.src_port, s.dst_port);
  return s;
}

void build(Packet& packet, const Spec& s) {
  const std::uint32_t header = s.flags != 0 ? sizeof(wire::TcpHeader) : sizeof(wire::UdpHeader);
  std::uint8_t* p = packet.reset_headers(34 + header);
  std::fill_n(p, 34 + header, std::uint8_t{0});
  auto& ethernet = wire::at<wire::EthernetHeader>(p);
  ethernet.dst = Mac::from_u64(0x020000000000 + s.dst.value % 256);
  ethernet.src = Mac::from_u64(0x020000000000 + s.src.value % 256);
  ethernet.type = wire::kEtherIpv4;
  auto& ip = wire::at<wire::Ipv4Header>(p + 14);
  ip.version_ihl = 0x45;
  ip.tos = s.tos;
  ip.total_length = static_cast<std::uint16_t>(20 + header + s.length);
  ip.ttl = 64;
  ip.protocol = s.flags != 0 ? wire::kProtoTcp : wire::kProtoUdp;
  ip.src = s.src;
  ip.dst = s.dst;
  if (s.flags != 0) {
    auto& tcp = wire::at<wire::TcpHeader>(p + 34);
    tcp.src_port = s.src_port;
    tcp.dst_port = s.dst_port;
    tcp.sequence = s.sequence;
    tcp.acknowledgement = s.ack;
    tcp.set_header_length(20);
    tcp.flags = s.flags;
    tcp.window = 8000;
  } else {
    auto& udp = wire::at<wire::UdpHeader>(p + 34);
    udp.src_port = s.src_port;
    udp.dst_port = s.dst_port;
    udp.length = static_cast<std::uint16_t>(8 + s.length);
  }
  packet.payload = Payload::stream(7, 0, s.length);
  finish_l4_checksum(packet, 14);
}

/// What is left of a packet: the tuple as read from its bytes.
struct Seen {
  std::string where;  ///< port, or the reason why it was dropped
  Ip4 src, dst;
  std::uint16_t src_port = 0, dst_port = 0;
};

class Switch {
 public:
  Switch(std::string_view fault, std::initializer_list<const char*> rules) : pool_(arena_) {
    VtepConfig vtep;
    vtep.address = Ip4{0xac100001};
    pipeline = std::make_unique<Pipeline>(vtep, CacheOptions{}, 1);
    pipeline->set_world({[this] { return ++next_id_; }, &pool_});
    for (std::uint32_t n = 1; n <= 3; ++n)
      pipeline->add_port({PortNo{n}, fmt::format("p{}", n), PortKind::vm, TunnelKind::none, 1});
    for (const char* rule : rules) {
      const auto added = pipeline->add_flow(rule);
      WEFT_CHECK(added.ok(), "{}", added.error().text());
    }
    if (!fault.empty()) WEFT_CHECK(pipeline->plant(fault).ok());
    pipeline->check_caches(1);
  }
  ~Switch() { release(); }
  Switch(const Switch&) = delete;

  Seen send(Packet* p, std::uint32_t port) {
    release();
    p->id = ++next_id_;
    pipeline->process(std::span<Packet* const>(&p, 1), PortNo{port}, now, outputs_);
    Seen seen;
    if (!outputs_.dropped.empty()) {
      seen.where = name_of(outputs_.dropped[0].reason);
      return seen;
    }
    expect(outputs_.out.size() == 1, "a packet became several, or none");
    const Packet& out = *outputs_.out[0].packet;
    seen.where = fmt::format("{}", outputs_.out[0].port.value);
    expect(verify_checksums(out, true) == ChecksumFault::ok,
           fmt::format("a packet left with a wrong {} checksum", to_string(verify_checksums(out))));
    const auto& ip = wire::at<wire::Ipv4Header>(out.data() + 14);
    seen.src = ip.src;
    seen.dst = ip.dst;
    seen.src_port = wire::load_be<std::uint16_t>(out.data() + 34);
    seen.dst_port = wire::load_be<std::uint16_t>(out.data() + 36);
    return seen;
  }
  Seen send(const Spec& s, std::uint32_t port) {
    Packet* p = pool_.take();
    build(*p, s);
    return send(p, port);
  }
  void send_to(const Spec& s, std::uint32_t port, const std::string& where,
               const std::string& what) {
    const Seen seen = send(s, port);
    expect(seen.where == where, fmt::format("{}: {} instead of {}", what, seen.where, where));
  }
  Packet* fresh() { return pool_.take(); }
  void release() {
    for (const auto& o : outputs_.out) pool_.give(o.packet);
    for (const auto& d : outputs_.dropped) pool_.give(d.packet);
    for (Packet* c : outputs_.consumed) pool_.give(c);
    outputs_.clear();
  }

  std::unique_ptr<Pipeline> pipeline;
  Time now{};

 private:
  PacketArena arena_;
  PacketPool pool_;
  PacketId next_id_ = 0;
  Outputs outputs_;
};

constexpr const char* kTrack = "table=0,priority=1,ip,actions=ct(table=1,zone=3,nat)";
constexpr const char* kInvalid = "table=1,priority=9,ct_state=+trk+inv,ip,actions=drop(ct.invalid)";

void stateful(std::string_view fault) {
  Switch s(fault,
           {kTrack, kInvalid,
            "table=1,priority=5,ct_state=+est+trk,ct_mark=5,ip,in_port=1,actions=output:2",
            "table=1,priority=5,ct_state=+est+rpl+trk,ct_mark=5,ip,in_port=2,actions=output:1",
            "table=1,priority=4,ct_state=+new,ip,in_port=1,actions=resubmit(,2)",
            "table=2,actions=ct(commit,zone=3,exec(set_field:5->ct_mark)),output:2",
            "table=1,priority=1,actions=drop(policy)"});
  Spec out{.flags = Tcp::kSyn, .sequence = 1000, .length = 0};
  s.send_to(out, 1, "2", "the SYN");
  Spec back = turned(out);
  back.flags = Tcp::kSyn | Tcp::kAck;
  back.sequence = 7000;
  back.ack = 1001;
  s.send_to(back, 2, "1", "the SYN+ACK");
  out.flags = Tcp::kAck;
  out.sequence = 1001;
  out.ack = 7001;
  out.length = 100;
  s.send_to(out, 1, "2", "data");
  Spec guessed = turned(out);
  guessed.sequence = 900'000'000;
  guessed.ack = 1101;
  s.send_to(guessed, 2, "ct.invalid", "a segment far outside the window");
  guessed.flags = Tcp::kRst;
  guessed.ack = 0;
  s.send_to(guessed, 2, "ct.invalid", "a RST far outside the window");
  out.sequence = 1101;
  s.send_to(out, 1, "2", "data after a forged RST");
  s.now += seconds(6 * 24 * 3600);
  back.flags = Tcp::kAck | Tcp::kPsh;
  back.sequence = 7001;
  back.ack = 1101;
  const Seen late = s.send(back, 2);
  expect(late.where == "policy", "a packet of a connection whose time is up: " + late.where);
}

void limits(std::string_view fault) {
  ConnTrack table;
  CtOptions options;
  if (!fault.empty()) options.faults.set(fault);
  options.early_drop = false;
  table.set_options(options);
  table.set_zone_limit(1, 3);
  CtPacket p;
  p.kind = CtPacket::Kind::flow;
  p.tuple.protocol = wire::kProtoUdp;
  for (std::uint16_t n = 0; n < 3; ++n) {
    p.tuple.src_port = n;
    expect(table.commit(p, 1, Time{}).created, "a zone refused what its limit allows");
  }
  Switch s(fault, {"ip,actions=ct(commit,zone=4),output:2"});
  ConnTrack& connections = s.pipeline->connection_tracking();
  options = connections.options();
  options.early_drop = false;
  connections.set_options(options);
  connections.set_zone_limit(4, 1);
  s.send_to({}, 1, "2", "the one connection of its zone");
  Spec second;
  second.src_port = 9;
  s.send_to(second, 1, "ct.full", "a connection beyond the limit of its zone");
  p.tuple.src_port = 9;
  expect(table.commit(p, 1, Time{}).refused == CtResult::Refused::full,
         "a zone took more connections than its limit");
}

const std::initializer_list<const char*> kGateway = {
    kTrack,
    "table=1,priority=5,ct_state=+new,ip,in_port=1,actions=resubmit(,2)",
    "table=2,actions=ct(commit,zone=3,nat(src=192.0.2.1:1000-1002)),output:2",
    "table=1,priority=4,ct_state=+trk+rpl,ip,in_port=2,actions=output:1",
    "table=1,priority=4,ct_state=+trk+rel,ip,in_port=2,actions=output:1",
    "table=1,priority=4,ct_state=+trk+est,ip,in_port=1,actions=output:2",
    "table=1,priority=1,actions=drop(policy)"};
constexpr Ip4 kOutside{0xc0000201};

void nat(std::string_view fault) {
  Switch s(fault, kGateway);
  std::vector<std::uint16_t> ports;
  for (std::uint32_t client = 1; client <= 3; ++client) {
    Spec out{.dst = Ip4{0x08080808}, .dst_port = 53};
    out.src.value = 0x0a000000 + client;
    const Seen there = s.send(out, 1);
    expect(there.where == "2" && there.src == kOutside, "a client's packet was not translated");
    expect(std::find(ports.begin(), ports.end(), there.src_port) == ports.end(),
           "two clients share one address and port outside");
    ports.push_back(there.src_port);
    Spec answer = turned(out);
    answer.dst = there.src;
    answer.dst_port = there.src_port;
    const Seen here = s.send(answer, 2);
    expect(here.where == "1" && here.dst == out.src && here.dst_port == out.src_port,
           "an answer did not find back to its client: " + here.where);
    // A router says that it could not pass the packet on.
    Packet* lost = s.fresh();
    Spec translated = out;
    translated.src = there.src;
    translated.src_port = there.src_port;
    build(*lost, translated);
    Packet* error = s.fresh();
    expect(build_icmp_error(*error, *lost, IcmpErrorKind::host_unreachable, Ip4{0x08080801}),
           "no ICMP error could be made");
    std::vector<std::uint8_t> frame;
    error->copy_frame(frame);
    lost->payload.reset();
    std::copy_n(frame.begin(), frame.size(),
                lost->reset_headers(static_cast<std::uint32_t>(frame.size())));
    s.release();
    const Seen told = s.send(lost, 2);
    expect(told.where == "1" && told.dst == out.src, "an ICMP error did not reach the client");
    s.send_to(out, 1, "2", "the client's next packet");
  }
  Spec fourth{.src = Ip4{0x0a000009}, .dst = Ip4{0x08080808}, .dst_port = 53};
  s.send_to(fourth, 1, "ct.nat_exhausted", "a client for whom no port is left");
}

/// The error's quote must name the packet that the client sent.
void quotes(std::string_view fault) {
  Switch s(fault, kGateway);
  const Spec out{.dst = Ip4{0x08080808}, .dst_port = 53};
  const Seen there = s.send(out, 1);
  Spec translated = out;
  translated.src = there.src;
  translated.src_port = there.src_port;
  Packet* lost = s.fresh();
  Packet* error = s.fresh();
  build(*lost, translated);
  expect(build_icmp_error(*error, *lost, IcmpErrorKind::host_unreachable, Ip4{0x08080801}),
         "no ICMP error could be made");
  build(*lost, out);
  s.send(lost, 1);
  Packet* const sent = error;
  const Seen told = s.send(error, 2);
  expect(told.where == "1", "an ICMP error did not pass: " + told.where);
  std::vector<std::uint8_t> frame;
  sent->copy_frame(frame);  // the switch holds it until the next one
  expect(frame.size() > 64 && wire::load_be<std::uint32_t>(frame.data() + 42 + 12) == out.src.value,
         "an ICMP error quotes a packet that its receiver never sent");
}

void moving(std::string_view fault) {
  Switch a(fault, kGateway), b(fault, kGateway);
  const Spec out{.dst = Ip4{0x08080808}, .dst_port = 53};
  const Seen there = a.send(out, 1);
  b.pipeline->import_zone(3, a.pipeline->export_zone(3, a.now), b.now);
  Spec answer = turned(out);
  answer.dst = there.src;
  answer.dst_port = there.src_port;
  const Seen here = b.send(answer, 2);
  expect(here.where == "1" && here.dst == out.src,
         "a translated connection that moved is not known where it came: " + here.where);
}

void caches(std::string_view fault) {
  Switch s(fault, {"priority=9,udp,nw_dst=10.0.0.2,tp_dst=80,actions=output:2",
                   "priority=8,udp,nw_dst=10.0.0.3,actions=output:3",
                   "priority=7,udp,nw_tos=32,actions=output:3", "priority=1,actions=drop(policy)"});
  Spec p;
  s.send_to(p, 1, "2", "the first of two neighbours");
  p.dst.value ^= 1;
  s.send_to(p, 1, "3", "the second of two neighbours");
  p.dst.value = 0x0a000009;
  s.send_to(p, 1, "policy", "a packet that no rule lets through");
  p.tos = 32;
  s.send_to(p, 1, "3", "a packet with another TOS");
  p = {};
  p.dst_port = 81;
  s.send_to(p, 1, "policy", "another port of the same host");
  expect(s.pipeline->delete_flow("priority=9,udp,nw_dst=10.0.0.2,tp_dst=80").ok(), "no such rule");
  p.dst_port = 80;
  s.send_to(p, 1, "policy", "a packet whose rule has gone");
}

void counting(std::string_view fault) {
  Switch s(fault, {"cookie=1,priority=5,udp,actions=output:2"});
  for (int i = 0; i < 10; ++i) {
    if (i == 5)
      expect(s.pipeline->add_flow("cookie=2,priority=9,tcp,actions=drop").ok(), "no rule");
    s.send_to({}, 1, "2", "a packet");
  }
  for (const std::string& line : s.pipeline->dump_flows())
    if (line.find("cookie=0x1,") != std::string::npos)
      expect(line.find("n_packets=10,") != std::string::npos,
             "a rule that ten packets hit says: " + line);
}

void timeouts(std::string_view fault) {
  Switch s(fault,
           {"priority=5,hard_timeout=5,udp,actions=output:2",
            "priority=4,idle_timeout=2,ip,actions=output:3", "priority=1,actions=drop(policy)"});
  s.send_to({}, 1, "2", "a packet");
  for (int i = 0; i < 70; ++i) {
    s.now += milliseconds(100);
    s.pipeline->expire(s.now);
  }
  s.send_to({}, 1, "policy", "a packet whose rules' time is up");
}

void learning(std::string_view fault) {
  constexpr const char* kLearn =
      "priority=9,in_port=1,udp,actions=learn(table=1,hard_timeout=3,eth_type=0x800,nw_proto=17,"
      "NXM_OF_IP_DST[]=NXM_OF_IP_SRC[],output:NXM_OF_IN_PORT[]),output:2";
  Switch s(fault, {kLearn, "priority=8,in_port=2,actions=resubmit(,1)",
                   "table=1,priority=1,actions=drop(policy)"});
  const Spec out, back = turned(out);
  s.send_to(back, 2, "policy", "an answer before the question");
  s.send_to(out, 1, "2", "the question");
  s.send_to(back, 2, "1", "the answer, by a learned rule");
  for (int i = 0; i < 40; ++i) {
    s.now += milliseconds(100);
    s.pipeline->expire(s.now);
  }
  s.send_to(back, 2, "policy", "an answer whose learned rule's time is up");
}

TunnelEncap encap_of(TunnelKind kind) {
  TunnelEncap e;
  e.kind = kind;
  e.src = Ip4{0xac100001};
  e.dst = Ip4{0xac100002};
  e.vni = kind == TunnelKind::stt ? 77 : 0xabcdef;
  e.mtu = 1500;
  return e;
}

void tunnels(std::string_view fault) {
  Faults planted;
  if (!fault.empty()) planted.set(fault);
  ReceiverOptions options;
  options.decap.forget_ecn = planted.forget_ecn;
  options.decap.accept_critical = planted.accept_critical;
  options.frames.ignore_gaps = planted.ignore_lost_segments;
  TunnelReceiver receiver(options);
  PacketArena arena;
  PacketPool pool(arena);
  std::vector<Packet*> joined;
  std::vector<GivenUp> lost;
  Packet* p = pool.take();

  Spec ect{.tos = wire::kEcnEct0};
  build(*p, ect);
  expect(encap(*p, make_outer(encap_of(TunnelKind::vxlan)), 1), "no encapsulation");
  auto& ip = wire::at<wire::Ipv4Header>(p->data() + 14);
  ip.tos = static_cast<std::uint8_t>(ip.tos | wire::kEcnCe);  // a switch on the way is congested
  finish_ipv4_checksum(*p, 14);
  auto result = receiver.receive(*p, parse_materialising(*p), Time{}, joined, lost);
  expect(result.decap.ok(), "a VXLAN packet was refused");
  expect((parse_headers(*p).tos & wire::kEcnMask) == wire::kEcnCe,
         "congestion that was marked outside is not told inside");

  TunnelEncap strange = encap_of(TunnelKind::geneve);
  strange.options = {0x12, 0x34, 0x81, 0x00};  // critical, and nobody knows it
  build(*p, ect);
  expect(encap(*p, make_outer(strange), 1), "no encapsulation");
  result = receiver.receive(*p, parse_materialising(*p), Time{}, joined, lost);
  expect(!result.decap.ok(), "an unknown critical GENEVE option was ignored");

  build(*p, {.length = 9000});
  std::vector<Packet*> segments{p};
  PacketId id = 0;
  expect(
      stt::encap_frame(
          *p, make_outer(encap_of(TunnelKind::stt)), 1, 5, pool, [&id] { return ++id; }, segments),
      "no STT frame");
  expect(segments.size() > 4, "an STT frame of 9000 bytes has few segments");
  for (std::size_t i = 0; i < segments.size(); ++i) {
    if (i == 2) continue;  // lost
    const auto r =
        receiver.receive(*segments[i], parse_materialising(*segments[i]), Time{}, joined, lost);
    expect(r.what == TunnelReceiver::Result::What::held,
           "an STT frame came out though a segment of it was lost");
  }
}

struct Drill {
  const char* name;
  void (*run)(std::string_view fault);
};
constexpr Drill kDrills[] = {
    {"stateful policy", stateful}, {"limits", limits},     {"gateway", nat},
    {"ICMP errors", quotes},       {"moving", moving},     {"caches", caches},
    {"counting", counting},        {"learning", learning}, {"timeouts", timeouts},
    {"tunnel endpoint", tunnels},
};

}  // namespace

std::optional<DrillFailure> run_drills(std::string_view fault) {
  if (Faults known; !fault.empty() && !known.set(fault)) return std::nullopt;
  for (const Drill& d : kDrills) {
    try {
      d.run(fault);
    } catch (const Wrong& wrong) {
      return DrillFailure{d.name, wrong.what()};
    } catch (const InternalFault& breach) {
      return DrillFailure{d.name, breach.what()};
    }
  }
  return std::nullopt;
}

}  // namespace weft::cli
