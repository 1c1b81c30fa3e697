#include "control/store.h"

#include <sqlite3.h>
#include <unistd.h>

#include <cstdio>
#include <deque>
#include <filesystem>
#include <fstream>

#include "tests/catch.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::test;
using namespace weft::control;

namespace {

Time at(std::int64_t ms) { return Time{} + milliseconds(ms); }

/// A file that is gone with the test.
struct TemporaryFile {
  std::string path = (std::filesystem::temp_directory_path() /
                      ("weft-store-" + std::to_string(::getpid()) + ".db"))
                         .string();
  TemporaryFile() { clear(); }
  ~TemporaryFile() { clear(); }
  void clear() const {
    for (const char* tail : {"", "-wal", "-shm"}) std::remove((path + tail).c_str());
  }
};

Result<> ask(Store& store, Intent& intent, const Transaction& t, Time now, std::uint64_t term = 0) {
  auto changes = intent.apply(t);
  REQUIRE(changes.ok());
  return store.commit(t, *changes, now, term);
}

}  // namespace

TEST_CASE("the desired state survives in the database, numbers included") {
  const TemporaryFile file;
  Intent intent;
  {
    auto store = Store::open(file.path);
    REQUIRE(store.ok());
    REQUIRE(store->version() == 0);
    REQUIRE(ask(*store, intent, three_tier("shop", 100, 3, true), at(0)).ok());
    Transaction t;
    t.remove(Table::acl, "shop/web-to-app");
    Group web = intent.groups().at("shop/web");
    web.members.erase("shop/web-1");
    t.update(web);
    t.remove(Table::port, "shop/web-1");
    REQUIRE(ask(*store, intent, t, at(5)).ok());
    REQUIRE(store->version() == 2);
  }
  auto store = Store::open(file.path);
  REQUIRE(store.ok());
  REQUIRE(store->version() == 2);
  auto loaded = store->load();
  REQUIRE(loaded.ok());
  REQUIRE(loaded->save() == intent.save());
}

TEST_CASE("files that are no database of weft are refused and left alone") {
  const TemporaryFile file;
  std::ofstream(file.path) << std::string(8192, 'x');
  REQUIRE_FALSE(Store::open(file.path).ok());
  file.clear();

  sqlite3* other = nullptr;
  REQUIRE(sqlite3_open(file.path.c_str(), &other) == SQLITE_OK);
  REQUIRE(sqlite3_exec(other, "CREATE TABLE mine (x)", nullptr, nullptr, nullptr) == SQLITE_OK);
  sqlite3_close(other);
  const auto refused = Store::open(file.path);
  REQUIRE_FALSE(refused.ok());
  REQUIRE(refused.error().message.find("none of weft") != std::string::npos);

  REQUIRE_FALSE(Store::open("/nowhere/at/all.db").ok());
}

TEST_CASE("one leads at a time, and each leader has a higher term") {
  auto store = Store::open(":memory:");
  REQUIRE(store.ok());
  REQUIRE_FALSE(store->lease());
  const auto a = store->acquire("a", at(0), milliseconds(100));
  REQUIRE((a.ok() && *a));
  REQUIRE((*a)->term == 1);
  REQUIRE_FALSE(*store->acquire("b", at(50), milliseconds(100)));
  REQUIRE(*store->renew(**a, at(60), milliseconds(100)));
  REQUIRE_FALSE(*store->acquire("b", at(159), milliseconds(100)));
  const auto b = store->acquire("b", at(160), milliseconds(100));
  REQUIRE((b.ok() && *b));
  REQUIRE((*b)->term == 2);

  // a was paused, believes that it leads, and is refused where it would do harm.
  REQUIRE_FALSE(*store->renew(**a, at(161), milliseconds(100)));
  Intent intent;
  Intent before = intent;
  const Transaction t = three_tier("shop", 100, 1, false);
  auto changes = intent.apply(t);
  REQUIRE(changes.ok());
  const auto refused = store->commit(t, *changes, at(162), (*a)->term);
  REQUIRE_FALSE(refused.ok());
  REQUIRE(refused.error().remedy.find("b leads, with term 2") != std::string::npos);
  REQUIRE(store->version() == 0);
  REQUIRE(store->commit(t, *changes, at(162), (*b)->term).ok());

  REQUIRE(store->release(**b, at(170)).ok());
  const auto again = store->acquire("a", at(170), milliseconds(100), 40);
  REQUIRE((again.ok() && *again));
  REQUIRE((*again)->term == 40);
}

namespace {

/// Two controllers that both think they lead, and the agents of some hypervisors. What an agent
/// says reaches both, as on a bus.
struct SplitBrain {
  static constexpr unsigned kHosts = 3;
  SplitBrain() {
    for (unsigned i = 0; i < kHosts; ++i) {
      options.hypervisors.push_back("hv-" + std::to_string(i + 1));
      AgentOptions a;
      a.hypervisor = options.hypervisors.back();
      a.vtep = Ip4{0xac100001u + i};
      a.tunnel_port = 2;
      agents.push_back(std::make_unique<Agent>(a, sinks.emplace_back(nullptr)));
      agents.back()->start(now);
    }
  }
  void lead(const Bytes& state, std::uint64_t session) {
    options.session = session;
    auto c = Controller::restored(options, state);
    REQUIRE(c.ok());
    controllers.push_back(std::make_unique<Controller>(std::move(*c)));
    controllers.back()->start(now);
  }
  void run(Duration length) {
    const Time end = now + length;
    for (; now < end; now = now + microseconds(500)) {
      for (auto& a : agents) a->tick(now);
      for (auto& c : controllers) c->tick(now);
      for (auto& a : agents)
        for (auto& m : a->take_outgoing())
          for (auto& c : controllers) c->on_message(m.hypervisor, m.bytes, now);
      for (auto& c : controllers)
        for (auto& m : c->take_outgoing())
          for (unsigned i = 0; i < kHosts; ++i)
            if (options.hypervisors[i] == m.hypervisor) agents[i]->on_message(m.bytes, now);
    }
  }
  Time now{};
  ControllerOptions options;
  std::deque<PipelineSink> sinks;
  std::vector<std::unique_ptr<Agent>> agents;
  std::vector<std::unique_ptr<Controller>> controllers;
};

}  // namespace

TEST_CASE("of two controllers that think they lead, the agents follow the later one for ever") {
  SplitBrain world;
  Intent intent;
  REQUIRE(intent.apply(three_tier("shop", 100, 2, true)).ok());
  world.lead(intent.save(), session_of(1, 1));
  for (unsigned i = 0; i < 3; ++i)
    world.agents[i]->port_up({"shop/web-" + std::to_string(i % 2 + 1), 10 + i, true, 1 + i / 2},
                             world.now);
  world.run(milliseconds(50));
  REQUIRE(world.controllers[0]->in_sync());

  // The first is not told anything; the second has another state.
  Transaction t;
  t.remove(Table::acl, "shop/app-to-db");
  REQUIRE(intent.apply(t).ok());
  world.lead(intent.save(), session_of(2, 1));
  REQUIRE(world.controllers[0]->deposed_by() == 0);
  world.run(milliseconds(200));
  REQUIRE(world.controllers[0]->deposed_by() == session_of(2, 1));
  REQUIRE(world.controllers[1]->deposed_by() == 0);
  REQUIRE(world.controllers[1]->in_sync());

  Transaction mischief;
  mischief.remove(Table::acl, "shop/web-to-app");
  const auto refused = world.controllers[0]->transact(mischief, world.now);
  REQUIRE_FALSE(refused.ok());
  REQUIRE(refused.error().message.find("has been replaced") != std::string::npos);

  for (unsigned i = 0; i < 3; ++i) {
    const auto want = world.controllers[1]->rules_of(world.options.hypervisors[i]);
    auto have = world.sinks[i].installed_rules();
    std::sort(have.begin(), have.end());
    auto sorted = want;
    std::sort(sorted.begin(), sorted.end());
    REQUIRE(have == sorted);
  }
}
