#!/usr/bin/python3
"""RFC 9113 and RFC 7541, section by section, against the real gateway: what a client may do and what it is told
when it does something else. A row: the section and what is done, the bytes, what must come of it."""
import os
import socket
import struct
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import h2_wire as w
from gateway import Gateway, Upstream
from h2_wire import (CONTINUATION, END_HEADERS, END_STREAM, GOAWAY, PADDED, PING, PREFACE, PRIORITIZED,
                     PRIORITY, PUSH_PROMISE, RST_STREAM, SETTINGS, WINDOW_UPDATE, block, data, frame, get, headers,
                     literal, request, rst, settings, window_update)
from tap import add, equal, run

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    services: {a: %s}
    log: false
    limits: {h2_max_concurrent_streams: 20}
    routes: [{match: {host: gw.test, path: "/*"}, to: a}]
'''
OPEN = headers(1, request('POST'), END_HEADERS)
CLOSED = rst(1)
PRIO = frame(PRIORITY, 0, 1, struct.pack('>IB', 0, 15))
P, S, F, C, FC, R = (w.PROTOCOL_ERROR, w.STREAM_CLOSED, w.FRAME_SIZE_ERROR, w.COMPRESSION_ERROR, w.FLOW_CONTROL_ERROR,
                     w.REFUSED_STREAM)


class Ends:
    """GOAWAY with one of these codes, and the end of the connection."""
    def __init__(self, *codes):
        self.codes = codes

    def check(self, peer):
        code = peer.error()
        if code not in self.codes:
            raise AssertionError(f'GOAWAY {peer.goaways}, wanted one of {self.codes}')


class Resets(Ends):
    """RST_STREAM with one of these codes on stream 1, or a connection that ends over it."""
    def check(self, peer):
        while not peer.closed and not peer.over(1) and not any(c for _, c in peer.goaways):
            peer.hear()
        got = peer.resets.get(1, next((c for _, c in peer.goaways if c), None))
        if got not in self.codes:
            raise AssertionError(f'resets {peer.resets}, GOAWAY {peer.goaways}, wanted one of {self.codes}')


class Serves:
    """This status on stream 1, and the next request is answered too."""
    def __init__(self, status=200):
        self.status = status

    def check(self, peer):
        equal(peer.answer(1), self.status)
        peer.send(get(101))
        equal(peer.answer(101), 200, 'the next request')
        equal(peer.goaways, [])


def begin(*fields, **how):
    return headers(1, request('GET', '/', *fields, **how))


def pseudo(*pairs):
    return headers(1, block(*pairs))


M, H, A, PATH = (':method', 'GET'), (':scheme', 'http'), (':authority', 'gw.test'), (':path', '/')
ROWS = {
    # RFC 9113
    '4.1 a frame of unknown type': ([frame(0x16, 0, 0, b'12345678'), begin()], Serves()),
    '4.1 undefined flags': ([frame(PING, 0x16, 0, b'12345678'), begin()], Serves()),
    '4.1 the reserved bit': ([frame(PING, 0, 0x80000000, b'12345678'), begin()], Serves()),
    '4.2 DATA of 2^14 bytes': ([OPEN, data(1, b'x' * 16384, END_STREAM)], Serves()),
    '4.2 DATA of one byte more': ([OPEN, data(1, b'x' * 16385, END_STREAM)], Resets(F)),
    '4.2 HEADERS of one byte more': ([begin(('x', 'a' * 16385))], Ends(F)),
    '4.3 a block that does not decode': ([headers(1, b'\x40')], Ends(C)),
    '4.3 PRIORITY within a block': ([headers(1, request(), END_STREAM), PRIO], Ends(P)),
    '4.3 HEADERS of another stream within a block': ([headers(1, request(), END_STREAM), get(3)], Ends(P)),
    '5.1 idle: DATA': ([data(1, b'x', END_STREAM)], Ends(P, S)),
    '5.1 idle: RST_STREAM': ([rst(1)], Ends(P)),
    '5.1 idle: WINDOW_UPDATE': ([window_update(1, 100)], Ends(P)),
    '5.1 idle: CONTINUATION': ([frame(CONTINUATION, END_HEADERS, 1, request())], Ends(P)),
    '5.1 idle: PRIORITY': ([PRIO, begin()], Serves()),
    '5.1 half-closed: DATA': ([begin(), data(1, b'x', END_STREAM)], Resets(S)),
    '5.1 half-closed: HEADERS': ([begin(), begin()], Resets(S)),
    '5.1 half-closed: CONTINUATION': ([begin(), frame(CONTINUATION, END_HEADERS, 1, request())], Ends(S, P)),
    '5.1 half-closed: WINDOW_UPDATE': ([begin(), window_update(1, 100)], Serves()),
    '5.1 half-closed: PRIORITY': ([begin(), PRIO], Serves()),
    '5.1 closed by RST_STREAM: DATA': ([OPEN, CLOSED, data(1, b'x')], Resets(S)),
    '5.1 closed by RST_STREAM: HEADERS': ([OPEN, CLOSED, begin()], Ends(S, P)),
    '5.1 closed by RST_STREAM: CONTINUATION': (
        [OPEN, CLOSED, frame(CONTINUATION, END_HEADERS, 1, request())], Ends(S, P)),
    '5.1.1 an even stream': ([get(2)], Ends(P)),
    '5.1.1 a stream below the last one': ([get(5), get(3)], Ends(P)),
    '5.3.1 HEADERS that depends on itself': (
        [headers(1, struct.pack('>IB', 1, 255) + request(), END_STREAM | END_HEADERS | PRIORITIZED)], Resets(P)),
    '5.3.1 PRIORITY that depends on itself': ([frame(PRIORITY, 0, 1, struct.pack('>IB', 1, 255))], Resets(P)),
    '5.5 an unknown frame within a block': ([headers(1, request(), END_STREAM), frame(0x16, 0, 1, b'')], Ends(P)),
    '6.1 DATA on stream 0': ([data(0, b'x')], Ends(P)),
    '6.1 DATA with too much padding': ([OPEN, data(1, b'\x06Test', PADDED | END_STREAM)], Ends(P)),
    '6.1 DATA with padding': ([OPEN, data(1, b'\x06Test' + b'\0' * 6, PADDED | END_STREAM)], Serves()),
    '6.2 HEADERS on stream 0': ([headers(0, request())], Ends(P)),
    '6.2 HEADERS with too much padding': (
        [headers(1, b'\xf0' + request(), END_STREAM | END_HEADERS | PADDED)], Ends(P)),
    '6.2 HEADERS with padding and priority': (
        [headers(1, b'\x03' + struct.pack('>IB', 0, 15) + request() + b'\0' * 3,
                 END_STREAM | END_HEADERS | PADDED | PRIORITIZED)], Serves()),
    '6.3 PRIORITY on stream 0': ([frame(PRIORITY, 0, 0, struct.pack('>IB', 0, 15))], Ends(P)),
    '6.3 PRIORITY of 4 bytes': ([OPEN, frame(PRIORITY, 0, 1, b'\0' * 4)], Resets(F)),
    '6.4 RST_STREAM on stream 0': ([rst(0)], Ends(P)),
    '6.4 RST_STREAM of 3 bytes': ([OPEN, frame(RST_STREAM, 0, 1, b'\0' * 3)], Ends(F)),
    '6.5 SETTINGS with ACK and a payload': ([frame(SETTINGS, 1, 0, b'\0' * 6)], Ends(F)),
    '6.5 SETTINGS on a stream': ([frame(SETTINGS, 0, 1, b'')], Ends(P)),
    '6.5 SETTINGS of 3 bytes': ([frame(SETTINGS, 0, 0, b'\0' * 3)], Ends(F)),
    '6.5.2 ENABLE_PUSH of 2': ([settings((w.ENABLE_PUSH, 2))], Ends(P)),
    '6.5.2 INITIAL_WINDOW_SIZE of 2^31': ([settings((w.INITIAL_WINDOW_SIZE, 1 << 31))], Ends(FC)),
    '6.5.2 MAX_FRAME_SIZE below 2^14': ([settings((w.MAX_FRAME_SIZE, 16383))], Ends(P)),
    '6.5.2 MAX_FRAME_SIZE above 2^24 - 1': ([settings((w.MAX_FRAME_SIZE, 1 << 24))], Ends(P)),
    '6.5.2 a setting that nobody knows': ([settings((0xff, 1)), begin()], Serves()),
    '6.5.2 ENABLE_CONNECT_PROTOCOL of 2': ([settings((w.ENABLE_CONNECT_PROTOCOL, 2))], Ends(P)),
    '6.6 PUSH_PROMISE': ([OPEN, frame(PUSH_PROMISE, END_HEADERS, 1, struct.pack('>I', 2) + request())], Ends(P)),
    '6.7 PING on a stream': ([frame(PING, 0, 1, b'12345678')], Ends(P)),
    '6.7 PING of 6 bytes': ([frame(PING, 0, 0, b'123456')], Ends(F)),
    '6.8 GOAWAY on a stream': ([frame(GOAWAY, 0, 1, b'\0' * 8)], Ends(P)),
    '6.8 GOAWAY of 4 bytes': ([frame(GOAWAY, 0, 0, b'\0' * 4)], Ends(F)),
    '6.9 WINDOW_UPDATE of 0': ([window_update(0, 0)], Ends(P)),
    '6.9 WINDOW_UPDATE of 0 on a stream': ([OPEN, window_update(1, 0)], Resets(P)),
    '6.9 WINDOW_UPDATE of 3 bytes': ([frame(WINDOW_UPDATE, 0, 0, b'\0\0\1')], Ends(F)),
    '6.9.1 more than 2^31 - 1': ([window_update(0, 0x7fffffff), window_update(0, 0x7fffffff)], Ends(FC)),
    '6.9.1 more than 2^31 - 1 on a stream': (
        [OPEN, window_update(1, 0x7fffffff), window_update(1, 0x7fffffff)], Resets(FC)),
    '6.10 CONTINUATION frames': (
        [headers(1, request()[:9], END_STREAM), frame(CONTINUATION, 0, 1, request()[9:20]),
         frame(CONTINUATION, END_HEADERS, 1, request()[20:])], Serves()),
    '6.10 CONTINUATION, then DATA': (
        [headers(1, request(), 0), frame(CONTINUATION, 0, 1, b''), data(1, b'x')], Ends(P)),
    '6.10 CONTINUATION on stream 0': (
        [headers(1, request(), END_STREAM), frame(CONTINUATION, END_HEADERS, 0, b'')], Ends(P)),
    '6.10 CONTINUATION behind END_HEADERS': ([OPEN, frame(CONTINUATION, END_HEADERS, 1, b'')], Ends(P)),
    '6.10 CONTINUATION behind another that ended': (
        [headers(1, request(), 0), frame(CONTINUATION, END_HEADERS, 1, b''),
         frame(CONTINUATION, END_HEADERS, 1, b'')], Ends(P)),
    '6.10 CONTINUATION behind DATA': ([OPEN, data(1, b'x'), frame(CONTINUATION, END_HEADERS, 1, b'')], Ends(P)),
    '7 GOAWAY with an unknown code': ([begin(), frame(GOAWAY, 0, 0, struct.pack('>II', 0, 0xff))], None),
    '7 RST_STREAM with an unknown code': ([headers(3, request('POST'), END_HEADERS), rst(3, 0xff), get(5)], None),
    '8.1 a second HEADERS without END_STREAM': (
        [OPEN, data(1, b'x'), headers(1, block(('x-t', '1')), END_HEADERS)], Resets(P)),
    '8.1 trailers': ([OPEN, data(1, b'x'), headers(1, block(('x-t', '1')))], Serves()),
    '8.2.1 upper case': ([begin(('X-TEST', 'ok'))], Resets(P)),
    '8.2.2 connection': ([begin(('connection', 'keep-alive'))], Resets(P)),
    '8.2.2 TE other than trailers': ([begin(('te', 'trailers, deflate;q=0.5'))], Resets(P)),
    '8.3 an unknown pseudo-header': ([pseudo(M, H, PATH, A, (':test', 'ok'))], Resets(P)),
    '8.3 a pseudo-header of answers': ([pseudo(M, H, PATH, A, (':status', '200'))], Resets(P)),
    '8.3 a pseudo-header behind a field': ([pseudo(H, A, PATH, ('x', '1'), M)], Resets(P)),
    '8.3 a pseudo-header in trailers': ([OPEN, data(1, b'x'), headers(1, block(M))], Resets(P)),
    '8.3.1 an empty :path': ([pseudo(M, H, (':path', ''), A)], Resets(P)),
    '8.3.1 no :method': ([pseudo(H, PATH, A)], Resets(P)),
    '8.3.1 no :scheme': ([pseudo(M, PATH, A)], Resets(P)),
    '8.3.1 no :path': ([pseudo(M, H, A)], Resets(P)),
    '8.3.1 two :method': ([pseudo(M, M, H, PATH, A)], Resets(P)),
    '8.3.1 two :scheme': ([pseudo(M, H, H, PATH, A)], Resets(P)),
    '8.3.1 two :path': ([pseudo(M, H, PATH, PATH, A)], Resets(P)),
    '8.1.1 a length that DATA does not keep': (
        [headers(1, request('POST', '/', ('content-length', '1')), END_HEADERS), data(1, b'test', END_STREAM)],
        Resets(P)),
    '8.1.1 a length that several DATA do not keep': (
        [headers(1, request('POST', '/', ('content-length', '1')), END_HEADERS), data(1, b'te'),
         data(1, b'st', END_STREAM)], Resets(P)),
    # RFC 7541
    'HPACK 2.3.3 an index beyond the table': ([headers(1, request() + b'\xc6')], Ends(C)),
    'HPACK 2.3.3 a literal with such a name': ([headers(1, request() + b'\x7f\x10\x04test')], Ends(C)),
    'HPACK 4.2 a size update at the end of a block': ([headers(1, request() + b'\x21')], Ends(C)),
    'HPACK 5.2 padding of more than 7 bits': ([headers(1, request() + b'\0\x85\xf2\xb2\x4a\x84\xff\x84\x49\x50\x9f\xff')],
                                              Ends(C)),
    'HPACK 5.2 padding of zeros': ([headers(1, request() + b'\0\x85\xf2\xb2\x4a\x84\xff\x83\x49\x50\x90')], Ends(C)),
    'HPACK 5.2 EOS': ([headers(1, request() + b'\0\x85\xf2\xb2\x4a\x84\xff\x87\x49\x51\xff\xff\xff\xfa\x7f')], Ends(C)),
    'HPACK 6.1 index 0': ([headers(1, request() + b'\x80')], Ends(C)),
    'HPACK 6.2 literals of every kind': (
        [headers(1, request() + literal('x-a', '1') + literal('x-b', '1', 0x10) + literal('x-c', '1', 0x40))],
        Serves()),
    'HPACK 6.3 a size larger than SETTINGS': ([headers(1, b'\x3f\xe2\x1f' + request())], Ends(C)),
    'HPACK 6.3 two size updates': ([headers(1, b'\x20\x3f\xe1\x1f' + request())], Serves()),
}


def connect(gw, hello=PREFACE + settings()):
    return w.Peer(socket.create_connection(('127.0.0.1', gw.port)), hello=hello)


def row(gw, parts, outcome):
    with connect(gw) as peer:
        peer.send(*parts)
        if outcome:
            outcome.check(peer)
        else:  # an unknown code says nothing: the request that is there is answered
            stream = 1 if parts[0][:9] == begin()[:9] else 5
            equal(peer.answer(stream), 200)


def our_preface(gw):
    """3.4: SETTINGS is the first thing that we say, and the client's are acknowledged."""
    with connect(gw) as peer:
        peer.until(lambda: peer.settings and peer.acks, 'SETTINGS and an ACK')
        equal(peer.settings[w.MAX_CONCURRENT_STREAMS], 20)
        equal(peer.settings[w.ENABLE_CONNECT_PROTOCOL], 1)


def bad_preface(gw):
    with connect(gw, b'INVALID CONNECTION PREFACE\r\n\r\n') as peer:
        while not peer.closed:
            peer.hear()
        equal(dict(peer.heads), {})


def second_half_of_a_preface(gw):
    with connect(gw, PREFACE[:20] + b'XXXX' + settings()) as peer:
        while not peer.closed:
            peer.hear()
        equal(dict(peer.heads), {})


def too_many_streams(gw):
    """5.1.2: one more than allowed is refused; what is under way, and the connection, are not touched."""
    with connect(gw) as peer:
        peer.until(lambda: peer.settings and peer.acks, 'SETTINGS')
        for i in range(21):
            peer.send(headers(2 * i + 1, request('POST'), END_HEADERS))
        peer.until(lambda: peer.resets, 'a reset')
        equal(peer.resets, {41: R})
        for i in range(20):
            peer.send(data(2 * i + 1, b'', END_STREAM))
        for i in range(20):
            equal(peer.answer(2 * i + 1), 200)
        equal(peer.goaways, [])


def goaway_tells_the_last_stream(gw):
    """5.4.1"""
    with connect(gw) as peer:
        peer.send(begin())
        equal(peer.answer(1), 200)
        peer.send(frame(PING, 0, 3, b'\0' * 8))
        equal(peer.error(), P)
        equal([last for last, _ in peer.goaways], [1])


def ping(gw):
    """6.7: answered with the same bytes; one with ACK is not."""
    with connect(gw) as peer:
        peer.send(frame(PING, 1, 0, b'invalid!'), frame(PING, 0, 0, b'h2spec!!'))
        peer.until(lambda: peer.pings, 'PING')
        equal(peer.pings, [b'h2spec!!'])


def closed_by_end_stream(gw, parts):
    with connect(gw) as peer:
        peer.send(begin())
        equal(peer.answer(1), 200)
        peer.send(*parts)
        Resets(S, P).check(peer) if peer.resets else Ends(S, P).check(peer)


def window_of_one(gw):
    """6.9.1: DATA as the window allows, byte by byte."""
    with connect(gw) as peer:
        peer.send(settings((w.INITIAL_WINDOW_SIZE, 1)))
        peer.send(begin())
        peer.until(lambda: peer.bodies[1], 'the first byte')
        equal(peer.sizes[1], [1])
        peer.send(window_update(1, 1), frame(PING, 0, 0, b'barrier!'))
        peer.until(lambda: peer.pings and len(peer.bodies[1]) == 2, 'the second byte')
        equal(peer.sizes[1], [1, 1])
        peer.send(window_update(1, 10))
        equal(peer.answer(1), 200)
        equal(peer.bodies[1], b'ok and more')


def window_opens_by_settings(gw):
    """6.9.2: a new INITIAL_WINDOW_SIZE moves the windows of streams that are open."""
    with connect(gw, PREFACE + settings((w.INITIAL_WINDOW_SIZE, 0))) as peer:
        peer.send(begin())
        peer.until(lambda: peer.heads[1], 'the head')
        equal(peer.bodies[1], b'')
        peer.send(settings((w.INITIAL_WINDOW_SIZE, 1)))
        peer.until(lambda: peer.bodies[1], 'a byte')
        equal(peer.bodies[1], b'o')


def negative_window(gw):
    """6.9.2: 3, taken back to 2 when 3 are sent: -1; two more make 1."""
    with connect(gw, PREFACE + settings((w.INITIAL_WINDOW_SIZE, 3))) as peer:
        peer.send(begin())
        peer.until(lambda: len(peer.bodies[1]) == 3, 'three bytes')
        peer.send(settings((w.INITIAL_WINDOW_SIZE, 2)), window_update(1, 2), frame(PING, 0, 0, b'barrier!'))
        peer.until(lambda: peer.pings and len(peer.bodies[1]) == 4, 'the fourth byte')
        equal(peer.sizes[1], [3, 1])


def settings_in_order(gw):
    """6.5.3: the last of several values counts."""
    with connect(gw, PREFACE + settings((w.INITIAL_WINDOW_SIZE, 100), (w.INITIAL_WINDOW_SIZE, 1))) as peer:
        peer.send(begin())
        peer.until(lambda: peer.bodies[1], 'a byte')
        equal(peer.sizes[1], [1])


def table_entries_come_back(gw):
    """HPACK 6.2.1, over several requests."""
    with connect(gw) as peer:
        peer.send(headers(1, request() + literal('x-a', '1', 0x40)))
        equal(peer.answer(1), 200)
        peer.send(headers(3, request() + b'\xbe'))
        equal(peer.answer(3), 200)
        peer.send(headers(5, request() + b'\xbf'))
        equal(peer.error(), C)


def upload_in_pieces(gw):
    """3.1: several DATA frames, HEAD, POST with trailers."""
    with connect(gw) as peer:
        peer.send(OPEN, data(1, b'a'), data(1, b'b'), data(1, b'', END_STREAM))
        equal(peer.answer(1), 200)
        peer.send(headers(3, request('HEAD')))
        equal(peer.answer(3), 200)
        equal(peer.bodies[3], b'')


def reply(request_, _):
    body = b'' if request_.method == 'HEAD' else b'ok and more'
    return b'HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n' + body


def main():
    with Upstream(reply) as up, Gateway(CONFIG % up.address) as gw:
        for name, (parts, outcome) in ROWS.items():
            add(name, row, gw, parts, outcome)
        for function in (our_preface, bad_preface, second_half_of_a_preface, too_many_streams,
                         goaway_tells_the_last_stream, ping, window_of_one, window_opens_by_settings,
                         negative_window, settings_in_order, table_entries_come_back, upload_in_pieces):
            add(function.__name__.replace('_', ' '), function, gw)
        add('5.1 closed by END_STREAM: DATA', closed_by_end_stream, gw, [data(1, b'x')])
        add('5.1 closed by END_STREAM: HEADERS', closed_by_end_stream, gw, [begin()])
        add('5.1 closed by END_STREAM: CONTINUATION', closed_by_end_stream, gw,
            [frame(CONTINUATION, END_HEADERS, 1, b'')])
        run()


main()
