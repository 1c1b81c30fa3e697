#!/usr/bin/env python3
"""decap.py WEFT: `weft decap` against packets written from the RFCs, and against tshark.

Every encapsulation over IPv4 and IPv6, tagged or not; each rule of what a receiver drops; STT and IP
fragments cut, shuffled, lost, repeated; every form of capture file; broken files.
"""
import json
import random
import shutil
import subprocess
import sys

import tunnel_frames as f
from harness import read_pcapng, session

UDP = f.inner_udp()
ARP = bytes.fromhex('ffffffffffff02000000000108060001080006040001020000000001'
                    '0a0000010000000000000a000002')
PORTS = f.option(0x0102, 0x80, bytes.fromhex('00010002'))


def run(t, data, *flags, code=0):
    path = t.folder / 'in.cap'
    path.write_bytes(data)
    done = t.weft('decap', path, '--json', *flags)
    t.check(f'decap exits {code}', done.returncode == code, done.said)
    return [json.loads(line) for line in done.stdout.splitlines()], done


def one(t, name, frame, tunnel, verdict, flags=(), **want):
    lines, _ = run(t, f.pcap([frame]), *flags)
    good = len(lines) == 1 and lines[0]['tunnel'] == tunnel and lines[0]['verdict'] == verdict
    for key, value in want.items():
        good = good and lines[0][key] == (value.hex() if isinstance(value, bytes) else value)
    t.check(name, good, f'{lines}\nwanted {tunnel} {verdict} {want}')


def every_kind(t):
    """(name, tunnel, maker of a frame from where, id)"""
    ip = UDP[14:]
    return [
        ('vxlan', 'vxlan', lambda **w: f.vxlan(UDP, 0xabcdef, **w), 0xabcdef, UDP),
        ('geneve', 'geneve', lambda **w: f.geneve(UDP, 0x123456, **w), 0x123456, UDP),
        ('geneve with ports', 'geneve', lambda **w: f.geneve(UDP, 7, PORTS, 0x40, **w), 7, UDP),
        ('nvgre', 'nvgre', lambda **w: f.nvgre(UDP, 0xfffffe, **w), 0xfffffe, UDP),
        ('stt', 'stt', lambda **w: f.stt(UDP, context=2**64 - 2, where=w)[0], 2**64 - 2, UDP),
        ('lisp', 'lisp', lambda **w: f.lisp(ip, **w), 5, ip),
        ('etherip', 'etherip', lambda **w: f.etherip(UDP, **w), None, UDP),
        ('gre', 'gre', lambda **w: f.gre(UDP, **w), None, UDP),
        ('gre, checksum and sequence', 'gre',
         lambda **w: f.gre(UDP, checked=True, sequence=9, **w), None, UDP),
        ('otv', 'otv', lambda **w: f.otv(UDP, 99, 3, **w), 99, UDP),
    ]


def accepted(t):
    for name, tunnel, make, ident, inner in every_kind(t):
        for six in (False, True):
            for vlan in (None, 0x6064):
                frame = make(six=six, vlan=vlan)
                where = f'{name} {"IPv6" if six else "IPv4"} {"tagged" if vlan else ""}'
                one(t, where, frame, tunnel, 'accept', id=ident, inner=inner)
                one(t, where + ', padded', frame + b'\xee' * 11, tunnel, 'accept', inner=inner)
    one(t, 'frames without IP', f.vxlan(ARP), 'vxlan', 'accept', inner=ARP)
    one(t, 'VXLAN reserved bits', f.vxlan(UDP, flags=0xff), 'vxlan', 'accept', id=5)
    one(t, 'VXLAN without checksum', f.vxlan(UDP, checked=False), 'vxlan', 'accept', inner=UDP)
    one(t, '... that is required', f.vxlan(UDP, checked=False), 'vxlan', 'drop',
        ['--require-udp-checksum'], reason='parse.checksum')
    one(t, '... over IPv6', f.geneve(UDP, checked=False, six=True), 'geneve', 'drop',
        ['--require-udp-checksum6'], reason='parse.checksum')
    bare = f.geneve(UDP, checked=False, six=True)
    one(t, 'GENEVE over IPv6 without checksum', bare, 'geneve', 'drop', reason='parse.checksum')
    one(t, '... that is accepted', bare, 'geneve', 'accept', ['--accept-zero-checksum'], inner=UDP)
    for name, make in (('vxlan', f.vxlan), ('otv', f.otv)):
        one(t, f'{name} over IPv6 without checksum', make(UDP, checked=False, six=True), name,
            'accept', inner=UDP)
    one(t, 'LISP with N and V has a nonce', f.lisp(UDP[14:], flags=0x98), 'lisp', 'accept',
        inner=UDP[14:])
    one(t, 'LISP: DSCP and TTL come back', f.lisp(f.inner_udp(tos=0x20)[14:], tos=0xb8), 'lisp',
        'accept', inner=f.inner_udp(tos=0xb8)[14:])
    full = f.option(0xffff, 0x01, bytes(124)) + f.option(0xffff, 0x02, bytes(116))
    t.check('the longest options', len(full) + 4 == 252)
    full += f.option(0xffff, 0x03)
    one(t, '252 bytes of options', f.geneve(UDP, options=full), 'geneve', 'accept', inner=UDP,
        options=full)
    one(t, 'GENEVE control', f.geneve(b'hello', flags=0x80, protocol=0x1234), 'geneve', 'control',
        inner=b'hello', reason=None)
    critical = f.option(0x0103, 0x81, b'abcd')
    one(t, 'unknown critical option', f.geneve(UDP, options=critical, flags=0x40), 'geneve', 'drop',
        reason='tunnel.bad', options=critical)
    one(t, '... that is known', f.geneve(UDP, options=critical, flags=0x40), 'geneve', 'accept',
        ['--known-option', '0x0103:0x81'], inner=UDP, options=critical)
    tagged = f.with_vlan(UDP, 0x2064)
    for name, make, verdict in (('vxlan', f.vxlan, 'drop'), ('nvgre', f.nvgre, 'drop'),
                                ('geneve', f.geneve, 'accept'), ('otv', f.otv, 'accept'),
                                ('etherip', f.etherip, 'accept'), ('gre', f.gre, 'accept')):
        one(t, f'a tag inside {name}', make(tagged), name, verdict)
    one(t, 'a tag inside VXLAN, if told so', f.vxlan(tagged), 'vxlan', 'accept',
        ['--vxlan-inner-vlan'], inner=tagged)
    one(t, 'a tag in the STT header', f.stt(UDP, vlan=0x2064 | 0x1000)[0], 'stt', 'accept',
        inner=tagged)
    whole, partial = f.inner_tcp(3000), f.inner_tcp(3000, partial=True)
    one(t, 'a partial checksum is completed', f.stt(partial, flags=0x0e, l4=34, mss=1460)[0], 'stt',
        'accept', inner=whole)
    one(t, 'GRE with a key is NVGRE', f.gre(UDP, key=0x100500), 'nvgre', 'accept', id=0x1005)
    plain = f.gre(UDP, key=42)
    one(t, 'a key that no VSID can be', plain, 'nvgre', 'drop', reason='tunnel.bad',
        detail='reserved VSID; for GRE with a key of another kind: --gre gre')
    one(t, '... as told', plain, 'gre', 'accept', ['--gre', 'gre'], id=42, inner=UDP)
    one(t, '... or not', f.gre(UDP, key=0x100500), 'gre', 'accept', ['--gre', 'gre'], id=0x100500)
    one(t, 'another port', f.vxlan(UDP), None, 'drop', ['--port', 'vxlan=8472'],
        reason='not_tunnel')
    one(t, 'VXLAN on 8472', f.otv(UDP), 'vxlan', 'accept', ['--port', 'vxlan=8472'], id=5)
    for outer, inner, after in ((3, 2, 3), (1, 2, 1), (2, 1, 1), (3, 0, None)):
        frame = f.vxlan(f.inner_udp(tos=0xb8 | inner), tos=outer)
        if after is None:
            one(t, 'CE outside, Not-ECT inside', frame, 'vxlan', 'drop', reason='tunnel.bad')
        else:
            one(t, f'ECN {outer} outside {inner} inside', frame, 'vxlan', 'accept',
                inner=f.inner_udp(tos=0xb8 | after))


def refused(t):
    bad, cut = 'tunnel.bad', 'parse.malformed'
    for name, frame, tunnel, reason in (
            ('VXLAN without I', f.vxlan(UDP, flags=0xf7), 'vxlan', bad),
            ('GENEVE version', f.geneve(UDP, version=1), 'geneve', bad),
            ('GENEVE carrying IP', f.geneve(UDP, protocol=0x0800), 'geneve', bad),
            ('option overruns', f.geneve(UDP, options=f.option(1, 1, length=2)), 'geneve', bad),
            ('options overrun', f.geneve(b'', words=63), 'geneve', cut),
            ('NVGRE checksum', f.nvgre(UDP, checked=True), 'nvgre', bad),
            ('NVGRE sequence', f.nvgre(UDP, sequence=1), 'nvgre', bad),
            ('NVGRE routing', f.nvgre(UDP, flags=0x4000), 'nvgre', bad),
            ('NVGRE version', f.nvgre(UDP, flags=1), 'nvgre', bad),
            ('VSID 0', f.nvgre(UDP, 0), 'nvgre', bad),
            ('VSID 0xfff', f.nvgre(UDP, 0xfff), 'nvgre', bad),
            ('VSID 0xffffff', f.nvgre(UDP, 0xffffff), 'nvgre', bad),
            ('GRE routing', f.gre(UDP, flags=0x4000), 'gre', bad),
            ('GRE carrying IP', f.gre(UDP[14:], protocol=0x0800), 'gre', bad),
            ('EtherIP version 4', f.etherip(UDP, 0x4000), 'etherip', bad),
            ('EtherIP reserved bit', f.etherip(UDP, 0x3001), 'etherip', bad),
            ('OTV without I', f.otv(UDP, flags=0), 'otv', bad),
            ('LISP encrypted', f.lisp(UDP[14:], flags=0x09), 'lisp', bad),
            ('LISP carrying nothing known', f.lisp(b'\x10' + bytes(60)), 'lisp', bad),
            ('STT version', f.stt(UDP, version=1)[0], 'stt', bad),
            ('STT flags', f.stt(UDP, flags=3)[0], 'stt', bad),
            ('STT beyond its frame', f.stt_segment(f.stt_data(UDP), 60, 0), 'stt', bad),
            ('no inner frame', f.vxlan(b''), 'vxlan', cut)):
        one(t, name, frame, tunnel, 'drop', reason=reason, inner='')
    for name, _, make, _, _ in every_kind(t):
        frame = bytearray(make())
        frame[22] ^= 1  # TTL, covered by the IP header's checksum alone
        lines, _ = run(t, f.pcap([bytes(frame)]))
        t.check(f'{name}: outer header checksum', lines[0]['reason'] == 'parse.checksum', lines)
        if name not in ('nvgre', 'etherip', 'gre'):
            frame = bytearray(make())
            frame[-1] ^= 1
            lines, _ = run(t, f.pcap([bytes(frame)]))
            t.check(f'{name}: checksum', lines[0]['reason'] == 'parse.checksum', lines)
            lines, _ = run(t, f.pcap([bytes(frame)]), '--ignore-checksums')
            t.check(f'{name}: checksum ignored', lines[0]['verdict'] == 'accept', lines)
    # Every truncation of the frame that its lengths still cover: never accepted, never a crash.
    for name, _, make, _, _ in every_kind(t):
        frame = make()
        lines, _ = run(t, f.pcap([frame[:n] for n in range(len(frame))]))
        t.check(f'{name}: truncations', len(lines) == len(frame) and
                all(x['verdict'] == 'drop' for x in lines), lines[-1:])
    # The outer IP length decides, not the frame's.
    short = bytearray(f.etherip(UDP))
    short[16:18] = (len(short) - 14 - 8).to_bytes(2, 'big')
    short[24:26] = b'\0\0'
    short[24:26] = f.checksum(bytes(short[14:34])).to_bytes(2, 'big')
    one(t, 'no byte behind the IP packet', bytes(short), 'etherip', 'accept', inner=UDP[:-8])


def parts(t):
    rng = random.Random(5)
    big = [f.inner_tcp(n) for n in (9000, 40000, 65517 - 54)]
    t.check('the longest inner frame', len(big[-1]) == 65517)
    for inner in big:
        for size in (1408, 8960):
            segments = f.stt(inner, size=size)
            for order in ('in order', 'reversed', 'shuffled'):
                s = list(segments)
                if order == 'reversed':
                    s.reverse()
                if order == 'shuffled':
                    rng.shuffle(s)
                lines, _ = run(t, f.pcap(s))
                t.check(f'STT of {len(inner)} B in {len(s)}, {order}',
                        [(x['frame'], x['verdict'], x['inner']) for x in lines] ==
                        [(len(s), 'accept', inner.hex())], str(lines)[:500])
    segments = f.stt(big[0], size=1408)
    lines, _ = run(t, f.pcap(segments[:2] + segments[3:]))
    t.check('a lost segment costs the frame',
            [(x['tunnel'], x['verdict'], x['reason']) for x in lines] ==
            [('stt', 'drop', 'reassembly.incomplete')], lines)
    lines, _ = run(t, f.pcap([s for s in segments[:-1] for _ in (0, 1)] + segments[-1:]))
    t.check('repeated segments', [x['inner'] for x in lines] == [big[0].hex()], str(lines)[:300])
    lines, _ = run(t, f.pcap(segments + segments[1:2]))
    t.check('a segment once more when the frame is whole', [x['verdict'] for x in lines] ==
            ['accept'], str(lines)[:300])
    two = [s for pair in zip(f.stt(big[0], 1, 1408), f.stt(f.inner_tcp(9000, '10.0.9.9'), 2, 1408))
           for s in pair]
    lines, _ = run(t, f.pcap(two))
    t.check('two frames at a time', [x['frame'] for x in lines] == [len(two) - 1, len(two)] and
            all(x['verdict'] == 'accept' for x in lines), str(lines)[:300])
    data = f.stt_data(big[0])
    overlap = [f.stt_segment(data[:2000], len(data), 0), f.stt_segment(data[1000:], len(data), 1000)]
    lines, _ = run(t, f.pcap(overlap))
    t.check('overlapping segments', all(x['reason'] == 'reassembly.overlap' for x in lines) and
            lines, lines)
    liar = [f.stt_segment(data[:2000], len(data), 0), f.stt_segment(data[2000:], len(data) + 1, 2000)]
    lines, _ = run(t, f.pcap(liar))
    t.check('contradictory lengths', all(x['reason'] == 'reassembly.overlap' for x in lines) and
            lines, lines)
    late = f.pcap(segments, step=700000)
    lines, _ = run(t, late, '--frame-timeout', '1s')
    t.check('segments that come too late', all(x['verdict'] == 'drop' for x in lines), lines)

    whole = f.vxlan(f.inner_udp(4000), flags=8)
    pieces = f.fragments(whole, 1480)
    rng.shuffle(pieces)
    lines, _ = run(t, f.pcap(pieces))
    t.check('fragments are put together', [(x['frame'], x['verdict']) for x in lines] ==
            [(3, 'accept')] and lines[0]['inner'] == f.inner_udp(4000).hex(), str(lines)[:300])
    lines, _ = run(t, f.pcap(pieces), '--refuse-fragments')
    t.check('fragments are refused', [x['reason'] for x in lines] == ['reassembly.refused'] * 3,
            lines)
    dns = f.fragments(f.outer(f.struct.pack('>HHHH', 53, 53, 3008, 0) + bytes(3000), 17), 1480)
    lines, _ = run(t, f.pcap(dns[:1]), '--refuse-fragments', '--only-tunnels')
    t.check('a first fragment that is no tunnel', not lines, lines)
    marked = f.fragments(f.vxlan(f.inner_udp(4000), flags=8, tos=3), 1480)
    plain = f.fragments(f.vxlan(f.inner_udp(4000), flags=8, tos=0), 1480)
    lines, _ = run(t, f.pcap(marked[:1] + plain[1:]))
    t.check('CE on one fragment, Not-ECT on the others',
            [(x['verdict'], x['reason']) for x in lines] == [('drop', 'tunnel.bad')], lines)
    lines, _ = run(t, f.pcap(pieces[:-1]))
    t.check('a lost fragment', [x['reason'] for x in lines] == ['reassembly.incomplete'], lines)


def files(t):
    frames = [f.vxlan(UDP), f.geneve(UDP), ARP]
    want = ['vxlan', 'geneve', None]
    for name, data in ([(f'pcap {o} nano={n}', f.pcap(frames, o, n)) for o in '<>'
                        for n in (False, True)] +
                       [(f'pcapng {o}', f.pcapng(frames, o)) for o in '<>'] +
                       [('simple packets', f.pcapng(frames, simple=True)),
                        ('microseconds', f.pcapng(frames, resolution=6))]):
        lines, _ = run(t, data)
        t.check(name, [x['tunnel'] for x in lines] == want and
                [x['frame'] for x in lines] == [1, 2, 3] and
                lines[2]['reason'] == 'not_tunnel', lines)
    lines, _ = run(t, f.pcap(frames), '--only-tunnels')
    t.check('--only-tunnels', [x['tunnel'] for x in lines] == want[:2], lines)
    lines, done = run(t, f.pcap(frames)[:-5], code=2)
    t.check('a cut file', len(lines) == 2 and 'cut off' in done.stderr, done.said)
    lines, done = run(t, f.pcap([frames[0], (frames[1][:60], len(frames[1])), frames[2]]), code=2)
    t.check('a cut packet', [x['verdict'] for x in lines] == ['accept', 'drop', 'drop'] and
            lines[1]['tunnel'] == 'geneve' and 'snap length' in done.stderr, done.said)
    for name, data, said in (('Linux cooked', f.pcap(frames, link=113), 'link type 113'),
                             ('raw IP in pcapng', f.pcapng(frames, link=101), 'link type 101'),
                             ('no capture', b'hello, world, this is no capture', 'not a capture'),
                             ('empty file', b'', 'empty')):
        lines, done = run(t, data, code=2)
        t.check(name, not lines and said in done.stderr, done.said)
    for flags in (['--port', 'vxlan'], ['--port', 'gre=5'], ['--port', 'vxlan=70000'],
                  ['--gre', 'maybe'], ['--known-option', '5'], ['--frame-timeout', '0s'],
                  ['--refuse-fragments', '--reassemble'], ['--incomplete', '0']):
        run(t, f.pcap(frames), *flags, code=2)
    out = t.folder / 'inner.pcapng'
    everything = [make() for _, _, make, _, _ in every_kind(t)] + frames
    (t.folder / 'all.pcap').write_bytes(f.pcap(everything))
    done = t.weft('decap', t.folder / 'all.pcap', '--out', out)
    t.check('text', done.returncode == 0 and len(done.stdout.splitlines()) == len(everything) and
            'IP 10.0.1.2.40000 > 10.0.2.3.8080: UDP, length 32' in done.stdout, done.said)
    inside = [x.data for x in read_pcapng(out).frames]
    # LISP's frames have an Ethernet header of ours.
    t.check('--out', len(inside) == 12 and all(x[14:] == UDP[14:] for x in inside), inside)
    done = t.weft('decap', t.folder / 'all.pcap', '--out', '/nowhere/inner.pcapng')
    t.check('--out to nowhere', done.returncode == 2 and '/nowhere' in done.stderr, done.said)
    done = t.weft('decap', t.folder / 'missing.pcap')
    t.check('no file', done.returncode == 2 and 'missing.pcap' in done.stderr, done.said)


def tshark(path, *options):
    done = subprocess.run(['tshark', '-r', str(path), '-o', 'ip.check_checksum:TRUE',
                           '-o', 'udp.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE',
                           '-d', 'udp.port==8472,vxlan', '-T', 'fields', '-e', 'frame.protocols',
                           '-e', 'ip.checksum.status', '-e', 'udp.checksum.status',
                           '-e', 'tcp.checksum.status', '-e', 'gre.checksum.status', *options],
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
    return [line.split('\t') for line in done.stdout.splitlines()]


# tshark's STT dissector is a heuristic over IPv4 alone, and it expects checksums of zero: TCP's own
# dissector, which knows what the segment's checksum covers, is asked for that.
STT = ['-o', 'ip.try_heuristic_first:TRUE', '-o', 'stt.check_checksum:FALSE']


def second_opinion(t):
    """tshark reads what this test's writer wrote as it was meant."""
    if shutil.which('tshark') is None:
        print('SKIP  tshark is not installed: its opinion of the packets was not asked')
        return
    kinds = every_kind(t)
    frames = [(kind, six, make(six=six, vlan=vlan)) for kind in kinds for make in [kind[2]]
              for six in (False, True) for vlan in (None, 0x6064)]
    path = t.folder / 'opinion.pcap'
    path.write_bytes(f.pcap([frame for _, _, frame in frames]))
    as_stt, as_tcp = tshark(path, *STT), tshark(path)
    t.check('tshark read them all', len(as_stt) == len(as_tcp) == len(frames), as_stt)
    names = {'nvgre': 'gre', 'otv': 'vxlan', 'lisp': 'lisp-data'}
    for (kind, six, _), stt, plain in zip(frames, as_stt, as_tcp):
        name, tunnel = kind[:2]
        if tunnel == 'stt' and six:
            t.check('tshark: the TCP shape', ':ipv6:tcp' in plain[0], plain)
        else:
            t.check(f'tshark: {name}', f':{names.get(tunnel, tunnel)}:' in stt[0] and
                    stt[0].endswith('ip:udp:data'), stt)
        seen = ','.join(plain[1:])
        t.check(f'tshark: {name}, checksums', '0' not in seen and '1' in seen, plain)  # 0: bad
    size = 1408
    inner = f.inner_tcp(9000)
    path.write_bytes(f.pcap(f.stt(inner, size=size)))
    last = tshark(path, *STT)[-1]
    t.check('tshark puts an STT frame together', ':stt:eth:ethertype:ip:tcp' in last[0], last)


def main():
    with session() as t:
        accepted(t)
        refused(t)
        parts(t)
        files(t)
        second_opinion(t)


if __name__ == '__main__':
    sys.exit(main())
