// Faults planted on purpose, for the command that shows that the checks catch them. All off; only
// Pipeline::plant() sets one, and whoever makes a part of the datapath alone (a ConnTrack, a
// TunnelReceiver) for that command. kFaults is the one list of names.
#pragma once

#include <string>
#include <string_view>

namespace weft::datapath {

struct Faults {
  bool skip_revalidation = false;     ///< cached decisions outlive the rules they came from
  bool truncate_vni = false;          ///< 16 of the 24 bits of the identifier reach the wire
  bool widen_mask = false;            ///< megaflows forget that the ports were looked at
  bool widen_mask_one_bit = false;    ///< megaflows forget the last bit of the destination address
  bool forget_tos_in_mask = false;    ///< megaflows forget that the TOS was looked at
  bool skip_checksum_update = false;  ///< rewritten headers keep their old checksums
  bool skip_commit = false;           ///< ct(commit) does not remember the connection
  bool swap_logical_ports = false;    ///< the GENEVE option carries egress as ingress
  bool rules_never_expire = false;    ///< idle and hard timeouts of rules (learned ones too)
  bool forget_counts = false;         ///< packets of a revalidated cache entry count for no rule
  bool ct_no_windows = false;         ///< TCP segments are taken whatever their numbers
  bool ct_expired_answers = false;    ///< a connection whose time is up still answers
  bool ct_forget_mark = false;        ///< exec(...) of ct(commit) sets no mark
  bool ct_no_limits = false;          ///< the limit of a zone does not count
  bool nat_without_reverse = false;   ///< replies of a translated connection are not known as such
  bool nat_shares_ports = false;      ///< NAT gives away addresses and ports that are in use
  bool nat_forgets_quotes = false;    ///< what an ICMP error quotes is not translated back
  bool move_without_nat = false;      ///< the translations of an exported zone stay behind
  bool forget_ecn = false;            ///< the outer congestion mark is lost (RFC 6040)
  bool accept_critical = false;       ///< unknown critical GENEVE options are ignored
  bool ignore_lost_segments = false;  ///< an STT frame comes out without a segment of it

  struct Name {
    std::string_view name;
    bool Faults::*flag;
  };
  static constexpr Name kNames[] = {
      {"skip_revalidation", &Faults::skip_revalidation},
      {"truncate_vni", &Faults::truncate_vni},
      {"widen_mask", &Faults::widen_mask},
      {"widen_mask_one_bit", &Faults::widen_mask_one_bit},
      {"forget_tos_in_mask", &Faults::forget_tos_in_mask},
      {"skip_checksum_update", &Faults::skip_checksum_update},
      {"skip_commit", &Faults::skip_commit},
      {"swap_logical_ports", &Faults::swap_logical_ports},
      {"rules_never_expire", &Faults::rules_never_expire},
      {"forget_counts", &Faults::forget_counts},
      {"ct_no_windows", &Faults::ct_no_windows},
      {"ct_expired_answers", &Faults::ct_expired_answers},
      {"ct_forget_mark", &Faults::ct_forget_mark},
      {"ct_no_limits", &Faults::ct_no_limits},
      {"nat_without_reverse", &Faults::nat_without_reverse},
      {"nat_shares_ports", &Faults::nat_shares_ports},
      {"nat_forgets_quotes", &Faults::nat_forgets_quotes},
      {"move_without_nat", &Faults::move_without_nat},
      {"forget_ecn", &Faults::forget_ecn},
      {"accept_critical", &Faults::accept_critical},
      {"ignore_lost_segments", &Faults::ignore_lost_segments},
  };

  /// False if there is no such fault.
  bool set(std::string_view name) {
    for (const Name& n : kNames)
      if (n.name == name) return this->*n.flag = true;
    return false;
  }
  /// "a, b, c"
  static std::string names() {
    std::string out;
    for (const Name& n : kNames) out += (out.empty() ? "" : ", ") + std::string(n.name);
    return out;
  }
};

}  // namespace weft::datapath
