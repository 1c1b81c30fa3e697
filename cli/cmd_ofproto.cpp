// weft ofproto: the virtual switch alone. Reads a switch file (docs/ofproto.md), traces one packet
// through its tables, or pushes a capture through it.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/names.h"
#include "cli/commands.h"
#include "cli/ofproto_lab.h"
#include "datapath/frame_text.h"
#include "pcap/reader.h"
#include "pcap/writer.h"

namespace weft::cli {
namespace {

using datapath::PortNo;
using datapath::TraceLine;
using Json = nlohmann::ordered_json;

struct Flags {
  std::vector<std::string> words;
  OfprotoLab::Settings lab;
  std::string in;
  std::string out;
  std::string in_port;
  std::string packet;
  std::uint64_t frame = 1;
  std::vector<std::string> ct_next;
  bool json = false;
  bool dump_flows = false;
  bool dump_groups = false;
  bool dump_meters = false;
  bool dump_megaflows = false;
  bool dump_connections = false;
  bool list_drops = false;
  bool no_caches = false;
};

int refused(const Error& e) {
  print_errors({e});
  return kBadInput;
}

/// Hexadecimal digits, blanks and colons between them.
Result<std::vector<std::uint8_t>> bytes_of(const std::string& hex) {
  std::vector<std::uint8_t> out;
  int half = -1;
  for (std::size_t i = 0; i < hex.size(); ++i) {
    const char c = hex[i];
    if (c == ' ' || c == ':' || c == '\n') continue;
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0)
      return Error{fmt::format("'{}' is not a hexadecimal digit", c),
                   {"--packet", 1, static_cast<int>(i) + 1},
                   "write the frame from its Ethernet header on, two digits a byte"};
    if (half < 0) {
      half = digit;
    } else {
      out.push_back(static_cast<std::uint8_t>(half << 4 | digit));
      half = -1;
    }
  }
  if (half >= 0 || out.empty())
    return Error{out.empty() && half < 0 ? "there are no bytes" : "an odd number of digits",
                 {"--packet", 0, 0},
                 "write the frame from its Ethernet header on, two digits a byte"};
  return out;
}

/// The port at which packets of a capture's interface come in.
Result<PortNo> in_port_of(const OfprotoLab& lab, const Flags& flags,
                          const pcap::CaptureReader& reader, std::uint32_t interface) {
  if (!flags.in_port.empty()) return lab.port_named(flags.in_port);
  const std::string& name = reader.interfaces()[interface].name;
  for (const auto& p : lab.pipeline.ports())
    if (!name.empty() && p.name == name) return p.number;
  return PortNo{interface + 1};
}

// --- trace ---

Json json_of(const std::vector<TraceLine>& lines) {
  static constexpr const char* kKinds[] = {"note",       "flow",     "table", "action",
                                           "final_flow", "megaflow", "steps", "recirculation"};
  Json out = Json::array();
  for (const TraceLine& l : lines) {
    Json line = {{"kind", kKinds[static_cast<int>(l.kind)]}, {"depth", l.depth}, {"text", l.text}};
    if (l.cookie != 0) line["cookie"] = fmt::format("{:#x}", l.cookie);
    out.push_back(std::move(line));
  }
  return out;
}

Result<std::vector<TraceLine>> trace_lines(OfprotoLab& lab, const Flags& flags) {
  datapath::TraceOptions options;
  for (const std::string& state : flags.ct_next) {
    // Read here for the sake of the message; the trace reads it again.
    options.ct_next.push_back(state);
    if (auto r = datapath::check_ct_next(state); !r) return r.error();
  }
  const bool flow = flags.words.size() > 1;
  const int given = (flow ? 1 : 0) + (flags.packet.empty() ? 0 : 1) + (flags.in.empty() ? 0 : 1);
  if (given != 1)
    return Error{given == 0 ? "nothing to trace" : "more than one packet to trace",
                 {},
                 "give a flow ('in_port=1,tcp,nw_dst=10.0.0.1'), --packet HEX, or --in FILE "
                 "with --frame N"};
  if (flow) {
    const auto names = lab.pipeline.port_names();
    auto match = datapath::parse_match(flags.words[1], &names);
    if (!match) {
      Error e = match.error();
      e.place.file = "FLOW";
      e.place.line = 1;
      return e;
    }
    datapath::FlowKey key = match->value;
    if (match->mask.get(datapath::place::in_port) == 0) {
      auto port = lab.port_named(flags.in_port.empty() ? "1" : flags.in_port);
      if (!port) return port.error();
      key.set(datapath::place::in_port, port->value);
    }
    return lab.pipeline.trace(key, Time{}, options);
  }
  std::vector<std::uint8_t> frame;
  PortNo port{1};
  if (!flags.packet.empty()) {
    auto bytes = bytes_of(flags.packet);
    if (!bytes) return bytes.error();
    frame = std::move(*bytes);
    if (!flags.in_port.empty()) {
      auto named = lab.port_named(flags.in_port);
      if (!named) return named.error();
      port = *named;
    }
  } else {
    auto reader = pcap::CaptureReader::open(flags.in);
    if (!reader) return reader.error();
    std::uint64_t number = 0;
    for (;;) {
      auto next = reader->next();
      if (!next) return next.error();
      if (!*next)
        return Error{fmt::format("there is no frame {}: the capture has {}", flags.frame, number),
                     {flags.in, 0, 0},
                     "--frame counts from 1"};
      if (++number < flags.frame) continue;
      auto named = in_port_of(lab, flags, *reader, (*next)->interface);
      if (!named) return named.error();
      port = *named;
      frame = std::move((*next)->bytes);
      break;
    }
  }
  lab.ensure_port(port.value);
  Packet* packet = lab.packet(frame);
  auto lines = lab.pipeline.trace(*packet, port, Time{}, options);
  lab.pool.give(packet);
  return lines;
}

int trace(const Flags& flags) {
  OfprotoLab lab(flags.lab);
  if (auto r = lab.load(flags.lab); !r) return refused(r.error());
  auto lines = trace_lines(lab, flags);
  if (!lines) return refused(lines.error());
  if (flags.json)
    fmt::print("{}\n", json_of(*lines).dump(2));
  else
    fmt::print("{}", format_trace(*lines));
  return kOk;
}

// --- run ---

/// A pcapng with an interface per port, made as ports are used.
class PortCapture {
 public:
  Result<> write(const OfprotoLab& lab, PortNo port, Time at, std::int64_t epoch,
                 const Packet& packet) {
    if (path_.empty()) return {};
    auto known = interfaces_.find(port.value);
    if (known == interfaces_.end()) {
      pcap::CaptureHeader header;
      header.application = fmt::format("weft {}", version());
      header.interface = lab.name_of_port(port);
      header.description = fmt::format("port {}", port.value);
      header.offset_seconds = epoch;
      std::uint32_t number = 0;
      if (!writer_) {
        auto writer = pcap::PcapngWriter::open(path_, header);
        if (!writer) return writer.error();
        writer_.emplace(std::move(*writer));
      } else {
        auto added = writer_->add_interface(header);
        if (!added) return added.error();
        number = *added;
      }
      known = interfaces_.emplace(port.value, number).first;
    }
    packet.copy_frame(frame_);
    return writer_->write(at, frame_, {}, pcap::Direction::outbound, known->second);
  }
  /// An empty capture is a capture, too.
  Result<> close() {
    if (path_.empty()) return {};
    if (!writer_) {
      auto writer = pcap::PcapngWriter::open(
          path_, {.application = fmt::format("weft {}", version()), .interface = "none"});
      if (!writer) return writer.error();
      writer_.emplace(std::move(*writer));
    }
    return writer_->close();
  }
  explicit PortCapture(std::string path) : path_(std::move(path)) {}

 private:
  std::string path_;
  std::optional<pcap::PcapngWriter> writer_;
  std::map<std::uint32_t, std::uint32_t> interfaces_;
  std::vector<std::uint8_t> frame_;
};

struct Counts {
  std::uint64_t in = 0, in_bytes = 0, cut = 0, made = 0, consumed = 0, controller = 0;
  std::map<std::uint32_t, std::uint64_t> out;
  std::map<std::string, std::uint64_t> dropped;
  std::vector<std::string> removed;
};

void print_text(const OfprotoLab& lab, const Counts& n, const Flags& flags) {
  std::uint64_t out = 0;
  for (const auto& [port, count] : n.out) out += count;
  fmt::print("in        {} packets, {} bytes\n", n.in, n.in_bytes);
  if (n.cut != 0)
    fmt::print("          {} of them were cut short by the capture's snap length\n", n.cut);
  if (n.made != 0) fmt::print("made      {} (copies and answers)\n", n.made);
  fmt::print("out       {}\n", out);
  for (const auto& [port, count] : n.out)
    fmt::print("  {:<8}{:<20}{}\n", port, lab.name_of_port(PortNo{port}), count);
  if (n.consumed != 0) fmt::print("consumed  {}\n", n.consumed);
  if (n.controller != 0) fmt::print("to the controller {}\n", n.controller);
  std::uint64_t dropped = 0;
  for (const auto& [reason, count] : n.dropped) dropped += count;
  fmt::print("dropped   {}\n", dropped);
  for (const auto& [reason, count] : n.dropped) fmt::print("  {:<28}{}\n", reason, count);
  const auto& s = lab.pipeline.stats();
  fmt::print(
      "lookups   {}: exact-match {}, megaflow {}, slow path {}; {} revalidated\n"
      "tables    {} rules; {} megaflows of {} masks; {} connections\n",
      s.packets, s.exact_match_hits, s.megaflow_hits, s.slow_path, s.revalidated, s.rules,
      s.megaflows, s.masks, s.connections);
  const auto section = [](const char* title, const std::vector<std::string>& lines) {
    fmt::print("\n{}\n", title);
    for (const auto& l : lines) fmt::print(" {}\n", l);
  };
  if (!n.removed.empty()) section("flows removed", n.removed);
  if (flags.dump_flows) section("flows", lab.pipeline.dump_flows());
  if (flags.dump_groups) section("groups", lab.pipeline.dump_groups());
  if (flags.dump_meters) section("meters", lab.pipeline.dump_meters());
  if (flags.dump_megaflows) section("megaflows", lab.pipeline.dump_megaflows());
  if (flags.dump_connections) section("connections", lab.pipeline.dump_connections());
}

void print_json(const OfprotoLab& lab, const Counts& n, const Flags& flags) {
  Json out = Json::object();
  out["in"] = {{"packets", n.in}, {"bytes", n.in_bytes}, {"cut_short", n.cut}};
  out["made"] = n.made;
  out["out"] = Json::array();
  for (const auto& [port, count] : n.out)
    out["out"].push_back(
        {{"port", port}, {"name", lab.name_of_port(PortNo{port})}, {"packets", count}});
  out["consumed"] = n.consumed;
  out["controller"] = n.controller;
  out["dropped"] = Json::object();
  for (const auto& [reason, count] : n.dropped) out["dropped"][reason] = count;
  const auto& s = lab.pipeline.stats();
  out["lookups"] = {{"all", s.packets},
                    {"exact_match", s.exact_match_hits},
                    {"megaflow", s.megaflow_hits},
                    {"slow_path", s.slow_path},
                    {"revalidated", s.revalidated}};
  out["tables"] = {{"rules", s.rules},
                   {"megaflows", s.megaflows},
                   {"masks", s.masks},
                   {"connections", s.connections}};
  if (!n.removed.empty()) out["flows_removed"] = n.removed;
  if (flags.dump_flows) out["flows"] = lab.pipeline.dump_flows();
  if (flags.dump_groups) out["groups"] = lab.pipeline.dump_groups();
  if (flags.dump_meters) out["meters"] = lab.pipeline.dump_meters();
  if (flags.dump_megaflows) out["megaflows"] = lab.pipeline.dump_megaflows();
  if (flags.dump_connections) out["connection_table"] = lab.pipeline.dump_connections();
  fmt::print("{}\n", out.dump(2));
}

int run(const Flags& flags) {
  if (flags.in.empty())
    return refused({"no capture to push through the switch",
                    {},
                    "name it with --in FILE; weft ofproto check reads rules alone"});
  OfprotoLab::Settings settings = flags.lab;
  if (flags.no_caches) settings.caches.exact_match = settings.caches.megaflow = false;
  OfprotoLab lab(settings);
  if (auto r = lab.load(settings); !r) return refused(r.error());
  auto reader = pcap::CaptureReader::open(flags.in);
  if (!reader) return refused(reader.error());
  PortCapture capture(flags.out);
  Counts n;
  datapath::Outputs outputs;
  std::optional<pcap::CapturedPacket> first;
  Time now{}, next_expiry{};
  // Fragments and STT segments whose packets never became whole.
  const auto expire = [&](Time until) {
    outputs.clear();
    lab.pipeline.expire(until, outputs);
    for (const auto& d : outputs.dropped) ++n.dropped[std::string(name_of(d.reason))];
    lab.release(outputs);
  };
  for (;;) {
    auto next = reader->next();
    if (!next) return refused(next.error());
    if (!*next) break;
    const pcap::CapturedPacket& captured = **next;
    const auto& interface = reader->interfaces()[captured.interface];
    if (interface.link_type != 1)
      return refused({fmt::format("interface {} of the capture has link type {}, not Ethernet",
                                  captured.interface, interface.link_type),
                      {flags.in, 0, 0},
                      "the switch takes Ethernet frames (link type 1)"});
    auto port = in_port_of(lab, flags, *reader, captured.interface);
    if (!port) return refused(port.error());
    lab.ensure_port(port->value);
    if (!first) {
      first = captured;
      first->picoseconds = 0;  // time 0 is a whole second, which the output's interfaces name
    }
    now = std::max(now, Time{} + captured.since(*first));
    for (; next_expiry <= now; next_expiry = std::max(next_expiry, now) + milliseconds(100))
      expire(now);
    ++n.in;
    n.in_bytes += captured.bytes.size();
    n.cut += captured.bytes.size() < captured.original_length;
    Packet* packet = lab.packet(captured.bytes);
    packet->born = now;
    outputs.clear();
    lab.pipeline.process({&packet, 1}, *port, now, outputs);
    n.made += outputs.created.size();
    n.consumed += outputs.consumed.size();
    n.controller += outputs.controller.size();
    for (const auto& o : outputs.out) {
      ++n.out[o.port.value];
      if (auto r = capture.write(lab, o.port, now, first->seconds, *o.packet); !r)
        return refused(r.error());
    }
    for (const auto& d : outputs.dropped) {
      ++n.dropped[std::string(name_of(d.reason))];
      if (flags.list_drops)
        fmt::print("frame {} dropped: {}{}: {}\n", n.in, name_of(d.reason),
                   d.cookie == 0 ? "" : fmt::format(" (cookie {:#x})", d.cookie),
                   datapath::describe_frame(*d.packet));
    }
    lab.release(outputs);
  }
  if (auto r = capture.close(); !r) return refused(r.error());
  if (!flags.dump_connections && !flags.dump_megaflows) expire(now + seconds(120));
  n.removed = lab.pipeline.take_removed();
  if (flags.json)
    print_json(lab, n, flags);
  else
    print_text(lab, n, flags);
  return kOk;
}

// --- check and fmt ---

int format_rules(const Flags& flags, bool print) {
  auto text = OfprotoLab::read(flags.lab.rules);
  if (!text) return refused(text.error());
  auto statements = datapath::parse_switch_file(*text, flags.lab.rules);
  if (!statements) return refused(statements.error());
  // Applied too: what only shows then (a group that is not there) is an error as well.
  OfprotoLab lab(flags.lab);
  if (auto r = lab.load(flags.lab); !r) return refused(r.error());
  if (print)
    for (const auto& s : *statements) fmt::print("{}\n", format_statement(s.statement));
  else
    fmt::print("{}: {} statements, {} rules\n", flags.lab.rules, statements->size(),
               lab.pipeline.stats().rules);
  return kOk;
}

int ofproto(Flags flags) {
  static const std::vector<std::string> kActions = {"trace", "run", "check", "fmt"};
  std::string action = "run";
  if (!flags.words.empty() &&
      std::find(kActions.begin(), kActions.end(), flags.words[0]) != kActions.end()) {
    action = flags.words[0];
    flags.words.erase(flags.words.begin());
  }
  if (flags.words.empty())
    return refused(
        {"no file of rules",
         {},
         fmt::format("write weft ofproto {} RULES; docs/ofproto.md has the language", action)});
  flags.lab.rules = flags.words[0];
  const std::size_t most = action == "trace" ? 2 : 1;
  if (flags.words.size() > most) {
    const std::string near = nearest_name(flags.words[0], kActions);
    return refused({fmt::format("unexpected argument '{}'", flags.words[most]),
                    {},
                    near.empty() ? "weft ofproto --help lists the arguments"
                                 : fmt::format("did you mean weft ofproto {}?", near)});
  }
  if (action == "trace") return trace(flags);
  if (action == "run") return run(flags);
  return format_rules(flags, action == "fmt");
}

const Command command{
    "ofproto", "The virtual switch alone: trace a packet, run a capture through rules", 90,
    "  weft ofproto trace RULES 'in_port=1,tcp,nw_dst=10.0.0.2,tp_dst=80'\n"
    "  weft ofproto trace RULES --in a.pcap --frame 3\n"
    "  weft ofproto run RULES --in a.pcap --out b.pcapng --dump-flows\n"
    "  weft ofproto check RULES\n"
    "  weft ofproto fmt RULES\n",
    [](CLI::App& app) -> cli::Action {
      auto f = std::make_shared<Flags>();
      app.add_option("ARGUMENTS", f->words,
                     "trace RULES [FLOW], run RULES (or RULES alone), check RULES, fmt RULES");
      app.add_option("--in", f->in, "Capture (pcap or pcapng) whose frames come in");
      app.add_option("--out", f->out, "run: capture (pcapng) for what goes out, interface by port");
      app.add_option("--in-port", f->in_port,
                     "Port where packets come in; else by the capture's interface: its name, or "
                     "the first is port 1");
      app.add_option("--packet", f->packet, "trace: a frame as hexadecimal digits");
      app.add_option("--frame", f->frame, "trace: which frame of --in")->capture_default_str();
      app.add_option("--ct-next", f->ct_next,
                     "trace: state that the next ct() finds, such as trk,est; once for each")
          ->expected(1)
          ->take_all()
          ->allow_extra_args(false);
      app.add_option("--port", f->lab.ports,
                     "Declare a port: 1=vm, 10=vxlan,remote=172.16.0.2,key=42, 20=uplink")
          ->expected(1)
          ->take_all()
          ->allow_extra_args(false);
      app.add_option("--down", f->lab.down, "Port that is not live")
          ->expected(1)
          ->take_all()
          ->allow_extra_args(false);
      app.add_flag("--json", f->json, "JSON instead of text");
      app.add_flag("--list-drops", f->list_drops, "run: a line for every dropped packet");
      app.add_flag("--dump-flows", f->dump_flows, "run: the rules with their counts afterwards");
      app.add_flag("--dump-groups", f->dump_groups, "run: the groups with their counts afterwards");
      app.add_flag("--dump-meters", f->dump_meters, "run: the meters with their counts afterwards");
      app.add_flag("--dump-megaflows", f->dump_megaflows, "run: what the cache holds afterwards");
      app.add_flag("--dump-connections", f->dump_connections,
                   "run: the tracked connections afterwards");
      app.add_flag("--no-caches", f->no_caches, "run: every packet takes the slow path");
      return [f] { return ofproto(*f); };
    }};

}  // namespace
}  // namespace weft::cli
