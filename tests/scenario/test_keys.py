#!/usr/bin/python3
"""Keys that are fetched: rotation, outage, hostile answers, stampedes, discovery, and addresses that a URL
must not lead to (THREATS.md F15, F16, F28). suite: tsan"""
import base64
import json
import os
import socket
import struct
import sys
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import gateway
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from gateway import TIMEOUT, Gateway, Upstream, answer, free_port, wait_until
from tap import contains, equal, run, test

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    workers: 2
    %s
    authenticators:
      it: {jwt: {issuer: "%s"%s}}
    routes: [{match: {path: "/*"}, respond: "ok", authenticate: it}]
'''


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b'=').decode()


class Key:
    def __init__(self, kid):
        self.kid = kid
        self.private = ec.generate_private_key(ec.SECP256R1())

    def jwk(self):
        n = self.private.public_key().public_numbers()
        return {'kty': 'EC', 'crv': 'P-256', 'kid': self.kid, 'x': b64(n.x.to_bytes(32, 'big')),
                'y': b64(n.y.to_bytes(32, 'big'))}

    def token(self, issuer, kid=None):
        head = b64(json.dumps({'alg': 'ES256', 'kid': kid or self.kid}).encode())
        claims = b64(json.dumps({'iss': issuer, 'sub': 'ann', 'exp': int(time.time()) + 600}).encode())
        r, s = decode_dss_signature(self.private.sign(f'{head}.{claims}'.encode(), ec.ECDSA(hashes.SHA256())))
        return f'{head}.{claims}.{b64(r.to_bytes(32, "big") + s.to_bytes(32, "big"))}'


def jwks(*keys):
    return answer(json.dumps({'keys': [k.jwk() for k in keys]}), '200 OK', 'Content-Type: application/json')


def ask(gw, token):
    got = gw.get('/a', f'Authorization: Bearer {token}')
    return got.status, json.loads(got.body)['code'] if got.status >= 400 else ''


class Issuer(Upstream):
    """Says what the test says: `says` for keys, `document` for discovery."""

    def __init__(self, says=b''):
        super().__init__(reply=self.reply)
        self.says = says
        self.url = f'http://{self.address}'
        self.document = None

    def reply(self, request, connection):
        if request.target == '/.well-known/openid-configuration':
            document = self.document or {'issuer': self.url, 'jwks_uri': self.url + '/keys'}
            return answer(json.dumps(document))
        return self.says(request, connection) if callable(self.says) else self.says

    def fetches(self):
        return len([r for r in self.requests if r.target == '/keys'])


def house(issuer, more='', top=''):
    return Gateway(CONFIG % (top, issuer.url, more.replace('@URL@', issuer.url)))


JWKS = ', jwks: "@URL@/keys"'


@test
def rotation_under_load():
    old, new = Key('old'), Key('new')
    with Issuer(jwks(old)) as issuer, house(issuer, JWKS) as gw:
        first, second = old.token(issuer.url), new.token(issuer.url)
        wait_until(lambda: ask(gw, first)[0] == 200, 'the first keys')
        stop, wrong = threading.Event(), []

        def load():
            while not stop.is_set():
                got = ask(gw, first)
                if got[0] != 200:
                    wrong.append(got)
        threads = [threading.Thread(target=load) for _ in range(3)]
        for t in threads:
            t.start()
        issuer.says = jwks(old, new)
        wait_until(lambda: ask(gw, second)[0] == 200, 'the new key', 15)  # ten seconds apart
        stop.set()
        for t in threads:
            t.join()
        equal(wrong, [])
        equal(issuer.fetches(), 2)
        m = gw.metrics()
        source = f'{{source="{issuer.url}/keys"}}'
        equal(m['sluice_keys_fetches_total' + source], 2)
        equal(m['sluice_keys' + source], 2)
        equal(m['sluice_keys_up' + source], 1)
        status = gateway.run('status', '-c', gw.config_path).stdout.decode()
        contains(status, f'keys of {issuer.url}/keys: 2 keys, 0 refused, ')


@test
def an_issuer_that_is_down_and_comes_back():
    key = Key('a')
    port = free_port()
    url = f'http://127.0.0.1:{port}'
    token = key.token(url)
    conf = CONFIG % ('', url, f', jwks: "{url}/keys"')
    with Gateway(conf) as gw:
        equal(ask(gw, token), (503, 'keys_unavailable'))
        equal(ask(gw, 'x.y'), (401, 'jwt_format'))  # what is no token needs no key
        wait_until(lambda: 'keys_failed' in gw.log(), 'the failure in the log')
        equal(gw.metrics()[f'sluice_keys_up{{source="{url}/keys"}}'], 0)
        listener = socket.create_server(('127.0.0.1', port))

        def serve():
            c, _ = listener.accept()
            c.recv(65536)
            c.sendall(jwks(key))
            c.close()
        threading.Thread(target=serve, daemon=True).start()
        wait_until(lambda: ask(gw, token)[0] == 200, 'the keys')
        listener.close()
        equal(ask(gw, token)[0], 200)  # and what is there stays while it is down again
        equal(ask(gw, Key('b').token(url))[0], 401)


def endless(request, connection):
    connection.send(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n')
    try:
        for _ in range(50):
            connection.send(b'100000\r\n' + b' ' * 0x100000 + b'\r\n')
    except OSError:
        pass
    return Upstream.CLOSE


def drop_by_drop(request, connection):
    connection.send(b'HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n')
    try:
        for _ in range(20):
            connection.send(b' ')
            threading.Event().wait(0.5)
    except OSError:
        pass
    return Upstream.CLOSE


@test
def hostile_answers():
    key = Key('a')
    many = json.dumps({'keys': [{**key.jwk(), 'kid': str(i)} for i in range(10000)]}).encode()
    trap = Upstream()
    rows = [
        (answer('', '500 Oops'), 'status is 500'),
        (answer('<html>busy</html>'), 'keys_failed'),
        (endless, 'larger than is accepted'),
        (answer(many), 'larger than is accepted'),
        (answer(many[:200000] + b']}'), 'keys_failed'),
        (answer('', '302 Found', f'Location: http://{trap.address}/keys'), 'status is 302'),
        (answer('', '304 Not Modified'), 'status is 304'),
        (lambda r, c: Upstream.CLOSE, 'keys_failed'),
        (b'\x16\x03\x01nonsense\r\n\r\n', 'keys_failed'),
        (answer('{"keys":{}}'), 'keys_failed'),
        (drop_by_drop, 'took too long'),
    ]
    with trap:
        for i, (says, told) in enumerate(rows):
            with Issuer(says) as issuer, house(issuer, JWKS) as gw:
                got = ask(gw, key.token(issuer.url))
                assert got == (503, 'keys_unavailable'), f'row {i}: {got}'
                wait_until(lambda: 'keys_failed' in gw.log(), 'the failure in the log')
                assert told in gw.log(), f'row {i}: {gw.log()}'
                issuer.says = jwks(key)
                token = key.token(issuer.url)
                wait_until(lambda: ask(gw, token)[0] == 200, f'row {i}: recovery')
        equal(trap.requests, [])


@test
def a_stampede_of_unknown_kids():
    key = Key('a')
    with Issuer(jwks(key)) as issuer, house(issuer, JWKS) as gw:
        good = key.token(issuer.url)
        wait_until(lambda: ask(gw, good)[0] == 200, 'the keys')
        began, asked = time.monotonic(), [0]

        def load(name):
            with gw.client() as c:
                for i in range(1500):
                    token = key.token(issuer.url, f'{name}-{i}')
                    got = c.request(f'GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n'.encode())
                    equal(got.status, 401)
                    asked[0] += 1
        threads = [threading.Thread(target=load, args=(n,)) for n in 'abc']
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        equal(ask(gw, good)[0], 200)
        equal(asked[0], 4500)
        most = 2 + (time.monotonic() - began) / 10
        assert issuer.fetches() <= most, f'{issuer.fetches()} fetches, at most {most}'


@test
def discovery():
    key = Key('a')
    with Issuer(jwks(key)) as issuer, house(issuer) as gw:
        token = key.token(issuer.url)
        wait_until(lambda: ask(gw, token)[0] == 200, 'the keys of the document')
        equal(ask(gw, key.token(issuer.url + '/'))[1], 'jwt_issuer')
    rows = [
        lambda i: {'issuer': i.url + '/', 'jwks_uri': i.url + '/keys'},
        lambda i: {'issuer': i.url},
        lambda i: {'issuer': i.url, 'jwks_uri': 'file:///etc/passwd'},
        lambda i: {'issuer': i.url, 'jwks_uri': 'http://[::1]:9/keys'},
        lambda i: {'issuer': i.url, 'jwks_uri': 'http://169.254.169.254/keys'},
        lambda i: {'issuer': i.url, 'jwks_uri': 'http://localhost:%d/keys' % i.port},
    ]
    for i, row in enumerate(rows):
        with Issuer(jwks(key)) as issuer:
            issuer.document = row(issuer)
            with house(issuer) as gw:
                got = ask(gw, key.token(issuer.url))
                assert got == (503, 'keys_unavailable'), f'row {i}: {got}'
                equal(issuer.fetches(), 0)
    with Issuer(jwks(key)) as issuer, Issuer(jwks(key)) as keys:  # another origin at the same host
        issuer.document = {'issuer': issuer.url, 'jwks_uri': keys.url + '/keys'}
        with house(issuer) as gw:
            token = key.token(issuer.url)
            wait_until(lambda: ask(gw, token)[0] == 200, 'the keys of the other place')
            equal(keys.fetches(), 1)


class Names:
    """A name server: every A question is answered with these addresses in turn."""

    def __init__(self, *addresses):
        self.addresses = addresses
        self.asked = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(('127.0.0.1', 0))
        self.port = self.socket.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                data, peer = self.socket.recvfrom(1500)
            except OSError:
                return
            end = data.index(b'\0', 12) + 5
            kind = struct.unpack('>H', data[end - 4:end - 2])[0]
            count = 1 if kind == 1 else 0
            out = data[:2] + struct.pack('>HHHHH', 0x8180, 1, count, 0, 0) + data[12:end]
            if count:
                address = self.addresses[min(self.asked, len(self.addresses) - 1)]
                self.asked += 1
                out += b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 5, 4) + socket.inet_aton(address)
            self.socket.sendto(out, peer)


@test
def where_a_name_must_not_lead():
    key = Key('a')
    for allow, fine in (('', False), ('outbound: {allow_private: [10.0.0.0/8]}', False),
                        ('outbound: {allow_private: [127.0.0.0/8]}', True)):
        names = Names('127.0.0.1')
        with Issuer(jwks(key)) as issuer:
            issuer.url = f'http://id.test:{issuer.port}'
            top = 'dns: {servers: ["127.0.0.1:%d"]}\n    %s' % (names.port, allow)
            with house(issuer, JWKS, top) as gw:
                token = key.token(issuer.url)
                if fine:
                    wait_until(lambda: ask(gw, token)[0] == 200, 'the keys')
                    continue
                wait_until(lambda: 'must not lead to' in gw.log(), 'the refusal in the log')
                equal(ask(gw, token), (503, 'keys_unavailable'))
                equal(len(issuer.connections), 0)


run()
