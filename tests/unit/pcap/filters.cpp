// Capture filters, and tshark's opinion of our files.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "pcap/filter.h"
#include "pcap/writer.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::pcap;

namespace {

/// Ethernet, IPv4 10.0.0.1 > 10.0.0.2 and either UDP to `port` or ICMP (port 0).
std::vector<std::uint8_t> packet(std::uint16_t port) {
  std::vector<std::uint8_t> f = {2,    0, 0,  0,  0, 2, 2,    0, 0,  0,  0,    1,    8,  0,  //
                                 0x45, 0, 0,  28, 0, 0, 0,    0, 64, 17, 0x66, 0xcf, 10, 0,
                                 0,    1, 10, 0,  0, 2, 0xc0, 0, 0,  0,  0,    8,    0,  0};
  if (port == 0) {
    f[23] = 1, f[24] = 0x66, f[25] = 0xdf;
    f[34] = 8, f[35] = 0, f[36] = 0xf7, f[37] = 0xff, f[38] = f[39] = f[40] = f[41] = 0;
  } else {
    f[36] = static_cast<std::uint8_t>(port >> 8), f[37] = static_cast<std::uint8_t>(port);
  }
  return f;
}

}  // namespace

TEST_CASE("filters match what tcpdump's would", "[pcap]") {
  struct Row {
    const char* filter;
    bool geneve, other, icmp;
  };
  const std::vector<Row> rows = {
      {"", true, true, true},
      {"  \n", true, true, true},
      {"udp port 6081", true, false, false},
      {"udp", true, true, false},
      {"icmp", false, false, true},
      {"icmp or udp dst port 6081", true, false, true},
      {"host 10.0.0.2 and not udp", false, false, true},
      {"src host 10.0.0.2", false, false, false},
      {"ether src 02:00:00:00:00:01", true, true, true},
      {"ip6", false, false, false},
      {"greater 43", false, false, false},
      {"udp[4:2] = 8", true, true, false},
  };
  for (const Row& row : rows) {
    INFO(row.filter);
    auto filter = CaptureFilter::compile(row.filter);
    REQUIRE(filter.ok());
    CHECK(filter->matches(packet(6081)) == row.geneve);
    CHECK(filter->matches(packet(53)) == row.other);
    CHECK(filter->matches(packet(0)) == row.icmp);
    // Any prefix of a frame, even none, is safe.
    const auto whole = packet(6081);
    for (std::size_t n = 0; n <= whole.size(); ++n) {
      (void)filter->matches(std::span(whole).first(n), 42);
    }
  }
  auto length = CaptureFilter::compile("greater 1000");
  REQUIRE(length.ok());
  CHECK(length->matches(packet(1), 1000));
  CHECK(!length->matches(packet(1), 999));
}

TEST_CASE("a filter that does not parse is an error with libpcap's words", "[pcap]") {
  for (const char* text : {"udp prot 6081", "port", "host 1.2.3.4.5.6", "((udp)", "vlan and and"}) {
    INFO(text);
    auto filter = CaptureFilter::compile(text);
    REQUIRE(!filter.ok());
    CHECK(filter.error().message.find(text) != std::string::npos);
    CHECK(filter.error().message.size() > std::string(text).size() + 20);
    CHECK(!filter.error().remedy.empty());
  }
}

TEST_CASE("tshark reads what we write", "[pcap]") {
  if (std::system("tshark --version >/dev/null 2>&1") != 0) {
    WARN("skipped: no tshark here");
    return;
  }
  const auto path = std::filesystem::temp_directory_path() /
                    ("weft-tshark-" + std::to_string(::getpid()) + ".pcapng");
  auto writer = PcapngWriter::open(
      path.string(), {.application = "weft", .interface = "leaf-1.spine-2", .filter = "icmp"});
  REQUIRE(writer.ok());
  REQUIRE(writer->write(Time{} + microseconds(1) + nanoseconds(1), packet(0)).ok());
  REQUIRE(writer->write(Time{} + seconds(1), packet(9), "dropped at leaf-1: queue.full").ok());
  REQUIRE(writer->close().ok());
  const std::string out = path.string() + ".txt";
  const std::string command =
      "tshark -r " + path.string() +
      " -o ip.check_checksum:TRUE -T fields -e frame.time_epoch -e frame.interface_name"
      " -e frame.comment -e ip.checksum.status -e _ws.malformed >" +
      out + " 2>/dev/null";
  REQUIRE(std::system(command.c_str()) == 0);
  std::ifstream in(out);
  std::stringstream text;
  text << in.rdbuf();
  std::string got = text.str();
  // Newer versions print more digits; the value is what counts.
  CHECK(got.find("0.000001001\tleaf-1.spine-2\t\t1") == 0);
  CHECK(got.find("1.000000000\tleaf-1.spine-2\tdropped at leaf-1: queue.full\t1") !=
        std::string::npos);
  std::filesystem::remove(path);
  std::filesystem::remove(out);
}
