#!/usr/bin/python3
"""Services behind TLS with certificates that are right and wrong: who is believed, what a client is told, what
the operator is told, and that sessions are resumed. The services are Python's OpenSSL."""
import json
import os
import shutil
import socket
import ssl
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from certs import Authority, self_signed
from gateway import TIMEOUT, Gateway, wait_until
from h1_service import H1Service
from tap import add, contains, equal, run, test

DIR = tempfile.mkdtemp(prefix='sluice-secure-')
CA, OTHER = Authority('test CA'), Authority('another CA')
BELOW = CA.authority()
CA.save(DIR, 'ca')
VERIFY, TLS = 'upstream_tls_verify', 'upstream_tls'
NAME = ', name: shop.test'

# name, certificate, what the configuration says of the service's TLS, code of the failure (None: it is believed),
# what the operator reads of it
SERVICES = [
    ('right-name', CA.issue('shop.test'), NAME, None, ''),
    ('wildcard', CA.issue('x', names=['*.shop.test']), ', name: a.shop.test', None, ''),
    ('endpoint-address', CA.issue('127.0.0.1'), '', None, ''),
    ('rsa', CA.issue('shop.test', kind='rsa'), NAME, None, ''),
    ('intermediate', BELOW.issue('shop.test'), NAME, None, ''),
    ('skip-verify', self_signed('bank.test'), NAME + ', insecure_skip_verify: true', None, ''),
    ('another-name', CA.issue('bank.test'), NAME, VERIFY, 'not for'),
    ('another-address', CA.issue('127.0.0.2'), '', VERIFY, 'not for'),
    ('name-for-address', CA.issue('localhost'), '', VERIFY, 'not for'),
    ('common-name-alone', CA.issue('shop.test', names=[]), NAME, VERIFY, 'name'),
    ('deep-wildcard', CA.issue('x', names=['*.shop.test']), ', name: a.b.shop.test', VERIFY, 'not for'),
    ('nul-in-name', CA.issue('x', names=['shop.test\0.bank.test']), NAME, VERIFY, 'not for'),
    ('self-signed', self_signed('shop.test'), NAME, VERIFY, 'self-signed'),
    ('expired', CA.issue('shop.test', days=-1), NAME, VERIFY, 'expired'),
    ('not-yet', CA.issue('shop.test', since=-2), NAME, VERIFY, 'not valid before'),
    ('another-authority', OTHER.issue('shop.test'), NAME, VERIFY, 'certificate'),
    ('chain-missing', BELOW.issue('shop.test'), NAME, VERIFY, 'issuer'),
    ('for-clients', CA.issue('shop.test', client=True), NAME, VERIFY, 'purpose'),
]


def save(row):
    name, cert = row[:2]
    return cert.save(DIR, name, chain=name != 'chain-missing')


def speaks_clear_text():
    """Whatever it hears, it answers as a web server that does not know TLS."""
    listener = socket.create_server(('127.0.0.1', 0))

    def serve():
        while True:
            try:
                sock, _ = listener.accept()
            except OSError:
                return
            with sock:
                sock.recv(65536)
                sock.sendall(b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n')
    threading.Thread(target=serve, daemon=True).start()
    return listener


class World:
    def __init__(self):
        ca = os.path.join(DIR, 'ca.pem')
        CA.issue('gateway', client=True).save(DIR, 'own')
        self.service = {row[0]: H1Service(tls=save(row)) for row in SERVICES}
        self.sni = []
        self.service['right-name'].context.sni_callback = lambda _, name, __: self.sni.append(name)
        how = {row[0]: row[2] for row in SERVICES}
        own = f', certificate: {DIR}/own.pem, private_key: {DIR}/own.key'
        for name, more in (('shows-own', NAME + own), ('shows-none', NAME)):
            self.service[name] = H1Service(tls=save(SERVICES[0]))
            self.service[name].context.verify_mode = ssl.CERT_REQUIRED
            self.service[name].context.load_verify_locations(ca)
            how[name] = more
        self.service['tls-1.2'] = H1Service(tls=save(SERVICES[0]))
        self.service['tls-1.2'].context.maximum_version = ssl.TLSVersion.TLSv1_2
        how['tls-1.2'] = NAME
        how['tls-1.3-wanted'] = NAME + ', min_version: "1.3"'
        how['clear'] = NAME
        address = {n: s.address for n, s in self.service.items()}
        self.clear = speaks_clear_text()
        address['clear'] = f'127.0.0.1:{self.clear.getsockname()[1]}'
        address['tls-1.3-wanted'] = address['tls-1.2']
        services = ''.join(f'  {n}: {{endpoints: ["{address[n]}"], tls: {{ca: {ca}{how[n]}}}}}\n' for n in how)
        routes = ''.join(f'  - {{match: {{path: "/{n}/*"}}, to: {n}, rewrite: {{strip: /{n}}}}}\n' for n in how)
        self.gateway = Gateway(f'''
version: 1
listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
admin: {{address: "127.0.0.1:@ADMIN@"}}
log: {{file: "@DIR@/access.log", format: json, fields: [path, status, code, detail]}}
services:
{services}
routes:
{routes}''')

    def get(self, name, path='/'):
        return self.gateway.get(f'/{name}{path}')

    def logged(self, name):
        path = os.path.join(self.gateway.dir, 'access.log')

        def found():
            with open(path, encoding='utf-8') as f:
                rows = [json.loads(line) for line in f.read().split('\n')[:-1]]
            return [r for r in rows if r['path'] == f'/{name}/']
        return wait_until(lambda: os.path.exists(path) and found(), f'a log line of /{name}/')[-1]

    def close(self):
        for s in self.service.values():
            s.close()
        self.clear.close()
        self.gateway.stop()
        shutil.rmtree(DIR, ignore_errors=True)


WORLD = []


def world():
    if not WORLD:
        WORLD.append(World())
    return WORLD[0]


def believed(name, code, told):
    w = world()
    answer = w.get(name)
    if not code:
        equal((answer.status, answer.body), (200, b'ok'))
        return
    equal(answer.status, 502)
    problem = json.loads(answer.body)
    equal(problem['code'], code)
    row = w.logged(name)
    equal((row['status'], row['code']), (502, code))
    contains(row['detail'], told)
    assert row['detail'] not in answer.body.decode(), 'the client is told what only the operator may know'
    equal(len(w.service[name].requests), 0, 'requests at a service that is not believed')


for r in SERVICES:
    add(f'certificate: {r[0]}', believed, r[0], *r[3:])


@test
def the_configured_name_is_asked_for():
    world().get('right-name')
    equal(set(world().sni), {'shop.test'})


@test
def own_certificate():
    equal(world().get('shows-own').body, b'ok')


@test
def no_certificate_where_one_is_wanted():
    answer = world().get('shows-none')
    equal(answer.status, 502)
    equal(len(world().service['shows-none'].requests), 0)
    contains(world().logged('shows-none')['detail'] or '', 'certificate')


@test
def versions():
    equal(world().get('tls-1.2').body, b'ok')
    equal(json.loads(world().get('tls-1.3-wanted').body)['code'], TLS)
    contains(world().logged('tls-1.3-wanted')['detail'], 'version')


@test
def clear_text_behind_tls():
    equal(json.loads(world().get('clear').body)['code'], TLS)
    contains(world().logged('clear')['detail'], 'not TLS')


@test
def large_bodies():
    w = world()
    body = os.urandom(1 << 20) * 8
    with w.gateway.client() as c:
        answer = c.request(b'POST /right-name/echo HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n' % len(body)
                           + body)
    equal(answer.status, 200)
    assert answer.body == body, 'the echo is another'


@test
def an_early_answer_survives_the_reset_behind_it():
    """The service answers, reads no more and closes: what it said came before the reset, and arrives."""
    cert, key = save(SERVICES[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(('127.0.0.1', 0))

    def serve():
        while True:
            try:
                raw, _ = listener.accept()
            except OSError:
                return
            raw.settimeout(TIMEOUT)
            raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # else its own system forgets the answer
            with context.wrap_socket(raw, server_side=True) as sock:
                sock.recv(100)
                sock.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly')
    threading.Thread(target=serve, daemon=True).start()
    with Gateway(f'''
version: 1
listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
log: false
limits: {{max_body: 100MiB}}
services: {{a: {{endpoints: ["127.0.0.1:{listener.getsockname()[1]}"], tls: {{ca: {DIR}/ca.pem, name: shop.test}}}}}}
routes: [{{match: {{path: "/*"}}, to: a}}]
''') as gw:
        for _ in range(20):
            with gw.client() as c:
                answer = c.request(b'POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 50000000\r\n\r\n' + bytes(1 << 20))
                equal((answer.status, answer.body), (200, b'early'))
    listener.close()


@test
def sessions_are_resumed():
    w = world()
    before = w.gateway.metrics()
    for _ in range(3):
        equal(w.get('tls-1.2', '/').status, 200)
        for c in w.service['tls-1.2'].connections:
            c.close()
        wait_until(lambda: w.gateway.metrics()['sluice_upstream_connections_open'] == 0 or not [
            c for c in w.service['tls-1.2'].connections if not c.closed], 'the connection is gone')
    after = w.gateway.metrics()
    done = {k: after[f'sluice_upstream_tls_{k}_total'] - before[f'sluice_upstream_tls_{k}_total']
            for k in ('handshakes', 'resumed')}
    assert done['resumed'] >= 1, done


@test
def silence_is_bounded():
    """A service that accepts and says nothing: connect_timeout holds for the handshake as well."""
    listener = socket.create_server(('127.0.0.1', 0))
    with Gateway(f'''
version: 1
listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
log: false
services: {{a: {{endpoints: ["127.0.0.1:{listener.getsockname()[1]}"], tls: true, connect_timeout: 300ms}}}}
routes: [{{match: {{path: "/*"}}, to: a}}]
''') as gw:
        answer = gw.get('/')
        equal((answer.status, json.loads(answer.body)['code']), (504, 'connect_timeout'))
    listener.close()


@test
def breaks_off_without_goodbye():
    """An answer that only the end of the connection ends: without close_notify it may have been cut."""
    cert, key = save(SERVICES[0])
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(('127.0.0.1', 0))

    def serve():
        for polite in (True, False):
            raw, _ = listener.accept()
            raw.settimeout(TIMEOUT)
            sock = context.wrap_socket(raw, server_side=True)
            sock.recv(65536)
            sock.sendall(b'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nsome')
            if polite:
                sock.unwrap()
            socket.socket.close(sock)
    threading.Thread(target=serve, daemon=True).start()
    with Gateway(f'''
version: 1
listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
log: {{file: "@DIR@/access.log", format: json, fields: [end, code]}}
services: {{a: {{endpoints: ["127.0.0.1:{listener.getsockname()[1]}"], tls: {{ca: {DIR}/ca.pem, name: shop.test}}}}}}
routes: [{{match: {{path: "/*"}}, to: a}}]
''') as gw:
        equal(gw.get('/').body, b'some')
        try:
            gw.get('/')
            raise RuntimeError('a cut answer passed for a whole one')
        except (AssertionError, OSError):
            pass
        path = os.path.join(gw.dir, 'access.log')
        rows = wait_until(lambda: os.path.exists(path) and (
            lambda text: text.count('\n') == 2 and text)(open(path, encoding='utf-8').read()), 'two log lines')
        codes = {json.loads(r)['code'] for r in rows.strip().split('\n')}  # of two workers
        equal(codes, {None, 'upstream_truncated'})
    listener.close()


try:
    run()
finally:
    if WORLD:
        WORLD[0].close()
