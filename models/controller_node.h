// ControllerNode: the machine of a controller that is reached out of band: an LP of its own, beside
// the fabric, with a control link to each hypervisor.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "models/control_link.h"
#include "models/controller_process.h"

namespace weft::models {

class ControllerNode final : public sim::LogicalProcess, private ControllerProcess::Transport {
 public:
  ControllerNode(std::string name, control::ControllerOptions options, control::Transaction initial,
                 std::vector<ControllerAction> actions)
      : name_(std::move(name)),
        process_(name_, std::move(options), std::move(initial), std::move(actions), *this) {}
  void set_link(const std::string& hypervisor, ControlLink link) {
    links_[hypervisor] = std::move(link);
  }
  const ControllerProcess& process() const { return process_; }

  void handle(sim::Context& context, const sim::Event& event) override;
  void discard(const sim::Event& event) override;

 private:
  void send(sim::Context& context, const std::string& hypervisor,
            std::vector<std::uint8_t> message) override;
  ControlCounters counters() const override;

  std::string name_;
  ControllerProcess process_;
  std::map<std::string, ControlLink> links_;
};

}  // namespace weft::models
