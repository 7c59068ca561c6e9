"""proxies - NGINX, HAProxy, h2o and sluice as the benchmark runs them: one worker, the same work.

Each makes the same request for the service: HTTP/1.1 keep-alive, X-Forwarded-For added, no compression,
connections to the service kept. A Setup says what a scenario wants; a Proxy is one running process
group. All that a proxy writes goes to its folder.
"""
import hashlib
import http.client
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)


class Setup:
    """speaks: what clients speak: http1, h2c, tls (HTTP/1.1 and HTTP/2 by ALPN), grpc (HTTP/2 in clear text
    on both sides), ws (WebSockets). auth: hs256, rs256 (a JWT is checked: signature, iss, aud, exp, and its sub
    told to the service), key (an API key). log: an access log in each one's cheapest whole form. big: tuned for
    large bodies. routes: that many routes with captures instead of one (0: one). config: sluice's own file
    instead of a made one. limit: a rate limit per client address, of so many requests a second. shared: one of
    several gateways, as its field `sync` says."""

    def __init__(self, speaks='http1', log=False, big=False, routes=0, config=None, reload=False, auth=None,
                 limit=0, shared=None):
        self.auth, self.limit, self.shared = auth, limit, shared
        self.speaks, self.log, self.big, self.routes = speaks, log, big, routes
        self.config, self.reload = config, reload


class Certificate:
    """One ECDSA P-256 certificate for gw.test, made for this run."""

    def __init__(self, folder):
        self.chain, self.key = os.path.join(folder, 'gw.pem'), os.path.join(folder, 'gw.key')
        self.both = os.path.join(folder, 'both.pem')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1',
                        '-nodes', '-days', '365', '-subj', '/CN=gw.test', '-addext',
                        'subjectAltName=DNS:gw.test,IP:127.0.0.1', '-keyout', self.key, '-out', self.chain],
                       check=True, capture_output=True)
        os.chmod(self.key, 0o600)
        with open(self.both, 'w', encoding='ascii') as out:
            for part in (self.chain, self.key):
                with open(part, encoding='ascii') as f:
                    out.write(f.read())


def free_port():
    with socket.create_server(('127.0.0.1', 0)) as s:
        return s.getsockname()[1]


def children(pid):
    """pid and all its descendants."""
    found = [pid]
    for task in listdir(f'/proc/{pid}/task'):
        try:
            with open(f'/proc/{pid}/task/{task}/children', encoding='ascii') as f:
                for child in f.read().split():
                    found += children(int(child))
        except OSError:
            continue
    return found


def listdir(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


class Identity:
    """Who may ask: a shared secret, an RSA key and an API key, and files of header fields that prove it."""

    secret, api_key = 'bench-secret-of-thirty-two-bytes', 'bench-api-key-7f3a9c51'

    def __init__(self, folder, tools):
        self.folder, self.tools = folder, tools
        self.key, self.public = os.path.join(folder, 'jwt.key'), os.path.join(folder, 'jwt.pem')
        self.made = {}
        for command in (['genrsa', '-out', self.key, '2048'],
                        ['rsa', '-in', self.key, '-pubout', '-out', self.public]):
            subprocess.run(['openssl', *command], check=True, capture_output=True)

    def fields(self, auth, count):
        """A file of `count` different credentials."""
        if (auth, count) not in self.made:
            path = self.made[auth, count] = os.path.join(self.folder, f'fields-{auth}-{count}')
            with open(path, 'wb') as out:
                if auth == 'key':
                    out.write(f'X-API-Key: {self.api_key}\n'.encode())
                else:
                    subprocess.run([self.tools + '/tokens', auth, self.secret if auth == 'hs256' else self.key,
                                    str(count)], check=True, stdout=out)
        return self.made[auth, count]


class Proxy:
    name = ''
    cannot = ()  # what of Setup.speaks it does not offer

    def __init__(self, setup, origins, folder, core, identity):
        """origins: ports of the services, by 'http1' and 'grpc'. identity: (Certificate, Identity)."""
        certificate, self.identity = identity
        self.setup, self.folder, self.core, self.certificate = setup, folder, core, certificate
        self.logs = origins['http1']  # takes syslog, too
        self.store = origins.get('redis')
        self.origin = origins['grpc' if setup.speaks == 'grpc' else 'http1']
        self.port = free_port()
        self.process = None
        self.output = os.path.join(folder, 'output')

    # What differs
    def write_config(self):
        raise NotImplementedError

    def command(self):
        raise NotImplementedError

    def reload(self):
        self.process.send_signal(signal.SIGHUP)

    @classmethod
    def version(cls):
        raise NotImplementedError

    # What does not
    def write(self, name, text):
        path = os.path.join(self.folder, name)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        return path

    def start(self):
        """Starts it, pinned to its core; returns the milliseconds until it accepts a connection."""
        os.makedirs(self.folder, exist_ok=True)
        self.write_config()
        # The core is set by this process before it executes the proxy: taskset would cost start time.
        begun = time.monotonic()
        with open(self.output, 'wb') as out:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd=self.folder,
                preexec_fn=lambda: os.sched_setaffinity(0, [self.core]))
        while True:
            try:
                socket.create_connection(('127.0.0.1', self.port), 1).close()
                return (time.monotonic() - begun) * 1000
            except OSError:
                if self.process.poll() is not None or time.monotonic() - begun > 20:
                    raise RuntimeError(f'{self.name} did not start:\n{self.said()}') from None
                time.sleep(0.0005)

    def said(self):
        with open(self.output, 'rb') as f:
            return f.read()[-3000:].decode(errors='replace')

    def alive(self):
        return self.process.poll() is None

    def stop(self):
        if not self.process:
            return
        tree = children(self.process.pid)
        if self.alive():
            self.process.terminate()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            for pid in tree:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass
            self.process.wait()

    def cpu_s(self):
        """CPU seconds (user + system) of all its processes and threads so far. The scheduler's own count
        in nanoseconds where the kernel keeps it, else the ticks of /proc/PID/stat."""
        total = 0.0
        for pid in children(self.process.pid):
            for task in listdir(f'/proc/{pid}/task'):
                total += task_cpu(f'/proc/{pid}/task/{task}')
        return total

    def memory_kb(self, field='Pss'):
        total = 0
        for pid in children(self.process.pid):
            try:
                with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
                    total += int(re.search(rf'^{field}:\s+(\d+)', f.read(), re.M).group(1))
            except (OSError, AttributeError):
                continue
        return total


def task_cpu(folder):
    try:
        with open(folder + '/schedstat', encoding='ascii') as f:
            ns = int(f.read().split()[0])
        if ns:
            return ns / 1e9
        with open(folder + '/stat', encoding='ascii') as f:
            column = f.read().rsplit(')', 1)[1].split()
        return (int(column[11]) + int(column[12])) / os.sysconf('SC_CLK_TCK')
    except (OSError, IndexError):
        return 0.0


def first_line(*argv):
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip().split('\n')[0]


class Nginx(Proxy):
    name = 'nginx'
    cannot = ('auth',)  # JWTs are in NGINX Plus alone

    @classmethod
    def version(cls):
        return first_line(find('nginx'), '-v').replace('nginx version: ', '')

    def write_config(self):
        s = self.setup
        log = 'access_log off;'
        if s.log:
            log = f'access_log {self.folder}/access.log combined buffer=64k flush=1s;'
        big = 'proxy_buffers 16 64k; proxy_buffer_size 64k; proxy_busy_buffers_size 256k; ' \
              'proxy_max_temp_file_size 0;' if s.big else ''
        place = 'proxy_pass http://origin;'
        if s.speaks == 'grpc':
            place = 'grpc_pass grpc://origin;'
        kind = {'h2c': ' http2', 'grpc': ' http2', 'tls': ' ssl http2'}.get(s.speaks, '')
        tls = f'ssl_certificate {self.certificate.chain}; ssl_certificate_key {self.certificate.key}; ' \
              'ssl_protocols TLSv1.2 TLSv1.3;' if s.speaks == 'tls' else ''
        upgrade = 'proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection "upgrade";' \
            if s.speaks == 'ws' else 'proxy_set_header Connection "";'
        zone = ''
        if s.limit:  # its own way to say it; refusals are not worth a line in the error log
            zone = f'limit_req_zone $binary_remote_addr zone=limit:10m rate={s.limit}r/s; limit_req_status 429; ' \
                   'limit_req_log_level info;'
            place = f'limit_req zone=limit burst={s.limit} nodelay; ' + place
        locations = f'location / {{ {place} }}\n'
        for i in range(s.routes):
            locations += f'location /api/r{i}/ {{ {place} }}\n'
        self.write('nginx.conf', f'''
daemon off;
worker_processes 1;
worker_rlimit_nofile 20000;
pid {self.folder}/nginx.pid;
error_log {self.folder}/error.log error;
events {{ worker_connections 18000; }}
http {{
    {log}
    {''.join(f'{kind}_temp_path {self.folder}/{kind}; ' for kind in
             ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))}
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    tcp_nodelay on;
    upstream origin {{
        server 127.0.0.1:{self.origin};
        keepalive 512;
        keepalive_requests 1000000000;
    }}
    proxy_http_version 1.1;
    {upgrade}
    proxy_set_header Host $host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    {big}
    {zone}
    server {{
        listen 127.0.0.1:{self.port}{kind} backlog=4096;
        {tls}
        {locations}
    }}
}}
''')

    def command(self):
        return [find('nginx'), '-p', self.folder, '-c', self.folder + '/nginx.conf']


class Haproxy(Proxy):
    name = 'haproxy'

    @classmethod
    def version(cls):
        return ' '.join(first_line(find('haproxy'), '-v').split()[:3])

    def write_config(self):
        s = self.setup
        log = f'log 127.0.0.1:{self.logs} format rfc3164 local0 info' if s.log else ''
        use = self.checks() + 'default_backend origin'
        kind = {'h2c': ' proto h2', 'grpc': ' proto h2',
                'tls': f' ssl crt {self.certificate.both} alpn h2,http/1.1'}.get(s.speaks, '')
        towards = ' proto h2' if s.speaks == 'grpc' else ''
        if s.limit:
            use = ('stick-table type ip size 64k expire 10s store http_req_rate(1s)\n'
                   '    http-request track-sc0 src\n'
                   f'    http-request deny deny_status 429 if {{ sc_http_req_rate(0) gt {s.limit} }}\n    ') + use
        if s.routes:
            self.write('routes.map', ''.join(f'/api/r{i}/ origin\n' for i in range(s.routes)))
            use = f'use_backend %[path,map_beg({self.folder}/routes.map)]\n    ' + use
        self.write('haproxy.cfg', f'''
global
    nbthread 1
    maxconn {2000 if s.big else 9500}
    {log}
    {'tune.pipesize 1048576' if s.big else ''}
defaults
    mode http
    timeout connect 5s
    timeout client 75s
    timeout server 60s
    timeout http-keep-alive 75s
    timeout tunnel 300s
    http-reuse always
    {'log global' if s.log else ''}
    {'option httplog' if s.log else ''}
    {'option splice-response' if s.big else ''}
frontend f
    bind 127.0.0.1:{self.port}{kind} backlog 4096
    option forwardfor
    {use}
backend origin
    server origin 127.0.0.1:{self.origin}{towards}
''')

    def checks(self):
        """What authenticate does, in rules: the token's algorithm is fixed, its claims are compared."""
        auth, who = self.setup.auth, self.identity
        if not auth:
            return ''
        if auth == 'key':
            keys = self.write('keys.map', f'{who.api_key} acme\n')
            rules = [f'http-request set-var(txn.who) req.hdr(x-api-key),map_str({keys})',
                     'http-request deny deny_status 401 unless { var(txn.who) -m found }',
                     'http-request set-header X-User-ID %[var(txn.who)]']
        else:
            key = who.secret if auth == 'hs256' else who.public
            rules = ['http-request set-var(txn.t) http_auth_bearer',
                     f"http-request deny deny_status 401 unless {{ var(txn.t),jwt_header_query('$.alg') -m str "
                     f'{auth.upper()} }}',
                     f'http-request deny deny_status 401 unless {{ var(txn.t),jwt_verify({auth.upper()},"{key}") '
                     '-m int 1 }',
                     "http-request deny deny_status 401 unless { var(txn.t),jwt_payload_query('$.iss') -m str "
                     'https://id.test }',
                     "http-request deny deny_status 401 unless { var(txn.t),jwt_payload_query('$.aud') -m str "
                     'bench }',
                     "http-request set-var(txn.exp) var(txn.t),jwt_payload_query('$.exp','int')",
                     'http-request set-var(txn.left) date,neg,add(txn.exp)',
                     'http-request deny deny_status 401 if { var(txn.left) -m int lt 0 }',
                     "http-request set-header X-User-ID %[var(txn.t),jwt_payload_query('$.sub')]"]
        return '\n    '.join(rules) + '\n    '

    def command(self):
        master = ['-W'] if self.setup.reload else []
        return [find('haproxy'), *master, '-db', '-f', self.folder + '/haproxy.cfg']

    def reload(self):
        self.process.send_signal(signal.SIGUSR2)


class H2o(Proxy):
    name = 'h2o'
    cannot = ('grpc', 'ws', 'auth')  # 2.2 speaks HTTP/1.1 to services and carries no WebSockets for us

    @classmethod
    def version(cls):
        return first_line(find('h2o'), '--version')

    def write_config(self):
        ssl = f'''
    ssl:
      certificate-file: {self.certificate.chain}
      key-file: {self.certificate.key}''' if self.setup.speaks == 'tls' else ''
        self.write('h2o.conf', f'''
user: root
num-threads: 1
max-connections: 10000
pid-file: {self.folder}/h2o.pid
error-log: {self.folder}/error.log
http1-request-timeout: 75
http2-idle-timeout: 75
proxy.timeout.keepalive: 60000
listen:
    host: 127.0.0.1
    port: {self.port}{ssl}
hosts:
  default:
    paths:
      /:
        proxy.reverse.url: http://127.0.0.1:{self.origin}/
''')

    def command(self):
        return [find('h2o'), '-m', 'worker', '-c', self.folder + '/h2o.conf']


class Sluice(Proxy):
    name = 'sluice'
    binary = os.path.join(ROOT, 'build', 'sluice')

    @classmethod
    def version(cls):
        return first_line(cls.binary, '--version')

    def write_config(self):
        self.admin = free_port()
        s = self.setup
        if s.config:
            self.copy_config()
            return
        log = f'log: {{file: {self.folder}/access.log, format: json}}' if s.log else 'log: false'
        tls = f', tls: {{certificate: {self.certificate.chain}, private_key: {self.certificate.key}}}' \
            if s.speaks == 'tls' else ''
        service = f'{{endpoints: ["127.0.0.1:{self.origin}"], protocol: h2c}}' if s.speaks == 'grpc' \
            else f'"127.0.0.1:{self.origin}"'
        identity, sets = self.checks()
        if s.limit:
            sets += f', rate_limit: {{rate: {s.limit}/s, key: "${{client.ip}}"}}'
        streams = ', h2_max_total_streams: 1000000000' if s.speaks in ('h2c', 'tls', 'grpc') else ''
        routes = f'  - {{match: {{path: "/*"}}, to: origin{sets}}}\n'
        for i in range(s.routes):
            routes += f'  - {{match: {{path: "/api/r{i}/{{id}}/items/{{item}}"}}, to: origin{sets}}}\n'
        self.write('sluice.yaml', f'''
version: 1
workers: 1
listeners: {{public: {{address: "127.0.0.1:{self.port}"{tls}}}}}
admin: {{address: "127.0.0.1:{self.admin}"}}
limits: {{max_connections: 9500, per_ip_connections: 9500, keepalive_requests: 1000000000{streams}}}
{log}
services: {{origin: {service}}}
{identity}
routes:
{routes}''')

    def checks(self):
        """The authenticator, and what a route says of it."""
        auth, who = self.setup.auth, self.identity
        if self.setup.shared:  # never reached, of one key
            return (f'state: {{shared: "redis://127.0.0.1:{self.store}"}}',
                    f', rate_limit: {{rate: 1000000/s, key: all, sync: {self.setup.shared}}}')
        if not auth:
            return '', ''
        headers = 'headers: {X-User-ID: "${claim.sub}"}'
        if auth == 'key':
            digest = hashlib.sha256(who.api_key.encode()).hexdigest()
            return ('authenticators: {who: {api_key: {in: header, name: X-API-Key}, '
                    'headers: {X-User-ID: "${consumer.name}"}}}\n'
                    f'consumers: [{{name: acme, keys: ["sha256:{digest}"]}}]', ', authenticate: who')
        if auth == 'hs256':
            key = 'key: ' + who.secret
        else:
            with open(who.public, encoding='ascii') as f:
                key = 'key: ' + json.dumps(f.read())
        return (f'authenticators: {{who: {{jwt: {{issuer: https://id.test, audience: bench, {key}, '
                f'algorithms: [{auth.upper()}], {headers}}}}}}}', ', authenticate: who')

    def copy_config(self):
        """Another's file with its two listening ports exchanged, beside the files that it names."""
        folder = os.path.dirname(self.setup.config)
        for name in os.listdir(folder):
            path = os.path.join(folder, name)
            if os.path.isfile(path):
                shutil.copy(path, self.folder)
        subprocess.run([os.path.join(ROOT, 'tools', 'dev-certificate'), self.folder + '/certs'], check=True)
        with open(self.setup.config, encoding='utf-8') as f:
            text = f.read()
        ports = re.findall(r'address:\s*"?[\d.]+:(\d+)', text)
        for old, new in zip(ports, (self.port, free_port(), self.admin)):
            text = text.replace(f':{old}', f':{new}')
        self.write('sluice.yaml', text)

    def command(self):
        return [self.binary, 'run', '-c', self.folder + '/sluice.yaml', '--no-supervisor',
                '--reload-every', '1ms']

    def metric(self, name):
        """The sum of a metric over its labels, from the metrics page."""
        connection = http.client.HTTPConnection('127.0.0.1', self.admin, timeout=10)
        connection.request('GET', '/metrics')
        answer = connection.getresponse()
        page = answer.read().decode()
        connection.close()
        rows = re.findall(rf'^{name}(?:\{{[^}}]*\}})? ([\d.eE+]+)$', page, re.M)
        if not rows:
            raise RuntimeError(f'no metric {name} on the admin page (status {answer.status})')
        return sum(float(v) for v in rows)


def wait_port(port):
    end = time.monotonic() + 10
    while True:
        try:
            socket.create_connection(('127.0.0.1', port), 1).close()
            return
        except OSError:
            if time.monotonic() > end:
                raise RuntimeError(f'nothing listens on port {port}') from None
            time.sleep(0.01)


def find(program):
    path = shutil.which(program) or shutil.which(program, path='/usr/sbin:/sbin')
    if not path:
        raise RuntimeError(f'{program} is not installed: run tools/packages bench')
    return path


def raise_limits():
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


ALL = {c.name: c for c in (Nginx, Haproxy, H2o, Sluice)}
