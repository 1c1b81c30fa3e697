#!/usr/bin/env python3
"""lessons.py WEFT: the four lessons for a student show what their comments promise.

What the comment says to look for is looked for, in the captures.
"""
import struct

from harness import IN, OUT, LIBRARY, decapsulate, ethertype, ip_of, mac, read_pcapng, session, v4

BROADCAST = b'\xff' * 6


def captured(t, lesson, *points):
    folder = t.run(LIBRARY / f'{lesson}.yaml', lesson, *[f'--capture={p}' for p in points])
    return [read_pcapng(folder / 'captures' / (p.replace('/', '_') + '.pcapng')).frames for p in points]


def echoes(frames, direction=None):
    """(source, destination, request?, sequence, ttl, frame) of pings."""
    found = []
    for frame in frames:
        ip = ip_of(frame.data)
        if ip is None or ip.protocol != 1 or (direction and frame.direction != direction):
            continue
        kind, _, _, _, sequence = struct.unpack_from('>BBHHH', frame.data, ip.payload_at)
        if kind in (0, 8):
            found.append((ip.src, ip.dst, kind == 8, sequence, ip.ttl, frame.data))
    return found


def pairs(found):
    return sorted({(e[0], e[1]) for e in found})


def arp_requests(frames, direction):
    return [f.data for f in frames if f.direction == direction and ethertype(f.data)[0] == 0x0806 and
            f.data[20:22] == b'\0\1']


with session() as t:
    h = {n: v4(f'192.168.1.{n}') for n in (1, 2, 3, 4)}

    one, two, three, four = captured(t, 'lesson-1-hub', *[f'h{n}.uplink' for n in h])
    everything = pairs([(h[1], h[2]), (h[2], h[1]), (h[3], h[4]), (h[4], h[3])])
    for n, frames in ((1, one), (2, two), (3, three), (4, four)):
        t.check(f'hub: h{n} hears both conversations', pairs(echoes(frames)) == everything,
                pairs(echoes(frames)))
        t.check(f'hub: h{n} hears each of 20 pings once', len(echoes(frames)) == 20 ==
                len({e[:4] for e in echoes(frames)}), len(echoes(frames)))
    strangers = [f for f in three if f.direction == IN and f.data[0:6] not in
                 (mac('02:48:00:00:00:03'), BROADCAST)]
    t.check('hub: what is not for h3 ends there as l2.not_for_me', strangers and all(
        any('l2.not_for_me' in c for c in f.comments) for f in strangers), len(strangers))

    one, three = captured(t, 'lesson-2-switch', 'h1.uplink', 'h3.uplink')
    t.check('switch: h3 hears its own conversation alone',
            pairs(echoes(three)) == pairs([(h[3], h[4]), (h[4], h[3])]), pairs(echoes(three)))
    t.check('switch: the ARP question of h1 goes to everyone', len(arp_requests(three, IN)) == 1 and
            arp_requests(three, IN)[0] == arp_requests(one, OUT)[0])
    first = echoes(three)[0][5]
    later = [f for f in three if f.direction == IN and f.data[0:6] != BROADCAST]
    t.check('switch: whatever else reaches h3 is addressed to it',
            later and {f.data[0:6] for f in later} == {first[6:12]}, later[:2])

    one, three = captured(t, 'lesson-3-router', 'h1.uplink', 'h3.uplink')
    far = v4('192.168.2.1')
    out = [e for e in echoes(one, OUT) if e[1] == far]
    into = [e for e in echoes(three, IN) if e[2]]
    t.check('router: five pings leave and arrive', len(out) == len(into) == 5, (len(out), len(into)))
    router = out[0][5][0:6]
    for a, b in zip(out, into):
        t.check('router: same IP addresses, TTL one less', a[:2] == b[:2] == (h[1], far) and
                b[4] == a[4] - 1, (a, b))
        t.check("router: the router's MAC instead of h1's", a[5][6:12] == mac('02:48:00:00:00:01') and
                b[5][6:12] == a[5][0:6] == router and b[5][0:6] == mac('02:48:00:00:00:03'), (a, b))
    near = [e for e in echoes(one, OUT) if e[1] == h[2]]
    t.check('router: neighbours talk without it', len(near) == 5 and
            near[0][5][0:6] == mac('02:48:00:00:00:02') and
            all(e[4] == 64 for e in echoes(one, IN) if e[0] == h[2]), near[:1])
    t.check('router: h1 asks for its gateway, never for h3',
            {f[38:42] for f in arp_requests(one, OUT)} == {h[2], v4('192.168.1.254')})
    t.check("router: nothing of the neighbours' talk reaches the other network",
            all(h[2] not in e[:2] for e in echoes(three)))

    own, peer, port = captured(t, 'lesson-4-vxlan', 'hv-1-1.uplink', 'hv-2-1.uplink', 'class/vm-2')
    sent = [d for d in (decapsulate(f.data) for f in own if f.direction == OUT) if d]
    got = [d for d in (decapsulate(f.data) for f in peer if f.direction == IN) if d]
    t.check('vxlan: VNI 42', {d[0] for d in sent + got} == {42}, {d[0] for d in sent + got})
    t.check('vxlan: outer addresses are the hypervisors\'', {(d[2].src, d[2].dst) for d in sent} ==
            {(v4('172.16.1.1'), v4('172.16.2.1'))}, sent[:1])
    inner = [ip_of(d[1]) for d in sent if ip_of(d[1])]
    t.check('vxlan: inner addresses are the VMs\'', len(inner) == 5 and {(i.src, i.dst) for i in inner} ==
            {(v4('10.0.0.11'), v4('10.0.0.12'))}, inner)
    t.check('vxlan: three routers took one each from the outer TTL, none from the inner',
            {d[2].ttl for d in sent} == {64} and {d[2].ttl for d in got} == {61} and
            {ip_of(d[1]).ttl for d in got if ip_of(d[1])} == {64}, (sent[:1], got[:1]))
    reached = [f.data for f in port if f.direction == OUT]
    t.check('vxlan: the frame that reaches vm-2 is the one inside', all(d[1] in reached for d in got))
