// DNS (RFC 1035) as a switch answers it from a small table of names, for queries over UDP that ask
// for one name: A, AAAA and ANY by name, PTR by address. The switch speaks in the name of the
// server that was asked. Names are compared without case (RFC 4343); the question comes back in the
// asker's own spelling.
//
// A name of the table without an address of the family that was asked for gets an empty answer
// (RFC 2308 NODATA), so that nobody waits for a timeout. What is not in the table is somebody
// else's to answer: the packet goes on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/net_types.h"
#include "base/result.h"
#include "datapath/packet.h"
#include "datapath/parse.h"

namespace weft::datapath {

class DnsTable {
 public:
  /// A dotted name of labels of 1 to 63 letters, digits, '-' and '_', 253 characters in all; a dot
  /// at the end is dropped.
  Result<> add(std::string_view name, const IpAddress& address);

  /// nullptr: not in the table. `name` in small letters, without a dot at the end.
  const std::vector<IpAddress>* addresses(std::string_view name) const;
  /// The first of the names that have this address; empty: none.
  std::string_view name_of(const IpAddress& address) const;
  bool empty() const { return names_.empty(); }
  /// In the order of the names.
  const std::map<std::string, std::vector<IpAddress>, std::less<>>& names() const { return names_; }

  std::uint32_t ttl = 3600;  ///< seconds, of every answer

  bool operator==(const DnsTable&) const = default;

 private:
  std::map<std::string, std::vector<IpAddress>, std::less<>> names_;
  std::map<IpAddress, std::string> pointers_;
};

/// A table that many rules and decisions share; it is what is in it.
struct SharedDns {
  std::shared_ptr<const DnsTable> table;
  bool operator==(const SharedDns& o) const {
    return table == o.table || (table && o.table && *table == *o.table);
  }
};

/// `query` is a UDP datagram to port 53, over IPv4 or IPv6. Fills `reply` if the table has the
/// answer; false if it has not, or the query is none that can be answered.
bool make_dns_reply(const Packet& query, const ParsedHeaders& parsed, const DnsTable& table,
                    Packet& reply);

}  // namespace weft::datapath
