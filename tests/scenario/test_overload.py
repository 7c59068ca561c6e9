#!/usr/bin/python3
"""Overload: who is refused when a worker is behind, and what happens as memory runs out (THREATS.md I24, K19-K21).

The work is real: an expression that loops some thousand times for each request. Nothing is measured but
counts, and what the gateway says of itself.
"""
import hashlib
import os
import re
import select
import socket
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import ROOT, TIMEOUT, Client, Gateway, Upstream, wait_until
from tap import contains, equal, run, test
from web_client import H1, H2, connect

DIGITS = '[' + ','.join(str(n % 10) for n in range(50)) + ']'
WORK = 'vars.n.all(a, vars.n.all(b, a + b < 1000 + size(request.path)))'
KEYS = ('noisy', *(f'quiet{i}' for i in range(6)))
LOOP = f'''
    version: 1
    workers: 1
    listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
    admin: {{address: "127.0.0.1:@ADMIN@"}}
    trusted_proxies: 127.0.0.0/8
    log: {{file: access.log, fields: [status, route, code, detail, consumer]}}
    overload: {{loop_delay: 5ms}}
    vars: {{n: {DIGITS}}}
    authenticators: {{keys: {{api_key: {{in: header, name: X-API-Key}}}}}}
    consumers: [CONSUMERS]
    routes:
      - {{name: known, match: {{path: /known}}, authenticate: keys, authorize: '{WORK}', respond: ok}}
      - {{name: open, match: {{path: /open}}, authorize: '{WORK}', respond: ok}}
      - {{name: first, match: {{path: /first}}, shed: first, respond: ok}}
      - {{name: last, match: {{path: /last}}, shed: last, authorize: '{WORK}', respond: ok}}
'''


def loop_config():
    consumers = ', '.join(f'{{name: {k}, keys: ["sha256:{hashlib.sha256(k.encode()).hexdigest()}"]}}' for k in KEYS)
    return LOOP.replace('CONSUMERS', consumers)


class Noise:
    """Asks on many connections at once, again as soon as it is answered; counts 200 and 503."""

    def __init__(self, port, request, connections=48):
        self.request, self.stopped = request, threading.Event()
        self.passed = self.refused = 0
        self.socks = [socket.create_connection(('127.0.0.1', port), TIMEOUT) for _ in range(connections)]
        self.thread = threading.Thread(target=self.play, daemon=True)
        self.thread.start()

    def play(self):
        poll = select.poll()
        by_fd = {s.fileno(): s for s in self.socks}
        for s in self.socks:
            poll.register(s, select.POLLIN)
            s.sendall(self.request)
        while not self.stopped.is_set():
            for fd, _ in poll.poll(100):
                data = by_fd[fd].recv(65536)
                if not data:
                    raise AssertionError('the gateway closed a connection')
                self.passed += data.count(b'HTTP/1.1 200 ')
                self.refused += data.count(b'HTTP/1.1 503 ')
                if b'HTTP/1.1 ' in data:
                    by_fd[fd].sendall(self.request)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join()
        for s in self.socks:
            s.close()


def get(path, *lines):
    return ('\r\n'.join([f'GET {path} HTTP/1.1', 'Host: x', *lines]) + '\r\n\r\n').encode()


def said(gw, text):
    """The error log has a writer of its own, so a line may come a bit later."""
    wait_until(lambda: text in gw.log(), f'the log says "{text}"')


def cutting(gw):
    return gw.metrics()['sluice_workers_shedding'] == 1


def ask(kind, port, path, headers, times):
    """So many requests one after the other on one connection: how many passed, and the last refusal."""
    passed, refusal = 0, None
    with connect(kind, port, None) as c:
        for _ in range(times):
            a = c.request('GET', path, headers)
            passed += a.status == 200
            refusal = a if a.status == 503 else refusal
            assert a.status in (200, 503), a.status
    return passed, refusal


def ask_together(kind, port, path, headers, times):
    """The same for several askers at once."""
    results = [None] * len(headers)

    def one(i):
        results[i] = ask(kind, port, path, headers[i], times)
    threads = [threading.Thread(target=one, args=(i,)) for i in range(len(headers))]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return [r[0] for r in results]


def calm_again(gw):
    wait_until(lambda: not cutting(gw), 'the worker keeps up')
    said(gw, 'overload: worker 0 keeps up again')


@test(['h1', 'h2'])
def one_noisy_consumer(kind):
    with Gateway(loop_config()) as gw:
        with Noise(gw.port, get('/known', 'X-API-Key: noisy')) as noise:
            wait_until(lambda: cutting(gw) and noise.refused > 200, 'refusals')
            quiet = [[('x-api-key', k)] for k in KEYS[1:]]
            passed = ask_together(kind, gw.port, '/known', quiet, 40)
            assert sum(passed) >= 0.95 * 40 * len(quiet), passed
            before = noise.passed
            wait_until(lambda: noise.passed > before, 'something passes for the noisy one too')
            refused, m = noise.refused, gw.metrics()
            assert m['sluice_requests_shed_total{reason="loop_delay"}'] >= refused > 0
            equal(m['sluice_overloads_loop_delay_total'], 1)
            status = gw.get('/status', 'Accept: text/plain', port=gw.admin_port).body.decode()
            contains(status, '1 worker refuses')
        said(gw, 'overload: worker 0 is behind')
        calm_again(gw)
        equal(ask(kind, gw.port, '/known', [('x-api-key', 'noisy')], 5), (5, None))


@test(['h1', 'h2'])
def one_noisy_address(kind):
    """IPv6: its /64, so changing the other half helps nobody."""
    with Gateway(loop_config()) as gw:
        noise6 = get('/open', 'X-Forwarded-For: 2001:db8:0:1::7')
        with Noise(gw.port, noise6) as noise:
            wait_until(lambda: cutting(gw) and noise.refused > 200, 'refusals')
            same = ask(kind, gw.port, '/open', [('x-forwarded-for', '2001:db8:0:1::99')], 100)
            quiet = [[('x-forwarded-for', f'192.0.2.{i}')] for i in range(4)]
            passed = ask_together(kind, gw.port, '/open', quiet, 40)
            assert sum(passed) >= 0.95 * 40 * len(quiet), passed
            assert same[0] < 90, same[0]
            equal(same[1].header('retry-after'), '1')
            contains(same[1].body.decode(), '"code":"overloaded"')
        calm_again(gw)


@test(['h1', 'h2'])
def wrong_keys_and_right_ones_from_one_address(kind):
    """Who shows nothing is judged by his address, who is known by his name."""
    with Gateway(loop_config()) as gw:
        with Noise(gw.port, get('/open')) as noise:
            wait_until(lambda: cutting(gw) and noise.refused > 200, 'refusals')
            passed = ask(kind, gw.port, '/known', [('x-api-key', 'quiet1'), ('x-forwarded-for', '192.0.2.9')], 40)[0]
            assert passed >= 38, passed
        calm_again(gw)


@test(['h1', 'h2'])
def what_matters_more(kind):
    with Gateway(loop_config()) as gw:
        first, _ = ask(kind, gw.port, '/first', [('x-forwarded-for', '192.0.2.1')], 3)
        equal(first, 3)
        with Noise(gw.port, get('/open')) as noise:
            wait_until(lambda: cutting(gw) and noise.refused > 200, 'refusals')
            first, refusal = ask(kind, gw.port, '/first', [('x-forwarded-for', '192.0.2.1')], 20)
            equal(first, 0)
            equal(refusal.status, 503)
            last, _ = ask(kind, gw.port, '/last', [('x-forwarded-for', '192.0.2.2')], 40)
            assert last >= 38, last
            equal(gw.get('/metrics', port=gw.admin_port).status, 200)
        calm_again(gw)


@test
def the_example_of_the_document():
    """docs/overload.md: /suggestions is refused first, /health is not, the rest by share."""
    with open(os.path.join(ROOT, 'docs', 'overload.md'), encoding='utf-8') as f:
        example = re.search(r'^```yaml\n(.*?)^```', f.read(), re.M | re.S).group(1)
    contains(example, 'loop_delay: 100ms')
    example = example.replace('100ms', '5ms').replace(
        'routes:\n', f"routes:\n  - {{match: {{path: /work}}, authorize: '{WORK}', respond: ok}}\n")
    head = ('version: 1\nworkers: 1\nlisteners: {public: {address: "127.0.0.1:@PORT@"}}\n'
            f'admin: {{address: "127.0.0.1:@ADMIN@"}}\ntrusted_proxies: 127.0.0.0/8\nvars: {{n: {DIGITS}}}\n')
    with Upstream() as up, Gateway(f'{head}services: {{app: "{up.address}"}}\n{example}') as gw:
        other = [('x-forwarded-for', '192.0.2.1')]
        equal([ask('h1', gw.port, p, other, 2)[0] for p in ('/health', '/suggestions', '/x')], [2, 2, 2])
        with Noise(gw.port, get('/work')) as noise:
            wait_until(lambda: cutting(gw) and noise.refused > 200, 'refusals')
            equal([ask('h1', gw.port, p, other, 5)[0] for p in ('/health', '/suggestions', '/x')], [5, 0, 5])


@test
def off_and_on_by_reload():
    with Gateway(loop_config().replace('{loop_delay: 5ms}', 'false')) as gw:
        with Noise(gw.port, get('/open')) as noise:
            wait_until(lambda: noise.passed > 300, 'requests')
            equal(noise.refused, 0)
            gw.configure(loop_config())
            gw.send_signal(1)
            wait_until(lambda: noise.refused > 50, 'refusals')
            gw.configure(loop_config().replace('{loop_delay: 5ms}', 'false'))
            gw.send_signal(1)
            wait_until(lambda: gw.log().count('is in force') == 2 and not cutting(gw), 'the second reload')
            passed, refused = noise.passed, noise.refused
            wait_until(lambda: noise.passed > passed + 300, 'more requests')
            assert noise.refused < refused + 100, 'those under way alone'


# ---- memory ----

MIB = 1 << 20
MEMORY = '''
    version: 1
    workers: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    OVERLOAD
    limits: {max_body: 2MiB, per_ip_connections: 1000, keepalive_timeout: 1h}
    routes:
      - {name: body, match: {path: /body}, authorize: 'request.body.ok', respond: ok}
      - {name: fast, match: {path: /fast}, respond: ok}
      - {name: last, match: {path: /last}, shed: last, respond: ok}
      - {name: first, match: {path: /first}, shed: first, respond: ok}
'''
# What is freed shall go back to the system, as it does in a build without the sanitizer.
ASAN = {'ASAN_OPTIONS': 'detect_leaks=1:exitcode=99:quarantine_size_mb=0:thread_local_quarantine_size_kb=0'
                        ':allocator_release_to_os_interval_ms=0'}
BODY = 900 * 1024  # collected for an expression: that much is held until it is whole


class Holders:
    """Requests whose bodies the gateway gathers, and which never become whole."""

    def __init__(self, port, count):
        self.sent = 0
        self.all = []
        for _ in range(count):
            c = Client(port)
            c.send(b'POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n{"ok": "' % BODY)
            self.all.append(c)

    def grow(self, size):
        """A bit more of each body; False: they are as large as they get."""
        if self.sent + size >= BODY - 8:
            return False
        self.sent += size
        for c in self.all:
            try:
                c.send(b'x' * size)
            except OSError:
                pass  # it was ended
        return True

    def close(self):
        for c in self.all:
            c.close()


def level(gw):
    return int(gw.metrics()['sluice_memory_level'])


def seen(gw, holders):
    """What was sent has been read, and memory has been looked at since."""
    m = gw.metrics()
    return (m['sluice_client_bytes_received_total'] >= len(holders.all) * holders.sent and
            abs(m['sluice_memory_used_bytes'] - m['sluice_process_resident_memory_bytes']) < MIB // 2)


def grow_to(gw, holders, wanted):
    while level(gw) < wanted:
        assert holders.grow(4096), f'level {wanted} was not reached'
        wait_until(lambda: seen(gw, holders), 'the bytes are read')


def memory_gateway(spare):
    """With so many bytes more than it uses at rest."""
    with Gateway(MEMORY.replace('OVERLOAD', 'overload: {}'), env=ASAN) as gw:
        wait_until(lambda: "serving:" in gw.log(), "the admin listener")
        rest = int(gw.metrics()['sluice_process_resident_memory_bytes'])
    return Gateway(MEMORY.replace('OVERLOAD', f'overload: {{memory: {max(rest + spare, 16 * MIB)}B}}'), env=ASAN)


@test
def memory_runs_out():
    with memory_gateway(120 * MIB) as gw:
        idle1, idle2 = H1(gw.port), H2(gw.port)
        for c in (idle1, idle2):
            equal(c.request('GET', '/fast').status, 200)
        holders = Holders(gw.port, 250)
        wait_until(lambda: gw.metrics()['sluice_exchanges_in_flight'] >= 250, 'all bodies begun')
        busy = H2(gw.port)
        busy.begin('POST', '/body', [('content-length', '1000')], end=False)
        equal(busy.request('GET', '/fast').status, 200)
        equal(busy.goaway, None)

        grow_to(gw, holders, 1)
        said(gw, 'connections close after their answer')
        with H1(gw.port) as c:
            a = c.request('GET', '/fast')
            equal((a.status, a.header('connection')), (200, 'close'))
        with H1(gw.port) as c:
            equal(c.request('GET', '/first').status, 503)
        left = gw.metrics()['sluice_client_h2_goaways_graceful_total']
        busy.begin('GET', '/fast')
        wait_until(lambda: gw.metrics()['sluice_client_h2_goaways_graceful_total'] > left, 'GOAWAY')
        idle1.wire.expect_close()
        idle2.until(lambda: idle2.closed, 'the end of an idle HTTP/2 connection')
        assert gw.metrics()['sluice_client_connections_spared_total'] >= 2

        grow_to(gw, holders, 2)
        said(gw, 'new requests get 503')
        with H1(gw.port) as c:
            a = c.request('GET', '/fast')
            equal((a.status, a.header('retry-after')), (503, '1'))
        with H1(gw.port) as c:
            equal(c.request('GET', '/last').status, 200)
        contains(gw.get('/status', 'Accept: text/plain', port=gw.admin_port).body.decode(), 'MiB in use (level ')

        wait_until(lambda: not holders.grow(16 * 1024) or
                   gw.metrics()['sluice_requests_ended_memory_total'] > 0, 'level 3')
        wait_until(lambda: gw.metrics()['sluice_requests_ended_memory_total'] > 0, 'the largest are ended')
        said(gw, 'nobody is accepted')

        holders.close()
        busy.sock.close()
        wait_until(lambda: level(gw) == 0, 'enough memory')
        said(gw, 'as usual again')
        with H1(gw.port) as c:
            a = c.request('GET', '/fast')
            equal((a.status, a.header('connection')), (200, None))
        m = gw.metrics()
        assert m['sluice_requests_shed_total{reason="memory"}'] >= 2
        assert m['sluice_overloads_memory_total'] >= 1
        wait_until(lambda: gw.metrics()['sluice_exchanges_in_flight'] <= 2, 'all have ended but one')


run()
