#include "datapath/dhcp.h"

#include <algorithm>
#include <cstring>

#include "datapath/checksum.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using wire::load_be;
using wire::store_be;

// Offsets of RFC 2131, figure 1.
constexpr std::uint32_t kXid = 4, kFlags = 10, kCiaddr = 12, kYiaddr = 16, kSiaddr = 20,
                        kGiaddr = 24, kChaddr = 28, kCookie = 236, kOptions = 240;
constexpr std::uint32_t kMagic = 0x63825363;
constexpr std::uint32_t kLeast = 300;  // of a BOOTP message

enum Message : std::uint8_t {
  kDiscover = 1,
  kOffer = 2,
  kRequest = 3,
  kDecline = 4,
  kAck = 5,
  kNak = 6,
  kRelease = 7,
  kInform = 8
};

struct Request {
  std::uint8_t type = 0;
  std::uint32_t wanted = 0;  ///< option 50
  std::uint32_t server = 0;  ///< option 54
};

/// False if the options are cut off.
bool read_options(const std::uint8_t* p, std::size_t n, Request& out) {
  for (std::size_t at = 0; at < n;) {
    const std::uint8_t code = p[at];
    if (code == 255) return true;
    if (code == 0) {
      ++at;
      continue;
    }
    if (at + 2 > n || at + 2 + p[at + 1] > n) return false;
    const std::uint8_t length = p[at + 1];
    const std::uint8_t* value = p + at + 2;
    if (code == 53 && length == 1) out.type = value[0];
    if (code == 50 && length == 4) out.wanted = load_be<std::uint32_t>(value);
    if (code == 54 && length == 4) out.server = load_be<std::uint32_t>(value);
    at += 2u + length;
  }
  return true;
}

class Options {
 public:
  void bytes(std::uint8_t code, const void* data, std::size_t n) {
    n = std::min<std::size_t>(n, 255);
    out.push_back(code);
    out.push_back(static_cast<std::uint8_t>(n));
    const auto* p = static_cast<const std::uint8_t*>(data);
    out.insert(out.end(), p, p + n);
  }
  void number32(std::uint8_t code, std::uint32_t v) {
    std::uint8_t b[4];
    store_be(b, v);
    bytes(code, b, 4);
  }
  void addresses(std::uint8_t code, const std::vector<Ip4>& list) {
    if (list.empty()) return;
    std::vector<std::uint8_t> b(4 * list.size());
    for (std::size_t i = 0; i < list.size(); ++i) store_be(&b[4 * i], list[i].value);
    bytes(code, b.data(), b.size());
  }
  void text(std::uint8_t code, const std::string& t) {
    if (!t.empty()) bytes(code, t.data(), t.size());
  }
  std::vector<std::uint8_t> out;
};

std::vector<std::uint8_t> answer_options(const DhcpLease& lease, std::uint8_t type,
                                         bool with_lease) {
  Options o;
  o.bytes(53, &type, 1);
  o.number32(54, lease.server.value);
  if (type != kNak) {
    if (with_lease) o.number32(51, lease.lease);
    if (lease.netmask.value != 0) o.number32(1, lease.netmask.value);
    o.addresses(3, lease.routers);
    o.addresses(6, lease.dns);
    o.text(12, lease.hostname);
    o.text(15, lease.domain);
    if (lease.mtu != 0) {
      std::uint8_t b[2];
      store_be(b, lease.mtu);
      o.bytes(26, b, 2);
    }
    for (const auto& [code, value] : lease.options) o.bytes(code, value.data(), value.size());
  }
  o.out.push_back(255);
  return std::move(o.out);
}

}  // namespace

DhcpAnswer make_dhcp_reply(const Packet& request, const ParsedHeaders& parsed,
                           const DhcpLease& lease, Packet& reply) {
  if (!parsed.is_ipv4() || parsed.ip_proto != wire::kProtoUdp || parsed.l4 == 0)
    return DhcpAnswer::malformed;
  std::vector<std::uint8_t> frame;
  request.copy_frame(frame);
  const std::size_t begin = parsed.l4 + 8u;
  const std::size_t end = std::min<std::size_t>(parsed.l3_end, frame.size());
  if (end < begin + kOptions) return DhcpAnswer::malformed;
  const std::uint8_t* q = frame.data() + begin;
  // A request over Ethernet with the options' magic cookie.
  if (q[0] != 1 || q[1] != 1 || q[2] != 6 || load_be<std::uint32_t>(q + kCookie) != kMagic)
    return DhcpAnswer::malformed;
  Request asked;
  if (!read_options(q + kOptions, end - begin - kOptions, asked)) return DhcpAnswer::malformed;
  if (asked.server != 0 && asked.server != lease.server.value) return DhcpAnswer::none;
  const std::uint32_t client = load_be<std::uint32_t>(q + kCiaddr);
  std::uint8_t type;
  if (asked.type == kDiscover) {
    type = kOffer;
  } else if (asked.type == kRequest) {
    const std::uint32_t wanted = asked.wanted != 0 ? asked.wanted : client;
    type = wanted == lease.address.value ? kAck : kNak;
  } else if (asked.type == kInform) {
    type = kAck;
  } else {
    return DhcpAnswer::none;
  }

  const bool inform = asked.type == kInform;
  const auto options = answer_options(lease, type, !inform);
  const std::uint32_t relay = load_be<std::uint32_t>(q + kGiaddr);
  const std::uint32_t message =
      std::max(kLeast, kOptions + static_cast<std::uint32_t>(options.size()));
  const std::uint32_t l2 = parsed.l3;
  const std::uint32_t size = l2 + 20 + 8 + message;
  std::uint8_t* p = reply.reset_headers(size);
  std::memset(p, 0, size);
  std::uint8_t* b = p + l2 + 28;
  b[0] = 2;
  b[1] = 1;
  b[2] = 6;
  std::memcpy(b + kXid, q + kXid, 4);
  std::memcpy(b + kFlags, q + kFlags, 2);
  std::memcpy(b + kGiaddr, q + kGiaddr, 4);
  std::memcpy(b + kChaddr, q + kChaddr, 16);
  if (type != kNak) {
    if (!inform) store_be(b + kYiaddr, lease.address.value);
    store_be(b + kSiaddr, lease.server.value);
    if (asked.type != kDiscover) std::memcpy(b + kCiaddr, q + kCiaddr, 4);
  }
  store_be(b + kCookie, kMagic);
  std::copy(options.begin(), options.end(), b + kOptions);

  // RFC 2131, 4.1: where the answer goes.
  std::uint32_t to = 0xffffffff;
  bool to_all = true;
  if (relay != 0) {
    to = relay;
    to_all = false;
  } else if (type != kNak && client != 0) {
    to = client;
    to_all = false;
  } else if (type != kNak && (b[kFlags] & 0x80) == 0) {
    to = lease.address.value;
    to_all = false;
  }
  if (to_all)
    std::memset(p, 0xff, 6);
  else
    std::memcpy(p, relay != 0 ? frame.data() + 6 : q + kChaddr, 6);
  std::memcpy(p + 6, lease.mac.bytes.data(), 6);
  std::memcpy(p + 12, frame.data() + 12, l2 - 12);  // the request's tag, and the type
  std::uint8_t* ip = p + l2;
  ip[0] = 0x45;
  store_be(ip + 2, static_cast<std::uint16_t>(20 + 8 + message));
  ip[8] = 64;
  ip[9] = wire::kProtoUdp;
  store_be(ip + 12, lease.server.value);
  store_be(ip + 16, to);
  store_be<std::uint16_t>(ip + 20, 67);
  store_be<std::uint16_t>(ip + 22, relay != 0 ? 67 : 68);
  store_be(ip + 24, static_cast<std::uint16_t>(8 + message));
  finish_l4_checksum(reply, l2);
  return DhcpAnswer::reply;
}

}  // namespace weft::datapath
