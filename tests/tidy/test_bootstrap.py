#!/usr/bin/env python3
"""The bootstrap script `weft`, with the machine around it replaced: dpkg-query, apt-get, sudo and
the build tools are little scripts that record how they were called."""
import os
import re
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

DPKG_QUERY = '''#!/bin/bash
# Knows every package that it is asked for, but those in $FAKE_MISSING.
for p in "${@:3}"; do
  case " $(cat "$FAKE_MISSING") " in *" $p "*) ;; *) echo "ii  $p" ;; esac
done
exit 1
'''
APT_GET = '''#!/bin/bash
echo "apt-get $*" >>"$FAKE_LOG"
[ -n "${FAKE_APT_FAILS:-}" ] && { echo "E: no network"; exit 100; }
[ "$1" = install ] && : >"$FAKE_MISSING"
exit 0
'''
SUDO = '#!/bin/bash\necho "sudo $*" >>"$FAKE_LOG"\nexec "$@"\n'
CMAKE = '''#!/bin/bash
echo "cmake $*" >>"$FAKE_LOG"
case " $* " in
  *" -S "*) touch "$WEFT_BUILD/build.ninja" ;;
  *)
    if grep -q BROKEN "$FAKE_ROOT"/*/*.cpp; then
      echo "[1/2] Building CXX object a.o"; echo "a.cpp:1: error: BROKEN"; exit 1
    fi
    # As the build tool: only what is newer than the program makes a new one.
    program="$WEFT_BUILD/bin/weft"
    newer=$(find "$FAKE_ROOT"/base "$FAKE_ROOT"/cli -newer "$program" 2>/dev/null)
    if [ ! -e "$program" ] || [ -n "$newer" ]; then
      mkdir -p "$WEFT_BUILD/bin"
      printf '#!/bin/bash\\necho "ran in $PWD: $*"\\nexit 7\\n' >"$program"
      chmod +x "$program"
      echo rebuilt >>"$FAKE_LOG"
    fi ;;
esac
'''
ID = '#!/bin/bash\necho "${FAKE_UID:-0}"\n'


class Bootstrap(unittest.TestCase):
    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix='weft bootstrap '))  # with a space in its name
        self.root = self.folder / 'tree'
        for part in ('base', 'cli', 'scenarios'):
            (self.root / part).mkdir(parents=True)
        (self.root / 'base' / 'a.cpp').write_text('int a;\n')
        (self.root / 'cli' / 'main.cpp').write_text('int main() {}\n')
        (self.root / 'scenarios' / 'spec.h').write_text('#pragma once\n')
        (self.root / 'CMakeLists.txt').write_text('project(weft)\n')
        shutil.copy(ROOT / 'weft', self.root / 'weft')
        shutil.copy(ROOT / 'packages.txt', self.root / 'packages.txt')
        tools = self.folder / 'tools'
        tools.mkdir()
        for name, text in (('dpkg-query', DPKG_QUERY), ('apt-get', APT_GET), ('sudo', SUDO),
                           ('cmake', CMAKE), ('id', ID)):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        self.log = self.folder / 'log'
        self.log.write_text('')
        self.missing = self.folder / 'missing'
        self.missing.write_text('')
        self.env = dict(os.environ, PATH=f'{tools}:{os.environ["PATH"]}', FAKE_LOG=str(self.log),
                        FAKE_MISSING=str(self.missing), FAKE_ROOT=str(self.root),
                        WEFT_BUILD=str(self.root / 'build'))

    def tearDown(self):
        shutil.rmtree(self.folder)

    def weft(self, *arguments, cwd=None, **env):
        done = subprocess.run([str(self.root / 'weft'), *arguments], cwd=cwd or self.folder,
                              env=dict(self.env, **env), stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, text=True, check=False)
        calls = self.log.read_text().splitlines()
        self.log.write_text('')
        return done.returncode, done.stdout, done.stderr, calls

    def build(self):
        code, *_ = self.weft('check', 'x')
        self.assertEqual(code, 7)

    def test_first_call_builds_and_runs_in_the_callers_folder(self):
        code, out, _, calls = self.weft('run', 'my file.yaml', '--set', 'a b=c')
        self.assertEqual(code, 7)
        self.assertEqual(out, f'ran in {self.folder}: run my file.yaml --set a b=c\n')
        self.assertTrue(any(' -S ' in c and 'CMAKE_BUILD_TYPE=Release' in c for c in calls))
        self.assertFalse(any(c.startswith('apt-get') for c in calls))

    def test_second_call_starts_no_build_tool(self):
        self.build()
        code, _, err, calls = self.weft('check', 'x')
        self.assertEqual((code, err, calls), (7, '', []))

    def test_every_kind_of_change_is_built(self):
        def edit():
            (self.root / 'base' / 'a.cpp').write_text('int a = 1;\n')

        def add():
            (self.root / 'base' / 'b.cpp').write_text('int b;\n')

        def remove():
            (self.root / 'base' / 'b.cpp').unlink()

        def rename():
            (self.root / 'base' / 'a.cpp').rename(self.root / 'base' / 'c.cpp')

        def header():
            (self.root / 'scenarios' / 'spec.h').write_text('#pragma once\nint x;\n')

        def lists():
            (self.root / 'CMakeLists.txt').write_text('project(other)\n')

        self.build()
        for change in (edit, add, remove, rename, header, lists):
            change()
            _, _, _, calls = self.weft('check', 'x')
            self.assertTrue(any('--build' in c for c in calls), change.__name__)
            _, _, _, calls = self.weft('check', 'x')
            self.assertEqual(calls, [], change.__name__)

    def test_a_file_put_back_with_an_old_time_is_built(self):
        self.build()
        path = self.root / 'base' / 'a.cpp'
        path.write_text('int old;\n')
        os.utime(path, (1_000_000_000, 1_000_000_000))
        _, _, _, calls = self.weft('check', 'x')
        self.assertIn('rebuilt', calls)

    def test_a_change_elsewhere_builds_nothing(self):
        self.build()
        (self.root / 'README.md').write_text('words\n')
        (self.root / 'scenarios' / 'mine.yaml').write_text('name: x\n')
        self.assertEqual(self.weft('check', 'x')[3], [])

    def test_a_failed_build_shows_the_error_and_is_tried_again(self):
        self.build()
        (self.root / 'base' / 'a.cpp').write_text('BROKEN\n')
        for _ in range(2):
            code, out, err, _ = self.weft('check', 'x')
            self.assertEqual((code, out), (2, ''))
            self.assertIn('a.cpp:1: error: BROKEN', err)
            self.assertNotIn('Building CXX', err)
        (self.root / 'base' / 'a.cpp').write_text('int a;\n')
        self.assertEqual(self.weft('check', 'x')[0], 7)

    def test_missing_packages_are_installed_and_named(self):
        self.missing.write_text('libfmt-dev ninja-build')
        code, _, err, calls = self.weft('check', 'x')
        self.assertEqual(code, 7)
        self.assertEqual(calls[0], 'apt-get update -q')
        self.assertRegex(calls[1], r'^apt-get install .*-y .*ninja-build libfmt-dev$')
        self.assertIn('installing: ninja-build libfmt-dev', err)
        self.assertFalse(any(c.startswith('sudo') for c in calls))

    def test_not_root_goes_through_sudo_and_says_so(self):
        self.missing.write_text('libfmt-dev')
        code, _, err, calls = self.weft('check', 'x', FAKE_UID='1000')
        self.assertEqual(code, 7)
        self.assertIn('sudo apt-get install', err)
        self.assertTrue(calls[0].startswith('sudo apt-get update'))

    def test_no_install_lists_and_stops(self):
        self.missing.write_text('libfmt-dev catch2')
        code, out, err, calls = self.weft('--no-install', 'run', 'x.yaml')
        self.assertEqual((code, out, calls), (2, '', []))
        self.assertIn('libfmt-dev', err)
        self.assertNotIn('catch2', err)  # only the tests need it
        code, _, err, calls = self.weft('test', '--no-install')
        self.assertEqual((code, calls), (2, []))
        self.assertIn('catch2', err)

    def test_no_install_with_nothing_missing_runs(self):
        code, out, _, _ = self.weft('run', '--no-install', 'x.yaml')
        self.assertEqual(code, 7)
        self.assertIn(': run x.yaml', out)

    def test_a_failed_installation_stops(self):
        self.missing.write_text('libfmt-dev')
        code, _, err, calls = self.weft('check', 'x', FAKE_APT_FAILS='1')
        self.assertEqual(code, 2)
        self.assertIn('E: no network', err)
        self.assertFalse(any('cmake' in c for c in calls))

    def test_test_with_a_file_goes_to_the_program(self):
        _, out, _, _ = self.weft('test', 'a.yaml', '--filter', 'x')
        self.assertIn(': test a.yaml --filter x', out)

    def test_called_through_a_link(self):
        link = self.folder / 'link'
        link.symlink_to(self.root / 'weft')
        done = subprocess.run([str(link), 'ls'], cwd='/', env=self.env, stdout=subprocess.PIPE,
                              text=True, check=False)
        self.assertEqual((done.returncode, done.stdout), (7, 'ran in /: ls\n'))

    def test_the_real_tree_lists_what_cmake_asks_for(self):
        packages = (ROOT / 'packages.txt').read_text()
        lists = (ROOT / 'CMakeLists.txt').read_text()
        self.assertTrue(os.stat(ROOT / 'weft').st_mode & stat.S_IXUSR)
        for library, package in (('fmt::fmt', 'libfmt-dev'), ('yaml-cpp', 'libyaml-cpp-dev')):
            self.assertIn(library, lists)
            self.assertRegex(packages, rf'(?m)^build +{re.escape(package)}$')


if __name__ == '__main__':
    unittest.main(argv=[sys.argv[0], *sys.argv[1:]])
