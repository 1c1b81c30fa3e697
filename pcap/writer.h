// PcapngWriter: one capture point, one pcapng file (draft-ietf-opsawg-pcapng), nanosecond stamps.
//
//   SHB (application) | IDB (point's name, filter, if_tsresol = 9) | EPB EPB EPB ...
//
// A file may have further interfaces (a switch's ports): add_interface() writes their IDB when it
// is called.
//
// Only whole blocks are ever handed to the operating system: a run that is killed leaves a file
// that opens, and a disk that fills up leaves every packet before that moment. After the first
// error the file is cut back to its last whole block, the writer refuses further packets with the
// same error, and nothing that was written is touched again.
//
// Nothing of the real world enters the file (no date, no host name), so its hash is a property of
// the run. Stamps are the simulated time, picoseconds rounded down to nanoseconds, since time 0.
//
// Not thread-safe: whoever merges the observations of several workers owns the writer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"

namespace weft::pcap {

struct CaptureHeader {
  std::string application;          ///< "weft 0.1.0"
  std::string comment;              ///< of the section; empty: none
  std::string interface;            ///< "hv-1-1.uplink"
  std::string description;          ///< of the interface; empty: none
  std::string filter;               ///< libpcap syntax; empty: none
  std::uint64_t speed_bps = 0;      ///< 0: not said
  std::uint32_t snap_length = 0;    ///< 0: whole frames
  std::int64_t offset_seconds = 0;  ///< of the interface: what time 0 is, since 1970
};

enum class Direction : std::uint8_t { unknown = 0, inbound = 1, outbound = 2 };

class PcapngWriter {
 public:
  /// Creates or truncates `path`. An error names the path and what to do.
  static Result<PcapngWriter> open(const std::string& path, const CaptureHeader& header);
  PcapngWriter(PcapngWriter&&) noexcept;
  PcapngWriter& operator=(PcapngWriter&&) noexcept;
  ~PcapngWriter();  ///< closes; an error is lost: call close() to learn of it

  /// A further interface: name, description, filter, speed, snap length and offset of `header`.
  /// Gives its number; the first interface is number 0.
  Result<std::uint32_t> add_interface(const CaptureHeader& header);
  /// One frame, Ethernet first, without FCS. `comment` appears as the packet's comment.
  Result<> write(Time at, std::span<const std::uint8_t> frame, std::string_view comment = {},
                 Direction direction = Direction::unknown, std::uint32_t interface = 0);
  /// The same with a stamp in nanoseconds, for what a capture of the real world says (since 1970),
  /// which is too far for a Time.
  Result<> write_ns(std::uint64_t ns, std::span<const std::uint8_t> frame,
                    std::string_view comment = {}, Direction direction = Direction::unknown,
                    std::uint32_t interface = 0);
  /// Hands what is buffered to the operating system.
  Result<> flush();
  Result<> close();

  std::uint64_t packets() const;
  /// Size of the file once everything is flushed.
  std::uint64_t bytes() const;

 private:
  struct Impl;
  explicit PcapngWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace weft::pcap
