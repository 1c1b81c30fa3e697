// weft new: a scenario to start from, with a word on every section.
#include <fmt/format.h>

#include <cstdio>
#include <memory>

#include "cli/commands.h"
#include "scenarios/spec.h"

namespace weft::cli {
namespace {

constexpr const char* kBeginning =
    R"(# A scenario is read from top to bottom, like a description of the lab. Units are always written:
# 25Gbps, 1us, 64KB (1000 bytes each), 4GiB, 200/s, 0.1%. What is left out has a sensible default.
#
#   weft check FILE     what is wrong with it, if anything
#   weft ls FILE        the names of all hosts, links, ports and VMs
#   weft run FILE       run it
)";

constexpr const char* kRest =
    R"(seed: 1                # everything random follows from it: same seed, same run
duration: 2s           # simulated time

# The physical network: two spines, two leaves, two hypervisors on each leaf (hv-LEAF-N).
underlay:
  leaf_spine: {spines: 2, leaves: 2, hosts_per_leaf: 2}
  host_links:   {rate: 25Gbps,  delay: 1us, queue: 1MB}
  fabric_links: {rate: 100Gbps, delay: 1us, queue: 2MB}

# The tunnels between hypervisors, and who tells them what to do.
overlay:
  encapsulation: geneve          # or vxlan
  control: {style: hybrid, latency: 200us}

# Who uses it. Two tenants may use the same addresses: they never meet.
tenants:
  shop:
    networks:
      web-net: {subnet: 10.0.1.0/24}
      app-net: {subnet: 10.0.2.0/24}
    routers: {r1: [web-net, app-net]}
    groups:                      # VMs are shop/web-1, shop/web-2, shop/app-1
      web: {count: 2, network: web-net, place: spread}
      app: {count: 1, network: app-net, place: hv-2-2}
    policy:                      # a tenant with a policy denies what no rule allows
      default: deny
      rules:
        - {name: web-to-app, allow: {from: web, to: app, tcp: 8080}}

# Who talks to whom: ping, udp, bulk, rpc or scan.
traffic:
  - {name: requests, from: shop/web, to: shop/app, rpc: {port: 8080, request: 500B, response: 4KB, rate: 100/s}, start: 100ms}
  - {name: probing,  from: shop/web-1, to: shop/app-1, ping: {interval: 10ms}, start: 100ms}

# What happens meanwhile: migrate, fail, heal, controller, policy; at a time or after another event.
events:
  - {name: cut, at: 1s, fail: {link: leaf-1--spine-1, for: 100ms}}

# What is recorded for Wireshark: a port (weft ls FILE ports), a VM, or `drops`.
capture:
  - {point: hv-1-1.uplink, filter: "udp port 6081"}

# What must be true at the end. `weft run` exits with 1 if it is not.
expect:
  - {traffic: requests, completed: {min: 300}, connections_lost: 0}
  - {traffic: probing, sent: {min: 100}, delivered: 0, dropped_by: policy.default}
)";

int print_new(const std::string& name) {
  const std::string text = fmt::format("{}name: {}\n{}", kBeginning, name, kRest);
  // The name is the only thing that can be wrong with it.
  const auto loaded = scenarios::load_scenario_text(text, "weft new " + name);
  if (!loaded.scenario) {
    print_errors(loaded.errors);
    return kBadInput;
  }
  fmt::print("{}", text);
  return kOk;
}

const Command command{
    "new", "Print a commented scenario to start from", 50, "  weft new my-lab > my-lab.yaml\n",
    [](CLI::App& app) -> Action {
      auto name = std::make_shared<std::string>("my-first-scenario");
      app.add_option("NAME", *name, "Name of the scenario")->capture_default_str();
      return [name] { return print_new(*name); };
    }};

}  // namespace
}  // namespace weft::cli
