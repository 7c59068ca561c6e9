#!/usr/bin/env python3
"""The hostile and legal requests of ../shared/cases/http1 against the real gateway: whole, byte by byte, and
cut in two at every place.

Judged by a recording service: it parses strictly by itself, counts requests and answers each with the nonce
it found. The nonce is the client's address: every connection comes from an address of its own (127.x.y.z),
which the gateway tells in X-Forwarded-For. So nothing is added to the bytes of a case.

A cut is real: the second part is sent once the kernel says that the gateway has read the first. However a
case is cut, no byte of a refused request reaches the service: a request that begins there and does not end
is a failure.
"""
import base64
import itertools
import json
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from cuts import Batch, Kernel
from gateway import SHARED_CASES, Client, Gateway, Upstream
from tap import add, equal, run, skip

CASES = os.path.join(SHARED_CASES, 'http1', 'vectors.jsonl')
BATCH = 200
CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@", http2: false}}  # P04 is its preface
    admin: {address: "127.0.0.1:@ADMIN@"}
    services: {a: %s}
    log: false
    limits: {header_timeout: 2m, first_byte_timeout: 2m, body_idle_timeout: 2m, keepalive_timeout: 5m}  # 9,000 bytes, one at a time
    routes: [{match: {host: gw.test, path: "/*"}, to: a}]
'''
# In which form the requests reach the service, where that is not what was sent.
CANONICAL = {'T15': ['/admin'], 'T16': ['/admin'], 'T23': ['/x'], 'T24': ['/?x=1'], 'B04': ['/a', '/b'],
             'U09': ['/', '/admin'], 'P01': ['/']}
addresses = itertools.count(2 << 16)  # 127.2.0.0 and on
serials = itertools.count(1)
seen = []  # (nonce, serial, request), in the order of arrival


def load():
    with open(CASES, encoding='utf-8') as f:
        rows = [json.loads(line) for line in f]
    for row in rows:
        row['bytes'] = base64.b64decode(row['b64'])
        # H23 asks for it itself.
        row['closes'] = row['expect']['close'] or row['expect']['verdict'] == 'reject' or \
            b'Connection: close,' in row['bytes']
    return rows


def record(request, _):
    nonce, serial = request.header('x-forwarded-for', ''), str(next(serials))
    seen.append((nonce, serial, request))
    body = b'' if request.method == 'HEAD' else serial.encode()
    return (f'HTTP/1.1 200 OK\r\nX-Nonce: {nonce}\r\nX-Serial: {serial}\r\n'
            f'Content-Length: {len(serial)}\r\n\r\n').encode() + body


class Answer:
    def __init__(self, status, fields):
        self.status, self.fields = status, fields


def answers(data, methods):
    """All whole final answers in the bytes, and what is left."""
    out = []
    while True:
        end = data.find(b'\r\n\r\n')
        if end < 0:
            return out, data
        lines = data[:end].decode('latin-1').split('\r\n')
        m = re.match(r'HTTP/1\.1 ([1-5][0-9][0-9]) ', lines[0])
        if not m:
            raise AssertionError(f'no answer: {data[:200]!r}')
        fields = {n.lower(): v.strip() for n, v in (line.split(':', 1) for line in lines[1:])}
        status = int(m.group(1))
        method = methods[len(out)] if len(out) < len(methods) else 'GET'
        length = 0 if method == 'HEAD' or status < 200 or status in (204, 304) \
            else int(fields['content-length'])
        if len(data) < end + 4 + length:
            return out, data
        data = data[end + 4 + length:]
        if status >= 200:
            out.append(Answer(status, fields))


class Probe:
    """One client connection that plays one case in pieces."""
    CANARY = b'GET /canary HTTP/1.1\r\nHost: gw.test\r\n\r\n'

    def __init__(self, port, case, pieces, how):
        n = next(addresses)
        self.case, self.pieces, self.how = case, pieces, how
        self.nonce = f'127.{n >> 16}.{n >> 8 & 255}.{n & 255}'
        self.received, self.ended, self.refused, self.canary_sent = b'', False, False, False
        self.methods = [m.decode() for m in re.findall(rb'(?:^|\r\n)([A-Z]+) \S+ HTTP/1\.1\r\n', case['bytes'])]
        self.sock = socket.socket()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((self.nonce, 0))
        self.sock.connect(('127.0.0.1', port))
        self.sock.setblocking(False)
        self.key = (self.nonce, self.sock.getsockname()[1])

    def send(self, data):
        try:
            while data and not self.refused:
                data = data[self.sock.send(data):]
        except (BrokenPipeError, ConnectionResetError):
            self.refused = True

    def receive(self):
        try:
            data = self.sock.recv(65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            data = b''
        self.received += data
        self.ended = self.ended or not data

    def finished(self):
        """Has said all that this case can make it say."""
        expect = self.case['expect']
        if self.ended or self.case['closes']:
            return self.ended
        got, _ = answers(self.received, self.methods)
        if len(got) < expect['forwarded']:
            return False
        if not self.canary_sent:
            self.canary_sent = True
            self.send(self.CANARY)
            return False
        return len(got) > expect['forwarded']

    def where(self):
        return f'{self.case["id"]} {self.how}: {self.case["raw"][:120]}'


def judge(probe, requests):
    """requests: what the service saw complete with this probe's nonce, the canary included."""
    expect, where = probe.case['expect'], probe.where()
    got, rest = answers(probe.received, probe.methods)
    equal(rest, b'', f'bytes after the last answer of {where}')
    served = [a for a in got if 'x-serial' in a.fields]
    equal(sorted(a.fields['x-serial'] for a in served), sorted(serial for _, serial, _ in requests),
          f'answers and requests at the service, {where}')
    equal({a.fields['x-nonce'] for a in served} - {probe.nonce}, set(), f'somebody else\'s answer, {where}')
    if expect['verdict'] == 'reject':
        equal(len(requests), expect['forwarded'], f'requests at the service, {where}')
        equal(len(got), expect['forwarded'] + 1, f'answers, {where}')
        if got[-1].status not in expect['status']:
            raise AssertionError(f'{where}: status {got[-1].status}, wanted {expect["status"]}')
        return
    targets = [r.target for _, _, r in requests]
    if not probe.case['closes']:
        equal(targets.pop() if targets else None, '/canary', f'the canary on the same connection, {where}')
    equal(len(targets), expect['forwarded'], f'requests at the service, {where}')
    for a in got:
        equal(a.status, 200, where)
    if probe.case['id'] in CANONICAL:
        equal(targets, CANONICAL[probe.case['id']], f'targets at the service, {where}')
    first = requests[0][2]
    for name in expect['strip']:
        equal([v for n, v in first.headers if n.lower().replace(b'_', b'-') == name.encode()
               and v.lower() not in (b'keep-alive',)], [], f'{name} at the service, {where}')


def canary(gw):
    """Another client is served as if nothing had been."""
    with Client(gw.port) as c:
        answer = c.request(Probe.CANARY)
        equal(answer.status, 200, 'the canary on a connection of its own')
        equal(answer.header('x-nonce'), '127.0.0.1', 'the canary has its own answer')


def play_all(gw, plans):
    """plans: (case, pieces, how). All answers are judged; returns how many were played."""
    count = 0
    for at in range(0, len(plans), BATCH):
        begun = len(seen)
        probes = [Probe(gw.port, *plan) for plan in plans[at:at + BATCH]]
        Batch(gw.port, probes).play()
        canary(gw)
        by_nonce = {}
        for entry in seen[begun:]:
            by_nonce.setdefault(entry[0], []).append(entry)
        known = {p.nonce for p in probes} | {'127.0.0.1'}
        equal(set(by_nonce) - known, set(), 'requests of nobody')
        for p in probes:
            judge(p, by_nonce.get(p.nonce, []))
        count += len(probes)
    return count


def whole(gw, up, row):
    before = [len(c.received) for c in up.connections]
    count = play_all(gw, [(row, [row['bytes']], 'whole')])
    equal(count, 1)
    if row['expect']['verdict'] == 'reject' and row['expect']['forwarded'] == 0:
        # Not one byte: all that came since belongs to the canary.
        new = b''.join(c.received[before[i] if i < len(before) else 0:] for i, c in enumerate(up.connections))
        equal(new.count(b'HTTP/1.1\r\n'), 1, f'requests begun at the service, {row["id"]}')
        equal(new.startswith(b'GET /canary '), True, f'what reached the service, {row["id"]}')


def single_bytes(gw, rows):
    plans = [(r, [r['bytes'][i:i + 1] for i in range(len(r['bytes']))], 'byte by byte') for r in rows]
    equal(play_all(gw, plans), len(rows))


def every_cut(gw, rows):
    plans = [(r, [r['bytes'][:i], r['bytes'][i:]], f'cut at {i}')
             for r in rows for i in range(1, len(r['bytes']))]
    equal(play_all(gw, plans), sum(len(r['bytes']) - 1 for r in rows))


def books(gw, up):
    """No connection that saw a message end early was used again, and the gateway's counts balance."""
    for c in up.connections:
        if c.broken:
            raise AssertionError(f'a request begun at the service and never ended: {c.broken}')
    m = gw.metrics()
    total = {k: m[f'sluice_exchanges_{k}_total'] for k in ('accepted', 'completed', 'aborted', 'rejected')}
    equal(total['accepted'], total['completed'] + total['aborted'] + total['rejected'] +
          m['sluice_exchanges_in_flight'], 'exchanges')


def the_kernel_tells():
    """The cuts are real only if this works."""
    with socket.create_server(('127.0.0.1', 0)) as server, \
            socket.create_connection(server.getsockname()) as client, server.accept()[0] as accepted:
        kernel = Kernel(server.getsockname()[1])
        client.sendall(b'hello')
        equal(kernel.unread(client.getsockname()), 5)
        accepted.recv(3)
        equal(kernel.unread(client.getsockname()), 2)
        accepted.recv(2)
        equal(kernel.unread(client.getsockname()), 0)
        kernel.netlink.close()


def main():
    if not os.path.exists(CASES):
        add('vectors', lambda: skip(f'no {CASES}'))
        run()
    rows = load()
    up = Upstream(record)
    add('the kernel tells what is unread', the_kernel_tells)
    with Gateway(CONFIG % up.address) as gw:
        for row in rows:
            add(f'{row["id"]} whole', whole, gw, up, row)
        add('every case byte by byte', single_bytes, gw, rows)
        groups = sorted({r['group'] for r in rows})
        for group in groups:
            add(f'every cut: {group}', every_cut, gw, [r for r in rows if r['group'] == group])
        add('the books balance', books, gw, up)
        run()


main()
