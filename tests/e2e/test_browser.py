#!/usr/bin/python3
"""A real browser (headless Chromium) through the gateway: a page, fetch over HTTP/2, server-sent events, a
WebSocket, all over TLS. The page reports what it saw to the service behind the gateway."""
import asyncio
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), '..', 'lib'))
from gateway import Gateway, dev_certificates
from h1_service import H1Service
from tap import equal, run, skip, test

CONFIG = '''
version: 1
listeners:
  secure: {{address: "127.0.0.1:@PORT@", tls: {{certificate: {certs}/shop.pem, private_key: {certs}/shop.key}}}}
admin: {{address: "127.0.0.1:@ADMIN@"}}
services: {{web: "{web}", socket: "127.0.0.1:{socket}"}}
routes:
  - {{match: {{path: /socket}}, to: socket}}
  - {{match: {{path: /*}}, to: web}}
'''
PAGE = '''<!doctype html><meta charset="utf-8"><title>page</title><script>
const seen = {};
const events = () => new Promise((yes, no) => {
  const all = [], source = new EventSource('/events');
  source.onmessage = (e) => { all.push(e.data); if (all.length === 3) { source.close(); yes(all); } };
  source.onerror = () => no(new Error('events broke off'));
});
const socket = () => new Promise((yes, no) => {
  const s = new WebSocket(`wss://${location.host}/socket`);
  s.onopen = () => s.send('hello from a browser');
  s.onmessage = (e) => { seen.said = e.data; s.close(1000, 'enough'); };
  s.onclose = (e) => yes([e.code, e.wasClean]);
  s.onerror = () => no(new Error('socket broke off'));
});
(async () => {
  try {
    seen.data = await (await fetch('/data')).json();
    seen.many = (await Promise.all(Array.from({length: 50}, (_, i) => fetch(`/data?${i}`)))).map((r) => r.status);
    seen.protocol = performance.getEntriesByType('resource').map((r) => r.nextHopProtocol)[0];
    seen.page = performance.getEntriesByType('navigation')[0].nextHopProtocol;
    seen.events = await events();
    seen.closed = await socket();
    seen.upload = await (await fetch('/upload', {method: 'POST', body: new Uint8Array(2000000)})).json();
  } catch (e) { seen.error = String(e); }
  await fetch('/result', {method: 'POST', body: JSON.stringify(seen)});
})();
</script>'''


class Socket(threading.Thread):
    """A WebSocket service that sends back what it gets."""

    def __init__(self):
        super().__init__(daemon=True)
        self.started = threading.Event()
        self.start()
        assert self.started.wait(20)

    def run(self):
        import websockets

        async def echo(s, *_):
            async for message in s:
                await s.send(message)

        async def serve():
            async with websockets.serve(echo, '127.0.0.1', 0) as server:
                self.port = server.sockets[0].getsockname()[1]
                self.started.set()
                await asyncio.Future()
        asyncio.run(serve())


def browser():
    for name in ('chromium', 'chromium-browser', 'google-chrome'):
        if shutil.which(name):
            return name
    skip('chromium is not there: tools/packages test')


@test
def a_page_with_everything():
    program, results = browser(), []
    done = threading.Event()

    def handler(s):
        path = s.path.partition('?')[0]
        if path == '/result':
            results.append(json.loads(s.body()))
            s.respond(200, body=b'thanks')
            done.set()
        elif path == '/events':
            s.head(200, [('content-type', 'text/event-stream')])
            for i in range(3):
                s.data(b'data: %d\n\n' % i)
            s.end()
        elif path == '/upload':
            s.respond(200, body=json.dumps({'length': len(s.body())}))
        elif path == '/data':
            s.respond(200, [('content-type', 'application/json')],
                      json.dumps({'proto': s.header('x-forwarded-proto'), 'via': s.header('via')}))
        elif path == '/':
            s.respond(200, [('content-type', 'text/html')], PAGE)
        else:
            s.respond(404, body=b'no')
    profile = tempfile.mkdtemp(prefix='sluice-browser-')
    certs = dev_certificates(os.path.join(profile, 'certs'))
    try:
        with H1Service(handler) as web, Gateway(CONFIG.format(
                certs=certs, web=web.address, socket=Socket().port)) as gw:
            p = subprocess.Popen(
                [program, '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run',
                 '--disable-background-networking', '--disable-component-update', '--disable-sync',
                 '--disable-dev-shm-usage', '--ignore-certificate-errors', f'--user-data-dir={profile}/user',
                 '--remote-debugging-port=0', f'https://localhost:{gw.port}/'],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, start_new_session=True)
            try:
                answered = done.wait(60)
            finally:
                os.killpg(p.pid, 9)
                said = p.communicate()[1].decode(errors='replace')
            assert answered, said[-2000:]
            seen = results[0]
            equal(seen.get('error'), None)
            equal((seen['page'], seen['protocol']), ('h2', 'h2'))
            equal(seen['data'], {'proto': 'https', 'via': '2 sluice'})
            equal(set(seen['many']), {200})
            equal(seen['events'], ['0', '1', '2'])
            equal((seen['said'], seen['closed']), ('hello from a browser', [1000, True]))
            equal(seen['upload'], {'length': 2000000})
    finally:
        shutil.rmtree(profile, ignore_errors=True)


run()
