#!/usr/bin/python3
"""The recipe of docs/concurrency.md, by a running gateway: who passes, who waits, who is refused."""
import os
import re
import sys
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import ROOT, Gateway, wait_until
from h1_service import H1Service
from tap import equal, run, test


def recipe():
    with open(os.path.join(ROOT, 'docs', 'concurrency.md'), encoding='utf-8') as f:
        return re.search(r'^```yaml recipe\n(.*?)^```', f.read(), re.M | re.S).group(1)


class Old:
    """Answers when it is let go; falls over when it has more than two at once."""

    def __init__(self):
        self.cond, self.now, self.most, self.hold = threading.Condition(), 0, 0, True
        self.service = H1Service(self.handle)

    def handle(self, stream):
        with self.cond:
            self.now += 1
            self.most = max(self.most, self.now)
            self.cond.notify_all()
            assert self.cond.wait_for(lambda: not self.hold or stream.path.startswith('/dear'), 20)
            self.now -= 1
        stream.respond(200, [], b'ok')


def ask(gw, path, *headers):
    return gw.get(path, *headers).status


@test
def two_work_three_wait_the_next_is_told():
    old = Old()
    with old.service, Gateway(recipe().replace('@SERVICE@', old.service.address)) as gw:
        got = []
        threads = [threading.Thread(target=lambda u=u: got.append(ask(gw, '/old/x', f'X-User: {u}')))
                   for u in 'aabbc']
        for t in threads:
            t.start()
        wait_until(lambda: gw.metrics()['sluice_service_queue{service="old"}'] == 3, 'three wait')
        wait_until(lambda: old.most == 2, 'two work')
        equal(gw.get('/old/x', 'X-User: d').header('retry-after'), '1')
        equal(ask(gw, '/old/x', 'X-User: d'), 503)
        with old.cond:
            old.hold = False
            old.cond.notify_all()
        for t in threads:
            t.join(20)
        equal(sorted(got), [200] * 5)
        equal(old.most, 2)


@test
def nobody_has_all_of_it():
    old = Old()
    with old.service, Gateway(recipe().replace('@SERVICE@', old.service.address)) as gw:
        got = []
        threads = [threading.Thread(target=lambda: got.append(ask(gw, '/old/x', 'X-User: a'))) for _ in range(4)]
        for t in threads:
            t.start()
        wait_until(lambda: gw.metrics()['sluice_service_queue{service="old"}'] == 2, 'two wait')
        equal(ask(gw, '/old/x', 'X-User: a'), 429)
        with old.cond:
            old.hold = False
            old.cond.notify_all()
        for t in threads:
            t.join(20)
        equal(sorted(got), [200] * 4)


@test
def three_in_an_hour():
    old = Old()
    with old.service, Gateway(recipe().replace('@SERVICE@', old.service.address)) as gw:
        equal([ask(gw, '/dear/x') for _ in range(4)], [200, 200, 200, 503])


run()
