// ControllerProcess: a control::Controller as a process that somebody runs - it starts, is given
// commands of the scenario, dies and starts again. How its messages travel is the Transport's
// matter: ControllerNode (control links, out of band) and ControllerHost (TCP over the fabric) are
// the two machines that run one.
//
// When it dies, messages to it are lost and its timers do nothing. It starts again from the desired
// state it had saved, which is kept as bytes, as a database would.
#pragma once

#include <cstdint>
#include <optional>
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
  enum class Kind : std::uint8_t { stop, start, transact, request, json } kind = Kind::transact;
  control::Transaction transaction;
  std::string port, hypervisor;  ///< request: where the port is wanted from now on
  std::string json;              ///< json: a transaction (control/intent_json.h)
  std::string what;              ///< for the log
};

class ControllerProcess {
 public:
  class Transport {
   public:
    virtual void send(sim::Context& context, const std::string& hypervisor,
                      std::vector<std::uint8_t> message) = 0;
    /// The process has started, or has died.
    virtual void running(bool is) { (void)is; }
    /// Everything sent so far.
    virtual ControlCounters counters() const = 0;

   protected:
    ~Transport() = default;
  };

  /// `transport` must outlive the process.
  ControllerProcess(std::string name, control::ControllerOptions options,
                    control::Transaction initial, std::vector<ControllerAction> actions,
                    Transport& transport);

  // Each is called by the machine's handler, which calls flush() before it returns.
  void start(sim::Context& context);
  void act(sim::Context& context, std::uint64_t action);
  void on_message(sim::Context& context, const std::string& from,
                  const std::vector<std::uint8_t>& message);
  void tick(sim::Context& context);
  void flush(sim::Context& context);

  bool is_running() const { return controller_.has_value(); }
  const control::ControllerOptions& options() const { return options_; }

  struct Entry {
    Time at{};
    std::uint64_t order = 0;
    std::string text;
    bool refused = false;
  };
  const std::vector<Entry>& log() const { return log_; }
  /// The running controller, or nullptr while it is stopped.
  const control::Controller* controller() const { return controller_ ? &*controller_ : nullptr; }
  control::ControllerStats total_stats() const;
  /// Of all its lives.
  std::vector<control::Asked> asked() const;
  ControlCounters counters() const { return transport_.counters(); }

 private:
  std::string name_;
  control::ControllerOptions options_;
  control::Transaction initial_;
  std::vector<ControllerAction> actions_;
  Transport& transport_;
  std::optional<control::Controller> controller_;
  control::Bytes saved_;
  control::ControllerStats before_{};  ///< of controllers that were stopped
  std::vector<control::Asked> asked_before_;
  sim::TimerId timer_;
  std::vector<Entry> log_;
};

}  // namespace weft::models
