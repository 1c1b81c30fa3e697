// A trace's answer as text and as JSON.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "analysis/trace/packet_fields.h"
#include "analysis/trace/tracer.h"

namespace weft::analysis {
namespace {

using Json = nlohmann::ordered_json;

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& n : names) out += (out.empty() ? "" : ", ") + n;
  return out;
}

Json or_null(const std::string& text) { return text.empty() ? Json() : Json(text); }

Json json_of(const datapath::FlowKey& key) {
  Json out = Json::object();
  for (const PacketField& f : packet_fields(key)) {
    const std::string name(f.name);
    if (f.number)
      out[name] = std::stoull(f.text);
    else
      out[name] = f.text;
  }
  return out;
}

Json json_of(const TraceHop& hop) {
  static constexpr const char* kKinds[] = {"hypervisor", "tunnel", "link", "switch", "host"};
  Json out = {{"kind", kKinds[static_cast<int>(hop.kind)]}, {"name", hop.name}};
  if (hop.kind == TraceHop::Kind::tunnel) {
    out["vni"] = hop.vni;
    out["src"] = hop.src.text();
    out["dst"] = hop.dst.text();
    if (hop.dst_port != 0) {
      out["udp_src"] = hop.src_port;
      out["udp_dst"] = hop.dst_port;
    }
  }
  if (hop.equal > 1) out["equal_paths"] = hop.equal;
  return out;
}

/// "dropped by ...": the verdict in one line.
std::string verdict_line(const TraceAnswer& a) {
  switch (a.verdict) {
    case TraceVerdict::delivered:
      return "delivered to " + joined(a.ports);
    case TraceVerdict::flooded:
      return "flooded to " + joined(a.ports);
    case TraceVerdict::replied:
      return fmt::format("replied: {}", a.note);
    case TraceVerdict::rejected:
    case TraceVerdict::dropped:
      break;
  }
  std::string out(name_of(a.verdict));
  if (!a.reason.empty()) out += ": " + a.reason;
  if (!a.stage.empty()) out += ", at " + a.stage;
  if (!a.note.empty()) out += fmt::format(" ({})", a.note);
  return out;
}

}  // namespace

std::string trace_text(const TraceAnswer& a) {
  std::string out;
  for (const TracePart& part : a.parts) {
    out += part.title + "\n";
    for (const std::string& line : part.lines) out += line + "\n";
    out += "\n";
  }
  out += verdict_line(a) + "\n";
  out += fmt::format("  {}\n", packet_text(a.packet));
  if (!a.rule.empty()) out += fmt::format("  by {}: {}\n", a.stage, a.rule);
  if (!a.intent.empty()) out += fmt::format("  of {}\n", a.intent);
  return out;
}

std::string trace_json(const TraceAnswer& a, int indent) {
  Json out = {{"from", a.from},
              {"verdict", std::string(name_of(a.verdict))},
              {"ports", a.ports},
              {"packet", json_of(a.packet)},
              {"stage", or_null(a.stage)},
              {"rule", or_null(a.rule)},
              {"intent", or_null(a.intent)},
              {"reason", or_null(a.reason)},
              {"note", or_null(a.note)},
              {"sent", json_of(a.sent)},
              {"hops", Json::array()}};
  for (const TraceHop& hop : a.hops) out["hops"].push_back(json_of(hop));
  return out.dump(indent);
}

}  // namespace weft::analysis
