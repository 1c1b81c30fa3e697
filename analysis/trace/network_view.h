// NetworkView: what a trace (tracer.h) knows of a network, as a value that a scenario, an imported
// OVN database or a program can make: the desired state, which hypervisor carries which port, and
// where hypervisors are in the underlay. With nothing but `intent`, and `hypervisors` with a name,
// an address and ports each, every question can be answered; the rest makes answers more exact.
//
//   NetworkView view;
//   view.intent = ...;                                        keys and all, as the database has it
//   view.hypervisors = hypervisors_of(placement, addresses);  port -> hypervisor name
//   Tracer tracer(std::make_shared<const NetworkView>(std::move(view)));
//
// Underlay: who gives a topology gets the physical path; without one, tunnels are taken to reach
// the hypervisor that has their destination address.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/agent.h"
#include "control/intent.h"
#include "datapath/pipeline.h"
#include "models/topology.h"

namespace weft::analysis {

struct HypervisorView {
  std::string name;
  datapath::VtepConfig vtep{};  ///< `address` at least
  std::uint64_t hash_seed = 0;  ///< of its switch: chooses tunnels' source ports
  /// Logical ports that it carries; the first is OpenFlow port 1, and so on.
  std::vector<std::string> ports{};
  std::optional<std::uint32_t> node{};  ///< in UnderlayView::topology
};

/// Where a rule of the desired state was written.
struct RuleOrigin {
  std::string name;   ///< as drops name it: "policy.web-to-app"
  std::string place;  ///< "three-tier.yaml:38"; empty: unknown
};

/// The physical network, as it is at the moment of the question.
struct UnderlayView {
  std::shared_ptr<const models::Topology> topology;
  std::vector<std::string> links;         ///< names, in the topology's order
  std::vector<std::uint32_t> mtu;         ///< by link; missing: 9000
  std::vector<std::uint64_t> ecmp_seeds;  ///< by node; of routers
  bool hash_gre_key = false;              ///< as models::Router
  std::vector<bool> link_down{}, node_down{};
  /// What routers believe now, by node; absent: what follows from the topology with all up.
  std::map<std::uint32_t, std::vector<models::Route>> routes{};
};

struct NetworkView {
  control::Intent intent;
  std::vector<HypervisorView> hypervisors;
  datapath::TunnelKind tunnel = datapath::TunnelKind::geneve;
  control::TunnelType tunnel_type = control::TunnelType::geneve;
  /// Rules of every switch, in ovs-ofctl's syntax, instead of what the intent comes to.
  std::vector<std::string> rules{};
  std::optional<UnderlayView> underlay{};
  std::map<std::uint64_t, RuleOrigin> origins{};  ///< by cookie
  /// A network's default gateways, best first; absent: addresses of its routers.
  std::map<std::string, std::vector<IpAddress>> gateways{};
  /// Addresses that a port's guest has and the desired state does not know.
  std::map<std::string, std::vector<IpAddress>> aliases{};
};

/// Hypervisors with their ports from a placement (port -> hypervisor), in the order of names, and
/// `others`, which may carry none. What `addresses` does not name gets one of 192.168.0.0/16 that
/// is free.
std::vector<HypervisorView> hypervisors_of(const std::map<std::string, std::string>& placement,
                                           const std::map<std::string, IpAddress>& addresses = {},
                                           const std::vector<std::string>& others = {});

}  // namespace weft::analysis
