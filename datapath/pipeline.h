// Pipeline: the virtual switch of one hypervisor, whole: ports, tunnels, caches, tables, connection
// tracking. It does no I/O, owns no clock and knows no simulator: packets and the time come in,
// packets with output ports come out. The same object runs behind a simulated NIC and a DPDK port.
//
//   frame ─▶ [tunnel decapsulation] ─▶ parse to FlowKey ─▶ exact-match cache ─▶ megaflow cache ─▶
//   slow path (tables, resubmit, ct, learn nothing) ─▶ actions ─▶ [encapsulation] ─▶ output
//
// Ports. `vm` ports carry guests' frames. The `uplink` carries the underlay: frames to this VTEP's
// tunnel ports are decapsulated and re-enter with in_port = the tunnel port of their kind; all else
// that arrives there goes out to `local` (the host's own stack). `tunnel` ports are logical: output
// to one encapsulates with (tun_id, tun_dst, logical option) from the flow key and leaves by the
// uplink. Frames that the host's own stack sends enter through `local` and leave by the uplink.
//
// Rules carry a generation; a cache entry made under an older one is revalidated before it is used.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/net_types.h"
#include "base/result.h"
#include "base/time.h"
#include "datapath/cache_options.h"
#include "datapath/match.h"
#include "datapath/packet.h"
#include "datapath/tunnel/endpoint.h"
#include "datapath/tunnel/receiver.h"
#include "datapath/tunnel/tunnel.h"
#include "datapath/verdict.h"

namespace weft::datapath {

struct InstalledRule;
struct Statement;
struct TraceResult;

/// OpenFlow port number within one switch, 1..65279.
using PortNo = StrongId<struct PortNoTag>;

enum class PortKind : std::uint8_t { vm, uplink, tunnel, local };

struct PortConfig {
  PortNo number{};
  std::string name;
  PortKind kind = PortKind::vm;
  TunnelKind tunnel = TunnelKind::none;
  std::uint32_t tenant = 0;  ///< stamped on packets that enter here (invariant checking); 0: none
  /// Tunnel: the far end and the identifier of what is sent, instead of tun_dst and tun_id of the
  /// flow. What arrives enters at the port whose `remote` and `key` say the most about it.
  IpAddress remote{};  ///< zero: from the flow
  std::optional<std::uint64_t> key{};
  EncapChoices sends{};  ///< tunnel: for what it sends; over the endpoint's
  bool up = true;        ///< false: nothing is sent there, and groups that watch it know
};

/// This hypervisor's tunnel endpoint.
struct VtepConfig {
  IpAddress address{};                ///< outer source; its family is the underlay's
  Mac mac{};                          ///< outer Ethernet source
  Mac next_hop{};                     ///< outer Ethernet destination: the leaf's port
  std::uint32_t underlay_mtu = 9000;  ///< bytes of IP packet
  EncapChoices sends{};               ///< choices for all its tunnels
  /// STT's context id is the network and the logical ports (tun_id and tun_metadata0 of the flow),
  /// not 64 bits of tun_id.
  bool stt_ports = false;
  ReceiverOptions receiver{};  ///< fragments, STT frames, and what an RFC leaves open
};

struct Output {
  enum class Kind : std::uint8_t {
    forwarded,
    answer,    ///< made by the switch in answer to a packet: an ARP reply, an ICMP error
    mirrored,  ///< a mirror's copy
  };
  Packet* packet;
  PortNo port;
  Kind kind = Kind::forwarded;
};
struct Dropped {
  Packet* packet;
  DropReason reason;
  std::uint64_t cookie;  ///< cookie of the rule that dropped it; 0: no rule
};
/// A packet that a rule gives to the owner of the switch (the action `controller`).
struct ToController {
  Packet* packet;
  PortNo in_port;
  std::uint64_t cookie = 0;  ///< of the rule
  std::uint8_t table = 0;
  std::uint8_t reason = 1;            ///< 0: no match, 1: an action, 2: invalid TTL
  std::uint16_t max_length = 0xffff;  ///< bytes of it that are wanted; it is all there
  std::uint16_t controller = 0;
  std::vector<std::uint8_t> userdata;
};
/// Packets that the switch itself made (clones for flooding, ARP replies) are listed so that the
/// owner can count their creation; they appear in `out` or `dropped` as well.
struct Outputs {
  std::vector<Output> out;
  std::vector<Dropped> dropped;
  std::vector<Packet*> created;
  /// Consumed by the switch (an ARP request that it answered): verdict `consumed`.
  std::vector<Packet*> consumed;
  /// The owner ends these: verdict `consumed`, unless it sends them on.
  std::vector<ToController> controller;
  void clear() {
    out.clear();
    dropped.clear();
    created.clear();
    consumed.clear();
    controller.clear();
  }
};

struct PipelineStats {
  std::uint64_t packets = 0;  ///< lookups: one per pass of a packet through the tables
  std::uint64_t exact_match_hits = 0;
  std::uint64_t megaflow_hits = 0;
  std::uint64_t slow_path = 0;
  std::uint64_t megaflows = 0;    ///< now
  std::uint64_t masks = 0;        ///< now
  std::uint64_t connections = 0;  ///< now
  std::uint64_t rules = 0;        ///< now
  std::uint64_t revalidated = 0;
  std::uint64_t tuples_searched = 0;
};

/// One line of a trace: a table visited, a rule hit, an action done.
struct TraceLine {
  enum class Kind : std::uint8_t {
    note,           ///< what became of the packet, or of the action before
    flow,           ///< a pass through the tables begins with this flow
    table,          ///< the rule that was hit, or that there is none
    action,         ///< of that rule
    final_flow,     ///< the flow behind the tables
    megaflow,       ///< the bits of it that decided
    steps,          ///< what is to be done to the packet
    recirculation,  ///< a pass is over, and a further one begins
  };
  int depth = 0;
  std::string text;
  std::uint64_t cookie = 0;
  Kind kind = Kind::note;
  std::uint8_t table = 0;  ///< `table` lines
  /// `table` lines: the rule that was hit (decision.h); null: no match.
  std::shared_ptr<const InstalledRule> rule{};
};

struct TraceOptions {
  /// ct_state that the 1st, 2nd... ct(table=N) finds, as in a match ("trk,new" or "+trk+new");
  /// beyond them: what connection tracking says of a packet, trk|new of a mere flow.
  std::vector<std::string> ct_next;
  /// False: only `table` and `recirculation` lines and notes, the former without text (who needs
  /// only their rules need not wait for it).
  bool text = true;
};

/// Whether TraceOptions::ct_next may hold this text.
Result<> check_ct_next(std::string_view text);

/// "Megaflow: ...": the line by itself.
std::string format_trace_line(const TraceLine& line);
/// Lines as `ovs-appctl ofproto/trace` prints them.
std::string format_trace(const std::vector<TraceLine>& lines, std::string_view bridge = "weft");

/// Portable form of one tracked connection, for moving a port's state with its VM.
struct ConnectionState {
  std::vector<std::uint8_t> bytes;  ///< opaque, versioned; see conntrack.h
};

class ConnTrack;

class Pipeline {
 public:
  /// `new_packet_id` names packets the switch creates; `pool` is the calling thread's.
  struct World {
    std::function<PacketId()> new_packet_id;
    PacketPool* pool = nullptr;
  };

  Pipeline(VtepConfig vtep, CacheOptions caches, std::uint64_t hash_seed);
  ~Pipeline();
  Pipeline(Pipeline&&) noexcept;
  Pipeline& operator=(Pipeline&&) noexcept;

  void set_world(World world);
  void add_port(PortConfig config);
  void remove_port(PortNo port);
  /// Liveness: nothing is sent to a port that is down, and groups watch it.
  void set_port_up(PortNo port, bool up);
  const std::vector<PortConfig>& ports() const;  ///< sorted by number
  PortNames port_names() const;

  /// ovs-ofctl syntax: "table=0,priority=100,ip,nw_dst=10.0.0.0/8,actions=output:2". Adds or
  /// modifies; errors name the column.
  Result<> add_flow(std::string_view text);
  /// As `ovs-ofctl del-flows --strict`: table, priority and match must be equal.
  Result<> delete_flow(std::string_view text);
  /// One line of a switch file (statement.h). Modifying or deleting nothing is no error.
  Result<> apply(const Statement& statement);
  Result<> apply(std::string_view line);
  /// Rules as `ovs-ofctl dump-flows` prints them, sorted by table, priority (high first), match.
  std::vector<std::string> dump_flows() const;
  /// Groups as `ovs-ofctl dump-group-stats` counts them, sorted by number, buckets behind their
  /// group; meters as `ovs-ofctl meter-stats`.
  std::vector<std::string> dump_groups() const;
  /// A line for each rule with send_flow_rem that went since this was asked last.
  std::vector<std::string> take_removed();
  std::vector<std::string> dump_meters() const;
  std::vector<std::string> dump_megaflows() const;
  std::vector<std::string> dump_connections() const;

  /// Runs a burst that entered at `in_port`. Takes over the packets; every one comes back in
  /// `result` (out, dropped or consumed). `result` is appended to, not cleared.
  void process(std::span<Packet* const> burst, PortNo in_port, Time now, Outputs& result);

  /// With a slow path of limited speed (SlowPathOptions), packets that miss the caches wait inside
  /// the switch: when the next one is done (never: none waits) ...
  Time next_upcall() const;
  /// ... and those that are done by now go on.
  void serve_upcalls(Time now, Outputs& result);

  /// Runs one packet (a copy; nothing is changed, no statistics) and says table by table what
  /// would happen.
  std::vector<TraceLine> trace(const Packet& packet, PortNo in_port, Time now,
                               const TraceOptions& options = {}) const;
  /// The same with what would come out: packets as they would be, bytes and all (trace.h).
  TraceResult trace_packet(const Packet& packet, PortNo in_port, Time now,
                           const TraceOptions& options = {}) const;
  /// trace() for a flow that is given as its fields, of which there is no packet.
  std::vector<TraceLine> trace(const FlowKey& flow, Time now,
                               const TraceOptions& options = {}) const;

  /// Times out idle megaflows and connections; call now and then (every 100 ms or so).
  void expire(Time now);
  /// The same, and gives up fragments and STT segments whose packets did not become whole.
  void expire(Time now, Outputs& result);

  /// Connections of a conntrack zone, taken out / put in for a VM that moves.
  std::vector<ConnectionState> export_zone(std::uint16_t zone, Time now);
  void import_zone(std::uint16_t zone, std::span<const ConnectionState> states, Time now);

  /// Its connections: for options, limits and timeouts of zones (conntrack.h), and for looking.
  ConnTrack& connection_tracking();

  const PipelineStats& stats() const;
  /// Bytes that each part owns; looks at every decision, so not for every packet.
  struct Memory {
    std::size_t rules = 0;  ///< the classifiers
    std::size_t megaflows = 0;
    std::size_t connections = 0;
  };
  Memory memory() const;
  /// Compares the next packets' cached decision with the slow path; a difference is an
  /// InternalFault that names both. one_in = 0: off, 1: every packet, N: packets whose id % N == 0.
  void check_caches(std::uint32_t one_in);

  /// Plants a fault (faults.h), for the command that shows that the checks catch it and for nothing
  /// else. An unknown name is an error that lists the known ones.
  Result<> plant(std::string_view fault);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::datapath
