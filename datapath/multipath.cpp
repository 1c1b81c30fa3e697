#include "datapath/multipath.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "datapath/field_names.h"

namespace weft::datapath {
namespace {

constexpr struct {
  std::string_view name;
  Multipath::Fields fields;
} kHashed[] = {{"eth_src", Multipath::Fields::eth_src},
               {"symmetric_l3", Multipath::Fields::symmetric_l3},
               {"symmetric_l3l4", Multipath::Fields::symmetric_l3l4},
               {"symmetric_l3l4+udp", Multipath::Fields::symmetric_l3l4_udp}};
constexpr struct {
  std::string_view name;
  Multipath::Choice choice;
} kChoices[] = {{"modulo_n", Multipath::Choice::modulo_n}, {"hrw", Multipath::Choice::hrw}};

std::uint64_t mix(std::uint64_t h, std::uint64_t value) {
  return fold_multiply(h ^ value, 0xA0761D6478BD642FULL);
}

std::uint64_t hash_of(const Multipath& m, const FlowKey& key, FlowMask& looked) {
  std::uint64_t h = mix(0x1D8E4E27C47D124FULL, m.basis);
  if (m.fields == Multipath::Fields::eth_src) {
    look_at(looked, place::eth_src);
    return mix(h, key.get(place::eth_src));
  }
  look_at(looked, place::eth_type);
  if (!key.is_ip4() && !key.is_ip6()) return h;
  for (unsigned w = place::ip_src; w < place::ip_dst + 2; ++w) looked.w[w] = ~0ULL;
  for (unsigned w : {0u, 1u}) h = mix(h, key.w[place::ip_src + w] ^ key.w[place::ip_dst + w]);
  if (m.fields == Multipath::Fields::symmetric_l3) return h;
  look_at(looked, place::nw_proto);
  const std::uint64_t protocol = key.get(place::nw_proto);
  h = mix(h, protocol);
  const bool ports = protocol == 6 || protocol == 132 ||
                     (protocol == 17 && m.fields == Multipath::Fields::symmetric_l3l4_udp);
  if (!ports) return h;
  look_at_prerequisites(looked, Prerequisite::ports);
  if (!prerequisites_hold(Prerequisite::ports, key)) return h;
  look_at(looked, place::tp_src);
  look_at(looked, place::tp_dst);
  return mix(h, key.get(place::tp_src) ^ key.get(place::tp_dst));
}

}  // namespace

Result<Action> parse_multipath(const Piece& inside) {
  auto pieces = split(inside);
  if (!pieces) return pieces.error();
  if (pieces->size() != 6)
    return fail(inside, fmt::format("multipath has 6 arguments, not {}", pieces->size()),
                "write multipath(symmetric_l3l4+udp,0,modulo_n,2,0,reg0[0..15])");
  Action a;
  a.kind = ActionKind::multipath;
  std::array<Piece, 6> p;
  std::transform(pieces->begin(), pieces->end(), p.begin(), trim);
  const auto named = [&](const Piece& piece, const auto& table, auto member) {
    return std::find_if(std::begin(table), std::end(table),
                        [&](const auto& t) { return t.*member == piece.text; });
  };
  using FieldsEntry = std::remove_cvref_t<decltype(kHashed[0])>;
  using ChoiceEntry = std::remove_cvref_t<decltype(kChoices[0])>;
  const auto* fields = named(p[0], kHashed, &FieldsEntry::name);
  if (fields == std::end(kHashed))
    return fail(p[0], fmt::format("multipath cannot hash '{}'", p[0].text),
                "one of eth_src, symmetric_l3, symmetric_l3l4, symmetric_l3l4+udp");
  const auto* choice = named(p[2], kChoices, &ChoiceEntry::name);
  if (choice == std::end(kChoices))
    return fail(p[2], fmt::format("unknown algorithm '{}'", p[2].text), "modulo_n or hrw");
  a.multipath.fields = fields->fields;
  a.multipath.choice = choice->choice;
  auto basis = number_up_to(p[1], 0xffff, "basis");
  if (!basis) return basis.error();
  a.multipath.basis = static_cast<std::uint16_t>(*basis);
  auto links = number_up_to(p[3], 0xffff, "n_links");
  if (!links) return links.error();
  if (*links == 0) return fail(p[3], "multipath over no link", "n_links is 1 to 65535");
  a.number = static_cast<std::uint32_t>(*links);
  auto argument = number_up_to(p[4], 0xffff, "arg");
  if (!argument) return argument.error();
  if (*argument != 0) return fail(p[4], "neither algorithm takes an argument", "write 0");
  auto target = range_of(p[5]);
  if (!target) return target.error();
  if (!info(target->field).writable || info(target->field).needs != Prerequisite::none)
    return fail(p[5], fmt::format("{} is no register", info(target->field).name),
                "use a register: reg0[0..15]");
  if (target->bits < 32 && *links > 1ULL << target->bits)
    return fail(p[5], fmt::format("{} bits cannot number {} links", target->bits, *links),
                "use a wider range");
  a.target = *target;
  return a;
}

std::string format_multipath(const Action& a) {
  const auto* fields = std::find_if(std::begin(kHashed), std::end(kHashed),
                                    [&](const auto& f) { return f.fields == a.multipath.fields; });
  const auto* choice = std::find_if(std::begin(kChoices), std::end(kChoices),
                                    [&](const auto& c) { return c.choice == a.multipath.choice; });
  return fmt::format("multipath({},{},{},{},0,{})", fields->name, a.multipath.basis, choice->name,
                     a.number, format_range(a.target));
}

std::uint32_t multipath_link(const Multipath& m, std::uint32_t links, const FlowKey& key,
                             FlowMask& looked_at) {
  const std::uint64_t h = hash_of(m, key, looked_at);
  if (m.choice == Multipath::Choice::modulo_n)
    return static_cast<std::uint32_t>(mix(h, 0x9E3779B97F4A7C15ULL) % links);
  std::uint32_t best = 0;
  std::uint64_t most = 0;
  for (std::uint32_t i = 0; i < links; ++i)
    if (const std::uint64_t weight = mix(mix(h, (i + 1) * 0x9E3779B97F4A7C15ULL), h);
        weight > most) {
      most = weight;
      best = i;
    }
  return best;
}

}  // namespace weft::datapath
