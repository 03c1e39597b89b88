// A process of its own with a proxy whose handler counts chunks, so that its memory can be measured: started with `fork`, it tells
// where it listens, and what it has counted whenever it is asked.
import { createMitmProxy, generateCa } from 'soth-mitm';

/** What it counts of one run. */
export interface ChunkTally {
  readonly count: number;
  /** The number of the first chunk that was not the next one; -1 without. */
  readonly firstGap: number;
  readonly bytes: number;
  readonly ends: number;
}

const [caFile] = process.argv.slice(2);
const ca = await generateCa();
let count = 0;
let firstGap = -1;
let bytes = 0;
let ends = 0;
const handle = await createMitmProxy({
  ca,
  config: {
    bind: '127.0.0.1:0',
    interception: { destinations: ['*:*'] },
    ...(caFile !== undefined && { upstream: { caPaths: [caFile] } }),
  },
  handler: {
    onStreamChunk: ({ sequence, payload }) => {
      // Each event says its own number.
      if (sequence !== count || Number(Buffer.from(payload).toString().split(' ')[0]) !== count)
        firstGap = firstGap < 0 ? count : firstGap;
      count += 1;
      bytes += payload.length;
    },
    onStreamEnd: () => {
      ends += 1;
    },
  },
}).start();
process.on('message', () => {
  process.send?.({ count, firstGap, bytes, ends } satisfies ChunkTally);
});
process.on('disconnect', () => process.exit(0));
process.send?.({ port: handle.address.port, certificatePem: ca.certificatePem });
