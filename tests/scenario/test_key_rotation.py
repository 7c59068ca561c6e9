#!/usr/bin/python3
"""Keys change and their issuers fail while clients go on: no wrong answer at any moment (THREATS.md F15, F16).
Four issuers of one gateway: one answers 500, one hangs, one is away, one was never there until late. A token of
a key that is published passes; one of a key that was taken back does not once the newer set was fetched; a
forged one never does; what cannot be known is 503 and not 401. suite: tsan"""
import os
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Client, Gateway, Upstream, answer, free_port, wait_until
from tap import contains, equal, run, test
from tokens import Key, jwks, now

KINDS = ('error', 'hang', 'gone', 'late')
FAIL = KINDS[:3]
CONFIG = '''
version: 1
workers: 2
listeners: {public: {address: "127.0.0.1:@PORT@"}}
admin: {address: "127.0.0.1:@ADMIN@"}
log: {fields: [target, status, code, detail]}
authenticators:
'''
AUTHENTICATOR = '  %s: {jwt: {issuer: me, jwks: "%s"}}\n'
ROUTE = '  - {match: {path: /%s}, respond: "${claim.sub}", authenticate: %s}\n'
FEWEST = 20     # requests of each caller: fewer would show nothing
PAUSE = 0.01    # of a caller, between two requests


class Issuer:
    """One at a port of its own, which it can leave and take again."""

    def __init__(self, kind):
        self.kind, self.port, self.up = kind, free_port(), None
        self.url = f'http://127.0.0.1:{self.port}/keys'
        self.old, self.new, self.later = (Key.es('256', f'{kind}-{n}') for n in ('old', 'new', 'later'))
        self.keys, self.broken, self.asked, self.repaired = [self.old], False, 0, threading.Event()
        if kind != 'late':
            self.come()

    def come(self):
        self.up = Upstream(self.reply, port=self.port)

    def reply(self, _request, _connection):
        self.asked += 1
        if self.broken and self.kind == 'hang':
            self.repaired.wait(60)
            return Upstream.CLOSE
        return answer('{"keys": []}', '500 Oops') if self.broken else answer(jwks(*self.keys))

    def fail(self):
        self.broken = True
        if self.kind == 'gone':
            self.up.close()

    def repair(self, *keys):
        self.keys, self.broken = list(keys), False
        self.repaired.set()
        if self.kind == 'gone':
            self.come()

    def close(self):
        self.repaired.set()
        if self.up:
            self.up.close()


def forged(key):
    """Of the key's name, and signed by another."""
    return Key.es(key.alg[2:], key.kid)


class Caller(threading.Thread):
    """Sends tokens over one connection, so to one worker: by turns a new one, and one that is remembered there.
    `right`: the statuses that are right now; an answer may still be to what was asked before that changed."""

    def __init__(self, gateway, kind, key, *right):
        super().__init__(daemon=True)
        self.gateway, self.kind, self.key, self.right = gateway, kind, key, right
        self.stop, self.wrong, self.count, self.last = threading.Event(), [], 0, None
        self.start()

    def run(self):
        lasting = made(self.key)
        try:
            with Client(self.gateway.port) as c:
                while not self.stop.wait(PAUSE):
                    self.ask(c, made(self.key, self.count) if self.count % 2 else lasting)
        except Exception as e:
            self.wrong.append(repr(e))

    def ask(self, c, token):
        right = self.right
        got = ask(c, self.kind, token)
        self.count += 1
        if got not in right + self.right:
            self.wrong.append((self.count, got, right))
        self.last = got

    def finish(self):
        self.stop.set()
        self.join(30)
        what = f'{self.kind}: {self.key.kid}'
        equal(self.wrong[:5], [], f'{what}: wrong answers of {self.count}')
        assert self.count >= FEWEST, f'{what}: {self.count} requests only'


def made(key, number=0):
    return key.token({'iss': 'me', 'sub': 'ann', 'jti': str(number), 'exp': now() + 600})


def ask(c, kind, token):
    a = c.request(f'GET /{kind} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {token}\r\n\r\n'.encode())
    if a.status == 200:
        equal(a.body, b'ann')
    elif a.status == 503:
        contains(a.body, b'keys_unavailable')
    return a.status


def ask_new(gateway, kind, token):
    """By a connection of its own: any worker."""
    with gateway.client() as c:
        return ask(c, kind, token)


def rested(gateway, issuers):
    """The last sets are so old that an unknown kid is worth a question (KEYS_APART_S)."""
    def old():
        m = gateway.metrics()
        return all(m[f'sluice_keys_age_seconds{{source="{i.url}"}}'] > 10 for i in issuers)
    wait_until(old, 'the time between two fetches')


def everywhere(gateway, kind, key, status):
    """All of the workers say so: twenty connections meet both."""
    wait_until(lambda: {ask_new(gateway, kind, made(key, n)) for n in range(20)} == {status},
               f'{status} for {key.kid}', 40)


def play(gateway, issuer, callers):
    issuers = [issuer[kind] for kind in FAIL]

    def start(key, kind, *right):
        callers.append(Caller(gateway, kind, key, *right))
        return callers[-1]
    for i in issuers:
        everywhere(gateway, i.kind, i.old, 200)
    late = issuer['late']
    olds = [start(i.old, i.kind, 200) for i in issuers]
    for i in issuers:
        start(forged(i.old), i.kind, 401)
    never = start(late.old, 'late', 503)
    start(forged(late.old), 'late', 401, 503)
    rested(gateway, issuers)

    for i in issuers:  # a new key: the first who shows it waits for it, on each worker
        i.keys = [i.old, i.new]
        for _ in range(2):
            start(i.new, i.kind, 200)
    never.right = (200, 503)
    late.come()
    wait_until(lambda: never.last == 200, 'the keys of who came late')
    never.right = (200,)
    rested(gateway, issuers)
    equal([i.asked for i in issuers], [2, 2, 2], 'fetches')

    for i in issuers:  # the outage; what is known goes on, what is not is nobody's fault
        i.fail()
    laters = [start(i.later, i.kind, 503) for i in issuers]
    evil = [start(Key.es('256', 'evil'), i.kind, 503, 401) for i in issuers]
    up = 'sluice_keys_up{source="%s"}'
    wait_until(lambda: not any(gateway.metrics()[up % i.url] for i in issuers), 'all have failed')
    wait_until(lambda: all(c.last == 503 for c in laters + evil), '503 for what cannot be known')

    for c in olds:
        c.right = (200, 401)
    for c in laters:
        c.right = (200, 503)
    for i in issuers:  # it is over: one key is taken back, another is there
        i.repair(i.new, i.later)
    for i, old, new in zip(issuers, olds, laters):
        everywhere(gateway, i.kind, i.later, 200)
        wait_until(lambda new=new: new.last == 200, 'the later key')
        new.right = (200,)
        old.right = (401,)  # also the tokens that were remembered
    for i in issuers:
        everywhere(gateway, i.kind, i.old, 401)
    counts = [c.count for c in callers]
    wait_until(lambda: all(c.count >= n + FEWEST or c.wrong for c, n in zip(callers, counts)), 'more of everything')


@test
def rotation_and_outage_under_load():
    issuer, callers = {kind: Issuer(kind) for kind in KINDS}, []
    config = CONFIG + ''.join(AUTHENTICATOR % (i.kind, i.url) for i in issuer.values()) + 'routes:\n' + \
        ''.join(ROUTE % (kind, kind) for kind in KINDS)
    try:
        with Gateway(config) as gateway:
            try:
                play(gateway, issuer, callers)
            finally:
                for c in callers:
                    c.stop.set()
                    if c.wrong:
                        print(f'# {c.kind}: {c.key.kid}: {c.wrong[:5]}')
            for c in callers:
                c.finish()
            print(f'# {sum(c.count for c in callers)} answers to {len(callers)} callers')
    finally:
        for i in issuer.values():
            i.close()


run()
