// Faults planted on purpose, for the command that shows that the checks catch them. All off; only
// Pipeline::plant() sets one.
#pragma once

#include <string_view>

namespace weft::datapath {

struct Faults {
  bool skip_revalidation = false;     ///< cached decisions outlive the rules they came from
  bool truncate_vni = false;          ///< 16 of the 24 bits of the identifier reach the wire
  bool widen_mask = false;            ///< megaflows forget that the ports were looked at
  bool skip_checksum_update = false;  ///< rewritten headers keep their old checksums
  bool skip_commit = false;           ///< ct(commit) does not remember the connection
  bool swap_logical_ports = false;    ///< the GENEVE option carries egress as ingress

  /// False if there is no such fault.
  bool set(std::string_view name) {
    if (name == "skip_revalidation") return skip_revalidation = true;
    if (name == "truncate_vni") return truncate_vni = true;
    if (name == "widen_mask") return widen_mask = true;
    if (name == "skip_checksum_update") return skip_checksum_update = true;
    if (name == "skip_commit") return skip_commit = true;
    if (name == "swap_logical_ports") return swap_logical_ports = true;
    return false;
  }
};

}  // namespace weft::datapath
