// What the applications of a guest do, as plain values. Binding (scenarios/run) makes one
// ClientConfig per pair for the guest that starts the traffic and one PeerConfig per pair for the
// guest that answers; nothing else has to be agreed between the two guests.
//
// Content. Every pair has a content key: what the client sends is the payload stream
// `request_stream(key)`, what the server sends `response_stream(key)`, position by position, so
// that each delivered byte can be compared with what should come (stream and offset), across any
// number of retransmissions, tunnels and moves. A reconnected connection starts at the next
// multiple of 2^40.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/hash.h"
#include "base/net_types.h"
#include "base/time.h"
#include "base/units.h"

namespace weft::models {

enum class AppKind : std::uint8_t { ping, udp, bulk, rpc, scan };

constexpr std::uint64_t content_key(std::uint32_t traffic, std::uint32_t pair) {
  return mix64(traffic + 1ULL, pair + 1ULL);
}
constexpr std::uint64_t request_stream(std::uint64_t key) { return mix64(key, 1); }
constexpr std::uint64_t response_stream(std::uint64_t key) { return mix64(key, 2); }

/// The active side of one pair.
struct ClientConfig {
  std::uint32_t traffic = 0;  ///< index in the scenario; packets carry flow = traffic + 1
  std::uint32_t pair = 0;     ///< index within the traffic
  AppKind kind = AppKind::ping;
  std::string name;        ///< of its random stream: "traffic/shopping/shop/web-1/shop/app-1"
  IpAddress remote{};      ///< its family decides which of the guest's addresses is the source
  std::uint16_t port = 0;  ///< destination port (udp, bulk, rpc)
  Time start{};            ///< of the run's clock
  Time stop = Time::never();
  Duration warmup{};               ///< what starts before start + warmup is not counted
  Duration interval = seconds(1);  ///< ping, scan
  std::uint64_t count = 0;         ///< ping, udp: so many, 0: until stop
  BitRate rate{};                  ///< udp: bits of IP packet per second
  std::uint64_t size = 56;         ///< ping: ICMP data bytes; udp: UDP payload (>= 1); bulk: bytes
  bool poisson = false;            ///< udp, rpc: exponential gaps instead of even ones
  std::uint64_t repeat = 1;        ///< bulk: connections one after another, 0: until stop
  std::uint32_t request = 1;       ///< rpc: bytes, >= 1
  std::uint32_t response = 1;      ///< rpc: bytes, >= 1
  Frequency frequency{};           ///< rpc: requests, open loop
  bool reconnect = false;          ///< rpc: a connection for each request (netperf's TCP_CRR) ...
  std::uint16_t sessions = 1;      ///< ... to so many ports from `port` on, in turn ...
  std::vector<IpAddress> more_remotes{};  ///< ... at `remote` and these, in turn
  std::uint16_t scan_first = 1, scan_last = 1024;
  bool scan_fragments = false;  ///< first fragments of datagrams that never become whole
};

/// The passive side of one pair: what the guest at `ClientConfig::remote` must know to answer.
struct PeerConfig {
  std::uint32_t traffic = 0;
  std::uint32_t pair = 0;
  AppKind kind = AppKind::udp;  ///< udp, bulk or rpc; ping and scan need no peer
  std::uint16_t port = 0;
  IpAddress client{};      ///< as this guest sees it; used when the content cannot tell
  std::uint64_t size = 0;  ///< udp: payload bytes
  std::uint32_t request = 1;
  std::uint32_t response = 1;
  Time count_from{};  ///< start + warmup of the traffic
};

}  // namespace weft::models
