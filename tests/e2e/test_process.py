#!/usr/bin/env python3
"""The process: start and its refusals, supervisor and crashes, draining, systemd, privileges, limits."""
import os
import pwd
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from process import (CONFIG, GET, Notify, alive, backlog, children, serving, status, stopped)
from gateway import (Client, Closed, Gateway, Upstream, answer, binary, free_port, listening, run as command,
                     wait_until)
from tap import contains, equal, run, skip, test

up = Upstream(lambda request, _: answer(request.target))


def gateway(args=('--no-supervisor',), config=CONFIG, **more):
    return Gateway(config % up.address, args, **more)


def supervised(args=(), config=CONFIG, **more):
    return gateway(args, config, **more)


def held(gw, count=1):
    """Requests that the service has and will not answer before release() is called."""
    gate = threading.Event()

    def part(request, _):
        gate.wait(20)
        return answer('late')
    service = Upstream(part)
    gw.configure((CONFIG % up.address).replace('services: {a: ' + up.address, 'services: {a: ' + service.address))
    return service, gate


# Crashes.

@test
def a_crash_loses_no_queued_connection():
    with supervised() as gw:
        equal(gw.get('/a').status, 200)
        took = []
        pid = serving(gw)
        for _ in range(3):
            stopped(pid)
            clients = [gw.client() for _ in range(20)]
            for i, c in enumerate(clients):
                c.send(GET % b'/q%d' % i)
            equal(backlog(gw.port), 20, 'connections in the queue')
            begun = time.monotonic()
            os.kill(pid, signal.SIGKILL)
            for i, c in enumerate(clients):
                equal(c.read_response().body, b'/q%d' % i)
                if i == 0:
                    took.append(time.monotonic() - begun)
                c.close()
            pid = serving(gw, (pid,))
        print(f'# first answer {min(took) * 1000:.0f} to {max(took) * 1000:.0f} ms after the crash')
        contains(gw.log(), 'was ended by signal 9')


@test
def crashes_in_a_row_are_slowed_down():
    with supervised() as gw:
        pid = 0
        for _ in range(6):
            pid = serving(gw, (pid,))
            equal(gw.get('/a').status, 200)
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda pid=pid: not alive(pid), 'it is gone')
        equal(gw.get('/a').status, 200)
        contains(gw.log(), '5 crashes within 60 s')


@test
def a_broken_file_does_not_stop_the_restart_for_good():
    with supervised() as gw:
        pid = serving(gw)
        good = gw.config_path + '.good'
        shutil.copy(gw.config_path, good)
        gw.configure('version: 2\n')
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: 'ended with 78' in gw.log(), 'the start is refused')
        os.rename(good, gw.config_path)
        equal(gw.get('/a').status, 200)


@test
def the_end_of_the_supervisor_drains():
    gw = supervised()
    try:
        pid = serving(gw)
        c = gw.client()
        equal(c.request(GET % b'/a').status, 200)
        gw.process.kill()
        gw.process.wait()
        c.expect_close()
        wait_until(lambda: not alive(pid), 'the serving process ends')
        equal(listening(gw.port), False)
        contains(gw.log(), 'the supervisor is gone')
    finally:
        gw.kill()


# Starting.

@test([(), ('--no-supervisor',)])
def a_port_in_use(args):
    with socket.create_server(('127.0.0.1', 0)) as taken:
        gw = Gateway((CONFIG % up.address).replace('@PORT@', str(taken.getsockname()[1])), args, wait=False)
        equal(gw.process.wait(20), 1)
        text = gw.log()
        gw.kill()
    contains(text, 'listener "public"')
    contains(text, f'{gw.config_path}:3')
    contains(text, 'Address already in use')


@test
def two_gateways_do_not_share_a_port():
    with gateway() as gw:
        other = Gateway((CONFIG % up.address).replace('@PORT@', str(gw.port)), wait=False)
        equal(other.process.wait(20), 1)
        contains(other.log(), 'Address already in use')
        other.kill()
        equal(gw.get('/a').status, 200)


@test([(), ('--no-supervisor',)])
def a_bad_configuration(args):
    gw = Gateway('version: 1\nlistenrs: {}\n', args, wait=False)
    equal(gw.process.wait(20), 78)
    text = gw.log()
    gw.kill()
    contains(text, f'{gw.config_path}:2:1')
    contains(text, 'listeners')


@test
def an_admin_port_in_use():
    with socket.create_server(('127.0.0.1', 0)) as taken:
        gw = Gateway((CONFIG % up.address).replace('@ADMIN@', str(taken.getsockname()[1])), wait=False)
        equal(gw.process.wait(20), 1)
        contains(gw.log(), 'listener "admin"')
        gw.kill()


@test
def a_listener_on_a_unix_socket():
    with gateway(config=CONFIG.replace('public: {', 'local: {address: "unix:@DIR@/s"}, public: {')) as gw:
        path = os.path.join(gw.dir, 's')
        for _ in range(8):  # whichever worker has it
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(path)
                s.sendall(GET % b'/here')
                contains(s.recv(4096), b'200 OK')
        gw.stop()
        equal(os.path.exists(path), False)


@test([(), ('--no-supervisor',)])
def a_pid_file(args):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'pid')
        with gateway((*args, '--pid-file', path)) as gw:
            with open(path, encoding='ascii') as f:
                equal(f.read(), f'{gw.process.pid}\n')
            other = gateway((*args, '--pid-file', path), wait=False)
            equal(other.process.wait(20), 1)
            contains(other.log(), f'another gateway runs with it (process {gw.process.pid})')
            other.kill()
            gw.stop()
            equal(os.path.exists(path), False)


@test
def workers_are_threads():
    with gateway(('--no-supervisor', '--workers', '3')) as gw:
        def names():
            found = set()
            for task in os.listdir(f'/proc/{gw.process.pid}/task'):
                with open(f'/proc/{gw.process.pid}/task/{task}/comm', encoding='ascii') as f:
                    found.add(f.read().strip())
            return found
        # The sockets are there before the threads.
        wait_until(lambda: {'sluice-0', 'sluice-1', 'sluice-2'} <= names(), 'three workers by name')
        equal('sluice-3' in names(), False)
        equal(gw.metrics()['sluice_workers'], 3)


# Ending.

@test([(), ('--no-supervisor',)])
def term_drains(args):
    with gateway(args) as gw:
        service, gate = held(gw)
        equal(command('reload', '-c', gw.config_path).returncode, 0)
        idle, busy = gw.client(), gw.client()
        equal(idle.request(GET % b'/here').status, 200)
        busy.send(GET % b'/slow')
        service.wait_requests(1)
        gw.send_signal(signal.SIGTERM)
        idle.expect_close()
        wait_until(lambda: not listening(gw.port), 'nothing is accepted any more')
        equal(gw.process.poll(), None)
        gate.set()
        got = busy.read_response()
        equal((got.status, got.body, got.header('connection')), (200, b'late', 'close'))
        busy.expect_close()
        equal(gw.process.wait(20), 0)
        service.close()


@test([(), ('--no-supervisor',)])
def a_second_term_stops(args):
    with gateway(args) as gw:
        service, gate = held(gw)
        equal(command('reload', '-c', gw.config_path).returncode, 0)
        busy = gw.client()
        busy.send(GET % b'/slow')
        service.wait_requests(1)
        gw.send_signal(signal.SIGTERM)
        wait_until(lambda: not listening(gw.port), 'it drains')
        gw.send_signal(signal.SIGTERM)
        equal(gw.process.wait(20), 0)
        try:
            busy.read_response()
        except (Closed, ConnectionResetError):
            pass
        else:
            raise AssertionError('an answer after the end')
        gate.set()
        service.close()


@test
def draining_ends_with_the_grace():
    with gateway(config=CONFIG.replace('shutdown_grace: 20s', 'shutdown_grace: 200ms')) as gw:
        service, gate = held(gw)
        gw.configure((CONFIG % service.address).replace('shutdown_grace: 20s', 'shutdown_grace: 200ms'))
        equal(command('reload', '-c', gw.config_path).returncode, 0)
        busy = gw.client()
        busy.send(GET % b'/slow')
        service.wait_requests(1)
        gw.send_signal(signal.SIGTERM)
        equal(gw.process.wait(20), 0)
        contains(gw.log(), 'shutdown_grace is over')
        gate.set()
        service.close()


@test
def int_is_term():
    with supervised() as gw:
        gw.stop(number=signal.SIGINT)


# systemd.

def start_raw(config, args, env, files=()):
    """Starts it as a service manager does: LISTEN_PID is its own process id, files at 3 and on."""
    folder = tempfile.mkdtemp(prefix='sluice-test-')
    path = os.path.join(folder, 'sluice.yaml')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(config.replace('@DIR@', folder))
    moves = ' '.join(f'{3 + i}<&{fd}' for i, fd in enumerate(files))
    script = f'export LISTEN_PID=$$; exec "$@" {moves}'
    with open(os.path.join(folder, 'stderr'), 'wb') as err:
        process = subprocess.Popen(['/bin/bash', '-c', script, 'sh', binary(), 'run', '-c', path, *args],
                                   stdin=subprocess.DEVNULL, stderr=err, pass_fds=files,
                                   env={**os.environ, **env})
    return process, folder


def end(process, folder):
    process.terminate()
    code = process.wait(20)
    with open(os.path.join(folder, 'stderr'), encoding='utf-8') as f:
        text = f.read()
    shutil.rmtree(folder)
    if 'Sanitizer' in text:
        raise AssertionError(text)
    equal(code, 0, text)
    return text


@test([(), ('--no-supervisor',)])
def socket_activation(args):
    with socket.create_server(('127.0.0.1', 0)) as given:
        port = given.getsockname()[1]
        config = (CONFIG % up.address).replace('@PORT@', str(port)).replace('@ADMIN@', str(free_port()))
        with Client(port) as early:  # before there is a gateway
            early.send(GET % b'/early')
            fd = os.dup(given.fileno())
            os.set_inheritable(fd, True)
            while fd < 20:  # out of the way of 3
                fd = os.dup(fd)
            process, folder = start_raw(config, (*args, '--workers', '3'), {'LISTEN_FDS': '1'}, (fd,))
            equal(early.read_response().body, b'/early')
            for i in range(12):
                with Client(port) as c:
                    equal(c.request(GET % b'/%d' % i).body, b'/%d' % i)
        end(process, folder)
        os.close(fd)


@test([(), ('--no-supervisor',)])
def readiness_is_told(args):
    folder = tempfile.mkdtemp(prefix='sluice-test-')
    notify = Notify(folder)
    with gateway(args, env={'NOTIFY_SOCKET': notify.path, 'WATCHDOG_USEC': '200000'}, wait=False) as gw:
        notify.next('READY=1')
        equal(listening(gw.port), True, 'ready means listening')
        equal(gw.get('/here').status, 200)
        for _ in range(3):
            notify.next('WATCHDOG=1')
        gw.send_signal(signal.SIGHUP)
        contains(notify.next('RELOADING=1'), 'MONOTONIC_USEC=')
        notify.next('READY=1')
        gw.send_signal(signal.SIGTERM)
        notify.next('STOPPING=1')
        gw.stop()
    notify.close()
    shutil.rmtree(folder)


# Privileges.

def root_only():
    if os.geteuid() != 0:
        skip('needs root')


@test([(), ('--no-supervisor',)])
def privileges_are_dropped(args):
    root_only()
    nobody = pwd.getpwnam('nobody')
    with gateway((*args, '--user', 'nobody'), config=CONFIG.replace('log: {file: "@DIR@/access.log"}', 'log: false')) as gw:
        os.chmod(gw.dir, 0o755)
        equal(gw.get('/here').status, 200)  # it has started entirely
        pid = gw.process.pid if args else serving(gw)
        for task in os.listdir(f'/proc/{pid}/task'):
            s = status(f'{pid}/task/{task}')
            equal(s['Uid'].split(), [str(nobody.pw_uid)] * 4)
            equal(s['Gid'].split(), [str(nobody.pw_gid)] * 4)
            equal((int(s['CapEff'], 16), int(s['CapPrm'], 16)), (0, 0))
            equal(s['NoNewPrivs'], '1')
        equal(gw.get('/a').status, 200)
        # The command of root finds the gateway, and a new listener is opened for it.
        port = free_port()
        gw.configure((CONFIG % up.address).replace('log: {file: "@DIR@/access.log"}', 'log: false')
                     .replace('public:', f'more: {{address: "127.0.0.1:{port}"}}, public:'))
        done = command('reload', '-c', gw.config_path)
        equal(done.returncode, 0, done.stderr)
        equal(gw.get('/a', port=port).status, 200)


@test
def a_privileged_port_after_privileges_were_dropped():
    root_only()
    quiet = CONFIG.replace('log: {file: "@DIR@/access.log"}', 'log: false')
    port = next((p for p in range(900, 1020) if not listening(p)), None)
    with gateway(('--user', 'nobody'), config=quiet) as gw:
        os.chmod(gw.dir, 0o755)
        gw.configure((quiet % up.address).replace('public:', f'low: {{address: "127.0.0.1:{port}"}}, public:'))
        done = command('reload', '-c', gw.config_path)
        equal(done.returncode, 0, done.stderr)
        equal(gw.get('/a', port=port).status, 200)


@test([('no-such-user', 'no user "no-such-user"'), ('nobody:no-such-group', 'no group "no-such-group"'),
       ('', 'is no user name')])
def a_user_who_does_not_exist(row):
    gw = gateway(('--no-supervisor', '--user', row[0]), wait=False)
    contains([1, 2], gw.process.wait(20))
    text = gw.log()
    gw.kill()
    if gw.process.returncode == 1:
        contains(text, row[1])


# Limits.

@test
def connections_per_address():
    with gateway(config=CONFIG + '    limits: {per_ip_connections: 3}\n') as gw:
        clients = [gw.client() for _ in range(3)]
        for c in clients:
            equal(c.request(GET % b'/here').status, 200)
        with gw.client() as c:
            c.expect_close()
        equal(gw.metrics()['sluice_client_connections_refused_total{reason="address"}'], 1)
        clients[0].close()
        wait_until(lambda: gw.metrics()['sluice_client_connections_open'] <= 3, 'a place is free')
        with gw.client() as c:
            equal(c.request(GET % b'/here').status, 200)
        for c in clients:
            c.close()


@test
def connections_in_all():
    with gateway(config=CONFIG + '    limits: {max_connections: 5}\n') as gw:
        clients = [gw.client() for _ in range(5)]
        for c in clients:
            equal(c.request(GET % b'/here').status, 200)
        with gw.client() as c:
            c.expect_close()
        equal(gw.get('/livez', port=gw.admin_port).status, 200, 'the operator still gets in')
        equal(clients[4].request(GET % b'/here').status, 200)
        for c in clients:
            c.close()


@test
def descriptors_run_out():
    """Whoever is connected is served on; later ones are as soon as there is room."""
    if not shutil.which('prlimit'):
        skip('no prlimit')
    limits = '    limits: {max_connections: 100000, per_ip_connections: 100000}\n'
    with gateway(config=CONFIG + limits) as gw:
        subprocess.run(['prlimit', '--pid', str(gw.process.pid), '--nofile=128:128'], check=True)
        clients = [gw.client() for _ in range(300)]
        served = []
        for c in clients:
            c.send(GET % b'/here')
        wait_until(lambda: len(os.listdir(f'/proc/{gw.process.pid}/fd')) >= 120, 'descriptors are used up')
        waiting = {c.sock: c for c in clients}
        while len(served) < 50:
            ready, _, _ = select.select(list(waiting), [], [], 20)
            assert ready, f'{len(served)} were served'
            for sock in ready:
                served.append(waiting.pop(sock))
                equal(served[-1].read_response().status, 200)
        equal(served[0].request(GET % b'/here').status, 200, 'an open connection goes on')
        for c in served:
            c.close()
        # Who waited is served as others leave, down to the last one.
        while waiting:
            ready, _, _ = select.select(list(waiting), [], [], 20)
            assert ready, f'{len(waiting)} are never served'
            for sock in ready:
                c = waiting.pop(sock)
                equal(c.read_response().status, 200)
                c.close()
        equal(gw.get('/here').status, 200)


# Upgrade.

@test
def an_upgrade_keeps_the_sockets():
    with supervised() as gw:
        first = serving(gw)
        failed, stop = [], threading.Event()

        def load():
            while not stop.is_set():
                try:
                    if gw.get('/a').status != 200:
                        failed.append('status')
                except (OSError, AssertionError) as e:
                    failed.append(repr(e))
        threads = [threading.Thread(target=load) for _ in range(3)]
        for t in threads:
            t.start()
        gw.send_signal(signal.SIGUSR2)
        wait_until(lambda: not alive(first), 'the old one has drained')
        stop.set()
        for t in threads:
            t.join()
        equal(failed, [])
        wait_until(lambda: len(children(gw.process.pid)) == 1, 'one serving process')
        equal(gw.get('/a').status, 200)


@test
def usr1_opens_the_log_anew():
    with gateway() as gw:
        path = os.path.join(gw.dir, 'access.log')
        gw.get('/before')
        wait_until(lambda: os.path.exists(path) and '/before' in open(path, encoding='utf-8').read(), 'a line')
        os.rename(path, path + '.1')
        gw.send_signal(signal.SIGUSR1)
        wait_until(lambda: os.path.exists(path), 'a new file')
        gw.get('/after')
        wait_until(lambda: '/after' in open(path, encoding='utf-8').read(), 'a line in it')
        equal('/after' in open(path + '.1', encoding='utf-8').read(), False)


run()
