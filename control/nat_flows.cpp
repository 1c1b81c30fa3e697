#include "control/compile_env.h"

namespace weft::control {

Records nat_records(Env&, const std::string&) { return {}; }

}  // namespace weft::control
