// Static routes, routing policies and NAT as flows of their routers.
#include "control/compile_env.h"
#include "control/logical.h"

namespace weft::control {

Records route_records(Env&, const std::string&) { return {}; }
Records policy_records(Env&, const std::string&) { return {}; }
Records nat_records(Env&, const std::string&) { return {}; }

}  // namespace weft::control
