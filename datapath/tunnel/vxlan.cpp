#include "datapath/tunnel/vxlan.h"

#include "datapath/wire/wire.h"

namespace weft::datapath::vxlan {

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  auto& header = wire::at<wire::VxlanHeader>(out);
  header = {};
  header.flags = wire::VxlanHeader::kFlagI;
  header.vni = encap.vni;
  return kHeaderSize;
}

std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* header = wire::view<wire::VxlanHeader>(bytes);
  if (header == nullptr) {
    result.reason = DropReason::malformed;
    result.detail = "VXLAN header cut off";
    return 0;
  }
  if ((header->flags & wire::VxlanHeader::kFlagI) == 0) {
    result.reason = DropReason::tunnel_bad;
    result.detail = "VXLAN without the I flag";
    return 0;
  }
  result.info.vni = header->vni;
  return kHeaderSize;
}

}  // namespace weft::datapath::vxlan
