#include "models/port.h"

namespace weft::models {

void Port::prepare(std::uint64_t seed) {
  WEFT_CHECK(config.rate.bps > 0, "port {} has no rate", config.name);
  constexpr std::uint64_t kBitPs = 8'000'000'000'000ULL;  // 8 bits, in ps at 1 bit/s
  ps_per_byte =
      kBitPs % config.rate.bps == 0 ? static_cast<std::int64_t>(kBitPs / config.rate.bps) : 0;
  delay_ps = config.delay.ps;
  framing = config.framing;
  mtu = config.mtu;
  mac = config.mac;
  lossy = config.loss_ppb != 0 || config.corruption_ppb != 0;
  queue_ps = serialisation_time(config.queue_bytes, config.rate).ps;
  ecn_min_ps = serialisation_time(config.ecn_min, config.rate).ps;
  ecn_max_ps = serialisation_time(config.ecn_max, config.rate).ps;
  loss = RandomStream(seed, "link/" + config.name + "/loss");
  corruption = RandomStream(seed, "link/" + config.name + "/corruption");
  marking = RandomStream(seed, "link/" + config.name + "/ecn");
}

std::uint64_t Port::bytes_in(std::int64_t ps) const {
  return multiply_divide(static_cast<std::uint64_t>(ps), config.rate.bps, 8'000'000'000'000ULL);
}

std::uint64_t Port::backlog_bytes(Time now) const {
  return busy_until <= now ? 0 : bytes_in((busy_until - now).ps);
}

}  // namespace weft::models
