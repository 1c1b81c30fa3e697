// Specification: a scenario as a value. The loader (scenarios/loader) turns YAML into it with every
// default filled in and every name resolved; binding (scenarios/run) turns it into a running world;
// check, ls, topo, swarm and the oracle read it and stop before that. Nothing here runs.
//
// Every named thing keeps the place (file, line, column) it was written at, so that whatever goes
// wrong later - a refused migration, a drop by a policy rule, a failed expectation - can point to
// it.
//
// Names: hosts `hv-LEAF-N`, leaves `leaf-N`, spines `spine-N` (all from 1), links `A--B` (leaf
// before spine, switch before host, else as written), ports `NODE.PEER` except a host's only link,
// which is `HOST.uplink`; VMs `TENANT/GROUP-N` (group of count 1 too: `shop/db-1`).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/net_types.h"
#include "base/result.h"
#include "base/time.h"
#include "base/units.h"
#include "datapath/cache_options.h"
#include "datapath/conntrack_options.h"
#include "datapath/tunnel/endpoint.h"
#include "datapath/tunnel/receiver.h"

namespace weft::scenarios {

// --- underlay ------------------------------------------------------------------------------------

enum class NodeKind : std::uint8_t {
  router,      ///< an IP switch: leaf, spine, or `kind: router`
  bridge,      ///< an Ethernet switch that learns (`kind: switch`)
  hub,         ///< repeats every frame to all other ports
  host,        ///< a plain machine with an IP stack and no vSwitch
  hypervisor,  ///< a machine with a vSwitch and VMs
};

/// A router's address on one of its links, with the prefix length of the network on that link.
struct InterfaceSpec {
  std::size_t link = 0;  ///< index into UnderlaySpec::links
  IpAddress address{};
  int prefix_length = 0;
};

/// Addresses that are not written are filled in by the loader:
///  - leaf-spine: leaf L owns 172.16.L.0/24 (fd00:0:0:L::/64); host N of it is 172.16.L.N, and the
///    leaf itself the last address, 172.16.L.254, on every host link. More than 237 hosts per leaf
///    take a shorter prefix, more than 172.16/12 holds goes to 10/8. Spine S: 172.16.0.S/32.
///  - elsewhere: each broadcast domain (hosts joined by switches, hubs and links) with a host in it
///    is a subnet, 192.168.K.0/24 (fd01:0:0:K::/64): hosts .1, .2, ..., routers .254 downwards.
///    Routers without any have a loopback 172.16.0.N/32.
struct NodeSpec {
  std::string name;
  NodeKind kind = NodeKind::router;
  /// Host, hypervisor: its underlay address and the network's prefix length. Router: where its
  /// ICMP comes from (a leaf: the gateway address; else the first interface or a loopback).
  /// Switch, hub: none.
  std::optional<IpAddress> address;
  int prefix_length = 0;
  std::optional<IpAddress> gateway;       ///< host, hypervisor: a router of its subnet, if any
  std::vector<InterfaceSpec> interfaces;  ///< router: one per link that leads to a subnet of hosts
  Mac mac{};                        ///< host, hypervisor: of its uplink; router: of all its ports
  std::optional<std::size_t> leaf;  ///< leaf-spine: index of the leaf node it hangs on
  std::optional<ByteCount> memory;  ///< capacity of a hypervisor for VMs; none: unlimited
  Place place;
};

struct EcnSpec {
  ByteCount min{};
  ByteCount max{};
};

struct LinkSpec {
  std::string name;          ///< "leaf-1--spine-2"
  std::size_t a = 0, b = 0;  ///< node indices
  BitRate rate{10'000'000'000};
  Duration delay = microseconds(1);
  ByteCount queue{1'000'000};  ///< per direction, at the sender
  std::optional<EcnSpec> ecn;
  std::uint32_t mtu = 9000;  ///< bytes of IP packet
  Probability loss{};
  Probability corruption{};  ///< detected by the FCS unless `corruption_undetected`
  bool corruption_undetected = false;
  /// Bytes added to each frame on the wire: FCS 4 + preamble 8 + gap 12.
  std::uint32_t framing = 24;
  int weight = 1;  ///< routing metric
  /// Another link joins the same two nodes: the ports are named after the link, not the neighbour.
  bool parallel = false;
  Place place;
};

struct UnderlaySpec {
  std::vector<NodeSpec> nodes;
  std::vector<LinkSpec> links;
  bool ipv6 = false;                       ///< family of the underlay's addresses
  Duration convergence = milliseconds(1);  ///< from a failure (or repair) to new routes everywhere
  bool hash_gre_key = false;               ///< switches spread GRE by its key as well (ECMP)
  bool leaf_spine = false;
  std::uint32_t spines = 0, leaves = 0, hosts_per_leaf = 0;
  Place place;
};

// --- overlay and control
// --------------------------------------------------------------------------

enum class Encapsulation : std::uint8_t { vxlan, geneve, nvgre, stt, gre, otv };
enum class ControlStyle : std::uint8_t { hybrid, central };

struct ControlSpec {
  ControlStyle style = ControlStyle::hybrid;
  std::uint32_t controllers = 1;
  Duration latency = microseconds(200);
  Probability loss{};
  std::optional<BitRate> bandwidth;  ///< per controller-hypervisor channel; none: unlimited
  bool in_band = false;              ///< `through: fabric`
  /// In band: index of the node `controller-1`; `controller-2` ... follow it. They are nodes of
  /// kind host with one link to the switch named by `attach:` (default: the first leaf).
  std::optional<std::size_t> attach;
  Place place;
};

/// What RFCs leave to the endpoints of tunnels.
struct EndpointSpec {
  datapath::EncapChoices sends;
  datapath::ReceiverOptions receiver;
};

/// Connections that one VM's port may have at once, unless the scenario says otherwise.
inline constexpr std::uint32_t kConnectionsPerPort = 65536;

struct OverlaySpec {
  Encapsulation encapsulation = Encapsulation::geneve;
  ControlSpec control;
  datapath::CacheOptions caches;
  datapath::CtOptions connections{.zone_limit = kConnectionsPerPort};
  EndpointSpec endpoint;
  /// Rules of every virtual switch, in ovs-ofctl's syntax; with them there is no control plane.
  std::vector<std::string> rules;
  Place place;
};

/// TCP of every guest, host and hypervisor.
struct TcpSpec {
  bool ecn = true;  ///< ask for and grant ECN (RFC 3168)
};

// --- tenants
// ---------------------------------------------------------------------------------------

struct NetworkSpec {
  std::string name;
  std::vector<Prefix> subnets;  ///< at most one IPv4 and one IPv6
  std::uint32_t mtu = 1500;     ///< guests' MTU
  std::uint32_t vni = 0;        ///< 24 bits, unique over the scenario
  Place place;
};

struct RouterSpec {
  std::string name;
  std::vector<std::size_t> networks;  ///< indices; the router has the first host address in each
  Mac mac{};
  Place place;
};

struct VmSpec {
  std::string name;         ///< "shop/web-1"
  std::size_t group = 0;    ///< index within the tenant
  std::size_t network = 0;  ///< index within the tenant
  std::size_t host = 0;     ///< node index of its first hypervisor
  Mac mac{};
  std::vector<IpAddress> addresses;  ///< one per subnet of its network, in that order
  /// Further ones with their subnets' lengths, of which the control plane knows nothing.
  std::vector<std::pair<IpAddress, int>> aliases;
  ByteCount memory{1ULL << 30};
  ByteCount dirty_per_second{0};
  Place place;
};

struct GroupSpec {
  std::string name;
  std::size_t network = 0;
  std::vector<std::size_t> vms;  ///< indices into TenantSpec::vms
  Place place;
};

enum class Protocol : std::uint8_t { any, icmp, tcp, udp };

struct PortRange {
  std::uint16_t first = 0, last = 65535;
};

/// Who: a group, a single VM, a network, a prefix outside, or anyone of the tenant.
struct PeerSpec {
  enum class Kind : std::uint8_t { any, group, vm, network, prefix } kind = Kind::any;
  std::size_t index = 0;
  Prefix prefix{};
};

struct PolicyRuleSpec {
  std::string name;
  bool allow = true;
  int priority = 100;  ///< higher first; deny beats allow at equal priority
  PeerSpec from, to;
  Protocol protocol = Protocol::any;
  std::vector<PortRange> ports;  ///< destination ports; empty: all
  Place place;
};

struct PolicySpec {
  bool default_allow = false;
  std::vector<PolicyRuleSpec> rules;
  Place place;
  Place default_place;
};

struct TenantSpec {
  std::string name;
  std::vector<NetworkSpec> networks;
  std::vector<RouterSpec> routers;
  std::vector<GroupSpec> groups;
  std::vector<VmSpec> vms;
  std::optional<PolicySpec> policy;  ///< none: everything within the tenant is allowed
  Place place;
};

// --- traffic
// ---------------------------------------------------------------------------------------

/// A traffic source or sink: a VM (tenant, index) or a plain host (node index).
struct EndpointRef {
  std::optional<std::size_t> tenant;  ///< none: `index` is a node
  std::size_t index = 0;
  auto operator<=>(const EndpointRef&) const = default;
};

struct PairSpec {
  EndpointRef from, to;
};

enum class TrafficKind : std::uint8_t { ping, udp, bulk, rpc, scan };

/// Rates and sizes are already per pair here: `rate_per: source|total` has been divided out.
struct TrafficSpec {
  std::string name;
  TrafficKind kind = TrafficKind::ping;
  std::vector<PairSpec> pairs;
  bool ipv6 = false;  ///< which family of the endpoints' addresses
  Time start{};
  Time stop = Time::never();  ///< never: the end of the run
  Duration warmup{};          ///< results before start + warmup are not counted
  std::uint16_t port = 0;     ///< destination port (udp, bulk, rpc)
  // ping: interval, size (ICMP data bytes), count 0 = unlimited
  Duration interval = seconds(1);
  std::uint64_t count = 0;
  // udp: rate in bits of IP packet per second, size = UDP payload bytes; poisson or even gaps
  BitRate rate{};
  ByteCount size{56};
  bool poisson = false;
  // bulk: `size` bytes over one connection, closed at the end; `repeat` connections one after
  // another (0: until stop)
  std::uint64_t repeat = 1;
  // rpc: one connection per pair; request and response sizes; open loop at `frequency`. With
  // `reconnect` each request has a connection of its own, to `sessions` ports from `port` on and to
  // all addresses of the server in turn.
  ByteCount request{};
  ByteCount response{};
  Frequency frequency{};
  bool reconnect = false;
  std::uint16_t sessions = 1;
  // scan: TCP SYNs to ports [scan_first, scan_last] one every `interval`
  std::uint16_t scan_first = 1, scan_last = 1024;
  bool scan_fragments =
      false;  ///< instead: first fragments of UDP datagrams that never become whole
  Place place;
};

// --- events
// ----------------------------------------------------------------------------------------

enum class MigrationMode : std::uint8_t { pre_copy };

struct MigrateEvent {
  EndpointRef vm;
  std::size_t to = 0;  ///< node index of a hypervisor
  MigrationMode mode = MigrationMode::pre_copy;
  std::optional<BitRate>
      bandwidth;  ///< limit of the memory stream; none: four fifths of the uplink
  Duration max_downtime = milliseconds(10);  ///< stop-and-copy when the rest takes no longer
  std::uint32_t max_rounds = 30;
};
struct FailEvent {
  std::optional<std::size_t> link, node;  ///< exactly one
  std::optional<Duration> duration;       ///< none: for good
};
struct HealEvent {
  std::optional<std::size_t> link, node;
};
struct ControllerEvent {
  std::size_t controller = 0;
  bool stop = true;                  ///< false: start
  std::optional<Duration> duration;  ///< of a stop; none: until a start
};
/// Changes intent while the run goes on.
struct PolicyEvent {
  std::size_t tenant = 0;
  std::vector<PolicyRuleSpec> add;
  std::vector<std::string> remove;  ///< rule names
};

/// Any change of the desired state, as the intent API takes it (control/intent_json.h).
struct IntentEvent {
  std::string transaction;  ///< JSON
};

struct EventSpec {
  std::string name;        ///< given, or "event-N"
  std::optional<Time> at;  ///< exactly one of at / after
  struct After {
    std::size_t event = 0;  ///< index into events: always a migration (`after` another
                            ///< event has been resolved to a time or to its migration)
    std::string phase;      ///< round-N, stop-and-copy, resume, done
    Duration delay{};
  };
  std::optional<After> after;
  std::optional<MigrateEvent> migrate;  // exactly one of these
  std::optional<FailEvent> fail;
  std::optional<HealEvent> heal;
  std::optional<ControllerEvent> controller;
  std::optional<PolicyEvent> policy;
  std::optional<IntentEvent> intent;
  Place place;
};

// --- captures and expectations
// -----------------------------------------------------------------------

struct CaptureSpec {
  std::string point;  ///< "hv-1-1.uplink", "shop/web-1", "leaf-1.spine-2", or "drops"
  std::size_t node = 0;
  std::optional<std::size_t> link;  ///< a link end; else a VM's port
  std::optional<EndpointRef> vm;    ///< neither link nor vm: `drops`, every dropped packet
  std::string filter;               ///< libpcap syntax; empty: all
  Place place;
};

/// Closed interval; either end may be absent. `delivered: 0` is {0, 0}.
struct Bounds {
  std::optional<std::int64_t> min, max;  ///< in the unit of the measure: ps, count, ppm, bytes, bps
  Place place;
};

struct ExpectSpec {
  enum class Subject : std::uint8_t {
    migration,
    traffic,
    link,
    caches,
    drops,
    controller
  } subject{};
  std::size_t index = 0;            ///< event / traffic / link index
  std::optional<std::size_t> node;  ///< caches: one hypervisor; none: all together
  /// measure name -> bounds. migration: downtime(ps) rounds(count) bytes packets_lost
  /// total_time(ps); traffic: sent delivered lost duplicated connections connections_lost completed
  /// retransmits (counts), p50 p90 p99 p999 mean max (ps), goodput(bps), delivered_ratio(ppm);
  /// link: utilisation(ppm) drops ecn_marks peak_queue(bytes); caches: hit_ratio(ppm) megaflows
  /// masks slow_path; drops: count; controller: messages resyncs.
  std::vector<std::pair<std::string, Bounds>> measures;
  std::optional<std::string>
      dropped_by;                     ///< "policy.default", "policy.RULE" or a drop reason's name
  std::optional<std::string> reason;  ///< drops: which reason; none: all
  std::optional<Time> from, to;       ///< window
  std::optional<std::size_t> during;  ///< event index: from its start to its end
  Place place;
};

/// Connections that no change may ever open; `weft verify` says whether one does.
struct NeverSpec {
  std::vector<EndpointRef> from, to;  ///< VMs
  std::string from_text, to_text;     ///< as written: "shop/web", "any"
  Protocol protocol = Protocol::any;
  std::vector<PortRange> ports;  ///< destination ports, as packets arrive; empty: all
  Place place;
};

struct Scenario {
  std::string name;
  std::string description;
  std::string file;   ///< as given
  std::string text;   ///< the source, verbatim
  std::string graph;  ///< the GraphML file that `underlay: {graphml: ...}` names, verbatim
  std::uint64_t seed = 1;
  Duration duration = seconds(1);
  UnderlaySpec underlay;
  OverlaySpec overlay;
  TcpSpec tcp;
  std::vector<TenantSpec> tenants;
  std::vector<TrafficSpec> traffic;
  std::vector<EventSpec> events;
  std::vector<CaptureSpec> captures;
  std::vector<ExpectSpec> expect;
  std::vector<NeverSpec> never;
  std::vector<Error> warnings;  ///< a tunnel that does not fit the MTU, a rule never usable ...
};

/// Parses and resolves. `set` are overrides "path.to.key=value" (`--set`), applied to the YAML
/// before it is read. All errors found are returned, not only the first.
struct LoadResult {
  std::optional<Scenario> scenario;
  std::vector<Error> errors;
};
LoadResult load_scenario(const std::string& path, const std::vector<std::string>& set = {});
LoadResult load_scenario_text(const std::string& text, const std::string& name,
                              const std::vector<std::string>& set = {});

}  // namespace weft::scenarios
