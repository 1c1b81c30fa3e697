// Replica: one end of the conversation between a controller and an agent. Each end publishes one
// table of records (key -> bytes) and mirrors the other's; both directions work alike. Whatever
// channel lies between may lose, delay, duplicate, reorder or damage messages.
//
//   message   magic "WF" | version 1 | type | length 32 | checksum 32 | from 64 | to 64 | ack 32 |
//             body
//   hello     (empty)                                  greets, or answers one who knows us wrongly
//   data      sequence 32 | flags 8 | entries ...      flags: 1 a full state begins, 2 commit
//   ack       (empty)
//   deposed   session 64               you have been replaced: this is the life that I know
//   entry     kind 8 (1 set, 2 erase, 3 a part of a value whose rest follows) | key | value
//
// Sessions. Each life of an end has a number, higher than those of its earlier lives. A message
// says from which life to which it goes (0: unknown). From an older life than the one known: late,
// ignored. From a newer one: the peer has restarted and knows nothing; it gets the full state, and
// what it publishes is read from the beginning. To an earlier life of ours: answered by a hello.
// So a session number is a fencing token too: of two controllers that both think they lead, each
// with a number of its own from the lease that they compete for (store.h), an end listens to the
// higher one for ever. It says `deposed` to the other, which then publishes nothing any more.
//
// Within a pair of sessions data is numbered from 1, acknowledged cumulatively, kept in order by
// the receiver and retransmitted until acknowledged, with a timeout that follows the measured round
// trip and doubles. There is no log: what is not yet sent is a queue of *keys*, and the value sent
// is the newest, so a slow peer costs memory for its keys and nothing else, and a change that is
// overtaken is never sent.
//
// Commits. The keys that were waiting when a batch began are sent as one batch and its last message
// carries the commit flag; the receiver shows changes only at commits, so a batch that took several
// messages is seen whole. A full state becomes visible at its first commit as the *difference* to
// the mirror that was there before: a peer that restarts and publishes the same causes no change.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "base/time.h"
#include "control/agent.h"

namespace weft::control {

/// Shared, because many hypervisors get the same record.
using RecordValue = std::shared_ptr<const std::string>;
using RecordTable = std::map<std::string, RecordValue>;

struct RecordChange {
  std::string key;
  RecordValue value;     ///< null: removed
  bool fresh = false;    ///< there was no such record before
  RecordValue before{};  ///< null: fresh
};

struct ReplicaStats {
  std::uint64_t messages_in = 0, messages_out = 0, bytes_in = 0, bytes_out = 0;
  std::uint64_t ignored = 0, retransmits = 0;
  std::uint64_t full_states_sent = 0, full_states_received = 0;
  std::uint64_t records_sent = 0;
};

class Replica {
 public:
  Replica(std::uint64_t session, const Timing& timing);

  /// Greets the peer until it answers.
  void start(Time now);

  // --- what this end publishes ---
  void set(const std::string& key, RecordValue value);
  void erase(const std::string& key);
  const RecordTable& published() const { return published_; }
  bool has_unsent() const { return peer_ != 0 && (!queue_.empty() || full_state_due_); }
  /// The peer has confirmed all that was published.
  bool confirmed() const;

  // --- what the peer publishes ---
  /// Takes a message; committed changes of the mirror are appended to `changes`. False: nonsense.
  bool receive(const Bytes& message, Time now, std::vector<RecordChange>& changes);
  const RecordTable& mirror() const { return mirror_; }
  /// The mirror shows a full state of the peer's present life.
  bool mirror_complete() const { return mirror_complete_; }
  bool knows_peer() const { return peer_ != 0; }
  /// The session of the end that took this one's place; 0: none did, as far as is known.
  std::uint64_t deposed_by() const { return deposed_by_; }

  /// Retransmits what is due; sends what waits (as far as the window allows) if `publish`.
  void run(Time now, bool publish);
  std::vector<Bytes> take_outgoing();
  Time next_wakeup() const;
  const ReplicaStats& stats() const { return stats_; }

 private:
  enum class Type : std::uint8_t { hello = 1, data = 2, ack = 3, deposed = 4 };
  struct Entry {
    std::uint8_t kind = 0;
    std::string key, value;
  };
  struct Data {
    std::uint8_t flags = 0;
    std::vector<Entry> entries;
  };
  struct UnderWay {
    std::uint32_t sequence = 0;
    std::string body;
    Time sent{}, due{};
    bool repeated = false;
    Duration timeout{};
  };

  void send(Type type, const std::string& body);
  void forget_peer_state();
  void meet_peer(std::uint64_t session);
  void take_ack(std::uint32_t ack, Time now);
  bool take_data(std::string_view body, std::vector<RecordChange>& changes);
  void accept(const Data& data, std::vector<RecordChange>& changes);
  void commit(std::vector<RecordChange>& changes);
  void enqueue(const std::string& key);
  void send_waiting(Time now);
  bool fill_message(std::string& entries);

  const std::uint64_t session_;
  const Timing timing_;
  std::uint64_t peer_ = 0;
  std::uint64_t deposed_by_ = 0;
  std::uint64_t depose_ = 0;  // the session to be told that it is over

  // Publishing.
  RecordTable published_;
  std::deque<std::string> queue_;  // keys to send, oldest first; `queued_` are the same
  std::set<std::string> queued_;
  bool full_state_due_ = true;  // the next message begins a full state
  std::size_t batch_left_ = 0;  // keys of the present batch still in the queue
  bool batch_open_ = false;
  std::string cut_key_;  // a value being sent in parts
  RecordValue cut_value_;
  std::size_t cut_offset_ = 0;
  std::uint32_t next_sequence_ = 1;
  std::deque<UnderWay> under_way_;
  Duration timeout_;
  Duration round_trip_{};  // smoothed; zero: not measured

  // Mirroring.
  RecordTable mirror_;
  bool mirror_complete_ = false;
  bool in_full_state_ = false;
  RecordTable full_state_;
  std::map<std::string, RecordValue> uncommitted_;
  std::map<std::string, std::string> parts_;
  std::uint32_t expected_ = 1;
  std::map<std::uint32_t, Data> early_;
  bool ack_due_ = false;

  bool started_ = false;
  bool hello_due_ = false;
  Time hello_at_ = Time::never();
  Duration hello_gap_{};
  std::vector<Bytes> outgoing_;
  ReplicaStats stats_;
};

}  // namespace weft::control
