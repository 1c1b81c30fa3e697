#include "models/controller_node.h"

#include <algorithm>

#include "base/check.h"

namespace weft::models {

ControllerNode::ControllerNode(std::string name, control::ControllerOptions options,
                               control::Transaction initial, std::vector<ControllerAction> actions)
    : name_(std::move(name)),
      options_(std::move(options)),
      initial_(std::move(initial)),
      actions_(std::move(actions)) {}

void ControllerNode::handle(sim::Context& context, const sim::Event& event) {
  switch (event.kind) {
    case kStart: {
      controller_.emplace(options_);
      controller_->start(context.now());
      if (!initial_.changes.empty()) {
        const auto done = controller_->transact(initial_, context.now());
        WEFT_CHECK(done.ok(), "the scenario's intent was refused: {}", done.error().message);
      }
      break;
    }
    case kCommand:
      act(context, actions_.at(event.data));
      break;
    case kControl: {
      std::unique_ptr<ControlMessage> message(event.pointer<ControlMessage>());
      context.note(message->bytes.size(), hash_bytes(std::as_bytes(std::span{message->bytes})));
      if (!controller_) return;  // nobody there
      controller_->on_message(message->from, message->bytes, context.now());
      break;
    }
    case kControlTimer:
      if (!controller_) return;
      controller_->tick(context.now());
      break;
    default:
      WEFT_CHECK(false, "controller {} got an event of kind {}", name_, event.kind);
  }
  if (controller_) flush(context);
}

void ControllerNode::discard(const sim::Event& event) {
  if (event.kind == kControl) delete event.pointer<ControlMessage>();
}

void ControllerNode::act(sim::Context& context, const ControllerAction& action) {
  Entry entry{context.now(), context.order(), action.what, false};
  switch (action.kind) {
    case ControllerAction::Kind::stop:
      if (!controller_) break;
      saved_ = controller_->snapshot();
      before_ = total_stats();
      controller_.reset();
      context.cancel(timer_);
      break;
    case ControllerAction::Kind::start: {
      if (controller_) break;
      control::ControllerOptions options = options_;
      options.session = 1 + static_cast<std::uint64_t>(context.now().ps);
      auto restored = control::Controller::restored(options, saved_);
      WEFT_CHECK(restored.ok(), "a controller's own state was refused: {}",
                 restored.error().message);
      controller_.emplace(std::move(restored).value());
      controller_->start(context.now());
      break;
    }
    case ControllerAction::Kind::transact:
      if (!controller_) {
        entry.text += ": refused, the controller is stopped";
        entry.refused = true;
        break;
      }
      if (const auto done = controller_->transact(action.transaction, context.now()); !done.ok()) {
        entry.text += ": refused, " + done.error().message;
        entry.refused = true;
      }
      break;
  }
  log_.push_back(std::move(entry));
}

void ControllerNode::flush(sim::Context& context) {
  for (auto& out : controller_->take_outgoing()) {
    const auto link = links_.find(out.hypervisor);
    WEFT_CHECK(link != links_.end(), "controller {} has no link to {}", name_, out.hypervisor);
    link->second.send(context, name_, std::move(out.bytes));
  }
  const Time next = controller_->next_wakeup();
  if (next == Time::never()) {
    context.cancel(timer_);
  } else if (!context.armed(timer_) || context.deadline(timer_) != next) {
    context.arm(timer_, std::max(next, context.now()), kControlTimer, 0, 0);
  }
}

control::ControllerStats ControllerNode::total_stats() const {
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
