#!/usr/bin/python3
"""Programs that others wrote to measure and to judge servers: curl, nghttp, h2load, testssl, slowhttptest."""
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from certs import Authority
from gateway import Gateway, wait_until
from h2_service import H2Service, pattern
from tap import contains, equal, run, skip, test

FOLDER = tempfile.mkdtemp(prefix='sluice-certs-')
SANITIZED = 'asan' in os.environ.get('SLUICE_BIN', '')
CONFIG = '''
version: 1
listeners:
  public: {address: "127.0.0.1:@PORT@"}
  secure: {address: "127.0.0.1:@SECURE@", tls: {certificate: DIR/web.pem, private_key: DIR/web.key}}
  strict:
    address: "127.0.0.1:@STRICT@"
    tls: {certificate: DIR/web.pem, private_key: DIR/web.key, client_certificate: {ca: DIR/ca.pem}}
admin: {address: "127.0.0.1:@ADMIN@"}
limits: {header_timeout: 2s, first_byte_timeout: 2s, body_idle_timeout: 2s, send_stall_timeout: 3s, per_ip_connections: 1000}
services: {web: {endpoints: ["SERVICE"], protocol: h2c}}
routes: [{match: {path: /*}, to: web}]
'''


def certificates():
    ca = Authority('test CA')
    ca.save(FOLDER, 'ca')
    ca.issue('localhost', names=['localhost', '127.0.0.1'], days=90).save(FOLDER, 'web')
    ca.issue('ann', names=['ann@shop.example'], client=True).save(FOLDER, 'ann')


class World:
    def __init__(self):
        self.service = H2Service(tolerant=True)
        text = CONFIG.replace('DIR', FOLDER).replace('SERVICE', self.service.address)
        self.gateway = Gateway(text, ports=['SECURE', 'STRICT'])

    def __enter__(self):
        return self

    def __exit__(self, *args):
        self.service.close()
        return self.gateway.__exit__(*args)

    def url(self, path, listener='PORT'):
        scheme = 'http' if listener == 'PORT' else 'https'
        return f'{scheme}://localhost:{self.gateway.ports[listener]}{path}'


def program(name):
    path = shutil.which(name)
    if not path:
        skip(f'{name} is not there: tools/packages test')
    return path


def said(command, code=0, timeout=120, **more):
    done = subprocess.run(command, capture_output=True, timeout=timeout, check=False, stdin=subprocess.DEVNULL, **more)
    if code is not None and done.returncode != code:
        raise AssertionError(f'exit code {done.returncode}: {(done.stdout + done.stderr).decode(errors="replace")[-2000:]}')
    return done.stdout


CURL = [('1.1 in clear text', 'PORT', ['--http1.1'], '1.1'), ('2 in clear text', 'PORT', ['--http2-prior-knowledge'], '2'),
        ('1.1 by ALPN', 'SECURE', ['--http1.1'], '1.1'), ('2 by ALPN', 'SECURE', ['--http2'], '2'),
        ('no ALPN', 'SECURE', ['--no-alpn'], '1.1'), ('TLS 1.2 alone', 'SECURE', ['--tlsv1.2', '--tls-max', '1.2'], '2'),
        ('TLS 1.3 alone', 'SECURE', ['--tlsv1.3'], '2'),
        ('a certificate of the client', 'STRICT', ['--cert', FOLDER + '/ann.pem', '--key', FOLDER + '/ann.key'], '2')]


@test(CURL)
def curl(row):
    _, listener, options, version = row
    with World() as w, tempfile.NamedTemporaryFile() as f:
        f.write(pattern(300000))
        f.flush()
        base = [program('curl'), '-sS', '--max-time', '20', '--cacert', FOLDER + '/ca.pem', *options]
        equal(said([*base, '-o', '/dev/null', '-w', '%{http_version} %{response_code}', w.url('/', listener)]).decode(),
              f'{version} 200')
        equal(said([*base, w.url('/bytes/200000', listener)]), pattern(200000))
        seen = json.loads(said([*base, '-T', f.name, w.url('/upload', listener)]))
        equal(seen['length'], 300000)
        seen = json.loads(said([*base, '-H', 'Expect: 100-continue', '--data-binary', '@' + f.name, w.url('/upload', listener)]))
        equal(seen['length'], 300000)
        equal(said([*base, '-I', '-o', '/dev/null', '-w', '%{response_code}', w.url('/bytes/9', listener)]), b'200')
        equal(said([*base, '-N', w.url('/events/3', listener)]), b'data: 0\n\ndata: 1\n\ndata: 2\n\n')
        if '--http2-prior-knowledge' not in options:  # there Debian's curl fails with every server
            two = said([*base, w.url('/bytes/10', listener), w.url('/bytes/20', listener)])
            equal(len(two), 30)
        if listener == 'STRICT':
            contains(said([*base, w.url('/headers', listener)]).decode(), 'x-client-cert')


@test
def no_certificate_no_entry():
    with World() as w:
        done = subprocess.run([program('curl'), '-sS', '--max-time', '10', '--cacert', FOLDER + '/ca.pem',
                               w.url('/', 'STRICT')], capture_output=True, check=False)
        assert done.returncode in (35, 55, 56) and not done.stdout, done
        equal(w.service.requests, [])


@test(['PORT', 'SECURE'])
def h2load(listener):
    n = 2000 if SANITIZED else 20000
    with World() as w:
        out = said([program('h2load'), '-n', str(n), '-c', '10', '-m', '50', w.url('/bytes/100', listener)]).decode()
        m = re.search(r'(\d+) succeeded, (\d+) failed, (\d+) errored', out)
        equal(m.groups(), (str(n), '0', '0'))


@test
def nghttp():
    with World() as w:
        out = said([program('nghttp'), '-nv', '-d', '/dev/null', w.url('/headers')]).decode()
        contains(out, ':status: 200')
        assert 'recv RST_STREAM' not in out and 'recv GOAWAY' not in out, out


# What testssl.sh calls each finding, and what is well.
FINDINGS = {'SSLv2': 'OK', 'SSLv3': 'OK', 'TLS1': 'INFO|OK', 'TLS1_1': 'INFO|OK', 'TLS1_2': 'OK', 'TLS1_3': 'OK',
            'cipherlist_NULL': 'OK', 'cipherlist_aNULL': 'OK', 'cipherlist_EXPORT': 'OK', 'cipherlist_LOW': 'OK',
            'cipherlist_3DES_IDEA': 'OK|INFO', 'PFS': 'OK', 'heartbleed': 'OK', 'CCS': 'OK', 'ticketbleed': 'OK',
            'ROBOT': 'OK', 'secure_renego': 'OK', 'secure_client_renego': 'OK', 'CRIME_TLS': 'OK', 'POODLE_SSL': 'OK',
            'SWEET32': 'OK', 'FREAK': 'OK', 'DROWN': 'OK', 'LOGJAM': 'OK', 'BEAST': 'OK', 'RC4': 'OK'}


@test
def testssl():
    if SANITIZED:
        skip('with the release binary alone: it takes a minute')
    with World() as w, tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, 'found.json')
        said([program('testssl'), '--quiet', '--color', '0', '--warnings', 'off', '--ip', '127.0.0.1', '--nodns', 'none',
              '--protocols', '--std', '--fs', '--vulnerable', '--jsonfile', path,
              f'localhost:{w.gateway.ports["SECURE"]}'], code=None, timeout=400, cwd=folder)
        with open(path, encoding='utf-8') as f:
            found = {x['id']: x for x in json.load(f)}
        missing = [k for k in FINDINGS if k not in found]
        equal(missing, [], f'testssl told of {sorted(found)}')
        bad = {k: (found[k]['severity'], found[k]['finding']) for k, good in FINDINGS.items()
               if not re.fullmatch(good, found[k]['severity'])}
        equal(bad, {})
        worst = {k: v['finding'] for k, v in found.items() if v['severity'] in ('CRITICAL', 'HIGH', 'MEDIUM')
                 and k not in ('BREACH',)}
        equal(worst, {})


ATTACKS = [('slow headers', ['-H', '-i', '1']), ('slow body', ['-B', '-i', '1', '-s', '8192']),
           ('slow read', ['-X', '-w', '1', '-y', '2', '-n', '1', '-z', '8', '-k', '1'])]


@test(ATTACKS)
def slowhttptest(row):
    """200 slow connections: everybody else is answered meanwhile, and in the end all of them are closed."""
    name, options = row
    if SANITIZED:
        skip('with the release binary alone: it waits for time to pass')
    tool = program('slowhttptest')
    with World() as w:
        attack = subprocess.Popen([tool, *options, '-c', '200', '-r', '200', '-l', '8', '-p', '3', '-u',
                                   w.url('/bytes/3000000' if name == 'slow read' else '/upload')],
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
        answered, stop = [], threading.Event()

        def legitimate():
            while not stop.is_set():
                answered.append(w.gateway.get('/').status)
                stop.wait(0.05)
        thread = threading.Thread(target=legitimate)
        thread.start()
        out = attack.communicate(timeout=60)[0].decode(errors='replace')
        stop.set()
        thread.join()
        equal(set(answered), {200})
        assert 'service available:   NO' not in re.sub(r'\x1b\[[0-9;]*m', '', out), out[-1500:]
        wait_until(lambda: w.gateway.metrics()['sluice_client_connections_open'] <= 2, 'all slow ones are gone')


certificates()
try:
    run()
finally:
    shutil.rmtree(FOLDER, ignore_errors=True)
