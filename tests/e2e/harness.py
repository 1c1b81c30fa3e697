"""What the end-to-end tests share: running weft, counting checks, reading pcapng and frames.

The readers here are written from the RFCs and share nothing with weft: they are the second opinion.
A test program: `with session() as t:`, then `t.weft(...)`, `t.check(name, condition, why)`; it ends
with exit code 1 if a check failed or none was made.
"""
import json
import os
import shutil
import struct
import subprocess
import sys
import tempfile
from collections import namedtuple
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / 'scenarios' / 'library'
Frame = namedtuple('Frame', 'ns data direction comments')
Capture = namedtuple('Capture', 'interface filter resolution frames')


class session:
    def __init__(self):
        self.weft_path = os.path.abspath(sys.argv[1])
        self.checks, self.failed = 0, 0

    def __enter__(self):
        self.folder = Path(tempfile.mkdtemp(prefix='weft-e2e-'))
        return self

    def __exit__(self, kind, value, traceback):
        shutil.rmtree(self.folder, ignore_errors=True)
        if kind is not None:
            return False
        print(f'{self.checks - self.failed} passed, {self.failed} failed')
        sys.exit(1 if self.failed or not self.checks else 0)

    def check(self, name, condition, why=''):
        self.checks += 1
        if not condition:
            self.failed += 1
            print(f'FAIL  {name}\n      ' + str(why)[-1500:].replace('\n', '\n      '), flush=True)
        return bool(condition)

    def weft(self, *arguments, **options):
        """The finished process, with `said` (both streams). A hang ends the test: TimeoutExpired."""
        done = subprocess.run([self.weft_path, *map(str, arguments)], stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, timeout=60,
                              cwd=options.pop('cwd', self.folder), check=False, **options)
        done.stdout = done.stdout.decode('utf-8', 'replace')
        done.stderr = done.stderr.decode('utf-8', 'replace')
        done.said = f'exit {done.returncode}\n{done.stdout}{done.stderr}'
        return done

    def run(self, scenario, out, *flags):
        """`weft run`, which must succeed; the folder it made."""
        path = self.folder / out
        done = self.weft('run', scenario, '--out', path, *flags)
        self.check(f'weft run {Path(scenario).name} {" ".join(map(str, flags))}',
                   done.returncode in (0, 1), done.said)
        return path


def summary(folder):
    return json.loads((Path(folder) / 'summary.json').read_text())


def events(folder):
    return [json.loads(line) for line in (Path(folder) / 'events.jsonl').read_text().splitlines()]


# --- pcapng (draft-ietf-opsawg-pcapng) ------------------------------------------------------------

def options(data):
    found, at = {}, 0
    while at + 4 <= len(data):
        code, length = struct.unpack_from('<HH', data, at)
        if code == 0:
            break
        found.setdefault(code, []).append(data[at + 4:at + 4 + length])
        at += 4 + (length + 3) // 4 * 4
    return found


def read_pcapng(path, most=None):
    """One section with one interface; ValueError for anything that is not whole."""
    data = Path(path).read_bytes()
    at, interface, filter_, resolution, frames = 0, None, '', 6, []
    while at < len(data):
        if at + 12 > len(data):
            raise ValueError(f'{path}: {len(data) - at} bytes after the last block')
        kind, length = struct.unpack_from('<II', data, at)
        if length % 4 or length < 12 or at + length > len(data) or \
                struct.unpack_from('<I', data, at + length - 4)[0] != length:
            raise ValueError(f'{path}: the block at {at} is not whole')
        body = data[at + 8:at + length - 4]
        if kind == 1:
            found = options(body[8:])
            interface = found[2][0].decode()
            filter_ = found[11][0][1:].decode() if 11 in found else ''
            resolution = found[9][0][0] if 9 in found else 6
        elif kind == 6:
            _, high, low, captured, original = struct.unpack_from('<IIIII', body)
            if captured != original:
                raise ValueError(f'{path}: the packet at {at} is cut')
            found = options(body[20 + (captured + 3) // 4 * 4:])
            flags = struct.unpack('<I', found[2][0])[0] & 3 if 2 in found else 0
            frames.append(Frame(high << 32 | low, body[20:20 + captured], flags,
                                [c.decode() for c in found.get(1, [])]))
        at += length
        if most and len(frames) >= most:
            break
    if interface is None:
        raise ValueError(f'{path}: no interface')
    return Capture(interface, filter_, resolution, frames)


IN, OUT = 1, 2  # direction, seen from the point that was captured


# --- frames ---------------------------------------------------------------------------------------

Ip = namedtuple('Ip', 'version src dst protocol ttl payload_at ecn')


def ethertype(frame):
    """Type and where the payload begins, VLAN tags skipped."""
    at = 12
    kind = struct.unpack_from('>H', frame, at)[0]
    while kind in (0x8100, 0x88a8):
        at += 4
        kind = struct.unpack_from('>H', frame, at)[0]
    return kind, at + 2


def ip_of(frame):
    kind, at = ethertype(frame)
    if kind == 0x0800:
        return Ip(4, bytes(frame[at + 12:at + 16]), bytes(frame[at + 16:at + 20]), frame[at + 9],
                  frame[at + 8], at + (frame[at] & 15) * 4, frame[at + 1] & 3)
    if kind == 0x86dd:
        return Ip(6, bytes(frame[at + 8:at + 24]), bytes(frame[at + 24:at + 40]), frame[at + 6],
                  frame[at + 7], at + 40, frame[at + 1] >> 4 & 3)
    return None


def ports_of(frame):
    ip = ip_of(frame)
    if ip is None or ip.protocol not in (6, 17):
        return None
    return struct.unpack_from('>HH', frame, ip.payload_at)


def decapsulate(frame):
    """(VNI, inner frame, outer) of VXLAN (RFC 7348) or GENEVE (RFC 8926); None: no tunnel."""
    ip = ip_of(frame)
    if ip is None or ip.protocol != 17:
        return None
    _, port, length, _ = struct.unpack_from('>HHHH', frame, ip.payload_at)
    at = ip.payload_at + 8
    end = ip.payload_at + length
    if port == 4789:
        if frame[at] != 0x08:
            raise ValueError('VXLAN without the I flag')
        return int.from_bytes(frame[at + 4:at + 7], 'big'), bytes(frame[at + 8:end]), ip
    if port == 6081:
        if frame[at] >> 6 != 0 or frame[at + 2:at + 4] != b'\x65\x58':
            raise ValueError('GENEVE that carries no Ethernet')
        begin = at + 8 + (frame[at] & 63) * 4
        return int.from_bytes(frame[at + 4:at + 7], 'big'), bytes(frame[begin:end]), ip
    return None


def mac(text):
    return bytes.fromhex(text.replace(':', ''))


def v4(text):
    return bytes(map(int, text.split('.')))
