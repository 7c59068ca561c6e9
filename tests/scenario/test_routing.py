#!/usr/bin/env python3
"""Routing, rewriting, forwarding and the gateway's own answers, with real sockets."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import gateway as lib
from gateway import Client, Gateway, Upstream
from tap import contains, equal, run, test

CONFIG = '''
    version: 1
    listeners:
      public: {address: "127.0.0.1:@PORT@"}
      plain: {address: "127.0.0.1:@PLAIN@", redirect: https}
    workers: 1
    %s
    services: {shop: "%s", nowhere: "127.0.0.1:1"}
    routes:
      - {name: order, match: {path: "/api/orders/{id}", method: GET}, to: shop, rewrite: "/v2/orders/${path.id}"}
      - {name: file, match: {path: /file}, to: shop, rewrite: "/files/${query.name}"}
      - {name: all, match: {path: /all/*}, to: shop}
      - {name: admin, match: {path: /all/admin/*}, respond: {status: 403, body: "no"}}
      - {name: moved, match: {path: "/old/{rest*}"}, redirect: {path: "/new/${path.rest}"}}
      - {name: hello, match: {path: /hello}, respond: {headers: {X-Who: "${header['x-in']}"}, body: "hi"}}
      - {name: own, match: {path: /own}, to: nowhere, errors: {5xx: {status: 500, body: "own ${error.code}"}}}
'''


def gateway(up, more=''):
    return Gateway(CONFIG % (more, up.address), ports=('PLAIN',))


def ask(gw, path, *headers, method='GET', port=None):
    with Client(port or gw.port) as c:
        lines = [f'{method} {path} HTTP/1.1', 'Host: a.test:8080', *headers, '', '']
        c.send('\r\n'.join(lines).encode('latin-1'))
        return c.read_response(method)


@test([('/api/orders/7?x=1', '/v2/orders/7?x=1'), ('/api/orders/a%20b', '/v2/orders/a%20b'),
       ('/file?name=a/b', '/files/a%2Fb?name=a/b'), ('/all/x/../y', '/all/y')])
def rewritten(row):
    with Upstream() as up, gateway(up) as gw:
        equal(ask(gw, row[0]).status, 200)
        equal(up.requests[0].target, row[1])


@test([('/file?name=..', 400, 'bad_target'), ('/none', 404, 'no_route'),
       ('/api/orders/%2Fx', 400, 'encoded_separator')])
def refused(row):
    with Upstream() as up, gateway(up) as gw:
        a = ask(gw, row[0])
        told = json.loads(a.body)
        equal((a.status, told['code'], told['who']), (row[1], row[2], 'client'))
        equal(a.header('content-type'), 'application/problem+json')
        equal(a.header('x-request-id'), told['request_id'])
        equal(len(up.requests), 0)


@test(['/all/admin', '/all/admin;x=y', '/all/admin/x', '/all/;p/admin/x', '/all/x/../admin', '/all//admin'])
def a_closed_path_stays_closed(path):
    with Upstream() as up, gateway(up) as gw:
        equal(ask(gw, path).status, 403)
        equal(len(up.requests), 0)


@test
def wrong_method():
    with Upstream() as up, gateway(up) as gw:
        a = ask(gw, '/api/orders/7', method='DELETE')
        equal((a.status, a.header('allow')), (405, 'GET, HEAD'))


@test
def answers_without_a_service():
    with Upstream() as up, gateway(up) as gw:
        a = ask(gw, '/hello', 'X-In: you')
        equal((a.status, a.body, a.header('x-who')), (200, b'hi', 'you'))
        a = ask(gw, '/old/x/y?z')
        equal((a.status, a.header('location')), (308, 'http://a.test:8080/new/x/y?z'))
        a = ask(gw, '/hello', 'Accept: text/html', method='POST')
        equal(a.status, 200)
        a = ask(gw, '/nope', 'Accept: text/html')
        contains(a.header('content-type'), 'text/html')
        contains(a.body.decode(), '<h1>404 Not Found</h1>')


@test
def a_replaced_answer():
    with Upstream() as up, gateway(up) as gw:
        a = ask(gw, '/own')
        equal((a.status, a.body), (500, b'own connect_failed'))


@test
def defaults_replace_answers_without_a_route():
    errors = '{no_route: {headers: {X-Path: "${request.path}"}, body: {none: true}}, 4xx: "oh: ${error.code}"}'
    with Upstream() as up, gateway(up, 'defaults: {errors: %s}' % errors) as gw:
        a = ask(gw, '/none')
        equal((a.status, a.header('x-path'), a.body), (404, '/none', b'{"none":true}'))
        equal(ask(gw, '/api/orders/1', method='POST').body, b'oh: method_not_allowed')
        equal(ask(gw, '/%00').body, b'oh: encoded_separator')
        equal(ask(gw, 'no path').body, b'oh: bad_request_line')
        equal(ask(gw, '/own').status, 500)


@test
def a_listener_that_only_redirects():
    with Upstream() as up, gateway(up) as gw:
        a = ask(gw, '/all/x?y', port=gw.ports['PLAIN'])
        equal((a.status, a.header('location')), (308, 'https://a.test/all/x?y'))
        equal(len(up.requests), 0)


@test
def a_client_says_nothing_about_itself():
    with Upstream() as up, gateway(up) as gw:
        ask(gw, '/all/x', 'X-Forwarded-For: 6.6.6.6', 'X-Real-IP: 6.6.6.6', 'Forwarded: for=6.6.6.6',
            'X-Forwarded-Proto: https', 'X-Forwarded-Prefix: /x', 'X-Request-ID: mine')
        r = up.requests[0]
        equal(r.all('x-forwarded-for'), ['127.0.0.1'])
        equal(r.all('forwarded'), ['for=127.0.0.1;host="a.test:8080";proto=http'])
        equal(r.all('x-forwarded-proto'), ['http'])
        equal(r.all('x-forwarded-host'), ['a.test:8080'])
        equal(r.all('via'), ['1.1 sluice'])
        equal((r.all('x-real-ip'), r.all('x-forwarded-prefix')), ([], []))
        assert r.header('x-request-id') not in ('mine', None)


def told(headers):
    """In one order, without the request's id."""
    return sorted((n.lower(), v) for n, v in headers if n.lower() != 'x-request-id')


EXPLAINED = [
    ('', '/api/orders/a%20b?x=%41', ()),
    ('', '/file?name=a/b', ('X-Forwarded-For: 6.6.6.6', 'X-Real-IP: 6.6.6.6', 'TE: trailers', 'Cookie: a=b')),
    ('', '/all/./x/../y', ('Connection: x-drop', 'X-Drop: 1', 'X-Keep: 1', 'X-HTTP-Method-Override: PUT')),
    ('trusted_proxies: [127.0.0.0/8]', '/all/x', ('X-Forwarded-For: 6.6.6.6, 9.9.9.9', 'X-Forwarded-Proto: https',
                                                  'Via: 1.0 front', 'X-Real-IP: 9.9.9.9')),
]


@test(EXPLAINED)
def the_service_gets_what_explain_says(row):
    more, path, headers = row
    with Upstream() as up, gateway(up, more) as gw:
        options = [word for h in headers for word in ('-H', h)]
        done = lib.run('explain', 'GET', 'http://a.test:8080' + path, *options, '--format', 'json',
                       '-c', gw.config_path)
        equal(done.returncode, 0, done.stderr.decode())
        said = json.loads(done.stdout)['upstream']
        equal(ask(gw, path, *headers).status, 200)
        got = up.requests[0]
        equal((said['method'], said['target']), (got.method, got.target))
        equal(told(said['headers']), told((n.decode(), v.decode()) for n, v in got.headers))


@test
def a_trusted_proxy_speaks_for_its_client():
    with Upstream() as up, gateway(up, 'trusted_proxies: [127.0.0.0/8]') as gw:
        a = ask(gw, '/all/x', 'X-Forwarded-For: 6.6.6.6, 198.51.100.7', 'X-Forwarded-Proto: https',
                'X-Forwarded-Host: front.test', 'X-Request-ID: from-the-proxy', 'X-Real-IP: 198.51.100.7')
        r = up.requests[0]
        equal(r.all('x-forwarded-for'), ['198.51.100.7, 127.0.0.1'])
        equal(r.all('forwarded'), ['for=198.51.100.7, for=127.0.0.1;host="front.test";proto=https'])
        equal(r.all('x-forwarded-proto'), ['https'])
        equal(r.all('x-request-id'), ['from-the-proxy'])
        equal(a.header('x-request-id'), 'from-the-proxy')
        equal(r.all('x-real-ip'), ['198.51.100.7'])


@test
def gateway_headers_arrive_though_connection_names_them():
    with Upstream() as up, gateway(up) as gw:
        ask(gw, '/all/x', 'Connection: X-Forwarded-For, Via, X-Request-ID, X-Mine', 'X-Mine: 1')
        r = up.requests
        if r:  # refusing such a Connection is as good
            equal(r[0].all('x-forwarded-for'), ['127.0.0.1'])
            equal(r[0].all('via'), ['1.1 sluice'])
            equal(r[0].all('x-mine'), [])


@test
def a_loop_ends():
    with Upstream() as up, gateway(up) as gw:
        a = ask(gw, '/all/x', 'Via: ' + ', '.join(['1.1 sluice'] * 6))
        equal((a.status, json.loads(a.body)['code']), (508, 'loop_detected'))
        equal(ask(gw, '/all/x', 'Via: ' + ', '.join(['1.1 sluice'] * 5)).status, 200)


run()
