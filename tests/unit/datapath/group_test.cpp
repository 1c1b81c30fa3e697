// Groups that select: shares, what a failed bucket moves, and what a hash looks at.
#include "datapath/group.h"

#include "tests/catch.h"
#include "tests/unit/datapath/frames.h"

namespace weft::test {
namespace {

using datapath::FlowKey;
using datapath::InstalledGroup;

InstalledGroup installed(const char* text) {
  InstalledGroup g;
  g.group = datapath::parse_group(text).value();
  return g;
}

FlowKey flow(std::uint32_t n) {
  namespace place = datapath::place;
  FlowKey key;
  key.set(place::eth_type, 0x0800);
  key.set(place::nw_proto, 6);
  key.set(place::nw_src, 0x0a000000 + n);
  key.set(place::nw_dst, 0x0a800001);
  key.set(place::tp_src, 1024 + n % 5000);
  key.set(place::tp_dst, 80);
  return key;
}

std::vector<int> choices(const InstalledGroup& g, const std::vector<bool>& live,
                         std::uint32_t flows) {
  std::vector<int> out;
  for (std::uint32_t n = 0; n < flows; ++n) {
    datapath::FlowMask looked;
    out.push_back(select_bucket(g, group_hash(g.group, flow(n), looked), live));
  }
  return out;
}

TEST_CASE("a select group keeps to its weights", "[group]") {
  for (const char* method : {"", ",selection_method=maglev"}) {
    const auto g = installed((std::string("group_id=1,type=select") + method +
                              ",bucket=weight:1,1,bucket=weight:2,2,bucket=weight:5,3,"
                              "bucket=weight:0,4")
                                 .c_str());
    std::vector<int> count(4);
    constexpr int kFlows = 16000;
    for (const int c : choices(g, {true, true, true, true}, kFlows))
      ++count[static_cast<std::size_t>(c)];
    INFO(method << " " << count[0] << " " << count[1] << " " << count[2]);
    const int shares[] = {2000, 4000, 10000, 0};
    for (std::size_t i = 0; i < 4; ++i) {
      CHECK(count[i] >= shares[i] - shares[i] / 10);
      CHECK(count[i] <= shares[i] + shares[i] / 10);
    }
  }
}

TEST_CASE("who fails in a Maglev group takes nearly only its own flows along", "[group]") {
  std::string text = "group_id=1,type=select,selection_method=maglev";
  for (int i = 0; i < 10; ++i) text += ",bucket=1";
  const auto g = installed(text.c_str());
  const std::vector<bool> all(10, true);
  std::vector<bool> without = all;
  without[3] = false;
  const auto before = choices(g, all, 20000), after = choices(g, without, 20000);
  const auto again = choices(g, all, 20000);
  CHECK(before == again);
  int moved = 0, others = 0;
  for (std::size_t i = 0; i < before.size(); ++i) {
    CHECK(after[i] != 3);
    if (before[i] == 3) continue;
    ++others;
    moved += before[i] != after[i];
  }
  INFO(moved << " of " << others);
  CHECK(moved < others / 20);
  // By shares, most flows of the others would move.
  text.replace(text.find(",selection_method=maglev"), 24, "");
  const auto shares = installed(text.c_str());
  const auto a = choices(shares, all, 20000), b = choices(shares, without, 20000);
  int shifted = 0;
  for (std::size_t i = 0; i < a.size(); ++i) shifted += a[i] != 3 && a[i] != b[i];
  CHECK(shifted > others / 5);
  // Nobody is left.
  CHECK(select_bucket(g, 1, std::vector<bool>(10, false)) == -1);
  CHECK(select_bucket(shares, 1, std::vector<bool>(10, false)) == -1);
}

TEST_CASE("only what a group hashes is looked at", "[group]") {
  const auto g = installed(
      "group_id=1,type=select,selection_method=hash,fields(ip_src=255.255.255.0),bucket=1");
  datapath::FlowMask looked;
  const auto h = group_hash(g.group, flow(1), looked);
  CHECK(looked.get(datapath::place::nw_src) == 0xffffff00);
  CHECK(looked.get(datapath::place::nw_dst) == 0);
  CHECK(looked.get(datapath::place::tp_src) == 0);
  CHECK(group_hash(g.group, flow(2), looked) == h);
  CHECK(group_hash(g.group, flow(256), looked) != h);
}

}  // namespace
}  // namespace weft::test
