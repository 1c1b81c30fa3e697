#include "datapath/tunnel/nvgre.h"

#include "base/check.h"
#include "datapath/wire/wire.h"

namespace weft::datapath::nvgre {

using wire::GreHeader;
using wire::NvgreHeader;

bool valid_vsid(std::uint64_t vsid) {
  return vsid >= NvgreHeader::kFirstVsid && vsid <= NvgreHeader::kLastVsid;
}

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  WEFT_CHECK(valid_vsid(encap.vni), "VSID {} is reserved", encap.vni);
  auto& header = wire::at<NvgreHeader>(out);
  header.gre.flags_version = GreHeader::kKey;
  header.gre.protocol = wire::kEtherTransparentBridging;
  header.vsid = static_cast<std::uint32_t>(encap.vni);
  header.flow_id = 0;
  return kHeaderSize;
}

std::uint8_t flow_id_of(std::uint32_t hash) {
  return static_cast<std::uint8_t>(1 + (hash ^ hash >> 8 ^ hash >> 16 ^ hash >> 24) % 255);
}

std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* gre = wire::view<GreHeader>(bytes);
  if (gre == nullptr) return refuse(result, DropReason::malformed, "NVGRE header cut off");
  const std::uint16_t flags = gre->flags_version;
  if ((flags & GreHeader::kVersionMask) != 0) {
    return refuse(result, DropReason::tunnel_bad, "unknown GRE version");
  }
  if ((flags & GreHeader::kKey) == 0) {
    return refuse(result, DropReason::tunnel_bad, "NVGRE without a key");
  }
  if ((flags & GreHeader::kChecksum) != 0) {
    return refuse(result, DropReason::tunnel_bad, "NVGRE with the checksum bit");
  }
  if ((flags & GreHeader::kSequence) != 0) {
    return refuse(result, DropReason::tunnel_bad, "NVGRE with the sequence bit");
  }
  if ((flags & GreHeader::kMustBeZero) != 0) {
    return refuse(result, DropReason::tunnel_bad, "GRE with the routing bit or reserved bits");
  }
  if (gre->protocol != wire::kEtherTransparentBridging) {
    return refuse(result, DropReason::tunnel_bad, "GRE payload is not Ethernet");
  }
  const auto* header = wire::view<NvgreHeader>(bytes);
  if (header == nullptr) return refuse(result, DropReason::malformed, "NVGRE header cut off");
  result.info.vni = header->vsid;
  result.info.has_id = true;
  result.info.flow_id = header->flow_id;
  if (!valid_vsid(result.info.vni)) {
    return refuse(result, DropReason::tunnel_bad, "reserved VSID");
  }
  return kHeaderSize;
}

}  // namespace weft::datapath::nvgre
