// Store: the desired state in an embedded database (SQLite), so that it survives whoever keeps it,
// and the lease by which controllers agree who leads.
//
//   rows          (tbl, name) -> the row, as bytes      what is asked now
//   log           version -> time, who, changes (JSON)  how it came to be
//   lease         holder, term, until                   one row
//
// Each transaction is one SQLite transaction: after a crash at any moment the database holds all of
// it or nothing. The journal is what SQLite's WAL is; `synchronous = FULL` on files.
//
// The lease. acquire() gives it to who asks if nobody holds it or its time is over, with a higher
// `term` than any before; renew() prolongs it for its holder only. Clocks are the caller's, and may
// be wrong: that is why a controller uses its term as the high half of its session number (see
// session_of), which agents obey (replica.h). A controller whose lease went to another one while it
// was paused is refused here by commit(), which checks the term in the same transaction, and by the
// agents, who know the other.
//
// An older copy of the database may be put in its place: it is then simply what is asked, and the
// hypervisors are reconciled to it. Sessions still grow, as terms are compared with the term that
// the agents know: a controller that is told `deposed` by its own past asks for a higher term with
// acquire(..., at_least).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "base/time.h"
#include "control/intent.h"

namespace weft::control {

class Store {
 public:
  /// A file, which is made if there is none, or ":memory:". Another program's file, a damaged one,
  /// or one that cannot be written is an error.
  static Result<Store> open(const std::string& path);
  ~Store();
  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;

  /// The desired state as of the last commit.
  Result<Intent> load();
  /// Of the last commit; 0: none yet.
  std::uint64_t version();
  /// Writes what a transaction changed (Intent::apply gave it). `term`: of the lease under which it
  /// was asked; if the lease is another's by now nothing is written and it is an error. 0: no
  /// lease.
  Result<> commit(const Transaction& asked, const std::vector<RowChange>& changes, Time now,
                  std::uint64_t term = 0);

  struct Lease {
    std::string holder;
    std::uint64_t term = 0;
    Time until{};
  };
  /// As it stands; none: never given.
  std::optional<Lease> lease();
  /// None: somebody else holds it. `at_least`: the new term is that or more.
  Result<std::optional<Lease>> acquire(const std::string& holder, Time now, Duration length,
                                       std::uint64_t at_least = 0);
  /// False: it is not this holder's and term's any more.
  Result<bool> renew(const Lease& held, Time now, Duration length);
  /// Gives it back early.
  Result<> release(const Lease& held, Time now);

 private:
  struct Impl;
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// Session number of the `life`-th start of a controller under a term.
constexpr std::uint64_t session_of(std::uint64_t term, std::uint32_t life) {
  return term << 32 | life;
}

}  // namespace weft::control
