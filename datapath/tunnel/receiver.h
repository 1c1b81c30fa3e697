// TunnelReceiver: the receiving end of tunnels, with memory. decap() (tunnel.h) handles one packet;
// this also puts outer IP fragments together, or refuses them, and STT segments into frames.
//
//   TunnelReceiver receiver({...});
//   switch (receiver.receive(packet, now, given_up).what) ...
//
// RFC 7348 and 8926 leave it to the endpoint whether it takes fragments: ReceiverOptions. Who owns
// what: a packet that is `held` is the receiver's until it comes back: as the inner frame that it
// completes (receive() then gives that packet, and the others as `joined`), or in `given_up`.
#pragma once

#include <optional>
#include <vector>

#include "datapath/reassembly.h"
#include "datapath/tunnel/tunnel.h"

namespace weft::datapath {

struct ReceiverOptions {
  DecapOptions decap{};
  bool refuse_fragments = false;
  /// IP fragments; RFC 8200 says 60 s, Linux keeps them for 30.
  ReassemblyLimits fragments{256, 8u << 20, seconds(30)};
  /// STT frames. The segments of one come in a burst.
  ReassemblyLimits frames{1024, 32u << 20, seconds(1)};
};

class TunnelReceiver {
 public:
  explicit TunnelReceiver(ReceiverOptions options = {});

  struct Result {
    enum class What : std::uint8_t {
      held,    ///< waits here for its other parts
      again,   ///< the part is there already: the packet is the caller's to discard
      packet,  ///< see `decap`: of this packet, or of the one that it completed
    };
    What what = What::packet;
    Decap decap{};
  };
  /// `packet` is addressed to this endpoint; `parsed` is of parse_materialising. Whatever is not a
  /// part, or completes a whole, is `packet`, in place. The other parts of what it completes are
  /// appended to `joined`.
  Result receive(Packet& packet, const ParsedHeaders& parsed, Time now,
                 std::vector<Packet*>& joined, std::vector<GivenUp>& given_up,
                 std::vector<std::uint8_t>* options_bytes = nullptr);
  /// Gives up what has waited too long.
  void expire(Time now, std::vector<GivenUp>& given_up);
  void clear(std::vector<GivenUp>& given_up);
  std::size_t incomplete() const { return fragments_.packets() + frames_.packets(); }
  const ReceiverOptions& options() const { return options_; }
  /// For what comes from now on.
  void configure(const ReceiverOptions& options);

 private:
  Result take_segment(Packet& packet, Decap decap, Time now, std::vector<Packet*>& joined,
                      std::vector<GivenUp>& given_up);

  ReceiverOptions options_;
  Reassembly fragments_;
  Reassembly frames_;
  /// STT frames that are whole already: what comes of them once more is a repetition. (IP reuses
  /// its identifications too soon for this.)
  struct Done {
    PartKey key{};
    Time until{};
  };
  static constexpr std::size_t kDone = 64;
  std::vector<Done> done_;  // a ring
  std::size_t next_done_ = 0;
  std::vector<Part> parts_;
};

}  // namespace weft::datapath
