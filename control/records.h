// Records: what travels from the controller to agents (and back), by key and value.
//
//   n/DDDDDDD/net            flows of a logical datapath: a network (its VNI in hexadecimal) or a
//                            router (1 and its number)
//   n/DDDDDDD/router/NAME    flows of a router on a network
//   n/DDDDDDD/TABLE/NAME     flows of a row of another table (route, nat, load_balancer, ...) there
//   n/DDDDDDD/port/KKKK      a port of a network: name, MAC and the flows by which others reach it
//   n/DDDDDDD/at/KKKK        where that port is: VTEP and hypervisor
//   n/DDDDDDD/gw/RRRRPPPP    a gateway port: port P of router R, and where it is (gateways.h)
//   q/DDDDDDD/KKKK           flows that only the port's own hypervisor needs
//   q/DDDDDDD/KKKK/...       the same, but only while the port is there
//   g/DDDDDDD/PPPP/...       flows of port P of router D, only where its gateway is
//   a/PROFILE/ACL|SOURCE     flows of one policy rule for one profile and one of its sources
//   a/PROFILE/|default       the profile's default
//   probe                    changes now and then: to see who answers
//   version                  the transaction up to which this is
//   R/TTPPPP/MATCH           style central: a rule (priority stored inverted: high first)
//
//   chassis                  from an agent: VTEP, tunnel port and type
//   port/NAME                from an agent: a local port
//
// What a hypervisor needs is a union of key ranges: datapaths (n/DDDDDDD/), ports (q/...), profiles
// (a/PROFILE/).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "control/agent.h"
#include "control/flow.h"

namespace weft::control {

struct PortPlace {
  std::uint32_t vni = 0;
  std::uint32_t key = 0;
  auto operator<=>(const PortPlace&) const = default;
};

std::string network_range(std::uint32_t vni);      ///< "n/DDDDDDD/"
std::string profile_range(std::uint64_t profile);  ///< "a/PROFILE/"
std::string port_record_key(PortPlace place);
std::string location_key(PortPlace place);
std::string local_record_key(PortPlace place);
std::string rule_record_key(const RuleKey& key);
std::optional<RuleKey> parse_rule_record_key(std::string_view key);

/// A gateway port: the router's key, the number of its port.
struct GatewayId {
  std::uint32_t router = 0;
  std::uint32_t port = 0;
  auto operator<=>(const GatewayId&) const = default;
};
std::string gateway_range(GatewayId id);                             ///< "g/DDDDDDD/PPPP/"
std::string gateway_key(std::uint32_t datapath, GatewayId gateway);  ///< "n/DDDDDDD/gw/RRRRPPPP"

enum class RecordScope : std::uint8_t { network, local_port, profile, gateway, other };
RecordScope scope_of(std::string_view key);
/// n/ and q/ records.
std::uint32_t vni_of(std::string_view key);
/// a/ records.
std::uint64_t profile_of(std::string_view key);
/// port, at and q records.
std::uint32_t port_key_of(std::string_view key);
bool is_port_record(std::string_view key);
bool is_gateway(std::string_view key);
/// gw and g/ records.
GatewayId gateway_of(std::string_view key);
bool is_location(std::string_view key);

struct PortRecord {
  std::string name;
  Mac mac{};
  std::vector<Flow> flows;
  bool external = false;  ///< PortType::external
  bool unknown = false;   ///< takes what is for nobody
};
std::string encode(const PortRecord& record);
std::optional<PortRecord> decode_port_record(std::string_view bytes);

struct LocationRecord {
  IpAddress vtep{};
  std::string hypervisor;
};
std::string encode(const LocationRecord& record);
std::optional<LocationRecord> decode_location(std::string_view bytes);

/// Where a gateway port is, and on which network.
struct GatewayRecord {
  std::uint32_t network = 0;  ///< VNI
  Mac mac{};                  ///< the router port's
  std::string hypervisor{};   ///< empty: no candidate is alive
  IpAddress vtep{};
};
std::string encode(const GatewayRecord& record);
std::optional<GatewayRecord> decode_gateway(std::string_view bytes);

std::string encode(const RuleBody& body);
std::optional<RuleBody> decode_rule_body(std::string_view bytes);

/// From the controller: the number of the transaction that all the rest is of (what a hypervisor
/// has installed is known by it). Only with other changes.
inline constexpr std::string_view kVersionKey = "version";
std::string encode_version(std::uint64_t version);
std::optional<std::uint64_t> decode_version(std::string_view bytes);

/// From the controller to candidates for gateways, so that those who do not answer are known.
inline constexpr std::string_view kProbeKey = "probe";

inline constexpr std::string_view kChassisKey = "chassis";
inline constexpr std::string_view kReportPrefix = "port/";

struct Chassis {
  IpAddress vtep{};
  std::uint32_t tunnel_port = 0;
  TunnelType tunnel = TunnelType::geneve;
  bool operator==(const Chassis&) const = default;
};
std::string encode(const Chassis& chassis);
std::optional<Chassis> decode_chassis(std::string_view bytes);

/// A local port as reported; `up` false: it was here and is not any more.
std::string encode(const LocalPort& port);
std::optional<LocalPort> decode_report(std::string_view name, std::string_view bytes);

}  // namespace weft::control
