// TCP: which connection a segment belongs to, listeners, opening, and what has no connection.
#include <algorithm>

#include "base/hash.h"
#include "models/guest/netstack_impl.h"

namespace weft::models {

using wire::TcpHeader;

std::uint64_t NetstackImpl::hash_of(const IpAddress& local, const IpAddress& remote,
                                    std::uint16_t local_port, std::uint16_t remote_port) {
  const std::uint64_t ports = static_cast<std::uint64_t>(local_port) << 16 | remote_port;
  return mix64(remote.bits.low ^ local.bits.low << 17, ports ^ remote.bits.high);
}

TcpConnection* NetstackImpl::find_connection(const IpAddress& local, const IpAddress& remote,
                                             std::uint16_t local_port,
                                             std::uint16_t remote_port) const {
  if (slots.empty()) return nullptr;
  const std::size_t mask = slots.size() - 1;
  for (std::size_t i = hash_of(local, remote, local_port, remote_port) & mask; slots[i] != 0;
       i = (i + 1) & mask) {
    TcpConnection& c = *connections[slots[i] - 1];
    if (c.remote_port_ == remote_port && c.local_port_ == local_port && c.remote_ == remote &&
        c.local_ == local)
      return &c;
  }
  return nullptr;
}

void NetstackImpl::insert_slot(std::uint32_t index) {
  const TcpConnection& c = *connections[index];
  const std::size_t mask = slots.size() - 1;
  std::size_t i = hash_of(c.local_, c.remote_, c.local_port_, c.remote_port_) & mask;
  while (slots[i] != 0) i = (i + 1) & mask;
  slots[i] = index + 1;
}

TcpConnection& NetstackImpl::make_connection(const IpAddress& local, const IpAddress& remote,
                                             std::uint16_t local_port, std::uint16_t remote_port) {
  std::uint32_t index;
  if (free_connections.empty()) {
    index = static_cast<std::uint32_t>(connections.size());
    connections.emplace_back();
  } else {
    index = free_connections.back();
    free_connections.pop_back();
  }
  connections[index] = std::make_unique<TcpConnection>();
  TcpConnection& c = *connections[index];
  c.stack_ = this;
  c.index_ = index;
  c.local_ = local;
  c.remote_ = remote;
  c.local_port_ = local_port;
  c.remote_port_ = remote_port;
  c.timer_ = timers.add(this, index + 1ULL);
  // RFC 6528 asks for numbers that an outsider cannot guess and that grow; in a simulation it is
  // enough that they differ and cover the whole range.
  c.iss_ = random.next_u32();
  c.rto_ = config.tcp.initial_rto;
  c.quick_acks_ = config.tcp.quick_acks;
  while (c.rcv_scale_ < 14 && config.tcp.receive_buffer >> c.rcv_scale_ > 65535) ++c.rcv_scale_;
  update_mss(c);
  ++used_slots;
  if (used_slots * 2 > slots.size()) {
    slots.assign(std::max<std::size_t>(16, slots.size() * 2), 0);
    for (std::uint32_t i = 0; i < connections.size(); ++i)
      if (connections[i] != nullptr) insert_slot(i);
  } else {
    insert_slot(index);
  }
  return c;
}

void NetstackImpl::forget(TcpConnection& c) {
  c.state_ = TcpState::closed;
  c.dead_ = true;
  c.events_ = nullptr;
  if (!c.busy_) release(c);
}

void NetstackImpl::release(TcpConnection& c) {
  const std::size_t mask = slots.size() - 1;
  std::size_t i = hash_of(c.local_, c.remote_, c.local_port_, c.remote_port_) & mask;
  while (slots[i] != c.index_ + 1) i = (i + 1) & mask;
  // Backward shift: no tombstones, so look-ups stay short however many connections come and go.
  std::size_t hole = i;
  for (std::size_t j = (i + 1) & mask; slots[j] != 0; j = (j + 1) & mask) {
    const TcpConnection& other = *connections[slots[j] - 1];
    const std::size_t home =
        hash_of(other.local_, other.remote_, other.local_port_, other.remote_port_) & mask;
    if (((j - home) & mask) >= ((j - hole) & mask)) {
      slots[hole] = slots[j];
      hole = j;
    }
  }
  slots[hole] = 0;
  --used_slots;
  timers.remove(c.timer_);
  const std::uint32_t index = c.index_;
  connections[index].reset();
  free_connections.push_back(index);
}

std::uint32_t NetstackImpl::largest_mss(const IpAddress& remote) const {
  const std::uint32_t headers = remote.is6 ? 60 : 40;
  const std::uint32_t mtu = std::min(path_mtu(remote), 65535u);
  return mtu > headers + 8 ? mtu - headers : 8;
}

void NetstackImpl::update_mss(TcpConnection& c) {
  c.mss_ = std::min(largest_mss(c.remote_), c.peer_mss_);
}

TcpConnection* NetstackImpl::connect(const IpAddress& to, std::uint16_t port, TcpEvents* events,
                                     std::uint32_t flow, std::uint32_t pair) {
  const IpAddress local = source_for(to);
  if (local.is_zero()) return nullptr;
  std::uint16_t local_port = 0;
  for (int tries = 0; tries < 28232 && local_port == 0; ++tries) {
    const std::uint16_t candidate = next_tcp_port;
    next_tcp_port = candidate == 60999 ? 32768 : static_cast<std::uint16_t>(candidate + 1);
    if (find_connection(local, to, candidate, port) == nullptr) local_port = candidate;
  }
  if (local_port == 0) return nullptr;
  TcpConnection& c = make_connection(local, to, local_port, port);
  c.flow_ = flow;
  c.pair_ = pair;
  c.events_ = events;
  c.state_ = TcpState::syn_sent;
  prepare_template(c);
  c.snd_nxt_ = c.snd_max_ = 1;
  c.timing_ = true;
  c.timed_end_ = 1;
  c.timed_at_ = now();
  c.rtx_deadline_ = now() + c.rto_;
  send_syn(c);
  arm(c);
  return &c;
}

void NetstackImpl::receive_tcp(Packet* p, const IpView& ip) {
  const unsigned header = wire::at<TcpHeader>(p->data() + ip.l4).header_length();
  if (header < 20 || header > ip.l4_size) return drop(p, DropReason::malformed);
  if (p->header_size() < ip.l4 + header) p->materialise_payload(ip.l4 + header - p->header_size());
  const auto& h = wire::at<TcpHeader>(p->data() + ip.l4);
  ++stats.tcp_segments_in;
  TcpConnection* c = find_connection(ip.dst, ip.src, h.dst_port, h.src_port);
  if (c != nullptr && c->state_ == TcpState::time_wait && (h.flags & TcpHeader::kSyn) != 0 &&
      (h.flags & (TcpHeader::kAck | TcpHeader::kRst)) == 0 &&
      position_of(h.sequence, c->irs_, c->rcv_nxt_) > c->rcv_nxt_) {
    forget(*c);  // RFC 9293 3.10.7.4: a new incarnation may reopen
    c = nullptr;
  }
  if (c != nullptr) return input(*c, p, ip, h);
  if (!owns(ip.dst)) return drop(p, DropReason::guest_unwanted);
  accept(p, ip, h);
}

void NetstackImpl::accept(Packet* p, const IpView& ip, const TcpHeader& h) {
  const std::uint8_t kind =
      h.flags & (TcpHeader::kSyn | TcpHeader::kAck | TcpHeader::kRst | TcpHeader::kFin);
  TcpAcceptor* acceptor = find_port(listeners, h.dst_port);
  if (kind != TcpHeader::kSyn || acceptor == nullptr) {
    refuse(*p, ip, h);
    return drop(p, DropReason::no_listener);
  }
  if (half_open >= kBacklog) return drop(p, DropReason::guest_unwanted);
  TcpConnection& c = make_connection(ip.dst, ip.src, h.dst_port, h.src_port);
  c.passive_ = true;
  c.flow_ = p->flow;
  c.pair_ = p->pair;
  c.busy_ = true;
  c.events_ = acceptor->on_accept(c);
  c.busy_ = false;
  if (c.events_ == nullptr) {
    refuse(*p, ip, h);
    forget(c);
    return drop(p, DropReason::no_listener);
  }
  ++half_open;
  c.state_ = TcpState::syn_received;
  c.irs_ = h.sequence;
  c.rcv_nxt_ = 1;
  ++c.counters_.segments_in;
  apply_options(c, h);
  c.ecn_ok_ =
      config.tcp.ecn && (h.flags & TcpHeader::kEce) != 0 && (h.flags & TcpHeader::kCwr) != 0;
  c.snd_wnd_ = c.max_wnd_ = h.window;
  prepare_template(c);
  c.snd_nxt_ = c.snd_max_ = 1;
  c.timing_ = true;
  c.timed_end_ = 1;
  c.timed_at_ = now();
  c.rtx_deadline_ = now() + c.rto_;
  send_syn(c);
  arm(c);
  station().consume(p);
}

void NetstackImpl::refuse(const Packet& about, const IpView& ip, const TcpHeader& h) {
  if ((h.flags & TcpHeader::kRst) != 0) return;
  ++stats.tcp_resets_sent;
  Packet* p = station().create();
  p->flow = about.flow;
  p->pair = about.pair;
  std::uint8_t* l4 = begin_ip(p, ip.dst, ip.src, wire::kProtoTcp, 20);
  auto& r = wire::at<TcpHeader>(l4);
  r.src_port = h.dst_port;
  r.dst_port = h.src_port;
  r.set_header_length(20);
  r.window = 0;
  r.checksum = 0;
  r.urgent = 0;
  if ((h.flags & TcpHeader::kAck) != 0) {
    r.sequence = h.acknowledgement;
    r.acknowledgement = 0;
    r.flags = TcpHeader::kRst;
  } else {
    const std::uint32_t length = ip.l4_size - h.header_length() +
                                 ((h.flags & TcpHeader::kSyn) != 0 ? 1u : 0u) +
                                 ((h.flags & TcpHeader::kFin) != 0 ? 1u : 0u);
    r.sequence = 0;
    r.acknowledgement = h.sequence + length;
    r.flags = TcpHeader::kRst | TcpHeader::kAck;
  }
  r.checksum = l4_checksum(*p, ip.dst, ip.src, wire::kProtoTcp);
  send_ip(p, ip.src);
}

void NetstackImpl::tcp_notice(const IcmpNotice& notice) {
  if (notice.kind != IcmpNotice::Kind::too_big) return;  // soft errors: TCP tries on (RFC 5461)
  for (std::uint32_t i = 0; i < connections.size(); ++i) {
    TcpConnection* c = connections[i].get();
    if (c == nullptr || c->dead_ || !(c->remote_ == notice.destination)) continue;
    const std::uint32_t before = c->mss_;
    update_mss(*c);
    const bool hit = c->remote_port_ == notice.dst_port && c->local_port_ == notice.src_port;
    if (!hit || c->mss_ >= before || c->snd_una_ >= c->snd_max_ || c->snd_una_ == 0) continue;
    // What was too big was lost, but not to congestion: send it again in smaller pieces at once.
    c->snd_nxt_ = c->snd_una_;
    c->in_recovery_ = false;
    c->recover_ = c->snd_max_;
    c->timing_ = false;
    after_callbacks(*c);
  }
}

// --- what applications call
// ------------------------------------------------------------------------

std::uint64_t TcpConnection::acknowledged_total() const {
  const std::uint64_t acknowledged = std::min(snd_una_, queue_end_);
  return acknowledged == 0 ? 0 : acknowledged - 1;
}

void TcpConnection::send(Payload payload) {
  WEFT_CHECK(!fin_queued_, "send() after close()");
  if (dead_ || payload.empty()) return;
  const std::uint64_t start = queue_end_;
  queue_end_ += payload.size();
  if (items_.size() > items_head_) {
    Payload& last = items_.back().payload;
    if (last.is_stream() && payload.is_stream() && last.stream_id() == payload.stream_id() &&
        last.offset() + last.size() == payload.offset() &&
        static_cast<std::uint64_t>(last.size()) + payload.size() <= UINT32_MAX) {
      last = Payload::stream(last.stream_id(), last.offset(), last.size() + payload.size());
      if (!busy_) stack_->after_callbacks(*this);
      return;
    }
  }
  items_.push_back({start, std::move(payload)});
  if (!busy_) stack_->after_callbacks(*this);
}

void TcpConnection::close() {
  if (dead_ || fin_queued_) return;
  if (state_ == TcpState::syn_sent && queue_end_ == 1) {
    stack_->finish(*this, TcpEnd::aborted);
    return;
  }
  fin_queued_ = true;
  if (!busy_) stack_->after_callbacks(*this);
}

void TcpConnection::abort() {
  if (dead_) return;
  if (state_ != TcpState::syn_sent && state_ != TcpState::time_wait) {
    ++stack_->stats.tcp_resets_sent;
    stack_->send_segment(*this, snd_max_, 0, TcpHeader::kRst | TcpHeader::kAck);
  }
  stack_->finish(*this, TcpEnd::aborted);
}

void TcpConnection::set_reading(bool on) {
  if (dead_ || reading_ == on) return;
  reading_ = on;
  if (!on) return;
  const bool was_busy = busy_;
  busy_ = true;
  std::vector<Payload> unread;
  unread.swap(unread_);
  unread_bytes_ = 0;
  for (const Payload& data : unread) {
    if (!dead_) stack_->hand_up(*this, data);
  }
  busy_ = was_busy;
  const std::uint64_t before = rcv_adv_;
  if (!dead_) {
    stack_->advertise(*this);
    if (rcv_adv_ != before) ack_now_ = true;  // tells that the window has opened
    // A FIN that came while nobody was reading.
    if (unread_.empty() && peer_fin_ != UINT64_MAX && rcv_nxt_ > peer_fin_)
      stack_->peer_finished(*this);
  }
  if (!busy_) stack_->after_callbacks(*this);
}

void TcpConnection::limit_rate(BitRate payload_rate) {
  rate_limit_ = payload_rate;
  next_send_ = stack_->now();
}

}  // namespace weft::models
