// The inside of Pipeline, shared by the files that implement it: pipeline.cpp (ports, rules,
// bursts), execute.cpp (steps of a decision), pipeline_text.cpp (dumps), trace.cpp.
#pragma once

#include <cstring>
#include <string>
#include <type_traits>
#include <vector>

#include "datapath/cache.h"
#include "datapath/conntrack.h"
#include "datapath/extract.h"
#include "datapath/faults.h"
#include "datapath/fragment_store.h"
#include "datapath/pipeline.h"
#include "datapath/translate.h"
#include "datapath/upcall_queue.h"

namespace weft::datapath {

struct CtStatement;

/// "output" and "set(...)" as dump_megaflows prints them, for a packet with this key.
std::string format_steps(const Decision& decision, const FlowKey& key);
std::string format_key(const FlowKey& key, const FlowMask& mask);

/// ct_label and the original tuple of the packet's connection.
void set_connection_fields(FlowKey& key, const ConnTrack& connections, const CtResult& result,
                           const CtPacket& packet);

/// One packet on its way through the tables, once or (after ct) several times; without its key.
struct PassState {
  Packet* packet = nullptr;
  std::uint32_t in_port = 0;
  std::uint64_t owner = 0;  ///< whom it counts for: the port, behind a tunnel with the network
  ParsedHeaders parsed{};
  Time now{};
  int recirculations = 0;
  bool ct_read = false;     ///< `ct` describes the packet as it is
  bool tracked = false;     ///< in `ct_zone`, as it is (or was before NAT)
  bool translated = false;  ///< by NAT in `ct_zone`; `ct` describes the packet before
  bool ct_hashed = false;   ///< `ct_hash` is that of `ct` in zone `ct_hash_zone`
  bool waits = false;       ///< it misses the caches and must wait for the slow path
  bool served = false;      ///< it has waited for the slow path, and may take it
  bool answered = false;    ///< a packet-too-big has been sent for it
  std::uint16_t ct_zone = 0;
  std::uint16_t ct_hash_zone = 0;
  std::uint32_t ct_hash = 0;
  CtResult ct_result{};
};
struct Pass : PassState {
  CtPacket ct{};
  bool ct_dirty = false;  ///< `ct` has been read since it was cleared
  FlowKey key{};
  /// No word of the key but the first and kPlainWords is set: the next plain packet overwrites
  /// those and need not clear the rest.
  bool plain = true;

  /// As for a packet of which nothing is known, but for the key. Copied from a constant: what gcc
  /// makes of an assignment of PassState{} costs more than the whole lookup.
  void fresh() {
    static constexpr PassState kFresh{};
    std::memcpy(static_cast<PassState*>(this), &kFresh, sizeof(PassState));
    if (ct_dirty) {
      ct = {};
      ct_dirty = false;
    }
  }
};
static_assert(std::is_trivially_copyable_v<PassState>);

struct Pipeline::Impl {
  VtepConfig vtep;
  CacheOptions options;
  std::uint64_t seed;
  World world;
  std::vector<PortConfig> ports;  // sorted by number
  std::uint32_t uplink = 0;       // port numbers, 0: none
  std::uint32_t local = 0;
  std::uint32_t tunnel_ports[kTunnelKinds] = {};  // by TunnelKind
  bool particular_tunnels = false;  // some tunnel port has a remote or a key of its own

  FlowTables tables;
  GroupTable groups;
  MeterTable meters;
  std::vector<Mirror> mirrors;
  RecirculationTable recirculation;
  MegaflowCache megaflows;
  ExactMatchCache exact;
  ConnTrack connections;
  FragmentStore ct_fragments;
  std::vector<Packet*>* fragments_end = nullptr;  // a dry run: where fragments that would wait go
  TunnelReceiver receiver;
  std::uint32_t tunnel_sequence = 0;  // names STT frames, numbers GRE packets
  Faults faults;
  PipelineStats stats;
  mutable PipelineStats reported;
  std::uint32_t check_one_in = 0;
  Time clock{};
  Decision uncached;  // of a packet without a megaflow
  UpcallQueue<Pass> upcalls;
  std::vector<Pass> passes;  // of the burst that is being processed: as many as one ever had

  Impl(VtepConfig vtep_config, CacheOptions caches, std::uint64_t hash_seed)
      : vtep(vtep_config),
        options(caches),
        seed(hash_seed),
        tables(caches.classifier),
        megaflows({.entries = caches.megaflow_limit,
                   .owner_limit = caches.megaflow_port_limit,
                   .mask_limit = caches.mask_limit},
                  hash_seed),
        exact(caches.exact_match_entries),
        connections({}, hash_seed),
        receiver(vtep.receiver),
        upcalls(caches.slow_path) {}

  SwitchView view() const {
    return {
        &tables, &vtep, &ports, &faults, &groups, &meters, mirrors.empty() ? nullptr : &mirrors};
  }
  const PortConfig* port(std::uint32_t number) const { return view().port(number); }
  void index_ports();

  // pipeline.cpp
  Result<> add_rule(Rule rule);
  Result<> change_group(const Statement& st);
  void change_meter(const Statement& st);
  void change_tracking(const CtStatement& st);
  /// Up to MegaflowCache::kBurst packets: parses all, looks up all, executes one after the other.
  void burst(std::span<Packet* const> packets, const PortConfig& port, Time now, Outputs& result);
  void parse(Pass& pass);
  /// What a frame from the uplink is: a pass to look up, or what becomes of it without one.
  struct Arrival {
    /// gone: held for its other parts, or consumed.
    enum class Kind : std::uint8_t { look_up, malformed, drop, local, gone } kind = Kind::look_up;
    DropReason reason{};
  };
  Arrival arrive(Pass& pass, Outputs& result);
  /// Of fragments and STT segments: look_up if the packet has become an inner frame.
  Arrival take_part(Pass& pass, const ParsedHeaders& outer, Decap& decap, Outputs& result);
  void give_up_parts(std::vector<GivenUp>& given_up, Outputs& result);
  /// The megaflow of each pass, as far as there is one; `exact_hit` says from where.
  void find_all(std::span<Pass* const> look_up, Megaflow** found, bool* exact_hit);
  /// Has the connections that the packets will ask for on their way into the cache.
  void fetch_connections(std::span<Pass* const> look_up, Megaflow* const* found);
  /// `from`: the decision that sent the packet back to be looked up again.
  void run(Pass& pass, Outputs& result, const SharedDecision* from = nullptr);
  /// nullptr: `uncached` holds the decision.
  Megaflow* find(Pass& pass, const SharedDecision* from);
  Megaflow* slow_path(const Pass& pass);
  /// Queues a packet for the slow path, or drops it.
  void wait(Pass& pass, Outputs& result);
  bool use_exact_match(std::uint32_t lookups) {
    // With one mask or two a megaflow lookup costs no more.
    return options.exact_match && megaflows.masks() > 2 && exact.awake(lookups);
  }
  static void count(Megaflow& entry, const Pass& pass) {
    ++entry.packets;
    entry.bytes += pass.packet->size();
    entry.used = pass.now;
  }
  bool revalidate(Megaflow& entry, const FlowKey& key);
  void compare_with_slow_path(const Pass& pass, const Megaflow& entry);

  /// The flow key of what comes out of a tunnel, without its frame; in_port is 0 if no tunnel port
  /// is for it.
  FlowKey key_behind_tunnel(const TunnelInfo& info) const;

  // trace.cpp
  struct TraceWalk;
  struct DryRun;
  void trace_flow(const FlowKey& first, const TraceOptions& trace_options,
                  std::vector<TraceLine>& lines) const;

  // execute.cpp
  /// True if the packet is to be looked up again.
  bool execute(Pass& pass, const Decision& decision, Outputs& result);
  /// Some of its steps; copies that are to be looked up again go to `later`.
  bool execute_steps(Pass& pass, const Decision& decision, std::span<const Step> steps,
                     Outputs& result, std::vector<Pass>& later);
  /// Steps behind the packet's last use: only what they do to connections can be seen.
  void execute_aside(const Pass& pass, const Decision& decision, std::span<const Step> steps,
                     Outputs& result);
  Packet* copy_of(Pass& pass, Outputs& result);
  void output(Packet* packet, std::uint32_t port, Outputs& result,
              Output::Kind kind = Output::Kind::forwarded) {
    if (packet->fragment_size != 0) [[unlikely]]
      return for_each_fragment(packet, result, [&](Packet* p) {
        result.out.push_back({p, PortNo{port}, kind});
      });
    result.out.push_back({packet, PortNo{port}, kind});
  }
  /// Cuts what was put together for connection tracking to fragments again.
  void for_each_fragment(Packet* packet, Outputs& result, const std::function<void(Packet*)>& then);
  /// ct() of a fragment: true if the packet is whole now; false if it waits, or has gone.
  bool put_together(Pass& pass, std::uint16_t zone, Outputs& result);
  /// Reads a frame whose layout has changed; registers and tunnel fields of the key stay.
  void reread(Pass& pass);
  void drop(Packet* packet, DropReason reason, std::uint64_t cookie, Outputs& result) {
    result.dropped.push_back({packet, reason, cookie});
  }
  /// Encapsulates `p` and puts it, or its STT segments, on the uplink; or drops it.
  void encapsulate(Packet* p, const Pass& pass, const OuterStep& outer, std::uint64_t cookie,
                   Outputs& result);
  void to_tunnel(Pass& pass, const Step& step, const OuterStep& outer, Outputs& result);
  void answer_too_big(Pass& pass, const OuterStep& outer, Outputs& result);
  /// Of a packet that is cut to a length.
  void cut_output(const Pass& pass, const Decision& decision, const Step& step, Outputs& result);
  void to_controller(Packet* packet, const Pass& pass, const ControllerStep& to, Outputs& result);
  void change(Pass& pass, const Step& step);
  void change_tag(Pass& pass, const Step& step);
  void track(Pass& pass, const Step& step);
  DropReason commit(Pass& pass, const Step& step, const CtCommit& what);
  void read_for_tracking(Pass& pass, std::uint16_t zone);
  /// What connection tracking needs of the packet; invalid if a checksum is wrong.
  CtPacket tracked_packet(Pass& pass) const;
  void translate_if_due(Pass& pass);
  void icmp_error(Pass& pass, const IcmpErrorStep& error, Outputs& result);
  void reply(Pass& pass, const Step& step, Outputs& result);
  /// Sends the answer of a DHCP server, if one is due; the request is consumed, or dropped.
  void dhcp_reply(Pass& pass, DhcpAnswer made, Packet* answer, Outputs& result);
  /// True if it had the answer, and sent it.
  bool dns_reply(const Pass& pass, const DnsTable& table, Outputs& result);
  /// The answer goes back to where the packet came from, or on with this recirculation id.
  void reject(Pass& pass, const IcmpErrorStep& how, std::uint32_t goes_on, Outputs& result,
              std::vector<Pass>& later);
  Packet* fresh_answer(const Pass& pass);
  /// A frame made in answer to the packet goes back to where it came from.
  void send_back(const Pass& pass, Packet* answer, Outputs& result);
};

}  // namespace weft::datapath
