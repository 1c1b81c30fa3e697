#include "datapath/dhcp6.h"

#include <algorithm>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/replies.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using wire::load_be;
using wire::store_be;
using Bytes = std::vector<std::uint8_t>;

enum Message : std::uint8_t {
  kSolicit = 1,
  kAdvertise = 2,
  kRequest = 3,
  kConfirm = 4,
  kRenew = 5,
  kRebind = 6,
  kReply = 7,
  kRelease = 8,
  kDecline = 9,
  kInformation = 11
};
enum Option : std::uint16_t {
  kClientId = 1,
  kServerId = 2,
  kIaNa = 3,
  kIaTa = 4,
  kIaAddress = 5,
  kStatus = 13,
  kDns = 23,
  kDomains = 24,
  kIaPd = 25
};
enum Status : std::uint16_t { kSuccess = 0, kNoAddress = 2, kNotOnLink = 4, kNoPrefix = 6 };

struct Piece {
  std::uint16_t code = 0;
  const std::uint8_t* at = nullptr;
  std::size_t length = 0;
};

/// False if the last option is cut off.
bool read_options(const std::uint8_t* p, std::size_t n, std::vector<Piece>& out) {
  for (std::size_t at = 0; at < n;) {
    if (n - at < 4) return false;
    const Piece o{load_be<std::uint16_t>(p + at), p + at + 4, load_be<std::uint16_t>(p + at + 2)};
    if (o.length > n - at - 4) return false;
    out.push_back(o);
    at += 4 + o.length;
  }
  return true;
}

const Piece* find(const std::vector<Piece>& options, std::uint16_t code) {
  const auto at = std::find_if(options.begin(), options.end(),
                               [code](const Piece& o) { return o.code == code; });
  return at == options.end() ? nullptr : &*at;
}

template <class T>
void put(Bytes& out, T v) {
  const std::size_t at = out.size();
  out.resize(at + sizeof(T));
  store_be(&out[at], v);
}
void put_option(Bytes& out, std::uint16_t code, const Bytes& value) {
  put(out, code);
  put(out, static_cast<std::uint16_t>(value.size()));
  out.insert(out.end(), value.begin(), value.end());
}
Bytes address_bytes(const Ip6& a) {
  Bytes b;
  put(b, a.high);
  put(b, a.low);
  return b;
}
Ip6 address_at(const std::uint8_t* p) {
  return {load_be<std::uint64_t>(p), load_be<std::uint64_t>(p + 8)};
}
Bytes status(Status code) {
  Bytes b;
  put(b, static_cast<std::uint16_t>(code));
  return b;
}

Bytes server_id(Mac mac) {
  Bytes b = {0, 3, 0, 1};  // DUID-LL, Ethernet (RFC 8415, 11.4)
  b.insert(b.end(), mac.bytes.begin(), mac.bytes.end());
  return b;
}

Bytes domain_names(const std::vector<std::string>& domains) {
  Bytes b;
  for (std::string_view d : domains) {
    while (!d.empty()) {
      const auto dot = std::min(d.find('.'), d.size());
      b.push_back(static_cast<std::uint8_t>(dot));
      b.insert(b.end(), d.begin(), d.begin() + static_cast<std::ptrdiff_t>(dot));
      d.remove_prefix(std::min(dot + 1, d.size()));
    }
    b.push_back(0);
  }
  return b;
}

Bytes ia_address(const Ip6& a, std::uint32_t lifetime) {
  Bytes b = address_bytes(a);
  put(b, lifetime);  // preferred
  put(b, lifetime);  // valid
  return b;
}

/// The addresses that an identity association names. False if it is cut short.
bool named_addresses(const Piece& ia, std::size_t fixed, std::vector<Ip6>& out) {
  if (ia.length < fixed) return false;
  std::vector<Piece> inside;
  if (!read_options(ia.at + fixed, ia.length - fixed, inside)) return false;
  for (const Piece& o : inside) {
    if (o.code != kIaAddress) continue;
    if (o.length < 24) return false;
    out.push_back(address_at(o.at));
  }
  return true;
}

/// IA_NA: the address of the lease, and a goodbye to others that the client named.
Bytes answer_ia(const Piece& ia, const std::vector<Ip6>& named, const Dhcp6Lease& lease) {
  const std::uint32_t for_ever = 0xffffffff;
  const bool ends = lease.lease != for_ever;
  Bytes b(ia.at, ia.at + 4);
  const bool has = lease.address != Ip6{};
  put(b, !has ? 0u : ends ? lease.lease / 2 : for_ever);
  put(b, !has ? 0u : ends ? lease.lease / 10 * 8 : for_ever);
  if (has)
    put_option(b, kIaAddress, ia_address(lease.address, lease.lease));
  else
    put_option(b, kStatus, status(kNoAddress));
  for (const Ip6& a : named)
    if (a != lease.address) put_option(b, kIaAddress, ia_address(a, 0));
  return b;
}

}  // namespace

Ip6 link_local_of(Mac mac) {
  const std::uint64_t m = mac.to_u64() ^ 0x020000000000;
  return {0xfe80ULL << 48, (m >> 24) << 40 | 0xfffe000000 | (m & 0xffffff)};
}

DhcpAnswer make_dhcp6_reply(const Packet& request, const ParsedHeaders& parsed,
                            const Dhcp6Lease& lease, Packet& reply) {
  if (!parsed.is_ipv6() || parsed.ip_proto != wire::kProtoUdp || parsed.l4 == 0)
    return DhcpAnswer::malformed;
  Bytes frame;
  request.copy_frame(frame);
  const std::size_t begin = parsed.l4 + sizeof(wire::UdpHeader);
  const std::size_t end = std::min<std::size_t>(parsed.l3_end, frame.size());
  if (end < begin + 4) return DhcpAnswer::malformed;
  const std::uint8_t* q = frame.data() + begin;
  std::vector<Piece> options;
  if (!read_options(q + 4, end - begin - 4, options)) return DhcpAnswer::malformed;

  // RFC 8415, 16: what a message must have, and must not.
  const std::uint8_t type = q[0];
  const bool asks = type == kSolicit || type == kConfirm || type == kRebind;
  const bool tells = type == kRequest || type == kRenew || type == kRelease || type == kDecline;
  if (!asks && !tells && type != kInformation) return DhcpAnswer::none;
  const Piece* client = find(options, kClientId);
  const Piece* server = find(options, kServerId);
  const Bytes own = server_id(lease.mac);
  if ((client == nullptr && type != kInformation) || (tells && server == nullptr) ||
      (asks && server != nullptr))
    return DhcpAnswer::none;
  if (server != nullptr &&
      (server->length != own.size() || std::memcmp(server->at, own.data(), own.size()) != 0))
    return DhcpAnswer::none;

  Bytes out = {type == kSolicit ? kAdvertise : kReply, q[1], q[2], q[3]};
  if (client != nullptr) put_option(out, kClientId, Bytes(client->at, client->at + client->length));
  put_option(out, kServerId, own);
  bool on_link = true, any = false;
  for (const Piece& o : options) {
    if (o.code != kIaNa && o.code != kIaTa && o.code != kIaPd) continue;
    if (o.length < 4) return DhcpAnswer::malformed;
    std::vector<Ip6> named;
    if (o.code != kIaPd && !named_addresses(o, o.code == kIaNa ? 12 : 4, named))
      return DhcpAnswer::malformed;
    any = any || !named.empty();
    for (const Ip6& a : named) on_link = on_link && a == lease.address;
    if (type == kConfirm || type == kRelease || type == kDecline || type == kInformation) continue;
    Bytes ia;
    if (o.code == kIaNa) {
      ia = answer_ia(o, named, lease);
    } else {
      ia.assign(o.at, o.at + 4);
      if (o.code == kIaPd) ia.resize(12);  // T1 and T2
      put_option(ia, kStatus, status(o.code == kIaPd ? kNoPrefix : kNoAddress));
    }
    put_option(out, o.code, ia);
  }
  if (type == kConfirm) {
    if (!any) return DhcpAnswer::none;  // RFC 8415, 18.3.3
    put_option(out, kStatus, status(on_link ? kSuccess : kNotOnLink));
  } else if (type == kRelease || type == kDecline) {
    put_option(out, kStatus, status(kSuccess));
  } else {
    if (!lease.dns.empty()) {
      Bytes list;
      for (const Ip6& a : lease.dns) {
        const Bytes b = address_bytes(a);
        list.insert(list.end(), b.begin(), b.end());
      }
      put_option(out, kDns, list);
    }
    if (!lease.domains.empty()) put_option(out, kDomains, domain_names(lease.domains));
    for (const auto& [code, value] : lease.options)
      put_option(out, code, Bytes(value.begin(), value.end()));
  }

  UdpAnswer way = turned_round(request, parsed);
  way.from = lease.mac;
  way.source = IpAddress(lease.server == Ip6{} ? link_local_of(lease.mac) : lease.server);
  way.src_port = 547;
  way.dst_port = 546;
  std::uint8_t* data =
      begin_udp_answer(request, parsed, way, static_cast<std::uint32_t>(out.size()), reply);
  std::copy(out.begin(), out.end(), data);
  finish_l4_checksum(reply, parsed.l3);
  return DhcpAnswer::reply;
}

}  // namespace weft::datapath
