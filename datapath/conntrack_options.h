// What can be chosen about connection tracking. Plain values: scenarios and switch files carry them
// too.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/time.h"
#include "datapath/conntrack_tcp.h"
#include "datapath/faults.h"
#include "datapath/reassembly_limits.h"

namespace weft::datapath {

/// Linux's defaults.
struct CtTimeouts {
  Duration tcp_syn_sent = seconds(120);
  Duration tcp_syn_received = seconds(60);
  Duration tcp_established = seconds(432'000);
  Duration tcp_fin_wait = seconds(120);
  Duration tcp_close_wait = seconds(60);
  Duration tcp_last_ack = seconds(30);
  Duration tcp_time_wait = seconds(120);
  Duration tcp_close = seconds(10);
  Duration tcp_repeated = seconds(300);        ///< the same acknowledgement three times
  Duration tcp_unacknowledged = seconds(300);  ///< data on its way
  Duration udp = seconds(30);                  ///< only one direction seen
  Duration udp_replied = seconds(120);
  Duration icmp = seconds(30);
  Duration other = seconds(600);
  bool operator==(const CtTimeouts&) const = default;
};

/// Every timeout by its name, for texts.
struct CtTimeoutName {
  std::string_view name;
  Duration CtTimeouts::*which;
};
inline constexpr CtTimeoutName kCtTimeoutNames[] = {
    {"tcp_syn_sent", &CtTimeouts::tcp_syn_sent},
    {"tcp_syn_received", &CtTimeouts::tcp_syn_received},
    {"tcp_established", &CtTimeouts::tcp_established},
    {"tcp_fin_wait", &CtTimeouts::tcp_fin_wait},
    {"tcp_close_wait", &CtTimeouts::tcp_close_wait},
    {"tcp_last_ack", &CtTimeouts::tcp_last_ack},
    {"tcp_time_wait", &CtTimeouts::tcp_time_wait},
    {"tcp_close", &CtTimeouts::tcp_close},
    {"tcp_repeated", &CtTimeouts::tcp_repeated},
    {"tcp_unacknowledged", &CtTimeouts::tcp_unacknowledged},
    {"udp", &CtTimeouts::udp},
    {"udp_replied", &CtTimeouts::udp_replied},
    {"icmp", &CtTimeouts::icmp},
    {"other", &CtTimeouts::other},
};

/// Fragments wait for the rest of their packet before it is tracked. Each port (behind a tunnel:
/// each network) has this much room, and its oldest incomplete packet goes first.
struct CtFragments {
  bool reassemble = true;  ///< false: later fragments are invalid
  ReassemblyLimits limits{64, 1u << 20, seconds(5)};
  bool operator==(const CtFragments&) const = default;
};

struct CtOptions {
  std::uint32_t max_connections = 1u << 20;
  std::uint32_t zone_limit = 0;  ///< of each zone that has no limit of its own; 0: none
  bool early_drop = true;        ///< a full table or zone gives up what is expendable
  /// A packet whose IPv4 header or layer-4 checksum is wrong is invalid (ct_packet).
  bool verify_checksums = true;
  CtFragments fragments{};
  TcpPolicy tcp{};
  CtTimeouts timeouts{};
  Faults faults{};  ///< planted; only those of connections and NAT matter
};

}  // namespace weft::datapath
