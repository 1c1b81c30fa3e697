#include "datapath/tunnel/otv.h"

#include "datapath/wire/wire.h"

namespace weft::datapath::otv {

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  auto& header = wire::at<wire::OtvHeader>(out);
  header = {};
  header.flags = wire::OtvHeader::kFlagI;
  header.overlay = encap.overlay;
  header.instance = static_cast<std::uint32_t>(encap.vni);
  return kHeaderSize;
}

std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* header = wire::view<wire::OtvHeader>(bytes);
  if (header == nullptr) return refuse(result, DropReason::malformed, "OTV header cut off");
  if ((header->flags & wire::OtvHeader::kFlagI) == 0) {
    return refuse(result, DropReason::tunnel_bad, "OTV without the I flag");
  }
  result.info.vni = header->instance;
  result.info.has_id = true;
  result.info.overlay = header->overlay;
  return kHeaderSize;
}

}  // namespace weft::datapath::otv
