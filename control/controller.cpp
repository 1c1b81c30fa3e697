#include "control/controller.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "control/compile.h"
#include "control/replica.h"
#include "control/rules.h"

namespace weft::control {
namespace {

/// What the controller knows about one hypervisor and keeps for it.
struct Host {
  Host(std::string n, std::uint64_t session, const Timing& timing)
      : name(std::move(n)), link(session, timing) {}

  std::string name;
  Replica link;
  std::optional<Chassis> chassis;
  std::map<std::string, LocalPort> reports;
  std::set<std::string> requested;

  // Selection: what is published for it.
  std::set<PortPlace> places;
  std::set<std::uint32_t> vnis;
  std::set<std::uint64_t> profiles;
  std::set<GatewayId> gateways;
  std::unique_ptr<HostRules> rules;  // style central

  // Gateways.
  std::set<GatewayId> candidate;
  bool alive = false;
  Time heard{};

  Time wakeup = Time::never();
};

struct Selected {
  std::set<PortPlace> places;
  std::set<std::uint32_t> vnis;
  std::set<std::uint64_t> profiles;
  std::set<GatewayId> gateways;
};

template <class T>
std::pair<std::vector<T>, std::vector<T>> gone_and_new(const std::set<T>& before,
                                                       const std::set<T>& after) {
  std::pair<std::vector<T>, std::vector<T>> out;
  std::set_difference(before.begin(), before.end(), after.begin(), after.end(),
                      std::back_inserter(out.first));
  std::set_difference(after.begin(), after.end(), before.begin(), before.end(),
                      std::back_inserter(out.second));
  return out;
}

template <class Key, class Value>
void drop_from(std::map<Key, std::set<Value>>& index, const Key& key, const Value& value) {
  const auto it = index.find(key);
  if (it == index.end()) return;
  it->second.erase(value);
  if (it->second.empty()) index.erase(it);
}

}  // namespace

struct Controller::Impl {
  explicit Impl(ControllerOptions o) : options(std::move(o)), compiler(options.faults) {
    for (const std::string& name : options.hypervisors)
      if (host_index.emplace(name, hosts.size()).second)
        hosts.emplace_back(name, options.session, options.timing);
    version = options.session;
  }

  // --- locations ---------------------------------------------------------------------------------

  /// The hypervisor that carries a port: among the reports of its latest incarnation one that says
  /// `up`; the requested one first, then by name. A pure function of reports and intent.
  std::optional<std::size_t> elect(const std::string& port) const {
    const auto by = reporters.find(port);
    if (by == reporters.end()) return std::nullopt;
    std::uint32_t latest = 0;
    for (const std::size_t h : by->second)
      latest = std::max(latest, hosts[h].reports.at(port).incarnation);
    std::optional<std::size_t> best;
    const auto row = intent.ports().find(port);
    const std::string requested = row == intent.ports().end() ? "" : row->second.requested;
    // An external port does not move: it is in several places.
    const bool external = row != intent.ports().end() && row->second.type == PortType::external;
    for (const std::size_t h : by->second) {
      const LocalPort& report = hosts[h].reports.at(port);
      if ((report.incarnation != latest && !external) || !report.up || !hosts[h].chassis) continue;
      const auto rank = [&](std::size_t i) {
        return std::pair(hosts[i].name != requested, hosts[i].name);
      };
      if (!best || rank(h) < rank(*best)) best = h;
    }
    return best;
  }

  RecordValue location_value(std::size_t host) const {
    return std::make_shared<const std::string>(
        encode(LocationRecord{hosts[host].chassis->vtep, hosts[host].name}));
  }

  /// Brings one port's location and its record up to date.
  void locate(const std::string& port) {
    const auto host = elect(port);
    const auto old = location.find(port);
    if (host) {
      location[port] = *host;
      const auto [last, first_time] = last_location.try_emplace(port, *host);
      if (!first_time && last->second != *host) ++stats.moves;
      last->second = *host;
    }
    if (!host && old != location.end()) location.erase(old);
    health_changed |= compiler.set_up(port, host.has_value());

    const PortPlace place = compiler.place_of(port);
    const auto was = located_at.find(port);
    if (was != located_at.end() && (!host || was->second != place)) {
      const PortPlace left = was->second;
      set_location(left, nullptr);
      located_at.erase(was);
      // Another port may have got the place in the same transaction.
      const auto heir = compiler.ports_by_place().find(left);
      if (heir != compiler.ports_by_place().end() && heir->second != port) locate(heir->second);
    }
    if (!host || place.vni == 0) return;
    located_at[port] = place;
    set_location(place, location_value(*host));
  }

  void set_location(PortPlace place, RecordValue value) {
    const std::string key = location_key(place);
    if (value) locations[key] = value;
    if (!value) locations.erase(key);
    const auto it = vni_hosts.find(place.vni);
    if (it == vni_hosts.end()) return;
    for (const std::size_t h : it->second) publish(h, key, value);
  }

  // --- gateways ----------------------------------------------------------------------------------

  /// Who has a gateway port: the best candidate that is alive.
  std::optional<std::size_t> elect(const Compiler::GatewayPort& port) const {
    for (const Gateway& g : port.candidates) {
      const auto it = host_index.find(g.hypervisor);
      if (it != host_index.end() && hosts[it->second].alive && hosts[it->second].chassis)
        return it->second;
    }
    return std::nullopt;
  }

  /// Where each gateway port is, from nothing.
  RecordTable expected_gateways() const {
    RecordTable out;
    for (const auto& [id, port] : compiler.gateways()) {
      GatewayRecord record{port.network, port.mac, {}, {}};
      if (const auto h = elect(port)) {
        record.hypervisor = hosts[*h].name;
        record.vtep = hosts[*h].chassis->vtep;
      }
      const auto value = std::make_shared<const std::string>(encode(record));
      for (const std::uint32_t datapath : port.published) out[gateway_key(datapath, id)] = value;
    }
    return out;
  }

  void elect_gateways() {
    RecordTable fresh = expected_gateways();
    const auto tell = [&](const std::string& key, const RecordValue& value) {
      if (const auto it = vni_hosts.find(vni_of(key)); it != vni_hosts.end())
        for (const std::size_t h : it->second) publish(h, key, value);
    };
    for (const auto& [key, value] : gateways)
      if (!fresh.contains(key)) tell(key, nullptr);
    for (const auto& [key, value] : fresh) {
      const auto it = gateways.find(key);
      if (it == gateways.end() || *it->second != *value) tell(key, value);
    }
    gateways = std::move(fresh);
  }

  std::map<std::size_t, std::set<GatewayId>> expected_candidates() const {
    std::map<std::size_t, std::set<GatewayId>> out;
    for (const auto& [id, port] : compiler.gateways())
      for (const Gateway& g : port.candidates)
        if (const auto it = host_index.find(g.hypervisor); it != host_index.end())
          out[it->second].insert(id);
    return out;
  }

  void note_candidates() {
    auto fresh = expected_candidates();
    for (std::size_t h = 0; h < hosts.size(); ++h) {
      const auto it = fresh.find(h);
      hosts[h].candidate = it == fresh.end() ? std::set<GatewayId>{} : std::move(it->second);
      if (hosts[h].candidate.empty()) {
        watched.erase(h);
      } else if (watched.insert(h).second && watched.size() == 1) {
        next_probe = now + options.timing.probe;
      }
      if (!hosts[h].candidate.empty() || !hosts[h].gateways.empty()) reselect.insert(h);
    }
  }

  void hear(std::size_t h) {
    Host& host = hosts[h];
    host.heard = now;
    if (std::exchange(host.alive, true) || host.candidate.empty()) return;
    elect_gateways();
  }

  /// Asks the candidates for a sign of life; those who gave none for too long are dead.
  void probe() {
    if (watched.empty() || now < next_probe) return;
    next_probe = now + options.timing.probe;
    bool changed = false;
    const auto number = std::make_shared<const std::string>(encode_version(++probes));
    for (const std::size_t h : watched) {
      Host& host = hosts[h];
      // What is under way is repeated until it is answered: that asks as well.
      if (host.link.confirmed()) {
        host.link.set(std::string(kProbeKey), number);
        waiting.insert(h);
      }
      if (!host.alive || now - host.heard <= options.timing.dead_after) continue;
      host.alive = false;
      changed = true;
    }
    if (changed) elect_gateways();
  }

  // --- selection ---------------------------------------------------------------------------------

  Selected selection_of(const Host& host) const {
    Selected s;
    const auto add = [&](const std::string& port) {
      const PortPlace place = compiler.place_of(port);
      if (place.vni == 0) return;
      s.places.insert(place);
      const auto& reach = compiler.reach(place.vni);
      s.vnis.insert(reach.begin(), reach.end());
      if (const std::uint64_t profile = compiler.profile_of_port(port)) s.profiles.insert(profile);
    };
    for (const GatewayId id : host.candidate) {
      s.gateways.insert(id);
      for (const std::uint32_t datapath : compiler.gateways().at(id).needs) {
        const auto& reach = compiler.reach(datapath);
        s.vnis.insert(reach.begin(), reach.end());
      }
    }
    for (const std::string& port : host.requested) add(port);
    for (const auto& [name, report] : host.reports)
      if (report.up) add(name);
    return s;
  }

  template <class Visit>
  static void each_in_range(const RecordTable& table, const std::string& range, Visit&& visit) {
    for (auto it = table.lower_bound(range); it != table.end() && it->first.starts_with(range);
         ++it)
      visit(it->first, it->second);
  }

  template <class Visit>
  void each_of_network(std::uint32_t vni, Visit&& visit) const {
    each_in_range(compiler.records(), network_range(vni), visit);
    each_in_range(locations, network_range(vni) + "at/", visit);
    each_in_range(gateways, network_range(vni) + "gw/", visit);
  }

  void select(std::size_t h) {
    Host& host = hosts[h];
    Selected s = selection_of(host);
    const auto add = [&](const std::string& key, const RecordValue& v) { publish(h, key, v); };
    const auto drop = [&](const std::string& key, const RecordValue&) { publish(h, key, nullptr); };

    const auto [old_vnis, new_vnis] = gone_and_new(host.vnis, s.vnis);
    for (const std::uint32_t vni : old_vnis) {
      drop_from(vni_hosts, vni, h);
      each_of_network(vni, drop);
    }
    const auto [old_profiles, new_profiles] = gone_and_new(host.profiles, s.profiles);
    for (const std::uint64_t profile : old_profiles) {
      drop_from(profile_hosts, profile, h);
      each_in_range(compiler.records(), profile_range(profile), drop);
    }
    for (const std::uint64_t profile : new_profiles) {
      profile_hosts[profile].insert(h);
      each_in_range(compiler.records(), profile_range(profile), add);
    }
    for (const std::uint32_t vni : new_vnis) {
      vni_hosts[vni].insert(h);
      each_of_network(vni, add);
    }
    const auto [old_places, new_places] = gone_and_new(host.places, s.places);
    for (const PortPlace place : old_places) {
      drop_from(place_hosts, place, h);
      each_in_range(compiler.records(), local_record_key(place), drop);
    }
    for (const PortPlace place : new_places) {
      place_hosts[place].insert(h);
      each_in_range(compiler.records(), local_record_key(place), add);
    }
    const auto [old_gateways, new_gateways] = gone_and_new(host.gateways, s.gateways);
    for (const GatewayId id : old_gateways) {
      drop_from(gateway_hosts, id, h);
      each_in_range(compiler.records(), gateway_range(id), drop);
    }
    for (const GatewayId id : new_gateways) {
      gateway_hosts[id].insert(h);
      each_in_range(compiler.records(), gateway_range(id), add);
    }
    host.gateways = std::move(s.gateways);
    host.places = std::move(s.places);
    host.vnis = std::move(s.vnis);
    host.profiles = std::move(s.profiles);
  }

  /// The records that a hypervisor should have, from nothing.
  RecordTable expected_records(const Host& host) const {
    RecordTable out;
    const auto add = [&](const std::string& key, const RecordValue& v) { out[key] = v; };
    const Selected s = selection_of(host);
    for (const std::uint32_t vni : s.vnis) each_of_network(vni, add);
    for (const std::uint64_t profile : s.profiles)
      each_in_range(compiler.records(), profile_range(profile), add);
    for (const PortPlace place : s.places)
      each_in_range(compiler.records(), local_record_key(place), add);
    for (const GatewayId id : s.gateways) each_in_range(compiler.records(), gateway_range(id), add);
    return out;
  }

  HostRules expected_rules(const Host& host, const RecordTable& records) const {
    HostRules rules(*host.chassis, options.faults);
    for (const auto& [key, value] : records) rules.set_record(key, value);
    for (const auto& [name, report] : host.reports)
      if (report.up) rules.set_local(name, report.of_port);
    rules.update();
    return rules;
  }

  // --- publishing --------------------------------------------------------------------------------

  void publish(std::size_t h, const std::string& key, const RecordValue& value) {
    Host& host = hosts[h];
    if (transacting) affected.insert(h);
    if (options.style == Style::central) {
      if (host.rules) host.rules->set_record(key, value);
      rules_dirty.insert(h);
    } else if (value) {
      host.link.set(key, value);
    } else {
      host.link.erase(key);
    }
    mark(h);
  }

  /// Something for this hypervisor waits to be sent.
  void mark(std::size_t h) {
    waiting.insert(h);
    if (gathering) return;
    gathering = true;
    flush_at = now + options.timing.batch;
  }

  void publish_rules() {
    for (const std::size_t h : rules_dirty) {
      Host& host = hosts[h];
      if (!host.rules) continue;
      std::vector<RuleChange> changes = host.rules->update();
      sort_for_installation(changes);
      for (const RuleChange& c : changes) {
        const std::string key = rule_record_key(c.key);
        if (c.body) host.link.set(key, std::make_shared<const std::string>(encode(*c.body)));
        if (!c.body) host.link.erase(key);
      }
    }
    rules_dirty.clear();
  }

  /// A hypervisor told (anew) what it is: its rules depend on that.
  void renew_rules(std::size_t h) {
    Host& host = hosts[h];
    if (options.style != Style::central || !host.chassis) return;
    std::vector<std::string> keys;
    for (const auto& [key, value] : host.link.published()) keys.push_back(key);
    for (const std::string& key : keys)
      if (key != kVersionKey && key != kProbeKey) host.link.erase(key);
    host.rules = std::make_unique<HostRules>(*host.chassis, options.faults);
    for (const auto& [key, value] : expected_records(host)) host.rules->set_record(key, value);
    for (const auto& [name, report] : host.reports)
      if (report.up) host.rules->set_local(name, report.of_port);
    rules_dirty.insert(h);
    mark(h);
  }

  /// Compiled records to those who have them already, then new selections.
  void spread_compiled() {
    for (const std::string& key : compiler.take_changed()) {
      const auto it = compiler.records().find(key);
      const RecordValue value = it == compiler.records().end() ? nullptr : it->second;
      const auto to = [&](const auto& index, const auto& id) {
        if (const auto found = index.find(id); found != index.end())
          for (const std::size_t h : found->second) publish(h, key, value);
      };
      switch (scope_of(key)) {
        case RecordScope::network:
          to(vni_hosts, vni_of(key));
          break;
        case RecordScope::profile:
          to(profile_hosts, profile_of(key));
          break;
        case RecordScope::local_port:
          to(place_hosts, PortPlace{vni_of(key), port_key_of(key)});
          break;
        case RecordScope::gateway:
          to(gateway_hosts, gateway_of(key));
          break;
        case RecordScope::other:
          break;
      }
    }
    const Compiler::Selection changed = compiler.take_selection_changes();
    for (const std::string& port : changed.ports) {
      locate(port);
      for_hosts_of(port, [&](std::size_t h) { reselect.insert(h); });
    }
    if (changed.reach) {
      elect_gateways();
      note_candidates();
    }
    if (changed.reach)
      for (std::size_t h = 0; h < hosts.size(); ++h)
        if (!hosts[h].places.empty()) reselect.insert(h);
    for (const std::size_t h : std::exchange(reselect, {})) select(h);
  }

  template <class Visit>
  void for_hosts_of(const std::string& port, Visit&& visit) {
    if (const auto it = reporters.find(port); it != reporters.end())
      for (const std::size_t h : it->second) visit(h);
    const auto row = intent.ports().find(port);
    if (row == intent.ports().end()) return;
    if (const auto it = host_index.find(row->second.requested); it != host_index.end())
      visit(it->second);
  }

  // --- intent ------------------------------------------------------------------------------------

  /// Takes it, and lets everybody whom it concerns know its number.
  void transact(const std::vector<RowChange>& changes) {
    transacting = true;
    take_intent(changes);
    transacting = false;
    Asked record{++version, now, {}};
    const auto number = std::make_shared<const std::string>(encode_version(version));
    for (const std::size_t h : std::exchange(affected, {})) {
      record.hypervisors.push_back(hosts[h].name);
      hosts[h].link.set(std::string(kVersionKey), number);
    }
    asked.push_back(std::move(record));
  }

  void take_intent(const std::vector<RowChange>& changes) {
    for (const RowChange& change : changes) {
      note_cookies(change);
      const Row& row = change.after ? *change.after : *change.before;
      if (!std::holds_alternative<Port>(row)) continue;
      const auto request = [&](const std::optional<Row>& r, bool add) {
        if (!r) return;
        const Port& port = std::get<Port>(*r);
        const auto it = host_index.find(port.requested);
        if (it == host_index.end()) return;
        auto& requested = hosts[it->second].requested;
        if (add) requested.insert(port.name);
        if (!add) requested.erase(port.name);
        reselect.insert(it->second);
      };
      request(change.before, false);
      request(change.after, true);
    }
    compiler.apply(intent, changes);
    spread_compiled();
    // What the hypervisors reported about ports may count differently now.
    for (const RowChange& change : changes) {
      const Row& row = change.after ? *change.after : *change.before;
      if (std::holds_alternative<Port>(row)) locate(name_of(row));
    }
    take_health();
  }

  /// Ports came up or went down: what is compiled from that.
  void take_health() {
    if (!std::exchange(health_changed, false)) return;
    compiler.apply(intent, {});
    spread_compiled();
  }

  void note_cookies(const RowChange& change) {
    if (!change.after) return;
    std::visit(
        [&](const auto& row) {
          if constexpr (requires { row.cookie; })
            if (row.cookie != 0)
              cookies[row.cookie] = {intent.tenant_of(*change.after), row.name,
                                     std::is_same_v<std::decay_t<decltype(row)>, Acl>};
        },
        *change.after);
    if (const Tenant* tenant = std::get_if<Tenant>(&*change.after))
      if (tenant->has_policy) cookies[tenant->default_cookie] = {tenant->name, "default", true};
  }

  // --- reports -----------------------------------------------------------------------------------

  void take_reports(std::size_t h, const std::vector<RecordChange>& changes) {
    Host& host = hosts[h];
    bool chassis_changed = false;
    std::vector<std::string> ports;
    for (const RecordChange& c : changes) {
      if (c.key == kChassisKey) {
        const auto chassis = c.value ? decode_chassis(*c.value) : std::nullopt;
        if (c.value && !chassis) ++stats.ignored;
        chassis_changed |= chassis != host.chassis;
        host.chassis = chassis;
      } else if (c.key.starts_with(kReportPrefix)) {
        const std::string name = c.key.substr(kReportPrefix.size());
        const auto report = c.value ? decode_report(name, *c.value) : std::nullopt;
        if (c.value && !report) ++stats.ignored;
        take_report(h, name, report);
        ports.push_back(name);
      } else {
        ++stats.ignored;
      }
    }
    if (chassis_changed) {
      renew_rules(h);
      for (const auto& [name, report] : host.reports) ports.push_back(name);
      if (!host.candidate.empty()) elect_gateways();
    }
    if (!ports.empty()) select(h);
    for (const std::string& port : ports) locate(port);
    take_health();
  }

  void take_report(std::size_t h, const std::string& name, const std::optional<LocalPort>& report) {
    Host& host = hosts[h];
    const bool up = report && report->up;
    if (report) {
      host.reports[name] = *report;
      reporters[name].insert(h);
    } else {
      host.reports.erase(name);
      drop_from(reporters, name, h);
    }
    if (!host.rules) return;
    if (up) host.rules->set_local(name, report->of_port);
    if (!up) host.rules->erase_local(name);
    rules_dirty.insert(h);
    mark(h);
  }

  /// A restarted controller publishes nothing until it knows the world again.
  void end_relearning_if_due() {
    if (!relearning) return;
    const bool all = std::all_of(hosts.begin(), hosts.end(),
                                 [](const Host& h) { return h.link.mirror_complete(); });
    if (!all && now < relearn_until) return;
    relearning = false;
    for (std::size_t h = 0; h < hosts.size(); ++h) waiting.insert(h);
  }

  bool may_publish() const { return !relearning && (!gathering || now >= flush_at); }

  ControllerOptions options;
  std::vector<Host> hosts;
  std::map<std::string, std::size_t> host_index;
  Intent intent;
  Compiler compiler;
  std::map<std::uint64_t, CookieMeaning> cookies;

  std::map<std::string, std::set<std::size_t>> reporters;  // port -> who ever reported it
  std::map<std::string, std::size_t> location;             // port -> host
  std::map<std::string, PortPlace> located_at;             // port -> place of its location record
  std::map<std::string, std::size_t> last_location;        // kept while it is nowhere
  RecordTable locations;

  std::map<std::uint32_t, std::set<std::size_t>> vni_hosts;
  std::map<std::uint64_t, std::set<std::size_t>> profile_hosts;
  std::map<PortPlace, std::set<std::size_t>> place_hosts;
  std::map<GatewayId, std::set<std::size_t>> gateway_hosts;
  RecordTable gateways;           // where each gateway port is
  std::set<std::size_t> watched;  // candidates
  Time next_probe{};
  std::uint64_t probes = 0;
  std::set<std::size_t> reselect, rules_dirty;
  std::set<std::size_t> touched;  // to be run now
  std::set<std::size_t> waiting;  // have something to publish
  std::set<std::pair<Time, std::size_t>> wakeups;

  Time now{};
  bool health_changed = false;
  bool gathering = false;
  Time flush_at{};
  bool restarted = false;
  bool relearning = false;
  Time relearn_until{};
  bool transacting = false;
  std::set<std::size_t> affected;  // by the transaction at hand
  std::uint64_t version = 0;
  std::vector<Asked> asked;
  mutable ControllerStats stats;
};

Controller::Controller(ControllerOptions options)
    : impl_(std::make_unique<Impl>(std::move(options))) {}
Controller::~Controller() = default;
Controller::Controller(Controller&&) noexcept = default;
Controller& Controller::operator=(Controller&&) noexcept = default;

Result<Controller> Controller::restored(ControllerOptions options, const Bytes& snapshot) {
  auto intent = Intent::load(snapshot);
  if (!intent) return intent.error();
  Controller c(std::move(options));
  c.impl_->intent = std::move(*intent);
  c.impl_->restarted = true;
  std::vector<RowChange> all;
  for (Row& row : c.intent().all_rows()) all.push_back({std::nullopt, std::move(row)});
  c.impl_->take_intent(all);
  return c;
}

void Controller::start(Time now) {
  Impl& m = *impl_;
  m.now = now;
  m.relearning = m.restarted && !m.hosts.empty();
  m.relearn_until = now + m.options.timing.relearn_limit;
  for (std::size_t h = 0; h < m.hosts.size(); ++h) {
    m.hosts[h].link.start(now);
    m.touched.insert(h);
  }
}

Result<> Controller::transact(const Transaction& transaction, Time now) {
  impl_->now = now;
  if (const std::uint64_t by = deposed_by())
    return Error{fmt::format("this controller (session {}) has been replaced by session {}",
                             impl_->options.session, by),
                 {},
                 "ask the other one"};
  auto changes = impl_->intent.apply(transaction);
  if (!changes) {
    ++impl_->stats.refused;
    return changes.error();
  }
  ++impl_->stats.transactions;
  impl_->transact(*changes);
  return {};
}

void Controller::on_message(const std::string& hypervisor, const Bytes& bytes, Time now) {
  Impl& m = *impl_;
  m.now = now;
  const auto it = m.host_index.find(hypervisor);
  if (it == m.host_index.end()) {
    ++m.stats.ignored;
    return;
  }
  const std::size_t h = it->second;
  std::vector<RecordChange> changes;
  if (!m.hosts[h].link.receive(bytes, now, changes))
    ++m.stats.ignored;
  else
    m.hear(h);
  m.touched.insert(h);
  m.take_reports(h, changes);
  m.end_relearning_if_due();
}

void Controller::tick(Time now) {
  Impl& m = *impl_;
  m.now = now;
  m.end_relearning_if_due();
  m.probe();
  for (const auto& [at, h] : m.wakeups) {
    if (at > now) break;
    m.touched.insert(h);
  }
}

std::vector<Outgoing> Controller::take_outgoing() {
  Impl& m = *impl_;
  if (deposed_by() != 0) return {};
  const bool publish = m.may_publish();
  if (publish) {
    m.publish_rules();
    m.touched.merge(std::exchange(m.waiting, {}));
    m.gathering = false;
  }
  std::vector<Outgoing> out;
  for (const std::size_t h : std::exchange(m.touched, {})) {
    Host& host = m.hosts[h];
    host.link.run(m.now, publish);
    for (Bytes& bytes : host.link.take_outgoing()) out.push_back({host.name, std::move(bytes)});
    if (!publish && host.link.has_unsent()) m.waiting.insert(h);
    const Time wakeup = host.link.next_wakeup();
    if (wakeup == host.wakeup) continue;
    m.wakeups.erase({host.wakeup, h});
    host.wakeup = wakeup;
    if (wakeup != Time::never()) m.wakeups.emplace(wakeup, h);
  }
  return out;
}

Time Controller::next_wakeup() const {
  const Impl& m = *impl_;
  if (deposed_by() != 0) return Time::never();
  Time at = m.wakeups.empty() ? Time::never() : m.wakeups.begin()->first;
  if (!m.watched.empty()) at = std::min(at, m.next_probe);
  if (m.relearning) return std::min(at, m.relearn_until);
  if (m.gathering) at = std::min(at, m.flush_at);
  return at;
}

std::uint64_t Controller::deposed_by() const {
  std::uint64_t by = 0;
  for (const Host& h : impl_->hosts) by = std::max(by, h.link.deposed_by());
  return by;
}

Bytes Controller::snapshot() const { return impl_->intent.save(); }
const Intent& Controller::intent() const { return impl_->intent; }

std::string Controller::location_of(const std::string& port) const {
  const auto it = impl_->location.find(port);
  return it == impl_->location.end() ? std::string() : impl_->hosts[it->second].name;
}

bool Controller::in_sync() const {
  if (impl_->relearning || impl_->gathering) return false;
  return std::all_of(impl_->hosts.begin(), impl_->hosts.end(),
                     [](const Host& h) { return !h.link.knows_peer() || h.link.confirmed(); });
}

std::optional<CookieMeaning> Controller::describe_cookie(std::uint64_t cookie) const {
  if ((cookie & kStageCookie) != 0) {
    const std::string_view name = name_of(static_cast<Stage>(cookie & ~kStageCookie));
    if (name.empty()) return std::nullopt;
    return CookieMeaning{"", std::string(name), false};
  }
  const auto it = impl_->cookies.find(cookie);
  if (it == impl_->cookies.end()) return std::nullopt;
  return it->second;
}

const std::vector<Asked>& Controller::asked() const { return impl_->asked; }

const ControllerStats& Controller::stats() const {
  ControllerStats& s = impl_->stats;
  s.messages_in = s.messages_out = s.bytes_in = s.bytes_out = 0;
  s.retransmits = s.resyncs = s.records_sent = 0;
  for (const Host& h : impl_->hosts) {
    const ReplicaStats& link = h.link.stats();
    s.messages_in += link.messages_in;
    s.messages_out += link.messages_out;
    s.bytes_in += link.bytes_in;
    s.bytes_out += link.bytes_out;
    s.retransmits += link.retransmits;
    s.resyncs += link.full_states_sent;
    s.records_sent += link.records_sent;
  }
  s.logical_flows = impl_->compiler.logical_flows();
  s.bindings = impl_->location.size();
  return s;
}

std::string Controller::check_recompute() const {
  const Impl& m = *impl_;
  const Compiler fresh = Compiler::of(m.intent, m.options.faults, m.compiler.up());
  for (const auto& [key, value] : fresh.records()) {
    const auto it = m.compiler.records().find(key);
    if (it == m.compiler.records().end()) return "record missing: " + key;
    if (*it->second != *value) return "record differs: " + key;
  }
  for (const auto& [key, value] : m.compiler.records())
    if (!fresh.records().contains(key)) return "record left over: " + key;
  if (!(fresh == m.compiler)) return "compiler's indexes differ";
  RecordTable locations;
  for (const auto& [port, hosts] : m.reporters) {
    const auto host = m.elect(port);
    const auto it = m.location.find(port);
    if (host != (it == m.location.end() ? std::nullopt : std::optional(it->second)))
      return "location differs: " + port;
    const PortPlace place = m.compiler.place_of(port);
    if (host.has_value() != m.compiler.up().contains(port)) return "health differs: " + port;
    if (host && place.vni != 0) locations[location_key(place)] = m.location_value(*host);
  }
  const auto compare = [](const RecordTable& want, const RecordTable& have) -> std::string {
    for (const auto& [key, value] : want) {
      const auto it = have.find(key);
      if (it == have.end()) return "missing " + key;
      if (*it->second != *value) return "different " + key;
    }
    for (const auto& [key, value] : have)
      if (!want.contains(key) && key != kVersionKey && key != kProbeKey) return "left over " + key;
    return {};
  };
  if (const std::string d = compare(locations, m.locations); !d.empty()) return "locations: " + d;
  if (const std::string d = compare(m.expected_gateways(), m.gateways); !d.empty())
    return "gateways: " + d;
  for (auto candidates = m.expected_candidates(); const Host& host : m.hosts)
    if (host.candidate != candidates[m.host_index.at(host.name)])
      return "candidates differ: " + host.name;
  for (const Host& host : m.hosts) {
    RecordTable want = m.expected_records(host);
    if (m.options.style == Style::central) {
      if (!host.chassis || m.rules_dirty.contains(m.host_index.at(host.name))) continue;
      const auto rules = m.expected_rules(host, want).rules();
      want.clear();
      for (const auto& [key, body] : rules)
        want[rule_record_key(key)] = std::make_shared<const std::string>(encode(body));
    }
    if (const std::string d = compare(want, host.link.published()); !d.empty())
      return host.name + ": " + d;
  }
  return {};
}

std::vector<std::string> Controller::rules_of(const std::string& hypervisor) const {
  std::vector<std::string> out;
  const auto it = impl_->host_index.find(hypervisor);
  if (it == impl_->host_index.end()) return out;
  const Host& host = impl_->hosts[it->second];
  if (!host.chassis) return out;
  for (const auto& [key, body] : impl_->expected_rules(host, impl_->expected_records(host)).rules())
    out.push_back(rule_text(key, body));
  return out;
}

}  // namespace weft::control
