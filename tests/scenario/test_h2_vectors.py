#!/usr/bin/python3
"""Hostile and legal HTTP/2 bytes against the real gateway: those of ../shared/cases/http2 and more of the same
kinds (MORE, below), whole, byte by byte and cut in two at every place.

The nonce is the client's address (127.x.y.z), which the gateway tells the recording service in X-Forwarded-For.
Whatever is refused, not one whole request of it reaches the service, and a connection that lives on serves the
next request.
"""
import base64
import itertools
import json
import os
import re
import socket
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from cuts import Batch
from gateway import SHARED_CASES, Client, Gateway, Upstream
from h2_wire import (CONTINUATION, DATA, ENABLE_PUSH, END_HEADERS, END_STREAM, GOAWAY, HEADERS, MAX_FRAME_SIZE, NO_ERROR,
                     PADDED, PING, PREFACE, PRIORITIZED, PRIORITY, RST_STREAM, SETTINGS, WINDOW_UPDATE, Decoder, block,
                     code, data, frame, frames, get, headers, literal, request, rst, settings, string, window_update)
from tap import add, equal, run

CASES = os.path.join(SHARED_CASES, 'http2', 'vectors.jsonl')
BATCH = 200
CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    services: {a: %s}
    log: false
    limits: {header_timeout: 2m, first_byte_timeout: 2m, body_idle_timeout: 2m, keepalive_timeout: 5m}
    routes: [{match: {host: gw.test, path: "/*"}, to: a}]
'''
addresses = itertools.count(2 << 16)  # 127.2.0.0 and on
serials = itertools.count(1)
seen = []  # (nonce, serial, request), in the order of arrival

BEGIN = PREFACE + settings()
OPEN = headers(1, request('POST'), END_HEADERS)
A_GET = (('x-a', '1'),)


def fields(*more, **how):
    """A GET with these fields."""
    return headers(1, request('GET', '/', *more, **how))


def pseudo(*pairs):
    return headers(1, block(*pairs))


def post(length, *parts):
    return headers(1, request('POST', '/', ('content-length', length)), END_HEADERS) + b''.join(parts)


METHOD, SCHEME, PATH, HOST = (':method', 'GET'), (':scheme', 'http'), (':path', '/'), (':authority', 'gw.test')
# id: (bytes behind preface and SETTINGS, ok | reject | conn-error), or: local: ok, without the service;
# late: an error after a whole request; last: ok, and the connection ends; closed: at once, it is no HTTP/2
MORE = {
    # frames: RFC 9113 4 to 6
    '2F03 SETTINGS with ACK and a payload': (frame(SETTINGS, 1, 0, b'\0' * 6), 'conn-error'),
    '2F09 DATA on stream 0': (data(0, b'x'), 'conn-error'),
    '2F12 CONTINUATION out of the blue': (frame(CONTINUATION, END_HEADERS, 1, b'x'), 'conn-error'),
    '2F13 HEADERS shorter than its priority': (headers(1, b'\0\0\0', END_STREAM | END_HEADERS | PRIORITIZED),
                                              'conn-error'),
    '2F16 WINDOW_UPDATE of 0 on a stream': (OPEN + window_update(1, 0), 'reject'),
    '2F18 a stream window too large': (OPEN + window_update(1, 0x7fffffff), 'reject'),
    '2F21 RST_STREAM of 3 bytes': (OPEN + frame(RST_STREAM, 0, 1, b'\0\0\0'), 'conn-error'),
    '2F27 DATA on a half-closed stream': (get(1) + data(1, b'x'), 'late'),
    '2F28 HEADERS on a half-closed stream': (get(1) + get(1), 'conn-error'),
    '2F29 padding longer than HEADERS': (headers(1, b'\xff' + request(), END_STREAM | END_HEADERS | PADDED),
                                         'conn-error'),
    '2F31 padding longer than DATA': (OPEN + data(1, b'\x05abc', PADDED), 'conn-error'),
    '2F32 HEADERS on stream 0': (headers(0, request()), 'conn-error'),
    '2F33 RST_STREAM on stream 0': (rst(0), 'conn-error'),
    '2F34 PRIORITY on stream 0': (frame(PRIORITY, 0, 0, b'\0\0\0\0\0'), 'conn-error'),
    '2F35 HEADERS that depends on itself': (
        headers(1, b'\0\0\0\1\0' + request(), END_STREAM | END_HEADERS | PRIORITIZED), 'reject'),
    '2F36 SETTINGS: MAX_FRAME_SIZE above 2^24': (settings((MAX_FRAME_SIZE, 1 << 24)), 'conn-error'),
    '2F37 PING of 7 bytes': (frame(PING, 0, 0, b'1234567'), 'conn-error'),
    '2F38 GOAWAY on a stream': (frame(GOAWAY, 0, 1, b'\0' * 8), 'conn-error'),
    '2F39 WINDOW_UPDATE of 3 bytes': (frame(WINDOW_UPDATE, 0, 0, b'\0\0\1'), 'conn-error'),
    '2F40 WINDOW_UPDATE on an idle stream': (window_update(1, 1), 'conn-error'),
    '2F41 CONTINUATION of another stream': (
        headers(1, request(), END_STREAM) + frame(CONTINUATION, END_HEADERS, 3, b''), 'conn-error'),
    '2F42 DATA after a reset of one\'s own': (OPEN + rst(1) + data(1, b'x'), 'conn-error'),
    '2F43 HEADERS after a reset of one\'s own': (OPEN + rst(1) + get(1), 'conn-error'),
    '2F44 an id that was passed over': (get(7) + get(5), 'conn-error'),
    '2F45 unknown SETTINGS are ignored': (settings((0xff, 1)) + get(1), 'ok'),
    '2F46 unknown flags are ignored': (frame(PING, 0x16, 0, b'12345678') + get(1), 'ok'),
    '2F47 the reserved bit is ignored': (frame(HEADERS, END_STREAM | END_HEADERS, 0x80000001, request()), 'ok'),
    '2F48 PRIORITY on an idle stream': (frame(PRIORITY, 0, 3, b'\0\0\0\0\x10') + get(1), 'ok'),
    '2F49 a block in three frames': (
        headers(1, request()[:10], END_STREAM) + frame(CONTINUATION, 0, 1, request()[10:30]) +
        frame(CONTINUATION, END_HEADERS, 1, request()[30:]), 'ok'),
    '2F50 a block in ten frames': (
        headers(1, request()[:1], END_STREAM) +
        b''.join(frame(CONTINUATION, 0, 1, request()[i:i + 1]) for i in range(1, 10)) +
        frame(CONTINUATION, END_HEADERS, 1, request()[10:]), 'conn-error'),
    '2F51 padding and priority': (
        headers(1, b'\3' + b'\0\0\0\0\x10' + request() + b'\0\0\0', END_STREAM | END_HEADERS | PADDED | PRIORITIZED),
        'ok'),
    '2F52 SETTINGS: more entries than sense': (settings(*[(0xf0, 1)] * 40), 'conn-error'),
    '2F53 SETTINGS: ENABLE_PUSH of 1': (settings((ENABLE_PUSH, 1)) + get(1), 'ok'),
    '2F54 a request, then GOAWAY of the client': (get(1) + frame(GOAWAY, 0, 0, b'\0' * 8), 'last'),
    # HPACK: RFC 7541
    '2P05 a table size update behind a field': (headers(1, request() + b'\x20'), 'conn-error'),
    '2P07 Huffman with EOS': (headers(1, request() + b'\0\x84\xff\xff\xff\xff\x01x'), 'conn-error'),
    '2P09 a length of 4 GiB': (headers(1, request() + b'\0\x7f\x80\xff\xff\xff\x0f'), 'conn-error'),
    '2P10 a value that never comes': (headers(1, request() + b'\0\1a'), 'conn-error'),
    '2P11 an index just behind the table': (headers(1, request() + b'\xbe'), 'conn-error'),
    '2P12 an entry that is used': (
        headers(1, request() + literal('x-a', '1', 0x40) + b'\xbe'), 'ok'),
    '2P13 a table size update at the start': (headers(1, b'\x20' + request()), 'ok'),
    '2P14 Huffman padding of zeros': (headers(1, request() + b'\0\x81\x1c' + b'\1x'), 'conn-error'),
    # sections: RFC 9113 8.2, 8.3
    '2S01 upper case in a name': (fields(('X-A', '1')), 'reject'),
    '2S03 LF in a value': (fields(('x-a', '1\n2')), 'reject'),
    '2S09 transfer-encoding': (fields(('transfer-encoding', 'chunked')), 'reject'),
    '2S11 upgrade': (fields(('upgrade', 'h2c')), 'reject'),
    '2S12 proxy-connection': (fields(('proxy-connection', 'close')), 'reject'),
    '2S16 two :path': (pseudo(METHOD, SCHEME, PATH, HOST, (':path', '/x')), 'reject'),
    '2S21 DEL in a name': (fields(('x\x7f', '1')), 'reject'),
    '2S22 :protocol with GET': (pseudo(METHOD, (':protocol', 'websocket'), SCHEME, PATH, HOST), 'reject'),
    '2S25 te: trailers': (fields(('te', 'trailers')), 'ok'),
    '2S26 te: trailers, deflate': (fields(('te', 'trailers, deflate')), 'reject'),
    '2S27 :status of a request': (pseudo(METHOD, SCHEME, PATH, HOST, (':status', '200')), 'reject'),
    '2S28 an unknown pseudo-header': (pseudo(METHOD, SCHEME, PATH, HOST, (':x', '1')), 'reject'),
    '2S29 an empty value': (fields(('x-a', '')), 'ok'),
    '2S32 no :path': (pseudo(METHOD, SCHEME, HOST), 'reject'),
    '2S34 :path without a slash': (pseudo(METHOD, SCHEME, (':path', 'x'), HOST), 'reject'),
    '2S38 :scheme with a URL': (pseudo(METHOD, (':scheme', 'http://localhost/?'), PATH, HOST), 'reject'),
    '2S39 neither :authority nor host': (pseudo(METHOD, SCHEME, PATH), 'reject'),
    '2S41 userinfo in :authority': (pseudo(METHOD, SCHEME, PATH, (':authority', 'u@gw.test')), 'reject'),
    '2S44 a fragment in :path': (pseudo(METHOD, SCHEME, (':path', '/a#b'), HOST), 'reject'),
    '2S46 CONNECT': (pseudo((':method', 'CONNECT'), HOST), 'reject'),
    '2S48 host alone': (pseudo(METHOD, SCHEME, PATH, ('host', 'gw.test')), 'ok'),
    '2S49 120 cookie crumbs': (fields(*[('cookie', f'c{i}=1') for i in range(120)]), 'reject'),
    '2S51 the other scheme': (pseudo(METHOD, (':scheme', 'https'), PATH, HOST), 'reject'),
    '2S52 extended CONNECT with a strange protocol': (
        pseudo((':method', 'CONNECT'), (':protocol', 'gopher'), SCHEME, PATH, HOST), 'reject'),
    '2S53 obs-text in a value': (fields(('x-a', b'caf\xe9')), 'ok'),
    '2S54 :authority in upper case': (pseudo(METHOD, SCHEME, PATH, (':authority', 'GW.TEST')), 'ok'),
    '2S55 OPTIONS *': (pseudo((':method', 'OPTIONS'), SCHEME, (':path', '*'), HOST), 'local'),
    '2S56 an entry of 4,000 bytes, used 20 times': (
        headers(1, request() + literal('x-a', 'a' * 4000, 0x40) + b'\xbe' * 20), 'reject'),
    # lengths: RFC 9113 8.1.1
    '2L11 a trailer that must be a header': (
        OPEN + data(1, b'x') + headers(1, block(('content-length', '1'))), 'reject'),
    '2L13 length, and its end in a frame of its own': (post('5', data(1, b'hello'), data(1, b'', END_STREAM)), 'ok'),
    '2L14 length, and one byte more later': (post('5', data(1, b'hello'), data(1, b'!', END_STREAM)), 'reject'),
    '2L15 length 0, its end in a frame of its own': (post('0', data(1, b'', END_STREAM)), 'ok'),
    '2L16 length 0, and a body': (post('0', data(1, b'x', END_STREAM)), 'reject'),
    '2L17 length ended by trailers': (post('5', data(1, b'hello'), headers(1, block(('x-sum', '1')))), 'ok'),
    '2L18 twice the same length': (
        headers(1, request('POST', '/', ('content-length', '5'), ('content-length', '5')), END_HEADERS) +
        data(1, b'hello', END_STREAM), 'reject'),
    '2L19 a negative length': (post('-1', data(1, b'x', END_STREAM)), 'reject'),
    '2L20 a length beyond 2^64': (post('18446744073709551617', data(1, b'x', END_STREAM)), 'reject'),
    '2L21 trailers twice': (
        OPEN + data(1, b'x') + headers(1, block(*A_GET)) + headers(1, block(*A_GET)), 'conn-error'),
    '2L22 an upper case trailer': (OPEN + data(1, b'x') + headers(1, block(('X-A', '1'))), 'reject'),
    '2L23 DATA in ten pieces': (
        post('10', *[data(1, b'x') for _ in range(9)], data(1, b'x', END_STREAM)), 'ok'),
    '2L24 a body without a length': (OPEN + data(1, b'hello', END_STREAM), 'ok'),
    '2L25 eleven empty DATA frames': (OPEN + data(1, b'') * 11, 'conn-error'),
    '2L26 DATA that is all padding': (OPEN + data(1, b'\x04\0\0\0\0', PADDED | END_STREAM), 'ok'),
}
# Where a preface or SETTINGS is wrong there is nothing in front.
PREFACES = {
    '2F30 the preface\'s first letter': (b'QRI * HTTP/2.0\r\n\r\nSM\r\n\r\n' + settings() + get(1), 'closed'),
    '2F55 the preface\'s second half': (b'PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n' + settings() + get(1), 'closed'),
    '2F56 no SETTINGS': (PREFACE + get(1), 'conn-error'),
    '2F57 SETTINGS that is an ACK': (PREFACE + frame(SETTINGS, 1) + get(1), 'conn-error'),
}


def load():
    rows = []
    if os.path.exists(CASES):
        with open(CASES, encoding='utf-8') as f:
            for line in f:
                row = json.loads(line)
                rows.append((row['id'], base64.b64decode(row['b64']), row['expect']))
    else:
        print(f'# no {CASES}: only the cases of this file')
    rows += [(name, BEGIN + b, expect) for name, (b, expect) in MORE.items()]
    return rows + [(name, b, expect) for name, (b, expect) in PREFACES.items()]


def record(request_, _):
    nonce, serial = request_.header('x-forwarded-for', ''), str(next(serials))
    seen.append((nonce, serial, request_))
    return (f'HTTP/1.1 200 OK\r\nX-Nonce: {nonce}\r\nX-Serial: {serial}\r\n'
            f'Content-Length: {len(serial)}\r\n\r\n{serial}').encode()


class Answers:
    """What has come, stream by stream."""

    def __init__(self):
        self.decoder, self.rest = Decoder(), b''
        self.heads, self.ended, self.resets, self.goaway = {}, set(), {}, None

    def take(self, received):
        got, self.rest = frames(self.rest + received)
        for f in got:
            if f.kind == HEADERS:
                assert f.flags & END_HEADERS
                self.heads.setdefault(f.stream, []).append(
                    {n: v for n, v in self.decoder.decode(f.payload)})
            if f.kind in (HEADERS, DATA) and f.flags & END_STREAM:
                self.ended.add(f.stream)
            if f.kind == RST_STREAM:
                self.resets[f.stream] = code(f)
            if f.kind == GOAWAY and code(f) != NO_ERROR:
                self.goaway = code(f)

    def over(self, stream):
        return stream in self.ended or stream in self.resets


class Probe:
    """One client connection that plays one case in pieces."""
    CANARY = 0x1001  # its stream: above those of every case

    def __init__(self, port, case, pieces, how):
        n = next(addresses)
        (self.name, _, self.expect), self.pieces, self.how = case, pieces, how
        self.nonce = f'127.{n >> 16}.{n >> 8 & 255}.{n & 255}'
        self.received, self.ended, self.refused, self.canary_sent = b'', False, False, False
        self.answers = Answers()
        self.sock = socket.socket()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.bind((self.nonce, 0))
        self.sock.connect(('127.0.0.1', port))
        self.sock.setblocking(False)
        self.key = (self.nonce, self.sock.getsockname()[1])

    def send(self, bytes_):
        try:
            while bytes_ and not self.refused:
                bytes_ = bytes_[self.sock.send(bytes_):]
        except (BrokenPipeError, ConnectionResetError):
            self.refused = True

    def receive(self):
        try:
            got = self.sock.recv(65536)
        except BlockingIOError:
            return
        except ConnectionResetError:
            got = b''
        self.received += got
        self.ended = self.ended or not got
        if self.expect != 'closed':
            self.answers.take(got)

    def finished(self):
        """Has said all that this case can make it say."""
        if self.ended or self.expect in ('conn-error', 'closed', 'late', 'last'):
            return self.ended
        if not self.canary_sent:
            if not any(self.answers.over(stream) for stream in (1, 13)):
                return False
            self.canary_sent = True
            self.send(get(self.CANARY, '/canary'))
        return self.answers.over(self.CANARY)

    def where(self):
        return f'{self.name} {self.how}'


def judge(probe, requests):
    """requests: what the service saw complete with this probe's nonce."""
    a, where = probe.answers, probe.where()
    canary = [r for r in requests if r[2].target == '/canary']
    mine = [r for r in requests if r[2].target != '/canary']
    finals = {s: [h for h in heads if h.get(':status', '')[:1] != '1'] for s, heads in a.heads.items()}
    served = [h[0] for h in finals.values() if 'x-serial' in h[0]]
    equal({h['x-nonce'] for h in served} - {probe.nonce}, set(), f'somebody else\'s answer, {where}')
    statuses = [h[0][':status'] for s, h in finals.items() if s != Probe.CANARY]
    if probe.expect == 'closed':
        equal(requests, [], where)
        return
    if probe.expect in ('conn-error', 'late'):
        if probe.expect == 'late' and probe.how == 'whole':
            equal(mine, [], where)
        if not a.goaway:
            raise AssertionError(f'no GOAWAY with an error, {where}: {probe.received!r}')
        return
    if a.goaway:  # a connection that ends has refused its stream as well
        equal((probe.expect, probe.ended, mine), ('reject', True, []), where)
        return
    if probe.expect == 'last':
        equal((statuses, len(mine)), (['200'], 1), where)
        return
    equal(finals.get(Probe.CANARY, [{}])[0].get(':status'), '200', f'the canary on the same connection, {where}')
    equal(len(canary), 1, f'the canary at the service, {where}')
    if probe.expect == 'reject':
        equal([r[2].target for r in mine], [], f'requests at the service, {where}')
        if not a.resets and not all(s[0] == '4' or s == '501' for s in statuses):
            raise AssertionError(f'{where}: {statuses}')
        return
    equal(statuses, ['204'] if probe.expect == 'local' else ['200'], where)
    equal(len(mine), probe.expect == 'ok', f'requests at the service, {where}')


def canary(gw):
    """Another client is served as if nothing had been."""
    with Client(gw.port) as c:
        answer = c.request(b'GET /canary HTTP/1.1\r\nHost: gw.test\r\n\r\n')
        equal(answer.status, 200, 'the canary on a connection of its own')


def play_all(gw, plans):
    """plans: (case, pieces, how). All answers are judged; returns how many were played."""
    count = 0
    for at in range(0, len(plans), BATCH):
        begun = len(seen)
        probes = [Probe(gw.port, *plan) for plan in plans[at:at + BATCH]]
        Batch(gw.port, probes).play()
        canary(gw)
        by_nonce = {}
        for entry in seen[begun:]:
            by_nonce.setdefault(entry[0], []).append(entry)
        for p in probes:
            judge(p, by_nonce.get(p.nonce, []))
        count += len(probes)
    return count


def whole(gw, case):
    equal(play_all(gw, [(case, [case[1]], 'whole')]), 1)


def single_bytes(gw, cases):
    plans = [(c, [c[1][i:i + 1] for i in range(len(c[1]))], 'byte by byte') for c in cases]
    equal(play_all(gw, plans), len(cases))


def cuts(gw, cases):
    """At every place, of long ones at some."""
    plans = []
    for c in cases:
        step = max(1, len(c[1]) // 150)
        plans += [(c, [c[1][:i], c[1][i:]], f'cut at {i}') for i in range(1, len(c[1]), step)]
    equal(play_all(gw, plans), len(plans))


def books(gw):
    m = gw.metrics()
    total = {k: m[f'sluice_exchanges_{k}_total'] for k in ('accepted', 'completed', 'aborted', 'rejected')}
    equal(total['accepted'], total['completed'] + total['aborted'] + total['rejected'] +
          m['sluice_exchanges_in_flight'], 'exchanges')


def main():
    cases = load()
    up = Upstream(record)
    with Gateway(CONFIG % up.address) as gw:
        for case in cases:
            add(f'{case[0]} whole', whole, gw, case)
        short = [c for c in cases if len(c[1]) < 2000]
        add('every short case byte by byte', single_bytes, gw, short)
        for group in ('2B', '2F', '2P', '2S', '2L'):
            add(f'cuts: {group}', cuts, gw, [c for c in cases if re.match(group, c[0])])
        add('the books balance', books, gw)
        run()


main()
