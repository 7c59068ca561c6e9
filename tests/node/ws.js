'use strict';
// ws.js WS_URL WSS_URL CA_FILE: the ws package as a client; behind the gateway its server echoes (ws-echo.js).
const assert = require('node:assert');
const fs = require('node:fs');
const WebSocket = require('ws');
const { check, run } = require('./check');

const [plain, secure, ca] = process.argv.slice(2);

const opened = (url, options) => new Promise((yes, no) => {
  const s = new WebSocket(url, { ca: fs.readFileSync(ca), ...options });
  s.once('open', () => yes(s));
  s.once('error', no);
});
const message = (s) => new Promise((yes, no) => {
  s.once('message', (data, binary) => yes(binary ? data : String(data)));
  s.once('close', (code) => no(new Error(`closed ${code}`)));
});
const closed = (s) => new Promise((yes) => { s.once('close', (code, why) => yes([code, String(why)])); });

for (const [kind, url] of [['ws', plain], ['wss', secure]]) {
  check(`${kind}: text and binary come back`, async () => {
    const s = await opened(`${url}/echo`);
    s.send('hello \u{1F44B}');
    assert.strictEqual(await message(s), 'hello \u{1F44B}');
    s.send(Buffer.from([0, 1, 2, 255]));
    assert.deepStrictEqual(await message(s), Buffer.from([0, 1, 2, 255]));
    s.close(1000);
    assert.strictEqual((await closed(s))[0], 1000);
  });
  check(`${kind}: a message of 1 MB, and 500 small ones in order`, async () => {
    const s = await opened(`${url}/echo`);
    const big = Buffer.alloc(1 << 20, 'x');
    s.send(big);
    assert.ok((await message(s)).equals(big));
    const got = [];
    const done = new Promise((yes) => s.on('message', (d) => { got.push(String(d)); if (got.length === 500) yes(); }));
    for (let i = 0; i < 500; i++) s.send(String(i));
    await done;
    got.forEach((v, i) => assert.strictEqual(v, String(i)));
    s.terminate();
  });
  check(`${kind}: compressed messages pass`, async () => {
    const s = await opened(`${url}/echo`, { perMessageDeflate: true });
    assert.match(s.extensions, /permessage-deflate/);
    s.send('a'.repeat(100000));
    assert.strictEqual((await message(s)).length, 100000);
    s.close();
  });
  check(`${kind}: pings are answered`, async () => {
    const s = await opened(`${url}/echo`);
    const pong = new Promise((yes) => s.once('pong', (d) => yes(String(d))));
    s.ping('are you there');
    assert.strictEqual(await pong, 'are you there');
    s.close();
  });
  check(`${kind}: a subprotocol is agreed on`, async () => {
    const s = await new Promise((yes, no) => {
      const made = new WebSocket(`${url}/echo`, ['chat', 'echo'], { ca: fs.readFileSync(ca) });
      made.once('open', () => yes(made));
      made.once('error', no);
    });
    assert.strictEqual(s.protocol, 'chat');
    s.close();
  });
  check(`${kind}: the server's close code and reason arrive`, async () => {
    const s = await opened(`${url}/close`);
    assert.deepStrictEqual(await closed(s), [4001, 'because']);
  });
  check(`${kind}: no route, no WebSocket`, async () => {
    await assert.rejects(opened(`${url}/nowhere/x`), /404/);
  });
}
run();
