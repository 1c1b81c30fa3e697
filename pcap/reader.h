// CaptureReader: pcapng and classic pcap, either byte order, any resolution, several sections and
// interfaces. The file is untrusted: every length is checked before it is believed, and a file that
// is cut off gives the packets before the cut, then an Error that says where.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "pcap/writer.h"

namespace weft::pcap {

struct CaptureInterface {
  std::uint16_t link_type = 0;  ///< 1: Ethernet
  std::uint32_t snap_length = 0;
  std::string name, description, filter;
  std::uint64_t speed_bps = 0;
  std::uint64_t ticks_per_second = 1'000'000;
  std::int64_t offset_seconds = 0;
};

/// A stamp of a real capture counts from 1970, too far for a Time: seconds and the rest.
struct CapturedPacket {
  std::int64_t seconds = 0;
  std::int64_t picoseconds = 0;  ///< 0 .. 10^12 - 1
  std::uint32_t interface = 0;   ///< index into interfaces()
  std::uint32_t original_length = 0;
  Direction direction = Direction::unknown;
  std::vector<std::uint8_t> bytes;
  std::vector<std::string> comments;

  /// As simulated time, for captures of weft; beyond the range of Time it is Time::never().
  Time at() const;
  /// Time since an earlier packet; at most the range of Duration.
  Duration since(const CapturedPacket& earlier) const;
};

class CaptureReader {
 public:
  static Result<CaptureReader> open(const std::string& path);
  static Result<CaptureReader> from_bytes(std::vector<std::uint8_t> bytes);
  CaptureReader(CaptureReader&&) noexcept;
  CaptureReader& operator=(CaptureReader&&) noexcept;
  ~CaptureReader();

  /// The next packet; none at the end of the file.
  Result<std::optional<CapturedPacket>> next();
  /// Those seen so far; in a pcapng file they may appear between packets.
  const std::vector<CaptureInterface>& interfaces() const;
  /// Of the last section header: the program that wrote it, its comment.
  const std::string& application() const;
  const std::string& comment() const;

 private:
  struct Impl;
  explicit CaptureReader(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

/// All packets of a file, for tests and tools.
Result<std::vector<CapturedPacket>> read_capture(const std::string& path);

}  // namespace weft::pcap
