// A switch on the bench: ports 1-4 of VMs (tenants 1, 1, 2, 2), 10 VXLAN, 11 GENEVE, 20 uplink, 30
// the host's own stack; packets in, a line of text out.
#pragma once

#include <algorithm>
#include <memory>
#include <set>
#include <string>

#include "datapath/pipeline.h"
#include "datapath/statement.h"
#include "datapath/trace.h"
#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft::test {

inline datapath::VtepConfig lab_vtep(std::uint32_t last_byte = 1) {
  datapath::VtepConfig v;
  v.address = Ip4{0xac100000 + last_byte};  // 172.16.0.X
  v.mac = Mac::from_u64(0x0a0000000000 + last_byte);
  v.next_hop = Mac::from_u64(0x0a00000000ff);
  return v;
}

class Lab {
 public:
  explicit Lab(datapath::CacheOptions caches = {}, datapath::VtepConfig vtep = lab_vtep())
      : pool(arena), pipeline(vtep, caches, 7) {
    using datapath::PortKind;
    using datapath::TunnelKind;
    pipeline.set_world({[this] { return ++next_id; }, &pool});
    for (std::uint32_t n = 1; n <= 4; ++n)
      pipeline.add_port({datapath::PortNo{n}, "vm-" + std::to_string(n), PortKind::vm,
                         TunnelKind::none, 1 + (n - 1) / 2});
    pipeline.add_port({datapath::PortNo{10}, "vxlan", PortKind::tunnel, TunnelKind::vxlan, 0});
    pipeline.add_port({datapath::PortNo{11}, "geneve", PortKind::tunnel, TunnelKind::geneve, 0});
    pipeline.add_port({datapath::PortNo{20}, "uplink", PortKind::uplink, TunnelKind::none, 0});
    pipeline.add_port({datapath::PortNo{30}, "local", PortKind::local, TunnelKind::none, 0});
  }
  ~Lab() { release(); }

  void rules(std::string_view lines) {
    while (!lines.empty()) {
      const auto end = std::min(lines.find('\n'), lines.size());
      std::string_view line = lines.substr(0, end);
      lines.remove_prefix(std::min(end + 1, lines.size()));
      while (!line.empty() && line.front() == ' ') line.remove_prefix(1);
      if (line.empty()) continue;
      const auto names = pipeline.port_names();
      const auto statement = datapath::parse_statement(line, &names);
      INFO(line << "\n" << (statement ? std::string() : statement.error().text()));
      REQUIRE(statement.ok());
      const auto r = pipeline.apply(*statement);
      INFO(line << "\n" << (r ? std::string() : r.error().text()));
      REQUIRE(r.ok());
    }
  }
  Packet* packet() {
    Packet* p = pool.take();
    p->id = ++next_id;
    return p;
  }
  Packet* packet(const FlowSpec& f) {
    Packet* p = packet();
    build(*p, f);
    return p;
  }
  Packet* packet(const Bytes& bytes) {
    Packet* p = packet();
    set_frame(*p, bytes);
    return p;
  }
  /// What came out, byte by byte, without what has no order.
  using Frames = std::multiset<std::pair<std::string, Bytes>>;
  static Frames foreseen(const datapath::TraceResult& trace) {
    Frames out;
    for (const auto& e : trace.ends) {
      using Kind = datapath::TraceEnd::Kind;
      if (e.kind == Kind::out) out.emplace(std::to_string(e.port.value), frame_of(*e.packet));
      if (e.kind == Kind::dropped)
        out.emplace(std::string(name_of(e.reason)) + std::to_string(e.cookie), frame_of(*e.packet));
      if (e.kind == Kind::controller) out.emplace("controller", frame_of(*e.packet));
    }
    return out;
  }
  Frames seen() const {
    Frames out;
    for (const auto& o : outputs.out)
      out.emplace(std::to_string(o.port.value), frame_of(*o.packet));
    for (const auto& d : outputs.dropped)
      out.emplace(std::string(name_of(d.reason)) + std::to_string(d.cookie), frame_of(*d.packet));
    for (const auto& c : outputs.controller) out.emplace("controller", frame_of(*c.packet));
    return out;
  }
  bool foresees = true;  ///< false: a fault was planted, which a trace need not share
  /// Runs one packet; the result stays in `outputs` until the next one. A trace must have foreseen
  /// it.
  std::string send(Packet* p, std::uint32_t port) {
    release();
    const auto trace = pipeline.trace_packet(*p, datapath::PortNo{port}, now);
    pipeline.process(std::span<Packet* const>(&p, 1), datapath::PortNo{port}, now, outputs);
    if (foresees && foreseen(trace) != seen()) {
      const std::string told = format_trace(trace.lines);
      INFO(told);
      // Of what the packet itself would teach the switch, a trace knows nothing.
      REQUIRE(told.find("would learn") != std::string::npos);
    }
    std::string text;
    const auto item = [&text](const std::string& t) { text += (text.empty() ? "" : " ") + t; };
    for (const auto& o : outputs.out) item(std::to_string(o.port.value));
    for (const auto& d : outputs.dropped) item("drop(" + std::string(name_of(d.reason)) + ")");
    if (!outputs.consumed.empty()) item("consumed");
    // Conservation: what went in and what was made came out, once.
    for (std::size_t i = 0; i < outputs.controller.size(); ++i) item("controller");
    const std::size_t out = outputs.out.size() + outputs.dropped.size() + outputs.consumed.size() +
                            outputs.controller.size();
    REQUIRE(out == 1 + outputs.created.size());
    return text;
  }
  std::string send(const FlowSpec& f, std::uint32_t port) { return send(packet(f), port); }
  /// Takes the n-th output packet out of the result: the caller gives it back or sends it on.
  Packet* take_output(std::size_t n = 0) {
    Packet* p = outputs.out.at(n).packet;
    outputs.out.erase(outputs.out.begin() + static_cast<std::ptrdiff_t>(n));
    return p;
  }
  Bytes output_bytes(std::size_t n = 0) const { return frame_of(*outputs.out.at(n).packet); }
  void release() {
    for (const auto& o : outputs.out) pool.give(o.packet);
    for (const auto& d : outputs.dropped) pool.give(d.packet);
    for (Packet* c : outputs.consumed) pool.give(c);
    for (const auto& c : outputs.controller) pool.give(c.packet);
    outputs.clear();
  }

  PacketArena arena;
  PacketPool pool;
  PacketId next_id = 0;
  datapath::Pipeline pipeline;
  datapath::Outputs outputs;
  Time now{};
};

}  // namespace weft::test
