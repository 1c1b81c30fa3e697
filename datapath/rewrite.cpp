#include "datapath/rewrite.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "datapath/checksum.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using wire::load_be;
using wire::store_be;

std::uint64_t merge(std::uint64_t old, std::uint64_t value, std::uint64_t mask) {
  return (old & ~mask) | (value & mask);
}

void write_mac(std::uint8_t* p, std::uint64_t value, std::uint64_t mask) {
  std::uint64_t old = 0;
  for (int i = 0; i < 6; ++i) old = old << 8 | p[i];
  const std::uint64_t v = merge(old, value, mask);
  store_be<std::uint32_t>(p, static_cast<std::uint32_t>(v >> 16));
  store_be<std::uint16_t>(p + 4, static_cast<std::uint16_t>(v));
}

/// Where the checksum of the transport header lies, nullptr if there is none to keep right.
/// `pseudo`: only those that cover the IP addresses.
std::uint8_t* transport_checksum(Packet& packet, const ParsedHeaders& parsed, bool pseudo) {
  if (parsed.l4 == 0) return nullptr;
  std::uint8_t* l4 = packet.data() + parsed.l4;
  switch (parsed.ip_proto) {
    case wire::kProtoTcp:
      return l4 + 16;
    case wire::kProtoUdp: {
      std::uint8_t* c = l4 + 6;
      return load_be<std::uint16_t>(c) == 0 ? nullptr : c;  // zero: the sender sent none
    }
    case wire::kProtoIcmp:
      return pseudo ? nullptr : l4 + 2;
    case wire::kProtoIcmpv6:
      return l4 + 2;
    default:
      return nullptr;
  }
}

void update(std::uint8_t* checksum, bool udp, std::uint16_t old_word, std::uint16_t new_word) {
  std::uint16_t c = update_checksum(load_be<std::uint16_t>(checksum), old_word, new_word);
  if (udp && c == 0) c = 0xffff;
  store_be(checksum, c);
}
void update32(std::uint8_t* checksum, bool udp, std::uint32_t old_value, std::uint32_t new_value) {
  std::uint16_t c = update_checksum32(load_be<std::uint16_t>(checksum), old_value, new_value);
  if (udp && c == 0) c = 0xffff;
  store_be(checksum, c);
}

void write_address4(Packet& packet, const ParsedHeaders& parsed, unsigned offset,
                    std::uint32_t value, std::uint32_t mask, bool fix) {
  std::uint8_t* ip = packet.data() + parsed.l3;
  const auto old = load_be<std::uint32_t>(ip + offset);
  const auto now = static_cast<std::uint32_t>(merge(old, value, mask));
  store_be(ip + offset, now);
  if (!fix || old == now) return;
  update32(ip + 10, false, old, now);
  if (std::uint8_t* c = transport_checksum(packet, parsed, true))
    update32(c, parsed.ip_proto == wire::kProtoUdp, old, now);
}

void write_address6_half(Packet& packet, const ParsedHeaders& parsed, unsigned offset,
                         std::uint64_t value, std::uint64_t mask, bool fix) {
  std::uint8_t* p = packet.data() + parsed.l3 + offset;
  const auto old = load_be<std::uint64_t>(p);
  const auto now = merge(old, value, mask);
  store_be(p, now);
  if (!fix || old == now) return;
  std::uint8_t* c = transport_checksum(packet, parsed, true);
  if (c == nullptr) return;
  const bool udp = parsed.ip_proto == wire::kProtoUdp;
  update32(c, udp, static_cast<std::uint32_t>(old >> 32), static_cast<std::uint32_t>(now >> 32));
  update32(c, udp, static_cast<std::uint32_t>(old), static_cast<std::uint32_t>(now));
}

void write_ports(Packet& packet, const ParsedHeaders& parsed, std::uint64_t value,
                 std::uint64_t mask, bool fix) {
  if ((mask >> 32) == 0 || parsed.l4 == 0) return;
  std::uint8_t* l4 = packet.data() + parsed.l4;
  const bool icmp = parsed.ip_proto == wire::kProtoIcmp || parsed.ip_proto == wire::kProtoIcmpv6;
  const bool udp = parsed.ip_proto == wire::kProtoUdp;
  std::uint8_t* c = transport_checksum(packet, parsed, false);
  if (icmp) {
    const auto old = load_be<std::uint16_t>(l4);
    const auto type = static_cast<std::uint16_t>(merge(old >> 8, value >> 32, mask >> 32 & 0xff));
    const auto code = static_cast<std::uint16_t>(merge(old & 0xff, value >> 48, mask >> 48 & 0xff));
    const auto now = static_cast<std::uint16_t>(type << 8 | code);
    store_be(l4, now);
    if (fix) update(c, false, old, now);
    return;
  }
  for (unsigned i = 0; i < 2; ++i) {
    const auto bits = static_cast<std::uint16_t>(mask >> (32 + 16 * i));
    if (bits == 0) continue;
    std::uint8_t* p = l4 + 2 * i;
    const auto old = load_be<std::uint16_t>(p);
    const auto now = static_cast<std::uint16_t>(merge(old, value >> (32 + 16 * i), bits));
    store_be(p, now);
    if (fix && c != nullptr) update(c, udp, old, now);
  }
}

/// Target and MAC options of a neighbour solicitation or advertisement; words 16-19 of the key. An
/// option that is not there is not written.
void write_nd(Packet& packet, const ParsedHeaders& parsed, unsigned word, std::uint64_t value,
              std::uint64_t mask, bool fix) {
  if (parsed.l4 == 0 || parsed.ip_version != 6 || parsed.ip_proto != wire::kProtoIcmpv6) return;
  std::uint8_t* l4 = packet.data() + parsed.l4;
  const std::uint32_t end = std::min(parsed.l3_end, packet.header_size());
  const std::uint32_t options = parsed.l4 + static_cast<std::uint32_t>(sizeof(wire::NdNeighbour));
  if (options > end ||
      (l4[0] != wire::kNdNeighbourSolicitation && l4[0] != wire::kNdNeighbourAdvertisement))
    return;
  std::uint8_t* at = l4 + 8 + (word - 18) * 8;
  std::size_t length = 8;
  if (word < 18) {
    const Mac* mac =
        wire::find_nd_mac(packet.headers().subspan(options, end - options),
                          word == 16 ? wire::kNdOptionSourceMac : wire::kNdOptionTargetMac);
    if (mac == nullptr) return;
    at = packet.data() + (reinterpret_cast<const std::uint8_t*>(mac) - packet.data());
    length = 6;
  }
  std::uint8_t old[8], now[8];
  std::copy_n(at, length, old);
  if (length == 6)
    write_mac(at, value, mask & 0xffffffffffffULL);
  else
    store_be(at, merge(load_be<std::uint64_t>(at), value, mask));
  std::copy_n(at, length, now);
  if (!fix) return;
  for (std::size_t i = 0; i < length; i += 2)
    update(l4 + 2, false, load_be<std::uint16_t>(old + i), load_be<std::uint16_t>(now + i));
}

void write_tos_ttl(Packet& packet, const ParsedHeaders& parsed, std::uint64_t value,
                   std::uint64_t mask, bool fix) {
  std::uint8_t* ip = packet.data() + parsed.l3;
  const auto tos_mask = static_cast<std::uint8_t>(mask >> 8);
  const auto ttl_mask = static_cast<std::uint8_t>(mask >> 16);
  if (parsed.ip_version == 4) {
    if (tos_mask != 0) {
      const auto old = load_be<std::uint16_t>(ip);
      ip[1] = static_cast<std::uint8_t>(merge(ip[1], value >> 8, tos_mask));
      if (fix) update(ip + 10, false, old, load_be<std::uint16_t>(ip));
    }
    if (ttl_mask != 0) {
      const auto old = load_be<std::uint16_t>(ip + 8);
      ip[8] = static_cast<std::uint8_t>(merge(ip[8], value >> 16, ttl_mask));
      if (fix) update(ip + 10, false, old, load_be<std::uint16_t>(ip + 8));
    }
    return;
  }
  const auto first = load_be<std::uint32_t>(ip);
  const auto tos = static_cast<std::uint32_t>(merge(first >> 20 & 0xff, value >> 8, tos_mask));
  store_be(ip, (first & ~(0xffu << 20)) | tos << 20);
  ip[7] = static_cast<std::uint8_t>(merge(ip[7], value >> 16, ttl_mask));
}

}  // namespace

void rewrite_word(Packet& packet, const ParsedHeaders& parsed, unsigned word, std::uint64_t value,
                  std::uint64_t mask, bool fix) {
  constexpr std::uint64_t k48 = 0xffffffffffffULL;
  std::uint8_t* p = packet.data();
  packet.route_hash = 0;
  switch (word) {
    case 7:
      return write_mac(p, value, mask & k48);
    case 8:
      return write_mac(p + 6, value, mask & k48);
    default:
      break;
  }
  if (parsed.is_arp()) {
    std::uint8_t* arp = p + parsed.l3;
    switch (word) {
      case 9:
        arp[7] = static_cast<std::uint8_t>(merge(arp[7], value, mask & 0xff));
        return;
      case 11:
      case 13: {
        std::uint8_t* a = arp + (word == 11 ? 14 : 24);
        store_be(a, static_cast<std::uint32_t>(merge(load_be<std::uint32_t>(a), value, mask)));
        return;
      }
      case 16:
        return write_mac(arp + 8, value, mask & k48);
      case 17:
        return write_mac(arp + 18, value, mask & k48);
      default:
        return;
    }
  }
  if (parsed.ip_version == 0) return;
  switch (word) {
    case 6:  // the label is in no checksum
      if (parsed.ip_version == 6) {
        std::uint8_t* first = p + parsed.l3;
        store_be(first, static_cast<std::uint32_t>(merge(load_be<std::uint32_t>(first), value >> 32,
                                                         mask >> 32 & 0xfffff)));
      }
      return;
    case 9:
      if ((mask & 0xffff00) != 0) write_tos_ttl(packet, parsed, value, mask, fix);
      return write_ports(packet, parsed, value, mask, fix);
    case 10:
    case 11:
    case 12:
    case 13:
      if (parsed.ip_version == 6)
        return write_address6_half(packet, parsed, 8 + (word - 10) * 8, value, mask, fix);
      if (word == 11 || word == 13)
        write_address4(packet, parsed, word == 11 ? 12 : 16, static_cast<std::uint32_t>(value),
                       static_cast<std::uint32_t>(mask), fix);
      return;
    case 16:
    case 17:
    case 18:
    case 19:
      return write_nd(packet, parsed, word, value, mask, fix);
    default:
      return;
  }
}

void push_tag(Packet& packet, std::uint16_t tci, std::uint16_t type) {
  std::uint8_t* p = packet.push(4);
  std::memmove(p, p + 4, 12);
  store_be(p + 12, type);
  store_be(p + 14, tci);
}

void pop_tag(Packet& packet, const ParsedHeaders& parsed) {
  WEFT_CHECK(parsed.has_vlan);
  std::uint8_t* p = packet.data();
  std::memmove(p + 4, p, 12);
  packet.pull(4);
}

void set_tag(Packet& packet, const ParsedHeaders& parsed, std::uint16_t tci) {
  WEFT_CHECK(parsed.has_vlan);
  store_be(packet.data() + 14, tci);
  packet.route_hash = 0;
}

}  // namespace weft::datapath
