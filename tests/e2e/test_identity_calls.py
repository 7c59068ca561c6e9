#!/usr/bin/python3
"""Who calls and who may, for calls that are more than a request: gRPC (Google's library), gRPC-Web, WebSockets
over HTTP/1.1 and HTTP/2, server-sent events. Each row of CASES is played in every one of these ways."""
import asyncio
import itertools
import json
import logging
import os
import struct
import sys
import threading
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import TIMEOUT, Gateway, Upstream, free_port, wait_until
from tap import add, equal, run, test
from tokens import Key, KeyServer, hs_token, now
from web_client import H2, connect

import grpc
import websockets

SECRET = 'a shared secret of more than 32 bytes'
POLICIES = {
    'needed': 'authenticate: shop',
    'scoped': 'authenticate: shop, authorize: {scopes: write}',
    'away': 'authenticate: away',
    'watch-who': 'authenticate: {any: shop, mode: observe}',
    'watch-away': 'authenticate: {any: away, mode: observe}',
    'watch-may': 'authenticate: shop, authorize: {scopes: write, mode: observe}',
    'slow': 'authenticate: slow',
    'query': 'authenticate: socket',
}
CONFIG = '''
version: 1
workers: 2
listeners: {public: {address: "127.0.0.1:@PORT@"}}
admin: {address: "127.0.0.1:@ADMIN@"}
log: {fields: [target, status, code, observed, auth_error, detail]}
services:
  calls: {endpoints: ["127.0.0.1:%d"], protocol: h2c}
  sockets: "127.0.0.1:%d"
  events: "%s"
authenticators:
  shop: {jwt: {issuer: me, key: "${secret('file:secret')}"}, headers: {X-User-ID: "${claim.sub}"}}
  away: {jwt: {issuer: me, jwks: "http://127.0.0.1:%d/keys"}, headers: {X-User-ID: "${claim.sub}"}}
  slow: {jwt: {issuer: me, jwks: "%s"}, headers: {X-User-ID: "${claim.sub}"}}
  socket: {jwt: {issuer: me, key: "${secret('file:secret')}", in: query}, headers: {X-User-ID: "${claim.sub}"}}
routes:
'''
ROUTE = '  - {match: {path: "/%s/*"}, to: %s, %s}\n'


class Calls:
    """A gRPC service whose every method answers how it was called: the X-User-ID that it saw, bytes that came."""

    def __init__(self):
        self.reached = []
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=16))
        self.server.add_generic_rpc_handlers((self,))
        self.port = self.server.add_insecure_port('127.0.0.1:0')
        self.server.start()

    def service(self, call):
        self.reached.append(call.method)
        return grpc.stream_stream_rpc_method_handler(self.talk)

    @staticmethod
    def talk(requests, context):
        ids = [v for k, v in context.invocation_metadata() if k == 'x-user-id']
        yield json.dumps({'ids': ids, 'bytes': sum(len(r) for r in requests)}).encode()


class Sockets(threading.Thread):
    """Answers each message with the X-User-ID of its WebSocket."""

    def __init__(self):
        super().__init__(daemon=True)
        self.started, self.reached = threading.Event(), []
        self.start()
        assert self.started.wait(TIMEOUT)

    def run(self):
        async def echo(s, *_):
            self.reached.append(s.path)
            async for _ in s:
                await s.send(json.dumps({'ids': s.request_headers.get_all('X-User-ID')}))

        async def serve():
            async with websockets.serve(echo, '127.0.0.1', 0) as server:
                self.port = server.sockets[0].getsockname()[1]
                self.started.set()
                await asyncio.Future()
        asyncio.run(serve())


class World:
    def __init__(self):
        self.key = Key.es('256', 'one')
        self.calls, self.sockets, self.events = Calls(), Sockets(), Upstream(self.stream)
        self.seen_first = threading.Event()  # the client has the first of two events
        self.keys = KeyServer([self.key])
        self.keys.__enter__()
        routes = ''.join(ROUTE % (f'{kind}.{name}', kind, policy) for kind in ('calls', 'sockets', 'events')
                         for name, policy in POLICIES.items())
        self.gateway = Gateway(CONFIG % (self.calls.port, self.sockets.port, self.events.address, free_port(),
                                         self.keys.url) + routes, files={'secret': SECRET})
        self.port = self.gateway.port
        self.channel = grpc.insecure_channel(f'127.0.0.1:{self.port}')

    def stream(self, request, connection):
        connection.send(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n')
        for event in (json.dumps({'ids': request.all('X-User-ID')}), 'last'):
            data = f'data: {event}\n\n'.encode()
            connection.send(b'%x\r\n%s\r\n' % (len(data), data))
            assert event == 'last' or self.seen_first.wait(TIMEOUT), 'the first event was held back'
        return b'0\r\n\r\n'

    def reached(self):
        return [*self.calls.reached, *self.sockets.reached, *(r.target for r in self.events.requests)]

    def observed(self):
        return self.gateway.metrics()['sluice_refusals_observed_total']

    def line(self, target):
        def find():
            lines = (json.loads(line) for line in self.gateway.stdout().split('\n')[:-1])
            return next((line for line in lines if line['target'] == target), None)
        return wait_until(find, f'the access log of {target}')

    def close(self):
        self.channel.close()
        self.calls.server.stop(0).wait()
        self.gateway.stop()
        self.events.close()
        self.keys.__exit__()


WORLDS = []


def world():
    if not WORLDS:
        WORLDS.append(World())
    return WORLDS[0]


def token(**more):
    return hs_token(SECRET, {'iss': 'me', 'sub': 'bob', 'exp': now() + 600, **more})


def fields(bearer):
    """Whoever calls says that he is root."""
    return [('x-user-id', 'root'), *([('authorization', f'Bearer {bearer}')] if bearer else [])]


# ---- ways to call: (200, what the service said), else (status, challenges); gRPC's status by its name

def by_grpc(path, bearer):
    call = world().channel.stream_stream(path)(iter([b'hello']), metadata=fields(bearer), timeout=TIMEOUT)
    try:
        (said,) = call
        return 'OK', json.loads(said)
    except grpc.RpcError as e:
        return e.code().name, None


GRPC_NAMES = {str(c.value[0]): c.name for c in grpc.StatusCode}


def by_grpc_web(kind):
    def ask(path, bearer):
        more = [('content-type', 'application/grpc-web+proto'), ('x-grpc-web', '1'), *fields(bearer)]
        with connect(kind, world().port, None) as c:
            a = c.request('POST', path, more, b'\0\0\0\0\5hello')
        equal(a.status, 200)
        body, got = a.body, {n: v for n, v in a.headers if n == 'grpc-status'}
        said = None
        while body:
            n = struct.unpack('>I', body[1:5])[0]
            if body[0] & 0x80:
                got |= dict(x.split(':', 1) for x in body[5:5 + n].decode().strip().split('\r\n'))
            else:
                said = json.loads(body[5:5 + n])
            body = body[5 + n:]
        return GRPC_NAMES[got['grpc-status'].strip()], said
    return ask


MASKED = bytes([0x82, 0x85]) + bytes(4) + b'hello'


def by_socket_h1(path, bearer):
    more = ''.join(f'{n}: {v}\r\n' for n, v in fields(bearer))
    with world().gateway.client() as c:
        a = c.request(f'GET {path} HTTP/1.1\r\nHost: gw.test\r\nConnection: Upgrade\r\n'
                      f'Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n'
                      f'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{more}\r\n'.encode())
        if a.status != 101:
            return a.status, a.all('www-authenticate')
        c.send(MASKED)
        return 200, json.loads(c.take(c.take(2)[1]))


def by_socket_h2(path, bearer):
    with H2(world().port) as c:
        c.until(lambda: c.settings, 'settings')
        s = c.begin('CONNECT', path, [('sec-websocket-version', '13'), *fields(bearer)], end=False,
                    protocol='websocket')
        a = c.streams[s]
        c.until(lambda: a.status, 'an answer')
        if a.status != 200:
            return a.status, a.all('www-authenticate')
        c.data(s, MASKED)
        c.until(lambda: len(a.body) > 1 and len(a.body) == a.body[1] + 2, 'a message')
        said = json.loads(a.body[2:])
        c.data(s, bytes([0x88, 0x80]) + bytes(4), end=True)
        c.answer(s)
        return 200, said


def event(body):
    return json.loads(body.removeprefix(b'data: '))


def by_events_h1(path, bearer):
    w = world()
    more = ''.join(f'{n}: {v}\r\n' for n, v in fields(bearer))
    with w.gateway.client() as c:
        c.send(f'GET {path} HTTP/1.1\r\nHost: gw.test\r\nAccept: text/event-stream\r\n{more}\r\n'.encode())
        a = c.read_response('HEAD')  # the body is read here
        if a.status != 200:
            return a.status, a.all('www-authenticate')
        first = c.take(int(c.take_line(), 16))
        w.seen_first.set()
        equal(c.take(2), b'\r\n')
        c.chunked(a)
        return 200, event(first)


def by_events_h2(path, bearer):
    w = world()
    with H2(w.port) as c:
        s = c.begin('GET', path, [('accept', 'text/event-stream'), *fields(bearer)])
        a = c.streams[s]
        c.until(lambda: a.status, 'an answer')
        if a.status != 200:
            return a.status, a.all('www-authenticate')
        c.until(lambda: a.body.endswith(b'\n\n'), 'the first event')
        first = a.body
        w.seen_first.set()
        equal(c.answer(s).body, first + b'data: last\n\n')
        return 200, event(first)


WAYS = {
    'gRPC': ('calls', by_grpc), 'gRPC-Web by h1': ('calls', by_grpc_web('h1')),
    'gRPC-Web by h2': ('calls', by_grpc_web('h2')), 'WebSocket by h1': ('sockets', by_socket_h1),
    'WebSocket by h2': ('sockets', by_socket_h2), 'events by h1': ('events', by_events_h1),
    'events by h2': ('events', by_events_h2),
}
GOOD, FORGED = (lambda: token(scope='read write')), (lambda: token()[:-4] + 'AAAA')
LESS, NONE = (lambda: token(scope='read')), (lambda: None)
# policy, token, status, gRPC's status, the code of the log, what was observed, X-User-ID at the service
CASES = [
    ('needed', NONE, 401, 'UNAUTHENTICATED', 'credentials_missing', None, None),
    ('needed', FORGED, 401, 'UNAUTHENTICATED', 'jwt_signature', None, None),
    ('needed', lambda: token(exp=now() - 600), 401, 'UNAUTHENTICATED', 'jwt_expired', None, None),
    ('needed', LESS, 200, 'OK', None, None, ['bob']),
    ('scoped', NONE, 401, 'UNAUTHENTICATED', 'credentials_missing', None, None),
    ('scoped', LESS, 403, 'PERMISSION_DENIED', 'insufficient_scope', None, None),
    ('scoped', GOOD, 200, 'OK', None, None, ['bob']),
    ('away', NONE, 401, 'UNAUTHENTICATED', 'credentials_missing', None, None),
    ('away', lambda: world().key.token({'iss': 'me', 'sub': 'bob', 'exp': now() + 600}),
     503, 'UNAVAILABLE', 'keys_unavailable', None, None),
    ('watch-who', NONE, 200, 'OK', None, 'authenticate credentials_missing', []),
    ('watch-who', FORGED, 200, 'OK', None, 'authenticate jwt_signature', []),
    ('watch-who', GOOD, 200, 'OK', None, None, ['bob']),
    ('watch-away', lambda: world().key.token({'iss': 'me', 'sub': 'bob', 'exp': now() + 600}),
     200, 'OK', None, 'authenticate keys_unavailable', []),
    ('watch-may', LESS, 200, 'OK', None, 'authorize insufficient_scope', ['bob']),
    ('watch-may', GOOD, 200, 'OK', None, None, ['bob']),
    ('watch-may', NONE, 401, 'UNAUTHENTICATED', 'credentials_missing', None, None),
]
NUMBER = itertools.count()


def all_cases(way):
    kind, ask = WAYS[way]
    w = world()
    for policy, bearer, status, named, code, observed, ids in CASES:
        target = f'/{kind}.{policy}/n{next(NUMBER)}'
        what = f'{target} {code or observed}'
        w.seen_first.clear()
        before = w.observed()
        got, told = ask(target, bearer())
        equal(got, named if kind == 'calls' else status, what)
        equal(w.reached().count(target), int(status == 200), f'{what}: the service was called')
        if status == 200:
            equal(told['ids'] or [], ids, what)
        elif kind != 'calls' and status in (401, 403):
            assert any(t.startswith('Bearer') for t in told), f'{what}: {told}'
        line = w.line(target)
        equal((line['code'], line['observed']), (code, observed), what)
        equal(w.observed() - before, int(observed is not None), f'{what}: sluice_refusals_observed_total')


for one in WAYS:
    add(f'{one}: who may call', all_cases, one)


@test
def a_refusal_does_not_wait_for_the_end_of_a_stream():
    """A gRPC client that would go on sending is told at once; the connection stays good for the next call."""
    end = threading.Event()

    def messages():
        yield b'first'
        end.wait(TIMEOUT)
    call = world().channel.stream_stream('/calls.needed/stream')(messages(), metadata=fields(None), timeout=TIMEOUT)
    try:
        next(call)
        raise AssertionError('it was answered')
    except grpc.RpcError as e:
        equal(e.code(), grpc.StatusCode.UNAUTHENTICATED)
    finally:
        end.set()
    equal(by_grpc('/calls.needed/after', token()), ('OK', {'ids': ['bob'], 'bytes': 5}))


@test
def a_token_in_the_query_of_a_websocket():
    """As browsers must do it, whose WebSockets send no header of the page's choice. It stays out of the log."""
    w = world()
    for name, ask in (('h1', by_socket_h1), ('h2', by_socket_h2)):
        good = token(jti=name)
        equal(ask(f'/sockets.query/{name}?access_token={good}', None), (200, {'ids': ['bob']}), name)
        equal(ask(f'/sockets.query/{name}-bad?access_token={good[:-4]}AAAA', None)[0], 401, name)
        equal(ask(f'/sockets.query/{name}-twice?access_token={good}', good)[0], 401, name)
        w.line(f'/sockets.query/{name}?access_token=***')
        assert good[:60] not in w.gateway.stdout() + w.gateway.log(), 'the token was logged'


@test
def calls_that_wait_for_keys():
    """Whatever a client sends meanwhile is kept in its order; all go on when the keys are there."""
    w = world()
    good = w.key.token({'iss': 'me', 'sub': 'bob', 'exp': now() + 600})
    messages = [b'x' * 30000] * 5
    wait_until(lambda: by_socket_h1('/sockets.slow/first', good)[0] == 200, 'the first keys')
    new = Key.es('256', 'two')
    w.keys.keys.append(new)
    fresh = new.token({'iss': 'me', 'sub': 'ann', 'exp': now() + 600})
    w.keys.gate.clear()
    waits = 'sluice_authentication_waits_total{authenticator="slow"}'
    wait_until(lambda: w.gateway.metrics()['sluice_keys_age_seconds' + f'{{source="{w.keys.url}"}}'] > 10,
               'the time between two fetches')
    flying = 'sluice_exchanges_in_flight'
    before = w.gateway.metrics()
    call = w.channel.stream_stream('/calls.slow/many')(iter(messages), metadata=fields(fresh), timeout=TIMEOUT)
    with H2(w.port) as c:
        s = c.begin('CONNECT', '/sockets.slow/early', [('sec-websocket-version', '13'), *fields(fresh)], end=False,
                    protocol='websocket')
        c.data(s, MASKED)
        wait_until(lambda: w.gateway.metrics()[flying] == before[flying] + 2, 'both wait')
        assert not [t for t in w.reached() if t in ('/calls.slow/many', '/sockets.slow/early')], 'called too early'
        w.keys.gate.set()
        equal([json.loads(said) for said in call], [{'ids': ['ann'], 'bytes': 150000}])
        a = c.streams[s]
        c.until(lambda: len(a.body) > 1 and len(a.body) == a.body[1] + 2, 'a message')
        equal(json.loads(a.body[2:]), {'ids': ['ann']})
    wait_until(lambda: w.gateway.metrics()[waits] == before[waits] + 2, 'both are counted as having waited')


def main():
    logging.disable(logging.CRITICAL)  # what the libraries say of each connection that was closed
    try:
        run()
    finally:
        for w in WORLDS:
            w.close()


main()
