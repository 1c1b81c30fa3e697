#include "datapath/nat.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/hash.h"
#include "datapath/checksum.h"
#include "datapath/conntrack.h"
#include "datapath/conntrack_packet.h"
#include "datapath/flow_key.h"
#include "datapath/rewrite.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using Wide = unsigned __int128;

bool is_icmp(std::uint8_t protocol) {
  return protocol == wire::kProtoIcmp || protocol == wire::kProtoIcmpv6;
}
bool has_ports(std::uint8_t protocol) {
  return protocol == wire::kProtoTcp || protocol == wire::kProtoUdp;
}

Wide wide(Ip6 a) { return static_cast<Wide>(a.high) << 64 | a.low; }
Ip6 narrow(Wide v) { return {static_cast<std::uint64_t>(v >> 64), static_cast<std::uint64_t>(v)}; }

// --- the choice ----------------------------------------------------------------------------------

/// Addresses that are tried with a port or two each before one is searched.
constexpr unsigned kQuickAddresses = 64;

struct Ports {
  std::uint32_t min, max;
  std::uint32_t size() const { return max - min + 1; }
};

/// The ports that may take the place of this one if the rule names none.
Ports class_of(std::uint16_t port) {
  if (port < 512) return {1, 511};
  if (port < 1024) return {600, 1023};
  return {1024, 65535};
}

struct Choice {
  const NatSpec& spec;
  const CtTuple& original;
  const std::function<bool(const CtTuple&)>& taken;
  std::uint64_t flow_hash;
  unsigned tries = 0;

  bool fits(const CtTuple& reply) {
    ++tries;
    return reply != original && !taken(reply);
  }

  /// One of the ports `set` puts into the reply: `own` if it may be, else a search through them.
  template <class Set>
  bool search(CtTuple& reply, Ports ports, std::uint16_t own, bool own_first, unsigned limit,
              Set set) {
    if (own_first && own >= ports.min && own <= ports.max) {
      set(reply, own);
      if (fits(reply)) return true;
    }
    const std::uint32_t size = ports.size();
    // A range that is not searched whole is sampled at even distances.
    std::uint32_t step = 1;
    if (size > limit) {
      step = static_cast<std::uint32_t>(static_cast<std::uint64_t>(size) * 618 / 1000) | 1;
      while (std::gcd(step, size) != 1) step += 2;
    }
    auto at = static_cast<std::uint32_t>(flow_hash % size);
    for (unsigned i = 0; i < std::min(limit, size) && tries < 2 * kMaxNatTries; ++i) {
      set(reply, static_cast<std::uint16_t>(ports.min + at));
      if (fits(reply)) return true;
      at = (at + step) % size;
    }
    return false;
  }
};

}  // namespace

std::optional<CtTuple> choose_reply(const NatSpec& spec, const CtTuple& original,
                                    std::uint64_t seed,
                                    const std::function<bool(const CtTuple&)>& taken) {
  const CtTuple plain = original.reversed();
  if (spec.has_address && spec.is6 != original.is6)  // the other family: nothing to translate to
    return taken(plain) ? std::nullopt : std::optional(plain);
  const bool source = spec.kind == NatSpec::Kind::source;
  const bool icmp = is_icmp(original.protocol), ports = has_ports(original.protocol);

  std::uint64_t h = mix64(original.src.low ^ seed, original.src.high);
  const std::uint64_t by_source = h;
  h = mix64(h ^ original.dst.low, original.dst.high);
  const std::uint64_t by_pair = h;
  h = mix64(h ^ original.protocol,
            static_cast<std::uint64_t>(original.src_port) << 16 | original.dst_port);
  const std::uint64_t by_address = spec.persistent ? by_source : spec.random ? h : by_pair;

  const Wide lowest = wide(spec.has_address ? spec.min : source ? original.src : original.dst);
  Wide addresses = spec.has_address ? wide(spec.max) - wide(spec.min) + 1 : 1;
  if (addresses == 0) addresses = ~Wide{0};
  Wide at = static_cast<Wide>(by_address) % addresses;

  Choice choice{spec, original, taken, mix64(h, seed)};
  const bool own_first = !spec.hash && !spec.random;
  const unsigned parts = addresses < 8 ? static_cast<unsigned>(addresses) : 8;
  const unsigned limit = kMaxNatTries / parts;
  const auto set_source = [icmp](CtTuple& reply, std::uint16_t port) {
    reply.dst_port = port;
    if (icmp) reply.src_port = port;
  };
  const Ports free_source = icmp ? Ports{0, 65535} : class_of(original.src_port);
  const std::uint16_t own = original.src_port;

  // With many addresses a full one is passed by quickly at first; a client that must keep its
  // address searches it whole.
  if (source && (ports || icmp) && addresses > 1 && !spec.persistent) {
    for (Wide n = 0; n < std::min<Wide>(addresses, kQuickAddresses); ++n) {
      CtTuple reply = plain;
      reply.dst = narrow(lowest + (at + n) % addresses);
      const Ports range = spec.port_min != 0 ? Ports{spec.port_min, spec.port_max} : free_source;
      if (choice.search(reply, range, own, own_first, 1, set_source)) return reply;
    }
  }
  choice.tries = 0;
  for (Wide n = 0; n < addresses && choice.tries < kMaxNatTries; ++n, at = (at + 1) % addresses) {
    CtTuple reply = plain;
    (source ? reply.dst : reply.src) = narrow(lowest + at);
    if (!ports && !icmp) {
      if (choice.fits(reply)) return reply;
      continue;
    }
    if (source) {
      const Ports range = spec.port_min != 0 ? Ports{spec.port_min, spec.port_max} : free_source;
      if (choice.search(reply, range, own, own_first, limit, set_source)) return reply;
      continue;
    }
    if (!icmp && spec.port_min != 0) {
      const Ports range{spec.port_min, spec.port_max};
      const auto set = [](CtTuple& r, std::uint16_t port) { r.src_port = port; };
      if (choice.search(reply, range, original.dst_port, own_first, limit, set)) return reply;
      reply.src_port = static_cast<std::uint16_t>(spec.port_min + choice.flow_hash % range.size());
    } else if (choice.fits(reply)) {
      return reply;
    }
    if (choice.search(reply, free_source, own, false, limit, set_source)) return reply;
  }
  return std::nullopt;
}

// --- the bytes -----------------------------------------------------------------------------------

namespace {

using wire::load_be;
using wire::store_be;

/// Writes 16-bit words of what an ICMP error quotes, and keeps the error's own checksum right.
struct Quote {
  std::uint8_t* outer;  ///< nullptr: leave checksums alone

  void put(std::uint8_t* p, std::uint16_t value) const {
    const auto old = load_be<std::uint16_t>(p);
    store_be(p, value);
    if (outer != nullptr)
      store_be(outer, update_checksum(load_be<std::uint16_t>(outer), old, value));
  }
  /// A word that the checksum at `inner` (may be null) covers as well.
  void put(std::uint8_t* p, std::uint16_t value, std::uint8_t* inner, bool udp) const {
    const auto old = load_be<std::uint16_t>(p);
    put(p, value);
    if (inner == nullptr || outer == nullptr) return;
    std::uint16_t c = update_checksum(load_be<std::uint16_t>(inner), old, value);
    if (udp && c == 0) c = 0xffff;
    put(inner, c);
  }
};

void translate_quote(std::span<std::uint8_t> bytes, const CtTuple& now, const Quote& quote) {
  const auto found = quoted_transport(bytes, now.is6);
  if (!found) return;  // ct_packet() has seen it
  const QuotedTransport& in = *found;
  std::uint8_t* ip = bytes.data();
  std::uint8_t* l4 = ip + in.offset;
  const std::size_t there = bytes.size() - in.offset;
  const bool udp = in.protocol == wire::kProtoUdp, tcp = in.protocol == wire::kProtoTcp;
  const bool icmp = is_icmp(in.protocol);
  std::uint8_t* sum = nullptr;  // of the transport, if it is quoted
  if (udp && there >= 8 && load_be<std::uint16_t>(l4 + 6) != 0) sum = l4 + 6;
  if (tcp && there >= 18) sum = l4 + 16;
  if (icmp && there >= 4) sum = l4 + 2;
  std::uint8_t* pseudo = in.protocol == wire::kProtoIcmp ? nullptr : sum;
  const auto address = [&](std::uint8_t* p, std::uint16_t word) {
    const auto old = load_be<std::uint16_t>(p);
    if (old == word) return;
    quote.put(p, word, pseudo, udp);
    if (!now.is6 && quote.outer != nullptr)
      quote.put(ip + 10, update_checksum(load_be<std::uint16_t>(ip + 10), old, word));
  };
  if (now.is6) {
    const std::uint64_t halves[] = {now.src.high, now.src.low, now.dst.high, now.dst.low};
    for (unsigned i = 0; i < 16; ++i)
      address(ip + 8 + 2 * i, static_cast<std::uint16_t>(halves[i / 4] >> (48 - 16 * (i % 4))));
  } else {
    for (unsigned i = 0; i < 4; ++i) {
      const std::uint64_t a = i < 2 ? now.src.low : now.dst.low;
      address(ip + 12 + 2 * i, static_cast<std::uint16_t>(i % 2 == 0 ? a >> 16 : a));
    }
  }
  if (icmp) {
    if (there >= 6) quote.put(l4 + 4, now.src_port, sum, false);
  } else if (has_ports(in.protocol) && there >= 4) {
    quote.put(l4, now.src_port, sum, udp);
    quote.put(l4 + 2, now.dst_port, sum, udp);
  }
}

void write_address(Packet& packet, const ParsedHeaders& parsed, bool source, Ip6 value, bool fix) {
  const unsigned word = source ? place::ip_src : place::ip_dst;
  if (parsed.is_ipv6()) rewrite_word(packet, parsed, word, value.high, ~0ULL, fix);
  rewrite_word(packet, parsed, word + 1, value.low, parsed.is_ipv6() ? ~0ULL : 0xffffffff, fix);
}

}  // namespace

void translate_packet(Packet& packet, const ParsedHeaders& parsed, const CtPacket& was,
                      const CtTuple& now, bool fix_checksums) {
  const bool error = was.kind == CtPacket::Kind::icmp_error;
  // What the packet's own direction looked like before.
  const CtTuple before = error ? was.tuple.reversed() : was.tuple;
  if (before.src != now.src) write_address(packet, parsed, true, now.src, fix_checksums);
  if (before.dst != now.dst) write_address(packet, parsed, false, now.dst, fix_checksums);
  if (error) {
    const std::uint32_t want = parsed.payload + kQuotedBytes;
    ensure_headers(packet, std::min(want, parsed.l3_end));
    const std::uint32_t end = std::min(packet.header_size(), parsed.l3_end);
    std::uint8_t* p = packet.data();
    translate_quote({p + parsed.payload, end - parsed.payload}, now.reversed(),
                    {fix_checksums ? p + parsed.l4 + 2 : nullptr});
    packet.route_hash = 0;
    return;
  }
  if (parsed.l4 == 0) return;
  if (is_icmp(now.protocol)) {
    if (before.src_port == now.src_port) return;
    std::uint8_t* icmp = packet.data() + parsed.l4;
    const auto old = load_be<std::uint16_t>(icmp + 4);
    store_be(icmp + 4, now.src_port);
    if (fix_checksums)
      store_be(icmp + 2, update_checksum(load_be<std::uint16_t>(icmp + 2), old, now.src_port));
    return;
  }
  std::uint64_t ports = 0, mask = 0;
  if (before.src_port != now.src_port) {
    ports |= static_cast<std::uint64_t>(now.src_port) << 32;
    mask |= 0xffffULL << 32;
  }
  if (before.dst_port != now.dst_port) {
    ports |= static_cast<std::uint64_t>(now.dst_port) << 48;
    mask |= 0xffffULL << 48;
  }
  if (mask != 0) rewrite_word(packet, parsed, 9, ports, mask, fix_checksums);
}

}  // namespace weft::datapath
