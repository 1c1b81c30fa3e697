// The steps of a decision, done to a packet.
#include <algorithm>

#include "base/check.h"
#include "datapath/checksum.h"
#include "datapath/pipeline_impl.h"
#include "datapath/replies.h"
#include "datapath/rewrite.h"
#include "datapath/tunnel/stt.h"
#include "datapath/wire/wire.h"

namespace weft::datapath {
namespace {

constexpr int kMaxRecirculations = 16;

/// Bytes of the longest frame that this packet becomes when a super-segment is cut.
std::uint32_t frame_size_on_wire(const Packet& packet, const ParsedHeaders& parsed) {
  if (packet.segment_size == 0) return packet.size();
  return std::min(packet.size(), std::uint32_t{parsed.payload} + packet.segment_size);
}

/// A fragment that connection tracking would like to see whole.
bool is_part(const PassState& pass) { return pass.parsed.fragment != Fragment::none; }

DropReason reason_behind(const IcmpErrorStep& e) {
  if (e.type == (e.source.is6 ? 3 : 11)) return DropReason::ttl_expired;
  if (e.source.is6 ? e.type == 2 : e.type == 3 && e.code == 4) return DropReason::too_big;
  if (e.source.is6 ? e.type == 1 && e.code == 1
                   : e.type == 3 && (e.code == 9 || e.code == 10 || e.code == 13))
    return DropReason::policy;
  return e.type == (e.source.is6 ? 1 : 3) ? DropReason::no_route : DropReason::rule_drop;
}

}  // namespace

Packet* Pipeline::Impl::copy_of(Pass& pass, Outputs& result) {
  WEFT_CHECK(world.pool != nullptr, "set_world() has not been called");
  Packet* copy = world.pool->clone(*pass.packet, world.new_packet_id());
  result.created.push_back(copy);
  return copy;
}

bool Pipeline::Impl::execute(Pass& pass, const Decision& decision, Outputs& result) {
  std::vector<Pass> later;  // copies that go on by themselves; rare, so it allocates only then
  const bool again = execute_steps(pass, decision, decision.steps, result, later);
  for (Pass& p : later) run(p, result);  // `decision` may be gone from here on
  return again;
}

bool Pipeline::Impl::execute_steps(Pass& pass, const Decision& decision,
                                   std::span<const Step> steps, Outputs& result,
                                   std::vector<Pass>& later) {
  bool again = false;
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    switch (step.kind) {
      case StepKind::output:
        if (step.zone != 0) [[unlikely]] {
          cut_output(pass, decision, step, result);
          break;
        }
        output(step.last ? pass.packet : copy_of(pass, result), step.number, result);
        break;
      case StepKind::tunnel:
        if (step.zone != 0) [[unlikely]] {
          cut_output(pass, decision, step, result);
          break;
        }
        to_tunnel(pass, step, decision.outers[step.number], result);
        break;
      case StepKind::set:
        change(pass, step);
        break;
      case StepKind::set_key:
        pass.key.w[step.word] = (pass.key.w[step.word] & ~step.mask) | step.value;
        break;
      case StepKind::set_vlan:
      case StepKind::push_vlan:
      case StepKind::pop_vlan:
        change_tag(pass, step);
        break;
      case StepKind::track:
        if (is_part(pass) && !put_together(pass, step.zone, result)) return false;
        track(pass, step);
        break;
      case StepKind::commit:
        if (is_part(pass) && !put_together(pass, step.zone, result)) return false;
        if (const DropReason why = commit(pass, step, decision.commits[step.number]);
            why != DropReason::rule_drop) {
          drop(pass.packet, why, step.value, result);
          return false;
        }
        break;
      case StepKind::aside:
        execute_aside(pass, decision, steps.subspan(i + 1, step.number), result);
        i += step.number;
        break;
      case StepKind::clone: {
        if (step.last) break;  // the packet itself: the steps follow
        Pass copy = pass;
        copy.packet = copy_of(pass, result);
        if (execute_steps(copy, decision, steps.subspan(i + 1, step.number), result, later))
          later.push_back(copy);
        i += step.number;
        break;
      }
      case StepKind::mirror:
        output(copy_of(pass, result), step.number, result, Output::Kind::mirrored);
        break;
      case StepKind::meter:
        if (!decision.meters[step.number]->admit(pass.packet->size(), pass.now)) {
          drop(pass.packet, DropReason::meter_exceeded, step.value, result);
          return false;
        }
        break;
      case StepKind::learn:
        tables.learn(*decision.learns[step.number], pass.now);
        break;
      case StepKind::controller:
      case StepKind::packet_in:
        to_controller(step.last ? pass.packet : copy_of(pass, result), pass,
                      decision.controllers[step.number], result);
        break;
      case StepKind::dhcp_reply: {
        Packet* answer = fresh_answer(pass);
        dhcp_reply(
            pass, make_dhcp_reply(*pass.packet, pass.parsed, decision.leases[step.number], *answer),
            answer, result);
        break;
      }
      case StepKind::dhcpv6_reply: {
        Packet* answer = fresh_answer(pass);
        dhcp_reply(
            pass,
            make_dhcp6_reply(*pass.packet, pass.parsed, decision.leases6[step.number], *answer),
            answer, result);
        break;
      }
      case StepKind::dns_reply:
        if (dns_reply(pass, *decision.names[step.number].table, result)) {
          result.consumed.push_back(pass.packet);
          return false;
        }
        break;
      case StepKind::reject:
        reject(pass, decision.errors[step.number], static_cast<std::uint32_t>(step.value), result,
               later);
        break;
      case StepKind::recirculate: {
        if (pass.recirculations >= kMaxRecirculations) {
          if (step.last) drop(pass.packet, DropReason::resubmit_limit, 0, result);
          break;
        }
        Pass* target = &pass;
        if (!step.last) {
          later.push_back(pass);
          target = &later.back();
          target->packet = copy_of(pass, result);
        } else {
          again = true;
        }
        target->key.set(place::recirc_id, step.number);
        target->key.set(place::ct_state, pass.ct_result.state);
        target->key.set(place::ct_zone, pass.ct_zone);
        target->key.set(place::ct_mark, pass.ct_result.mark);
        set_connection_fields(target->key, connections, pass.ct_result, pass.ct);
        ++target->recirculations;
        break;
      }
      case StepKind::arp_reply:
      case StepKind::nd_reply:
      case StepKind::icmp_echo_reply:
        reply(pass, step, result);
        break;
      case StepKind::icmp_error:
        icmp_error(pass, decision.errors[step.number], result);
        break;
      case StepKind::drop:
        drop(pass.packet, static_cast<DropReason>(step.number), step.value, result);
        break;
    }
  }
  return again;
}

void Pipeline::Impl::cut_output(const Pass& pass, const Decision& decision, const Step& step,
                                Outputs& result) {
  Pass cut = pass;
  if (!step.last) cut.packet = copy_of(cut, result);
  trim_frame(*cut.packet, std::min<std::uint32_t>(step.zone, cut.packet->size()));
  cut.packet->segment_size = 0;
  if (step.kind == StepKind::output) return output(cut.packet, step.number, result);
  Step whole = step;
  whole.last = true;
  to_tunnel(cut, whole, decision.outers[step.number], result);
}

void Pipeline::Impl::to_controller(Packet* packet, const Pass& pass, const ControllerStep& to,
                                   Outputs& result) {
  result.controller.push_back({packet, PortNo{pass.in_port}, to.cookie, to.table, to.spec.reason,
                               to.spec.max_length, to.spec.id, to.spec.userdata});
}

void Pipeline::Impl::execute_aside(const Pass& pass, const Decision& decision,
                                   std::span<const Step> steps, Outputs& result) {
  WEFT_CHECK(world.pool != nullptr, "set_world() has not been called");
  Pass copy = pass;
  copy.packet = world.pool->clone(*pass.packet, pass.packet->id);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    const Step& step = steps[i];
    switch (step.kind) {
      case StepKind::set:
        change(copy, step);
        break;
      case StepKind::set_vlan:
      case StepKind::push_vlan:
      case StepKind::pop_vlan:
        change_tag(copy, step);
        break;
      case StepKind::track:
        track(copy, step);
        break;
      case StepKind::commit:
        commit(copy, step, decision.commits[step.number]);
        break;
      case StepKind::learn:
        tables.learn(*decision.learns[step.number], pass.now);
        break;
      case StepKind::packet_in:
        to_controller(copy_of(copy, result), pass, decision.controllers[step.number], result);
        break;
      case StepKind::mirror: {
        Packet* mirrored = world.pool->clone(*copy.packet, world.new_packet_id());
        result.created.push_back(mirrored);
        output(mirrored, step.number, result, Output::Kind::mirrored);
        break;
      }
      case StepKind::meter:
        // Who exceeds it is not done the rest for; nothing is left to be dropped.
        if (!decision.meters[step.number]->admit(copy.packet->size(), pass.now)) i = steps.size();
        break;
      case StepKind::dns_reply:
        if (dns_reply(copy, *decision.names[step.number].table, result)) i = steps.size();
        break;
      case StepKind::aside:
        execute_aside(copy, decision, steps.subspan(i + 1, step.number), result);
        i += step.number;
        break;
      default:
        break;
    }
  }
  world.pool->give(copy.packet);  // it was never anybody's packet
}

void Pipeline::Impl::to_tunnel(Pass& pass, const Step& step, const OuterStep& outer,
                               Outputs& result) {
  if (pass.packet->fragment_size != 0) [[unlikely]] {
    Packet* whole = step.last ? pass.packet : copy_of(pass, result);
    Pass piece = pass;
    Step own = step;
    own.last = true;
    return for_each_fragment(whole, result, [&](Packet* p) {
      piece.packet = p;
      piece.parsed = parse_headers(*p);
      to_tunnel(piece, own, outer, result);
    });
  }
  const std::uint32_t frame = frame_size_on_wire(*pass.packet, pass.parsed);
  // STT cuts what does not fit; its frames have a limit of their own.
  const bool cuts = outer.encap.kind == TunnelKind::stt;
  if (frame + outer.overhead - 14 > vtep.underlay_mtu && !cuts) [[unlikely]] {
    answer_too_big(pass, outer, result);
    if (step.last) drop(pass.packet, DropReason::tunnel_too_big, step.value, result);
    return;
  }
  if (uplink == 0) [[unlikely]] {
    if (step.last) drop(pass.packet, DropReason::no_port, step.value, result);
    return;
  }
  Packet* p = step.last ? pass.packet : copy_of(pass, result);
  encapsulate(p, pass, outer, step.value, result);
}

void Pipeline::Impl::encapsulate(Packet* p, const Pass& pass, const OuterStep& outer,
                                 std::uint64_t cookie, Outputs& result) {
  const std::uint32_t hash = hash_inner_flow(pass.key, seed);
  if (outer.encap.kind == TunnelKind::stt) [[unlikely]] {
    std::vector<Packet*> more;
    if (!stt::encap_frame(*p, outer.bytes, hash, ++tunnel_sequence, *world.pool,
                          world.new_packet_id, more))
      return drop(p, DropReason::tunnel_too_big, cookie, result);
    output(p, uplink, result);
    for (Packet* segment : more) {
      result.created.push_back(segment);
      output(segment, uplink, result);
    }
    return;
  }
  if (!encap(*p, outer.bytes, hash, tunnel_sequence)) [[unlikely]] {
    // LISP carries IP and nothing else.
    const bool ip = pass.parsed.ip_version != 0 || outer.encap.kind != TunnelKind::lisp;
    return drop(p, ip ? DropReason::tunnel_too_big : DropReason::tunnel_bad, cookie, result);
  }
  ++tunnel_sequence;
  output(p, uplink, result);
}

void Pipeline::Impl::answer_too_big(Pass& pass, const OuterStep& outer, Outputs& result) {
  if (pass.answered || pass.parsed.ip_version == 0) return;
  const std::uint8_t* ip = pass.packet->data() + pass.parsed.l3;
  const bool v6 = pass.parsed.ip_version == 6;
  if (!v6 && (ip[6] & 0x40) == 0) return;  // no DF: the sender does not want to know
  const std::uint32_t around = outer.overhead - 14 + pass.parsed.l3;
  if (around >= vtep.underlay_mtu) return;
  const std::uint32_t mtu = vtep.underlay_mtu - around;
  // As Linux does for VXLAN: in the name of the destination.
  const IpAddress source =
      v6 ? IpAddress(pass.key.get128(place::ip_dst))
         : IpAddress(Ip4{static_cast<std::uint32_t>(pass.key.get(place::nw_dst))});
  if (v6 && source.bits.high >> 56 == 0xff) return;
  Packet* answer = fresh_answer(pass);
  if (!make_icmp_error(*pass.packet, pass.parsed, v6 ? 2 : 3, v6 ? 0 : 4, mtu, source, *answer)) {
    world.pool->give(answer);
    return;
  }
  pass.answered = true;
  send_back(pass, answer, result);
}

void Pipeline::Impl::change(Pass& pass, const Step& step) {
  rewrite_word(*pass.packet, pass.parsed, step.word, step.value, step.mask,
               !faults.skip_checksum_update);
  pass.key.w[step.word] = (pass.key.w[step.word] & ~step.mask) | step.value;
  const bool tuple =
      (step.word >= 10 && step.word <= 13) || (step.word == 9 && step.mask >> 32 != 0);
  if (tuple) pass.ct_read = pass.tracked = pass.translated = false;
}

/// The headers stay known behind tags that the switch pushes itself: only their place changes. A
/// second tag that came with the frame is not looked through; it shows when the first is gone.
void Pipeline::Impl::change_tag(Pass& pass, const Step& step) {
  Packet& packet = *pass.packet;
  ParsedHeaders& parsed = pass.parsed;
  const auto tci = static_cast<std::uint16_t>(step.value);
  const auto move_by = [&parsed](int n) {
    parsed.l3 = static_cast<std::uint16_t>(parsed.l3 + n);
    if (parsed.l4 != 0) parsed.l4 = static_cast<std::uint16_t>(parsed.l4 + n);
    parsed.payload = static_cast<std::uint16_t>(parsed.payload + n);
    parsed.l3_end = static_cast<std::uint32_t>(static_cast<int>(parsed.l3_end) + n);
  };
  if (step.kind == StepKind::push_vlan) {
    push_tag(packet, tci, static_cast<std::uint16_t>(step.number));
    move_by(4);
  } else if (step.kind == StepKind::pop_vlan) {
    pop_tag(packet, parsed);
    move_by(-4);
    if (parsed.l3 == 14 &&
        (parsed.eth_type == wire::kEtherVlan || parsed.eth_type == wire::kEtherQinQ)) {
      reread(pass);
      if (!pass.translated) pass.ct_read = false;
      return;
    }
  } else {
    set_tag(packet, parsed, tci);
  }
  parsed.has_vlan = parsed.l3 > 14;
  parsed.vlan_tci =
      parsed.has_vlan ? wire::load_be<std::uint16_t>(packet.data() + 14) : std::uint16_t{0};
  pass.key.set(place::vlan_tci, parsed.has_vlan ? parsed.vlan_tci | kVlanPresent : 0);
  if (!pass.translated) pass.ct_read = false;
}

void Pipeline::Impl::reread(Pass& pass) {
  pass.parsed = parse_materialising(*pass.packet);
  std::fill(pass.key.w.begin() + 7, pass.key.w.begin() + 14, 0);
  pass.key.set(place::hw_src, 0);
  std::fill(pass.key.w.begin() + 17, pass.key.w.begin() + kHeaderWords, 0);
  extract(*pass.packet, pass.parsed, pass.key);
}

void Pipeline::Impl::for_each_fragment(Packet* packet, Outputs& result,
                                       const std::function<void(Packet*)>& then) {
  WEFT_CHECK(world.pool != nullptr, "set_world() has not been called");
  std::vector<Packet*> pieces;
  const std::uint32_t size = std::exchange(packet->fragment_size, std::uint16_t{0});
  cut_to_fragments(*packet, size, packet->fragment_id, *world.pool, world.new_packet_id, pieces);
  result.created.insert(result.created.end(), pieces.begin(), pieces.end());
  then(packet);
  for (Packet* piece : pieces) then(piece);
}

bool Pipeline::Impl::put_together(Pass& pass, std::uint16_t zone, Outputs& result) {
  const CtFragments& how = connections.options().fragments;
  if (!how.reassemble) return true;
  if (fragments_end != nullptr) {
    fragments_end->push_back(pass.packet);
    return false;
  }
  std::vector<Packet*> joined;
  std::vector<GivenUp> given_up;
  const auto outcome = ct_fragments.add(pass.owner, zone, *pass.packet, pass.parsed, how.limits,
                                        pass.now, joined, given_up);
  result.consumed.insert(result.consumed.end(), joined.begin(), joined.end());
  give_up_parts(given_up, result);
  switch (outcome) {
    case FragmentStore::Outcome::held:
      return false;
    case FragmentStore::Outcome::duplicate:
      drop(pass.packet, DropReason::part_duplicate, 0, result);
      return false;
    case FragmentStore::Outcome::refused:
      drop(pass.packet, DropReason::part_overlap, 0, result);
      return false;
    case FragmentStore::Outcome::malformed:
      drop(pass.packet, DropReason::malformed, 0, result);
      return false;
    case FragmentStore::Outcome::whole:
      break;
  }
  reread(pass);
  pass.ct_read = pass.tracked = pass.ct_hashed = false;
  if (pass.parsed.ok()) return true;
  drop(pass.packet, DropReason::malformed, 0, result);
  return false;
}

CtPacket Pipeline::Impl::tracked_packet(Pass& pass) const {
  const CtPacket out = ct_packet(*pass.packet, pass.parsed);
  if (pass.packet->checksums_good != 0 || out.kind == CtPacket::Kind::invalid ||
      !connections.options().verify_checksums)
    return out;
  if (verify_checksums(*pass.packet, pass.parsed) != ChecksumFault::ok) return {};
  pass.packet->checksums_good = pass.parsed.fragment == Fragment::none ? 1 : 0;
  return out;
}

void set_connection_fields(FlowKey& key, const ConnTrack& connections, const CtResult& result,
                           const CtPacket& packet) {
  key.set128(place::ct_label, connections.label(result));
  const CtTuple t = connections.original(result, packet);
  const bool echo = t.echo != 0;  // as Open vSwitch: type and code
  key.set128(place::ct_src, t.src);
  key.set128(place::ct_dst, t.dst);
  key.set(place::ct_nw_proto, t.protocol);
  key.set(place::ct_tp_src, !echo ? t.src_port : t.is6 ? t.echo + 127 : t.echo == 1 ? 8 : 0);
  key.set(place::ct_tp_dst, !echo ? t.dst_port : 0);
}

/// A packet is tracked as it is; one that NAT has changed in this zone, as it was before.
void Pipeline::Impl::read_for_tracking(Pass& pass, std::uint16_t zone) {
  if (pass.translated && zone != pass.ct_zone) pass.ct_read = pass.tracked = false;
  if (pass.ct_read) return;
  pass.ct = tracked_packet(pass);
  pass.ct_dirty = true;
  pass.ct_read = true;
  pass.ct_hashed = false;
  pass.translated = false;
}

void Pipeline::Impl::translate_if_due(Pass& pass) {
  if (!pass.ct_result.translate || pass.translated) return;
  if (faults.nat_forgets_quotes && pass.ct.kind == CtPacket::Kind::icmp_error) return;
  translate_packet(*pass.packet, pass.parsed, pass.ct, connections.translation(pass.ct_result),
                   !faults.skip_checksum_update);
  extract(*pass.packet, pass.parsed, pass.key);
  pass.translated = true;
}

void Pipeline::Impl::track(Pass& pass, const Step& step) {
  read_for_tracking(pass, step.zone);
  const std::uint32_t hash = pass.ct_hashed && pass.ct_hash_zone == step.zone
                                 ? pass.ct_hash
                                 : connections.hash(pass.ct, step.zone);
  pass.ct_result = connections.track(pass.ct, step.zone, pass.now, step.number != 0, hash);
  pass.ct_zone = step.zone;
  pass.tracked = true;
  translate_if_due(pass);
}

/// Why the packet must go; DropReason::rule_drop if it need not.
DropReason Pipeline::Impl::commit(Pass& pass, const Step& step, const CtCommit& what) {
  read_for_tracking(pass, step.zone);
  if (faults.skip_commit) return DropReason::rule_drop;
  const bool already = pass.tracked && pass.ct_zone == step.zone;
  pass.ct_result = connections.commit(pass.ct, step.zone, pass.now, what, already);
  pass.ct_zone = step.zone;
  pass.tracked = true;
  switch (pass.ct_result.refused) {
    case CtResult::Refused::no:
      break;
    case CtResult::Refused::full:
      return DropReason::ct_full;
    case CtResult::Refused::nat_exhausted:
      return DropReason::ct_nat_exhausted;
    case CtResult::Refused::clash:
      return DropReason::ct_clash;
  }
  translate_if_due(pass);
  return DropReason::rule_drop;
}

Packet* Pipeline::Impl::fresh_answer(const Pass& pass) {
  WEFT_CHECK(world.pool != nullptr, "set_world() has not been called");
  Packet* p = world.pool->take();
  p->parent = pass.packet->id;
  p->tenant = pass.packet->tenant;
  p->flow = pass.packet->flow;
  p->born = pass.now;
  p->observed = pass.packet->observed;
  return p;
}

void Pipeline::Impl::send_back(const Pass& pass, Packet* answer, Outputs& result) {
  if (answer->id == 0) answer->id = world.new_packet_id();
  result.created.push_back(answer);
  const PortConfig* to = port(pass.in_port);
  if (to == nullptr) return drop(answer, DropReason::no_port, 0, result);
  if (to->kind != PortKind::tunnel)
    return output(answer, pass.in_port, result, Output::Kind::answer);
  OuterStep outer;
  if (!make_outer_step(view(), *to, pass.key, true, outer))
    return drop(answer, DropReason::tunnel_unknown, 0, result);
  const bool fits = answer->size() + outer.overhead - 14 <= vtep.underlay_mtu ||
                    outer.encap.kind == TunnelKind::stt;
  if (!fits) return drop(answer, DropReason::tunnel_too_big, 0, result);
  if (uplink == 0) return drop(answer, DropReason::no_port, 0, result);
  const std::size_t before = result.out.size();
  encapsulate(answer, pass, outer, 0, result);
  for (std::size_t i = before; i < result.out.size(); ++i)
    result.out[i].kind = Output::Kind::answer;
}

void Pipeline::Impl::icmp_error(Pass& pass, const IcmpErrorStep& error, Outputs& result) {
  Packet* answer = fresh_answer(pass);
  if (make_icmp_error(*pass.packet, pass.parsed, error.type, error.code, 0, error.source, *answer))
    send_back(pass, answer, result);
  else
    world.pool->give(answer);  // none is due; it never had an id
  drop(pass.packet, reason_behind(error), error.cookie, result);
}

void Pipeline::Impl::reply(Pass& pass, const Step& step, Outputs& result) {
  const Mac mac = Mac::from_u64(step.value);
  Packet* answer;
  bool made = true;
  if (step.kind == StepKind::icmp_echo_reply) {
    WEFT_CHECK(world.pool != nullptr, "set_world() has not been called");
    answer = world.pool->clone(*pass.packet, world.new_packet_id());
    answer->born = pass.now;
    made = make_echo_reply(*answer, pass.parsed);
  } else {
    answer = fresh_answer(pass);
    made = step.kind == StepKind::arp_reply
               ? make_arp_reply(*pass.packet, pass.parsed, mac, *answer)
               : make_nd_reply(*pass.packet, pass.parsed, mac, *answer);
  }
  if (!made) {
    world.pool->give(answer);
    return drop(pass.packet, DropReason::malformed, 0, result);
  }
  send_back(pass, answer, result);
  result.consumed.push_back(pass.packet);
}

void Pipeline::Impl::dhcp_reply(Pass& pass, DhcpAnswer made, Packet* answer, Outputs& result) {
  if (made == DhcpAnswer::reply) {
    send_back(pass, answer, result);
  } else {
    world.pool->give(answer);
    if (made == DhcpAnswer::malformed) return drop(pass.packet, DropReason::malformed, 0, result);
  }
  result.consumed.push_back(pass.packet);
}

bool Pipeline::Impl::dns_reply(const Pass& pass, const DnsTable& table, Outputs& result) {
  Packet* answer = fresh_answer(pass);
  const bool made = make_dns_reply(*pass.packet, pass.parsed, table, *answer);
  if (made)
    send_back(pass, answer, result);
  else
    world.pool->give(answer);
  return made;
}

void Pipeline::Impl::reject(Pass& pass, const IcmpErrorStep& how, std::uint32_t goes_on,
                            Outputs& result, std::vector<Pass>& later) {
  Packet* answer = fresh_answer(pass);
  if (!make_rejection(*pass.packet, pass.parsed, how.source, *answer)) {
    world.pool->give(answer);  // none is due; it never had an id
  } else if (goes_on == 0) {
    send_back(pass, answer, result);
  } else {
    answer->id = world.new_packet_id();
    result.created.push_back(answer);
    Pass own;
    own.packet = answer;
    own.in_port = static_cast<std::uint32_t>(pass.key.get(place::in_port));
    own.owner = pass.owner;
    own.now = pass.now;
    own.recirculations = pass.recirculations + 1;
    own.served = pass.served;
    parse(own);
    own.plain = false;
    own.key.set(place::recirc_id, goes_on);
    if (own.recirculations > kMaxRecirculations)
      drop(answer, DropReason::resubmit_limit, 0, result);
    else
      later.push_back(own);
  }
  drop(pass.packet, DropReason::policy, how.cookie, result);
}

}  // namespace weft::datapath
