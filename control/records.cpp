#include "control/records.h"

#include <fmt/format.h>

#include <charconv>

#include "control/encoding.h"

namespace weft::control {
namespace {

std::uint64_t hex_at(std::string_view key, std::size_t from, std::size_t digits) {
  std::uint64_t v = 0;
  if (key.size() >= from + digits)
    std::from_chars(key.data() + from, key.data() + from + digits, v, 16);
  return v;
}

template <class T>
std::optional<T> if_finished(const Reader& r, T value) {
  if (!r.finished()) return std::nullopt;
  return value;
}

}  // namespace

std::string network_range(std::uint32_t vni) { return fmt::format("n/{:07x}/", vni); }
std::string profile_range(std::uint64_t profile) { return fmt::format("a/{:016x}/", profile); }
std::string port_record_key(PortPlace p) {
  return fmt::format("n/{:07x}/port/{:04x}", p.vni, p.key);
}
std::string location_key(PortPlace p) { return fmt::format("n/{:07x}/at/{:04x}", p.vni, p.key); }
std::string local_record_key(PortPlace p) { return fmt::format("q/{:07x}/{:04x}", p.vni, p.key); }

std::string rule_record_key(const RuleKey& k) {
  return fmt::format("R/{:02x}{:04x}/{}", k.table, 0xffff - k.priority, k.match);
}

std::optional<RuleKey> parse_rule_record_key(std::string_view key) {
  if (key.size() < 9 || !key.starts_with("R/") || key[8] != '/') return std::nullopt;
  return RuleKey{static_cast<std::uint8_t>(hex_at(key, 2, 2)),
                 static_cast<std::uint16_t>(0xffff - hex_at(key, 4, 4)),
                 std::string(key.substr(9))};
}

std::string gateway_range(GatewayId id) {
  return fmt::format("g/{:07x}/{:04x}/", kRouterDatapath + id.router, id.port);
}
std::string gateway_key(std::uint32_t datapath, GatewayId id) {
  return fmt::format("n/{:07x}/gw/{:04x}{:04x}", datapath, id.router, id.port);
}
bool is_gateway(std::string_view key) {
  return key.starts_with("n/") && key.size() == 21 && key.substr(9, 4) == "/gw/";
}
GatewayId gateway_of(std::string_view key) {
  if (key.starts_with("g/"))
    return {static_cast<std::uint32_t>(hex_at(key, 2, 7)) - kRouterDatapath,
            static_cast<std::uint32_t>(hex_at(key, 10, 4))};
  return {static_cast<std::uint32_t>(hex_at(key, 13, 4)),
          static_cast<std::uint32_t>(hex_at(key, 17, 4))};
}

RecordScope scope_of(std::string_view key) {
  if (key.starts_with("n/")) return RecordScope::network;
  if (key.starts_with("q/")) return RecordScope::local_port;
  if (key.starts_with("a/")) return RecordScope::profile;
  if (key.starts_with("g/")) return RecordScope::gateway;
  return RecordScope::other;
}

std::uint32_t vni_of(std::string_view key) { return static_cast<std::uint32_t>(hex_at(key, 2, 7)); }
std::uint64_t profile_of(std::string_view key) { return hex_at(key, 2, 16); }
std::uint32_t port_key_of(std::string_view key) {
  if (key.starts_with("q/")) return static_cast<std::uint32_t>(hex_at(key, 10, 4));
  return key.size() < 4 ? 0 : static_cast<std::uint32_t>(hex_at(key, key.size() - 4, 4));
}
bool is_port_record(std::string_view key) {
  return key.starts_with("n/") && key.size() == 19 && key.substr(9, 6) == "/port/";
}
bool is_location(std::string_view key) {
  return key.starts_with("n/") && key.size() == 17 && key.substr(9, 4) == "/at/";
}

std::string encode(const PortRecord& record) {
  std::string out = encode_flows(record.flows);
  std::string head;
  Writer w(head);
  w.text(record.name);
  w.mac(record.mac);
  w.u8(static_cast<std::uint8_t>((record.external ? 1 : 0) | (record.unknown ? 2 : 0)));
  w.text(out);
  return head;
}

std::optional<PortRecord> decode_port_record(std::string_view bytes) {
  Reader r(bytes);
  PortRecord record;
  record.name = r.text();
  record.mac = r.mac();
  const std::uint8_t flags = r.u8();
  record.external = (flags & 1) != 0;
  record.unknown = (flags & 2) != 0;
  auto flows = decode_flows(r.text());
  if (!r.finished() || !flows) return std::nullopt;
  record.flows = std::move(*flows);
  return record;
}

std::string encode(const GatewayRecord& record) {
  std::string out;
  Writer w(out);
  w.u32(record.network);
  w.mac(record.mac);
  w.text(record.hypervisor);
  w.ip(record.vtep);
  return out;
}

std::optional<GatewayRecord> decode_gateway(std::string_view bytes) {
  Reader r(bytes);
  GatewayRecord record;
  record.network = r.u32();
  record.mac = r.mac();
  record.hypervisor = r.text();
  record.vtep = r.ip();
  return if_finished(r, std::move(record));
}

std::string encode(const LocationRecord& record) {
  std::string out;
  Writer w(out);
  w.ip(record.vtep);
  w.text(record.hypervisor);
  return out;
}

std::optional<LocationRecord> decode_location(std::string_view bytes) {
  Reader r(bytes);
  LocationRecord record;
  record.vtep = r.ip();
  record.hypervisor = r.text();
  return if_finished(r, std::move(record));
}

std::string encode_version(std::uint64_t version) {
  std::string out;
  Writer(out).u64(version);
  return out;
}

std::optional<std::uint64_t> decode_version(std::string_view bytes) {
  Reader r(bytes);
  const std::uint64_t version = r.u64();
  return if_finished(r, version);
}

std::string encode(const RuleBody& body) {
  std::string out;
  Writer w(out);
  w.u64(body.cookie);
  w.text(body.actions);
  return out;
}

std::optional<RuleBody> decode_rule_body(std::string_view bytes) {
  Reader r(bytes);
  RuleBody body;
  body.cookie = r.u64();
  body.actions = r.text();
  return if_finished(r, std::move(body));
}

std::string encode(const Chassis& chassis) {
  std::string out;
  Writer w(out);
  w.ip(chassis.vtep);
  w.u32(chassis.tunnel_port);
  w.u8(static_cast<std::uint8_t>(chassis.tunnel));
  return out;
}

std::optional<Chassis> decode_chassis(std::string_view bytes) {
  Reader r(bytes);
  Chassis chassis;
  chassis.vtep = r.ip();
  chassis.tunnel_port = r.u32();
  const std::uint8_t tunnel = r.u8();
  if (tunnel > static_cast<std::uint8_t>(kLastTunnelType)) r.fail();
  chassis.tunnel = static_cast<TunnelType>(tunnel);
  return if_finished(r, chassis);
}

std::string encode(const LocalPort& port) {
  std::string out;
  Writer w(out);
  w.u32(port.of_port);
  w.u8(port.up);
  w.u32(port.incarnation);
  return out;
}

std::optional<LocalPort> decode_report(std::string_view name, std::string_view bytes) {
  Reader r(bytes);
  LocalPort port;
  port.name = name;
  port.of_port = r.u32();
  port.up = r.u8() != 0;
  port.incarnation = r.u32();
  return if_finished(r, std::move(port));
}

}  // namespace weft::control
