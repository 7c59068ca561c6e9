#!/usr/bin/python3
"""h2_service - an HTTP/2 service for tests, on python3-h2: clear text or TLS with ALPN.

    with H2Service() as service:                       # the routes below
        ... services: {a: {endpoints: [@service.address@], protocol: h2c}} ...

    def mine(stream):                                  # or a handler of your own, a thread a stream
        body = stream.body()
        stream.respond(200, body=b'ok', trailers=[('x-sum', '1')])
    with H2Service(mine, tls=(certificate, key), settings={'MAX_CONCURRENT_STREAMS': 1}) as service:

Everything that came is kept: service.requests, service.connections[i].streams, .events, .goaway,
.settings (the peer's). wait(..) waits for a condition over them, with a deadline. What the peer sends
is judged strictly by h2; a violation is in connection.broken and fails the test at the end of the
block unless the service was made with tolerant=True.

Routes (`routes`), all of any method; HEAD gets the head alone:
    /                      200 "ok"
    /status/NNN            that status, with its number as body where it has one
    /headers               JSON: method, scheme, authority, path, headers, body length, trailers,
                           stream and connection numbers
    /echo                  the body as it comes, DATA by DATA; request trailers come back as trailers
    /upload                reads all: JSON of length, sha256, trailers
    /bytes/N               N bytes of pattern(N), with content-length; ?length=no: without;
                           ?chunk=N bytes a DATA; ?trailers=1
    /pieces/N              N DATA frames "piece 0\\n" .., ?ms=N between two
    /events/N              text/event-stream of N events, ?ms=N between two
    /trailers              "body", then trailers x-sum: 4 and grpc-status: 0
    /trailers-only         one HEADERS with END_STREAM, grpc-status 5
    /interim/N             N interim heads (?status=103, with a link), then 200 "ok"
    /early                 200 "early" without reading the body, then RST_STREAM(NO_ERROR)
    /early-open            the same without the reset: the stream stays half open
    /slow?ms=N             200 "ok" after N ms
    /slow-read?size=N&ms=M reads N bytes every M ms (the stream's window follows), then as /upload
    /hang                  never answers; /half: a head with content-length 10, 5 bytes, silence
    /reset?code=CANCEL     RST_STREAM; ?after=headers, ?after=data: behind a head, behind 5 bytes
    /refuse?times=N        REFUSED_STREAM the first N times (default 1; per path and query), then 200
    /goaway?last=N         GOAWAY with that last stream (default: this one), ?code=NO_ERROR; streams up
                           to it are answered; ?close=1: closes after that
    /close, /abort         closes, resets the connection without an answer
    /length?say=N&send=M   content-length N, M bytes, END_STREAM
    /header?name=N&value=V an answer with that field, unchecked
    /fields/N?size=M       an answer with N fields of M bytes each
    CONNECT :protocol      extended CONNECT (RFC 8441): 200, then each WebSocket frame comes back unmasked; /refuse: 403
    /package.Service/Method  gRPC: echoes each message. Method Fail: trailers-only, status 5; Sum: the number of messages as one message at the end
"""
import argparse
import collections
import hashlib
import json
import os
import select
import socket
import ssl
import struct
import sys
import threading
import time
import urllib.parse

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

TIMEOUT = float(os.environ.get('SLUICE_TEST_TIMEOUT', '20'))


def pattern(n, at=0):
    """n bytes that no power of two hides: a piece lost or twice is seen."""
    base = bytes(97 + (i % 23 + i // 23 % 3) % 26 for i in range(23 * 3))
    at %= len(base)
    return (base * ((n + at) // len(base) + 1))[at:at + n]


class Gone(Exception):
    """The stream or its connection is over."""


def wait_readable(sock):
    """Until something has come. A system call that is short, so that another thread's close ends it."""
    while not select.select([sock], [], [], 0.2)[0]:
        pass


class _Plain:
    def __init__(self, sock):
        self.sock = sock
        self.alpn = None

    def receive(self):
        wait_readable(self.sock)
        return self.sock.recv(65536)

    def send(self, data):
        self.sock.sendall(data)


class _Tls:
    """TLS over memory, so that one thread may wait for bytes while others write."""

    def __init__(self, sock, context):
        self.sock = sock
        self.lock = threading.Lock()
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.object = context.wrap_bio(self.incoming, self.outgoing, server_side=True)
        self.handshake()
        self.alpn = self.object.selected_alpn_protocol()

    def flush(self):
        data = self.outgoing.read()
        if data:
            self.sock.sendall(data)

    def handshake(self):
        while True:
            try:
                self.object.do_handshake()
                self.flush()
                return
            except ssl.SSLWantReadError:
                self.flush()
                data = self.sock.recv(65536)
                if not data:
                    raise ConnectionError('closed in the handshake') from None
                self.incoming.write(data)

    def receive(self):
        while True:
            with self.lock:
                try:
                    return self.object.read(65536)
                except ssl.SSLWantReadError:
                    self.flush()
                except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                    return b''
            wait_readable(self.sock)
            data = self.sock.recv(65536)
            if not data:
                return b''
            with self.lock:
                self.incoming.write(data)

    def send(self, data):
        with self.lock:
            self.object.write(data)
            self.flush()


def tls_context(certificate, key, alpn=('h2',)):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(list(alpn))
    return context


class Stream:
    """One request and its answer. Its methods may be called from any thread."""

    def __init__(self, connection, number, headers):
        self.connection = connection
        self.id = number
        self.headers = [(n, v) for n, v in headers if not n.startswith(':')]
        self.pseudo = {n: v for n, v in headers if n.startswith(':')}
        self.trailers = []
        self.chunks = collections.deque()
        self.received = 0  # bytes of DATA
        self.ended = False  # END_STREAM has come
        self.reset_code = None  # of the peer's RST_STREAM
        self.answered = False

    @property
    def method(self):
        return self.pseudo.get(':method')

    @property
    def path(self):
        return self.pseudo.get(':path', '')

    @property
    def authority(self):
        return self.pseudo.get(':authority')

    @property
    def protocol(self):
        return self.pseudo.get(':protocol')

    @property
    def query(self):
        parts = urllib.parse.parse_qsl(self.path.partition('?')[2], keep_blank_values=True)
        return dict(parts)

    def all(self, name):
        return [v for n, v in self.headers if n == name]

    def header(self, name, default=None):
        return next(iter(self.all(name)), default)

    # What comes

    def over(self):
        return self.reset_code is not None or self.connection.closed

    def read(self, credit=True):
        """The next piece of the body; b'' at its end. Gone: reset. Its window is opened again."""
        c = self.connection
        with c.changed:
            c.changed.wait_for(lambda: self.chunks or self.ended or self.over())
            if not self.chunks:
                if self.ended:
                    return b''
                raise Gone(f'stream {self.id} is over')
            data = self.chunks.popleft()
            if credit:
                self.credit(len(data))
            return data

    def credit(self, n):
        """Opens the stream's window by n bytes."""
        def more(h):
            if n and not self.ended:
                h.increment_flow_control_window(n, self.id)
        try:
            self.connection.do(more)
        except Gone:
            pass

    def body(self):
        out = b''
        while True:
            data = self.read()
            if not data:
                return out
            out += data

    # What goes

    def interim(self, status, headers=()):
        self.connection.do(lambda h: h.send_headers(
            self.id, [(':status', str(status)), *headers]))

    def head(self, status, headers=(), end=False):
        self.answered = True
        self.connection.do(lambda h: h.send_headers(
            self.id, [(':status', str(status)), *headers], end_stream=end))

    def data(self, data, end=False, size=None):
        """All of it, as far as the windows allow, waiting for more; `size`: bytes a frame."""
        c, at = self.connection, 0
        while at < len(data) or (end and at == len(data) == 0):
            with c.changed:
                c.changed.wait_for(lambda: self.over() or not data or c.window(self.id) > 0)
                if self.over():
                    raise Gone(f'stream {self.id} is over')
                n = min(len(data) - at, c.window(self.id) if data else 0,
                        c.h.max_outbound_frame_size, size or 1 << 24)
                last = end and at + n == len(data)
                c.do(lambda h: h.send_data(self.id, data[at:at + n], end_stream=last))
            at += n
            if last:
                return

    def end(self, trailers=None):
        if trailers:
            self.connection.do(lambda h: h.send_headers(self.id, trailers, end_stream=True))
        else:
            self.connection.do(lambda h: h.end_stream(self.id))

    def reset(self, code=h2.errors.ErrorCodes.CANCEL):
        if isinstance(code, str):
            code = h2.errors.ErrorCodes[code]
        self.connection.do(lambda h: h.reset_stream(self.id, code))

    def respond(self, status=200, headers=(), body=b'', trailers=None, length=True, size=None):
        """A whole answer; to HEAD the head alone."""
        body = body if isinstance(body, bytes) else body.encode()
        fields = list(headers)
        if length and not trailers and status not in (204, 304):
            fields.append(('content-length', str(len(body))))
        if self.method == 'HEAD' or not (body or trailers):
            self.head(status, fields, end=True)
            return
        if not size and not trailers and self._at_once(status, fields, body):
            return
        self.head(status, fields)
        if body:
            self.data(body, end=not trailers, size=size)
        if trailers:
            self.end(trailers)

    def _at_once(self, status, fields, body):
        """What fits leaves in one piece: who closes then cuts nothing in half."""
        def whole(h):
            h.send_headers(self.id, [(':status', str(status)), *fields])
            h.send_data(self.id, body, end_stream=True)
        c = self.connection
        with c.changed:
            if self.over() or len(body) > min(c.window(self.id), c.h.max_outbound_frame_size):
                return False
            self.answered = True
            c.do(whole)
            return True


class Connection:
    def __init__(self, service, sock, number):
        self.service = service
        self.sock = sock
        self.number = number
        self.wire = None
        self.changed = threading.Condition(threading.RLock())
        self.h = None
        self.streams = {}
        self.events = []  # of h2, all of them
        self.pings = 0
        self.goaway = None  # the peer's (code, last stream)
        self.settings = {}  # the peer's
        self.broken = None  # why what came was not HTTP/2
        self.closed = False

    def window(self, stream):
        try:
            return self.h.local_flow_control_window(stream)
        except h2.exceptions.ProtocolError:
            return 1  # it is over: sending tells

    def do(self, fn):
        """Calls fn(h2 connection) and sends what came of it. Gone: nobody is there any more."""
        with self.changed:
            if self.closed:
                raise Gone('the connection is over')
            try:
                fn(self.h)
                self.flush()
            except (h2.exceptions.StreamClosedError, h2.exceptions.NoSuchStreamError, OSError,
                    KeyError) as e:  # h2 has forgotten the stream
                raise Gone(repr(e)) from None
            except h2.exceptions.ProtocolError as e:
                if self.goaway:  # then h2 sends nothing any more
                    raise Gone(repr(e)) from None
                raise

    def flush(self):
        data = self.h.data_to_send()
        if data:
            self.wire.send(data)

    def send_raw(self, data):
        """Bytes as they are, past h2."""
        with self.changed:
            try:
                self.wire.send(data)
            except OSError as e:
                raise Gone(repr(e)) from None

    def send_goaway(self, last=None, code='NO_ERROR'):
        with self.changed:
            if last is None:
                last = max(self.streams, default=0)
            self.send_raw(struct.pack('>I', 8)[1:] + b'\x07\0' + bytes(4) +
                          struct.pack('>II', last, h2.errors.ErrorCodes[code].value))

    def close(self):
        try:
            self.sock.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass

    def abort(self):
        """RST, as soon as the reading thread has let go of it."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))
        with self.changed:
            self.closed = True
            self.changed.notify_all()
        self.sock.close()

    # The reading thread

    def serve(self):
        try:
            self.wire = (_Tls(self.sock, self.service.context) if self.service.context
                         else _Plain(self.sock))
            if self.wire.alpn not in (None, 'h2'):
                raise ConnectionError(f'ALPN chose {self.wire.alpn}')
            with self.changed:
                self.begin()
            while not self.closed:
                data = self.wire.receive()
                if not data:
                    break
                with self.changed:
                    self.take(data)
        except h2.exceptions.ProtocolError as e:
            self.broken = repr(e)
            try:
                self.flush()
            except OSError:
                pass
        except (OSError, ssl.SSLError, ValueError) as e:
            self.lost = repr(e)
        finally:
            with self.changed:
                self.closed = True
                self.changed.notify_all()
            self.sock.close()
            self.service.tell()

    def begin(self):
        config = h2.config.H2Configuration(client_side=False, header_encoding='utf-8',
                                           validate_outbound_headers=False,
                                           normalize_outbound_headers=False)
        self.h = h2.connection.H2Connection(config)
        codes = h2.settings.SettingCodes
        values = {codes.MAX_CONCURRENT_STREAMS: 100, codes.ENABLE_CONNECT_PROTOCOL: 1}
        values.update({codes[n]: v for n, v in self.service.settings.items()})
        self.h.local_settings = h2.settings.Settings(client=False, initial_values={
            codes.MAX_HEADER_LIST_SIZE: 65536, **values})
        self.h.initiate_connection()
        if self.service.connection_window > 65535:
            self.h.increment_flow_control_window(self.service.connection_window - 65535)
        self.flush()

    def take(self, data):
        for event in self.h.receive_data(data):
            self.events.append(event)
            self.on(event)
        self.flush()
        self.changed.notify_all()

    def on(self, event):
        stream = self.streams.get(getattr(event, 'stream_id', None))
        if isinstance(event, h2.events.RequestReceived):
            stream = Stream(self, event.stream_id, event.headers)
            self.streams[event.stream_id] = stream
            self.service.begin(stream)
        elif isinstance(event, h2.events.DataReceived):
            if event.flow_controlled_length:
                self.h.increment_flow_control_window(event.flow_controlled_length)
            stream.received += len(event.data)
            padding = event.flow_controlled_length - len(event.data)
            if padding and not event.stream_ended:
                self.h.increment_flow_control_window(padding, event.stream_id)
            if event.data:
                stream.chunks.append(event.data)
        elif isinstance(event, h2.events.TrailersReceived):
            stream.trailers = list(event.headers)
        elif isinstance(event, h2.events.StreamEnded):
            stream.ended = True
        elif isinstance(event, h2.events.StreamReset) and stream:
            stream.reset_code = event.error_code
        elif isinstance(event, h2.events.PingReceived):
            self.pings += 1
        elif isinstance(event, h2.events.RemoteSettingsChanged):
            self.settings.update({s.setting.name: s.new_value
                                  for s in event.changed_settings.values()
                                  if isinstance(s.setting, h2.settings.SettingCodes)})
        elif isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = (event.error_code, event.last_stream_id)


class H2Service:
    """handler(stream) runs in a thread of its own for every request. tls: (certificate, key) files.
    settings: by name of h2.settings.SettingCodes, over MAX_CONCURRENT_STREAMS 100 and
    ENABLE_CONNECT_PROTOCOL 1. alpn: what TLS offers."""

    def __init__(self, handler=None, tls=None, settings=None, connection_window=1 << 20, port=0,
                 host='127.0.0.1', alpn=('h2',), tolerant=False):
        self.handler = handler or routes
        self.context = tls_context(*tls, alpn=alpn) if tls else None
        self.settings = settings or {}
        self.connection_window = connection_window
        self.tolerant = tolerant
        self.connections = []
        self.requests = []  # streams, in the order of their heads
        self.failures = []  # of handlers
        self.counts = collections.Counter()  # for routes
        self.changed = threading.Condition(threading.RLock())
        self.listener = socket.create_server((host, port), backlog=128)
        self.port = self.listener.getsockname()[1]
        self.address = f'{host}:{self.port}'
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with self.changed:
                connection = Connection(self, sock, len(self.connections))
                self.connections.append(connection)
                self.changed.notify_all()
            threading.Thread(target=connection.serve, daemon=True).start()

    def begin(self, stream):
        with self.changed:
            self.requests.append(stream)
            self.changed.notify_all()
        threading.Thread(target=self._handle, args=(stream,), daemon=True).start()

    def _handle(self, stream):
        try:
            self.handler(stream)
        except Gone:
            pass
        except Exception as e:
            self.failures.append(f'{stream.method} {stream.path}: {e!r}')
        self.tell()

    def tell(self):
        with self.changed:
            self.changed.notify_all()

    def wait(self, condition, what):
        end = time.monotonic() + TIMEOUT
        with self.changed:
            while not condition():
                if time.monotonic() > end:
                    raise AssertionError(f'timed out: {what}')
                self.changed.wait(0.02)  # what happens within a connection tells nobody here

    def wait_requests(self, n):
        self.wait(lambda: len(self.requests) >= n, f'{n} requests, have {len(self.requests)}')
        return self.requests

    def wait_connections(self, n):
        self.wait(lambda: len(self.connections) >= n, f'{n} connections')
        return self.connections

    def wait_closed(self, index=0):
        self.wait(lambda: len(self.connections) > index and self.connections[index].closed,
                  f'connection {index} closed')

    def wait_reset(self, stream):
        self.wait(lambda: stream.reset_code is not None, f'a reset of stream {stream.id}')
        return stream.reset_code

    def close(self):
        try:
            self.listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self.listener.close()
        for c in list(self.connections):
            c.close()

    def check(self):
        """What is wrong so far; raises."""
        wrong = [c.broken for c in self.connections if c.broken] + self.failures
        if wrong and not self.tolerant:
            raise AssertionError('the service met: ' + '; '.join(wrong))

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        self.close()
        if kind is None:
            self.check()


# ---- routes ----

def _headers(s):
    s.body()
    about = {'method': s.method, 'scheme': s.pseudo.get(':scheme'), 'authority': s.authority,
             'path': s.path, 'headers': s.headers, 'length': s.received, 'trailers': s.trailers,
             'stream': s.id, 'connection': s.connection.number}
    s.respond(200, [('content-type', 'application/json')], json.dumps(about))


def _echo(s):
    kind = s.header('content-type', 'application/octet-stream')
    length = s.header('content-length')
    s.head(200, [('content-type', kind)] + ([('content-length', length)] if length else []))
    while True:
        data = s.read()
        if not data:
            break
        if s.method != 'HEAD':
            s.data(data)
    s.end([(n, v) for n, v in s.trailers if n[0] != ':'])


def _upload(s):
    digest, length = hashlib.sha256(), 0
    q = s.query
    while True:
        data = s.read(credit='size' not in q)
        if not data:
            break
        if 'size' in q:
            for at in range(0, len(data), int(q['size'])):
                time.sleep(int(q.get('ms', 1)) / 1000)
                s.credit(min(int(q['size']), len(data) - at))
        length += len(data)
        digest.update(data)
    s.respond(200, [('content-type', 'application/json')],
              json.dumps({'length': length, 'sha256': digest.hexdigest(), 'trailers': s.trailers}))


def _bytes(s, n):
    q = s.query
    trailers = [('x-sum', str(n))] if 'trailers' in q else None
    s.respond(200, body=pattern(int(n)), length=q.get('length') != 'no', trailers=trailers,
              size=int(q['chunk']) if 'chunk' in q else None)


def _pieces(s, n, text='piece %d\n', kind='text/plain'):
    s.head(200, [('content-type', kind)])
    for i in range(int(n)):
        if i and 'ms' in s.query:
            time.sleep(int(s.query['ms']) / 1000)
        s.data((text % i).encode())
    s.end()


def _interim(s, n):
    status = s.query.get('status', '103')
    for i in range(int(n)):
        s.interim(status, [('link', f'</{i}.css>; rel=preload')])
    s.respond(200, body=b'ok')


def _reset(s):
    after = s.query.get('after', '')
    if after:
        s.head(200, [('content-length', '10')])
    if after == 'data':
        s.data(b'12345')
    s.reset(s.query.get('code', 'CANCEL'))


def _refuse(s):
    with s.connection.service.changed:
        s.connection.service.counts[s.path] += 1
        often = s.connection.service.counts[s.path]
    if often <= int(s.query.get('times', 1)):
        s.reset('REFUSED_STREAM')
    else:
        s.body()
        s.respond(200, body=b'ok')


def _goaway(s):
    q = s.query
    last = int(q.get('last', s.id))
    s.connection.send_goaway(last, q.get('code', 'NO_ERROR'))
    if last >= s.id:
        s.respond(200, body=b'ok')
    if 'close' in q:
        s.connection.close()


def _early(s, reset):
    s.respond(200, body=b'early')
    if reset and not s.ended:
        s.reset('NO_ERROR')


def _half(s):
    s.head(200, [('content-length', '10')])
    s.data(b'12345')


def _length(s):
    s.head(200, [('content-length', s.query['say'])])
    n = int(s.query['send'])
    if n:
        s.data(pattern(n), end=True)
    else:
        s.end()


def _slow(s):
    time.sleep(int(s.query.get('ms', 100)) / 1000)
    s.respond(200, body=b'ok')


def _tunnel(s):
    if s.path.startswith('/refuse'):
        s.respond(403, body=b'no')
        return
    s.head(200)
    frames = WsFrames()
    while True:
        data = s.read()
        if not data:
            break
        for first, payload in frames.feed(data):
            s.data(ws_frame(payload, first))
    s.end()


class WsFrames:
    """Cuts what a WebSocket client says into frames: (first byte, payload)."""

    def __init__(self):
        self.pending = b''

    def feed(self, data):
        self.pending += data
        out = []
        while len(self.pending) >= 2:
            n, at = self.pending[1] & 127, 2
            if n > 125:
                at = 4 if n == 126 else 10
                n = int.from_bytes(self.pending[2:at], 'big')
            if len(self.pending) < at + 4 + n:
                break
            mask, payload = self.pending[at:at + 4], self.pending[at + 4:at + 4 + n]
            whole = (mask * (n // 4 + 1))[:n]
            payload = (int.from_bytes(payload, 'big') ^ int.from_bytes(whole, 'big')).to_bytes(n, 'big')
            out.append((self.pending[0], payload))
            self.pending = self.pending[at + 4 + n:]
        return out


def ws_frame(payload, first=0x82, client=False):
    """A whole binary message in one frame; of a client masked with zeros."""
    n = len(payload)
    size = bytes([n]) if n < 126 else b'\x7e' + struct.pack('>H', n) if n < 65536 else b'\x7f' + struct.pack('>Q', n)
    if not client:
        return bytes([first]) + size + payload
    return bytes([first, size[0] | 128]) + size[1:] + b'\0\0\0\0' + payload


class GrpcFrames:
    """Cuts a gRPC body into messages."""

    def __init__(self):
        self.pending = b''

    def feed(self, data):
        self.pending += data
        out = []
        while len(self.pending) >= 5:
            n = struct.unpack('>I', self.pending[1:5])[0]
            if len(self.pending) < 5 + n:
                break
            out.append(self.pending[5:5 + n])
            self.pending = self.pending[5 + n:]
        return out


def grpc_message(data):
    return b'\0' + struct.pack('>I', len(data)) + data


def _grpc(s):
    method = s.path.rpartition('/')[2]
    kind = [('content-type', s.header('content-type'))]
    if method == 'Fail':
        s.head(200, kind + [('grpc-status', '5'), ('grpc-message', 'not here')], end=True)
        return
    s.head(200, kind)
    frames, count = GrpcFrames(), 0
    while True:
        data = s.read()
        if not data:
            break
        for message in frames.feed(data):
            count += 1
            if method != 'Sum':
                s.data(grpc_message(message))
    if method == 'Sum':
        s.data(grpc_message(b'%d' % count))
    s.end([('grpc-status', '0'), ('grpc-message', 'fine')])


def routes(s):
    """The answers that the head of this file tells."""
    path = s.path.partition('?')[0]
    first, _, rest = path[1:].partition('/')
    if s.protocol:
        _tunnel(s)
    elif s.header('content-type', '').startswith('application/grpc'):
        _grpc(s)
    elif first == 'status':
        s.body()
        s.respond(int(rest), body=b'' if rest in ('204', '304') else rest.encode())
    elif first in ROUTES_WITH:
        ROUTES_WITH[first](s, rest)
    elif first in ROUTES:
        ROUTES[first](s)
    else:
        s.respond(404, body=b'no such route')


def _fields(s, n):
    size = int(s.query.get('size', 10))
    s.respond(200, [(f'x-field-{i}', 'v' * size) for i in range(int(n))], b'ok')


def _ok(s):
    s.body()
    s.respond(200, body=b'ok')


ROUTES = {
    '': _ok, 'headers': _headers, 'echo': _echo, 'upload': _upload, 'slow-read': _upload,
    'trailers': lambda s: s.respond(200, body=b'body',
                                    trailers=[('x-sum', '4'), ('grpc-status', '0')]),
    'trailers-only': lambda s: s.head(200, [('content-type', 'application/grpc'),
                                            ('grpc-status', '5'), ('grpc-message', 'none')],
                                      end=True),
    'early': lambda s: _early(s, True), 'early-open': lambda s: _early(s, False), 'slow': _slow,
    'hang': lambda s: None, 'half': _half, 'reset': _reset, 'refuse': _refuse, 'goaway': _goaway,
    'close': lambda s: s.connection.close(), 'abort': lambda s: s.connection.abort(),
    'length': _length,
    'header': lambda s: s.respond(200, [(s.query['name'], s.query['value'])], b'ok'),
}
ROUTES_WITH = {
    'bytes': _bytes, 'pieces': _pieces, 'interim': _interim, 'fields': _fields,
    'events': lambda s, n: _pieces(s, n, 'data: %d\n\n', 'text/event-stream'),
}


def main():
    parser = argparse.ArgumentParser(description='An HTTP/2 service for tests.')
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--tls', nargs=2, metavar=('CERTIFICATE', 'KEY'))
    args = parser.parse_args()
    service = H2Service(tls=args.tls, port=args.port, tolerant=True)
    print(service.port, flush=True)
    try:
        threading.Event().wait()
    except KeyboardInterrupt:
        service.close()


if __name__ == '__main__':
    sys.exit(main())
