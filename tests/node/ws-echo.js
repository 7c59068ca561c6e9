'use strict';
// A WebSocket service: /echo sends back what comes, /close closes with 4001. Prints its port.
const { WebSocketServer } = require('ws');

const server = new WebSocketServer({ host: '127.0.0.1', port: 0, perMessageDeflate: true }, () => {
  console.log(server.address().port);
});
server.on('connection', (s, request) => {
  if (request.url.startsWith('/close')) s.close(4001, 'because');
  s.on('message', (data, binary) => s.send(data, { binary }));
});
