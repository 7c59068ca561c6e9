#!/usr/bin/python3
# suite: tsan
"""quota, over HTTP/1.1 and HTTP/2: what it counts, whom it refuses, what clients are told; and that counts
outlive reloads, restarts, upgrades, kill -9, full disks - or that the gateway says why not.

The store is read as its file: a test that kills waits until the file says what was counted.
"""
import hashlib
import json
import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Closed, Gateway, Upstream, answer, run as sluice, wait_until
from process import serving
from redis import Redis
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
  gina: {plan: gold, keys: ["KEY-gina"]}
  nora: {keys: ["KEY-nora"]}
'''
for name in ('fred', 'gina', 'nora'):
    HEAD = HEAD.replace(f'KEY-{name}"', sha(name) + '"')
NO_PLANS = 'plans: {free: {}, gold: {}}\n'


def key(name):
    return f'X-API-Key: {name}'


def route(quota, more='', path='/*'):
    return f'{{name: shop, match: {{path: "{path}"}}, to: a, quota: {quota}{more}}}'


class Counted:
    """A gateway with these routes before one service, and the store in a directory that outlives it."""

    def __init__(self, routes, more='', reply=None, store=True, folder=None, **kw):
        self.own = None if folder else tempfile.mkdtemp(prefix='sluice-quota-')
        self.folder = folder or self.own
        self.store = os.path.join(self.folder, 'state.db')
        self.up = Upstream(reply or Upstream.OK)
        text = HEAD % (f'state: {{store: "{self.store}"}}' if store else '', self.up.address) + (more or NO_PLANS)
        self.text = text + 'routes:\n' + ''.join(f'  - {r}\n' for r in ([routes] if isinstance(routes, str) else routes))
        self.gw = Gateway(self.text, **kw)

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.gw.__exit__(*args)
        self.up.close()
        if self.own:
            shutil.rmtree(self.own, ignore_errors=True)

    def status(self, path='/', *headers):
        return self.gw.get(path, *headers).status

    def statuses(self, *requests):
        return [self.status(*([r] if isinstance(r, str) else r)) for r in requests]

    def rows(self):
        return rows(self.store)

    def wait_rows(self, wanted):
        wait_until(lambda: self.rows() == wanted, lambda: f'the store has {self.rows()}')

    def lines(self, n):
        path = os.path.join(self.gw.dir, 'access.log')

        def read():
            if not os.path.exists(path):
                return None
            with open(path, encoding='utf-8') as f:
                found = [json.loads(line) for line in f]
            return found if len(found) >= n else None
        return wait_until(read, f'{n} lines of the access log')


def rows(store):
    """{key: used}"""
    if not os.path.exists(store):
        return {}
    db = sqlite3.connect(f'file:{store}?mode=ro', uri=True, timeout=10)
    try:
        return dict(db.execute('SELECT key, sum(used) FROM quota GROUP BY key'))
    except sqlite3.OperationalError:
        return {}
    finally:
        db.close()


def items(text):
    return {m[1]: {k: int(v) for k, v in (p.split('=') for p in m[2].strip(';').split(';'))}
            for m in re.finditer(r'"([^"]*)"((?:;\w+=\d+)*)', text)}


BY_USER = "{limit: 3/month, key: \"${header['x-user']}\", name: users}"
ANN, BOB = 'X-User: ann', 'X-User: bob'


# ---- what clients see ----------------------------------------------------------------------------

@test(['h1', 'h2'])
def counts_refuses_and_says_so(kind):
    if not connect:
        skip('python3-h2 is missing')
    with Counted(route('{limit: [2/day, 100/year]}')) as c, connect(kind, c.gw.port, None) as client:
        answers = [client.request('GET', '/', [('accept', 'application/json')]) for _ in range(3)]
        equal([a.status for a in answers], [200, 200, 429])
        equal([items(a.header('ratelimit'))['default-day']['r'] for a in answers], [1, 0, 0])
        policy = items(answers[0].header('ratelimit-policy'))
        equal(policy['default-day'], {'q': 2, 'w': 86400})
        assert policy['default-year']['w'] in (365 * 86400, 366 * 86400), policy
        left = int(answers[2].header('retry-after'))
        assert 0 < left <= 86400, left
        assert abs(left - items(answers[2].header('ratelimit'))['default-day']['t']) <= 1
        equal(json.loads(answers[2].body)['code'], 'quota_exceeded')
        equal(answers[0].header('retry-after'), None)
        equal(len(c.up.requests), 2, 'what was refused reached nobody')


@test
def grpc_gets_resource_exhausted():
    if not connect:
        skip('python3-h2 is missing')
    with Counted(route('1/day')) as c, connect('h2', c.gw.port, None) as client:
        fields = [('content-type', 'application/grpc'), ('te', 'trailers')]
        client.request('POST', '/pkg.S/M', fields, b'\0\0\0\0\0')
        a = client.request('POST', '/pkg.S/M', fields, b'\0\0\0\0\0')
        equal(a.status, 200)
        equal(dict(a.headers + a.trailers)['grpc-status'], '8')


@test
def keys_count_apart_and_are_written():
    with Counted(route(BY_USER)) as c:
        equal(c.statuses(*[('/', ANN)] * 4, ('/', BOB)), [200, 200, 200, 429, 200])
        c.wait_rows({'ann': 3, 'bob': 1})
        metrics = c.gw.metrics()
        equal(metrics['sluice_quota_requests_total{quota="users",outcome="allowed"}'], 4)
        equal(metrics['sluice_quota_requests_total{quota="users",outcome="refused"}'], 1)
        equal(metrics['sluice_quota_keys{quota="users"}'], 2)
        wait_until(lambda: c.gw.metrics()['sluice_store_rows_total'] >= 2, 'rows are counted')
        equal(c.gw.metrics()['sluice_store_failing'], 0)
        line = next(found for found in c.lines(5) if found['status'] == 429)
        equal((line['code'], line['limit.name'], line['limit.remaining'], line['limit.verdict']),
              ('quota_exceeded', 'users', 0, 'refused'))
        contains(line['detail'], 'quota users: 0 of 3 are left (month)')


@test
def headers_may_be_left_out():
    with Counted(route('{limit: 1/day, headers: false}')) as c:
        for status in (200, 429):
            a = c.gw.get('/')
            equal((a.status, a.header('ratelimit')), (status, None))


@test
def observe_refuses_nobody():
    with Counted(route('{limit: 1/day, name: seen, mode: observe}')) as c:
        answers = [c.gw.get('/') for _ in range(3)]
        equal([(a.status, a.header('ratelimit')) for a in answers], [(200, None)] * 3)
        equal(c.gw.metrics()['sluice_quota_requests_total{quota="seen",outcome="observed"}'], 2)
        equal(sorted(str(line['observed']) for line in c.lines(3)), ['None'] + ['quota quota_exceeded'] * 2)


# ---- what counts ---------------------------------------------------------------------------------

@test
def costs_of_request_and_answer():
    quota = ("{limit: 10/day, key: \"${header['x-user']}\", cost: \"${header['x-cost']}\", "
             "cost_after: \"${response.headers['x-real'][0]}\"}")
    replies = [answer(b'', '200 OK', f'X-Real: {n}') for n in (2, 9, 0)]
    with Counted(route(quota), reply=replies) as c:
        equal(c.statuses(('/', ANN, 'X-Cost: 5'), ('/', ANN, 'X-Cost: 8'), ('/', ANN, 'X-Cost: 1')), [200, 200, 429])
        c.wait_rows({'ann': 11})


@test
def failures_count_unless_cost_after_says_otherwise():
    fails = [answer(b'', '500 Oh')] * 4 + [Upstream.CLOSE] * 4
    with Counted(route('9/day', path='/a/*') + '\n  - ' +
                 route('{limit: 9/day, cost_after: "${response.status >= 500 ? 0 : 1}"}', path='/b/*').replace('shop', 'free'),
                 reply=fails) as c:
        left = [items(c.gw.get(p).header('ratelimit'))['default']['r'] for p in ('/a/', '/a/', '/b/', '/b/')]
        equal(left, [8, 7, 9, 9])


@test
def what_another_limit_refuses_is_given_back():
    limits = ', rate_limit: {rate: 1/h, key: all}, concurrency: 10'
    quota = '{limit: 5/day, name: users, key: all}'
    with Counted(route(quota, limits)) as c:
        equal(c.statuses('/', '/', '/'), [200, 429, 429])
        c.wait_rows({'all': 1})
    nested = '{match: {path: /*}, quota: {limit: 5/day, name: far, key: far}, routes: [' + \
        route('{limit: 1/day, name: near, key: near}') + ']}'
    with Counted(nested) as c:
        equal(c.statuses('/', '/', '/'), [200, 429, 429])
        c.wait_rows({'far': 1, 'near': 1})


@test
def plans_have_their_own():
    quota = '{limit: 1/day, plans: {gold: {limit: 3/day}}}'
    with Counted(route(quota, ', authenticate: key')) as c:
        for who, wanted in (('fred', [200, 429]), ('gina', [200, 200, 200, 429]), ('nora', [200, 429])):
            equal(c.statuses(*[('/', key(who))] * len(wanted)), wanted, who)
        c.wait_rows({'consumer:fred': 1, 'consumer:gina': 3, 'consumer:nora': 1})
    plans = 'plans: {free: {quota: 1/day}, gold: {quota: {limit: [9/day, 2/year]}}}\n'
    with Counted('{name: shop, match: {path: /*}, to: a, authenticate: key}', plans) as c:
        for who, wanted in (('fred', [200, 429]), ('gina', [200, 200, 429]), ('nora', [200, 200, 200, 200])):
            equal(c.statuses(*[('/', key(who))] * len(wanted)), wanted, who)


@test
def who_changes_his_plan_keeps_what_he_used():
    quota = '{limit: 1/day, plans: {gold: {limit: 3/day}}}'
    with Counted(route(quota, ', authenticate: key')) as c:
        equal(c.statuses(*[('/', key('fred'))] * 2), [200, 429])
        c.gw.configure(c.text.replace('fred: {plan: free', 'fred: {plan: gold'))
        equal(sluice('reload', '-c', c.gw.config_path).returncode, 0)
        equal(c.statuses(*[('/', key('fred'))] * 3), [200, 200, 429])


# ---- what lasts ----------------------------------------------------------------------------------

@test
def a_graceful_stop_loses_nothing():
    with tempfile.TemporaryDirectory() as folder:
        with Counted(route(BY_USER), folder=folder) as c:
            equal(c.statuses(('/', ANN), ('/', ANN), ('/', BOB)), [200, 200, 200])
        equal(os.listdir(folder), ['state.db'], 'a closed file is one file')
        equal(rows(os.path.join(folder, 'state.db')), {'ann': 2, 'bob': 1})
        with Counted(route(BY_USER), folder=folder) as c:
            equal(c.statuses(('/', ANN), ('/', ANN), ('/', BOB), ('/', BOB), ('/', BOB)), [200, 429, 200, 200, 429])


@test
def kill_9_loses_only_what_was_not_written():
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, 'state.db')
        many = BY_USER.replace('3/month', '1000/month')
        with Counted(route(many), folder=folder, args=()) as c:
            equal(c.statuses(*[('/', ANN)] * 20), [200] * 20)
            c.wait_rows({'ann': 20})
            first = serving(c.gw)
            equal(c.statuses(*[('/', ANN)] * 5), [200] * 5)  # these may be lost
            os.kill(first, signal.SIGKILL)
            serving(c.gw, (first,))

            def left():
                try:
                    a = c.gw.get('/', ANN)
                except (OSError, Closed):
                    return None
                return items(a.header('ratelimit'))['users']['r'] if a.status == 200 else None
            remaining = wait_until(left, 'it serves again')
            assert 1000 - 26 <= remaining <= 1000 - 21, remaining
        assert 21 <= rows(store)['ann'] <= 26, rows(store)


@test
def a_reload_loses_nothing():
    with Counted(route(BY_USER)) as c:
        equal(c.statuses(('/', ANN), ('/', ANN)), [200, 200])
        for limit in (5, 4):
            c.gw.configure(c.text.replace('3/month', f'{limit}/month'))
            equal(sluice('reload', '-c', c.gw.config_path).returncode, 0)
        equal(c.statuses(('/', ANN), ('/', ANN), ('/', ANN)), [200, 200, 429])
        c.wait_rows({'ann': 4})
        # Out of the file, and in again.
        c.gw.configure(c.text.replace('quota: ' + BY_USER, 'max_body: 1KiB'))
        equal(sluice('reload', '-c', c.gw.config_path).returncode, 0)
        equal(c.statuses(*[('/', ANN)] * 3), [200] * 3)
        c.gw.configure(c.text)
        equal(sluice('reload', '-c', c.gw.config_path).returncode, 0)
        equal(c.status('/', ANN), 429)


@test
def an_upgrade_counts_on():
    with tempfile.TemporaryDirectory() as folder:
        with Counted(route(BY_USER.replace('3/', '50/')), folder=folder, args=()) as c:
            equal(c.statuses(*[('/', ANN)] * 7), [200] * 7)
            first = serving(c.gw)
            c.gw.send_signal(signal.SIGUSR2)
            second = serving(c.gw, (first,))
            wait_until(lambda: not os.path.exists(f'/proc/{first}') or
                       'Z' in open(f'/proc/{first}/stat', encoding='ascii').read().split()[2], 'the old one has gone')
            equal(c.statuses(*[('/', ANN)] * 3), [200] * 3)
            assert second != first
            c.wait_rows({'ann': 10})


# ---- when the store fails ------------------------------------------------------------------------

@test
def a_full_disk_costs_nothing_but_a_line():
    if not hasattr(resource, 'prlimit'):
        skip('no prlimit')
    big = "{limit: 100000/month, key: \"${header['x-user']}\", name: users}"
    with Counted(route(big)) as c:
        equal(c.status('/', ANN), 200)
        c.wait_rows({'ann': 1})
        pid = c.gw.process.pid
        before = resource.prlimit(pid, resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))
        for n in range(60):
            equal(c.status('/', 'X-User: ' + f'{n:03}' * 60), 200)
        wait_until(lambda: 'state.db cannot be written' in c.gw.log(), 'it says so')
        failures = c.gw.metrics()['sluice_store_failures_total']
        wait_until(lambda: c.gw.metrics()['sluice_store_failures_total'] > failures + 1, 'it is tried again')
        equal(c.gw.metrics()['sluice_store_failing'], 1)
        equal(c.gw.log().count('cannot be written'), 1, 'said once')
        resource.prlimit(pid, resource.RLIMIT_FSIZE, before)
        wait_until(lambda: 'is written again, nothing was lost' in c.gw.log(), 'it goes on')
        wait_until(lambda: sum(c.rows().values()) == 61, lambda: f'{c.rows()}')


def start(store_yaml, more=''):
    """Starts a gateway that is to refuse: what it says, and its code."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'sluice.yaml')
        with open(path, 'w', encoding='utf-8') as f:
            f.write('version: 1\nlisteners: {public: {address: "127.0.0.1:0"}}\n' + store_yaml +
                    '\nroutes: [{match: {path: /*}, respond: ok, quota: {limit: 1/day, key: all}}]\n' + more)
        done = sluice('run', '--no-supervisor', '-c', path)
        return done.returncode, done.stderr.decode()


def broken(kind, store):
    if kind == 'no database':
        with open(store, 'wb') as f:
            f.write(b'x' * 5000)
    elif kind == 'of another program':
        db = sqlite3.connect(store)
        db.execute('CREATE TABLE theirs (a)')
        db.commit()
        db.close()
    elif kind in ('a newer form', 'damaged'):
        with Counted(route(BY_USER), folder=os.path.dirname(store)) as c:
            equal(c.statuses(*[('/', ANN)] * 2), [200, 200])
        if kind == 'damaged':
            with open(store, 'r+b') as f:
                f.seek(4096)
                f.write(b'x' * 4096)
        else:
            db = sqlite3.connect(store)
            db.execute('PRAGMA user_version = 7')
            db.close()
    elif kind == 'a link':
        os.symlink('/dev/null', store)
    elif kind == 'a directory':
        os.mkdir(store)


@test([('no database', 'is no database; put a backup in its place'), ('damaged', 'is damaged; put a backup in its place'),
       ('of another program', 'is a database of another program; name another file'),
       ('a newer form', 'was written by a newer sluice (form 7, this one knows 1)'),
       ('a link', 'is a symbolic link'), ('a directory', 'cannot be opened: Is a directory')])
def refuses_to_start_with(row):
    kind, said = row
    with tempfile.TemporaryDirectory() as folder:
        store = os.path.join(folder, 'state.db')
        broken(kind, store)
        before = open(store, 'rb').read() if os.path.isfile(store) and kind != 'a link' else None
        code, text = start(f'state: {{store: "{store}"}}')
        equal(code, 1, text)
        contains(text, said)
        if before is not None:
            equal(open(store, 'rb').read(), before, 'nothing was thrown away')


@test
def refuses_to_start_without_the_directory():
    code, text = start('state: {store: /nonexistent/sluice/state.db}')
    equal(code, 1)
    contains(text, "its directory must be there, writable for the gateway's user")


@test
def refuses_to_start_where_it_must_not_write():
    if os.geteuid() != 0:
        skip('only root can become nobody')
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        code, text = subprocess_as_nobody(folder)
        equal(code, 1, text)
        contains(text, 'writable for the user that the gateway runs as')


def subprocess_as_nobody(folder):
    path = os.path.join(folder, 'sluice.yaml')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'version: 1\nlisteners: {{public: {{address: "127.0.0.1:0"}}}}\nstate: {{store: "{folder}/state.db"}}\n'
                'routes: [{match: {path: /*}, respond: ok, quota: {limit: 1/day, key: all}}]\n')
    try:
        done = sluice('run', '--no-supervisor', '--user', 'nobody', '-c', path)
    except subprocess.TimeoutExpired:
        raise AssertionError('it runs') from None
    return done.returncode, done.stderr.decode()


# ---- several gateways ----------------------------------------------------------------------------

def shared(url, on_failure='local', limit='6/month'):
    quota = BY_USER.replace('3/month', limit).replace('name: users', f'name: users, on_failure: {on_failure}')
    with_state = f'state: {{shared: {{url: "{url}", timeout: 2s}}}}\n'
    return Counted('{name: shop, match: {path: "/*"}, to: a, quota: ' + quota + '}', with_state + NO_PLANS, store=False)


def counters(store):
    return sorted(store.command('GET', k) for k in store.command('KEYS', '*count*'))


@test
def gateways_count_together():
    with Redis() as store, shared(store.url()) as one, shared(store.url()) as two, shared(store.url()) as three:
        gateways = (one, two, three)
        statuses = [g.status('/', ANN) for _ in range(3) for g in gateways]
        equal(statuses, [200] * 6 + [429] * 3)
        equal([g.status('/', BOB) for g in gateways], [200] * 3)
        equal(counters(store), ['3', '6'])
        assert all(store.command('PTTL', k) > 0 for k in store.command('KEYS', '*count*'))
        equal(items(two.gw.get('/', ANN).header('ratelimit'))['users']['r'], 0)
        refused = two.gw.get('/', ANN)
        assert int(refused.header('retry-after')) > 0
        done = sluice('check', '-c', one.gw.config_path)
        assert b'W0140' not in done.stdout + done.stderr, 'the shared store keeps it'


@test
def several_limits_are_all_or_nothing_together():
    with Redis() as store, shared(store.url(), limit='[5/day, 2/year]') as one, \
            shared(store.url(), limit='[5/day, 2/year]') as two:
        equal([g.status('/', ANN) for g in (one, two, one, two)], [200, 200, 429, 429])
        wait_until(lambda: counters(store) == ['2', '2'], 'what one of them refused is given back to the other')


@test([('local', [200, 200, 429]), ('open', [200] * 3), ('closed', [503] * 3)])
def when_the_shared_state_is_away(row):
    on_failure, wanted = row
    with Redis() as store, shared(store.url(), on_failure) as c:
        equal(c.statuses(*[('/', ANN)] * 4), [200] * 4)
        store.kill()
        equal(c.statuses(*[('/', ANN)] * 3), wanted, 'it goes on from what all had used')
        metrics = c.gw.metrics()
        equal(metrics['sluice_quota_requests_total{quota="users",outcome="away"}'], 3)


# ---- what people are told ------------------------------------------------------------------------

@test
def explain_shows_the_period_and_where_counts_are():
    with Counted(route('{limit: 3/month, anchor: 15, time_zone: Europe/Berlin, name: users, plans: {gold: {limit: 9/month}}}',
                       ', authenticate: key')) as c:
        path = c.gw.config_path
        text = sluice('explain', '-c', path, 'GET', 'http://x/').stdout.decode()
        contains(text, '3/month from 15 in Europe/Berlin, begins again 20')
        contains(text, 'plan gold: 9/month from 15 in Europe/Berlin')
        contains(text, 'counts together: users')
        contains(text, f'counts are kept in {c.store}')
        told = json.loads(sluice('explain', '--format', 'json', '-c', path, 'GET', 'http://x/').stdout)['quotas']
        equal([(q['id'], q.get('plan'), q['limits'][0]['limit'], q['kept_in']) for q in told],
              [('users', None, 3, c.store), ('users', 'gold', 9, c.store)])


@test
def without_a_store_the_file_is_warned_about():
    with Counted(route('1/day'), store=False) as c:
        path = c.gw.config_path
        contains(sluice('check', '-c', path).stderr + sluice('check', '-c', path).stdout,
                 b'warning[W0140]: what quotas count is lost at a restart')
        equal(c.statuses('/', '/'), [200, 429])


run()
