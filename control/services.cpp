// Load balancers, DHCP, DNS, QoS and mirrors as flows.
#include "control/compile_env.h"
#include "control/logical.h"

namespace weft::control {

Records load_balancer_records(Env&, const std::string&) { return {}; }
Records dhcp_records(Env&, const std::string&) { return {}; }
Records dns_records(Env&, const std::string&) { return {}; }
Records qos_records(Env&, const std::string&) { return {}; }
Records mirror_records(Env&, const std::string&) { return {}; }

}  // namespace weft::control
