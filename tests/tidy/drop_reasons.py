#!/usr/bin/env python3
"""Makes the table of docs/drop-reasons.md from datapath/drop_reasons.def (see generated.py)."""
import os
import re
import sys

import generated


def table():
    with open(os.path.join(generated.ROOT, 'datapath/drop_reasons.def'), encoding='utf-8') as file:
        text = file.read()
    rows = re.findall(r'^WEFT_DROP\((\w+),\s*"([^"]+)",\s*"([^"]+)"\)', text, re.M)
    if not rows or len(rows) != len(re.findall(r'^WEFT_DROP\(', text, re.M)):
        raise SystemExit('datapath/drop_reasons.def has a line that this script cannot read')
    lines = ['| name | what it means | in C++ |', '| --- | --- | --- |']
    lines += [f'| `{name}` | {meaning} | `DropReason::{identifier}` |'
              for identifier, name, meaning in rows]
    return '\n'.join(lines)


if __name__ == '__main__':
    sys.exit(generated.main('docs/drop-reasons.md', table(), sys.argv))
