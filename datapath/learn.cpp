#include "datapath/learn.h"

#include "datapath/text_piece.h"

namespace weft::datapath {

Ip6 read_range(const FlowKey& key, const FieldRange& range) {
  Ip6 field = read_field(key, info(range.field));
  if (range.field == Field::nw_tos) field.low &= field_ones(info(range.field)).low;  // not ECN
  const Ip6 v = shift_right(field, range.from);
  const Ip6 ones = low_ones(range.bits);
  return {v.high & ones.high, v.low & ones.low};
}

void look_at_range(FlowMask& mask, const FieldRange& range) {
  const Ip6 bits = shift_left(low_ones(range.bits), range.from);
  write_field_masked(mask, info(range.field), bits, bits);
}

std::shared_ptr<const Rule> learned_rule(const Learn& learn, const FlowKey& key,
                                         FlowMask& looked_at) {
  auto rule = std::make_shared<Rule>();
  rule->table = learn.table;
  rule->priority = learn.priority;
  rule->idle_timeout = learn.idle_timeout;
  rule->hard_timeout = learn.hard_timeout;
  rule->cookie = learn.cookie;
  for (const LearnSpec& s : learn.specs) {
    Ip6 value = s.value;
    if (!s.immediate) {
      value = read_range(key, s.source);
      look_at_range(looked_at, s.source);
    }
    if (s.kind == LearnSpec::Kind::output) {
      if (value.low == 0 || value.low > 65279) continue;  // no such port can exist
      Action a;
      a.kind = ActionKind::output;
      a.port = static_cast<std::uint32_t>(value.low);
      rule->actions.push_back(a);
      continue;
    }
    const FieldInfo& f = info(s.target.field);
    const Ip6 mask = shift_left(low_ones(s.target.bits), s.target.from);
    value = shift_left(value, s.target.from);
    if (s.kind == LearnSpec::Kind::match) {
      write_field_masked(rule->match.mask, f, mask, mask);
      write_field_masked(rule->match.value, f, value, mask);
    } else {
      Action a;
      a.kind = ActionKind::set;
      a.target = {f.id, 0, f.bits};
      a.value = value;
      a.mask = mask;
      rule->actions.push_back(a);
    }
  }
  return rule;
}

}  // namespace weft::datapath
