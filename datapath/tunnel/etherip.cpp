#include "datapath/tunnel/etherip.h"

#include "datapath/wire/wire.h"

namespace weft::datapath::etherip {

std::uint32_t encode(std::uint8_t* out) {
  wire::at<wire::EtherIpHeader>(out).version_reserved = wire::EtherIpHeader::kVersion3;
  return kHeaderSize;
}

std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* header = wire::view<wire::EtherIpHeader>(bytes);
  if (header == nullptr) return refuse(result, DropReason::malformed, "EtherIP header cut off");
  const std::uint16_t word = header->version_reserved;
  if (word >> 12 != wire::EtherIpHeader::kVersion3 >> 12) {
    return refuse(result, DropReason::tunnel_bad, "unknown EtherIP version");
  }
  if (word != wire::EtherIpHeader::kVersion3) {
    return refuse(result, DropReason::tunnel_bad, "EtherIP reserved bits are not zero");
  }
  return kHeaderSize;
}

}  // namespace weft::datapath::etherip
