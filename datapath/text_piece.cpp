#include "datapath/text_piece.h"

#include <fmt/core.h>

#include <charconv>

#include "base/names.h"

namespace weft::datapath {

Error fail(const Piece& p, std::string message, std::string remedy) {
  return {std::move(message), {"", 0, p.column}, std::move(remedy)};
}

Piece trim(Piece p) {
  while (!p.text.empty() && (p.text.front() == ' ' || p.text.front() == '\t')) p = p.from(1);
  while (!p.text.empty() && (p.text.back() == ' ' || p.text.back() == '\t'))
    p.text.remove_suffix(1);
  return p;
}

std::optional<std::uint64_t> read_number(std::string_view t) {
  int base = 10;
  if (t.size() > 2 && t[0] == '0' && (t[1] == 'x' || t[1] == 'X')) {
    base = 16;
    t.remove_prefix(2);
  }
  std::uint64_t v = 0;
  const auto [end, e] = std::from_chars(t.data(), t.data() + t.size(), v, base);
  if (t.empty() || e != std::errc{} || end != t.data() + t.size()) return std::nullopt;
  return v;
}

Result<std::uint64_t> number_up_to(const Piece& p, std::uint64_t limit, std::string_view what) {
  const auto n = read_number(p.text);
  if (!n || *n > limit)
    return fail(p, fmt::format("'{}' is not a {}", p.text, what),
                fmt::format("write a number from 0 to {}", limit));
  return *n;
}

Result<std::vector<Piece>> split(Piece all) {
  std::vector<Piece> out;
  int depth = 0;
  std::size_t start = 0;
  for (std::size_t i = 0; i <= all.text.size(); ++i) {
    const char c = i < all.text.size() ? all.text[i] : ',';
    if (c == '(') ++depth;
    if (c == ')' && --depth < 0) return fail(all.from(i), "a ')' that no '(' opened", "remove it");
    if (c == ',' && (depth == 0 || i == all.text.size())) {
      out.push_back(trim(all.part(start, i - start)));
      start = i + 1;
    }
  }
  if (depth != 0) return fail(all, "a '(' that no ')' closes", "add ')'");
  return out;
}

Result<NameAndValue> cut(const Piece& p, std::string_view marks) {
  const auto at = p.text.find_first_of(marks);
  if (at == std::string_view::npos) return NameAndValue{trim(p), '\0', {{}, p.column}};
  NameAndValue out{trim(p.part(0, at)), p.text[at], p.from(at + 1)};
  if (out.mark == '(') {
    if (p.text.back() != ')')
      return fail(p, fmt::format("text after the ')' of {}", out.name.text),
                  "put a comma between actions");
    out.value.text.remove_suffix(1);
  }
  out.value = trim(out.value);
  return out;
}

std::string did_you_mean(std::string_view wrong, const std::vector<std::string>& names,
                         std::string otherwise) {
  const std::string near = nearest_name(wrong, names);
  return near.empty() ? otherwise : fmt::format("did you mean {}?", near);
}

Result<const FieldInfo*> field_of(const Piece& p) {
  const FieldInfo* f = find_field(p.text);
  if (f != nullptr) return f;
  const std::string near = nearest_field(p.text);
  return fail(p, fmt::format("unknown field '{}'", p.text),
              near.empty() ? "fields are those of ovs-fields(7), such as reg0 or NXM_NX_REG0[]"
                           : fmt::format("did you mean {}?", near));
}

Result<FieldRange> range_of(const Piece& p) {
  const auto open = p.text.find('[');
  if (is_dscp(p.text.substr(0, open))) {
    const std::string whole = "nw_tos" + std::string(p.text.substr(std::min(open, p.text.size())));
    auto range = range_of({whole, p.column});
    if (!range) return range.error();
    if (range->bits == 8 && range->from == 0) range->bits = 6;
    if (range->from + range->bits > 6)
      return fail(p, "ip_dscp has 6 bits", "write a range of 0..5");
    range->from = static_cast<std::uint8_t>(range->from + 2);
    return range;
  }
  auto field = field_of(p.part(0, open));
  if (!field) return field.error();
  const FieldInfo& f = **field;
  FieldRange range{f.id, 0, f.bits};
  // NXM's in_port has 16 bits, OXM's 32.
  if (f.id == Field::in_port && !p.text.starts_with("OXM") && !p.text.starts_with("oxm"))
    range.bits = 16;
  if (open == std::string_view::npos) return range;
  if (p.text.back() != ']') return fail(p.from(open), "a '[' that no ']' closes", "add ']'");
  const Piece inside = p.part(open + 1, p.text.size() - open - 2);
  if (inside.text.empty()) return range;
  const auto dots = inside.text.find("..");
  const auto first = read_number(inside.text.substr(0, dots));
  const auto last =
      dots == std::string_view::npos ? first : read_number(inside.text.substr(dots + 2));
  if (!first || !last || *first > *last || *last >= f.bits)
    return fail(inside, fmt::format("'{}' is not a range of bits of {}", inside.text, f.name),
                fmt::format("{} has bits 0..{}; write [FIRST..LAST]", f.name, f.bits - 1));
  range.from = static_cast<std::uint8_t>(*first);
  range.bits = static_cast<std::uint8_t>(*last - *first + 1);
  if (f.bits == 128 && range.bits > 64 && range.bits != 128)
    return fail(inside, "a range of a 128-bit field is whole or at most 64 bits", "write []");
  // Without OXM's bit that there is a tag it is the identifier itself.
  if (f.id == Field::vlan_vid && range.from + range.bits <= 12) range.field = Field::dl_vlan;
  return range;
}

bool is_dscp(std::string_view name) { return name == "ip_dscp" || name == "OXM_OF_IP_DSCP"; }

std::string blanks_to_commas(std::string_view text) {
  std::string out(text);
  const std::string_view stays = ",([{=:->/";
  char before = ',';
  for (std::size_t i = 0; i < out.size(); ++i) {
    if (out[i] != ' ' && out[i] != '\t') {
      before = out[i];
      continue;
    }
    const std::size_t next = out.find_first_not_of(" \t", i);
    if (next == std::string::npos) break;
    if (stays.find(before) == std::string_view::npos &&
        std::string_view(",)]}=:->/").find(out[next]) == std::string_view::npos)
      out[i] = ',';
    before = ',';
    i = next - 1;
  }
  return out;
}

Ip6 shift_left(Ip6 v, unsigned n) {
  if (n >= 64) return {n == 64 ? v.low : v.low << (n - 64), 0};
  if (n == 0) return v;
  return {v.high << n | v.low >> (64 - n), v.low << n};
}

Ip6 shift_right(Ip6 v, unsigned n) {
  if (n >= 64) return {0, n == 64 ? v.high : v.high >> (n - 64)};
  if (n == 0) return v;
  return {v.high >> n, v.low >> n | v.high << (64 - n)};
}

Ip6 low_ones(unsigned n) {
  if (n >= 128) return {~0ULL, ~0ULL};
  if (n > 64) return {(1ULL << (n - 64)) - 1, ~0ULL};
  return {0, n == 64 ? ~0ULL : (1ULL << n) - 1};
}

}  // namespace weft::datapath
