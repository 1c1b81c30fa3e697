// From a specification to a world: topology, nodes, links, guests.
#include <fmt/format.h>

#include <algorithm>

#include "datapath/faults.h"
#include "models/bridge.h"
#include "models/controller_host.h"
#include "models/guest/guest.h"
#include "models/host.h"
#include "models/hypervisor.h"
#include "models/router.h"
#include "scenarios/addressing.h"
#include "scenarios/loader/ports.h"
#include "scenarios/run/endpoint.h"
#include "scenarios/run/load_estimate.h"
#include "scenarios/run/world.h"

namespace weft::scenarios {
namespace {

models::NodeRole role_of(NodeKind kind) {
  switch (kind) {
    case NodeKind::router:
      return models::NodeRole::router;
    case NodeKind::bridge:
      return models::NodeRole::bridge;
    case NodeKind::hub:
      return models::NodeRole::hub;
    default:
      return models::NodeRole::host;
  }
}

}  // namespace

World::~World() = default;

Result<std::unique_ptr<World>> World::build(const Scenario& scenario, const WorldOptions& options) {
  std::unique_ptr<World> world(new World());
  world->scenario_ = scenario;
  world->options_ = options;
  world->pools_ = std::make_unique<models::Pools>(options.threads);
  world->engine_ = std::make_unique<sim::Engine>(
      sim::EngineOptions{.seed = options.seed, .threads = options.threads});
  world->build_topology();
  world->plan_ = std::make_shared<models::Plan>();
  if (auto r = world->build_nodes(options); !r.ok()) return r.error();
  if (auto r = world->build_links(); !r.ok()) return r.error();
  world->build_intent();
  if (auto r = world->build_control(); !r.ok()) return r.error();
  world->series_.resize(scenario.underlay.links.size());
  world->last_sample_.resize(scenario.underlay.links.size());
  return world;
}

std::shared_ptr<const models::Topology> World::topology_of(const Scenario& scenario) {
  World world;
  world.scenario_ = scenario;
  world.build_topology();
  return world.topology_;
}

void World::build_topology() {
  const auto& u = scenario_.underlay;
  topology_ = std::make_shared<models::Topology>();
  auto& t = *topology_;
  t.nodes.resize(u.nodes.size());
  t.interfaces.resize(u.nodes.size());
  for (std::size_t i = 0; i < u.nodes.size(); ++i) {
    const auto& n = u.nodes[i];
    t.nodes[i].name = n.name;
    t.nodes[i].role = role_of(n.kind);
    if (n.address) t.nodes[i].addresses.push_back(*n.address);
    t.nodes[i].prefix_length = n.prefix_length;
    t.nodes[i].mac = n.mac;
  }
  for (const auto& l : u.links) {
    models::TopologyLink link{.a = static_cast<std::uint32_t>(l.a),
                              .b = static_cast<std::uint32_t>(l.b),
                              .port_a = static_cast<std::uint16_t>(t.interfaces[l.a].size()),
                              .weight = l.weight};
    t.interfaces[l.a].push_back({.mac = u.nodes[l.a].mac});
    link.port_b = static_cast<std::uint16_t>(t.interfaces[l.b].size());
    t.interfaces[l.b].push_back({.mac = u.nodes[l.b].mac});
    t.links.push_back(link);
  }
  for (std::size_t i = 0; i < u.nodes.size(); ++i)
    for (const auto& interface : u.nodes[i].interfaces)
      t.interfaces[i][port_index(i, interface.link)].addresses.push_back(
          {interface.address, interface.prefix_length});
}

std::uint16_t World::port_index(std::size_t node, std::size_t link) const {
  const auto& l = topology_->links[link];
  return l.a == node ? l.port_a : l.port_b;
}

models::Port& World::port(std::size_t node, std::size_t link) {
  return nodes_[node]->ports[port_index(node, link)];
}

Result<> World::build_nodes(const WorldOptions& options) {
  const auto& u = scenario_.underlay;
  const auto& o = scenario_.overlay;
  const bool may_see_damage = std::any_of(u.links.begin(), u.links.end(), [](const LinkSpec& l) {
    return l.corruption.ppb > 0 && l.corruption_undetected;
  });

  models::Faults in_models;
  datapath::Faults in_datapath;
  const bool in_switch = in_datapath.set(options.plant);
  if (!options.plant.empty()) {
    if (!in_switch && !in_models.set(options.plant) && !planted_in_control_.set(options.plant))
      return Error{fmt::format("there is no fault '{}' to plant", options.plant),
                   {},
                   "weft mutate lists them"};
  }

  std::map<EndpointRef, models::GuestConfig> guests;
  build_guests(guests);
  for (auto& [endpoint, guest] : guests) {
    guest.net.tcp.ecn = scenario_.tcp.ecn;
    guest.net.tcp.ignore_gaps = in_models.tcp_ignores_gaps;
    // Damage that no checksum notices (zero over VXLAN, two flips that cancel) may arrive.
    guest.check_integrity = !may_see_damage;
  }
  const auto load = estimate_load(scenario_, options.end.value_or(scenario_.duration));
  std::vector<std::vector<std::size_t>> links_of(u.nodes.size());
  for (std::size_t l = 0; l < u.links.size(); ++l) {
    links_of[u.links[l].a].push_back(l);
    if (u.links[l].b != u.links[l].a) links_of[u.links[l].b].push_back(l);
  }
  struct Tenancy {
    std::size_t tenant, vm;
    std::uint32_t index;  // over all VMs
  };
  std::vector<std::vector<Tenancy>> vms_on(u.nodes.size());
  std::uint32_t vm_index = 0;
  for (std::size_t t = 0; t < scenario_.tenants.size(); ++t)
    for (std::size_t v = 0; v < scenario_.tenants[t].vms.size(); ++v)
      vms_on[scenario_.tenants[t].vms[v].host].push_back({t, v, vm_index++});

  for (std::size_t i = 0; i < u.nodes.size(); ++i) {
    const auto& spec = u.nodes[i];
    models::Node node(spec.name, static_cast<std::uint32_t>(i), *pools_);
    node.check = options.check;
    node.may_see_damage = may_see_damage;
    node.tracer = options.tracer;
    node.faults = in_models;
    for (const std::size_t l : links_of[i]) {
      const auto& link = u.links[l];
      models::Port p;
      p.config = {.name = port_name(u, i, l),
                  .link = static_cast<std::uint32_t>(l),
                  .rate = link.rate,
                  .delay = link.delay,
                  .queue_bytes = link.queue.bytes,
                  .ecn_min = link.ecn ? link.ecn->min.bytes : 0,
                  .ecn_max = link.ecn ? link.ecn->max.bytes : 0,
                  .mtu = link.mtu,
                  .framing = link.framing,
                  .loss_ppb = link.loss.ppb,
                  .corruption_ppb = link.corruption.ppb,
                  .corruption_undetected = link.corruption_undetected,
                  .mac = spec.mac};
      p.prepare(options.seed);
      node.ports.push_back(std::move(p));
    }
    // Expected share of the work, for the partition over threads.
    const double weight = load[i];
    std::unique_ptr<models::Device> device;
    models::Hypervisor* hypervisor = nullptr;
    models::Host* host = nullptr;
    const models::Router* router = nullptr;
    switch (spec.kind) {
      case NodeKind::router: {
        auto made = std::make_unique<models::Router>(
            std::move(node), topology_, hash_string(spec.name, options.seed), u.hash_gre_key);
        router = made.get();
        device = std::move(made);
        break;
      }
      case NodeKind::bridge:
      case NodeKind::hub:
        device = std::make_unique<models::Bridge>(std::move(node), spec.kind == NodeKind::bridge);
        break;
      case NodeKind::host: {
        if (o.control.attach == i) {
          auto made = std::make_unique<models::ControllerHost>(
              std::move(node), models::Guest(std::move(guests.at(EndpointRef{{}, i}))));
          controller_host_ = made.get();
          device = std::move(made);
          break;
        }
        auto made = std::make_unique<models::Host>(
            std::move(node), models::Guest(std::move(guests.at(EndpointRef{{}, i}))));
        host = made.get();
        device = std::move(made);
        break;
      }
      case NodeKind::hypervisor: {
        models::HypervisorConfig config;
        config.vtep = vtep_of(scenario_, i);
        const std::uint32_t mtu = config.vtep.underlay_mtu;
        const auto [tunnel, tunnel_type] = tunnel_of(o.encapsulation);
        config.tunnel = tunnel;
        config.caches = o.caches;
        config.connections = o.connections;
        config.rules = o.rules;
        config.agent = {.hypervisor = spec.name,
                        .vtep = config.vtep.address,
                        .tunnel_port = models::kTunnelPort.value,
                        .tunnel = tunnel_type,
                        .style = o.control.style == ControlStyle::central ? control::Style::central
                                                                          : control::Style::hybrid};
        config.agent.faults = planted_in_control_;
        config.own_stack.name = spec.name;
        config.own_stack.mac = spec.mac;
        config.own_stack.mtu = mtu;
        config.own_stack.tcp.ecn = scenario_.tcp.ecn;
        if (spec.address) config.own_stack.addresses.push_back({*spec.address, spec.prefix_length});
        if (spec.gateway) {
          (spec.gateway->is6 ? config.own_stack.gateway6 : config.own_stack.gateway4) =
              *spec.gateway;
          config.gateway = *spec.gateway;
        }
        config.gateway_mac = config.vtep.next_hop;
        // In band nobody knows the latency beforehand: some round trips of any fabric of one site.
        const Duration latency = o.control.in_band ? milliseconds(2) : o.control.latency;
        config.boot_delay = latency * 2 + milliseconds(1);
        config.boot_limit = latency * 10 + seconds(5);
        config.hash_seed = hash_string(spec.name, options.seed);
        auto made = std::make_unique<models::Hypervisor>(std::move(node), std::move(config), plan_);
        hypervisor = made.get();
        for (const auto& [t, v, index] : vms_on[i]) {
          const auto& vm = scenario_.tenants[t].vms[v];
          made->place(
              {.name = vm.name,
               .index = index,
               .tenant = static_cast<std::uint32_t>(t + 1),
               .memory_bytes = vm.memory.bytes,
               .dirty_bytes_per_second = vm.dirty_per_second.bytes,
               .guest = std::make_unique<models::Guest>(std::move(guests.at(EndpointRef{t, v})))});
        }
        if (in_switch) WEFT_CHECK(made->pipeline().plant(options.plant).ok());
        device = std::move(made);
        break;
      }
    }
    nodes_.push_back(&device->node());
    hypervisors_.push_back(hypervisor);
    hosts_.push_back(host);
    routers_.push_back(router);
    const auto lp = engine_->add(spec.name, std::move(device), weight);
    WEFT_CHECK(lp.value == i);
    if (hypervisor != nullptr || host != nullptr)
      engine_->post(lp, Time{}, sim::EventClass::command, models::kStart, 0, 0);
  }
  return {};
}

Result<> World::build_links() {
  const auto& u = scenario_.underlay;
  for (std::size_t l = 0; l < u.links.size(); ++l) {
    const auto& link = u.links[l];
    const auto& ends = topology_->links[l];
    for (const bool forward : {true, false}) {
      const std::uint32_t from = forward ? ends.a : ends.b, to = forward ? ends.b : ends.a;
      models::Port& p = nodes_[from]->ports[forward ? ends.port_a : ends.port_b];
      // Lookahead: the delay plus the serialisation of the smallest frame.
      auto channel =
          engine_->connect(sim::LpId{from}, sim::LpId{to}, p.config.delay + Duration{p.wire_ps(0)});
      if (!channel.ok()) {
        Error e = channel.error();
        e.place = link.place;
        return e;
      }
      p.channel = *channel;
      p.peer_port = forward ? ends.port_b : ends.port_a;
    }
  }
  return {};
}

std::string World::network_name(std::size_t tenant, std::size_t network) const {
  const auto& t = scenario_.tenants[tenant];
  return t.name + "/" + t.networks[network].name;
}

std::string World::endpoint_name(const EndpointRef& e) const {
  return e.tenant ? scenario_.tenants[*e.tenant].vms[e.index].name
                  : scenario_.underlay.nodes[e.index].name;
}

// --- guests
// ------------------------------------------------------------------------------------------

namespace {

/// The gateway of a network: the address of its router, if it has one.
IpAddress gateway_of(const TenantSpec& tenant, std::size_t network, bool is6) {
  for (const auto& router : tenant.routers)
    for (const std::size_t n : router.networks)
      if (n == network)
        for (const auto& subnet : tenant.networks[n].subnets)
          if (subnet.address.is6 == is6) return router_address(subnet);
  return is6 ? IpAddress{Ip6{}} : IpAddress{Ip4{}};
}

models::AppKind app_kind(TrafficKind kind) {
  switch (kind) {
    case TrafficKind::ping:
      return models::AppKind::ping;
    case TrafficKind::udp:
      return models::AppKind::udp;
    case TrafficKind::bulk:
      return models::AppKind::bulk;
    case TrafficKind::rpc:
      return models::AppKind::rpc;
    case TrafficKind::scan:
      return models::AppKind::scan;
  }
  return models::AppKind::ping;
}

}  // namespace

void World::build_guests(std::map<EndpointRef, models::GuestConfig>& guests) {
  const auto& u = scenario_.underlay;
  std::vector<std::uint32_t> mtu_of(u.nodes.size(), 9000);
  for (const auto& l : u.links) mtu_of[l.a] = mtu_of[l.b] = l.mtu;
  for (std::size_t i = 0; i < u.nodes.size(); ++i) {
    if (u.nodes[i].kind != NodeKind::host) continue;
    const auto& n = u.nodes[i];
    auto& g = guests[EndpointRef{{}, i}];
    g.net.name = n.name;
    g.net.mac = n.mac;
    g.net.mtu = mtu_of[i];
    if (n.address) g.net.addresses.push_back({*n.address, n.prefix_length});
    if (n.gateway) (n.gateway->is6 ? g.net.gateway6 : g.net.gateway4) = *n.gateway;
  }
  for (std::size_t t = 0; t < scenario_.tenants.size(); ++t) {
    const auto& tenant = scenario_.tenants[t];
    for (std::size_t v = 0; v < tenant.vms.size(); ++v) {
      const auto& vm = tenant.vms[v];
      auto& g = guests[EndpointRef{t, v}];
      g.net.name = vm.name;
      g.net.mac = vm.mac;
      g.net.mtu = tenant.networks[vm.network].mtu;
      const auto& subnets = tenant.networks[vm.network].subnets;
      for (std::size_t k = 0; k < vm.addresses.size(); ++k)
        g.net.addresses.push_back({vm.addresses[k], k < subnets.size() ? subnets[k].length : 32});
      for (const auto& [alias, length] : vm.aliases) g.net.addresses.push_back({alias, length});
      g.net.gateway4 = gateway_of(tenant, vm.network, false);
      g.net.gateway6 = gateway_of(tenant, vm.network, true);
    }
  }
  auto address_of = [&](const EndpointRef& e, bool is6) {
    const auto& addresses = guests.at(e).net.addresses;
    for (const auto& a : addresses)
      if (a.address.is6 == is6) return a.address;
    WEFT_CHECK(false, "{} has no {} address", endpoint_name(e), is6 ? "IPv6" : "IPv4");
  };
  for (std::size_t i = 0; i < scenario_.traffic.size(); ++i) {
    const auto& spec = scenario_.traffic[i];
    for (std::size_t p = 0; p < spec.pairs.size(); ++p) {
      const auto& pair = spec.pairs[p];
      models::ClientConfig c;
      c.traffic = static_cast<std::uint32_t>(i);
      c.pair = static_cast<std::uint32_t>(p);
      c.kind = app_kind(spec.kind);
      c.name =
          "traffic/" + spec.name + "/" + endpoint_name(pair.from) + "/" + endpoint_name(pair.to);
      c.remote = address_of(pair.to, spec.ipv6);
      c.port = spec.port;
      c.start = spec.start;
      c.stop = std::min(spec.stop, Time{} + scenario_.duration);
      c.warmup = spec.warmup;
      c.interval = spec.interval;
      c.count = spec.count;
      c.rate = spec.rate;
      c.size = spec.size.bytes;
      c.poisson = spec.poisson;
      c.repeat = spec.repeat;
      c.request = static_cast<std::uint32_t>(spec.request.bytes);
      c.response = static_cast<std::uint32_t>(spec.response.bytes);
      c.frequency = spec.frequency;
      c.reconnect = spec.reconnect;
      c.sessions = spec.sessions;
      if (spec.reconnect)
        for (const auto& a : guests.at(pair.to).net.addresses)
          if (a.address.is6 == spec.ipv6 && a.address != c.remote)
            c.more_remotes.push_back(a.address);
      c.scan_first = spec.scan_first;
      c.scan_last = spec.scan_last;
      c.scan_fragments = spec.scan_fragments;
      guests.at(pair.from).clients.push_back(std::move(c));
      if (spec.kind == TrafficKind::ping || spec.kind == TrafficKind::scan) continue;
      models::PeerConfig peer;
      peer.traffic = static_cast<std::uint32_t>(i);
      peer.pair = static_cast<std::uint32_t>(p);
      peer.kind = app_kind(spec.kind);
      peer.port = spec.port;
      peer.client = address_of(pair.from, spec.ipv6);
      peer.size = spec.size.bytes;
      peer.request = static_cast<std::uint32_t>(spec.request.bytes);
      peer.response = static_cast<std::uint32_t>(spec.response.bytes);
      peer.count_from = spec.start + spec.warmup;
      for (unsigned n = 0; n < spec.sessions; ++n) {
        peer.port = static_cast<std::uint16_t>(spec.port + n);
        guests.at(pair.to).peers.push_back(peer);
      }
    }
  }
}

}  // namespace weft::scenarios
