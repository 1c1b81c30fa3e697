// Controller: holds the desired state, learns the discovered state, compiles logical flows and
// keeps every hypervisor's agent supplied with the records it needs, and no others.
//
//   transact ─▶ Intent ─▶ compiler (compile.h: logical flows that know no location)
//                              │                 ┌── reports of hypervisors ─▶ locations
//                              ▼                 ▼
//                        selection: what each hypervisor's ports can need ─▶ replica per agent
//
// Each arrow has a full recompute and an incremental handler; check_recompute() compares the two.
//
// A controller may stop at any moment. Forwarding goes on: rules and mirrors stay where they are. A
// new object made with snapshot() of the old one and a higher `session` greets all hypervisors,
// waits until each has reported (or Timing::relearn_limit), and only then publishes; agents apply
// the difference between what they have and what they now should have, which is nothing unless
// something has changed.
//
// Drive it as an Agent: call what happens, take_outgoing() and send, ask next_wakeup().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "control/agent.h"
#include "control/intent.h"

namespace weft::control {

struct ControllerOptions {
  Style style = Style::hybrid;
  std::vector<std::string> hypervisors;  ///< who may speak; unknown names are ignored and counted
  std::uint64_t session = 1;             ///< higher at each restart, e.g. 1 + the time of the start
  Timing timing{};
  Faults faults{};  ///< for weft mutate only
};

struct ControllerStats {
  std::uint64_t messages_in = 0, messages_out = 0, bytes_in = 0, bytes_out = 0;
  std::uint64_t ignored = 0;  ///< messages that made no sense
  std::uint64_t retransmits = 0;
  std::uint64_t resyncs = 0;  ///< full states sent
  std::uint64_t transactions = 0, refused = 0;
  std::uint64_t logical_flows = 0;  ///< now
  std::uint64_t records_sent = 0;
  std::uint64_t bindings = 0;  ///< ports whose location is known now
  std::uint64_t moves = 0;     ///< ports that changed hypervisors
};

/// A transaction that was applied, and who has something to install because of it.
struct Asked {
  std::uint64_t version = 0;
  Time at{};
  std::vector<std::string> hypervisors;  ///< sorted by their order in the options
};

/// What the cookie of a rule stands for.
struct CookieMeaning {
  std::string tenant;  ///< empty for rules of the infrastructure
  std::string name;    ///< an Acl's name, "default", or the stage's name ("l2-lookup")
  bool is_policy = false;
};

class Controller {
 public:
  explicit Controller(ControllerOptions options);
  /// With the desired state that snapshot() of an earlier object gave.
  static Result<Controller> restored(ControllerOptions options, const Bytes& snapshot);
  ~Controller();
  Controller(Controller&&) noexcept;
  Controller& operator=(Controller&&) noexcept;

  /// Greets the hypervisors. Call once.
  void start(Time now);
  Result<> transact(const Transaction& transaction, Time now);
  void on_message(const std::string& hypervisor, const Bytes& bytes, Time now);
  void tick(Time now);
  std::vector<Outgoing> take_outgoing();
  Time next_wakeup() const;

  /// The session of the controller that took this one's place; 0: none did, as far as it knows.
  /// Then it is silent and refuses transactions: what it was asked since it lost its lease belongs
  /// to the other one.
  std::uint64_t deposed_by() const;

  /// The desired state, whole.
  Bytes snapshot() const;
  const Intent& intent() const;
  /// Where a port is according to the hypervisors; empty: nowhere.
  std::string location_of(const std::string& port) const;
  /// True when every hypervisor that has spoken has confirmed everything published for it.
  bool in_sync() const;
  /// Names every cookie that was ever given, removed rules too.
  std::optional<CookieMeaning> describe_cookie(std::uint64_t cookie) const;
  const ControllerStats& stats() const;
  /// Transactions of this life, oldest first. A hypervisor has installed one when its agent's
  /// version is not less.
  const std::vector<Asked>& asked() const;

  /// Compiles everything anew and compares; empty, or what differs first.
  std::string check_recompute() const;
  /// The rules that `hypervisor` should have, as ovs-ofctl prints them: for tools and tests.
  std::vector<std::string> rules_of(const std::string& hypervisor) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::control
