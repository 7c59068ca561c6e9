#!/usr/bin/env python3
"""Every command with what cannot be right: a message that names the matter (on standard error; of check, whose product
diagnostics are, on standard output), and the documented exit code: 1 the thing asked for failed, 2 usage, 78 configuration. None of them hangs, none is silent."""
import os
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import run as command
from tap import add, contains, equal, run

GOOD = '''
version: 1
listeners: {public: {address: "127.0.0.1:18099"}}
services: {a: 127.0.0.1:1}
routes: [{match: {path: "/a"}, to: a}]
'''
FILES = {
    'good.yaml': GOOD,
    'empty.yaml': '',
    'bad-yaml.yaml': 'version: 1\n  a: [\n',
    'bad-key.yaml': GOOD + 'rotues: []\n',
    'bad-ref.yaml': GOOD.replace('to: a', 'to: aa'),
    'nul.yaml': 'version: 1\0\n',
    'latin1.yaml': b'version: 1 # caf\xe9\n',
    'tag.yaml': 'version: !!int 1\n',
    'deep.yaml': '[' * 10000,
    'bomb.yaml': 'a: &a [x,x,x,x,x,x,x,x,x]\n' + ''.join(
        f'{chr(98 + i)}: &{chr(98 + i)} [{",".join("*" + chr(97 + i) for _ in range(9))}]\n' for i in range(9)),
    'loop.yaml': GOOD + 'include: [loop.yaml]\n',
}
# Arguments, exit code, what standard error (or output) must name.
ROWS = [
    ('', 2, 'usage'),
    ('frobnicate', 2, 'frobnicate'),
    ('chek -c good.yaml', 2, 'check'),
    ('--frobnicate', 2, '--frobnicate'),
    ('check --frobnicate', 2, '--frobnicate'),
    ('check -c', 2, '-c'),
    ('check -c good.yaml extra', 2, 'extra'),
    ('check -c good.yaml --format xml', 2, 'xml'),
    ('check -c missing.yaml', 78, 'missing.yaml'),
    ('check -c .', 78, '.'),
    ('check -c empty.yaml', 78, 'empty.yaml'),
    ('check -c bad-yaml.yaml', 78, 'bad-yaml.yaml:'),
    ('check -c bad-key.yaml', 78, 'routes'),
    ('check -c bad-ref.yaml', 78, '"aa"'),
    ('check -c nul.yaml', 78, 'nul.yaml:1'),
    ('check -c latin1.yaml', 78, 'latin1.yaml:1'),
    ('check -c tag.yaml', 78, 'tag.yaml:1'),
    ('check -c deep.yaml', 78, 'deep.yaml:1'),
    ('check -c bomb.yaml', 78, 'bomb.yaml'),
    ('check -c loop.yaml', 78, 'loop.yaml'),
    ('check -c good.yaml -c bad-key.yaml', 78, 'bad-key.yaml'),
    ('run -c missing.yaml', 78, 'missing.yaml'),
    ('run -c bad-key.yaml', 78, 'bad-key.yaml:6:1'),
    ('run --no-supervisor -c bad-ref.yaml', 78, 'bad-ref.yaml:'),
    ('run -c good.yaml extra', 2, 'extra'),
    ('run -c good.yaml --user', 2, '--user'),
    ('run -c good.yaml --workers', 2, '--workers'),
    ('run -c good.yaml --workers none', 2, 'none'),
    ('run -c good.yaml --workers -1', 2, '-1'),
    ('run -c good.yaml --workers 100000', 2, '100000'),
    ('run -c good.yaml --reload-every 5', 2, '5'),
    ('run -c good.yaml --pid-file', 2, '--pid-file'),
    ('run --no-supervisor -c good.yaml --pid-file /nowhere/pid', 1, '/nowhere/pid'),
    ('run -c good.yaml --pid-file /nowhere/pid', 1, '/nowhere/pid'),
    ('run --no-supervisor -c good.yaml --user no-such-user', 1, 'no-such-user'),
    ('run -c good.yaml --user no-such-user', 1, 'no-such-user'),
    ('explain', 2, 'METHOD'),
    ('explain GET', 2, 'URL'),
    ('explain -c good.yaml GET not-a-url', None, 'not-a-url'),
    ('explain -c good.yaml GET http://x/a -H nonsense', 2, 'nonsense'),
    ('explain -c missing.yaml GET http://x/', 78, 'missing.yaml'),
    ('routes -c bad-key.yaml', 78, 'bad-key.yaml:'),
    ('routes -c missing.yaml', 78, 'missing.yaml'),
    ('routes -c good.yaml extra', 2, 'extra'),
    ('schema extra', 2, 'extra'),
    ('reload -c missing.yaml', None, 'missing.yaml'),
    ('reload -c good.yaml', 1, 'good.yaml'),
    ('reload -c good.yaml --run-dir /nowhere', 1, ''),
    ('reload -c good.yaml --run-dir /' + 'x' * 200, 1, ''),
    ('reload --frobnicate', 2, '--frobnicate'),
    ('status -c good.yaml', 1, ''),
    ('status -c missing.yaml', None, 'missing.yaml'),
    ('status --format xml -c good.yaml', 2, 'xml'),
    ('help E9999', 1, 'E9999'),
    ('help frobnicate', 1, 'frobnicate'),
]
GOOD_ROWS = [
    ('check -c good.yaml', ''),
    ('routes -c good.yaml', '/a'),
    ('schema', '"$schema"'),
    ('help', 'usage'),
    ('explain -c good.yaml GET http://x/a', 'route'),
    ('explain -c good.yaml GET http://x/nothing', 'no_route'),
    ('explain -c good.yaml "G T" http://x/a', 'bad_request_line'),
]


def split(text):
    import shlex
    return shlex.split(text)


def bad(folder, text, code, named):
    done = command(*split(text), cwd=folder, timeout=60)
    said = (done.stderr + done.stdout).decode(errors='replace')
    if code is None:
        contains((1, 2, 78), done.returncode, said)
    else:
        equal(done.returncode, code, said)
    assert done.stderr.strip() or text.startswith('check'), 'nothing on standard error'
    contains(said.lower(), named.lower())
    assert len(done.stderr) < 100000, 'too much was said'


def good(folder, text, named):
    done = command(*split(text), cwd=folder)
    equal(done.returncode, 0, done.stderr.decode(errors='replace'))
    contains(done.stdout.decode().lower(), named.lower())


with tempfile.TemporaryDirectory(prefix='sluice-test-') as place:
    for file, content in FILES.items():
        with open(os.path.join(place, file), 'wb') as f:
            f.write(content if isinstance(content, bytes) else content.encode())
    for row in ROWS:
        add(f'refuses: sluice {row[0][:60]}', bad, place, *row)
    for row in GOOD_ROWS:
        add(f'answers: sluice {row[0]}', good, place, *row)
    run()
