// `never:` - connections that nothing may open: {from: shop/web, to: shop/db, tcp: 5432}.
#include <fmt/format.h>

#include "scenarios/loader/sections.h"

namespace weft::scenarios {
namespace {

std::vector<std::string> peers_of(const Context& context, std::size_t tenant) {
  std::vector<std::string> out;
  for (const auto* table :
       {&context.groups[tenant], &context.networks[tenant], &context.vms[tenant]})
    for (const std::string& name : names_of(*table))
      out.push_back(context.scenario.tenants[tenant].name + "/" + name);
  return out;
}

/// The VMs of TENANT/GROUP, TENANT/VM or TENANT/NETWORK; of everyone for `any`.
void read_side(Context& context, const YamlNode* node, std::vector<EndpointRef>& vms,
               std::string& text) {
  const auto& tenants = context.scenario.tenants;
  text = "any";
  if (node != nullptr) {
    const auto written = scalar_text(context.diag, *node, "a group, a VM, a network or any");
    if (!written) return;
    text = *written;
  }
  const auto add = [&](std::size_t tenant, auto&& belongs) {
    for (std::size_t i = 0; i < tenants[tenant].vms.size(); ++i)
      if (belongs(i)) vms.push_back({tenant, i});
  };
  if (text == "any") {
    for (std::size_t t = 0; t < tenants.size(); ++t) add(t, [](std::size_t) { return true; });
    return;
  }
  const std::size_t slash = text.find('/');
  const auto tenant = context.tenants.find(text.substr(0, slash));
  if (slash != std::string::npos && tenant != context.tenants.end()) {
    const std::size_t t = tenant->second;
    const std::string name = text.substr(slash + 1);
    const auto& all = tenants[t].vms;
    if (const auto g = context.groups[t].find(name); g != context.groups[t].end())
      return add(t, [&](std::size_t i) { return all[i].group == g->second; });
    if (const auto v = context.vms[t].find(name); v != context.vms[t].end())
      return add(t, [&](std::size_t i) { return i == v->second; });
    if (const auto n = context.networks[t].find(name); n != context.networks[t].end())
      return add(t, [&](std::size_t i) { return all[i].network == n->second; });
  }
  if (!context.tenants_whole) return;  // it may be one of what could not be read
  std::vector<std::string> known;
  for (std::size_t t = 0; t < tenants.size(); ++t)
    for (std::string& name : peers_of(context, t)) known.push_back(std::move(name));
  context.diag.error(node->place, fmt::format("there is no group, VM or network `{}`", text),
                     suggest(text, known));
}

}  // namespace

void read_never(Context& context, const YamlNode* section) {
  if (section == nullptr || !is_list(context.diag, *section, "never")) return;
  for (const YamlNode* item : section->items) {
    NeverSpec never;
    never.place = item->place;
    Reader reader(context.diag, *item, "never", "never");
    read_side(context, reader.take("from"), never.from, never.from_text);
    read_side(context, reader.take("to"), never.to, never.to_text);
    read_protocol(reader, *item, "an entry is about one protocol", "make it two entries",
                  never.protocol, never.ports);
    reader.finish();
    context.scenario.never.push_back(std::move(never));
  }
}

}  // namespace weft::scenarios
