"""What `sluice check` says of wrong configurations: tests/data/diagnostics/*.yaml, word for word.

Beside each file lies its expected output (.txt). After a wanted change: tests/e2e/diagnostics.py --update,
then read the difference.
"""
import glob
import os
import subprocess
import sys

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'lib'))
from tap import add, equal, run, test

DATA = os.path.join(ROOT, 'tests', 'data', 'diagnostics')
SLUICE = os.environ.get('SLUICE_BIN', os.path.join(ROOT, 'build', 'sluice'))
CASES = sorted(glob.glob(os.path.join(DATA, '*.yaml')))


def said(path):
    env = {k: v for k, v in os.environ.items() if k != 'SLUICE_TEST_UNSET'}
    p = subprocess.run([SLUICE, 'check', '-c', os.path.basename(path)], cwd=DATA, capture_output=True,
                       text=True, timeout=60, env={**env, 'SLUICE_TEST_TIMEOUT': '5'})
    return f'{p.stdout}{p.stderr}exit code {p.returncode}\n'


def case(path):
    with open(path[:-5] + '.txt', encoding='utf-8') as f:
        equal(said(path), f.read())


@test
def there_are_enough_cases():
    assert len(CASES) >= 60, len(CASES)


@test
def every_common_code_has_a_case():
    seen = ''.join(open(p[:-5] + '.txt', encoding='utf-8').read() for p in CASES)
    listed = subprocess.run([SLUICE, 'docs', 'errors'], capture_output=True, text=True, check=True).stdout
    codes = [line[3:] for line in listed.split('\n') if line.startswith('## ')]
    # Those that need a large or unreadable file, several files, or keys that are not available yet.
    elsewhere = {'E0102', 'E0120', 'E0121', 'E0304'}
    # Those that the gateway's own expressions never meet: test_eval.py.
    elsewhere |= {'E0119', 'E0507'}
    # Those that need certificates: test_certificates.py.
    elsewhere |= {'E0311', 'E0312', 'E0316', 'W0112', 'W0113', 'W0114', 'W0115', 'W0117'}
    missing = [c for c in codes if f'[{c}]' not in seen and c not in elsewhere]
    equal(missing, [])


if sys.argv[1:] == ['--update']:
    for each in CASES:
        with open(each[:-5] + '.txt', 'w', encoding='utf-8') as out:
            out.write(said(each))
    sys.exit(0)
for each in CASES:
    add(os.path.basename(each)[:-5], case, each)
run()
