#include "datapath/tunnel/geneve.h"

#include "datapath/wire/wire.h"

namespace weft::datapath::geneve {

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  auto& header = wire::at<wire::GeneveHeader>(out);
  header = {};
  header.protocol = wire::kEtherTransparentBridging;
  header.vni = encap.vni;
  if (!encap.ports) return kHeaderSize;
  header.version_options = kPortsOptionSize / 4;
  header.flags = wire::GeneveHeader::kFlagCritical;
  auto& option = wire::at<wire::GeneveOption>(out + kHeaderSize);
  option.option_class = wire::kGeneveClassOvn;
  option.type = wire::kGeneveTypeOvnPorts;
  option.reserved_length = 1;
  wire::store_be(
      out + kHeaderSize + 4,
      static_cast<std::uint32_t>(encap.ports->ingress & 0x7fff) << 16 | encap.ports->egress);
  return kHeaderSize + kPortsOptionSize;
}

namespace {

std::uint32_t refuse(Decap& result, DropReason reason, const char* detail) {
  result.reason = reason;
  result.detail = detail;
  return 0;
}

}  // namespace

std::uint32_t decode(std::span<const std::uint8_t> bytes, Decap& result) {
  const auto* header = wire::view<wire::GeneveHeader>(bytes);
  if (header == nullptr) return refuse(result, DropReason::malformed, "GENEVE header cut off");
  if (header->version() != 0) {
    return refuse(result, DropReason::tunnel_bad, "unknown GENEVE version");
  }
  if ((header->flags & wire::GeneveHeader::kFlagControl) != 0) {
    return refuse(result, DropReason::tunnel_bad, "GENEVE control packet (O)");
  }
  if (header->protocol != wire::kEtherTransparentBridging) {
    return refuse(result, DropReason::tunnel_bad, "GENEVE payload is not Ethernet");
  }
  result.info.vni = header->vni;
  const std::uint32_t end = kHeaderSize + header->options_length();
  if (end > bytes.size()) {
    return refuse(result, DropReason::malformed, "GENEVE options cut off");
  }
  for (std::uint32_t at = kHeaderSize; at < end;) {
    // Options are whole words, so the option's own header always fits.
    const auto& option = wire::at<wire::GeneveOption>(bytes.data() + at);
    const std::uint32_t data = at + 4;
    const std::uint32_t next = data + option.data_length();
    if (next > end) {
      return refuse(result, DropReason::tunnel_bad, "GENEVE option overruns");
    }
    if (option.option_class == wire::kGeneveClassOvn && option.type == wire::kGeneveTypeOvnPorts) {
      if (option.data_length() != 4) {
        return refuse(result, DropReason::tunnel_bad, "GENEVE port option of a wrong length");
      }
      const auto word = wire::load_be<std::uint32_t>(bytes.data() + data);
      result.info.ports = LogicalPorts{static_cast<std::uint16_t>(word >> 16 & 0x7fff),
                                       static_cast<std::uint16_t>(word)};
    } else if ((option.type & wire::GeneveOption::kCritical) != 0) {
      return refuse(result, DropReason::tunnel_bad, "unknown critical GENEVE option");
    }
    at = next;
  }
  return end;
}

}  // namespace weft::datapath::geneve
