// Netstack: ARP and neighbour discovery, ICMP and ICMPv6, UDP and TCP over one interface. The stack
// of a guest, of a plain host and of the hypervisor itself (migration memory) alike: the world
// comes in through a Station.
//
//   Netstack stack(config);
//   stack.attach(station);                    // from now on it may send and arm timers
//   stack.receive(packet);                    // a frame for this interface; taken over
//   stack.on_timer(slot);                     // a kernel timer of the station fired
//   stack.listen(port, acceptor);  stack.connect(address, port, events);
//
// Every frame in or out is real bytes with right checksums. Every packet that is received ends
// here: delivered (its payload reached an application), consumed (control traffic), or dropped with
// a reason: bad_fcs, not_for_me, malformed, bad_checksum, guest_unwanted (not our address, a stale
// segment, a fragment: nothing is reassembled), no_listener, no_neighbour (ARP or ND gave up).
//
// What it does not do: forwarding, fragmentation and reassembly (DF is set on everything, path MTU
// discovery is on), DHCP, router discovery, duplicate address detection. IPv6 guests have the
// link-local address of their MAC besides the configured ones.
//
// Who owns what: the stack owns its connections, neighbours and timers; receivers and events are
// borrowed and must outlive it (or be unbound). Not movable: Guest keeps it behind a pointer.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/net_types.h"
#include "base/random.h"
#include "datapath/packet.h"
#include "models/guest/guest_timers.h"
#include "models/guest/station.h"
#include "models/guest/tcp.h"

namespace weft::models {

struct NeighbourConfig {
  Duration retry = seconds(1);
  std::uint32_t attempts = 3;       ///< requests before what waits is dropped as no_neighbour
  Duration lifetime = seconds(60);  ///< then asked again (by unicast) at the next use
  std::uint32_t pending = 64;       ///< packets that may wait for one neighbour; the oldest goes
};

struct InterfaceAddress {
  IpAddress address{};
  int length = 0;  ///< of the on-link prefix
};

struct NetConfig {
  std::string name;  ///< of its random streams: "shop/web-1"
  Mac mac{};
  std::vector<InterfaceAddress> addresses;
  IpAddress gateway4{Ip4{}};  ///< zero: none
  IpAddress gateway6{Ip6{}};
  std::uint32_t mtu = 1500;  ///< bytes of IP packet
  TcpConfig tcp{};
  NeighbourConfig neighbours{};
};

/// An ICMP error about something that this stack sent.
struct IcmpNotice {
  enum class Kind : std::uint8_t { unreachable, port_unreachable, too_big, ttl_exceeded } kind{};
  IpAddress from{};         ///< who says so
  IpAddress destination{};  ///< of the packet it is about
  std::uint8_t protocol = 0;
  std::uint16_t src_port = 0, dst_port = 0;  ///< udp, tcp; echo: identifier, sequence
  std::uint32_t mtu = 0;                     ///< too_big
};

struct Datagram {
  IpAddress src{}, dst{};
  std::uint16_t src_port = 0, dst_port = 0;
  Time born{};  ///< of the packet
  const Payload* payload = nullptr;
  std::uint32_t flow = 0;
};

class UdpReceiver {
 public:
  virtual void on_datagram(const Datagram& datagram) = 0;
  virtual void on_icmp(const IcmpNotice&) {}

 protected:
  ~UdpReceiver() = default;
};

class EchoReceiver {
 public:
  virtual void on_echo_reply(IpAddress from, std::uint16_t sequence, const Payload& payload) = 0;
  virtual void on_icmp(const IcmpNotice&) {}

 protected:
  ~EchoReceiver() = default;
};

struct NetstackImpl;  // netstack_impl.h

/// Counters of the stack itself; per-traffic figures are in traffic_stats.h.
struct NetstackStats {
  std::uint64_t frames_in = 0, frames_out = 0;
  std::uint64_t arp_requests = 0, arp_replies = 0, nd_solicitations = 0, nd_advertisements = 0;
  std::uint64_t echo_replies = 0, icmp_errors_sent = 0, icmp_errors_received = 0;
  std::uint64_t tcp_resets_sent = 0, tcp_segments_in = 0, tcp_segments_out = 0;
  std::uint64_t tcp_retransmits = 0, tcp_timeouts = 0, tcp_fast_retransmits = 0;
};

class Netstack {
 public:
  explicit Netstack(NetConfig config);
  ~Netstack();
  Netstack(const Netstack&) = delete;
  Netstack& operator=(const Netstack&) = delete;

  const NetConfig& config() const;
  GuestTimers& timers();
  const NetstackStats& stats() const;

  // --- the world ---------------------------------------------------------------------------------
  /// From now on the stack may use the station; timers are armed again.
  void attach(Station& station);
  /// Forgets the kernel's timers and the station. Packets that wait for a neighbour are dropped
  /// (vm_paused). Until the next attach() only accessors may be called.
  void detach();
  void receive(Packet* packet);
  void on_timer(std::uint32_t slot) { timers().fire(slot); }
  /// Gratuitous ARP and unsolicited neighbour advertisements for all addresses.
  void announce();
  /// What receiving and sending will read.
  void warm(sim::WarmLines& lines) const;

  // --- IP ----------------------------------------------------------------------------------------
  /// The stack's own address of the destination's family; zero if it has none.
  IpAddress source_for(const IpAddress& destination) const;
  bool owns(const IpAddress& address) const;
  /// Finishes a frame whose headers are [14 bytes for Ethernet][IP ...], all but the Ethernet
  /// header filled in: finds the next hop, resolves it (the packet may wait) and transmits. Takes
  /// it over.
  void send_ip(Packet* packet, const IpAddress& destination);
  /// A neighbour that is known for good (no ARP, no ND).
  void add_static_neighbour(const IpAddress& address, Mac mac);
  /// What may be sent to `destination` in one IP packet, by what ICMP has told.
  std::uint32_t path_mtu(const IpAddress& destination) const;

  // --- ICMP echo ---------------------------------------------------------------------------------
  void bind_echo(std::uint16_t identifier, EchoReceiver* receiver);
  void send_echo(const IpAddress& to, std::uint16_t identifier, std::uint16_t sequence,
                 Payload payload, std::uint32_t flow, std::uint32_t pair = 0);

  // --- UDP ---------------------------------------------------------------------------------------
  void bind_udp(std::uint16_t port, UdpReceiver* receiver);
  void unbind_udp(std::uint16_t port);
  /// A datagram; one that exceeds the path MTU is dropped as too_big.
  void send_udp(const IpAddress& to, std::uint16_t src_port, std::uint16_t dst_port,
                Payload payload, std::uint32_t flow, std::uint32_t pair = 0);
  /// The first fragment (IPv4) of a datagram of which nothing more follows.
  void send_first_fragment(const IpAddress& to, std::uint16_t dst_port, Payload payload,
                           std::uint32_t flow, std::uint32_t pair = 0);
  /// A port of 32768..60999 that nothing has bound; 0 if there is none left.
  std::uint16_t ephemeral_udp_port();

  // --- TCP ---------------------------------------------------------------------------------------
  void listen(std::uint16_t port, TcpAcceptor* acceptor);
  void unlisten(std::uint16_t port);
  /// Opens a connection; nullptr if the stack has no address of that family or no port is left.
  TcpConnection* connect(const IpAddress& to, std::uint16_t port, TcpEvents* events,
                         std::uint32_t flow = 0, std::uint32_t pair = 0);
  std::size_t connections() const;

 private:
  std::unique_ptr<NetstackImpl> impl_;
};

}  // namespace weft::models
