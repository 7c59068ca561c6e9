#!/usr/bin/python3
"""Every protocol in crossed with every protocol out: bodies both ways, trailers, interim answers, HEAD,
resets from either side, slow readers, early answers. Sixteen pairs, the same tests for each."""
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, dev_certificates, wait_until
from h1_service import H1Service
from h2_service import H2Service, pattern
from tap import add, contains, equal, run
from web_client import KINDS, Broken, connect

SERVICES = ('h1', 'h1tls', 'h2c', 'h2tls')
BIG = int(os.environ.get('SLUICE_TEST_BIG_MB', '50')) << 20
CERTS = dev_certificates(tempfile.mkdtemp(prefix='sluice-certs-'))
CA, KEY = os.path.join(CERTS, 'shop.pem'), os.path.join(CERTS, 'shop.key')
CONFIG = '''
version: 1
listeners:
  public: {address: "127.0.0.1:@PORT@"}
  secure: {address: "127.0.0.1:@SECURE@", tls: {certificate: CA, private_key: KEY}}
admin: {address: "127.0.0.1:@ADMIN@"}
limits: {max_body: 100MiB}
services:
SERVICES
routes:
ROUTES
'''


class World:
    """One gateway in front of all four kinds of services: /KIND/.. leads there."""

    def __init__(self):
        tls = (CA, KEY)
        self.service = {'h1': H1Service(), 'h1tls': H1Service(tls=tls), 'h2c': H2Service(),
                        'h2tls': H2Service(tls=tls)}
        how = {'h1': '', 'h1tls': f', tls: {{ca: {CA}, name: localhost}}', 'h2c': ', protocol: h2c',
               'h2tls': f', protocol: auto, tls: {{ca: {CA}, name: localhost}}'}
        services = ''.join(f'  {k}: {{endpoints: ["{s.address}"]{how[k]}}}\n' for k, s in self.service.items())
        routes = ''.join(f'  - {{match: {{path: "/{k}/*"}}, to: {k}, rewrite: {{strip: /{k}}}}}\n'
                         for k in self.service)
        text = CONFIG.replace('SERVICES', services).replace('ROUTES', routes).replace('CA', CA).replace('KEY', KEY)
        self.gateway = Gateway(text, ports=['SECURE'])

    def port(self, kind):
        return self.gateway.port if kind in ('h1', 'h2') else self.gateway.ports['SECURE']

    def connect(self, kind, **more):
        return connect(kind, self.port(kind), CA, **more)

    def curl(self, kind, path, *options):
        scheme = 'https' if kind.endswith('tls') else 'http'
        how = {'h1': ['--http1.1'], 'h1tls': ['--http1.1'], 'h2': ['--http2-prior-knowledge'], 'h2tls': ['--http2']}
        command = ['curl', '-sS', '--max-time', '120', '--cacert', CA, *how[kind], *options,
                   f'{scheme}://localhost:{self.port(kind)}{path}']
        done = subprocess.run(command, capture_output=True, check=False)
        if done.returncode:
            raise AssertionError(f'curl says {done.returncode}: {done.stderr.decode()}')
        return done.stdout

    def close(self):
        for s in self.service.values():
            s.close()
        self.gateway.stop()
        shutil.rmtree(CERTS, ignore_errors=True)


WORLD = []


def world():
    if not WORLD:
        WORLD.append(World())
    return WORLD[0]


def small(kind, out):
    with world().connect(kind) as c:
        for _ in range(3):  # on one connection
            a = c.request('GET', f'/{out}/headers?a=1&b=%20', [('x-mine', 'kept'), ('cookie', 'a=1')])
            equal(a.status, 200)
            seen = json.loads(a.body)
            fields = dict(seen['headers'])
            equal((seen['method'], seen['path']), ('GET', '/headers?a=1&b=%20'))
            equal(seen['authority'], 'gw.test')
            equal((fields['x-mine'], fields['cookie']), ('kept', 'a=1'))
            equal(fields['x-forwarded-proto'], 'https' if kind.endswith('tls') else 'http')
            equal(fields['via'], ('2' if kind.startswith('h2') else '1.1') + ' sluice')
            assert 'connection' not in fields or out.startswith('h1'), fields


def echo(kind, out):
    with world().connect(kind) as c:
        a = c.request('POST', f'/{out}/echo', [('content-type', 'text/x-test')], b'hello' * 1000)
        equal((a.status, a.header('content-type'), a.body), (200, 'text/x-test', b'hello' * 1000))
    with world().connect(kind) as c:  # answered before its end, HTTP/1.1 may have closed the first
        a = c.request('POST', f'/{out}/echo', [], b'')
        equal((a.status, a.body), (200, b''))


def head(kind, out):
    with world().connect(kind) as c:
        a = c.request('HEAD', f'/{out}/bytes/12345')
        equal((a.status, a.header('content-length'), a.body), (200, '12345', b''))
        equal(c.request('GET', f'/{out}/').body, b'ok')


def no_content(kind, out):
    with world().connect(kind) as c:
        for status in (204, 304, 404, 503):
            equal(c.request('GET', f'/{out}/status/{status}').status, status)


def interim(kind, out):
    with world().connect(kind) as c:
        a = c.request('GET', f'/{out}/interim/2')
        equal((a.status, a.body), (200, b'ok'))
        equal([s for s, _ in a.interim][:1], [103])
        contains(dict(a.interim[0][1])['link'], 'preload')
        a = c.request('GET', f'/{out}/interim/1?status=102')
        equal((a.status, a.interim), (200, []))


def response_trailers(kind, out):
    with world().connect(kind) as c:
        a = c.request('GET', f'/{out}/trailers')
        equal((a.status, a.body), (200, b'body'))
        equal(dict(a.trailers).get('x-sum'), '4')


def request_trailers(kind, out):
    """Those of HTTP/2 clients are passed on, those of HTTP/1.1 end at the gateway."""
    with world().connect(kind) as c:
        a = c.request('POST', f'/{out}/upload', [], b'some body', trailers=[('x-sum', '9')])
        equal(a.status, 200)
        seen = json.loads(a.body)
        equal(seen['length'], 9)
        wanted = [['x-sum', '9']] if kind.startswith('h2') else []
        equal(seen['trailers'], wanted)


def big_up(kind, out):
    with tempfile.NamedTemporaryFile() as f:
        data = pattern(1 << 20)
        digest = hashlib.sha256()
        for _ in range(BIG >> 20):
            f.write(data)
            digest.update(data)
        f.flush()
        seen = json.loads(world().curl(kind, f'/{out}/upload', '-T', f.name, '-H', 'Expect:'))
    equal((seen['length'], seen['sha256']), (BIG, digest.hexdigest()))


def big_down(kind, out):
    got = world().curl(kind, f'/{out}/bytes/{BIG}')
    equal(len(got), BIG)
    assert got == pattern(BIG), 'the bytes differ'


def big_down_without_length(kind, out):
    got = world().curl(kind, f'/{out}/bytes/{BIG // 10}?length=no')
    assert got == pattern(BIG // 10), f'{len(got)} bytes'


def service_resets(kind, out):
    """An answer that breaks off is seen as broken; while its head is still in the gateway it becomes a 502."""
    for path, told in (('/reset', False), ('/reset?after=headers', True), ('/reset?after=data', True)):
        with world().connect(kind) as c:
            try:
                a = c.request('GET', f'/{out}{path}')
                equal(a.status, 502, f'{path} ended as if whole')
            except Broken as e:
                assert told, f'{path}: {e}'
        with world().connect(kind) as c:
            equal(c.request('GET', f'/{out}/').status, 200)


def client_resets(kind, out):
    """In the middle of an upload: the service gets no complete request."""
    w = world()
    service, before = w.service[out], len(w.service[out].requests)
    c = w.connect(kind)
    if kind.startswith('h2'):
        stream = c.begin('POST', f'/{out}/upload', [('content-length', '100000')], end=False)
        c.data(stream, b'x' * 1000)
        service.wait(lambda: len(service.requests) > before, 'the request')
        c.reset(stream)
        equal(c.request('GET', f'/{out}/').status, 200)  # the others live on
    else:
        c.wire.send(f'POST /{out}/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n'.encode() + b'x' * 1000)
        service.wait(lambda: len(service.requests) > before, 'the request')
        c.wire.sock.close()
    seen = service.requests[before]

    def over():
        if out.startswith('h2'):
            return seen.reset_code is not None or seen.connection.closed
        return seen.connection.closed
    wait_until(over, 'the service learns that the client is gone')
    assert not seen.ended, 'the service got a complete request'
    c.__exit__()


def slow_reader(kind, out):
    """One does not read; another request is not held up, and in the end the first has all its bytes."""
    w, n = world(), 3 << 20
    with w.connect(kind, **({'credit': False} if kind.startswith('h2') else {})) as c:
        if kind.startswith('h2'):
            stream = c.begin('GET', f'/{out}/bytes/{n}')
            c.until(lambda: len(c.streams[stream].body) >= 60000, 'a first window')
            fast = c.begin('GET', f'/{out}/')  # two bytes need no window of their own
            c.h.increment_flow_control_window(1 << 20)
            c.flush()
            equal(c.answer(fast).body, b'ok')
            c.credit = True
            c.h.increment_flow_control_window(n, stream)
            c.h.increment_flow_control_window(n)
            c.flush()
            equal(len(c.answer(stream).body), n)
        else:
            c.wire.send(f'GET /{out}/bytes/{n} HTTP/1.1\r\nHost: gw.test\r\n\r\n'.encode())
            with w.connect(kind) as other:
                equal(other.request('GET', f'/{out}/').body, b'ok')
            equal(len(c.answer('GET').body), n)


def early_answer(kind, out):
    with world().connect(kind) as c:
        try:
            a = c.request('POST', f'/{out}/early', [], b'x' * (4 << 20))
            equal((a.status, a.body), (200, b'early'))
        except Broken as e:  # the rest of the body met a closed door: HTTP/1.1 allows no better
            assert kind.startswith('h1'), e
    with world().connect(kind) as c:
        equal(c.request('GET', f'/{out}/').status, 200)


def pieces_as_they_come(kind, out):
    """The second piece is sent by the service only once the client has the first."""
    w = world()
    got_first = threading.Event()

    def handler(s):
        s.head(200, [('content-type', 'text/event-stream')])
        s.data(b'data: 1\n\n')
        assert got_first.wait(20), 'the client did not get the first piece'
        s.data(b'data: 2\n\n')
        s.end()
    service = w.service[out]
    before, service.handler = service.handler, handler
    try:
        with w.connect(kind) as c:
            if kind.startswith('h2'):
                stream = c.begin('GET', f'/{out}/events')
                c.until(lambda: c.streams[stream].body == b'data: 1\n\n', 'the first piece')
                got_first.set()
                equal(c.answer(stream).body, b'data: 1\n\ndata: 2\n\n')
            else:
                c.wire.send(f'GET /{out}/events HTTP/1.1\r\nHost: gw.test\r\n\r\n'.encode())
                while b'data: 1' not in c.wire.pending:
                    assert c.wire.more(), 'closed'
                got_first.set()
                equal(c.answer('GET').body, b'data: 1\n\ndata: 2\n\n')
    finally:
        service.handler = before


def many_at_once(kind, out):
    if not kind.startswith('h2'):
        return
    with world().connect(kind) as c:
        streams = [c.begin('GET', f'/{out}/bytes/{1000 + i}') for i in range(90)]
        for i, stream in enumerate(streams):
            equal(c.answer(stream).body, pattern(1000 + i))


TESTS = [small, echo, head, no_content, interim, response_trailers, request_trailers, big_up, big_down,
         big_down_without_length, service_resets, client_resets, slow_reader, early_answer, pieces_as_they_come,
         many_at_once]


def settled():
    """No connection, exchange or body is left over, and every exchange is in the books."""
    w = world()
    m = w.gateway.metrics()
    accepted = sum(v for k, v in m.items() if k.startswith('sluice_exchanges_accepted'))
    ended = sum(v for k, v in m.items() for name in ('completed', 'aborted', 'rejected')
                if k.startswith(f'sluice_exchanges_{name}'))
    assert accepted >= ended > 100, (accepted, ended)
    for name, s in w.service.items():
        equal(s.failures, [], name)


for kind in KINDS:
    for out in SERVICES:
        for each in TESTS:
            add(f'{kind} to {out}: {each.__name__.replace("_", " ")}', each, kind, out)
add('nothing is left', settled)


def main():
    try:
        run()
    finally:
        if WORLD:
            WORLD[0].close()


main()
