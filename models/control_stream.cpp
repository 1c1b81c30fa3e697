#include "models/control_stream.h"

#include <algorithm>

#include "base/hash.h"
#include "datapath/wire/endian.h"

namespace weft::models {
namespace {

constexpr std::uint8_t kMagic[2] = {'W', 'C'};
constexpr std::uint8_t kVersion = 1;
/// More than the protocol above ever has under way (64 messages of 1400 bytes), twice over.
constexpr std::uint64_t kBacklog = 256 * 1024;
constexpr Duration kProbe = seconds(1);
constexpr Duration kSilence = seconds(5);
constexpr Duration kFirstGap = milliseconds(100), kLastGap = milliseconds(1600);

}  // namespace

Payload encode_frame(ControlFrame type, std::span<const std::uint8_t> body) {
  std::vector<std::uint8_t> bytes(ControlFrameReader::kHeader + body.size());
  bytes[0] = kMagic[0];
  bytes[1] = kMagic[1];
  bytes[2] = kVersion;
  bytes[3] = static_cast<std::uint8_t>(type);
  wire::store_be(bytes.data() + 4, static_cast<std::uint32_t>(body.size()));
  std::copy(body.begin(), body.end(), bytes.begin() + ControlFrameReader::kHeader);
  return Payload::copy_of(bytes);
}

bool ControlFrameReader::decode_header(const std::uint8_t* from, ControlFrame& type,
                                       std::uint32_t& length) {
  if (from[0] != kMagic[0] || from[1] != kMagic[1] || from[2] != kVersion) return false;
  if (from[3] < 1 || from[3] > 4) return false;
  type = static_cast<ControlFrame>(from[3]);
  length = wire::load_be<std::uint32_t>(from + 4);
  return length <= kMostBody;
}

void send_control(TcpConnection* connection, std::span<const std::uint8_t> message,
                  ControlCounters& counters) {
  ++counters.messages;
  counters.bytes += message.size();
  if (connection == nullptr ||
      connection->sent_total() - connection->acknowledged_total() + message.size() > kBacklog) {
    ++counters.lost;
    return;
  }
  connection->send(encode_frame(ControlFrame::message, message));
}

ControlSession::ControlSession(Netstack& stack, IpAddress controller, std::string name,
                               OnMessage on_message)
    : stack_(stack),
      controller_(controller),
      name_(std::move(name)),
      on_message_(std::move(on_message)),
      timer_(stack.timers().add(this, 0)),
      gap_(kFirstGap) {}

void ControlSession::open() {
  reader_ = {};
  probed_ = false;
  heard_ = stack_.timers().now();
  ++attempts_;
  connection_ = stack_.connect(controller_, kControlPort, this);
  if (connection_ == nullptr) return pause();
  const std::span<const char> name{name_};
  connection_->send(encode_frame(
      ControlFrame::hello, {reinterpret_cast<const std::uint8_t*>(name.data()), name.size()}));
  stack_.timers().arm(timer_, heard_ + kSilence);
}

void ControlSession::pause() {
  const Time now = stack_.timers().now();
  // Not all hypervisors at once: up to an eighth longer, by the name.
  const std::uint64_t eighth = static_cast<std::uint64_t>(gap_.ps) / 8;
  const Duration spread{static_cast<std::int64_t>(hash_string(name_, attempts_) %
                                                  std::max<std::uint64_t>(eighth, 1))};
  stack_.timers().arm(timer_, now + gap_ + spread);
  gap_ = std::min(gap_ * 2, kLastGap);
}

void ControlSession::on_connected(TcpConnection&) {
  heard_ = stack_.timers().now();
  stack_.timers().arm(timer_, heard_ + kProbe);
}

void ControlSession::on_received(TcpConnection& connection, const Payload& payload) {
  heard_ = stack_.timers().now();
  gap_ = kFirstGap;
  probed_ = false;
  const bool sense = reader_.feed(payload, [&](ControlFrame type, std::vector<std::uint8_t> body) {
    if (type == ControlFrame::message) on_message_(body);
    return type == ControlFrame::message || type == ControlFrame::alive;
  });
  if (!sense) connection.abort();
}

void ControlSession::on_peer_closed(TcpConnection& connection) { connection.abort(); }

void ControlSession::on_closed(TcpConnection&, TcpEnd) {
  connection_ = nullptr;
  pause();
}

void ControlSession::on_timer(std::uint64_t) {
  const Time now = stack_.timers().now();
  if (connection_ == nullptr) return open();
  if (now - heard_ >= kSilence) return connection_->abort();  // on_closed tries again
  const bool ask = now - heard_ >= kProbe && connection_->state() != TcpState::syn_sent;
  if (ask && !probed_) {
    probed_ = true;  // one is enough: TCP repeats it
    connection_->send(encode_frame(ControlFrame::probe, {}));
  }
  stack_.timers().arm(timer_, heard_ + (probed_ ? kSilence : kProbe));
}

}  // namespace weft::models
