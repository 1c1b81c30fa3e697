#include "datapath/tunnel/vxlan.h"

#include "datapath/wire/wire.h"

namespace weft::datapath::vxlan {

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  auto& header = wire::at<wire::VxlanHeader>(out);
  header = {};
  header.flags = wire::VxlanHeader::kFlagI;
  header.vni = static_cast<std::uint32_t>(encap.vni);
  return kHeaderSize;
}

std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* header = wire::view<wire::VxlanHeader>(bytes);
  if (header == nullptr) return refuse(result, DropReason::malformed, "VXLAN header cut off");
  if ((header->flags & wire::VxlanHeader::kFlagI) == 0) {
    return refuse(result, DropReason::tunnel_bad, "VXLAN without the I flag");
  }
  result.info.vni = header->vni;
  result.info.has_id = true;
  return kHeaderSize;
}

}  // namespace weft::datapath::vxlan
