// What connection tracking and NAT read of the packet that an ICMP error quotes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

namespace weft::datapath {

/// The most of a quote that is looked at: the longest IPv4 header and a TCP header, and as much for
/// the extension headers of IPv6.
inline constexpr std::uint32_t kQuotedBytes = 128;

struct QuotedTransport {
  std::size_t offset = 0;  ///< up to the end of the bytes
  std::uint8_t protocol = 0;
};

/// Where the transport header behind the IP header of a quote begins. Nothing if the quote is cut
/// off before it, is no IP packet of this family, or is a fragment other than the first.
std::optional<QuotedTransport> quoted_transport(std::span<const std::uint8_t> bytes, bool is6);

}  // namespace weft::datapath
