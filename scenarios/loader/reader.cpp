#include "scenarios/loader/reader.h"

#include <fmt/format.h>

#include <algorithm>

namespace weft::scenarios {

void Diagnostics::error(const Place& place, std::string message, std::string remedy) {
  ++count_;
  if (errors.size() < kLimit) errors.push_back({std::move(message), place, std::move(remedy)});
}

void Diagnostics::warning(const Place& place, std::string message, std::string remedy) {
  if (warnings.size() < kLimit) warnings.push_back({std::move(message), place, std::move(remedy)});
}

std::string suggest(std::string_view wrong, const std::vector<std::string>& candidates) {
  constexpr std::size_t kShown = 12;
  const std::string nearest = nearest_name(wrong, candidates);
  if (!nearest.empty()) return fmt::format("did you mean `{}`?", nearest);
  if (candidates.empty()) return {};
  std::string list;
  for (std::size_t i = 0; i < std::min(kShown, candidates.size()); ++i) {
    list += (i == 0 ? "" : ", ") + candidates[i];
  }
  if (candidates.size() > kShown) list += fmt::format(", ... ({} in all)", candidates.size());
  return (candidates.size() == 1 ? "there is only " : "one of ") + list;
}

std::optional<std::string> scalar_text(Diagnostics& diag, const YamlNode& node,
                                       std::string_view expected) {
  if (node.kind == YamlNode::Kind::scalar) return node.text;
  // A quoted empty string is text too; `null` is the only word that is not.
  diag.error(node.place, fmt::format("expected {}, found {}", expected, node.kind_text()));
  return std::nullopt;
}

namespace {

template <class T, class Parse>
bool convert_with(Diagnostics& diag, const YamlNode& node, std::string_view expected, Parse parse,
                  T& out) {
  const auto text = scalar_text(diag, node, expected);
  if (!text) return false;
  auto result = parse(*text);
  if (!result) {
    diag.error(node.place, result.error().message, result.error().remedy);
    return false;
  }
  out = *result;
  return true;
}

}  // namespace

bool convert(Diagnostics& diag, const YamlNode& node, std::string& out) {
  const auto text = scalar_text(diag, node, "text");
  if (text) out = *text;
  return text.has_value();
}

bool convert(Diagnostics& diag, const YamlNode& node, bool& out) {
  const auto text = scalar_text(diag, node, "true or false");
  if (!text) return false;
  if (*text != "true" && *text != "false") {
    diag.error(node.place, fmt::format("expected true or false, found `{}`", *text));
    return false;
  }
  out = *text == "true";
  return true;
}

bool convert(Diagnostics& diag, const YamlNode& node, Duration& out) {
  return convert_with(diag, node, "a duration such as 1us", parse_duration, out);
}

bool convert(Diagnostics& diag, const YamlNode& node, Time& out) {
  Duration since_start{};
  if (!convert_with(diag, node, "a time such as 100ms", parse_duration, since_start)) return false;
  out = Time{} + since_start;
  return true;
}

bool convert(Diagnostics& diag, const YamlNode& node, BitRate& out) {
  return convert_with(diag, node, "a rate such as 10Gbps", parse_rate, out);
}

bool convert(Diagnostics& diag, const YamlNode& node, ByteCount& out) {
  return convert_with(diag, node, "a size such as 64KB", parse_bytes, out);
}

bool convert(Diagnostics& diag, const YamlNode& node, Frequency& out) {
  return convert_with(diag, node, "a frequency such as 200/s", parse_frequency, out);
}

bool convert(Diagnostics& diag, const YamlNode& node, Probability& out) {
  return convert_with(diag, node, "a probability such as 0.1%", parse_probability, out);
}

bool convert(Diagnostics& diag, const YamlNode& node, IpAddress& out) {
  return convert_with(diag, node, "an IP address", parse_ip, out);
}

bool convert(Diagnostics& diag, const YamlNode& node, Mac& out) {
  if (!convert_with(diag, node, "a MAC address", parse_mac, out)) return false;
  if (!out.is_multicast()) return true;
  diag.error(node.place, fmt::format("{} is a multicast MAC: no station can have it", out.text()),
             "the first byte must be even, for example 02:00:00:00:00:01");
  return false;
}

bool convert(Diagnostics& diag, const YamlNode& node, Prefix& out) {
  return convert_with(diag, node, "a subnet such as 10.0.1.0/24", parse_prefix, out);
}

bool convert_bytes_per_second(Diagnostics& diag, const YamlNode& node, ByteCount& out) {
  return convert_with(diag, node, "bytes per second such as 40MB/s", parse_bytes_per_second, out);
}

bool convert_integer(Diagnostics& diag, const YamlNode& node, std::string_view what,
                     std::uint64_t min, std::uint64_t max, std::uint64_t& out) {
  const auto text = scalar_text(diag, node, "a whole number");
  if (!text) return false;
  const bool digits = !text->empty() && text->find_first_not_of("0123456789") == std::string::npos;
  if (!digits) {
    diag.error(node.place, fmt::format("expected a whole number for `{}`, found `{}`", what, *text),
               max == UINT64_MAX ? "" : fmt::format("from {} to {}", min, max));
    return false;
  }
  std::uint64_t value = 0;
  bool overflow = text->size() > 20;
  for (char c : *text) {
    const auto digit = static_cast<std::uint64_t>(c - '0');
    overflow = overflow || value > (UINT64_MAX - digit) / 10;
    value = value * 10 + digit;
  }
  if (overflow || value > max || value < min) {
    const bool above = overflow || value > max;
    diag.error(node.place,
               fmt::format("`{}` is {}: {} the limit of {}", what, *text, above ? "above" : "below",
                           format_count(above ? max : min)),
               fmt::format("from {} to {}", format_count(min), format_count(max)));
    return false;
  }
  out = value;
  return true;
}

std::optional<std::size_t> convert_choice(Diagnostics& diag, const YamlNode& node,
                                          std::string_view what,
                                          const std::vector<std::string>& names) {
  const auto text = scalar_text(diag, node, fmt::format("the name of a {}", what));
  if (!text) return std::nullopt;
  const auto found = std::find(names.begin(), names.end(), *text);
  if (found != names.end()) return static_cast<std::size_t>(found - names.begin());
  diag.error(node.place, fmt::format("there is no {} `{}`", what, *text), suggest(*text, names));
  return std::nullopt;
}

bool is_map(Diagnostics& diag, const YamlNode& node, std::string_view what) {
  if (node.kind == YamlNode::Kind::map || node.kind == YamlNode::Kind::null) return true;
  diag.error(node.place,
             fmt::format("{} must be a map (`key: value`), not {}", what, node.kind_text()));
  return false;
}

bool is_list(Diagnostics& diag, const YamlNode& node, std::string_view what) {
  if (node.kind == YamlNode::Kind::sequence || node.kind == YamlNode::Kind::null) return true;
  diag.error(node.place,
             fmt::format("{} must be a list (`- item`), not {}", what, node.kind_text()));
  return false;
}

bool is_name(Diagnostics& diag, const Place& place, std::string_view name, std::string_view what) {
  constexpr std::size_t kLongest = 63;
  const auto letter_or_digit = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
  };
  bool good = !name.empty() && name.size() <= kLongest && letter_or_digit(name[0]) &&
              name.find("--") == std::string_view::npos;
  for (char c : name) good = good && (letter_or_digit(c) || c == '-' || c == '_');
  if (good) return true;
  diag.error(place, fmt::format("`{}` cannot be the name of a {}", name.substr(0, 80), what),
             "letters, digits, single `-` and `_`; at most 63; it starts with a letter or digit");
  return false;
}

Reader::Reader(Diagnostics& diag, const YamlNode& node, std::string section, std::string what)
    : diag_(diag),
      node_(node),
      known_(diag.vocabulary[std::move(section)]),
      what_(std::move(what)) {
  is_map(diag_, node_, what_);
}

const YamlNode* Reader::take(std::string_view key) {
  known_.emplace(key);
  asked_.emplace_back(key);
  const YamlNode::Entry* entry = node_.find(key);
  return entry == nullptr ? nullptr : entry->value;
}

const YamlNode* Reader::require(std::string_view key) {
  const YamlNode* value = take(key);
  // If it is no map at all, that has been said.
  const bool map = node_.kind == YamlNode::Kind::map || node_.kind == YamlNode::Kind::null;
  if (value == nullptr && map) {
    diag_.error(node_.place, fmt::format("{} needs `{}`", what_, key));
  }
  return value;
}

bool Reader::read_bytes_per_second(std::string_view key, ByteCount& out) {
  const YamlNode* value = take(key);
  return value != nullptr && convert_bytes_per_second(diag_, *value, out);
}

bool Reader::read_positive(std::string_view key, Duration& out) {
  Duration value{};
  if (!read(key, value)) return false;
  if (value.ps <= 0) {
    diag_.error(place(key), fmt::format("`{}` of {} must be above zero", key, what_));
    return false;
  }
  out = value;
  return true;
}

void Reader::finish() {
  for (const YamlNode::Entry& entry : node_.entries) {
    if (std::find(asked_.begin(), asked_.end(), entry.key) != asked_.end()) continue;
    diag_.error(entry.place, fmt::format("unknown key `{}` in {}", entry.key, what_),
                suggest(entry.key, asked_));
  }
}

Place Reader::place(std::string_view key) const {
  if (!key.empty()) {
    const YamlNode::Entry* entry = node_.find(key);
    if (entry != nullptr) {
      // A value that is nothing has no useful place of its own.
      return entry->value->kind == YamlNode::Kind::null ? entry->place : entry->value->place;
    }
  }
  return node_.place;
}

}  // namespace weft::scenarios
