// Statement: one line of a switch file, as a value. A switch file says all that makes a switch: its
// rules in the syntax of `ovs-ofctl add-flows`, and around them what `ovs-ofctl` and `ovs-vsctl`
// are told in commands of their own.
//
//   # a comment
//   port 1=vm                                   ports; see parse_port
//   port 10=vxlan,name=vx0,remote=172.16.0.2,key=42
//   vtep address=172.16.0.1,mac=0a:00:00:00:00:01
//   table=0,priority=100,ip,nw_dst=10.0.0.0/8,actions=output:2
//   add table=1,actions=drop                    as the first word: add, modify, modify_strict,
//   delete table=1,ip                           delete, delete_strict, with or without "flow"
//   group group_id=1,type=all,bucket=...        as ovs-ofctl add-group (group.h); also "group add",
//                                               "group modify", "group delete group_id=1"
//   meter meter=1,kbps,band=type=drop,rate=9    as ovs-ofctl add-meter (meter.h); the same verbs
//   mirror name=m0,select_all,output_port=9     mirror.h
//   ct zone=3,limit=1000,udp=10s                connection tracking: of one zone, or without zone=
//                                               of all (CtStatement)
//
// The words "group" and "meter" may be left out where the text itself says what it is.
//
// apply() in pipeline.h carries one out. parse_statement(format_statement(s)) == s, but for the
// names of ports, which become numbers.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"
#include "datapath/conntrack_options.h"
#include "datapath/group.h"
#include "datapath/meter.h"
#include "datapath/mirror.h"
#include "datapath/pipeline.h"
#include "datapath/rule.h"

namespace weft::datapath {

/// Of connection tracking: what is given changes, the rest stays.
struct CtStatement {
  std::optional<std::uint16_t> zone;  ///< with it: limit and timeouts of that zone alone
  std::optional<std::uint32_t> max_connections;
  std::optional<std::uint32_t> limit;  ///< of each zone; 0: none (of a zone: none of its own)
  std::optional<bool> early_drop, verify_checksums, reassemble, loose, liberal;
  std::vector<std::pair<Duration CtTimeouts::*, Duration>> timeouts;
  bool operator==(const CtStatement&) const = default;
};

struct Statement {
  enum class Subject : std::uint8_t { flow, group, meter, mirror, port, vtep, ct };
  enum class Verb : std::uint8_t {
    add,
    modify,
    modify_strict,
    remove,
    remove_strict,
    insert_buckets,  ///< groups: in front of or behind `at_bucket`
    remove_buckets,  ///< groups: `at_bucket`
  };

  Subject subject = Subject::flow;
  Verb verb = Verb::add;
  Rule rule{};
  RuleFilter filter{};
  Group group{};
  std::uint32_t at_bucket = Bucket::kLast;  ///< an id, or kFirst, kLast, kAll
  Meter meter{};
  Mirror mirror{};
  PortConfig port{};
  VtepConfig vtep{};
  CtStatement ct{};
};

/// Errors carry the column (1-based). `names` are those of the ports so far.
Result<Statement> parse_statement(std::string_view line, const PortNames* names = nullptr);
/// The canonical line.
std::string format_statement(const Statement& statement);

/// "10=vxlan,name=vx0,remote=172.16.0.2,key=42,tenant=1,down": kinds are vm, uplink, local and the
/// tunnels'; `down` means that the port is not live.
Result<PortConfig> parse_port(std::string_view text, int column = 1);
std::string format_port(const PortConfig& port);

/// Every statement of a file, in order; the first error, with `file`, line and column. Empty lines
/// and what follows a # are skipped. Ports are known by name from the line that declares them on.
struct FileStatement {
  int line = 0;
  Statement statement;
};
Result<std::vector<FileStatement>> parse_switch_file(std::string_view text,
                                                     const std::string& file);

}  // namespace weft::datapath
