#!/usr/bin/python3
"""sluice limits: what limits did, which keys are hottest, and a key that begins anew."""
import json
import os
import sys
import urllib.request

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, run as sluice
from tap import contains, equal, run, test

CONFIG = '''
version: 1
workers: 2
listeners: {public: {address: "127.0.0.1:@PORT@"}}
admin: "127.0.0.1:@ADMIN@"
routes:
  - {match: {path: /a}, respond: "ok", rate_limit: {rate: 3/h, key: '${header["x-who"]}', name: api}}
  - {match: {path: /b}, respond: "ok", rate_limit: {rate: 1000/h, key: '${header["x-who"]}'}}
  - {match: {path: /q}, respond: "ok", quota: {limit: [4/day, 100/month], key: '${header["x-who"]}', name: paid}}
  - {match: {path: /c}, respond: "ok", concurrency: {limit: 2}}
'''


def limits(gw, *args):
    done = sluice('limits', *args, '-c', gw.config_path)
    return done.returncode, done.stdout.decode(), done.stderr.decode()


def top(gw, *args):
    code, out, err = limits(gw, 'top', '--format', 'json', *args)
    equal((code, err), (0, ''))
    return [(k['limit'], k['key'], k['refused']) for k in json.loads(out)['keys']]


def ask(gw, path, who, times):
    return [gw.get(path, f'X-Who: {who}').status for _ in range(times)]


@test
def listed():
    """every limit is listed with what became of requests"""
    with Gateway(CONFIG) as gw:
        equal(ask(gw, '/a', 'ann', 5), [200, 200, 200, 429, 429])
        ask(gw, '/q', 'ann', 1)
        code, out, _ = limits(gw)
        equal(code, 0)
        rows = [line.split() for line in out.splitlines()]
        contains(rows, ['3', '2', '0', '0', 'rate', 'api'])
        contains(rows, ['0', '0', '0', '0', 'rate', 'route', '/b', 'rate_limit'])
        contains(rows, ['1', '0', '-', '0', 'quota', 'paid'])
        contains(rows, ['-', '0', '0', '-', 'concurrency', 'route', '/c', 'concurrency'])
        code, out, _ = limits(gw, '--format', 'json')
        found = {one['limit']: one for one in json.loads(out)['limits']}
        equal((found['api']['allowed'], found['api']['refused'], found['api']['windows']), (3, 2, 1))
        equal([found[i]['kind'] for i in ('api', 'paid', 'route /c concurrency')], ['rate', 'quota', 'concurrency'])
        equal((found['paid']['keys_in_use'], found['route /c concurrency']['in_flight']), (1, 0))


@test
def in_status():
    """status has a line about limits, in text and JSON"""
    with Gateway(CONFIG) as gw:
        ask(gw, '/a', 'ann', 5)
        ask(gw, '/q', 'ann', 7)
        text = sluice('status', '-c', gw.config_path).stdout.decode()
        contains(text, 'limits         2 rate limits, 1 quota, 1 concurrency limit: 5 refused\n')
        told = json.loads(sluice('status', '-c', gw.config_path, '--format', 'json').stdout)
        equal(told['limits'], {'rate_limits': 2, 'quotas': 1, 'concurrency_limits': 1, 'refused': 5})


def used(gw, *args):
    code, out, err = limits(gw, 'quotas', '--format', 'json', *args)
    equal((code, err), (0, ''))
    return [(q['limit'], q['period'], q['key'], q['used'], q['quota']) for q in json.loads(out)['quotas']]


@test
def quotas():
    """what keys have used of quotas, the fullest first; one begins anew only where it is named"""
    with Gateway(CONFIG) as gw:
        ask(gw, '/q', 'ann', 5)
        ask(gw, '/q', 'bob', 2)
        ann = [('paid', 'day', 'ann', 4, 4), ('paid', 'month', 'ann', 4, 100)]
        bob = [('paid', 'day', 'bob', 2, 4), ('paid', 'month', 'bob', 2, 100)]
        equal(used(gw), [ann[0], bob[0], ann[1], bob[1]])
        equal(used(gw, 'bob', '--limit', 'paid'), bob)
        equal(used(gw, '-n', '1'), ann[:1])
        equal(used(gw, 'nobody'), [])
        code, out, _ = limits(gw, 'quotas')
        equal(code, 0)
        row = out.splitlines()[1].split()
        equal((row[0], row[1], row[3:]), ('4', '4', ['"ann"', 'paid,', 'day']))
        code, _, err = limits(gw, 'reset', 'ann')
        equal(code, 1)
        contains(err, 'A quota begins anew only with --limit')
        equal(ask(gw, '/q', 'ann', 1), [429])
        code, out, _ = limits(gw, 'reset', 'ann', '--limit', 'paid')
        equal((code, out), (0, 'forgotten in 2 windows: `ann` begins anew\n'))
        equal(ask(gw, '/q', 'ann', 1), [200])
        equal(used(gw, 'bob'), bob)


@test
def hottest():
    """top orders by what is asked or refused, of all limits or one"""
    with Gateway(CONFIG) as gw:
        ask(gw, '/a', 'ann', 9)
        ask(gw, '/a', 'bob', 5)
        ask(gw, '/b', 'carl', 400)
        equal(top(gw, '--limit', 'api'), [('api', 'ann', 6), ('api', 'bob', 2)])
        equal(top(gw, '--by', 'refused', '-n', '1'), [('api', 'ann', 6)])
        equal(top(gw, '-n', '1')[0][1], 'carl')  # of 400 asks some 25 are noted, for 16 each


@test
def begins_anew():
    """reset lets a caller in again, in one limit or in all; others stay where they are"""
    with Gateway(CONFIG) as gw:
        ask(gw, '/a', 'ann', 4)
        ask(gw, '/a', 'bob', 4)
        code, out, _ = limits(gw, 'reset', 'ann', '--limit', 'api')
        equal(code, 0)
        contains(out, '`ann` begins anew')
        equal(ask(gw, '/a', 'ann', 4), [200, 200, 200, 429])
        equal(ask(gw, '/a', 'bob', 1), [429])
        equal(limits(gw, 'reset', 'bob')[0], 0)
        equal(ask(gw, '/a', 'bob', 1), [200])


@test
def mistakes():
    """what does not exist is told with what to do"""
    with Gateway(CONFIG) as gw:
        code, _, err = limits(gw, 'reset', 'nobody')
        equal(code, 1)
        contains(err, '`sluice limits top` shows how keys are written')
        code, _, err = limits(gw, 'top', '--limit', 'apj')
        equal(code, 1)
        contains(err, '`sluice limits` lists them')
        for args, words in ((('tip',), 'top, quotas or reset'), (('reset',), 'wants a KEY'), (('top', 'x'), 'only quotas and reset'),
                            (('--by', 'asks'), 'belong to `limits top`'), (('top', '--by', 'size'), 'asks or refused'),
                            (('top', '-n', '0'), '1 to 100'), (('quotas', '--by', 'asks'), 'belongs to'),
                            (('reset', 'x', '-n', '2'), 'belongs to')):
            code, _, err = limits(gw, *args)
            equal((args, code), (args, 2))
            contains(err, words)


@test
def nobody_there():
    """no gateway, no admin listener: said so"""
    with Gateway(CONFIG) as gw:
        path = gw.write('off.yaml', 'version: 1\nadmin: false\nlisteners: {a: "127.0.0.1:1"}\n'
                                    'routes: [{match: {path: /}, respond: x}]\n')
        done = sluice('limits', '-c', path)
        equal(done.returncode, 1)
        contains(done.stderr.decode(), 'no admin listener')


@test
def hostile():
    """K15: keys of clients never reach a terminal or a parser as they are"""
    with Gateway(CONFIG.replace("'${header[\"x-who\"]}', name", "'${query.who}', name")) as gw:
        for _ in range(5):
            gw.get('/a?who=evil%1b%5b2J%22%3Cb%3E%ff')
        code, out, _ = limits(gw, 'top', '--limit', 'api')
        equal(code, 0)
        equal([c for c in out if c < ' ' and c != '\n' or c == '\x7f'], [])
        contains(out, 'evil')
        key = top(gw, '--limit', 'api')[0][1]
        contains(key, 'evil')


def post(gw, path, **headers):
    request = urllib.request.Request(f'http://127.0.0.1:{gw.admin_port}{path}', data=b'', method='POST', headers=headers)
    try:
        return urllib.request.urlopen(request, timeout=10).status
    except urllib.error.HTTPError as e:
        return e.code


@test
def browsers():
    """K03, K04: pages of browsers cannot reset, GET changes nothing"""
    with Gateway(CONFIG) as gw:
        ask(gw, '/a', 'ann', 4)
        json_type = {'Content-Type': 'application/json'}
        equal(post(gw, '/limits/reset?key=ann', **{'Content-Type': 'text/plain'}), 403)
        equal(post(gw, '/limits/reset?key=ann', **json_type, Origin='https://evil.test'), 403)
        equal(post(gw, '/limits/reset?key=ann', **json_type, Host='evil.test'), 403)
        equal(gw.get('/limits/reset?key=ann', port=gw.admin_port).status, 405)
        equal(post(gw, '/limits/reset', **json_type), 400)
        equal(ask(gw, '/a', 'ann', 1), [429])
        equal(gw.get('/limits/top?n=1000', port=gw.admin_port).status, 400)
        equal(post(gw, '/limits/reset?key=ann', **json_type), 200)
        equal(ask(gw, '/a', 'ann', 1), [200])


run()
