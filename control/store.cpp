#include "control/store.h"

#include <fmt/format.h>
#include <sqlite3.h>

#include "control/encoding.h"
#include "control/intent_json.h"

namespace weft::control {
namespace {

constexpr int kApplication = 0x77656674;  // "weft"
constexpr int kLayout = 1;

struct Close {
  void operator()(sqlite3* db) const { sqlite3_close_v2(db); }
  void operator()(sqlite3_stmt* s) const { sqlite3_finalize(s); }
};
using Database = std::unique_ptr<sqlite3, Close>;
using Statement = std::unique_ptr<sqlite3_stmt, Close>;

}  // namespace

struct Store::Impl {
  std::string path;
  Database db;

  Error failed(const std::string& what) const {
    return {fmt::format("{}: {}: {}", path, what, sqlite3_errmsg(db.get())),
            {},
            "look at the file, the folder and the space on the disk"};
  }

  Result<> run(const char* sql) {
    if (sqlite3_exec(db.get(), sql, nullptr, nullptr, nullptr) != SQLITE_OK)
      return failed("the database refuses");
    return {};
  }

  /// Binds values by their type, in their order.
  template <class... Values>
  Result<Statement> prepare(const char* sql, const Values&... values) {
    sqlite3_stmt* raw = nullptr;
    if (sqlite3_prepare_v2(db.get(), sql, -1, &raw, nullptr) != SQLITE_OK)
      return failed("the database cannot be read");
    Statement statement(raw);
    int at = 0;
    (bind(raw, ++at, values), ...);
    return statement;
  }
  static void bind(sqlite3_stmt* s, int at, std::uint64_t v) {
    sqlite3_bind_int64(s, at, static_cast<sqlite3_int64>(v));
  }
  static void bind(sqlite3_stmt* s, int at, const std::string& v) {
    sqlite3_bind_blob64(s, at, v.data(), v.size(), SQLITE_TRANSIENT);
  }
  /// True: a row is there.
  Result<bool> step(const Statement& s) {
    const int done = sqlite3_step(s.get());
    if (done == SQLITE_ROW) return true;
    if (done == SQLITE_DONE) return false;
    return failed("the database fails");
  }
  template <class... Values>
  Result<> change(const char* sql, const Values&... values) {
    auto s = prepare(sql, values...);
    if (!s) return s.error();
    auto done = step(*s);
    if (!done) return done.error();
    return {};
  }
  static std::string text(const Statement& s, int column) {
    const void* data = sqlite3_column_blob(s.get(), column);
    const auto size = static_cast<std::size_t>(sqlite3_column_bytes(s.get(), column));
    return data == nullptr ? std::string() : std::string(static_cast<const char*>(data), size);
  }
  static std::uint64_t number(const Statement& s, int column) {
    return static_cast<std::uint64_t>(sqlite3_column_int64(s.get(), column));
  }

  /// All of `call` or nothing of it.
  template <class Call>
  auto whole(Call&& call) -> decltype(call()) {
    if (auto begun = run("BEGIN IMMEDIATE"); !begun) return begun.error();
    auto done = call();
    if (!done) {
      (void)run("ROLLBACK");
      return done;
    }
    if (auto ended = run("COMMIT"); !ended) {
      (void)run("ROLLBACK");
      return ended.error();
    }
    return done;
  }

  Result<std::optional<Lease>> read_lease() {
    auto s = prepare("SELECT holder, term, until FROM lease");
    if (!s) return s.error();
    auto row = step(*s);
    if (!row) return row.error();
    if (!*row) return std::optional<Lease>{};
    return std::optional<Lease>(
        Lease{text(*s, 0), number(*s, 1), Time{static_cast<std::int64_t>(number(*s, 2))}});
  }

  Result<> write_lease(const Lease& l) {
    return change("INSERT OR REPLACE INTO lease (one, holder, term, until) VALUES (1, ?, ?, ?)",
                  l.holder, l.term, static_cast<std::uint64_t>(l.until.ps));
  }

  Result<bool> is_ours() {
    auto s = prepare("PRAGMA application_id");
    if (!s) return s.error();
    auto row = step(*s);
    if (!row) return row.error();
    const auto id = static_cast<int>(number(*s, 0));
    if (id == kApplication) return true;
    auto tables = prepare("SELECT count(*) FROM sqlite_master");
    if (!tables) return tables.error();
    if (auto t = step(*tables); !t) return t.error();
    return id == 0 && number(*tables, 0) == 0;
  }

  Result<> make_tables() {
    return run(
        "PRAGMA journal_mode=WAL;"
        "PRAGMA synchronous=FULL;"
        "PRAGMA busy_timeout=5000;"
        "PRAGMA application_id=2003134068;"  // kApplication
        "PRAGMA user_version=1;"
        "CREATE TABLE IF NOT EXISTS rows (tbl INTEGER, name BLOB, bytes BLOB NOT NULL,"
        "  PRIMARY KEY (tbl, name)) WITHOUT ROWID;"
        "CREATE TABLE IF NOT EXISTS log (version INTEGER PRIMARY KEY, at INTEGER, who BLOB,"
        "  changes BLOB);"
        "CREATE TABLE IF NOT EXISTS lease (one INTEGER PRIMARY KEY CHECK (one = 1), holder BLOB,"
        "  term INTEGER, until INTEGER);");
  }
};
static_assert(kApplication == 2003134068 && kLayout == 1);

Store::Store(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Store::~Store() = default;
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;

Result<Store> Store::open(const std::string& path) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  sqlite3* raw = nullptr;
  const int done =
      sqlite3_open_v2(path.c_str(), &raw, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, nullptr);
  impl->db.reset(raw);
  if (done != SQLITE_OK) return impl->failed("cannot be opened");
  auto ours = impl->is_ours();
  if (!ours) return ours.error();
  if (!*ours)
    return Error{fmt::format("{} is a database, but none of weft", path),
                 {},
                 "give another file, or one that does not exist yet"};
  if (auto made = impl->make_tables(); !made) return made.error();
  return Store(std::move(impl));
}

std::uint64_t Store::version() {
  auto s = impl_->prepare("SELECT coalesce(max(version), 0) FROM log");
  if (!s) return 0;
  const auto row = impl_->step(*s);
  return row && *row ? Impl::number(*s, 0) : 0;
}

Result<Intent> Store::load() {
  auto s = impl_->prepare("SELECT tbl, name, bytes FROM rows ORDER BY tbl, name");
  if (!s) return s.error();
  std::vector<Row> rows;
  while (true) {
    auto row = impl_->step(*s);
    if (!row) return row.error();
    if (!*row) break;
    auto parsed = load_row(static_cast<std::uint8_t>(Impl::number(*s, 0)), Impl::text(*s, 1),
                           Impl::text(*s, 2));
    if (!parsed)
      return Error{fmt::format("{}: the row '{}' cannot be read", impl_->path, Impl::text(*s, 1)),
                   {},
                   "it was written by another version, or the file is damaged"};
    rows.push_back(std::move(*parsed));
  }
  return Intent::of(std::move(rows));
}

Result<> Store::commit(const Transaction& asked, const std::vector<RowChange>& changes, Time now,
                       std::uint64_t term) {
  return impl_->whole([&]() -> Result<> {
    if (term != 0) {
      auto lease = impl_->read_lease();
      if (!lease) return lease.error();
      if (!*lease || (*lease)->term != term)
        return Error{fmt::format("the lease of term {} is over", term),
                     {},
                     *lease
                         ? fmt::format("{} leads, with term {}", (*lease)->holder, (*lease)->term)
                         : "acquire it first"};
    }
    for (const RowChange& c : changes) {
      const Row& row = c.either();
      const auto table = static_cast<std::uint64_t>(table_of(row));
      auto done =
          c.after
              ? impl_->change("INSERT OR REPLACE INTO rows (tbl, name, bytes) VALUES (?, ?, ?)",
                              table, name_of(row), save_row(row))
              : impl_->change("DELETE FROM rows WHERE tbl = ? AND name = ?", table, name_of(row));
      if (!done) return done;
    }
    return impl_->change("INSERT INTO log (at, who, changes) VALUES (?, ?, ?)",
                         static_cast<std::uint64_t>(now.ps), asked.by, transaction_to_json(asked));
  });
}

std::optional<Store::Lease> Store::lease() {
  auto lease = impl_->read_lease();
  return lease ? *lease : std::nullopt;
}

Result<std::optional<Store::Lease>> Store::acquire(const std::string& holder, Time now,
                                                   Duration length, std::uint64_t at_least) {
  return impl_->whole([&]() -> Result<std::optional<Lease>> {
    auto held = impl_->read_lease();
    if (!held) return held.error();
    if (*held && (*held)->holder != holder && (*held)->until > now) return std::optional<Lease>{};
    const std::uint64_t last = *held ? (*held)->term : 0;
    const Lease mine{holder, std::max(last + 1, at_least), now + length};
    if (auto done = impl_->write_lease(mine); !done) return done.error();
    return std::optional<Lease>(mine);
  });
}

Result<bool> Store::renew(const Lease& held, Time now, Duration length) {
  return impl_->whole([&]() -> Result<bool> {
    auto is = impl_->read_lease();
    if (!is) return is.error();
    if (!*is || (*is)->holder != held.holder || (*is)->term != held.term) return false;
    if (auto done = impl_->write_lease({held.holder, held.term, now + length}); !done)
      return done.error();
    return true;
  });
}

Result<> Store::release(const Lease& held, Time now) {
  auto done = renew(held, now, Duration{});
  if (!done) return done.error();
  return {};
}

}  // namespace weft::control
