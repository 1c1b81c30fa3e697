// weft ls: what a scenario consists of, and by which names it can be referred to.
#include <fmt/format.h>

#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>

#include "cli/commands.h"
#include "scenarios/loader/ports.h"
#include "scenarios/spec.h"

namespace weft::cli {
namespace {

using scenarios::is_machine;
using scenarios::kind_name;
using scenarios::Scenario;

/// Rows of text under headings; what --json prints as a list of objects.
struct Table {
  std::string title;
  std::vector<std::string> columns;
  std::vector<std::vector<std::string>> rows;
};

std::string address_text(const scenarios::NodeSpec& node) {
  return node.address ? fmt::format("{}/{}", node.address->text(), node.prefix_length) : "-";
}

Table hosts(const Scenario& s) {
  std::vector<std::size_t> vms(s.underlay.nodes.size(), 0);
  for (const auto& tenant : s.tenants) {
    for (const auto& vm : tenant.vms) ++vms[vm.host];
  }
  Table table{"hosts", {"host", "kind", "address", "gateway", "mac", "memory", "vms"}, {}};
  for (std::size_t i = 0; i < s.underlay.nodes.size(); ++i) {
    const auto& n = s.underlay.nodes[i];
    if (!is_machine(n)) continue;
    table.rows.push_back({n.name, kind_name(n.kind), address_text(n),
                          n.gateway ? n.gateway->text() : "-", n.mac.text(),
                          n.memory ? format_bytes(*n.memory) : "-", std::to_string(vms[i])});
  }
  return table;
}

Table switches(const Scenario& s) {
  Table table{"switches", {"switch", "kind", "address", "ports"}, {}};
  std::vector<std::size_t> ports(s.underlay.nodes.size(), 0);
  for (const auto& link : s.underlay.links) ++ports[link.a], ++ports[link.b];
  for (std::size_t i = 0; i < s.underlay.nodes.size(); ++i) {
    const auto& n = s.underlay.nodes[i];
    if (is_machine(n)) continue;
    table.rows.push_back({n.name, kind_name(n.kind), address_text(n), std::to_string(ports[i])});
  }
  return table;
}

Table links(const Scenario& s) {
  Table table{"links", {"link", "rate", "delay", "queue", "mtu", "ecn", "loss", "corruption"}, {}};
  for (const auto& l : s.underlay.links) {
    table.rows.push_back({l.name, format_rate(l.rate), format_duration(l.delay),
                          format_bytes(l.queue), std::to_string(l.mtu),
                          l.ecn ? format_bytes(l.ecn->min) + "-" + format_bytes(l.ecn->max) : "-",
                          l.loss.ppb == 0 ? "-" : scenarios::percent_text(l.loss),
                          l.corruption.ppb == 0
                              ? "-"
                              : scenarios::percent_text(l.corruption) +
                                    (l.corruption_undetected ? " undetected" : "")});
  }
  return table;
}

Table ports(const Scenario& s) {
  Table table{"ports", {"port", "of", "to", "link"}, {}};
  for (std::size_t i = 0; i < s.underlay.links.size(); ++i) {
    const auto& l = s.underlay.links[i];
    for (const std::size_t end : {l.a, l.b}) {
      table.rows.push_back({scenarios::port_name(s.underlay, end, i), s.underlay.nodes[end].name,
                            s.underlay.nodes[end == l.a ? l.b : l.a].name, l.name});
    }
  }
  for (const auto& tenant : s.tenants) {
    for (const auto& vm : tenant.vms) {
      table.rows.push_back({vm.name, s.underlay.nodes[vm.host].name, vm.name, "-"});
    }
  }
  return table;
}

std::string addresses_of(const scenarios::VmSpec& vm) {
  std::string out;
  for (const auto& a : vm.addresses) out += (out.empty() ? "" : ", ") + a.text();
  return out.empty() ? "-" : out;
}

Table vms(const Scenario& s) {
  Table table{"vms", {"vm", "host", "network", "vni", "address", "mac", "memory", "dirty"}, {}};
  for (const auto& tenant : s.tenants) {
    for (const auto& vm : tenant.vms) {
      const auto& network = tenant.networks[vm.network];
      table.rows.push_back(
          {vm.name, s.underlay.nodes[vm.host].name, network.name, std::to_string(network.vni),
           addresses_of(vm), vm.mac.text(), format_bytes(vm.memory),
           vm.dirty_per_second.bytes == 0 ? "-" : format_bytes(vm.dirty_per_second) + "/s"});
    }
  }
  return table;
}

/// Everything that answers to an address: where it is.
Table addresses(const Scenario& s) {
  Table table{"addresses", {"address", "of", "where"}, {}};
  for (const auto& n : s.underlay.nodes) {
    if (n.address) table.rows.push_back({n.address->text(), n.name, "underlay"});
    for (const auto& i : n.interfaces) {
      if (n.address && i.address == *n.address) continue;
      table.rows.push_back({i.address.text(), n.name, s.underlay.links[i.link].name});
    }
  }
  for (const auto& tenant : s.tenants) {
    for (const auto& router : tenant.routers) {
      for (const std::size_t n : router.networks) {
        for (const auto& subnet : tenant.networks[n].subnets) {
          IpAddress first = subnet.address;
          first.bits.low += 1;
          table.rows.push_back({first.text(), tenant.name + "/" + router.name,
                                tenant.name + "/" + tenant.networks[n].name});
        }
      }
    }
    for (const auto& vm : tenant.vms) {
      for (const auto& a : vm.addresses) {
        table.rows.push_back(
            {a.text(), vm.name, tenant.name + "/" + tenant.networks[vm.network].name});
      }
    }
  }
  return table;
}

void print(const Table& table) {
  std::vector<std::size_t> width;
  width.reserve(table.columns.size());
  for (const auto& c : table.columns) width.push_back(c.size());
  for (const auto& row : table.rows) {
    for (std::size_t c = 0; c < row.size(); ++c) width[c] = std::max(width[c], row[c].size());
  }
  const auto line = [&](const std::vector<std::string>& cells) {
    std::string out;
    for (std::size_t c = 0; c < cells.size(); ++c) {
      out += c + 1 == cells.size() ? cells[c] : fmt::format("{:<{}}  ", cells[c], width[c]);
    }
    fmt::print("{}\n", out);
  };
  std::vector<std::string> heads = table.columns;
  for (auto& h : heads) {
    for (char& c : h) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c;
  }
  line(heads);
  for (const auto& row : table.rows) line(row);
}

nlohmann::ordered_json to_json(const Table& table) {
  nlohmann::ordered_json out = nlohmann::ordered_json::array();
  for (const auto& row : table.rows) {
    nlohmann::ordered_json object;
    for (std::size_t c = 0; c < row.size(); ++c) {
      object[table.columns[c]] =
          row[c] == "-" ? nlohmann::ordered_json() : nlohmann::ordered_json(row[c]);
    }
    out.push_back(std::move(object));
  }
  return out;
}

struct Flags {
  std::string file;
  std::string what;
  std::vector<std::string> set;
  bool json = false;
};

int ls(const Flags& flags) {
  const auto loaded = scenarios::load_scenario(flags.file, flags.set);
  if (!loaded.scenario) {
    print_errors(loaded.errors);
    return kBadInput;
  }
  const Scenario& s = *loaded.scenario;
  const std::pair<const char*, Table (*)(const Scenario&)> all[] = {
      {"hosts", hosts}, {"switches", switches}, {"links", links},
      {"ports", ports}, {"vms", vms},           {"addresses", addresses}};
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  bool first = true;
  for (const auto& [name, make] : all) {
    // Without a choice: what people ask for first; ports and addresses repeat it at length.
    const std::string what = name;
    if (flags.what.empty() ? what == "ports" || what == "addresses" : what != flags.what) continue;
    const Table table = make(s);
    if (flags.what.empty() && !flags.json && table.rows.empty()) continue;
    if (flags.json) {
      json[name] = to_json(table);
    } else {
      if (!first) fmt::print("\n");
      print(table);
    }
    first = false;
  }
  if (flags.json) fmt::print("{}\n", json.dump(2));
  return kOk;
}

const Command command{
    "ls", "List hosts, switches, links, ports, VMs or addresses", 30,
    "  weft ls scenarios/library/three-tier-migration.yaml\n"
    "  weft ls scenarios/library/three-tier-migration.yaml ports --json\n",
    [](CLI::App& app) -> Action {
      auto flags = std::make_shared<Flags>();
      app.add_option("FILE", flags->file, "Scenario (YAML)")->required();
      app.add_option("WHAT", flags->what, "hosts, switches, links, ports, vms or addresses")
          ->check(CLI::IsMember({"hosts", "switches", "links", "ports", "vms", "addresses"}));
      app.add_option("--set", flags->set, "Override PATH=VALUE")->expected(1)->take_all();
      app.add_flag("--json", flags->json, "As JSON");
      return [flags] { return ls(*flags); };
    }};

}  // namespace
}  // namespace weft::cli
