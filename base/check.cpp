#include "base/check.h"

namespace weft {

void check_failed(const char* file, int line, const char* expression, const std::string& message) {
  throw InternalFault(fmt::format("{}:{}: check failed: {}{}{}", file, line, expression,
                                  message.empty() ? "" : ": ", message));
}

}  // namespace weft
