// Results: everything that one run produced, as plain values. The world (scenarios/run) fills a
// Results in; whoever tells somebody about the run reads it: terminal summary, metrics.csv,
// events.jsonl, summary.json, report.html, expectations, JUnit, `weft diff`. Nobody else keeps
// figures of their own, so two outputs cannot disagree.
//
// Invariants
//  - Integers everywhere: picoseconds, counts, bytes. A double appears only where a number is
//    printed for a person.
//  - Vectors are in an order that is the same in every run (scenario order, LP order, time order
//    with the event key as tie-break): what is written from them is bit-identical.
//  - `wall` and `engine.workers` are the only members that may differ between two runs of the same
//    scenario, seed and version; they lie outside every digest and every hashed file.
//
// Units of traffic. `sent`, `delivered`, `lost` count what the traffic is about, not frames:
//   ping  echo requests; delivered: answered, latency: round trip
//   udp   datagrams; delivered: reached the receiver's socket, latency: one way
//   rpc   requests; delivered: whole response received (== completed), latency: request to response
//   bulk  transfers begun; delivered: all bytes acknowledged and closed (== completed), latency: of
//         the whole transfer; `bytes` grows with each byte the receiver's application got
//   scan  probes; delivered: a SYN-ACK or RST came back, latency: round trip
// `bytes` are payload bytes delivered to applications.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/latency_histogram.h"
#include "base/result.h"
#include "base/time.h"

namespace weft::analysis {

struct RunIdentity {
  std::string scenario;
  std::string description;
  std::string file;                    ///< as the user gave it
  std::string source;                  ///< the YAML, verbatim (copied into the run folder)
  std::string graph;                   ///< the GraphML file that the scenario names, verbatim
  std::vector<std::string> overrides;  ///< `--set` values, in order
  std::uint64_t seed = 0;
  std::string version;
  unsigned threads = 1;                 ///< outside hashes: must not change anything
  std::string check_level = "sampled";  ///< basic, sampled, full
  Duration planned{};                   ///< how far it was to run: the duration, or --until
  Duration duration{};                  ///< of the scenario
  Time reached{};                       ///< simulated time that was run
  bool interrupted = false;             ///< reached < planned, because of a signal or a fault
  std::string fault;                    ///< message of the InternalFault that ended it; empty: none
};

struct WorkerFigures {
  std::uint64_t events = 0;
  std::uint64_t logical_processes = 0;
};

struct EngineFigures {
  std::uint64_t events = 0;
  std::uint64_t windows = 0;
  Duration lookahead{};
  std::uint64_t logical_processes = 0;
  std::vector<WorkerFigures> workers;  ///< depends on the number of threads
};

/// Of the real world. Never hashed, never compared.
struct WallClock {
  std::uint64_t setup_ns = 0;
  std::uint64_t run_ns = 0;
  std::uint64_t peak_rss_bytes = 0;
  std::string started;  ///< "2026-01-02T03:04:05Z"; empty: unknown
};

struct ReasonCount {
  std::string reason;  ///< name_of(DropReason)
  std::uint64_t count = 0;
};

/// created == delivered + consumed + dropped + in_flight.
struct Totals {
  std::uint64_t created = 0;
  std::uint64_t delivered = 0;
  std::uint64_t consumed = 0;
  std::uint64_t dropped = 0;
  std::uint64_t in_flight = 0;
  std::uint64_t packet_hops = 0;       ///< one packet delivered by one link
  std::vector<ReasonCount> by_reason;  ///< in the order of drop_reasons.def, zeros left out
};

// --- topology, for the picture -------------------------------------------------------------------

struct NodeInfo {
  std::string name;
  std::string kind;  ///< spine, leaf, router, switch, hub, host, hypervisor, controller
  int layer = -1;    ///< 0 at the top (spines), 1 leaves, 2 hosts; -1: unknown
  std::string address;
};
struct VmInfo {
  std::string name;  ///< "shop/web-1"
  std::string tenant;
  std::vector<std::string> addresses;
  std::size_t first_node = 0;  ///< index into nodes: where it started
  std::size_t last_node = 0;   ///< where it was at the end
};

// --- links ---------------------------------------------------------------------------------------

/// One bucket of Results::link_interval.
struct LinkPoint {
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;  ///< on the wire, framing included
  std::uint64_t drops = 0;
  std::uint64_t peak_queue_bytes = 0;
  std::uint64_t ecn_marks = 0;
};
struct LinkDirection {
  std::size_t from = 0, to = 0;  ///< node indices
  std::uint64_t packets = 0;     ///< delivered at the far end
  std::uint64_t bytes = 0;       ///< on the wire, framing included
  std::uint64_t drops = 0;       ///< queue, link down, loss
  std::uint64_t ecn_marks = 0;
  std::uint64_t peak_queue_bytes = 0;
  std::vector<LinkPoint> series;  ///< bucket i is [i, i + 1) * link_interval
};
struct LinkResult {
  std::string name;          ///< "leaf-1--spine-2"
  std::size_t a = 0, b = 0;  ///< node indices
  std::uint64_t rate_bps = 0;
  std::uint64_t queue_bytes = 0;
  std::array<LinkDirection, 2> directions;  ///< a to b, b to a
  Place place;
};

// --- traffic -------------------------------------------------------------------------------------

/// When the answer came and how long it took; the question was sent at `at - latency`.
struct Sample {
  Time at{};
  Duration latency{};
  std::uint32_t pair = 0;
};

/// One bucket of Results::traffic_interval. `answered` books what was delivered in the bucket in
/// which it was *sent*, `open` what is still on its way when the run ends: sent - answered - open
/// is what was lost of a bucket.
struct TrafficPoint {
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;  ///< by time of arrival
  std::uint64_t answered = 0;   ///< by time of sending
  std::uint64_t open = 0;       ///< by time of sending
  std::uint64_t bytes = 0;      ///< by time of arrival
  std::uint64_t retransmits = 0;
  std::uint64_t connections_opened = 0;
  std::uint64_t connections_lost = 0;
  std::uint64_t duplicates = 0;
};

struct PairResult {
  std::string from, to;  ///< "shop/web-1", "hv-1-1"
  std::uint64_t sent = 0;
  std::uint64_t delivered = 0;
  std::uint64_t duplicates = 0;
  std::uint64_t reordered = 0;
  std::uint64_t pending = 0;  ///< sent, and something of it on its way when the run ended
  std::uint64_t bytes = 0;
  std::uint64_t connections_opened = 0;
  std::uint64_t connections_closed = 0;  ///< in good order
  std::uint64_t connections_lost = 0;    ///< reset, refused or timed out
  std::uint64_t completed = 0;           ///< transfers, responses
  std::uint64_t retransmits = 0;
  /// sent - delivered - pending: what can be called lost.
  std::uint64_t lost() const { return sent > delivered + pending ? sent - delivered - pending : 0; }
};

struct TrafficResult {
  std::string name;
  std::string kind;  ///< ping, udp, bulk, rpc, scan
  Time start{};
  Time stop{};  ///< min(stop, reached)
  std::vector<PairResult> pairs;
  std::vector<Sample> samples;         ///< ordered by (at, pair)
  std::uint64_t samples_left_out = 0;  ///< beyond the world's limit: only in the histogram
  LatencyHistogram histogram;          ///< of all samples
  std::vector<TrafficPoint> series;    ///< bucket i is [i, i + 1) * traffic_interval
  Place place;
};

/// Sum over the pairs.
PairResult total_of(const TrafficResult& traffic);

// --- drops ---------------------------------------------------------------------------------------

/// All drops of one (traffic, reason, rule).
struct DropGroup {
  std::string traffic;  ///< empty: not of a scenario's traffic
  std::string reason;   ///< "queue.full", "policy"
  std::string rule;     ///< "policy.default", "policy.web-to-app"; empty: no rule
  std::string tenant;
  Place place;  ///< of the rule or the event in the scenario
  std::uint64_t count = 0;
  std::string event;  ///< the failure that caused all of them, as far as they were recorded
};

/// One drop; at most the ledger's limit of them are kept, in order of (at, order).
struct DropEntry {
  Time at{};
  std::uint64_t order = 0;
  std::uint64_t packet = 0;
  std::uint32_t group = 0;  ///< index into Results::drops
  std::string where;        ///< "hv-1-1", "leaf-1.spine-2"
  std::uint32_t size = 0;
  std::string packet_text;  ///< "10.0.1.2 > 10.0.3.2 icmp echo request"; may be empty
  std::string event;        ///< the failure that caused it; empty: none did
  Place place;              ///< of that event
};

// --- migrations ----------------------------------------------------------------------------------

enum class MigrationState : std::uint8_t { waiting, running, done, failed };

struct MigrationPhase {
  std::string name;  ///< "start", "round-1", "stop-and-copy", "resume", "done"
  Time from{};
  Time to{};  ///< == from for a moment
};
struct MigrationRound {
  std::uint32_t number = 0;  ///< from 1; stop-and-copy has the next number, but is no round
  bool stop_and_copy = false;
  Time from{};
  Time to{};
  std::uint64_t bytes = 0;    ///< sent
  std::uint64_t dirtied = 0;  ///< bytes made dirty meanwhile
};
struct MigrationResult {
  std::string name;  ///< of the event: "move-1"
  std::string vm, from, to;
  std::string mode;  ///< "pre-copy"
  MigrationState state = MigrationState::waiting;
  std::string failure;  ///< why, if failed
  std::optional<Time> started;
  std::optional<Time> ended;           ///< done or failed
  std::vector<MigrationPhase> phases;  ///< in order of time
  std::vector<MigrationRound> rounds;  ///< and stop-and-copy, once it came to it
  std::uint64_t total_bytes = 0;
  Duration downtime{};  ///< paused to resumed
  /// For the VM, and dropped at its old host: it was paused, or gone and the sender did not know.
  std::uint64_t packets_lost = 0;
  Place place;
};

// --- caches, control, log ------------------------------------------------------------------------

struct CacheResult {
  std::string node;  ///< hypervisor
  std::uint64_t lookups = 0;
  std::uint64_t exact_match_hits = 0;
  std::uint64_t megaflow_hits = 0;
  std::uint64_t slow_path = 0;
  std::uint64_t megaflows = 0;
  std::uint64_t masks = 0;
  std::uint64_t connections = 0;
  std::uint64_t rules = 0;
  std::uint64_t tuples = 0;  ///< that lookups compared with; a hit of the exact-match cache is one
};

struct ControlResult {
  std::uint64_t messages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t lost = 0;
  std::uint64_t resyncs = 0;
  std::vector<Sample> programming;  ///< change of intent to last rule in place
  std::uint64_t unprogrammed = 0;   ///< changes that were not in place everywhere at the end
};

struct LogDetail {
  std::string key;
  std::variant<std::int64_t, std::string> value;
};
/// One line of events.jsonl.
struct LogEntry {
  Time at{};
  std::uint64_t order = 0;  ///< event key: merges the logs of different LPs
  std::string kind;         ///< "command", "link", "migration", "control", "drop", "traffic", ...
  std::string object;       ///< "leaf-1--spine-1", "move-1"
  std::string text;         ///< a sentence
  std::vector<LogDetail> details;
};

/// When an event of the scenario happened: what `during:` refers to. Migrations are in
/// Results::migrations as well.
struct EventResult {
  std::string name;             ///< "move-1", "event-3"
  std::optional<Time> started;  ///< none: it never came to it
  std::optional<Time> ended;    ///< none: it lasted to the end of the run
};

// --- verdict -------------------------------------------------------------------------------------

struct ExpectationOutcome {
  std::string text;  ///< "traffic probing: delivered 0, dropped by policy.default"
  bool passed = false;
  std::string seen;  ///< "delivered 0 of 991 sent; policy.default dropped 991"
  std::string when;  ///< "at 2.312s", "during move-1 (2s - 2.9s)"; may be empty
  Place place;
  bool judged = true;  ///< false: the run was cut short, there is no verdict; `seen` says so
};

struct CaptureFileInfo {
  std::string point;
  std::string filter;
  std::string path;  ///< relative to the run folder: "captures/hv-1-1.uplink.pcapng"
  std::uint64_t packets = 0;
  std::uint64_t bytes = 0;
  std::string error;  ///< why it is incomplete; empty: whole
};

/// One logical process' chain: `weft diff` names the first that differs.
struct ChainInfo {
  std::string name;
  std::string digest;
  std::uint64_t events = 0;
};

struct OutputFile {
  std::string path;  ///< relative to the run folder
  std::string xxh128;
  std::uint64_t bytes = 0;
};

struct Results {
  RunIdentity identity;
  EngineFigures engine;
  WallClock wall;
  Totals totals;
  std::vector<NodeInfo> nodes;
  std::vector<VmInfo> vms;
  Duration link_interval = milliseconds(100);
  Duration traffic_interval = milliseconds(10);
  std::vector<LinkResult> links;
  std::vector<TrafficResult> traffic;
  std::vector<DropGroup> drops;  ///< most frequent first, then by name
  std::vector<DropEntry> drop_entries;
  std::uint64_t drop_entries_left_out = 0;
  std::vector<MigrationResult> migrations;
  std::vector<CacheResult> caches;
  ControlResult control;
  std::vector<EventResult> events;  ///< in the scenario's order
  std::vector<LogEntry> log;        ///< ordered by (at, order)
  std::vector<Error> warnings;
  std::vector<CaptureFileInfo> captures;
  std::vector<ExpectationOutcome> expectations;
  std::string digest;             ///< run digest, 32 hexadecimal digits
  std::vector<ChainInfo> chains;  ///< in the order of LP ids
  std::vector<OutputFile> files;  ///< filled by scenarios/run/output
  std::string output_error;       ///< what could not be written; empty: all is there
};

/// It ended before the scenario's duration: interrupted, or stopped by --until. What was expected
/// of the whole cannot be judged then.
bool cut_short(const Results& results);

enum class Verdict : std::uint8_t { passed, failed, none };
/// Failed: a fault, or an expectation that does not hold. None: the run was cut short.
Verdict verdict_of(const Results& results);

}  // namespace weft::analysis
