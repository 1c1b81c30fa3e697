#include "pcap/filter.h"

#include <fmt/format.h>
#include <pcap/pcap.h>

#include <mutex>

namespace weft::pcap {

namespace {
constexpr int kSnapLength = 262'144;
}

Result<CaptureFilter> CaptureFilter::compile(const std::string& text) {
  static std::mutex serial;
  const std::lock_guard lock(serial);
  CaptureFilter filter;
  if (text.find_first_not_of(" \t\n") == std::string::npos) return filter;
  const std::unique_ptr<pcap_t, void (*)(pcap_t*)> handle(pcap_open_dead(DLT_EN10MB, kSnapLength),
                                                          pcap_close);
  WEFT_CHECK(handle != nullptr, "pcap_open_dead");
  auto program = std::make_unique<bpf_program>();
  if (pcap_compile(handle.get(), program.get(), text.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
    return Error{
        fmt::format("capture filter '{}': {}", text, pcap_geterr(handle.get())),
        {},
        "filters are written as for tcpdump, e.g. \"udp port 6081\" or \"host 10.0.1.2 and "
        "icmp\""};
  }
  filter.program_ = std::shared_ptr<bpf_program>(program.release(), [](bpf_program* p) {
    pcap_freecode(p);
    delete p;
  });
  return filter;
}

bool CaptureFilter::matches(std::span<const std::uint8_t> frame, std::uint32_t wire_size) const {
  if (!program_) return true;
  const auto captured = static_cast<std::uint32_t>(frame.size());
  return bpf_filter(program_->bf_insns, frame.data(), wire_size == 0 ? captured : wire_size,
                    captured) != 0;
}

}  // namespace weft::pcap
