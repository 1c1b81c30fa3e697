// Numbers of the two capture formats: pcapng (draft-ietf-opsawg-pcapng) and classic pcap. Shared by
// the writer and the reader only.
#pragma once

#include <cstdint>

namespace weft::pcap::format {

inline constexpr std::uint32_t kSectionHeader = 0x0A0D0D0A;
inline constexpr std::uint32_t kInterfaceDescription = 1;
inline constexpr std::uint32_t kPacketObsolete = 2;
inline constexpr std::uint32_t kSimplePacket = 3;
inline constexpr std::uint32_t kEnhancedPacket = 6;
inline constexpr std::uint32_t kByteOrder = 0x1A2B3C4D;

inline constexpr std::uint16_t kOptionEnd = 0;
inline constexpr std::uint16_t kOptionComment = 1;
inline constexpr std::uint16_t kSectionApplication = 4;
inline constexpr std::uint16_t kInterfaceName = 2;
inline constexpr std::uint16_t kInterfaceText = 3;
inline constexpr std::uint16_t kInterfaceSpeed = 8;
inline constexpr std::uint16_t kInterfaceResolution = 9;
inline constexpr std::uint16_t kInterfaceFilter = 11;
inline constexpr std::uint16_t kInterfaceOffset = 14;
inline constexpr std::uint16_t kPacketFlags = 2;

inline constexpr std::uint32_t kClassicMicro = 0xA1B2C3D4;
inline constexpr std::uint32_t kClassicNano = 0xA1B23C4D;

inline constexpr std::uint16_t kLinkEthernet = 1;

/// No block or packet may be larger: protects the reader from a length that is a lie.
inline constexpr std::uint32_t kLargestBlock = 64u << 20;

constexpr std::uint32_t padded(std::uint32_t n) { return (n + 3) & ~3u; }

}  // namespace weft::pcap::format
