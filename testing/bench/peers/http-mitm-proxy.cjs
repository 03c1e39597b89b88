// http-mitm-proxy without handlers. Argument: PORT; environment: WORK (folder for its own CA). It is found through
// NODE_PATH. Keep-alive is on, upstream verification off.
const https = require('node:https');
const path = require('node:path');
const process = require('node:process');

const { Proxy } = require('http-mitm-proxy');

const proxy = new Proxy();
// A connection that breaks under load must not end the peer, nor fill its log.
proxy.onError(() => {});
process.on('uncaughtException', (error) => console.error(error.message));
proxy.listen(
  {
    port: Number(process.argv[2]),
    host: '127.0.0.1',
    sslCaDir: path.join(process.env.WORK, 'ca'),
    keepAlive: true,
    httpsAgent: new https.Agent({ keepAlive: true, rejectUnauthorized: false, maxFreeSockets: 512 }),
  },
  () => console.log('up', process.version),
);
