#!/usr/bin/env python3
"""Runs a scenario several ways and demands the same run digest and the same output files.

  determinism.py --weft BIN FILE...            twice on one thread, on 2 and on 4 threads, without
                                               captures (that one: the digest alone)
  determinism.py --weft BIN --once FILE...     on 4 threads only, under a sanitizer
  determinism.py --weft BIN --write TABLE      what this build computes for every library scenario
  determinism.py --weft BIN --compare TABLE FILE...   what another build computed must come again

The bytes of the outputs are hashed here, not taken from summary.json; summary.json says which
files belong to the results (`files`) and the digest. Exit code 77: this build has no `weft run`.
"""
import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
LIBRARY = ROOT / 'scenarios' / 'library'
# Builds that are compared with each other run only so far: Debug is slow.
REFERENCE_UNTIL = '3s'


class Wrong(Exception):
    pass


def run(weft, scenario, folder, *flags):
    """One run: its digest and {file: hash of its bytes}."""
    command = [weft, 'run', str(scenario), '--out', str(folder), *flags]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # 1: an expectation failed, which a run that is cut short may do; it is a whole run all the same.
    if done.returncode not in (0, 1):
        raise Wrong(f'{" ".join(command)}\nended with {done.returncode}:\n{done.stdout[-3000:]}')
    summary = json.loads((folder / 'summary.json').read_text())
    digest = summary['digest']
    if len(digest) != 32:
        raise Wrong(f'{folder}/summary.json: no digest: {digest!r}')
    files = {}
    for name in sorted(summary['files']):
        path = folder / name
        if not path.is_file():
            raise Wrong(f'summary.json lists {name}, which is not there')
        files[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    if 'events.jsonl' not in files or 'metrics.csv' not in files:
        raise Wrong(f'summary.json does not list events.jsonl and metrics.csv: {sorted(files)}')
    return {'digest': digest, 'files': files}


def compare(name, expected, seen, digest_only=False):
    if seen['digest'] != expected['digest']:
        raise Wrong(f'{name}: digest {seen["digest"]}, not {expected["digest"]}')
    if digest_only:
        return
    for file in sorted(set(expected['files']) | set(seen['files'])):
        if expected['files'].get(file) != seen['files'].get(file):
            raise Wrong(f'{name}: {file} differs')


def several_ways(weft, scenario, folder):
    first = run(weft, scenario, folder / 'first', '--threads', '1')
    compare('again', first, run(weft, scenario, folder / 'again', '--threads', '1'))
    for threads in ('2', '4'):
        compare(f'{threads} threads', first,
                run(weft, scenario, folder / f'threads-{threads}', '--threads', threads))
    compare('without captures', first,
            run(weft, scenario, folder / 'plain', '--threads', '1', '--no-capture'), True)
    other = run(weft, scenario, folder / 'seed', '--threads', '1', '--seed', '982451653')
    # What does not depend on the seed at all would make the rest a weak test; say so.
    note = '' if other['digest'] != first['digest'] else ' (another seed: the same digest)'
    return f'{first["digest"]}, {len(first["files"])} files{note}'


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument('--weft', required=True)
    parser.add_argument('--write')
    parser.add_argument('--compare')
    parser.add_argument('--once', action='store_true')
    parser.add_argument('files', nargs='*', type=Path)
    options = parser.parse_args()

    probe = subprocess.run([options.weft, 'run', '--help'], stdout=subprocess.PIPE,
                           stderr=subprocess.STDOUT, text=True)
    if probe.returncode != 0:
        print('SKIPPED: this build has no `weft run`')
        return 77
    files = options.files or sorted(LIBRARY.glob('*.yaml'))
    if not files:
        print('error: no scenario')
        return 1
    table, failed = {}, 0
    if options.compare:
        table = json.loads(Path(options.compare).read_text())
    for scenario in files:
        with tempfile.TemporaryDirectory(prefix='weft-determinism-') as name:
            folder = Path(name)
            try:
                if options.write:
                    result = run(options.weft, scenario, folder / 'out', '--until', REFERENCE_UNTIL)
                    table[scenario.name] = result
                    text = result['digest']
                elif options.compare:
                    if scenario.name not in table:
                        raise Wrong(f'{options.compare} does not know it')
                    result = run(options.weft, scenario, folder / 'out', '--until', REFERENCE_UNTIL)
                    compare('the reference build', table[scenario.name], result)
                    text = f'{result["digest"]}, as the reference build'
                elif options.once:
                    text = run(options.weft, scenario, folder / 'out', '--threads', '4', '--until',
                               REFERENCE_UNTIL)['digest']
                else:
                    text = several_ways(options.weft, scenario, folder)
                print(f'ok    {scenario.name}: {text}')
            except (Wrong, OSError, ValueError, KeyError) as error:
                failed += 1
                print(f'FAIL  {scenario.name}: {error}')
    if options.write and not failed:
        Path(options.write).write_text(json.dumps(table, indent=1, sort_keys=True) + '\n')
    print(f'{len(files) - failed} passed, {failed} failed')
    return 1 if failed else 0


if __name__ == '__main__':
    sys.exit(main())
