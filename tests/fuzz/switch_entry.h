// What the fuzzer of switch files does to an input: every line of a switch file is read, and what
// is understood is printed, read again and must be the same. (wire_entry.h says how such functions
// report.)
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/check.h"
#include "datapath/statement.h"

namespace weft::fuzz {

inline void switch_file(std::span<const std::uint8_t> input) {
  const std::string_view text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto file = datapath::parse_switch_file(text, "input");
  if (!file) {
    WEFT_CHECK(!file.error().message.empty() && file.error().place.line > 0 &&
               file.error().place.column > 0);
    return;
  }
  std::string printed;
  for (const auto& s : *file) printed += format_statement(s.statement) + "\n";
  const auto again = datapath::parse_switch_file(printed, "printed");
  WEFT_CHECK(again.ok(), "{}\n{}", printed, again ? "" : again.error().text());
  std::string twice;
  for (const auto& s : *again) twice += format_statement(s.statement) + "\n";
  WEFT_CHECK(printed == twice, "{}\nbecame\n{}", printed, twice);
}

}  // namespace weft::fuzz
