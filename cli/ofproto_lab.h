// What `weft ofproto` works with: a switch made from a switch file, with its packets and its clock.
// Ports that rules mention and nobody declares exist as plain ports (kind vm); tunnel ports without
// an uplink get one.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "datapath/pipeline.h"
#include "datapath/statement.h"

namespace weft::cli {

class OfprotoLab {
 public:
  struct Settings {
    std::string rules;               ///< path of the switch file, "-": standard input
    std::vector<std::string> ports;  ///< further port declarations
    std::vector<std::string> down;   ///< names or numbers of ports that are not live
    datapath::CacheOptions caches;
    std::uint64_t seed = 1;
  };

  /// The text of a file or of standard input.
  static Result<std::string> read(const std::string& path);

  explicit OfprotoLab(const Settings& settings);
  ~OfprotoLab();
  OfprotoLab(const OfprotoLab&) = delete;
  OfprotoLab& operator=(const OfprotoLab&) = delete;

  Result<> load(const Settings& settings);
  /// Adds a plain port unless the number is taken.
  void ensure_port(std::uint32_t number);
  /// "vm-1" or "1".
  Result<datapath::PortNo> port_named(const std::string& text) const;
  std::string name_of_port(datapath::PortNo port) const;

  Packet* packet(std::span<const std::uint8_t> frame);
  /// Gives back every packet of `outputs` and clears it.
  void release(datapath::Outputs& outputs);

  PacketArena arena;
  PacketPool pool;
  PacketId next_id = 0;
  datapath::Pipeline pipeline;
};

}  // namespace weft::cli
