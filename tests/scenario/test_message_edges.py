#!/usr/bin/env python3
"""Where one message ends and the next begins, seen by a client: pipelines, upgrades, bodies that were not
expected, connections that must close. Rows A28 to A38 of the threats."""
import os
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Closed, Gateway, Upstream, answer
from tap import contains, equal, run, test

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    log: false
    limits: {body_idle_timeout: 400ms, header_timeout: 400ms, first_byte_timeout: 400ms}
    services: {a: %s}
    routes:
      - {match: {path: "/*"}, to: a}
      - {match: {path: "/patient/*"}, to: a, limits: {body_idle_timeout: 1h}}
'''
GET = b'GET %s HTTP/1.1\r\nHost: gw.test\r\n%s\r\n'


def echo(request, _):
    return answer(request.method if request.method == 'HEAD' else
                  f'{request.method} {request.target} {request.body.decode("latin-1")}')


up = Upstream(echo)
gw = None


def get(path='/', extra=b''):
    return GET % (path.encode(), extra)


def service_saw(target):
    return [r for r in up.requests if r.target == target]


@test
def A28_a_body_that_pauses():
    """Late bytes are never a request."""
    with gw.client() as c:
        c.send(b'POST /a28 HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 100\r\n\r\n')
        got = c.read_response()
        equal(got.status, 408)
        equal(got.header('connection'), 'close')
        try:
            c.send(get('/evil'))
        except OSError:
            pass
        c.expect_close()
    equal(service_saw('/evil'), [])


@test
def a_pause_within_a_body_is_the_routes_affair():
    """Two that pause: the route decides. The patient one begins first and ends last."""
    pause = b'POST /%s/x HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\n\r\n'
    with gw.client() as patient, gw.client() as plain:
        patient.send(pause % b'patient')
        plain.send(pause % b'plain')
        equal(plain.read_response().status, 408)
        patient.send(b'hello')
        equal(patient.read_response().body, b'POST /patient/x hello')


@test
def a_head_that_pauses():
    with gw.client() as c:
        c.send(b'GET /slow HTTP/1.1\r\nHost: gw.t')
        equal(c.read_response().status, 408)
        c.expect_close()
    equal(service_saw('/slow'), [])


@test
def a_connection_that_says_nothing():
    with gw.client() as c:
        try:
            equal(c.read_response().status, 408)
        except Closed:
            pass
        c.expect_close()


UPGRADES = [
    ('A30 an unknown protocol', b'Connection: Upgrade\r\nUpgrade: foo\r\n', 200),
    ('A31 h2c alone', b'Connection: Upgrade\r\nUpgrade: h2c\r\n', 200),
    ('A31 h2c in a list', b'Connection: Upgrade\r\nUpgrade: foo, h2c\r\n', 200),
    ('A31 h2c over two headers', b'Connection: Upgrade\r\nUpgrade: foo\r\nUpgrade: h2c\r\n', 200),
    ('A31 h2c with settings',
     b'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n', 200),
    ('A32 no Connection', b'Upgrade: websocket\r\n', 200),
    ('A32 no Upgrade', b'Connection: upgrade\r\n', 200),
]


@test(UPGRADES)
def upgrades_stay_behind(row):
    name, fields, status = row
    path = '/upgrade-' + str(UPGRADES.index(row))
    with gw.client() as c:
        c.send(get(path, fields) + get(path + '-second'))
        equal([c.read_response().status, c.read_response().status], [status, status])
    seen = service_saw(path)[0]
    for header in ('upgrade', 'http2-settings'):
        equal(seen.all(header), [], f'{header} at the service')
    equal(len(service_saw(path + '-second')), 1, 'what followed is a request of its own')


@test
def A30_a_bad_websocket_version():
    with gw.client() as c:
        c.send(get('/a30', b'Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 8\r\n'
                           b'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n') + get('/a30-admin'))
        got = c.read_response()
        contains([400, 426], got.status)
        c.expect_close()
    equal(service_saw('/a30-admin'), [])


@test
def A33_a_websocket_upgrade_with_a_body():
    with gw.client() as c:
        c.send(b'POST /a33 HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n'
               b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n'
               b'Content-Length: 5\r\n\r\nhello')
        equal(c.read_response().status, 400)
        c.expect_close()
    equal(service_saw('/a33'), [])


@test([1, 2, 500, 999])
def A34_a_bad_one_in_a_pipeline_of_1000(k):
    good = b''.join(get(f'/a34-{k}-{i}') for i in range(k))
    with gw.client() as c:
        c.send(good + b'GET /bad HTTP/1.1\r\nHost : x\r\n\r\n' + get('/after') * (1000 - k - 1))
        for i in range(k):
            equal(c.read_response().body, f'GET /a34-{k}-{i} '.encode())
        equal(c.read_response().status, 400)
        c.expect_close()
    equal(service_saw('/after'), [])


@test
def A34_1000_requests_in_one_segment():
    with gw.client() as c:
        c.send(b''.join(get(f'/{i}') for i in range(1000)))
        for i in range(1000):
            equal(c.read_response().body, f'GET /{i} '.encode())


@test
def A35_bytes_after_the_last_request():
    with gw.client() as c:
        c.send(get('/a35', b'Connection: close\r\n') + get('/a35-second'))
        got = c.read_response()
        equal((got.status, got.header('connection')), (200, 'close'))
        c.expect_close()
    equal(service_saw('/a35-second'), [])


@test
def A36_nothing_is_remembered_of_a_connection():
    with gw.client() as c:
        for who in ('alice', 'bob'):
            c.request(get(f'/a36-{who}', f'Authorization: Bearer {who}\r\nCookie: s={who}\r\n'.encode()))
        c.request(get('/a36-nobody'))
    equal(service_saw('/a36-alice')[0].header('authorization'), 'Bearer alice')
    equal(service_saw('/a36-bob')[0].header('authorization'), 'Bearer bob')
    equal(service_saw('/a36-bob')[0].header('cookie'), 's=bob')
    equal(service_saw('/a36-nobody')[0].all('authorization') + service_saw('/a36-nobody')[0].all('cookie'), [])


@test([('GET', b'Transfer-Encoding: chunked\r\n', b'5\r\nhello\r\n0\r\n\r\n'),
       ('DELETE', b'Content-Length: 5\r\n', b'hello'),
       ('GET', b'Content-Length: 5\r\n', b'hello'),
       ('OPTIONS', b'Content-Length: 5\r\n', b'hello'),
       ('HEAD', b'Content-Length: 5\r\n', b'hello')])
def A38_a_body_where_few_expect_one(row):
    method, framing, body = row
    path = f'/a38-{method}-{len(framing)}'
    with gw.client() as c:
        c.send(f'{method} {path} HTTP/1.1\r\nHost: gw.test\r\n'.encode() + framing + b'\r\n' + body + get('/next'))
        equal(c.read_response(method).status, 200)
        equal(c.read_response().body, b'GET /next ', 'the next request is found where it begins')
    equal(service_saw(path)[0].body, b'hello', 'the body is not forgotten')


@test
def B06_options_of_the_gateway_itself():
    with gw.client() as c:
        c.send(b'OPTIONS * HTTP/1.1\r\nHost: gw.test\r\n\r\n' + get('/b06'))
        got = c.read_response()
        equal((got.status, got.body, got.header('content-length')), (204, b'', None))
        contains(got.header('allow'), 'POST')
        equal(c.read_response().body, b'GET /b06 ')
    equal(service_saw('*'), [])


@test
def K24_urgent_data_is_ignored():
    """A read stops short of the urgent byte; what stands behind it is read all the same."""
    with gw.client() as c:
        c.send(b'POST /k24 HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 6\r\n\r\nabc')
        c.sock.send(b'!', socket.MSG_OOB)
        c.send(b'def' + get('/k24-next'))
        equal(c.read_response().body, b'POST /k24 abcdef')
        equal(c.read_response().body, b'GET /k24-next ')


@test
def A39_empty_lines_before_a_request():
    with gw.client() as c:
        equal(c.request(b'\r\n' + get('/a39')).status, 200)
    with gw.client() as c:
        c.send(b'\r\n\r\n\r\n' + get('/a39-three'))
        equal(c.read_response().status, 400)
        c.expect_close()
    equal(service_saw('/a39-three'), [])


@test
def a_client_that_ends_after_its_request_is_answered():
    with gw.client() as c:
        c.send(get('/half-closed'))
        c.finish_sending()
        equal(c.read_response().status, 200)
        c.expect_close()


@test
def expect_100_continue():
    with gw.client() as c:
        c.send(b'POST /expect HTTP/1.1\r\nHost: gw.test\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n')
        line = c.take_line()
        equal(line, b'HTTP/1.1 100 Continue')
        c.fields()
        c.send(b'hello')
        equal(c.read_response().body, b'POST /expect hello')
    equal(service_saw('/expect')[0].all('expect'), [])


with Gateway(CONFIG % up.address) as gw:
    run()
