#include "pcap/writer.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "pcap/format.h"

namespace weft::pcap {

using namespace format;

namespace {

constexpr std::size_t kBufferSize = 256 * 1024;

void put16(std::vector<std::uint8_t>& out, std::uint16_t v) {
  out.push_back(static_cast<std::uint8_t>(v));
  out.push_back(static_cast<std::uint8_t>(v >> 8));
}

void put32(std::vector<std::uint8_t>& out, std::uint32_t v) {
  const std::uint8_t bytes[4] = {static_cast<std::uint8_t>(v), static_cast<std::uint8_t>(v >> 8),
                                 static_cast<std::uint8_t>(v >> 16),
                                 static_cast<std::uint8_t>(v >> 24)};
  out.insert(out.end(), bytes, bytes + 4);
}

void put64(std::vector<std::uint8_t>& out, std::uint64_t v) {
  put32(out, static_cast<std::uint32_t>(v));
  put32(out, static_cast<std::uint32_t>(v >> 32));
}

void pad(std::vector<std::uint8_t>& out) {
  while (out.size() % 4 != 0) out.push_back(0);
}

/// An option; empty text writes nothing. Longer than the format can say is cut.
void put_option(std::vector<std::uint8_t>& out, std::uint16_t code, std::string_view text) {
  if (text.empty()) return;
  const auto n = static_cast<std::uint16_t>(std::min<std::size_t>(text.size(), 0xffff));
  put16(out, code);
  put16(out, n);
  out.insert(out.end(), text.begin(), text.begin() + n);
  pad(out);
}

/// Opens a block; close_block() fills in both lengths.
std::size_t open_block(std::vector<std::uint8_t>& out, std::uint32_t type) {
  const std::size_t start = out.size();
  put32(out, type);
  put32(out, 0);
  return start;
}

void close_block(std::vector<std::uint8_t>& out, std::size_t start) {
  const auto length = static_cast<std::uint32_t>(out.size() - start + 4);
  put32(out, length);
  std::copy(out.end() - 4, out.end(), out.begin() + static_cast<std::ptrdiff_t>(start) + 4);
}

std::uint32_t block_length(const std::vector<std::uint8_t>& out, std::size_t start) {
  std::uint32_t v = 0;
  for (std::size_t i = 4; i-- > 0;) v = v << 8 | out[start + 4 + i];
  return v;
}

}  // namespace

struct PcapngWriter::Impl {
  int fd = -1;
  std::string path;
  std::vector<std::uint32_t> snap_lengths;  ///< by interface
  std::uint64_t packets = 0;
  std::uint64_t flushed = 0;  ///< bytes in the file: whole blocks
  std::vector<std::uint8_t> buffer;
  bool failed = false;
  Error error;

  ~Impl() {
    if (fd >= 0) ::close(fd);
  }

  Result<> fail(const std::string& what, int code) {
    failed = true;
    error = {fmt::format("cannot {} capture '{}': {}", what, path, std::strerror(code)),
             {},
             code == ENOSPC || code == EDQUOT || code == EFBIG
                 ? "free some space, capture less (a filter, fewer points), or choose another "
                   "folder with --out; the packets captured before are kept"
                 : "choose a folder that can be written with --out"};
    return error;
  }

  void header(const CaptureHeader& h) {
    const std::size_t start = open_block(buffer, kSectionHeader);
    put32(buffer, kByteOrder);
    put16(buffer, 1);  // version 1.0
    put16(buffer, 0);
    put64(buffer, ~0ULL);  // section length: not said
    put_option(buffer, kOptionComment, h.comment);
    put_option(buffer, kSectionApplication, h.application);
    put32(buffer, kOptionEnd);
    close_block(buffer, start);
    interface(h);
  }

  void interface(const CaptureHeader& h) {
    snap_lengths.push_back(h.snap_length);
    const std::size_t start = open_block(buffer, kInterfaceDescription);
    put16(buffer, kLinkEthernet);
    put16(buffer, 0);
    put32(buffer, h.snap_length);
    put_option(buffer, kInterfaceName, h.interface);
    put_option(buffer, kInterfaceText, h.description);
    if (h.speed_bps != 0) {
      put16(buffer, kInterfaceSpeed);
      put16(buffer, 8);
      put64(buffer, h.speed_bps);
    }
    put16(buffer, kInterfaceResolution);
    put16(buffer, 1);
    put32(buffer, 9);  // 10^-9 s, padded
    if (!h.filter.empty()) put_option(buffer, kInterfaceFilter, std::string(1, '\0') + h.filter);
    if (h.offset_seconds != 0) {
      put16(buffer, kInterfaceOffset);
      put16(buffer, 8);
      put64(buffer, static_cast<std::uint64_t>(h.offset_seconds));
    }
    put32(buffer, kOptionEnd);
    close_block(buffer, start);
  }

  /// Writes the buffer; on an error cuts the file back to its last whole block.
  Result<> flush() {
    if (failed) return error;
    std::size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t n = ::write(fd, buffer.data() + done, buffer.size() - done);
      if (n > 0) {
        done += static_cast<std::size_t>(n);
        continue;
      }
      if (n < 0 && errno == EINTR) continue;
      const int code = n < 0 ? errno : ENOSPC;
      std::size_t whole = 0;
      while (whole + 8 <= done && whole + block_length(buffer, whole) <= done) {
        whole += block_length(buffer, whole);
      }
      flushed += whole;
      // The packets after that are lost.
      for (std::size_t at = whole; at < buffer.size(); at += block_length(buffer, at))
        if (buffer[at] == kEnhancedPacket) --packets;
      if (::ftruncate(fd, static_cast<off_t>(flushed)) == 0) {
        buffer.clear();
        return fail("write", code);
      }
      const int second = errno;
      buffer.clear();
      (void)fail("write", code);
      error.message += fmt::format(" (and its last, broken packet could not be cut off: {})",
                                   std::strerror(second));
      return error;
    }
    flushed += done;
    buffer.clear();
    return {};
  }
};

PcapngWriter::PcapngWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PcapngWriter::PcapngWriter(PcapngWriter&&) noexcept = default;
PcapngWriter& PcapngWriter::operator=(PcapngWriter&& other) noexcept {
  if (this != &other) {
    if (impl_) (void)close();
    impl_ = std::move(other.impl_);
  }
  return *this;
}
PcapngWriter::~PcapngWriter() {
  if (impl_) (void)close();
}

Result<PcapngWriter> PcapngWriter::open(const std::string& path, const CaptureHeader& header) {
  auto impl = std::make_unique<Impl>();
  impl->path = path;
  impl->fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (impl->fd < 0) {
    (void)impl->fail("create", errno);
    return impl->error;
  }
  impl->buffer.reserve(kBufferSize + 16 * 1024);
  impl->header(header);
  if (auto r = impl->flush(); !r.ok()) return r.error();
  return PcapngWriter(std::move(impl));
}

Result<> PcapngWriter::write(Time at, std::span<const std::uint8_t> frame, std::string_view comment,
                             Direction direction, std::uint32_t interface) {
  WEFT_CHECK(at.ps >= 0);
  return write_ns(static_cast<std::uint64_t>(at.ps) / 1000, frame, comment, direction, interface);
}

Result<> PcapngWriter::write_ns(std::uint64_t ns, std::span<const std::uint8_t> frame,
                                std::string_view comment, Direction direction,
                                std::uint32_t interface) {
  Impl& w = *impl_;
  if (w.failed) return w.error;
  WEFT_CHECK(frame.size() < kLargestBlock && interface < w.snap_lengths.size());
  const std::uint32_t snap = w.snap_lengths[interface];
  const std::size_t kept = snap == 0 ? frame.size() : std::min<std::size_t>(frame.size(), snap);
  const std::size_t start = open_block(w.buffer, kEnhancedPacket);
  put32(w.buffer, interface);
  put32(w.buffer, static_cast<std::uint32_t>(ns >> 32));
  put32(w.buffer, static_cast<std::uint32_t>(ns));
  put32(w.buffer, static_cast<std::uint32_t>(kept));
  put32(w.buffer, static_cast<std::uint32_t>(frame.size()));
  w.buffer.insert(w.buffer.end(), frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(kept));
  pad(w.buffer);
  if (!comment.empty() || direction != Direction::unknown) {
    put_option(w.buffer, kOptionComment, comment);
    if (direction != Direction::unknown) {
      put16(w.buffer, kPacketFlags);
      put16(w.buffer, 4);
      put32(w.buffer, static_cast<std::uint32_t>(direction));
    }
    put32(w.buffer, kOptionEnd);
  }
  close_block(w.buffer, start);
  ++w.packets;
  if (w.buffer.size() >= kBufferSize) return w.flush();
  return {};
}

Result<std::uint32_t> PcapngWriter::add_interface(const CaptureHeader& header) {
  Impl& w = *impl_;
  if (w.failed) return w.error;
  w.interface(header);
  return static_cast<std::uint32_t>(w.snap_lengths.size() - 1);
}

Result<> PcapngWriter::flush() { return impl_->flush(); }

Result<> PcapngWriter::close() {
  Impl& w = *impl_;
  if (w.fd < 0) return w.failed ? Result<>(w.error) : Result<>();
  Result<> r = w.flush();
  const int closed = ::close(w.fd);
  w.fd = -1;
  if (!r.ok()) return r;
  if (closed != 0) return w.fail("close", errno);
  return {};
}

std::uint64_t PcapngWriter::packets() const { return impl_->packets; }
std::uint64_t PcapngWriter::bytes() const { return impl_->flushed + impl_->buffer.size(); }

}  // namespace weft::pcap
