"""Packets of every encapsulation, written byte by byte from the RFCs; shares nothing with weft."""
import struct

INNER = bytes.fromhex('020000000002020000000001') + b'\x08\x00'


def ones_sum(data, start=0):
    if len(data) % 2:
        data += b'\0'
    total = start + sum(struct.unpack(f'>{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def checksum(data, start=0):
    return 0xffff - ones_sum(data, start)


def ipv4(payload, protocol, src='192.168.0.1', dst='192.168.0.2', tos=0, flags=0x4000, ident=0,
         ttl=64):
    a, b = (bytes(map(int, x.split('.'))) for x in (src, dst))
    head = struct.pack('>BBHHHBBH', 0x45, tos, 20 + len(payload), ident, flags, ttl, protocol, 0)
    head += a + b
    return head[:10] + struct.pack('>H', checksum(head)) + head[12:] + payload


def ipv6(payload, protocol, src='20010db8000000000000000000000001',
         dst='20010db8000000000000000000000002', tos=0, hops=64):
    return struct.pack('>IHBB', 6 << 28 | tos << 20, len(payload), protocol, hops) + \
        bytes.fromhex(src) + bytes.fromhex(dst) + payload


def pseudo(packet, protocol, length):
    if packet[0] >> 4 == 4:
        return ones_sum(packet[12:20], protocol + length)
    return ones_sum(packet[8:40], protocol + length)


def ethernet(packet, vlan=None):
    kind = b'\x08\x00' if packet[0] >> 4 == 4 else b'\x86\xdd'
    tag = b'' if vlan is None else b'\x81\x00' + struct.pack('>H', vlan)
    return bytes.fromhex('02000000000b02000000000a') + tag + kind + packet


def fill(packet, at, value):
    return packet[:at] + struct.pack('>H', value) + packet[at + 2:]


def outer(payload, protocol, check_at=None, six=False, vlan=None, **ip):
    """Behind IP; the 16-bit checksum at `check_at` of the payload covers a pseudo header."""
    make = ipv6 if six else ipv4
    if check_at is not None:
        probe = make(payload, protocol, **ip)
        value = checksum(payload, pseudo(probe, protocol, len(payload))) or 0xffff
        payload = fill(payload, check_at, value)
    return ethernet(make(payload, protocol, **ip), vlan)


def udp(payload, port, source=0xc000, checked=True, **where):
    data = struct.pack('>HHHH', source, port, 8 + len(payload), 0) + payload
    return outer(data, 17, 6 if checked else None, **where)


def vxlan(inner, vni=5, flags=0x08, **where):
    return udp(bytes([flags, 0, 0, 0]) + vni.to_bytes(3, 'big') + b'\0' + inner, 4789, **where)


def option(kind, type_, data=b'', length=None):
    return struct.pack('>HBB', kind, type_, len(data) // 4 if length is None else length) + data


def geneve(inner, vni=5, options=b'', flags=0, version=0, protocol=0x6558, words=None, **where):
    words = len(options) // 4 if words is None else words
    head = struct.pack('>BBH', version << 6 | words, flags, protocol) + vni.to_bytes(3, 'big')
    return udp(head + b'\0' + options + inner, 6081, **where)


def otv(inner, instance=5, overlay=0, flags=0x08, **where):
    return udp(bytes([flags]) + overlay.to_bytes(3, 'big') + instance.to_bytes(3, 'big') + b'\0' +
               inner, 8472, **where)


def lisp(inner, flags=0x08, middle=0, word=5 << 8, **where):
    return udp(bytes([flags]) + middle.to_bytes(3, 'big') + struct.pack('>I', word) + inner, 4341,
               **where)


def gre(inner, flags=0, protocol=0x6558, key=None, sequence=None, checked=False, **where):
    flags |= 0x2000 * (key is not None) | 0x1000 * (sequence is not None) | 0x8000 * checked
    data = struct.pack('>HH', flags, protocol) + (b'\0\0\0\0' if checked else b'')
    data += struct.pack('>I', key) if key is not None else b''
    data += struct.pack('>I', sequence) if sequence is not None else b''
    data += inner
    if checked:
        data = fill(data, 4, checksum(data))
    return outer(data, 47, **where)


def nvgre(inner, vsid=0x1005, flow=7, **more):
    return gre(inner, key=vsid << 8 | flow, **more)


def etherip(inner, word=0x3000, **where):
    return outer(struct.pack('>H', word) + inner, 97, **where)


def stt_data(inner, context=5, flags=0, l4=0, mss=0, vlan=0, version=0):
    return struct.pack('>BBBBHHQH', version, flags, l4, 0, mss, vlan, context, 0) + inner


def stt_segment(data, total, offset, ident=1, source=0xc000, tcp_flags=0x10, **where):
    head = struct.pack('>HHIIBBHHH', source, 7471, total << 16 | offset, ident, 0x50, tcp_flags,
                       0xffff, 0, 0)
    return outer(head + data, 6, 16, **where)


def stt(inner, ident=1, size=8960, source=0xc000, where=None, **header):
    """All segments of one frame."""
    data = stt_data(inner, **header)
    return [stt_segment(data[at:at + size], len(data), at, ident, source,
                        0x18 if at + size >= len(data) else 0x10, **(where or {}))
            for at in range(0, len(data), size)]


def inner_udp(length=32, tos=0, src='10.0.1.2', dst='10.0.2.3', seed=1):
    """An Ethernet frame with UDP inside, payload of no meaning."""
    data = bytes((0x40 + (i * 7 + seed) % 64) for i in range(length))
    body = struct.pack('>HHHH', 40000, 8080, 8 + length, 0) + data
    packet = ipv4(body, 17, src, dst, tos)
    body = fill(body, 6, checksum(body, pseudo(packet, 17, len(body))) or 0xffff)
    return INNER + ipv4(body, 17, src, dst, tos)


def inner_tcp(length, src='10.0.1.2', dst='10.0.2.3', partial=False, mss_flags=0x18):
    data = bytes((0x40 + i * 5 % 64) for i in range(length))
    body = struct.pack('>HHIIBBHHH', 40000, 8080, 1000, 2000, 0x50, mss_flags, 0xffff, 0, 0) + data
    packet = ipv4(body, 6, src, dst)
    start = pseudo(packet, 6, len(body))
    body = fill(body, 16, ones_sum(b'', start) if partial else checksum(body, start))
    return INNER + ipv4(body, 6, src, dst)


def with_vlan(frame, tci):
    return frame[:12] + b'\x81\x00' + struct.pack('>H', tci) + frame[12:]


def fragments(frame, size, ident=77):
    """IPv4 fragments of an untagged frame, `size` bytes of data each (a multiple of 8)."""
    packet = frame[14:]
    head, data = packet[:20], packet[20:]
    out = []
    for at in range(0, len(data), size):
        more = 0x2000 if at + size < len(data) else 0
        src, dst = ('.'.join(map(str, head[i:i + 4])) for i in (12, 16))
        out.append(ethernet(ipv4(data[at:at + size], head[9], src, dst, head[1], more | at // 8,
                                 ident)))
    return out


# --- captures ---------------------------------------------------------------------------------

def pcap(frames, order='<', nano=False, link=1, snap=262144, step=1000):
    """Classic pcap; a frame may be (bytes, original length)."""
    out = struct.pack(order + 'IHHiIII', 0xa1b23c4d if nano else 0xa1b2c3d4, 2, 4, 0, 0, snap, link)
    for i, frame in enumerate(frames):
        data, original = frame if isinstance(frame, tuple) else (frame, len(frame))
        out += struct.pack(order + 'IIII', 1700000000, i * step, len(data), original) + data
    return out


def block(order, kind, body):
    body += b'\0' * (-len(body) % 4)
    return struct.pack(order + 'II', kind, 12 + len(body)) + body + \
        struct.pack(order + 'I', 12 + len(body))


def pcapng(frames, order='<', link=1, resolution=9, simple=False):
    out = block(order, 0x0a0d0d0a, struct.pack(order + 'IHHq', 0x1a2b3c4d, 1, 0, -1))
    out += block(order, 1, struct.pack(order + 'HHI', link, 0, 0) +
                 struct.pack(order + 'HHB3x', 9, 1, resolution) + struct.pack(order + 'HH', 0, 0))
    for i, frame in enumerate(frames):
        if simple:
            out += block(order, 3, struct.pack(order + 'I', len(frame)) + frame)
            continue
        stamp = 1700000000 * 10 ** resolution + i
        out += block(order, 6, struct.pack(order + 'IIIII', 0, stamp >> 32, stamp & 0xffffffff,
                                           len(frame), len(frame)) + frame)
    return out
