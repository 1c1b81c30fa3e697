// weft decap: takes the inner frames out of a capture, with the tunnel endpoint that the simulated
// hypervisors have (datapath/tunnel/receiver.h). docs/encapsulations.md tells of its output.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <limits>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/units.h"
#include "cli/commands.h"
#include "datapath/frame_text.h"
#include "datapath/tunnel/nvgre.h"
#include "datapath/tunnel/receiver.h"
#include "datapath/wire/wire.h"
#include "pcap/reader.h"
#include "pcap/writer.h"

namespace weft::cli {
namespace {

using datapath::Decap;
using datapath::TunnelKind;

constexpr std::uint16_t kLinkEthernet = 1;
constexpr const char* kNotTunnel = "not_tunnel";

struct Flags {
  std::string file;
  std::string out;
  bool json = false;
  bool only_tunnels = false;
  bool inner_vlan = false;
  bool accept_zero = false;
  bool require_checksum = false;
  bool require_checksum6 = false;
  bool ignore_checksums = false;
  bool reassemble = false;
  bool refuse_fragments = false;
  bool copy_dscp = false;
  bool copy_ttl = false;
  std::string gre = "by-key";
  std::vector<std::string> ports;
  std::vector<std::string> known_options;
  std::string fragment_timeout = "30s";
  std::string frame_timeout = "1s";
  std::uint32_t incomplete = 1024;
};

std::string hex(std::span<const std::uint8_t> bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const std::uint8_t b : bytes) {
    out += kDigits[b >> 4];
    out += kDigits[b & 15];
  }
  return out;
}

/// 16 bits at most, decimal or 0x; -1 if it is none.
std::int32_t number(const std::string& text, std::int32_t most) {
  try {
    std::size_t used = 0;
    const long n = std::stol(text, &used, 0);
    return used == text.size() && n >= 0 && n <= most ? static_cast<std::int32_t>(n) : -1;
  } catch (const std::exception&) {
    return -1;
  }
}

Result<> read_ports(const Flags& flags, datapath::TunnelPorts& ports) {
  for (const std::string& text : flags.ports) {
    const auto equals = text.find('=');
    const std::string name = text.substr(0, equals);
    const std::int32_t port =
        equals == std::string::npos ? -1 : number(text.substr(equals + 1), 65535);
    std::uint16_t* to = name == "vxlan"    ? &ports.vxlan
                        : name == "geneve" ? &ports.geneve
                        : name == "lisp"   ? &ports.lisp
                        : name == "otv"    ? &ports.otv
                        : name == "stt"    ? &ports.stt
                                           : nullptr;
    if (to == nullptr || port < 0)
      return Error{"--port takes NAME=PORT, not '" + text + "'",
                   {},
                   "NAME is one of vxlan, geneve, lisp, otv, stt; port 0 switches it off"};
    // The port that is given to one is taken from the others.
    for (std::uint16_t* p : {&ports.vxlan, &ports.geneve, &ports.lisp, &ports.otv, &ports.stt})
      if (*p == port && (p == &ports.stt) == (to == &ports.stt)) *p = 0;
    *to = static_cast<std::uint16_t>(port);
  }
  return {};
}

Result<datapath::ReceiverOptions> read_options(const Flags& flags) {
  datapath::ReceiverOptions o;
  if (auto r = read_ports(flags, o.decap.ports); !r) return r.error();
  if (flags.gre == "nvgre") {
    o.decap.gre = datapath::GreReading::nvgre;
  } else if (flags.gre == "gre") {
    o.decap.gre = datapath::GreReading::gre;
  } else if (flags.gre != "by-key") {
    return Error{"--gre takes by-key, nvgre or gre, not '" + flags.gre + "'", {}, {}};
  }
  o.decap.vxlan_inner_vlan = flags.inner_vlan;
  if (flags.accept_zero) o.decap.zero_checksum = datapath::ZeroChecksum::accept;
  if (flags.require_checksum6) o.decap.zero_checksum = datapath::ZeroChecksum::over_ipv4;
  if (flags.require_checksum) o.decap.zero_checksum = datapath::ZeroChecksum::refuse;
  o.decap.verify_checksum = !flags.ignore_checksums;
  o.decap.copy_dscp = flags.copy_dscp;
  o.decap.copy_ttl = flags.copy_ttl;
  for (const std::string& text : flags.known_options) {
    const auto colon = text.find(':');
    const std::int32_t option_class = number(text.substr(0, colon), 0xffff);
    const std::int32_t type =
        colon == std::string::npos ? -1 : number(text.substr(colon + 1), 0xff);
    if (option_class < 0 || type < 0)
      return Error{"--known-option takes CLASS:TYPE, not '" + text + "'",
                   {},
                   "as in --known-option 0x0103:0x80"};
    o.decap.known_options.emplace_back(static_cast<std::uint16_t>(option_class),
                                       static_cast<std::uint8_t>(type));
  }
  o.refuse_fragments = flags.refuse_fragments;
  for (const auto& [text, limits, flag] :
       {std::tuple{&flags.fragment_timeout, &o.fragments, "--fragment-timeout"},
        std::tuple{&flags.frame_timeout, &o.frames, "--frame-timeout"}}) {
    const auto time = parse_duration(*text);
    if (!time || time->ps <= 0)
      return Error{fmt::format("{} takes a time above zero, not '{}'", flag, *text),
                   {},
                   "as in 500ms or 30s"};
    limits->timeout = *time;
    limits->packets = flags.incomplete;
    limits->bytes = std::uint64_t{65536} * flags.incomplete;
  }
  return o;
}

/// What is said about one outer packet, or about one frame of several.
struct Line {
  std::uint64_t frame = 0;
  std::uint64_t ns = 0;  ///< stamp of that packet
  TunnelKind tunnel = TunnelKind::none;
  std::optional<std::uint64_t> id;
  std::string options;
  const char* verdict = "drop";
  std::string reason;
  std::string detail;
  std::string inner;
  std::string text;  ///< of the inner frame; if there is none, of the outer
};

class Decapsulator {
 public:
  Decapsulator(const Flags& flags, datapath::ReceiverOptions options,
               std::optional<pcap::PcapngWriter> writer)
      : flags_(flags), receiver_(std::move(options)), writer_(std::move(writer)) {}

  Result<> packet(const pcap::CapturedPacket& captured);
  /// What is incomplete now stays so.
  Result<> finish();
  Result<> close() {
    if (writer_) return writer_->close();
    return {};
  }
  std::uint64_t cut() const { return cut_; }

 private:
  Result<> say(const Line& line);
  Result<> give_up(std::vector<datapath::GivenUp>& list);
  std::string describe(const Packet& packet) const {
    return flags_.json ? std::string() : datapath::describe_frame(packet);
  }
  /// The tunnel's name where a packet is too broken, or too incomplete, for more.
  TunnelKind guess(const Packet& packet, datapath::ParsedHeaders h) const;

  Flags flags_;
  PacketArena arena_;
  PacketPool pool_{arena_};
  datapath::TunnelReceiver receiver_;
  std::optional<pcap::PcapngWriter> writer_;
  std::uint64_t frames_ = 0;
  std::uint64_t cut_ = 0;
  std::optional<pcap::CapturedPacket> first_;
  Time now_{};
  std::map<PacketId, std::uint64_t> stamps_;  // of packets that are held
};

std::uint64_t nanoseconds_of(const pcap::CapturedPacket& p) {
  if (p.seconds < 0) return 0;
  return static_cast<std::uint64_t>(p.seconds) * 1'000'000'000 +
         static_cast<std::uint64_t>(p.picoseconds) / 1000;
}

TunnelKind Decapsulator::guess(const Packet& packet, datapath::ParsedHeaders h) const {
  if (h.ip_version == 0 || h.fragment == datapath::Fragment::later) return TunnelKind::none;
  const bool ports = h.ip_proto == wire::kProtoUdp || h.ip_proto == wire::kProtoTcp;
  if (h.l4 == 0 && ports && packet.header_size() >= h.payload + 4u) h.l4 = h.payload;
  h.fragment = datapath::Fragment::none;
  h.error = datapath::ParseError::none;
  const auto& options = receiver_.options().decap;
  return datapath::tunnel_kind_of(packet, h, options.ports, options.gre);
}

Result<> Decapsulator::say(const Line& line) {
  if (flags_.only_tunnels && line.reason == kNotTunnel) return {};
  std::string out;
  if (flags_.json) {
    nlohmann::ordered_json j;
    j["frame"] = line.frame;
    j["tunnel"] = nullptr;
    if (line.tunnel != TunnelKind::none) j["tunnel"] = datapath::name_of(line.tunnel);
    j["id"] = nullptr;
    if (line.id) j["id"] = *line.id;
    j["options"] = line.options;
    j["verdict"] = line.verdict;
    j["reason"] = nullptr;
    if (!line.reason.empty()) j["reason"] = line.reason;
    j["detail"] = nullptr;
    if (!line.detail.empty()) j["detail"] = line.detail;
    j["inner"] = line.inner;
    out = j.dump() + "\n";
  } else {
    std::string tunnel = line.tunnel == TunnelKind::none ? "-" : datapath::name_of(line.tunnel);
    if (line.id) tunnel += fmt::format(" {}", *line.id);
    out = fmt::format("{:>6}  {}.{:09}  {:<16} {:<8}", line.frame, line.ns / 1'000'000'000,
                      line.ns % 1'000'000'000, tunnel, line.verdict);
    if (!line.options.empty()) out += fmt::format("options {}  ", line.options);
    if (!line.reason.empty()) {
      out += line.reason;
      if (!line.detail.empty()) out += fmt::format(" ({})", line.detail);
      out += "  ";
    }
    out += line.text + "\n";
  }
  if (std::fwrite(out.data(), 1, out.size(), stdout) != out.size())
    return Error{"standard output takes no more", {}, {}};
  return {};
}

Result<> Decapsulator::give_up(std::vector<datapath::GivenUp>& list) {
  std::vector<Packet*> group;
  for (const auto& g : list) {
    group.push_back(g.packet);
    if (!g.last) continue;
    Line line;
    line.reason = name_of(g.reason);
    const Packet* latest = group.front();
    for (const Packet* p : group)
      if (p->id > latest->id) latest = p;
    line.frame = latest->id;
    line.ns = stamps_[latest->id];
    line.detail = fmt::format("{} of its parts had come", group.size());
    line.text = describe(*group.front());
    for (const Packet* p : group) {
      const auto h = datapath::parse_headers(*p);
      if (const TunnelKind kind = guess(*p, h); kind != TunnelKind::none) line.tunnel = kind;
      if (h.fragment != datapath::Fragment::none) continue;
      const auto place = datapath::inner_place(p->headers(), h);
      if (place.header.info.has_id) line.id = place.header.info.vni;
    }
    for (Packet* p : group) {
      stamps_.erase(p->id);
      pool_.give(p);
    }
    group.clear();
    if (auto r = say(line); !r) return r.error();
  }
  list.clear();
  return {};
}

Result<> Decapsulator::packet(const pcap::CapturedPacket& captured) {
  if (!first_) {
    first_ = captured;
    first_->bytes.clear();
  }
  ++frames_;
  now_ = std::max(now_, Time{} + captured.since(*first_));
  Packet* p = pool_.take();
  p->id = frames_;
  const std::span<const std::uint8_t> bytes(captured.bytes);
  const auto n = static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), 128));
  std::copy_n(bytes.begin(), n, p->reset_headers(n));
  p->payload = Payload::copy_of(bytes.subspan(n));

  Line line;
  line.frame = frames_;
  line.ns = nanoseconds_of(captured);
  const datapath::ParsedHeaders parsed = datapath::parse_materialising(*p);
  const std::string outer_text = describe(*p);
  if (!parsed.ok() && parsed.fragment == datapath::Fragment::none) {
    const bool cut = captured.bytes.size() < captured.original_length;
    // What of a packet is there says more than that some of it is not.
    line.tunnel =
        guess(*p, cut ? datapath::parse_bytes(p->headers(), captured.original_length) : parsed);
    line.reason = name_of(DropReason::malformed);
    line.detail = cut ? fmt::format("the capture holds {} of its {} bytes", captured.bytes.size(),
                                    captured.original_length)
                      : fmt::format("outer headers: {}", to_string(parsed.error));
    line.text = outer_text;
    if (cut) ++cut_;
    pool_.give(p);
    return say(line);
  }

  std::vector<Packet*> joined;
  std::vector<datapath::GivenUp> given_up;
  std::vector<std::uint8_t> options;
  stamps_[p->id] = line.ns;
  auto result = receiver_.receive(*p, parsed, now_, joined, given_up, &options);
  for (Packet* other : joined) {
    stamps_.erase(other->id);
    pool_.give(other);
  }
  if (auto r = give_up(given_up); !r) return r.error();
  using What = datapath::TunnelReceiver::Result::What;
  if (result.what == What::held) return {};
  stamps_.erase(p->id);
  if (result.what == What::again) {
    pool_.give(p);
    return {};
  }

  const Decap& d = result.decap;
  line.tunnel = d.info.kind;
  if (d.info.has_id) line.id = d.info.vni;
  line.options = hex(options);
  line.text = outer_text;
  std::vector<std::uint8_t> inner;
  switch (d.status) {
    case Decap::Status::ok:
      line.verdict = "accept";
      p->copy_frame(inner);
      line.text = describe(*p);
      break;
    case Decap::Status::control:
      line.verdict = "control";
      p->copy_frame(inner);
      inner = {inner.begin() + d.segment.begin, inner.begin() + d.segment.end};
      break;
    case Decap::Status::drop:
      line.reason = name_of(d.reason);
      line.detail = d.detail;
      // What the key's upper bits name as a VSID, another reading takes as it is.
      if (d.info.kind == TunnelKind::nvgre && d.info.has_id && flags_.gre == "by-key" &&
          !datapath::nvgre::valid_vsid(d.info.vni))
        line.detail += "; for GRE with a key of another kind: --gre gre";
      break;
    default:
      line.reason = kNotTunnel;
      break;
  }
  pool_.give(p);
  if (d.ok() && writer_) {
    const std::string comment = fmt::format("{}{}, packet {} of {}", name_of(d.info.kind),
                                            line.id ? fmt::format(" {}", *line.id) : std::string(),
                                            line.frame, flags_.file);
    if (auto r = writer_->write_ns(line.ns, inner, comment); !r) return r.error();
  }
  // LISP carries IP; the Ethernet header in front is ours, for the capture.
  std::span<const std::uint8_t> carried(inner);
  if (d.ok() && d.info.kind == TunnelKind::lisp) carried = carried.subspan(14);
  if (flags_.json) line.inner = hex(carried);
  return say(line);
}

Result<> Decapsulator::finish() {
  std::vector<datapath::GivenUp> given_up;
  receiver_.clear(given_up);
  return give_up(given_up);
}

Result<> run_through(pcap::CaptureReader& reader, const std::string& path, Decapsulator& d) {
  for (;;) {
    auto next = reader.next();
    if (!next) return next.error();
    if (!*next) return {};
    const std::uint16_t link = reader.interfaces()[(*next)->interface].link_type;
    if (link != kLinkEthernet)
      return Error{fmt::format("{}: packets of link type {}, which is not Ethernet", path, link),
                   {},
                   "captures of \"any\" interface or of radio have other headers outside: capture "
                   "on one Ethernet interface"};
    if (auto r = d.packet(**next); !r) return r.error();
  }
}

int decap(const Flags& flags) {
  const auto fail = [](const Error& e) {
    std::fflush(stdout);
    print_errors({e});
    return static_cast<int>(kBadInput);
  };
  auto options = read_options(flags);
  if (!options) return fail(options.error());
  auto reader = pcap::CaptureReader::open(flags.file);
  if (!reader) return fail(reader.error());
  std::optional<pcap::PcapngWriter> writer;
  if (!flags.out.empty()) {
    pcap::CaptureHeader header;
    header.application = fmt::format("weft {}", version());
    header.interface = "inner";
    header.description = "inner frames of " + flags.file;
    auto opened = pcap::PcapngWriter::open(flags.out, header);
    if (!opened) return fail(opened.error());
    writer.emplace(std::move(*opened));
  }
  Decapsulator decapsulator(flags, *options, std::move(writer));
  auto read = run_through(*reader, flags.file, decapsulator);
  // What came before a broken place is said and written whole, whatever the place is.
  auto finished = decapsulator.finish();
  auto closed = decapsulator.close();
  if (!read) return fail(read.error());
  if (!finished) return fail(finished.error());
  if (!closed) return fail(closed.error());
  if (std::fflush(stdout) != 0) return fail({"standard output takes no more", {}, {}});
  if (decapsulator.cut() != 0)
    return fail({fmt::format("{}: {} packets are cut short by the capture's snap length",
                             flags.file, decapsulator.cut()),
                 {},
                 "capture whole packets (tcpdump -s 0); the others are as they should be"});
  return kOk;
}

const Command command{
    "decap", "Take the inner frames out of a capture of tunnels", 82,
    "  weft decap uplink.pcapng\n"
    "  weft decap uplink.pcapng --out inner.pcapng\n"
    "  weft decap uplink.pcapng --json --only-tunnels\n"
    "  weft decap linux.pcap --port vxlan=8472 --vxlan-inner-vlan\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->file, "Capture: pcap or pcapng, Ethernet outside")->required();
      app.add_option("--out", flags->out, "Write the inner frames to this pcapng file")
          ->type_name("FILE");
      app.add_flag("--json", flags->json, "One JSON object a line instead of text");
      app.add_flag("--only-tunnels", flags->only_tunnels, "Say nothing about other packets");
      app.add_option("--port", flags->ports,
                     "Destination port of vxlan, geneve, lisp, otv or stt (0: none)")
          ->type_name("NAME=PORT");
      app.add_option("--gre", flags->gre,
                     "What Ethernet over GRE is: by-key (with a key: NVGRE), nvgre, gre")
          ->type_name("HOW")
          ->capture_default_str();
      app.add_flag("--vxlan-inner-vlan", flags->inner_vlan,
                   "Accept 802.1Q tags inside VXLAN (RFC 7348, 6.1)");
      app.add_option("--known-option", flags->known_options,
                     "Accept this critical GENEVE option as well as OVN's")
          ->type_name("CLASS:TYPE");
      app.add_flag("--accept-zero-checksum", flags->accept_zero,
                   "Accept UDP with checksum 0 from every tunnel (GENEVE over IPv6 too)");
      app.add_flag("--require-udp-checksum", flags->require_checksum,
                   "Drop UDP with checksum 0 (RFC 7348 and 8926 accept it)");
      app.add_flag("--require-udp-checksum6", flags->require_checksum6,
                   "Drop UDP over IPv6 with checksum 0 (RFC 6935 lets tunnels accept it)");
      app.add_flag("--ignore-checksums", flags->ignore_checksums,
                   "Accept wrong UDP, GRE and STT checksums (captures of offloading hosts)");
      auto* take = app.add_flag("--reassemble", flags->reassemble,
                                "Put outer IP fragments together (the default)");
      app.add_flag("--refuse-fragments", flags->refuse_fragments,
                   "Drop outer IP fragments, as RFC 7348 lets a VTEP do")
          ->excludes(take);
      app.add_option("--fragment-timeout", flags->fragment_timeout,
                     "How long IP fragments wait for each other (30s)")
          ->type_name("TIME");
      app.add_option("--frame-timeout", flags->frame_timeout,
                     "How long segments of an STT frame wait for each other (1s)")
          ->type_name("TIME");
      app.add_option("--incomplete", flags->incomplete,
                     "Most packets that wait for parts at a time")
          ->check(CLI::Range(1u, 1u << 20))
          ->type_name("N")
          ->capture_default_str();
      app.add_flag("--copy-dscp", flags->copy_dscp,
                   "The inner frame gets the outer DSCP (RFC 2983, uniform model)");
      app.add_flag("--copy-ttl", flags->copy_ttl,
                   "The inner frame's TTL becomes the outer one where that is lower");
      return [flags] { return decap(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
