// A laboratory for the control plane: a controller, hypervisors with agents and real pipelines, a
// channel that loses, delays, duplicates and reorders, and an underlay that always delivers.
#pragma once

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "control/agent.h"
#include "control/controller.h"
#include "control/flow.h"
#include "datapath/checksum.h"
#include "datapath/pipeline.h"
#include "datapath/wire/wire.h"

namespace weft::test {

using control::Bytes;

// --- an intent to play with
// ------------------------------------------------------------------------

inline Mac mac_of(std::uint32_t n) { return Mac::from_u64(0x020000000000ULL + n); }

/// Tenant `name` with networks web, app, db (10.0.x.0/24 and fd00:x::/64), a router between them
/// and `count` ports in each; VNIs from first_vni. The same addresses in every tenant.
inline control::Transaction three_tier(const std::string& name, std::uint32_t first_vni,
                                       unsigned count, bool policy, bool default_allow = false) {
  control::Transaction t;
  const std::uint64_t cookies = std::uint64_t{first_vni} * 1000;
  t.insert(control::Tenant{name, policy, default_allow, cookies});
  control::Router router{name + "/r1", name, {}};
  const char* tiers[] = {"web", "app", "db"};
  for (std::uint32_t i = 0; i < 3; ++i) {
    const std::string net = name + "/" + tiers[i] + "-net";
    const Ip4 base4{0x0a000000u + ((i + 1) << 8)};
    const Ip6 base6{0xfd00ULL << 48 | (i + 1), 0};
    t.insert(control::Network{net, name, first_vni + i, {{base4, 24}, {base6, 64}}, 1500});
    router.ports.push_back({net, mac_of(0xff0000 + i), {Ip4{base4.value + 1}, Ip6{base6.high, 1}}});
    control::Group group{name + "/" + tiers[i], name, {}};
    for (unsigned n = 1; n <= count; ++n) {
      control::Port port;
      port.name = name + "/" + tiers[i] + "-" + std::to_string(n);
      port.network = net;
      port.mac = mac_of((i + 1) * 0x10000 + n);
      port.addresses = {Ip4{base4.value + 9 + n}, Ip6{base6.high, 9 + n}};
      group.members.insert(port.name);
      t.insert(port);
    }
    t.insert(group);
  }
  t.insert(router);
  if (!policy) return t;
  const auto rule = [&](const std::string& n, std::uint64_t id, const char* from, const char* to,
                        std::uint16_t port) {
    control::Acl a;
    a.name = name + "/" + n;
    a.tenant = name;
    a.cookie = cookies + id;
    a.from = {control::Peer::Kind::group, name + "/" + from, {}};
    a.to = {control::Peer::Kind::group, name + "/" + to, {}};
    a.protocol = control::AclProtocol::tcp;
    a.ports = {{port, port}};
    t.insert(a);
  };
  rule("web-to-app", 1, "web", "app", 8080);
  rule("app-to-db", 2, "app", "db", 5432);
  return t;
}

// --- frames
// ----------------------------------------------------------------------------------------

struct FrameSpec {
  Mac src{}, dst{};
  IpAddress from{}, to{};
  std::uint8_t protocol = wire::kProtoTcp;  // ICMP: said for both families
  std::uint16_t src_port = 40000, dst_port = 80;
  std::uint8_t tcp_flags = wire::TcpHeader::kSyn;
  std::uint8_t icmp_type = 8;
  std::uint8_t ttl = 64;
};

inline void build_frame(Packet& packet, const FrameSpec& f) {
  const bool is6 = f.from.is6;
  const std::uint32_t l4 = is6 ? 54 : 34;
  const std::uint32_t header = f.protocol == wire::kProtoTcp ? 20 : 8;
  std::uint8_t* p = packet.reset_headers(l4 + header);
  std::fill_n(p, l4 + header, std::uint8_t{0});
  auto& ethernet = wire::at<wire::EthernetHeader>(p);
  ethernet.dst = f.dst;
  ethernet.src = f.src;
  ethernet.type = is6 ? wire::kEtherIpv6 : wire::kEtherIpv4;
  const std::uint8_t icmp = is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp;
  const bool is_icmp = f.protocol == wire::kProtoIcmp;
  if (is6) {
    auto& ip = wire::at<wire::Ipv6Header>(p + 14);
    ip.set_first_word(0, 0);
    ip.payload_length = static_cast<std::uint16_t>(header);
    ip.next_header = is_icmp ? icmp : f.protocol;
    ip.hop_limit = f.ttl;
    ip.src = f.from.v6();
    ip.dst = f.to.v6();
  } else {
    auto& ip = wire::at<wire::Ipv4Header>(p + 14);
    ip.version_ihl = 0x45;
    ip.total_length = static_cast<std::uint16_t>(20 + header);
    ip.ttl = f.ttl;
    ip.protocol = f.protocol;
    ip.src = f.from.v4();
    ip.dst = f.to.v4();
  }
  if (f.protocol == wire::kProtoTcp) {
    auto& tcp = wire::at<wire::TcpHeader>(p + l4);
    tcp.src_port = f.src_port;
    tcp.dst_port = f.dst_port;
    tcp.sequence = 1000;
    tcp.set_header_length(20);
    tcp.flags = f.tcp_flags;
    tcp.window = 65535;
  } else if (f.protocol == wire::kProtoUdp) {
    auto& udp = wire::at<wire::UdpHeader>(p + l4);
    udp.src_port = f.src_port;
    udp.dst_port = f.dst_port;
    udp.length = 8;
  } else {
    auto& echo = wire::at<wire::IcmpHeader>(p + l4);
    echo.type = is6 ? (f.icmp_type == 8 ? 128 : f.icmp_type == 0 ? 129 : f.icmp_type) : f.icmp_type;
    echo.identifier() = f.src_port;
    echo.sequence() = 1;
  }
  packet.payload = {};
  finish_l4_checksum(packet, 14);
}

/// An ARP message; op 1 asks for `target`, 2 says that `sender` has `mac`.
inline void build_arp(Packet& packet, std::uint16_t op, const Mac& mac, Ip4 sender, Ip4 target,
                      const Mac& dst = Mac::broadcast()) {
  std::uint8_t* p = packet.reset_headers(42);
  std::fill_n(p, 42, std::uint8_t{0});
  auto& ethernet = wire::at<wire::EthernetHeader>(p);
  ethernet.dst = dst;
  ethernet.src = mac;
  ethernet.type = wire::kEtherArp;
  const std::uint8_t fixed[] = {0, 1, 8, 0, 6, 4, 0, static_cast<std::uint8_t>(op)};
  std::copy(std::begin(fixed), std::end(fixed), p + 14);
  const auto put4 = [](std::uint8_t* at, Ip4 a) {
    for (int i = 0; i < 4; ++i) at[i] = static_cast<std::uint8_t>(a.value >> (24 - 8 * i));
  };
  std::copy(mac.bytes.begin(), mac.bytes.end(), p + 22);
  put4(p + 28, sender);
  put4(p + 38, target);
  packet.payload = {};
}

// --- the laboratory
// ----------------------------------------------------------------------------------

struct Channel {
  std::uint32_t loss_percent = 0;
  std::uint32_t duplicate_percent = 0;
  std::uint32_t garbage_percent = 0;
  Duration delay_min = microseconds(100);
  Duration delay_max = microseconds(100);
};

class PipelineSink : public control::RuleSink {
 public:
  explicit PipelineSink(datapath::Pipeline* pipeline) : pipeline_(pipeline) {}
  void add_rule(const std::string& text) override {
    book.add(text);
    ++operations;
    if (pipeline_ == nullptr) return;
    if (auto r = pipeline_->apply(text); !r) errors.push_back(text + ": " + r.error().text());
  }
  void delete_rule(const std::string& text) override {
    book.remove(text);
    ++operations;
    if (pipeline_ == nullptr) return;
    if (auto r = pipeline_->apply(control::removal_of(text)); !r)
      errors.push_back(text + ": " + r.error().text());
  }
  std::vector<std::string> installed_rules() const override { return book.rules(); }

  control::RuleBook book;
  std::vector<std::string> errors;
  std::uint64_t operations = 0;

 private:
  datapath::Pipeline* pipeline_;
};

struct Delivery {
  std::string vm;
  std::vector<std::uint8_t> frame;
  unsigned host = 0;
};
struct Drop {
  std::string reason;
  std::uint64_t cookie;
};
struct Fate {
  std::vector<Delivery> delivered;
  std::vector<Drop> drops;
  unsigned consumed = 0;
  unsigned tunnelled = 0;  // frames that crossed the underlay
  std::set<std::string> receivers() const {
    std::set<std::string> out;
    for (const Delivery& d : delivered) out.insert(d.vm);
    return out;
  }
};

class Lab {
 public:
  static constexpr std::uint32_t kUplink = 1, kTunnel = 2, kLocal = 3;

  struct Host {
    std::string name;
    IpAddress vtep;
    std::unique_ptr<datapath::Pipeline> pipeline;
    std::unique_ptr<PipelineSink> sink;
    std::unique_ptr<control::Agent> agent;
    std::map<std::string, control::LocalPort> ports;
    std::uint32_t next_port = 10;
  };

  Lab(std::uint64_t seed, unsigned hosts, control::Style style, control::TunnelType tunnel,
      Channel channel = {}, bool with_pipelines = true)
      : random_(seed, "lab"), style_(style), tunnel_(tunnel), channel_(channel), pool_(arena_) {
    for (unsigned i = 0; i < hosts; ++i) {
      auto h = std::make_unique<Host>();
      h->name = "hv-" + std::to_string(i + 1);
      h->vtep = Ip4{0xac100001u + i};
      if (with_pipelines) make_pipeline(*h);
      h->sink = std::make_unique<PipelineSink>(h->pipeline.get());
      hosts_.push_back(std::move(h));
    }
    controller_ = std::make_unique<control::Controller>(controller_options());
    controller_->start(now_);
    for (auto& h : hosts_) start_agent(*h);
    collect();
  }

  Time now() const { return now_; }
  Host& host(unsigned i) { return *hosts_[i]; }
  std::size_t host_count() const { return hosts_.size(); }
  control::Controller& controller() { return *controller_; }
  RandomStream& random() { return random_; }
  Channel& channel() { return channel_; }

  Result<> transact(const control::Transaction& t) {
    auto r = controller_->transact(t, now_);
    collect();
    return r;
  }

  void bind(const std::string& port, unsigned host) {
    Host& h = *hosts_[host];
    control::LocalPort local{port, h.next_port++, true, ++incarnation_[port]};
    if (h.pipeline)
      h.pipeline->add_port({datapath::PortNo(local.of_port), port, datapath::PortKind::vm, {}, 0});
    h.ports[port] = local;
    where_[port] = host;
    h.agent->port_up(local, now_);
    collect();
  }
  /// An external port, which is on several hypervisors at once.
  void attach(const std::string& port, unsigned host) {
    if (where_.count(port) == 0) return bind(port, host);
    incarnation_[port] = 0;
    const unsigned first = where_.at(port);
    bind(port, host);
    where_[port] = first;
  }
  /// The control channel of a hypervisor loses everything, or works again.
  void silence(unsigned host, bool on) {
    if (on) silent_.insert(host);
    if (!on) silent_.erase(host);
  }
  void unbind(const std::string& port) {
    const auto it = where_.find(port);
    if (it == where_.end()) return;
    release(port, it->second);
    where_.erase(it);
  }
  /// Down at the old place, up at the new one; connection state moves along.
  void move(const std::string& port, unsigned to) {
    const unsigned from = where_.at(port);
    if (from == to) return;
    std::vector<datapath::ConnectionState> states;
    if (hosts_[from]->pipeline)
      states = hosts_[from]->pipeline->export_zone(
          control::zone_of(hosts_[from]->ports.at(port).of_port), now_);
    release(port, from);
    bind(port, to);
    if (hosts_[to]->pipeline)
      hosts_[to]->pipeline->import_zone(control::zone_of(hosts_[to]->ports.at(port).of_port),
                                        states, now_);
  }
  bool is_bound(const std::string& port) const { return where_.count(port) > 0; }
  unsigned host_of(const std::string& port) const { return where_.at(port); }

  void restart_agent(unsigned i) {
    start_agent(*hosts_[i]);
    collect();
  }
  void stop_controller() {
    saved_ = controller_->snapshot();
    controller_.reset();
  }
  bool controller_runs() const { return controller_ != nullptr; }
  void start_controller() {
    auto restored = control::Controller::restored(controller_options(), saved_);
    controller_ = std::make_unique<control::Controller>(std::move(restored).value());
    controller_->start(now_);
    collect();
  }

  /// Runs everything that happens until `until`.
  void run_until(Time until) {
    collect();
    while (true) {
      Time at = channel_queue_.empty() ? Time::never() : channel_queue_.begin()->first.first;
      if (controller_) at = std::min(at, controller_->next_wakeup());
      for (auto& h : hosts_) at = std::min(at, h->agent->next_wakeup());
      if (at > until) break;
      now_ = std::max(now_, at);
      if (controller_ && controller_->next_wakeup() <= now_) controller_->tick(now_);
      for (auto& h : hosts_)
        if (h->agent->next_wakeup() <= now_) h->agent->tick(now_);
      while (!channel_queue_.empty() && channel_queue_.begin()->first.first <= now_) {
        const Message m = std::move(channel_queue_.begin()->second);
        channel_queue_.erase(channel_queue_.begin());
        if (!m.to_controller)
          hosts_[m.host]->agent->on_message(m.bytes, now_);
        else if (controller_)
          controller_->on_message(hosts_[m.host]->name, m.bytes, now_);
      }
      collect();
    }
    now_ = until;
  }
  void run_for(Duration d) { run_until(now_ + d); }
  /// True if controller and agents come to rest within the time.
  bool settle(Duration limit = seconds(60)) {
    const Time end = now_ + limit;
    while (now_ < end) {
      run_for(milliseconds(20));
      if (settled()) return true;
    }
    return false;
  }
  bool settled() { return unrest().empty(); }
  /// What has not come to rest yet.
  std::string unrest() {
    if (!controller_ || !controller_->in_sync()) return "controller";
    for (auto& h : hosts_) {
      if (!h->agent->in_sync()) return h->name + ": agent";
      if (const std::string d = difference(*h); !d.empty()) return d;
    }
    return {};
  }
  /// What the vSwitch has and what it should have; empty if equal.
  std::string difference(Host& h) {
    auto want = controller_->rules_of(h.name);
    auto have = h.sink->book.rules();
    std::sort(want.begin(), want.end());
    std::sort(have.begin(), have.end());
    if (want == have) return {};
    std::vector<std::string> d;
    std::set_symmetric_difference(want.begin(), want.end(), have.begin(), have.end(),
                                  std::back_inserter(d));
    return h.name + ": " + d.front();
  }

  // --- traffic ---
  /// Sends a frame from a bound port through the pipelines.
  template <class Build>
  Fate send(const std::string& vm, Build&& build) {
    return send_at(vm, where_.at(vm), std::forward<Build>(build));
  }
  template <class Build>
  Fate send_at(const std::string& vm, unsigned h, Build&& build) {
    Fate fate;
    Packet* p = pool_.take();
    p->id = ++ids_;
    build(*p);
    run_packet(h, p, hosts_[h]->ports.at(vm).of_port, fate);
    return fate;
  }
  Fate send_frame(const std::string& vm, const FrameSpec& f) {
    return send(vm, [&](Packet& p) { build_frame(p, f); });
  }
  /// A frame from one VM to another's address, by way of the router if they are on two networks.
  FrameSpec between(const std::string& from, const std::string& to, bool is6) {
    const auto& in = controller_->intent();
    const auto& a = in.ports().at(from);
    const auto& b = in.ports().at(to);
    FrameSpec f;
    f.src = a.mac;
    f.dst = b.mac;
    for (const IpAddress& x : a.addresses)
      if (x.is6 == is6) f.from = x;
    for (const IpAddress& x : b.addresses)
      if (x.is6 == is6) f.to = x;
    if (a.network == b.network) return f;
    for (const auto& [name, router] : in.routers())
      for (const auto& port : router.ports)
        if (port.network == a.network) f.dst = port.mac;
    return f;
  }

 private:
  struct Message {
    bool to_controller;
    std::size_t host;
    Bytes bytes;
  };

  control::ControllerOptions controller_options() {
    control::ControllerOptions o;
    o.style = style_;
    for (auto& h : hosts_) o.hypervisors.push_back(h->name);
    o.session = ++sessions_;
    return o;
  }

  void make_pipeline(Host& h) {
    datapath::VtepConfig vtep;
    vtep.address = h.vtep;
    vtep.mac = mac_of(0xee0000 + h.vtep.v4().value % 256);
    vtep.next_hop = mac_of(0xee00ff);
    h.pipeline = std::make_unique<datapath::Pipeline>(vtep, datapath::CacheOptions{}, 7);
    h.pipeline->set_world({[this] { return ++ids_; }, &pool_});
    h.pipeline->check_caches(1);
    using datapath::PortKind;
    using datapath::TunnelKind;
    const auto kind =
        tunnel_ == control::TunnelType::geneve ? TunnelKind::geneve : TunnelKind::vxlan;
    h.pipeline->add_port({datapath::PortNo(kUplink), "uplink", PortKind::uplink, {}, 0});
    h.pipeline->add_port({datapath::PortNo(kTunnel), "tunnel", PortKind::tunnel, kind, 0});
    h.pipeline->add_port({datapath::PortNo(kLocal), "local", PortKind::local, {}, 0});
  }

  void start_agent(Host& h) {
    control::AgentOptions o;
    o.hypervisor = h.name;
    o.vtep = h.vtep;
    o.tunnel_port = kTunnel;
    o.tunnel = tunnel_;
    o.style = style_;
    o.session = ++sessions_;
    h.agent = std::make_unique<control::Agent>(o, *h.sink);
    h.agent->start(now_);
    for (const auto& [name, port] : h.ports) h.agent->port_up(port, now_);
  }

  void release(const std::string& port, unsigned from) {
    Host& h = *hosts_[from];
    h.agent->port_down(port, now_);
    if (h.pipeline) h.pipeline->remove_port(datapath::PortNo(h.ports.at(port).of_port));
    h.ports.erase(port);
    collect();
  }

  void collect() {
    for (std::size_t i = 0; i < hosts_.size(); ++i)
      if (hosts_[i]->agent)
        for (auto& m : hosts_[i]->agent->take_outgoing()) carry({true, i, std::move(m.bytes)});
    if (!controller_) return;
    for (auto& m : controller_->take_outgoing())
      for (std::size_t i = 0; i < hosts_.size(); ++i)
        if (hosts_[i]->name == m.hypervisor) carry({false, i, m.bytes});
  }

  void carry(Message m) {
    if (silent_.count(static_cast<unsigned>(m.host)) > 0) return;
    const auto chance = [&](std::uint32_t percent) { return random_.below(100) < percent; };
    const unsigned copies = chance(channel_.duplicate_percent) ? 2 : 1;
    for (unsigned i = 0; i < copies; ++i) {
      if (chance(channel_.loss_percent)) continue;
      Message copy = m;
      if (chance(channel_.garbage_percent) && !copy.bytes.empty())
        copy.bytes[random_.below(copy.bytes.size())] ^= 1 << random_.below(8);
      const auto spread =
          static_cast<std::uint64_t>((channel_.delay_max - channel_.delay_min).ps) + 1;
      const Duration delay =
          channel_.delay_min + picoseconds(static_cast<std::int64_t>(random_.below(spread)));
      channel_queue_.emplace(std::pair(now_ + delay, ++order_), std::move(copy));
    }
  }

  void run_packet(unsigned h, Packet* packet, std::uint32_t in_port, Fate& fate) {
    Host& host = *hosts_[h];
    datapath::Outputs out;
    host.pipeline->process({&packet, 1}, datapath::PortNo(in_port), now_, out);
    for (const auto& d : out.dropped) {
      fate.drops.push_back({std::string(name_of(d.reason)), d.cookie});
      pool_.give(d.packet);
    }
    for (Packet* p : out.consumed) {
      ++fate.consumed;
      pool_.give(p);
    }
    for (const auto& o : out.out) {
      if (o.port.value != kUplink) {
        Delivery d;
        for (const auto& [name, port] : host.ports)
          if (port.of_port == o.port.value) d.vm = name;
        d.host = h;
        o.packet->copy_frame(d.frame);
        fate.delivered.push_back(std::move(d));
        pool_.give(o.packet);
        continue;
      }
      ++fate.tunnelled;
      const std::uint8_t* p = o.packet->data() + 30;
      const Ip4 to{std::uint32_t{p[0]} << 24 | p[1] << 16 | p[2] << 8 | p[3]};
      for (unsigned i = 0; i < hosts_.size(); ++i)
        if (hosts_[i]->vtep == IpAddress(to)) run_packet(i, o.packet, kUplink, fate);
    }
  }

  RandomStream random_;
  control::Style style_;
  control::TunnelType tunnel_;
  Channel channel_;
  PacketArena arena_;
  PacketPool pool_;
  Time now_{};
  std::uint64_t sessions_ = 0;
  std::uint64_t order_ = 0;
  PacketId ids_ = 0;
  std::vector<std::unique_ptr<Host>> hosts_;
  std::unique_ptr<control::Controller> controller_;
  Bytes saved_;
  std::map<std::pair<Time, std::uint64_t>, Message> channel_queue_;
  std::map<std::string, std::uint32_t> incarnation_;
  std::map<std::string, unsigned> where_;
  std::set<unsigned> silent_;
};

}  // namespace weft::test
