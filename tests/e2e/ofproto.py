#!/usr/bin/env python3
"""ofproto.py WEFT: the switch alone, from files to files.

A capture made here goes through rules; what comes out is read back with the reader below, which
knows interfaces. Caches on and off must give the same file.
"""
import json
import struct
import sys
from pathlib import Path

from harness import session, mac, v4

RULES = """\
# web talks to db, nothing else does
port 1=vm,name=web
port 2=vm,name=db
port 10=vxlan,remote=172.16.0.2,key=42
table=0,priority=10,udp,nw_dst=10.0.0.2,cookie=0x7,actions=dec_ttl,resubmit(,1)
table=0,priority=9,udp,nw_dst=10.0.0.3,actions=output:10
table=0,priority=1,actions=drop(policy)
table=1,udp,tp_dst=53,actions=output:db
table=1,priority=1,ip,actions=drop
"""


def frame(source, target, port, ttl=64):
    udp = struct.pack('>HHHH', 1000, port, 8 + 4, 0) + b'ping'
    head = struct.pack('>BBHHHBBH', 0x45, 0, 20 + len(udp), 1, 0, ttl, 17, 0) + v4(source) + v4(target)
    total = sum(struct.unpack('>10H', head))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    head = head[:10] + struct.pack('>H', total ^ 0xffff) + head[12:]
    return mac('02:00:00:00:00:02') + mac('02:00:00:00:00:01') + b'\x08\x00' + head + udp


def write_pcap(path, frames):
    out = struct.pack('<IHHiIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    for n, data in enumerate(frames):
        out += struct.pack('<IIII', 1700000000 + n // 10, n % 10 * 100000, len(data), len(data)) + data
    Path(path).write_bytes(out)


def read_ports(path):
    """[(interface name, seconds since 1970 as a fraction of 10^9, frame)]"""
    data, at, interfaces, out = Path(path).read_bytes(), 0, [], []
    while at < len(data):
        kind, length = struct.unpack_from('<II', data, at)
        body = data[at + 8:at + length - 4]
        if kind == 1:
            options, o = {}, 8
            while o + 4 <= len(body):
                code, n = struct.unpack_from('<HH', body, o)
                if code == 0:
                    break
                options[code] = body[o + 4:o + 4 + n]
                o += 4 + (n + 3) // 4 * 4
            offset = struct.unpack('<q', options[14])[0] if 14 in options else 0
            interfaces.append((options[2].decode(), offset))
        elif kind == 6:
            number, high, low, captured, _ = struct.unpack_from('<IIIII', body)
            name, offset = interfaces[number]
            out.append((name, offset * 10**9 + (high << 32 | low), body[20:20 + captured]))
        at += length
    return out


with session() as t:
    (t.folder / 'rules').write_text(RULES)
    frames = [frame('10.0.0.1', '10.0.0.2', 53), frame('10.0.0.1', '10.0.0.2', 80),
              frame('10.0.0.1', '10.0.0.9', 53), frame('10.0.0.1', '10.0.0.3', 53),
              frame('10.0.0.1', '10.0.0.2', 53), frame('10.0.0.1', '10.0.0.2', 53, ttl=1)]
    write_pcap(t.folder / 'in.pcap', frames)
    done = t.weft('ofproto', 'run', 'rules', '--in', 'in.pcap', '--out', 'out.pcapng', '--json',
                  '--dump-flows', '--dump-megaflows')
    t.check('run', done.returncode == 0, done.said)
    told = json.loads(done.stdout)
    t.check('what came in', told['in']['packets'] == 6, told)
    t.check('drops by reason',
            told['dropped'] == {'flow.drop': 1, 'policy': 1, 'route.ttl': 1}, told)
    t.check('outputs by port', {o['name']: o['packets'] for o in told['out']} ==
            {'db': 2, 'uplink': 1}, told)
    counted = [f for f in told['flows'] if 'cookie=0x7' in f]
    t.check('rules count', len(counted) == 1 and 'n_packets=4, n_bytes=184' in counted[0], told)
    out = read_ports(t.folder / 'out.pcapng')
    t.check('interfaces', [name for name, _, _ in out] == ['db', 'uplink', 'db'], out)
    t.check('stamps are those of the input', out[0][1] == 1700000000 * 10**9 and
            out[1][1] == 1700000000 * 10**9 + 300_000_000, out)
    t.check('the TTL is one less, the rest is the same',
            out[0][2] == frame('10.0.0.1', '10.0.0.2', 53, ttl=63), out[0][2].hex())
    outer = out[1][2]
    t.check('VXLAN around the frame', outer[36:38] == b'\x12\xb5' and outer[46:49] == b'\0\0\x2a'
            and outer[50:] == frames[3], outer.hex())
    again = t.weft('ofproto', 'rules', '--in', 'in.pcap', '--out', 'slow.pcapng', '--no-caches')
    t.check('without caches', again.returncode == 0, again.said)
    t.check('caches change nothing', (t.folder / 'out.pcapng').read_bytes() ==
            (t.folder / 'slow.pcapng').read_bytes(), again.said)
    done = t.weft('ofproto', 'run', 'rules', '--in', 'in.pcap', '--list-drops')
    t.check('drops are listed', 'frame 3 dropped: policy' in done.stdout, done.said)

    # One output is another run's input: what the tunnel carries comes out at the other end.
    (t.folder / 'far').write_text('port 10=vxlan,remote=172.16.0.1,key=42\nport 20=uplink\n'
                                  'vtep address=172.16.0.2,mac=0a:00:00:00:00:02\n'
                                  'in_port=10,tun_id=42,tun_src=172.16.0.1,actions=output:5\n')
    done = t.weft('ofproto', 'run', 'far', '--in', 'out.pcapng', '--in-port', '20', '--out',
                  'far.pcapng')
    far = read_ports(t.folder / 'far.pcapng')
    t.check('decapsulated', [(name, data) for name, _, data in far] == [('port-5', frames[3])],
            done.said)

    done = t.weft('ofproto', 'trace', 'rules', 'in_port=web,udp,nw_dst=10.0.0.2,nw_ttl=9,tp_dst=53')
    for line in (' 0. udp,nw_dst=10.0.0.2, priority 10, cookie 0x7', '    dec_ttl', '    resubmit(,1)',
                 ' 1. udp,tp_dst=53, priority 32768', '    output:2', 'Datapath actions: set(nw_ttl=8),2'):
        t.check(f'trace says {line!r}', line in done.stdout.splitlines(), done.said)
    done = t.weft('ofproto', 'trace', 'rules', '--in', 'in.pcap', '--frame', '3', '--json')
    lines = json.loads(done.stdout)
    t.check('trace of a frame', [line['text'] for line in lines if line['kind'] == 'action'] ==
            ['drop(policy)'], done.said)
    done = t.weft('ofproto', 'trace', 'rules', '--packet', frames[0].hex())
    t.check('trace of bytes', done.stdout.endswith('set(nw_ttl=63),2\n'), done.said)

    done = t.weft('ofproto', 'fmt', 'rules')
    (t.folder / 'canonical').write_text(done.stdout)
    again = t.weft('ofproto', 'fmt', 'canonical')
    t.check('fmt is a fixed point', done.returncode == 0 and again.stdout == done.stdout, again.said)
    (t.folder / 'bad').write_text('ip,actions=1\n\n  tcp,tp_dts=80,actions=2\n')
    for action in ('check', 'fmt', 'run', 'trace'):
        done = t.weft('ofproto', action, 'bad', '--in', 'in.pcap')
        t.check(f'{action}: an error has its place', done.returncode == 2 and
                'bad:3:7: error: unknown field \'tp_dts\'\n  help: did you mean tp_dst?' in done.stderr,
                done.said)
    for arguments, said in ((('run', 'rules'), 'no capture'), (('trace', 'rules'), 'nothing to trace'),
                            (('trace', 'rules', '--packet', '0g'), "'g' is not a hexadecimal digit"),
                            (('trace', 'rules', '--in', 'in.pcap', '--frame', '7'), 'the capture has 6'),
                            (('trace', 'rules', 'ip', '--ct-next', 'trk,foo'), "unknown flag 'foo'"),
                            (('check', 'nowhere'), 'cannot be read'),
                            (('check', 'rules', '--port', '3=vn'), 'did you mean vm?'),
                            (('run', 'rules', '--in', 'in.pcap', '--in-port', 'x'), "no port 'x'")):
        done = t.weft('ofproto', *arguments)
        t.check(' '.join(arguments), done.returncode == 2 and said in done.stderr, done.said)
