#!/usr/bin/env python3
"""Memory does not grow with reloads: 500 of them with traffic between. The bound is generous; a leak of one
snapshot a reload is far beyond it."""
import os
import sys

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from process import CONFIG, GET, status
from gateway import Gateway, Upstream, answer, binary, wait_until
from tap import equal, run, test

ROUTES = 200  # so that a snapshot is worth some 100 KiB
BETWEEN, WARM, COUNT = 5, 100, 500

with open(binary(), 'rb') as program:  # a sanitizer's allocator scatters
    GROWTH_KB = 20480 if b'__asan_init' in program.read() else 4096
up = Upstream(lambda request, _: answer(request.target))


def config(i):
    more = ''.join(f'      - {{match: {{path: "/r{n}/{{id}}"}}, to: a, rewrite: "/x/${{path.id}}"}}\n'
                   for n in range(ROUTES))
    return (CONFIG % up.address).replace('"here"', f'"v{i}"') + more


def resident(gw):
    return int(status(gw.process.pid)['VmRSS'].split()[0])


@test
def flat_over_reloads():
    # An address sanitizer keeps what was freed for a while: little of it here, or its store is what we would measure.
    env = {'ASAN_OPTIONS': 'detect_leaks=1:exitcode=99:quarantine_size_mb=1'}
    with Gateway(config(0), ('--no-supervisor', '--reload-every', '1ms'), env=env) as gw, gw.client() as c:
        warm = 0
        for i in range(1, COUNT + 1):
            gw.configure(config(i))
            gw.send_signal(1)
            wait_until(lambda i=i: c.request(GET % b'/here').body == b'v%d' % i, f'configuration {i}')
            for n in range(BETWEEN):
                equal(c.request(GET % b'/r%d/%d' % (n, i)).status, 200)
            if i == WARM:
                warm = resident(gw)
        grown = resident(gw) - warm
        print(f'# resident {warm} kB after {WARM} reloads, {grown:+d} kB after {COUNT}')
        assert grown < GROWTH_KB, f'{grown} kB more'


run()
