#!/usr/bin/env python3
"""cli.py WEFT: a table of command lines with the exit code and the texts that each must give.

Every command of `weft --help` is held to the same manners, so a new one is tested by existing.
"""
import os
import re
import subprocess
import sys
import tempfile

WEFT = os.path.abspath(sys.argv[1])
failures = []
checks = 0


def weft(*arguments, cwd=None):
    return subprocess.run([WEFT, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                          stdin=subprocess.DEVNULL, text=True, cwd=cwd, timeout=60, check=False)


def check(name, condition, done):
    global checks
    checks += 1
    if not condition:
        failures.append(name)
        print(f'FAIL  {name}: exit {done.returncode}\n  stdout: {done.stdout[-600:]}\n'
              f'  stderr: {done.stderr[-600:]}')


def expect(arguments, code, out='', err=''):
    """Exit code, and patterns of what standard output and standard error hold ('' = nothing)."""
    done = weft(*arguments)
    name = ' '.join(['weft', *arguments])
    check(name, done.returncode == code, done)
    for stream, text, pattern in (('out', done.stdout, out), ('err', done.stderr, err)):
        good = re.search(pattern, text) if pattern else text == ''
        check(f'{name} ({stream} is like {pattern!r})', good, done)


overview = weft('--help').stdout
commands = re.findall(r'^  ([a-z]+) +[A-Z]', overview.split('Flags:')[0], re.M)
print('commands:', ' '.join(commands))

expect(['--help'], 0, r'Usage: weft COMMAND')
expect(['-h'], 0, r'Usage: weft COMMAND')
expect(['help'], 0, r'Usage: weft COMMAND')
expect([], 2, r'Usage: weft COMMAND')
expect(['--version'], 0, r'^weft \d+\.\d+\.\d+\n$')
expect(['--verison'], 2, err=r"no flag '--verison'; did you mean '--version'\?")
expect(['-x'], 2, err=r"no flag '-x'")
expect(['frobnicate'], 2, err=r"no command 'frobnicate'\n.*weft --help")
expect([''], 2, err=r"no command ''")
expect(['check me'], 2, err=r"no command 'check me'")

for command in commands:
    expect([command, '--help'], 0, rf'Usage: weft {command}[^\n]*\n')
    done = weft(command, '--help')
    check(f'{command}: help has an example', f'  weft {command}' in done.stdout, done)
    # Flag and text are two spaces apart, or the text stands on the next line, deeper.
    for flag in re.findall(r'^  (?:-\w,)?(--[a-z-]+)', done.stdout, re.M):
        check(f'weft {command}: {flag} is explained',
              re.search(rf'^  (-\w,)?{flag}\b[^\n]*?(  +|\n {{20,}})[A-Za-z]', done.stdout, re.M), done)
    expect([command, '--no-such-flag-at-all'], 2, err=r'error: ')
    # A slip in each of its own flags is answered with that flag.
    for flag in re.findall(r'^  (?:-\w,)?(--[a-z][a-z-]{4,})', done.stdout, re.M):
        slip = flag[:3] + flag[4] + flag[3] + flag[5:] if flag[3] != flag[4] else flag + 'x'
        # The required arguments first, so that only the flag is wrong.
        wanted = ['x'] * len(re.findall(r'^  [A-Z_]+[ .A-Z:]* REQUIRED', done.stdout, re.M))
        answer = weft(command, *wanted, slip)
        check(f'weft {command} {slip}: did you mean {flag}?',
              answer.returncode == 2 and f"did you mean '{flag}'" in answer.stderr, answer)
    if re.search(r' REQUIRED', done.stdout):
        expect([command], 2, err=r'required')

# Commands that read a scenario: what cannot be read.
with tempfile.TemporaryDirectory() as folder:
    for command in ('check', 'ls', 'topo', 'run', 'test'):
        if command not in commands:
            continue
        for wrong in (f'{folder}/absent.yaml', folder):
            done = weft(command, wrong, cwd=folder)
            check(f'weft {command} {wrong}: an error that names it',
                  done.returncode == 2 and 'error: ' in done.stderr and wrong in done.stderr, done)

print(f'{checks - len(failures)} passed, {len(failures)} failed')
sys.exit(1 if failures or not commands else 0)
