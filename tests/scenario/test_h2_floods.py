#!/usr/bin/python3
"""Floods over HTTP/2 (THREATS D13 to D21): each ends in GOAWAY or a closed connection (or is simply borne), the
gateway's memory stays flat, everybody else is served meanwhile."""
import os
import socket
import struct
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, Upstream, wait_until
from tap import equal, run, test

CONFIG = '''
version: 1
listeners: {{public: {{address: "127.0.0.1:@PORT@"}}}}
admin: {{address: "127.0.0.1:@ADMIN@"}}
workers: 1
limits: {{send_stall_timeout: 2s, header_timeout: 2s, keepalive_timeout: 5s}}
services: {{a: "{a}"}}
routes: [{{match: {{path: "/*"}}, to: a}}]
'''
PREFACE = b'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, END_HEADERS = 1, 4
GET = b'\x82\x86\x84\x41\x07gw.test'  # GET http / gw.test
POST = b'\x83\x86\x84\x41\x07gw.test'
BOMB = b'\x82\x86\x84\x41\x07gw.test\x40\x01a\x00' + b'\xbe' * 20000  # a field of one byte, 20,000 times
LARGE = b'\x82\x86\x84\x41\x07gw.test\x40\x01b\x7f\xc1\x1e' + b'x' * 4000 + b'\xbe' * 8000  # 4 kB, 8,000 times
MEMORY_MB = 64 if 'san' in os.environ.get('SLUICE_BIN', '') else 16


def frame(kind, flags, stream, payload=b''):
    return struct.pack('>I', len(payload))[1:] + bytes([kind, flags]) + struct.pack('>I', stream) + payload


def rapid_reset(i):
    s = 2 * i + 1
    return frame(HEADERS, END_STREAM | END_HEADERS, s, GET) + frame(RST, 0, s, struct.pack('>I', 8))


def made_you_reset(what):
    def one(i):
        s = 2 * i + 1
        return frame(HEADERS, END_STREAM | END_HEADERS, s, GET) + what(s)
    return one


def continuation(i):
    if i == 0:
        return frame(HEADERS, END_STREAM, 1, GET)
    return frame(CONTINUATION, 0, 1, b'\x00\x01c\x01d' * (0 if i % 2 else 50))


def bomb(block):
    def one(i):
        s, pieces = 2 * i + 1, [block[k:k + 16000] for k in range(0, len(block), 16000)]
        out = frame(HEADERS, END_STREAM | (END_HEADERS if len(pieces) == 1 else 0), s, pieces[0])
        for k, p in enumerate(pieces[1:], 2):
            out += frame(CONTINUATION, END_HEADERS if k == len(pieces) else 0, s, p)
        return out
    return one


def on_open_stream(what):
    return lambda i: (frame(HEADERS, END_HEADERS, 1, POST) if i == 0 else b'') + what(i)


# Name, a piece of it by its number, how many, whether the connection must end over it.
FLOODS = [
    ('rapid reset', rapid_reset, 5000, True),
    ('resets that we make: WINDOW_UPDATE 0', made_you_reset(lambda s: frame(WINDOW, 0, s, bytes(4))), 5000, True),
    ('resets that we make: DATA behind the end', made_you_reset(lambda s: frame(DATA, 0, s, b'x')), 5000, True),
    ('resets that we make: PRIORITY of 4 bytes', made_you_reset(lambda s: frame(PRIORITY, 0, s, bytes(4))), 5000, True),
    ('CONTINUATION without end', continuation, 20000, True),
    ('SETTINGS', lambda i: frame(SETTINGS, 0, 0, struct.pack('>HI', 4, 65535 + i % 2)), 50000, True),
    ('SETTINGS of the header table', lambda i: frame(SETTINGS, 0, 0, struct.pack('>HI', 1, 4096 * (i % 2))), 50000, True),
    ('PING', lambda i: frame(PING, 0, 0, struct.pack('>Q', i)), 100000, True),
    ('WINDOW_UPDATE', lambda i: frame(WINDOW, 0, 0, struct.pack('>I', 1)), 100000, True),
    ('PRIORITY', lambda i: frame(PRIORITY, 0, 2 * (i % 1000) + 1, struct.pack('>IB', 0, 1)), 100000, True),
    ('empty DATA', on_open_stream(lambda i: frame(DATA, 0, 1)), 50000, True),
    ('unknown frames', lambda i: frame(0x42, 0, 0, b'?' * 10), 200000, True),
    ('padding', on_open_stream(lambda i: frame(DATA, 8, 1, b'\xff' + bytes(255))), 50000, True),
    ('a bomb of tiny fields', bomb(BOMB), 300, False),
    ('a bomb of large fields', bomb(LARGE), 300, False),
    ('streams that never end', lambda i: frame(HEADERS, END_HEADERS, 2 * i + 1, POST), 5000, False),
]


def send_all(s, piece, count):
    """Sends until the end or until the gateway has had enough, reading what it says. True: it ended it."""
    said, ended = bytearray(), threading.Event()

    def read():
        try:
            while True:
                data = s.recv(65536)
                if not data:
                    break
                if len(said) < 1 << 20:
                    said.extend(data)
        except OSError:
            pass
        ended.set()
    reader = threading.Thread(target=read)
    reader.start()
    try:
        s.sendall(PREFACE + frame(SETTINGS, 0, 0))
        for at in range(0, count, 200):
            if ended.is_set():
                break
            s.sendall(b''.join(piece(i) for i in range(at, min(at + 200, count))))
    except OSError:
        pass
    return said, ended, reader


def kinds(said):
    out, at = [], 0
    while at + 9 <= len(said):
        out.append((said[at + 3], bytes(said[at + 9:at + 9 + int.from_bytes(said[at:at + 3], 'big')])))
        at += 9 + int.from_bytes(said[at:at + 3], 'big')
    return out


def rss_mb(pid):
    with open(f'/proc/{pid}/status', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('VmRSS')) / 1024


@test(FLOODS)
def flood(row):
    name, piece, count, must_end = row
    with Upstream() as up, Gateway(CONFIG.format(a=up.address)) as gw:
        equal(gw.get('/').status, 200)
        before, worst = rss_mb(gw.process.pid), 0
        for _ in range(3):
            with socket.create_connection(('127.0.0.1', gw.port), 20) as s:
                said, ended, reader = send_all(s, piece, count)
                equal(gw.get('/').status, 200)  # others are served
                worst = max(worst, rss_mb(gw.process.pid))
                if must_end:
                    assert ended.wait(20), f'the flood is borne for ever; said {kinds(said)[:5]}'
                s.close() if ended.is_set() else s.shutdown(socket.SHUT_RDWR)
                reader.join(20)
                told = [p for k, p in kinds(said) if k == GOAWAY]
                if must_end and told:  # a reset may have destroyed it on its way
                    assert struct.unpack('>I', told[-1][4:8])[0] != 0, told
        assert worst - before < MEMORY_MB, f'{before:.0f} MB before, {worst:.0f} MB meanwhile'
        wait_until(lambda: gw.metrics()['sluice_client_connections_open'] <= 2, 'connections are gone')


@test
def zero_windows():
    """A hundred answers that nobody takes: the service is held back, the streams are ended in time."""
    body = b'x' * (4 << 20)
    answer = b'HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n' % len(body) + body
    with Upstream(answer) as up, Gateway(CONFIG.format(a=up.address)) as gw:
        before = rss_mb(gw.process.pid)
        with socket.create_connection(('127.0.0.1', gw.port), 20) as s:
            s.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack('>HI', 4, 0)))
            s.sendall(b''.join(frame(HEADERS, END_STREAM | END_HEADERS, 2 * i + 1, GET) for i in range(100)))
            up.wait_requests(100)
            equal(gw.get('/').status, 200)
            worst = rss_mb(gw.process.pid)
            said = bytearray()
            s.settimeout(30)
            while sum(k == RST for k, _ in kinds(said)) < 100:
                data = s.recv(65536)
                if not data:
                    break  # the whole connection was ended: as good
                said.extend(data)
        assert worst - before < 2 * MEMORY_MB, f'{before:.0f} MB before, {worst:.0f} MB meanwhile'


run()
