// The control plane's two halves as the rest of weft sees them: a Controller (controller.h: desired
// state, compiler, reconciler) and an Agent on each hypervisor. Both are pure: no I/O, no clock, no
// simulator. Bytes and the time go in, bytes and rules come out; whoever owns one carries its
// messages (a simulated channel with latency, loss and bandwidth, a TCP connection, a test).
//
//   intent ─transact─▶ Controller ──messages──▶ Agent ──rules (ovs-ofctl text)──▶ vSwitch
//                          ▲────────discovered state───────┘
//
// Messages may be lost, late, duplicated or reordered; either side may restart at any moment. The
// protocol (replica.h) is versioned and idempotent, so that both ends come to rest with an empty
// difference.
//
// The agent mirrors the records that the controller publishes for it, joins them with its local
// ports (rules.h has the tables) and keeps the vSwitch's rules equal to the result: only
// differences are applied, additions before removals, later tables before earlier ones. In the
// style `central` the records are the rules themselves and the agent only installs them.
//
// How to drive one: call what happens (on_message, port_up, port_down, tick when next_wakeup() is
// reached), then take_outgoing() and send it, then ask next_wakeup() again. Rules go to the sink
// during the call. A restart is a new object with a higher `session` on the same sink, followed by
// port_up for each port that exists: the vSwitch keeps its rules, and when the controller's records
// have arrived the difference is applied.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/net_types.h"
#include "base/time.h"
#include "control/faults.h"
#include "control/intent.h"

namespace weft::control {

/// Where the agent's rules go. Rules, and the groups and meters that they use, are in ovs-ofctl's
/// syntax: a statement of a switch file each (docs/ofproto.md), so that a sink needs no more than
/// Pipeline::apply.
class RuleSink {
 public:
  virtual ~RuleSink() = default;
  /// Adds, or replaces the actions of the rule with the same table, priority and match; a text
  /// that begins with "group_id=" or "meter=" adds or replaces that.
  virtual void add_rule(const std::string& text) = 0;
  /// "table=T,priority=P,MATCH": strict; or "group_id=N", "meter=N". removal_of() (flow.h) makes
  /// a statement of it.
  virtual void delete_rule(const std::string& text) = 0;
  /// What is installed now, each text as it was given to add_rule, in any order. An agent that
  /// starts reads it once.
  virtual std::vector<std::string> installed_rules() const = 0;
};

/// The bookkeeping that installed_rules() asks for, for sinks that forward to a real vSwitch.
class RuleBook {
 public:
  void add(const std::string& text);
  void remove(const std::string& text);
  std::vector<std::string> rules() const;
  std::size_t size() const { return rules_.size(); }

 private:
  std::map<std::string, std::string> rules_;  // table, priority, match -> text as given
};

/// A virtual port that exists on this hypervisor now.
struct LocalPort {
  std::string name;           ///< "shop/web-1"
  std::uint32_t of_port = 0;  ///< port number on the vSwitch, 1..32767
  bool up = true;
  /// Counts the places the port has been: the first is 1, each migration adds one. Of two reports
  /// the higher wins, so what the old hypervisor says late cannot take the port back.
  std::uint32_t incarnation = 1;
};

struct Outgoing {
  std::string hypervisor;  ///< controller: to whom; agent: its own name (to the controller)
  Bytes bytes;
};

enum class TunnelType : std::uint8_t { vxlan, geneve, nvgre, stt, gre, otv };
inline constexpr TunnelType kLastTunnelType = TunnelType::otv;
/// Whether packets say which logical ports they are between; without that the receiver finds the
/// port by network and inner destination.
constexpr bool carries_ports(TunnelType tunnel) {
  return tunnel == TunnelType::geneve || tunnel == TunnelType::stt;
}
enum class Style : std::uint8_t { hybrid, central };

/// Timers of the message protocol.
struct Timing {
  Duration retransmit = milliseconds(5);  ///< first timeout; doubles up to the limit
  Duration retransmit_limit = milliseconds(640);
  Duration batch = microseconds(50);    ///< controller: gather changes this long
  Duration relearn_limit = seconds(3);  ///< restarted controller: wait this long for all reports
  Duration probe = milliseconds(200);   ///< controller: candidates for gateways are asked so often
  Duration dead_after = seconds(1);     ///< and are dead when not heard of for so long
  std::uint32_t message_limit = 1400;   ///< bytes of one message, 256..65535
  std::uint32_t window = 64;            ///< messages under way to one peer
};

struct AgentOptions {
  std::string hypervisor;  ///< this hypervisor's name
  IpAddress vtep{};
  std::uint32_t tunnel_port = 0;  ///< OpenFlow number of the tunnel port of this type
  TunnelType tunnel = TunnelType::geneve;
  Style style = Style::hybrid;  ///< as the controller's
  std::uint64_t session = 1;    ///< higher at each restart, e.g. 1 + the time of the start
  Timing timing{};
  Faults faults{};  ///< for weft mutate only
};

struct AgentStats {
  std::uint64_t messages_in = 0, messages_out = 0, bytes_in = 0, bytes_out = 0;
  std::uint64_t ignored = 0;  ///< messages that made no sense
  std::uint64_t retransmits = 0;
  std::uint64_t resyncs = 0;  ///< full states received
  std::uint64_t records = 0;  ///< mirrored now
  std::uint64_t rules = 0;    ///< installed now
  std::uint64_t rules_added = 0, rules_deleted = 0;
  std::uint64_t version = 0;  ///< of the controller's transactions that is installed
};

class Agent {
 public:
  /// `sink` must outlive the agent.
  Agent(AgentOptions options, RuleSink& sink);
  ~Agent();
  Agent(Agent&&) noexcept;

  /// Says hello to the controller. Call once.
  void start(Time now);
  void on_message(const Bytes& bytes, Time now);
  void port_up(const LocalPort& port, Time now);
  void port_down(const std::string& name, Time now);
  void tick(Time now);
  std::vector<Outgoing> take_outgoing();
  Time next_wakeup() const;

  /// True when the vSwitch has rules made from a complete state of the controller, and the
  /// controller has confirmed all reports.
  bool in_sync() const;
  const AgentStats& stats() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Zones from here on are those of routers.
inline constexpr std::uint32_t kRouterZones = 0x8000;
/// Zones of source and destination NAT of a router, by its key.
constexpr std::uint16_t snat_zone(std::uint32_t router) {
  return static_cast<std::uint16_t>(kRouterZones + 2 * router);
}
constexpr std::uint16_t dnat_zone(std::uint32_t router) {
  return static_cast<std::uint16_t>(kRouterZones + 2 * router + 1);
}

/// Connection tracking zone of a local port: its number on the vSwitch. Whoever gives a number to
/// another VM must have emptied the zone (Pipeline::export_zone does when a VM moves away).
inline constexpr std::uint16_t kNoZone = 0;  ///< of no port: nothing is ever committed there
constexpr std::uint16_t zone_of(std::uint32_t of_port) {
  return static_cast<std::uint16_t>(of_port);
}

}  // namespace weft::control
