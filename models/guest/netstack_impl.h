// NetstackImpl: the state that the parts of the stack share. Private to models/guest: netstack.cpp
// (frames, IP), neighbours.cpp (ARP, ND), icmp.cpp, udp.cpp, tcp_table.cpp (who talks to whom),
// tcp_input.cpp, tcp_output.cpp.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "datapath/checksum.h"
#include "datapath/wire/wire.h"
#include "models/guest/netstack.h"
#include "models/guest/tcp_connection.h"

namespace weft::models {

/// What the IP layer has found out about a received packet.
struct IpView {
  IpAddress src{}, dst{};
  std::uint32_t l3 = 14;      ///< offset of the IP header
  std::uint32_t l4 = 0;       ///< offset of what follows it
  std::uint32_t l4_size = 0;  ///< bytes from there to the end
  std::uint8_t protocol = 0;
  std::uint8_t tos = 0;
  std::uint8_t ttl = 0;
};

struct Neighbour {
  enum class State : std::uint8_t { incomplete, reachable, probing, permanent };
  IpAddress address{};
  Mac mac{};
  State state = State::incomplete;
  std::uint32_t tries = 0;
  Time confirmed{};
  Time next = Time::never();  ///< of the next request
  std::vector<Packet*> pending;
};

template <class T>
struct PortEntry {
  std::uint16_t port;
  T* target;
};

template <class T>
T* find_port(const std::vector<PortEntry<T>>& table, std::uint16_t port) {
  std::size_t low = 0, high = table.size();
  while (low < high) {
    const std::size_t middle = (low + high) / 2;
    if (table[middle].port < port)
      low = middle + 1;
    else
      high = middle;
  }
  return low < table.size() && table[low].port == port ? table[low].target : nullptr;
}
/// Sets, replaces or (nullptr) removes.
template <class T>
void set_port(std::vector<PortEntry<T>>& table, std::uint16_t port, T* target) {
  auto it = table.begin();
  while (it != table.end() && it->port < port) ++it;
  const bool there = it != table.end() && it->port == port;
  if (target == nullptr) {
    if (there) table.erase(it);
  } else if (there) {
    it->target = target;
  } else {
    table.insert(it, {port, target});
  }
}

struct NetstackImpl final : TimerTarget {
  explicit NetstackImpl(NetConfig c);
  ~NetstackImpl();

  NetConfig config;
  GuestTimers timers;
  NetstackStats stats;
  RandomStream random;
  bool ran = false;
  std::uint16_t ip_id = 0;
  IpAddress link_local{};

  Station& station() { return timers.station(); }
  Time now() const { return timers.now(); }
  void on_timer(std::uint64_t argument) override;  // 0: neighbours, else connection index + 1

  // --- netstack.cpp ---
  void receive(Packet* p);
  void drop(Packet* p, DropReason reason) { station().drop(p, reason); }
  bool receive_ip4(Packet* p, IpView& ip);  // false: has been dropped
  bool receive_ip6(Packet* p, IpView& ip);
  bool owns(const IpAddress& a) const;
  IpAddress source_for(const IpAddress& destination) const;
  std::optional<IpAddress> next_hop(const IpAddress& destination) const;
  /// Headers for an IP packet with `l4_header` bytes behind the IP header; returns those. The
  /// payload must be in place.
  std::uint8_t* begin_ip(Packet* p, const IpAddress& src, const IpAddress& dst,
                         std::uint8_t protocol, std::uint32_t l4_header, std::uint8_t ttl = 64,
                         std::uint8_t tos = 0);
  /// The checksum of the L4 header and payload of a packet made by begin_ip; its field holds zero.
  std::uint16_t l4_checksum(const Packet& p, const IpAddress& src, const IpAddress& dst,
                            std::uint8_t protocol) const;
  void send_ip(Packet* p, const IpAddress& destination);
  void transmit(Packet* p, Mac destination, std::uint16_t ether_type);

  // --- neighbours.cpp ---
  std::vector<Neighbour> neighbours;  // by address
  std::uint32_t neighbour_epoch = 1;  // grows whenever a MAC changes
  GuestTimers::Slot neighbour_timer = 0;
  Neighbour* find_neighbour(const IpAddress& a);
  Neighbour& make_neighbour(const IpAddress& a);
  /// The MAC of a next hop; nullptr: a request is on its way.
  const Mac* resolve(const IpAddress& hop);
  void learn(const IpAddress& a, Mac mac, bool create);
  void ask(Neighbour& n);
  void send_arp(std::uint16_t operation, Mac ethernet_dst, Ip4 sender, Mac target_mac, Ip4 target);
  void send_solicitation(const IpAddress& target, const Mac* unicast);
  void send_advertisement(const IpAddress& own, const IpAddress& to, Mac to_mac, bool solicited);
  void receive_arp(Packet* p);
  void receive_nd(Packet* p, const IpView& ip, std::uint8_t type);
  void neighbours_due();
  void arm_neighbours();
  void drop_pending();
  void announce();

  // --- icmp.cpp ---
  struct PathMtu {
    std::uint32_t mtu;
    Time expires;
  };
  std::map<IpAddress, PathMtu> path_mtus;
  std::vector<PortEntry<EchoReceiver>> echo_receivers;
  std::uint64_t icmp_tokens = 50;
  Time icmp_refilled{};
  std::uint32_t path_mtu(const IpAddress& destination) const;
  void receive_icmp(Packet* p, const IpView& ip);
  void receive_icmp_error(Packet* p, const IpView& ip, IcmpNotice notice);
  void reply_echo(Packet* p, const IpView& ip);
  void send_echo(const IpAddress& to, std::uint16_t id, std::uint16_t sequence, Payload payload,
                 std::uint32_t flow, std::uint32_t pair);
  /// Port unreachable about a received packet (which is left as it is).
  void send_port_unreachable(const Packet& about, const IpView& ip);

  // --- udp.cpp ---
  std::vector<PortEntry<UdpReceiver>> udp_receivers;
  std::uint16_t next_udp_port = 32768;
  void receive_udp(Packet* p, const IpView& ip);
  void send_udp(const IpAddress& to, std::uint16_t src_port, std::uint16_t dst_port,
                Payload payload, std::uint32_t flow, std::uint32_t pair);
  void send_first_fragment(const IpAddress& to, std::uint16_t dst_port, Payload payload,
                           std::uint32_t flow, std::uint32_t pair);

  // --- tcp_table.cpp ---
  std::vector<PortEntry<TcpAcceptor>> listeners;
  std::vector<std::unique_ptr<TcpConnection>> connections;  // by index; null: free
  std::vector<std::uint32_t> free_connections;
  std::vector<std::uint32_t> slots;  // open addressing: index + 1, 0: empty
  std::size_t used_slots = 0;
  std::size_t half_open = 0;
  std::uint16_t next_tcp_port = 32768;
  static constexpr std::size_t kBacklog = 1024;
  static std::uint64_t hash_of(const IpAddress& local, const IpAddress& remote,
                               std::uint16_t local_port, std::uint16_t remote_port);
  TcpConnection* find_connection(const IpAddress& local, const IpAddress& remote,
                                 std::uint16_t local_port, std::uint16_t remote_port) const;
  TcpConnection& make_connection(const IpAddress& local, const IpAddress& remote,
                                 std::uint16_t local_port, std::uint16_t remote_port);
  void insert_slot(std::uint32_t index);
  void forget(TcpConnection& c);  // out of the table; freed now, or when it is not busy
  void release(TcpConnection& c);
  TcpConnection* connect(const IpAddress& to, std::uint16_t port, TcpEvents* events,
                         std::uint32_t flow, std::uint32_t pair);
  void receive_tcp(Packet* p, const IpView& ip);
  void accept(Packet* p, const IpView& ip, const wire::TcpHeader& h);
  void refuse(const Packet& p, const IpView& ip, const wire::TcpHeader& h);
  void tcp_notice(const IcmpNotice& notice);
  std::uint32_t largest_mss(const IpAddress& remote) const;
  void update_mss(TcpConnection& c);

  // --- tcp_input.cpp ---
  struct Segment {
    std::uint64_t position;  // in the peer's stream
    std::uint64_t ack;       // in ours
    std::uint32_t window;    // scaled
    std::uint32_t length;    // of the data
    std::uint8_t flags;
    bool ce;
    Payload data;
  };
  void input(TcpConnection& c, Packet* p, const IpView& ip, const wire::TcpHeader& h);
  void input_syn_sent(TcpConnection& c, Packet* p, const IpView& ip, const wire::TcpHeader& h);
  bool process(TcpConnection& c, Segment& s, bool& new_data);  // false: unacceptable
  void process_ack(TcpConnection& c, const Segment& s);
  void new_ack(TcpConnection& c, std::uint64_t ack);
  void duplicate_ack(TcpConnection& c);
  void sample_rtt(TcpConnection& c, Duration rtt);
  bool process_data(TcpConnection& c, Segment& s);
  void hand_up(TcpConnection& c, const Payload& data);
  void store_range(TcpConnection& c, std::uint64_t start, Payload data);
  void peer_finished(TcpConnection& c);
  void established(TcpConnection& c);
  void apply_options(TcpConnection& c, const wire::TcpHeader& h);
  void enter_time_wait(TcpConnection& c);
  void finish(TcpConnection& c, TcpEnd end);
  void after_callbacks(TcpConnection& c);  // output, acknowledgement, timers, or freeing

  // --- tcp_output.cpp ---
  void prepare_template(TcpConnection& c);
  void output(TcpConnection& c);
  /// A segment of `length` bytes of the stream from `position`.
  void send_segment(TcpConnection& c, std::uint64_t position, std::uint32_t length,
                    std::uint8_t flags);
  void send_syn(TcpConnection& c);
  /// With the highest number, not the next one: after a timeout the next one lies in the past, and
  /// two sides that both timed out would discard each other's acknowledgements for ever.
  void send_ack(TcpConnection& c) { send_segment(c, c.snd_max_, 0, wire::TcpHeader::kAck); }
  void retransmit_head(TcpConnection& c);
  /// The payload from `position`, up to `limit` bytes of one slice.
  Payload slice_at(TcpConnection& c, std::uint64_t position, std::uint32_t limit);
  void trim_items(TcpConnection& c);
  void count_retransmit(TcpConnection& c);
  void count_sent(TcpConnection& c);
  std::uint32_t advertise(TcpConnection& c);
  void arm(TcpConnection& c);
  void connection_due(TcpConnection& c);
  void retransmission_due(TcpConnection& c);
  void acknowledge_if_due(TcpConnection& c);
};

inline std::uint32_t wire_sequence(std::uint32_t initial, std::uint64_t position) {
  return initial + static_cast<std::uint32_t>(position);
}
/// The position near `near` whose 32-bit number is `number`; clamped at 0.
inline std::uint64_t position_of(std::uint32_t number, std::uint32_t initial, std::uint64_t near) {
  const auto difference = static_cast<std::int32_t>(number - wire_sequence(initial, near));
  if (difference < 0 && static_cast<std::uint64_t>(-static_cast<std::int64_t>(difference)) > near)
    return 0;
  return near + static_cast<std::uint64_t>(static_cast<std::int64_t>(difference));
}

}  // namespace weft::models
