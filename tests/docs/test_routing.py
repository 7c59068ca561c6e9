#!/usr/bin/python3
"""The examples of docs/routing.md, by `sluice explain`: each request's route, and where it leads."""
import json
import os
import re
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import ROOT, run as sluice
from tap import equal, run, test

HEAD = '''version: 1
listeners: {public: {address: "127.0.0.1:8080"}}
services: {shop: "127.0.0.1:7001"}
routes:
'''


def examples():
    with open(os.path.join(ROOT, 'docs', 'routing.md'), encoding='utf-8') as f:
        text = f.read()
    found = re.findall(r'^```yaml example\n(.*?)^```\n```requests\n(.*?)^```', text, re.M | re.S)
    equal(len(found), text.count('```yaml example'), 'every example has requests')
    return [(re.search(r'name: (\S+?),', routes).group(1), routes, requests)
            for routes, requests in found]


def outcome(path, method, url, headers):
    args = [part for h in headers for part in ('-H', h.replace(':', ': ', 1))]
    p = sluice('explain', '-c', path, '--format', 'json', *args, method, url)
    equal(p.returncode, 0, p.stderr)
    told = json.loads(p.stdout)
    code = told.get('answer', {}).get('code')
    if code:
        return {'no_route': 'none', 'method_not_allowed': '405'}.get(code, code), None
    where = told.get('upstream', {}).get('target') or told.get('answer', {}).get('location')
    return told['route']['name'], where


@test(examples())
def example(row):
    _, routes, requests = row
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'sluice.yaml')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(HEAD + ''.join('  ' + line + '\n' for line in routes.splitlines()))
        checked = sluice('check', '-c', path)
        equal(checked.returncode, 0, str(checked.stdout) + str(checked.stderr))
        for line in requests.splitlines():
            method, url, *rest = line.split()
            headers = [r for r in rest if re.match(r'[A-Z][\w-]*:', r) and '://' not in r]
            rest = [r for r in rest if r not in headers]
            wanted = (rest[0], rest[1] if len(rest) > 1 else None)
            equal(outcome(path, method, url, headers), wanted, line)


run()
