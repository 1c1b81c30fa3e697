// Sections: one reader per section of the language, in the order in which they are read. Each
// fills its part of the Scenario and the names that later sections refer to.
//
// A name that is not there is an error only while its table is whole: if a tenant had errors of its
// own, a VM that is missing may be one of them, and complaining again would bury the cause.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "scenarios/loader/reader.h"
#include "scenarios/spec.h"

namespace weft::scenarios {

/// What one scenario may hold. Beyond, loading stops with the number and the limit.
constexpr std::uint64_t kMaxHosts = 100'000;
constexpr std::uint64_t kMaxSwitches = 20'000;
constexpr std::uint64_t kMaxLinks = 1'000'000;
constexpr std::uint64_t kMaxVms = 1'000'000;
constexpr std::uint64_t kMaxPairs = 2'000'000;
constexpr std::uint64_t kMaxControllers = 16;

using NameTable = std::map<std::string, std::size_t, std::less<>>;

struct Context {
  Diagnostics diag;
  Scenario scenario;
  std::string folder;  ///< that the scenario's file lies in, for files it names

  NameTable nodes;
  NameTable links;  ///< also under the reversed name
  NameTable tenants;
  std::vector<NameTable> networks, groups, vms;  ///< by tenant, short names ("web-1")
  NameTable traffic;
  NameTable events;
  std::vector<Place> event_target_places;  ///< by event: where its object is written

  bool underlay_whole = true, tenants_whole = true, traffic_whole = true, events_whole = true;
};

/// Names of a table in their order, for suggestions.
std::vector<std::string> names_of(const NameTable& table);

void read_underlay(Context& context, const YamlNode* section, const Place& top);
void read_overlay(Context& context, const YamlNode* section);
void read_tenants(Context& context, const YamlNode* section);
void read_traffic(Context& context, const YamlNode* section);
void read_events(Context& context, const YamlNode* section);
void read_captures(Context& context, const YamlNode* section);
void read_expectations(Context& context, const YamlNode* section);
void read_never(Context& context, const YamlNode* section);
/// Warnings that need the whole: tunnels and MTU, rules that never decide.
void look_over(Context& context);

// --- parts that sections share
// ---------------------------------------------------------------------

/// Keys of a link: rate, delay, queue, ecn, mtu, loss, corruption, framing, weight. The caller
/// finishes the reader.
void read_link_keys(Reader& reader, LinkSpec& link);
/// Adds a node or link; an error if its name is taken. Links are named and ordered here.
std::optional<std::size_t> add_node(Context& context, NodeSpec node);
std::optional<std::size_t> add_link(Context& context, LinkSpec link);
/// Gives every node and router interface its address, gateway and MAC.
void assign_underlay_addresses(Context& context);
/// The N-th address of a subnet.
IpAddress host_address(const Prefix& subnet, std::uint64_t n);
/// What `tunnel`s add to a guest's IP packet until it is an underlay IP packet.
std::uint32_t tunnel_overhead(const Scenario& scenario);

std::optional<std::size_t> resolve_node(Context& context, const YamlNode& value,
                                        std::string_view what);
/// A node that is a hypervisor.
std::optional<std::size_t> resolve_hypervisor(Context& context, const YamlNode& value);
std::optional<std::size_t> resolve_link(Context& context, const YamlNode& value);
/// "shop/web-1".
std::optional<EndpointRef> resolve_vm(Context& context, const YamlNode& value);
const VmSpec& vm_of(const Scenario& scenario, const EndpointRef& vm);
std::string endpoint_name(const Scenario& scenario, const EndpointRef& endpoint);
std::vector<std::string> vm_names(const Scenario& scenario);

/// `- {name, allow: {...}}`; used by tenants and by events that change policy.
std::vector<PolicyRuleSpec> read_policy_rules(Context& context, const YamlNode& list,
                                              std::size_t tenant);

/// tcp, udp, icmp, protocol: at most one of them. `one` and `remedy` are the error's words if there
/// are more.
void read_protocol(Reader& reader, const YamlNode& node, const char* one, const char* remedy,
                   Protocol& protocol, std::vector<PortRange>& ports);

}  // namespace weft::scenarios
