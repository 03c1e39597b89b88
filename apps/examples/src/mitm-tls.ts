import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';
import { connect, TLSSocket } from 'node:tls';

import { CertStore, classifyTlsError, type ClientHello, ClientHelloReader, generateCa, ja4 } from 'mitm-tls';

// A TLS server that answers for any host: it reads the ClientHello, then shows a certificate for the name in it.
const ca = await generateCa();
const store = await CertStore.create(ca);

const server = createServer((socket: Socket) => {
  const reader = new ClientHelloReader();
  socket.once('data', (chunk) => {
    socket.pause();
    socket.unshift(chunk);
    const hello = reader.push(chunk);
    if (hello === undefined) socket.destroy(); // A real server would wait for the rest.
    else void greet(socket, hello);
  });
});
async function greet(socket: Socket, hello: ClientHello): Promise<void> {
  const { context, status } = await store.contextFor([hello.sni ?? 'localhost'], hello);
  const secured = new TLSSocket(socket, { isServer: true, secureContext: context });
  secured.on('error', (error) => socket.destroy(error));
  secured.end(`hello ${hello.sni}, ${ja4(hello)}, certificate: ${status}`);
}
server.listen(0, '127.0.0.1');
await once(server, 'listening');
const address = server.address();
const port = address !== null && typeof address === 'object' ? address.port : 0;

// A client that trusts the CA reads the greeting; one that does not learns why.
const trusting = connect({ port, servername: 'api.example.test', ca: ca.certificatePem });
let greeting = '';
for await (const text of trusting.setEncoding('utf8')) greeting += String(text);
console.log(greeting);

const doubting = connect({ port, servername: 'api.example.test' });
const [error] = await once(doubting, 'error');
console.log(classifyTlsError(error)); // unknown_ca
server.close();
