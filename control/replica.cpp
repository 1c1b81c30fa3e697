#include "control/replica.h"

#include <algorithm>

#include "base/check.h"
#include "base/hash.h"
#include "control/encoding.h"

namespace weft::control {
namespace {

constexpr std::uint16_t kMagic = 0x5746;  // "WF"
constexpr std::uint8_t kVersion = 1;
constexpr std::size_t kHeader = 32;
constexpr std::size_t kChecksumAt = 8;
constexpr std::size_t kLargestValue = 1u << 24;
constexpr std::uint8_t kSet = 1, kErase = 2, kPart = 3;
constexpr std::uint8_t kBegin = 1, kCommit = 2;

std::uint32_t checksum(std::string_view message) {
  const auto bytes = std::as_bytes(std::span(message.data(), message.size()));
  std::uint64_t h = hash_bytes(bytes.first(kChecksumAt));
  h = hash_bytes(bytes.subspan(kChecksumAt + 4), h);
  return static_cast<std::uint32_t>(h ^ h >> 32);
}

bool same(const RecordValue& a, const RecordValue& b) { return a == b || (a && b && *a == *b); }

}  // namespace

Replica::Replica(std::uint64_t session, const Timing& timing)
    : session_(session), timing_(timing), timeout_(timing.retransmit) {
  WEFT_CHECK(session > 0);
  WEFT_CHECK(timing.message_limit >= 256 && timing.window > 0);
}

void Replica::start(Time now) {
  started_ = true;
  hello_at_ = now;
  hello_gap_ = timing_.retransmit;
}

void Replica::enqueue(const std::string& key) {
  if (queued_.insert(key).second) queue_.push_back(key);
}

void Replica::set(const std::string& key, RecordValue value) {
  RecordValue& slot = published_[key];
  if (same(slot, value)) return;
  slot = std::move(value);
  if (peer_ != 0) enqueue(key);
}

void Replica::erase(const std::string& key) {
  if (published_.erase(key) != 0 && peer_ != 0) enqueue(key);
}

bool Replica::confirmed() const {
  return peer_ != 0 && queue_.empty() && !full_state_due_ && !batch_open_ && under_way_.empty();
}

void Replica::send(Type type, const std::string& body) {
  std::string message;
  message.reserve(kHeader + body.size());
  Writer w(message);
  w.u16(kMagic);
  w.u8(kVersion);
  w.u8(static_cast<std::uint8_t>(type));
  w.u32(static_cast<std::uint32_t>(kHeader + body.size()));
  w.u32(0);
  w.u64(session_);
  w.u64(peer_);
  w.u32(expected_ - 1);
  message += body;
  const std::uint32_t sum = checksum(message);
  for (std::size_t i = 0; i < 4; ++i)
    message[kChecksumAt + i] = static_cast<char>(sum >> (24 - 8 * i));
  ++stats_.messages_out;
  stats_.bytes_out += message.size();
  outgoing_.emplace_back(message.begin(), message.end());
  if (type != Type::hello) ack_due_ = false;
}

// The peer's present life knows nothing of ours: everything starts at its beginning. The mirror
// stays, to be compared with the full state that will come.
void Replica::forget_peer_state() {
  queue_.clear();
  queued_.clear();
  under_way_.clear();
  cut_value_.reset();
  batch_open_ = false;
  full_state_due_ = true;
  next_sequence_ = 1;
  timeout_ = timing_.retransmit;
  expected_ = 1;
  early_.clear();
  uncommitted_.clear();
  parts_.clear();
  full_state_.clear();
  in_full_state_ = false;
  mirror_complete_ = false;
}

void Replica::meet_peer(std::uint64_t session) {
  forget_peer_state();
  peer_ = session;
  hello_at_ = Time::never();
  for (const auto& [key, value] : published_) enqueue(key);
}

bool Replica::receive(const Bytes& bytes, Time now, std::vector<RecordChange>& changes) {
  ++stats_.messages_in;
  stats_.bytes_in += bytes.size();
  const std::string_view message(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  Reader r(message);
  const bool ours = r.u16() == kMagic && r.u8() == kVersion;
  const std::uint8_t type = r.u8();
  const std::uint32_t length = r.u32();
  const std::uint32_t sum = r.u32();
  const std::uint64_t from = r.u64();
  const std::uint64_t to = r.u64();
  const std::uint32_t ack = r.u32();
  if (!ours || r.failed() || length != message.size() || from == 0 || type < 1 || type > 4 ||
      sum != checksum(message)) {
    ++stats_.ignored;
    return false;
  }
  if (from < peer_) {  // an earlier life of the peer, or one that does not know that it is over
    depose_ = from;
    return true;
  }
  if (from > peer_) meet_peer(from);
  if (to != session_) {
    hello_due_ = true;  // the peer does not know this life yet
    return true;
  }
  if (type == static_cast<std::uint8_t>(Type::hello)) return true;
  if (type == static_cast<std::uint8_t>(Type::deposed)) {
    const std::uint64_t by = r.u64();
    if (r.finished() && by > session_) deposed_by_ = by;
    return r.finished();
  }
  take_ack(ack, now);
  if (type == static_cast<std::uint8_t>(Type::ack)) return true;
  if (take_data(message.substr(kHeader), changes)) return true;
  ++stats_.ignored;
  return false;
}

void Replica::take_ack(std::uint32_t ack, Time now) {
  if (ack >= next_sequence_) return;  // never sent: nonsense
  while (!under_way_.empty() && under_way_.front().sequence <= ack) {
    const UnderWay& message = under_way_.front();
    if (!message.repeated) {  // Karn: an ack of a repeated message says nothing about time
      const Duration measured = now - message.sent;
      round_trip_ = round_trip_.ps == 0 ? measured : (round_trip_ * 7 + measured) / 8;
      timeout_ = std::clamp(round_trip_ * 3, timing_.retransmit, timing_.retransmit_limit);
    }
    under_way_.pop_front();
  }
}

bool Replica::take_data(std::string_view body, std::vector<RecordChange>& changes) {
  Reader r(body);
  const std::uint32_t sequence = r.u32();
  Data data;
  data.flags = r.u8();
  while (!r.failed() && r.left() > 0) {
    Entry entry;
    entry.kind = r.u8();
    entry.key = r.text();
    if (entry.kind != kErase) entry.value = r.text();
    if (entry.kind < kSet || entry.kind > kPart) r.fail();
    data.entries.push_back(std::move(entry));
  }
  if (r.failed() || sequence == 0) return false;
  ack_due_ = true;
  if (sequence < expected_ || sequence - expected_ > 4 * timing_.window) return true;
  early_.try_emplace(sequence, std::move(data));
  while (!early_.empty() && early_.begin()->first == expected_) {
    ++expected_;
    accept(early_.begin()->second, changes);
    early_.erase(early_.begin());
  }
  return true;
}

void Replica::accept(const Data& data, std::vector<RecordChange>& changes) {
  if ((data.flags & kBegin) != 0) {
    in_full_state_ = true;
    full_state_.clear();
    uncommitted_.clear();
    parts_.clear();
  }
  for (const Entry& entry : data.entries) {
    if (entry.kind == kErase) {
      parts_.erase(entry.key);
      uncommitted_[entry.key] = nullptr;
      continue;
    }
    std::string& value = parts_[entry.key];
    if (value.size() + entry.value.size() <= kLargestValue) value += entry.value;
    if (entry.kind == kPart) continue;
    uncommitted_[entry.key] = std::make_shared<const std::string>(std::move(value));
    parts_.erase(entry.key);
  }
  if ((data.flags & kCommit) != 0) commit(changes);
}

void Replica::commit(std::vector<RecordChange>& changes) {
  if (in_full_state_) {
    in_full_state_ = false;
    mirror_complete_ = true;
    ++stats_.full_states_received;
    // What the new full state does not name is gone.
    for (const auto& [key, value] : mirror_) uncommitted_.try_emplace(key, nullptr);
  }
  for (auto& [key, value] : uncommitted_) {
    const auto it = mirror_.find(key);
    const bool fresh = it == mirror_.end();
    RecordValue before = fresh ? nullptr : it->second;
    if (!value) {
      if (it == mirror_.end()) continue;
      mirror_.erase(it);
    } else if (it == mirror_.end()) {
      mirror_.emplace(key, value);
    } else if (same(it->second, value)) {
      continue;
    } else {
      it->second = value;
    }
    changes.push_back({key, std::move(value), fresh, std::move(before)});
  }
  uncommitted_.clear();
}

// Appends entries up to the message limit; true when the batch ends with them.
bool Replica::fill_message(std::string& entries) {
  const std::size_t limit = timing_.message_limit - kHeader;
  Writer w(entries);
  while (batch_left_ > 0 || cut_value_) {
    if (!cut_value_) {
      const std::string& key = queue_.front();
      const auto it = published_.find(key);
      const std::size_t overhead = 9 + key.size();
      const std::size_t need = overhead + (it == published_.end() ? 0 : it->second->size());
      if (entries.size() + need > limit && entries.size() > 5) return false;
      ++stats_.records_sent;
      if (it != published_.end() && entries.size() + need > limit) {
        cut_key_ = key;
        cut_value_ = it->second;
        cut_offset_ = 0;
      } else if (it == published_.end()) {
        w.u8(kErase);
        w.text(key);
      } else {
        w.u8(kSet);
        w.text(key);
        w.text(*it->second);
      }
      queued_.erase(key);
      queue_.pop_front();
      --batch_left_;
      if (!cut_value_) continue;
    }
    // Keys are far shorter than a message: at least one byte of the value always fits.
    const std::size_t used = entries.size() + 9 + cut_key_.size();
    const std::size_t room = limit > used ? limit - used : 1;
    const std::size_t rest = cut_value_->size() - cut_offset_;
    const std::size_t now = std::min(room, rest);
    w.u8(now == rest ? kSet : kPart);
    w.text(cut_key_);
    w.text(std::string_view(*cut_value_).substr(cut_offset_, now));
    cut_offset_ += now;
    if (now < rest) return false;
    cut_value_.reset();
  }
  return true;
}

void Replica::send_waiting(Time now) {
  while (under_way_.size() < timing_.window) {
    if (!batch_open_) {
      if (queue_.empty() && !full_state_due_) return;
      batch_open_ = true;
      batch_left_ = queue_.size();
    }
    UnderWay message;
    message.sequence = next_sequence_++;
    Writer w(message.body);
    w.u32(message.sequence);
    w.u8(0);
    std::uint8_t flags = 0;
    if (full_state_due_) {
      flags |= kBegin;
      full_state_due_ = false;
      ++stats_.full_states_sent;
    }
    if (fill_message(message.body)) {
      flags |= kCommit;
      batch_open_ = false;
    }
    message.body[4] = static_cast<char>(flags);
    message.sent = now;
    message.timeout = timeout_;
    message.due = now + timeout_;
    send(Type::data, message.body);
    under_way_.push_back(std::move(message));
  }
}

void Replica::run(Time now, bool publish) {
  if (deposed_by_ != 0) return;
  if (peer_ != 0) {
    bool late = false;
    for (UnderWay& message : under_way_) {
      if (message.due > now) continue;
      late = true;
      message.repeated = true;
      message.timeout = std::min(message.timeout * 2, timing_.retransmit_limit);
      message.due = now + message.timeout;
      ++stats_.retransmits;
      send(Type::data, message.body);
    }
    if (late) timeout_ = std::min(timeout_ * 2, timing_.retransmit_limit);
    if (publish) send_waiting(now);
    if (ack_due_) send(Type::ack, {});
  }
  if (started_ && hello_at_ <= now) {
    hello_due_ = true;
    hello_at_ = now + hello_gap_;
    hello_gap_ = std::min(hello_gap_ * 2, timing_.retransmit_limit);
  }
  if (hello_due_) send(Type::hello, {});
  hello_due_ = false;
  if (depose_ != 0) {
    std::string body;
    Writer(body).u64(peer_);
    const std::uint64_t peer = std::exchange(peer_, depose_);
    send(Type::deposed, body);
    peer_ = peer;
    depose_ = 0;
  }
}

std::vector<Bytes> Replica::take_outgoing() { return std::exchange(outgoing_, {}); }

Time Replica::next_wakeup() const {
  if (deposed_by_ != 0) return Time::never();
  Time at = started_ ? hello_at_ : Time::never();
  for (const UnderWay& message : under_way_) at = std::min(at, message.due);
  return at;
}

}  // namespace weft::control
