'use strict';
// http2.js PLAIN_URL TLS_URL CA_FILE: node's own HTTP/2 client.
const assert = require('node:assert');
const fs = require('node:fs');
const http2 = require('node:http2');
const { check, run } = require('./check');

const [plain, secure, ca] = process.argv.slice(2);

function ask(session, headers, body) {
  return new Promise((yes, no) => {
    const stream = session.request(headers, { endStream: !body });
    const answer = { body: '' };
    stream.setEncoding('utf8');
    stream.on('response', (h) => { answer.headers = h; });
    stream.on('trailers', (t) => { answer.trailers = t; });
    stream.on('data', (d) => { answer.body += d; });
    // node calls some resets an end; the code tells.
    stream.on('close', () => (stream.rstCode ? no(new Error(`reset ${stream.rstCode}`)) : yes(answer)));
    stream.on('error', no);
    if (body) stream.end(body);
  });
}

for (const [kind, url] of [['clear text', plain], ['TLS', secure]]) {
  const open = () => http2.connect(url, { ca: fs.readFileSync(ca) });
  check(`${kind}: 500 streams on one session`, async () => {
    const session = open();
    await new Promise((yes) => session.once('remoteSettings', yes));
    const all = [];
    for (let i = 0; i < 500; i += 50)
      all.push(...await Promise.all(Array.from({ length: 50 }, (_, k) => ask(session, { ':path': `/bytes/${i + k}` }))));
    all.forEach((a, i) => assert.strictEqual(a.body.length, i));
    session.close();
  });
  check(`${kind}: trailers`, async () => {
    const session = open();
    const a = await ask(session, { ':path': '/trailers' });
    assert.strictEqual(a.body, 'body');
    assert.strictEqual(a.trailers['x-sum'], '4');
    session.close();
  });
  check(`${kind}: a reset of one stream leaves the session`, async () => {
    const session = open();
    const stream = session.request({ ':path': '/hang' });
    await new Promise((yes) => setTimeout(yes, 50));
    stream.close(http2.constants.NGHTTP2_CANCEL);
    assert.strictEqual((await ask(session, { ':path': '/' })).body, 'ok');
    await new Promise((yes, no) => session.ping((e) => (e ? no(e) : yes())));
    session.close();
  });
  check(`${kind}: a server's reset reaches the client`, async () => {
    const session = open();
    // Or, where the answer's head had not left the gateway yet, a whole answer that says so.
    const broken = await ask(session, { ':path': '/reset?after=data' }).catch(() => null);
    assert.ok(!broken || broken.headers[':status'] === 502);
    assert.strictEqual((await ask(session, { ':path': '/' })).body, 'ok');
    session.close();
  });
}
run();
