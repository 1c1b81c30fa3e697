#include "cli/ofproto_lab.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <set>

namespace weft::cli {

using datapath::Action;
using datapath::ActionKind;
using datapath::PortConfig;
using datapath::PortKind;
using datapath::PortNo;
using datapath::Statement;

namespace {

constexpr std::uint32_t kUplinkOfItsOwn = 65279;

void collect_ports(const std::vector<Action>& actions, std::set<std::uint32_t>& ports) {
  for (const Action& a : actions) {
    if (a.kind == ActionKind::output) ports.insert(a.port);
    collect_ports(a.nested, ports);
  }
}

void collect_ports(const Statement& s, std::set<std::uint32_t>& ports) {
  for (const auto& b : s.group.buckets) collect_ports(b.actions, ports);
  if (s.subject == Statement::Subject::mirror) ports.insert(s.mirror.output);
  if (s.subject != Statement::Subject::flow) return;
  collect_ports(s.rule.actions, ports);
  const auto& match = s.rule.match;
  if (match.mask.get(datapath::place::in_port) == 0xffffffff)
    ports.insert(static_cast<std::uint32_t>(match.value.get(datapath::place::in_port)));
}

datapath::VtepConfig default_vtep() {
  datapath::VtepConfig v;
  v.address = Ip4{0xac100001};  // 172.16.0.1
  v.mac = Mac::from_u64(0x0a0000000001);
  v.next_hop = Mac::from_u64(0x0a00000000ff);
  return v;
}

}  // namespace

Result<std::string> OfprotoLab::read(const std::string& path) {
  std::FILE* file = path == "-" ? stdin : std::fopen(path.c_str(), "rb");
  const auto failed = [&](int reason) {
    return Error{fmt::format("cannot be read: {}", std::strerror(reason)),
                 {path, 0, 0},
                 "give a file of rules, or - for standard input"};
  };
  if (file == nullptr) return failed(errno);
  std::string text;
  char buffer[65536];
  std::size_t n;
  while ((n = std::fread(buffer, 1, sizeof buffer, file)) > 0) text.append(buffer, n);
  const int reason = std::ferror(file) != 0 ? (errno != 0 ? errno : EIO) : 0;
  if (file != stdin) std::fclose(file);
  if (reason != 0) return failed(reason);
  return text;
}

OfprotoLab::OfprotoLab(const Settings& settings)
    : pool(arena), pipeline(default_vtep(), settings.caches, settings.seed) {
  pipeline.set_world({[this] { return ++next_id; }, &pool});
}

OfprotoLab::~OfprotoLab() = default;

Result<> OfprotoLab::load(const Settings& settings) {
  std::string text;
  int own_lines = 0;
  for (const std::string& port : settings.ports) {
    text += "port " + port + "\n";
    ++own_lines;
  }
  auto rules = read(settings.rules);
  if (!rules) return rules.error();
  text += *rules;
  auto statements = datapath::parse_switch_file(text, settings.rules);
  if (!statements) {
    Error e = statements.error();
    if (e.place.line <= own_lines) {
      e.place.file = "--port";
      e.place.line = 1;
      e.place.column = std::max(1, e.place.column - 5);
    } else {
      e.place.line -= own_lines;
    }
    return e;
  }
  std::set<std::uint32_t> mentioned;
  bool tunnel = false, uplink = false;
  for (const auto& s : *statements) {
    collect_ports(s.statement, mentioned);
    if (s.statement.subject != Statement::Subject::port) continue;
    tunnel = tunnel || s.statement.port.kind == PortKind::tunnel;
    uplink = uplink || s.statement.port.kind == PortKind::uplink;
  }
  if (tunnel && !uplink) {
    PortConfig port;
    port.number = PortNo{kUplinkOfItsOwn};
    port.name = "uplink";
    port.kind = PortKind::uplink;
    pipeline.add_port(port);
  }
  for (const auto& s : *statements) {
    if (auto r = pipeline.apply(s.statement); !r) {
      Error e = r.error();
      e.place.file = settings.rules;
      e.place.line = s.line - own_lines;
      return e;
    }
  }
  for (const std::uint32_t number : mentioned) ensure_port(number);
  for (const std::string& name : settings.down) {
    auto port = port_named(name);
    if (!port) return port.error();
    pipeline.set_port_up(*port, false);
  }
  return {};
}

void OfprotoLab::ensure_port(std::uint32_t number) {
  for (const PortConfig& p : pipeline.ports())
    if (p.number.value == number) return;
  if (number == 0 || number > 65279) return;
  PortConfig port;
  port.number = PortNo{number};
  port.name = fmt::format("port-{}", number);
  pipeline.add_port(port);
}

Result<PortNo> OfprotoLab::port_named(const std::string& text) const {
  const auto names = pipeline.port_names();
  std::uint32_t number = 0;
  if (!datapath::find_port(text, &names, number) || number == 0 || number > 65279)
    return Error{fmt::format("there is no port '{}'", text),
                 {},
                 "write a number from 1 to 65279, or a name that a port line declares"};
  return PortNo{number};
}

std::string OfprotoLab::name_of_port(PortNo port) const {
  for (const PortConfig& p : pipeline.ports())
    if (p.number == port && !p.name.empty()) return p.name;
  return fmt::format("port-{}", port.value);
}

Packet* OfprotoLab::packet(std::span<const std::uint8_t> frame) {
  Packet* p = pool.take();
  p->id = ++next_id;
  const auto headers = static_cast<std::uint32_t>(std::min<std::size_t>(frame.size(), 128));
  std::copy_n(frame.begin(), headers, p->reset_headers(headers));
  p->payload = Payload::copy_of(frame.subspan(headers));
  return p;
}

void OfprotoLab::release(datapath::Outputs& outputs) {
  for (const auto& o : outputs.out) pool.give(o.packet);
  for (const auto& d : outputs.dropped) pool.give(d.packet);
  for (Packet* c : outputs.consumed) pool.give(c);
  for (const auto& c : outputs.controller) pool.give(c.packet);
  outputs.clear();
}

}  // namespace weft::cli
