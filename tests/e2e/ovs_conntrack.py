#!/usr/bin/env python3
"""ovs_conntrack.py WEFT: connection tracking and NAT do what Open vSwitch's userspace datapath does.

The same rules and the same packets go through `weft ofproto run` and through a private ovs-vswitchd
(dummy datapath, ports without a device, own folder). Rules write ct_state into each frame, so what
comes out says both what the packet was told and what NAT made of it; the frames must be equal byte
for byte, and so must the tables of connections at the end. Skipped where Open vSwitch or scapy is
missing.
"""
import os
import shutil
import struct
import subprocess
import sys
import time
from pathlib import Path

from harness import session

NEEDED = ['ovsdb-tool', 'ovsdb-server', 'ovs-vswitchd', 'ovs-vsctl', 'ovs-ofctl', 'ovs-appctl']
SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
PATH = os.environ['PATH'] + ':/usr/sbin:/sbin'
MISSING = [name for name in NEEDED if shutil.which(name, path=PATH) is None]
if MISSING or not os.path.exists(SCHEMA):
    print(f'SKIPPED: Open vSwitch is missing ({", ".join(MISSING) or SCHEMA}); package openvswitch-switch')
    sys.exit(77)
sys.path.append('/usr/lib/python3/dist-packages')
try:
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import ICMPv6DestUnreach, ICMPv6EchoReply, ICMPv6EchoRequest, IPv6
    from scapy.layers.l2 import Ether
except ImportError:
    print('SKIPPED: scapy is missing; package python3-scapy')
    sys.exit(77)

# Port 1 is inside, port 2 outside. The destination says which translation a connection gets.
RULES = '''
table=0,priority=5,ip,actions=ct(table=1,zone=7,nat)
table=0,priority=5,ipv6,actions=ct(table=1,zone=7,nat)
table=1,priority=5,actions=move:NXM_NX_CT_STATE[0..7]->NXM_OF_ETH_DST[0..7],resubmit(,2)
table=2,priority=9,in_port=2,actions=output:1
table=2,priority=8,ct_state=+new,ip,nw_dst=10.0.1.0/24,actions=ct(commit,zone=7,exec(set_field:0x5->ct_mark,set_field:0x12->ct_label)),output:2
table=2,priority=8,ct_state=+new,ip,nw_dst=10.0.2.0/24,actions=ct(commit,zone=7,nat(src=9.9.9.9)),output:2
table=2,priority=8,ct_state=+new,tcp,nw_dst=10.0.3.0/24,actions=ct(commit,zone=7,nat(src=9.9.9.8:5000)),output:2
table=2,priority=8,ct_state=+new,udp,nw_dst=10.0.3.0/24,actions=ct(commit,zone=7,nat(src=9.9.9.8:6000)),output:2
table=2,priority=8,ct_state=+new,ip,nw_dst=10.0.4.0/24,actions=ct(commit,zone=7,nat(dst=10.0.5.5)),output:2
table=2,priority=8,ct_state=+new,tcp,nw_dst=10.0.6.0/24,actions=ct(commit,zone=7,nat(dst=10.0.5.6:8080)),output:2
table=2,priority=8,ct_state=+new,ipv6,ipv6_dst=fd00:1::/64,actions=ct(commit,zone=7),output:2
table=2,priority=8,ct_state=+new,ipv6,ipv6_dst=fd00:2::/64,actions=ct(commit,zone=7,nat(src=fd00:9::9)),output:2
table=2,priority=8,ct_state=+new,tcp6,ipv6_dst=fd00:4::/64,actions=ct(commit,zone=7,nat(dst=[fd00:5::5]:8080)),output:2
table=2,priority=1,actions=output:2
'''.strip()


class Packets:
    """A list of (port, frame); each frame carries its number, in the IPv4 id or the flow label."""

    def __init__(self):
        self.all, self.names = [], {}

    def add(self, name, port, ip, rest):
        number = len(self.all) + 1
        self.names[number] = name
        if ip.version == 6:
            ip.fl = number
        else:
            ip.id = number
        frame = Ether(src='02:00:00:00:00:01', dst='02:00:00:00:00:00') / ip / rest
        self.all.append((port, bytes(frame)))

    def tcp(self, name, family, client, server, seen=None, answers=None):
        """A whole connection; `seen` is the client as the far side sees it, `answers` the server."""
        seen, answers = seen or client, answers or server

        def segment(what, back, flags, seq, ack, size=0):
            (src, sport), (dst, dport) = (answers, seen) if back else (client, server)
            self.add(f'{name}: {what}', 2 if back else 1, family(src=src, dst=dst),
                     TCP(sport=sport, dport=dport, flags=flags, seq=seq, ack=ack, window=8000) / (b'd' * size))
        segment('SYN', False, 'S', 1000, 0)
        segment('SYN again', False, 'S', 1000, 0)
        segment('SYN+ACK', True, 'SA', 5000, 1001)
        segment('ACK', False, 'A', 1001, 5001)
        segment('request', False, 'PA', 1001, 5001, 100)
        segment('answer', True, 'PA', 5001, 1101, 300)
        segment('far outside the window', True, 'A', 900005001, 1101, 10)
        segment('ACK of the answer', False, 'A', 1101, 5301)
        segment('FIN', False, 'FA', 1101, 5301)
        segment('FIN of the server', True, 'FA', 5301, 1102)
        segment('last ACK', False, 'A', 1102, 5302)

    def udp(self, name, family, client, server, seen=None, answers=None, error=None):
        seen, answers = seen or client, answers or server

        def one(what, back, size):
            (src, sport), (dst, dport) = (answers, seen) if back else (client, server)
            self.add(f'{name}: {what}', 2 if back else 1, family(src=src, dst=dst),
                     UDP(sport=sport, dport=dport) / (b'u' * size))
        one('first', False, 20)
        one('second before the answer', False, 21)
        one('answer', True, 40)
        one('after the answer', False, 22)
        if error:
            quoted = family(src=seen[0], dst=answers[0]) / UDP(sport=seen[1], dport=answers[1]) / (b'u' * 22)
            inside = (ICMPv6DestUnreach(code=1) / bytes(quoted) if family is IPv6 else
                      ICMP(type=3, code=1) / bytes(quoted))
            self.add(f'{name}: ICMP error', 2, family(src=error, dst=seen[0]), inside)

    def ping(self, name, family, client, server, seen=None, answers=None):
        seen, answers = seen or client, answers or server
        six = family is IPv6
        request = (lambda n: ICMPv6EchoRequest(id=77, seq=n)) if six else (lambda n: ICMP(type=8, id=77, seq=n))
        reply = (lambda n: ICMPv6EchoReply(id=77, seq=n)) if six else (lambda n: ICMP(type=0, id=77, seq=n))
        self.add(f'{name}: request', 1, family(src=client, dst=server), request(1))
        self.add(f'{name}: reply', 2, family(src=answers, dst=seen), reply(1))
        self.add(f'{name}: second request', 1, family(src=client, dst=server), request(2))


def make_packets():
    p = Packets()
    p.tcp('TCP', IP, ('10.0.0.1', 4001), ('10.0.1.1', 80))
    p.udp('UDP', IP, ('10.0.0.1', 4001), ('10.0.1.1', 53), error='10.0.1.9')
    p.ping('ping', IP, '10.0.0.1', '10.0.1.1')
    p.tcp('TCP, source NAT', IP, ('10.0.0.1', 4002), ('10.0.2.1', 80), seen=('9.9.9.9', 4002))
    p.udp('UDP, source NAT', IP, ('10.0.0.1', 4002), ('10.0.2.1', 53), seen=('9.9.9.9', 4002), error='10.0.2.9')
    p.ping('ping, source NAT', IP, '10.0.0.1', '10.0.2.1', seen='9.9.9.9')
    p.tcp('TCP, source port', IP, ('10.0.0.1', 4003), ('10.0.3.1', 80), seen=('9.9.9.8', 5000))
    p.udp('UDP, source port', IP, ('10.0.0.1', 4003), ('10.0.3.1', 53), seen=('9.9.9.8', 6000), error='10.0.3.9')
    p.tcp('TCP, destination NAT', IP, ('10.0.0.1', 4004), ('10.0.4.1', 80), answers=('10.0.5.5', 80))
    p.udp('UDP, destination NAT', IP, ('10.0.0.1', 4004), ('10.0.4.1', 53), answers=('10.0.5.5', 53))
    p.ping('ping, destination NAT', IP, '10.0.0.1', '10.0.4.1', answers='10.0.5.5')
    p.tcp('TCP, destination port', IP, ('10.0.0.1', 4005), ('10.0.6.1', 80), answers=('10.0.5.6', 8080))
    p.tcp('TCP over IPv6', IPv6, ('fd00::1', 4001), ('fd00:1::1', 80))
    p.udp('UDP over IPv6', IPv6, ('fd00::1', 4001), ('fd00:1::1', 53), error='fd00:1::9')
    p.ping('ping over IPv6', IPv6, 'fd00::1', 'fd00:1::1')
    p.tcp('TCP over IPv6, source NAT', IPv6, ('fd00::1', 4002), ('fd00:2::1', 80), seen=('fd00:9::9', 4002))
    p.udp('UDP over IPv6, source NAT', IPv6, ('fd00::1', 4002), ('fd00:2::1', 53), seen=('fd00:9::9', 4002),
          error='fd00:2::9')
    p.ping('ping over IPv6, source NAT', IPv6, 'fd00::1', 'fd00:2::1', seen='fd00:9::9')
    p.tcp('TCP over IPv6, destination NAT', IPv6, ('fd00::1', 4003), ('fd00:4::1', 80), answers=('fd00:5::5', 8080))
    p.add('an answer that nobody asked for', 2, IP(src='10.0.1.7', dst='10.0.0.1'),
          TCP(sport=80, dport=4999, flags='SA', seq=1, ack=1, window=100))
    p.add('an echo reply that nobody asked for', 2, IP(src='10.0.1.7', dst='10.0.0.1'), ICMP(type=0, id=5, seq=1))
    p.add('in the middle of a connection', 1, IP(src='10.0.0.1', dst='10.0.1.8'),
          TCP(sport=4010, dport=80, flags='A', seq=77, ack=99, window=8000) / b'data')
    p.add('an error about nothing', 2, IP(src='10.0.1.7', dst='10.0.0.1'),
          ICMP(type=3, code=1) / IP(src='10.0.0.1', dst='10.0.1.77') / UDP(sport=1, dport=2))
    return p


def write_pcapng(path, packets):
    def block(kind, body):
        body += b'\0' * (-len(body) % 4)
        size = len(body) + 12
        return struct.pack('<II', kind, size) + body + struct.pack('<I', size)
    out = block(0x0a0d0d0a, struct.pack('<IHHq', 0x1a2b3c4d, 1, 0, -1))
    for name in (b'p1', b'p2'):
        option = struct.pack('<HH', 2, len(name)) + name + b'\0' * (-len(name) % 4)
        out += block(1, struct.pack('<HHI', 1, 0, 65535) + option + struct.pack('<HH', 0, 0))
    for n, (port, frame) in enumerate(packets):
        when = 1_000_000 + n * 1000  # a millisecond apart
        out += block(6, struct.pack('<IIIII', port - 1, when >> 32, when & 0xffffffff, len(frame), len(frame)) +
                     frame + b'\0' * (-len(frame) % 4))
    Path(path).write_bytes(out)


def read_pcapng(path):
    """Frames by the name of their interface."""
    data, at, names, frames = Path(path).read_bytes(), 0, [], {}
    while at < len(data):
        kind, size = struct.unpack_from('<II', data, at)
        body = data[at + 8:at + size - 4]
        if kind == 1:
            length = struct.unpack_from('<H', body, 10)[0] if struct.unpack_from('<H', body, 8)[0] == 2 else 0
            names.append(body[12:12 + length].decode())
        elif kind == 6:
            interface, _, _, captured = struct.unpack_from('<IIII', body)
            frames.setdefault(names[interface], []).append(body[20:20 + captured])
        at += size
    return frames


def number_of(frame):
    if frame[12:14] == b'\x86\xdd':
        return struct.unpack('>I', frame[14:18])[0] & 0xfffff
    return struct.unpack('>H', frame[18:20])[0]


def read_pcap(path):
    data = Path(path).read_bytes()
    if len(data) < 24:
        return []
    order = '<' if data[:4] in (b'\xd4\xc3\xb2\xa1', b'\x4d\x3c\xb2\xa1') else '>'
    at, frames = 24, []
    while at + 16 <= len(data):
        size = struct.unpack(order + 'I', data[at + 8:at + 12])[0]
        frames.append(data[at + 16:at + 16 + size])
        at += 16 + size
    return frames


class OpenVSwitch:
    """ovsdb-server and ovs-vswitchd of our own, in a folder of our own."""

    def __init__(self, folder):
        self.folder = folder
        self.environment = dict(os.environ, PATH=PATH, OVS_RUNDIR=str(folder), OVS_LOGDIR=str(folder),
                                OVS_DBDIR=str(folder), OVS_SYSCONFDIR=str(folder))
        self.processes = []

    def command(self, *arguments):
        done = subprocess.run([str(a) for a in arguments], env=self.environment, cwd=self.folder, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            raise RuntimeError(f'{" ".join(map(str, arguments))}: {done.stdout.decode()}')
        return done.stdout.decode()

    def start(self, *arguments):
        log = open(self.folder / (arguments[0] + '.out'), 'wb')
        self.processes.append(subprocess.Popen([str(a) for a in arguments], env=self.environment, cwd=self.folder,
                                               stdout=log, stderr=log))

    def __enter__(self):
        socket = self.folder / 'db.sock'
        self.command('ovsdb-tool', 'create', self.folder / 'conf.db', SCHEMA)
        self.start('ovsdb-server', self.folder / 'conf.db', f'--remote=punix:{socket}', '--log-file',
                   f'--unixctl={self.folder}/db.ctl')
        for _ in range(100):
            if socket.exists():
                break
            time.sleep(0.05)
        database = f'--db=unix:{socket}'
        self.command('ovs-vsctl', database, '--no-wait', 'init')
        self.start('ovs-vswitchd', f'unix:{socket}', '--enable-dummy', '--disable-system', '--log-file',
                   f'--unixctl={self.folder}/switch.ctl')
        self.command('ovs-vsctl', database, '--timeout=20', 'add-br', 'br0', '--', 'set', 'bridge', 'br0',
                     'datapath-type=dummy', 'fail-mode=secure')
        for n in (1, 2):
            self.command('ovs-vsctl', database, '--timeout=20', 'add-port', 'br0', f'p{n}', '--', 'set', 'interface',
                         f'p{n}', 'type=dummy', f'ofport_request={n}', f'options:tx_pcap={self.folder}/tx{n}.pcap')
        return self

    def __exit__(self, *_):
        for process in reversed(self.processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()

    def app(self, *arguments):
        return self.command('ovs-appctl', '-t', self.folder / 'switch.ctl', *arguments)

    def run(self, rules, packets):
        """Frames that left by port 1 and 2, and the lines of dump-conntrack."""
        path = self.folder / 'rules'
        path.write_text(rules + '\n')
        self.command('ovs-ofctl', 'add-flows', f'unix:{self.folder}/br0.mgmt', path)
        for port, frame in packets:
            self.app('netdev-dummy/receive', f'p{port}', frame.hex())
        frames, quiet = None, 0
        for _ in range(200):  # until nothing more comes
            now = {n: read_pcap(self.folder / f'tx{n}.pcap') for n in (1, 2)}
            quiet = quiet + 1 if now == frames else 0
            frames = now
            if quiet >= 5:
                break
            time.sleep(0.1)
        return frames, self.app('dpctl/dump-conntrack').splitlines()


def main():
    packets = make_packets()
    with session() as t:
        capture, rules, out = t.folder / 'in.pcapng', t.folder / 'rules', t.folder / 'out.pcapng'
        write_pcapng(capture, packets.all)
        rules.write_text('port 1=vm,name=p1\nport 2=vm,name=p2\n' + RULES + '\n')
        done = t.weft('ofproto', 'run', rules, '--in', capture, '--out', out, '--dump-connections')
        t.check('weft ofproto run', done.returncode == 0, done.said)
        folder = t.folder / 'ovs'
        folder.mkdir()
        with OpenVSwitch(folder) as ovs:
            theirs, their_connections = ovs.run(RULES, packets.all)
        named = read_pcapng(out)
        ours = {n: named.get(f'p{n}', []) for n in (1, 2)}
        for port in (1, 2):
            want = {number_of(f): f for f in theirs[port]}
            have = {number_of(f): f for f in ours[port]}
            for number, name in packets.names.items():
                a, b = want.get(number), have.get(number)
                if a is None and b is None:
                    continue
                if 'NAT: far outside' in name or 'port: far outside' in name:
                    # Open vSwitch's userspace translates what it calls invalid, Linux and weft do not.
                    t.check(name, a and b and a[5] & 0x3f == b[5] & 0x3f == 0x30, f'{a and a[5]} {b and b[5]}')
                    continue
                t.check(f'{name} (out of port {port})', a == b,
                        f'Open vSwitch: ct_state {a and hex(a[5])} {a and a.hex()}\n'
                        f'weft:         ct_state {b and hex(b[5])} {b and b.hex()}')
        t.check('packets came out', len(theirs[1]) > 40 and len(theirs[2]) > 80, f'{len(theirs[1])} and {len(theirs[2])}')

        # What is picked up in the middle is SYN_SENT there (as in pf) and ESTABLISHED here (as in Linux).
        ours_dump = sorted(line.strip() for line in done.stdout.splitlines() if ',orig=(' in line)
        theirs_dump = sorted(line.replace('SYN_SENT', 'ESTABLISHED') if 'sport=4010,' in line else line
                             for line in their_connections)
        t.check('the tables of connections', ours_dump == theirs_dump,
                'only Open vSwitch:\n' + '\n'.join(sorted(set(theirs_dump) - set(ours_dump))) +
                '\nonly weft:\n' + '\n'.join(sorted(set(ours_dump) - set(theirs_dump))))


if __name__ == '__main__':
    main()
