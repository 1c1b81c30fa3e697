// TCP: what is sent and when; timers (RFC 9293 section 3.8, 5681, 6298, 3042, 1122).
#include <algorithm>
#include <cstring>

#include "models/guest/netstack_impl.h"
#include "models/guest/traffic_stats.h"

namespace weft::models {

using wire::TcpHeader;

void NetstackImpl::prepare_template(TcpConnection& c) {
  std::memset(c.template_, 0, sizeof c.template_);
  auto& ethernet = wire::at<wire::EthernetHeader>(c.template_);
  ethernet.src = config.mac;
  ethernet.type = c.remote_.is6 ? wire::kEtherIpv6 : wire::kEtherIpv4;
  if (c.remote_.is6) {
    c.l4_ = 54;
    auto& ip = wire::at<wire::Ipv6Header>(c.template_ + 14);
    ip.set_first_word(0, 0);
    ip.next_header = wire::kProtoTcp;
    ip.hop_limit = 64;
    ip.src = c.local_.v6();
    ip.dst = c.remote_.v6();
    c.tcp_sum_ = pseudo_header_sum(c.local_.v6(), c.remote_.v6(), wire::kProtoTcp, 0);
  } else {
    c.l4_ = 34;
    auto& ip = wire::at<wire::Ipv4Header>(c.template_ + 14);
    ip.version_ihl = 0x45;
    ip.flags_fragment = wire::Ipv4Header::kDontFragment;
    ip.ttl = 64;
    ip.protocol = wire::kProtoTcp;
    ip.src = c.local_.v4();
    ip.dst = c.remote_.v4();
    c.tcp_sum_ = pseudo_header_sum(c.local_.v4(), c.remote_.v4(), wire::kProtoTcp, 0);
    c.ip_sum_ = sum_bytes({c.template_ + 14, 20});
  }
  auto& tcp = wire::at<TcpHeader>(c.template_ + c.l4_);
  tcp.src_port = c.local_port_;
  tcp.dst_port = c.remote_port_;
  tcp.set_header_length(20);
  c.tcp_sum_ += static_cast<std::uint64_t>(c.local_port_) + c.remote_port_;
  c.neighbour_epoch_ = 0;
}

void NetstackImpl::count_sent(TcpConnection& c) {
  ++c.counters_.segments_out;
  ++stats.tcp_segments_out;
  if (c.record_ != nullptr) ++c.record_->segments_sent;
}

void NetstackImpl::count_retransmit(TcpConnection& c) {
  ++c.counters_.retransmits;
  ++stats.tcp_retransmits;
  if (c.record_ == nullptr) return;
  ++c.record_->retransmits;
  ++c.record_->bucket(timers.world()).retransmits;
}

void TcpConnection::count_into(TrafficStats* record) {
  record_ = record;
  record->segments_sent += counters_.segments_out;
  record->segments_received += counters_.segments_in;
  record->retransmits += counters_.retransmits;
}

std::uint32_t NetstackImpl::advertise(TcpConnection& c) {
  // The right edge never moves back, and forward only by a worthwhile step (RFC 1122 4.2.3.3).
  const std::uint64_t held = c.range_bytes_ + c.unread_bytes_;
  const std::uint64_t room =
      config.tcp.receive_buffer > held ? config.tcp.receive_buffer - held : 0;
  const std::uint64_t edge = c.rcv_nxt_ + room;
  const std::uint64_t step = std::min<std::uint64_t>(2ULL * c.mss_, config.tcp.receive_buffer / 2);
  if (edge >= c.rcv_adv_ + step) c.rcv_adv_ = edge;
  return static_cast<std::uint32_t>(c.rcv_adv_ > c.rcv_nxt_ ? c.rcv_adv_ - c.rcv_nxt_ : 0);
}

void NetstackImpl::send_syn(TcpConnection& c) {
  const bool with_ack = c.state_ == TcpState::syn_received;
  wire::TcpOptions options;
  options.mss = static_cast<std::uint16_t>(
      std::min<std::uint32_t>(config.mtu - (c.remote_.is6 ? 60 : 40), 65535));
  if (!with_ack || c.snd_scale_ > 0 || c.rcv_scale_ > 0) options.window_scale = c.rcv_scale_;
  std::uint8_t bytes[40];
  const unsigned n = wire::write_tcp_options(options, bytes);
  Packet* p = station().create();
  p->flow = c.flow_;
  p->pair = c.pair_;
  std::uint8_t* l4 = begin_ip(p, c.local_, c.remote_, wire::kProtoTcp, 20 + n);
  auto& h = wire::at<TcpHeader>(l4);
  h.src_port = c.local_port_;
  h.dst_port = c.remote_port_;
  h.sequence = c.iss_;
  h.acknowledgement = with_ack ? wire_sequence(c.irs_, c.rcv_nxt_) : 0u;
  h.set_header_length(20 + n);
  h.flags = TcpHeader::kSyn;
  if (with_ack) {
    h.flags |= TcpHeader::kAck;
    if (c.ecn_ok_) h.flags |= TcpHeader::kEce;
  } else if (config.tcp.ecn && c.backoff_ == 0) {
    h.flags |= TcpHeader::kEce | TcpHeader::kCwr;
  }
  const std::uint32_t window = std::min<std::uint32_t>(config.tcp.receive_buffer, 65535);
  c.rcv_adv_ = std::max<std::uint64_t>(c.rcv_adv_, (with_ack ? c.rcv_nxt_ : 1) + window);
  h.window = static_cast<std::uint16_t>(window);
  h.checksum = 0;
  h.urgent = 0;
  std::memcpy(l4 + 20, bytes, n);
  h.checksum = l4_checksum(*p, c.local_, c.remote_, wire::kProtoTcp);
  count_sent(c);
  send_ip(p, c.remote_);
}

Payload NetstackImpl::slice_at(TcpConnection& c, std::uint64_t position, std::uint32_t limit) {
  auto holds = [&](std::size_t i) {
    return i < c.items_.size() && c.items_[i].start <= position &&
           position < c.items_[i].start + c.items_[i].payload.size();
  };
  if (!holds(c.items_next_) && !holds(++c.items_next_)) {
    std::size_t low = c.items_head_, high = c.items_.size();
    while (low < high) {  // the first item that ends after `position`
      const std::size_t middle = (low + high) / 2;
      if (c.items_[middle].start + c.items_[middle].payload.size() <= position)
        low = middle + 1;
      else
        high = middle;
    }
    c.items_next_ = low;
    WEFT_CHECK(holds(low), "position {} is not in the send queue", position);
  }
  const TcpConnection::SendItem& item = c.items_[c.items_next_];
  const auto from = static_cast<std::uint32_t>(position - item.start);
  return item.payload.slice(from, std::min(limit, item.payload.size() - from));
}

void NetstackImpl::trim_items(TcpConnection& c) {
  while (c.items_head_ < c.items_.size()) {
    TcpConnection::SendItem& item = c.items_[c.items_head_];
    if (item.start + item.payload.size() > c.snd_una_) break;
    item.payload.reset();
    ++c.items_head_;
  }
  if (c.items_head_ == c.items_.size()) {
    c.items_.clear();
    c.items_head_ = c.items_next_ = 0;
  } else if (c.items_head_ >= 64 && c.items_head_ * 2 >= c.items_.size()) {
    c.items_.erase(c.items_.begin(), c.items_.begin() + static_cast<std::ptrdiff_t>(c.items_head_));
    c.items_next_ = c.items_next_ > c.items_head_ ? c.items_next_ - c.items_head_ : 0;
    c.items_head_ = 0;
  }
}

void NetstackImpl::send_segment(TcpConnection& c, std::uint64_t position, std::uint32_t length,
                                std::uint8_t flags) {
  Packet* p = station().create();
  p->flow = c.flow_;
  p->pair = c.pair_;
  if (length > 0) {
    p->payload = slice_at(c, position, length);
    length = p->payload.size();
  }
  const bool fresh = length > 0 && position >= c.snd_max_;
  if (c.ecn_ok_) {
    if (c.ecn_echo_) flags |= TcpHeader::kEce;
    if (c.ecn_cwr_ && fresh) {
      flags |= TcpHeader::kCwr;
      c.ecn_cwr_ = false;
    }
  }
  const std::uint32_t window = advertise(c) >> c.rcv_scale_;
  const std::uint16_t window_field = static_cast<std::uint16_t>(std::min(window, 65535u));
  const std::uint32_t sequence = wire_sequence(c.iss_, position);
  const std::uint32_t acknowledgement =
      (flags & TcpHeader::kAck) != 0 ? wire_sequence(c.irs_, c.rcv_nxt_) : 0;
  const std::uint8_t tos = c.ecn_ok_ && fresh ? wire::kEcnEct0 : 0;
  const std::uint32_t l4 = c.l4_;
  std::uint8_t* frame = p->reset_headers(l4 + 20);
  std::memcpy(frame, c.template_, l4 + 20);
  if (c.remote_.is6) {
    auto& ip = wire::at<wire::Ipv6Header>(frame + 14);
    if (tos != 0) ip.set_first_word(tos, 0);
    ip.payload_length = static_cast<std::uint16_t>(20 + length);
  } else {
    auto& ip = wire::at<wire::Ipv4Header>(frame + 14);
    const auto total = static_cast<std::uint16_t>(40 + length);
    ip.total_length = total;
    ip.identification = ++ip_id;
    ip.tos = tos;
    ip.checksum = static_cast<std::uint16_t>(
        ~fold_sum(c.ip_sum_ + total + ip_id + static_cast<std::uint64_t>(tos)));
  }
  auto& h = wire::at<TcpHeader>(frame + l4);
  h.sequence = sequence;
  h.acknowledgement = acknowledgement;
  h.flags = flags;
  h.window = window_field;
  const std::uint64_t sum = c.tcp_sum_ + 20 + length + (sequence >> 16) + (sequence & 0xffff) +
                            (acknowledgement >> 16) + (acknowledgement & 0xffff) +
                            (0x5000u | flags) + window_field + p->payload.sum();
  h.checksum = static_cast<std::uint16_t>(~fold_sum(sum));

  count_sent(c);
  if ((flags & TcpHeader::kAck) != 0) {
    c.last_ack_sent_ = c.rcv_nxt_;
    c.unacked_segments_ = 0;
    c.ack_now_ = false;
    c.ack_deadline_ = Time::never();
  }
  const std::uint64_t end = position + length + ((flags & TcpHeader::kFin) != 0 ? 1 : 0);
  if (end > position) {
    if (position < c.snd_max_) {
      count_retransmit(c);
      if (c.timing_ && position < c.timed_end_) c.timing_ = false;  // Karn
    } else if (!c.timing_) {
      c.timing_ = true;
      c.timed_end_ = end;
      c.timed_at_ = now();
    }
    c.snd_max_ = std::max(c.snd_max_, end);
    c.last_send_ = now();
    if (c.rtx_deadline_ == Time::never()) c.rtx_deadline_ = now() + c.rto_;
  }
  if (c.neighbour_epoch_ == neighbour_epoch) {
    ++stats.frames_out;
    station().transmit(p);
    return;
  }
  const std::optional<IpAddress> hop = next_hop(c.remote_);
  if (!hop) return drop(p, DropReason::no_route);
  if (const Mac* mac = resolve(*hop)) {
    wire::at<wire::EthernetHeader>(c.template_).dst = *mac;
    c.neighbour_epoch_ = neighbour_epoch;
    transmit(p, *mac, c.remote_.is6 ? wire::kEtherIpv6 : wire::kEtherIpv4);
  } else {
    send_ip(p, c.remote_);
  }
}

void NetstackImpl::retransmit_head(TcpConnection& c) {
  if (c.snd_una_ < c.queue_end_) {
    const std::uint64_t left = c.queue_end_ - c.snd_una_;
    const auto limit = static_cast<std::uint32_t>(std::min<std::uint64_t>(left, c.mss_));
    const std::uint32_t length = slice_at(c, c.snd_una_, limit).size();
    send_segment(c, c.snd_una_, length, TcpHeader::kAck | TcpHeader::kPsh);
    c.snd_nxt_ = std::max(c.snd_nxt_, c.snd_una_ + length);
  } else if (c.fin_queued_ && c.snd_max_ > c.queue_end_) {
    send_segment(c, c.queue_end_, 0, TcpHeader::kAck | TcpHeader::kFin);
    c.snd_nxt_ = std::max(c.snd_nxt_, c.queue_end_ + 1);
  }
}

void NetstackImpl::output(TcpConnection& c) {
  if (c.state_ == TcpState::syn_sent || c.state_ == TcpState::syn_received ||
      c.state_ == TcpState::closed || c.state_ == TcpState::time_wait)
    return;
  if (c.snd_una_ == c.snd_nxt_ && c.snd_nxt_ < c.queue_end_ && now() - c.last_send_ > c.rto_)
    c.cwnd_ = std::min<std::uint64_t>(
        c.cwnd_, static_cast<std::uint64_t>(config.tcp.initial_window) * c.mss_);  // RFC 5681 4.1
  bool limited = false;
  while (c.snd_nxt_ < c.queue_end_) {
    const std::uint64_t available = c.queue_end_ - c.snd_nxt_;
    const std::uint64_t flight = c.snd_nxt_ - c.snd_una_;
    auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(available, c.mss_));
    const std::uint64_t window_room = c.snd_wnd_ > flight ? c.snd_wnd_ - flight : 0;
    if (window_room < length) {
      // A silly small piece only if nothing is under way to open the window, or it is worth it.
      if (window_room == 0 || (flight > 0 && window_room * 2 < c.max_wnd_)) break;
      length = static_cast<std::uint32_t>(window_room);
    }
    std::uint64_t allowed = c.cwnd_;
    if (!c.in_recovery_ && c.dup_acks_ > 0 && c.dup_acks_ < 3)
      allowed += static_cast<std::uint64_t>(c.dup_acks_) * c.mss_;  // RFC 3042
    if (flight + length > allowed && flight > 0) {
      limited = true;
      break;
    }
    if (c.rate_limit_.bps > 0) {
      if (c.next_send_ > now()) {
        c.pace_deadline_ = c.next_send_;
        break;
      }
      c.next_send_ = std::max(c.next_send_, now() - microseconds(100)) +
                     serialisation_time(length, c.rate_limit_);
    }
    // What was sent before is sent again up to where it had got, no further: new data after it is a
    // segment of its own.
    if (c.snd_nxt_ < c.snd_max_ && c.snd_max_ <= c.queue_end_)
      length = static_cast<std::uint32_t>(std::min<std::uint64_t>(length, c.snd_max_ - c.snd_nxt_));
    const std::uint32_t size = slice_at(c, c.snd_nxt_, length).size();
    const bool last = c.snd_nxt_ + size == c.queue_end_;
    const bool fin = last && c.fin_queued_;
    std::uint8_t flags = TcpHeader::kAck;
    if (last) flags |= TcpHeader::kPsh;
    if (fin) flags |= TcpHeader::kFin;
    const std::uint64_t position = c.snd_nxt_;
    send_segment(c, position, size, flags);
    c.snd_nxt_ = position + size + (fin ? 1 : 0);
    if (fin) {
      if (c.state_ == TcpState::established) c.state_ = TcpState::fin_wait_1;
      if (c.state_ == TcpState::close_wait) c.state_ = TcpState::last_ack;
    }
  }
  c.limited_ = limited;
  if (c.fin_queued_ && c.snd_nxt_ == c.queue_end_) {
    send_segment(c, c.queue_end_, 0, TcpHeader::kAck | TcpHeader::kFin);
    c.snd_nxt_ = c.queue_end_ + 1;
    if (c.state_ == TcpState::established) c.state_ = TcpState::fin_wait_1;
    if (c.state_ == TcpState::close_wait) c.state_ = TcpState::last_ack;
  }
  // The persist timer: data waits, nothing is under way, and the window is what is in the way.
  const bool stuck = c.snd_nxt_ < c.queue_end_ && c.snd_nxt_ == c.snd_una_ &&
                     c.snd_una_ == c.snd_max_ && c.pace_deadline_ == Time::never();
  if (!stuck)
    c.probe_deadline_ = Time::never();
  else if (c.probe_deadline_ == Time::never())
    c.probe_deadline_ = now() + c.rto_;
}

void NetstackImpl::acknowledge_if_due(TcpConnection& c) {
  if (c.state_ == TcpState::syn_sent || c.state_ == TcpState::syn_received) return;
  if (!c.ack_now_) {
    if (c.unacked_segments_ == 0) return;
    if (c.quick_acks_ > 0)
      --c.quick_acks_;
    else if (config.tcp.delayed_ack && c.unacked_segments_ < 2) {
      if (c.ack_deadline_ == Time::never()) c.ack_deadline_ = now() + config.tcp.delayed_ack_time;
      return;
    }
  }
  send_ack(c);
}

void NetstackImpl::arm(TcpConnection& c) {
  const Time first = std::min(
      {c.rtx_deadline_, c.probe_deadline_, c.ack_deadline_, c.pace_deadline_, c.wait_deadline_});
  if (first >= c.armed_) return;  // it looks again when the earlier one fires
  c.armed_ = first;
  timers.arm(c.timer_, first);
}

void NetstackImpl::connection_due(TcpConnection& c) {
  c.armed_ = Time::never();
  const Time t = now();
  c.busy_ = true;
  if (c.wait_deadline_ <= t) {
    finish(c, TcpEnd::normal);
  } else {
    if (c.ack_deadline_ <= t) c.ack_now_ = true;
    if (c.pace_deadline_ <= t) c.pace_deadline_ = Time::never();
    if (c.rtx_deadline_ <= t) retransmission_due(c);
    if (!c.dead_ && c.probe_deadline_ <= t) {
      ++c.probes_;
      if (c.probes_ > config.tcp.retries) {
        finish(c, TcpEnd::timed_out);
      } else {
        // As Linux: an old number provokes an acknowledgement that tells the window.
        send_segment(c, c.snd_una_ - 1, 0, TcpHeader::kAck);
        Duration wait = c.rto_;
        for (std::uint32_t i = 0; i < c.probes_ && wait < config.tcp.max_rto; ++i) wait = wait * 2;
        c.probe_deadline_ = t + std::min(wait, config.tcp.max_rto);
      }
    }
  }
  c.busy_ = false;
  after_callbacks(c);
}

void NetstackImpl::retransmission_due(TcpConnection& c) {
  ++c.backoff_;
  ++c.counters_.timeouts;
  ++stats.tcp_timeouts;
  const bool opening = c.state_ == TcpState::syn_sent || c.state_ == TcpState::syn_received;
  if (c.backoff_ > (opening ? config.tcp.syn_retries : config.tcp.retries)) {
    finish(c, TcpEnd::timed_out);
    return;
  }
  c.rto_ = std::min(c.rto_ * 2, config.tcp.max_rto);  // RFC 6298 (5.5)
  c.rtx_deadline_ = now() + c.rto_;
  c.timing_ = false;
  c.neighbour_epoch_ = 0;  // perhaps the next hop has moved
  if (opening) {
    count_retransmit(c);
    send_syn(c);
    return;
  }
  if (c.backoff_ == 1)
    c.ssthresh_ = std::max<std::uint64_t>((c.snd_nxt_ - c.snd_una_) / 2, 2ULL * c.mss_);
  c.cwnd_ = c.mss_;
  c.acked_bytes_ = 0;
  c.in_recovery_ = false;
  c.recover_ = c.snd_max_;
  c.dup_acks_ = 0;
  c.limited_ = true;
  c.snd_nxt_ = c.snd_una_;
  retransmit_head(c);
}

}  // namespace weft::models
