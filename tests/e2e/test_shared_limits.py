#!/usr/bin/env python3
"""Rate limits of three gateways on one real Redis, which is killed, stopped, emptied, and which lies.

Rates are by the day, so counts are exact however long a test takes: what may come at once comes, and
nothing comes back."""
import http.client
import os
import sys
import threading
from contextlib import ExitStack, contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import gateway as lib
from gateway import Gateway
from redis import Liar, Redis, Sentinels
from tap import equal, run, test

CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    workers: 2
    state: {shared: {url: "%s", timeout: %s}}
    routes:
      - {match: {path: /exact}, respond: ok, rate_limit: {name: exact, rate: 300/day, key: all}}
      - {match: {path: /two}, respond: ok, rate_limit: {name: two, rate: [90/day, 300/day], key: all}}
      - {match: {path: /lease}, respond: ok, rate_limit: {name: lease, rate: 300/day, key: all, sync: lease, lease: 10}}
      - {match: {path: /fast}, respond: ok, rate_limit: {name: fast, rate: 20000/s, key: all, sync: lease, lease: 500}}
      - {match: {path: /alone}, respond: ok, rate_limit: {name: alone, rate: 300/day, key: all, scope: gateway}}
      - {match: {path: /open}, respond: ok, rate_limit: {name: open, rate: 3/day, key: all, on_failure: open}}
      - {match: {path: /closed}, respond: ok, rate_limit: {name: closed, rate: 3/day, key: all, on_failure: closed}}
'''


@contextmanager
def gateways(redis, n=3, timeout='5s'):
    with ExitStack() as stack:
        text = CONFIG % (redis.url(), timeout)
        all_ = [stack.enter_context(Gateway(text, wait=False)) for _ in range(n)]
        for gw in all_:
            gw.wait_ready()
        see(all_, n)
        yield all_


def see(all_, n):
    """Until each gateway knows of n."""
    for gw in all_:
        lib.wait_until(lambda gw=gw: seen(gw) == n, f'{n} gateways seen, not {seen(gw)}')


def seen(gw):
    return next((v for k, v in gw.metrics().items() if k.startswith('sluice_state_gateways')), None)


def metric(gw, name, *labels):
    return sum(v for k, v in gw.metrics().items()
               if k.split('{')[0] == name and all(label in k for label in labels))


def ask(connection, path):
    connection.request('GET', path)
    answer = connection.getresponse()
    answer.read()
    return answer.status


def load(all_, path, each, threads=3):
    """Every gateway gets `each` requests over kept connections, at once: statuses of each gateway."""
    out, failures = [[] for _ in all_], []

    def client(i, n):
        try:
            c = http.client.HTTPConnection('127.0.0.1', all_[i].port, timeout=lib.TIMEOUT)
            for _ in range(n):
                out[i].append(ask(c, path))
            c.close()
        except Exception as error:
            failures.append(error)

    clients = [threading.Thread(target=client, args=(i, each // threads))
               for i in range(len(all_)) for _ in range(threads)]
    for c in clients:
        c.start()
    for c in clients:
        c.join(lib.TIMEOUT * 3)
    if failures:
        raise failures[0]
    return out


def passed(out):
    return [statuses.count(200) for statuses in out]


@test
def three_gateways_let_pass_what_the_limit_says():
    with Redis() as redis, gateways(redis) as all_:
        out = load(all_, '/exact', 300)
        equal(sum(passed(out)), 300)
        equal(sum(s.count(429) for s in out), 600)
        equal(sum(passed(load(all_, '/two', 120))), 90)
        equal(passed(load(all_[:2], '/alone', 330)), [300, 300], 'scope: gateway')


@test
def answers_tell_of_all_gateways():
    with Redis() as redis, gateways(redis, 2) as (a, b):
        for _ in range(10):
            a.get('/exact')
        answer = b.get('/exact')
        equal(answer.header('RateLimit').split(';')[:2], ['"exact"', 'r=289'])


@test
def a_flood_of_refused_requests_asks_nobody():
    with Redis() as redis, gateways(redis, 1) as (gw,):
        load([gw], '/exact', 330)
        before = info(redis, 'total_commands_processed')
        equal(passed(load([gw], '/exact', 3000)), [0])
        # what is asked now are the gateway's own signs of life
        assert info(redis, 'total_commands_processed') - before < 300


def info(redis, name):
    return int(redis.info(name))


@test
def nothing_in_clear_stands_in_the_store():
    with Redis() as redis, gateways(redis, 1) as (gw,):
        gw.get('/exact')
        keys = redis.command('KEYS', '*limit*')
        equal(len(keys), 1, keys)
        assert keys[0].startswith('sluice:') and 'all' not in keys[0] and 'exact' not in keys[0], keys


@test
def killed_in_the_middle_each_gives_its_share_and_back_no_spike():
    with Redis() as redis, gateways(redis) as all_:
        before = sum(passed(load(all_, '/exact', 60)))
        equal(before, 180)
        redis.kill()
        out = load(all_, '/exact', 150)
        meanwhile = sum(passed(out))
        assert 270 <= before + meanwhile <= 330, (before, passed(out))
        assert metric(all_[0], 'sluice_limit_requests_total', 'limit="exact"', 'outcome="away"') > 0
        redis.start()  # empty: it has forgotten everything
        for gw in all_:
            lib.wait_until(lambda gw=gw: gw.get('/closed').status == 200, 'the store is asked again')
        after = passed(load(all_, '/exact', 90))
        assert before + meanwhile + sum(after) <= 330, after


@test
def killed_before_anything_came():
    with Redis() as redis, gateways(redis) as all_:
        redis.kill()
        equal(passed(load(all_, '/exact', 150)), [100, 100, 100])
        equal(passed(load(all_, '/two', 90)), [30, 30, 30])


@test
def on_failure_decides():
    with Redis() as redis, gateways(redis, 1) as (gw,):
        equal([gw.get('/open').status for _ in range(4)], [200, 200, 200, 429])
        equal([gw.get('/closed').status for _ in range(2)], [200, 200])
        redis.kill()
        lib.wait_until(lambda: gw.get('/closed').status == 503, 'the store to be away')
        answer = gw.get('/closed')
        equal((answer.status, b'limits_unavailable' in answer.body), (503, True), answer.body)
        assert [gw.get('/exact').status for _ in range(9)] == [200] * 9


@test
def one_that_hangs_holds_nobody_up():
    with Redis() as redis, gateways(redis, 3, '20ms') as all_:
        redis.pause()
        try:
            out = load(all_, '/exact', 150)
            assert all(set(s) <= {200, 429} for s in out), out
            assert 270 <= sum(passed(out)) <= 330, passed(out)
        finally:
            redis.go_on()
        for gw in all_:
            lib.wait_until(lambda gw=gw: gw.get('/closed').status == 200, 'the store is asked again')
        assert sum(passed(out)) + sum(passed(load(all_, '/exact', 60))) <= 330


@test
def a_replica_takes_over():
    with Sentinels() as store, gateways(store) as all_:
        before = sum(passed(load(all_, '/exact', 60)))
        equal(before, 180)
        store.first.kill()
        meanwhile = sum(passed(load(all_, '/exact', 60)))
        store.wait_master(store.second)
        for gw in all_:
            lib.wait_until(lambda gw=gw: gw.get('/closed').status == 200, 'the new master is asked')
        after = sum(passed(load(all_, '/exact', 150)))
        assert 270 <= before + meanwhile + after <= 330, (before, meanwhile, after)


@test
def leases_are_within_their_bound_and_ask_seldom():
    with Redis() as redis, gateways(redis) as all_:
        out = passed(load(all_, '/lease', 300))
        assert 300 - 3 * 10 * 3 <= sum(out) <= 300, out  # never more; what is not used in time is lost
        before = info(redis, 'total_commands_processed')
        equal(sum(passed(load(all_, '/fast', 3000))), 9000)
        assert info(redis, 'total_commands_processed') - before < 9000, 'three commands a script, one in ten asks'


@test
def one_that_is_gone_is_not_counted_on():
    with Redis() as redis, gateways(redis) as all_:
        all_[2].kill()
        all_[2].stopped = True
        see(all_[:2], 2)
        redis.kill()
        equal(passed(load(all_[:2], '/exact', 210)), [150, 150])


LIES = [
    ('a line of noise', b'hello\r\n'),
    ('half an answer', b'*6\r\n:0\r\n'),
    ('512 MB', b'$536870912\r\n'),
    ('a million items', b'*1000000\r\n'),
    ('deep', b'*1\r\n' * 200 + b':1\r\n'),
    ('loading', b'-LOADING Redis is loading the dataset in memory\r\n'),
    ('moved', b'-MOVED 3999 127.0.0.1:1\r\n'),
    ('read only', b'-READONLY You can\'t write against a read only replica.\r\n'),
    ('no password', b'-NOAUTH Authentication required.\r\n'),
    ('wrong type', b'-WRONGTYPE Operation against a key holding the wrong kind of value\r\n'),
    ('another answer', b':1\r\n'),
    ('too few', b'*2\r\n:0\r\n:0\r\n'),
    ('out of range', b'*6\r\n:7\r\n:9\r\n:0\r\n:0\r\n:0\r\n:0\r\n'),
    ('negative', b'*6\r\n:0\r\n:0\r\n:-1\r\n:0\r\n:0\r\n:0\r\n'),
    ('texts', b'*6\r\n+a\r\n+a\r\n+a\r\n+a\r\n+a\r\n+a\r\n'),
    ('nothing', b'$-1\r\n'),
    ('more than was asked', b'*6\r\n:0\r\n:0\r\n:5\r\n:0\r\n:0\r\n:0\r\n' * 3),
    ('nul bytes', b'\0' * 100),
]


@test(LIES)
def lies(row):
    with Liar(row[1]) as liar, Gateway(CONFIG % (liar.url(), '20ms')) as gw:
        statuses = [gw.get('/exact').status for _ in range(30)]
        equal(statuses, [200] * 30)
        if row[0] != 'more than was asked':
            equal(gw.get('/closed').status, 503)


run()
