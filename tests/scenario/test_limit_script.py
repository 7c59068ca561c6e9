#!/usr/bin/env python3
"""The script of shared rate limits, run by a real Redis whose clock is the test's, against a model of it in
exact arithmetic."""
import os
import random
import re
import shutil
import socket
import subprocess
import sys
import tempfile
from fractions import Fraction as F
from math import ceil, floor

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import gateway as lib
from tap import equal, run, skip, test

SECOND = 1000000
DAY = 86400 * SECOND
START = 1790000000 * SECOND  # 2026


def source():
    """The script as the gateway has it, with the clock as its last two arguments."""
    with open(os.path.join(lib.ROOT, 'src', 'limit', 'shared_script.c'), encoding='utf-8') as f:
        text = f.read()
    body = text[text.index('.source ='):text.index('/* ---- windows')]
    lua = ''.join(eval('"' + part + '"') for part in re.findall(r'"((?:[^"\\]|\\.)*)"', body))
    assert "redis.call('TIME')" in lua
    return lua.replace("redis.call('TIME')", '{ARGV[#ARGV - 1], ARGV[#ARGV]}')


class Store:
    def __init__(self):
        if not shutil.which('redis-server'):
            skip('redis-server is not installed')
        self.port = lib.free_port()
        self.dir = tempfile.mkdtemp(prefix='sluice-redis-')
        self.process = subprocess.Popen(
            ['redis-server', '--port', str(self.port), '--bind', '127.0.0.1', '--save', '', '--dir', self.dir],
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        lib.wait_until(lambda: lib.listening(self.port), 'redis-server')
        self.socket = socket.create_connection(('127.0.0.1', self.port), timeout=lib.TIMEOUT)
        self.file = self.socket.makefile('rb')
        self.sha = self.ask('SCRIPT', 'LOAD', source())

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.file.close()
        self.socket.close()
        self.process.terminate()
        self.process.wait(lib.TIMEOUT)
        shutil.rmtree(self.dir, ignore_errors=True)

    def ask(self, *words):
        data = [str(w).encode() for w in words]
        self.socket.sendall(b'*%d\r\n' % len(data) + b''.join(b'$%d\r\n%s\r\n' % (len(d), d) for d in data))
        return self.reply()

    def reply(self):
        line = self.file.readline()
        kind, rest = line[:1], line[1:].strip()
        if kind == b'*':
            return [self.reply() for _ in range(int(rest))]
        if kind == b'$':
            return None if rest == b'-1' else self.file.read(int(rest) + 2)[:-2].decode()
        return int(rest) if kind == b':' else rest.decode()

    def judge(self, now, windows, cost=1, most=0, extra=0, owed=0, age=0, mode='ask', key='k'):
        keys = [f'{{{key}}}{i}' for i in range(len(windows))]
        words = [w for window in windows for w in window.words()]
        return self.ask('EVALSHA', self.sha, len(keys), *keys, cost, most, extra, owed, age, mode, *words,
                        now // SECOND, now % SECOND)


class Gcra:
    def __init__(self, count, per, burst):
        self.count, self.per, self.burst = count, per, burst
        self.debt, self.at = F(0), 0  # tokens

    def words(self):
        token = F(self.per, self.count)
        return 'g', token.numerator, token.denominator, self.burst

    def look(self, now):
        return max(F(0), self.debt - F(max(0, now - self.at) * self.count, self.per))

    def left(self, now):
        return max(0, floor(self.burst - self.look(now)))

    def wait(self, now, cost):
        over = self.look(now) + cost - self.burst
        return max(0, ceil(over * self.per / self.count))

    def add(self, now, cost):
        self.debt, self.at = max(F(0), self.look(now) + cost), now

    def reset(self, now):
        return ceil(self.look(now) * self.per / self.count)


class Fixed:
    kind = 'f'

    def __init__(self, count, per):
        self.count, self.per = count, per
        self.used = {}

    def words(self):
        return self.kind, self.count, self.per, 0

    def now(self, now):
        return self.used.get(now // self.per, 0)

    def weighed(self, now):
        return 0

    def left(self, now):
        return max(0, self.count - self.now(now) - self.weighed(now))

    def fits(self, now, cost):
        return self.now(now) + self.weighed(now) + cost <= self.count

    def wait(self, now, cost):
        if self.fits(now, cost):
            return 0
        return self.per - now % self.per

    def add(self, now, cost):
        self.used[now // self.per] = max(0, self.now(now) + cost)

    def reset(self, now):
        return self.per - now % self.per if self.now(now) else 0


class Sliding(Fixed):
    kind = 's'

    def weighed(self, now):
        return ceil(F(self.used.get(now // self.per - 1, 0) * (self.per - now % self.per), self.per))

    def wait(self, now, cost):
        """The first moment at which it fits if nobody else comes: by halving, the share only fades."""
        if self.fits(now, cost):
            return 0
        low, high = now, (now // self.per + 2) * self.per
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (low, middle) if self.fits(middle, cost) else (middle, high)
        return high - now

    def reset(self, now):
        if self.now(now):
            return 2 * self.per - now % self.per
        return self.per - now % self.per if self.used.get(now // self.per - 1) else 0


def expect(windows, now, cost, most):
    waits = [w.wait(now, cost) for w in windows]
    longest = max(waits)
    if longest == 0:
        verdict = 0
    elif longest <= most and all(isinstance(w, Gcra) for w, wait in zip(windows, waits) if wait):
        verdict = 1
    else:
        verdict = 2
    if verdict < 2 and cost:
        for w in windows:
            w.add(now, cost)
    return verdict, longest


MIXES = [
    ('one rate', lambda: [Gcra(10, SECOND, 20)]),
    ('a third of a second', lambda: [Gcra(3, SECOND, 3)]),
    ('two rates', lambda: [Gcra(10, SECOND, 10), Gcra(100, 60 * SECOND, 100)]),
    ('sliding', lambda: [Sliding(7, SECOND)]),
    ('fixed', lambda: [Fixed(7, SECOND)]),
    ('all kinds', lambda: [Gcra(50, SECOND, 5), Sliding(20, SECOND), Fixed(90, 5 * SECOND)]),
    ('a prime a day', lambda: [Gcra(999983, DAY, 30)]),
]


@test(MIXES)
def as_the_model(row):
    name, make = row
    rng = random.Random(name)
    windows, now = make(), START
    with Store() as store:
        seen = set()
        for step in range(3000):
            now += rng.choice([0, 0, 1, rng.randrange(5000), rng.randrange(200000), rng.randrange(10 * SECOND)
                               if step % 40 == 0 else 0])
            cost = rng.choice([1, 1, 1, 2, 3, 0])
            most = rng.choice([0, 0, 50000, 300000])
            got = store.judge(now, windows, cost, most)
            wanted = expect(windows, now, cost, most)
            equal((got[0], abs(got[3] - wanted[1]) <= 1), (wanted[0], True), f'step {step}: {got} {wanted}')
            if got[0] == 0:
                equal(got[2], min(w.left(now) for w in windows), f'left, step {step}')
                equal(got[4] - windows[got[1]].reset(now), 0, f'reset, step {step}: {got}')
            seen.add(got[0])
            if rng.random() < 0.02:
                more = rng.choice([-2, -1, 4])
                store.judge(now, windows, more, mode='force')
                for w in windows:
                    w.add(now, more)
        assert {0, 2} <= seen, seen


@test
def a_burst_is_exact_however_slow_the_rate():
    with Store() as store:
        for i, (count, per) in enumerate([(100, DAY), (7, 365 * DAY), (999983, DAY), (1000000, 30 * DAY)]):
            window = Gcra(count, per, 97)
            got = [store.judge(START + k, [window], key=f'k{i}')[0] for k in range(200)]
            equal(got.count(0), 97, f'{count} in {per}')
            equal(got[:97], [0] * 97)


@test
def never_more_than_rate_and_burst_never_much_less():
    rng = random.Random(5)
    with Store() as store:
        window, now, passed = Gcra(1000, SECOND, 50), START, []
        for _ in range(8000):
            now += rng.randrange(200)
            if store.judge(now, [window])[0] == 0:
                passed.append(now)
        for first in range(0, len(passed), 50):
            for last in (first + 40, first + 400, len(passed) - 1):
                if first < last < len(passed):
                    took = passed[last] - passed[first]
                    assert last - first + 1 <= 50 + took * 1000 / SECOND + 1e-6, (first, last, took)
        whole = (passed[-1] - START) * 1000 / SECOND + 50
        assert len(passed) >= whole * 0.999, (len(passed), whole)


@test
def all_windows_count_or_none():
    with Store() as store:
        windows = [Gcra(1, DAY, 5), Fixed(3, 10 * DAY)]
        got = [store.judge(START, windows)[0] for _ in range(5)]
        equal(got, [0, 0, 0, 2, 2])
        equal(store.judge(START, windows[:1], cost=0)[2], 2, 'the first has counted three alone')


@test
def takes_ahead_what_there_is():
    with Store() as store:
        window = [Gcra(1, DAY, 10)]
        equal(store.judge(START, window, extra=4)[5], 4)
        equal(store.judge(START, window, extra=9)[5], 4, 'five were used, this one is the sixth')
        equal(store.judge(START, window, extra=9)[0::5], [2, 0], 'nothing is left')
        equal(store.judge(START, window, cost=0, extra=9)[0::5], [0, 0], 'a look takes nothing')


@test
def what_is_owed_counts_also_where_it_is_refused():
    with Store() as store:
        window = [Gcra(1, SECOND, 10)]
        equal(store.judge(START, window, owed=10)[0], 2)
        equal(store.judge(START, window, cost=0)[2], 0, 'it is remembered')
        equal(store.judge(START, window, owed=10, age=4 * SECOND, key='old')[2], 3, 'four seconds have paid four')
        equal(store.judge(START, [Fixed(9, DAY)], owed=5, key='f')[2], 3)
        equal(store.judge(START, [Fixed(9, SECOND)], owed=5, age=2 * SECOND, key='g')[2], 8, 'another window')


@test
def a_clock_that_goes_back_gives_nothing():
    with Store() as store:
        for i, window in enumerate([Gcra(10, SECOND, 5), Fixed(5, SECOND), Sliding(5, SECOND)]):
            for _ in range(5):
                equal(store.judge(START, [window], key=f'k{i}')[0], 0)
            for back in (1, SECOND // 2, 3 * SECOND):
                equal(store.judge(START - back, [window], key=f'k{i}')[0], 2, f'{back} before')


@test
def a_changed_rate_keeps_the_time_that_is_owed():
    with Store() as store:
        slow, fast = Gcra(999983, DAY, 1000), Gcra(1000, SECOND, 1000)
        store.judge(START, [slow], cost=10)
        owed = store.judge(START, [slow], cost=0)[4]
        for window in (fast, slow, fast):
            got = store.judge(START, [window], owed=0, cost=0)[4]
            assert abs(got - owed) <= 2, (got, owed)
            store.judge(START, [window], cost=1)
            owed += ceil(F(window.per, window.count))


@test
def nothing_is_left_behind():
    with Store() as store:
        for i, window in enumerate([Gcra(1, SECOND, 5), Fixed(5, SECOND), Sliding(5, 2 * SECOND), Gcra(10, DAY, 5)]):
            store.judge(START, [window], key=f'k{i}')
            ttl = store.ask('PTTL', f'{{k{i}}}0')
            longest = [1002, 1001, 4001, DAY // 10000 + 1][i] + 1000  # a second more than it is owed
            assert 0 < ttl <= longest, (i, ttl)
            store.judge(START, [window], cost=-1, mode='force', key=f'k{i}')
        equal(store.ask('EXISTS', '{k0}0', '{k3}0'), 0, 'all was given back')


@test(['hello', '1', '1 2 3 4', '-1 5', 'nan 1', '1e300 1'])
def garbage_is_an_error_and_no_limit(value):
    with Store() as store:
        store.ask('SET', '{k}0', value)
        got = store.judge(START, [Gcra(10, SECOND, 5)])
        assert isinstance(got, str) and 'WRONGTYPE' in got, got
        store.ask('DEL', '{k}0')
        store.ask('LPUSH', '{k}0', 'x')
        got = store.judge(START, [Gcra(10, SECOND, 5)])
        assert isinstance(got, str) and 'WRONGTYPE' in got, got


run()
