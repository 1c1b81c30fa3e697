#!/usr/bin/env python3
"""The defaults that schema.json states are those of the program: writing one out changes nothing.

  defaults.py WEFT

One small scenario leaves out every key that may be left out. For each default of the schema it runs
again with that key written; the run digest must stay. A wrong default shows if it changes this run:
two thirds of them would (not, for one, those of a migration's later rounds).
"""
import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BASE = """
name: base
duration: 20ms
underlay:
  leaf_spine: {spines: 2, leaves: 2, hosts_per_leaf: 2}
  host_links: {mtu: 9000}
  hypervisors: {}
  nodes: {edge: {kind: router}, box: {kind: host}}
  links: [edge--spine-1, {between: [edge, box]}]
overlay: {control: {}, caches: {}, slow_path: {rate: 100000/s}, connections: {timeouts: {}}, endpoint: {}}
tenants:
  t:
    networks: {net: {subnet: 10.0.0.0/24}}
    groups: {one: {network: net}, two: {network: net, count: 3}}
    policy: {rules: [{name: r, allow: {}}, {name: s, priority: 101, deny: {from: one, to: two-3}}]}
traffic:
  - {name: a, from: t/one, to: t/two-1, ping: {}}
  - {name: b, from: t/one, to: t/two-1, udp: {rate: 100Mbps}}
  - {name: c, from: t/two-2, to: t/two-1, bulk: {size: 1MB}}
  - {name: d, from: t/one, to: t/two, rpc: {rate: 1000/s}}
  - {name: e, from: t/two-1, to: t/two-2, scan: {}}
events:
  - {name: m, at: 5ms, migrate: {vm: t/one-1, to: hv-2-2}}
  - {name: n, after: m.round-1, fail: {link: leaf-1--spine-1}}
never:
  - {}
"""
# Section of the schema -> where it lies in BASE.
PLACES = {
    'scenario': '', 'leaf_spine': 'underlay.leaf_spine', 'ecmp': 'underlay.ecmp', 'tcp': 'tcp',
    'link_keys': 'underlay.host_links', 'underlay': 'underlay', 'link': 'underlay.links.1',
    'caches': 'overlay.caches',
    'classifier': 'overlay.classifier',
    'slow_path': 'overlay.slow_path', 'connections': 'overlay.connections',
    'timeouts': 'overlay.connections.timeouts', 'endpoint': 'overlay.endpoint', 'control': 'overlay.control', 'overlay': 'overlay', 'network': 'tenants.t.networks.net',
    'group': 'tenants.t.groups.one', 'policy_match': 'tenants.t.policy.rules.r.allow',
    'policy_rule': 'tenants.t.policy.rules.r', 'policy': 'tenants.t.policy', 'ping': 'traffic.a.ping',
    'udp': 'traffic.b.udp', 'bulk': 'traffic.c.bulk', 'rpc': 'traffic.d.rpc',
    'scan': 'traffic.e.scan', 'traffic': 'traffic.a', 'migrate': 'events.m.migrate',
    'event': 'events.n', 'never': 'never.0',
}
# Short in BASE; of use only with another key, without which it is refused.
GIVEN = {('scenario', 'duration'), ('rpc', 'sessions')}


def main():
    weft = os.path.abspath(sys.argv[1])
    with open(os.path.join(ROOT, 'scenarios/schema.json'), encoding='utf-8') as file:
        schema = json.load(file)
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'base.yaml')
        with open(path, 'w', encoding='utf-8') as file:
            file.write(BASE)

        def digest(*arguments):
            out = os.path.join(folder, 'run')
            done = subprocess.run([weft, 'run', path, '-q', '--out', out, '--force', *arguments],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  check=False)
            if done.returncode != 0:
                return f'exit code {done.returncode}: {done.stdout}'
            with open(os.path.join(out, 'summary.json'), encoding='utf-8') as file:
                return json.load(file)['digest']

        base, other = digest(), digest('--seed', '2')
        if len(base) != 32 or base == other:
            print(f'the scenario itself: {base} {other}')
            return 1
        failed = checked = 0
        for section, definition in [('scenario', schema), *schema['$defs'].items()]:
            for key, value in definition.get('properties', {}).items():
                if 'default' not in value or (section, key) in GIVEN:
                    continue
                if section not in PLACES:
                    print(f'PLACES does not know where {section} lies')
                    return 1
                text = json.dumps(value['default']).strip('"')
                where = f'{PLACES[section]}.{key}'.lstrip('.')
                got = digest('--set', f'{where}={text}')
                checked += 1
                if got != base:
                    failed += 1
                    print(f'{where}={text} is not the default: {got}')
    print(f'{checked} defaults, {failed} wrong')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
