#include "datapath/verdict.h"

#include <array>

namespace weft {
namespace {
struct Text {
  std::string_view name, meaning;
};
constexpr std::array<Text, kDropReasons> kTexts{{
#define WEFT_DROP(id, name, meaning) {name, meaning},
#include "datapath/drop_reasons.def"
#undef WEFT_DROP
}};
}  // namespace

std::string_view name_of(DropReason reason) {
  return kTexts[static_cast<std::size_t>(reason)].name;
}
std::string_view meaning_of(DropReason reason) {
  return kTexts[static_cast<std::size_t>(reason)].meaning;
}

}  // namespace weft
