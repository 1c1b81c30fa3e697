#include "base/result.h"

namespace weft {

std::string Error::text() const {
  std::string out;
  if (!place.file.empty()) {
    out += place.file;
    if (place.line > 0) out += fmt::format(":{}", place.line);
    if (place.line > 0 && place.column > 0) out += fmt::format(":{}", place.column);
    out += ": ";
  }
  out += "error: " + message;
  if (!remedy.empty()) out += "\n  help: " + remedy;
  return out;
}

}  // namespace weft
