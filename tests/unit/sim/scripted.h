// A process whose handler is a lambda, and an engine made of such, for tests that say what happens
// at each event in the test itself.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "sim/engine.h"

namespace weft::sim::test {

struct Scripted : LogicalProcess {
  std::function<void(Context&, const Event&)> on_event;
  std::function<void(const Event&)> on_discard;
  void handle(Context& context, const Event& event) override {
    if (on_event) on_event(context, event);
  }
  void discard(const Event& event) override {
    if (on_discard) on_discard(event);
  }
};

inline LpId add_scripted(Engine& engine, std::string name,
                         std::function<void(Context&, const Event&)> on_event,
                         std::function<void(const Event&)> on_discard = {}) {
  auto process = std::make_unique<Scripted>();
  process->on_event = std::move(on_event);
  process->on_discard = std::move(on_discard);
  return engine.add(std::move(name), std::move(process));
}

}  // namespace weft::sim::test
