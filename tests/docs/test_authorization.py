#!/usr/bin/python3
"""The examples of docs/authorization.md, by a running gateway: each request, and the status that it gets."""
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
HEAD = '''version: 1
workers: 1
listeners: {public: {address: "127.0.0.1:@PORT@"}}
trusted_proxies: 127.0.0.0/8
services: {app: "%s"}
authenticators:
  shop: {jwt: {issuer: "https://id.test", audience: shop, key: "${secret('file:key')}", algorithms: [HS256]}}
routes:
'''


def examples():
    with open(os.path.join(ROOT, 'docs', 'authorization.md'), encoding='utf-8') as f:
        text = f.read()
    found = re.findall(r'^## (\w+)\n(.*?)(?=^## |\Z)', text, re.M | re.S)
    rows = [(name, *block) for name, part in found
            for block in re.findall(r'^```yaml example\n(.*?)^```\n```requests\n(.*?)^```', part, re.M | re.S)]
    equal(len(rows), text.count('```yaml example'), 'every example has requests')
    return rows


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


def token(claims):
    now = int(time.time())
    claims = {'iss': 'https://id.test', 'aud': 'shop', 'exp': now + 600, **claims}
    text = b64(b'{"alg":"HS256"}') + '.' + b64(json.dumps(claims).encode())
    return 'Bearer ' + text + '.' + b64(hmac.new(SECRET, text.encode(), hashlib.sha256).digest())


def request(line):
    """'POST /x  Name: value  as {..}  {"body": 1}  200' in parts: at two blanks."""
    method, path, rest = re.match(r'(\S+)\s+(\S+)\s*(.*)', line).groups()
    *parts, status = [p for p in re.split(r'\s{2,}|\s+(?=\d{3}$)', rest) if p]
    headers, body = [], b''
    for p in parts:
        if p.startswith('as '):
            headers.append('Authorization: ' + token(json.loads(p[3:])))
        elif re.match(r'[A-Z][\w-]*: ', p):
            headers.append(p)
        else:
            body = p.encode()
    return method, path, headers, body, int(status)


@test(examples())
def example(row):
    _, routes, requests = row
    text = HEAD + ''.join('  ' + line + '\n' for line in routes.splitlines())
    lines = requests.splitlines()
    assert len(lines) > 3
    with Upstream() as up, Gateway(text % up.address, files={'key': SECRET}) as gw:
        for line in lines:
            method, path, headers, body, status = request(line)
            if body:
                headers.append('Content-Type: application/json')
            if method == 'POST':
                headers.append(f'Content-Length: {len(body)}')
            with gw.client() as c:
                c.send('\r\n'.join([f'{method} {path} HTTP/1.1', 'Host: gw.test', *headers, '', '']).encode() + body)
                equal(c.read_response(method).status, status, line)


run()
