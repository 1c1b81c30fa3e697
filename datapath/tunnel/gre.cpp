#include "datapath/tunnel/gre.h"

#include "base/check.h"
#include "datapath/checksum.h"
#include "datapath/wire/wire.h"

namespace weft::datapath::gre {

using wire::GreHeader;

std::uint32_t size_of(const TunnelEncap& encap) {
  return sizeof(GreHeader) + (encap.gre_checksum ? 4u : 0u) + (encap.gre_key ? 4u : 0u) +
         (encap.gre_sequence ? 4u : 0u);
}

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  WEFT_CHECK(!encap.gre_key || encap.vni <= 0xffffffff, "GRE key {}", encap.vni);
  std::uint16_t flags = 0;
  std::uint32_t at = sizeof(GreHeader);
  const auto field = [&](bool wanted, std::uint16_t flag, std::uint32_t value) {
    if (!wanted) return;
    flags |= flag;
    wire::store_be(out + at, value);
    at += 4;
  };
  field(encap.gre_checksum, GreHeader::kChecksum, 0);
  field(encap.gre_key, GreHeader::kKey, static_cast<std::uint32_t>(encap.vni));
  field(encap.gre_sequence, GreHeader::kSequence, 0);
  auto& header = wire::at<GreHeader>(out);
  header.flags_version = flags;
  header.protocol = wire::kEtherTransparentBridging;
  return at;
}

void finish(Packet& packet, std::uint32_t at, std::uint32_t sequence) {
  std::uint8_t* p = packet.data() + at;
  const std::uint16_t flags = wire::at<GreHeader>(p).flags_version;
  if ((flags & GreHeader::kSequence) != 0) {
    const std::uint32_t before = sizeof(GreHeader) + ((flags & GreHeader::kChecksum) != 0 ? 4 : 0) +
                                 ((flags & GreHeader::kKey) != 0 ? 4 : 0);
    wire::store_be(p + before, sequence);
  }
  if ((flags & GreHeader::kChecksum) == 0) return;
  wire::store_be(p + 4, static_cast<std::uint16_t>(~sum_range(packet, at, packet.size())));
}

std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* header = wire::view<GreHeader>(bytes);
  if (header == nullptr) return refuse(result, DropReason::malformed, "GRE header cut off");
  const std::uint16_t flags = header->flags_version;
  if ((flags & GreHeader::kVersionMask) != 0) {
    return refuse(result, DropReason::tunnel_bad, "unknown GRE version");
  }
  if ((flags & GreHeader::kMustBeZero) != 0) {
    return refuse(result, DropReason::tunnel_bad, "GRE with the routing bit or reserved bits");
  }
  if (header->protocol != wire::kEtherTransparentBridging) {
    return refuse(result, DropReason::tunnel_bad, "GRE payload is not Ethernet");
  }
  std::uint32_t at = sizeof(GreHeader);
  const auto field = [&](std::uint16_t flag) -> const std::uint8_t* {
    if ((flags & flag) == 0) return nullptr;
    at += 4;
    return at <= bytes.size() ? bytes.data() + at - 4 : nullptr;
  };
  field(GreHeader::kChecksum);
  if (const std::uint8_t* key = field(GreHeader::kKey)) {
    result.info.vni = wire::load_be<std::uint32_t>(key);
    result.info.has_id = true;
  }
  if (const std::uint8_t* sequence = field(GreHeader::kSequence))
    result.info.sequence = wire::load_be<std::uint32_t>(sequence);
  if (at > bytes.size()) return refuse(result, DropReason::malformed, "GRE header cut off");
  return at;
}

bool checksum_present(std::span<const std::uint8_t> bytes) {
  return (wire::at<GreHeader>(bytes.data()).flags_version & GreHeader::kChecksum) != 0;
}

}  // namespace weft::datapath::gre
