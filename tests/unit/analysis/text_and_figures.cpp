#include <algorithm>

#include "analysis/figures.h"
#include "analysis/text.h"
#include "base/hash.h"
#include "sample_results.h"
#include "tests/catch.h"

using namespace weft;
using namespace weft::analysis;

TEST_CASE("quantities for people: three digits, the right unit", "[text]") {
  struct Row {
    std::int64_t ps;
    const char* text;
  };
  for (const Row& row : std::vector<Row>{{0, "0 s"},
                                         {1, "1 ps"},
                                         {999, "999 ps"},
                                         {1'000, "1 ns"},
                                         {1'234, "1.23 ns"},
                                         {12'345, "12.3 ns"},
                                         {84'249'999, "84.2 µs"},
                                         {84'250'000, "84.3 µs"},
                                         {999'499'999, "999 µs"},
                                         {999'500'000, "1 ms"},
                                         {31'250'000'000, "31.3 ms"},
                                         {2'000'000'000'000, "2 s"},
                                         {123'456'000'000'000, "123 s"},
                                         {12'345'678'000'000'000, "12346 s"},
                                         {-1'500, "-1.5 ns"}}) {
    CHECK(human_duration(Duration{row.ps}) == row.text);
  }
  CHECK(human_time(Time{2'314'100'000'000}) == "2.3141 s");
  CHECK(human_time(Time{}) == "0 s");
  CHECK(human_time(Time::never()) == "never");
  CHECK(human_bytes(0) == "0 B");
  CHECK(human_bytes(4'351'767'296) == "4.35 GB");
  CHECK(human_rate(419'123'456) == "419 Mb/s");
  CHECK(human_figure(12'345'678) == "12.3 M");
  CHECK(human_figure(999) == "999");
  CHECK(human_figure(1'000'000'000'000) == "1000 G");
  CHECK(human_ppm(0) == "0 %");
  CHECK(human_ppm(1) == "<0.01 %");
  CHECK(human_ppm(500) == "0.05 %");
  CHECK(human_ppm(971'000) == "97.1 %");
  CHECK(human_ppm(999'999) == "99.99 %");  // never rounded up to a lie
  CHECK(human_ppm(1'000'000) == "100 %");
  CHECK(counted(1, "pair") == "1 pair");
  CHECK(counted(12'000, "pair") == "12 000 pairs");
  CHECK(short_place({"a/b/c.yaml", 41, 3}) == "c.yaml:41");
  CHECK(short_place({}).empty());
  CHECK(seconds_text(Time{2'000'000'001'999}) == "2.000000001");
}

TEST_CASE("widths count what a terminal shows", "[text]") {
  CHECK(display_width("µs → ✓") == 6);
  CHECK(fit("leaf-1 → spine-1", 20) == "leaf-1 → spine-1");
  CHECK(fit("leaf-1 → spine-1", 9) == "leaf-1 →…");
  CHECK(fit("äöü", 2) == "ä…");
  CHECK(fit("abc", 0).empty());
  CHECK(wrap("one two three", 7) == std::vector<std::string>{"one two", "three"});
  CHECK(wrap("extraordinarily", 4) == std::vector<std::string>{"extraordinarily"});
  CHECK(wrap("", 10).empty());
  Table t({Align::left, Align::right});
  t.add({"a", "1"});
  t.add({"a-name-that-is-long", "1 000"});
  CHECK(t.lines(80) ==
        std::vector<std::string>{"a                        1", "a-name-that-is-long  1 000"});
  CHECK(t.lines(20) == std::vector<std::string>{"a                  1", "a-name-that-…  1 000"});
}

TEST_CASE("percentiles are nearest-rank", "[figures]") {
  std::vector<Duration> v;
  for (int i = 1; i <= 100; ++i) v.push_back(Duration{i});
  CHECK(nearest_rank(v, 50'000).ps == 50);
  CHECK(nearest_rank(v, 99'000).ps == 99);
  CHECK(nearest_rank(v, 99'900).ps == 100);
  CHECK(nearest_rank(v, 100'000).ps == 100);
  CHECK(nearest_rank(v, 0).ps == 1);
  const std::vector<Duration> one = {Duration{7}};
  CHECK(nearest_rank(one, 50'000).ps == 7);
  // The definition itself, on random input: the smallest value that p of all do not exceed.
  std::uint64_t draws = 0;
  for (int round = 0; round < 300; ++round) {
    std::vector<Duration> values(1 + mix64(++draws) % 50);
    for (Duration& d : values) d.ps = static_cast<std::int64_t>(mix64(++draws) % 20);
    std::sort(values.begin(), values.end());
    const auto p = static_cast<std::uint32_t>(1 + mix64(++draws) % 100'000);
    const Duration got = nearest_rank(values, p);
    const auto below = [&](Duration d) {
      return static_cast<std::uint64_t>(std::upper_bound(values.begin(), values.end(), d) -
                                        values.begin());
    };
    CHECK(below(got) * 100'000 >= values.size() * std::uint64_t{p});
    CHECK(below(got - Duration{1}) * 100'000 < values.size() * std::uint64_t{p});
  }
}

TEST_CASE("the histogram agrees with the samples within its error", "[figures]") {
  TrafficResult t;
  LatencyHistogram parts[2];
  for (std::uint64_t i = 0; i < 5000; ++i) {
    const Duration d{static_cast<std::int64_t>(mix64(i, 3) >> (8 + mix64(i) % 40))};
    t.samples.push_back({Time{static_cast<std::int64_t>(i)}, d, 0});
    t.histogram.add(d);
    parts[i % 2].add(d);
  }
  parts[0].merge(parts[1]);
  CHECK(parts[0].buckets == t.histogram.buckets);
  CHECK(parts[0].count == 5000);
  CHECK(parts[0].sum_ps == t.histogram.sum_ps);
  const LatencyFigures exact = latency_of(t);
  t.samples_left_out = 1;
  const LatencyFigures rough = latency_of(t);
  CHECK(exact.exact);
  CHECK(!rough.exact);
  CHECK(rough.min == exact.min);
  CHECK(rough.max == exact.max);
  CHECK(rough.mean == exact.mean);
  for (const auto& [a, b] : {std::pair(exact.p50, rough.p50),
                             {exact.p90, rough.p90},
                             {exact.p99, rough.p99},
                             {exact.p999, rough.p999}}) {
    CHECK(b >= a);
    CHECK((b - a).ps <= a.ps / 32);
  }
  for (const std::int64_t v :
       {0LL, 31LL, 32LL, 33LL, 63LL, 64LL, 1'000'003LL, (1LL << 62) + 12345}) {
    const std::size_t b = LatencyHistogram::bucket_of(v);
    CHECK(LatencyHistogram::lower_bound_of(b) <= v);
    if (v < (1LL << 62)) CHECK(LatencyHistogram::lower_bound_of(b + 1) > v);
  }
}

TEST_CASE("latencies that are in the histogram alone count", "[figures]") {
  // As udp has them: no single samples.
  TrafficResult t;
  for (int i = 1; i <= 100; ++i) t.histogram.add(microseconds(i));
  const LatencyFigures f = latency_of(t);
  CHECK(f.count == 100);
  CHECK(!f.exact);
  CHECK(f.max == microseconds(100));
  CHECK(!latency_of(t, Time{}, at_ms(1)).exact);
}

TEST_CASE("a window takes the samples whose wait touches it", "[figures]") {
  TrafficResult t;
  t.samples = {{at_ms(10), milliseconds(1), 0},   // 9-10
               {at_ms(30), milliseconds(15), 1},  // 15-30
               {at_ms(31), milliseconds(1), 2},   // 30-31
               {at_ms(60), milliseconds(1), 3}};  // 59-60
  CHECK(latency_of(t, at_ms(20), at_ms(25)).count == 1);
  CHECK(latency_of(t, at_ms(20), at_ms(25)).max_pair == 1);
  CHECK(latency_of(t, at_ms(10), at_ms(15)).count == 2);
  CHECK(latency_of(t, at_ms(32), at_ms(58)).count == 0);
  CHECK(latency_of(t, at_ms(0), at_ms(100)).count == 4);
}

TEST_CASE("utilisation, hit ratio, order of links", "[figures]") {
  const Results r = sample_results();
  const auto loads = busiest_links(r);
  REQUIRE(!loads.empty());
  CHECK(std::is_sorted(loads.begin(), loads.end(), [](const LinkLoad& a, const LinkLoad& b) {
    return a.mean_ppm > b.mean_ppm;
  }));
  CHECK(loads[0].peak_ppm == 600'000);
  CHECK(ppm(1, 0) == 0);
  CHECK(rate_bps(1000, Duration{}) == 0);
  CHECK(rate_bps(1'250'000'000, seconds(1)) == 10'000'000'000);
  CHECK(rate_bps(UINT64_MAX, picoseconds(1)) == UINT64_MAX);
  CHECK(hit_ratio_ppm(total_of(std::span<const CacheResult>(r.caches))) == 999'266);
  CHECK(hit_ratio_ppm(CacheResult{}) == 0);
}

TEST_CASE("the confidence interval holds the true mean", "[figures]") {
  std::vector<Sample> samples;
  for (std::uint64_t i = 0; i < 4000; ++i) {
    samples.push_back({Time{}, Duration{static_cast<std::int64_t>(mix64(i, 11) % 1'000'001)}, 0});
  }
  const auto ci = mean_interval(samples);
  REQUIRE(ci);
  CHECK(std::abs(ci->mean_ps - 500'000) < 3 * ci->half_width_ps);
  CHECK(ci->half_width_ps > 1'000);
  CHECK(ci->half_width_ps < 30'000);
  CHECK(!mean_interval(std::span(samples).first(39)));
}

TEST_CASE("goodput of a bulk is measured while it was active", "[figures]") {
  Results r = sample_results();
  TrafficResult bulk{.name = "copy", .kind = "bulk", .start = at_ms(100), .stop = at_ms(10'000)};
  bulk.pairs.push_back(
      {.from = "a", .to = "b", .sent = 1, .delivered = 1, .bytes = 100'000'000, .completed = 1});
  bulk.samples.push_back({at_ms(900), milliseconds(800), 0});
  CHECK(goodput_bps(bulk) == 1'000'000'000);
  bulk.pairs[0].sent = 2;  // the second is unfinished: it goes on to the end
  CHECK(goodput_bps(bulk) == rate_bps(100'000'000, milliseconds(9900)));
  bulk.kind = "rpc";  // requests come until the stop
  bulk.pairs[0].sent = 1;
  CHECK(goodput_bps(bulk) == rate_bps(100'000'000, milliseconds(9900)));
}

TEST_CASE("little is not nothing", "[text]") {
  CHECK(share_text(0, false) == "0 %");
  CHECK(share_text(0, true) == "<0.01 %");
  CHECK(share_text(500'000, true) == "50 %");
}
