// Ledger: where every packet of one LP is accounted for. Conservation is
//
//     created + received == delivered + consumed + dropped + sent + held
//
// per LP, and created == delivered + consumed + dropped + in flight over the run. The ledger is
// part of the LP (no sharing); the world adds the ledgers up.
//
// Drops are counted always, by (traffic, reason, cookie); single records are kept up to a limit
// (`records`), which feed events.jsonl, `weft explain --drops` and the comments in captures.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "base/time.h"
#include "datapath/packet.h"
#include "datapath/verdict.h"

namespace weft::models {

struct DropRecord {
  Time at{};
  std::uint64_t order = 0;  ///< of the event it happened in: merges records of different LPs
  PacketId packet = 0;
  std::uint32_t flow = 0;  ///< traffic index + 1, 0: none
  std::uint32_t tenant = 0;
  DropReason reason{};
  std::uint64_t cookie = 0;  ///< rule, 0: none
  std::uint32_t where = 0;   ///< port index within the LP
  std::uint32_t size = 0;    ///< bytes of the frame
  std::string frame{};       ///< one line, as tcpdump would print it
};

struct DropKey {
  std::uint32_t flow;
  DropReason reason;
  std::uint64_t cookie;
  auto operator<=>(const DropKey&) const = default;
};

struct Ledger {
  std::uint64_t created = 0;
  std::uint64_t delivered = 0;
  std::uint64_t consumed = 0;
  std::uint64_t dropped = 0;
  std::array<std::uint64_t, kDropReasons> by_reason{};
  std::map<DropKey, std::uint64_t> by_key;
  std::vector<DropRecord> records;
  std::size_t record_limit = 20'000;

  bool wants_record() const { return records.size() < record_limit; }
  void drop(DropRecord record) {
    ++dropped;
    ++by_reason[static_cast<std::size_t>(record.reason)];
    ++by_key[{record.flow, record.reason, record.cookie}];
    if (wants_record()) records.push_back(std::move(record));
  }
};

}  // namespace weft::models
