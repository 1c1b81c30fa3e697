// Match expressions: texts, meanings, errors. The slow twin of to_matches is evaluate().
#include "control/expression.h"

#include <algorithm>

#include "control/expression_bits.h"
#include "tests/catch.h"
#include "tests/unit/control/expressions.h"

namespace weft::control {
namespace {

std::string join(std::vector<std::string> parts) {
  std::sort(parts.begin(), parts.end());
  std::string out;
  for (const auto& p : parts) out += (out.empty() ? "" : " | ") + p;
  return out;
}

std::string matches_of(std::string_view text, const Resolver& names, ParseOptions options = {}) {
  const auto e = parse_expression(text, options);
  if (!e) return "error: " + e.error().message;
  const auto list = to_matches(*e, names);
  if (!list) return "error: " + list.error().message;
  std::vector<std::string> texts;
  for (const auto& m : *list) texts.push_back(datapath::format_match(m));
  return join(texts);
}

struct Case {
  const char* text;
  const char* printed;  ///< "": as it is
  const char* matches;  ///< sorted, joined with " | "
};

TEST_CASE("expressions as users write them") {
  const NameTable names = test::some_names();
  const Case cases[] = {
      {"1", "", ""},
      {"0", "", ""},
      {"ip4", "", "ip"},
      {"ip", "", "ip | ipv6"},
      {"tcp", "", "tcp | tcp6"},
      {"icmp", "", "icmp | icmp6"},
      {"icmp4.type == 8 && icmp4.code == 0", "", "icmp,icmp_type=8,icmp_code=0"},
      {"icmp6.type == {135, 136}", "", "icmp6,icmp_type=135 | icmp6,icmp_type=136"},
      {"arp", "", "arp"},
      {"arp.op == 1 && arp.tpa == 10.0.0.1", "", "arp,arp_tpa=10.0.0.1,arp_op=1"},
      {"nd_ns && nd.target == fd00::1", "",
       "icmp6,nw_ttl=255,icmp_type=135,icmp_code=0,nd_target=fd00::1"},
      {"nd_na && nd.tll == 02:00:00:00:00:01", "",
       "icmp6,nw_ttl=255,icmp_type=136,icmp_code=0,nd_tll=02:00:00:00:00:01"},
      {"nd_rs || nd_ra", "",
       "icmp6,nw_ttl=255,icmp_type=133,icmp_code=0 | icmp6,nw_ttl=255,icmp_type=134,icmp_code=0"},
      {"eth.src == 02:00:00:00:00:01 && eth.type == 0x88cc", "",
       "dl_src=02:00:00:00:00:01,dl_type=0x88cc"},
      {"eth.mcast", "", "dl_dst=01:00:00:00:00:00/01:00:00:00:00:00"},
      {"eth.bcast", "", "dl_dst=ff:ff:ff:ff:ff:ff"},
      {"vlan.present", "", "vlan_tci=0x1000/0x1000"},
      {"!vlan.present", "", "vlan_tci=0x0000/0x1000"},
      {"vlan.vid == 100 && vlan.pcp == 3", "", "dl_vlan=100,dl_vlan_pcp=3"},
      {"igmp", "", "ip,dl_dst=01:00:00:00:00:00/01:00:00:00:00:00,nw_dst=224.0.0.0/4,nw_proto=2"},
      {"ip6.mcast", "", "ipv6,dl_dst=33:33:00:00:00:00/ff:ff:00:00:00:00,ipv6_dst=ff00::/8"},
      {"ip.dscp == 46 && ip4", "", "ip,nw_tos=184"},
      {"ip.ecn == 3 && ip4", "", "ip,nw_ecn=3"},
      {"ip.ttl == {0, 1} && ip4", "", "ip,nw_ttl=0 | ip,nw_ttl=1"},
      {"ip.is_frag && ip4", "", "ip,nw_frag=yes"},
      {"ip.first_frag && ip4", "", "ip,nw_frag=first"},
      {"ip.later_frag && ip4", "", "ip,nw_frag=later"},
      {"ip4 && !ip.is_frag", "", "ip,nw_frag=no"},
      {"tcp.flags[1] && !tcp.flags[4] && ip4", "", "tcp,tcp_flags=+syn-ack"},
      {"ip4 && tcp.flags == 0x12/0x12", "", "tcp,tcp_flags=+syn+ack"},
      {"ct.new && !ct.rel", "", "ct_state=+new+trk-rel"},
      {"!ct.trk || ct.est", "", "ct_state=+est+trk | ct_state=-trk"},
      {"ct.est && ct.rpl && ct_mark[0] == 0", "ct.est && ct.rpl && !ct_mark[0]",
       "ct_state=+est+rpl+trk,ct_mark=0/0x1"},
      {"ct_label[96..127] == 7", "",
       "ct_label=0x7000000000000000000000000/0xffffffff000000000000000000000000"},
      {"ct_mark == 0x2/0x2", "", "ct_mark=0x2/0x2"},
      {"ct.dnat || ct.snat", "", "ct_state=+trk+dnat | ct_state=+trk+snat"},
      {"reg0[7] && xxreg0[0..31] == 5", "", "reg0=0x80/0x80,reg3=0x5"},
      {"pkt.mark == 9", "", "pkt_mark=0x9"},
      {"inport == \"p1\"", "", "reg14=0x1"},
      {"\"p1\" == inport", "inport == \"p1\"", "reg14=0x1"},
      {"outport == {\"p1\", \"p2\"}", "", "reg15=0x1 | reg15=0x2"},
      {"outport == @g && ip4.src == $v4 && tcp.dst == 8080", "",
       "tcp,reg15=0x1,nw_src=10.0.0.0/30,tp_dst=8080 | "
       "tcp,reg15=0x1,nw_src=192.168.0.0/16,tp_dst=8080 | "
       "tcp,reg15=0x2,nw_src=10.0.0.0/30,tp_dst=8080 | "
       "tcp,reg15=0x2,nw_src=192.168.0.0/16,tp_dst=8080"},
      {"inport == @none", "", "error: none"},
      {"inport == @odd", "", "reg14=0x8003"},
      {"ip6.src == $v6", "", "ipv6,ipv6_src=fd00::/64"},
      {"eth.src == {$mac, 02:00:00:00:00:02}", "",
       "dl_src=02:00:00:00:00:01 | dl_src=02:00:00:00:00:02"},
      {"ip4.dst == {10.0.0.0/8, 10.1.0.0/16, 10.2.3.4}", "", "ip,nw_dst=10.0.0.0/8"},
      {"ip4.dst == {10.0.0.1 10.0.0.2,}", "ip4.dst == {10.0.0.1, 10.0.0.2}",
       "ip,nw_dst=10.0.0.1 | ip,nw_dst=10.0.0.2"},
      {"ip4.dst == 10.0.1.0/255.0.255.0", "", "ip,nw_dst=10.0.1.0/255.0.255.0"},
      {"ip4 && 1024 <= tcp.dst < 2048", "ip4 && tcp.dst >= 1024 && tcp.dst < 2048",
       "tcp,tp_dst=0x400/0xfc00"},
      {"ip4 && 100 > udp.src >= 98", "ip4 && udp.src < 100 && udp.src >= 98",
       "udp,tp_src=0x62/0xfffe"},
      {"ip4 && sctp.dst <= 3", "", "sctp,tp_dst=0x0/0xfffc"},
      {"ip4 && tcp.dst > 65534", "", "tcp,tp_dst=65535"},
      {"tcp.dst > 65535", "", "error: none"},
      {"tcp.dst < 0", "", "error: none"},
      {"ip4.src[24..31] == 10", "", "ip,nw_src=10.0.0.0/8"},
      {"ip4.src[24..31] >= 224 && ip4.src[0] == 1", "ip4.src[24..31] >= 224 && ip4.src[0]",
       "ip,nw_src=224.0.0.1/224.0.0.1"},
      {"ip4.dst != {0.0.0.0/1, 192.0.0.0/2}", "", "ip,nw_dst=128.0.0.0/2"},
      {"!(ip4.dst == {0.0.0.0/1, 192.0.0.0/2})", "ip4.dst != {0.0.0.0/1, 192.0.0.0/2}",
       "ip,nw_dst=128.0.0.0/2"},
      {"ip4.src == $empty", "", "error: none"},
      {"ip4.src != $empty", "", "ip"},
      {"ip4 && ip6", "", "error: none"},
      {"tcp && udp", "", "error: none"},
      {"tcp.dst == 80 && udp.dst == 80", "", "error: none"},
      {"(ip4 && tcp) || (ip4 && tcp.dst == 80)", "", "tcp"},
      {"ip4 && (tcp || udp)", "", "tcp | udp"},
      {"(ip4 && (tcp))", "ip4 && tcp", "tcp"},
      {"!(ip4.src == 10.0.0.1 || !(tcp.dst == 80))", "ip4.src != 10.0.0.1 && tcp.dst == 80", "*"},
      {"is_chassis_resident(\"p1\") && ip4", "", "ip"},
      {"!is_chassis_resident(\"p1\")", "", "error: none"},
      {"tcp == 1 && ip4 == 1", "tcp && ip4", "tcp"},
      {"vlan.present != 1", "!vlan.present", "vlan_tci=0x0000/0x1000"},
      {"!reg1", "reg1 == 0", "reg1=0"},
      {"ip4 // what follows is a comment\n && tcp /* so is this */", "ip4 && tcp", "tcp"},
      {"inport == \"a \\\"b\\\" \\u00e4\"", "inport == \"a \\\"b\\\" \xc3\xa4\"", "error: none"},
  };
  for (const Case& c : cases) {
    INFO(c.text);
    const auto e = parse_expression(c.text);
    REQUIRE(e.ok());
    CHECK(e->text() == (*c.printed == '\0' ? c.text : c.printed));
    CHECK(parse_expression(e->text()).value() == *e);
    const std::string expected = c.matches;
    const auto list = to_matches(*e, names);
    REQUIRE(list.ok());
    if (expected == "error: none" || std::string_view(c.text) == "0")
      CHECK(list->empty());
    else if (expected != "*")
      CHECK(matches_of(c.text, names) == expected);
  }
}

struct BadCase {
  const char* text;
  int column;
  const char* message;  ///< a part of it
  const char* remedy;   ///< a part of it
};

TEST_CASE("errors say where, what and what to write instead") {
  const BadCase cases[] = {
      {"", 1, "expected a condition", "such as"},
      {"ip4.sr == 10.0.0.1", 1, "no symbol 'ip4.sr'", "did you mean ip4.src?"},
      {"ip4 && tcp.dts == 80", 8, "no symbol 'tcp.dts'", "tcp.dst"},
      {"ip4 && tcp || udp", 12, "&& and || stand side by side", "parentheses"},
      {"(ip4 && tcp", 12, "expected )", "column 1"},
      {"ip4)", 4, "expected && or ||", "joined"},
      {"ip4 tcp", 5, "expected && or ||", "joined"},
      {"!ip4.src == 10.0.0.1", 1, "! stands before a comparison", "!(a == b)"},
      {"tcp.dst", 8, "expected a comparison", "tcp.dst != 0"},
      {"inport", 7, "expected ==", "inport == \"PORT\""},
      {"inport == p1", 11, "expected a constant", "\"p1\""},
      {"inport == 5", 11, "compared with a number", "inport == \"PORT\""},
      {"ip4.src == \"p1\"", 12, "compared with names", "$SET"},
      {"ip4.src == {10.0.0.1, \"p1\"}", 23, "mixes", "only numbers"},
      {"inport == {\"a\", 5}", 17, "mixes", "only ports"},
      {"ip4.src == fd00::1", 12, "128", "ip6.src"},
      {"tcp.dst == 65536", 12, "17 bits, too many for tcp.dst with 16", "fit"},
      {"ip4.src == 10.0.0.1/24", 12, "outside its mask", "10.0.0.0/24"},
      {"ip4.src == 10.0.0.0/33", 12, "longer than the address", "0 to 32"},
      {"ip4.src == 10.0.0", 12, "not an IP address", "four numbers"},
      {"ip4.src == $", 12, "a name must follow $", "$name"},
      {"ip4.src < $set", 9, "needs one number", "sets"},
      {"eth.src > 00:00:00:00:11:11/00:00:00:00:ff:ff", 9, "needs one number", "compare bits"},
      {"ip.ttl > 1", 8, "has no order", "=="},
      {"ip.proto != 6", 1, "only be tested for being equal", "list the values"},
      {"!(ip.proto == 6)", 3, "only be tested for being equal", "list the values"},
      {"!tcp", 2, "only be tested for being true", "two rules"},
      {"tcp == 0", 1, "only be tested for being true", "two rules"},
      {"inport != \"a\"", 1, "only be tested for being equal", "list"},
      {"tcp == $set", 8, "true or false", "0 or 1"},
      {"1 < tcp.dst > 5", 1, "not a range", "1 <= x < 5"},
      {"1 == tcp.dst == 5", 1, "not a range", "1 <= x < 5"},
      {"5", 2, "expected a comparison after a constant", "0 (never) and 1 (always)"},
      {"5 == 6", 6, "expected a symbol", "ip4.src"},
      {"tcp.flags[12]", 10, "no bit 12", "0 to 11"},
      {"tcp.flags[3..1] == 1", 10, "are none", "lower bit"},
      {"tcp.flags[x] == 1", 11, "number of a bit", "[BIT]"},
      {"tcp.flags[1 == 1", 13, "expected ]", "[BIT]"},
      {"inport[1] == 1", 7, "has no bits", "name"},
      {"ip.proto[1] == 1", 9, "as a whole", "ip.proto == VALUE"},
      {"ip4.src = 10.0.0.1", 9, "'=' alone", "=="},
      {"ip4 & tcp", 5, "'&' alone", "&&"},
      {"ip4 && ;", 8, "';' has no place", "quotes"},
      {"inport == \"p", 11, "does not end", "close it"},
      {"inport == \"\\q\"", 12, "escape", "JSON"},
      {"ip4 /* and", 5, "comment does not end", "*/"},
      {"ip4 && 0x", 8, "not a number", "0x"},
      {"tcp.dst == 080", 12, "begins with a zero", "0x"},
      {"eth.src == 02:00:00:00:00", 12, "neither a MAC nor an IPv6", "fd00::1"},
      {"ip4.src == {}", 13, "expected a constant", "number"},
      {"ip4.src == {10.0.0.1", 21, "expected a constant", "number"},
      {"is_chassis_resident(p1)", 21, "name of a port in quotes", "PORT"},
      {"\xff", 1, "byte 0xff", "quotes"},
  };
  for (const BadCase& c : cases) {
    INFO(c.text);
    const auto e = parse_expression(c.text);
    REQUIRE_FALSE(e.ok());
    INFO(e.error().message << " / " << e.error().remedy);
    CHECK(e.error().place.column == c.column);
    CHECK(e.error().message.find(c.message) != std::string::npos);
    CHECK(e.error().remedy.find(c.remedy) != std::string::npos);
  }
}

TEST_CASE("what OVN cannot test is accepted on request, and is the opposite") {
  const NameTable names = test::some_names();
  const ParseOptions any{true};
  for (const char* text : {"tcp", "ip", "igmp", "nd", "inport == \"p1\"", "ip.proto == {6, 17}",
                           "ip.ttl == 64", "ip.first_frag", "icmp6.type == 135"}) {
    INFO(text);
    const auto positive = parse_expression(text, any).value();
    const auto negative = parse_expression("!(" + std::string(text) + ")", any).value();
    const CubeSet yes = to_cubes(positive, names).value(), no = to_cubes(negative, names).value();
    CHECK(yes.intersect(no).is_empty());
    CHECK_FALSE(no.is_empty());
    if (positive.kind == Expression::Kind::predicate)  // else the packet still needs the field
      CHECK(yes.unite(no).covers(CubeSet::everything()) ==
            (std::string_view(text) != "ip.first_frag"));
    const std::string texts = matches_of("!(" + std::string(text) + ")", names, any);
    CHECK(texts.find("error") == std::string::npos);
  }
}

TEST_CASE("names: what an expression refers to, and what is not known") {
  const auto e =
      parse_expression(
          "inport == {\"b\", @g, \"a\"} && (ip4.src == $s || ip6.src == {$t, fd00::1}) && "
          "is_chassis_resident(\"r\")")
          .value();
  const References r = e.references();
  CHECK(r.ports == std::set<std::string>{"a", "b", "r"});
  CHECK(r.port_groups == std::set<std::string>{"g"});
  CHECK(r.address_sets == std::set<std::string>{"s", "t"});

  NameTable names = test::some_names();
  CHECK(matches_of("ip4.src == $gone", names) == "error: there is no address set 'gone'");
  CHECK(matches_of("inport == @gone", names) == "error: there is no port group 'gone'");
  CHECK(matches_of("inport == \"gone\"", names).empty());
  names.address_sets["mixed"] = {test::number("10.0.0.1"), test::number("fd00::1")};
  CHECK(matches_of("ip4.src == $mixed", names).find("128 bits, too many") != std::string::npos);
  const datapath::FlowKey ip4 = datapath::parse_match("ip").value().value;
  CHECK_FALSE(evaluate(parse_expression("ip4.src == $gone").value(), names, ip4).ok());
}

TEST_CASE("random expressions: text, evaluation and matches agree") {
  const NameTable names = test::some_names();
  test::Lcg r{11};
  int hits = 0, misses = 0, expressions = 0;
  for (int round = 0; round < 1500; ++round) {
    const ParseOptions options{round % 2 == 0};
    const std::string text = test::random_text(options, static_cast<int>(r.below(4)), r);
    INFO(text);
    const auto e = parse_expression(text, options);
    INFO((e ? "" : e.error().message));
    REQUIRE(e.ok());
    INFO(e->text());
    const auto again = parse_expression(e->text(), options);
    REQUIRE(again.ok());
    REQUIRE(*again == *e);
    const auto cubes = to_cubes(*e, names, Limits{500});
    if (!cubes) {  // several != of wide fields in one &&
      REQUIRE(cubes.error().message.find("more than") != std::string::npos);
      continue;
    }
    ++expressions;
    for (std::size_t i = 0; i < cubes->size(); i += 1 + cubes->size() / 20) {
      const Cube& c = cubes->cubes()[i];
      const auto match = datapath::parse_match(c.text());
      INFO(c.text());
      REQUIRE(match.ok());
      REQUIRE(*match == c.match());
    }
    for (int n = 0; n < 60; ++n) {
      const datapath::FlowKey k = test::random_packet(r);
      const bool expected = evaluate(*e, names, k).value();
      INFO(datapath::format_flow(k));
      REQUIRE(cubes->contains(k) == expected);
      ++(expected ? hits : misses);
    }
  }
  CHECK(expressions > 1200);
  CHECK(hits > 10'000);
  CHECK(misses > 10'000);
}

TEST_CASE("element by element: the parts of a set are the whole") {
  NameTable names = test::some_names();
  for (std::uint32_t i = 0; i < 50; ++i) {
    names.address_sets["many"].push_back(test::number(Ip4{0x0a010000 + 3 * i}.text()));
    const std::string port = "m" + std::to_string(i);
    names.ports[port] = 100 + i;
    names.port_groups["crowd"].push_back(port);
  }
  for (const char* text :
       {"outport == @crowd && ip4 && ip4.src == $v4 && tcp.dst == 8080", "ip4.src == $many",
        "inport == @crowd", "ip4.src == $many && (tcp.dst == {80, 443} || udp)",
        "$many == ip4.dst && inport == \"p1\" && tcp.dst != 80"}) {
    INFO(text);
    const auto e = parse_expression(text).value();
    const auto references = splittable_references(e);
    REQUIRE_FALSE(references.empty());
    CHECK(splittable_reference(e) == references.front());
    const CubeSet whole = to_cubes(e, names).value();
    for (const Reference& reference : references) {
      std::vector<Element> elements;
      if (reference.kind == Operand::Kind::port_group)
        for (const auto& port : names.port_groups[reference.name]) elements.push_back({{}, port});
      else
        for (const auto& c : names.address_sets[reference.name]) elements.push_back({c, ""});
      CubeSet parts;
      for (const Element& element : elements)
        for (const auto& m : to_matches(e, names, reference, element).value()) parts.add(Cube(m));
      parts.reduce();
      CHECK(parts == whole);
    }
  }
  for (const char* text :
       {"ip4.src == {$many, 10.0.0.1}", "ip4.src != $many", "ip4.src == $many || tcp", "ip4",
        "ip4.src == $many && ip4.dst == $many", "(ip4.src == $many || udp) && ip4"}) {
    INFO(text);
    CHECK_FALSE(splittable_reference(parse_expression(text).value()).has_value());
  }
  const auto e = parse_expression("ip4.src == $many && ip4.dst == $many && inport == @g").value();
  CHECK(splittable_reference(e) == Reference{Operand::Kind::port_group, "g"});
}

TEST_CASE("hostile texts end with an error or a result, soon") {
  const NameTable names = test::some_names();
  const auto repeat = [](std::string_view text, std::size_t times) {
    std::string out;
    for (std::size_t i = 0; i < times; ++i) out += text;
    return out;
  };
  const auto nested = [&](std::size_t depth) {
    return repeat("(", depth) + "tcp" + repeat(")", depth);
  };
  CHECK(parse_expression(nested(kExpressionDepth)).ok());
  const auto deep = parse_expression(nested(100'000));
  REQUIRE_FALSE(deep.ok());
  CHECK(deep.error().place.column == kExpressionDepth + 1);
  CHECK_FALSE(parse_expression(repeat("!(", 100'000)).ok());
  CHECK_FALSE(parse_expression(repeat("!", 100'000) + "ct.est").ok());
  CHECK_FALSE(parse_expression(std::string(kExpressionLength + 1, ' ')).ok());

  // Each of these would be far more than can be held: 2^n, n^3, 48^3...
  std::string bits, wide, fields, set = "{";
  for (int i = 0; i < 30; ++i)
    bits += (i == 0 ? "" : " && ") +
            ("(reg0[" + std::to_string(i) + "] || reg1[" + std::to_string(i) + "])");
  for (std::uint32_t i = 0; i < 2000; ++i) set += Ip4{0x0a000000 + 2 * i}.text() + ", ";
  set += "}";
  wide = "ip4.src == " + set + " && ip4.dst == " + set + " && reg0 == " + set;
  fields =
      "eth.src != 02:00:00:00:00:01 && eth.dst != 02:00:00:00:00:01 && ip6.src != ::1 && "
      "ip6.dst != ::1 && reg0 != 5";
  for (const std::string& text : {bits, wide, fields}) {
    const auto e = parse_expression(text);
    REQUIRE(e.ok());
    const auto list = to_matches(*e, names);
    REQUIRE_FALSE(list.ok());
    CHECK(list.error().message.find("more than 200000") != std::string::npos);
  }
  // And these are not: repetition, and many values of one field.
  CHECK(matches_of(repeat("tcp.dst == 80 || ", 20'000) + "tcp.dst == 80", names) ==
        "tcp,tp_dst=80 | tcp6,tp_dst=80");
  CHECK(to_matches(parse_expression("ip4.src == " + set).value(), names)->size() == 2000);
  const auto none_of = to_matches(parse_expression("ip4.src != " + set).value(), names);
  REQUIRE(none_of.ok());
  CHECK(none_of->size() < 2 * 2000 + 40);
}

TEST_CASE("numbers as prefixes: ranges and complements") {
  const auto holds = [](const std::vector<Bits>& list, std::uint64_t v) {
    int times = 0;
    for (const Bits& b : list) times += (v & b.mask.low) == b.value.low ? 1 : 0;
    REQUIRE(times <= 1);  // disjoint
    return times == 1;
  };
  for (std::uint64_t low = 0; low < 32; ++low)
    for (std::uint64_t high = 0; high < 32; ++high) {
      const auto list = range({0, low}, {0, high}, 5);
      const auto rest = complement(list, 5, 100);
      REQUIRE(rest.has_value());
      REQUIRE(list.size() <= 8);
      for (std::uint64_t v = 0; v < 32; ++v) {
        REQUIRE(holds(list, v) == (low <= v && v <= high));
        REQUIRE(holds(*rest, v) != (low <= v && v <= high));
      }
    }
  CHECK(range({}, ones(128), 128) == std::vector<Bits>{Bits{}});
  CHECK(range({0, ~0ULL}, {1, 0}, 128).size() == 2);
  CHECK_FALSE(complement({Bits{ones(128), {}}}, 128, 100).has_value());
  // Masks that are no prefixes.
  std::vector<Bits> odd{{{0, 5}, {0, 4}}, {{0, 6}, {0, 2}}};
  reduce(odd);
  const auto rest = complement(odd, 3, 100);
  for (std::uint64_t v = 0; v < 8; ++v) CHECK(holds(*rest, v) == ((v & 5) != 4 && (v & 6) != 2));
}

}  // namespace
}  // namespace weft::control
