#!/usr/bin/python3
"""The examples of docs/rate-limits.md and docs/quotas.md, by a running gateway: each request in turn, and the status that it gets."""
import base64
import hashlib
import hmac
import json
import os
import re
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import ROOT, Gateway, Upstream
from tap import equal, run, test

SECRET = b'thirty-two bytes at the very least'
KEYS = {name: 'sha256:' + hashlib.sha256(name.encode()).hexdigest() for name in ('fred', 'gina', 'nora')}
HEAD = f'''version: 1
workers: 2
listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
trusted_proxies: 127.0.0.0/8
services: {{app: "%s"}}
authenticators:
  shop: {{jwt: {{issuer: "https://id.test", key: "${{secret('file:key')}}", algorithms: [HS256]}}}}
  partners: {{api_key: X-API-Key}}
consumers:
  fred: {{plan: free, keys: ["{KEYS['fred']}"]}}
  gina: {{plan: gold, keys: ["{KEYS['gina']}"]}}
  nora: {{keys: ["{KEYS['nora']}"]}}
'''
NO_PLANS = 'plans: {free: {}, gold: {}}\n'


def page(name):
    with open(os.path.join(ROOT, 'docs', name), encoding='utf-8') as f:
        return f.read()


def examples(of):
    """(name, routes, requests, what stands beside routes)."""
    found, name, text = [], '', page(of)
    for head, plans, routes, requests in re.findall(
            r'^##+ ([^\n]*)$|^```yaml example( plans)?\n(.*?)^```\n```requests\n(.*?)^```', text, re.M | re.S):
        name = head or name
        if routes:
            found.append((f'{of} {name} {len(found) + 1}', routes, requests, of_page(text, 'plans') if plans else NO_PLANS))
    equal(len(found), text.count('```yaml example'), 'every example has requests')
    return found


def of_page(text, key):
    """A top-level key that the page shows."""
    return re.search(rf'^{key}:\n(?:  .*\n)+', text, re.M)[0]


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def token(claims):
    claims = {'iss': 'https://id.test', 'exp': int(time.time()) + 600, **claims}
    text = b64(b'{"alg":"HS256"}') + '.' + b64(json.dumps(claims).encode())
    return 'Bearer ' + text + '.' + b64(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())


def request(line):
    """'3 x POST /x  Name: value  as {..}  {"body": 1}  200' in parts: at two blanks."""
    times, method, path, rest = re.match(r'(?:(\d+) x )?(\S+)\s+(\S+)\s*(.*)', line).groups()
    *parts, status = [p for p in re.split(r'\s{2,}|\s+(?=\d{3}$)', rest) if p]
    headers, body = [], b''
    for p in parts:
        if p.startswith('as '):
            headers.append('Authorization: ' + token(json.loads(p[3:])))
        elif p.startswith('key '):
            headers.append('X-API-Key: ' + p[4:])
        elif re.match(r'[A-Z][\w-]*: ', p):
            headers.append(p)
        else:
            body = p.encode()
    if method == 'POST':
        headers += ['Content-Type: application/json', f'Content-Length: {len(body)}']
    return int(times or 1), '\r\n'.join([f'{method} {path} HTTP/1.1', 'Host: gw.test', *headers, '', '']).encode() + body, int(status)


@test(examples('rate-limits.md') + examples('quotas.md'))
def example(row):
    _, routes, requests, more = row
    text = HEAD + more + 'routes:\n' + ''.join('  ' + line + '\n' for line in routes.splitlines())
    assert '429' in requests and '200' in requests
    with Upstream() as up, Gateway(text % up.address, files={'key': SECRET}) as gw:
        for line in requests.splitlines():
            times, data, status = request(line)
            for _ in range(times):
                with gw.client() as c:
                    equal(c.request(data).status, status, line)


run()
