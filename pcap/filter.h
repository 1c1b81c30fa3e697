// CaptureFilter: libpcap's filter language ("udp port 6081 and host 10.0.0.1") compiled to BPF for
// Ethernet frames. Compiling is not thread-safe in old libpcap and is serialised here; matching is
// pure and may run on any thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"

struct bpf_program;

namespace weft::pcap {

class CaptureFilter {
 public:
  /// Matches everything.
  CaptureFilter() = default;
  /// An empty text matches everything; an error carries libpcap's message.
  static Result<CaptureFilter> compile(const std::string& text);
  /// `frame` starts with the Ethernet header. It may be only the first part of a frame of
  /// `wire_size` bytes (0: it is the whole): what looks beyond it does not match.
  bool matches(std::span<const std::uint8_t> frame, std::uint32_t wire_size = 0) const;

 private:
  std::shared_ptr<bpf_program> program_;
};

}  // namespace weft::pcap
