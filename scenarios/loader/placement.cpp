#include "scenarios/loader/placement.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace weft::scenarios {

void Placement::add_group(Context& context, std::size_t tenant, const GroupSpec& group,
                          const YamlNode* place) {
  Request request{tenant, 0, Way::spread, 0, group.place};
  const YamlNode* pins = nullptr;
  if (place != nullptr) {
    request.place = place->place;
    if (place->kind == YamlNode::Kind::map) {
      pins = place;
    } else if (const auto text = scalar_text(context.diag, *place,
                                             "spread, pack, a hypervisor or a map of VMs")) {
      if (*text == "pack") request.way = Way::pack;
      if (*text != "pack" && *text != "spread") {
        const auto host = resolve_hypervisor(context, *place);
        if (host) request.way = Way::pinned, request.host = *host;
      }
    }
  }
  request_of_.resize(std::max(request_of_.size(), tenant + 1));
  auto& mine = request_of_[tenant];
  for (const std::size_t vm : group.vms) {
    mine.resize(std::max(mine.size(), vm + 1));
    mine[vm] = requests_.size();
    request.vm = vm;
    requests_.push_back(request);
  }
  if (pins == nullptr) return;
  for (const YamlNode::Entry& entry : pins->entries) {
    const auto& vms = context.vms[tenant];
    const auto vm = vms.find(entry.key);
    const bool in_group = vm != vms.end() && std::find(group.vms.begin(), group.vms.end(),
                                                       vm->second) != group.vms.end();
    if (in_group) {
      pin(context, tenant, vm->second, *entry.value);
      continue;
    }
    std::vector<std::string> names;
    for (const std::size_t v : group.vms) {
      const std::string& name = context.scenario.tenants[tenant].vms[v].name;
      names.push_back(name.substr(name.find('/') + 1));
    }
    context.diag.error(entry.place, fmt::format("group {} has no VM `{}`", group.name, entry.key),
                       suggest(entry.key, names));
  }
}

void Placement::pin(Context& context, std::size_t tenant, std::size_t vm, const YamlNode& host) {
  const auto node = resolve_hypervisor(context, host);
  if (!node) return;
  Request& request = requests_[request_of_[tenant][vm]];
  request.way = Way::pinned;
  request.host = *node;
  request.place = host.place;
}

void Placement::run(Context& context) {
  if (requests_.empty() || !context.underlay_whole) return;
  const UnderlaySpec& underlay = context.scenario.underlay;
  std::vector<std::size_t> hosts;  // in the order of `weft ls`
  std::vector<std::uint64_t> rank_of(underlay.nodes.size(), 0), vms_on(underlay.nodes.size(), 0);
  std::vector<std::uint64_t> left(underlay.nodes.size(), UINT64_MAX);
  std::map<std::optional<std::size_t>, std::uint64_t> hosts_of_leaf;
  std::vector<std::tuple<std::uint64_t, std::size_t>> order;  // (number on its leaf, node)
  for (std::size_t i = 0; i < underlay.nodes.size(); ++i) {
    const NodeSpec& node = underlay.nodes[i];
    if (node.kind != NodeKind::hypervisor) continue;
    hosts.push_back(i);
    order.emplace_back(node.leaf ? ++hosts_of_leaf[node.leaf] : 0, i);
    if (node.memory) left[i] = node.memory->bytes;
  }
  std::sort(order.begin(), order.end());
  for (std::size_t r = 0; r < order.size(); ++r) rank_of[std::get<1>(order[r])] = r;
  if (hosts.empty()) {
    const Request& first = requests_.front();
    context.diag.error(first.place,
                       fmt::format("no hypervisor for `{}`",
                                   context.scenario.tenants[first.tenant].vms[first.vm].name),
                       "VMs need a node of `kind: hypervisor`, or `leaf_spine`");
    return;
  }

  const auto place_on = [&](const Request& request, std::size_t host) {
    VmSpec& vm = context.scenario.tenants[request.tenant].vms[request.vm];
    vm.host = host;
    ++vms_on[host];
    if (left[host] != UINT64_MAX) left[host] -= vm.memory.bytes;
  };
  for (const Request& request : requests_) {
    if (request.way != Way::pinned) continue;
    const VmSpec& vm = context.scenario.tenants[request.tenant].vms[request.vm];
    if (vm.memory.bytes <= left[request.host]) {
      place_on(request, request.host);
      continue;
    }
    const NodeSpec& node = underlay.nodes[request.host];
    context.diag.error(
        request.place,
        fmt::format("`{}` ({}) does not fit `{}`: {} of {} left", vm.name, format_bytes(vm.memory),
                    node.name, format_bytes({left[request.host]}), format_bytes(*node.memory)),
        "place it elsewhere, or raise `hypervisors: {memory: ...}`");
  }

  std::set<std::tuple<std::uint64_t, std::uint64_t, std::size_t>> by_load;  // (VMs, rank, node)
  for (const std::size_t h : hosts) by_load.emplace(vms_on[h], rank_of[h], h);
  std::size_t complaints = 0;
  for (const Request& request : requests_) {
    if (request.way == Way::pinned) continue;
    const VmSpec& vm = context.scenario.tenants[request.tenant].vms[request.vm];
    std::optional<std::size_t> host;
    if (request.way == Way::pack) {
      for (const std::size_t h : hosts) {
        if (vm.memory.bytes <= left[h]) {
          host = h;
          break;
        }
      }
    } else {
      for (const auto& [load, rank, h] : by_load) {
        if (vm.memory.bytes <= left[h]) {
          host = h;
          break;
        }
      }
    }
    if (!host) {
      if (++complaints > 1) continue;  // the first says it for all
      context.diag.error(
          request.place,
          fmt::format("no hypervisor has {} left for `{}`", format_bytes(vm.memory), vm.name),
          "more hosts, smaller VMs, or `hypervisors: {memory: ...}`");
      continue;
    }
    by_load.erase({vms_on[*host], rank_of[*host], *host});
    place_on(request, *host);
    by_load.emplace(vms_on[*host], rank_of[*host], *host);
  }
}

}  // namespace weft::scenarios
