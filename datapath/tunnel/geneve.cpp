#include "datapath/tunnel/geneve.h"

#include <algorithm>

#include "base/check.h"
#include "datapath/wire/wire.h"

namespace weft::datapath::geneve {

bool append_option(std::vector<std::uint8_t>& options, std::uint16_t option_class,
                   std::uint8_t type, std::span<const std::uint8_t> data) {
  const std::size_t words = (data.size() + 3) / 4;
  if (words > 31 || options.size() + 4 + words * 4 > kMaxOptions) return false;
  const std::size_t at = options.size();
  options.resize(at + 4 + words * 4);
  auto& option = wire::at<wire::GeneveOption>(options.data() + at);
  option.option_class = option_class;
  option.type = type;
  option.reserved_length = static_cast<std::uint8_t>(words);
  std::copy(data.begin(), data.end(), options.begin() + static_cast<std::ptrdiff_t>(at) + 4);
  return true;
}

namespace {

/// Whether one of the options, which are whole, is critical.
bool any_critical(std::span<const std::uint8_t> options) {
  for (std::size_t at = 0; at < options.size();) {
    const auto* option = wire::view<wire::GeneveOption>(options, at);
    WEFT_CHECK(option != nullptr && at + 4 + option->data_length() <= options.size(),
               "a GENEVE option of our own making is not whole");
    if ((option->type & wire::GeneveOption::kCritical) != 0) return true;
    at += 4 + option->data_length();
  }
  return false;
}

}  // namespace

std::uint32_t size_of(const TunnelEncap& encap) {
  return kHeaderSize + (encap.ports ? kPortsOptionSize : 0) +
         static_cast<std::uint32_t>(encap.options.size());
}

std::uint32_t encode(const TunnelEncap& encap, std::uint8_t* out) {
  const std::uint32_t options = size_of(encap) - kHeaderSize;
  WEFT_CHECK(options <= kMaxOptions, "{} bytes of GENEVE options", options);
  auto& header = wire::at<wire::GeneveHeader>(out);
  header = {};
  header.version_options = static_cast<std::uint8_t>(options / 4);
  header.protocol = wire::kEtherTransparentBridging;
  header.vni = static_cast<std::uint32_t>(encap.vni);
  if (encap.control) header.flags |= wire::GeneveHeader::kFlagControl;
  if (encap.ports || any_critical(encap.options)) header.flags |= wire::GeneveHeader::kFlagCritical;
  if (!encap.ports) return kHeaderSize;
  auto& option = wire::at<wire::GeneveOption>(out + kHeaderSize);
  option.option_class = wire::kGeneveClassOvn;
  option.type = wire::kGeneveTypeOvnPorts;
  option.reserved_length = 1;
  wire::store_be(
      out + kHeaderSize + 4,
      static_cast<std::uint32_t>(encap.ports->ingress & 0x7fff) << 16 | encap.ports->egress);
  return kHeaderSize + kPortsOptionSize;
}

std::uint32_t decode(std::span<const std::uint8_t> bytes, const DecapOptions& options,
                     Decap& result) {
  const auto* header = wire::view<wire::GeneveHeader>(bytes);
  if (header == nullptr) return refuse(result, DropReason::malformed, "GENEVE header cut off");
  if (header->version() != 0) {
    return refuse(result, DropReason::tunnel_bad, "unknown GENEVE version");
  }
  const bool control = (header->flags & wire::GeneveHeader::kFlagControl) != 0;
  result.info.vni = header->vni;
  result.info.has_id = true;
  if (!control && header->protocol != wire::kEtherTransparentBridging) {
    return refuse(result, DropReason::tunnel_bad, "GENEVE payload is not Ethernet");
  }
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
      const std::pair<std::uint16_t, std::uint8_t> it{option.option_class, option.type};
      const auto& known = options.known_options;
      if (std::find(known.begin(), known.end(), it) == known.end() && !options.accept_critical)
        return refuse(result, DropReason::tunnel_bad, "unknown critical GENEVE option");
    }
    at = next;
  }
  if (control) result.status = Decap::Status::control;
  return end;
}

}  // namespace weft::datapath::geneve
