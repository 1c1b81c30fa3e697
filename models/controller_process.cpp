#include "models/controller_process.h"

#include <algorithm>

#include "base/check.h"
#include "control/intent_json.h"

namespace weft::models {

ControllerProcess::ControllerProcess(std::string name, control::ControllerOptions options,
                                     control::Transaction initial,
                                     std::vector<ControllerAction> actions, Transport& transport)
    : name_(std::move(name)),
      options_(std::move(options)),
      initial_(std::move(initial)),
      actions_(std::move(actions)),
      transport_(transport) {}

void ControllerProcess::start(sim::Context& context) {
  controller_.emplace(options_);
  transport_.running(true);
  controller_->start(context.now());
  if (initial_.changes.empty()) return;
  const auto done = controller_->transact(initial_, context.now());
  WEFT_CHECK(done.ok(), "the scenario's intent was refused: {}", done.error().message);
}

void ControllerProcess::on_message(sim::Context& context, const std::string& from,
                                   const std::vector<std::uint8_t>& message) {
  context.note(message.size(), hash_bytes(std::as_bytes(std::span{message})));
  if (controller_) controller_->on_message(from, message, context.now());
}

void ControllerProcess::tick(sim::Context& context) {
  if (controller_) controller_->tick(context.now());
}

void ControllerProcess::act(sim::Context& context, std::uint64_t index) {
  const ControllerAction& action = actions_.at(index);
  Entry entry{context.now(), context.order(), action.what, false};
  switch (action.kind) {
    case ControllerAction::Kind::stop:
      if (!controller_) break;
      saved_ = controller_->snapshot();
      before_ = total_stats();
      asked_before_ = asked();
      controller_.reset();
      context.cancel(timer_);
      transport_.running(false);
      break;
    case ControllerAction::Kind::start: {
      if (controller_) break;
      control::ControllerOptions options = options_;
      options.session = 1 + static_cast<std::uint64_t>(context.now().ps);
      auto restored = control::Controller::restored(options, saved_);
      WEFT_CHECK(restored.ok(), "a controller's own state was refused: {}",
                 restored.error().message);
      controller_.emplace(std::move(restored).value());
      transport_.running(true);
      controller_->start(context.now());
      break;
    }
    case ControllerAction::Kind::transact:
    case ControllerAction::Kind::request:
    case ControllerAction::Kind::json: {
      if (!controller_) {
        entry.text += ": refused, the controller is stopped";
        entry.refused = true;
        break;
      }
      control::Transaction transaction = action.transaction;
      if (action.kind == ControllerAction::Kind::request) {
        const auto port = controller_->intent().ports().find(action.port);
        if (port == controller_->intent().ports().end()) {
          entry.text += ": refused, there is no such port any more";
          entry.refused = true;
          break;
        }
        control::Port row = port->second;
        row.requested = action.hypervisor;
        transaction.update(std::move(row));
      }
      if (action.kind == ControllerAction::Kind::json) {
        auto read = control::transaction_from_json(action.json, controller_->intent());
        if (!read) {
          entry.text += ": refused, " + read.error().message;
          entry.refused = true;
          break;
        }
        transaction = std::move(*read);
      }
      if (const auto done = controller_->transact(transaction, context.now()); !done.ok()) {
        entry.text += ": refused, " + done.error().message;
        entry.refused = true;
      }
      break;
    }
  }
  log_.push_back(std::move(entry));
}

void ControllerProcess::flush(sim::Context& context) {
  if (!controller_) return;
  for (auto& out : controller_->take_outgoing())
    transport_.send(context, out.hypervisor, std::move(out.bytes));
  const Time next = controller_->next_wakeup();
  if (next == Time::never()) {
    context.cancel(timer_);
  } else if (!context.armed(timer_) || context.deadline(timer_) != next) {
    context.arm(timer_, std::max(next, context.now()), kControlTimer, 0, 0);
  }
}

std::vector<control::Asked> ControllerProcess::asked() const {
  std::vector<control::Asked> all = asked_before_;
  if (controller_) all.insert(all.end(), controller_->asked().begin(), controller_->asked().end());
  return all;
}

control::ControllerStats ControllerProcess::total_stats() const {
  control::ControllerStats total = controller_ ? controller_->stats() : control::ControllerStats{};
  total.messages_in += before_.messages_in;
  total.messages_out += before_.messages_out;
  total.bytes_in += before_.bytes_in;
  total.bytes_out += before_.bytes_out;
  total.ignored += before_.ignored;
  total.retransmits += before_.retransmits;
  total.resyncs += before_.resyncs;
  total.transactions += before_.transactions;
  total.refused += before_.refused;
  total.moves += before_.moves;
  return total;
}

}  // namespace weft::models
