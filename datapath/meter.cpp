#include "datapath/meter.h"

#include <fmt/core.h>

#include <algorithm>

#include "datapath/text_piece.h"

namespace weft::datapath {
namespace {

constexpr std::uint64_t kPerUnit = 1'000'000'000'000;  // of a bit or packet: picoseconds a second

using Level = unsigned __int128;

/// Bits or packets.
std::uint64_t units(const Meter& m, std::uint32_t n) {
  return m.packets ? n : std::uint64_t{n} * 1000;
}
Level capacity(const Meter& m, const MeterBand& b) {
  return Level{units(m, b.burst != 0 ? b.burst : b.rate)} * kPerUnit;
}

}  // namespace

Result<Meter> parse_meter(std::string_view text, int column, bool need_bands) {
  const std::string with_commas = blanks_to_commas(text);
  const Piece all{with_commas, column};
  auto pieces = split(all);
  if (!pieces) return pieces.error();
  Meter m;
  bool has_id = false, has_unit = false;
  for (Piece p : *pieces) {
    if (p.text.empty()) continue;
    // "band=type=drop" opens a band; "type=drop" may open a further one.
    for (std::string_view word : {"bands=", "band="})
      if (p.text.starts_with(word)) p = trim(p.from(word.size()));
    auto item = cut(p, "=");
    if (!item) return item.error();
    const std::string_view name = item->name.text;
    const auto number = [&](std::uint32_t& target, std::uint64_t limit) -> Result<> {
      auto n = number_up_to(item->value, limit, name);
      if (!n) return n.error();
      target = static_cast<std::uint32_t>(*n);
      return {};
    };
    Result<> done;
    if (name == "meter" || name == "meter_id") {
      has_id = true;
      if (!need_bands && item->value.text == "all")
        m.id = Meter::kAll;
      else if (done = number(m.id, Meter::kMaxId); done && m.id == 0)
        done = fail(item->value, "0 is no meter", "meters are numbered from 1");
    } else if (name == "kbps" || name == "pktps") {
      has_unit = true;
      m.packets = name == "pktps";
    } else if (name == "burst" || name == "stats") {
      // Bursts are always allowed, statistics always kept.
    } else if (name == "type") {
      if (item->value.text != "drop")
        return fail(item->value, fmt::format("a band of type '{}'", item->value.text),
                    "weft has type=drop only");
      m.bands.emplace_back();
    } else if (name == "rate" || name == "burst_size") {
      if (m.bands.empty())
        return fail(p, fmt::format("{} outside of a band", name), "write band=type=drop,rate=N");
      done = number(name == "rate" ? m.bands.back().rate : m.bands.back().burst, 0xffffffff);
    } else {
      return fail(p, fmt::format("a meter has no '{}'", name),
                  did_you_mean(name,
                               {"meter", "kbps", "pktps", "burst", "stats", "band", "type", "rate",
                                "burst_size"},
                               "it takes meter, kbps or pktps, burst, stats, band"));
    }
    if (!done) return done.error();
  }
  if (!need_bands) {
    if (!has_id) m.id = Meter::kAll;
    return m;
  }
  if (!has_id) return fail(all, "a meter without a number", "begin with meter=N");
  if (!has_unit) return fail(all, "a meter without a unit", "add kbps or pktps");
  if (m.bands.empty()) return fail(all, "a meter without a band", "add band=type=drop,rate=N");
  for (const MeterBand& b : m.bands)
    if (b.rate == 0) return fail(all, "a band without a rate", "add rate=N, 1 or more");
  return m;
}

std::string format_meter(const Meter& m) {
  std::string out = fmt::format("meter={},{},burst", m.id, m.packets ? "pktps" : "kbps");
  for (const MeterBand& b : m.bands) {
    out += fmt::format(",band=type=drop,rate={}", b.rate);
    if (b.burst != 0) out += fmt::format(",burst_size={}", b.burst);
  }
  return out;
}

InstalledMeter::InstalledMeter(Meter what, Time now)
    : meter(std::move(what)), bands(meter.bands.size()), filled(now), added(now) {
  for (std::size_t i = 0; i < bands.size(); ++i) bands[i].level = capacity(meter, meter.bands[i]);
}

bool InstalledMeter::admit(std::uint32_t size, Time now) {
  ++packets;
  bytes += size;
  const auto passed = now > filled ? static_cast<std::uint64_t>((now - filled).ps) : 0;
  filled = std::max(filled, now);
  const Level cost = Level{meter.packets ? 1 : std::uint64_t{size} * 8} * kPerUnit;
  bool within = true;
  for (std::size_t i = 0; i < bands.size(); ++i) {
    Band& b = bands[i];
    const MeterBand& limit = meter.bands[i];
    b.level = std::min(b.level + Level{passed} * units(meter, limit.rate), capacity(meter, limit));
    if (b.level >= cost) {
      b.level -= cost;
    } else {
      within = false;
      ++b.packets;
      b.bytes += size;
    }
  }
  return within;
}

}  // namespace weft::datapath
