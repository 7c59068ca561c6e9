#!/usr/bin/python3
"""The test driver sees every kind of failure; tools/packages installs what is missing and says what it could not."""
import importlib.machinery
import importlib.util
import os
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import wait_until
from tap import contains, equal, run, test

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
LIB = os.path.join(ROOT, 'tests', 'lib')


def load_driver():
    loader = importlib.machinery.SourceFileLoader('run_tests', os.path.join(ROOT, 'tools', 'run-tests'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('run_tests', loader))
    loader.exec_module(module)
    return module


driver = load_driver()


def run_shell(script, seconds=20):
    driver.LOGS = tempfile.mkdtemp()
    c = driver.run_program('sample', ['sh', '-c', script], seconds=seconds)
    return c.passed, c.failed, c.skipped


# What a program prints, its exit code, and passed, failed, skipped.
OUTPUTS = [
    ('all well', '1..2\nok 1 - a\nok 2 - b\n', 0, (2, 0, 0)),
    ('skipped', '1..2\nok 1 - a\nok 2 - b # SKIP no net\n', 0, (1, 0, 1)),
    ('skipped as cmocka says it', '1..2\nok 1 - a\nnot ok 2 # SKIP b\n', 0, (1, 0, 1)),
    ('a failure', '1..2\nok 1 - a\nnot ok 2 - b\n# why\n', 1, (1, 1, 0)),
    ('a failure that the exit code hides', '1..1\nnot ok 1 - a\n', 0, (0, 1, 0)),
    ('an exit code that the lines hide', '1..1\nok 1 - a\n', 99, (1, 1, 0)),
    ('fewer than planned', '1..3\nok 1 - a\n', 0, (1, 1, 0)),
    ('nothing at all', '', 0, (0, 1, 0)),
    ('two groups in one program', '1..1\nok 1 - a\n1..1\nok 1 - b\n', 0, (2, 0, 0)),
]


@test(OUTPUTS)
def the_driver_counts(row):
    equal(run_shell(f"printf '%s' '{row[1]}'; exit {row[2]}"), row[3])


@test
def the_driver_kills_what_hangs_with_its_children():
    with tempfile.TemporaryDirectory() as folder:
        pid_file = os.path.join(folder, 'pid')
        equal(run_shell(f'echo ok 1 - a; sleep 600 & echo $! > {pid_file}; wait', seconds=1), (1, 1, 0))
        wait_until(lambda: gone(pid_file), 'the child is dead')


def gone(pid_file):
    with open(pid_file, encoding='ascii') as f:
        pid = f.read().strip()
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as f:
            return f.read().rsplit(')', 1)[1].split()[0] == 'Z'
    except FileNotFoundError:
        return True


@test(['SIGTERM', 'SIGINT'])
def the_driver_takes_what_it_started_along(name):
    with tempfile.TemporaryDirectory() as folder:
        pid_file = os.path.join(folder, 'pid')
        text = f"""
import importlib.machinery, importlib.util, signal
loader = importlib.machinery.SourceFileLoader('d', {os.path.join(ROOT, 'tools', 'run-tests')!r})
d = importlib.util.module_from_spec(importlib.util.spec_from_loader('d', loader))
loader.exec_module(d)
signal.signal(signal.{name}, d.interrupted)
d.execute(['sh', '-c', 'sleep 600 & echo $! > {pid_file}.new; mv {pid_file}.new {pid_file}; wait'], 60)
"""
        p = subprocess.Popen([sys.executable, '-c', text])
        wait_until(lambda: os.path.exists(pid_file), 'the program has started')
        p.send_signal(getattr(signal, name))
        equal(p.wait(20), 130)
        wait_until(lambda: gone(pid_file), 'the child is dead')


@test
def the_driver_counts_a_crash():
    equal(run_shell('echo 1..2; echo ok 1 - a; kill -SEGV $$'), (1, 1, 0))


@test
def an_unknown_suite_is_a_usage_error():
    done = subprocess.run([os.path.join(ROOT, 'tools', 'run-tests'), 'nonsense'], capture_output=True,
                          text=True, check=False)
    equal(done.returncode, 2)
    contains(done.stderr, 'no suite "nonsense"')


# A test program, its exit code and a line that it must print.
PROGRAMS = [
    ('passing', '@test\ndef a(): pass', 0, 'ok 1 - a'),
    ('failing', '@test\ndef a(): equal(1, 2)', 1, 'not ok 1 - a'),
    ('raising', '@test\ndef a(): raise OSError("gone")', 1, '# OSError: gone'),
    ('skipping', '@test\ndef a(): skip("no net")', 0, 'ok 1 - a # SKIP no net'),
    ('a table', '@test([("x", 1), ("y", 2)])\ndef a(row): equal(row[1], 1)', 1, 'not ok 2 - a: y'),
    ('an empty table', '@test([])\ndef a(row): pass', 1, None),
    ('empty', '', 1, '1..0'),
]


@test(PROGRAMS)
def a_test_program(row):
    text = f'import sys\nsys.path.insert(0, {LIB!r})\nfrom tap import *\n{row[1]}\nrun()\n'
    done = subprocess.run([sys.executable, '-c', text], capture_output=True, text=True, check=False)
    equal(done.returncode, row[2], done.stdout + done.stderr)
    if row[3]:
        contains(done.stdout.split('\n'), row[3])


def packages(installed, arguments=('build',), apt=0):
    """Runs tools/packages with a dpkg-query that knows `installed` and an apt-get that exits with `apt`.
    Returns the finished process and what apt-get was told."""
    with tempfile.TemporaryDirectory() as folder:
        told = os.path.join(folder, 'told')
        fakes = {
            'dpkg-query': f'for p in {" ".join(installed) or "-"}; do [ "$p" = "$4" ] && echo -n installed; done\n',
            'apt-get': f'echo "$@" >> {told}; echo "E: no such package" >&2; exit {apt}\n',
            'id': 'echo 0\n',
        }
        for name, text in fakes.items():
            path = os.path.join(folder, name)
            with open(path, 'w', encoding='ascii') as f:
                f.write('#!/bin/sh\n' + text)
            os.chmod(path, 0o755)
        done = subprocess.run([os.path.join(ROOT, 'tools', 'packages'), *arguments], capture_output=True,
                              text=True, check=False,
                              env={**os.environ, 'PATH': folder + ':' + os.environ['PATH']})
        lines = open(told, encoding='ascii').read() if os.path.exists(told) else ''
        return done, lines


def listed(section):
    with open(os.path.join(ROOT, 'tools', 'packages.txt'), encoding='ascii') as f:
        text = f.read().split(f'\n[{section}]\n')[1].split('[')[0]
    return text.split()


@test
def packages_is_quiet_when_nothing_is_missing():
    done, told = packages(listed('build'))
    equal((done.returncode, done.stdout + done.stderr, told), (0, '', ''))


@test
def packages_installs_only_what_is_missing():
    done, told = packages([p for p in listed('build') if p not in ('meson', 'libyaml-dev')])
    equal(done.returncode, 0)
    equal(set(told.split()) & set(listed('build')), {'meson', 'libyaml-dev'})


@test
def packages_says_what_it_could_not_install():
    done, told = packages([p for p in listed('build') if p != 'meson'], apt=100)
    equal(done.returncode, 1)
    contains(done.stderr, 'could not install: meson')
    contains(done.stderr, 'E: no such package')
    contains(told, 'update')


@test
def packages_knows_its_sections():
    done, _ = packages([], ('nonsense',))
    equal(done.returncode, 2)
    contains(done.stderr, 'no section [nonsense]')


run()
