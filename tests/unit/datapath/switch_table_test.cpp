// Tables of (switch, packets in, packets out): the files of tests/unit/datapath/switch. Each line:
//
//   a statement of a switch file     at any time
//   packet FLOW                      a frame with these fields comes in at in_port; nw_ttl is 64 if
//                                    it is not said
//     to PORT [MATCH]                one for each frame that goes out, which the match must take
//     drop REASON | consumed | controller
//   wait 500ms                       simulated time
//   down PORT, up PORT
//   count cookie=0xN PACKETS         what the rules with this cookie have counted
//
// Every file is run with both caches, with one of them and with none.
#include <filesystem>
#include <fstream>
#include <sstream>

#include "datapath/extract.h"
#include "tests/unit/datapath/compose.h"
#include "tests/unit/datapath/switch_lab.h"

namespace weft::test {
namespace {

using datapath::FlowKey;

struct Table {
  Lab lab;
  std::vector<std::string> left;  // what came out of the last packet and is not accounted for

  explicit Table(datapath::CacheOptions caches) : lab(caches) { lab.pipeline.check_caches(1); }

  static FlowKey key_of(const Packet& p) {
    FlowKey key;
    datapath::extract(p, datapath::parse_headers(p), key);
    return key;
  }

  void packet(std::string_view flow) {
    const auto names = lab.pipeline.port_names();
    auto match = datapath::parse_match(flow, &names);
    if (!match) FAIL(match.error().text());
    FlowKey key = match->value;
    if (match->mask.get(datapath::place::nw_ttl) == 0) key.set(datapath::place::nw_ttl, 64);
    Packet* p = lab.packet();
    compose(*p, key, 10);
    lab.send(p, static_cast<std::uint32_t>(key.get(datapath::place::in_port)));
    for (const auto& o : lab.outputs.out) REQUIRE(verify_checksums(*o.packet) == ChecksumFault::ok);
  }
  /// True if such an output is there; it is taken away.
  bool took(std::uint32_t port, const datapath::Match& match) {
    auto& out = lab.outputs.out;
    for (auto o = out.begin(); o != out.end(); ++o) {
      if (o->port.value != port || !match.matches(key_of(*o->packet))) continue;
      lab.pool.give(o->packet);
      out.erase(o);
      return true;
    }
    return false;
  }
  std::string rest() const {
    std::string text;
    for (const auto& o : lab.outputs.out)
      text += " to " + std::to_string(o.port.value) + " " + format_flow(key_of(*o.packet));
    for (const auto& d : lab.outputs.dropped) text += " drop " + std::string(name_of(d.reason));
    for (std::size_t i = 0; i < lab.outputs.consumed.size(); ++i) text += " consumed";
    for (std::size_t i = 0; i < lab.outputs.controller.size(); ++i) text += " controller";
    return text;
  }
  void nothing_left() {
    INFO("not expected:" << rest());
    REQUIRE(rest().empty());
  }
  template <class List>
  void take_one(List& list) {
    INFO("there is:" << rest());
    REQUIRE(!list.empty());
    if constexpr (std::is_same_v<typename List::value_type, Packet*>)
      lab.pool.give(list.back());
    else
      lab.pool.give(list.back().packet);
    list.pop_back();
  }

  void line(const std::string& text) {
    std::istringstream words(text);
    std::string word, one;
    words >> word;
    std::string rest_of;
    std::getline(words >> std::ws, rest_of);
    const bool outcome =
        word == "to" || word == "drop" || word == "consumed" || word == "controller";
    if (!outcome) nothing_left();
    if (word == "packet") return packet(rest_of);
    if (word == "to") {
      const auto space = std::min(rest_of.find(' '), rest_of.size());
      const auto match = datapath::parse_match(rest_of.substr(space));
      if (!match) FAIL(match.error().text());
      INFO("there is:" << rest());
      REQUIRE(took(static_cast<std::uint32_t>(std::stoul(rest_of)), *match));
      return;
    }
    if (word == "drop") {
      INFO("there is:" << rest());
      REQUIRE(!lab.outputs.dropped.empty());
      REQUIRE(name_of(lab.outputs.dropped.back().reason) == rest_of);
      return take_one(lab.outputs.dropped);
    }
    if (word == "consumed") return take_one(lab.outputs.consumed);
    if (word == "controller") return take_one(lab.outputs.controller);
    if (word == "wait") {
      lab.now += milliseconds(std::stol(rest_of));
      lab.pipeline.expire(lab.now);
      return;
    }
    if (word == "down" || word == "up")
      return lab.pipeline.set_port_up(
          datapath::PortNo{static_cast<std::uint32_t>(std::stoul(rest_of))}, word == "up");
    if (word == "count") {
      std::istringstream counts(rest_of);
      std::string cookie;
      std::uint64_t wanted = 0, seen = 0;
      counts >> cookie >> wanted;
      for (const auto& flow : lab.pipeline.dump_flows())
        if (flow.starts_with(cookie + ","))
          seen += std::stoull(flow.substr(flow.find("n_packets=") + 10));
      REQUIRE(seen == wanted);
      return;
    }
    lab.rules(text);
  }
};

TEST_CASE("switch tables: rules, packets in, packets out", "[pipeline][data]") {
  const std::filesystem::path folder =
      std::filesystem::path(WEFT_SOURCE_DIR) / "tests" / "unit" / "datapath" / "switch";
  std::vector<std::filesystem::path> files;
  for (const auto& f : std::filesystem::directory_iterator(folder)) files.push_back(f.path());
  std::sort(files.begin(), files.end());
  REQUIRE(files.size() >= 8);
  for (const auto& path : files) {
    for (int caches = 0; caches < 4; ++caches) {
      datapath::CacheOptions options;
      options.exact_match = (caches & 1) != 0;
      options.megaflow = (caches & 2) != 0;
      Table table(options);
      std::ifstream file(path);
      REQUIRE(file.good());
      std::string text;
      int packets = 0;
      for (int number = 1; std::getline(file, text); ++number) {
        text = text.substr(0, text.find('#'));
        const auto first = text.find_first_not_of(' ');
        if (first == std::string::npos) continue;
        INFO(path.filename().string()
             << ":" << number << ": " << text << " (caches " << caches << ")");
        table.line(text.substr(first));
        packets += text.find("packet ") != std::string::npos;
      }
      INFO(path.filename().string());
      table.nothing_left();
      REQUIRE(packets > 0);
    }
  }
}

}  // namespace
}  // namespace weft::test
