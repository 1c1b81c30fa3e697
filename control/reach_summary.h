// What a reach lets through, as people speak of it: protocols and destination ports, as packets
// arrive (behind load balancers and NAT). And a packet of it, as it must be sent.
#pragma once

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <vector>

#include "control/intent.h"
#include "control/verify.h"

namespace weft::control {

/// Numbers 0..65535 as disjoint ranges, sorted, none next to another.
class PortSet {
 public:
  static PortSet everything() { return PortSet({{0, 65535}}); }
  PortSet() = default;
  explicit PortSet(std::vector<AclPorts> ranges);
  /// value/mask
  static PortSet matching(std::uint16_t value, std::uint16_t mask);

  const std::vector<AclPorts>& ranges() const { return ranges_; }
  bool is_empty() const { return ranges_.empty(); }
  bool is_everything() const { return *this == everything(); }
  void add(const PortSet& other);
  PortSet complement() const;
  std::string text() const;  ///< "80,443,8000-8100"
  auto operator<=>(const PortSet&) const = default;

 private:
  std::vector<AclPorts> ranges_;
};

struct ReachSummary {
  struct Ports {
    PortSet destination;
    PortSet source;
    auto operator<=>(const Ports&) const = default;
  };
  struct Family {
    std::vector<Ports> tcp, udp;
    bool icmp = false;
    std::bitset<256> others;  ///< protocols by number
    bool is_empty() const;
    bool is_everything(bool is6) const;
    bool operator==(const Family&) const = default;
  };
  std::array<Family, 2> family;  ///< IPv4, IPv6

  static ReachSummary of(const Reach& reach);
  bool is_empty() const { return family[0].is_empty() && family[1].is_empty(); }
  bool operator==(const ReachSummary&) const = default;
  /// "tcp 8080", "all but tcp 22", "everything", "nothing"; families that `has4`, `has6` exclude
  /// are not spoken of.
  std::string text(bool has4, bool has6) const;
};

/// Of what arrives from one of these ports at the other: families that only one of them has are not
/// spoken of.
std::string reach_text(const Intent& intent, const ReachSummary& summary, const std::string& from,
                       const std::string& to);

/// A packet that gets through, as `weft trace --packet` takes it.
struct ExamplePacket {
  std::string from, to;  ///< ports
  std::string packet;
};
/// The most ordinary packet of `reach` (for the addresses of these two ports) that arrives as
/// `match` says; none: none does.
std::optional<ExamplePacket> example_packet(const Intent& intent, const Reach& reach,
                                            const std::string& from, const std::string& to,
                                            const datapath::Match& match = {});
/// The same of a set of packets as sent.
ExamplePacket example_of(const Intent& intent, const CubeSet& sent, const std::string& from,
                         const std::string& to);

}  // namespace weft::control
