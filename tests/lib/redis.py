"""redis - real stores for tests: a server, a set with sentinels, a cluster; and one that lies.

    from redis import Redis, Sentinels, Cluster, Liar

    with Redis('--requirepass', 'secret') as store:      # further words for redis-server
        store.url()                                      # redis://127.0.0.1:PORT
        store.command('SET', 'a', '1')                   # the reply: str, int, None, list; RedisError
        store.kill(); store.start()                      # the same port, empty
        store.pause(); store.go_on()                     # SIGSTOP, SIGCONT

Everything runs on loopback with free ports and temporary folders and is ended by its process id.
"""
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading

import gateway as lib
from tap import skip


class RedisError(Exception):
    pass


class Wire:
    """A connection that speaks RESP2."""

    def __init__(self, sock):
        self.sock = sock
        self.file = sock.makefile('rb')

    def command(self, *words):
        self.sock.sendall(encode(*words))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        if not line.endswith(b'\r\n'):
            raise OSError('closed')
        kind, rest = line[:1], line[1:-2]
        if kind == b'-':
            raise RedisError(rest.decode())
        if kind == b'+':
            return rest.decode()
        if kind == b':':
            return int(rest)
        n = int(rest)
        if n < 0:
            return None
        if kind == b'$':
            return self.file.read(n + 2)[:-2].decode(errors='replace')
        return [self.reply() for _ in range(n)]

    def close(self):
        self.file.close()
        self.sock.close()


def encode(*words):
    out = b'*%d\r\n' % len(words)
    for word in words:
        word = word if isinstance(word, bytes) else str(word).encode()
        out += b'$%d\r\n%s\r\n' % (len(word), word)
    return out


class Redis:
    """One redis-server. `port` 0: none (a unix socket)."""

    def __init__(self, *words, port=None, path=None, password=None):
        if not shutil.which('redis-server'):
            skip('redis-server is not installed')
        self.dir = tempfile.mkdtemp(prefix='sluice-redis-')
        self.port = lib.free_port() if port is None else port
        self.path = os.path.join(self.dir, 'redis.sock') if path is None else path
        self.words = words
        self.password = password
        self.process = None
        try:
            self.start()
        except BaseException:
            self.close()
            raise

    program = 'redis-server'

    def arguments(self):
        return ['--port', str(self.port), '--bind', '127.0.0.1', '--unixsocket', self.path, '--save', '',
                '--dir', self.dir, '--logfile', os.path.join(self.dir, 'log'), *self.words]

    def start(self):
        self.process = subprocess.Popen([self.program, *self.arguments()], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lib.wait_until(self.answers, f'{self.program} on port {self.port}')

    def answers(self):
        if self.process.poll() is not None:
            raise AssertionError(f'{self.program} ended with {self.process.returncode}')
        try:
            self.command('PING')
        except RedisError:
            pass
        except OSError:
            return False
        return True

    def connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(lib.TIMEOUT)
        s.connect(self.path)
        wire = Wire(s)
        if self.password:
            wire.command('AUTH', self.password)
        return wire

    def command(self, *words):
        wire = self.connect()
        try:
            return wire.command(*words)
        finally:
            wire.close()

    def url(self, scheme='redis', user='', path=''):
        return f'{scheme}://{user}127.0.0.1:{self.port}{path}'

    def kill(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait(lib.TIMEOUT)

    def pause(self):
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)

    def info(self, name):
        for line in self.command('INFO', 'everything').split('\r\n'):
            if line.startswith(name + ':'):
                return line.split(':', 1)[1]
        raise KeyError(name)

    def close(self):
        self.kill()
        shutil.rmtree(self.dir, ignore_errors=True)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Sentinel(Redis):
    program = 'redis-sentinel'

    def __init__(self, master, quorum, password=None):
        self.master, self.quorum = master, quorum
        super().__init__(password=password)

    def arguments(self):
        path = os.path.join(self.dir, 'sentinel.conf')
        with open(path, 'w', encoding='utf-8') as f:
            f.write(f'port {self.port}\nbind 127.0.0.1\nunixsocket {self.path}\ndir {self.dir}\n'
                    f'logfile {self.dir}/log\nprotected-mode no\n'
                    f'sentinel monitor main 127.0.0.1 {self.master.port} {self.quorum}\n'
                    'sentinel down-after-milliseconds main 300\nsentinel failover-timeout main 2000\n')
            if self.password:
                f.write(f'requirepass {self.password}\nsentinel sentinel-pass {self.password}\n')
        return [path]


class Sentinels:
    """Two servers, the second a replica of the first, and n sentinels that watch the set `main`."""

    def __init__(self, n=1, password=None):
        self.all = []
        try:
            self.first = self.keep(Redis())
            self.second = self.keep(Redis('--replicaof', '127.0.0.1', str(self.first.port)))
            lib.wait_until(lambda: self.second.info('master_link_status') == 'up', 'the replica is in step')
            quorum = n // 2 + 1
            self.sentinel = [self.keep(Sentinel(self.first, quorum, password)) for _ in range(n)]
            for s in self.sentinel:
                lib.wait_until(lambda s=s: self.knows(s, n), 'the sentinels know each other and the replica')
        except BaseException:
            self.close()
            raise

    def keep(self, one):
        self.all.append(one)
        return one

    @staticmethod
    def knows(sentinel, n):
        flat = sentinel.command('SENTINEL', 'MASTER', 'main')
        about = dict(zip(flat[::2], flat[1::2]))
        return about['num-slaves'] == '1' and about['num-other-sentinels'] == str(n - 1)

    def url(self, path=''):
        return 'redis+sentinel://' + ','.join(f'127.0.0.1:{s.port}' for s in self.sentinel) + '/main' + path

    def wait_master(self, server):
        """Until the sentinels say so and the server itself does."""
        for s in self.sentinel:
            lib.wait_until(lambda s=s: s.command('SENTINEL', 'get-master-addr-by-name', 'main')
                           == ['127.0.0.1', str(server.port)], 'the sentinels name the new master')
        lib.wait_until(lambda: server.command('ROLE')[0] == 'master', 'the new master knows')

    def close(self):
        for one in reversed(self.all):
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Cluster:
    """n masters; slots in equal parts."""

    def __init__(self, n=3):
        self.all = []
        try:
            for _ in range(n):
                self.all.append(Redis('--cluster-enabled', 'yes', '--cluster-node-timeout', '1000',
                                      '--cluster-port', str(lib.free_port()),
                                      '--cluster-require-full-coverage', 'no'))
            for at, node in enumerate(self.all):
                first, last = 16384 * at // n, 16384 * (at + 1) // n - 1
                node.command('CLUSTER', 'ADDSLOTSRANGE', first, last)
            for node in self.all[1:]:
                bus = self.all[0].words[self.all[0].words.index('--cluster-port') + 1]
                node.command('CLUSTER', 'MEET', '127.0.0.1', self.all[0].port, bus)
            for node in self.all:
                lib.wait_until(lambda node=node: self.whole(node, n), 'the cluster is whole')
        except BaseException:
            self.close()
            raise

    @staticmethod
    def whole(node, n):
        info = node.command('CLUSTER', 'INFO')
        return 'cluster_state:ok' in info and f'cluster_known_nodes:{n}\r' in info and \
            len(node.command('CLUSTER', 'SLOTS')) >= n

    def url(self):
        return 'redis+cluster://' + ','.join(f'127.0.0.1:{node.port}' for node in self.all)

    def owner(self, key):
        """The node that has the key's slot, as the first one says."""
        slot = self.all[0].command('CLUSTER', 'KEYSLOT', key)
        for first, last, master, *_ in self.all[0].command('CLUSTER', 'SLOTS'):
            if first <= slot <= last:
                return next(n for n in self.all if n.port == master[1]), slot
        raise KeyError(slot)

    def close(self):
        for one in self.all:
            one.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Liar:
    """A server that greets well and then answers each command with what `lie` says: bytes, or a function
    of the command's words that returns bytes (None: it closes the connection)."""

    GREETING = {b'PING': b'+PONG\r\n', b'AUTH': b'+OK\r\n', b'SELECT': b'+OK\r\n',
                b'ROLE': b'*3\r\n$6\r\nmaster\r\n:0\r\n*0\r\n'}

    def __init__(self, lie, greeting=None):
        self.lie = lie
        self.greeting = {**self.GREETING, **(greeting or {})}
        self.listener = socket.create_server(('127.0.0.1', 0))
        self.port = self.listener.getsockname()[1]
        self.commands = []
        self.connections = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def url(self, scheme='redis', path=''):
        return f'{scheme}://127.0.0.1:{self.port}{path}'

    def serve(self):
        while True:
            try:
                s, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self.talk, args=(s,), daemon=True).start()

    def talk(self, s):
        file = s.makefile('rb')
        try:
            while line := file.readline():
                words = [file.read(int(file.readline()[1:]) + 2)[:-2] for _ in range(int(line[1:]))]
                self.commands.append(words)
                answer = self.greeting.get(words[0])
                if answer is None:
                    answer = self.lie(words) if callable(self.lie) else self.lie
                if answer is None:
                    break
                s.sendall(answer)
        except (OSError, ValueError):
            pass
        file.close()
        s.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
