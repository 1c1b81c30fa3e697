#include "scenarios/run/endpoint.h"

namespace weft::scenarios {

std::pair<datapath::TunnelKind, control::TunnelType> tunnel_of(Encapsulation e) {
  using control::TunnelType;
  using datapath::TunnelKind;
  switch (e) {
    case Encapsulation::vxlan:
      return {TunnelKind::vxlan, TunnelType::vxlan};
    case Encapsulation::geneve:
      return {TunnelKind::geneve, TunnelType::geneve};
    case Encapsulation::nvgre:
      return {TunnelKind::nvgre, TunnelType::nvgre};
    case Encapsulation::stt:
      return {TunnelKind::stt, TunnelType::stt};
    case Encapsulation::gre:
      return {TunnelKind::gre, TunnelType::gre};
    case Encapsulation::otv:
      return {TunnelKind::otv, TunnelType::otv};
  }
  return {};
}

datapath::VtepConfig vtep_of(const Scenario& scenario, std::size_t node) {
  const UnderlaySpec& underlay = scenario.underlay;
  const NodeSpec& spec = underlay.nodes[node];
  datapath::VtepConfig vtep{.address = spec.address.value_or(IpAddress{}),
                            .mac = spec.mac,
                            .sends = scenario.overlay.endpoint.sends,
                            .stt_ports = true,
                            .receiver = scenario.overlay.endpoint.receiver};
  for (const LinkSpec& link : underlay.links) {
    if (link.a != node && link.b != node) continue;
    vtep.underlay_mtu = link.mtu;
    vtep.next_hop = underlay.nodes[link.a == node ? link.b : link.a].mac;
    break;
  }
  return vtep;
}

}  // namespace weft::scenarios
