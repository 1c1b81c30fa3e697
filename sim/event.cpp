#include "sim/event.h"

namespace weft::sim {

std::string_view to_string(EventClass c) {
  switch (c) {
    case EventClass::command:
      return "command";
    case EventClass::port_state:
      return "port-state";
    case EventClass::arrival:
      return "arrival";
    case EventClass::control:
      return "control";
    case EventClass::timer:
      return "timer";
  }
  return "unknown";
}

}  // namespace weft::sim
