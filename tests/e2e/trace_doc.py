#!/usr/bin/env python3
"""trace_doc.py WEFT: the output that docs/trace.md shows is what the program prints.

trace_doc.py WEFT --write puts the present output there.
"""
import re
import shlex
import sys

from harness import ROOT, session

DOC = ROOT / 'docs' / 'trace.md'
BLOCK = re.compile(r'(?ms)^(```console\n\$ weft (trace [^\n]*)\n)(.*?)^```$')


with session() as t:
    text = DOC.read_text()

    def output(match):
        done = t.weft(*shlex.split(match[2]), cwd=ROOT)
        t.check(f'{match[2]} runs', done.returncode == 0, done.said)
        return done.stdout

    if sys.argv[2:] == ['--write']:
        DOC.write_text(BLOCK.sub(lambda m: m[1] + output(m) + '```', text))
    else:
        blocks = list(BLOCK.finditer(text))
        t.check('docs/trace.md shows an example', blocks)
        for block in blocks:
            t.check('docs/trace.md is up to date (tests/e2e/trace_doc.py WEFT --write)',
                    block[3] == output(block), block[3])
