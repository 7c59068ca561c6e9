#!/usr/bin/env python3
"""Credentials that somebody else judges: introspection (F18) and forward auth (F19), over HTTP/1.1 and
HTTP/2, with answers of every kind, and clients that leave while the call is under way (F20)."""
import base64
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import TIMEOUT, Gateway, Upstream, answer, wait_until
from tap import contains, equal, run, test

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    workers: 1
    services: {shop: "%s"}
    authenticators:
      it: %s
    routes:
      - {match: {path: "/free/*"}, to: shop}
      - {match: {path: "/both/*"}, to: shop, authenticate: {any: [it], optional: true}}
      - {match: {path: "/*"}, to: shop, authenticate: it}
'''


def doc(**claims):
    return answer(json.dumps(claims), '200 OK', 'Content-Type: application/json')


class Answers:
    """What the one who judges says: set by the test, for each request anew."""

    def __init__(self):
        self.says = answer()

    def __call__(self, request, connection):
        return self.says(request, connection) if callable(self.says) else self.says


def house(conf, answers):
    """The gateway, its service and the one who judges."""
    up, judge = Upstream(), Upstream(reply=answers)
    return up, judge, Gateway(CONFIG % (up.address, conf.replace('@JUDGE@', judge.address)))


def curl(gw, version, path, *headers, method='GET'):
    """(status, headers, body) over HTTP/1.1 or HTTP/2."""
    how = '--http2-prior-knowledge' if version == 2 else '--http1.1'
    args = [x for h in headers for x in ('-H', h)]
    done = subprocess.run(['curl', '-sS', '-i', how, '-m', str(TIMEOUT), '-X', method, *args,
                           f'http://127.0.0.1:{gw.port}{path}'], capture_output=True, check=True)
    head, _, body = done.stdout.partition(b'\r\n\r\n')
    lines = head.decode().split('\r\n')
    fields = [tuple(x.split(': ', 1)) for x in lines[1:]]
    return int(lines[0].split()[1]), [(n.lower(), v) for n, v in fields], body


def field(headers, name):
    return [v for n, v in headers if n == name]


def balanced(gw):
    def even():
        m = gw.metrics()
        over = m['sluice_calls_answered_total'] + m['sluice_calls_failed_total'] + m['sluice_calls_cancelled_total']
        return m['sluice_calls_started_total'] == over
    wait_until(even, 'every call has ended, in one way')


# ---- introspection ----

INTROSPECTION = '''{introspection: {url: "http://@JUDGE@/introspect?x=1", client_id: "gate way",
    client_secret: "s:e+c", cache: 0s, cache_refused: 0s, issuer: "https://id.test", scopes: [read],
    timeout: 300ms}, headers: {X-User-ID: "${claim.sub}"}}'''
GOOD = {'active': True, 'sub': 'ann', 'iss': 'https://id.test', 'scope': 'write read'}


@test
def introspection_table():
    rows = [
        (doc(**GOOD), 200, None),
        (doc(**{**GOOD, 'exp': int(time.time()) + 100}), 200, None),
        (doc(active=False), 401, 'token_inactive'),
        (doc(**{**GOOD, 'active': 'true'}), 503, 'auth_unavailable'),
        (doc(**{**GOOD, 'active': 'false'}), 503, 'auth_unavailable'),
        (doc(**{**GOOD, 'active': 1}), 503, 'auth_unavailable'),
        (doc(**{**GOOD, 'active': None}), 503, 'auth_unavailable'),
        (doc(**{**GOOD, 'active': [True]}), 503, 'auth_unavailable'),
        (doc(sub='ann'), 503, 'auth_unavailable'),
        (answer('{"active":false,"active":true}'), 503, 'auth_unavailable'),
        (answer('[{"active":true}]'), 503, 'auth_unavailable'),
        (answer('<html>'), 503, 'auth_unavailable'),
        (answer(''), 503, 'auth_unavailable'),
        (answer(b'x' * 70000), 503, 'auth_unavailable'),
        (answer('{"active":true}', '401 Unauthorized'), 503, 'auth_unavailable'),
        (answer('{"active":true}', '302 Found', 'Location: http://169.254.169.254/'), 503, 'auth_unavailable'),
        (answer('{"active":true}', '500 Oops'), 503, 'auth_unavailable'),
        (lambda r, c: Upstream.CLOSE, 503, 'auth_unavailable'),
        (lambda r, c: None, 503, 'auth_unavailable'),
        (doc(**{**GOOD, 'iss': 'https://id.test/'}), 401, 'jwt_issuer'),
        (doc(**{**GOOD, 'exp': 1000}), 401, 'jwt_expired'),
        (doc(**{**GOOD, 'exp': '1000'}), 401, 'jwt_claims'),
        (doc(**{**GOOD, 'nbf': int(time.time()) + 1000}), 401, 'jwt_not_yet_valid'),
        (doc(**{**GOOD, 'scope': 'readwrite'}), 403, 'insufficient_scope'),
        (doc(**{**GOOD, 'scope': ['read']}), 403, 'insufficient_scope'),
    ]
    answers = Answers()
    up, judge, gw = house(INTROSPECTION, answers)
    with up, judge, gw:
        for version in (1, 2):
            for i, (says, status, code) in enumerate(rows):
                answers.says = says
                before = len(up.requests)
                got, headers, body = curl(gw, version, '/a', 'Authorization: Bearer tok/en+1',
                                          'X-User-ID: root')
                assert got == status, f'row {i}: {got}, wanted {status}: {body}'
                if code:
                    equal(json.loads(body)['code'], code)
                equal(len(up.requests) - before, 1 if status == 200 else 0)
                if status == 200:
                    equal(up.requests[-1].all('x-user-id'), ['ann'])
                    equal(up.requests[-1].header('authorization'), 'Bearer tok/en+1')
                if status in (401, 403):
                    told = field(headers, 'www-authenticate')
                    equal(len(told), 1 if status == 401 else len(told))
                if status == 401:
                    contains(told[0], 'error="invalid_token"')
        asked = judge.requests[0]
        equal(asked.method, 'POST')
        equal(asked.target, '/introspect?x=1')
        equal(asked.header('host'), judge.address)
        equal(urllib.parse.parse_qs(asked.body.decode()), {'token': ['tok/en+1']})
        equal(base64.b64decode(asked.header('authorization').split()[1]).decode(), 'gate%20way:s%3Ae%2Bc')
        equal(asked.all('x-forwarded-for'), [])
        assert asked.header('x-request-id'), 'no id went along'
        balanced(gw)


@test
def no_token_and_tokens_in_two_places():
    answers = Answers()
    up, judge, gw = house(INTROSPECTION, answers)
    with up, judge, gw:
        answers.says = doc(**GOOD)
        equal(curl(gw, 1, '/a')[0], 401)
        equal(curl(gw, 1, '/both/a')[0], 200)
        equal(curl(gw, 1, '/a', 'Authorization: Basic eDp5')[0], 401)
        equal(curl(gw, 1, '/a?access_token=x', 'Authorization: Bearer y')[0], 401)
        equal(curl(gw, 1, '/a', 'Authorization: Bearer ' + 'x' * 9000)[0], 401)
        equal(judge.requests, [])


@test
def remembered():
    answers = Answers()
    conf = INTROSPECTION.replace('cache: 0s', 'cache: 60s').replace('cache_refused: 0s', 'cache_refused: 10s')
    up, judge, gw = house(conf, answers)
    with up, judge, gw:
        answers.says = doc(**GOOD)
        for _ in range(5):
            equal(curl(gw, 1, '/a', 'Authorization: Bearer one')[0], 200)
        equal(len(judge.requests), 1)
        answers.says = doc(active=False)
        for _ in range(5):
            equal(curl(gw, 1, '/a', 'Authorization: Bearer two')[0], 401)
        equal(len(judge.requests), 2)
        equal(curl(gw, 1, '/a', 'Authorization: Bearer one')[0], 200)
        answers.says = answer('', '500 Oops')
        for _ in range(2):
            equal(curl(gw, 1, '/a', 'Authorization: Bearer three')[0], 503)
        equal(len(judge.requests), 4)
        answers.says = doc(**{**GOOD, 'exp': int(time.time()) + 1})  # leeway lets it pass; nothing is kept for long
        equal(curl(gw, 1, '/a', 'Authorization: Bearer four')[0], 200)
        answers.says = doc(active=False)
        wait_until(lambda: curl(gw, 1, '/a', 'Authorization: Bearer four')[0] == 401, 'its end')


@test
def one_call_for_many_who_wait():
    go = threading.Event()
    answers = Answers()

    def late(request, connection):
        go.wait(TIMEOUT)
        return doc(**GOOD)
    answers.says = late
    up, judge, gw = house(INTROSPECTION.replace('cache: 0s', 'cache: 60s').replace('300ms', '20s'), answers)
    with up, judge, gw:
        clients = [gw.client() for _ in range(90)]
        for c in clients:
            c.send(b'GET /a HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer t\r\n\r\n')
        judge.wait_requests(1)
        clients[0].reset()  # the first of them leaves: the others are answered
        clients[1].reset()
        wait_until(lambda: gw.metrics()['sluice_exchanges_in_flight'] == 89, 'all the others wait')
        go.set()
        for c in clients[2:]:
            equal(c.read_response().status, 200)
            c.close()
        equal(len(judge.requests), 1)
        balanced(gw)


# ---- forward auth ----

FORWARD = '''{forward: {url: "http://@JUDGE@/decide", headers: [X-User, X-Groups], claims: %s,
    timeout: 300ms%s}}'''


@test
def forward_table():
    big = b'y' * 70000
    early = b'HTTP/1.1 103 Early Hints\r\nLink: </x>\r\nX-User: eve\r\n\r\n'
    rows = [
        (answer('', '200 OK', 'X-User: ann', 'X-Groups: a', 'X-Groups: b', 'X-Other: no'), 200, ['ann']),
        (answer('', '204 No Content').replace(b'Content-Length: 0\r\n', b''), 200, []),
        (early + answer('', '200 OK', 'X-User: ann'), 200, ['ann']),
        (b'HTTP/1.1 200 OK\r\nX-User: a\rb\r\nContent-Length: 0\r\n\r\n', 503, None),
        (b'HTTP/1.1 200 OK\r\nX-User: a\r\n b\r\nContent-Length: 0\r\n\r\n', None, None),
        (b'HTTP/1.1 200 OK\r\nX-User: a\0b\r\nContent-Length: 0\r\n\r\n', 503, None),
        (answer('nope', '401 Unauthorized', 'WWW-Authenticate: Digest x', 'X-Secret: 1'), 401, b'nope'),
        (answer('no', '403 Forbidden', 'Content-Type: text/html'), 403, b'no'),
        (answer('', '302 Found', 'Location: https://login.test/', 'Set-Cookie: a=b; HttpOnly'), 302, b''),
        (answer('', '500 Oops'), 503, None),
        (answer('', '503 Busy'), 503, None),
        (answer(big), 503, None),
        (answer(big, '401 Unauthorized'), 503, None),
        (b'HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\nx', 503, None),
        (b'nonsense\r\n\r\n', 503, None),
        (lambda r, c: Upstream.CLOSE, 503, None),
        (lambda r, c: None, 503, None),
    ]
    answers = Answers()
    up, judge, gw = house(FORWARD % ('false', ''), answers)
    with up, judge, gw:
        for version in (1, 2):
            for i, (says, status, what) in enumerate(rows):
                answers.says = says
                before = len(up.requests)
                got, headers, body = curl(gw, version, '/a?b=c', 'Authorization: Secret', 'X-User: root',
                                          'X_User: root', 'Cookie: s=1', 'X-Mine: 1')
                assert status is None or got == status, f'row {i}: {got}, wanted {status}: {body}'
                equal(len(up.requests) - before, 1 if got == 200 else 0)
                if got == 200:
                    seen = up.requests[-1]
                    equal(seen.all('x_user'), [])
                    assert 'root' not in str(seen.headers), seen.headers
                if status == 200:
                    equal(seen.all('x-user'), what)
                    equal(seen.all('x-other'), [])
                elif got == 503:
                    equal(json.loads(body)['code'], 'auth_unavailable')
                elif status:
                    equal(body, what)
                    equal(field(headers, 'x-secret'), [])
        answers.says = rows[8][0]
        _, headers, _ = curl(gw, 1, '/a')
        equal(field(headers, 'location'), ['https://login.test/'])
        equal(field(headers, 'set-cookie'), ['a=b; HttpOnly'])
        asked = judge.requests[0]
        equal(asked.method, 'GET')
        equal(asked.target, '/decide')
        equal(asked.header('x-forwarded-method'), 'GET')
        equal(asked.header('x-forwarded-uri'), '/a?b=c')
        equal(asked.header('x-forwarded-proto'), 'http')
        equal(asked.header('x-forwarded-host'), f'127.0.0.1:{gw.port}')
        equal(asked.header('x-forwarded-for'), '127.0.0.1')
        equal(asked.header('authorization'), 'Secret')
        equal(asked.header('cookie'), 's=1')
        equal(asked.all('x-mine'), [])
        equal(curl(gw, 1, '/free/a', 'X-User: root')[0], 200)
        equal(up.requests[-1].all('x-user'), [])  # nobody but the one who decides sets it, anywhere
        balanced(gw)


@test
def forward_claims():
    answers = Answers()
    conf = '''{forward: {url: "http://@JUDGE@/", claims: true}, headers: {X-User-ID: "${claim.sub}"}}'''
    up, judge, gw = house(conf, answers)
    with up, judge, gw:
        answers.says = doc(sub='ann')
        equal(curl(gw, 1, '/a')[0], 200)
        equal(up.requests[-1].all('x-user-id'), ['ann'])
        for says in (answer('x'), answer('[]'), answer('{"sub":"a","sub":"b"}'), doc(sub='a\r\nb')):
            answers.says = says
            got = curl(gw, 1, '/a')[0]
            assert got in (500, 503), got
        equal(len(up.requests), 1)


@test
def forward_remembered():
    answers = Answers()
    up, judge, gw = house(FORWARD % ('false', ', cache: 60s'), answers)
    with up, judge, gw:
        answers.says = answer('', '200 OK', 'X-User: ann')
        for _ in range(3):
            equal(curl(gw, 1, '/a', 'Authorization: one')[0], 200)
            equal(up.requests[-1].all('x-user'), ['ann'])
        equal(len(judge.requests), 1)
        equal(curl(gw, 1, '/b', 'Authorization: one')[0], 200)  # another path, another decision
        equal(curl(gw, 1, '/b', 'Authorization: two')[0], 200)
        equal(len(judge.requests), 3)
        answers.says = answer('no', '403 Forbidden')
        for _ in range(3):
            status, _, body = curl(gw, 1, '/c', 'Authorization: one')
            equal((status, body), (403, b'no'))
        equal(len(judge.requests), 4)
    answers = Answers()
    up, judge, gw = house(FORWARD % ('false', ', cache: 60s, key: \'${header["authorization"]}\''), answers)
    with up, judge, gw:
        answers.says = answer('', '200 OK', 'X-User: ann')
        for path in ('/a', '/b', '/c'):
            equal(curl(gw, 1, path, 'Authorization: one')[0], 200)
        equal(len(judge.requests), 1)
        for _ in range(2):  # an empty key is nobody's
            equal(curl(gw, 1, '/a')[0], 200)
        equal(len(judge.requests), 3)


@test
def clients_that_leave():
    """At any moment of the call: nothing is left, the call is cancelled, and the counts agree."""
    answers = Answers()
    up, judge, gw = house(FORWARD % ('false', ''), answers)
    delay = [0.0]

    def some_time(request, connection):
        threading.Event().wait(delay[0])
        return answer('', '200 OK', 'X-User: ann')
    answers.says = some_time
    with up, judge, gw:
        for i in range(300):
            delay[0] = (i % 7) * 0.0005
            c = gw.client()
            c.send(b'GET /a HTTP/1.1\r\nHost: a\r\n\r\n')
            threading.Event().wait((i % 11) * 0.0004)
            c.reset() if i % 2 else c.close()
        wait_until(lambda: gw.metrics()['sluice_exchanges_in_flight'] == 1, 'all but this question have ended')
        balanced(gw)
        m = gw.metrics()
        assert m['sluice_calls_cancelled_total'] > 0, 'nobody left in time'
        equal(m['sluice_exchanges_accepted_total'], m['sluice_exchanges_completed_total'] + 1 +
              m['sluice_exchanges_aborted_total'] + m['sluice_exchanges_rejected_total'])
        equal(curl(gw, 1, '/a')[0], 200)


@test
def a_gateway_that_asks_itself():
    up = Upstream()
    conf = CONFIG % (up.address, '{forward: {url: "http://127.0.0.1:@PORT@/x", timeout: 5s}}')
    with up, Gateway(conf) as gw:
        status, _, body = curl(gw, 1, '/a')
        equal(status, 503)
        m = gw.metrics()
        assert 5 <= m['sluice_calls_started_total'] <= 7, m['sluice_calls_started_total']
        equal(len(up.requests), 0)


run()
