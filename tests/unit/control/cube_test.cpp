#include "control/cube.h"

#include "tests/catch.h"
#include "tests/unit/control/expressions.h"

namespace weft::control {
namespace {

using datapath::Field;

Cube cube(std::string_view match) { return Cube(datapath::parse_match(match).value()); }

/// Of at most 60 cubes: the pieces of differences multiply.
CubeSet random_set(test::Lcg& r) {
  static const NameTable names = test::some_names();
  const ParseOptions options{true};
  while (true) {
    const std::string text = test::random_text(options, 1, r);
    auto set = to_cubes(parse_expression(text, options).value(), names, Limits{60});
    if (set) return std::move(*set);
  }
}

TEST_CASE("one cube: what it covers, meets and leaves over") {
  const Cube tcp = cube("tcp"), web = cube("tcp,tp_dst=80"), udp = cube("udp"), all;
  CHECK(all.is_everything());
  CHECK(all.covers(web));
  CHECK(tcp.covers(web));
  CHECK_FALSE(web.covers(tcp));
  CHECK(tcp.overlaps(web));
  CHECK_FALSE(udp.overlaps(web));
  CHECK(tcp.intersect(web) == web);
  CHECK_FALSE(udp.intersect(web).has_value());
  Cube narrowed = tcp;
  CHECK_FALSE(narrowed.narrow(udp));
  CHECK(narrowed == tcp);
  CHECK(web.contains(web.example()));
  CHECK(web.text() == "tcp,tp_dst=80");
  CHECK(Cube::of(Field::reg14, 5).text() == "reg14=0x5");
}

TEST_CASE("a difference is disjoint and has fields only with what they need") {
  std::vector<Cube> pieces;
  Cube().subtract(cube("tcp,tp_dst=80"), pieces);
  CHECK(pieces.size() == 16 + 8 + 16);
  for (std::size_t i = 0; i < pieces.size(); ++i) {
    INFO(pieces[i].text());
    const auto again = datapath::parse_match(pieces[i].text());
    REQUIRE(again.ok());
    CHECK(*again == pieces[i].match());
    for (std::size_t j = 0; j < i; ++j) CHECK_FALSE(pieces[i].overlaps(pieces[j]));
  }
}

TEST_CASE("sets: the algebra holds on random sets and packets") {
  test::Lcg r{3};
  int compared = 0;
  for (int round = 0; round < 300; ++round) {
    const CubeSet a = random_set(r), b = random_set(r);
    const auto difference = a.subtract_within(b, 2000);
    if (!difference) continue;
    ++compared;
    const CubeSet both = a.intersect(b), either = a.unite(b), &rest = *difference;
    for (int n = 0; n < 60; ++n) {
      const datapath::FlowKey k = test::random_packet(r);
      REQUIRE(both.contains(k) == (a.contains(k) && b.contains(k)));
      REQUIRE(either.contains(k) == (a.contains(k) || b.contains(k)));
      REQUIRE(rest.contains(k) == (a.contains(k) && !b.contains(k)));
    }
    CHECK(rest.intersect(b).is_empty());
    if (rest.size() < 100) {
      CHECK(either.covers(a));
      CHECK(a.covers(both));
      CHECK(rest.unite(both).same_packets(a));
    }
    CHECK(rest.example().has_value() == !rest.is_empty());
    if (const auto k = rest.example()) CHECK((a.contains(*k) && !b.contains(*k)));
  }
  CHECK(compared > 250);
}

TEST_CASE("reduce removes exactly what lies within one other cube") {
  CubeSet s;
  for (const char* m : {"ip,nw_src=10.0.0.0/8", "ip,nw_src=10.1.0.0/16", "tcp,nw_src=10.1.2.3",
                        "udp", "ip,nw_src=10.0.0.0/8", "ip,nw_src=11.0.0.0/8"})
    s.add(cube(m));
  s.reduce();
  std::set<std::string> left;
  for (const Cube& c : s.cubes()) left.insert(c.text());
  CHECK(left == std::set<std::string>{"ip,nw_src=10.0.0.0/8", "ip,nw_src=11.0.0.0/8", "udp"});

  test::Lcg r{5};
  for (int round = 0; round < 200; ++round) {
    CubeSet many;
    for (int n = 0; n < 3; ++n) many.add(random_set(r));
    if (many.size() > 300) continue;
    CubeSet reduced = many;
    reduced.reduce();
    for (const Cube& c : many.cubes()) {  // the slow twin: every pair
      bool within = false;
      for (const Cube& d : many.cubes()) within = within || (d != c && d.covers(c));
      bool kept = false;
      for (const Cube& d : reduced.cubes()) kept = kept || d == c;
      REQUIRE(kept == !within);
    }
    CHECK(std::is_sorted(reduced.cubes().begin(), reduced.cubes().end()));
  }
}

TEST_CASE("what cannot exist: fragments, untagged frames, untracked packets") {
  const auto existing = [](Field f, std::uint64_t value, std::uint64_t mask) {
    const auto c = Cube::of(f, {0, value}, {0, mask}).existing();
    return c ? std::pair(c->example(), c->match().mask)
             : std::pair<datapath::FlowKey, datapath::FlowMask>{};
  };
  CHECK(existing(Field::ip_frag, 0, 1).second.get(datapath::place::nw_frag) == 3);
  CHECK(existing(Field::ip_frag, 2, 2).first.get(datapath::place::nw_frag) == 3);
  CHECK_FALSE(Cube::of(Field::ip_frag, {0, 2}, {0, 3}).existing());
  CHECK_FALSE(Cube::of(Field::vlan_tci, {0, 5}, {0, 0x1005}).existing());
  CHECK(Cube::of(Field::vlan_tci, {0, 0x1005}, {0, 0x1005}).existing());
  CHECK_FALSE(Cube::of(Field::ct_state, {0, 2}, {0, 0x22}).existing());
  CHECK(Cube::of(Field::ct_state, {0, 0}, {0, 0x22}).existing());
}

TEST_CASE("limits stop what would grow without bound") {
  CubeSet sources, targets;
  for (std::uint32_t i = 0; i < 3000; ++i) {
    sources.add(cube("ip,nw_src=" + Ip4{0x0a000000 + 3 * i}.text()));
    targets.add(cube("ip,nw_dst=" + Ip4{0x0b000000 + 3 * i}.text()));
  }
  CHECK_FALSE(sources.intersect_within(targets, 100'000).has_value());
  CHECK(sources.intersect_within(CubeSet({cube("tcp")}), 3000)->size() == 3000);
  CHECK_FALSE(CubeSet::everything().subtract_within(sources, 1000).has_value());
}

}  // namespace
}  // namespace weft::control
