// A packet as a person describes it, with ovs-ofctl's fields, made whole as the guest behind a port
// would send it: its own MAC and addresses, the neighbour's or the gateway's MAC, a fresh
// connection's ports and flags. What is written is kept, however wrong; what is missing is filled.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "analysis/trace/network_view.h"
#include "base/result.h"
#include "datapath/flow_key.h"
#include "datapath/verdict.h"

namespace weft::analysis {

/// Who has which address in a network, as far as the desired state says.
class AddressBook {
 public:
  explicit AddressBook(const NetworkView& view);
  struct Owner {
    std::string name;  ///< of the port or the router
    bool router = false;
    Mac mac{};
  };
  /// Null: nobody.
  const Owner* owner(const std::string& network, const IpAddress& address) const;
  /// The network's default gateway of that family; zero: none.
  IpAddress gateway(const std::string& network, bool is6) const;

 private:
  std::map<std::pair<std::string, IpAddress>, Owner> owners_;
  std::map<std::pair<std::string, bool>, IpAddress> gateways_;
};

struct GuestPacket {
  datapath::FlowKey key{};
  std::vector<std::uint8_t> payload{};
  /// The guest would never send it: it has no route, or its neighbour does not answer.
  std::optional<DropReason> unsent{};
  std::string why{};  ///< unsent: for people
};

/// Asks the network who has an address, as the guest would; nothing: nobody answers.
using AskNeighbour = std::function<std::optional<Mac>(const IpAddress& address)>;

/// Errors name the column of `text`.
Result<GuestPacket> guest_packet(const NetworkView& view, const AddressBook& book,
                                 const control::Port& port, std::string_view text,
                                 const AskNeighbour& ask);

/// The question of a guest who has `address` (ARP, neighbour solicitation), from this port.
datapath::FlowKey neighbour_question(const control::Port& port, const IpAddress& address);

}  // namespace weft::analysis
