#include "datapath/dns.h"

#include <fmt/core.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "datapath/checksum.h"
#include "datapath/replies.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

using wire::load_be;
using wire::store_be;

constexpr std::size_t kHeader = 12;
/// What a message over UDP may have (RFC 1035, 4.2.1).
constexpr std::size_t kLongest = 512;
enum Type : std::uint16_t { kA = 1, kPtr = 12, kAaaa = 28, kAny = 255 };
constexpr std::uint16_t kClassIn = 1;

char small(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

struct Question {
  std::string name;     // small letters
  std::size_t end = 0;  // offset behind it in the message
  std::uint16_t type = 0;
};

/// The one question of a standard query.
std::optional<Question> read_question(const std::uint8_t* m, std::size_t n) {
  if (n < kHeader) return std::nullopt;
  // QR 0, opcode 0, not truncated; one question and nothing that answers.
  if ((m[2] & 0xfa) != 0 || load_be<std::uint16_t>(m + 4) != 1 ||
      load_be<std::uint16_t>(m + 6) != 0)
    return std::nullopt;
  Question q;
  std::size_t at = kHeader;
  while (true) {
    if (at >= n) return std::nullopt;
    const std::size_t length = m[at++];
    if (length == 0) break;
    // A pointer has nothing to point to in the first name.
    if (length > 63 || at + length > n || q.name.size() + length > 254) return std::nullopt;
    if (!q.name.empty()) q.name += '.';
    for (std::size_t i = 0; i < length; ++i) {
      const char c = small(static_cast<char>(m[at + i]));
      if (c == '.') return std::nullopt;  // no name of a table has it inside a label
      q.name += c;
    }
    at += length;
  }
  if (at + 4 > n || load_be<std::uint16_t>(m + at + 2) != kClassIn) return std::nullopt;
  q.type = load_be<std::uint16_t>(m + at);
  q.end = at + 4;
  return q;
}

std::optional<unsigned> digits(std::string_view t, unsigned limit) {
  if (t.empty() || t.size() > 3) return std::nullopt;
  unsigned v = 0;
  for (const char c : t) {
    if (c < '0' || c > '9') return std::nullopt;
    v = v * 10 + static_cast<unsigned>(c - '0');
  }
  if (v > limit) return std::nullopt;
  return v;
}

/// "4.0.0.10.in-addr.arpa" (RFC 1035, 3.5), "1.0...d.f.ip6.arpa" (RFC 3596, 2.5).
std::optional<IpAddress> address_of(std::string_view name) {
  constexpr std::string_view kSuffix4 = ".in-addr.arpa", kSuffix6 = ".ip6.arpa";
  if (name.ends_with(kSuffix4)) {
    name.remove_suffix(kSuffix4.size());
    std::uint32_t v = 0;
    for (unsigned i = 0; i < 4; ++i) {
      const auto dot = name.find('.');
      const auto byte = digits(name.substr(0, dot), 255);
      if (!byte || (dot == std::string_view::npos) != (i == 3)) return std::nullopt;
      v |= *byte << 8 * i;
      name.remove_prefix(i == 3 ? name.size() : dot + 1);
    }
    return IpAddress(Ip4{v});
  }
  if (!name.ends_with(kSuffix6) || name.size() != 63 + kSuffix6.size()) return std::nullopt;
  Ip6 v{};
  for (unsigned i = 0; i < 32; ++i) {
    const char c = name[2 * i];
    const bool digit = c >= '0' && c <= '9';
    if ((!digit && (c < 'a' || c > 'f')) || (i < 31 && name[2 * i + 1] != '.')) return std::nullopt;
    const auto nibble = static_cast<std::uint64_t>(digit ? c - '0' : c - 'a' + 10);
    (i < 16 ? v.low : v.high) |= nibble << 4 * (i % 16);
  }
  return IpAddress(v);
}

/// A record whose name is the question's.
void begin_record(std::vector<std::uint8_t>& out, std::uint16_t type, std::uint32_t ttl,
                  std::size_t length) {
  std::uint8_t r[12];
  store_be<std::uint16_t>(r, 0xc000 | kHeader);
  store_be(r + 2, type);
  store_be(r + 4, kClassIn);
  store_be(r + 6, ttl);
  store_be(r + 10, static_cast<std::uint16_t>(length));
  out.insert(out.end(), r, r + 12);
}

void add_address(std::vector<std::uint8_t>& out, const IpAddress& a, std::uint32_t ttl) {
  std::uint8_t bytes[16];
  const std::size_t n = a.is6 ? 16 : 4;
  if (a.is6) {
    store_be(bytes, a.bits.high);
    store_be(bytes + 8, a.bits.low);
  } else {
    store_be(bytes, a.v4().value);
  }
  begin_record(out, a.is6 ? kAaaa : kA, ttl, n);
  out.insert(out.end(), bytes, bytes + n);
}

void add_pointer(std::vector<std::uint8_t>& out, std::string_view name, std::uint32_t ttl) {
  begin_record(out, kPtr, ttl, name.size() + 2);
  while (!name.empty()) {
    const auto dot = std::min(name.find('.'), name.size());
    out.push_back(static_cast<std::uint8_t>(dot));
    out.insert(out.end(), name.begin(), name.begin() + static_cast<std::ptrdiff_t>(dot));
    name.remove_prefix(std::min(dot + 1, name.size()));
  }
  out.push_back(0);
}

}  // namespace

Result<> DnsTable::add(std::string_view name, const IpAddress& address) {
  const auto bad = [&](std::string_view why) {
    return Error{fmt::format("'{}' is not a name of DNS: {}", name, why),
                 {},
                 "write labels of letters, digits, '-' and '_' with dots between them"};
  };
  std::string_view rest = name;
  if (rest.ends_with('.')) rest.remove_suffix(1);
  if (rest.empty() || rest.size() > 253) return bad("it has 1 to 253 characters");
  std::string key;
  std::size_t label = 0;
  for (const char c : rest) {
    const char s = small(c);
    key += s;
    if (c == '.') {
      if (label == 0) return bad("a label is empty");
      label = 0;
      continue;
    }
    if (!((s >= 'a' && s <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_'))
      return bad(fmt::format("'{}' does not occur in one", c));
    if (++label > 63) return bad("a label has at most 63 characters");
  }
  if (label == 0) return bad("a label is empty");
  auto& list = names_[key];
  if (std::find(list.begin(), list.end(), address) == list.end()) list.push_back(address);
  std::string& pointer = pointers_[address];
  if (pointer.empty() || key < pointer) pointer = key;
  return {};
}

const std::vector<IpAddress>* DnsTable::addresses(std::string_view name) const {
  const auto at = names_.find(name);
  return at == names_.end() ? nullptr : &at->second;
}

std::string_view DnsTable::name_of(const IpAddress& address) const {
  const auto at = pointers_.find(address);
  return at == pointers_.end() ? std::string_view{} : std::string_view{at->second};
}

bool make_dns_reply(const Packet& query, const ParsedHeaders& parsed, const DnsTable& table,
                    Packet& reply) {
  if (parsed.ip_proto != wire::kProtoUdp || parsed.l4 == 0 || parsed.fragment != Fragment::none ||
      !has_one_sender_and_receiver(query, parsed))
    return false;
  std::vector<std::uint8_t> frame;
  query.copy_frame(frame);
  const std::size_t begin = parsed.l4 + sizeof(wire::UdpHeader);
  const std::size_t end = std::min<std::size_t>(parsed.l3_end, frame.size());
  if (end < begin) return false;
  const std::uint8_t* m = frame.data() + begin;
  const auto question = read_question(m, end - begin);
  if (!question) return false;

  // The header and the question as they came; answers behind.
  std::vector<std::uint8_t> out(m, m + question->end);
  std::uint16_t answers = 0;
  bool cut = false;
  if (question->type == kPtr) {
    const auto address = address_of(question->name);
    const std::string_view name = address ? table.name_of(*address) : std::string_view{};
    if (name.empty()) return false;
    add_pointer(out, name, table.ttl);
    answers = 1;
  } else if (question->type == kA || question->type == kAaaa || question->type == kAny) {
    const auto* addresses = table.addresses(question->name);
    if (addresses == nullptr) return false;
    for (const IpAddress& a : *addresses) {
      if (question->type != kAny && a.is6 != (question->type == kAaaa)) continue;
      if (out.size() + 12u + (a.is6 ? 16u : 4u) > kLongest) {
        cut = true;
        break;
      }
      add_address(out, a, table.ttl);
      ++answers;
    }
  } else {
    return false;
  }
  // A response, authoritative, with the asker's wish for recursion; no error.
  out[2] = static_cast<std::uint8_t>(0x84 | (m[2] & 1) | (cut ? 2 : 0));
  out[3] = 0;
  store_be(&out[6], answers);
  store_be<std::uint32_t>(&out[8], 0);

  const auto& udp = wire::at<wire::UdpHeader>(frame.data() + parsed.l4);
  UdpAnswer way = turned_round(query, parsed);
  way.src_port = wire::kPortDns;
  way.dst_port = udp.src_port;
  std::uint8_t* data =
      begin_udp_answer(query, parsed, way, static_cast<std::uint32_t>(out.size()), reply);
  std::copy(out.begin(), out.end(), data);
  finish_l4_checksum(reply, parsed.l3);
  return true;
}

}  // namespace weft::datapath
