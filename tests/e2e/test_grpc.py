#!/usr/bin/python3
"""gRPC through the gateway with Google's own library: every kind of call, deadlines, cancellation, limits, the
gateway's own errors; and gRPC-Web as browsers send it."""
import base64
import os
import shutil
import struct
import sys
import tempfile
import threading
from concurrent import futures

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, dev_certificates, free_port, wait_until
from tap import add, contains, equal, run
from web_client import connect

import grpc

CERTS = dev_certificates(tempfile.mkdtemp(prefix='sluice-certs-'))
CA, KEY = os.path.join(CERTS, 'shop.pem'), os.path.join(CERTS, 'shop.key')
CONFIG = '''
version: 1
listeners:
  public: {{address: "127.0.0.1:@PORT@"}}
  secure: {{address: "127.0.0.1:@SECURE@", tls: {{certificate: {ca}, private_key: {key}}}}}
admin: {{address: "127.0.0.1:@ADMIN@"}}
services:
  plain: {{endpoints: ["127.0.0.1:{plain}"], protocol: h2c}}
  secure: {{endpoints: ["127.0.0.1:{secure}"], protocol: auto, tls: {{ca: {ca}, name: localhost}}}}
  down: {{endpoints: ["127.0.0.1:{down}"], protocol: h2c}}
routes:
  - {{match: {{path: /test.Echo/*}}, to: plain}}
  - {{match: {{path: /test.Secure/*}}, to: secure}}
  - {{match: {{path: /test.Down/*}}, to: down}}
  - {{match: {{path: /test.Slow/*}}, to: plain, request_timeout: 500ms}}
  - {{match: {{path: /test.Big/*}}, to: plain, grpc: {{max_message: 0B}}}}
'''


class Service:
    """Methods by their last name, whatever the service is called; messages are bytes."""

    def __init__(self):
        self.begun, self.cancelled, self.seen = threading.Event(), threading.Event(), {}
        self.got = []  # messages of the last stream, as they come

    def unary(self, request, context):
        self.seen = dict(context.invocation_metadata())
        context.send_initial_metadata((('x-first', '1'), ('x-first-bin', b'\0\1')))
        context.set_trailing_metadata((('x-last', '2'), ('x-last-bin', b'\xff')))
        return request

    def fail(self, request, context):
        context.abort(grpc.StatusCode.FAILED_PRECONDITION, 'not now: 50 % \u00fc')

    def hang(self, request, context):
        context.add_callback(self.cancelled.set)
        self.begun.set()
        self.cancelled.wait(20)
        return b''

    def count(self, request, context):
        for i in range(int(request)):
            yield b'%d' % i

    def sum(self, requests, context):
        return b'%d' % sum(int(r) for r in requests)

    def talk(self, requests, context):
        for r in requests:
            self.got.append(r)
            yield b'<' + r + b'>'

    def service(self, call):
        name = call.method.rpartition('/')[2]
        kinds = {'Unary': grpc.unary_unary_rpc_method_handler(self.unary),
                 'Fail': grpc.unary_unary_rpc_method_handler(self.fail),
                 'Hang': grpc.unary_unary_rpc_method_handler(self.hang),
                 'Count': grpc.unary_stream_rpc_method_handler(self.count),
                 'Sum': grpc.stream_unary_rpc_method_handler(self.sum),
                 'Talk': grpc.stream_stream_rpc_method_handler(self.talk)}
        return kinds.get(name)


class World:
    def __init__(self):
        self.service = Service()
        self.server = grpc.server(futures.ThreadPoolExecutor(max_workers=32),
                                  options=[('grpc.max_receive_message_length', 64 << 20)])
        self.server.add_generic_rpc_handlers((self.service,))
        with open(CA, 'rb') as ca, open(KEY, 'rb') as key:
            self.ca = ca.read()
            credentials = grpc.ssl_server_credentials([(key.read(), self.ca)])
        plain = self.server.add_insecure_port('127.0.0.1:0')
        secure = self.server.add_secure_port('127.0.0.1:0', credentials)
        self.server.start()
        self.gateway = Gateway(CONFIG.format(ca=CA, key=KEY, plain=plain, secure=secure, down=free_port()),
                               ports=['SECURE'])
        options = [('grpc.max_receive_message_length', 64 << 20)]
        self.channels = {
            'clear text': grpc.insecure_channel(f'127.0.0.1:{self.gateway.port}', options),
            'TLS': grpc.secure_channel(f'localhost:{self.gateway.ports["SECURE"]}',
                                       grpc.ssl_channel_credentials(self.ca), options)}

    def close(self):
        for c in self.channels.values():
            c.close()
        self.server.stop(0).wait()
        self.gateway.stop()
        shutil.rmtree(CERTS, ignore_errors=True)


WORLD = []


def world():
    if not WORLD:
        WORLD.append(World())
    return WORLD[0]


def refused(code, words, call):
    try:
        call()
    except grpc.RpcError as e:
        equal(e.code(), code, e.details())
        contains(e.details(), words)
        return e
    raise AssertionError('the call succeeded')


def unary(channel, name):
    call = channel.unary_unary(f'/test.{name}/Unary')
    answer, how = call.with_call(b'hello', metadata=(('x-mine', 'a'), ('x-mine-bin', b'\0\xfe')), timeout=10)
    equal(answer, b'hello')
    seen = world().service.seen
    equal((seen['x-mine'], seen['x-mine-bin']), ('a', b'\0\xfe'))
    assert 'x-request-id' in seen and 'x-forwarded-for' in seen, seen
    equal(dict(how.initial_metadata())['x-first-bin'], b'\0\1')
    equal(dict(how.trailing_metadata())['x-last'], '2')
    equal(dict(how.trailing_metadata())['x-last-bin'], b'\xff')


def service_error(channel, name):
    refused(grpc.StatusCode.FAILED_PRECONDITION, 'not now: 50 % \u00fc',
            lambda: channel.unary_unary(f'/test.{name}/Fail')(b'', timeout=10))
    refused(grpc.StatusCode.UNIMPLEMENTED, '', lambda: channel.unary_unary(f'/test.{name}/Nix')(b'', timeout=10))


def server_stream(channel, name):
    equal(list(channel.unary_stream(f'/test.{name}/Count')(b'100', timeout=10)), [b'%d' % i for i in range(100)])
    equal(list(channel.unary_stream(f'/test.{name}/Count')(b'0', timeout=10)), [])


def client_stream(channel, name):
    equal(channel.stream_unary(f'/test.{name}/Sum')((b'%d' % i for i in range(100)), timeout=10), b'4950')


def both_streams(channel, name):
    """Each message passes before the next one is sent."""
    asked, ready = [], threading.Semaphore(1)

    def questions():
        for i in range(20):
            assert ready.acquire(timeout=10)
            asked.append(i)
            yield b'%d' % i
    for i, answer in enumerate(channel.stream_stream(f'/test.{name}/Talk')(questions(), timeout=20)):
        equal((answer, len(asked)), (b'<%d>' % i, i + 1))
        ready.release()
    equal(len(asked), 20)


def big_messages(channel, name):
    call = channel.unary_unary(f'/test.{name}/Unary')
    equal(len(call(b'x' * (3 << 20), timeout=20)), 3 << 20)
    refused(grpc.StatusCode.RESOURCE_EXHAUSTED, '', lambda: call(b'x' * (5 << 20), timeout=20))
    equal(call(b'after', timeout=10), b'after')


def many_at_once(channel, name):
    call = channel.unary_unary(f'/test.{name}/Unary')
    waiting = [call.future(b'%d' % i, timeout=20) for i in range(200)]
    equal([w.result() for w in waiting], [b'%d' % i for i in range(200)])


def deadline(channel, name):
    """The client's deadline ends the call here and at the service."""
    service = world().service
    service.cancelled.clear()
    refused(grpc.StatusCode.DEADLINE_EXCEEDED, '', lambda: channel.unary_unary(f'/test.{name}/Hang')(b'', timeout=0.3))
    assert service.cancelled.wait(10), 'the service was not told'


def cancellation(channel, name):
    service = world().service
    service.cancelled.clear()
    service.begun.clear()
    call = channel.unary_unary(f'/test.{name}/Hang').future(b'', timeout=20)
    assert service.begun.wait(10), 'the call did not arrive'
    call.cancel()
    assert service.cancelled.wait(10), 'the service was not told'


def own_errors(channel, _):
    down = refused(grpc.StatusCode.UNAVAILABLE, 'refused', lambda: channel.unary_unary('/test.Down/X')(b'', timeout=10))
    assert down.trailing_metadata() is not None
    refused(grpc.StatusCode.UNIMPLEMENTED, 'route', lambda: channel.unary_unary('/test.Nowhere/X')(b'', timeout=10))
    world().service.cancelled.clear()
    refused(grpc.StatusCode.DEADLINE_EXCEEDED, '', lambda: channel.unary_unary('/test.Slow/Hang')(b'', timeout=10))
    equal(len(channel.unary_unary('/test.Big/Unary')(b'x' * (5 << 20), timeout=20)), 5 << 20)


# ---- gRPC-Web

def message(data, flag=0):
    return bytes([flag]) + struct.pack('>I', len(data)) + data


def frames(body):
    out = []
    while body:
        n = struct.unpack('>I', body[1:5])[0]
        out.append((body[0], body[5:5 + n]))
        body = body[5 + n:]
    return out


def text_body(body):
    """Base64 in pieces, each padded where it was flushed."""
    out, at = b'', 0
    while at < len(body):
        out += base64.b64decode(body[at:at + 4])
        at += 4
    return out


def web(kind, text, name):
    w = world()
    port = w.gateway.ports['SECURE'] if kind.endswith('tls') else w.gateway.port
    content = 'application/grpc-web-text' if text else 'application/grpc-web+proto'

    def ask(path, body):
        body = base64.b64encode(body) if text else body
        with connect(kind, port, CA) as c:
            a = c.request('POST', path, [('content-type', content), ('x-grpc-web', '1'), ('accept', content)], body)
        equal(a.status, 200)
        assert a.header('content-type').startswith(content.partition('+')[0]), a.headers
        return a, frames(text_body(a.body) if text else a.body)
    _, got = ask(f'/test.{name}/Unary', message(b'hello'))
    equal(got[0], (0, b'hello'))
    equal(got[-1][0], 0x80)
    contains(got[-1][1].decode(), 'grpc-status')
    contains(got[-1][1].decode().replace(' ', ''), 'grpc-status:0')
    contains(got[-1][1].decode(), 'x-last')
    _, got = ask(f'/test.{name}/Count', message(b'5'))
    equal([m for flag, m in got if not flag], [b'%d' % i for i in range(5)])
    for path, status in ((f'/test.{name}/Fail', '9'), ('/test.Down/X', '14')):
        a, got = ask(path, message(b''))
        told = (got[-1][1].decode().replace(' ', '') if got else '') + ''.join(f'{n}:{v}\r\n' for n, v in a.headers)
        contains(told, f'grpc-status:{status}')


CALLS = [unary, service_error, server_stream, client_stream, both_streams, big_messages, many_at_once, deadline,
         cancellation]


def call(each, kind, name):
    each(world().channels[kind], name)


for way in ('clear text', 'TLS'):
    for target in ('Echo', 'Secure'):
        for one in CALLS:
            add(f'{way} to {target}: {one.__name__.replace("_", " ")}', call, one, way, target)
    add(f'{way}: the gateway\'s own errors', call, own_errors, way, '')
for way in ('h1', 'h1tls', 'h2', 'h2tls'):
    for text in (False, True):
        add(f'gRPC-Web {"text" if text else "binary"} by {way}', web, way, text, 'Echo')


def main():
    try:
        run()
    finally:
        if WORLD:
            WORLD[0].close()


main()
