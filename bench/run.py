#!/usr/bin/env python3
"""bench/run.py: sluice beside NGINX, HAProxy and h2o on this machine.

Each proxy has one worker on one core; the load and the service share another. Rounds are interleaved
(A B C, B C A, ...) so that a neighbour's noise meets all alike. The figure that counts is CPU time
(user + system, all processes and threads of a proxy) per completed request; ratios are medians of the
rounds' ratios. A full run writes bench/results/DATE.json and rewrites the table in docs/performance.md.
"""
import argparse
import datetime
import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time

import proxies
from proxies import ALL, ROOT, Setup, Sluice

RESULTS = os.path.join(ROOT, 'bench', 'results')
SHOP = os.path.join(ROOT, 'examples', 'shop', 'sluice.yaml')
MARK = '<!-- bench -->'


class Load:
    """A scenario of rounds of load. args: of bench/load, or "h2load ..". goals: the ratio of CPU per request
    that sluice is to reach, by peer; `best`: against the best of them; p50, p99: no worse than the best.
    h2o takes part where it says so: it adds time, and only there it is among the best."""

    def __init__(self, what, args, setup=None, goals=None, latency=False, h2o=False, tokens=8):
        self.tokens = tokens  # how many different credentials take turns, where the setup has `auth`
        self.what, self.args, self.setup = what, args, setup or Setup()
        self.goals, self.latency, self.h2o = goals or {}, latency, h2o

    def takes_part(self, name):
        cannot = ALL[name].cannot
        return self.setup.speaks not in cannot and not (self.setup.auth and 'auth' in cannot) \
            and (name != 'h2o' or self.h2o)


SCENARIOS = {
    'keepalive': Load('1 kB, keep-alive, 64 connections', '-c 64 -u /1k',
                      goals={'nginx': 0.69, 'haproxy': 0.74}),
    'many': Load('1 kB, keep-alive, 256 connections', '-c 256 -u /1k', goals={'best': 0.70}),
    'paced': Load('1 kB, 16,000 requests/s, 64 connections', '-c 64 -r 16000 -u /1k',
                  goals={'best': 0.80}, latency=True),
    'log': Load('1 kB, 64 connections, access log on', '-c 64 -u /1k', Setup(log=True),
                goals={'nginx': 0.67}),
    'body10k': Load('10 kB, 64 connections', '-c 64 -u /10k', goals={'best': 0.75}),
    'body1m': Load('1 MB, 16 connections', '-c 16 -u /1m', Setup(big=True),
                   goals={'haproxy': 0.80, 'nginx': 0.40}),
    'newconn': Load('1 kB, a new connection per request', '-c 64 -k -u /1k', goals={'best': 0.92}),
    'h2c': Load('HTTP/2, 1 kB, 16 connections of 4 streams', 'h2load -c 16 -m 4 http /1k', Setup('h2c'),
                goals={'best': 0.85}, h2o=True),
    'h2tls': Load('HTTP/2 over TLS, 1 kB, 16 connections of 4 streams', 'h2load -c 16 -m 4 https /1k',
                  Setup('tls'), goals={'best': 0.72}, h2o=True),
    'tls1k': Load('HTTPS, 1 kB, keep-alive, 64 connections', '-c 64 -s -u /1k', Setup('tls'),
                  goals={'best': 0.75}, h2o=True),
    'tls10k': Load('HTTPS, 10 kB, 64 connections', '-c 64 -s -u /10k', Setup('tls'), goals={'best': 0.72},
                   h2o=True),
    'tls1m': Load('HTTPS, 1 MB, 16 connections', '-c 16 -s -u /1m', Setup('tls', big=True),
                  goals={'best': 0.75}, h2o=True),
    'handshake': Load('TLS 1.3 handshake and one request', '-c 16 -k -s -u /1k', Setup('tls'),
                      goals={'best': 0.87}, h2o=True),
    'resumed': Load('resumed TLS 1.3 handshake and one request', '-c 16 -k -S -u /1k', Setup('tls'),
                    goals={'best': 0.87}, h2o=True),
    'grpc': Load('gRPC unary, 16 connections of 4 streams', 'h2load -c 16 -m 4 grpc /bench.Echo/Unary',
                 Setup('grpc'), goals={'best': 0.75}),
    'websocket': Load('WebSocket echo of 100 B, 64 connections', '-c 64 -w -u /ws', Setup('ws'),
                      goals={'best': 0.80}),
}
ROUTES = '-c 64 -u /api/r#/17/items/4 -n '
FRESH = 30000  # more than anybody remembers, in turn: each is as if never seen
SCENARIOS |= {
    'jwt_hs': Load('JWT HS256, repeated', '-c 64 -u /1k', Setup(auth='hs256'), goals={'haproxy': 0.70}),
    'jwt_hs_new': Load('JWT HS256, each another one', '-c 64 -u /1k', Setup(auth='hs256'),
                       goals={'haproxy': 0.90}, tokens=FRESH),
    'jwt_rs': Load('JWT RS256, repeated', '-c 64 -u /1k', Setup(auth='rs256'), goals={'haproxy': 0.25}),
    'jwt_rs_new': Load('JWT RS256, each another one', '-c 64 -u /1k', Setup(auth='rs256'),
                       goals={'haproxy': 0.60}, tokens=FRESH),
    'gateway': Load('one of 100 routes, JWT HS256, access log', ROUTES + '100',
                    Setup(auth='hs256', log=True, routes=100), goals={'haproxy': 0.60}),
}
PLENTY = Setup(limit=1000000)  # a rate limit by client address that nobody reaches
SCENARIOS |= {
    'limited': Load('a rate limit by client address, not reached', '-c 64 -u /1k', PLENTY, goals={'best': 0.70}),
    'limit_refused': Load('a rate limit by client address, refused with 429', '-c 64 -e -u /1k', Setup(limit=1),
                          goals={'best': 0.70}),
}
CEL = 'CEL, one evaluation'
LIMIT = 'a rate limit in one gateway, one request'
SPECIAL = ['api_key', 'limit_added', 'routes', 'idle', 'idle_tls', 'idle_h2', 'idle_ws', 'start', 'reload', 'reloads', 'cel',
           'limit', 'shared_limit']
HELD = {  # idle connections: what, kind of hold.py, setup, how many, at most so many bytes each (0: stated)
    'idle_tls': ('idle HTTPS connections', 'tls', Setup('tls'), 4000, 14 * 1024),
    'idle_h2': ('idle HTTP/2 connections', 'h2', Setup('h2c'), 1000, 0),
    'idle_ws': ('idle WebSockets', 'ws', Setup('ws'), 1000, 0),
}


class Bench:
    def __init__(self, options):
        self.o = options
        cores = sorted(os.sched_getaffinity(0))
        self.proxy_core, self.load_core = cores[0], cores[-1]
        if len(cores) < 2:
            print('bench: only one core: load and proxy share it, so latencies say little')
        self.tmp = tempfile.mkdtemp(prefix='sluice-bench-')
        self.tools = os.path.join(self.o.build, 'bench')
        self.names = self.o.proxies.split(',')
        self.running = {}
        self.result = {'scenarios': {}}
        self.origin = self.grpc = self.store = None

    # --- processes

    def start_origin(self):
        port = proxies.free_port()
        self.origin_ports = {'http1': port, 'grpc': 0}
        self.origin = subprocess.Popen([self.tools + '/origin', str(port)],
                                       stdout=subprocess.PIPE, preexec_fn=self.on_load_core)
        if self.origin.stdout.readline() != b'ready\n':
            raise RuntimeError('the origin did not start')
        self.identity = (proxies.Certificate(self.tmp), proxies.Identity(self.tmp, self.tools))

    def start_grpc_origin(self):
        """nghttpd with a file that is one gRPC message of 100 bytes, and grpc-status as its trailer."""
        if self.grpc:
            return
        os.makedirs(os.path.join(self.tmp, 'grpc', 'bench.Echo'))
        message = b'\0\0\0\0\x64' + b'x' * 100
        for name in ('message', 'grpc/bench.Echo/Unary'):
            with open(os.path.join(self.tmp, name), 'wb') as f:
                f.write(message)
        port = self.origin_ports['grpc'] = proxies.free_port()
        self.grpc = subprocess.Popen(
            [proxies.find('nghttpd'), '--no-tls', '-d', os.path.join(self.tmp, 'grpc'), '-m', '1000',
             '--trailer', 'grpc-status: 0', str(port)],
            stdout=subprocess.DEVNULL, preexec_fn=self.on_load_core)
        proxies.wait_port(port)

    def start_store(self):
        """A Redis that keeps nothing on disk."""
        port = self.origin_ports['redis'] = proxies.free_port()
        self.store = subprocess.Popen(
            [proxies.find('redis-server'), '--port', str(port), '--bind', '127.0.0.1', '--save', '', '--dir', self.tmp],
            stdout=subprocess.DEVNULL, preexec_fn=self.on_load_core)
        proxies.wait_port(port)

    def on_load_core(self):
        os.sched_setaffinity(0, [self.load_core])

    def proxy(self, name, setup, label=None):
        folder = os.path.join(self.tmp, f'{name}-{len(os.listdir(self.tmp))}')
        os.makedirs(folder)
        if setup.speaks == 'grpc':
            self.start_grpc_origin()
        p = ALL[name](setup, self.origin_ports, folder, self.proxy_core, self.identity)
        self.running[label or name] = p
        p.start_ms = p.start()
        return p

    def stop_proxies(self):
        for p in self.running.values():
            p.stop()
        self.running = {}

    def load_command(self, p, args, seconds):
        if args.startswith('h2load'):
            *options, scheme, path = args.split()
            if scheme == 'grpc':
                options += ['-d', os.path.join(self.tmp, 'message'), '-H', 'content-type: application/grpc',
                            '-H', 'te: trailers']
            url = f'{"https" if scheme == "https" else "http"}://127.0.0.1:{p.port}{path}'
            return [proxies.find('h2load'), *options[1:], '-t', '1', '-D', str(max(1, round(seconds))), url]
        return [self.tools + '/load', '-p', str(p.port), '-t', str(seconds), *args.split()]

    def load(self, p, args, seconds):
        done = subprocess.run(self.load_command(p, args, seconds), capture_output=True, text=True,
                              check=False, preexec_fn=self.on_load_core, stdin=subprocess.DEVNULL)
        if done.returncode or not done.stdout:
            raise RuntimeError(f'load on {p.name} failed: {done.stderr or done.stdout}{p.said()}')
        return read_h2load(done.stdout, seconds) if args.startswith('h2load') else json.loads(done.stdout)

    def close(self):
        self.stop_proxies()
        for origin in (self.origin, self.grpc, self.store):
            if origin:
                origin.kill()
                origin.wait()
        shutil.rmtree(self.tmp, ignore_errors=True)

    # --- rounds of load

    def one_round(self, p, args):
        before = p.cpu_s()
        r = self.load(p, args, self.o.seconds)
        cpu = p.cpu_s() - before
        r['cpu_us'] = cpu * 1e6 / r['requests']
        r['core_busy'] = cpu / r['seconds']
        return r

    def rounds(self, entries):
        """Interleaved rounds of {label: (proxy's name, setup, arguments of the load)}."""
        for label, (name, setup, args) in entries.items():
            p = self.proxy(name, setup, label)
            self.load(p, args, 0.3)  # connections to the service, caches, branch predictors
        labels, runs = list(entries), {label: [] for label in entries}
        for i in range(self.o.rounds):
            first = i % len(labels)
            for label in labels[first:] + labels[:first]:
                runs[label].append(self.one_round(self.running[label], entries[label][2]))
        out = {}
        for label, p in self.running.items():
            out[label] = {k: statistics.median(r[k] for r in runs[label])
                          for k in ('cpu_us', 'rate', 'p50_us', 'p99_us', 'core_busy')}
            out[label]['failed'] = sum(r['failed'] for r in runs[label])
            out[label]['pss_kb'] = p.memory_kb()
            out[label]['rounds'] = [round(r['cpu_us'], 3) for r in runs[label]]
        self.stop_proxies()
        return out

    def ratios(self, out):
        """sluice's CPU per request by that of each peer, round by round, then the median."""
        if 'sluice' not in out:
            return {}
        found = {}
        mine = out['sluice']['rounds']
        peers = [n for n in self.names if n != 'sluice' and n in out]
        for peer in peers:
            found[peer] = statistics.median(a / b for a, b in zip(mine, out[peer]['rounds']))
        others = [found[p] for p in peers if p != 'other']
        if others:
            found['best'] = max(others)
        return found

    def judge(self, scenario, out):
        ratios = self.ratios(out)
        verdicts = []
        for peer, goal in scenario.goals.items():
            if peer in ratios:
                verdicts.append(verdict(f'CPU {ratios[peer]:.2f} of {peer}', ratios[peer] <= goal,
                                        f'at most {goal:.2f}'))
        if scenario.latency and ratios:
            for k in ('p50_us', 'p99_us'):
                best = min(out[n][k] for n in out if n != 'sluice')
                verdicts.append(verdict(f'{k[:3]} {out["sluice"][k]:.0f} us', out['sluice'][k] <= best,
                                        f'the best: {best:.0f} us'))
        return ratios, verdicts

    def run(self, name):
        if name in SCENARIOS:
            self.run_load(name)
        elif name in HELD:
            self.run_held(name)
        else:
            getattr(self, 'run_' + name)()

    def run_load(self, name):
        scenario = SCENARIOS[name]
        args = scenario.args + self.credentials(scenario.setup, scenario.tokens)
        out = self.rounds({n: (n, scenario.setup, args) for n in self.names if scenario.takes_part(n)})
        ratios, verdicts = self.judge(scenario, out)
        print_rounds(scenario.what, out, ratios, verdicts)
        self.result['scenarios'][name] = {'what': scenario.what, 'proxies': out, 'ratios': ratios,
                                          'verdicts': verdicts}

    def credentials(self, setup, count):
        return f' -H {self.identity[1].fields(setup.auth, count)}' if setup.auth else ''

    def run_api_key(self):
        """The same request with and without an API key that is looked up: what does that add?"""
        key = Setup(auth='key')
        args = SCENARIOS['keepalive'].args + self.credentials(key, 1)
        names = [n for n in self.names if n in ('sluice', 'haproxy')]
        self.added('api_key', 'an API key looked up', names, key, args, 0.3)

    def run_limit_added(self):
        """The same request with and without a rate limit that it does not reach."""
        self.added('limit_added', 'what a rate limit adds', self.plain(), PLENTY, SCENARIOS['limited'].args, 0.2)

    def added(self, name, what, names, setup, args, most):
        """The same load with nothing and with `setup`, in the same rounds: the median of the differences."""
        rounds = self.rounds({f'{n} {which}': (n, s, args) for n in names
                              for which, s in (('open', Setup()), (name, setup))})
        print_rounds(f'the same request without and with it: {what}', rounds, {}, [])
        out, verdicts = {}, []
        for n in names:
            open_, with_ = rounds[f'{n} open'], rounds[f'{n} {name}']
            added = statistics.median(b - a for a, b in zip(open_['rounds'], with_['rounds']))
            out[n] = {'cpu_us_open': open_['cpu_us'], f'cpu_us_{name}': with_['cpu_us'], 'added_us': added}
        if 'sluice' in out:
            mine = out['sluice']['added_us']
            verdicts = [verdict(f'{mine:+.2f} us', mine <= most, f'at most +{most} us')]
        self.keep(name, what, out, verdicts)

    def run_shared_limit(self):
        """What a rate limit over several gateways adds at 20,000 requests a second: each asks Redis, or leases."""
        if 'sluice' not in self.names:
            return
        self.start_store()
        what = 'a rate limit shared by Redis, at 20,000 req/s'
        rounds = self.rounds({label: ('sluice', Setup(shared=sync), '-c 64 -r 20000 -u /1k')
                              for label, sync in (('none', None), ('exact', 'exact'), ('lease', 'lease'))})
        print_rounds(what, rounds, {}, [])
        out, verdicts = {'sluice': {'cpu_us_none': rounds['none']['cpu_us']}}, []
        for sync in ('exact', 'lease'):
            added = statistics.median(b - a for a, b in zip(rounds['none']['rounds'], rounds[sync]['rounds']))
            out['sluice'] |= {f'cpu_us_{sync}': rounds[sync]['cpu_us'], f'added_us_{sync}': added}
            verdicts.append(verdict(f'{sync} {added:+.2f} us', added <= 3, 'at most +3 us'))
        self.keep('shared_limit', what, out, verdicts)

    def keep(self, name, what, out, verdicts):
        print_facts(what, out, verdicts)
        self.result['scenarios'][name] = {'what': what, 'proxies': out, 'verdicts': verdicts}

    # --- the others

    def run_routes(self):
        """10 and 10,000 routes, all in the same rounds: what does a route cost?"""
        entries = {f'{n} {count}': (n, Setup(routes=count), ROUTES + str(count))
                   for n in self.plain() for count in (10, 10000)}
        rounds, out = self.rounds(entries), {}
        print_rounds('10 and 10,000 routes with captures', rounds, {}, [])
        for n in self.plain():
            few, many = rounds[f'{n} 10'], rounds[f'{n} 10000']
            added = statistics.median(b - a for a, b in zip(few['rounds'], many['rounds']))
            out[n] = {'cpu_us_10': few['cpu_us'], 'cpu_us_10000': many['cpu_us'], 'added_us': added}
        verdicts = []
        if 'sluice' in out:
            added = out['sluice']['added_us']
            verdicts = [verdict(f'{added:+.2f} us', added <= 0.3, 'at most +0.3 us')]
        self.keep('routes', '10,000 routes with captures over 10', out, verdicts)

    def run_cel(self):
        """Nanoseconds an evaluation, beside the same condition written in C (bench/expr.c)."""
        subprocess.run(['ninja', '-C', self.o.build, 'bench/expr'], check=True, stdout=subprocess.DEVNULL)
        rows = json.loads(subprocess.run([os.path.join(self.o.build, 'bench', 'expr'), '--json'], check=True,
                                         stdout=subprocess.PIPE, preexec_fn=self.on_load_core).stdout)
        print('\n' + CEL)
        for r in rows:
            print(f'  {r["cel_ns"]:7.1f} ns, in C {r["c_ns"]:6.1f} ns: {r["expr"]}')
        worst = max(r['cel_ns'] for r in rows)
        verdicts = [verdict(f'{worst:.0f} ns at most', worst < 500, 'well under a microsecond: 500 ns')]
        print_verdicts(verdicts)
        self.result['scenarios']['cel'] = {'what': CEL, 'proxies': {}, 'rows': rows, 'verdicts': verdicts}

    def run_limit(self):
        """Nanoseconds of one request's rate limit (bench/limit.c)."""
        subprocess.run(['ninja', '-C', self.o.build, 'bench/limit'], check=True, stdout=subprocess.DEVNULL)
        rows = json.loads(subprocess.run([os.path.join(self.o.build, 'bench', 'limit'), '--json'], check=True,
                                         stdout=subprocess.PIPE, preexec_fn=self.on_load_core).stdout)
        print('\n' + LIMIT)
        for r in rows:
            print(f'  {r["ns"]:7.1f} ns: {r["what"]} ({r["memory_kb"]} KiB)')
        worst = max(r['ns'] for r in rows if r['windows'] == 1 and r['memory_kb'] <= 1024)
        verdicts = [verdict(f'{worst:.0f} ns at most', worst <= 200, '200 ns with one window and `keys` as shipped')]
        print_verdicts(verdicts)
        self.result['scenarios']['limit'] = {'what': LIMIT, 'proxies': {}, 'rows': rows, 'verdicts': verdicts}

    def run_idle(self):
        """Memory of connections that made one request and wait."""
        n, out = (1000 if self.o.quick else 9000), {}
        for name in self.plain():
            p = self.proxy(name, Setup())
            self.load(p, '-c 64', 0.3)
            before = p.memory_kb()
            holder = subprocess.Popen(self.load_command(p, f'-i -c {n}', 60), stdin=subprocess.PIPE,
                                      stdout=subprocess.PIPE, preexec_fn=self.on_load_core)
            if holder.stdout.readline() != b'ready\n':
                raise RuntimeError(f'idle connections to {name}: {p.said()}')
            time.sleep(3)  # what the burst needed may go back to the system
            after = p.memory_kb()
            last = json.loads(holder.communicate(b'')[0])
            if last['requests'] < n:
                raise RuntimeError(f'{name} answered only {last["requests"]} of {n} connections')
            out[name] = {'before_kb': before, 'idle_kb': after,
                         'bytes_per_connection': (after - before) * 1024 / n}
            self.stop_proxies()
        verdicts = []
        if 'sluice' in out:
            b = out['sluice']['bytes_per_connection']
            verdicts.append(verdict(f'{b:.0f} bytes a connection', b <= 400, 'at most 400'))
        self.keep('idle', f'{n:,} idle keep-alive connections', out, verdicts)

    def run_held(self, scenario):
        what, kind, setup, n, most = HELD[scenario]
        n, out = (n // 4 if self.o.quick else n), {}
        for name in self.names:
            if setup.speaks in ALL[name].cannot:
                continue
            p = self.proxy(name, setup)
            self.hold(p, kind, 32)
            before = p.memory_kb()
            after = self.hold(p, kind, n)
            out[name] = {'before_kb': before, 'idle_kb': after,
                         'bytes_per_connection': (after - before) * 1024 / n}
            self.stop_proxies()
        verdicts = []
        if 'sluice' in out and most:
            b = out['sluice']['bytes_per_connection']
            verdicts.append(verdict(f'{b:.0f} bytes a connection', b <= most, f'at most {most}'))
        self.keep(scenario, f'{n:,} {what}', out, verdicts)

    def hold(self, p, kind, n):
        """Memory of the proxy with n connections of that kind, kB."""
        command = [sys.executable, os.path.join(proxies.HERE, 'hold.py'), kind, str(p.port), str(n)]
        holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  preexec_fn=self.on_load_core)
        if holder.stdout.readline() != b'ready\n':
            raise RuntimeError(f'{kind} connections to {p.name}: {p.said()}')
        time.sleep(3)  # what the burst needed may go back to the system
        memory = p.memory_kb()
        left = int(holder.communicate(b'')[0] or 0)
        if left < n:
            raise RuntimeError(f'{p.name} kept only {left} of {n} {kind} connections')
        return memory

    def plain(self):
        """Those that the older scenarios compare."""
        return [n for n in self.names if n != 'h2o']

    def run_start(self):
        """From the start of the process to its first accepted connection, and its memory then."""
        out = {}
        for name in self.plain():
            times, memory = [], []
            for _ in range(3 if self.o.quick else 7):
                p = self.proxy(name, Setup(config=SHOP if name == 'sluice' else None))
                times.append(p.start_ms)
                memory.append(p.memory_kb())
                self.stop_proxies()
            out[name] = {'start_ms': statistics.median(times), 'pss_kb': statistics.median(memory)}
        verdicts = []
        if 'sluice' in out:
            s = out['sluice']
            verdicts = [verdict(f'start {s["start_ms"]:.1f} ms', s['start_ms'] < 20, 'under 20 ms'),
                        verdict(f'{s["pss_kb"] / 1024:.1f} MiB', s['pss_kb'] < 8192, 'under 8 MiB')]
        self.keep('start', "start (sluice with the shop's configuration)", out, verdicts)

    def run_reload(self):
        """Reloads under load: requests that failed, connections that were closed."""
        count, every, out = (5 if self.o.quick else 20), 0.5, {}
        for name in self.plain():
            p = self.proxy(name, Setup(reload=True))
            seconds = count * every + 2
            command = self.load_command(p, '-c 32 -r 4000', seconds)
            run = subprocess.Popen(command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL,
                                   preexec_fn=self.on_load_core)
            time.sleep(0.7)
            for _ in range(count):
                p.reload()
                time.sleep(every)
            r = json.loads(run.communicate()[0])
            if not p.alive():
                raise RuntimeError(f'{name} ended during reloads: {p.said()}')
            out[name] = {k: r[k] for k in ('requests', 'failed', 'closed', 'p99_us', 'max_us')}
            self.stop_proxies()
        verdicts = []
        if 'sluice' in out:
            s = out['sluice']
            verdicts = [verdict(f'{s["failed"]} failed', s['failed'] == 0, 'none'),
                        verdict(f'{s["closed"]} closed', s['closed'] == 0, 'none')]
        self.keep('reload', f'{count} reloads at 4,000 requests/s on 32 connections', out, verdicts)

    def run_reloads(self):
        """sluice alone: memory after 100 and after many reloads, with traffic all the while."""
        if 'sluice' not in self.names:
            return
        count = 1000 if self.o.quick else 10000
        p = self.proxy('sluice', Setup())
        stop, failed = threading.Event(), []

        def traffic():
            while not stop.is_set():
                failed.append(self.load(p, '-c 16 -r 1000', 1)['failed'])
        thread = threading.Thread(target=traffic)
        thread.start()
        try:
            memory = {}
            for i in range(1, count + 1):
                self.reload_and_wait(p, i)
                if i in (100, count):
                    memory[i] = p.memory_kb('Rss')
        finally:
            stop.set()
            thread.join()
        growth = memory[count] / memory[100] - 1
        out = {'sluice': {'rss_kb_100': memory[100], f'rss_kb_{count}': memory[count],
                          'growth_percent': growth * 100, 'failed': sum(failed)}}
        self.stop_proxies()
        self.keep('reloads', f'{count:,} reloads with traffic', out,
                  [verdict(f'memory {growth * 100:+.1f} %', abs(growth) <= 0.02, 'within 2 %'),
                   verdict(f'{sum(failed)} failed', sum(failed) == 0, 'none')])

    def reload_and_wait(self, p, number):
        """Signals melt together: the next one waits until the last one is counted."""
        p.reload()
        end = time.monotonic() + 10
        while p.metric('sluice_config_reloads_total') < number:
            if time.monotonic() > end:
                raise RuntimeError(f'reload {number} is not counted: {p.said()}')


def read_h2load(text, seconds):
    """What h2load says, as bench/load would have. It tells no percentiles."""
    m = re.search(r'requests: \d+ total, \d+ started, (\d+) done, (\d+) succeeded, (\d+) failed', text)
    if not m:
        raise RuntimeError(f'h2load said: {text[-500:]}')
    done, good, failed = (int(v) for v in m.groups())
    if not good:
        raise RuntimeError(f'no request of h2load succeeded: {text[-500:]}')
    return {'requests': done, 'failed': failed, 'rate': good / max(1, round(seconds)), 'seconds': max(1, round(seconds)),
            'p50_us': 0, 'p99_us': 0}


def verdict(found, reached, goal):
    return {'found': found, 'reached': bool(reached), 'goal': goal}


def print_verdicts(verdicts):
    for v in verdicts:
        print(f'    {"reached" if v["reached"] else "MISSED "}  {v["found"]} (goal: {v["goal"]})')


def print_rounds(what, out, ratios, verdicts):
    print(f'\n{what}')
    print(f'  {"":14}{"CPU us/req":>11}{"sluice/it":>11}{"req/s":>10}{"p50 us":>9}{"p99 us":>9}'
          f'{"core":>7}{"PSS kB":>9}{"failed":>8}')
    for name, r in out.items():
        ratio = f'{ratios[name]:.2f}' if name in ratios else ''
        print(f'  {name:14}{r["cpu_us"]:11.2f}{ratio:>11}{r["rate"]:10.0f}{r["p50_us"]:9.0f}'
              f'{r["p99_us"]:9.0f}{r["core_busy"] * 100:6.0f}%{r["pss_kb"]:9}{r["failed"]:8}')
    print_verdicts(verdicts)
    sys.stdout.flush()


def print_facts(what, out, verdicts):
    print(f'\n{what}')
    for name, r in out.items():
        facts = ', '.join(f'{k} {v:.1f}' if isinstance(v, float) else f'{k} {v}' for k, v in r.items())
        print(f'  {name:9}{facts}')
    print_verdicts(verdicts)
    sys.stdout.flush()


def machine():
    model = re.search(r'model name\s*: (.*)', open('/proc/cpuinfo', encoding='utf-8').read())
    return {'cpu': model.group(1) if model else platform.machine(), 'cores': os.cpu_count(),
            'kernel': platform.release().split('-')[0]}


# --- docs/performance.md

def table(result):
    """The newest full result as two small tables."""
    names = result['proxies']
    rows = ['| scenario | ' + ' | '.join(f'{n} us' for n in names) + ' | / nginx | / haproxy | / h2o '
            '| p50, p99 us (in the order of those measured) |', '|---' * (len(names) + 5) + '|']
    for name in SCENARIOS:
        s = result['scenarios'].get(name)
        if not s:
            continue
        cells = [f'{s["proxies"][n]["cpu_us"]:.1f}' if n in s['proxies'] else '-' for n in names]
        cells += [f'{s["ratios"][p]:.2f}' if p in s['ratios'] else '-' for p in ('nginx', 'haproxy', 'h2o')]
        measured = [n for n in names if n in s['proxies'] and s['proxies'][n]['p50_us']]
        cells.append('; '.join(f'{s["proxies"][n]["p50_us"]:.0f}, {s["proxies"][n]["p99_us"]:.0f}'
                               for n in measured) or '-')
        rows.append(f'| {s["what"]} | ' + ' | '.join(cells) + ' |')
    rows += ['', '| other | ' + ' | '.join(names) + ' |', '|---' * (len(names) + 1) + '|']
    for name in SPECIAL:
        s = result['scenarios'].get(name)
        if s and s['proxies']:
            rows.append(f'| {s["what"]} | ' + ' | '.join(facts_cell(s['proxies'].get(n)) for n in names)
                        + ' |')
    return '\n'.join(rows + cel_table(result['scenarios'].get('cel')) + limit_table(result['scenarios'].get('limit')))


def limit_table(scenario):
    if not scenario:
        return []
    rows = ['', '| A rate limit in one gateway | nanoseconds a request | memory of its tables |', '|---|---|---|']
    for r in scenario['rows']:
        rows.append(f'| {r["what"]} | {r["ns"]:.0f} | {r["memory_kb"]} KiB |')
    return rows


def cel_table(scenario):
    if not scenario:
        return []
    rows = ['', '| CEL, nanoseconds an evaluation | CEL | the same in C |', '|---|---|---|']
    for r in scenario['rows']:
        source = r['expr'].replace('|', '\\|')
        rows.append(f'| `{source}` | {r["cel_ns"]:.0f} | {r["c_ns"]:.0f} |')
    return rows


FACTS = {'bytes_per_connection': '{:.0f} B each', 'start_ms': '{:.0f} ms', 'pss_kb': '{:.0f} kB PSS',
         'failed': '{} failed', 'closed': '{} closed', 'growth_percent': '{:+.1f} % memory', 'added_us': '{:+.2f} us'}


def facts_cell(facts):
    if not facts:
        return '-'
    return ', '.join(form.format(facts[k]) for k, form in FACTS.items() if k in facts)


def goals(result):
    lines = []
    for s in result['scenarios'].values():
        for v in s.get('verdicts', ()):
            lines.append(f'* {"reached" if v["reached"] else "**missed**"}: {s["what"]}: {v["found"]} '
                         f'(goal: {v["goal"]})')
    return '\n'.join(lines)


def rewrite_docs(result):
    path = os.path.join(ROOT, 'docs', 'performance.md')
    with open(path, encoding='utf-8') as f:
        before, _, _ = f.read().partition(MARK)
    m = result['machine']
    text = f'''{before}{MARK}
Measured {result['date'][:10]} on {m['cpu']}, {m['cores']} cores, kernel {m['kernel']}; \
{', '.join(result['versions'].values())}; {result['rounds']} rounds of {result['seconds']:g} s each, \
interleaved. CPU microseconds of the proxy per request.

{table(result)}

{goals(result)}
'''
    with open(path, 'w', encoding='utf-8') as f:
        f.write(text)


def parse():
    known = [*SCENARIOS, *SPECIAL]
    a = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    a.add_argument('--only', action='append', choices=known, metavar='SCENARIO',
                   help='may be repeated: ' + ', '.join(known))
    a.add_argument('--rounds', type=int, default=None, help='default 7, with --quick 3')
    a.add_argument('--seconds', type=float, default=None, help='of one round; default 2, --quick 0.5')
    a.add_argument('--quick', action='store_true', help='short rounds and smaller numbers')
    a.add_argument('--proxies', default='nginx,haproxy,h2o,sluice', help='default: %(default)s')
    a.add_argument('--sluice', default=Sluice.binary, metavar='FILE', help='the binary to measure')
    a.add_argument('--compare', metavar='FILE', help='another build of sluice to run beside it, as "other"')
    a.add_argument('--build', default=os.path.join(ROOT, 'build'), metavar='DIR',
                   help='the build folder with bench/load and bench/origin')
    o = a.parse_args()
    o.rounds = o.rounds or (3 if o.quick else 7)
    o.seconds = o.seconds or (0.5 if o.quick else 2)
    if o.compare:
        ALL['other'] = type('Other', (Sluice,), {'name': 'other', 'binary': os.path.abspath(o.compare)})
        o.proxies += ',other'
    unknown = set(o.proxies.split(',')) - set(ALL)
    if unknown:
        a.error(f'unknown proxy {", ".join(unknown)}; there are {", ".join(ALL)}')
    if 'sluice' in o.proxies and not os.access(o.sluice, os.X_OK):
        a.error(f'no sluice binary at {o.sluice}: run "make build"')
    return o


def save(bench, o, full):
    os.makedirs(RESULTS, exist_ok=True)
    path = os.path.join(RESULTS, bench.result['date'].replace(':', '') + ('' if full else '-part') + '.json')
    with open(path, 'w', encoding='utf-8') as f:
        json.dump(bench.result, f, indent=1)
        f.write('\n')
    print(f'\nresult: {os.path.relpath(path, ROOT)}')
    if full:
        rewrite_docs(bench.result)
        print('docs/performance.md is rewritten')


def main():
    o = parse()
    Sluice.binary = os.path.abspath(o.sluice)
    limit = proxies.raise_limits()
    if limit < 20000:
        print(f'bench: only {limit} file descriptors allowed; the idle scenario needs 20000')
    subprocess.run(['ninja', '-C', o.build, 'bench/origin', 'bench/load'], check=True,
                   stdout=subprocess.DEVNULL)
    bench = Bench(o)
    chosen = o.only or [*SCENARIOS, *SPECIAL]
    bench.result |= {'date': datetime.datetime.now(datetime.timezone.utc).strftime('%Y-%m-%dT%H:%M:%SZ'),
                     'machine': machine(), 'proxies': bench.names, 'rounds': o.rounds, 'seconds': o.seconds,
                     'versions': {n: ALL[n].version() for n in bench.names}}
    try:
        bench.start_origin()
        for name in chosen:
            try:
                bench.run(name)
            except RuntimeError as e:  # the others are worth their time all the same
                print(f'bench: {name}: {e}', file=sys.stderr)
                bench.stop_proxies()
        save(bench, o, not o.only and not o.quick and bench.names == list(ALL))
    finally:
        bench.close()


try:
    main()
except RuntimeError as e:
    print(f'bench: {e}', file=sys.stderr)
    sys.exit(1)
except KeyboardInterrupt:
    sys.exit(130)
