#include "scenarios/swarm/watch.h"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

#include "base/units.h"
#include "datapath/parse.h"
#include "datapath/wire/endian.h"
#include "models/hypervisor.h"
#include "models/observe.h"
#include "scenarios/run/world.h"

namespace weft::scenarios::swarm {

class Watch::Book final : public models::PolicyTap {
 public:
  Book(const World& world, std::string node) : world_(world), node_(std::move(node)) {}

  void given(Time at, std::uint64_t order, const Packet& packet, const std::string& vm) override {
    Sight& s = write(at, order, packet);
    s.given = true;
    s.vm = vm;
  }
  void refused(Time at, std::uint64_t order, const Packet& packet, std::uint64_t cookie) override {
    Sight& s = write(at, order, packet);
    if (const auto* origin = world_.origin_of(cookie)) {
      s.rule = origin->rule;
      // A rule that belongs to another tenant decides nothing here.
      if (origin->tenant + 1 != packet.tenant) s.rule = "another tenant's " + s.rule;
    }
  }

  std::vector<Sight> sights;

 private:
  Sight& write(Time at, std::uint64_t order, const Packet& packet) {
    Sight s;
    s.at = at;
    s.order = order;
    s.packet = packet.id;
    s.tenant = packet.tenant;
    s.flow = packet.flow;
    s.node = node_;
    const auto headers = packet.headers();
    const auto parsed = datapath::parse_headers(packet);
    std::copy_n(headers.begin(), 6, s.destination_mac.bytes.begin());
    std::copy_n(headers.begin() + 6, 6, s.source_mac.bytes.begin());
    const std::uint8_t* l3 = headers.data() + parsed.l3;
    s.ip = parsed.ip_version != 0;
    if (parsed.is_ipv4()) {
      s.source = Ip4{wire::load_be<std::uint32_t>(l3 + 12)};
      s.destination = Ip4{wire::load_be<std::uint32_t>(l3 + 16)};
    } else if (parsed.is_ipv6()) {
      s.source = Ip6{wire::load_be<std::uint64_t>(l3 + 8), wire::load_be<std::uint64_t>(l3 + 16)};
      s.destination =
          Ip6{wire::load_be<std::uint64_t>(l3 + 24), wire::load_be<std::uint64_t>(l3 + 32)};
    }
    s.protocol = parsed.ip_proto;
    if (parsed.l4 != 0) {
      const std::uint8_t* l4 = headers.data() + parsed.l4;
      if (s.protocol == 6 || s.protocol == 17) {
        s.source_port = wire::load_be<std::uint16_t>(l4);
        s.destination_port = wire::load_be<std::uint16_t>(l4 + 2);
      } else {
        s.icmp_type = l4[0];
      }
    }
    sights.push_back(std::move(s));
    return sights.back();
  }

  const World& world_;
  std::string node_;
};

Watch::Watch() = default;
Watch::~Watch() = default;

void Watch::attach(World& world) {
  for (std::size_t i = 0; i < world.node_count(); ++i) {
    auto* hypervisor = world.hypervisor(i);
    if (hypervisor == nullptr) continue;
    books_.push_back(std::make_unique<Book>(world, world.node(i).name));
    hypervisor->set_policy_tap(books_.back().get());
  }
}

std::vector<Sight> Watch::take() {
  std::vector<Sight> all;
  for (auto& book : books_) {
    std::move(book->sights.begin(), book->sights.end(), std::back_inserter(all));
    book->sights.clear();
  }
  std::stable_sort(all.begin(), all.end(), [](const Sight& a, const Sight& b) {
    return std::tie(a.at, a.order) < std::tie(b.at, b.order);
  });
  return all;
}

std::string Sight::text() const {
  std::string what = fmt::format("{} > {}", source_mac.text(), destination_mac.text());
  if (ip) {
    const bool ports = protocol == 6 || protocol == 17;
    const auto end = [&](const IpAddress& a, std::uint16_t port) {
      if (!ports) return a.text();
      return a.is6 ? fmt::format("[{}]:{}", a.text(), port) : fmt::format("{}:{}", a.text(), port);
    };
    what = fmt::format("{} > {} {}", end(source, source_port), end(destination, destination_port),
                       protocol == 6    ? "tcp"
                       : protocol == 17 ? "udp"
                                        : fmt::format("icmp type {}", icmp_type));
  }
  return fmt::format("{} at {}: packet {:#x} {} {}", format_time(at), node, packet, what,
                     given
                         ? "given to " + vm
                         : "refused by " + (rule.empty() ? std::string("an unknown rule") : rule));
}

}  // namespace weft::scenarios::swarm
