'use strict';
// undici.js PLAIN_URL TLS_URL CA_FILE: fetch-like clients, HTTP/1.1 with keep-alive and HTTP/2 by ALPN.
const assert = require('node:assert');
const fs = require('node:fs');
const { Readable } = require('node:stream');
const { Pool, fetch, Agent } = require('undici');
const { check, run } = require('./check');

const [plain, secure, ca] = process.argv.slice(2);
const pools = {
  'HTTP/1.1': new Pool(plain, { connections: 4, pipelining: 4 }),
  'HTTP/1.1 over TLS': new Pool(secure, { connections: 4, connect: { ca: fs.readFileSync(ca) } }),
  'HTTP/2 over TLS': new Pool(secure, { connections: 2, allowH2: true, connect: { ca: fs.readFileSync(ca) } }),
};

for (const [kind, pool] of Object.entries(pools)) {
  check(`${kind}: 200 requests, some at once`, async () => {
    const all = Array.from({ length: 200 }, async (_, i) => {
      const r = await pool.request({ method: 'GET', path: `/bytes/${1000 + i}` });
      assert.strictEqual(r.statusCode, 200);
      assert.strictEqual((await r.body.arrayBuffer()).byteLength, 1000 + i);
    });
    await Promise.all(all);
  });
  check(`${kind}: a body goes up and comes back`, async () => {
    const body = Buffer.alloc(3 << 20, 'abc');
    const r = await pool.request({ method: 'POST', path: '/upload', body });
    assert.strictEqual(r.statusCode, 200);
    assert.strictEqual((await r.body.json()).length, body.length);
  });
  check(`${kind}: a stream of unknown length goes up`, async () => {
    const pieces = Array.from({ length: 50 }, (_, i) => Buffer.alloc(10000, String(i % 10)));
    const r = await pool.request({ method: 'PUT', path: '/upload', body: Readable.from(pieces) });
    assert.strictEqual((await r.body.json()).length, 500000);
  });
  check(`${kind}: headers both ways`, async () => {
    const r = await pool.request({ method: 'GET', path: '/headers', headers: { 'x-mine': 'a, b', cookie: 'a=1; b=2' } });
    const seen = Object.fromEntries((await r.body.json()).headers);
    assert.strictEqual(seen['x-mine'], 'a, b');
    assert.strictEqual(seen.cookie, 'a=1; b=2');
    assert.ok(r.headers['x-request-id']);
  });
  check(`${kind}: an aborted request leaves the others alone`, async () => {
    const controller = new AbortController();
    const hanging = pool.request({ method: 'GET', path: '/hang', signal: controller.signal });
    setTimeout(() => controller.abort(), 50);
    await assert.rejects(hanging, /abort/i);
    const r = await pool.request({ method: 'GET', path: '/' });
    assert.strictEqual(await r.body.text(), 'ok');
  });
}
check('fetch with HTTP/2', async () => {
  const dispatcher = new Agent({ allowH2: true, connect: { ca: fs.readFileSync(ca) } });
  const r = await fetch(`${secure}/pieces/5`, { dispatcher });
  assert.strictEqual(await r.text(), 'piece 0\npiece 1\npiece 2\npiece 3\npiece 4\n');
});
run();
