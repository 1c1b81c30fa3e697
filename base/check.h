// WEFT_CHECK states what only a programmer can break. It is on in Release too. A failed check
// throws InternalFault, which the engine carries to main(): outputs written so far are closed
// whole and the exit code is 3. What a user or a packet can cause is a Result (result.h), never a
// check.
#pragma once

#include <fmt/core.h>

#include <stdexcept>
#include <string>

namespace weft {

class InternalFault : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

[[noreturn]] void check_failed(const char* file, int line, const char* expression,
                               const std::string& message);

}  // namespace weft

/// WEFT_CHECK(condition) or WEFT_CHECK(condition, "format {}", arguments...).
#define WEFT_CHECK(condition, ...)                                      \
  do {                                                                  \
    if (!(condition)) [[unlikely]]                                      \
      ::weft::check_failed(__FILE__, __LINE__, #condition,              \
                           ::weft::detail::check_message(__VA_ARGS__)); \
  } while (false)

namespace weft::detail {
inline std::string check_message() { return {}; }
template <class... Args>
std::string check_message(fmt::format_string<Args...> f, Args&&... args) {
  return fmt::format(f, std::forward<Args>(args)...);
}
}  // namespace weft::detail
