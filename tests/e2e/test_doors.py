#!/usr/bin/python3
"""Who comes in how: curl by TLS, WebSockets with and without it, PROXY headers, certificates that change."""
import asyncio
import os
import signal
import ssl
import subprocess
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import websockets
from certs import Authority
from gateway import Client, Gateway, TIMEOUT, Upstream, answer, wait_until
from tap import contains, equal, run, test

CONFIG = '''
    version: 1
    listeners:
      public: {address: "127.0.0.1:@PORT@"}
      secure: {address: "127.0.0.1:@TLS@", tls: {certificate: web.pem, private_key: web.key}}
      behind: {address: "127.0.0.1:@BEHIND@", proxy_protocol: {from: ["127.0.0.1"]}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    workers: 1
    services: {a: %s, chat: %s}
    routes:
      - {match: {path: "/*"}, to: a}
      - {match: {path: "/chat/*"}, to: chat}
'''
GET = b'GET /x HTTP/1.1\r\nHost: web.test\r\n\r\n'

ca = Authority('test CA')
web = ca.issue('web.test', names=['web.test', 'localhost', '127.0.0.1'])


class Chat:
    """A WebSocket service: says back what it hears; "close 4001" closes with that code."""

    def __init__(self):
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        threading.Thread(target=self.serve, args=(ready,), daemon=True).start()
        ready.wait(TIMEOUT)

    def serve(self, ready):
        async def start():
            server = await websockets.serve(self.talk, '127.0.0.1', 0, max_size=None,
                                            subprotocols=['chat'])
            self.address = '127.0.0.1:%d' % server.sockets[0].getsockname()[1]
            ready.set()
            await asyncio.Future()
        self.loop.run_until_complete(start())

    async def talk(self, ws, path):
        self.headers = ws.request_headers
        async for message in ws:
            if isinstance(message, str) and message.startswith('close '):
                await ws.close(int(message[6:]), 'as you say')
                return
            await ws.send(message)


chat = Chat()
up = Upstream(lambda request, _: answer(request.body or request.target))


def gateway(config=CONFIG, **more):
    files = {'web.pem': web.chain_pem, 'web.key': web.key_pem, 'ca.pem': ca.pem}
    return Gateway(config % (up.address, chat.address), ports=['TLS', 'BEHIND'], files=files, **more)


def curl(gw, *args, code=0):
    done = subprocess.run(['curl', '-sS', '--cacert', os.path.join(gw.dir, 'ca.pem'), *args],
                          capture_output=True, timeout=TIMEOUT, check=False)
    equal(done.returncode, code, done.stderr.decode())
    return done.stdout


def tls_client(gw):
    context = ssl.create_default_context(cadata=ca.pem.decode())
    context.set_alpn_protocols(['http/1.1'])
    c = Client(gw.ports['TLS'])
    c.sock = context.wrap_socket(c.sock, server_hostname='web.test')
    return c


@test([['--tlsv1.3'], ['--tls-max', '1.2'], ['--no-alpn']])
def curl_by_tls(options):
    with gateway() as gw:
        base = f'https://localhost:{gw.ports["TLS"]}'
        got = curl(gw, '--http1.1', *options, base + '/a', base + '/b', '-w', '[%{num_connects}]')
        equal(got, b'/a[1]/b[0]')
        body = os.urandom(3 << 20)
        path = gw.write('body', body)
        got = curl(gw, '--http1.1', *options, base + '/up', '--data-binary', '@' + path)
        assert got == body, len(got)
        version = 'tls12' if '1.2' in options else 'tls13'
        equal(gw.metrics()[f'sluice_client_tls_handshakes_total{{version="{version}"}}'], 2)


@test
def clear_text_at_a_tls_port():
    with gateway() as gw:
        got = curl(gw, f'http://localhost:{gw.ports["TLS"]}/', '-w', '[%{http_code}]').decode()
        contains(got, '[400]')
        contains(got, 'tls_needed')
        equal(gw.metrics()['sluice_client_tls_failed_total{reason="cleartext"}'], 1)


async def talk(url, tls):
    async with websockets.connect(url, ssl=tls, max_size=None, subprotocols=['chat']) as ws:
        equal(ws.subprotocol, 'chat')
        await asyncio.wait_for(await ws.ping(), TIMEOUT)
        for message in ['', 'hello', 'ü' * 70000, os.urandom(1 << 20), b'x']:
            await ws.send(message)
            got = await asyncio.wait_for(ws.recv(), TIMEOUT)
            assert got == message, (len(got), len(message))
        await ws.send('close 4001')
        await asyncio.wait_for(ws.wait_closed(), TIMEOUT)
        equal((ws.close_code, ws.close_reason), (4001, 'as you say'))


@test(['clear', 'tls'])
def websockets_both_ways(how):
    with gateway() as gw:
        tls = ssl.create_default_context(cadata=ca.pem.decode()) if how == 'tls' else None
        url = f'wss://localhost:{gw.ports["TLS"]}' if tls else f'ws://localhost:{gw.port}'
        asyncio.run(talk(url + '/chat/room', tls))
        equal(chat.headers['x-forwarded-proto'], 'https' if tls else 'http')
        equal(chat.headers['host'].split(':')[0], 'localhost')
        wait_until(lambda: gw.metrics()['sluice_upstream_connections_open'] == 0, 'the end of the tunnel')


@test
def websocket_is_told_of_a_drain():
    """Whoever still talks when the gateway ends is told so."""
    async def hang_on(gw):
        async with websockets.connect(f'ws://localhost:{gw.port}/chat/room') as ws:
            await ws.send('one')
            equal(await asyncio.wait_for(ws.recv(), TIMEOUT), 'one')
            gw.send_signal(signal.SIGTERM)
            await asyncio.wait_for(ws.wait_closed(), TIMEOUT)
            return ws.close_code
    with gateway() as gw:
        equal(asyncio.run(hang_on(gw)), 1001)
        gw.process.wait(TIMEOUT)


V2 = b'\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c' + bytes([198, 51, 100, 7, 203, 0, 113, 1, 0x9c, 0x40, 1, 0xbb])


@test([['v1', b'PROXY TCP4 198.51.100.7 203.0.113.1 40000 443\r\n', '198.51.100.7'],
       ['v1-six', b'PROXY TCP6 2001:db8::7 2001:db8::1 40000 443\r\n', '2001:db8::7'],
       ['v2', V2, '198.51.100.7'],
       ['v2-local', b'\r\n\r\n\0\r\nQUIT\n\x20\0\0\0', '127.0.0.1']])
def proxy_headers(row):
    _, header, source = row
    with gateway() as gw:
        for size in (1, 1000):
            with Client(gw.ports['BEHIND']) as c:
                c.send_pieces(header + GET, size)
                equal(c.read_response().status, 200)
                equal(up.connections[-1].requests[-1].all('x-forwarded-for'), [source])


@test
def proxy_header_missing_or_elsewhere():
    with gateway() as gw:
        with Client(gw.ports['BEHIND']) as c:
            c.send(GET)
            c.expect_close()
        with Client(gw.port) as c: # a listener that asks for none: bytes like any other
            equal(c.request(b'PROXY TCP4 198.51.100.7 203.0.113.1 40000 443\r\n\r\n').status, 400)
        equal(gw.metrics()['sluice_client_proxy_headers_refused_total'], 1)


@test
def another_certificate():
    """New connections see the new one at once; an old one goes on."""
    other = ca.issue('web.test', names=['web.test'])
    with gateway(args=('--no-supervisor', '--reload-every', '20ms')) as gw:
        with tls_client(gw) as old:
            equal(old.request(GET).status, 200)
            equal(old.sock.getpeercert(True), web.der)
            other.save(gw.dir, 'web')

            def changed():
                with tls_client(gw) as c:
                    equal(c.request(GET).status, 200)
                    return c.sock.getpeercert(True) == other.der
            gw.send_signal(signal.SIGHUP)
            wait_until(changed, 'the new certificate')
            equal(old.request(GET).status, 200)


run()
