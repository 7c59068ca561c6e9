#!/usr/bin/python3
"""The examples of docs/cel.md, by `sluice eval`, and that every function has one."""
import glob
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import ROOT, run as sluice
from tap import contains, equal, run, test


def read(path):
    with open(os.path.join(ROOT, path), encoding='utf-8') as f:
        return f.read()


TEXT = read('docs/cel.md')
NAMES = re.search(r'^```json names\n(.*?)^```', TEXT, re.M | re.S).group(1)


def examples():
    """(expression, what it is worth) of every line."""
    found = []
    for block in re.findall(r'^```cel\n(.*?)^```', TEXT, re.M | re.S):
        for line in block.splitlines():
            expression, arrow, value = line.rpartition(' // => ')
            assert arrow, 'an example without its value: ' + line
            found.append((expression.strip(), value))
    assert len(found) > 150, len(found)
    return found


CALLS = '\n'.join(expression for expression, _ in examples())


def functions():
    """As they are called: "startsWith" a member, "math.abs" with its namespace."""
    found = set()
    for path in glob.glob(os.path.join(ROOT, 'src/expr/lib_*.c')):
        text = read(path)
        for head in re.findall(r'\.signature =\s*"([^"(]+)\(', text):
            head = re.sub(r'^(?:(?:string|bytes|timestamp|duration|net\.IP|net\.CIDR)|[a-z]+<.*>)\.', '', head)
            if '@' not in head:  # what a macro becomes
                found.add(head)
        found.update(re.findall(r'\bGETTER\("(\w+)"', text))
    assert len(found) > 90, len(found)
    return sorted(found)


def evaluate(expression, path):
    done = sluice('eval', expression, '--with', path)
    return done.returncode, done.stdout.decode().strip(), done.stderr.decode()


@test(examples())
def example(row):
    expression, value = row
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'names.json')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(NAMES)
        code, out, err = evaluate(expression, path)
        if value.startswith('error: '):
            equal(code, 1, out)
            contains(err, value[len('error: '):])
        else:
            equal((code, out), (0, evaluate(value, path)[1]), err)


@test(functions())
def function_has_an_example(name):
    assert re.search(r'(?<!\w)' + re.escape(name) + r'\(', CALLS), 'write one line for it in docs/cel.md'


run()
