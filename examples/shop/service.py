"""service - the few lines that the shop's services share: routes, JSON, a log line a request.

    @service.get('/products/{id}')
    def product(request, id): return {...}          # or (status, {...}), or (status, {...}, {header: ..})
    def events(request, id): return Events(...)     # server-sent events, of anything that yields (name, {...})

HTTP/1.1 with keep-alive, one thread a connection, data in memory, Python's standard library alone.
"""
import json
import re
import signal
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

MAX_BODY = 1 << 20


class Refused(Exception):
    """An answer that is no success: raise Refused(404, 'no such product')."""

    def __init__(self, status, message):
        super().__init__(message)
        self.status, self.message = status, message


class Events:
    """An answer that goes on: each (event, data) is sent when it comes."""

    def __init__(self, source):
        self.source = source


class Request:
    def __init__(self, handler, path, query, body):
        self.handler, self.path, self.query, self.body = handler, path, query, body
        self.headers = handler.headers

    def json(self):
        try:
            value = json.loads(self.body or b'null')
        except ValueError:
            raise Refused(400, 'the body is not JSON') from None
        if not isinstance(value, dict):
            raise Refused(400, 'the body must be a JSON object')
        return value

    def seen(self):
        """What the gateway told us about the client, for answers that show it."""
        names = ('X-Request-ID', 'X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-User-ID')
        return {name: self.headers[name] for name in names if name in self.headers}


class Service:
    def __init__(self, name):
        self.name = name
        self.lock = threading.Lock()
        self.routes = []
        self.get('/healthz')(lambda request: {'status': 'ok', 'service': name})

    def route(self, method, pattern):
        regex = re.compile(re.sub(r'\{(\w+)\}', r'(?P<\1>[^/]+)', pattern) + '$')

        def keep(function):
            self.routes.append((method, regex, function))
            return function
        return keep

    def get(self, pattern):
        return self.route('GET', pattern)

    def post(self, pattern):
        return self.route('POST', pattern)

    def delete(self, pattern):
        return self.route('DELETE', pattern)

    def answer(self, method, path, request):
        allowed = []
        for wanted, regex, function in self.routes:
            match = regex.match(path)
            if match and wanted == method:
                parts = {k: unquote(v) for k, v in match.groupdict().items()}
                result = self.call(method, function, request, parts)
                return result if isinstance(result, tuple) else (200, result)
            if match:
                allowed.append(wanted)
        if allowed:
            return 405, {'error': f'{method} is not allowed here'}, {'Allow': ', '.join(allowed)}
        return 404, {'error': f'{self.name} has nothing at {path}'}

    def call(self, method, function, request, parts):
        if method == 'GET':
            return function(request, **parts)
        with self.lock:  # one change at a time
            return function(request, **parts)

    def run(self, port):
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'
            disable_nagle_algorithm = True
            timeout = 120

            def version_string(self):
                return f'shop-{service.name}'

            def handle_any(self):
                begun = time.monotonic()
                url = urlsplit(self.path)
                method = 'GET' if self.command == 'HEAD' else self.command
                try:
                    request = Request(self, url.path, parse_qs(url.query), self.body())
                    status, value, *more = service.answer(method, url.path, request)
                except Refused as e:
                    status, value, more = e.status, {'error': e.message}, []
                self.reply(status, value, more[0] if more else {})
                print(f'{service.name:8} {self.command} {self.path} {status} '
                      f'{(time.monotonic() - begun) * 1000:.1f}ms '
                      f'request-id={self.headers.get("X-Request-ID", "-")}', flush=True)

            do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = do_PATCH = handle_any

            def body(self):
                if 'chunked' in self.headers.get('Transfer-Encoding', ''):
                    return self.chunks()
                length = int(self.headers.get('Content-Length', 0))
                if length > MAX_BODY:
                    self.close_connection = True
                    raise Refused(413, 'too much')
                return self.rfile.read(length)

            def chunks(self):
                whole = b''
                while True:
                    size = int(self.rfile.readline().split(b';')[0], 16)
                    if size == 0:
                        break
                    whole += self.rfile.read(size)
                    self.rfile.readline()
                    if len(whole) > MAX_BODY:
                        self.close_connection = True
                        raise Refused(413, 'too much')
                while self.rfile.readline().strip():
                    pass  # trailers
                return whole

            def reply(self, status, value, headers):
                if isinstance(value, Events):
                    self.stream(value.source)
                    return
                body = json.dumps(value, ensure_ascii=False).encode() + b'\n'
                self.send_response(status)
                self.send_header('Content-Type', 'application/json')
                self.send_header('Content-Length', str(len(body)))
                for name, text in headers.items():
                    self.send_header(name, text)
                self.end_headers()
                if self.command != 'HEAD':
                    self.wfile.write(body)

            def stream(self, source):
                self.send_response(200)
                self.send_header('Content-Type', 'text/event-stream')
                self.send_header('Cache-Control', 'no-store')
                self.send_header('Transfer-Encoding', 'chunked')
                self.end_headers()
                for event, data in source:
                    piece = f'event: {event}\ndata: {json.dumps(data)}\n\n'.encode()
                    self.wfile.write(b'%x\r\n%s\r\n' % (len(piece), piece))
                self.wfile.write(b'0\r\n\r\n')

            def log_message(self, *_):
                pass  # our own line says more

        server = ThreadingHTTPServer(('127.0.0.1', port), Handler)
        server.daemon_threads = True
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        print(f'{self.name:8} listens on 127.0.0.1:{server.server_port}', flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            pass


def port_argument(default):
    return int(sys.argv[1]) if len(sys.argv) > 1 else default
