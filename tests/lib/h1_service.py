"""h1_service - the routes of h2_service.py over HTTP/1.1, clear text or TLS: one handler, two protocols.

    with H1Service(tls=(certificate, key)) as service: ... service.address ...

What h2 calls a reset is here the end of the connection: RST before or within an answer.
"""
import collections
import socket
import ssl
import struct
import threading
import urllib.parse

from gateway import Closed, Malformed, REQUEST_LINE, TIMEOUT, Wire
from h2_service import Gone, routes

REASONS = {200: 'OK', 204: 'No Content', 304: 'Not Modified', 404: 'Not Found', 503: 'Service Unavailable'}


class H1Stream:
    """One request and its answer, as h2_service.Stream shows it to handlers."""

    def __init__(self, connection, message):
        self.connection = connection
        method, path = message.first.decode('latin-1').split(' ')[:2]
        self.headers = [(n.decode('latin-1').lower(), v.decode('latin-1')) for n, v in message.headers]
        self.pseudo = {':method': method, ':path': path, ':scheme': connection.scheme,
                       ':authority': self.header('host')}
        self.method, self.path, self.authority, self.protocol = method, path, self.header('host'), None
        self.id = 1
        self.trailers = []
        self.received = 0
        self.chunked = self.header('transfer-encoding') == 'chunked'
        self.left = int(self.header('content-length', 0))
        self.ended = not self.chunked and not self.left
        self.answered = self.answer_chunked = False

    @property
    def query(self):
        return dict(urllib.parse.parse_qsl(self.path.partition('?')[2], keep_blank_values=True))

    def all(self, name):
        return [v for n, v in self.headers if n == name]

    def header(self, name, default=None):
        return next(iter(self.all(name)), default)

    def read(self, credit=True):
        wire = self.connection
        if self.ended:
            return b''
        if self.chunked and not self.left:
            self.left = int(wire.take_line().split(b';')[0], 16)
            if not self.left:
                fields, _ = wire.fields()
                self.trailers = [(n.decode().lower(), v.decode()) for n, v in fields]
                self.ended = True
                return b''
        if not wire.pending and not wire.more():
            raise Gone('the client is gone')
        data = wire.take(min(self.left, len(wire.pending), 65536))
        self.left -= len(data)
        self.received += len(data)
        if not self.left and self.chunked:
            wire.take(2)
        self.ended = not self.chunked and not self.left
        wire.received = b''  # large bodies are not kept
        return data

    def credit(self, n):
        pass

    def body(self):
        pieces = []
        while True:
            data = self.read()
            if not data:
                return b''.join(pieces)
            pieces.append(data)

    def send(self, data):
        try:
            self.connection.sock.sendall(data)
        except OSError as e:
            raise Gone(repr(e)) from None

    def print_head(self, status, headers):
        lines = ''.join(f'{n}: {v}\r\n' for n, v in headers)
        self.send(f'HTTP/1.1 {status} {REASONS.get(status, "Status")}\r\n{lines}\r\n'.encode('latin-1'))

    def interim(self, status, headers=()):
        self.print_head(int(status), headers)

    def head(self, status, headers=(), end=False):
        self.answered = True
        headers = list(headers)
        sized = any(n == 'content-length' for n, _ in headers)
        bodiless = self.method == 'HEAD' or status in (204, 304)
        self.answer_chunked = not sized and not bodiless and not end
        if self.answer_chunked:
            headers.append(('transfer-encoding', 'chunked'))
        elif end and not sized and not bodiless:
            headers.append(('content-length', '0'))
        self.print_head(status, headers)

    def data(self, data, end=False, size=None):
        if data and self.answer_chunked:
            self.send(b'%x\r\n%s\r\n' % (len(data), data))
        elif data:
            self.send(data)
        if end:
            self.end()

    def end(self, trailers=None):
        if self.answer_chunked:
            lines = ''.join(f'{n}: {v}\r\n' for n, v in trailers or ())
            self.send(f'0\r\n{lines}\r\n'.encode())

    def reset(self, code=None):
        self.connection.abort()
        raise Gone('reset')

    def respond(self, status=200, headers=(), body=b'', trailers=None, length=True, size=None):
        body = body if isinstance(body, bytes) else body.encode()
        fields = list(headers)
        if length and not trailers and status not in (204, 304):
            fields.append(('content-length', str(len(body))))
        self.head(status, fields, end=not (body or trailers or not length))
        if self.method == 'HEAD' or status in (204, 304):
            return
        if body:
            self.data(body)
        self.end(trailers)


class H1Connection(Wire):
    def __init__(self, service, sock, number):
        super().__init__(sock)
        self.service, self.number, self.closed = service, number, False
        self.scheme = 'https' if service.context else 'http'

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.closed = True

    def abort(self):
        raw = self.sock
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        raw.close()
        self.closed = True

    def send_goaway(self, *_):
        pass

    def serve(self):
        try:
            if self.service.context:
                self.sock = self.service.context.wrap_socket(self.sock, server_side=True)
            while not self.closed and self.one():
                pass
        except (OSError, ssl.SSLError, Closed, Malformed, Gone) as e:
            self.lost = repr(e)
        except Exception as e:
            self.service.failures.append(repr(e))
        finally:
            self.closed = True
            self.service.tell()
            self.sock.close()

    def one(self):
        if not self.pending and not self.more():
            return False
        stream = H1Stream(self, self.head(REQUEST_LINE))
        self.received = b''
        with self.service.changed:
            self.service.requests.append(stream)
            self.service.changed.notify_all()
        self.service.handler(stream)
        return stream.ended and stream.answered


class H1Service:
    def __init__(self, handler=routes, tls=None):
        self.handler, self.context = handler, None
        if tls:
            self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.context.load_cert_chain(*tls)
            self.context.set_alpn_protocols(['http/1.1'])
        self.connections, self.requests, self.failures = [], [], []
        self.counts = collections.Counter()
        self.changed = threading.Condition(threading.RLock())
        self.listener = socket.create_server(('127.0.0.1', 0), backlog=128)
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
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = H1Connection(self, sock, len(self.connections))
            self.connections.append(connection)
            threading.Thread(target=connection.serve, daemon=True).start()

    def tell(self):
        with self.changed:
            self.changed.notify_all()

    def wait(self, condition, what):
        with self.changed:
            if not self.changed.wait_for(condition, TIMEOUT):
                raise AssertionError(f'timed out: {what}')

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for c in list(self.connections):
            c.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        if kind is None and self.failures:
            raise AssertionError('the service met: ' + '; '.join(self.failures))
