// TCP: what a received segment does (RFC 9293 section 3.10.7, 5681, 6582, 6298, 3168, 5961).
#include <algorithm>

#include "models/guest/netstack_impl.h"
#include "models/guest/traffic_stats.h"

namespace weft::models {

using wire::TcpHeader;

void NetstackImpl::apply_options(TcpConnection& c, const TcpHeader& h) {
  wire::TcpOptions options;
  wire::parse_tcp_options({reinterpret_cast<const std::uint8_t*>(&h) + 20, h.header_length() - 20},
                          options);
  c.peer_mss_ = options.mss ? std::max<std::uint32_t>(*options.mss, 64) : 536;
  if (options.window_scale)
    c.snd_scale_ = *options.window_scale;
  else
    c.rcv_scale_ = 0;  // RFC 7323: only if both sides offer it
  update_mss(c);
}

void NetstackImpl::established(TcpConnection& c) {
  if (c.state_ == TcpState::syn_received && c.passive_) --half_open;
  c.state_ = TcpState::established;
  const std::uint32_t segments = c.backoff_ > 0 ? 1 : config.tcp.initial_window;
  c.cwnd_ = static_cast<std::uint64_t>(segments) * c.mss_;
  if (c.backoff_ > 0 && !c.rtt_known_) c.rto_ = std::max(c.rto_, seconds(3));  // RFC 6298 (5.7)
  c.backoff_ = 0;
  c.rtx_deadline_ = Time::never();
  c.last_send_ = now();
  if (c.events_ != nullptr) c.events_->on_connected(c);
}

void NetstackImpl::input(TcpConnection& c, Packet* p, const IpView& ip, const TcpHeader& h) {
  ++c.counters_.segments_in;
  if (c.record_ != nullptr) ++c.record_->segments_received;
  c.busy_ = true;
  if (c.state_ == TcpState::syn_sent) {
    input_syn_sent(c, p, ip, h);
    c.busy_ = false;
    after_callbacks(c);
    return;
  }
  Segment s;
  s.position = position_of(h.sequence, c.irs_, c.rcv_nxt_);
  s.ack = position_of(h.acknowledgement, c.iss_, c.snd_una_);
  s.flags = h.flags;
  s.ce = (ip.tos & wire::kEcnMask) == wire::kEcnCe;
  s.window = static_cast<std::uint32_t>(h.window)
             << ((h.flags & TcpHeader::kSyn) != 0 ? 0 : c.snd_scale_);
  const std::uint32_t header = h.header_length();
  s.length = ip.l4_size - header;
  if (p->header_size() == ip.l4 + header) {
    s.data = p->payload;
  } else if (s.length > 0) {  // some of the data lies in the header area
    std::vector<std::uint8_t> frame;
    p->copy_frame(frame);
    s.data = Payload::copy_of(std::span<const std::uint8_t>(frame).subspan(ip.l4 + header));
  }
  bool new_data = false;
  const bool acceptable = process(c, s, new_data);
  if (new_data)
    station().deliver(p);
  else if (!acceptable || s.length > 0)
    drop(p, DropReason::guest_unwanted);
  else
    station().consume(p);
  c.busy_ = false;
  after_callbacks(c);
}

void NetstackImpl::input_syn_sent(TcpConnection& c, Packet* p, const IpView& ip,
                                  const TcpHeader& h) {
  const std::uint64_t ack = position_of(h.acknowledgement, c.iss_, 1);
  const bool has_ack = (h.flags & TcpHeader::kAck) != 0;
  if (has_ack && ack != 1) {
    refuse(*p, ip, h);
    return drop(p, DropReason::guest_unwanted);
  }
  if ((h.flags & TcpHeader::kRst) != 0) {
    station().consume(p);
    if (has_ack) finish(c, TcpEnd::refused);
    return;
  }
  if ((h.flags & TcpHeader::kSyn) == 0) return drop(p, DropReason::guest_unwanted);
  c.irs_ = h.sequence;
  c.rcv_nxt_ = 1;
  c.last_ack_sent_ = 0;
  apply_options(c, h);
  c.snd_wnd_ = c.max_wnd_ = h.window;
  c.wl1_ = 0;
  c.wl2_ = 1;
  if (has_ack) {
    c.ecn_ok_ =
        config.tcp.ecn && (h.flags & TcpHeader::kEce) != 0 && (h.flags & TcpHeader::kCwr) == 0;
    if (c.timing_) sample_rtt(c, now() - c.timed_at_);
    c.timing_ = false;
    c.snd_una_ = 1;
    c.ack_now_ = true;
    prepare_template(c);
    established(c);
  } else {  // both sides open at the same time
    c.state_ = TcpState::syn_received;
    prepare_template(c);
    send_syn(c);
  }
  station().consume(p);
}

bool NetstackImpl::process(TcpConnection& c, Segment& s, bool& new_data) {
  if (c.state_ == TcpState::syn_received && s.position == 0 &&
      (s.flags & (TcpHeader::kSyn | TcpHeader::kAck)) == TcpHeader::kSyn) {
    count_retransmit(c);  // our SYN-ACK was lost: the SYN comes again
    c.timing_ = false;
    send_syn(c);
    return true;
  }
  if ((s.flags & TcpHeader::kSyn) != 0) {
    if (s.position != 0) {
      c.ack_now_ = true;  // RFC 5961: a challenge
      return false;
    }
    s.position = 1;  // the SYN again, with the acknowledgement: strip it
    c.ack_now_ = true;
  }
  if (config.tcp.ignore_gaps && s.position > c.rcv_nxt_) [[unlikely]]
    s.position = c.rcv_nxt_;
  const std::uint64_t fin = (s.flags & TcpHeader::kFin) != 0 ? 1 : 0;
  const std::uint64_t end = s.position + s.length + fin;
  const bool old = s.length + fin > 0 ? end <= c.rcv_nxt_ : s.position < c.rcv_nxt_;
  if (old || s.position > c.rcv_adv_ || c.state_ == TcpState::time_wait) {
    if ((s.flags & TcpHeader::kRst) != 0) {
      if (c.state_ == TcpState::time_wait && s.position == c.rcv_nxt_) finish(c, TcpEnd::normal);
      return false;
    }
    if (s.length > 0) ++c.counters_.duplicate_segments;
    if (c.state_ == TcpState::time_wait) {
      if (s.length + fin == 0) return true;  // two sides in TIME_WAIT must not answer each other
      c.wait_deadline_ = now() + config.tcp.time_wait;
    }
    c.ack_now_ = true;
    return s.length == 0;
  }
  if ((s.flags & TcpHeader::kRst) != 0) {
    if (s.position == c.rcv_nxt_) {
      finish(c, TcpEnd::reset);
      return true;
    }
    c.ack_now_ = true;  // RFC 5961
    return false;
  }
  if ((s.flags & TcpHeader::kAck) == 0) return false;
  if (s.ack > c.snd_max_) {
    c.ack_now_ = true;
    return false;
  }
  if (c.state_ == TcpState::syn_received) {
    if (s.ack == 0) return false;
    c.snd_una_ = 1;
    c.snd_wnd_ = c.max_wnd_ = s.window;
    c.wl1_ = s.position;
    c.wl2_ = s.ack;
    if (c.timing_) sample_rtt(c, now() - c.timed_at_);
    c.timing_ = false;
    established(c);
    if (c.dead_) return true;
  }
  process_ack(c, s);
  if (c.dead_) return true;
  if (s.ce && c.ecn_ok_ && s.length > 0) c.ecn_echo_ = c.ack_now_ = true;
  if ((s.flags & TcpHeader::kCwr) != 0 && !s.ce) c.ecn_echo_ = false;
  if (s.length > 0) new_data = process_data(c, s);
  if (c.dead_) return true;
  if (fin != 0 && c.peer_fin_ == UINT64_MAX && end - 1 <= c.rcv_adv_) c.peer_fin_ = end - 1;
  if (fin != 0 && c.rcv_nxt_ < end) c.ack_now_ = true;
  if (c.rcv_nxt_ == c.peer_fin_) {
    ++c.rcv_nxt_;
    c.ack_now_ = true;
    if (c.state_ == TcpState::established)
      c.state_ = TcpState::close_wait;
    else if (c.state_ == TcpState::fin_wait_1)
      c.state_ = TcpState::closing;
    else if (c.state_ == TcpState::fin_wait_2)
      enter_time_wait(c);
    if (!c.dead_ && c.unread_.empty()) peer_finished(c);
  }
  return true;
}

void NetstackImpl::process_ack(TcpConnection& c, const Segment& s) {
  const bool same_window = s.window == c.snd_wnd_;
  if (s.ack >= c.snd_una_ && (c.wl1_ < s.position || (c.wl1_ == s.position && c.wl2_ <= s.ack))) {
    c.snd_wnd_ = s.window;
    c.max_wnd_ = std::max(c.max_wnd_, c.snd_wnd_);
    c.wl1_ = s.position;
    c.wl2_ = s.ack;
    c.probes_ = 0;
    if (c.snd_wnd_ > 0) c.probe_deadline_ = Time::never();
  }
  if ((s.flags & TcpHeader::kEce) != 0 && c.ecn_ok_ && s.ack > c.ecn_until_ && !c.in_recovery_ &&
      c.snd_max_ > c.snd_una_) {
    c.ssthresh_ = std::max<std::uint64_t>((c.snd_nxt_ - c.snd_una_) / 2, 2ULL * c.mss_);
    c.cwnd_ = c.ssthresh_;
    c.ecn_until_ = c.snd_max_;
    c.ecn_cwr_ = true;
    ++c.counters_.ecn_reductions;
  }
  if (s.ack > c.snd_una_) {
    new_ack(c, s.ack);
  } else if (s.ack == c.snd_una_ && s.length == 0 && same_window && c.snd_una_ < c.snd_max_ &&
             (s.flags & (TcpHeader::kFin | TcpHeader::kSyn)) == 0) {
    duplicate_ack(c);
  }
}

void NetstackImpl::sample_rtt(TcpConnection& c, Duration rtt) {
  if (!c.rtt_known_) {
    c.srtt_ = rtt;
    c.rttvar_ = rtt / 2;
    c.rtt_known_ = true;
  } else {
    const Duration error = c.srtt_ > rtt ? c.srtt_ - rtt : rtt - c.srtt_;
    c.rttvar_ = (c.rttvar_ * 3 + error) / 4;
    c.srtt_ = (c.srtt_ * 7 + rtt) / 8;
  }
  // The minimum applies to the part that guards against variance, as on Linux: RTO >= SRTT + min
  // would be larger still; RFC 6298 (2.4) only asks for a floor.
  c.rto_ = std::clamp(c.srtt_ + c.rttvar_ * 4, config.tcp.min_rto, config.tcp.max_rto);
}

void NetstackImpl::new_ack(TcpConnection& c, std::uint64_t ack) {
  const std::uint64_t acked = ack - c.snd_una_;
  if (c.timing_ && ack >= c.timed_end_) {
    sample_rtt(c, now() - c.timed_at_);
    c.timing_ = false;
  }
  c.backoff_ = 0;
  c.snd_una_ = ack;
  c.snd_nxt_ = std::max(c.snd_nxt_, ack);
  trim_items(c);
  bool restart = true;
  if (c.in_recovery_) {
    const std::uint64_t flight = c.snd_nxt_ - c.snd_una_;
    if (ack >= c.recover_) {
      c.cwnd_ = std::min(c.ssthresh_, std::max<std::uint64_t>(flight, c.mss_) + c.mss_);
      c.in_recovery_ = false;
      c.dup_acks_ = 0;
      c.recover_ = ack - 1;
    } else {  // a partial acknowledgement: the next hole is lost as well
      c.cwnd_ = c.cwnd_ > acked ? c.cwnd_ - acked : 0;
      if (acked >= c.mss_) c.cwnd_ += c.mss_;
      c.cwnd_ = std::max<std::uint64_t>(c.cwnd_, c.mss_);
      restart = c.first_partial_;  // the "impatient" variant
      c.first_partial_ = false;
      retransmit_head(c);
    }
  } else {
    c.dup_acks_ = 0;
    if (c.limited_) {
      if (c.cwnd_ < c.ssthresh_) {
        c.cwnd_ += std::min<std::uint64_t>(acked, 2ULL * c.mss_);
      } else {
        c.acked_bytes_ += acked;
        if (c.acked_bytes_ >= c.cwnd_) {
          c.acked_bytes_ -= c.cwnd_;
          c.cwnd_ += c.mss_;
        }
      }
    }
  }
  if (c.snd_una_ == c.snd_max_)
    c.rtx_deadline_ = Time::never();
  else if (restart)
    c.rtx_deadline_ = now() + c.rto_;
  const bool fin_acked = c.fin_queued_ && ack > c.queue_end_;
  if (c.events_ != nullptr) c.events_->on_acknowledged(c, c.acknowledged_total());
  if (c.dead_ || !fin_acked) return;
  if (c.state_ == TcpState::fin_wait_1) {
    c.state_ = TcpState::fin_wait_2;
  } else if (c.state_ == TcpState::closing) {
    enter_time_wait(c);
  } else if (c.state_ == TcpState::last_ack) {
    finish(c, TcpEnd::normal);
  }
}

void NetstackImpl::duplicate_ack(TcpConnection& c) {
  ++c.dup_acks_;
  if (c.in_recovery_) {
    c.cwnd_ += c.mss_;
    return;
  }
  if (c.dup_acks_ != 3 || c.snd_una_ <= c.recover_) return;
  ++c.counters_.fast_retransmits;
  ++stats.tcp_fast_retransmits;
  const std::uint64_t flight = c.snd_nxt_ - c.snd_una_;
  c.ssthresh_ = std::max<std::uint64_t>(flight / 2, 2ULL * c.mss_);
  c.recover_ = c.snd_max_;
  c.in_recovery_ = true;
  c.first_partial_ = true;
  c.cwnd_ = c.ssthresh_ + 3ULL * c.mss_;
  c.timing_ = false;
  retransmit_head(c);
  c.rtx_deadline_ = now() + c.rto_;
}

void NetstackImpl::hand_up(TcpConnection& c, const Payload& data) {
  if (!c.reading_) {
    c.unread_bytes_ += data.size();
    c.unread_.push_back(data);
    return;
  }
  c.received_ += data.size();
  if (c.events_ != nullptr) c.events_->on_received(c, data);
}

bool NetstackImpl::process_data(TcpConnection& c, Segment& s) {
  if (c.state_ != TcpState::established && c.state_ != TcpState::fin_wait_1 &&
      c.state_ != TcpState::fin_wait_2)
    return false;
  std::uint64_t start = s.position, end = s.position + s.length;
  if (start < c.rcv_nxt_ || end > c.rcv_adv_) {
    const std::uint64_t from = std::max(start, c.rcv_nxt_), to = std::min(end, c.rcv_adv_);
    if (from >= to) {
      c.ack_now_ = true;
      return false;
    }
    s.data = s.data.slice(static_cast<std::uint32_t>(from - start),
                          static_cast<std::uint32_t>(to - from));
    start = from;
    end = to;
  }
  if (start != c.rcv_nxt_) {
    ++c.counters_.out_of_order;
    c.ack_now_ = true;
    const std::uint64_t before = c.range_bytes_;
    store_range(c, start, std::move(s.data));
    return c.range_bytes_ != before;
  }
  ++c.unacked_segments_;
  c.rcv_nxt_ = end;
  if (c.ranges_.empty()) {
    hand_up(c, s.data);
    return true;
  }
  c.ack_now_ = true;  // it fills a gap (RFC 5681 section 4.2)
  hand_up(c, s.data);
  std::size_t used = 0;
  while (!c.dead_ && used < c.ranges_.size() && c.ranges_[used].start <= c.rcv_nxt_) {
    TcpConnection::Range& r = c.ranges_[used++];
    c.range_bytes_ -= r.payload.size();
    if (r.end() <= c.rcv_nxt_) continue;
    const auto skip = static_cast<std::uint32_t>(c.rcv_nxt_ - r.start);
    const Payload rest = r.payload.slice(skip, r.payload.size() - skip);
    c.rcv_nxt_ = r.end();
    hand_up(c, rest);
  }
  c.ranges_.erase(c.ranges_.begin(), c.ranges_.begin() + static_cast<std::ptrdiff_t>(used));
  return true;
}

void NetstackImpl::store_range(TcpConnection& c, std::uint64_t start, Payload data) {
  // Sorted and disjoint; what continues a range of the same stream is joined to it, so that a long
  // run behind one hole is one entry.
  std::uint64_t end = start + data.size();
  std::size_t low = 0, high = c.ranges_.size();
  while (low < high) {  // the first range that ends after `start`
    const std::size_t middle = (low + high) / 2;
    if (c.ranges_[middle].end() <= start)
      low = middle + 1;
    else
      high = middle;
  }
  std::size_t i = low;
  while (start < end) {
    std::uint64_t stop = end;
    if (i < c.ranges_.size()) {
      const TcpConnection::Range& r = c.ranges_[i];
      if (r.start <= start) {
        const std::uint64_t covered = std::min(end, r.end());
        if (covered > start) {
          data = data.slice(static_cast<std::uint32_t>(covered - start),
                            static_cast<std::uint32_t>(end - covered));
          start = covered;
        }
        ++i;
        continue;
      }
      stop = std::min(end, r.start);
    }
    const auto length = static_cast<std::uint32_t>(stop - start);
    Payload piece = data.slice(0, length);
    data = data.slice(length, data.size() - length);
    c.range_bytes_ += length;
    bool joined = false;
    if (i > 0) {
      TcpConnection::Range& left = c.ranges_[i - 1];
      const Payload& l = left.payload;
      if (left.end() == start && l.is_stream() && piece.is_stream() &&
          l.stream_id() == piece.stream_id() && l.offset() + l.size() == piece.offset()) {
        left.payload = Payload::stream(l.stream_id(), l.offset(), l.size() + length);
        joined = true;
      }
    }
    if (!joined) {
      c.ranges_.insert(c.ranges_.begin() + static_cast<std::ptrdiff_t>(i),
                       {start, std::move(piece)});
      ++i;
    }
    start = stop;
  }
}

void NetstackImpl::peer_finished(TcpConnection& c) {
  if (c.fin_told_) return;
  c.fin_told_ = true;
  if (c.events_ != nullptr) c.events_->on_peer_closed(c);
}

void NetstackImpl::enter_time_wait(TcpConnection& c) {
  c.state_ = TcpState::time_wait;
  c.rtx_deadline_ = c.probe_deadline_ = c.pace_deadline_ = Time::never();
  c.wait_deadline_ = now() + config.tcp.time_wait;
  if (c.unread_.empty()) peer_finished(c);
  TcpEvents* events = c.events_;
  c.events_ = nullptr;
  c.items_ = {};
  c.ranges_ = {};
  c.items_head_ = c.items_next_ = 0;
  if (events != nullptr) events->on_closed(c, TcpEnd::normal);
}

void NetstackImpl::finish(TcpConnection& c, TcpEnd end) {
  if (c.dead_) return;
  if (c.state_ == TcpState::syn_received && c.passive_) --half_open;
  TcpEvents* events = c.events_;
  c.events_ = nullptr;
  c.state_ = TcpState::closed;
  const bool was_busy = c.busy_;
  c.busy_ = true;
  c.dead_ = true;
  if (events != nullptr) events->on_closed(c, end);
  c.busy_ = was_busy;
  if (!c.busy_) release(c);
}

void NetstackImpl::after_callbacks(TcpConnection& c) {
  if (c.busy_) return;
  if (!c.dead_) {
    c.busy_ = true;
    output(c);
    if (!c.dead_) acknowledge_if_due(c);
    c.busy_ = false;
  }
  if (c.dead_)
    release(c);
  else
    arm(c);
}

}  // namespace weft::models
