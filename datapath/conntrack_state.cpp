// ConnTrack as text and as bytes: dumps for people, zones that move with their VM.
#include <fmt/core.h>

#include <algorithm>

#include "datapath/conntrack.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

std::string protocol_name(std::uint8_t protocol) {
  switch (protocol) {
    case wire::kProtoTcp:
      return "tcp";
    case wire::kProtoUdp:
      return "udp";
    case wire::kProtoIcmp:
      return "icmp";
    case wire::kProtoIcmpv6:
      return "icmpv6";
    case wire::kProtoSctp:
      return "sctp";
    default:
      return fmt::format("{}", protocol);
  }
}

std::string tuple_text(const CtTuple& t) {
  std::string out = fmt::format("src={},dst={}", t.source().text(), t.destination().text());
  if (t.echo != 0) {
    const unsigned type = t.is6 ? (t.echo == 1 ? 128u : 129u) : (t.echo == 1 ? 8u : 0u);
    out += fmt::format(",id={},type={},code=0", t.src_port, type);
  } else if (t.protocol == wire::kProtoTcp || t.protocol == wire::kProtoUdp) {
    out += fmt::format(",sport={},dport={}", t.src_port, t.dst_port);
  }
  return out;
}

std::string connection_text(const Connection& c) {
  std::string out = fmt::format("{},orig=({}),reply=({})", protocol_name(c.original.protocol),
                                tuple_text(c.original), tuple_text(c.original.reversed()));
  if (c.zone != 0) out += fmt::format(",zone={}", c.zone);
  if (c.mark != 0) out += fmt::format(",mark={}", c.mark);
  if (c.tcp != TcpState::none) out += fmt::format(",protoinfo=(state={})", to_string(c.tcp));
  return out;
}

// One connection of an exported zone. Version 1.
struct Record {
  wire::Ip6Field src;
  wire::Ip6Field dst;
  wire::be16 src_port;
  wire::be16 dst_port;
  std::uint8_t protocol;
  std::uint8_t flags;  ///< kIs6, kSeenReply
  std::uint8_t echo;
  std::uint8_t tcp;
  wire::be32 mark;
  wire::be64 remaining_ps;

  static constexpr std::uint8_t kIs6 = 1;
  static constexpr std::uint8_t kSeenReply = 2;
};
static_assert(sizeof(Record) == 52 && wire::Header<Record>);

struct ExportHeader {
  wire::be32 magic;
  wire::be16 version;
  wire::be16 reserved;
  wire::be32 count;
};
static_assert(sizeof(ExportHeader) == 12 && wire::Header<ExportHeader>);

constexpr std::uint32_t kMagic = 0x57465443;  // "WFTC"
constexpr std::uint16_t kVersion = 1;
constexpr Duration kLongest = seconds(5'000'000);

/// The connection of a record, or why it cannot be one.
const char* read_record(const Record& r, Connection& c) {
  CtTuple& t = c.original;
  t.src = r.src;
  t.dst = r.dst;
  t.src_port = r.src_port;
  t.dst_port = r.dst_port;
  t.protocol = r.protocol;
  t.is6 = (r.flags & Record::kIs6) != 0;
  t.echo = r.echo;
  if ((r.flags & ~(Record::kIs6 | Record::kSeenReply)) != 0) return "unknown flags";
  if (!t.is6 && ((t.src.high | t.dst.high) != 0 || (t.src.low | t.dst.low) >> 32 != 0)) {
    return "an IPv4 address of more than 32 bits";
  }
  const bool icmp = t.protocol == (t.is6 ? wire::kProtoIcmpv6 : wire::kProtoIcmp);
  if (icmp ? t.echo != 1 : t.echo != 0) return "an echo direction that does not fit";
  const bool tcp = t.protocol == wire::kProtoTcp;
  if (r.tcp > static_cast<std::uint8_t>(TcpState::syn_sent2) || tcp != (r.tcp != 0)) {
    return "a TCP state that does not fit";
  }
  if (r.remaining_ps == 0 || r.remaining_ps > static_cast<std::uint64_t>(kLongest.ps)) {
    return "a remaining time out of range";
  }
  c.tcp = static_cast<TcpState>(r.tcp);
  c.seen_reply = (r.flags & Record::kSeenReply) != 0;
  c.mark = r.mark;
  return nullptr;
}

}  // namespace

std::vector<std::string> ConnTrack::dump(Time now) const {
  std::vector<Connection> all;
  for (const Entry& e : entries_)
    if (e.used() && e.connection.expires > now) all.push_back(e.connection);
  std::sort(all.begin(), all.end(), [](const Connection& a, const Connection& b) {
    return a.zone != b.zone ? a.zone < b.zone : a.original < b.original;
  });
  std::vector<std::string> out;
  for (const Connection& c : all) out.push_back(connection_text(c));
  return out;
}

std::vector<std::uint8_t> ConnTrack::export_zone(std::uint16_t zone, Time now) const {
  const std::vector<Connection> all = connections(zone, now);
  std::vector<std::uint8_t> out(sizeof(ExportHeader) + all.size() * sizeof(Record));
  auto& header = wire::at<ExportHeader>(out.data());
  header.magic = kMagic;
  header.version = kVersion;
  header.reserved = 0;
  header.count = static_cast<std::uint32_t>(all.size());
  std::uint8_t* p = out.data() + sizeof(ExportHeader);
  for (const Connection& c : all) {
    auto& r = wire::at<Record>(p);
    r.src = c.original.src;
    r.dst = c.original.dst;
    r.src_port = c.original.src_port;
    r.dst_port = c.original.dst_port;
    r.protocol = c.original.protocol;
    r.flags = static_cast<std::uint8_t>((c.original.is6 ? Record::kIs6 : 0) |
                                        (c.seen_reply ? Record::kSeenReply : 0));
    r.echo = c.original.echo;
    r.tcp = static_cast<std::uint8_t>(c.tcp);
    r.mark = c.mark;
    r.remaining_ps = static_cast<std::uint64_t>((c.expires - now).ps);
    p += sizeof(Record);
  }
  return out;
}

Result<std::uint32_t> ConnTrack::import_zone(std::uint16_t zone,
                                             std::span<const std::uint8_t> bytes, Time now) {
  const auto* header = wire::view<ExportHeader>(bytes);
  if (header == nullptr || header->magic != kMagic) {
    return Error{"these bytes are not an exported connection-tracking zone"};
  }
  if (header->version != kVersion) {
    return Error{fmt::format("connection-tracking state of version {}; this is version {}",
                             header->version.get(), kVersion)};
  }
  const std::size_t body = bytes.size() - sizeof(ExportHeader);
  if (body % sizeof(Record) != 0 || body / sizeof(Record) != header->count) {
    return Error{fmt::format("connection-tracking state of {} connections cannot have {} bytes",
                             header->count.get(), bytes.size())};
  }
  std::vector<Connection> all(header->count);
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& r = *wire::view<Record>(bytes, sizeof(ExportHeader) + i * sizeof(Record));
    if (const char* wrong = read_record(r, all[i])) {
      return Error{fmt::format("connection {} of the imported zone has {}", i + 1, wrong)};
    }
    all[i].zone = zone;
    all[i].expires = now + picoseconds(static_cast<std::int64_t>(r.remaining_ps.get()));
  }
  std::uint32_t in = 0;
  for (const Connection& c : all) {
    const std::uint32_t hash = hash_of(c.original, zone);
    bool reply = false;
    if (const std::int64_t old = locate(c.original, zone, hash, reply); old >= 0) {
      erase(static_cast<std::uint32_t>(old));
    }
    in += make(c, hash, now);
  }
  return in;
}

}  // namespace weft::datapath
