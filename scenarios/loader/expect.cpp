// Expectations. What can be seen to hold by accident is refused here: an entry that bounds nothing,
// a bound of nothing, "nothing arrived" without what was sent and what dropped it.
#include <fmt/format.h>

#include <algorithm>

#include "scenarios/loader/sections.h"

namespace weft::scenarios {
namespace {

enum class Unit : std::uint8_t { duration, count, ratio, bytes, rate };
struct Measure {
  const char* name;
  Unit unit;
};

using Subject = ExpectSpec::Subject;

const std::vector<Measure>& measures_of(Subject subject) {
  static const std::vector<Measure> migration{{"downtime", Unit::duration},
                                              {"rounds", Unit::count},
                                              {"bytes", Unit::bytes},
                                              {"packets_lost", Unit::count},
                                              {"total_time", Unit::duration}};
  static const std::vector<Measure> traffic{
      {"sent", Unit::count},        {"delivered", Unit::count},
      {"lost", Unit::count},        {"duplicated", Unit::count},
      {"connections", Unit::count}, {"connections_lost", Unit::count},
      {"completed", Unit::count},   {"retransmits", Unit::count},
      {"p50", Unit::duration},      {"p90", Unit::duration},
      {"p99", Unit::duration},      {"p999", Unit::duration},
      {"mean", Unit::duration},     {"max", Unit::duration},
      {"goodput", Unit::rate},      {"delivered_ratio", Unit::ratio}};
  static const std::vector<Measure> link{{"utilisation", Unit::ratio},
                                         {"drops", Unit::count},
                                         {"ecn_marks", Unit::count},
                                         {"peak_queue", Unit::bytes}};
  static const std::vector<Measure> caches{{"hit_ratio", Unit::ratio},
                                           {"megaflows", Unit::count},
                                           {"masks", Unit::count},
                                           {"slow_path", Unit::count},
                                           {"tuples_per_1000_lookups", Unit::count}};
  static const std::vector<Measure> drops{{"count", Unit::count}};
  static const std::vector<Measure> controller{{"messages", Unit::count}, {"resyncs", Unit::count}};
  switch (subject) {
    case Subject::migration:
      return migration;
    case Subject::traffic:
      return traffic;
    case Subject::link:
      return link;
    case Subject::caches:
      return caches;
    case Subject::drops:
      return drops;
    case Subject::controller:
      return controller;
  }
  return drops;
}

const std::vector<std::string>& drop_reasons() {
  static const std::vector<std::string> names{
#define WEFT_DROP(id, name, text) name,
#include "datapath/drop_reasons.def"
#undef WEFT_DROP
  };
  return names;
}

class ExpectReader {
 public:
  explicit ExpectReader(Context& context) : context_(context), diag_(context.diag) {}

  void read(const YamlNode& node) {
    expect_.place = node.place;
    Reader reader(diag_, node, section_name(node), "expectation");
    if (!read_subject(reader, node)) return;
    std::string dropped_by;
    Place dropped_place;
    if (const YamlNode* value = reader.take("dropped_by")) {
      dropped_place = value->place;
      if (convert(diag_, *value, dropped_by)) {
        expect_.dropped_by = dropped_by;
        if (expect_.subject != Subject::traffic) {
          diag_.error(dropped_place, "`dropped_by` is said of traffic",
                      "drops: REASON, count: {...} counts drops everywhere");
        } else {
          check_dropped_by(*value);
        }
      }
    }
    for (const Measure& measure : measures_of(expect_.subject)) {
      const YamlNode* value = reader.take(measure.name);
      if (value == nullptr) continue;
      // Under `drops:` itself, the subject is not a measure.
      expect_.measures.emplace_back(measure.name, read_bounds(*value, measure));
    }
    const std::size_t errors = diag_.count();
    if (!has_window(expect_.subject)) {
      for (const char* key : {"window", "during"}) {
        if (const YamlNode::Entry* entry = node.find(key)) {
          diag_.error(entry->place,
                      fmt::format("`{}` of what is judged over the whole run only", key),
                      "windows belong to expectations about traffic, links and drops");
        }
      }
      if (diag_.count() == errors) reader.finish();
    } else {
      read_window(reader);
      reader.finish();
    }
    if (diag_.count() == errors && expect_.measures.empty() && !expect_.dropped_by &&
        node.kind == YamlNode::Kind::map) {
      std::vector<std::string> names;
      for (const Measure& m : measures_of(expect_.subject)) names.emplace_back(m.name);
      diag_.error(node.place, "an expectation that expects nothing", suggest("", names));
    }
    if (expect_.subject == Subject::traffic) check_traffic(node);
    context_.scenario.expect.push_back(std::move(expect_));
  }

 private:
  static constexpr const char* kSubjects[] = {"migration", "traffic",    "link",
                                              "caches",    "controller", "drops"};

  /// Migrations, caches and controllers are counted over the whole run only.
  static bool has_window(Subject subject) {
    return subject == Subject::traffic || subject == Subject::link || subject == Subject::drops;
  }

  static std::string section_name(const YamlNode& node) {
    for (const char* subject : kSubjects) {
      if (node.find(subject) != nullptr) return std::string("expect_") + subject;
    }
    return "expect_drops";
  }

  bool read_subject(Reader& reader, const YamlNode& node) {
    if (node.kind != YamlNode::Kind::map) return false;
    std::string key;
    for (const char* subject : kSubjects) {
      if (!reader.has(subject)) continue;
      if (key.empty())
        key = subject;
      else if (!(key == "link" && std::string(subject) == "drops")) {
        diag_.error(reader.place(subject),
                    fmt::format("an expectation about `{}` and `{}`", key, subject), "make it two");
        return false;
      }
    }
    if (key.empty()) {
      std::string guess;
      for (const auto& entry : node.entries) {
        guess = nearest_name(entry.key, {std::begin(kSubjects), std::end(kSubjects)});
        if (!guess.empty()) break;
      }
      diag_.error(node.place, "an expectation about nothing",
                  !guess.empty() ? fmt::format("did you mean `{}`?", guess)
                                 : "one of migration, traffic, link, caches, controller, drops");
      return false;
    }
    const YamlNode& value = *reader.take(key);
    if (key == "migration")
      return set(Subject::migration,
                 named(value, "event", context_.events, context_.events_whole)) &&
             is_migration(value);
    if (key == "traffic")
      return set(Subject::traffic,
                 named(value, "traffic", context_.traffic, context_.traffic_whole));
    if (key == "link") return set(Subject::link, resolve_link(context_, value));
    if (key == "caches") return read_caches(value);
    if (key == "controller") return read_controller(value);
    return read_drops(value);
  }

  bool set(Subject subject, std::optional<std::size_t> index) {
    expect_.subject = subject;
    if (index) expect_.index = *index;
    return index.has_value();
  }

  std::optional<std::size_t> named(const YamlNode& value, std::string_view what,
                                   const NameTable& table, bool whole) {
    const auto text = scalar_text(diag_, value, fmt::format("the name of an {}", what));
    if (!text) return std::nullopt;
    const auto found = table.find(*text);
    if (found != table.end()) return found->second;
    if (whole) {
      diag_.error(value.place, fmt::format("there is no {} `{}`", what, *text),
                  suggest(*text, names_of(table)));
    }
    return std::nullopt;
  }

  bool is_migration(const YamlNode& value) {
    if (context_.scenario.events[expect_.index].migrate || !context_.events_whole) return true;
    diag_.error(value.place, fmt::format("`{}` is no migration", value.text));
    return false;
  }

  bool read_caches(const YamlNode& value) {
    expect_.subject = Subject::caches;
    if (value.text == "all") return true;
    expect_.node = resolve_hypervisor(context_, value);
    return expect_.node.has_value();
  }

  bool read_controller(const YamlNode& value) {
    expect_.subject = Subject::controller;
    std::vector<std::string> names;
    for (std::uint32_t c = 1; c <= context_.scenario.overlay.control.controllers; ++c) {
      names.push_back(fmt::format("controller-{}", c));
    }
    const auto index = convert_choice(diag_, value, "controller", names);
    if (index) expect_.index = *index;
    return index.has_value();
  }

  bool read_drops(const YamlNode& value) {
    expect_.subject = Subject::drops;
    std::vector<std::string> names = drop_reasons();
    names.emplace_back("all");
    const auto index = convert_choice(diag_, value, "drop reason", names);
    if (index && names[*index] != "all") expect_.reason = names[*index];
    return index.has_value();
  }

  // --- measures ---

  std::optional<std::int64_t> read_amount(const YamlNode& node, const Measure& measure) {
    const auto narrow = [](std::uint64_t value) {
      return static_cast<std::int64_t>(std::min<std::uint64_t>(value, INT64_MAX));
    };
    switch (measure.unit) {
      case Unit::duration: {
        Duration d{};
        if (convert(diag_, node, d)) return d.ps;
        break;
      }
      case Unit::count: {
        std::uint64_t n = 0;
        if (convert_integer(diag_, node, measure.name, 0, INT64_MAX, n)) return narrow(n);
        break;
      }
      case Unit::ratio: {
        Probability p{};
        if (convert(diag_, node, p)) return narrow(p.ppb / 1000);
        break;
      }
      case Unit::bytes: {
        ByteCount b{};
        if (convert(diag_, node, b)) return narrow(b.bytes);
        break;
      }
      case Unit::rate: {
        BitRate r{};
        if (convert(diag_, node, r)) return narrow(r.bps);
        break;
      }
    }
    return std::nullopt;
  }

  Bounds read_bounds(const YamlNode& node, const Measure& measure) {
    Bounds bounds;
    bounds.place = node.place;
    if (node.kind != YamlNode::Kind::map) {
      bounds.min = bounds.max = read_amount(node, measure);
      return bounds;
    }
    Reader reader(diag_, node, "bounds", measure.name);
    if (const YamlNode* min = reader.take("min")) bounds.min = read_amount(*min, measure);
    if (const YamlNode* max = reader.take("max")) bounds.max = read_amount(*max, measure);
    reader.finish();
    if (node.entries.empty()) {
      diag_.error(node.place, fmt::format("`{}` without bounds", measure.name),
                  "a value, or {min: ..., max: ...}");
    }
    if (bounds.min && bounds.max && *bounds.min > *bounds.max) {
      diag_.error(node.place,
                  fmt::format("`{}`: min is above max, nothing can be both", measure.name));
    }
    return bounds;
  }

  void read_window(Reader& reader) {
    const YamlNode* window = reader.take("window");
    const YamlNode* during = reader.take("during");
    if (window != nullptr && during != nullptr) {
      diag_.error(during->place, "both `window` and `during`", "give one of them");
    }
    if (during != nullptr) {
      expect_.during = named(*during, "event", context_.events, context_.events_whole);
    }
    if (window == nullptr) return;
    Reader keys(diag_, *window, "window", "window");
    keys.read("from", expect_.from);
    keys.read("to", expect_.to);
    keys.finish();
    const Time end = Time{} + context_.scenario.duration;
    if (!expect_.from && !expect_.to)
      diag_.error(window->place, "an empty window", "{from: 1s, to: 2s}");
    if (expect_.from && *expect_.from >= end) {
      diag_.error(keys.place("from"), "the window begins after the end of the run");
    }
    if (expect_.to && *expect_.to > end) {
      diag_.error(keys.place("to"), "the window ends after the end of the run",
                  fmt::format("duration is {}", format_duration(context_.scenario.duration)));
    }
    if (expect_.to && *expect_.to <= expect_.from.value_or(Time{})) {
      diag_.error(keys.place("to"), "the window ends before it begins");
    }
  }

  // --- checks ---

  void check_dropped_by(const YamlNode& value) {
    const TrafficSpec& traffic = context_.scenario.traffic[expect_.index];
    const TenantSpec* tenant = nullptr;
    if (!traffic.pairs.empty() && traffic.pairs.front().from.tenant) {
      tenant = &context_.scenario.tenants[*traffic.pairs.front().from.tenant];
    }
    std::vector<std::string> names = drop_reasons();
    if (tenant != nullptr && tenant->policy) {
      names.emplace_back("policy.default");
      for (const auto& rule : tenant->policy->rules) names.push_back("policy." + rule.name);
      for (const EventSpec& event : context_.scenario.events) {
        if (!event.policy) continue;
        for (const auto& rule : event.policy->add) names.push_back("policy." + rule.name);
      }
    } else if (value.text.rfind("policy", 0) == 0 && tenant != nullptr) {
      diag_.error(value.place, fmt::format("tenant {} has no policy that could drop", tenant->name),
                  "without one, everything within the tenant is allowed");
      return;
    }
    if (std::find(names.begin(), names.end(), value.text) == names.end() &&
        context_.tenants_whole && context_.traffic_whole && context_.events_whole) {
      diag_.error(value.place, fmt::format("nothing drops by `{}`", value.text),
                  suggest(value.text, names));
    }
  }

  void check_traffic(const YamlNode& node) {
    const TrafficSpec& traffic = context_.scenario.traffic[expect_.index];
    const bool streams = traffic.kind == TrafficKind::bulk || traffic.kind == TrafficKind::rpc;
    const Bounds* sent = nullptr;
    const Bounds* delivered = nullptr;
    for (const auto& [name, bounds] : expect_.measures) {
      if (name == "sent") sent = &bounds;
      if (name == "delivered") delivered = &bounds;
      const bool of_connections = name == "connections" || name == "connections_lost" ||
                                  name == "completed" || name == "retransmits";
      if (of_connections && !streams) {
        diag_.error(bounds.place,
                    fmt::format("`{}` has no connections: `{}` says nothing", traffic.name, name),
                    "rpc and bulk have; here: sent, delivered, lost");
      }
    }
    if (delivered == nullptr || delivered->max != std::int64_t{0}) return;
    if (sent == nullptr || sent->min.value_or(0) < 1) {
      diag_.error(node.place, "nothing delivered, which holds by accident if nothing is sent",
                  "add sent: {min: 1} or more");
    }
    if (!expect_.dropped_by) {
      diag_.error(node.place, "nothing delivered, but not what drops it",
                  "add dropped_by: policy.default, a rule (policy.NAME) or a drop reason");
    }
  }

  Context& context_;
  Diagnostics& diag_;
  ExpectSpec expect_;
};

}  // namespace

void read_expectations(Context& context, const YamlNode* section) {
  if (section == nullptr || !is_list(context.diag, *section, "expect")) return;
  for (const YamlNode* item : section->items) {
    if (is_map(context.diag, *item, "expectation")) ExpectReader(context).read(*item);
  }
}

}  // namespace weft::scenarios
