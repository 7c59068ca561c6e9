#!/usr/bin/python3
"""CEL in the configuration: `when` of routes, policies and targets, templates that keep a value's type, and what comes
of an expression that fails, over HTTP/1.1 and HTTP/2."""
import json
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, Upstream, answer, wait_until
from tap import add, contains, equal, run, test
from web_client import connect

CONFIG = '''
    version: 1
    workers: 1
    vars: {zone: eu, limits: {small: 10}}
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    trusted_proxies: 127.0.0.0/8
    services: {one: {endpoints: ["%s"]}, two: {endpoints: ["%s"]}}
    authenticators: {keys: {api_key: {in: header, name: X-API-Key}}}
    consumers:
      - {name: ann, groups: [testers], tags: {level: 3}, keys: ["sha256:%s"]}
      - {name: bob, keys: ["sha256:%s"]}
    routes:
      # Routes: the first of these that holds, before the one without; a failure counts as false.
      - {name: digits, match: {path: "/r/{id}", when: 'path.id.matches("^[0-9]+$") && int(path.id) > vars.limits.small'}, respond: digits}
      - {name: plain, match: {path: "/r/{id}"}, respond: "plain ${path.id}"}
      - match: {path: /g, when: 'header["x-in"] == "1"'}
        routes:
          - {name: inner, match: {path: "/{id}", when: '"q" in query'}, respond: "inner ${path.id}"}
          - {name: outer, match: {path: "/{id}"}, respond: "outer ${path.id}"}
      - {name: posts, match: {path: /m, method: POST, when: 'request.method == "POST"'}, respond: post}
      # Policies.
      - name: rewritten
        match: {path: "/p/{id}"}
        rewrite: {path: "/new/${path.id}", when: 'header["x-new"] == "1"'}
        to: one
      - name: guarded
        match: {path: /ip}
        ip: {deny: 0.0.0.0/0, when: 'int(header["x-n"]) > 1'}
        to: one
      - name: shaped
        match: {path: /shaped}
        rewrite: {path: /changed, when: 'int(header["x-n"]) > 1'}
        to: one
      # Targets: who calls is known.
      - name: targets
        match: {path: /t}
        authenticate: keys
        to: {targets: [{service: two, when: '"testers" in consumer.groups && int(consumer.tags.level) > 2'}, {service: one}]}
        rewrite: "/for/${consumer.name}"
      # Templates.
      - name: values
        match: {path: "/v/{id}"}
        respond:
          headers: {x-null: "${query.x == '' ? null : query.x}", x-list: "${[1, 2]}"}
          body: {n: "${int(path.id) + 1}", text: "n ${int(path.id)}", list: "${path.id.split('-')}", none: "${null}", yes: "${path.id == '7'}",
                 zone: "${vars.zone + path.id}", quoted: "a \\"${path.id}\\"", map: "${{'k': path.id}}", size: "${request.size}"}
'''
KEYS = {'ann': 'ann-key-of-twenty-bytes', 'bob': 'bob-key-of-twenty-bytes'}


def kinds(rows):
    def decorate(function):
        for kind in ('h1', 'h2'):
            for row in rows:
                add(f'{function.__name__} {kind} {" ".join(str(c) for c in row)[:90]}', function, kind, *row)
        return function
    return decorate


class World:
    """One gateway for all rows; the services say who they are and what they were asked for."""
    def __init__(self):
        import hashlib
        self.one, self.two = Upstream(answer(b'one')), Upstream(answer(b'two'))
        hashes = [hashlib.sha256(KEYS[n].encode()).hexdigest() for n in ('ann', 'bob')]
        self.gw = Gateway(CONFIG % (self.one.address, self.two.address, *hashes))

    def ask(self, kind, path, *fields, method='GET'):
        with connect(kind, self.gw.port, None) as c:
            return c.request(method, path, list(fields))


WORLD = []


def world():
    if not WORLD:
        WORLD.append(World())
    return WORLD[0]


@kinds([('/r/42', [], b'digits'), ('/r/7', [], b'plain 7'), ('/r/x', [], b'plain x'),
        ('/r/99999999999999999999', [], b'plain 99999999999999999999'),
        ('/g/a', [('x-in', '1')], b'outer a'), ('/g/a?q', [('x-in', '1')], b'inner a')])
def routes(kind, path, fields, body):
    a = world().ask(kind, path, *fields)
    equal((a.status, a.body), (200, body))


@kinds([('/g/a', 'GET', 404), ('/m', 'GET', 404), ('/m', 'POST', 200)])
def no_route(kind, path, method, status):
    """A `when` that is false hides a route, its methods too."""
    equal(world().ask(kind, path, method=method).status, status)


@kinds([('/p/7', [], '/p/7'), ('/p/7', [('x-new', '1')], '/new/7'), ('/shaped', [('x-n', '2')], '/changed'),
        ('/shaped', [('x-n', '1')], '/shaped'), ('/shaped', [], '/shaped')])
def policies(kind, path, fields, target):
    w = world()
    before = len(w.one.requests)
    equal(world().ask(kind, path, *fields).status, 200)
    equal([r.target for r in w.one.requests[before:]], [target])


@kinds([('1', 200), ('2', 403), ('x', 403), ('', 403)])
def what_refuses_and_adds_up_runs_where_its_when_fails(kind, n, status):
    w = world()
    failures = w.gw.metrics().get('sluice_expression_errors_total', 0)
    equal(w.ask(kind, '/ip', ('x-n', n)).status, status)
    equal(w.gw.metrics()['sluice_expression_errors_total'] - failures, 0 if n in '12' and n else 1)


@kinds([('ann', b'two'), ('bob', b'one')])
def targets(kind, who, body):
    w = world()
    a = w.ask(kind, '/t', ('x-api-key', KEYS[who]))
    equal((a.status, a.body), (200, body))
    equal((w.two if who == 'ann' else w.one).requests[-1].target, f'/for/{who}')


@kinds([('7',), ('a-b',)])
def values(kind, text):
    a = world().ask(kind, f'/v/{text}')
    if text == 'a-b':
        equal((a.status, json.loads(a.body)['code']), (500, 'expression_failed'))
        return
    equal(json.loads(a.body), {'n': 8, 'text': 'n 7', 'list': ['7'], 'none': None, 'yes': True, 'zone': 'eu7',
                               'quoted': 'a "7"', 'map': {'k': '7'}, 'size': 0})
    equal((a.header('x-null'), a.header('x-list')), (None, '[1,2]'))
    equal(world().ask(kind, f'/v/{text}?x=1').header('x-null'), '1')


@test
def zz_failures_are_logged_with_their_place():
    w = world()

    def told():
        return [line for line in w.gw.log().split('\n') if ' expression: ' in line]
    lines = wait_until(told, 'the log of what failed')
    place = next(i for i, line in enumerate(open(w.gw.config_path, encoding='utf-8'), 1) if 'ip: {deny' in line)
    guard = next(line for line in lines if 'guarded' in line)
    contains(guard, f'sluice.yaml:{place}: ')
    contains(guard, 'int(header[')
    contains(guard, 'request_id=')


run()
