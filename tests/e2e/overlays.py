#!/usr/bin/env python3
"""overlays.py WEFT: a whole overlay over each encapsulation that can carry one, IPv4 and IPv6.

The same tenants, policy and traffic must come out the same; what is on the uplinks is what the name
says (read by `weft decap`, of one uplink by tshark too); NVGRE spreads over the spines only where
switches hash the GRE key; STT cuts what does not fit and a small underlay MTU changes nothing.
"""
import json
import shutil
import subprocess
import sys

from harness import session, summary

SCENARIO = '''
name: overlay
duration: 250ms
underlay:
  family: {family}
  leaf_spine: {{spines: 4, leaves: 2, hosts_per_leaf: 1}}
  host_links: {{mtu: {mtu}}}
  fabric_links: {{mtu: {mtu}}}
{ecmp}
overlay: {{encapsulation: {tunnel}}}
tenants:
  lab:
    networks:
      one: {{subnet: 10.0.1.0/24, vni: 70000}}
      two: {{subnet: 10.0.2.0/24}}
    routers: {{r1: [one, two]}}
    groups:
      a: {{count: 4, network: one, place: spread}}
      b: {{count: 2, network: two, place: spread}}
    policy:
      default: deny
      rules:
        - {{name: web, allow: {{from: a, to: b, tcp: 80}}}}
        - {{name: all, allow: {{from: a, to: a}}}}
traffic:
  - {{name: web, from: lab/a, to: lab/b, pairs: all, rpc: {{port: 80, request: 500B, response: 30KB, rate: 100/s, rate_per: pair}}, start: 20ms}}
  - {{name: across, from: lab/a-1, to: lab/a-2, rpc: {{port: 81, request: 2KB, response: 2KB, rate: 2000/s}}, start: 20ms}}
  - {{name: probe, from: lab/b-1, to: lab/a-1, ping: {{interval: 10ms}}, start: 20ms}}
capture:
  - {{point: hv-1-1.uplink}}
expect:
  - {{traffic: web, sent: {{min: 50}}, connections_lost: 0}}
  - {{traffic: across, sent: {{min: 200}}, connections_lost: 0}}
  - {{traffic: probe, sent: {{min: 10}}, delivered: 0, dropped_by: policy.default}}
'''


def run(t, name, tunnel, family='ipv4', mtu=9000, ecmp=''):
    path = t.folder / f'{name}.yaml'
    path.write_text(SCENARIO.format(tunnel=tunnel, family=family, mtu=mtu, ecmp=ecmp))
    out = t.folder / name
    done = t.weft('run', path, '--out', out, '--check', 'full')
    t.check(f'{name} passes', done.returncode == 0, done.said)
    return out


def tunnelled(t, out, *flags):
    done = t.weft('decap', out / 'captures' / 'hv-1-1.uplink.pcapng', '--json', '--only-tunnels', *flags)
    t.check(f'{out.name}: weft decap', done.returncode == 0, done.said)
    return [json.loads(line) for line in done.stdout.splitlines()]


def spines_used(out):
    """How many of the four leaf-1 sent tunnel packets to: there is nothing else on the wires."""
    used = 0
    for link in summary(out)['links']:
        if link['name'].startswith('leaf-1--spine-'):
            used += any(d['from'] == 'leaf-1' and d['packets'] > 0 for d in link['directions'])
    return used


def main():
    with session() as t:
        for tunnel in ('vxlan', 'geneve', 'nvgre', 'stt', 'gre', 'otv'):
            for family in ('ipv4', 'ipv6'):
                out = run(t, f'{tunnel}-{family}', tunnel, family)
                lines = tunnelled(t, out, *(['--gre', 'gre'] if tunnel == 'gre' else []))
                t.check(f'{out.name}: all of it is {tunnel}, all accepted', len(lines) > 500 and
                        all((x['tunnel'], x['verdict']) == (tunnel, 'accept') for x in lines),
                        lines[:1])
                ids = {x['id'] >> 32 if tunnel == 'stt' else x['id'] for x in lines}
                t.check(f'{out.name}: the networks', 70000 in ids and len(ids) == 2, ids)
                t.check(f'{out.name}: options', all((len(x['options']) == 16) ==
                                                    (tunnel == 'geneve') for x in lines))
                t.check(f'{out.name}: spines', spines_used(out) == 1 if tunnel in ('nvgre', 'gre')
                        else spines_used(out) > 1, spines_used(out))
        keyed = run(t, 'nvgre-keyed', 'nvgre', ecmp='  ecmp: {hash_gre_key: true}')
        t.check('NVGRE spreads where the key is hashed', spines_used(keyed) > 1, spines_used(keyed))
        out = run(t, 'stt-small', 'stt', mtu=1280)
        lines = tunnelled(t, out)
        frames = {x['frame'] for x in lines}
        t.check('STT cuts', lines and all(x['verdict'] == 'accept' for x in lines) and
                max(len(x['inner']) // 2 for x in lines) == 1514 and
                len(frames) < max(frames), (len(lines), max(frames)))
        if shutil.which('tshark') is None:
            print('SKIP  tshark is not installed: its opinion of the captures was not asked')
        else:
            for name in ('vxlan-ipv4', 'geneve-ipv6', 'nvgre-ipv4', 'stt-small', 'otv-ipv4'):
                capture = t.folder / name / 'captures' / 'hv-1-1.uplink.pcapng'
                said = subprocess.run(
                    ['tshark', '-r', str(capture), '-o', 'ip.check_checksum:TRUE', '-o',
                     'udp.check_checksum:TRUE', '-o', 'tcp.check_checksum:TRUE', '-d',
                     'udp.port==8472,vxlan', '-Y', 'ip.checksum.status==0 || '
                     'udp.checksum.status==0 || tcp.checksum.status==0 || _ws.malformed'],
                    stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=False)
                t.check(f'tshark finds nothing wrong in {name}', said.returncode == 0 and
                        not said.stdout, said.stdout[:500])


if __name__ == '__main__':
    sys.exit(main())
