#!/usr/bin/env python3
"""Holds the documents against the tree and against the program.

  docs_check.py                 links, anchors, files named, pictures and their sources
  docs_check.py --program WEFT  also: commands and flags that the documents show exist in its --help
  docs_check.py --self          the checks find what they should find
"""
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# Folders of the source tree: `sim/engine.h` in a document names a file there.
TOPS = 'analysis base cli control datapath docs models pcap scenarios sim tests'.split()
# Commands of the bootstrap script ./weft, which are none of the program's, and their flags.
OF_SCRIPT = {'bench': set(), 'fuzz': {'--seconds'}, 'test': {'--quick', '--matrix', '--list', '--jobs'}}
SCRIPT_FLAGS = {'--no-install', '--help', '--version'}


def documents(root):
    found = [os.path.join(root, name) for name in sorted(os.listdir(root)) if name.endswith('.md')]
    for folder, _, names in sorted(os.walk(os.path.join(root, 'docs'))):
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith('.md')]
    return found


def without_code(text):
    return re.sub(r'`[^`\n]*`', '', re.sub(r'(?ms)^```.*?^```', '', text))


def anchors(text):
    """As GitHub makes them from headings."""
    seen, out = {}, set()
    for heading in re.findall(r'(?m)^#+ +(.*)$', re.sub(r'(?ms)^```.*?^```', '', text)):
        slug = re.sub(r'[^\w\- ]', '', heading.lower()).replace(' ', '-')
        number = seen.get(slug, 0)
        seen[slug] = number + 1
        out.add(slug if number == 0 else f'{slug}-{number}')
    return out


def check_links(path, text):
    for target in re.findall(r'!?\[[^\]]*\]\(([^)\s]+)\)', without_code(text)):
        if re.match(r'[a-z]+:', target):
            continue
        name, _, anchor = target.partition('#')
        file = os.path.normpath(os.path.join(os.path.dirname(path), name)) if name else path
        if not os.path.exists(file):
            yield f'the link {target} leads nowhere'
        elif anchor and file.endswith('.md'):
            with open(file, encoding='utf-8') as other:
                if anchor not in anchors(other.read()):
                    yield f'{name or "this file"} has no heading for #{anchor}'


def check_files(root, text):
    """Whatever looks like a file or folder of the tree, between backticks, is one."""
    for name in set(re.findall(r'`([\w./{},*-]+)`', text)):
        if name.split('/')[0] not in TOPS or '/' not in name or '*' in name:
            continue
        if re.search(r'[A-Z]{3}', name):  # a place holder: cli/cmd_NAME.cpp
            continue
        options = [name]
        brace = re.fullmatch(r'(.*)\{([^}]*)\}(.*)', name)
        if brace:
            options = [brace[1] + part + brace[3] for part in brace[2].split(',')]
        for option in options:
            if not os.path.exists(os.path.join(root, option.rstrip('/'))):
                yield f'there is no {option}'


def check_pictures(root):
    """Every picture in docs/pictures is used and has its source there."""
    folder = os.path.join(root, 'docs/pictures')
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    texts = ''.join(open(path, encoding='utf-8').read() for path in documents(root))
    make = os.path.join(folder, 'make.sh')
    script = open(make, encoding='utf-8').read() if os.path.exists(make) else ''
    for name in names:
        stem, extension = os.path.splitext(name)
        if extension in ('.svg', '.png'):
            if f'pictures/{name}' not in texts:
                yield f'docs/pictures/{name}: no document shows it'
            if f'{stem}.dot' not in names and name not in script:
                yield f'docs/pictures/{name}: make.sh does not know how it is made'
        if extension == '.dot' and f'{stem}.svg' not in names:
            yield f'docs/pictures/{name}: run docs/pictures/make.sh'


def invocations(text):
    """(command, flags) of every `weft COMMAND ...` in code."""
    code = re.findall(r'`([^`\n]+)`', re.sub(r'(?ms)^```.*?^```', '', text))
    for block in re.findall(r'(?ms)^```(?:sh|console|text)?\n(.*?)^```', text):
        code += block.splitlines()
    for line in code:
        found = re.match(r'\s*(?:\$ )?(?:\./)?weft ([a-z-]+)(.*)', line)
        if found:
            arguments = re.sub(r"'[^']*'|\"[^\"]*\"", '', found[2].split('#')[0])
            yield found[1], re.findall(r'(?<![\w-])(--[a-z-]+)', arguments)


def check_commands(text, helps):
    for command, flags in invocations(text):
        if command.startswith('--'):
            if command not in SCRIPT_FLAGS:
                yield f'weft has no flag {command}'
            continue
        if command not in helps and command not in OF_SCRIPT:
            yield f'weft has no command {command}'
            continue
        known = OF_SCRIPT.get(command, set()) | SCRIPT_FLAGS
        known |= set(re.findall(r'--[a-z][a-z-]*', helps.get(command, '')))
        for flag in flags:
            if flag not in known:
                yield f'weft {command} has no flag {flag}'


def helps_of(program):
    def text(*arguments):
        return subprocess.run([program, *arguments], stdout=subprocess.PIPE, check=True,
                              text=True).stdout

    commands = re.search(r'Commands:\n((?:  .*\n)+)', text('--help'))[1]
    names = re.findall(r'(?m)^  ([a-z-]+) ', commands)
    return {name: text(name, '--help') for name in names}


def undocumented(root, helps):
    with open(os.path.join(root, 'README.md'), encoding='utf-8') as file:
        readme = file.read()
    for command in helps:
        if not re.search(rf'`(\./)?weft {command}\b', readme):
            yield f'README.md says nothing about weft {command}'


def check(root, helps=None):
    problems = list(check_pictures(root))
    if helps is not None:
        problems += undocumented(root, helps)
    for path in documents(root):
        with open(path, encoding='utf-8') as file:
            text = file.read()
        found = [*check_links(path, text), *check_files(root, text)]
        if helps is not None:
            found += check_commands(text, helps)
        problems += [f'{os.path.relpath(path, root)}: {p}' for p in dict.fromkeys(found)]
    return problems


def self_test():
    helps = {'run': '  --seed UINT  Seed\n'}
    with tempfile.TemporaryDirectory() as root:
        os.makedirs(os.path.join(root, 'docs/pictures'))
        os.makedirs(os.path.join(root, 'sim'))
        open(os.path.join(root, 'sim/engine.h'), 'w').close()
        for name in ('lost.dot', 'drawn.svg', 'kept.dot', 'kept.svg'):
            open(os.path.join(root, 'docs/pictures', name), 'w').close()

        def problems(text):
            with open(os.path.join(root, 'README.md'), 'w', encoding='utf-8') as file:
                file.write('![x](docs/pictures/kept.svg) `weft run`\n' + text)
            return [p for p in check(root, helps) if 'docs/pictures/' not in p]

        open(os.path.join(root, 'README.md'), 'w').write('![x](docs/pictures/kept.svg) `weft run`')
        assert len([p for p in check(root, helps) if 'lost.dot: run' in p]) == 1
        assert len([p for p in check(root, helps) if 'drawn.svg' in p]) == 2
        good = ('# A b\n[x](#a-b) [y](sim/engine.h) `sim/engine.h` `cli/cmd_NAME.cpp` [z](http://a)\n'
                '```\n./weft run a --seed 3\n```\n')
        assert problems(good) == [], problems(good)
        for bad in ('[x](nowhere.md)', '[x](#b)', '`sim/no.h`', '`weft fly`', '`weft run --sead 1`',
                    '```\n./weft run a --sead 3\n```'):
            assert len(problems(bad)) == 1, (bad, problems(bad))
    print('the checks find what they should')
    return 0


def main(argv):
    if argv == ['--self']:
        return self_test()
    helps = helps_of(argv[1]) if argv[:1] == ['--program'] else None
    problems = check(ROOT, helps)
    print('\n'.join(problems) if problems else f'{len(documents(ROOT))} documents hold')
    return 1 if problems else 0


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
