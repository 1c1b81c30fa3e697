#include "control/intent_json.h"

#include "tests/catch.h"
#include "tests/unit/control/lab.h"

using namespace weft;
using namespace weft::test;
using namespace weft::control;

namespace {

/// One row of each kind, with fields of every type.
std::vector<Row> samples() {
  Router router{.name = "t/r", .tenant = "t", .ports = {}, .gateways = {{"hv-1", 10}}};
  router.ports.push_back({.network = "t/net",
                          .mac = mac_of(7),
                          .addresses = {Ip4{0x0a000001}},
                          .subnets = {{Ip4{0x0a000000}, 24}},
                          .gateways = {{"hv-1", 2}, {"hv-2", 1}}});
  Acl acl{.name = "t/acl", .tenant = "t"};
  acl.cookie = 77;
  acl.action = AclAction::reject;
  acl.to = {Peer::Kind::group, "t/g", {}};
  acl.match = "tcp.dst == {80, 443}";
  acl.tier = 2;
  LoadBalancer lb{.name = "t/lb", .tenant = "t"};
  lb.vips = {{Ip4{0x0a000064}, 80, {{Ip4{0x0a000005}, 8080, "t/p"}}}};
  lb.networks = {"t/net"};
  return {
      Tenant{"t", true, false, 5, {{"port", 10}}},
      Network{"t/net", "t", 9, {{Ip4{0x0a000000}, 24}, {Ip6{0xfdULL << 56, 0}, 64}}, 1400, true},
      router,
      Port{.name = "t/p",
           .network = "t/net",
           .mac = mac_of(5),
           .addresses = {Ip4{0x0a000005}},
           .requested = "hv-1",
           .allowed = {{Ip4{0x0b000000}, 8}},
           .also = {"hv-2"}},
      Group{"t/g", "t", {"t/p"}},
      AddressSet{"t/set", "t", {{Ip4{0x0a000005}, 32}}},
      acl,
      Route{.name = "t/route", .router = "t/r", .prefix = {Ip4{0}, 0}, .next_hop = Ip4{0x0a0000fe}},
      Policy{.name = "t/pol",
             .router = "t/r",
             .match = "ip4",
             .action = Policy::Action::reroute,
             .next_hops = {Ip4{0x0a0000fe}}},
      Nat{.name = "t/nat", .router = "t/r", .external = Ip4{1}, .logical = {Ip4{0x0a000000}, 24}},
      lb,
      DhcpOptions{.name = "t/dhcp", .tenant = "t", .options = {{"mtu", "1400"}}},
      Dns{.name = "t/dns", .tenant = "t", .records = {{"a.b", {Ip4{3}}}}, .networks = {"t/net"}},
      Qos{.name = "t/qos", .network = "t/net", .match = "1", .dscp = 10},
      Mirror{.name = "t/mirror", .tenant = "t", .ports = {"t/p"}, .sent = false, .sink = "t/q"}};
}

}  // namespace

TEST_CASE("every kind of row comes back from JSON as it was") {
  REQUIRE(samples().size() == kTables);
  Transaction t;
  t.by = "t";
  for (const Row& row : samples()) t.insert(row);
  for (const Row& row : samples()) t.update(row);
  t.remove(Table::acl, "t/acl");
  const std::string text = transaction_to_json(t);
  INFO(text);
  const auto back = transaction_from_json(text, Intent{});
  if (!back.ok()) FAIL(back.error().message);
  REQUIRE(back->by == "t");
  REQUIRE(back->changes.size() == t.changes.size());
  const auto without_cookie = [](Row row) {
    std::visit(
        [](auto& r) {
          if constexpr (requires { r.cookie; })
            if (r.cookie >= 1ULL << 62) r.cookie = 0;
        },
        row);
    return row;
  };
  for (std::size_t i = 0; i + 1 < t.changes.size(); ++i) {
    INFO(row_to_json(t.changes[i].row));
    REQUIRE(back->changes[i].kind == t.changes[i].kind);
    REQUIRE(without_cookie(back->changes[i].row) == t.changes[i].row);
  }
  REQUIRE(back->changes.back().kind == Transaction::Kind::remove);
  REQUIRE(name_of(back->changes.back().row) == "t/acl");
}

TEST_CASE("an update starts from the row as it is") {
  Intent intent;
  REQUIRE(intent.apply(three_tier("shop", 100, 2, true)).ok());
  const auto t = transaction_from_json(
      R"({"changes": [{"update": {"table": "port", "name": "shop/web-1", "requested": "hv-9"}},
                      {"update": {"table": "port", "name": "shop/web-1", "enabled": "false"}}]})",
      intent);
  if (!t.ok()) FAIL(t.error().message);
  Port want = intent.ports().at("shop/web-1");
  want.requested = "hv-9";
  want.enabled = false;
  REQUIRE(intent.apply(*t).ok());
  REQUIRE(intent.ports().at("shop/web-1") == want);
}

TEST_CASE("what is wrong in a transaction is said with its place and a remedy") {
  struct Case {
    const char* json;
    const char* says;
  };
  const Case cases[] = {
      {"{", "this is no JSON"},
      {"[]", "is no table with `changes`"},
      {"{}", "has no `changes`"},
      {R"({"changes": 3})", "`changes` is no list"},
      {R"({"change": []})", "there is no key 'change'"},
      {R"({"changes": [{"inset": {}}]})", "transaction.changes[0]: there is no change 'inset'"},
      {R"({"changes": [{"insert": {"name": "x"}}]})", "has no `table`"},
      {R"({"changes": [{"insert": {"table": "porrt", "name": "x"}}]})",
       "there is no table 'porrt'"},
      {R"({"changes": [{"insert": {"table": "port", "name": "x", "macc": 1}}]})",
       "changes[0].insert.macc: there is no field 'macc'"},
      {R"({"changes": [{"insert": {"table": "port", "name": "x", "key": 1}}]})",
       "there is no field 'key'"},
      {R"({"changes": [{"insert": {"table": "port", "name": "x", "mac": "zz"}}]})", "insert.mac"},
      {R"({"changes": [{"insert": {"table": "port", "name": "x", "addresses": ["10.0.0.300"]}}]})",
       "insert.addresses[0]"},
      {R"({"changes": [{"insert": {"table": "network", "name": "x", "vni": -1}}]})",
       "is no number"},
      {R"({"changes": [{"insert": {"table": "network", "name": "x", "vni": 99999999999}}]})",
       "is no number"},
      {R"({"changes": [{"insert": {"table": "acl", "name": "x", "action": "alow"}}]})",
       "there is no value 'alow'"},
      {R"({"changes": [{"remove": {"table": "acl", "name": "x", "tier": 1}}]})",
       "there is no key 'tier'"},
      {R"({"changes": [{"insert": {"table": "port", "name": "x", "enabled": "maybe"}}]})",
       "neither true nor false"},
  };
  for (const Case& c : cases) {
    INFO(c.json);
    const auto t = transaction_from_json(c.json, Intent{});
    REQUIRE_FALSE(t.ok());
    INFO(t.error().message);
    REQUIRE(t.error().message.find(c.says) != std::string::npos);
    REQUIRE_FALSE(check_transaction_json(c.json).ok());
  }
}

TEST_CASE("tenants change what is theirs, within their quotas") {
  Intent intent;
  REQUIRE(intent.apply(three_tier("shop", 100, 2, true)).ok());
  REQUIRE(intent.apply(three_tier("shed", 200, 2, false)).ok());
  const auto refused = [&](const char* json, const char* says) {
    const auto t = transaction_from_json(json, intent);
    if (!t.ok()) FAIL(t.error().message);
    const Bytes before = intent.save();
    const auto done = intent.apply(*t);
    INFO(json);
    REQUIRE_FALSE(done.ok());
    INFO(done.error().message);
    REQUIRE(done.error().message.find(says) != std::string::npos);
    REQUIRE(intent.save() == before);
  };
  refused(R"({"by": "shed", "changes": [{"remove": {"table": "acl", "name": "shop/web-to-app"}}]})",
          "belongs to tenant 'shop', not to 'shed' that asks");
  refused(R"({"by": "shed", "changes": [{"insert": {"table": "group", "name": "shed/x",
             "tenant": "shed", "members": ["shop/web-1"]}}]})",
          "of tenant 'shed' refers to port 'shop/web-1' of tenant 'shop'");
  refused(R"({"by": "shed", "changes": [{"update": {"table": "tenant", "name": "shed",
             "default_allow": false}}]})",
          "can be changed by the operator only");
  refused(R"({"by": "shed", "changes": [{"update": {"table": "port", "name": "shed/web-1",
             "network": "shop/web-net"}}]})",
          "belongs to tenant 'shop'");

  Tenant shed = intent.tenants().at("shed");
  shed.quotas = {{"port", 6}, {"group", 3}};
  Transaction t;
  t.update(shed);
  REQUIRE(intent.apply(t).ok());
  refused(R"({"by": "shed", "changes": [{"insert": {"table": "port", "name": "shed/more",
             "network": "shed/web-net", "mac": "02:00:00:00:99:99"}}]})",
          "may have 6 rows of table port, not 7");
  refused(R"({"by": "shed", "changes": [{"insert": {"table": "group", "name": "shed/more",
             "tenant": "shed"}}]})",
          "may have 3 rows of table group, not 4");
  const auto mine = transaction_from_json(
      R"({"by": "shed", "changes": [{"remove": {"table": "group", "name": "shed/web"}}]})", intent);
  REQUIRE(mine.ok());
  REQUIRE(intent.apply(*mine).ok());
}
