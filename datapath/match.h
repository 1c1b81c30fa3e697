// Match: which packets a rule is for, as a value and a mask over the flow key, and its text in the
// syntax of ovs-ofctl ("ct_state=+trk+est,tcp,nw_dst=10.0.0.0/8,tp_dst=80").
//
// Invariants: value has no bit outside mask, so two matches mean the same packets iff they are
// equal. A field appears only with what it needs (tcp_dst needs tcp): parse_match refuses the rest,
// because a rule that silently matches nothing is the hardest to find.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "base/result.h"
#include "datapath/flow_key.h"

namespace weft::datapath {

struct Match {
  FlowKey value{};
  FlowMask mask{};

  bool matches(const FlowKey& key) const {
    for (unsigned i = 0; i < kKeyWords; ++i)
      if ((key.w[i] & mask.w[i]) != value.w[i]) return false;
    return true;
  }
  bool operator==(const Match&) const = default;
};

/// What texts may write instead of port numbers.
using PortNames = std::map<std::string, std::uint32_t, std::less<>>;
/// The number of a port as texts write it: "3", "vm-1", "\"vm 1\""; false if there is none.
bool find_port(std::string_view text, const PortNames* names, std::uint32_t& number);

/// Errors carry the column (1-based) within `text`.
Result<Match> parse_match(std::string_view text, const PortNames* names = nullptr);
/// Canonical text: shorthands first, then fields in the order of the table; "" matches all. Bits
/// of fields whose kind of packet the match does not say (no rule has them, but a megaflow may)
/// come last, by the names that they have in `packet`.
std::string format_match(const Match& match, const FlowKey* packet = nullptr);

/// A flow as traces show it: every field that such a packet has, and of the rest what is not zero.
std::string format_flow(const FlowKey& key);

/// Reads a match item by item, as part of a rule.
class MatchReader {
 public:
  explicit MatchReader(const PortNames* names = nullptr) : names_(names) {}
  /// One item ("tcp", "nw_dst=10.0.0.1"); `column` is where it starts.
  Result<> add(std::string_view item, int column);
  /// Checks what the fields need.
  Result<Match> finish() const;

 private:
  Result<> put(const FieldInfo& field, MaskedValue value, int column);

  const PortNames* names_;
  Match match_{};
  std::array<int, kFields> column_{};  // 0: the field was not written
};

/// Whether this packet has the fields that need `p`, and the bits that say so.
bool prerequisites_hold(Prerequisite p, const FlowKey& key);
void look_at_prerequisites(FlowMask& mask, Prerequisite p);
/// Whether packets of this match have the fields that need `p`.
bool has_prerequisite(const Match& match, Prerequisite p);

/// The number that stands for an IP protocol or Ethernet type shorthand; false if it is none.
bool is_shorthand(std::string_view name);

}  // namespace weft::datapath
