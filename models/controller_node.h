// ControllerNode: the LP that runs a control::Controller and carries its messages over control
// links. It can be stopped (the process dies: messages to it are lost, timers do nothing) and
// started again from the desired state it had saved, which is kept as bytes, as a database would.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "control/controller.h"
#include "control/intent.h"
#include "models/control_link.h"
#include "models/plan.h"
#include "sim/engine.h"

namespace weft::models {

/// Something that a command does to the controller.
struct ControllerAction {
  enum class Kind : std::uint8_t { stop, start, transact } kind = Kind::transact;
  control::Transaction transaction;
  std::string what;  ///< for the log
};

class ControllerNode final : public sim::LogicalProcess {
 public:
  ControllerNode(std::string name, control::ControllerOptions options, control::Transaction initial,
                 std::vector<ControllerAction> actions);
  void set_link(const std::string& hypervisor, ControlLink link) {
    links_[hypervisor] = std::move(link);
  }
  void handle(sim::Context& context, const sim::Event& event) override;
  void discard(const sim::Event& event) override;

  struct Entry {
    Time at{};
    std::uint64_t order = 0;
    std::string text;
    bool refused = false;
  };
  const std::vector<Entry>& log() const { return log_; }
  const std::map<std::string, ControlLink>& links() const { return links_; }
  /// The running controller, or nullptr while it is stopped.
  const control::Controller* controller() const { return controller_ ? &*controller_ : nullptr; }
  control::ControllerStats total_stats() const;

 private:
  void act(sim::Context& context, const ControllerAction& action);
  void flush(sim::Context& context);

  std::string name_;
  control::ControllerOptions options_;
  control::Transaction initial_;
  std::vector<ControllerAction> actions_;
  std::optional<control::Controller> controller_;
  control::Bytes saved_;
  control::ControllerStats before_{};  ///< of controllers that were stopped
  std::map<std::string, ControlLink> links_;
  sim::TimerId timer_;
  std::vector<Entry> log_;
};

}  // namespace weft::models
