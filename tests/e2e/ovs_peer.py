#!/usr/bin/env python3
"""ovs_peer.py WEFT: the same rules and the same flows in Open vSwitch and in weft.

An Open vSwitch of its own (private folders, the dummy datapath, no kernel, no network) is loaded with
rules made at random; `ovs-appctl ofproto/trace` and `weft ofproto trace` must hit the same rules in the
same order and send to the same ports. Rules that weft prints must be rules that ovs-ofctl reads.
Where Open vSwitch is not installed the test is skipped, which it says.
"""
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

from harness import session

TOOLS = ('ovs-vswitchd', 'ovsdb-server', 'ovsdb-tool', 'ovs-vsctl', 'ovs-ofctl', 'ovs-appctl')
SCHEMA = '/usr/share/openvswitch/vswitch.ovsschema'
PORTS = 4
GROUPS = ['group_id=1,type=all,bucket=actions=output:2,bucket=actions=output:3',
          'group_id=2,type=indirect,bucket=actions=output:4',
          'group_id=3,type=ff,bucket=watch_port:9,actions=output:2,bucket=watch_port:3,actions=output:3',
          'group_id=4,type=all,bucket=actions=mod_dl_dst:02:00:00:00:00:09,resubmit(,3),'
          'bucket=actions=output:1']


class Ovs:
    def __init__(self):
        self.folder = tempfile.mkdtemp(prefix='weft-ovs-')
        self.env = dict(os.environ, OVS_RUNDIR=self.folder, OVS_LOGDIR=self.folder, OVS_DBDIR=self.folder)
        self.pids = []

    def run(self, *command, check=True):
        done = subprocess.run(command, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, timeout=60, check=False)
        if check and done.returncode != 0:
            raise RuntimeError(f'{" ".join(command)}: {done.stdout}')
        return done.stdout

    def __enter__(self):
        f, db = self.folder, f'unix:{self.folder}/db.sock'
        self.run('ovsdb-tool', 'create', f'{f}/conf.db', SCHEMA)
        self.run('ovsdb-server', f'{f}/conf.db', f'--remote=p{db}', f'--pidfile={f}/db.pid', '--detach',
                 f'--log-file={f}/db.log', f'--unixctl={f}/db.ctl', '-vconsole:off')
        self.pids.append('db.pid')
        self.run('ovs-vsctl', f'--db={db}', '--no-wait', 'init')
        self.run('ovs-vswitchd', db, '--enable-dummy=override', '--disable-system', f'--pidfile={f}/vs.pid',
                 '--detach', f'--log-file={f}/vs.log', f'--unixctl={f}/vs.ctl', '-vconsole:off')
        self.pids.append('vs.pid')
        ports = []
        for n in range(1, PORTS + 1):
            ports += ['--', 'add-port', 'br0', f'p{n}', '--', 'set', 'interface', f'p{n}', 'type=dummy',
                      f'ofport_request={n}']
        self.run('ovs-vsctl', f'--db={db}', 'add-br', 'br0', '--', 'set', 'bridge', 'br0',
                 'datapath_type=dummy', 'fail-mode=secure', *ports)
        self.bridge = f'{f}/br0.mgmt'
        shown = self.run('ovs-appctl', '-t', f'{f}/vs.ctl', 'dpif/show')
        # The numbers of the datapath are not those of OpenFlow.
        self.port_of = {dp: of for of, dp in re.findall(r'p\d+ (\d+)/(\d+):', shown)}
        for group in GROUPS:
            self.run('ovs-ofctl', '-OOpenFlow15', 'add-group', self.bridge, group)
        return self

    def __exit__(self, *_):
        for pid in reversed(self.pids):
            try:
                os.kill(int(open(f'{self.folder}/{pid}').read()), 15)
            except (OSError, ValueError):
                pass
        shutil.rmtree(self.folder, ignore_errors=True)

    def load(self, rules):
        self.run('ovs-ofctl', '-OOpenFlow15', 'del-flows', self.bridge)
        path = f'{self.folder}/rules'
        with open(path, 'w') as file:
            file.write(rules)
        self.run('ovs-ofctl', '-OOpenFlow15', 'add-flows', self.bridge, path)

    def trace(self, flow):
        return self.run('ovs-appctl', '-t', f'{self.folder}/vs.ctl', 'ofproto/trace', 'br0', flow)


def rules_hit(text):
    """[(table, what was hit)], in order."""
    return [(int(table), 'miss' if 'No match' in rest else re.search(r'priority (\d+)', rest).group(1))
            for table, rest in re.findall(r'^ *(\d+)\. (.*)$', text, re.M)]


def ports_of(text, translate):
    """Ports sent to, sorted: the numbers among the datapath actions, copies included."""
    out = []
    for line in re.findall(r'^Datapath actions: (.*)$', text, re.M):
        # What stands in parentheses of set(...) and the like is no port, what stands in clone(...) is.
        line = re.sub(r'\b(?!clone\b)[a-z_]+\((?:[^()]|\([^()]*\))*\)', '', line)
        out += [translate(n) for n in re.findall(r'(?<![\w.:])\d+(?![\w.:/])', line)]
    return sorted(out)


def random_match(r, table):
    kind = r.choice(['', 'ip', 'tcp', 'udp', 'icmp', 'tcp', 'udp', 'arp', 'ipv6', 'tcp6'])
    items = [kind] if kind else []
    if kind in ('ip', 'tcp', 'udp', 'icmp'):
        for side in ('nw_src', 'nw_dst'):
            if r.random() < .4:
                items.append(f'{side}=10.0.{r.randrange(2)}.{r.randrange(1, 4)}' +
                             r.choice(['', '/8', '/24', '/31', '/255.0.0.255']))
        if r.random() < .15:
            items.append(f'nw_ttl={r.choice([1, 64])}')
        if r.random() < .15:
            items.append(f'nw_tos={r.choice([0, 32])}')
    if kind in ('ipv6', 'tcp6') and r.random() < .5:
        items.append(f'ipv6_dst=fd00::{r.randrange(1, 4)}' + r.choice(['', '/64', '/127']))
    if kind in ('tcp', 'udp', 'tcp6') and r.random() < .6:
        items.append(f'{r.choice(["tp_src", "tp_dst"])}={r.randrange(80, 83)}' + r.choice(['', '/0xfffe']))
    if kind == 'tcp' and r.random() < .3:
        items.append(r.choice(['tcp_flags=+syn-ack', 'tcp_flags=+ack']))
    if kind == 'icmp' and r.random() < .5:
        items.append(f'icmp_type={r.choice([0, 8])}')
    if kind == 'arp' and r.random() < .5:
        items.append(f'arp_op={r.randrange(1, 3)}')
    if r.random() < .3:
        items.append(f'in_port={r.randrange(1, PORTS + 1)}')
    if r.random() < .15:
        items.append(r.choice(['dl_vlan=100', 'vlan_tci=0x0000/0x1fff', 'vlan_tci=0x1000/0x1000']))
    if r.random() < .2:
        items.append('dl_dst=02:00:00:00:00:0' + r.choice('123'))
    if table and r.random() < .4:
        items.append(f'reg{r.randrange(2)}={r.randrange(3)}' + r.choice(['', '/0x1']))
    if table and r.random() < .1:
        items.append(f'metadata={r.randrange(2)}')
    return kind, items


def random_actions(r, kind, table):
    out = []
    for _ in range(r.randrange(1, 4)):
        choices = [f'load:{r.randrange(3)}->NXM_NX_REG{r.randrange(2)}[]',
                   f'set_field:{r.randrange(2)}->metadata',
                   'move:NXM_OF_IN_PORT[0..1]->NXM_NX_REG1[0..1]',
                   f'mod_dl_dst:02:00:00:00:00:0{r.randrange(1, 4)}',
                   f'output:{r.randrange(1, PORTS + 1)}', f'output:{r.randrange(1, PORTS + 1)}',
                   f'group:{r.randrange(1, 5)}', 'output:NXM_NX_REG0[]',
                   f'clone(mod_dl_src:02:00:00:00:00:05,output:{r.randrange(1, PORTS + 1)})',
                   'push:NXM_NX_REG0[],pop:NXM_NX_REG1[]']
        if kind in ('ip', 'tcp', 'udp', 'icmp'):
            choices += [f'set_field:10.0.0.{r.randrange(1, 4)}->ip_dst', 'dec_ttl',
                        'move:NXM_OF_IP_SRC[0..1]->NXM_NX_REG0[0..1]']
        if kind in ('tcp', 'tcp6'):
            choices += [f'set_field:{r.randrange(80, 83)}->tcp_dst']
        if table < 3:
            choices += [f'resubmit(,{r.randrange(table + 1, 4)})'] * 5
        out.append(r.choice(choices))
    return ','.join(out) if r.random() < .9 else 'drop'


def random_rules(r):
    lines, seen = [], set()
    for _ in range(30):
        table = r.choice([0, 0, 1, 2, 3])
        kind, items = random_match(r, table)
        # Rules of one priority that overlap may be hit in any order: each has its own.
        priority = r.randrange(1, 60000)
        if (table, priority) not in seen:
            seen.add((table, priority))
            lines.append(','.join([f'table={table}', f'priority={priority}', *items,
                                   f'actions={random_actions(r, kind, table)}']))
    for table in range(4):
        lines.append(f'table={table},priority=0,actions={random_actions(r, "", table)}')
    return '\n'.join(lines) + '\n'


def random_flow(r):
    kind = r.choice(['tcp', 'udp', 'icmp', 'arp', 'tcp6', 'tcp', 'udp'])
    items = [f'in_port={r.randrange(1, PORTS + 1)}', kind, 'dl_src=02:00:00:00:00:04',
             'dl_dst=02:00:00:00:00:0' + r.choice('1239')]
    if kind in ('tcp', 'udp', 'icmp'):
        items += [f'nw_src=10.0.{r.randrange(2)}.{r.randrange(1, 4)}',
                  f'nw_dst=10.0.{r.randrange(2)}.{r.randrange(1, 4)}', f'nw_ttl={r.choice([1, 64, 64])}']
    if kind == 'tcp6':
        items += [f'ipv6_dst=fd00::{r.randrange(1, 4)}', 'nw_ttl=64']
    if kind in ('tcp', 'udp', 'tcp6'):
        items += [f'{kind[:3]}_src={r.randrange(80, 83)}', f'{kind[:3]}_dst={r.randrange(80, 83)}']
    if kind == 'tcp':
        items.append(f'tcp_flags={r.choice(["0x2", "0x10", "0x12"])}')
    if kind == 'icmp':
        items.append(f'icmp_type={r.choice([0, 8])}')
    if kind == 'arp':
        items.append(f'arp_op={r.randrange(1, 3)}')
    if r.random() < .2:
        items.append('dl_vlan=100')
    return ','.join(items)


missing = [tool for tool in TOOLS if shutil.which(tool, path=os.environ['PATH'] + ':/usr/sbin') is None]
if missing or not os.path.exists(SCHEMA):
    print(f'SKIPPED: Open vSwitch is not installed ({", ".join(missing) or SCHEMA})')
    sys.exit(77)
os.environ['PATH'] += ':/usr/sbin'
with session() as t, Ovs() as ovs:
    together = sent = 0
    for seed in range(12):
        r = random.Random(seed)
        rules = random_rules(r)
        ovs.load(rules)
        path = t.folder / f'rules-{seed}'
        path.write_text('\n'.join(['port 9=vm,down'] + GROUPS) + '\n' + rules)
        canonical = t.weft('ofproto', 'fmt', path)
        flows = '\n'.join(x for x in canonical.stdout.splitlines() if x.startswith('table='))
        (t.folder / 'canonical').write_text(flows + '\n')
        said = ovs.run('ovs-ofctl', '-OOpenFlow15', 'parse-flows', str(t.folder / 'canonical'), check=False)
        t.check(f'ovs-ofctl reads what weft prints (seed {seed})',
                'usable protocols' in said and len(flows.splitlines()) == len(rules.splitlines()), said)
        for _ in range(12):
            flow = random_flow(r)
            theirs = ovs.trace(flow)
            ours = t.weft('ofproto', 'trace', path, flow).stdout
            why = f'{rules}\n{flow}\n--- Open vSwitch\n{theirs}\n--- weft\n{ours}'
            t.check(f'the same rules are hit (seed {seed}, {flow})', rules_hit(theirs) == rules_hit(ours),
                    why)
            a, b = ports_of(theirs, lambda n: int(ovs.port_of.get(n, -1))), ports_of(ours, int)
            t.check(f'the same ports (seed {seed}, {flow})', a == b, why)
            together += 1
            sent += bool(a)
    print(f'{together} flows in both, {sent} of them sent somewhere')
    t.check('the comparison is of something', sent > together // 4, sent)
