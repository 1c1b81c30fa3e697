// The control channel in band: control messages as frames in a TCP stream over the fabric, between
// the hypervisor's own stack and the controller's machine (controller_host.h).
//
//   frame    magic "WC" | version 1 | type 8 | length 32 | body          big endian
//   hello    the hypervisor's name; first frame of a connection, from the hypervisor
//   message  a message of control/replica.h
//   probe    (empty) "are you there?", answered by an alive; both only prove that somebody listens
//
// The hypervisor connects, to port 6642 (where OVN's hypervisors reach its southbound database; the
// ports 6640 and 6653 belong to protocols that this is not, and analysers know them). A connection
// that is refused, reset, or silent for 5 s - after one it is probed - is given up and opened anew,
// after a pause that doubles from 100 ms to 1.6 s and differs between hypervisors. An outage of
// three seconds it survives: TCP sends again within the time.
//
// TCP repeats what the fabric loses, the protocol above repeats what the connection loses: what is
// to be sent while there is no connection, or while more than kBacklog bytes wait for the peer's
// acknowledgement, is dropped here and counted as lost.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "base/net_types.h"
#include "models/control_link.h"
#include "models/guest/guest_timers.h"
#include "models/guest/netstack.h"
#include "models/guest/tcp_connection.h"

namespace weft::models {

inline constexpr std::uint16_t kControlPort = 6642;

enum class ControlFrame : std::uint8_t { hello = 1, message = 2, probe = 3, alive = 4 };

Payload encode_frame(ControlFrame type, std::span<const std::uint8_t> body);

/// Cuts a byte stream into frames.
class ControlFrameReader {
 public:
  static constexpr std::uint32_t kHeader = 8;
  static constexpr std::uint32_t kMostBody = 1u << 20;

  /// Takes the next bytes; calls on_frame(type, body) for each whole frame until it returns false.
  /// False: on_frame said so, or these are no frames.
  template <class OnFrame>
  bool feed(const Payload& payload, OnFrame&& on_frame) {
    const std::size_t had = bytes_.size();
    bytes_.resize(had + payload.size());
    payload.materialise(0, {bytes_.data() + had, payload.size()});
    std::size_t at = 0;
    while (bytes_.size() - at >= kHeader) {
      ControlFrame type{};
      std::uint32_t length = 0;
      if (!decode_header(bytes_.data() + at, type, length)) return false;
      if (bytes_.size() - at < kHeader + length) break;
      std::vector<std::uint8_t> body(
          bytes_.begin() + static_cast<std::ptrdiff_t>(at + kHeader),
          bytes_.begin() + static_cast<std::ptrdiff_t>(at + kHeader + length));
      at += kHeader + length;
      if (!on_frame(type, std::move(body))) return false;
    }
    bytes_.erase(bytes_.begin(), bytes_.begin() + static_cast<std::ptrdiff_t>(at));
    return true;
  }

 private:
  static bool decode_header(const std::uint8_t* from, ControlFrame& type, std::uint32_t& length);
  std::vector<std::uint8_t> bytes_;
};

/// Sends a message as a frame, or drops it; counts either.
void send_control(TcpConnection* connection, std::span<const std::uint8_t> message,
                  ControlCounters& counters);

/// The hypervisor's end: one connection at a time, opened again whenever it is lost. Must outlive
/// nothing but itself: destroy it after the stack, or together with it.
class ControlSession final : public TcpEvents, public TimerTarget {
 public:
  using OnMessage = std::function<void(const std::vector<std::uint8_t>&)>;
  ControlSession(Netstack& stack, IpAddress controller, std::string name, OnMessage on_message);

  void open();
  void send(std::span<const std::uint8_t> message) {
    send_control(connection_, message, counters_);
  }
  const ControlCounters& counters() const { return counters_; }

  void on_connected(TcpConnection& connection) override;
  void on_received(TcpConnection& connection, const Payload& payload) override;
  void on_peer_closed(TcpConnection& connection) override;
  void on_closed(TcpConnection& connection, TcpEnd end) override;
  void on_timer(std::uint64_t argument) override;

 private:
  void pause();

  Netstack& stack_;
  IpAddress controller_;
  std::string name_;
  OnMessage on_message_;
  GuestTimers::Slot timer_;
  TcpConnection* connection_ = nullptr;  ///< null: waiting to try again
  bool probed_ = false;                  ///< it has been asked whether it is there
  Time heard_{};  ///< when the controller last said something, or the attempt began
  Duration gap_;
  std::uint64_t attempts_ = 0;
  ControlFrameReader reader_;
  ControlCounters counters_;
};

}  // namespace weft::models
