// Tracer: what would happen to a packet that the guest behind a logical port sends now. It goes
// through the real rules of the real datapath on the source's hypervisor, through the physical
// network as the bytes that the tunnel makes of it, and through the rules where it arrives; nothing
// is changed anywhere, however many packets are asked about.
//
//   Tracer tracer(view, switches_at_rest(*view));
//   auto answer = tracer.ask("shop/web-1", "tcp,ip_dst=10.0.2.11,tcp_dst=8080");
//   fmt::print("{}", trace_text(*answer));
//
// Connections, NAT and load balancing are as the switches have them: at rest none is there yet. The
// answer is about this one packet, not about replies to it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "analysis/trace/guest_packet.h"
#include "analysis/trace/network_view.h"
#include "analysis/trace/rule_meaning.h"
#include "analysis/trace/switches.h"
#include "analysis/trace/underlay_path.h"
#include "base/result.h"

namespace weft::analysis {

enum class TraceVerdict : std::uint8_t {
  delivered,  ///< one port got it
  flooded,    ///< it was for many, and these got it
  replied,    ///< the network answered it: ARP, ND, DHCP, echo
  rejected,   ///< refused with a TCP reset or an ICMP unreachable
  dropped,    ///< nobody got it
};
std::string_view name_of(TraceVerdict verdict);

struct TraceHop {
  enum class Kind : std::uint8_t { hypervisor, tunnel, link, node, host } kind = Kind::hypervisor;
  std::string name;  ///< "hv-1-1", "geneve", "leaf-1--spine-2"
  // tunnel:
  std::uint64_t vni = 0;
  IpAddress src{}, dst{};
  std::uint16_t src_port = 0, dst_port = 0;  ///< 0: it has none
  std::size_t equal = 1;                     ///< node: equal paths that it could choose from
};

/// One part of the way, told for people.
struct TracePart {
  std::string title;               ///< "hv-1-1, from shop/web-1"
  std::vector<std::string> lines;  ///< indented as they should be
};

struct TraceAnswer {
  TraceVerdict verdict = TraceVerdict::dropped;
  std::string from;
  datapath::FlowKey sent{};        ///< the packet as the guest sends it
  std::vector<std::string> ports;  ///< who got it, sorted; replied, rejected: nobody
  /// As it arrived; replied and rejected: what came back; dropped: as it was when it went.
  datapath::FlowKey packet{};
  std::string stage;   ///< of the rule that decided; "guest", or a place of the underlay
  std::string rule;    ///< "priority=1200,tcp,tp_dst=8080"; empty: no rule did
  std::string intent;  ///< the row of the desired state; empty: none
  std::string reason;  ///< dropped, rejected: a drop reason's name
  std::string note;    ///< what else people want to know in one line; may be empty
  std::vector<TraceHop> hops;
  std::vector<TracePart> parts;  ///< only with text
};

class Tracer {
 public:
  /// `switches` are those of `view`.
  Tracer(std::shared_ptr<const NetworkView> view, std::unique_ptr<Switches> switches);
  ~Tracer();

  /// Errors of `from` have no place, those of `packet` its column (line 1). `text`: with parts.
  Result<TraceAnswer> ask(const std::string& from, std::string_view packet, bool text = true);

 private:
  class Run;

  std::shared_ptr<const NetworkView> view_;
  std::unique_ptr<Switches> switches_;
  AddressBook book_;
  RuleMeaning meaning_;
  std::optional<UnderlayPath> underlay_;
  std::map<IpAddress, std::size_t> by_address_;  // hypervisors
  std::map<std::uint32_t, std::size_t> by_node_;
};

/// For people: part by part, then the verdict.
std::string trace_text(const TraceAnswer& answer);
/// One JSON object; `indent` -1: on one line.
std::string trace_json(const TraceAnswer& answer, int indent);

}  // namespace weft::analysis
