// The capture writer and reader: round trips, golden bytes, files that are cut off or lie, a disk
// that fills up.
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "base/hash.h"
#include "pcap/reader.h"
#include "pcap/writer.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::pcap;
namespace fs = std::filesystem;

namespace {

struct Folder {
  fs::path path;
  Folder() {
    static int n = 0;
    path = fs::temp_directory_path() /
           ("weft-pcap-" + std::to_string(::getpid()) + "-" + std::to_string(n++));
    fs::create_directories(path);
  }
  ~Folder() { fs::remove_all(path); }
  std::string file(const std::string& name) const { return (path / name).string(); }
};

std::vector<std::uint8_t> bytes_of(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::uint8_t> frame(std::size_t n, std::uint8_t fill) {
  std::vector<std::uint8_t> f(n, fill);
  if (n >= 14) f[12] = 8, f[13] = 0;
  return f;
}

CaptureHeader header() {
  return {.application = "weft 0.1.0",
          .comment = "scenario x, seed 7",
          .interface = "hv-1-1.uplink",
          .description = "link leaf-1--hv-1-1",
          .filter = "udp port 6081",
          .speed_bps = 25'000'000'000};
}

/// Reads until the end or an error; the packets and the error's message (empty: none).
std::pair<std::vector<CapturedPacket>, std::string> drain(std::vector<std::uint8_t> bytes) {
  std::vector<CapturedPacket> packets;
  auto reader = CaptureReader::from_bytes(std::move(bytes));
  if (!reader.ok()) return {packets, reader.error().message};
  for (;;) {
    auto p = reader->next();
    if (!p.ok()) {
      // An error ends the file: asking again must neither loop nor crash.
      auto again = reader->next();
      REQUIRE(again.ok());
      REQUIRE(!again.value());
      return {packets, p.error().message};
    }
    if (!p.value()) return {packets, ""};
    packets.push_back(std::move(**p));
  }
}

}  // namespace

TEST_CASE("what is written is read back", "[pcap]") {
  Folder folder;
  const auto path = folder.file("a.pcapng");
  auto writer = PcapngWriter::open(path, header());
  REQUIRE(writer.ok());
  REQUIRE(writer->write(Time{} + seconds(2) + picoseconds(1'999), frame(64, 1)).ok());
  REQUIRE(writer
              ->write(Time{} + seconds(3), frame(61, 2), "dropped at hv-1-1: policy.default",
                      Direction::outbound)
              .ok());
  REQUIRE(writer->write(Time{} + seconds(5'000'000), frame(9014, 3), "ö", Direction::inbound).ok());
  const auto size = writer->bytes();
  REQUIRE(writer->packets() == 3);
  REQUIRE(writer->close().ok());
  CHECK(fs::file_size(path) == size);

  auto reader = CaptureReader::open(path);
  REQUIRE(reader.ok());
  std::vector<CapturedPacket> got;
  for (auto p = reader->next(); p.ok() && p.value(); p = reader->next()) got.push_back(**p);
  REQUIRE(got.size() == 3);
  REQUIRE(reader->interfaces().size() == 1);
  const CaptureInterface& i = reader->interfaces()[0];
  CHECK(i.name == "hv-1-1.uplink");
  CHECK(i.description == "link leaf-1--hv-1-1");
  CHECK(i.filter == "udp port 6081");
  CHECK(i.speed_bps == 25'000'000'000);
  CHECK(i.ticks_per_second == 1'000'000'000);
  CHECK(i.link_type == 1);
  CHECK(reader->application() == "weft 0.1.0");
  CHECK(reader->comment() == "scenario x, seed 7");
  // Picoseconds are rounded down to nanoseconds.
  CHECK(got[0].at() == Time{} + seconds(2) + nanoseconds(1));
  CHECK(got[0].bytes == frame(64, 1));
  CHECK(got[0].comments.empty());
  CHECK(got[0].direction == Direction::unknown);
  CHECK(got[1].bytes == frame(61, 2));
  CHECK(got[1].comments == std::vector<std::string>{"dropped at hv-1-1: policy.default"});
  CHECK(got[1].direction == Direction::outbound);
  CHECK(got[2].bytes == frame(9014, 3));
  CHECK(got[2].comments == std::vector<std::string>{"ö"});
  CHECK(got[2].direction == Direction::inbound);
  CHECK(got[2].since(got[1]) == seconds(5'000'000 - 3));
}

TEST_CASE("the bytes of a file are golden", "[pcap]") {
  // Written by hand from draft-ietf-opsawg-pcapng: SHB with if "w", IDB "p", one EPB of 3 bytes.
  Folder folder;
  const auto path = folder.file("g.pcapng");
  auto writer = PcapngWriter::open(path, {.application = "w", .interface = "p"});
  REQUIRE(writer.ok());
  const std::uint8_t three[] = {0xaa, 0xbb, 0xcc};
  REQUIRE(writer->write(Time{0x0000'0001'0000'0002 * 1000LL + 999}, three, "c").ok());
  REQUIRE(writer->close().ok());
  const std::vector<std::uint8_t> golden = {
      // section header, 40 bytes
      0x0a, 0x0d, 0x0d, 0x0a, 40, 0, 0, 0, 0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0,   //
      0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 4, 0, 1, 0, 'w', 0, 0, 0,  //
      0, 0, 0, 0, 40, 0, 0, 0,
      // interface, 40 bytes
      1, 0, 0, 0, 40, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 1, 0, 'p', 0, 0, 0,  //
      9, 0, 1, 0, 9, 0, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0,
      // packet, 48 bytes
      6, 0, 0, 0, 48, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0,  //
      0xaa, 0xbb, 0xcc, 0, 1, 0, 1, 0, 'c', 0, 0, 0, 0, 0, 0, 0, 48, 0, 0, 0};
  CHECK(bytes_of(path) == golden);
}

TEST_CASE("a snap length cuts the packet and keeps its true length", "[pcap]") {
  Folder folder;
  const auto path = folder.file("s.pcapng");
  auto h = header();
  h.snap_length = 60;
  auto writer = PcapngWriter::open(path, h);
  REQUIRE(writer.ok());
  REQUIRE(writer->write(Time{}, frame(1500, 7)).ok());
  REQUIRE(writer->close().ok());
  auto got = read_capture(path);
  REQUIRE(got.ok());
  REQUIRE(got->size() == 1);
  CHECK(got->at(0).bytes.size() == 60);
  CHECK(got->at(0).original_length == 1500);
}

TEST_CASE("a file that cannot be created is an error with a remedy", "[pcap]") {
  auto writer = PcapngWriter::open("/nonexistent-folder/x.pcapng", header());
  REQUIRE(!writer.ok());
  CHECK(writer.error().message.find("/nonexistent-folder/x.pcapng") != std::string::npos);
  CHECK(!writer.error().remedy.empty());
}

TEST_CASE("a full disk keeps every packet before it whole", "[pcap]") {
  // The limit on a file's size gives the short write, then the error, that a full disk gives.
  Folder folder;
  const auto path = folder.file("full.pcapng");
  auto writer = PcapngWriter::open(path, header());
  REQUIRE(writer.ok());
  rlimit old{};
  getrlimit(RLIMIT_FSIZE, &old);
  auto* handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit limit = old;
  limit.rlim_cur = 700'001;  // not a multiple of a block
  setrlimit(RLIMIT_FSIZE, &limit);
  std::string message;
  std::uint64_t written = 0;
  for (int i = 0; i < 2000 && message.empty(); ++i) {
    auto r = writer->write(Time{i * 1000LL}, frame(1000, static_cast<std::uint8_t>(i)));
    if (!r.ok()) message = r.error().message + r.error().remedy;
    ++written;
  }
  auto again = writer->write(Time{}, frame(60, 0));
  auto closed = writer->close();
  setrlimit(RLIMIT_FSIZE, &old);
  std::signal(SIGXFSZ, handler);

  CHECK(message.find("full.pcapng") != std::string::npos);
  CHECK(message.find("kept") != std::string::npos);
  CHECK(!again.ok());
  CHECK(!closed.ok());
  auto got = read_capture(path);
  REQUIRE(got.ok());
  // All that fits, and nothing else: the rest of the last buffer is lost, what was flushed is
  // whole.
  const std::uint64_t block = 32 + 1000;
  CHECK(got->size() == (700'001 - (fs::file_size(path) - got->size() * block)) / block);
  CHECK(fs::file_size(path) <= 700'001);
  CHECK(got->size() < written);
  for (std::size_t i = 0; i < got->size(); ++i) {
    REQUIRE(got->at(i).bytes == frame(1000, static_cast<std::uint8_t>(i)));
  }
}

TEST_CASE("a killed run leaves a file that opens", "[pcap]") {
  // What is in the file before flush() or close() is always whole blocks.
  Folder folder;
  const auto path = folder.file("k.pcapng");
  auto writer = PcapngWriter::open(path, header());
  REQUIRE(writer.ok());
  for (int i = 0; i < 1000; ++i) {
    REQUIRE(writer->write(Time{i}, frame(60 + static_cast<std::size_t>(i) % 1000, 1)).ok());
    if (i % 100 == 0) {
      const auto [packets, error] = drain(bytes_of(path));
      CHECK(error.empty());
      CHECK(packets.size() <= static_cast<std::size_t>(i) + 1);
    }
  }
  REQUIRE(writer->flush().ok());
  CHECK(drain(bytes_of(path)).first.size() == 1000);
}

TEST_CASE("classic pcap in both orders and resolutions", "[pcap]") {
  struct Row {
    const char* name;
    std::vector<std::uint8_t> magic;
    bool big;
    std::int64_t picoseconds;
  };
  const std::vector<Row> rows = {
      {"micro, little", {0xd4, 0xc3, 0xb2, 0xa1}, false, 5'000'000},
      {"micro, big", {0xa1, 0xb2, 0xc3, 0xd4}, true, 5'000'000},
      {"nano, little", {0x4d, 0x3c, 0xb2, 0xa1}, false, 5'000},
      {"nano, big", {0xa1, 0xb2, 0x3c, 0x4d}, true, 5'000},
  };
  for (const Row& row : rows) {
    INFO(row.name);
    std::vector<std::uint8_t> file = row.magic;
    const auto put = [&](std::uint32_t v, int n) {
      for (int i = 0; i < n; ++i) {
        file.push_back(static_cast<std::uint8_t>(v >> 8 * (row.big ? n - 1 - i : i)));
      }
    };
    put(2, 2), put(4, 2), put(0, 4), put(0, 4), put(65535, 4), put(1, 4);
    put(1'700'000'000, 4), put(5, 4), put(3, 4), put(60, 4);
    file.insert(file.end(), {1, 2, 3});
    const auto [packets, error] = drain(file);
    CHECK(error.empty());
    REQUIRE(packets.size() == 1);
    CHECK(packets[0].seconds == 1'700'000'000);
    CHECK(packets[0].picoseconds == row.picoseconds);
    CHECK(packets[0].bytes == std::vector<std::uint8_t>{1, 2, 3});
    CHECK(packets[0].original_length == 60);
    CHECK(packets[0].at() == Time::never());  // beyond simulated time, said honestly
    file.pop_back();
    CHECK(drain(file).second.find("cut off") != std::string::npos);
  }
}

namespace {

/// A pcapng file of the most awkward kind that is still legal: big endian, two sections, binary
/// resolution, offset, blocks that nobody knows.
std::vector<std::uint8_t> awkward() {
  std::vector<std::uint8_t> f;
  const auto put = [&](std::uint64_t v, int n) {
    for (int i = n; i-- > 0;) f.push_back(static_cast<std::uint8_t>(v >> 8 * i));
  };
  const auto section = [&] {
    put(0x0A0D0D0A, 4), put(28, 4), put(0x1A2B3C4D, 4), put(1, 2), put(0, 2), put(~0ULL, 8),
        put(28, 4);
  };
  section();
  put(0xbad, 4), put(16, 4), put(0x01020304, 4), put(16, 4);  // unknown block
  put(1, 4), put(44, 4), put(1, 2), put(0, 2), put(0, 4);     // interface, 2^-10 s, offset 100 s
  put(9, 2), put(1, 2), put(0x8a000000, 4), put(14, 2), put(8, 2), put(100, 8), put(0, 4),
      put(44, 4);
  put(6, 4), put(36, 4), put(0, 4), put(0, 4), put(1024 + 512, 4), put(2, 4), put(2, 4);
  put(0x01020000, 4), put(36, 4);
  section();
  put(1, 4), put(20, 4), put(1, 2), put(0, 2), put(2, 4), put(20, 4);  // snap length 2
  put(3, 4), put(20, 4), put(5, 4), put(0x0a0b0000, 4), put(20, 4);    // simple packet
  put(2, 4), put(36, 4), put(0, 2), put(7, 2), put(0, 4), put(3'000'001, 4), put(1, 4), put(1, 4);
  put(0x09000000, 4), put(36, 4);
  return f;
}

}  // namespace

TEST_CASE("pcapng of others: sections, orders, resolutions, unknown blocks", "[pcap]") {
  const auto [packets, error] = drain(awkward());
  CHECK(error.empty());
  REQUIRE(packets.size() == 3);
  CHECK(packets[0].seconds == 101);
  CHECK(packets[0].picoseconds == 500'000'000'000);
  CHECK(packets[0].bytes == std::vector<std::uint8_t>{1, 2});
  CHECK(packets[1].bytes == std::vector<std::uint8_t>{0x0a, 0x0b});
  CHECK(packets[1].original_length == 5);
  CHECK(packets[1].interface == 1);
  CHECK(packets[2].seconds == 3);
  CHECK(packets[2].picoseconds == 1'000'000);
  CHECK(packets[2].bytes == std::vector<std::uint8_t>{9});
}

TEST_CASE("what is no capture, or lies, is an error and never a crash", "[pcap]") {
  CHECK(drain({}).second.find("empty") != std::string::npos);
  CHECK(drain({1, 2}).second.find("shorter") != std::string::npos);
  CHECK(drain({'h', 'e', 'l', 'l', 'o'}).second.find("not a capture") != std::string::npos);

  const auto whole = awkward();
  // Cut anywhere: an error, unless the cut is between two blocks; packets before it survive.
  std::size_t clean = 0;
  for (std::size_t n = 4; n < whole.size(); ++n) {
    const auto [packets, error] =
        drain({whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)});
    clean += error.empty();
    CHECK(packets.size() <= 3);
  }
  CHECK(clean == 7);  // ends of the 7 blocks before the last

  // Any word replaced by an extreme, any byte by anything: no crash (the sanitizers watch).
  std::uint64_t draws = 0;
  const auto below = [&](std::uint64_t bound) { return mix64(++draws, 42) % bound; };
  for (std::size_t n = 0; n + 4 <= whole.size(); n += 4) {
    for (const std::uint8_t v : {0x00, 0x7f, 0x80, 0xff}) {
      auto broken = whole;
      std::fill_n(broken.begin() + static_cast<std::ptrdiff_t>(n), 4, v);
      (void)drain(std::move(broken));
    }
  }
  for (int i = 0; i < 20'000; ++i) {
    auto broken = whole;
    const auto changes = 1 + below(4);
    for (std::uint64_t k = 0; k < changes; ++k) {
      broken[below(broken.size())] = static_cast<std::uint8_t>(below(256));
    }
    (void)drain(std::move(broken));
  }
}
