#!/usr/bin/env python3
"""Reload: what is taken over, what is refused, and that nobody who is connected notices.  suite: tsan"""
import os
import signal
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from process import CONFIG, GET
from gateway import Closed, Gateway, Upstream, answer, free_port, listening, run as command, wait_until
from tap import contains, equal, run, test

up = Upstream(lambda request, _: answer(request.target))
QUICK = ('--no-supervisor', '--reload-every', '20ms')


def gateway(args=QUICK, config=CONFIG, **more):
    return Gateway(config % up.address, args, **more)


def reload(gw, code=0, *more):
    done = command('reload', '-c', gw.config_path, *more)
    equal(done.returncode, code, (done.stdout + done.stderr).decode())
    return (done.stdout + done.stderr).decode()


def with_answer(text):
    return (CONFIG % up.address).replace('respond: "here"', f'respond: "{text}"')


class Load:
    """Clients that ask on kept connections until they are stopped; what goes wrong is kept."""

    def __init__(self, gw, clients=4):
        self.gw, self.stop, self.failed, self.count = gw, threading.Event(), [], 0
        self.threads = [threading.Thread(target=self.ask) for _ in range(clients)]
        for t in self.threads:
            t.start()

    def ask(self):
        try:
            with self.gw.client() as c:
                while not self.stop.is_set():
                    got = c.request(GET % b'/load')
                    if got.status != 200 or got.header('connection'):
                        self.failed.append(got.first)
                    self.count += 1
        except (OSError, AssertionError) as e:
            self.failed.append(repr(e))

    def end(self):
        self.stop.set()
        for t in self.threads:
            t.join()
        equal(self.failed, [], 'failed or closed')
        assert self.count > 0


@test([QUICK, ('--reload-every', '20ms')])
def reloads_under_load(args):
    with gateway(args) as gw:
        load = Load(gw)
        for i in range(20):
            gw.configure(with_answer(f'v{i}'))
            reload(gw)
            equal(gw.get('/here').body, f'v{i}'.encode())
        load.end()


@test
def a_kept_connection_gets_the_new_routes():
    with gateway() as gw:
        with gw.client() as c:
            equal(c.request(GET % b'/here').body, b'here')
            gw.configure(with_answer('there'))
            reload(gw)
            equal(c.request(GET % b'/here').body, b'there')


@test
def what_is_under_way_ends_as_it_began():
    gate = threading.Event()

    def part(request, _):
        gate.wait(20)
        return answer('late')
    with Upstream(part) as service, Gateway(CONFIG % service.address, QUICK) as gw, gw.client() as c:
        c.send(GET % b'/slow')
        service.wait_requests(1)
        for i in range(20):  # more than the configurations that may be old at once
            gw.configure(with_answer(f'v{i}'))
            reload(gw)
        gate.set()
        equal(c.read_response().body, b'late')
        equal(c.request(GET % b'/here').body, b'v19')


@test
def hup_reloads():
    with gateway() as gw:
        gw.configure(with_answer('there'))
        gw.send_signal(signal.SIGHUP)
        wait_until(lambda: gw.get('/here').body == b'there', 'the new configuration')


@test
def a_storm_of_signals_is_few_reloads():
    with gateway(('--no-supervisor',)) as gw:
        gw.configure(with_answer('there'))
        for _ in range(100):
            gw.send_signal(signal.SIGHUP)
        wait_until(lambda: gw.get('/here').body == b'there', 'the new configuration')
        reload(gw)  # comes after all of them
        generation = gw.metrics()['sluice_config_generation']
        assert generation <= 5, f'{generation} configurations'


BAD = [
    ('a wrong key', 'version: 1\nlistenrs: {}\n', 'listeners'),
    ('no YAML', 'version: 1\n  a: [\n', ''),
    ('empty', '', ''),
    ('a wrong unit', (CONFIG % '127.0.0.1:1').replace('20s', '20'), ''),
    ('an unknown service', (CONFIG % '127.0.0.1:1').replace('to: a', 'to: b'), ''),
]


@test(BAD)
def a_wrong_file_changes_nothing(row):
    with gateway() as gw:
        load = Load(gw, 2)
        gw.configure(row[1])
        text = reload(gw, 78)
        contains(text, gw.config_path + ':')
        contains(text, row[2])
        contains(text, 'nothing was changed')
        equal(gw.get('/here').body, b'here')
        wait_until(lambda: 'nothing was changed' in gw.log(), 'the error log says so')
        m = gw.metrics()
        equal((m['sluice_config_generation'], m['sluice_config_last_reload_success']), (1, 0))
        load.end()
        gw.configure(with_answer('there'))
        reload(gw)
        equal(gw.get('/here').body, b'there')


@test
def diagnostics_as_json():
    with gateway() as gw:
        gw.configure('version: 1\nlistenrs: {}\n')
        done = command('reload', '-c', gw.config_path, '--format', 'json')
        equal(done.returncode, 78)
        import json
        found = json.loads(done.stdout)
        contains(json.dumps(found), 'listenrs')


@test
def a_missing_file():
    with gateway() as gw:
        os.unlink(gw.config_path)
        gw.send_signal(signal.SIGHUP)
        wait_until(lambda: 'nothing was changed' in gw.log(), 'it is refused')
        equal(gw.get('/here').body, b'here')


@test([QUICK, ('--reload-every', '20ms')])
def listeners_come_and_go(args):
    other = free_port()
    both = CONFIG.replace('public: {', f'other: {{address: "127.0.0.1:{other}"}}, public: {{')
    with gateway(args) as gw:
        for _ in range(3):
            gw.configure(both % up.address)
            reload(gw)
            with gw.client(other) as c:
                equal(c.request(GET % b'/here').status, 200)
                gw.configure(CONFIG % up.address)
                reload(gw)
                wait_until(lambda: not listening(other), 'the listener is closed')
                # The connection that came in by it is not cut off.
                try:
                    equal(c.request(GET % b'/here').status, 200)
                except Closed:
                    pass
            equal(gw.get('/here').status, 200)


@test
def a_listener_gets_another_name():
    with gateway() as gw:
        with gw.client() as c:
            equal(c.request(GET % b'/here').status, 200)
            gw.configure((CONFIG % up.address).replace('public:', 'outside:'))
            reload(gw)
            for _ in range(10):
                equal(gw.get('/here').status, 200)


@test
def a_listener_moves():
    with gateway() as gw:
        port = free_port()
        gw.configure((CONFIG % up.address).replace('@PORT@', str(port)))
        reload(gw)
        equal(gw.get('/here', port=port).status, 200)
        wait_until(lambda: not listening(gw.port), 'the old address is given up')


@test
def a_new_port_that_is_taken():
    import socket
    with gateway() as gw, socket.create_server(('127.0.0.1', 0)) as taken:
        gw.configure((CONFIG.replace('public: {', f'other: {{address: "127.0.0.1:{taken.getsockname()[1]}"}}, public: {{')
                      % up.address).replace('"here"', '"there"'))
        contains(reload(gw, 1), 'Address already in use')
        equal(gw.get('/here').body, b'here', 'nothing of it is in force')


@test
def the_admin_listener_reloads():
    with gateway() as gw:
        ask = (f'POST /reload HTTP/1.1\r\nHost: 127.0.0.1:{gw.admin_port}\r\nContent-Type: application/json\r\n'
               'Content-Length: 0\r\n\r\n').encode()
        gw.configure(with_answer('there'))
        with gw.client(gw.admin_port) as c:
            equal(c.request(ask).status, 200)
            equal(gw.get('/here').body, b'there')
            gw.configure('version: 7\n')
            got = c.request(ask)
            assert got.status >= 400, got.status
            equal(gw.get('/here').body, b'there')


@test
def nobody_to_ask():
    with gateway() as gw:
        path = gw.write('other.yaml', CONFIG % up.address)
        done = command('reload', '-c', path)
        equal(done.returncode, 1)
        contains(done.stderr.decode(), 'other.yaml')
        contains(done.stderr.decode(), 'there is none')


@test
def by_a_run_directory():
    with tempfile.TemporaryDirectory() as folder:
        with gateway((*QUICK, '--run-dir', folder)) as gw:
            gw.configure(with_answer('there'))
            done = command('reload', '-c', gw.config_path, '--run-dir', folder)
            equal(done.returncode, 0, done.stderr)
            equal(gw.get('/here').body, b'there')
            gw.stop()
        equal(os.listdir(folder), [])


run()
