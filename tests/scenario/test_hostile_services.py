#!/usr/bin/env python3
"""What services do wrong, and what the client gets: docs' group J, one behaviour a row.

One gateway, one service; each test gives the service a part to play. Clients always get exactly one whole answer, or a
connection that visibly breaks off, and a service connection that misbehaved is never used again.
"""
import os
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import REQUEST_LINE, Closed, Gateway, Upstream, Client, answer
from tap import contains, equal, run, test

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    log: false
    services:
      a: {endpoints: [%s], timeout: 20s}
      quick: {endpoints: [%s], timeout: 20s, first_byte_timeout: 300ms, idle_timeout: 300ms}
      nowhere: {endpoints: ["127.0.0.1:1"]}
    routes:
      - {match: {path: "/*"}, to: a}
      - {match: {path: "/quick/*"}, to: quick}
      - {match: {path: "/nowhere"}, to: nowhere}
'''
GET = b'GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n'


class Stage:
    """The service's part of the moment."""

    def __init__(self):
        self.part = None
        self.up = Upstream(lambda request, connection: self.part(request, connection))

    def play(self, part):
        """part: bytes to answer with, or a function as in Upstream. Returns how many connections there were."""
        self.part = part if callable(part) else lambda *_: part
        return len(self.up.connections)


stage = Stage()
gw = None


def say(data, then=None):
    """Sends raw bytes; then: 'close', 'reset', or None (waits until the gateway closes)."""
    def part(_, connection):
        connection.send(data)
        if then == 'reset':
            connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
            return Upstream.CLOSE
        if then == 'close':
            return Upstream.CLOSE
        connection.rest()
        return Upstream.CLOSE
    return part


def get(path='/', *headers):
    return gw.get(path, *headers)


def serves_again():
    """The next request gets its own answer."""
    stage.play(answer('fine'))
    equal(get().body, b'fine', 'the request after it')


def refused(part, status, code, path='/'):
    stage.play(part)
    got = get(path)
    equal(got.status, status)
    contains(got.body.decode(), f'"{code}"')
    serves_again()


# J01, J02: nothing, or half a head. A fresh connection on which a request was sent is not tried again.
HALF_HEADS = [
    ('reset before any byte', b'', 'reset', 'upstream_reset'),
    ('closed before any byte', b'', 'close', 'upstream_closed'),
    ('reset within the head', b'HTTP/1.1 200 OK\r\nX:', 'reset', 'upstream_reset'),
    ('closed within the head', b'HTTP/1.1 200 OK\r\nX:', 'close', 'upstream_truncated'),
    ('closed within the status line', b'HTTP/1.1 20', 'close', 'upstream_truncated'),
]


@test(HALF_HEADS)
def half_a_head(row):
    _, data, then, code = row
    stage.play(say(data, then))
    with gw.client() as c:
        c.send(b'POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 0\r\n\r\n')
        got = c.read_response()
    equal(got.status, 502)
    if code not in ('upstream_truncated',):
        contains(got.body.decode(), f'"{code}"')
    else:
        contains(got.body.decode(), '"upstream_')
    serves_again()


# J03, J14: the body breaks off. The client must see that it is not whole.
BROKEN_BODIES = [
    ('length, closed', b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', 'close'),
    ('length, reset', b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello', 'reset'),
    ('chunked, closed', b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n', 'close'),
    ('chunked, closed within a chunk', b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nA\r\nhello',
     'close'),
    ('chunked, closed within the trailers',
     b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n', 'close'),
    ('chunked, a bad size', b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nxyz\r\n', None),
]


@test(BROKEN_BODIES)
def a_broken_body(row):
    _, data, then = row
    stage.play(say(data, then))
    with gw.client() as c:
        c.send(GET)
        try:
            got = c.read_response()
        except (Closed, ConnectionResetError):
            pass  # it visibly broke off
        else:
            # All came at once: the gateway may still make its own answer instead.
            equal(got.status, 502)
    serves_again()


@test
def a_silent_service():
    stage.play(say(b''))
    got = get('/quick/x')
    equal(got.status, 504)
    contains(got.body.decode(), '"upstream_timeout"')
    serves_again()


@test
def a_body_that_stalls():
    stage.play(say(b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello'))
    with gw.client() as c:
        c.send(b'GET /quick/x HTTP/1.1\r\nHost: gw.test\r\n\r\n')
        try:
            c.read_response()
        except (Closed, ConnectionResetError):
            pass
        else:
            raise AssertionError('a whole answer from half a body')
    serves_again()


# J04: bytes that nobody asked for.
@test([('an answer more', b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'),
       ('a byte more', b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokX'),
       ('after the last chunk', b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\nX'),
       ('204 with a body', b'HTTP/1.1 204 No Content\r\n\r\nevil'),
       ('304 with a body', b'HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil')])
def excess(row):
    before = stage.play(say(row[1]))
    got = get()
    equal(got.body, b'' if row[0][0] == '2' or row[0][0] == '3' else b'ok')
    stage.up.wait(lambda: all(c.closed for c in stage.up.connections[before:]), 'the connection is closed')
    serves_again()


@test([('with a body', b'Content-Length: 4\r\n\r\nevil'), ('with a length', b'Content-Length: 4\r\n\r\n'),
       ('chunked', b'Transfer-Encoding: chunked\r\n\r\n4\r\nevil\r\n0\r\n\r\n'), ('plain', b'\r\n')])
def J08_205_has_no_body(row):
    stage.play(say(b'HTTP/1.1 205 Reset Content\r\n' + row[1], 'close'))
    got = get()
    equal((got.status, got.header('content-length'), got.body), (205, '0', b''))
    serves_again()


@test
def head_with_a_body():
    before = stage.play(say(b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil'))
    with gw.client() as c:
        c.send(b'HEAD / HTTP/1.1\r\nHost: gw.test\r\n\r\n')
        equal(c.read_response('HEAD').header('content-length'), '4')
        stage.up.wait(lambda: all(x.closed for x in stage.up.connections[before:]), 'the connection is closed')
        stage.play(answer('fine'))
        equal(c.request(GET).body, b'fine')


# J05: an answer before the question.
@test
def unsolicited_answer():
    first = stage.play(answer('one', '200 OK'))
    equal(get().body, b'one')
    idle = [c for c in stage.up.connections if not c.closed][-1]
    idle.send(b'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    stage.up.wait(lambda: idle.closed, 'the idle connection is closed')
    serves_again()
    assert first >= 0


# J06: statuses that are none, J09, J11: framing and headers. The parser is as strict as for clients.
BAD_HEADS = [
    ('status 2000', b'HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n'),
    ('status 99', b'HTTP/1.1 99 Low\r\nContent-Length: 0\r\n\r\n'),
    ('status 20x', b'HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n'),
    ('status 600', b'HTTP/1.1 600 High\r\nContent-Length: 0\r\n\r\n'),
    ('status -20', b'HTTP/1.1 -20 OK\r\nContent-Length: 0\r\n\r\n'),
    ('HTTP/2', b'HTTP/2 200 OK\r\nContent-Length: 0\r\n\r\n'),
    ('HTTP/0.9', b'<html>hello</html>\r\n\r\n'),
    ('ICY', b'ICY 200 OK\r\nContent-Length: 0\r\n\r\n'),
    ('ssh', b'SSH-2.0-OpenSSH_9.2\r\n'),
    ('length and chunked', b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
    ('two lengths', b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nokk'),
    ('length list', b'HTTP/1.1 200 OK\r\nContent-Length: 2, 3\r\n\r\nokk'),
    ('length +2', b'HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok'),
    ('length 2^64', b'HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551618\r\n\r\nok'),
    ('unknown coding', b'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n'),
    ('chunk size of 17 digits', b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n00000000000000002\r\nok\r\n0\r\n\r\n'),
    ('bare LF', b'HTTP/1.1 200 OK\nContent-Length: 2\n\nok'),
    ('folded line', b'HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 2\r\n\r\nok'),
    ('NUL in a value', b'HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nok'),
    ('CR in a value', b'HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 2\r\n\r\nok'),
    ('space before the colon', b'HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 2\r\n\r\nok'),
    ('space in a name', b'HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 2\r\n\r\nok'),
    ('no name', b'HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 2\r\n\r\nok'),
    ('a line without colon', b'HTTP/1.1 200 OK\r\nhello\r\nContent-Length: 2\r\n\r\nok'),
    ('unasked 101', b'HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: foo\r\n\r\nraw'),
]


@test(BAD_HEADS)
def a_bad_head(row):
    before = stage.play(say(row[1]))
    got = get()
    # What is wrong within a body may come to light after the head has been passed on.
    equal(got.status, 502)
    contains(got.body.decode(), '"upstream_')
    stage.up.wait(lambda: all(c.closed for c in stage.up.connections[before:]), 'the connection is closed')
    serves_again()


# J10: too much of it.
@test([('201 fields', b'X: a\r\n' * 201, 'upstream_header_too_large'),
       ('10000 fields', b'X: a\r\n' * 10000, 'upstream_header_too_large'),
       ('one field of 70 KiB', b'Set-Cookie: ' + b'a' * 71680 + b'\r\n', 'upstream_header_too_large'),
       ('a head of 1 MiB', b'X: ' + b'a' * 1000 + b'\r\n', None)])
def too_large_a_head(row):
    name, fields, code = row
    if code is None:
        fields = fields * 1040
    refused(say(b'HTTP/1.1 200 OK\r\n' + fields + b'Content-Length: 2\r\n\r\nok'), 502, 'upstream_header_too_large')


# J07: interim answers.
@test
def interims_are_swallowed():
    stage.play(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 102 Processing\r\n\r\n' + answer('fine'))
    got = get()
    equal((got.status, got.body, got.interim), (200, b'fine', []))


@test
def early_hints_cross():
    stage.play(b'HTTP/1.1 103 Early Hints\r\nLink: </a.css>; rel=preload\r\nX-Secret: 1\r\n\r\n' + answer('fine'))
    got = get()
    equal([m.status for m in got.interim], [103])
    equal(got.interim[0].headers, [(b'Link', b'</a.css>; rel=preload')], 'only Link crosses')
    equal(got.body, b'fine')


@test
def endless_interims():
    refused(say(b'HTTP/1.1 103 Early Hints\r\n\r\n' * 1000), 502, 'upstream_too_many_interim')


# J12: no length: streamed to the end of the connection, and passed on so that the end can be told.
@test
def body_to_the_end_of_the_connection():
    stage.play(say(b'HTTP/1.1 200 OK\r\n\r\nhello world', 'close'))
    got = get()
    equal((got.status, got.body), (200, b'hello world'))
    equal(got.header('transfer-encoding'), 'chunked')
    serves_again()


@test
def http_1_0_service():
    stage.play(say(b'HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok', 'close'))
    equal(get().body, b'ok')
    serves_again()


@test
def nobody_there():
    got = get('/nowhere')
    equal(got.status, 502)
    contains(got.body.decode(), '"connect_failed"')


# J18: a kept connection that closes at the moment of its use: no client sees it.
@test
def closing_idle_connections():
    def once_then_close(request, connection):
        connection.send(answer('fine'))
        return Upstream.CLOSE if connection.requests and len(connection.requests) % 2 else None
    stage.play(once_then_close)
    for _ in range(200):
        equal(get().status, 200)
    serves_again()


# J21, A29: the answer before the request's end.
@test
def an_early_answer():
    before = len(stage.up.connections)
    told = threading.Event()

    def script(connection):
        connection.head(REQUEST_LINE)
        connection.send(b'HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nno!')
        told.set()
        connection.rest()
    stage.up.script = script
    for c in stage.up.connections:
        if not c.closed:
            c.sock.shutdown(socket.SHUT_RDWR)
    stage.up.wait(lambda: all(c.closed for c in stage.up.connections), 'kept connections are gone')
    try:
        with gw.client() as c:
            c.send(b'POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 1048576\r\n\r\n' + b'x' * 1000)
            got = c.read_response()
            equal((got.status, got.body), (413, b'no!'))
            equal(got.header('connection'), 'close')
        stage.up.wait(lambda: all(x.closed for x in stage.up.connections[before:]), 'never kept')
    finally:
        stage.up.script = None
    serves_again()


# A37: a challenge that belongs to a connection.
@test(['Negotiate', 'NTLM'])
def connection_bound_authentication(scheme):
    before = stage.play(lambda request, connection: answer('', '401 Unauthorized', f'WWW-Authenticate: {scheme}'))
    equal(get().status, 401)
    stage.up.wait(lambda: all(c.closed for c in stage.up.connections[before:]), 'never shared')
    serves_again()


# J16: what a service says about places is its own affair, but stays one header.
@test
def odd_but_legal_headers():
    stage.play(answer('fine', '302 Found', 'Location: //elsewhere.test/', 'Set-Cookie: a=1', 'Set-Cookie: b=2'))
    got = get()
    equal(got.all('set-cookie'), ['a=1', 'b=2'])
    equal(got.header('location'), '//elsewhere.test/')


@test
def hop_by_hop_headers_stay_behind():
    stage.play(answer('fine', '200 OK', 'Connection: x-private', 'X-Private: 1', 'Keep-Alive: timeout=5',
                      'Proxy-Connection: keep-alive', 'Upgrade: h2c'))
    got = get()
    for name in ('x-private', 'keep-alive', 'proxy-connection', 'upgrade'):
        equal(got.all(name), [], name)


# J22: the service dies under load: each client gets exactly one answer.
@test
def dying_under_load():
    count, gate = 100, threading.Barrier(21)

    def part(request, connection):
        gate.wait(20)
        connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        return Upstream.CLOSE
    stage.play(part)
    for _ in range(count // 20):
        clients = [Client(gw.port) for _ in range(20)]
        for c in clients:
            c.send(b'POST / HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\nhello')
        gate.wait(20)
        for c in clients:
            equal(c.read_response().status, 502)
            c.close()
    serves_again()


@test
def the_books_balance():
    m = gw.metrics()
    total = {k: m[f'sluice_exchanges_{k}_total'] for k in ('accepted', 'completed', 'aborted', 'rejected')}
    equal(total['accepted'], total['completed'] + total['aborted'] + total['rejected'] +
          m['sluice_exchanges_in_flight'])
    for c in stage.up.connections:
        if c.broken and not c.broken.startswith(('closed', '[Errno')):
            raise AssertionError(f'the service was sent what is not HTTP: {c.broken}')


with Gateway(CONFIG % (stage.up.address, stage.up.address)) as gw:
    run()
