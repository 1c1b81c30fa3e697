#include "scenarios/run/trace_world.h"

#include <fmt/format.h>

#include <map>

#include "base/hash.h"
#include "base/units.h"
#include "datapath/conntrack.h"
#include "models/hypervisor.h"
#include "models/router.h"
#include "scenarios/run/endpoint.h"
#include "scenarios/run/world.h"

namespace weft::scenarios {
namespace {

using analysis::NetworkView;
using analysis::Switches;

/// "three-tier.yaml:38"
std::string place_text(const Scenario& scenario, const Place& place) {
  if (place.line == 0) return {};
  const std::string& file = place.file.empty() ? scenario.file : place.file;
  return fmt::format("{}:{}", file.substr(file.find_last_of('/') + 1), place.line);
}

/// All but the desired state, as it is before anything has run.
NetworkView view_of(const Scenario& scenario, const std::vector<PolicyOrigin>& origins) {
  NetworkView view;
  const UnderlaySpec& u = scenario.underlay;
  std::tie(view.tunnel, view.tunnel_type) = tunnel_of(scenario.overlay.encapsulation);
  view.rules = scenario.overlay.rules;
  std::map<std::size_t, std::size_t> by_node;
  for (std::size_t i = 0; i < u.nodes.size(); ++i) {
    if (u.nodes[i].kind != NodeKind::hypervisor) continue;
    by_node.emplace(i, view.hypervisors.size());
    view.hypervisors.push_back({.name = u.nodes[i].name,
                                .vtep = vtep_of(scenario, i),
                                .hash_seed = hash_string(u.nodes[i].name, scenario.seed),
                                .node = static_cast<std::uint32_t>(i)});
  }
  for (const TenantSpec& tenant : scenario.tenants)
    for (const VmSpec& vm : tenant.vms) {
      view.hypervisors[by_node.at(vm.host)].ports.push_back(vm.name);
      for (const auto& [alias, length] : vm.aliases) view.aliases[vm.name].push_back(alias);
    }
  analysis::UnderlayView& underlay = view.underlay.emplace();
  underlay.topology = World::topology_of(scenario);
  underlay.hash_gre_key = u.hash_gre_key;
  for (const LinkSpec& link : u.links) {
    underlay.links.push_back(link.name);
    underlay.mtu.push_back(link.mtu);
  }
  for (const NodeSpec& node : u.nodes)
    underlay.ecmp_seeds.push_back(hash_string(node.name, scenario.seed));
  for (std::size_t i = 0; i < origins.size(); ++i)
    view.origins[i + 1] = {origins[i].rule, place_text(scenario, origins[i].place)};
  return view;
}

Result<> has_ports(const Scenario& scenario) {
  for (const TenantSpec& tenant : scenario.tenants)
    if (!tenant.vms.empty()) return {};
  return Error{"there is no VM in " + scenario.file,
               {},
               "weft trace follows packets of VMs; a network of plain hosts has no virtual switch"};
}

/// A world that has been run to a time; it stands still from then on.
class SwitchesOfWorld final : public Switches {
 public:
  SwitchesOfWorld(std::unique_ptr<World> world, const NetworkView& view, Time now)
      : world_(std::move(world)), now_(now), pool_(arena_) {
    for (const auto& h : view.hypervisors) nodes_.push_back(*h.node);
    for (std::size_t h = 0; h < nodes_.size(); ++h) {
      const auto* hypervisor = world_->hypervisor(nodes_[h]);
      for (const auto& port : hypervisor->pipeline().ports()) {
        if (port.kind != datapath::PortKind::vm) continue;
        const Seat seat{h, port.number};
        const auto [known, fresh] = seats_.try_emplace(port.name, seat);
        // While it moves, its old place has a port as well.
        if (!fresh && hypervisor->runs(port.name)) known->second = seat;
      }
    }
  }

  std::optional<Seat> seat_of(const std::string& port) const override {
    const auto found = seats_.find(port);
    if (found == seats_.end()) return std::nullopt;
    return found->second;
  }
  std::string port_at(const Seat& seat) const override {
    for (const auto& port : pipeline(seat).ports())
      if (port.number == seat.port && port.kind == datapath::PortKind::vm) return port.name;
    return {};
  }
  std::optional<DropReason> refusal_at(const Seat& seat) const override {
    if (world_->hypervisor(nodes_[seat.hypervisor])->runs(port_at(seat))) return std::nullopt;
    return DropReason::vm_paused;
  }
  datapath::TraceResult trace(const Seat& seat, const Packet& packet,
                              const datapath::TraceOptions& options) override {
    return pipeline(seat).trace_packet(packet, seat.port, now_, options);
  }
  std::optional<Conversation> conversation(const Seat& seat,
                                           const datapath::FlowKey& packet) const override {
    namespace place = datapath::place;
    const auto& connections =
        world_->hypervisor(nodes_[seat.hypervisor])->pipeline().connection_tracking();
    const std::uint16_t zone = control::zone_of(seat.port.value);
    datapath::CtTuple tuple;
    tuple.src = packet.get128(place::ip_src);
    tuple.dst = packet.get128(place::ip_dst);
    tuple.is6 = packet.is_ip6();
    tuple.protocol = static_cast<std::uint8_t>(packet.get(place::nw_proto));
    Conversation out;
    if (tuple.protocol == 6) {
      tuple.src_port = static_cast<std::uint16_t>(packet.get(place::tp_src));
      tuple.dst_port = static_cast<std::uint16_t>(packet.get(place::tp_dst));
      const auto known = connections.find(tuple, zone, now_);
      if (!known) return std::nullopt;
      const int me = known->original == tuple ? 0 : 1;
      out.sequence = known->windows.end[me];
      out.acknowledgement = known->windows.end[1 - me];
      return out;
    }
    // An echo reply answers a request that is known: its identifier is no field.
    const bool reply = packet.get(place::tp_src) == (tuple.is6 ? 129u : 0u);
    if (!reply || tuple.protocol != (tuple.is6 ? 58 : 1)) return std::nullopt;
    for (const auto& c : connections.connections(zone, now_)) {
      if (c.original.src != tuple.dst || c.original.dst != tuple.src ||
          c.original.protocol != tuple.protocol)
        continue;
      out.echo_id = c.original.src_port;
      return out;
    }
    return std::nullopt;
  }
  PacketPool& pool() override { return pool_; }

 private:
  const datapath::Pipeline& pipeline(const Seat& seat) const {
    return world_->hypervisor(nodes_[seat.hypervisor])->pipeline();
  }

  std::unique_ptr<World> world_;
  Time now_;
  PacketArena arena_;
  PacketPool pool_;
  std::vector<std::size_t> nodes_;  // of hypervisors
  std::map<std::string, Seat> seats_;
};

}  // namespace

Result<TraceTarget> trace_at_rest(const Scenario& scenario) {
  if (auto some = has_ports(scenario); !some) return some.error();
  auto [transaction, origins] = World::desired_by(scenario);
  auto view = std::make_shared<NetworkView>(view_of(scenario, origins));
  if (auto applied = view->intent.apply(transaction); !applied) return applied.error();
  auto switches = switches_at_rest(*view);
  return TraceTarget{std::move(view), std::move(switches)};
}

Result<TraceTarget> trace_at_rest(const imports::Imported& network) {
  auto view = std::make_shared<NetworkView>();
  view->intent = network.intent();
  view->hypervisors =
      analysis::hypervisors_of(network.placement.ports, {}, network.placement.hypervisors);
  if (view->intent.ports().empty())
    return Error{"there is no port in " + network.file, {}, "weft trace follows packets of ports"};
  for (const auto& [cookie, origin] : network.origins)
    view->origins[cookie] = {origin.name, origin.text()};
  auto switches = switches_at_rest(*view);
  return TraceTarget{std::move(view), std::move(switches)};
}

Result<TraceTarget> trace_at(const Scenario& scenario, Time at, unsigned threads) {
  if (auto some = has_ports(scenario); !some) return some.error();
  if (at > Time{} + scenario.duration)
    return Error{fmt::format("--at {} is beyond the scenario's duration of {}", format_time(at),
                             format_duration(scenario.duration)),
                 {},
                 "--set duration=... makes a scenario longer"};
  auto built = World::build(scenario, {.seed = scenario.seed, .threads = threads});
  if (!built) return built.error();
  std::unique_ptr<World> world = std::move(built).value();
  world->run(at);
  auto [transaction, initial] = World::desired_by(scenario);
  std::vector<PolicyOrigin> origins;
  for (std::uint64_t cookie = 1; world->origin_of(cookie) != nullptr; ++cookie)
    origins.push_back(*world->origin_of(cookie));
  auto view = std::make_shared<NetworkView>(view_of(scenario, origins));
  if (const control::Intent* now = world->intent()) {
    view->intent = *now;
  } else if (auto applied = view->intent.apply(transaction); !applied) {
    return applied.error();
  }
  analysis::UnderlayView& underlay = *view->underlay;
  const auto& links = scenario.underlay.links;
  for (std::size_t i = 0; i < world->topology().nodes.size(); ++i) {
    underlay.node_down.push_back(!world->node(i).up);
    if (const auto* router = world->router(i))
      underlay.routes[static_cast<std::uint32_t>(i)] = router->routes();
  }
  for (std::size_t l = 0; l < links.size(); ++l)
    underlay.link_down.push_back(!world->port(links[l].a, l).up || !world->port(links[l].b, l).up);
  auto switches = std::make_unique<SwitchesOfWorld>(std::move(world), *view, at);
  return TraceTarget{std::move(view), std::move(switches)};
}

}  // namespace weft::scenarios
