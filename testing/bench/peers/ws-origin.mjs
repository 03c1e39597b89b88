// Origin for WebSockets: says each message back. Arguments: PORT CERT KEY; without the last two it speaks without TLS.
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import process from 'node:process';

import { WebSocketServer } from 'ws';

const [port, cert, key] = process.argv.slice(2);
const server =
  cert === undefined
    ? http.createServer({ noDelay: true })
    : https.createServer({ cert: fs.readFileSync(cert), key: fs.readFileSync(key), noDelay: true });
const sockets = new WebSocketServer({ server, perMessageDeflate: false });
sockets.on('connection', (socket) => {
  socket.on('error', () => {}); // a connection that breaks under load must not end the origin
  socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
});
server.listen(Number(port), '127.0.0.1', () => console.log('up'));
