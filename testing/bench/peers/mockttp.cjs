// mockttp as a plain forwarding proxy. Argument: PORT; environment: RSA_CA_CERT, RSA_CA_KEY, MODE=intercept|tunnel,
// H2=1. It is found through NODE_PATH. Upstream verification is off.
const fs = require('node:fs');
const process = require('node:process');

const mockttp = require('mockttp');

const { RSA_CA_CERT, RSA_CA_KEY, MODE, H2 } = process.env;

async function serve(port) {
  const https = { key: fs.readFileSync(RSA_CA_KEY, 'utf8'), cert: fs.readFileSync(RSA_CA_CERT, 'utf8') };
  if (MODE === 'tunnel') https.tlsPassthrough = [{ hostname: 'localhost' }, { hostname: '127.0.0.1' }];
  const server = mockttp.getLocal({ https, recordTraffic: false, http2: H2 === '1' });
  await server.forAnyRequest().thenPassThrough({ ignoreHostHttpsErrors: true });
  await server.start(port);
  console.log('up', process.version, server.port);
}

// A connection that breaks under load must not end the peer.
process.on('uncaughtException', (error) => console.error(error.message));
process.on('unhandledRejection', (error) => console.error(String(error?.message)));
serve(Number(process.argv[2])).catch((error) => {
  console.error(error);
  process.exit(1);
});
