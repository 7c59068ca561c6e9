#!/usr/bin/python3
"""WebSockets through the binary: limits, silence, policies before the upgrade, HTTP/2's extended CONNECT."""
import asyncio
import logging
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway
from tap import equal, run, test
from web_client import H2, Broken

import websockets

CONFIG = '''
version: 1
listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
admin: {{address: "127.0.0.1:@ADMIN@"}}
services: {{a: "127.0.0.1:{port}"}}
routes:
  - {{match: {{path: /small}}, to: a, websocket: {{max_message: 1KiB, max_fragments: 4, ping_rate: 3/s}}}}
  - {{match: {{path: /silent}}, to: a, idle_timeout: 300ms}}
  - {{match: {{path: /short}}, to: a, max_duration: 300ms}}
  - {{match: {{path: /off}}, to: a, websocket: false}}
  - {{match: {{path: /get, method: GET}}, to: a}}
  - {{match: {{path: /post, method: POST}}, to: a}}
  - {{match: {{path: /echo}}, to: a}}
'''


class Echo(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        self.started, self.opened = threading.Event(), 0
        self.start()
        assert self.started.wait(20)

    def run(self):
        async def echo(s, *_):
            self.opened += 1
            async for message in s:
                await s.send(message)

        async def serve():
            async with websockets.serve(echo, '127.0.0.1', 0, max_size=None) as server:
                self.port = server.sockets[0].getsockname()[1]
                self.started.set()
                await asyncio.Future()
        asyncio.run(serve())


logging.disable(logging.CRITICAL)  # what the library says of each closed connection
ECHO = Echo()


async def closed_with(s):
    try:
        while True:
            await asyncio.wait_for(s.recv(), 20)
    except websockets.ConnectionClosed as e:
        return e.rcvd.code if e.rcvd else None


async def too_long(s):
    await s.send('x' * 1024)
    equal(len(await s.recv()), 1024)
    await s.send('x' * 1025)


async def too_many_fragments(s):
    await s.send([b'a', b'b', b'c', b'd', b'e', b'f'])


async def too_many_pings(s):
    for _ in range(20):
        await s.ping()


@test([('a message that is too long', too_long, 1009), ('too many fragments', too_many_fragments, 1009),
       ('too many pings', too_many_pings, 1008)])
def limit(row):
    _, act, code = row
    with Gateway(CONFIG.format(port=ECHO.port)) as gw:
        async def play():
            async with websockets.connect(f'ws://127.0.0.1:{gw.port}/small', compression=None, ping_interval=None) as s:
                await act(s)
                return await closed_with(s)
        equal(asyncio.run(play()), code)
        equal(gw.get('/nowhere').status, 404)  # nobody else notices


@test(['/silent', '/short'])
def ends_by_time(path):
    with Gateway(CONFIG.format(port=ECHO.port)) as gw:
        async def play():
            async with websockets.connect(f'ws://127.0.0.1:{gw.port}{path}', ping_interval=None) as s:
                await s.send('hello')
                equal(await s.recv(), 'hello')
                return await closed_with(s)
        equal(asyncio.run(play()), None)


@test([('/nowhere', 404), ('/post', 405), ('/off', 403)])
def refused_before_the_service(row):
    path, status = row
    before = ECHO.opened
    with Gateway(CONFIG.format(port=ECHO.port)) as gw:
        async def play():
            try:
                async with websockets.connect(f'ws://127.0.0.1:{gw.port}{path}'):
                    return 101
            except websockets.InvalidStatusCode as e:
                return e.status_code
        equal(asyncio.run(play()), status)
    equal(ECHO.opened, before)


@test
def a_websocket_matches_as_get():
    with Gateway(CONFIG.format(port=ECHO.port)) as gw:
        async def play():
            async with websockets.connect(f'ws://127.0.0.1:{gw.port}/get') as s:
                await s.send('hello')
                return await s.recv()
        equal(asyncio.run(play()), 'hello')


def masked(data):
    return bytes([0x82, 0x80 | len(data)]) + bytes(4) + data  # masked with zeros


@test
def extended_connect():
    """Several WebSockets and requests on one HTTP/2 connection, to a service that speaks HTTP/1.1."""
    with Gateway(CONFIG.format(port=ECHO.port)) as gw, H2(gw.port) as c:
        c.until(lambda: c.settings, 'settings')
        streams = [c.begin('CONNECT', '/echo', [('sec-websocket-version', '13')], end=False, protocol='websocket')
                   for _ in range(5)]
        for i, s in enumerate(streams):
            c.until(lambda s=s: c.streams[s].status, 'an answer')
            equal(c.streams[s].status, 200)
            c.data(s, masked(b'hello %d' % i))
        for i, s in enumerate(streams):
            c.until(lambda s=s: len(c.streams[s].body) >= 9, 'an echo')
            equal(c.streams[s].body, b'\x82\x07hello %d' % i)
        equal(c.request('GET', '/nowhere').status, 404)
        refused = c.begin('CONNECT', '/off', [('sec-websocket-version', '13')], end=False, protocol='websocket')
        c.until(lambda: c.streams[refused].status, 'a refusal')
        equal(c.streams[refused].status, 403)
        c.data(streams[0], bytes([0x83, 0x80]) + bytes(4))  # no such opcode
        try:
            c.answer(streams[0])
        except Broken:
            pass
        assert c.streams[streams[0]].body.endswith(b'malformed frame'), c.streams[streams[0]].body
        c.data(streams[1], masked(b'still'))
        c.until(lambda: c.streams[streams[1]].body.endswith(b'still'), 'the others live on')


run()
