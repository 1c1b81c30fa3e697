#!/usr/bin/env python3
"""commands.py WEFT: the other commands and the flags of `weft run`, as a person uses them.
"""
import json
import re
import xml.etree.ElementTree as ElementTree

from harness import LIBRARY, events, read_pcapng, session, summary

THREE = LIBRARY / 'three-tier-migration.yaml'


def reading(t):
    files = sorted(LIBRARY.glob('*.yaml'))
    done = t.weft('check', *files)
    t.check('weft check: the whole library', done.returncode == 0 and
            all(f'{f}: ok: ' in done.stdout for f in files), done.said)
    bad = t.folder / 'bad.yaml'
    bad.write_text(THREE.read_text().replace('from: web, to: app', 'from: wbe, to: app'))
    line = 1 + bad.read_text().split('wbe')[0].count('\n')
    done = t.weft('check', bad)
    t.check('weft check: place, line, caret and the nearest name', done.returncode == 2 and
            re.search(rf"bad.yaml:{line}:\d+: error: .*wbe.*\n +{line} \| .*\n +\| +\^", done.stderr) and
            'did you mean `web`' in done.stderr, done.said)
    bad.write_text(THREE.read_text().replace('udp port 6081"}', 'udp prot 6081"}'))
    line = 1 + bad.read_text().split('udp prot')[0].count('\n')
    for command in ('check', 'run'):
        done = t.weft(command, bad)
        t.check(f'weft {command}: a filter that libpcap refuses', done.returncode == 2 and
                f'bad.yaml:{line}:' in done.stderr and 'filter' in done.stderr, done.said)

    for what in ('', 'hosts', 'switches', 'links', 'ports', 'vms'):
        done = t.weft('ls', THREE, *([what] if what else []))
        t.check(f'weft ls {what}', done.returncode == 0 and done.stdout.count('\n') > 3, done.said)
    done = t.weft('ls', THREE, '--json')
    t.check('weft ls --json', done.returncode == 0 and json.loads(done.stdout), done.said)
    names = t.weft('ls', THREE).stdout
    t.check('weft ls: names that a scenario uses', all(n in names for n in (
        'hv-1-2', 'leaf-1--spine-1', 'shop/app-1', '10.0.2.')), names)

    svg = t.weft('topo', THREE)
    t.check('weft topo: SVG is XML', svg.returncode == 0 and
            ElementTree.fromstring(svg.stdout).tag.endswith('svg'), svg.said)
    dot = t.weft('topo', THREE, '--format', 'dot').stdout
    t.check('weft topo: DOT', dot.startswith('graph') and 'leaf-4' in dot and dot.rstrip().endswith('}'), dot)
    graph = t.weft('topo', THREE, '--format', 'graphml').stdout
    nodes = [e for e in ElementTree.fromstring(graph).iter() if e.tag.endswith('}node')]
    t.check('weft topo: GraphML has all 22 nodes', len(nodes) == 22, len(nodes))

    new = t.weft('new', 'my-lab')
    (t.folder / 'my-lab.yaml').write_text(new.stdout)
    done = t.weft('run', 'my-lab.yaml')
    t.check('weft new: what it prints runs and passes', done.returncode == 0 and 'PASSED' in done.stdout and
            (t.folder / 'runs' / 'my-lab-1').is_dir() and new.stdout.count('#') > 5, new.said + done.said)


def flags_of_run(t):
    base = t.run(THREE, 'base', '--until', '300ms', '--no-capture')
    digest = summary(base)['digest']
    t.check('--until ends the run', summary(base)['reached_ps'] == 300 * 10**9 and
            not summary(base)['interrupted'], summary(base))
    t.check('... and no expectation is judged', summary(base)['passed'] is None and
            {e['passed'] for e in summary(base)['expectations']} == {None}, summary(base)['expectations'])
    t.check('--no-capture writes none', not (base / 'captures').exists())
    other = t.run(THREE, 'seed', '--until', '300ms', '--no-capture', '--seed', '8')
    t.check('--seed changes the digest', summary(other)['digest'] != digest and
            summary(other)['seed'] == 8)
    other = t.run(THREE, 'set', '--until', '300ms', '--no-capture', '--set',
                  'traffic.shopping.rpc.rate=100/s')
    t.check('--set changes what is run', summary(other)['digest'] != digest)
    record = json.loads((other / 'run.json').read_text())
    t.check('--set is recorded', record['overrides'] == ['traffic.shopping.rpc.rate=100/s'], record)
    done = t.weft('run', THREE, '--until', '200ms', '--out', 'quiet', '-q')
    t.check('--quiet says nothing', done.stdout == '' and done.stderr == '', done.said)
    done = t.weft('run', LIBRARY / 'two-vms-ping.yaml', '--out', 'quiet-2', '-q', '--set', 'expect.0.max.max=1us')
    t.check('... but names what failed', done.returncode == 1 and done.stdout == '' and
            re.fullmatch(r'failed: 1 of \d+ expectations: traffic hello: .*\n', done.stderr), done.said)
    done = t.weft('run', LIBRARY / 'two-vms-ping.yaml', '--out', 'quiet-3', '-q', '--until', '1h', '--set',
                  'traffic.hello.ping.size=5000B')
    t.check('... and warns on standard error', done.stdout == '' and
            re.search(r'two-vms-ping.yaml:\d+:\d+: warning: .*route.too_big', done.stderr) and
            re.search(r'warning: --until 1h is beyond', done.stderr), done.said)

    done = t.weft('diff', base, base)
    t.check('weft diff: a run and itself', done.returncode == 0 and 'same' in done.stdout, done.said)
    done = t.weft('diff', base, other)
    t.check('weft diff: another rate', done.returncode == 1 and 'traffic.shopping.rpc.rate' in done.stdout,
            done.said)
    done = t.weft('diff', base, t.folder / 'seed')
    t.check('weft diff: another seed', done.returncode == 1 and
            re.search(r'seed: A 7, B 8', done.stdout) and 'metric' in done.stdout.lower(), done.said)
    # An expectation that does not hold: what was seen, and exit code 1.
    done = t.weft('run', LIBRARY / 'two-vms-ping.yaml', '--out', 'failed', '--set',
                  'expect.0.max.max=1us')
    t.check('an expectation that fails', done.returncode == 1 and 'FAILED' in done.stdout and
            re.search(r'✗ traffic hello.*\n +sent 10.*wanted ≤ 1us(.*\n)+? +.*two-vms-ping.yaml:\d+', done.stdout), done.said)
    t.check('... is in summary.json', not all(
        e.get('passed', e.get('held')) for e in summary(t.folder / 'failed')['expectations']))


def explaining(t):
    run = t.run(LIBRARY / 'intruder-scan.yaml', 'intruder', '--capture=hv-1-1.uplink', '--capture=drops')
    rule = 1 + (LIBRARY / 'intruder-scan.yaml').read_text().split('default: deny')[0].count('\n')
    drops = [e for e in events(run) if e['kind'] == 'drop']
    done = t.weft('explain', run, '--drops', '--limit', '100000')
    listed = re.findall(r'packet (\d+) ', done.stdout)
    t.check('explain --drops lists each', done.returncode == 0 and
            listed == [str(d['details']['packet']) for d in drops], done.said[-300:])
    t.check('... with rule and line', done.stdout.count(f'policy.default (intruder-scan.yaml:{rule})') > 3000)
    few = t.weft('explain', run, '--drops', '--limit', '3')
    t.check('... or the first few', few.stdout.count('packet ') == 3 and '--limit' in few.stdout, few.said)

    # From a comment in a capture to the packet's whole way.
    comment = read_pcapng(run / 'captures' / 'drops.pcapng', most=1).frames[0].comments[0]
    number = re.search(r'; packet (\d+)$', comment).group(1)
    done = t.weft('explain', run, '--packet', number)
    t.check('explain --packet: a dropped one starts at its VM', done.returncode == 0 and
            'sent by bank/intruder-1' in done.stdout, done.said)
    t.check('... ends with DROPPED', re.search(r'DROPPED policy[^\n]*\n+ +dropped by policy.default of bank, '
                                               rf'[^\n]*intruder-scan.yaml:{rule}:\d+\n$', done.stdout), done.said)

    # An underlay from a file: the folder holds a copy, so that the file itself may go.
    graph = t.folder / 'graph'
    graph.mkdir()
    (graph / 'g.graphml').write_text(t.weft('topo', LIBRARY / 'two-vms-ping.yaml', '--format', 'graphml').stdout)
    (graph / 's.yaml').write_text(
        'underlay: {graphml: g.graphml}\nduration: 20ms\ntraffic: [{from: t/v-1, to: t/v-2, ping: {interval: 5ms}}]\n'
        'tenants: {t: {networks: {n: {subnet: 10.0.0.0/24}}, groups: {v: {count: 2, network: n}}, '
        'policy: {default: deny}}}\n')
    run = t.run(graph / 's.yaml', 'of-graph')
    (graph / 'g.graphml').unlink()
    number = next(e for e in events(run) if e['kind'] == 'drop')['details']['packet']
    done = t.weft('explain', run, '--packet', number)
    t.check('explain --packet: of a scenario with GraphML', done.returncode == 0 and
            'dropped by policy.default of t' in done.stdout, done.said)
    t.check('a folder with a graph may be replaced',
            t.weft('run', LIBRARY / 'two-vms-ping.yaml', '--out', run, '--force').returncode == 0)

    # A packet that arrives: numbers of delivered packets are those between the dropped ones.
    ping = t.run(LIBRARY / 'two-vms-ping.yaml', 'ping')
    delivered = None
    for base in {int(d['details']['packet']) >> 40 for d in drops} | set(range(0, 8)):
        for number in range(0, 4):
            done = t.weft('explain', ping, '--packet', (base << 40) + number)
            if done.returncode == 0 and 'sent by lab/vm-1' in done.stdout and 'Echo' in done.stdout.title():
                delivered = done.stdout
                break
        if delivered:
            break
    t.check('explain --packet: a delivered one', delivered and 'encap' in delivered.lower() or
            delivered and 'geneve' in delivered.lower(), delivered)
    if delivered:
        lines = [line for line in delivered.splitlines() if line.strip()]
        hosts = re.findall(r'^\s*[\d.]+s\s+(\S+)', delivered, re.M)
        t.check('... ends at the other host', 'delivered' in lines[-1] and hosts[0] == 'hv-1-1' and
                hosts[-1] == 'hv-2-1' and {'leaf-1', 'spine-1', 'leaf-2'} <= set(hosts), delivered[-600:])
    t.check('explaining changes nothing', summary(t.run(LIBRARY / 'two-vms-ping.yaml', 'ping-2'))['digest'] ==
            summary(ping)['digest'])


def testing(t):
    junit = t.folder / 'junit.xml'
    done = t.weft('test', LIBRARY, '--filter', 'lesson-*', '--seeds', '1..2', '--junit', junit)
    t.check('weft test --filter --seeds', done.returncode == 0 and '8 passed, 0 failed' in done.stdout,
            done.said)
    suite = ElementTree.parse(junit).getroot().find('testsuite')
    cases = [c.get('name') for c in suite.findall('testcase')]
    t.check('JUnit: every case once', suite.get('tests') == '8' and suite.get('failures') == '0' and
            len(set(cases)) == 8 and 'lesson-1-hub@2' in cases, cases)
    parts = []
    for shard in ('1/3', '2/3', '3/3'):
        done = t.weft('test', LIBRARY, '--filter', 'lesson-*', '--shard', shard)
        parts += re.findall(r'^ok +(\S+)', done.stdout, re.M)
    t.check('shards: each case in one of them', sorted(parts) == sorted(
        p.stem for p in LIBRARY.glob('lesson-*.yaml')), parts)

    suite_folder = t.folder / 'suite'
    suite_folder.mkdir()
    ping = (LIBRARY / 'two-vms-ping.yaml').read_text()
    (suite_folder / 'good.yaml').write_text(ping)
    (suite_folder / 'slow.yaml').write_text(ping.replace('max: 1ms', 'max: 1us'))
    (suite_folder / 'wrong.yaml').write_text(ping.replace('duration: 1s', 'duration: 1 <b>&'))
    done = t.weft('test', suite_folder, '--junit', junit)
    t.check('weft test: failures', done.returncode == 2 and '1 passed, 2 failed' in done.stdout, done.said)
    root = ElementTree.parse(junit).getroot().find('testsuite')
    t.check('JUnit: failure and error', (root.get('failures'), root.get('errors')) == ('1', '1') and
            'max' in root.find('.//failure').text and 'wrong.yaml' in root.find('.//error').text,
            junit.read_text())


with session() as t:
    reading(t)
    flags_of_run(t)
    explaining(t)
    testing(t)
