// What an endpoint may choose about what it sends, where RFCs leave it a choice: for all of a
// switch's tunnels (`vtep`) and for one (`port`), which overrides. What is not chosen here is as
// TunnelEncap has it. docs/encapsulations.md lists the choices with their sources.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "datapath/tunnel/tunnel.h"

namespace weft::datapath {

struct EncapChoices {
  std::optional<bool> copy_ecn;       ///< false: RFC 6040's compatibility mode
  std::optional<std::uint8_t> dscp;   ///< of every packet
  std::optional<bool> inherit_dscp;   ///< the inner packet's instead
  std::optional<std::uint8_t> ttl;    ///< of every packet
  std::optional<bool> inherit_ttl;    ///< the inner packet's instead, where there is one
  std::optional<bool> dont_fragment;  ///< IPv4's DF
  std::optional<bool> udp_checksum;   ///< of UDP over either family
  std::optional<std::pair<std::uint16_t, std::uint16_t>> source_ports;  ///< UDP's, STT's
  std::optional<std::uint16_t> outer_vlan;                              ///< 1-4094
  std::optional<bool> keep_inner_vlan;                                  ///< VXLAN
  std::optional<bool> flow_id;                                          ///< NVGRE
  std::optional<bool> gre_key, gre_checksum, gre_sequence;
  std::optional<bool> stt_vlan;  ///< an inner tag travels in the STT header
  std::optional<bool> lisp_instance;
  LispFields lisp{};

  bool operator==(const EncapChoices&) const = default;
};

/// Puts what is chosen into `encap`.
void apply(const EncapChoices& choices, TunnelEncap& encap);

/// The names under which switch files know the choices, sorted.
std::span<const std::string_view> choice_names();
/// "dscp", "inherit". False: no such name. Errors are about the value.
Result<bool> set_choice(EncapChoices& choices, std::string_view name, std::string_view value);
/// ",dscp=inherit,flow_id=0": what is chosen, each with a comma in front.
std::string format_choices(const EncapChoices& choices);

}  // namespace weft::datapath
