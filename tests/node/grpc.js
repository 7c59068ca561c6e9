'use strict';
// grpc.js TARGET CA_FILE: @grpc/grpc-js against the gRPC routes of h2_service.py, bytes as messages.
const assert = require('node:assert');
const fs = require('node:fs');
const grpc = require('@grpc/grpc-js');
const { check, run } = require('./check');

const [target, ca] = process.argv.slice(2);
const bytes = (b) => b;
const method = (name, requestStream, responseStream) => ({
  path: `/test.Echo/${name}`, requestStream, responseStream, requestSerialize: bytes, requestDeserialize: bytes,
  responseSerialize: bytes, responseDeserialize: bytes,
});
const Echo = grpc.makeGenericClientConstructor({
  Unary: method('Unary', false, false), Fail: method('Fail', false, false), Sum: method('Sum', true, false),
  Many: method('Many', true, true),
}, 'Echo');
const client = new Echo(target, grpc.credentials.createSsl(fs.readFileSync(ca)));

check('unary', () => new Promise((yes, no) => {
  client.Unary(Buffer.from('hello'), (e, answer) => (e ? no(e) : yes(assert.strictEqual(String(answer), 'hello'))));
}));
check('an error with its message', () => new Promise((yes, no) => {
  client.Fail(Buffer.from(''), (e) => {
    try {
      assert.strictEqual(e.code, grpc.status.NOT_FOUND);
      yes(assert.strictEqual(e.details, 'not here'));
    } catch (wrong) { no(wrong); }
  });
}));
check('a stream of the client', () => new Promise((yes, no) => {
  const call = client.Sum((e, answer) => (e ? no(e) : yes(assert.strictEqual(String(answer), '20'))));
  for (let i = 0; i < 20; i++) call.write(Buffer.from(String(i)));
  call.end();
}));
check('both at once: each answer before the next question', () => new Promise((yes, no) => {
  const call = client.Many();
  let n = 0;
  call.on('data', (d) => {
    if (String(d) !== String(n)) no(new Error(`got ${d} for ${n}`));
    if (++n < 20) call.write(Buffer.from(String(n)));
    else call.end();
  });
  call.on('error', no);
  call.on('end', () => yes(assert.strictEqual(n, 20)));
  call.write(Buffer.from('0'));
}));
check('a hundred calls at once', () => Promise.all(Array.from({ length: 100 }, (_, i) => new Promise((yes, no) => {
  client.Unary(Buffer.from(String(i)), (e, answer) => (e ? no(e) : yes(assert.strictEqual(String(answer), String(i)))));
}))));
run();
