#!/usr/bin/env python3
"""bad_input.py WEFT: what users do wrong and what machines refuse, when a command runs.

Each case has its exit code, a message that names the thing and a way out, does not hang,
and leaves nothing half-written: no folder, or one whose files are whole.
"""
import json
import os
import re
import resource
import shutil
import signal
import subprocess
import time

from harness import LIBRARY, ROOT, read_pcapng, session, summary

PING = LIBRARY / 'two-vms-ping.yaml'
# Simulated for longer than anyone waits; captures grow all the while.
LONG = '''
name: long
duration: 10000s
underlay: {leaf_spine: {spines: 1, leaves: 2, hosts_per_leaf: 1}}
tenants:
  lab:
    networks: {net: {subnet: 10.0.0.0/24}}
    groups: {vm: {count: 2, network: net}}
traffic:
  - {name: hello, from: lab/vm-1, to: lab/vm-2, ping: {interval: 100us, size: 1000B}}
capture: [hv-1-1.uplink, lab/vm-1]
expect:
  - {traffic: hello, sent: {min: 1}}
'''


def polite(t, name, done, code, *patterns):
    good = done.returncode == code and all(re.search(p, done.stderr) for p in patterns)
    rude = re.search(r'terminate called|Traceback|what\(\)|std::|Aborted|core dumped|internal fault',
                     done.said)
    return t.check(name, good and not rude, f'{done.said}\nwanted {code} {patterns}')


def left_over(folder):
    return sorted(p.name for p in folder.iterdir())


def whole_run(t, name, folder):
    """Every file that summary.json names is there and readable."""
    said = summary(folder)
    for file in said['files']:
        t.check(f'{name}: {file} is there', (folder / file).is_file())
    for line in (folder / 'events.jsonl').read_text().splitlines():
        json.loads(line)
    t.check(f'{name}: the report is whole',
            (folder / 'report.html').read_text().rstrip().endswith('</html>'))
    for capture in said['captures']:
        frames = read_pcapng(folder / capture['path']).frames
        t.check(f'{name}: {capture["path"]} holds what summary.json says',
                len(frames) == capture['packets'], f'{len(frames)}: {capture}')
    return said


def flags_and_scenarios(t):
    for flags, patterns in (
            (['--frobnicate'], [r"'--frobnicate'"]),
            (['--thread', '2'], [r"did you mean '--threads'"]),
            (['--threads', '0'], [r'--threads', r'1']),
            (['--threads', 'many'], [r'--threads', r'many']),
            (['--threads', '-1'], [r'--threads']),
            (['--until', '0'], [r'--until']),
            (['--until', '0s'], [r'--until must be above zero', r'help: ']),
            (['--until', '5'], [r'--until', r'unit', r'help: ']),
            (['--until', '-5ms'], [r'--until']),
            (['--until', '5 parsecs'], [r'--until', r'parsecs']),
            (['--seed', '-1'], [r'--seed']),
            (['--seed', 'x'], [r'--seed']),
            (['--seed', '18446744073709551616'], [r'--seed']),
            (['--check', 'everything'], [r'--check', r'basic']),
            (['--set', 'duration'], [r'--set', r'=']),
            (['--set', 'duratoin=2s'], [r'duratoin', r"did you mean.*duration"]),
            (['--set', 'duration=2'], [r'duration', r'unit']),
            (['--set', 'traffic.hullo.ping.interval=1ms'], [r'hullo', r'hello']),
            (['--set', 'traffic.7.ping.interval=1ms'], [r'7']),
            (['--capture', 'hv-1-2.uplink'], [r"'hv-1-2.uplink'", r"did you mean 'hv-1-1.uplink'\?"]),
            (['--capture', 'lab/vm-3'], [r"did you mean 'lab/vm-[12]'\?"]),
            (['--capture', ''], [r'--capture']),
            (['--capture', 'hv-1-1.uplink=udp prot 1'], [r'udp prot 1', r'filter', r'help: ']),
            (['--capture', 'hv-1-1.uplink=tcp port 99999999'], [r'filter']),
            (['--out', ''], [r'--out']),
    ):
        before = left_over(t.folder)
        done = t.weft('run', PING, *flags)
        if polite(t, f'weft run {" ".join(flags)}', done, 2, r'error: ', *patterns):
            t.check(f'weft run {" ".join(flags)} writes nothing', left_over(t.folder) == before,
                    left_over(t.folder))

    bad = sorted((ROOT / 'tests' / 'scenarios' / 'bad').glob('*.yaml'))
    t.check('there are bad scenarios', len(bad) > 100, len(bad))
    empty = t.folder / 'empty'
    empty.mkdir()
    for path in bad:
        done = t.weft('run', path, cwd=empty)
        polite(t, f'weft run {path.name}', done, 2, rf'{re.escape(str(path))}.*: error: ')
    t.check('bad scenarios leave nothing behind', left_over(empty) == [], left_over(empty))

    good = PING.read_bytes()
    for name, data in (('empty', b''), ('zeros', bytes(4096)), ('noise', bytes(range(256)) * 40),
                       ('utf-16', good.decode().encode('utf-16')), ('elf', b'\x7fELF\x02\x01\x01' + bytes(99)),
                       ('one-character', b'{'), ('endless-quote', good + b'\nx: "'),
                       ('long-line', b'name: ' + b'a' * 3_000_000)):
        path = t.folder / f'{name}.yaml'
        path.write_bytes(data)
        polite(t, f'a scenario of {name}', t.weft('run', path), 2, r'error: ')
    # However much of a file arrived: a message or a run, never anything else.
    for cut in range(0, len(good), 37):
        path = t.folder / 'cut.yaml'
        path.write_bytes(good[:cut])
        done = t.weft('check', path)
        t.check(f'the first {cut} bytes of a scenario', done.returncode == 0 or
                done.returncode == 2 and 'error: ' in done.stderr, done.said)
    (t.folder / 'folder.yaml').mkdir()
    polite(t, 'a folder as scenario', t.weft('run', t.folder / 'folder.yaml'), 2, r'folder.yaml: error: .*directory')
    polite(t, 'no such file', t.weft('run', 'absent.yaml'), 2, r'absent.yaml', r'error: ')
    polite(t, 'an endless device as scenario', t.weft('run', '/dev/zero'), 2, r'error: ')


def folders(t):
    mine = t.folder / 'mine'
    mine.mkdir()
    (mine / 'thesis.tex').write_text('years of work')
    for flags in ([], ['--force']):
        polite(t, f'--out names my folder {flags}', t.weft('run', PING, '--out', mine, *flags), 2,
               r"'.*mine' is not empty", r'help: .*--out')
    t.check('my folder is untouched', left_over(mine) == ['thesis.tex'] and
            (mine / 'thesis.tex').read_text() == 'years of work')

    file = t.folder / 'file'
    file.write_text('x')
    polite(t, '--out names a file', t.weft('run', PING, '--out', file), 2, r'not a folder', r'help: ')
    polite(t, '--out lies in a file', t.weft('run', PING, '--out', file / 'run'), 2, r'file', r'help: ')
    polite(t, '--out under /proc', t.weft('run', PING, '--out', '/proc/weft/run'), 2, r'/proc', r'help: ')
    polite(t, '--out with a name too long', t.weft('run', PING, '--out', 'x' * 300), 2, r'help: ')

    first = t.run(PING, 'once')
    kept = (first / 'summary.json').read_bytes()
    polite(t, '--out names an earlier run', t.weft('run', PING, '--out', first), 2,
           r'earlier run', r'--force')
    t.check('the earlier run is untouched', (first / 'summary.json').read_bytes() == kept)
    done = t.weft('run', PING, '--out', first, '--force', '--seed', 99)
    t.check('--force replaces it', done.returncode == 0 and summary(first)['seed'] == 99, done.said)
    (first / 'notes.txt').write_text('mine')
    polite(t, 'an earlier run with a file of mine', t.weft('run', PING, '--out', first, '--force'), 2,
           r'notes.txt', r'help: ')
    # Without --out an earlier run of the same scenario and seed makes room.
    place = t.folder / 'default'
    place.mkdir()
    for _ in range(2):
        done = t.weft('run', PING, cwd=place)
        t.check('runs/NAME-SEED', done.returncode == 0 and left_over(place / 'runs') ==
                ['two-vms-ping-1'], done.said + str(left_over(place / 'runs')))

    if os.getuid() == 0 and shutil.which('setpriv'):
        # root may write anywhere; somebody else may not.
        locked = t.folder / 'locked'
        locked.mkdir(mode=0o755)
        t.folder.chmod(0o755)
        visible = subprocess.run(['setpriv', '--reuid=65534', '--clear-groups', t.weft_path, '--version'],
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, check=False)
        if visible.returncode == 0:
            done = subprocess.run(['setpriv', '--reuid=65534', '--clear-groups', t.weft_path, 'run', PING,
                                   '--out', locked / 'run'], stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, check=False, timeout=60)
            done.said = done.stdout + done.stderr
            polite(t, 'a folder that cannot be written', done, 2, r'Permission denied', r'help: .*--out')
        else:
            print('SKIPPED: another user cannot see the program here')


def no_space(t):
    long = t.folder / 'long.yaml'
    long.write_text(LONG)

    def limited(size):
        def before():
            signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
        return before
    # Files may grow to 200 KB: captures stop there, with every whole packet until then.
    done = t.weft('run', long, '--until', '500ms', '--out', 'limit', preexec_fn=limited(200_000))
    polite(t, 'files that may not grow further', done, 2, r'capture of hv-1-1.uplink.*(large|space)',
           r'help: .*--out')
    said = whole_run(t, 'files that may not grow further', t.folder / 'limit')
    t.check('the capture is as long as it may be', all(
        150_000 < (t.folder / 'limit' / c['path']).stat().st_size <= 200_000
        for c in said['captures']), said['captures'])
    t.check('summary.json says what happened', all('large' in c.get('error', '')
                                                   for c in said['captures']), said['captures'])
    # Not even the small ones.
    done = t.weft('run', PING, '--out', 'tiny', preexec_fn=limited(3000))
    polite(t, 'files that may hardly be written', done, 2, r'cannot write', r'help: ')
    for path in (t.folder / 'tiny').rglob('*.json*'):
        for line in (path.read_text().splitlines() if path.suffix == '.jsonl' else [path.read_text()]):
            json.loads(line)

    # A real full disk, where a small one can be mounted.
    if os.getuid() != 0 or not shutil.which('unshare') or subprocess.run(
            ['unshare', '-m', 'true'], stderr=subprocess.DEVNULL, check=False).returncode != 0:
        print('SKIPPED: no small file system can be mounted here')
        return
    disk, safe = t.folder / 'disk', t.folder / 'safe'
    disk.mkdir()
    script = (f'mount -t tmpfs -o size=1m tmpfs {disk} || exit 99; {t.weft_path} run {long} --until 500ms '
              f'--out {disk}/run; code=$?; cp -r {disk} {safe}; exit $code')
    done = subprocess.run(['unshare', '-m', 'sh', '-c', script], stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, check=False, timeout=60)
    if done.returncode == 99:
        print('SKIPPED: tmpfs cannot be mounted here')
        return
    done.said = f'exit {done.returncode}\n{done.stdout}{done.stderr}'
    polite(t, 'a full disk', done, 2, r'No space left', r'help: .*--out')
    t.check('a full disk: it does not say that all is well', 'PASSED' not in done.stdout and
            'OUTPUTS INCOMPLETE' in done.stdout, done.said)
    said = json.loads((safe / 'run' / 'summary.json').read_text())
    t.check('a full disk: summary.json is there and says so', 'No space' in said['output_error'], said['output_error'])
    t.check('a full disk: one folder, nothing beside it', left_over(safe) == ['run'], left_over(safe))
    for path in (safe / 'run').rglob('*'):
        if path.suffix == '.pcapng':
            t.check(f'a full disk: {path.name} is whole', len(read_pcapng(path).frames) > 50)
        elif path.suffix == '.json':
            json.loads(path.read_text())
        elif path.suffix == '.html':
            t.check('a full disk: the report is whole', path.read_text().rstrip().endswith('</html>'))


def interrupted(t):
    long = t.folder / 'long.yaml'
    for number, signals in ((signal.SIGINT, 1), (signal.SIGTERM, 1)):
        for threads in ('1', '2'):
            name = f'{number.name} with {threads} threads'
            out = t.folder / f'stopped-{number.name}-{threads}'
            process = subprocess.Popen([t.weft_path, 'run', long, '--out', out, '--threads', threads],
                                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            # It is at work once its capture has grown.
            deadline = time.monotonic() + 30
            while time.monotonic() < deadline and not any(
                    p.stat().st_size > 50_000 for p in t.folder.glob(f'.{out.name}.partial-*/captures/*')):
                time.sleep(0.02)
            process.send_signal(number)
            stdout, stderr = process.communicate(timeout=60)
            t.check(f'{name}: exit code 130', process.returncode == 130,
                    f'{process.returncode}\n{stdout}{stderr}')
            t.check(f'{name}: the summary says so', re.search(r'(?i)interrupted', stdout), stdout)
            t.check(f'{name}: no partial folder', not list(t.folder.glob('.*partial*')))
            if t.check(f'{name}: the folder is there', out.is_dir(), stderr):
                said = whole_run(t, name, out)
                t.check(f'{name}: summary.json says so', said['interrupted'] is True, said)
                t.check(f'{name}: and gives no verdict', said['passed'] is None and 'PASSED' not in stdout and
                        'NOT JUDGED' in stdout and all(e['passed'] is None for e in said['expectations']), stdout)
                t.check(f'{name}: captures hold packets', all(c['packets'] > 40 for c in said['captures']),
                        said['captures'])


def other_commands(t):
    run = t.folder / 'limit'
    nothing = t.folder / 'empty'
    for arguments in (['diff', nothing, run], ['diff', run, nothing], ['diff', run, 'absent'],
                      ['diff', PING, run], ['explain', nothing, '--drops'], ['explain', 'absent', '--drops'],
                      ['explain', nothing, '--packet', '1'], ['explain', PING, '--packet', '1'],
                      ['explain', PING, '--drops']):
        polite(t, f'weft {" ".join(map(str, arguments))}', t.weft(*arguments), 2, r'error: ', r'run')
    for text in ('x', '-1', '1x', '', '99999999999999999999999999'):
        polite(t, f'explain --packet {text!r}', t.weft('explain', run, '--packet', text), 2, r'error: ')
    polite(t, 'explain without a question', t.weft('explain', run), 2, r'--packet', r'--drops')
    polite(t, 'a packet that never was', t.weft('explain', t.folder / 'once', '--packet', '4'), 2,
           r'no packet 4', r'--drops')
    # Folders that were tampered with.
    for name, damage in (('run.json', b'{"weft": 7'), ('run.json', b'[]'), ('events.jsonl', b'\xff\0{]'),
                         ('metrics.csv', b'\0\xff'), ('summary.json', b'{}'), ('run.json', b'{"weft": 1}')):
        broken = t.folder / 'broken'
        shutil.rmtree(broken, ignore_errors=True)
        shutil.copytree(run, broken)
        (broken / name).write_bytes(damage)
        for arguments in (['diff', broken, run], ['explain', broken, '--drops'],
                          ['explain', broken, '--packet', '5']):
            done = t.weft(*arguments)
            t.check(f'weft {arguments[0]} with a damaged {name}', done.returncode in (0, 1, 2) and
                    'terminate' not in done.said and 'fault' not in done.said, done.said)
    for arguments in (['--seeds', 'x'], ['--seeds', '5..1'], ['--shard', '5/4'], ['--shard', '0/4'],
                      ['--filter', 'no-such-*'], ['--jobs', '0'], ['--junit', '/proc/none/x.xml'],
                      ['--timeout', '-1']):
        polite(t, f'weft test {" ".join(arguments)}', t.weft('test', PING, *arguments), 2, r'error: ')


with session() as t:
    flags_and_scenarios(t)
    folders(t)
    no_space(t)
    interrupted(t)
    other_commands(t)
