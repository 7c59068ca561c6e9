#!/usr/bin/env python3
"""What the gateway tells of itself: access log, error log, metrics, status; over rotation and reload.
suite: tsan"""
import json
import os
import signal
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import gateway
import prom
from gateway import Client, Gateway, Upstream, answer, wait_until
from tap import contains, equal, run, test

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    workers: 1                  # lines of several workers come in any order
    log: %s
    services:
      product: {endpoints: ["%s"]}
      nowhere: {endpoints: ["127.0.0.1:1"]}
    routes:
      - {name: products, match: {path: "/api/products/{id}"}, to: product}
      - {name: nowhere, match: {path: /nowhere}, to: nowhere}
      - {name: here, match: {path: /here}, respond: "here"}
      - {name: quiet, match: {path: /quiet}, respond: "quiet", log: false}
'''
FILE = '{file: access.log}'


def lines(gw, name='access.log'):
    try:
        with open(os.path.join(gw.dir, name), encoding='utf-8') as f:
            return f.read().splitlines()
    except FileNotFoundError:
        return []


def wait_lines(gw, n, name='access.log'):
    return wait_until(lambda: len(lines(gw, name)) >= n and lines(gw, name), f'{n} lines of {name}')


def families(gw):
    """The metrics page, once all but this scrape is counted: a client may have its answer a moment before."""
    def settled():
        page = prom.parse(gw.get('/metrics', port=gw.admin_port).body.decode())
        return page if sample(page, 'sluice_exchanges_in_flight') == 1 else None
    return wait_until(settled, 'something is still in flight')


def sample(page, name, **labels):
    return page[name].samples.get(tuple(sorted(labels.items())), 0)


def status(gw):
    families(gw)
    return json.loads(gw.get('/status', port=gw.admin_port).body)


@test
def a_line_for_every_request():
    with Upstream(answer(b'x' * 1000)) as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        gw.get('/api/./products/7?token=s', 'User-Agent: tests "1"', 'X-Request-ID: from-client')
        gw.get('/none')
        gw.get('/nowhere')
        gw.get('/quiet')
        with gw.client() as c:
            c.send(b'GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n')
            c.read_response()
        rows = [json.loads(line) for line in wait_lines(gw, 4)]
        equal(len(rows), 4)
        ok, none, nowhere, bad = rows
        wanted = dict(client='127.0.0.1', listener='public', protocol='HTTP/1.1', method='GET', host='gw.test',
                      path='/api/./products/7', status=200, bytes=1000, route='products', service='product',
                      endpoint=up.address, code=None, who=None, **{'limit.name': None}, user_agent='tests "1"')
        equal({k: ok[k] for k in wanted}, wanted)
        assert 0 < ok['upstream_duration'] <= ok['duration'] < 20, ok
        assert ok['request_id'] and ok['time'].endswith('Z') and len(ok['time']) == 24, ok
        equal((none['status'], none['code'], none['who'], none['route']), (404, 'no_route', 'client', None))
        equal((nowhere['code'], nowhere['who'], nowhere['upstream_duration']),
              ('connect_failed', 'upstream', None))
        equal((bad['status'], bad['who'], bad['service']), (400, 'client', None))


@test
def what_clients_send_stays_in_its_field():
    """THREATS.md K15."""
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        agents = ['a\tb', 'x' * 5000, '"},{"status":200', '\\', 'gr\u00fc\u00df \u202e', '\x85'.encode('latin-1')]
        for agent in agents:
            raw = agent if isinstance(agent, bytes) else agent.encode()
            with gw.client() as c:
                c.request(b'GET /here HTTP/1.1\r\nHost: gw.test\r\nUser-Agent: ' + raw + b'\r\n\r\n')
        got = [json.loads(line)['user_agent'] for line in wait_lines(gw, len(agents))]
        equal(got, ['a\tb', 'x' * 1024 + '\u2026', *agents[2:5], '\x85'])


@test
def combined_format_to_standard_output():
    with Upstream() as up, Gateway(CONFIG % ('{stream: stdout, format: combined}', up.address)) as gw:
        gw.get('/here?x=1', 'Referer: http://r/')
        text = wait_until(gw.stdout, 'a line on standard output')
        assert text.startswith('127.0.0.1 - - ['), text
        contains(text, '] "GET /here?x=1 HTTP/1.1" 200 4 "http://r/" "-"\n')


@test
def chosen_fields_in_their_order():
    log = '{file: access.log, fields: [status, target, end, attempts]}'
    with Upstream() as up, Gateway(CONFIG % (log, up.address)) as gw:
        gw.get('/here?q')
        equal(wait_lines(gw, 1), ['{"status":200,"target":"/here?q","end":"completed","attempts":0}'])


@test
def rotation_by_SIGUSR1():
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        gw.get('/here')
        wait_lines(gw, 1)
        os.rename(os.path.join(gw.dir, 'access.log'), os.path.join(gw.dir, 'access.log.1'))
        gw.send_signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(os.path.join(gw.dir, 'access.log')), 'the new file')
        gw.get('/nowhere')
        equal([json.loads(x)['path'] for x in wait_lines(gw, 1)], ['/nowhere'])
        equal(len(lines(gw, 'access.log.1')), 1)


@test
def nothing_is_lost_at_the_end():
    with Upstream() as up:
        gw = Gateway(CONFIG % (FILE, up.address))
        with gw.client() as c:
            for _ in range(500):
                c.request(b'GET /here HTTP/1.1\r\nHost: gw.test\r\n\r\n')
        gw.process.send_signal(signal.SIGTERM)
        equal(gw.process.wait(20), 0)
        equal(len(lines(gw)), 500)
        gw.kill()


@test
def a_log_that_cannot_be_opened():
    """THREATS.md K16: requests go on, the error log says so, and it goes on when it can."""
    log = '{file: "@DIR@/logs/access.log"}'
    with Upstream() as up, Gateway(CONFIG % (log, up.address)) as gw:
        equal(gw.get('/here').status, 200)
        wait_until(lambda: 'access_log_failed' in gw.log(), 'the error log')
        os.mkdir(os.path.join(gw.dir, 'logs'))
        gw.send_signal(signal.SIGUSR1)
        equal(len(wait_lines(gw, 1, 'logs/access.log')), 1)
        equal(gw.log().count('access_log_failed'), 1)
        contains(gw.log(), 'access_log_works')


@test
def a_reader_that_sleeps():
    """THREATS.md K16: lines are lost and counted; requests and the end of the process do not wait."""
    log = '{file: "@DIR@/pipe"}'
    with Upstream() as up, Gateway(CONFIG % (log, up.address), wait=False) as gw:
        pipe = os.path.join(gw.dir, 'pipe')
        os.mkfifo(pipe)
        gw.wait_ready()
        reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
        with gw.client() as c:
            for _ in range(6000):
                equal(c.request(b'GET /here HTTP/1.1\r\nHost: gw.test\r\n\r\n').status, 200)
        page = wait_until(lambda: (p := families(gw)) and sample(p, 'sluice_access_log_lost_total') and p, 'loss')
        equal(sample(page, 'sluice_requests_total', route='here', **{'class': '2xx'}), 6000)
        contains(gw.log(), 'access_log_behind')
        # `reader` is still open and still sleeps when the gateway ends


@test
def nearest_misses_for_the_operator():
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        equal(gw.get('/api/product/7').status, 404)
        text = wait_until(lambda: 'no_route' in gw.log() and gw.log(), 'the error log')
        contains(text, 'nearest: "products" (path is not "/api/products/{id}"')


@test
def metrics_page():
    config = CONFIG.replace('workers: 1', 'workers: 2')
    with Upstream(answer(b'x' * 1000)) as up, Gateway(config % (FILE, up.address)) as gw:
        for path in ('/api/products/1', '/api/products/2', '/none', '/nowhere', '/here'):
            gw.get(path)
        # An exchange ends after its answer has left, so its client may ask first. One is the page's own.
        page = wait_until(lambda: (p := families(gw)) and sample(p, 'sluice_exchanges_in_flight') == 1 and p,
                          'the end of all exchanges')
        for name in page:
            assert name.startswith('sluice_'), name
        equal(sample(page, 'sluice_requests_total', route='products', **{'class': '2xx'}), 2)
        equal(sample(page, 'sluice_requests_total', route='', **{'class': '4xx'}), 1)
        equal(sample(page, 'sluice_requests_total', route='nowhere', **{'class': '5xx'}), 1)
        equal(sample(page, 'sluice_response_bytes_total', route='products'), 2000)
        equal(sample(page, 'sluice_faults_total', code='no_route', who='client'), 1)
        equal(sample(page, 'sluice_faults_total', code='connect_failed', who='upstream'), 1)
        equal(page['sluice_upstream_duration_seconds'].parts['_count'],
              {(('service', 'product'),): 2.0, (('service', 'nowhere'),): 0.0})
        equal(page['sluice_upstream_failures_total'].samples,
              {(('service', 'product'),): 0.0, (('service', 'nowhere'),): 1.0})
        where = dict(service='product', endpoint=up.address)
        equal(sample(page, 'sluice_endpoint_requests_total', **where), 2)
        equal(sample(page, 'sluice_endpoint_requests_in_flight', **where), 0)
        opened = sample(page, 'sluice_endpoint_connections_open', **where)
        equal(opened, sample(page, 'sluice_endpoint_connections_idle', **where))
        ends = sum(sample(page, f'sluice_exchanges_{end}_total') for end in ('completed', 'aborted', 'rejected'))
        live = sample(page, 'sluice_exchanges_in_flight')
        equal(sample(page, 'sluice_exchanges_accepted_total'), ends + live)
        equal(live, 1)  # this scrape
        assert sample(page, 'sluice_process_resident_memory_bytes') > 1e6


@test
def series_do_not_grow_with_what_clients_send():
    """THREATS.md K17."""
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        def ask(n):
            for i in range(n):
                gw.get(f'/x{i}/{i}', f'X-A{i}: b')
            page = families(gw)
            return sum(len(f.samples) + sum(map(len, f.parts.values())) for f in page.values())
        equal(ask(50), ask(200))


@test
def counts_go_on_over_reloads():
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        gw.get('/here')
        gw.configure(CONFIG.replace('name: nowhere,', 'name: new,') % (FILE, up.address))
        done = Client(gw.admin_port)
        reply = done.request(b'POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
                             b'Accept: application/json\r\nContent-Length: 2\r\n\r\n{}')
        equal((reply.status, json.loads(reply.body)['ok']), (200, True))
        gw.get('/here')
        page = families(gw)
        equal(sample(page, 'sluice_requests_total', route='here', **{'class': '2xx'}), 2)
        equal(sample(page, 'sluice_config_reloads_total', result='ok'), 1)
        equal(len(wait_lines(gw, 2)), 2)
        gw.configure('version: 1\nroutez: []\n')
        reply = done.request(b'POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n'
                             b'Content-Length: 2\r\n\r\n{}')
        equal(reply.status, 400)
        contains(reply.body.decode(), 'routez')
        page = families(gw)
        equal(sample(page, 'sluice_config_reloads_total', result='failed'), 1)
        equal(sample(page, 'sluice_config_last_reload_success'), 0)
        equal(status(gw)['config']['last_reload_ok'], False)


@test([('evil.test', 403), ('localhost', 200), ('127.0.0.1:9', 200), ('[::1]', 200)])
def host_of_the_admin_listener(row):
    """THREATS.md K03."""
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw, gw.client(gw.admin_port) as c:
        reply = c.request(f'GET /livez HTTP/1.1\r\nHost: {row[0]}\r\n\r\n'.encode())
        equal(reply.status, row[1])


@test
def status_for_scripts_and_people():
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        gw.get('/api/products/1')
        page = status(gw)
        equal([x['name'] for x in page['listeners']], ['public'])
        product = next(s for s in page['services'] if s['name'] == 'product')
        equal((product['answers'], product['endpoints'][0]['requests']), (1, 1))
        assert product['p99_seconds'] > 0
        equal(page['config']['files'], [gw.config_path])
        got = gateway.run('status', '-c', gw.config_path, '--format', 'json')
        equal(got.returncode, 0, got.stderr)
        equal(json.loads(got.stdout)['version'], page['version'])
        got = gateway.run('status', '-c', gw.config_path)
        equal(got.returncode, 0, got.stderr)
        contains(got.stdout.decode(), f'    {up.address}: ')
        contains(got.stdout.decode(), '\nrequests       ')


@test
def status_over_a_unix_socket():
    config = CONFIG.replace('"127.0.0.1:@ADMIN@"', '"unix:@DIR@/admin.sock"')
    with Upstream() as up, Gateway(config % (FILE, up.address)) as gw:
        got = gateway.run('status', '-c', gw.config_path)
        equal(got.returncode, 0, got.stderr)
        contains(got.stdout.decode(), 'sluice ')
        with socket.socket(socket.AF_UNIX) as s:
            s.connect(os.path.join(gw.dir, 'admin.sock'))
            s.sendall(b'GET /livez HTTP/1.0\r\n\r\n')
            assert s.recv(100).startswith(b'HTTP/1.'), 'no answer'


@test
def status_without_a_gateway():
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        path = os.path.join(gw.dir, 'other.yaml')
        gw.write('other.yaml', open(gw.config_path, encoding='utf-8').read().replace(str(gw.admin_port), '1'))
        got = gateway.run('status', '-c', path)
        equal(got.returncode, 1)
        contains(got.stderr.decode(), 'no gateway can be asked at 127.0.0.1:1: Connection refused')
        gw.write('other.yaml', 'version: 1\nlisteners: {a: {address: "127.0.0.1:2"}}\n'
                               'routes: [{match: {path: /}, respond: x}]\n')
        got = gateway.run('status', '-c', path)
        equal(got.returncode, 1)
        contains(got.stderr.decode(), 'no admin listener')
        gw.write('other.yaml', 'version: 2\n')
        equal(gateway.run('status', '-c', path).returncode, 78)


@test
def routes_page():
    with Upstream() as up, Gateway(CONFIG % (FILE, up.address)) as gw:
        page = json.loads(gw.get('/routes', port=gw.admin_port).body)
        equal([r['name'] for r in page], ['products', 'nowhere', 'here', 'quiet'])
        equal(page[0]['paths'], ['/api/products/{id}'])
        assert page[0]['line'] > 0 and page[0]['file'] == gw.config_path, page[0]


run()
