// World: a specification bound to models and ready to run. build() decides who carries each part of
// the scenario - which LP is which node, which channel is which link direction, which LP does which
// part of a command; run() runs it; results() reads off what happened. Observers (captures, series
// of link load, traces) hang on the nodes as plain pointers and cannot change the run.
//
// LP ids: the topology's nodes in their order (a controller in band is one of them), then a
// controller out of band, then the director.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "analysis/results.h"
#include "control/intent.h"
#include "models/controller_process.h"
#include "models/director.h"
#include "models/node.h"
#include "models/plan.h"
#include "models/topology.h"
#include "scenarios/spec.h"
#include "sim/engine.h"

namespace weft::models {
class ControllerHost;
class Hypervisor;
class Host;
class Guest;
class Router;
struct GuestConfig;
}  // namespace weft::models

namespace weft::scenarios {

struct WorldOptions {
  std::uint64_t seed = 1;
  unsigned threads = 1;
  models::CheckLevel check = models::CheckLevel::sampled;
  std::string plant;                       ///< a planted fault (weft mutate), empty: none
  models::PacketTracer* tracer = nullptr;  ///< asked by every node (weft explain); may be null
  std::optional<Duration> end;  ///< how far it will be run, for the partition; none: to its end
};

/// What a rule's cookie means in the scenario.
struct PolicyOrigin {
  std::size_t tenant = 0;
  std::string rule;  ///< "policy.default", "policy.web-to-app"
  Place place;
};

class World {
 public:
  static Result<std::unique_ptr<World>> build(const Scenario& scenario,
                                              const WorldOptions& options);
  ~World();

  /// What a scenario asks for before any event, without a world around it; `origins`: by cookie
  /// - 1.
  struct Desired {
    control::Transaction intent;
    std::vector<PolicyOrigin> origins;
  };
  static Desired desired_by(const Scenario& scenario);
  static std::shared_ptr<const models::Topology> topology_of(const Scenario& scenario);

  /// Runs up to `until` (or until stopped); may be called again.
  void run(Time until) { engine_->run(until); }
  sim::Engine& engine() { return *engine_; }
  const Scenario& scenario() const { return scenario_; }

  models::Node& node(std::size_t index) { return *nodes_[index]; }
  std::size_t node_count() const { return nodes_.size(); }
  models::Hypervisor* hypervisor(std::size_t index) { return hypervisors_[index]; }
  /// Null if the node is none.
  const models::Router* router(std::size_t index) const { return routers_[index]; }
  /// The running controller's desired state; null while there is none.
  const control::Intent* intent() const;
  /// The port of a node on a link.
  models::Port& port(std::size_t node, std::size_t link);
  std::uint16_t port_index(std::size_t node, std::size_t link) const;
  const models::Topology& topology() const { return *topology_; }
  /// What a cookie stands for; nullptr: not a rule of the scenario.
  const PolicyOrigin* origin_of(std::uint64_t cookie) const;
  /// The `fail` event that caused a drop; nullptr: none did.
  const EventSpec* failure_behind(std::size_t node, const models::DropRecord& record) const;
  /// "hv-1-1", "leaf-1.spine-2", "shop/web-1": where a drop happened.
  std::string where_text(std::size_t node, std::uint32_t where) const;

  /// Everything that can be known now, captures and files left out. Expectations are evaluated by
  /// the caller.
  analysis::Results results();
  /// Conservation, one place per VM, controller at rest: an InternalFault names what is wrong.
  void check_invariants();
  /// Takes samples of the links' counters up to `reached`; called every Results::link_interval.
  void sample_links(Time reached, Duration interval, bool at_end = false);

 private:
  World() = default;
  /// Stands for the controller in the plan's parts until its LP exists.
  static constexpr sim::LpId kToController{0x00fffffe};
  void build_topology();
  Result<> build_nodes(const WorldOptions& options);
  Result<> build_links();
  void build_intent();
  Result<> build_control();
  Result<> build_controller(control::ControllerOptions options);
  void build_plan();
  void build_guests(std::map<EndpointRef, models::GuestConfig>& guests);
  std::uint64_t cookie_for(std::size_t tenant, const std::string& rule, const Place& place);
  control::Acl acl_of(std::size_t tenant, const PolicyRuleSpec& rule);
  std::string network_name(std::size_t tenant, std::size_t network) const;
  std::string endpoint_name(const EndpointRef& endpoint) const;

  void fill_traffic(analysis::Results& out);
  void fill_links(analysis::Results& out);
  void fill_drops(analysis::Results& out);
  void fill_migrations(analysis::Results& out);
  std::optional<control::CookieMeaning> intent_rule(std::uint64_t cookie) const;
  void fill_programming(analysis::ControlResult& out) const;
  void fill_control(analysis::Results& out);
  void fill_places(analysis::Results& out);
  /// Of a node's port, as drops name it.
  std::optional<std::size_t> link_at(std::size_t node, std::uint32_t where) const;
  /// When a command of the scenario happened.
  std::vector<Time> times_of(std::uint32_t event) const;
  analysis::LogEntry command_entry(std::size_t event, Time at, bool over) const;

  Scenario scenario_;
  WorldOptions options_;
  std::unique_ptr<models::Pools> pools_;
  std::shared_ptr<models::Topology> topology_;
  std::shared_ptr<models::Plan> plan_;
  std::vector<PolicyOrigin> origins_;  ///< cookie - 1
  control::Transaction intent_;
  control::Faults planted_in_control_;  ///< weft mutate
  std::vector<models::ControllerAction> actions_;
  std::unique_ptr<sim::Engine> engine_;  ///< destroyed before the pools
  std::vector<models::Node*> nodes_;
  std::vector<models::Hypervisor*> hypervisors_;  ///< by node; null where there is none
  std::vector<models::Host*> hosts_;
  std::vector<const models::Router*> routers_;  ///< by node; null where there is none
  const models::ControllerProcess* controller_ = nullptr;
  models::ControllerHost* controller_host_ = nullptr;  ///< in band only
  models::Director* director_ = nullptr;
  sim::LpId controller_lp_{}, director_lp_{};
  std::vector<std::array<std::vector<analysis::LinkPoint>, 2>> series_;
  std::vector<std::array<analysis::LinkPoint, 2>> last_sample_;
};

}  // namespace weft::scenarios
