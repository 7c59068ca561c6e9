#!/usr/bin/python3
# suite: tsan
"""rate_limit, over HTTP/1.1 and HTTP/2: what counts together, what it costs, who waits, what clients are told.

Rates are by the hour where nothing may come back while a test runs. The client's address is what a trusted
proxy (the test) says, but where a test is about clients that lie.
"""
import base64
import hashlib
import json
import os
import re
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, Upstream, answer, run as sluice, wait_until
from tap import contains, equal, run, skip, test
try:
    from web_client import connect
except ImportError:
    connect = None


def sha(text):
    return 'sha256:' + hashlib.sha256(text.encode()).hexdigest()


HEAD = '''
version: 1
workers: 2
listeners: {public: {address: "127.0.0.1:@PORT@"}}
admin: "127.0.0.1:@ADMIN@"
%s
services: {a: "%s"}
log: {file: access.log, fields: [target, status, code, detail, observed, limit.name, limit.remaining, limit.verdict]}
authenticators: {key: {api_key: X-API-Key}}
consumers:
  fred: {plan: free, keys: ["KEY-fred"]}
  gina: {plan: gold, keys: ["KEY-gina", "KEY-gina-too"]}
  nora: {keys: ["KEY-nora"]}
'''
for who in ('fred', 'gina-too', 'gina', 'nora'):
    HEAD = HEAD.replace(f'KEY-{who}"', sha(who) + '"')
TRUST = 'trusted_proxies: 127.0.0.0/8'
NO_PLANS = 'plans: {free: {}, gold: {}}\n'


class Limited:
    """A gateway with these routes (and more of the file) before one service."""

    def __init__(self, routes, more='', reply=None, trust=TRUST, workers=2, **kw):
        self.up = Upstream(reply or Upstream.OK)
        text = HEAD.replace('workers: 2', f'workers: {workers}') % (trust, self.up.address) + (more or NO_PLANS) + 'routes:\n'
        text += ''.join(f'  - {r}\n' for r in ([routes] if isinstance(routes, str) else routes))
        self.text = text
        self.gw = Gateway(text, **kw)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.gw.__exit__(*args)
        self.up.close()

    def get(self, path='/', *headers):
        return self.gw.get(path, *headers)

    def status(self, path='/', *headers):
        return self.get(path, *headers).status

    def statuses(self, *requests):
        return [self.status(*([r] if isinstance(r, str) else r)) for r in requests]

    def lines(self, n):
        path = os.path.join(self.gw.dir, 'access.log')

        def read():
            if not os.path.exists(path):
                return None
            with open(path, encoding='utf-8') as f:
                found = f.read().splitlines()
            return found if len(found) >= n else None
        return [json.loads(line) for line in wait_until(read, f'{n} lines in the access log')]

    def outcome(self, limit, what):
        return self.gw.metrics().get(f'sluice_limit_requests_total{{limit="{limit}",outcome="{what}"}}', 0)


def at(ip):
    return f'X-Forwarded-For: {ip}'


def at_field(ip):
    return ('x-forwarded-for', ip)


def route(path, limit, more=''):
    return f'{{match: {{path: "{path}"}}, to: a, rate_limit: {limit}{more}}}'


def items(field):
    """'"a";r=1;t=2, "b";r=3;t=4' (RFC 9651) as [('a', {'r': 1, 't': 2}), ..]; fails for anything else."""
    found = []
    for item in field.split(', '):
        m = re.fullmatch(r'"([!-~]+)"((?:;[a-z]+=\d+)+)', item)
        assert m, field
        found.append((m[1], {k: int(v) for k, v in (p.split('=') for p in m[2][1:].split(';'))}))
    return found


# ---- the client's view --------------------------------------------------------------------------


@test(['h1', 'h2'])
def counts_refuses_and_says_so(kind):
    if not connect:
        skip('python3-h2 is missing')
    with Limited(route('/*', '2/h'), workers=1) as l, connect(kind, l.gw.port, None) as c:
        answers = [c.request('GET', '/', [('accept', 'application/json')]) for _ in range(3)]
        equal([a.status for a in answers], [200, 200, 429])
        for a in answers:
            equal(a.header('ratelimit-policy'), '"default";q=2;w=3600')
        first, second, third = [items(a.header('ratelimit'))[0] for a in answers]
        equal((first[0], first[1]['r'], first[1]['t']), ('default', 1, 1800))
        equal((second[1]['r'], third[1]['r']), (0, 0))
        assert 3590 < second[1]['t'] <= 3600, second
        assert 1790 < int(answers[2].header('retry-after')) <= 1800, answers[2].headers
        equal(answers[0].header('retry-after'), None)
        equal(json.loads(answers[2].body)['code'], 'rate_limited')
        equal(len(l.up.requests), 2, 'what was refused reached nobody')
        log = l.lines(3)
        equal([(x['limit.verdict'], x['limit.remaining']) for x in log], [('allowed', 1), ('allowed', 0), ('refused', 0)])
        contains(log[0]['limit.name'], 'rate_limit')
        contains(log[2]['detail'], log[0]['limit.name'], 'the log says which limit')


@test
def several_limits_are_one_list_and_replace_what_the_service_says():
    said = answer(b'ok', '200 OK', 'RateLimit: "mine";r=1;t=1', 'RateLimit-Policy: "mine";q=1;w=1')
    with Limited(['{match: {path: /shop}, rate_limit: [5/h, {name: day, rate: [4/h, 9/day]}],'
                  ' routes: [{match: {path: /a}, to: a, rate_limit: 3/h},'
                  ' {match: {path: /silent}, to: a, rate_limit: {inherit: false, rate: 9/h, headers: false}}]}'],
                 reply=said) as l:
        a = l.get('/shop/a')
        equal(a.all('ratelimit-policy'),
              ['"default";q=5;w=3600, "day-1h";q=4;w=3600, "day-1d";q=9;w=86400, "default-2";q=3;w=3600'])
        equal([(n, p['r']) for n, p in items(a.header('ratelimit'))], [('default', 4), ('day-1h', 3), ('default-2', 2)])
        a = l.get('/shop/silent')
        equal((a.all('ratelimit'), a.all('ratelimit-policy')), (['"mine";r=1;t=1'], ['"mine";q=1;w=1']))


@test(['rate_limited', '429', '4xx'])
def replaced_words_keep_the_fields(which):
    more = f', errors: {{{which}: {{body: {{error: "slow down"}}}}}}'
    with Limited(route('/*', '1/h', more)) as l:
        equal(l.status('/'), 200)
        a = l.get('/')
        equal((a.status, json.loads(a.body)), (429, {'error': 'slow down'}))
        equal(items(a.header('ratelimit'))[0][1]['r'], 0)
        assert int(a.header('retry-after')) > 3590


@test(['h1', 'h2'])
def head_and_errors_of_the_service_carry_it_too(kind):
    if not connect:
        skip('python3-h2 is missing')
    with Limited(route('/*', '9/h'), reply=[Upstream.CLOSE, answer(b'', '500 Oh')]) as l, \
            connect(kind, l.gw.port, None) as c:
        a = c.request('POST', '/', body=b'x')
        equal((a.status, items(a.header('ratelimit'))[0][1]['r']), (502, 8))
        a = c.request('GET', '/')
        equal((a.status, items(a.header('ratelimit'))[0][1]['r']), (500, 7))


# ---- what counts together: I01, no key can be forged ---------------------------------------------

LIES = [  # name, the key of the file, requests that are one caller, one that is another
    ('X-Forwarded-For behind a proxy that tells the truth', None,
     [('/', at(f'203.0.113.{n}, 198.51.100.7')) for n in range(3)], ('/', at('203.0.113.1, 198.51.100.8'))),
    ('IPv6 within its /64', None,
     [('/', at(a)) for a in ('2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:DB8:1:2:0:0:0:1')],
     ('/', at('2001:db8:1:3::1'))),
    ('IPv6 within its /64, by expression', '${client.ip}',
     [('/', at(a)) for a in ('2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:db8:1:2:8::')],
     ('/', at('2001:db8:1:3::1'))),
    ('IPv6 in a longer text', '${route.name} ${client.ip}',
     [('/', at(a)) for a in ('2001:db8:1:2::1', '2001:db8:1:2:ffff::9', '2001:db8:1:2:8::')],
     ('/', at('2001:db8:1:3::1'))),
    ('IPv4 in IPv6', None, [('/', at(a)) for a in ('::ffff:198.51.100.7', '198.51.100.7', '::ffff:c633:6407')],
     ('/', at('198.51.100.8'))),
    ('path variants', '${request.path}', ['/a', '/%61', '/./a'], '/A'),
    ('slashes and dots', '${request.path}', ['/a/b', '//a//b', '/x/../a/%62'], '/a/b/'),
    ('captures', '${path.rest}', ['/a', '/%61', '/b/../a'], '/b'),
    ('other fields about the client', None,
     [('/', at('198.51.100.7'), h) for h in ('X-Real-IP: 1.2.3.4', 'Forwarded: for=1.2.3.5',
                                             'True-Client-IP: 1.2.3.6')],
     ('/', at('198.51.100.9'))),
]


@test(LIES)
def I01_one_caller_has_one_key(row):
    _, key, same, other = row
    limit = '{rate: 2/h%s}' % (f', key: "{key}"' if key else '')
    with Limited(route('/{rest*}', limit)) as l:
        equal(l.statuses(*same, other), [200, 200, 429, 200])


@test
def I01_a_client_that_nobody_vouches_for_is_its_address():
    with Limited(route('/*', '2/h'), trust='') as l:
        equal(l.statuses(*[('/', at(f'1.2.3.{n}'), f'X-Real-IP: 1.2.3.{n}') for n in range(4)]), [200, 200, 429, 429])


@test
def I01_host_spellings_are_one():
    with Limited(route('/*', '{rate: 2/h, key: "${request.host}"}')) as l:
        def status(host):
            with l.gw.client() as c:
                return c.request(f'GET / HTTP/1.1\r\nHost: {host}\r\n\r\n'.encode()).status
        equal([status(h) for h in ('gw.test', 'GW.Test.', 'gw.TEST', 'other.test')], [200, 200, 429, 200])


@test
def I01_a_consumer_is_one_whatever_he_shows():
    with Limited('{match: {path: /*}, to: a, authenticate: key, rate_limit: 2/h}') as l:
        equal(l.statuses(('/', at('1.1.1.1'), 'X-API-Key: gina'), ('/', at('1.1.1.2'), 'X-API-Key: gina-too'),
                         ('/', at('1.1.1.3'), 'x-api-key: gina'), ('/', at('1.1.1.1'), 'X-API-Key: nora')),
              [200, 200, 429, 200])


@test
def a_key_that_fails_is_one_key_and_is_counted():
    with Limited(route('/*', '{rate: 2/h, key: "${[1][int(header[\'x-n\'])]}"}')) as l:
        equal(l.statuses(*[('/', f'X-N: {n}') for n in (7, 8, 9)], ('/', 'X-N: 0')), [200, 200, 429, 200])
        equal(l.gw.metrics()['sluice_expression_errors_total'], 3)


@test
def groups_names_and_inherit():
    group = ('{match: {path: /g}, rate_limit: 3/h, routes: [{match: {path: /a}, to: a}, {match: {path: /b}, to: a},'
             ' {match: {path: /own}, to: a, rate_limit: {inherit: false, rate: 1/h}},'
             ' {match: {path: /both}, to: a, rate_limit: 1/h}]}')
    named = [route(f'/{p}', '{name: shared, rate: 2/h}') for p in ('n1', 'n2')]
    alone = [route(f'/{p}', '2/h') for p in ('s1', 's2')]
    with Limited([group, *named, *alone]) as l:
        equal(l.statuses('/g/a', '/g/b', '/g/a', '/g/b'), [200, 200, 200, 429], 'a group counts its children together')
        equal(l.statuses('/g/own', '/g/own'), [200, 429], 'inherit: false starts anew')
        equal(l.statuses('/n1', '/n2', '/n1'), [200, 200, 429], 'one name counts together')
        equal(l.statuses('/s1', '/s1', '/s1', '/s2'), [200, 200, 429, 200], 'two routes count apart')


@test
def a_name_met_twice_counts_once():
    with Limited('{match: {path: /g}, rate_limit: {name: n, rate: 2/h},'
                 ' routes: [{match: {path: /a}, to: a, rate_limit: {name: n, rate: 2/h}}]}') as l:
        equal(l.statuses('/g/a', '/g/a', '/g/a'), [200, 200, 429])


@test
def what_another_limit_refuses_costs_nothing():
    """The group lets 4 pass; the route's 2 stop the third and fourth, which the group then still has."""
    with Limited('{match: {path: /g}, rate_limit: 4/h, routes: [{match: {path: /a}, to: a, rate_limit: 2/h},'
                 ' {match: {path: /b}, to: a}]}') as l:
        equal(l.statuses('/g/a', '/g/a', '/g/a', '/g/a'), [200, 200, 429, 429])
        a = l.get('/g/a')
        equal([(n, p['r']) for n, p in items(a.header('ratelimit'))], [('default', 2), ('default-2', 0)])
        equal(l.statuses('/g/b', '/g/b', '/g/b'), [200, 200, 429])


# ---- how much -----------------------------------------------------------------------------------

WINDOWS = [
    ('burst', '{rate: 1/h, burst: 3}', 3, '"default";q=3;w=10800'),
    ('two windows, the day is full first', '{rate: [9/h, 2/day]}', 2, '"default-1h";q=9;w=3600, "default-1d";q=2;w=86400'),
    ('burst speaks of the shortest', '{rate: [1/h, 3/day], burst: 2}', 2,
     '"default-1h";q=2;w=7200, "default-1d";q=3;w=86400'),
    ('token bucket is gcra', '{rate: 2/h, algorithm: token_bucket}', 2, '"default";q=2;w=3600'),
    ('sliding window', '{rate: 3/day, algorithm: sliding_window}', 3, '"default";q=3;w=86400'),
    ('two limits', '[9/h, 2/day]', 2, '"default";q=9;w=3600, "default-2";q=2;w=86400'),
    ('fixed cost', '{rate: 7/h, cost: 3}', 2, '"default";q=7;w=3600'),
]


@test(WINDOWS)
def lets_pass(row):
    _, limit, n, policy = row
    with Limited(route('/*', limit)) as l:
        equal(l.statuses(*['/'] * (n + 1)), [200] * n + [429])
        equal(l.get('/').header('ratelimit-policy'), policy)


@test
def fixed_window():
    """A day may begin while the test runs, so what was counted is told by the gateway itself."""
    with Limited(route('/*', '{rate: 2/day, algorithm: fixed_window}')) as l:
        left = [items(l.get('/').header('ratelimit'))[0][1]['r'] for _ in range(3)]
        assert left in ([1, 0, 0], [1, 1, 0], [1, 0, 1]), left


@test
def plans():
    limit = '{rate: 2/h, plans: {gold: {rate: 3/h}, free: 1/h}}'
    with Limited(f'{{match: {{path: /*}}, to: a, authenticate: key, rate_limit: {limit}}}') as l:
        def passed(who):
            return l.statuses(*[('/', f'X-API-Key: {who}')] * 4).count(200)
        equal([passed(w) for w in ('fred', 'gina', 'nora')], [1, 3, 2])


@test
def top_level_plans_hold_over_all_routes():
    more = 'plans: {free: {rate_limit: 2/h}, gold: {rate_limit: {rate: 2/h, burst: 3}}}\n'
    with Limited([f'{{match: {{path: /{p}}}, to: a, authenticate: key}}' for p in 'xy'] + [route('/open', '9/h')],
                 more, workers=1) as l:
        def went(who):
            return l.statuses(*[(f'/{p}', f'X-API-Key: {who}') for p in 'xyxy'])
        equal(went('fred'), [200, 200, 429, 429])
        equal(went('gina'), [200, 200, 200, 429])
        equal(went('nora'), [200] * 4, 'no plan, no limit')
        a = l.get('/x', 'X-API-Key: gina')
        equal(a.header('ratelimit-policy'), '"default";q=3;w=5400')
        contains(l.lines(13)[-1]['limit.name'], 'plan gold')


# ---- what it costs ------------------------------------------------------------------------------


def post(l, body, path='/', *headers):
    lines = ''.join(h + '\r\n' for h in headers)
    with l.gw.client() as c:
        return c.request(f'POST {path} HTTP/1.1\r\nHost: gw.test\r\nContent-Type: application/json\r\n{lines}'
                         f'Content-Length: {len(body)}\r\n\r\n'.encode() + body)


@test
def cost_from_the_body():
    with Limited(route('/*', '{rate: 10/h, cost: "${size(request.body.items)}"}'), workers=1) as l:
        equal(post(l, b'{"items": [1, 2, 3, 4]}').status, 200)
        a = post(l, b'{"items": [1, 2, 3, 4, 5, 6, 7]}')
        equal((a.status, items(a.header('ratelimit'))[0][1]['r']), (429, 6), 'seven are more than six')
        equal(l.up.requests[0].body, b'{"items": [1, 2, 3, 4]}', 'the body goes on')
        a = post(l, b'no JSON')
        equal((a.status, items(a.header('ratelimit'))[0][1]['r']), (200, 5), 'a cost that fails is 1')
        a = post(l, b'{"items": [%s]}' % b','.join([b'1'] * 11))
        equal((a.status, a.header('retry-after')), (429, None), 'what never fits may not be tried again')
        contains(l.lines(4)[-1]['detail'], 'it costs 11, and 10')


COSTS = [('number', '${size(query.x) + 4}', 4), ('zero is for free', '${size(query.x)}', 0),
         ('text', "${' 5 ' + query.x}", 5), ('digits', '5${query.x}', 5), ('part', '${double(size(query.x)) + 1.2}', 2),
         ('negative', '${size(query.x) - 3}', 1), ('no number', 'many${query.x}', 1),
         ('too much for a number', '99999999999999999999${query.x}', 1), ('list', '${[query.x]}', 1),
         ('NaN', '${double(size(query.x)) / 0.0}', 1)]


@test(COSTS)
def cost(row):
    name, expression, counts = row
    with Limited(route('/*', '{rate: 20/h, cost: %s}' % json.dumps(expression))) as l:
        equal(20 - items(l.get('/').header('ratelimit'))[0][1]['r'], counts)
        wrong = name in ('negative', 'no number', 'too much for a number', 'list', 'NaN')
        equal(l.gw.metrics()['sluice_expression_errors_total'], wrong)


@test
def cost_after_replaces_what_was_taken():
    def reply(request, _):
        return answer(b'ok', '200 OK', 'X-Tokens: ' + request.header('x-want'))
    limit = '{rate: 100/h, cost: 10, cost_after: "${response.headers[\'x-tokens\'][0]}"}'
    with Limited(route('/*', limit), reply=reply) as l:
        def left(want):
            a = l.get('/', f'X-Want: {want}')
            return a.status, items(a.header('ratelimit'))[0][1]['r']
        equal([left(w) for w in (3, 30)], [(200, 97), (200, 67)])
        equal(left(500), (200, 0), 'more than there is: owed by the next ones')
        equal(left(1)[0], 429)


@test
def an_answer_that_never_came_keeps_its_cost():
    limit = '{rate: 100/h, cost: 10, cost_after: "${response.headers[\'x-tokens\'][0]}"}'
    with Limited(route('/*', limit), reply=Upstream.CLOSE) as l:
        a = post(l, b'{}')
        equal((a.status, items(a.header('ratelimit'))[0][1]['r']), (502, 90))


@test
def cost_zero_starts_nothing_that_is_owed():
    limit = '{rate: 10/h, cost: "${size(query.x)}", cost_after: "${response.headers[\'x-tokens\'][0]}"}'
    with Limited(route('/*', limit), reply=answer(b'ok', '200 OK', 'X-Tokens: 10')) as l:
        equal(l.statuses('/', '/'), [200, 429])


# ---- early, observe, preflights -----------------------------------------------------------------


@test
def I04_early_stands_before_the_work_of_authentication():
    with Limited('{match: {path: /*}, to: a, authenticate: key, rate_limit: {rate: 3/h, early: true}}') as l:
        wrong = [('/', at('198.51.100.7'), f'X-API-Key: guess-{n}') for n in range(5)]
        equal(l.statuses(*wrong), [401, 401, 401, 429, 429])
        equal(l.status('/', at('198.51.100.7'), 'X-API-Key: gina'), 429, 'by address, whoever it is')
        equal(l.status('/', at('198.51.100.8'), 'X-API-Key: gina'), 200)
        m = l.gw.metrics()
        judged = sum(v for k, v in m.items() if k.startswith('sluice_authentications_total'))
        equal(judged, 4, 'who is refused early is not authenticated')


@test
def an_early_refusal_by_a_later_limit_keeps_its_cost():
    with Limited('{match: {path: /*}, to: a, rate_limit: [{rate: 3/h, early: true}, 1/h]}') as l:
        equal(l.statuses('/', '/', '/', '/'), [200, 429, 429, 429])
        a = l.get('/')
        equal(a.header('ratelimit-policy'), '"default";q=3;w=3600', 'the early one refused')


@test
def observe_lets_pass_and_tells_the_operator_alone():
    with Limited(route('/*', '{name: trial, rate: 1/h, mode: observe}'), workers=1) as l:
        answers = [l.get('/') for _ in range(3)]
        equal([(a.status, a.header('ratelimit'), a.header('retry-after')) for a in answers], [(200, None, None)] * 3)
        equal([(x['limit.verdict'], x['observed']) for x in l.lines(3)],
              [('allowed', None), ('observed', 'rate_limit rate_limited'), ('observed', 'rate_limit rate_limited')])
        equal((l.outcome('trial', 'allowed'), l.outcome('trial', 'observed'), l.outcome('trial', 'refused')), (1, 2, 0))
        equal(l.gw.metrics()['sluice_refusals_observed_total'], 2)


@test
def a_preflight_costs_nothing():
    with Limited('{match: {path: /*, method: GET}, to: a, cors: {origins: ["https://shop.test"]},'
                 ' rate_limit: [2/h, {rate: 2/h, early: true}]}') as l:
        for _ in range(5):
            with l.gw.client() as c:
                a = c.request(b'OPTIONS / HTTP/1.1\r\nHost: gw.test\r\nOrigin: https://shop.test\r\n'
                              b'Access-Control-Request-Method: GET\r\n\r\n')
            equal((a.status, a.header('ratelimit')), (204, None))
        equal(l.statuses('/', '/', '/'), [200, 200, 429])


@test
def when_is_asked_first():
    with Limited(route('/*', '{rate: 1/h, when: "query.free == \\"\\""}')) as l:
        equal(l.statuses('/?free=1', '/?free=1', '/', '/', '/?free=1'), [200, 200, 200, 429, 200])


# ---- waiting ------------------------------------------------------------------------------------


@test
def delay_makes_requests_wait_for_their_turn():
    with Limited(route('/*', '{name: slow, rate: 20/s, burst: 1, delay: {max_wait: 5s}}')) as l:
        clients = [l.gw.client() for _ in range(5)]
        for c in clients:
            c.send(b'GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n')
        equal([c.read_response().status for c in clients], [200] * 5)
        for c in clients:
            c.close()
        equal(l.outcome('slow', 'allowed') + l.outcome('slow', 'delayed'), 5)
        assert l.outcome('slow', 'delayed') > 0
        equal(l.gw.metrics()['sluice_limit_waiting{limit="slow"}'], 0)


@test
def a_client_that_leaves_its_place_gives_its_turn_back():
    """Turns are half an hour apart: the third would wait for an hour, unless the second gave its own back."""
    limit = '{name: slow, rate: 2/h, burst: 1, delay: {max_wait: 45m, queue: 1}}'
    with Limited(route('/*', limit, ', request_timeout: 3h')) as l:
        def waiting():
            return l.gw.metrics().get('sluice_limit_waiting{limit="slow"}')
        equal(l.status('/'), 200)
        for _ in range(3):
            c = l.gw.client()
            c.send(b'GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n')
            wait_until(lambda: waiting() == 1, 'it waits')
            c.reset()
            wait_until(lambda: waiting() == 0, 'it has left')
        equal(len(l.up.requests), 1)


@test
def a_stream_that_is_reset_gives_its_turn_back():
    if not connect:
        skip('python3-h2 is missing')
    limit = '{name: slow, rate: 2/h, burst: 1, delay: {max_wait: 45m}}'
    with Limited(route('/*', limit, ', request_timeout: 3h')) as l, connect('h2', l.gw.port, None) as c:
        equal(c.request('GET', '/').status, 200)
        for _ in range(3):
            stream = c.begin('GET', '/')
            wait_until(lambda: l.gw.metrics()['sluice_limit_waiting{limit="slow"}'] == 1, 'it waits')
            c.reset(stream)
            wait_until(lambda: l.gw.metrics()['sluice_limit_waiting{limit="slow"}'] == 0, 'it has left')


@test
def the_queue_is_bounded():
    limit = '{name: slow, rate: 10/h, burst: 1, delay: {max_wait: 1h, queue: 2}}'
    with Limited(route('/*', limit, ', request_timeout: 3h'), workers=1) as l:
        equal(l.status('/'), 200)
        held = [l.gw.client() for _ in range(2)]
        for n, c in enumerate(held, 1):
            c.send(b'GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n')
            wait_until(lambda n=n: l.gw.metrics()['sluice_limit_waiting{limit="slow"}'] == n, f'{n} wait')
        equal(l.statuses('/', '/'), [429, 429], 'the queue is full')
        held.pop().reset()
        wait_until(lambda: l.gw.metrics()['sluice_limit_waiting{limit="slow"}'] == 1, 'one has left')
        held.append(l.gw.client())
        held[-1].send(b'GET / HTTP/1.1\r\nHost: gw.test\r\n\r\n')
        wait_until(lambda: l.gw.metrics()['sluice_limit_waiting{limit="slow"}'] == 2, 'its place is taken')
        for c in held:
            c.reset()


@test
def nobody_waits_beyond_the_deadline():
    with Limited(route('/*', '{rate: 1/h, delay: {max_wait: 1h}}', ', request_timeout: 5s')) as l:
        a = [l.get('/') for _ in range(2)]
        equal([x.status for x in a], [200, 429])
        equal(l.outcome(l.lines(2)[0]['limit.name'], 'delayed'), 0)


# ---- other kinds of traffic ---------------------------------------------------------------------


@test
def grpc_gets_resource_exhausted():
    if not connect:
        skip('python3-h2 is missing')
    with Limited(route('/*', '1/h')) as l:
        for kind, place in (('application/grpc', 'h2'), ('application/grpc-web+proto', 'h1')):
            with connect(place, l.gw.port, None) as c:
                fields = [('content-type', kind), ('te', 'trailers'), at_field('10.0.0.' + str(len(kind)))]
                c.request('POST', '/pkg.S/M', fields, b'\0\0\0\0\0')
                a = c.request('POST', '/pkg.S/M', fields, b'\0\0\0\0\0')
                equal(a.status, 200)
                if place == 'h2':
                    equal(dict(a.headers + a.trailers)['grpc-status'], '8')
                else:
                    contains(a.body, b'grpc-status: 8')
                equal(items(a.header('ratelimit'))[0][1]['r'], 0)
                assert int(a.header('retry-after')) > 3590


@test
def a_websocket_is_one_request():
    def script(connection):
        key = connection.read_request().header('sec-websocket-key') + '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'
        accept = base64.b64encode(hashlib.sha1(key.encode()).digest())
        connection.send(b'HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
                        b'Sec-WebSocket-Accept: ' + accept + b'\r\n\r\n')
        connection.rest()
    up = Upstream(script=script)
    with up, Gateway(HEAD % (TRUST, up.address) + NO_PLANS + 'routes:\n  - ' + route('/*', '1/h') + '\n') as gw:
        ask = (b'GET / HTTP/1.1\r\nHost: gw.test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n'
               b'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n')
        first = gw.client()
        a = first.request(ask)
        equal((a.status, items(a.header('ratelimit'))[0][1]['r']), (101, 0))
        with gw.client() as second:
            equal(second.request(ask).status, 429)
        first.close()


@test
def an_event_stream_is_counted_at_its_head():
    def reply(_, connection):
        connection.send(b'HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\ndata: 1\n\n')
        return Upstream.CLOSE
    with Limited(route('/*', '1/h'), reply=reply) as l:
        a = l.get('/')
        equal((a.status, a.body, items(a.header('ratelimit'))[0][1]['r']), (200, b'data: 1\n\n', 0))
        equal(l.status('/'), 429)


# ---- over time ----------------------------------------------------------------------------------


@test
def a_reload_forgets_nothing():
    with Limited([route('/a', '2/h'), route('/b', '{name: n, rate: 2/h}')],
                 args=('--no-supervisor', '--reload-every', '20ms')) as l:
        equal(l.statuses('/a', '/b'), [200, 200])
        l.gw.configure(l.text.replace('routes:\n', 'routes:\n  - {match: {path: /new}, respond: new}\n'))
        equal(sluice('reload', '-c', l.gw.config_path).returncode, 0)
        equal(l.status('/new'), 200)
        equal(l.statuses('/a', '/a', '/b', '/b'), [200, 429, 200, 429])


@test
def metrics_and_log():
    with Limited(route('/*', '{name: api, rate: 2/h}'), workers=1) as l:
        equal(l.statuses('/', '/', '/'), [200, 200, 429])
        equal((l.outcome('api', 'allowed'), l.outcome('api', 'refused'), l.outcome('api', 'delayed')), (2, 1, 0))
        assert l.gw.metrics()['sluice_limit_memory_bytes{limit="api"}'] > 0
        equal([(x['limit.name'], x['limit.remaining'], x['limit.verdict'], x['code']) for x in l.lines(3)],
              [('api', 1, 'allowed', None), ('api', 0, 'allowed', None), ('api', 0, 'refused', 'rate_limited')])


@test
def explain_tells_every_limit():
    routes = ('{match: {path: /g}, authenticate: key, rate_limit: {name: api, rate: [10/s, 1000/day], burst: 20},'
              ' routes: [{match: {path: /a}, to: a, rate_limit: {rate: 5/s, early: true, key: "${client.ip}"}}]}')
    more = 'plans: {free: {rate_limit: 2/s}, gold: {rate_limit: 90/s}}\n'
    with Limited(routes, more) as l:
        def explain(*args):
            done = sluice('explain', 'GET', f'http://gw.test:{l.gw.port}/g/a', '-c', l.gw.config_path, *args)
            equal(done.returncode, 0, done.stderr)
            return done.stdout.decode()
        text = explain()
        for part in ('10/s (20 at once) and 1000/day (1000 at once), gcra, by consumer, else claim.sub, else address',
                     'counts together: api', 'by ${client.ip}', 'plan free: 2/s', 'plan gold: 90/s',
                     'counts together: plans rate_limit plan gold'):
            contains(text, part)
        assert text.index('by ${client.ip}') < text.index('authenticate'), 'early stands first'
        text = explain('--consumer', 'gina')
        contains(text, 'plan gold: 90/s')
        assert 'plan free' not in text, text
        found = json.loads(explain('--format', 'json', '--consumer', 'fred'))['limits']
        equal([x['early'] for x in found], [True, False, False])
        equal([(x['rates'], x.get('plan')) for x in found if x.get('plan')],
              [([{'count': 2, 'per_ms': 1000, 'at_once': 2}], 'free')])


run()
