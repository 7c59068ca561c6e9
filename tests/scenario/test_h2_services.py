#!/usr/bin/python3
"""Services that speak HTTP/2 in clear text, over real sockets: one connection for many requests, its limits, its
ends. The clients speak HTTP/1.1; what is crossed with what is in e2e/test_protocols.py.
suite: tsan"""
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Closed, Gateway, Upstream, free_port, listening, wait_until
from h2_service import H2Service, pattern, ws_frame
from tap import contains, equal, run, skip, test

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    log: false
    workers: %d
    services:
      a: {endpoints: ["%s"], protocol: h2c, timeout: 20s, %s}
      quick: {endpoints: ["%s"], protocol: h2c, timeout: 20s, first_byte_timeout: 300ms, idle_timeout: 300ms}
    routes:
      - {match: {path: "/*"}, to: a}
      - {match: {path: "/quick/*"}, to: quick, rewrite: {strip: /quick}}
'''
GET = b'GET %s HTTP/1.1\r\nHost: gw.test\r\n\r\n'
CHAT = (b'GET /chat HTTP/1.1\r\nHost: gw.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: '
        b'13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')


def config(address, more, workers=1):
    return CONFIG % (workers, address, more, address)


class World:
    """A service and the gateway before it."""

    def __init__(self, more='max_connections: 100', workers=1, **service):
        self.service = H2Service(**service)
        self.gateway = Gateway(config(self.service.address, more, workers))

    def __enter__(self):
        return self.service, self.gateway

    def __exit__(self, kind, value, trace):
        self.gateway.__exit__(kind, value, trace)
        self.service.__exit__(kind, value, trace)


def ask(gw, path):
    with gw.client() as c:
        return c.request(GET % path.encode())


def together(count, function):
    """Calls function(i) in as many threads; their results, or the first failure."""
    results, failures = [None] * count, []

    def one(i):
        try:
            results[i] = function(i)
        except Exception as e:
            failures.append(e)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(count)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    if failures:
        raise failures[0]
    return results


def broken_off(get):
    """No answer that is whole, or an error of the gateway where nothing had left yet."""
    try:
        got = get()
    except (Closed, ConnectionResetError):
        return
    if got.status < 500:
        raise AssertionError(f'an answer that is whole: {got.first}')


def counted(gw, name):
    return gw.metrics()[f'sluice_{name}_total']


@test
def one_connection_for_many_requests():
    gate = threading.Barrier(30, timeout=20)

    def handler(s):
        gate.wait()  # all are there at once, or none is answered
        s.respond(200, body=s.path.encode())
    with World(handler=handler) as (service, gw):
        answers = together(30, lambda i: ask(gw, f'/{i}'))
        equal([a.body for a in answers], [b'/%d' % i for i in range(30)])
        equal(len(service.connections), 1)
        equal(counted(gw, 'upstream_h2_connections'), 1)
        equal(counted(gw, 'upstream_h2_streams'), 30)


@test
def one_connection_a_thread():
    """Threads share nothing but the count of connections; at its limit one closes what another needs."""
    for limit, most in ((100, 4), (2, 2)):
        with World(f'max_connections: {limit}, queue_timeout: 10s', workers=4) as (service, gw):
            def client(i):
                with gw.client() as c:
                    return {c.request(GET % b'/bytes/%d' % (i * 1000)).body for _ in range(10)}
            for i, got in enumerate(together(40, client)):
                equal(got, {pattern(i * 1000)})
            now = sum(not c.closed for c in service.connections)
            assert now <= most, (now, most)


@test
def as_many_streams_as_the_service_takes():
    now, most, lock = [0], [0], threading.Lock()

    def handler(s):
        with lock:
            now[0] += 1
            most[0] = max(most[0], now[0])
        s.body()
        with lock:
            now[0] -= 1
        s.respond(200, body=b'ok')
    with World('max_connections: 1, queue_timeout: 10s', handler=handler,
               settings={'MAX_CONCURRENT_STREAMS': 5}) as (service, gw):
        ask(gw, '/first')  # before the service's SETTINGS it may be any number
        answers = together(60, lambda i: ask(gw, f'/{i}'))
        equal({a.status for a in answers}, {200})
        equal(len(service.connections), 1)
        assert most[0] <= 5, most


@test
def what_the_service_is_told():
    with World() as (service, gw):
        told = json.loads(ask(gw, '/headers?a=b').body)
        head = dict(told['headers'])
        equal((told['method'], told['scheme'], told['authority'], told['path']),
              ('GET', 'http', 'gw.test', '/headers?a=b'))
        equal(head['te'], 'trailers')
        equal(head['via'], '1.1 sluice')
        equal(head['x-forwarded-proto'], 'http')
        equal(head['x-forwarded-for'], '127.0.0.1')
        contains(head['forwarded'], 'host="gw.test"')
        assert 'x-request-id' in head and 'host' not in head and 'connection' not in head, head
        c = service.connections[0]
        equal(c.settings['ENABLE_PUSH'], 0)
        equal(c.settings['INITIAL_WINDOW_SIZE'], 65536)


@test(['/interim/1', '/trailers', '/pieces/3', '/status/204', '/bytes/100000', '/bytes/300000?length=no'])
def answers(path):
    want = {'/interim/1': b'ok', '/trailers': b'body', '/pieces/3': b'piece 0\npiece 1\npiece 2\n', '/status/204': b'',
            '/bytes/100000': pattern(100000), '/bytes/300000?length=no': pattern(300000)}[path]
    with World() as (service, gw):
        for _ in range(3):
            got = ask(gw, path)
            equal(got.body, want)
            equal(len(got.interim), path.startswith('/interim'))
            equal(got.trailers, [(b'x-sum', b'4'), (b'grpc-status', b'0')] if path == '/trailers' else [])
        equal(len(service.connections), 1)


@test
def goaway_loses_nothing():
    """Every tenth request the service wants a new connection, with others under way."""
    count, left, lock = [0], set(), threading.Lock()

    def handler(s):
        with lock:
            count[0] += 1
            last = count[0] % 10 == 0 and s.connection.number not in left
            if last:
                left.add(s.connection.number)
        if last:
            s.connection.send_goaway()
        s.respond(200, body=b'ok')
    with World(handler=handler) as (service, gw):
        def client(_):
            with gw.client() as c:
                return [c.request(GET % b'/').status for _ in range(50)]
        answers = together(8, client)
        equal({s for a in answers for s in a}, {200})
        assert len(service.connections) > 10, len(service.connections)
        wait_until(lambda: sum(not c.closed for c in service.connections) <= 1, 'the left ones are closed')
        assert counted(gw, 'upstream_h2_goaways') > 10


@test
def a_refused_stream_is_tried_again():
    body = b'x' * 100
    with World() as (_, gw):
        with gw.client() as c:
            got = c.request(b'POST /refuse HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n')
            equal(got.status, 200)
            c.send(b'POST /refuse?times=2&b HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n' % len(body) + body)
            equal(c.read_response().status, 503)


@test([('/reset', 502, 'upstream_reset'), ('/abort', 502, 'upstream_reset'), ('/close', 502, 'upstream_closed'),
       ('/length?say=3&send=5', None, ''), ('/length?say=5&send=3', None, ''), ('/reset?after=data', None, ''),
       ('/fields/250', 502, 'upstream_header_too_large'), ('/header?name=x-a&value=a%0ab', 502, 'upstream_protocol'),
       ('/interim/20', 502, 'upstream_too_many_interim')])
def what_services_do_wrong(row):
    path, status, code = row
    with World(tolerant=True) as (service, gw):
        if status:
            got = ask(gw, path)
            equal(got.status, status)
            contains(got.body.decode(), code)
        else:
            broken_off(lambda: ask(gw, path))
        equal(ask(gw, '/').body, b'ok')


@test
def times():
    with World(tolerant=True) as (service, gw):
        got = ask(gw, '/quick/hang')
        equal(got.status, 504)
        contains(got.body.decode(), 'upstream_timeout')
        with gw.client() as c:
            c.send(GET % b'/quick/half')
            broken_off(c.read_response)
        equal(ask(gw, '/quick/slow?ms=100').body, b'ok')
        assert all(service.wait_reset(s) == 8 for s in service.requests[:2])


@test
def connections_that_close_when_idle():
    """The service closes after each answer, at the worst moment: no client sees it."""
    def handler(s):
        s.respond(200, body=b'ok')
        s.connection.close()
    with World(handler=handler, tolerant=True) as (service, gw):
        with gw.client() as c:
            equal({c.request(GET % b'/').status for _ in range(100)}, {200})


@test
def keepalive_requests_and_idle():
    with World('keepalive_requests: 10, keepalive_idle: 1s') as (service, gw):
        with gw.client() as c:
            equal({c.request(GET % b'/').status for _ in range(25)}, {200})
        equal(len(service.connections), 3)
        service.wait_closed(2)
        for c in service.connections:
            equal(c.goaway[0], 0)  # each left with a word


@test
def a_client_that_leaves():
    with World(tolerant=True) as (service, gw):
        c = gw.client()
        c.send(GET % b'/hang')
        service.wait_requests(1)
        c.reset()
        equal(service.wait_reset(service.requests[0]), 8)
        equal(ask(gw, '/').body, b'ok')
        equal(len(service.connections), 1)


@test
def early_answers():
    with World(tolerant=True) as (service, gw):
        for path in (b'/early', b'/early-open'):
            with gw.client() as c:
                c.send(b'POST %s HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n' % path)
                equal(c.read_response().body, b'early')
        equal(ask(gw, '/').body, b'ok')
        equal(len(service.connections), 1)
        service.wait(lambda: service.requests[1].reset_code == 0, 'a reset without error of the half-open stream')


@test
def uploads_follow_the_window():
    n = 1 << 20
    with World() as (service, gw):
        with gw.client() as c:
            c.send(b'POST /slow-read?size=16384&ms=1 HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n' % n)
            c.send(pattern(n))
            got = json.loads(c.read_response().body)
        equal(got['length'], n)
        equal(got['sha256'], hashlib.sha256(pattern(n)).hexdigest())


@test
def websockets_by_extended_connect():
    with World() as (service, gw):
        with gw.client() as c:
            equal(c.request(CHAT).status, 101)
            s = service.requests[0]
            equal((s.method, s.protocol, s.path), ('CONNECT', 'websocket', '/chat'))
            for piece in (b'hello', pattern(200000)):
                c.send(ws_frame(piece, client=True))
                answer = ws_frame(piece)
                equal(c.take(len(answer)), answer)
        with gw.client() as c:
            got = c.request(CHAT.replace(b'/chat', b'/refuse'))
            equal((got.status, got.body), (403, b'no'))
        equal(len(service.connections), 1)
    with World(settings={'ENABLE_CONNECT_PROTOCOL': 0}) as (service, gw):
        with gw.client() as c:
            got = c.request(CHAT)
            equal(got.status, 502)
            contains(got.body.decode(), 'upgrade_not_accepted')


@test
def not_http2_at_all():
    """A service of HTTP/1.1 answers the preface with 400; nothing is repeated for ever."""
    def script(connection):
        connection.take(24)
        connection.send(b'HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')
        connection.rest()
    with Upstream(script=script) as up:
        with Gateway(config(up.address, 'max_connections: 10')) as gw:
            got = ask(gw, '/')
            equal(got.status, 502)
            contains(got.body.decode(), 'upstream_protocol')
            assert len(up.connections) <= 2, len(up.connections)


@test
def nghttpd():
    """A server that is not ours: files of all sizes, many at once."""
    if not shutil.which('nghttpd'):
        skip('nghttpd is not installed')
    root, port = tempfile.mkdtemp(), free_port()
    sizes = [0, 1, 16384, 65536, 1000000]
    for n in sizes:
        with open(f'{root}/{n}', 'wb') as f:
            f.write(pattern(n))
    server = subprocess.Popen(['nghttpd', '-d', root, '--no-tls', '-a', '127.0.0.1', str(port)],
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_until(lambda: listening(port), 'nghttpd listens')
        with Gateway(config(f'127.0.0.1:{port}', 'max_connections: 4')) as gw:
            def client(i):
                with gw.client() as c:
                    return [c.request(GET % b'/%d' % n).body for n in sizes[i % 5:] + sizes[:i % 5]]
            for i, got in enumerate(together(20, client)):
                assert got == [pattern(n) for n in sizes[i % 5:] + sizes[:i % 5]], i
            equal(ask(gw, '/none').status, 404)
            equal(counted(gw, 'upstream_h2_connections'), 1)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait()
        shutil.rmtree(root)


run()
