#include "models/controller_host.h"

#include <algorithm>

#include "base/check.h"

namespace weft::models {

/// The controller's end of one connection.
class ControllerHost::Peer final : public TcpEvents {
 public:
  Peer(ControllerHost& host, TcpConnection& connection) : host_(host), connection_(&connection) {}
  TcpConnection* connection() { return connection_; }

  void on_received(TcpConnection& connection, const Payload& payload) override {
    const bool sense =
        reader_.feed(payload, [&](ControlFrame type, std::vector<std::uint8_t> body) {
          return frame(connection, type, body);
        });
    if (!sense) connection.abort();  // destroys this object
  }
  void on_peer_closed(TcpConnection& connection) override { connection.abort(); }
  void on_closed(TcpConnection&, TcpEnd) override {
    const auto named = host_.named_.find(name_);
    if (named != host_.named_.end() && named->second == this) host_.named_.erase(named);
    // Destroys this object: last statement.
    std::erase_if(host_.peers_, [this](const auto& p) { return p.get() == this; });
  }

 private:
  bool frame(TcpConnection& connection, ControlFrame type, const std::vector<std::uint8_t>& body) {
    auto& process = *host_.process_;
    switch (type) {
      case ControlFrame::hello: {
        const std::string name(body.begin(), body.end());
        const auto& known = process.options().hypervisors;
        if (!name_.empty() || std::find(known.begin(), known.end(), name) == known.end())
          return false;
        // It has given up what it had before.
        const auto before = host_.named_.find(name);
        if (before != host_.named_.end()) before->second->connection_->abort();
        host_.named_[name] = this;
        name_ = name;  // empty until then
        return true;
      }
      case ControlFrame::message:
        if (name_.empty()) return false;
        process.on_message(host_.node_.context(), name_, body);
        return true;
      case ControlFrame::probe:
        connection.send(encode_frame(ControlFrame::alive, {}));
        return true;
      case ControlFrame::alive:
        return false;
    }
    return false;
  }

  ControllerHost& host_;
  TcpConnection* connection_;
  ControlFrameReader reader_;
  std::string name_;
};

ControllerHost::ControllerHost(Node node, Guest guest)
    : node_(std::move(node)), guest_(std::move(guest)) {}
ControllerHost::~ControllerHost() = default;

void ControllerHost::install(control::ControllerOptions options, control::Transaction initial,
                             std::vector<ControllerAction> actions) {
  process_.emplace(node_.name, std::move(options), std::move(initial), std::move(actions),
                   static_cast<Transport&>(*this));
}

void ControllerHost::handle(sim::Context& context, const sim::Event& event) {
  node_.enter(context);
  switch (event.kind) {
    case kFrame:
      if (Packet* packet = node_.receive(event)) guest_.receive(packet);
      break;
    case kStationTimer:
      guest_.on_timer(static_cast<std::uint32_t>(event.data));
      break;
    case kStart:
      guest_.attach(*this);
      process_->start(context);
      break;
    case kCommand:
      process_->act(context, event.data);
      break;
    case kControlTimer:
      process_->tick(context);
      break;
    case kTopology:
      return;
    default:
      WEFT_CHECK(node_.handle_state(event), "controller {} got an event of kind {}", node_.name,
                 event.kind);
  }
  process_->flush(context);
}

TcpEvents* ControllerHost::on_accept(TcpConnection& connection) {
  peers_.push_back(std::make_unique<Peer>(*this, connection));
  return peers_.back().get();
}

void ControllerHost::send(sim::Context&, const std::string& hypervisor,
                          std::vector<std::uint8_t> message) {
  const auto peer = named_.find(hypervisor);
  send_control(peer == named_.end() ? nullptr : peer->second->connection(), message, counters_);
}

void ControllerHost::running(bool is) {
  if (is) return guest_.stack().listen(kControlPort, this);
  guest_.stack().unlisten(kControlPort);
  while (!peers_.empty()) peers_.back()->connection()->abort();  // each leaves the list
}

}  // namespace weft::models
