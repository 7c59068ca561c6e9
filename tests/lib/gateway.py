"""gateway - what a test with real sockets needs: the gateway, a raw client, a scripted service.

    with Upstream(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok') as up:
        with Gateway(f'''
            version: 1
            listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
            services: {{a: {up.address}}}
            routes: [{{match: {{path: "/*"}}, to: a}}]
        ''') as gw:
            answer = Client(gw.port).request(b'GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n')

The gateway is $SLUICE_BIN, else build/sluice. Leaving the block ends it by its process id and fails the
test when it did not exit with 0 or a sanitizer had something to say. Nothing here sleeps to synchronise:
readiness is the listening socket, everything else is an event with a deadline (TIMEOUT seconds).
"""
import collections
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import textwrap
import threading
import time

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), '..', '..'))
SHARED_CASES = os.path.join(ROOT, '..', 'shared', 'cases')
TIMEOUT = float(os.environ.get('SLUICE_TEST_TIMEOUT', '20'))
SANITIZER = re.compile(rb'(ERROR|WARNING): \w+Sanitizer|runtime error: |SUMMARY: \w+Sanitizer')


def binary():
    path = os.environ.get('SLUICE_BIN') or os.path.join(ROOT, 'build', 'sluice')
    if not os.access(path, os.X_OK):
        raise RuntimeError(f'no gateway at {path}: run "make build" or set SLUICE_BIN')
    return os.path.abspath(path)


def run(*args, stdin=b'', timeout=TIMEOUT, env=None, cwd=None):
    """Runs a sluice command to its end: subprocess.CompletedProcess with bytes."""
    done = subprocess.run([binary(), *args], input=stdin, capture_output=True, timeout=timeout,
                          env={**os.environ, **(env or {})}, cwd=cwd, check=False)
    if SANITIZER.search(done.stderr):
        raise AssertionError(done.stderr.decode(errors='replace'))
    return done


def dev_certificates(folder=os.path.join(ROOT, 'examples', 'shop', 'certs')):
    """The development certificate that the shop's configuration names, made once: shop.pem, shop.key."""
    subprocess.run([os.path.join(ROOT, 'tools', 'dev-certificate'), folder], check=True)
    return folder


_claims = collections.deque(maxlen=256)  # of the ports given last; an old one has nobody behind it any more


def claim(port):
    """Whether no other test program was given this port lately: gateways listen with SO_REUSEPORT, so two of one
    user would share it. The claim is a name among abstract unix sockets, which is gone with the program."""
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    try:
        mark.bind(f'\0sluice-test-port-{port}')
    except OSError:
        mark.close()
        return False
    _claims.append(mark)
    return True


def free_port():
    """A port nobody listens on, outside the range that the kernel gives to outgoing connections."""
    while True:
        port = random.randint(18000, 32000)
        if not claim(port):
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(('127.0.0.1', port))
                return port
            except OSError:
                continue


def listening(port):
    """Whether somebody listens on the port; asks the kernel, so no connection is made or counted."""
    for table in ('/proc/net/tcp', '/proc/net/tcp6'):
        try:
            with open(table, encoding='ascii') as f:
                for line in f.readlines()[1:]:
                    column = line.split()
                    if column[3] == '0A' and int(column[1].split(':')[1], 16) == port:
                        return True
        except FileNotFoundError:
            continue
    return False


def wait_until(condition, what, timeout=None):
    """Polls a condition of another process, which cannot tell us, until it holds or the time is up."""
    end = time.monotonic() + (timeout or TIMEOUT)
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f'timed out: {what}')
        time.sleep(0.005)


class Gateway:
    """A running gateway. In the configuration @PORT@, @ADMIN@ and @DIR@ are put in; other ports: ports=
    ['OTHER'] gives @OTHER@ and self.ports['OTHER']. `files` are written beside the configuration."""

    def __init__(self, config, args=('--no-supervisor',), ports=(), files=None, env=None, wait=True):
        self.dir = tempfile.mkdtemp(prefix='sluice-test-')
        self.ports = {name: free_port() for name in ('PORT', 'ADMIN', *ports)}
        self.port = self.ports['PORT']
        self.stopped = False
        self.admin_port = self.ports['ADMIN']
        self.config_path = os.path.join(self.dir, 'sluice.yaml')
        for name, text in (files or {}).items():
            self.write(name, text)
        self.configure(config)
        self.log_path = os.path.join(self.dir, 'stderr')
        self.stdout_path = os.path.join(self.dir, 'stdout')
        options = {'ASAN_OPTIONS': 'detect_leaks=1:exitcode=99:detect_stack_use_after_return=1',
                   'UBSAN_OPTIONS': 'print_stacktrace=1:exitcode=99',
                   'TSAN_OPTIONS': 'exitcode=99:halt_on_error=0'}
        with open(self.log_path, 'wb') as err, open(self.stdout_path, 'wb') as out:
            self.process = subprocess.Popen(
                [binary(), 'run', '-c', self.config_path, *args], stdin=subprocess.DEVNULL, stdout=out,
                stderr=err, cwd=self.dir, env={**os.environ, **options, **(env or {})})
        if wait:
            try:
                self.wait_ready()
            except BaseException:
                self.kill()
                raise

    def write(self, name, text):
        path = os.path.join(self.dir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'wb') as f:
            f.write(text if isinstance(text, bytes) else text.encode())
        return path

    def configure(self, config):
        """Writes the configuration file anew (atomically, as a deployment does)."""
        text = textwrap.dedent(config)
        for name, value in {**self.ports, 'DIR': self.dir}.items():
            text = text.replace(f'@{name}@', str(value))
        os.rename(self.write('sluice.yaml.new', text), self.config_path)

    def wait_ready(self):
        def ready():
            if self.process.poll() is not None:
                raise AssertionError(f'the gateway exited with {self.process.returncode}:\n{self.log()}')
            return listening(self.port)
        wait_until(ready, f'no listener on port {self.port}')

    def log(self):
        with open(self.log_path, 'rb') as f:
            return f.read().decode(errors='replace')

    def stdout(self):
        with open(self.stdout_path, 'rb') as f:
            return f.read().decode(errors='replace')

    def send_signal(self, number):
        self.process.send_signal(number)

    def client(self, port=None):
        return Client(port or self.port)

    def get(self, path, *headers, port=None):
        """One GET on a connection of its own."""
        lines = ''.join(h + '\r\n' for h in headers)
        host = 'localhost' if port == self.admin_port else 'gw.test'
        with self.client(port) as c:
            return c.request(f'GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n'.encode())

    def metrics(self):
        """The metrics page as {'name{labels}': value}."""
        page = self.get('/metrics', port=self.admin_port).body.decode()
        rows = (line.rsplit(' ', 1) for line in page.split('\n') if line and line[0] != '#')
        return {name: float(value) for name, value in rows}

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        shutil.rmtree(self.dir, ignore_errors=True)

    def stop(self, code=0, number=signal.SIGTERM):
        """Ends it and checks how it ended. Once: leaving the block does not do it again."""
        if self.stopped:
            return
        self.stopped = True
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(TIMEOUT)
        except subprocess.TimeoutExpired:
            log = self.log()
            self.kill()
            raise AssertionError(f'the gateway did not stop:\n{log}') from None
        log = self.log()
        self.kill()
        if self.process.returncode != code or SANITIZER.search(log.encode()):
            raise AssertionError(f'the gateway exited with {self.process.returncode}:\n{log}')

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind is None:
            self.stop()
            return
        log = self.log()
        self.kill()
        if log:
            print('# the gateway said:\n# ' + log.rstrip().replace('\n', '\n# '))


class Closed(AssertionError):
    """The peer closed where more was expected."""


class Message:
    """A request or answer: first (the first line), headers in order, body, trailers."""

    def __init__(self, first, headers, raw_head):
        self.first = first
        self.headers = headers
        self.raw_head = raw_head
        self.body = b''
        self.trailers = []
        self.interim = []

    @property
    def status(self):
        return int(self.first.split(b' ')[1])

    @property
    def method(self):
        return self.first.split(b' ')[0].decode()

    @property
    def target(self):
        return self.first.split(b' ')[1].decode()

    def all(self, name):
        return [v.decode('latin-1') for n, v in self.headers if n.lower() == name.lower().encode()]

    def header(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default


TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
FIELD = re.compile(rb'(' + TOKEN + rb'):[ \t]*([^\x00-\x08\x0a-\x1f\x7f]*?)[ \t]*$')
REQUEST_LINE = re.compile(TOKEN + rb' [\x21-\x7e]+ HTTP/1\.[01]$')
STATUS_LINE = re.compile(rb'HTTP/1\.[01] [1-9][0-9][0-9] [^\x00-\x08\x0a-\x1f\x7f]*$')


class Malformed(AssertionError):
    pass


class Wire:
    """Reads HTTP/1.1 strictly from a socket and keeps every byte in `received`."""

    def __init__(self, sock):
        self.sock = sock
        self.received = b''
        self.pending = b''

    def more(self):
        data = self.sock.recv(65536)
        self.received += data
        self.pending += data
        return bool(data)

    def take(self, n):
        while len(self.pending) < n:
            if not self.more():
                raise Closed(f'closed; {n} bytes wanted, have {self.pending!r}')
        out, self.pending = self.pending[:n], self.pending[n:]
        return out

    def take_line(self):
        while b'\r\n' not in self.pending:
            if not self.more():
                raise Closed(f'closed within a line, have {self.pending[:200]!r}')
        line, self.pending = self.pending.split(b'\r\n', 1)
        if b'\n' in line or b'\r' in line:
            raise Malformed(f'bare CR or LF in {line!r}')
        return line

    def rest(self):
        """Everything up to the end of the connection."""
        while self.more():
            pass
        out, self.pending = self.pending, b''
        return out

    def fields(self):
        headers, raw = [], b''
        while True:
            line = self.take_line()
            raw += line + b'\r\n'
            if not line:
                return headers, raw
            m = FIELD.match(line)
            if not m:
                raise Malformed(f'header line {line!r}')
            headers.append((m.group(1), m.group(2)))

    def head(self, grammar):
        first = self.take_line()
        if not grammar.match(first):
            raise Malformed(f'first line {first!r}')
        headers, raw = self.fields()
        return Message(first, headers, first + b'\r\n' + raw)

    def chunked(self, m):
        while True:
            size = self.take_line()
            if not re.match(rb'[0-9a-fA-F]{1,8}$', size):
                raise Malformed(f'chunk size {size!r}')
            n = int(size, 16)
            if n == 0:
                m.trailers, _ = self.fields()
                return
            m.body += self.take(n)
            if self.take(2) != b'\r\n':
                raise Malformed('no CRLF after a chunk')

    def body(self, m, to_close):
        lengths, codings = m.all('content-length'), m.all('transfer-encoding')
        if len(lengths) > 1 or len(codings) > 1 or (lengths and codings):
            raise Malformed(f'framing headers {lengths} {codings}')
        if codings:
            if codings[0].lower() != 'chunked':
                raise Malformed(f'transfer-encoding {codings[0]!r}')
            self.chunked(m)
        elif lengths:
            if not re.match(r'[0-9]+$', lengths[0]):
                raise Malformed(f'content-length {lengths[0]!r}')
            m.body = self.take(int(lengths[0]))
        elif to_close:
            m.body = self.rest()

    def read_request(self):
        """The next request, or None where the peer closed between two."""
        if not self.pending and not self.more():
            return None
        m = self.head(REQUEST_LINE)
        self.body(m, False)
        return m

    def read_response(self, method='GET'):
        interim = []
        while True:
            m = self.head(STATUS_LINE)
            if m.status >= 200 or m.status == 101:
                break
            interim.append(m)
        m.interim = interim
        bodyless = method == 'HEAD' or m.status in (101, 204, 304) or \
            (method == 'CONNECT' and m.status < 300)
        if not bodyless:
            self.body(m, True)
        return m


class Client(Wire):
    """A raw client connection."""

    def __init__(self, port, host='127.0.0.1'):
        super().__init__(socket.create_connection((host, port), TIMEOUT))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data):
        self.sock.sendall(data)

    def send_pieces(self, data, size=1):
        """As segments of at most `size` bytes."""
        for at in range(0, len(data), size):
            self.sock.sendall(data[at:at + size])

    def request(self, data):
        """Sends one whole request and reads its answer."""
        self.send(data)
        return self.read_response(data.split(b' ', 1)[0].decode())

    def finish_sending(self):
        self.sock.shutdown(socket.SHUT_WR)

    def expect_close(self):
        """Nothing more comes but the end (a reset counts as one)."""
        try:
            left = self.rest()
        except ConnectionResetError:
            return
        if left:
            raise AssertionError(f'unexpected bytes before the end: {left[:300]!r}')

    def reset(self):
        """Closes with RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b'\1\0\0\0\0\0\0\0')
        self.sock.close()

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


class Connection(Wire):
    """One connection that the gateway made to an Upstream."""

    def __init__(self, sock):
        super().__init__(sock)
        self.requests = []
        self.broken = None  # why the bytes were not HTTP, or the script's failure
        self.closed = False

    def send(self, data):
        self.sock.sendall(data)


class Upstream:
    """A scripted service.

    reply: what answers each request: bytes, or a function(request, connection) that returns bytes or
    None (it has sent what it wanted itself; to close, return Upstream.CLOSE). A list of these answers
    one request each, in the order of arrival over all connections; the last one repeats.
    script: a function(connection) that plays the whole connection by hand instead.
    Every connection's exact bytes are in connections[i].received.
    """
    CLOSE = object()
    OK = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

    def __init__(self, reply=OK, script=None, path=None, port=0):
        self.replies = list(reply) if isinstance(reply, list) else [reply]
        self.script = script
        self.connections = []
        self.changed = threading.Condition()
        self.served = 0
        if path:
            self.listener = socket.socket(socket.AF_UNIX)
            self.listener.bind(path)
            self.listener.listen(128)
            self.address = 'unix:' + path
        else:
            self.listener = socket.create_server(('127.0.0.1', port), backlog=128)
            self.port = self.listener.getsockname()[1]
            self.address = f'127.0.0.1:{self.port}'
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.settimeout(TIMEOUT * 3)
            if sock.family == socket.AF_INET:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(sock)
            with self.changed:
                self.connections.append(connection)
                self.changed.notify_all()
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        try:
            if self.script:
                self.script(connection)
            else:
                while self._one(connection):
                    pass
        except (Closed, Malformed) as e:
            connection.broken = str(e)
        except OSError as e:
            connection.broken = connection.broken or str(e)
        except Exception as e:
            connection.broken = repr(e)
        finally:
            with self.changed:
                connection.closed = True
                self.changed.notify_all()
            connection.sock.close()

    def _one(self, connection):
        request = connection.read_request()
        if request is None:
            return False
        with self.changed:
            reply = self.replies[min(self.served, len(self.replies) - 1)]
            self.served += 1
            connection.requests.append(request)
            self.changed.notify_all()
        if callable(reply):
            reply = reply(request, connection)
        if reply is Upstream.CLOSE:
            return False
        if reply is not None:
            connection.send(reply)
        return True

    @property
    def requests(self):
        """All requests, connection after connection."""
        with self.changed:
            return [r for c in self.connections for r in c.requests]

    def wait(self, condition, what):
        with self.changed:
            if not self.changed.wait_for(condition, TIMEOUT):
                raise AssertionError(f'timed out: {what}')

    def wait_requests(self, n):
        self.wait(lambda: sum(len(c.requests) for c in self.connections) >= n, f'{n} requests')
        return self.requests

    def wait_connections(self, n):
        self.wait(lambda: len(self.connections) >= n, f'{n} connections')
        return self.connections

    def wait_closed(self, index=0):
        self.wait(lambda: len(self.connections) > index and self.connections[index].closed,
                  f'connection {index} closed')

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for c in list(self.connections):
            try:
                c.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def answer(body=b'ok', status='200 OK', *headers):
    """A whole answer with its length."""
    body = body if isinstance(body, bytes) else body.encode()
    lines = ''.join(h + '\r\n' for h in headers)
    return f'HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{lines}\r\n'.encode() + body
