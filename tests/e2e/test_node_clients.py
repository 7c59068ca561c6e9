#!/usr/bin/python3
"""Clients that people use, from npm (tests/node): undici, node's http2, ws, @grpc/grpc-js."""
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, dev_certificates
from h2_service import H2Service
from node import NODE, packages
from tap import run, test

CERTS = dev_certificates(tempfile.mkdtemp(prefix='sluice-certs-'))
CA = os.path.join(CERTS, 'shop.pem')
CONFIG = '''
version: 1
listeners:
  public: {{address: "127.0.0.1:@PORT@"}}
  secure: {{address: "127.0.0.1:@SECURE@", tls: {{certificate: {ca}, private_key: {key}}}}}
admin: {{address: "127.0.0.1:@ADMIN@"}}
services:
  web: {{endpoints: ["{web}"], protocol: h2c, first_byte_timeout: 2s}}  # a FIN alone aborts nothing
  socket: "127.0.0.1:{socket}"
routes:
  - {{match: {{path: [/echo, /close]}}, to: socket}}
  - {{match: {{path: /nowhere/*}}, respond: {{status: 404}}}}
  - {{match: {{path: /*}}, to: web}}
'''


class Socket:
    """The echo service of ws-echo.js."""

    def __enter__(self):
        self.process = subprocess.Popen(['node', os.path.join(NODE, 'ws-echo.js')], stdout=subprocess.PIPE)
        self.port = int(self.process.stdout.readline())
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()


@test([('undici.js', 'http'), ('http2.js', 'http'), ('ws.js', 'ws'), ('grpc.js', '')])
def client(row):
    packages()
    script, scheme = row
    with H2Service(tolerant=True) as web, Socket() as socket, Gateway(CONFIG.format(
            ca=CA, key=os.path.join(CERTS, 'shop.key'), web=web.address, socket=socket.port), ports=['SECURE']) as gw:
        secure = f'localhost:{gw.ports["SECURE"]}'
        urls = [f'{scheme}://127.0.0.1:{gw.port}', f'{scheme}s://{secure}'] if scheme else [secure]
        done = subprocess.run(['node', os.path.join(NODE, script), *urls, CA], capture_output=True, text=True,
                              timeout=200, check=False)
        print('\n'.join('# ' + line for line in done.stdout.strip().split('\n')))
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


try:
    run()
finally:
    shutil.rmtree(CERTS, ignore_errors=True)
