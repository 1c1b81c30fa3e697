#!/usr/bin/env python3
"""inner_frames.py WEFT: what travels inside the tunnels is exactly what the guests sent.

Four machines on four hypervisors: frames as they leave and reach the VMs' ports, and the tunnel
packets on every uplink. Within a network the inner frame equals the guest's byte for byte, on both
uplinks and at the peer's port; between networks all but the MACs, the TTL (one less) and the IPv4
header's checksum. VXLAN and GENEVE, IPv4 and IPv6 inside and outside, ICMP, UDP and TCP.
"""
import struct
from collections import Counter

from harness import IN, OUT, decapsulate, ip_of, read_pcapng, session

SCENARIO = '''
name: inner-frames
duration: 400ms
underlay:
  family: {family}
  leaf_spine: {{spines: 2, leaves: 2, hosts_per_leaf: 2}}
overlay: {{encapsulation: {tunnel}}}
tenants:
  lab:
    networks:
      one: {{subnets: [10.0.1.0/24, "2001:db8:1::/64"], vni: 11259375}}
      two: {{subnets: [10.0.2.0/24, "2001:db8:2::/64"], vni: 77}}
    routers: {{r1: [one, two]}}
    groups:
      a: {{count: 2, network: one, place: {{a-1: hv-1-1, a-2: hv-2-1}}}}
      b: {{count: 2, network: two, place: {{b-1: hv-1-2, b-2: hv-2-2}}}}
traffic:
  - {{name: ping-one, from: lab/a-1, to: lab/a-2, family: {inner}, ping: {{interval: 5ms, size: 700B}}}}
  - {{name: udp-one,  from: lab/a-2, to: lab/a-1, family: {inner}, udp: {{rate: 4Mbps, size: 1200B}}}}
  - {{name: rpc-one,  from: lab/a-1, to: lab/a-2, family: {inner}, rpc: {{port: 8080, request: 3KB, response: 40KB, rate: 40/s}}}}
  - {{name: ping-two, from: lab/a-1, to: lab/b-2, family: {inner}, ping: {{interval: 5ms}}}}
  - {{name: rpc-two,  from: lab/b-2, to: lab/a-1, family: {inner}, rpc: {{port: 5432, request: 500B, response: 20KB, rate: 40/s}}}}
'''
HOST = {'a-1': 'hv-1-1', 'a-2': 'hv-2-1', 'b-1': 'hv-1-2', 'b-2': 'hv-2-2'}


def routed(frame, went_through=False):
    """What a router must leave alone; TTL counted as it was before it."""
    ip = ip_of(frame)
    data = bytearray(frame)
    data[0:12] = bytes(12)
    if ip.version == 4:
        data[22] += went_through
        data[24:26] = b'\0\0'
    else:
        data[21] += went_through
    return bytes(data)


def header_sum(frame):
    words = struct.unpack('>10H', frame[14:34])
    total = sum(words)
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def unicast_ip(frames):
    """Frames between guests: no ARP or ND, which the virtual switches answer themselves."""
    kept = []
    for data in frames:
        ip = ip_of(data)
        if ip is None or data[0] & 1 or (ip.protocol == 58 and data[ip.payload_at] >= 133):
            continue
        kept.append(data)
    return kept


def compare(t, name, sent, seen, slack):
    """The same frames as often; the last `slack` of what was sent may still be on their way."""
    missing = list((Counter(sent) - Counter(seen)).elements())
    extra = Counter(seen) - Counter(sent)
    late = set(sent[-slack:])
    missing = [m for m in missing if m not in late]
    t.check(f'{name} ({len(sent)} frames)', sent and not missing and not extra,
            f'{len(sent)} sent, {len(seen)} seen; missing {[m[:80].hex() for m in missing[:2]]}; '
            f'not sent {[e[:80].hex() for e in list(extra)[:2]]}')


def one(t, family, tunnel, inner):
    label = f'{tunnel} over {family}, {inner} inside'
    scenario = t.folder / f'{family}-{tunnel}-{inner}.yaml'
    scenario.write_text(SCENARIO.format(family=family, tunnel=tunnel, inner=inner))
    points = [f'lab/{vm}' for vm in HOST] + [f'{host}.uplink' for host in HOST.values()]
    folder = t.run(scenario, scenario.stem, '--check', 'full', *[f'--capture={p}' for p in points])
    got = {p: read_pcapng(folder / 'captures' / (p.replace('/', '_') + '.pcapng')).frames
           for p in points}
    tunnelled = {}  # per uplink and direction: (VNI, inner frame)
    for vm, host in HOST.items():
        for direction in (IN, OUT):
            unpacked = [decapsulate(f.data) for f in got[f'{host}.uplink'] if f.direction == direction]
            tunnelled[vm, direction] = [u for u in unpacked if u is not None]
            if direction == OUT and vm != 'b-1':
                t.check(f'{label}: {host} sends tunnel packets', tunnelled[vm, OUT])
            for vni, data, outer in tunnelled[vm, direction]:
                if outer.version != (6 if family == 'ipv6' else 4) or outer.protocol != 17:
                    t.check(f'{label}: the outer family', False, outer)
                    break
    # What the VMs' ports saw: IN enters the virtual switch, so the guest sent it.
    sent = {vm: unicast_ip([f.data for f in got[f'lab/{vm}'] if f.direction == IN]) for vm in HOST}
    given = {vm: unicast_ip([f.data for f in got[f'lab/{vm}'] if f.direction == OUT]) for vm in HOST}
    mac_of = {vm: sent[vm][0][6:12] for vm in HOST if sent[vm]}
    t.check(f'{label}: VMs have MACs of their own', len(set(mac_of.values())) == 3, mac_of)
    ip_addresses = {vm: ip_of(sent[vm][0]).src for vm in mac_of}

    for source, target in (('a-1', 'a-2'), ('a-2', 'a-1'), ('a-1', 'b-2'), ('b-2', 'a-1')):
        same_network = source[0] == target[0]

        def between(frames):
            return [f for f in frames if ip_of(f) is not None and ip_of(f).src == ip_addresses[source]
                    and ip_of(f).dst == ip_addresses[target]]
        name = f'{label}: {source} > {target}'
        out = between(sent[source])
        t.check(f'{name}: addressed to {"the peer" if same_network else "the router"}',
                all((f[0:6] == mac_of[target]) == same_network for f in out), out[:1])
        for where, frames in (('on the own uplink', [f for _, f, _ in tunnelled[source, OUT]]),
                              ("on the peer's uplink", [f for _, f, _ in tunnelled[target, IN]]),
                              ("at the peer's port", given[target])):
            seen = between(unicast_ip(frames))
            if same_network:
                compare(t, f'{name}: {where}, byte for byte', out, seen, 40)
                continue
            compare(t, f'{name}: {where}, all but MACs, TTL and checksum', [routed(f) for f in out],
                    [routed(f, went_through=True) for f in seen], 40)
            t.check(f'{name}: {where}, sent on to the peer by the router',
                    all(f[0:6] == mac_of[target] and f[6:12] != mac_of[source] for f in seen))
            if inner == 'ipv4':
                t.check(f'{name}: {where}, the new checksum is right',
                        all(header_sum(f) == 0xffff for f in seen))
        identifiers = {vni for vni, f, _ in tunnelled[source, OUT] if between([f])}
        want = {0xabcdef} if same_network else {0xabcdef, 77}
        t.check(f'{name}: the identifier in the tunnel', identifiers and identifiers <= want,
                identifiers)


with session() as t:
    one(t, 'ipv4', 'vxlan', 'ipv4')
    one(t, 'ipv4', 'geneve', 'ipv6')
    one(t, 'ipv6', 'vxlan', 'ipv6')
    one(t, 'ipv6', 'geneve', 'ipv4')
