// The library as a program embeds it, with the least a handler can do: look at every request and allow it, or count every chunk of a
// stream. What it costs above the bare program is the price of calling a handler.
// Arguments: PORT CA_CERT CA_KEY UPSTREAM_CA MODE (intercept or tunnel) HOOK (onRequest or onStreamChunk).
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';

import { allow, createMitmProxy } from 'soth-mitm';

// The program `soth-mitm` gives the compiler the same advice; whoever embeds the library is free to.
setFlagsFromString('--max-inlined-bytecode-size=1500');
setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');

const [port, caCertPath, caKeyPath, upstreamCa, mode, hook] = process.argv.slice(2);
let chunkCount = 0;
const onStreamChunk = () => {
  chunkCount += 1;
};
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
  handler: hook === 'onStreamChunk' ? { onStreamChunk } : { onRequest: () => allow },
  signal: stop.signal,
}).run();
if (hook === 'onStreamChunk') console.log(`${chunkCount} chunks`);
