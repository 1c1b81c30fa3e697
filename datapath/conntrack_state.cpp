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
                                tuple_text(c.original), tuple_text(c.reply));
  if (c.zone != 0) out += fmt::format(",zone={}", c.zone);
  if (c.mark != 0) out += fmt::format(",mark={}", c.mark);
  if (c.label.high != 0)
    out += fmt::format(",labels={:#x}{:016x}", c.label.high, c.label.low);
  else if (c.label.low != 0)
    out += fmt::format(",labels={:#x}", c.label.low);
  if (c.tcp != TcpState::none) out += fmt::format(",protoinfo=(state={})", to_string(c.tcp));
  return out;
}

// One connection of an exported zone. Version 2.
struct Record {
  wire::Ip6Field src, dst;              ///< original
  wire::Ip6Field reply_src, reply_dst;  ///< of replies; what they say without NAT, too
  wire::be16 src_port, dst_port, reply_src_port, reply_dst_port;
  wire::be64 label_high, label_low;
  wire::be64 remaining_ps;
  wire::be32 mark;
  std::uint8_t protocol;
  std::uint8_t flags;  ///< k*
  std::uint8_t tcp;
  std::uint8_t reserved;
  // TCP: the windows, [0] of the original direction.
  wire::be32 end[2], max_end[2], max_window[2], max_ack[2];
  std::uint8_t scale[2], side_flags[2];
  wire::be32 last_sequence, last_ack, last_end;
  wire::be16 last_window;
  std::uint8_t last_kind, last_scale, bits, repeats;
  wire::be16 reserved2;

  static constexpr std::uint8_t kIs6 = 1, kSeenReply = 2, kSnat = 4, kDnat = 8;
};
static_assert(sizeof(Record) == 160 && wire::Header<Record>);

struct ExportHeader {
  wire::be32 magic;
  wire::be16 version;
  wire::be16 reserved;
  wire::be32 count;
};
static_assert(sizeof(ExportHeader) == 12 && wire::Header<ExportHeader>);

constexpr std::uint32_t kMagic = 0x57465443;  // "WFTC"
constexpr std::uint16_t kVersion = 2;
constexpr Duration kLongest = seconds(5'000'000);

bool is_ip4(Ip6 a) { return a.high == 0 && a.low >> 32 == 0; }

void write_windows(const TcpTrack& t, Record& r) {
  for (unsigned i = 0; i < 2; ++i) {
    r.end[i] = t.end[i];
    r.max_end[i] = t.max_end[i];
    r.max_window[i] = t.max_window[i];
    r.max_ack[i] = t.max_ack[i];
    r.scale[i] = t.scale[i];
    r.side_flags[i] = t.flags[i];
  }
  r.last_sequence = t.last_sequence;
  r.last_ack = t.last_ack;
  r.last_end = t.last_end;
  r.last_window = t.last_window;
  r.last_kind = t.last_kind;
  r.last_scale = t.last_scale;
  r.bits = t.bits;
  r.repeats = t.repeats;
}

void read_windows(const Record& r, TcpTrack& t) {
  for (unsigned i = 0; i < 2; ++i) {
    t.end[i] = r.end[i];
    t.max_end[i] = r.max_end[i];
    t.max_window[i] = r.max_window[i];
    t.max_ack[i] = r.max_ack[i];
    t.scale[i] = r.scale[i];
    t.flags[i] = r.side_flags[i];
  }
  t.last_sequence = r.last_sequence;
  t.last_ack = r.last_ack;
  t.last_end = r.last_end;
  t.last_window = r.last_window;
  t.last_kind = r.last_kind;
  t.last_scale = r.last_scale;
  t.bits = r.bits;
  t.repeats = r.repeats;
}

/// Why these replies cannot be those of the connection; nullptr if they can.
const char* wrong_reply(const Connection& c, bool icmp) {
  const CtTuple plain = c.original.reversed();
  if (c.snat && c.dnat) return "two kinds of NAT";
  if (c.translated() ? c.reply == plain : c.reply != plain)
    return "replies that do not fit its NAT";
  if (c.translated() && c.reply == c.original) return "replies like its own packets";
  const bool ports =
      c.original.protocol == wire::kProtoTcp || c.original.protocol == wire::kProtoUdp;
  if (icmp ? c.reply.src_port != c.reply.dst_port
           : !ports && (c.reply.src_port | c.reply.dst_port) != 0)
    return "ports that its protocol does not have";
  return nullptr;
}

/// The connection of a record, or why it cannot be one.
const char* read_record(const Record& r, Connection& c) {
  if ((r.flags & ~(Record::kIs6 | Record::kSeenReply | Record::kSnat | Record::kDnat)) != 0)
    return "unknown flags";
  CtTuple& t = c.original;
  t.protocol = r.protocol;
  t.is6 = (r.flags & Record::kIs6) != 0;
  const bool icmp = t.protocol == wire::kProtoIcmp || t.protocol == wire::kProtoIcmpv6;
  if (icmp && (t.protocol == wire::kProtoIcmpv6) != t.is6) return "ICMP of the other family";
  t.echo = icmp ? 1 : 0;
  c.reply = t.reversed();
  t.src = r.src;
  t.dst = r.dst;
  t.src_port = r.src_port;
  t.dst_port = r.dst_port;
  c.reply.src = r.reply_src;
  c.reply.dst = r.reply_dst;
  c.reply.src_port = r.reply_src_port;
  c.reply.dst_port = r.reply_dst_port;
  if (!t.is6 && !(is_ip4(t.src) && is_ip4(t.dst) && is_ip4(c.reply.src) && is_ip4(c.reply.dst)))
    return "an IPv4 address of more than 32 bits";
  const bool tcp = t.protocol == wire::kProtoTcp;
  if (r.tcp > static_cast<std::uint8_t>(TcpState::syn_sent2) || tcp != (r.tcp != 0))
    return "a TCP state that does not fit";
  if (r.scale[0] > 14 || r.scale[1] > 14 || r.last_scale > 14 || r.last_kind > 5)
    return "TCP windows out of range";
  if (r.remaining_ps == 0 || r.remaining_ps > static_cast<std::uint64_t>(kLongest.ps))
    return "a remaining time out of range";
  c.tcp = static_cast<TcpState>(r.tcp);
  c.seen_reply = (r.flags & Record::kSeenReply) != 0;
  c.snat = (r.flags & Record::kSnat) != 0;
  c.dnat = (r.flags & Record::kDnat) != 0;
  c.mark = r.mark;
  c.label = {r.label_high, r.label_low};
  if (tcp) read_windows(r, c.windows);
  return wrong_reply(c, icmp);
}

}  // namespace

std::vector<std::string> ConnTrack::dump(Time now) const {
  std::vector<Connection> all;
  for (std::uint32_t i = 0; i < entries_.size(); ++i)
    if (entries_[i].has(Entry::kUsed) && alive(i, now)) all.push_back(connection_of(entries_[i]));
  std::sort(all.begin(), all.end(), [](const Connection& a, const Connection& b) {
    return a.zone != b.zone ? a.zone < b.zone : a.original < b.original;
  });
  std::vector<std::string> out;
  out.reserve(all.size());
  for (const Connection& c : all) out.push_back(connection_text(c));
  return out;
}

std::vector<std::uint8_t> ConnTrack::export_zone(std::uint16_t zone, Time now) const {
  std::vector<Connection> all = connections(zone, now);
  if (options_.faults.move_without_nat)
    std::erase_if(all, [](const Connection& c) { return c.translated(); });
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
    r.reply_src = c.reply.src;
    r.reply_dst = c.reply.dst;
    r.src_port = c.original.src_port;
    r.dst_port = c.original.dst_port;
    r.reply_src_port = c.reply.src_port;
    r.reply_dst_port = c.reply.dst_port;
    r.label_high = c.label.high;
    r.label_low = c.label.low;
    r.remaining_ps = static_cast<std::uint64_t>((c.expires - now).ps);
    r.mark = c.mark;
    r.protocol = c.original.protocol;
    r.flags = static_cast<std::uint8_t>(
        (c.original.is6 ? Record::kIs6 : 0) | (c.seen_reply ? Record::kSeenReply : 0) |
        (c.snat ? Record::kSnat : 0) | (c.dnat ? Record::kDnat : 0));
    r.tcp = static_cast<std::uint8_t>(c.tcp);
    write_windows(c.windows, r);
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
    // What shares a tuple with it goes.
    for (const CtTuple& t : {c.original, c.reply}) {
      bool reply = false;
      if (const std::uint32_t old = locate(t, zone, hash_of(t, zone), reply); old != kNone)
        erase(old);
    }
    if (!has_room(zone, now)) continue;
    insert(c, hash_of(c.original, zone));
    ++in;
  }
  return in;
}

}  // namespace weft::datapath
