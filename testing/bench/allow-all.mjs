// The library as a program embeds it, with the least a handler can do: look at every request and allow it. What it
// costs above the bare program is the price of calling a handler.
// Arguments: PORT CA_CERT CA_KEY UPSTREAM_CA MODE (intercept or tunnel).
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';

import { allow, createMitmProxy } from 'soth-mitm';

// The program `soth-mitm` gives the compiler the same advice; whoever embeds the library is free to.
setFlagsFromString('--max-inlined-bytecode-size=1500');
setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');

const [port, caCertPath, caKeyPath, upstreamCa, mode] = process.argv.slice(2);
const stop = new AbortController();
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => stop.abort());

await createMitmProxy({
  config: {
    bind: `127.0.0.1:${port}`,
    // A list that names nothing the client asks for makes every connection a tunnel.
    interception: { destinations: [mode === 'tunnel' ? 'nothing.invalid:443' : '*:*'] },
    tls: { caCertPath, caKeyPath },
    upstream: { caPaths: [upstreamCa] },
  },
  handler: { onRequest: () => allow },
  signal: stop.signal,
}).run();
