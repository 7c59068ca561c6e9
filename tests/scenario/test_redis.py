#!/usr/bin/python3
"""The client of the shared state (src/shared) against real servers, sentinels, a cluster, and against
servers that lie. It is driven by tests/unit/shared/drive_redis.c."""
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
import gateway as lib
from certs import Authority
from redis import Cluster, Liar, Redis, RedisError, Sentinels
from tap import contains, equal, run, test

SECRET = 's3cret:@/%'


class Driver:
    """`drive-redis`: one word in, lines out."""

    def __init__(self, url, **settings):
        program = os.path.join(os.path.dirname(lib.binary()), 'tests', 'unit', 'drive-redis')
        env = {'SLUICE_REDIS_' + k.upper(): str(v) for k, v in settings.items()}
        env.setdefault('SLUICE_REDIS_TIMEOUT_MS', '1000')
        self.errors = tempfile.TemporaryFile()
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors,
                                        env={**os.environ, **env, 'SLUICE_REDIS_URL': url,
                                             'ASAN_OPTIONS': 'detect_leaks=1:exitcode=99'})
        self.timer = threading.Timer(3 * lib.TIMEOUT, self.process.kill)
        self.timer.start()

    def say(self, *words):
        self.process.stdin.write(' '.join(str(w) for w in words).encode() + b'\n')
        self.process.stdin.flush()

    def line(self):
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError('it ended: ' + self.log())
        return line.decode(errors='replace').rstrip('\n')

    def ask(self, *words):
        self.say(*words)
        return self.line()

    def numbers(self, *words):
        return {k: v for k, v in re.findall(r'(\w+)=(\S+)', self.ask(*words))}

    def state(self, name):
        return int(self.numbers('state')[name])

    def until(self, what):
        equal(self.ask('until', what), what)

    def log(self):
        self.errors.seek(0)
        return self.errors.read().decode(errors='replace')

    def end(self):
        if self.process.poll() is None:
            self.say('quit')
        code = self.process.wait(lib.TIMEOUT)
        self.timer.cancel()
        text = self.log()
        if code != 0 or lib.SANITIZER.search(text.encode()):
            raise AssertionError(f'exit code {code}\n{text}')
        for pipe in (self.process.stdin, self.process.stdout, self.errors):
            pipe.close()

    def __enter__(self):
        return self

    def __exit__(self, kind, value, trace):
        if kind:
            self.process.kill()
            self.process.wait(lib.TIMEOUT)
            self.timer.cancel()
        else:
            self.end()


@contextmanager
def here(url, **settings):
    with Driver(url, **settings) as d:
        d.until('here')
        yield d


def counts(d, key='k', first=1):
    equal(d.ask('count', key), f'fine {first}')
    equal(d.ask('count', key), f'fine {first + 1}')


# ---- ways to a server -------------------------------------------------------------------------------


@test
def plain():
    with Redis() as store, here(store.url()) as d:
        counts(d)
        equal(store.command('GET', 'k'), '2')
        equal(d.ask('ask', 'GET', 'k'), 'fine 2')
        equal(d.ask('ask', 'GET', 'none'), 'fine null')
        equal(d.numbers('many', 500, 'many'), dict.fromkeys(
            ('away', 'late', 'refused', 'full', 'broken'), '0') | {'fine': '500'})
        equal(store.command('GET', 'many'), '500')


@test
def a_script_is_sent_once_and_again_when_the_server_forgot_it():
    with Redis() as store, here(store.url()) as d:
        counts(d)
        store.command('SCRIPT', 'FLUSH')
        counts(d, first=3)
        contains(store.info('cmdstat_evalsha'), 'calls=3')  # one in vain
        contains(store.info('cmdstat_evalsha'), 'failed_calls=1')
        contains(store.info('cmdstat_eval'), 'calls=2')


@test
def a_database_of_its_own():
    with Redis() as store, here(store.url(path='/5')) as d:
        counts(d)
        equal(store.command('GET', 'k'), None)
        contains(store.command('INFO', 'keyspace'), 'db5:keys=1')


@test
def a_password():
    with Redis('--requirepass', SECRET, password=SECRET) as store:
        with here(store.url(), password=SECRET) as d:
            counts(d)
        with here(store.url(user=':s3cret%3A%40%2F%25@')) as d:
            counts(d, first=3)
            assert SECRET not in d.ask('state')


@test
def a_user_with_few_rights():
    with Redis('--user', 'gate', 'on', '>pw', '~*', '+@read', '+@write', '+eval', '+evalsha') as store, \
            here(store.url(user='gate:pw@')) as d:
        counts(d)
        contains(d.ask('state'), 'redis://gate@127.0.0.1')


@test
def a_wrong_password_is_told_once():
    with Redis('--requirepass', SECRET, password=SECRET) as store, Driver(store.url(), password='other') as d:
        d.until('away')
        equal(d.ask('count', 'k'), 'away')
        lib.wait_until(lambda: d.state('connects') >= 3, 'it tries again')
        equal(d.log().count('redis_auth'), 1)
        assert SECRET not in d.log() and 'other' not in d.log()


@test
def a_missing_password():
    with Redis('--requirepass', SECRET, password=SECRET) as store, Driver(store.url()) as d:
        d.until('away')
        contains(d.log(), 'NOAUTH')


@test
def a_unix_socket():
    with Redis(port=0) as store, here('unix://' + store.path) as d:
        counts(d)


@test
def a_host_name():
    with Redis() as store, here(f'redis://localhost:{store.port}') as d:
        counts(d)


@test
def a_name_that_leads_nowhere():
    with Driver('redis://no-such-host.invalid:1') as d:
        d.until('away')
        contains(d.log(), 'no-such-host.invalid')


def tls_store(folder, names=('localhost', '127.0.0.1')):
    ca = Authority('test CA')
    ca.save(folder, 'ca')
    ca.issue('store', names=list(names)).save(folder, 'store')
    port = lib.free_port()
    return Redis('--port', '0', '--tls-port', str(port), '--tls-cert-file', f'{folder}/store.pem',
                 '--tls-key-file', f'{folder}/store.key', '--tls-ca-cert-file', f'{folder}/ca.pem',
                 '--tls-auth-clients', 'no'), port


@test
def tls():
    with tempfile.TemporaryDirectory() as folder:
        store, port = tls_store(folder)
        with store:
            with here(f'rediss://127.0.0.1:{port}', ca=f'{folder}/ca.pem') as d:
                counts(d)
                equal(d.numbers('many', 2000, 'm')['fine'], '2000')
            with here(f'rediss://localhost:{port}', ca=f'{folder}/ca.pem') as d:
                counts(d, first=3)


@test
def tls_that_is_not_trusted_or_has_another_name():
    with tempfile.TemporaryDirectory() as folder:
        store, port = tls_store(folder, names=['store.test'])
        with store:
            with Driver(f'rediss://127.0.0.1:{port}') as d:
                d.until('away')
                contains(d.log(), 'TLS: ')
            with Driver(f'rediss://127.0.0.1:{port}', ca=f'{folder}/ca.pem') as d:
                d.until('away')
            with here(f'rediss://127.0.0.1:{port}', ca=f'{folder}/ca.pem', name='store.test') as d:
                counts(d)


# ---- what goes wrong --------------------------------------------------------------------------------


@test
def nobody_listens():
    with Driver(f'redis://127.0.0.1:{lib.free_port()}') as d:
        d.until('away')
        equal(d.ask('count', 'k'), 'away')
        contains(d.log(), 'Connection refused')
        equal(d.log().count('redis_away'), 1)


@test
def killed_and_started_again():
    with Redis() as store, here(store.url()) as d:
        counts(d)
        store.kill()
        d.until('away')
        equal(d.ask('count', 'k'), 'away')
        store.start()
        d.until('here')
        counts(d)
        about = d.numbers('state')
        equal((about['away'], about['away_total'], about['returned']), ('0', '1', '1'))
        equal((d.log().count('redis_away'), d.log().count('redis_returned')), (1, 1))


@test
def a_connection_that_is_closed_at_rest_is_replaced_without_a_word():
    with Redis() as store, here(store.url()) as d:
        counts(d)
        store.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        lib.wait_until(lambda: d.state('connects') == 2, 'it connects again')
        counts(d, first=3)
        equal(d.log(), '')


@test
def stopped_and_going_on():
    with Redis() as store, here(store.url(), timeout_ms=50) as d:
        counts(d)
        store.pause()
        equal(d.numbers('many', 20, 'm')['late'], '20')
        equal(d.ask('count', 'k'), 'away')  # five in a row were late
        equal(d.state('late'), 20)
        store.go_on()
        d.until('here')
        equal(d.ask('count', 'other'), 'fine 1')
        contains(d.log(), 'not answered within 50 ms')


@test
def late_answers_are_dropped():
    with Redis() as store, here(store.url(), timeout_ms=500) as d:
        counts(d)
        store.pause()
        equal(d.ask('count', 'late'), 'late')
        store.go_on()
        lib.wait_until(lambda: d.state('dropped') == 1, 'the answer comes and is dropped')
        counts(d, first=3)  # the connection is still good
        equal(d.state('connects'), 1)


@test
def who_left_is_told_nothing():
    with Redis() as store, here(store.url()) as d:
        for _ in range(5):
            equal(d.ask('leave', 'k'), 'left')
        equal(d.ask('count', 'k'), 'fine 6')
        equal(d.state('dropped'), 5)


@test
def too_many_at_once():
    with Redis() as store, here(store.url(), timeout_ms=5000) as d:
        got = d.numbers('many', 5000, 'm')
        fine, full = int(got['fine']), int(got['full'])
        equal(fine + full, 5000)
        assert 4090 <= fine <= 4096, got  # the connection's own first words wait for answers too
        counts(d)


LIES = [
    # what it answers, what becomes of the ask, is it away then
    ('noise', b'hello\r\n', 'broken', True),
    ('512 MB', b'$536870912\r\n', 'broken', True),
    ('a million items', b'*1000000\r\n', 'broken', True),
    ('deep', b'*1\r\n' * 200 + b':1\r\n', 'broken', True),
    ('a long line', b'+' + b'x' * 70000, 'broken', True),
    ('nul bytes', b'\0' * 100, 'broken', True),
    ('a number that is none', b':1x\r\n', 'broken', True),
    ('a text without its end', b'$3\r\nabcde', 'broken', True),
    ('nothing', None, 'broken', True),
    ('half a reply', b'*2\r\n:1\r\n', 'late', False),
    ('loading', b'-LOADING Redis is loading the dataset in memory\r\n', 'away', True),
    ('read only', b"-READONLY You can't write against a read only replica.\r\n", 'away', True),
    ('its master is down', b'-MASTERDOWN Link with MASTER is down\r\n', 'away', True),
    ('the cluster is down', b'-CLUSTERDOWN Hash slot not served\r\n', 'away', True),
    ('no password', b'-NOAUTH Authentication required.\r\n', 'away', True),
    ('wrong password', b'-WRONGPASS invalid\r\n', 'away', True),
    ('moved', b'-MOVED 3999 127.0.0.1:1\r\n', 'refused MOVED', False),
    ('wrong type', b'-WRONGTYPE Operation against a key\r\n', 'refused WRONGTYPE', False),
    ('out of memory', b'-OOM command not allowed\r\n', 'refused OOM', False),
    ('never knows the script', b'-NOSCRIPT No matching script.\r\n', 'refused NOSCRIPT', False),
    ('try again for ever', b'-TRYAGAIN Multiple keys\r\n', 'refused TRYAGAIN', False),
    ('another answer', b'+OK\r\n', 'fine OK', False),
]


@test(LIES)
def lies(row):
    _, lie, outcome, away = row
    with Liar(lie) as liar, here(liar.url(), timeout_ms=200 if outcome == 'late' else 2000) as d:
        got = d.ask('count', 'k')
        equal(got[:len(outcome)], outcome)
        if away and outcome == 'away':
            contains(d.log(), lie.decode().split(' ')[0][1:])
        if away:
            d.until('here')  # it greets well again


@test
def out_of_memory_for_long_is_away():
    with Liar(b'-OOM command not allowed\r\n') as liar, here(liar.url()) as d:
        got = [d.ask('count', 'k').split(' ')[0] for _ in range(6)]
        equal(got, ['refused'] * 5 + ['away'])


@test
def more_answers_than_questions():
    with Liar(b':1\r\n:2\r\n') as liar, here(liar.url()) as d:
        equal(d.ask('count', 'k'), 'fine 1')
        lib.wait_until(lambda: liar.connections >= 2, 'the connection is closed')


@test
def a_replica_is_no_master():
    role = b'*5\r\n$5\r\nslave\r\n$9\r\n127.0.0.1\r\n:1\r\n$9\r\nconnected\r\n:1\r\n'
    with Liar(b':1\r\n', {b'ROLE': role}) as liar, Driver(liar.url()) as d:
        d.until('away')
        contains(d.log(), 'it is a replica')


@test
def a_server_that_greets_slowly_holds_nobody_up():
    with Liar(b':1\r\n', {b'PING': b''}) as liar, Driver(liar.url(), timeout_ms=20) as d:
        equal(d.ask('count', 'k'), 'late')
        d.until('away')
        lib.wait_until(lambda: liar.connections >= 2, 'it tries again')


# ---- gateways ---------------------------------------------------------------------------------------


@test
def gateways_see_each_other():
    with Redis() as store, here(store.url(), beat=1) as a:
        with here(store.url(), beat=1) as b:
            lib.wait_until(lambda: a.state('gateways') == 2 and b.state('gateways') == 2, 'they see each other')
        lib.wait_until(lambda: a.state('gateways') == 1, 'the other one has gone')
        equal(store.command('ZCARD', 'sluice:gateways'), 1)


CONFIG = '''
    version: 1
    listeners: {public: {address: "127.0.0.1:@PORT@"}}
    admin: {address: "127.0.0.1:@ADMIN@"}
    workers: 2
    state: {shared: "%s"}
    routes: [{match: {path: /}, respond: ok, rate_limit: {rate: 1000/day, key: all, name: a}}]
'''


def stores(gw):
    return [name for name in gw.metrics() if name.startswith('sluice_state_up')]


@test
def a_reload_that_names_another_store_leaves_the_first():
    with Redis() as a, Redis() as b, lib.Gateway(CONFIG % a.url()) as gw:
        equal(gw.get('/').status, 200)
        for url in (b.url(), a.url(), 'memory', b.url()):
            gw.configure(CONFIG % url)
            gw.send_signal(signal.SIGHUP)
            wanted = [f'sluice_state_up{{store="{url}"}}'] if url != 'memory' else []
            lib.wait_until(lambda: stores(gw) == wanted, f'{url} is the store')
            equal(gw.get('/').status, 200)
        lib.wait_until(lambda: a.command('CLIENT', 'LIST').count('\n') == 1, 'nobody is connected to the first one')
        equal(b.command('CLIENT', 'LIST').count('\n'), 4)  # two workers, the control thread, and this question


# ---- sentinels --------------------------------------------------------------------------------------


@test([('one sentinel', 1), ('three sentinels', 3)])
def failover(row):
    with Sentinels(row[1]) as set_, here(set_.url()) as d:
        counts(d)
        lib.wait_until(lambda: set_.second.command('GET', 'k') == '2', 'the replica has it')
        set_.first.kill()
        d.until('away')
        set_.wait_master(set_.second)
        d.until('here')
        counts(d, first=3)
        equal(set_.second.command('GET', 'k'), '4')


def switched(sentinel):
    try:
        return sentinel.command('SENTINEL', 'FAILOVER', 'main') == 'OK'
    except RedisError as error:
        contains(str(error), 'NOGOODSLAVE')
        return False


@test
def failover_by_hand_makes_the_old_one_a_replica():
    with Sentinels(1) as set_, here(set_.url()) as d:
        counts(d)
        lib.wait_until(lambda: switched(set_.sentinel[0]), 'the sentinel finds the replica good')
        set_.wait_master(set_.second)
        # The old one is asked until the sentinel makes it a replica, and closes its connections.
        lib.wait_until(lambda: d.ask('count', 'after') and set_.second.command('GET', 'after'),
                       'the new master is found')


@test
def sentinels_with_a_password_and_one_that_is_dead():
    with Sentinels(3, password='guard') as set_:
        set_.sentinel[0].kill()
        for _ in range(3):  # each begins with another one
            with here(set_.url('/0'), sentinel_password='guard') as d:
                equal(d.ask('count', 'k').split(' ')[0], 'fine')


@test
def no_such_set():
    with Sentinels(1) as set_, Driver(set_.url().replace('/main', '/other')) as d:
        d.until('away')
        contains(d.log(), 'no sentinel names its master')


# ---- a cluster --------------------------------------------------------------------------------------


@test
def a_cluster():
    with Cluster() as cluster, here(cluster.url()) as d:
        for key in ('a', 'b', 'c', 'd', 'e', 'f{a}', '{x}1'):
            lib.wait_until(lambda key=key: d.ask('count', key) == 'fine 1', f'{key} is counted once')
            equal(cluster.owner(key)[0].command('GET', key), '1')


@test
def a_slot_that_moves():
    with Cluster() as cluster, here(cluster.url()) as d:
        lib.wait_until(lambda: d.ask('count', 'a').startswith('fine'), 'the map is there')
        owner, slot = cluster.owner('a')
        other = next(n for n in cluster.all if n is not owner)
        ids = {n: n.command('CLUSTER', 'MYID') for n in cluster.all}
        other.command('CLUSTER', 'SETSLOT', slot, 'IMPORTING', ids[owner])
        owner.command('CLUSTER', 'SETSLOT', slot, 'MIGRATING', ids[other])
        owner.command('MIGRATE', '127.0.0.1', other.port, 'a', 0, 5000)
        before = int(d.ask('count', 'a').split(' ')[1])  # ASK: the key is there already
        for node in cluster.all:
            node.command('CLUSTER', 'SETSLOT', slot, 'NODE', ids[other])
        equal(d.ask('count', 'a'), f'fine {before + 1}')  # MOVED
        equal(other.command('GET', 'a'), str(before + 1))


@test
def a_node_that_dies_takes_its_slots_alone():
    with Cluster() as cluster, here(cluster.url()) as d:
        owner, _ = cluster.owner('a')
        keys = [k for k in 'abcdefghij' if cluster.owner(k)[0] is not owner]
        lib.wait_until(lambda: d.ask('count', 'a').startswith('fine'), 'the map is there')
        owner.kill()
        lib.wait_until(lambda: d.ask('count', 'a') == 'away', 'its slots are away')
        for key in keys:
            lib.wait_until(lambda key=key: d.ask('count', key).startswith('fine'), 'the others are not')


@test
def redirected_in_circles():
    with Liar(None) as liar:
        liar.lie = lambda words: (
            b'*1\r\n*3\r\n:0\r\n:16383\r\n*2\r\n$9\r\n127.0.0.1\r\n:%d\r\n' % liar.port
            if words[0] == b'CLUSTER' else b'-MOVED 1 127.0.0.1:%d\r\n' % liar.port)
        with here(liar.url('redis+cluster')) as d:
            contains(d.ask('count', 'k'), 'refused MOVED')
            equal(sum(words[0] in (b'EVAL', b'EVALSHA') for words in liar.commands), 4)


@test([('no list', b'+OK\r\n'), ('a slot too many', b'*1\r\n*3\r\n:0\r\n:16384\r\n*2\r\n$1\r\na\r\n:1\r\n'),
       ('an error', b'-ERR This instance has cluster support disabled\r\n'), ('no slots', b'*0\r\n')])
def no_map(row):
    with Liar(row[1]) as liar, Driver(liar.url('redis+cluster')) as d:
        lib.wait_until(lambda: d.state('away') == 1, 'it is away')
        equal(d.ask('count', 'k'), 'away')
        contains(d.log(), 'is it a cluster?')


run()
