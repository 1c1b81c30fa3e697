// The agent on messages that come in an order of their own.
#include "control/agent.h"

#include <set>

#include "control/records.h"
#include "control/replica.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::control;

namespace {

/// A switch that minds: nothing is deleted that is not there.
class StrictSink final : public RuleSink {
 public:
  void add_rule(const std::string& text) override { rules.insert(parse_rule_text(text)->key); }
  void delete_rule(const std::string& text) override {
    for (auto it = rules.begin(); it != rules.end(); ++it)
      if (it->text() == text) {
        rules.erase(it);
        return;
      }
    FAIL("deleted a rule that is not there: " << text);
  }
  std::vector<std::string> installed_rules() const override { return {}; }

  std::set<RuleKey> rules;
};

}  // namespace

TEST_CASE("a rule that comes and goes in one message never was, in the style central") {
  StrictSink sink;
  Agent agent({.hypervisor = "hv", .vtep = Ip4{1}, .style = Style::central}, sink);
  Replica controller(1, {});
  Time now{};
  const auto carry = [&] {
    for (int i = 0; i < 20; ++i) {
      now += microseconds(100);
      agent.tick(now);
      controller.run(now, true);
      for (const Bytes& b : controller.take_outgoing()) agent.on_message(b, now);
      std::vector<RecordChange> unused;
      for (const Outgoing& o : agent.take_outgoing()) controller.receive(o.bytes, now, unused);
    }
  };
  const RuleKey kept{8, 10, "ip"}, brief{9, 10, "ip"};
  const auto body = std::make_shared<const std::string>(encode(RuleBody{1, "resubmit(,9)"}));
  controller.start(now);
  agent.start(now);
  controller.set(rule_record_key(kept), body);
  carry();
  REQUIRE(agent.in_sync());
  REQUIRE(sink.rules == std::set<RuleKey>{kept});

  // The message that sets `brief` is overtaken by the one that erases it: both are taken at once.
  controller.set(rule_record_key(brief), body);
  now += microseconds(100);
  controller.run(now, true);
  const auto first = controller.take_outgoing();
  controller.erase(rule_record_key(brief));
  controller.run(now, true);
  const auto second = controller.take_outgoing();
  REQUIRE(first.size() == 1);
  REQUIRE(second.size() == 1);
  agent.on_message(second[0], now);
  agent.on_message(first[0], now);
  REQUIRE(sink.rules == std::set<RuleKey>{kept});
}
