#include "control/agent.h"

#include <algorithm>

#include "base/check.h"
#include "control/replica.h"
#include "control/rules.h"

namespace weft::control {

void RuleBook::add(const std::string& text) {
  const auto flow = parse_rule_text(text);
  rules_[flow ? flow->key.text() : text] = text;
}

void RuleBook::remove(const std::string& text) { rules_.erase(text); }

std::vector<std::string> RuleBook::rules() const {
  std::vector<std::string> out;
  out.reserve(rules_.size());
  for (const auto& [key, text] : rules_) out.push_back(text);
  return out;
}

struct Agent::Impl {
  Impl(AgentOptions o, RuleSink& s)
      : options(std::move(o)),
        sink(s),
        link(options.session, options.timing),
        rules({options.vtep, options.tunnel_port, options.tunnel}, options.faults) {}

  bool central() const { return options.style == Style::central; }

  std::map<RuleKey, RuleBody> all_mirrored_rules() {
    std::map<RuleKey, RuleBody> out;
    for (const auto& [key, value] : link.mirror()) {
      if (key == kVersionKey || key == kProbeKey) continue;
      auto rule = parse_rule_record_key(key);
      auto body = decode_rule_body(*value);
      if (rule && body)
        out.emplace(std::move(*rule), std::move(*body));
      else
        ++stats.ignored;
    }
    return out;
  }

  /// One message may complete several commits: the last word on each rule counts, and a rule that
  /// came and went within it never was.
  std::vector<RuleChange> mirrored_changes(const std::vector<RecordChange>& records) {
    struct Word {
      std::optional<RuleBody> before;
      std::optional<RuleBody> last;
    };
    std::map<RuleKey, Word> words;
    for (const RecordChange& r : records) {
      auto rule = parse_rule_record_key(r.key);
      auto body = r.value ? decode_rule_body(*r.value) : std::nullopt;
      if (!rule || (r.value && !body)) {
        ++stats.ignored;
        continue;
      }
      auto before = r.before ? decode_rule_body(*r.before) : std::nullopt;
      words.try_emplace(std::move(*rule), Word{std::move(before), {}}).first->second.last =
          std::move(body);
    }
    std::vector<RuleChange> out;
    for (auto& [key, word] : words)
      if (word.last || word.before)
        out.push_back({key, std::move(word.last), std::move(word.before)});
    return out;
  }

  /// The vSwitch may hold rules of an earlier life of this agent: from those to what should be.
  std::vector<RuleChange> difference_to_installed(std::map<RuleKey, RuleBody> target) {
    std::vector<RuleChange> out;
    for (const std::string& text : sink.installed_rules()) {
      const auto flow = parse_rule_text(text);
      if (!flow) continue;  // somebody else's
      const auto it = target.find(flow->key);
      if (it == target.end()) {
        out.push_back({flow->key, std::nullopt, flow->body});
      } else if (it->second == flow->body) {
        target.erase(it);
      }
    }
    for (auto& [key, body] : target) out.push_back({key, std::move(body), {}});
    return out;
  }

  void install(std::vector<RuleChange> changes) {
    sort_for_installation(changes);
    for (const RuleChange& c : changes) {
      if (c.body) {
        ++stats.rules_added;
        sink.add_rule(rule_text(c.key, *c.body));
      } else if (!options.faults.keep_removed_rules) {
        ++stats.rules_deleted;
        sink.delete_rule(c.key.text());
      }
    }
  }

  /// Rules follow the records and the local ports once a full state has been seen.
  void apply(const std::vector<RecordChange>& records) {
    if (!central())
      for (const RecordChange& r : records)
        if (!rules.set_record(r.key, r.value)) ++stats.ignored;
    if (!installed_once) {
      if (!link.mirror_complete()) return;
      installed_once = true;
      rules.update();
      install(difference_to_installed(central() ? all_mirrored_rules() : rules.rules()));
      return;
    }
    install(central() ? mirrored_changes(records) : rules.update());
  }

  /// 0: none among them.
  static std::uint64_t take_version(std::vector<RecordChange>& changes) {
    std::uint64_t version = 0;
    std::erase_if(changes, [&](const RecordChange& c) {
      if (c.key == kProbeKey) return true;  // that it arrived is the answer
      if (c.key != kVersionKey) return false;
      if (c.value) version = decode_version(*c.value).value_or(0);
      return true;
    });
    return version;
  }

  void report(const LocalPort& port) {
    link.set(std::string(kReportPrefix) + port.name,
             std::make_shared<const std::string>(encode(port)));
  }

  AgentOptions options;
  RuleSink& sink;
  Replica link;
  HostRules rules;
  std::map<std::string, LocalPort> ports;  // those that left stay, down
  bool installed_once = false;
  Time now{};
  mutable AgentStats stats;
};

Agent::Agent(AgentOptions options, RuleSink& sink)
    : impl_(std::make_unique<Impl>(std::move(options), sink)) {}
Agent::~Agent() = default;
Agent::Agent(Agent&&) noexcept = default;

void Agent::start(Time now) {
  impl_->now = now;
  const Chassis chassis{impl_->options.vtep, impl_->options.tunnel_port, impl_->options.tunnel};
  impl_->link.set(std::string(kChassisKey), std::make_shared<const std::string>(encode(chassis)));
  impl_->link.start(now);
}

void Agent::on_message(const Bytes& bytes, Time now) {
  impl_->now = now;
  std::vector<RecordChange> changes;
  if (!impl_->link.receive(bytes, now, changes)) ++impl_->stats.ignored;
  const std::uint64_t version = impl_->take_version(changes);
  if (!changes.empty() || !impl_->installed_once) impl_->apply(changes);
  if (version != 0 && impl_->installed_once) impl_->stats.version = version;
}

void Agent::port_up(const LocalPort& port, Time now) {
  WEFT_CHECK(port.of_port > 0 && port.of_port < kRouterZones, "port {}", port.of_port);
  impl_->now = now;
  LocalPort& mine = impl_->ports[port.name];
  mine = port;
  mine.up = true;
  impl_->report(mine);
  impl_->rules.set_local(port.name, port.of_port);
  if (impl_->installed_once) impl_->apply({});
}

void Agent::port_down(const std::string& name, Time now) {
  impl_->now = now;
  const auto it = impl_->ports.find(name);
  if (it == impl_->ports.end() || !it->second.up) return;
  it->second.up = false;
  impl_->report(it->second);
  impl_->rules.erase_local(name);
  if (impl_->installed_once) impl_->apply({});
}

void Agent::tick(Time now) { impl_->now = now; }

std::vector<Outgoing> Agent::take_outgoing() {
  impl_->link.run(impl_->now, true);
  std::vector<Outgoing> out;
  for (Bytes& bytes : impl_->link.take_outgoing())
    out.push_back({impl_->options.hypervisor, std::move(bytes)});
  return out;
}

Time Agent::next_wakeup() const { return impl_->link.next_wakeup(); }

bool Agent::in_sync() const {
  return impl_->installed_once && impl_->link.mirror_complete() && impl_->link.confirmed();
}

const AgentStats& Agent::stats() const {
  AgentStats& s = impl_->stats;
  const ReplicaStats& link = impl_->link.stats();
  s.messages_in = link.messages_in;
  s.messages_out = link.messages_out;
  s.bytes_in = link.bytes_in;
  s.bytes_out = link.bytes_out;
  s.retransmits = link.retransmits;
  s.resyncs = link.full_states_received;
  s.records = impl_->link.mirror().size();
  std::size_t mirrored = s.records;
  for (const std::string_view key : {kVersionKey, kProbeKey})
    mirrored -= impl_->link.mirror().count(std::string(key));
  s.rules = impl_->central() ? mirrored : impl_->rules.size();
  if (!impl_->installed_once) s.rules = 0;
  return s;
}

}  // namespace weft::control
