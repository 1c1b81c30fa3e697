#include "datapath/checksum.h"

#include "datapath/packet.h"
#include "datapath/wire/endian.h"

namespace weft {

std::uint64_t sum_bytes(std::span<const std::uint8_t> bytes, std::uint64_t start) {
  // Sums of 32-bit big-endian words are congruent to sums of 16-bit ones modulo 65535, and 2^32 of
  // them fit 64 bits.
  const std::uint8_t* p = bytes.data();
  std::size_t n = bytes.size();
  std::uint64_t sum = (start & 0xffffffff) + (start >> 32);
  for (; n >= 16; n -= 16, p += 16) {
    sum += static_cast<std::uint64_t>(wire::load_be<std::uint32_t>(p)) +
           wire::load_be<std::uint32_t>(p + 4) + wire::load_be<std::uint32_t>(p + 8) +
           wire::load_be<std::uint32_t>(p + 12);
  }
  for (; n >= 2; n -= 2, p += 2) sum += wire::load_be<std::uint16_t>(p);
  if (n != 0) sum += static_cast<std::uint64_t>(*p) << 8;
  return sum;
}

std::uint16_t sum_from(const Packet& packet, std::uint32_t offset) {
  const auto headers = packet.headers().subspan(offset);
  const std::uint16_t tail = packet.payload.sum();
  return fold_sum(sum_bytes(headers, headers.size() % 2 != 0 ? swap_sum(tail) : tail));
}

}  // namespace weft
