// Events: what is done to the world while it runs. `after: NAME.phase` is resolved here as far as
// it can be: an event after one whose time is written gets a time, so what is left always waits for
// a phase of a migration.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include "control/intent_json.h"

#include "scenarios/loader/sections.h"

namespace weft::scenarios {
namespace {

/// `after:` as written, until all events are known.
struct Waiting {
  std::string name, phase;
  Duration delay{};
  Place place;
};

std::optional<Duration> length_of(const EventSpec& event) {
  if (event.fail) return event.fail->duration;
  if (event.controller) return event.controller->duration;
  return Duration{};
}

class EventsReader {
 public:
  explicit EventsReader(Context& context)
      : context_(context), diag_(context.diag), events_(context.scenario.events) {}

  void read(const YamlNode& section) {
    const std::size_t errors = diag_.count();
    for (const YamlNode* item : section.items) read_event(*item);
    if (diag_.count() != errors) return;
    resolve_waiting();
    if (diag_.count() != errors) return;
    check_migrations();
    check_heals();
  }

 private:
  void read_event(const YamlNode& node) {
    EventSpec event;
    event.place = node.place;
    event.name = fmt::format("event-{}", events_.size() + 1);
    std::optional<Waiting> waiting;
    Reader reader(diag_, node, "event", "event");
    if (reader.read("name", event.name)) is_name(diag_, reader.place("name"), event.name, "event");
    reader.read("at", event.at);
    if (event.at && *event.at >= Time{} + context_.scenario.duration) {
      diag_.error(reader.place("at"), "happens after the end of the run",
                  fmt::format("duration is {}", format_duration(context_.scenario.duration)));
    }
    Duration delay{};
    const bool delayed = reader.read("delay", delay);
    std::string after;
    if (reader.read("after", after)) {
      const std::size_t dot = after.find('.');
      waiting = Waiting{after.substr(0, dot), dot == std::string::npos ? "" : after.substr(dot + 1),
                        delay, reader.place("after")};
    } else if (delayed) {
      diag_.error(reader.place("delay"), "`delay` without `after`", "write a later `at`");
    }
    const bool map = node.kind == YamlNode::Kind::map;
    const bool timed = reader.has("at"), after_given = reader.has("after");
    if (map && timed == after_given) {
      diag_.error(node.place, timed ? "both `at` and `after`" : "an event needs `at` or `after`",
                  "for example at: 2s, or after: move-1.done");
    }

    const YamlNode* migrate = reader.take("migrate");
    const YamlNode* fail = reader.take("fail");
    const YamlNode* heal = reader.take("heal");
    const YamlNode* controller = reader.take("controller");
    const YamlNode* policy = reader.take("policy");
    const YamlNode* intent = reader.take("intent");
    reader.finish();
    int actions = 0;
    for (const YamlNode* action : {migrate, fail, heal, controller, policy, intent})
      actions += action != nullptr;
    if (actions != 1 && map) {
      diag_.error(node.place,
                  actions == 0 ? "an event that does nothing" : "an event that does two things",
                  "exactly one of migrate, fail, heal, controller, policy, intent");
    }
    Place target = node.place;
    if (migrate != nullptr) read_migrate(*migrate, event, target);
    if (fail != nullptr) read_fail(*fail, event);
    if (heal != nullptr) read_heal(*heal, event);
    if (controller != nullptr) read_controller(*controller, event);
    if (policy != nullptr) read_policy(*policy, event);
    if (intent != nullptr) read_intent(*intent, event);

    const auto [found, fresh] = context_.events.emplace(event.name, events_.size());
    if (!fresh) {
      diag_.error(reader.place("name"), fmt::format("there are two events `{}`", event.name),
                  fmt::format("the other is in line {}", events_[found->second].place.line));
    }
    waiting_.push_back(std::move(waiting));
    context_.event_target_places.push_back(target);
    events_.push_back(std::move(event));
  }

  /// Its rows are the control plane's matter: the loader hands them on in the form of the API.
  static nlohmann::ordered_json json_of(const YamlNode& node) {
    nlohmann::ordered_json out;
    switch (node.kind) {
      case YamlNode::Kind::null:
        break;
      case YamlNode::Kind::scalar:
        out = node.text;
        break;
      case YamlNode::Kind::sequence:
        out = nlohmann::ordered_json::array();
        for (const YamlNode* item : node.items) out.push_back(json_of(*item));
        break;
      case YamlNode::Kind::map:
        out = nlohmann::ordered_json::object();
        for (const auto& entry : node.entries) out[entry.key] = json_of(*entry.value);
        break;
    }
    return out;
  }

  void read_intent(const YamlNode& node, EventSpec& event) {
    using Dump = nlohmann::ordered_json::error_handler_t;
    Reader reader(diag_, node, "intent_event", "intent");
    reader.take("by");
    if (const YamlNode* changes = reader.require("changes");
        changes != nullptr && is_list(diag_, *changes, "changes"))
      for (const YamlNode* item : changes->items) {
        Reader change(diag_, *item, "intent_change", "a change");
        for (const char* verb : {"insert", "update", "remove"}) change.take(verb);
        change.finish();
      }
    reader.finish();
    IntentEvent intent{json_of(node).dump(-1, ' ', false, Dump::replace)};
    if (auto good = control::check_transaction_json(intent.transaction); !good) {
      diag_.error(node.place, good.error().message, good.error().remedy);
      return;
    }
    event.intent = std::move(intent);
  }

  void read_migrate(const YamlNode& node, EventSpec& event, Place& target) {
    MigrateEvent migrate;
    Reader reader(diag_, node, "migrate", "migrate");
    std::optional<EndpointRef> vm;
    if (const YamlNode* value = reader.require("vm")) vm = resolve_vm(context_, *value);
    std::optional<std::size_t> to;
    if (const YamlNode* value = reader.require("to")) {
      target = value->place;
      to = resolve_hypervisor(context_, *value);
    }
    reader.read_choice("mode", migrate.mode, {{"pre-copy", MigrationMode::pre_copy}});
    if (reader.read("bandwidth", migrate.bandwidth) && migrate.bandwidth->bps == 0) {
      diag_.error(reader.place("bandwidth"), "a migration's bandwidth must be above zero");
    }
    reader.read_positive("max_downtime", migrate.max_downtime);
    reader.read_integer("max_rounds", migrate.max_rounds, 1, 1000);
    reader.finish();
    if (!vm || !to) return;
    migrate.vm = *vm;
    migrate.to = *to;
    const VmSpec& spec = vm_of(context_.scenario, *vm);
    const NodeSpec& host = context_.scenario.underlay.nodes[*to];
    if (host.memory && spec.memory > *host.memory) {
      diag_.error(target,
                  fmt::format("`{}` ({}) does not fit `{}` ({})", spec.name,
                              format_bytes(spec.memory), host.name, format_bytes(*host.memory)));
    }
    event.migrate = migrate;
  }

  /// {link: NAME} or {node: NAME}.
  void read_target(Reader& reader, std::optional<std::size_t>& link,
                   std::optional<std::size_t>& node) {
    const YamlNode* link_node = reader.take("link");
    const YamlNode* node_node = reader.take("node");
    if ((link_node == nullptr) == (node_node == nullptr)) {
      diag_.error(reader.place(), fmt::format("{} needs either `link` or `node`", reader.what()),
                  "for example {link: leaf-1--spine-1}");
    }
    if (link_node != nullptr) link = resolve_link(context_, *link_node);
    if (node_node != nullptr) node = resolve_node(context_, *node_node, "node");
  }

  void read_fail(const YamlNode& node, EventSpec& event) {
    FailEvent fail;
    Reader reader(diag_, node, "fail", "fail");
    read_target(reader, fail.link, fail.node);
    Duration duration{};
    if (reader.read_positive("for", duration)) fail.duration = duration;
    reader.finish();
    event.fail = fail;
  }

  void read_heal(const YamlNode& node, EventSpec& event) {
    HealEvent heal;
    Reader reader(diag_, node, "heal", "heal");
    read_target(reader, heal.link, heal.node);
    reader.finish();
    event.heal = heal;
  }

  void read_controller(const YamlNode& node, EventSpec& event) {
    ControllerEvent controller;
    Reader reader(diag_, node, "controller_event", "controller");
    const YamlNode* stop = reader.take("stop");
    const YamlNode* start = reader.take("start");
    Duration duration{};
    if (reader.read_positive("for", duration)) controller.duration = duration;
    reader.finish();
    if ((stop == nullptr) == (start == nullptr)) {
      diag_.error(node.place, "controller needs either `stop` or `start`",
                  "for example controller: {stop: controller-1, for: 1s}");
      return;
    }
    if (start != nullptr && controller.duration) {
      diag_.error(reader.place("for"), "`for` belongs to `stop`");
    }
    controller.stop = stop != nullptr;
    std::vector<std::string> names;
    for (std::uint32_t c = 1; c <= context_.scenario.overlay.control.controllers; ++c) {
      names.push_back(fmt::format("controller-{}", c));
    }
    const auto index = convert_choice(diag_, stop != nullptr ? *stop : *start, "controller", names);
    if (index) controller.controller = *index;
    event.controller = controller;
  }

  void read_policy(const YamlNode& node, EventSpec& event) {
    PolicyEvent policy;
    Reader reader(diag_, node, "policy_event", "policy");
    std::optional<std::size_t> tenant;
    if (const YamlNode* value = reader.require("tenant")) {
      if (context_.tenants_whole || context_.tenants.count(value->text) != 0) {
        const auto names = names_of(context_.tenants);
        const auto index = convert_choice(diag_, *value, "tenant", names);
        if (index) tenant = context_.tenants.at(names[*index]);
      }
    }
    const YamlNode* add = reader.take("add");
    const YamlNode* remove = reader.take("remove");
    reader.finish();
    if (add == nullptr && remove == nullptr) {
      diag_.error(node.place, "a policy event changes nothing", "give `add` or `remove`");
    }
    if (!tenant) return;
    policy.tenant = *tenant;
    const TenantSpec& spec = context_.scenario.tenants[*tenant];
    if (!spec.policy) {
      diag_.error(node.place, fmt::format("tenant {} has no policy that could change", spec.name),
                  "give it `policy: {default: allow}` to begin with");
    }
    if (add != nullptr) policy.add = read_policy_rules(context_, *add, *tenant);
    if (remove != nullptr && is_list(diag_, *remove, "remove")) {
      std::vector<std::string> rules;
      if (spec.policy) {
        for (const auto& rule : spec.policy->rules) rules.push_back(rule.name);
      }
      for (const EventSpec& other : events_) {
        if (!other.policy || other.policy->tenant != *tenant) continue;
        for (const auto& rule : other.policy->add) rules.push_back(rule.name);
      }
      for (const YamlNode* item : remove->items) {
        const auto index = convert_choice(diag_, *item, "policy rule", rules);
        if (index) policy.remove.push_back(rules[*index]);
      }
    }
    event.policy = std::move(policy);
  }

  // --- after ---

  void resolve_waiting() {
    std::vector<int> state(events_.size(), 0);  // 0 not yet, 1 being resolved, 2 done
    for (std::size_t e = 0; e < events_.size(); ++e) {
      // A chain of `after` is followed to its end, then resolved backwards.
      std::vector<std::size_t> chain;
      std::size_t at = e;
      while (state[at] == 0) {
        state[at] = 1;
        chain.push_back(at);
        if (!waiting_[at]) break;
        const auto next = context_.events.find(waiting_[at]->name);
        if (next == context_.events.end()) {
          diag_.error(waiting_[at]->place,
                      fmt::format("there is no event `{}`", waiting_[at]->name),
                      suggest(waiting_[at]->name, names_of(context_.events)));
          return;
        }
        at = next->second;
        if (state[at] == 1) return report_loop(chain, at);
      }
      for (auto link = chain.rbegin(); link != chain.rend(); ++link) {
        state[*link] = 2;
        if (waiting_[*link] && !resolve_one(*link)) return;
      }
    }
  }

  void report_loop(const std::vector<std::size_t>& chain, std::size_t from) {
    const auto begin = std::find(chain.begin(), chain.end(), from);
    std::string loop;
    for (auto it = begin; it != chain.end(); ++it) loop += events_[*it].name + " after ";
    diag_.error(waiting_[from]->place,
                fmt::format("events wait for each other: {}{}", loop, events_[from].name),
                "one of them needs `at`");
  }

  bool resolve_one(std::size_t e) {
    const Waiting& waiting = *waiting_[e];
    const std::size_t base = context_.events.at(waiting.name);
    const EventSpec& other = events_[base];
    std::string phase = waiting.phase.empty() ? "done" : waiting.phase;
    if (other.migrate) {
      if (!check_phase(waiting, phase, other)) return false;
      if (phase != "start") {
        events_[e].after = EventSpec::After{base, phase, waiting.delay};
        return true;
      }
      return inherit(e, other, waiting.delay);
    }
    if (phase != "start" && phase != "done") {
      diag_.error(waiting.place, fmt::format("`{}` has no phase `{}`", other.name, phase),
                  suggest(phase, {"start", "done"}));
      return false;
    }
    const auto length = length_of(other);
    if (phase == "done" && !length) {
      diag_.error(waiting.place, fmt::format("`{}` is never over: it has no `for`", other.name),
                  fmt::format("`{}.start`, or give it `for`", other.name));
      return false;
    }
    return inherit(e, other, waiting.delay + (phase == "done" ? *length : Duration{}));
  }

  /// Happens `delay` after the start of `other`, whatever that waits for.
  bool inherit(std::size_t e, const EventSpec& other, Duration delay) {
    EventSpec& event = events_[e];
    if (other.at) {
      event.at = *other.at + delay;
      if (*event.at < Time{} + context_.scenario.duration) return true;
      diag_.error(waiting_[e]->place,
                  fmt::format("happens at {}, after the end of the run", format_time(*event.at)),
                  fmt::format("duration is {}", format_duration(context_.scenario.duration)));
      return false;
    }
    event.after = other.after;
    event.after->delay += delay;
    return true;
  }

  bool check_phase(const Waiting& waiting, const std::string& phase, const EventSpec& other) {
    if (phase.rfind("round-", 0) == 0) {
      const std::string digits = phase.substr(6);
      const bool number = !digits.empty() && digits.size() <= 4 && digits[0] != '0' &&
                          digits.find_first_not_of("0123456789") == std::string::npos;
      if (number && std::stoul(digits) <= other.migrate->max_rounds) return true;
      diag_.error(waiting.place, fmt::format("`{}` has no phase `{}`", other.name, phase),
                  fmt::format("round-1 to round-{}", other.migrate->max_rounds));
      return false;
    }
    const std::vector<std::string> phases{"start", "round-1", "stop-and-copy", "resume", "done"};
    if (std::find(phases.begin(), phases.end(), phase) != phases.end()) return true;
    diag_.error(waiting.place, fmt::format("`{}` has no phase `{}`", other.name, phase),
                suggest(phase, phases));
    return false;
  }

  // --- whole ---

  /// Where a VM is when a migration begins can be told if all of its migrations have times, or if
  /// this one waits for another of the same VM to end.
  void check_migrations() {
    std::map<EndpointRef, std::vector<std::size_t>> of;
    for (std::size_t e = 0; e < events_.size(); ++e) {
      if (events_[e].migrate) of[events_[e].migrate->vm].push_back(e);
    }
    for (auto& [vm, list] : of) {
      const std::size_t home = vm_of(context_.scenario, vm).host;
      const bool all_timed = std::all_of(list.begin(), list.end(),
                                         [&](std::size_t e) { return events_[e].at.has_value(); });
      if (all_timed) {
        std::stable_sort(list.begin(), list.end(), [&](std::size_t a, std::size_t b) {
          return *events_[a].at < *events_[b].at;
        });
      }
      for (std::size_t k = 0; k < list.size(); ++k) {
        const EventSpec& event = events_[list[k]];
        std::optional<std::size_t> where;
        if (all_timed) {
          where = k == 0 ? home : events_[list[k - 1]].migrate->to;
          if (k > 0 && *events_[list[k - 1]].at == *event.at) {
            diag_.error(event.place, fmt::format("`{}` and `{}` move the same VM at the same time",
                                                 events_[list[k - 1]].name, event.name));
          }
        } else if (event.after &&
                   (event.after->phase == "done" || event.after->phase == "resume") &&
                   events_[event.after->event].migrate->vm == vm) {
          where = events_[event.after->event].migrate->to;
        } else if (list.size() == 1) {
          where = home;
        }
        if (where && *where == event.migrate->to && context_.tenants_whole) {
          diag_.error(
              context_.event_target_places[list[k]],
              fmt::format("`{}` is already on `{}`", vm_of(context_.scenario, vm).name,
                          context_.scenario.underlay.nodes[*where].name),
              "a migration goes to another hypervisor; `weft ls FILE vms` shows who is where");
        }
      }
    }
  }

  void check_heals() {
    for (const EventSpec& event : events_) {
      if (!event.heal) continue;
      const bool failed = std::any_of(events_.begin(), events_.end(), [&](const EventSpec& other) {
        return other.fail && other.fail->link == event.heal->link &&
               other.fail->node == event.heal->node;
      });
      if (!failed) {
        diag_.error(event.place, fmt::format("`{}` heals what no event fails", event.name),
                    "add the `fail`, or remove this");
        continue;
      }
      if (!event.at) continue;
      const EventSpec* later = nullptr;  // of the failures, all of which come too late
      for (const EventSpec& other : events_) {
        if (!other.fail || other.fail->link != event.heal->link ||
            other.fail->node != event.heal->node)
          continue;
        const bool may_precede = !other.at || *other.at <= *event.at;
        if (later == nullptr || may_precede) later = &other;
        if (may_precede) break;
      }
      if (later->at && *later->at > *event.at) {
        diag_.error(event.place,
                    fmt::format("`{}` heals at {} what fails only later: `{}` (line {}) at {}",
                                event.name, format_time(*event.at), later->name, later->place.line,
                                format_time(*later->at)),
                    "times are those of the run: give the `heal` a later `at`");
      }
    }
  }

  Context& context_;
  Diagnostics& diag_;
  std::vector<EventSpec>& events_;
  std::vector<std::optional<Waiting>> waiting_;
};

}  // namespace

void read_events(Context& context, const YamlNode* section) {
  if (section == nullptr || !is_list(context.diag, *section, "events")) return;
  const std::size_t errors = context.diag.count();
  EventsReader(context).read(*section);
  context.events_whole = context.diag.count() == errors;
}

}  // namespace weft::scenarios
