#!/usr/bin/python3
"""The scripted service judges others, so it is judged here: what it takes, refuses and records."""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Client, Closed, Upstream, answer, listening, wait_until
from tap import contains, equal, run, test

GET = b'GET / HTTP/1.1\r\nHost: x\r\n\r\n'

MALFORMED = [
    ('bare LF', b'GET / HTTP/1.1\nHost: x\n\n\r\n'),
    ('bare CR in a line', b'GET / HTTP/1.1\r\nA: b\rc\r\n\r\n'),
    ('no version', b'GET /\r\n\r\n'),
    ('two spaces', b'GET  / HTTP/1.1\r\n\r\n'),
    ('space before the colon', b'GET / HTTP/1.1\r\nA : b\r\n\r\n'),
    ('folded line', b'GET / HTTP/1.1\r\nA: b\r\n c\r\n\r\n'),
    ('NUL in a value', b'GET / HTTP/1.1\r\nA: b\0c\r\n\r\n'),
    ('length and coding', b'POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n'),
    ('two lengths', b'POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc'),
    ('length with a sign', b'POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc'),
    ('other coding', b'POST / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n'),
    ('chunk size with a space', b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3 \r\nabc\r\n0\r\n\r\n'),
    ('chunk without its end', b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabcd\r\n0\r\n\r\n'),
]


@test(MALFORMED)
def the_service_refuses(row):
    with Upstream() as up, Client(up.port) as c:
        c.send(row[1])
        c.finish_sending()
        c.expect_close()
        up.wait_closed()
        assert up.connections[0].broken, 'taken for a request'
        equal(up.requests, [])
        equal(up.connections[0].received, row[1])


BODIES = [
    ('none', GET, b'', []),
    ('length', b'POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc', b'abc', []),
    ('chunks', b'POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nA\r\n0123456789\r\n0\r\nX: y\r\n\r\n',
     b'a0123456789', [(b'X', b'y')]),
]


@test(BODIES)
def the_service_reads_a_body(row):
    with Upstream() as up, Client(up.port) as c:
        c.send_pieces(row[1] + GET)
        equal(c.read_response().body, b'ok')
        equal(c.read_response().body, b'ok')
        first, second = up.wait_requests(2)
        equal((first.body, first.trailers, second.target), (row[2], row[3], '/'))
        equal(up.connections[0].received, row[1] + GET)


@test
def replies_go_in_the_order_of_arrival_and_the_last_repeats():
    with Upstream([answer('1'), lambda r, c: answer(r.target), answer('3', '404 No')]) as up:
        seen = []
        for path in (b'/a', b'/b', b'/c', b'/d'):
            with Client(up.port) as c:
                m = c.request(GET.replace(b'/', path, 1))
                seen.append((m.status, m.body))
        equal(seen, [(200, b'1'), (200, b'/b'), (404, b'3'), (404, b'3')])


@test
def a_script_plays_a_connection_by_hand():
    go = threading.Event()

    def script(connection):
        connection.read_request()
        connection.send(b'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na')
        go.wait()
        connection.send(b'\r\n0\r\nT: 1\r\n\r\n')
    with Upstream(script=script) as up, Client(up.port) as c:
        c.send(GET)
        contains(c.take_line(), b'100')
        go.set()
        c.take_line()
        m = c.read_response()
        equal((m.body, m.trailers), (b'a', [(b'T', b'1')]))


@test
def a_service_that_closes_early_is_seen():
    with Upstream(lambda r, c: c.send(b'HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc') or Upstream.CLOSE) as up:
        with Client(up.port) as c:
            try:
                c.request(GET)
            except Closed as e:
                contains(str(e), "b'abc'")
            else:
                raise AssertionError('the missing bytes were not noticed')


@test
def bytes_after_the_end_are_seen():
    with Upstream(answer('ok') + b'more') as up, Client(up.port) as c:
        c.request(GET)
        up.close()
        try:
            c.expect_close()
        except AssertionError as e:
            contains(str(e), 'more')
        else:
            raise AssertionError('the bytes were not noticed')


@test
def listening_tells_without_connecting():
    with Upstream() as up:
        assert listening(up.port)
        equal(up.connections, [])
        port = up.port
    wait_until(lambda: not listening(port), 'the port is closed')


run()
