#!/usr/bin/env python3
"""Who may include whom: the table of the design, checked over every source file.

A file belongs to the longest folder of FOLDERS that it lies in. What it includes with quotes is
ours; it may include its own folder and what the table grants. Each outside library has one home.

  include_rules.py [ROOT]     exit 1 and FILE:LINE for each breach
  include_rules.py --self     the checker's own test: each planted breach is found, nothing else
"""
import re
import sys
import tempfile
from pathlib import Path

# folder -> prefixes it may include besides its own
FOLDERS = {
    'base': [],
    'sim': ['base/'],
    'datapath': ['base/'],
    'datapath/dpdk': ['base/', 'datapath/'],
    # Of the datapath only what rules and messages are made of; never the pipeline that runs them.
    'control': ['base/', 'datapath/'],
    'pcap': ['base/', 'datapath/'],
    'models': ['base/', 'sim/', 'datapath/', 'control/'],
    'analysis': ['base/', 'sim/', 'models/', 'datapath/', 'control/'],
    'scenarios': ['base/', 'sim/', 'datapath/', 'control/', 'models/', 'pcap/', 'analysis/',
                  'scenarios/'],
    # The comparison with the policy oracle is a part of the command `weft swarm`.
    'scenarios/swarm': ['base/', 'models/', 'datapath/', 'analysis/', 'scenarios/',
                        'tests/oracle/'],
    'cli': ['base/', 'sim/', 'datapath/', 'control/', 'models/', 'pcap/', 'analysis/',
            'scenarios/'],
    'tests': ['base/', 'sim/', 'datapath/', 'control/', 'models/', 'pcap/', 'analysis/',
              'scenarios/', 'cli/'],
    # Proof that the product needs no simulator: its tests do not see one either.
    'tests/unit/base': ['base/', 'tests/'],
    'tests/unit/datapath': ['base/', 'datapath/', 'tests/'],
    'tests/unit/control': ['base/', 'datapath/', 'control/', 'tests/'],
}
# folder -> prefixes that it may not include although the table above grants a wider one
EXCEPT = {
    'datapath': ['datapath/dpdk/'],
    'control': ['datapath/dpdk/', 'datapath/pipeline', 'datapath/classifier', 'datapath/megaflow',
                'datapath/exact_match', 'datapath/emc', 'datapath/conntrack', 'datapath/slow_path'],
    'models': ['datapath/dpdk/'],
    'pcap': ['datapath/dpdk/', 'datapath/pipeline'],
    'analysis': ['datapath/dpdk/'],
}
# outside library -> (pattern of the header, folders that are its home)
LIBRARIES = {
    'yaml-cpp': (r'yaml-cpp/', ['scenarios', 'tests']),
    'CLI11': (r'CLI/', ['cli', 'scenarios']),
    'Boost': (r'boost/', ['models', 'tests']),
    'Eigen': (r'(Eigen|eigen3)/', ['analysis', 'tests']),
    'libpcap': (r'pcap(\.h|/(pcap|bpf)\.h)', ['pcap', 'tests']),
    'DPDK': (r'rte_', ['datapath/dpdk']),
    'Catch2': (r'catch2/', ['tests']),
    'Google Benchmark': (r'benchmark/', ['tests/bench']),
}
SUFFIXES = {'.h', '.hpp', '.cpp', '.cc', '.def', '.inc'}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    """The longest folder of the table that `path` (relative, with /) lies in."""
    best = None
    for folder in FOLDERS:
        if path.startswith(folder + '/') and (best is None or len(folder) > len(best)):
            best = folder
    return best


def breach(path, header, quoted):
    """Why the file `path` may not include `header`; None if it may."""
    folder = folder_of(path)
    for name, (pattern, homes) in LIBRARIES.items():
        if not quoted and re.match(pattern, header):
            if any(path.startswith(home + '/') for home in homes):
                return None
            return f'{name} belongs to {" and ".join(homes)}'
    ours = header.split('/')[0] in {f.split('/')[0] for f in FOLDERS} and '/' in header
    if not quoted:
        return 'our headers are included with quotes' if ours and header.endswith('.h') else None
    if header.startswith('../') or '/../' in header:
        return 'includes are written from the root of the repository'
    if folder.startswith('tests') and '/' not in header:
        return None  # a test's own fixture next to it
    if not ours:
        return 'no such folder: includes are written from the root of the repository'
    if any(header.startswith(p) for p in EXCEPT.get(folder, [])):
        return f'{folder} must not know it'
    if header.startswith(folder + '/'):
        return None
    if any(header.startswith(p) for p in FOLDERS[folder]):
        return None
    return f'{folder} may include only {", ".join(FOLDERS[folder]) or "nothing of ours"}'


def check(root):
    found, files = [], 0
    for top in sorted({f.split('/')[0] for f in FOLDERS}):
        for path in sorted((root / top).rglob('*')):
            if path.suffix not in SUFFIXES or not path.is_file():
                continue
            files += 1
            relative = path.relative_to(root).as_posix()
            for number, line in enumerate(path.read_text(errors='replace').splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                why = breach(relative, match.group(2), match.group(1) == '"')
                if why:
                    found.append(f'{relative}:{number}: error: includes {match.group(2)}: {why}')
    return found, files


def self_test():
    bad = [
        ('base/a.h', '#include "sim/event.h"'),
        ('sim/a.h', '#include "datapath/packet.h"'),
        ('datapath/a.cpp', '#include "sim/engine.h"'),
        ('datapath/a.cpp', '#include "control/agent.h"'),
        ('datapath/a.cpp', '#include "datapath/dpdk/port.h"'),
        ('control/a.cpp', '#include "datapath/pipeline.h"'),
        ('control/a.cpp', '#include "sim/engine.h"'),
        ('control/deep/a.cpp', '#include "models/ledger.h"'),
        ('models/a.cpp', '#include "analysis/results.h"'),
        ('models/a.cpp', '#include "scenarios/spec.h"'),
        ('pcap/a.cpp', '#include "sim/engine.h"'),
        ('analysis/a.cpp', '#include "scenarios/spec.h"'),
        ('models/a.cpp', '#include <yaml-cpp/yaml.h>'),
        ('models/a.cpp', '#include <CLI/CLI.hpp>'),
        ('sim/a.cpp', '#  include <boost/graph/graph_traits.hpp>'),
        ('models/a.cpp', '#include <Eigen/Dense>'),
        ('analysis/a.cpp', '#include <pcap/pcap.h>'),
        ('datapath/a.cpp', '#include <rte_mbuf.h>'),
        ('base/a.cpp', '#include <catch2/catch.hpp>'),
        ('tests/unit/sim/a.cpp', '#include <benchmark/benchmark.h>'),
        ('tests/unit/datapath/a.cpp', '#include "sim/engine.h"'),
        ('tests/unit/control/a.cpp', '#include "models/ledger.h"'),
        ('models/a.cpp', '#include "../base/time.h"'),
        ('models/a.cpp', '#include "ledger.h"'),
        ('models/a.cpp', '#include <base/time.h>'),
    ]
    good = [
        ('base/a.h', '#include "base/time.h"'),
        ('base/a.cpp', '#include <vector>'),
        ('datapath/dpdk/a.cpp', '#include <rte_mbuf.h>'),
        ('datapath/dpdk/a.cpp', '#include "datapath/pipeline.h"'),
        ('control/a.cpp', '#include "datapath/rule.h"'),
        ('models/guest/a.cpp', '#include "models/ledger.h"'),
        ('models/a.cpp', '#include "datapath/pipeline.h"'),
        ('scenarios/loader/a.cpp', '#include <yaml-cpp/yaml.h>'),
        ('cli/a.cpp', '#include <CLI/CLI.hpp>'),
        ('pcap/a.cpp', '#include <pcap/pcap.h>'),
        ('tests/bench/a.cpp', '#include <benchmark/benchmark.h>'),
        ('tests/unit/models/a.cpp', '#include "tests/catch.h"'),
        ('sim/a.cpp', '// #include "models/ledger.h" in a comment'),
    ]
    wrong = []
    for expected, cases in ((1, bad), (0, good)):
        for name, line in cases:
            with tempfile.TemporaryDirectory() as folder:
                path = Path(folder) / name
                path.parent.mkdir(parents=True)
                path.write_text('// a file\n' + line + '\n')
                found, files = check(Path(folder))
                if len(found) != expected or files != 1:
                    wrong.append(f'{name}: {line}: {len(found)} breaches, not {expected}')
                if found and not found[0].startswith(f'{name}:2: '):
                    wrong.append(f'{name}: wrong place: {found[0]}')
    for line in wrong:
        print(line)
    print(f'{len(bad) + len(good) - len(wrong)} passed, {len(wrong)} failed')
    return 1 if wrong else 0


def main(arguments):
    if arguments == ['--self']:
        return self_test()
    root = Path(arguments[0]) if arguments else Path(__file__).resolve().parents[2]
    found, files = check(root)
    for line in found:
        print(line)
    print(f'{files} files, {len(found)} includes that the table forbids')
    return 1 if found or files == 0 else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
