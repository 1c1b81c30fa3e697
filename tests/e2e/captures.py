#!/usr/bin/env python3
"""captures.py WEFT: what every library scenario writes is what analysers read without complaint.

Each scenario runs with its own captures and further ones: uplinks, an inner link, VMs' ports, the
drops. Of each file: interface name, nanosecond resolution, filter, stamps in order, comments on
what was dropped; then tshark with every checksum checked. And captures, the level of checking and
a second run change neither digest nor bytes.
"""
import re
import shutil
import struct
import subprocess

from harness import LIBRARY, events, read_pcapng, session, summary

# Of long captures the first so many packets go through tshark; they hold all kinds of packets.
MOST = 6000
UNTIL = {'three-tier-migration': '400ms', 'link-failure-under-load': '1050ms'}
# What an analyser must not find. `_ws.malformed` also covers dissectors that were misled by a port.
BAD = ('_ws.malformed || ip.checksum.status == 0 || udp.checksum.status == 0 || '
       'tcp.checksum.status == 0 || icmp.checksum.status == 0 || icmpv6.checksum.status == 0 || '
       '_ws.short || _ws.unreassembled || eth.len.past_end || ip.len == 0 || '
       '_ws.expert.severity == error')
CHECKS = [f'-o{name}:TRUE' for name in ('ip.check_checksum', 'udp.check_checksum',
                                        'tcp.check_checksum')]


def extra_points(t, scenario):
    """Two uplinks, a link inside the fabric, two VMs, the drops."""
    ports = t.weft('ls', scenario, 'ports').stdout.splitlines()[1:]
    names = [line.split()[0] for line in ports if line.strip()]
    uplinks = [n for n in names if n.endswith('.uplink')]
    inner = [n for n in names if re.fullmatch(r'leaf-1\.spine-1|sw1\.r|hub\.h1|sw\.h1', n)]
    vms = [line.split()[0] for line in t.weft('ls', scenario, 'vms').stdout.splitlines()
           if re.match(r'^[\w.-]+/[\w.-]+\s', line)]
    t.check(f'{scenario.name}: two uplinks and a link inside', len(uplinks) >= 2 and inner, names)
    return uplinks[:2] + inner[:1] + vms[:1] + vms[-1:] + ['drops']


def look_at(t, name, point, path, folder):
    capture = read_pcapng(path)
    t.check(f'{name}: {point}: interface', capture.interface == point, capture.interface)
    t.check(f'{name}: {point}: nanoseconds', capture.resolution == 9, capture.resolution)
    stamps = [f.ns for f in capture.frames]
    t.check(f'{name}: {point}: in order of time', stamps == sorted(stamps))
    listed = {c['point']: c for c in summary(folder)['captures']}
    t.check(f'{name}: {point}: summary.json counts its packets',
            listed[point]['packets'] == len(capture.frames), listed[point])
    if point == 'drops':
        drops = [e for e in events(folder) if e['kind'] == 'drop']
        dropped = summary(folder)['totals']['packets_dropped']
        t.check(f'{name}: every drop was captured', len(capture.frames) == dropped,
                f'{len(capture.frames)} frames, {dropped} drops')
        if len(drops) < dropped:  # each device keeps so many lines and no more
            t.check(f'{name}: lines are left out only beyond the limit', len(drops) >= 20_000)
            drops = []
        for frame, drop in zip(capture.frames, drops):
            want = f"dropped at {drop['object']} by "
            rule = drop['details'].get('rule', drop['details']['reason'])
            text = ''.join(frame.comments)
            place = drop['details'].get('place', '')
            good = (text.startswith(want + rule) and
                    text.endswith(f"; packet {drop['details']['packet']}") and
                    (not place or f'({place})' in text) and frame.ns == drop['time_ps'] // 1000)
            if not t.check(f'{name}: a drop says where, why and which', good, f'{text}\n{drop}'):
                break
    return capture


def tshark(t, name, path):
    # Endpoints that use another service's port are no protocol of that port.
    command = ['tshark', '-n', '-r', str(path), '-c', str(MOST), *CHECKS, '-Y', BAD, '-T', 'fields',
               '-e', 'frame.number', '-e', '_ws.col.Protocol', '-e', '_ws.col.Info', '-e',
               '_ws.expert.message']
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                          check=False)
    t.check(f'{name}: tshark reads {path.name}', done.returncode == 0, done.stderr)
    t.check(f'{name}: tshark finds no fault in {path.name}', done.stdout == '',
            f'{done.stdout.count(chr(10))} bad packets\n{done.stdout[:1200]}')


def tshark_finds_damage(t, capture):
    """The check above is worth something: one flipped bit of the payload is found."""
    data = bytearray(capture.read_bytes())
    at = data.index(struct.pack('<I', 6))
    while True:  # the first packet of at least 90 bytes
        kind, length = struct.unpack_from('<II', data, at)
        if kind == 6 and struct.unpack_from('<I', data, at + 20)[0] >= 90:
            break
        at += length
    data[at + 28 + struct.unpack_from('<I', data, at + 20)[0] - 1] ^= 1
    broken = t.folder / 'broken.pcapng'
    broken.write_bytes(data)
    done = subprocess.run(['tshark', '-n', '-r', str(broken), *CHECKS, '-Y', BAD],
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, check=False)
    t.check('tshark finds a flipped bit', done.stdout != '', done.stderr)


def same_whatever_is_watched(t, scenario, folder, flags):
    """Captures on or off, any level of checking, a second run."""
    name = scenario.stem
    first = summary(folder)
    again = t.run(scenario, f'{name}-again', *flags)
    for file in first['files']:
        t.check(f'{name}: a second run writes the same {file}',
                (folder / file).read_bytes() == (again / file).read_bytes())
    t.check(f'{name}: summary.json lists each file of the results',
            set(first['files']) >= {'events.jsonl', 'metrics.csv', 'report.html'} and
            len(first['files']) == 3 + len(first['captures']), list(first['files']))
    until = [f for f in flags if not f.startswith('--capture')]
    for how in (['--no-capture', '--check', 'basic'], ['--no-capture', '--check', 'sampled'],
                ['--no-capture', '--check', 'full']):
        other = t.run(scenario, f'{name}-{how[-1]}', *until, *how)
        t.check(f'{name}: the digest with {" ".join(how)}',
                summary(other)['digest'] == first['digest'])
        t.check(f'{name}: the events with {" ".join(how)}',
                (other / 'events.jsonl').read_bytes() == (folder / 'events.jsonl').read_bytes())


with session() as t:
    analyser = shutil.which('tshark')
    if not analyser:
        print('SKIPPED: tshark is not installed; captures were read by this test alone')
    scenarios = sorted(LIBRARY.glob('*.yaml'))
    t.check('the library is there', len(scenarios) >= 8, scenarios)
    comments = 0
    for scenario in scenarios:
        name = scenario.stem
        points = extra_points(t, scenario)
        flags = [f'--capture={p}' for p in points]
        if name in UNTIL:
            flags += ['--until=' + UNTIL[name]]
        folder = t.run(scenario, name, *flags)
        seen = set()
        for point in points:
            path = folder / 'captures' / (point.replace('/', '_') + '.pcapng')
            capture = look_at(t, name, point, path, folder)
            comments += sum(1 for f in capture.frames if f.comments)
            if capture.frames:
                seen.add(point)
            if analyser and capture.frames:
                tshark(t, name, path)
        # A VM that nobody may talk to sees nothing; links and some VM always do.
        wires = {p for p in points if '/' not in p and p != 'drops'}
        vms = {p for p in points if '/' in p}
        t.check(f'{name}: the captures saw packets', wires <= seen and (not vms or vms & seen), seen)
        same_whatever_is_watched(t, scenario, folder, flags)
    t.check('drops were commented', comments > 100, comments)
    if analyser:
        tshark_finds_damage(t, t.folder / 'lesson-4-vxlan' / 'captures' / 'hv-1-1.uplink.pcapng')

    # The filter: only what it lets through, and the file says so.
    only = t.run(LIBRARY / 'two-vms-ping.yaml', 'filtered', '--capture', 'hv-1-1.uplink=udp port 6081 and '
                 'src host 172.16.1.1')
    capture = read_pcapng(only / 'captures' / 'hv-1-1.uplink.pcapng')
    t.check('the filter is named', capture.filter == 'udp port 6081 and src host 172.16.1.1', capture.filter)
    t.check('the filter lets through what it says', capture.frames and all(
        f.data[26:30] == bytes((172, 16, 1, 1)) for f in capture.frames), len(capture.frames))
    nothing = t.run(LIBRARY / 'two-vms-ping.yaml', 'nothing', '--capture', 'hv-1-1.uplink=udp port 9')
    t.check('a filter that nothing passes gives a whole, empty capture',
            read_pcapng(nothing / 'captures' / 'hv-1-1.uplink.pcapng').frames == [])
