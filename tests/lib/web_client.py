"""web_client - one client over HTTP/1.1 or HTTP/2, clear text or TLS, for tests that cross protocols.

    with connect('h2tls', port, ca) as c:
        answer = c.request('POST', '/echo', [('content-type', 'text/plain')], b'body', trailers=[('x', '1')])
        answer.status, answer.header('via'), answer.body, answer.trailers, answer.interim

HTTP/2 (python3-h2) also step by step: begin, data, trailers, reset, answer, pump; credit=False keeps the
windows as they are: a slow reader. Broken: the answer broke off; its `answer` is what had come.
"""
import socket
import ssl

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from gateway import TIMEOUT, Client, Closed

KINDS = ('h1', 'h1tls', 'h2', 'h2tls')


class Broken(AssertionError):
    """The answer broke off (reset, closed in the middle); code: of HTTP/2's RST_STREAM."""

    def __init__(self, answer, code=None):
        super().__init__(f'the answer broke off: {code} {answer.status if answer else ""}')
        self.answer, self.code = answer, code


class Answer:
    def __init__(self):
        self.status, self.headers, self.body, self.trailers, self.interim = None, [], b'', [], []
        self.ended, self.code, self.credited = False, None, 0

    def all(self, name):
        return [v for n, v in self.headers if n == name]

    def header(self, name, default=None):
        return next(iter(self.all(name)), default)


def context(ca, alpn):
    made = ssl.create_default_context(cafile=ca)
    made.set_alpn_protocols(alpn)
    return made


def fields(headers):
    return [(n.decode('latin-1').lower(), v.decode('latin-1')) for n, v in headers]


class H1:
    def __init__(self, port, ca=None, host='localhost'):
        self.wire = Client(port)
        if ca:
            self.wire.sock = context(ca, ['http/1.1']).wrap_socket(self.wire.sock, server_hostname=host)

    def request(self, method, path, headers=(), body=None, trailers=None, authority='gw.test'):
        lines = [f'{method} {path} HTTP/1.1', f'Host: {authority}', *(f'{n}: {v}' for n, v in headers)]
        if trailers:
            lines.append('Transfer-Encoding: chunked')
        elif body is not None:
            lines.append(f'Content-Length: {len(body)}')
        self.wire.send(('\r\n'.join(lines) + '\r\n\r\n').encode('latin-1'))
        if trailers:
            tail = ''.join(f'{n}: {v}\r\n' for n, v in trailers)
            self.wire.send(b'%x\r\n%s\r\n0\r\n%s\r\n' % (len(body), body, tail.encode()))
        elif body:
            try:
                self.wire.send(body)
            except OSError:
                pass  # answered before it was read
        return self.answer(method)

    def answer(self, method):
        try:
            m = self.wire.read_response(method)
        except (Closed, OSError) as e:
            raise Broken(None, repr(e)) from None
        a = Answer()
        a.status, a.headers, a.body, a.trailers = m.status, fields(m.headers), m.body, fields(m.trailers)
        a.interim = [(i.status, fields(i.headers)) for i in m.interim]
        return a

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.wire.close()


class H2:
    def __init__(self, port, ca=None, host='localhost', settings=None, credit=True):
        self.sock = socket.create_connection(('127.0.0.1', port), TIMEOUT)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.scheme = 'http'
        if ca:
            self.scheme = 'https'
            self.sock = context(ca, ['h2', 'http/1.1']).wrap_socket(self.sock, server_hostname=host)
            if self.sock.selected_alpn_protocol() != 'h2':
                raise AssertionError(f'ALPN chose {self.sock.selected_alpn_protocol()}')
        config = h2.config.H2Configuration(client_side=True, header_encoding='utf-8',
                                           validate_outbound_headers=False, normalize_outbound_headers=False)
        self.h = h2.connection.H2Connection(config)
        values = {h2.settings.SettingCodes[n]: v for n, v in (settings or {}).items()}
        self.h.local_settings = h2.settings.Settings(client=True, initial_values={
            h2.settings.SettingCodes.ENABLE_PUSH: 0, **values})
        self.h.initiate_connection()
        self.credit, self.closed, self.goaway, self.pongs = credit, False, None, 0
        self.streams, self.settings = {}, {}
        self.flush()

    def flush(self):
        data = self.h.data_to_send()
        if data:
            self.sock.sendall(data)

    def begin(self, method, path, headers=(), end=True, authority='gw.test', protocol=None):
        stream = self.h.get_next_available_stream_id()
        pseudo = [(':method', method), (':scheme', self.scheme), (':path', path), (':authority', authority)]
        if protocol:
            pseudo.insert(1, (':protocol', protocol))
        self.streams[stream] = Answer()
        self.h.send_headers(stream, [*pseudo, *headers], end_stream=end)
        self.flush()
        return stream

    def window(self, stream):
        try:
            return self.h.local_flow_control_window(stream)
        except h2.exceptions.ProtocolError:
            return 0

    def data(self, stream, data, end=False):
        """All of it as the windows allow, unless an answer comes to its end meanwhile."""
        at, a = 0, self.streams[stream]
        while at < len(data) or (end and not data):
            while self.window(stream) <= 0 and data and not (a.ended or a.code is not None or self.closed):
                self.pump()
            if a.ended or a.code is not None or self.closed:
                return
            n = min(len(data) - at, self.window(stream) if data else 0, self.h.max_outbound_frame_size)
            at += n
            self.h.send_data(stream, data[at - n:at], end_stream=end and at == len(data))
            self.flush()
            if not data:
                return

    def trailers(self, stream, trailers):
        self.h.send_headers(stream, trailers, end_stream=True)
        self.flush()

    def reset(self, stream, code='CANCEL'):
        self.h.reset_stream(stream, h2.errors.ErrorCodes[code])
        self.flush()

    def pump(self):
        """Takes what has come, waiting for something."""
        data = self.sock.recv(65536)
        if not data:
            self.closed = True
            return
        for event in self.h.receive_data(data):
            self.on(event)
        self.flush()

    def on(self, e):
        a = self.streams.get(getattr(e, 'stream_id', None))
        if isinstance(e, h2.events.InformationalResponseReceived):
            a.interim.append((int(dict(e.headers)[':status']), [h for h in e.headers if h[0][0] != ':']))
        elif isinstance(e, h2.events.ResponseReceived):
            a.status = int(dict(e.headers)[':status'])
            a.headers = [h for h in e.headers if h[0][0] != ':']
        elif isinstance(e, h2.events.DataReceived):
            a.body += e.data
            if self.credit and e.flow_controlled_length:
                self.h.acknowledge_received_data(e.flow_controlled_length, e.stream_id)
        elif isinstance(e, h2.events.TrailersReceived):
            a.trailers = list(e.headers)
        elif isinstance(e, h2.events.StreamEnded):
            a.ended = True
        elif isinstance(e, h2.events.StreamReset):
            a.code = h2.errors.ErrorCodes(e.error_code).name
        elif isinstance(e, h2.events.ConnectionTerminated):
            self.goaway = (h2.errors.ErrorCodes(e.error_code).name, e.last_stream_id)
        elif isinstance(e, h2.events.PingAckReceived):
            self.pongs += 1
        elif isinstance(e, h2.events.RemoteSettingsChanged):
            self.settings.update({str(k): v.new_value for k, v in e.changed_settings.items()})

    def until(self, condition, what='that'):
        while not condition():
            if self.closed:
                raise Broken(None, f'closed before {what}; goaway {self.goaway}')
            self.pump()

    def answer(self, stream):
        a = self.streams[stream]
        while not a.ended and a.code is None and not self.closed:
            self.pump()
        if a.ended:
            return a
        raise Broken(a, a.code or f'closed, goaway {self.goaway}')

    def request(self, method, path, headers=(), body=None, trailers=None, authority='gw.test'):
        headers = list(headers)
        if body is not None and not trailers:
            headers.append(('content-length', str(len(body))))
        stream = self.begin(method, path, headers, end=body is None and not trailers, authority=authority)
        if body is not None:
            self.data(stream, body, end=not trailers)
        if trailers:
            self.trailers(stream, trailers)
        return self.answer(stream)

    def close(self):
        self.sock.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


def connect(kind, port, ca, **more):
    return (H2 if kind.startswith('h2') else H1)(port, ca if kind.endswith('tls') else None, **more)
