#!/usr/bin/env python3
"""weft trace as users meet it: verdicts on the library's scenarios, JSON, batches, errors."""
import json
import re

from harness import LIBRARY, read_pcapng, session

FAILURE = LIBRARY / 'link-failure-under-load.yaml'
THREE = LIBRARY / 'three-tier-migration.yaml'
TWO = LIBRARY / 'two-tenants-same-addresses.yaml'

# (scenario, from, packet, flags) -> what the answer must hold
TABLE = [
    (THREE, 'shop/web-1', 'tcp,ip_dst=10.0.2.11,tcp_dst=8080', [],
     {'verdict': 'delivered', 'ports': ['shop/app-1'], 'stage': 'policy',
      'intent': 'acl shop/web-to-app, three-tier-migration.yaml:40'}),
    (THREE, 'shop/web-1', 'tcp,ip_dst=10.0.2.11,tcp_dst=8081', [],
     {'verdict': 'dropped', 'ports': [], 'stage': 'policy', 'reason': 'policy',
      'intent': 'default of tenant shop, three-tier-migration.yaml:38'}),
    (THREE, 'shop/web-1', 'icmp,ip_dst=10.0.3.11', [], {'verdict': 'dropped', 'reason': 'policy'}),
    (THREE, 'shop/web-1', 'arp,arp_tpa=10.0.1.1', [],
     {'verdict': 'replied', 'intent': 'router shop/r1'}),
    (THREE, 'shop/web-1', 'arp,arp_tpa=10.0.1.13', [],
     {'verdict': 'replied', 'intent': 'port shop/web-3'}),
    (THREE, 'shop/web-1', 'arp,arp_tpa=10.0.1.99', [],
     {'verdict': 'flooded', 'ports': ['shop/web-2', 'shop/web-3', 'shop/web-4']}),
    (THREE, 'shop/web-1', 'icmp,ip_dst=10.0.1.1', [],
     {'verdict': 'replied', 'intent': 'router shop/r1'}),
    (THREE, 'shop/web-1', 'icmp,nw_dst=10.0.2.11,nw_ttl=1', [],
     {'verdict': 'dropped', 'reason': 'route.ttl'}),
    (THREE, 'shop/web-1', 'icmp,nw_dst=10.9.9.9', [], {'verdict': 'dropped', 'reason': 'route.none'}),
    (THREE, 'shop/web-1', 'icmp,ip_dst=10.0.1.99', [],
     {'verdict': 'dropped', 'stage': 'guest', 'reason': 'route.neighbour'}),
    (THREE, 'shop/web-1', 'tcp,ip_src=10.0.1.12,ip_dst=10.0.2.11,tcp_dst=8080', [],
     {'verdict': 'dropped', 'stage': 'port-security', 'reason': 'port.security'}),
    # While the migration's last round is copied, the VM takes nothing; afterwards it is elsewhere.
    (THREE, 'shop/web-1', 'tcp,ip_dst=10.0.2.11,tcp_dst=8080', ['--at', '3.7456s'],
     {'verdict': 'dropped', 'reason': 'vm.paused'}),
    (THREE, 'shop/web-1', 'tcp,ip_dst=10.0.2.11,tcp_dst=8080', ['--at', '5s'],
     {'verdict': 'delivered', 'ports': ['shop/app-1']}),
]


def hosts(answer):
    return [h['name'] for h in answer['hops'] if h['kind'] == 'hypervisor']


def table(t):
    for scenario, source, packet, flags, wanted in TABLE:
        done = t.weft('trace', scenario, '--from', source, '--packet', packet, '--json', *flags)
        name = f'{scenario.name} {source} {packet} {" ".join(flags)}'
        if not t.check(name, done.returncode == 0, done.said):
            continue
        answer = json.loads(done.stdout)
        t.check(name, {k: answer[k] for k in wanted} == wanted, done.stdout)
        text = t.weft('trace', scenario, '--from', source, '--packet', packet, *flags)
        t.check(f'{name}: as text', text.returncode == 0 and
                re.search(rf'^{wanted["verdict"]}\b', text.stdout, re.M), text.said)


def way(t):
    ask = ['trace', THREE, '--from', 'shop/web-1', '--packet', 'tcp,ip_dst=10.0.2.11,tcp_dst=8080', '--json']
    rest = json.loads(t.weft(*ask).stdout)
    t.check('headers as they arrive', rest['packet']['nw_ttl'] == 63 and rest['sent']['nw_ttl'] == 64 and
            rest['packet']['tcp_dst'] == 8080 and rest['packet']['eth_dst'] == '02:00:00:00:00:05', rest)
    t.check('from host to host', hosts(rest) == ['hv-1-1', 'hv-1-2'], rest['hops'])
    moved = json.loads(t.weft(*ask, '--at', '5s').stdout)
    t.check('... where the VM is then', hosts(moved) == ['hv-1-1', 'hv-3-2'], moved['hops'])
    tunnel = next(h for h in moved['hops'] if h['kind'] == 'tunnel')
    t.check('the tunnel', tunnel['name'] == 'geneve' and tunnel['vni'] == 5002 and
            tunnel['udp_dst'] == 6081 and tunnel['udp_src'] >= 49152, tunnel)
    links = [h['name'] for h in moved['hops'] if h['kind'] == 'link']
    t.check('links in order', len(links) == 4 and links[0] == 'leaf-1--hv-1-1' and
            links[3] == 'leaf-3--hv-3-2', links)
    again = [json.loads(t.weft(*ask, '--at', '5s', '--threads', n).stdout) for n in (1, 2)]
    t.check('threads change nothing', again[0] == moved and again[1] == moved)


def moments(t):
    """Connections, links and routes are those of the moment."""
    # A connection that is open then: its client's port, from a capture of the server's port.
    run = t.run(THREE, 'run', '--until', '300ms', '--no-capture', '--capture', 'shop/app-2=tcp dst port 8080')
    frame = read_pcapng(next((run / 'captures').glob('*.pcapng'))).frames[0].data
    client = '.'.join(str(b) for b in frame[26:30])
    port = int.from_bytes(frame[34:36], 'big')
    reply = f'tcp,ip_dst={client},tcp_src=8080,tcp_dst={port},tcp_flags=+ack'
    ask = ['trace', THREE, '--from', 'shop/app-2', '--packet', reply, '--json']
    then = json.loads(t.weft(*ask, '--at', '300ms').stdout)
    t.check('a reply passes while its connection is open', then['verdict'] == 'delivered' and
            then['stage'] in ('to-port-state', 'deliver'), then)
    ping = ['trace', LIBRARY / 'two-vms-ping.yaml', '--from', 'lab/vm-2', '--packet',
            'icmp,ip_dst=10.0.0.11,icmp_type=0', '--json']
    answers = [json.loads(t.weft(*ping, *at).stdout) for at in ([], ['--at', '500ms'])]
    t.check('an echo reply passes when somebody has asked', answers[1]['verdict'] == 'delivered', answers[1])
    rest = json.loads(t.weft(*ask).stdout)
    t.check('... and not at rest', rest['verdict'] == 'dropped' and rest['reason'] in ('policy', 'ct.invalid'), rest)
    other = json.loads(t.weft(*ask[:5], reply.replace(f'tcp_dst={port}', 'tcp_dst=1'), '--json', '--at', '300ms').stdout)
    t.check('... nor for another port', other['verdict'] == 'dropped', other)
    text = t.weft(*ask[:-1], '--at', '300ms').stdout
    t.check('the text says the state', 'ct_state=est|rpl|trk' in text, text)

    # A failed link: lost until routes have converged, then around it.
    queries = ''.join(f'load/client-1 udp,ip_dst=10.0.0.15,udp_src={p},udp_dst=9\n' for p in range(5000, 5016))
    (t.folder / 'ports').write_text(queries)

    def spines(*flags):
        lines = t.weft('trace', FAILURE, '--batch', 'ports', '--json', *flags).stdout.splitlines()
        answers = [json.loads(line) for line in lines]
        return [(a['verdict'], a['reason'] or '',
                 next((h['name'] for h in a['hops'] if h['name'] in ('spine-1', 'spine-2')), ''))
                for a in answers]

    rest, cut, later, back = spines(), spines('--at', '1.005s'), spines('--at', '1.5s'), spines('--at', '3s')
    t.check('at rest both spines are used', {s for _, _, s in rest} == {'spine-1', 'spine-2'} and
            {v for v, _, _ in rest} == {'delivered'}, rest)
    t.check('what the failed link would have carried is lost', all(
        c == (('dropped', 'link.down', '') if r[2] == 'spine-1' else r) for r, c in zip(rest, cut)), (rest, cut))
    t.check('... until the routes lead around it', {s for _, _, s in later} == {'spine-2'} and
            {v for v, _, _ in later} == {'delivered'}, later)
    t.check('... and is as before when the link is back', back == rest, (rest, back))


def imported(t):
    """What users have today, as a file of OVN's."""
    ovn = LIBRARY / 'ovn' / 'three-tier.nbctl'
    for packet, verdict, ports, line in (('tcp,ip_dst=10.0.2.11,tcp_dst=8080', 'delivered', ['app-1'], 35),
                                         ('tcp,ip_dst=10.0.3.11,tcp_dst=8080', 'rejected', [], 37)):
        done = t.weft('trace', ovn, '--from', 'web-1', '--packet', packet, '--json')
        answer = json.loads(done.stdout or '{}')
        t.check(f'OVN: {packet}', (answer.get('verdict'), answer.get('ports')) == (verdict, ports) and
                f'three-tier.nbctl:{line})' in (answer['intent'] or ''), done.said)
    done = t.weft('trace', LIBRARY / 'ovn' / 'gateway.nbctl', '--from', 'vm2', '--packet', 'icmp,ip_dst=192.168.0.1',
                  '--json', '--hypervisors', '3')
    t.check('OVN: a router answers', json.loads(done.stdout)['verdict'] == 'replied', done.said)
    done = t.weft('trace', ovn, '--from', 'web-1', '--packet', 'icmp,ip_dst=10.0.1.1', '--at', '1s')
    t.check('OVN: nothing runs', done.returncode == 2 and '--at' in done.stderr, done.said)
    done = t.weft('trace', ovn, '--from', 'web-7', '--packet', 'icmp,ip_dst=10.0.1.1')
    t.check('OVN: no such port', done.returncode == 2 and 'did you mean web-1' in done.stderr, done.said)


def batch(t):
    lines = ['# a comment', 'shop/web-1 tcp,ip_dst=10.0.2.11,tcp_dst=8080', '', 'shop/web-1 icpm',
             'shop/web-7 icmp,ip_dst=10.0.1.1', '  shop/web-2\tarp,arp_tpa=10.0.1.1  ']
    (t.folder / 'queries').write_text('\n'.join(lines))
    done = t.weft('trace', THREE, '--batch', 'queries', '--json')
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    t.check('a batch: one line a query', done.returncode == 2 and
            [a.get('verdict') for a in answers] == ['delivered', None, None, 'replied'], done.said)
    t.check('... errors with line and column', 'queries:4:12: error' in done.stderr and
            'queries:5:1: error' in done.stderr and answers[1]['line'] == 4, done.stderr)
    good = [line for line in lines if 'icpm' not in line and 'web-7' not in line]
    (t.folder / 'queries').write_text('\n'.join(good))
    done = t.weft('trace', THREE, '--batch', 'queries')
    t.check('a batch as text', done.returncode == 0 and
            re.findall(r'^# (.*)$', done.stdout, re.M) == [good[1], good[3]], done.said)


def errors(t):
    for packet, column, words in (
            ('tcp,ip_dst=10.0.2.11,tcp_dts=80', 22, 'did you mean tcp_dst'),
            ('tcp_dst=80', 1, 'add tcp'),
            ('tcp,udp,ip_dst=10.0.2.11', 5, 'contradicts'),
            ('tcp,ip_dst=10.0.2.11,udp_dst=53', 22, 'another protocol'),
            ('tcp,ip_dst=10.0.0.0/8', 5, 'mask'),
            ('tcp,ip_dst=300.0.0.1', 12, 'IPv4 address'),
            ('tcp,reg0=1,ip_dst=10.0.2.11', 5, 'belongs to the switch'),
            ('in_port=1,tcp,ip_dst=10.0.2.11', 1, '--from'),
            ('tcp', 1, 'ip_dst is missing'),
            ('arp', 1, 'arp_tpa is missing'),
            ('eth_dst=02:00:00:00:00:01', 1, 'kind is missing'),
            ('ipv6,ipv6_dst=fd00::1', 1, 'no IPv6 address')):
        done = t.weft('trace', THREE, '--from', 'shop/web-1', '--packet', packet)
        t.check(f'error: {packet}', done.returncode == 2 and done.stdout == '' and
                f'--packet:1:{column}: error' in done.stderr and words in done.stderr, done.said)
    done = t.weft('trace', THREE, '--from', 'shop/wep-1', '--packet', 'icmp,ip_dst=10.0.1.1')
    t.check('error: no such port', done.returncode == 2 and 'did you mean shop/web-1' in done.stderr, done.said)
    for arguments, words in ((['--from', 'shop/web-1'], 'no packet'), (['--batch', 'nowhere'], 'nowhere'),
                             (['--at', '11s', '--batch', '-'], 'beyond'), (['--at', 'x', '--batch', '-'], '--at')):
        done = t.weft('trace', THREE, *arguments)
        t.check(f'error: {arguments}', done.returncode == 2 and words in done.stderr, done.said)
    done = t.weft('trace', LIBRARY / 'lesson-1-hub.yaml', '--batch', '-')
    t.check('error: no VM', done.returncode == 2 and 'no VM' in done.stderr, done.said)


with session() as t:
    table(t)
    way(t)
    moments(t)
    imported(t)
    batch(t)
    errors(t)
