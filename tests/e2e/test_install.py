#!/usr/bin/python3
"""What `make install` brings, in a folder of its own: files, paths in the unit, a binary that works."""
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import binary
from tap import contains, equal, run, skip, test

BUILD = os.path.dirname(binary())
FILES = [
    ('binary', 'bin/sluice', 0o755),
    ('man page', 'share/man/man8/sluice.8', 0o644),
    ('completion', 'share/bash-completion/completions/sluice', 0o644),
    ('service unit', 'lib/systemd/system/sluice.service', 0o644),
    ('socket unit', 'lib/systemd/system/sluice.socket', 0o644),
    ('example configuration', 'share/doc/sluice/examples/sluice.yaml', 0o644),
    ('licence', 'share/doc/sluice/LICENSE', 0o644),
]


def option(name):
    done = subprocess.run(['meson', 'introspect', '--buildoptions', BUILD], capture_output=True, text=True,
                          check=True)
    return re.search(rf'"name": "{name}", "value": "([^"]*)"', done.stdout).group(1)


if not os.path.exists(os.path.join(BUILD, 'build.ninja')):
    print(f'1..1\nok 1 - install # SKIP {BUILD} is not a build folder')
    sys.exit(0)
DEST = tempfile.TemporaryDirectory()
subprocess.run(['meson', 'install', '-C', BUILD, '--no-rebuild', '--destdir', DEST.name], check=True,
               stdout=subprocess.DEVNULL, env={k: v for k, v in os.environ.items() if k != 'CC'})
PREFIX = option('prefix')


def installed(path):
    return os.path.join(DEST.name, PREFIX.lstrip('/'), path)


@test(FILES)
def installs(row):
    path = installed(row[1])
    assert os.path.isfile(path), f'{row[1]} is missing'
    equal(oct(os.stat(path).st_mode & 0o777), oct(row[2]))


@test
def the_unit_starts_the_installed_binary():
    with open(installed('lib/systemd/system/sluice.service'), encoding='utf-8') as f:
        unit = f.read()
    contains(unit, f'ExecStart={PREFIX}/bin/sluice run -c /etc/sluice/sluice.yaml')
    assert '@' not in re.sub(r'(?m)^SystemCallFilter=.*$', '', unit), 'a place was not filled in'


@test
def the_unit_is_right_for_systemd():
    try:
        done = subprocess.run(['systemd-analyze', '--version'], capture_output=True, check=False)
    except FileNotFoundError:
        skip('systemd-analyze is not there')
    with open(installed('lib/systemd/system/sluice.service'), encoding='utf-8') as f:
        unit = f.read().replace(PREFIX + '/bin/sluice', installed('bin/sluice'))
    path = os.path.join(DEST.name, 'sluice.service')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(unit.replace('man:sluice(8)', 'https://example.org/'))
    done = subprocess.run(['systemd-analyze', 'verify', path], capture_output=True, text=True, check=False)
    mine = [line for line in done.stderr.split('\n') if 'sluice.service' in line]
    equal(mine, [])


@test
def the_installed_example_is_right():
    done = subprocess.run([installed('bin/sluice'), 'check', '-c', installed(FILES[5][1])],
                          capture_output=True, text=True, check=False)
    equal(done.returncode, 0, done.stdout + done.stderr)


run()
