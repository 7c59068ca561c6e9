#!/usr/bin/python3
"""So many at once: the policy concurrency, and what protects services, over HTTP/1.1 and HTTP/2. Nothing here
waits for time to pass: the service holds its answers until it is told, and who waits is read off the metrics.
suite: tsan"""
import base64
import hashlib
import json
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Client, Gateway, wait_until
from h1_service import H1Service
from tap import add, contains, equal, run, test
from web_client import connect

CONFIG = '''
    version: 1
    workers: %d
    log: {fields: [status, path, code, detail, observed, queue_duration, limit.name, limit.verdict]}
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    services:
      a: {endpoints: ["%s"], first_byte_timeout: 30s}
      two: {endpoints: ["%s"], first_byte_timeout: 30s, concurrency: {limit: 2, queue: {size: 2, max_wait: 20s}}}
      one: {endpoints: ["%s"], first_byte_timeout: 30s, concurrency: 1}
      after: {endpoints: ["%s"], rate_limit: {rate: 1/h, burst: 10, cost_after: "${response.status == 200 ? 9 : 1}"}}
      rated: {endpoints: ["%s"], rate_limit: {rate: 1/h, burst: 2}}
    routes:
      - {match: {path: /two}, to: a, concurrency: {name: two, limit: 2, key: all, queue: {size: 2, max_wait: 20s},
         priority: "${header['x-priority']}"}}
      - {match: {path: /each}, to: a, concurrency: {name: each, limit: 1, key: "${header['x-user']}"}}
      - {match: {path: /short}, to: a, concurrency: {name: short, limit: 1, key: all, queue: {size: 5, max_wait: 100ms}}}
      - {match: {path: /seen}, to: a, concurrency: {name: seen, limit: 1, key: all, mode: observe}}
      - match: {path: /twice}
        concurrency: {name: twice, limit: 1, key: all}
        routes: [{match: {path: /it}, to: a, concurrency: {name: twice, limit: 1, key: all}}]
      - {match: {path: /chat}, to: a, concurrency: {name: chat, limit: 1, key: all}}
      - {match: {path: /shop.Cart/Get}, to: a, concurrency: {name: grpc, limit: 1, key: all}}
      - {match: {path: /service-two}, to: two}
      - {match: {path: /other-two}, to: two}
      - {match: {path: /service-one}, to: one}
      - {match: {path: /rated}, to: rated}
      - {match: {path: /after}, to: after}
'''


class Held:
    """A service whose answers wait until they are let go, in the order of arrival."""

    def __init__(self):
        self.cond = threading.Condition()
        self.paths, self.free, self.hold = [], 0, True
        self.service = H1Service(self.handle)
        self.address = self.service.address

    def handle(self, stream):
        stream.body()
        if stream.header('upgrade'):
            key = stream.header('sec-websocket-key').encode() + b'258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
            stream.connection.sock.sendall(
                b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                b'Sec-WebSocket-Accept: ' + base64.b64encode(hashlib.sha1(key).digest()) + b'\r\n\r\n')
            while stream.connection.more():
                pass
            return
        with self.cond:
            self.paths.append(stream.path)
            mine = len(self.paths)
            self.cond.notify_all()
            assert self.cond.wait_for(lambda: self.free >= mine or not self.hold, 20)
        stream.respond(200, [('content-type', 'text/plain')], b'ok')

    def arrived(self, n):
        with self.cond:
            assert self.cond.wait_for(lambda: len(self.paths) >= n, 20), f'{self.paths} of {n}'

    def let_go(self, n=1):
        with self.cond:
            self.free += n
            self.cond.notify_all()

    def all(self):
        with self.cond:
            self.hold = False
            self.cond.notify_all()


class Ask:
    """A request under way in a thread of its own."""

    def __init__(self, world, path, kind='h1', headers=()):
        self.client = connect(kind, world.gw.port, None)
        self.answer = self.failure = None
        self.thread = threading.Thread(target=self._run, args=(path, headers))
        self.thread.start()

    def _run(self, path, headers):
        try:
            self.answer = self.client.request('GET', path, headers)
        except Exception as e:  # told by done()
            self.failure = e

    def done(self):
        self.thread.join(20)
        assert not self.thread.is_alive(), 'no answer'
        if self.failure:
            raise self.failure
        return self.answer


class Raw:
    """A request under way that nobody reads the answer of, until its client leaves."""

    def __init__(self, world, path, kind):
        self.kind = kind
        if kind == 'h1':
            self.client = Client(world.gw.port)
            self.client.send(f'GET {path} HTTP/1.1\r\nHost: gw.test\r\n\r\n'.encode())
        else:
            self.client = connect('h2', world.gw.port, None)
            self.stream = self.client.begin('GET', path)
            self.client.flush()

    def leave(self):
        if self.kind == 'h2':
            self.client.reset(self.stream)
            self.client.flush()
            self.client.close()
        else:
            self.client.reset()


class World:
    def __init__(self, workers=1):
        self.up = Held()
        self.gw = Gateway(CONFIG % (workers, *[self.up.address] * 5))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.up.all()
        self.gw.__exit__(kind, value, trace)
        self.up.service.__exit__(kind, value, trace)

    def metric(self, name, limit):
        label = 'service' if name.startswith('sluice_service') else 'limit'
        return self.gw.metrics().get(f'{name}{{{label}="{limit}"}}', 0)

    def waiting(self, limit, n, name='sluice_concurrency_queue'):
        wait_until(lambda: self.metric(name, limit) == n, f'{n} wait for {limit}')

    def under_way(self, limit, n, name='sluice_concurrency'):
        wait_until(lambda: self.metric(name, limit) == n, f'{n} under way of {limit}')


def kinds(function):
    for kind in ('h1', 'h2'):
        add(f'{function.__name__.replace("_", " ")} ({kind})', function, kind)
    return function


def ask_once(w, kind, path, headers=()):
    with connect(kind, w.gw.port, None) as c:
        return c.request('GET', path, headers)


@kinds
def two_pass_two_wait_others_are_refused(kind):
    with World() as w:
        first = [Ask(w, '/two', kind) for _ in range(2)]
        w.up.arrived(2)
        second = [Ask(w, '/two', kind) for _ in range(2)]
        w.waiting('two', 2)
        refused = ask_once(w, kind, '/two')
        equal(refused.status, 429)
        equal(refused.header('retry-after'), '1')
        equal(json.loads(refused.body)['code'], 'concurrency_limited')
        equal(len(w.up.paths), 2)
        w.up.let_go(2)
        equal([a.done().status for a in first], [200, 200])
        w.up.arrived(4)
        w.up.let_go(2)
        equal([a.done().status for a in second], [200, 200])
        w.under_way('two', 0)
        m = w.gw.metrics()
        equal(m['sluice_concurrency_queued_total{limit="two"}'], 2)
        equal(m['sluice_concurrency_refused_total{limit="two",reason="full"}'], 1)
        equal(m['sluice_concurrency_queue_seconds_total{limit="two"}'] > 0, True)


@kinds
def priorities_go_first(kind):
    with World() as w:
        first = [Ask(w, '/two?first', kind) for _ in range(2)]
        w.up.arrived(2)
        low = Ask(w, '/two?low', kind, [('x-priority', 'low')])
        w.waiting('two', 1)
        normal = Ask(w, '/two?normal', kind, [('x-priority', 'whatever')])
        w.waiting('two', 2)
        high = Ask(w, '/two?high', kind, [('x-priority', 'high')])
        displaced = low.done()  # the queue is full, and it is the lowest
        equal(displaced.status, 429)
        w.up.let_go()
        w.up.arrived(3)
        w.up.let_go()
        w.up.arrived(4)
        equal(w.up.paths[2:], ['/two?high', '/two?normal'])
        w.up.all()
        equal([a.done().status for a in (*first, normal, high)], [200] * 4)


@kinds
def keys_are_apart(kind):
    with World() as w:
        ann = Ask(w, '/each', kind, [('x-user', 'ann')])
        w.up.arrived(1)
        bob = Ask(w, '/each', kind, [('x-user', 'bob')])
        w.up.arrived(2)
        equal(ask_once(w, kind, '/each', [('x-user', 'ann')]).status, 429)
        equal(w.metric('sluice_concurrency_keys', 'each'), 2)
        w.up.all()
        equal([ann.done().status, bob.done().status], [200, 200])
        equal(ask_once(w, kind, '/each', [('x-user', 'ann')]).status, 200)


@kinds
def who_leaves_gives_back(kind):
    """While he waits, and while his request is under way."""
    with World() as w:
        first = [Raw(w, '/two', kind) for _ in range(2)]
        w.up.arrived(2)
        waits = Raw(w, '/two', kind)
        w.waiting('two', 1)
        waits.leave()
        w.waiting('two', 0)
        w.under_way('two', 2)
        for a in first:
            a.leave()
        w.under_way('two', 0)
        w.up.all()
        equal(ask_once(w, kind, '/two').status, 200)


@kinds
def no_turn_in_time(kind):
    with World() as w:
        first = Ask(w, '/short', kind)
        w.up.arrived(1)
        late = ask_once(w, kind, '/short')
        equal(late.status, 429)
        equal(w.gw.metrics()['sluice_concurrency_refused_total{limit="short",reason="late"}'], 1)
        wait_until(lambda: '"limit.name":"short","limit.verdict":"refused"' in w.gw.stdout(), 'the log tells')
        line = [json.loads(r) for r in w.gw.stdout().split('\n') if '"short"' in r][0]
        equal(line['queue_duration'] >= 0.1, True)
        contains(line['detail'], 'limit short: 1 are under way, and no turn in time')
        w.up.all()
        equal(first.done().status, 200)


@kinds
def observed_ones_pass(kind):
    with World() as w:
        first = Ask(w, '/seen', kind)
        w.up.arrived(1)
        second = Ask(w, '/seen', kind)
        w.up.arrived(2)
        w.under_way('seen', 2)
        w.up.all()
        equal([first.done().status, second.done().status], [200, 200])
        w.under_way('seen', 0)
        equal(w.gw.metrics()['sluice_refusals_observed_total'], 1)
        wait_until(lambda: '"limit.name":"seen","limit.verdict":"observed"' in w.gw.stdout(), 'the log tells')
        contains(w.gw.stdout(), 'concurrency concurrency_limited')


@kinds
def one_name_twice_on_the_way_is_one_turn(kind):
    with World() as w:
        w.up.all()
        equal(ask_once(w, kind, '/twice/it').status, 200)
        equal(ask_once(w, kind, '/twice/it').status, 200)
        w.under_way('twice', 0)


@test
def a_websocket_keeps_its_turn():
    with World() as w:
        upgrade = (b'GET /chat HTTP/1.1\r\nHost: gw.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                   b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
        w.up.all()
        with Client(w.gw.port) as chat:
            equal(chat.request(upgrade).status, 101)
            w.under_way('chat', 1)
            equal(ask_once(w, 'h1', '/chat').status, 429)
        w.under_way('chat', 0)
        equal(ask_once(w, 'h1', '/chat').status, 200)


@test
def a_grpc_call_is_told_in_its_way():
    with World() as w:
        grpc = [('content-type', 'application/grpc'), ('te', 'trailers')]
        w.up.hold = True
        with connect('h2', w.gw.port, None) as first, connect('h2', w.gw.port, None) as second:
            one = first.begin('GET', '/shop.Cart/Get')
            first.flush()
            w.under_way('grpc', 1)
            refused = second.request('POST', '/shop.Cart/Get', grpc, b'')
            equal(refused.status, 200)
            equal(refused.header('grpc-status'), '8')  # RESOURCE_EXHAUSTED
            first.reset(one)
            first.flush()
        w.under_way('grpc', 0)


@kinds
def a_service_works_on_two_whoever_asks(kind):
    queue, under_way = 'sluice_service_queue', 'sluice_service_concurrency'
    with World() as w:
        first = [Ask(w, p, kind) for p in ('/service-two', '/other-two')]
        w.up.arrived(2)
        second = [Raw(w, '/service-two', kind), Ask(w, '/other-two', kind)]
        w.waiting('two', 2, queue)
        refused = ask_once(w, kind, '/other-two')
        equal(refused.status, 503)
        equal(refused.header('retry-after'), '1')
        equal(json.loads(refused.body)['code'], 'service_busy')
        second[0].leave()
        w.waiting('two', 1, queue)
        w.up.let_go(2)
        equal([a.done().status for a in first], [200, 200])
        w.up.arrived(3)
        w.up.all()
        equal(second[1].done().status, 200)
        w.under_way('two', 0, under_way)
        m = w.gw.metrics()
        equal(m['sluice_service_refused_total{service="two",reason="limit"}'], 1)
        equal(m['sluice_service_queued_total{service="two"}'], 2)
        equal(m['sluice_service_unanswered{service="two"}'], 0)
        status = json.loads(w.gw.get('/status', port=w.gw.admin_port).body)
        two = [s for s in status['services'] if s['name'] == 'two'][0]['concurrency']
        equal([two[n] for n in ('limit', 'in_flight', 'waiting', 'refused_limit')], [2, 0, 0, 1])
        equal(two['adaptive_limiting'], False)


@kinds
def without_a_queue_nobody_waits(kind):
    with World() as w:
        first = Ask(w, '/service-one', kind)
        w.up.arrived(1)
        equal(ask_once(w, kind, '/service-one').status, 503)
        w.up.all()
        equal(first.done().status, 200)
        equal(ask_once(w, kind, '/service-one').status, 200)


@kinds
def a_service_gets_so_many_in_a_time(kind):
    with World() as w:
        w.up.all()
        equal([ask_once(w, kind, '/rated').status for _ in range(3)], [200, 200, 503])
        refused = ask_once(w, kind, '/rated')
        equal(json.loads(refused.body)['code'], 'service_busy')
        equal(1700 < int(refused.header('retry-after')) <= 3600, True)
        equal(w.gw.metrics()['sluice_service_refused_total{service="rated",reason="rate"}'], 2)
        equal(len(w.up.paths), 2)


@test
def a_rate_is_corrected_by_the_answer():
    """9 of 10 for the first, so the second is the last."""
    with World() as w:
        w.up.all()
        equal([ask_once(w, 'h1', '/after').status for _ in range(3)], [200, 200, 503])


@kinds
def a_reload_keeps_counts(kind):
    with World() as w:
        first = [Ask(w, '/two', kind) for _ in range(2)] + [Ask(w, '/service-one', kind)]
        w.up.arrived(3)
        config = CONFIG % (1, *[w.up.address] * 5)
        w.gw.configure(config + "      - {match: {path: /new}, respond: new}\n")
        w.gw.send_signal(1)
        wait_until(lambda: ask_once(w, kind, '/new').status == 200, 'the new configuration')
        equal(ask_once(w, kind, '/service-one').status, 503)
        waits = Ask(w, '/two', kind)
        w.waiting('two', 1)
        w.up.let_go(1)
        w.up.arrived(4)
        w.up.all()
        equal([a.done().status for a in (*first, waits)], [200] * 4)
        w.under_way('two', 0)
        w.under_way('one', 0, 'sluice_service_concurrency')


@kinds
def workers_share_a_limit(kind):
    """Exactly two at a time, whichever worker the connections came to."""
    with World(workers=3) as w:
        asks = [Ask(w, '/two', kind) for _ in range(4)]
        w.up.arrived(2)
        w.waiting('two', 2)
        many = [Ask(w, '/two', kind) for _ in range(12)]
        equal([a.done().status for a in many], [429] * 12)
        equal(len(w.up.paths), 2)
        for n in range(3, 5):
            w.up.let_go()
            w.up.arrived(n)
        w.up.all()
        equal([a.done().status for a in asks], [200] * 4)
        w.under_way('two', 0)


run()
