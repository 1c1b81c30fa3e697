// Captures of a run: taps on points of the world, one pcapng file per point.
//
// A tap belongs to one node and is written to by that node's worker only; it keeps what its filter
// lets through until flush() is called between windows, which merges the taps of a point by event
// key and writes what is older than kLag. The lag is there for the comments: a frame that was
// dropped anywhere within it carries "dropped at PLACE by RULE of TENANT (file:line:column); packet
// N", whose whole way `weft explain RUN --packet N` tells.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "analysis/results.h"
#include "pcap/filter.h"
#include "pcap/writer.h"
#include "scenarios/run/output.h"
#include "scenarios/run/world.h"

namespace weft::scenarios {

class Captures {
 public:
  static constexpr Duration kLag = milliseconds(100);

  /// Compiles the filters, opens the files and hangs the taps on the world's nodes.
  static Result<std::unique_ptr<Captures>> open(World& world, const std::vector<CaptureSpec>& specs,
                                                const RunFolder& folder,
                                                const std::string& application);
  ~Captures();
  /// Writes what is older than `now` - kLag, or everything.
  void flush(Time now, bool everything = false);
  /// Closes the files; what they hold, in the order of the specification.
  std::vector<analysis::CaptureFileInfo> close();

 private:
  class Tap;
  struct File;
  Captures() = default;
  void collect_drops();

  World* world_ = nullptr;
  std::vector<std::unique_ptr<File>> files_;
  std::map<PacketId, std::string> comments_;
  std::vector<std::size_t> seen_;  ///< drop records of each node already in comments_
};

/// What libpcap says against the filters; empty: all are good.
std::vector<Error> capture_filter_errors(const std::vector<CaptureSpec>& specs);

/// "dropped at leaf-1.spine-2 by queue.full" with rule and line of the scenario where one did it.
std::string drop_text(const World& world, std::size_t node, const models::DropRecord& record);

}  // namespace weft::scenarios
