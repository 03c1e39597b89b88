import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { joinedPair, writeAll } from './joined-pair.ts';
import { settle } from './joined-sessions.ts';
import { ok, optionsOf, SessionCase } from './session-case.ts';
import {
  BlockWriter,
  block,
  data,
  flags,
  frame,
  get,
  goaway,
  headers,
  paddedData,
  ping,
  post,
  preface,
  priority,
  reset,
  settings,
  settingsAck,
  windowUpdate,
} from './wire-frames.ts';

const streamId = fc.constantFrom(1, 3, 5, 7);
const payload = fc.constantFrom('', 'a', 'hello', 'twenty bytes of this', 'x'.repeat(300));
const anyFrame = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.tuple(streamId, payload, fc.boolean()).map(([id, text, end]) => data(id, text, end)),
  },
  { weight: 6, arbitrary: fc.tuple(streamId, fc.boolean()).map(([id, end]) => headers(id, post, end)) },
  fc.tuple(streamId, payload, fc.nat(9)).map(([id, text, padding]) => paddedData(id, text, padding)),
  streamId.map((id) => headers(id, ['x-sum', '1'], true)),
  streamId.map((id) => headers(id, [...get, 'content-length', '5'])),
  streamId.map((id) =>
    Buffer.concat([
      frame(1, 1, id, block(get.slice(0, 4))),
      frame(9, flags.endHeaders, id, block(get.slice(4))),
    ]),
  ),
  streamId.map((id) => reset(id, 8)),
  fc.tuple(fc.constantFrom(0, 1, 3), fc.nat(3)).map(([id, more]) => windowUpdate(id, more)),
  fc.constantFrom(
    ping(),
    settings([4, 10]),
    settings([1, 0]),
    priority(1, 3),
    goaway(0, 0),
    frame(77, 0, 1, 'x'),
  ),
);

// What a listener is told, with the pieces of one DATA frame put together again.
function joined(calls: readonly string[]): string[] {
  const lines: string[] = [];
  let key = '';
  for (const call of calls) {
    const match = /^(\d+ data) (.*?)( end)?$/.exec(call);
    const before = lines.at(-1);
    if (match === null) lines.push(call);
    else if (before !== undefined && key === match[1] && !before.endsWith(' end')) {
      lines[lines.length - 1] = `${before}${match[2]}${match[3] ?? ''}`;
    } else lines.push(`${match[1]} ${match[2]}${match[3] ?? ''}`);
    key = match?.[1] ?? '';
  }
  return lines;
}

// Listeners in this test write payload down in full, whatever its length.
function run(chunks: readonly Buffer[]): { readonly told: readonly string[]; readonly sent: string } {
  const made = new SessionCase(optionsOf('server'));
  made.onRequest = (stream) => {
    const recorder = made.recorders.at(-1);
    if (recorder !== undefined) {
      recorder.data = (view, isEnded) => {
        made.calls.push(`${stream.id} data ${view.toString('latin1')}${isEnded ? ' end' : ''}`);
      };
    }
    stream.sendHead(ok, false);
    stream.sendData(Buffer.from('twenty bytes of this'));
    if (stream.id > 1) stream.sendEnd();
  };
  for (const chunk of chunks) {
    const copy = Buffer.from(chunk);
    made.session.receive(copy, 0);
    copy.fill(0xff);
  }
  return { told: joined(made.calls), sent: made.session.takeOutput()?.toString('latin1') ?? '' };
}

function cut(bytes: Buffer, at: readonly number[]): Buffer[] {
  const places = [0, ...at.map((place) => place % (bytes.length + 1)), bytes.length].toSorted(
    (a, b) => a - b,
  );
  return places.slice(1).map((place, index) => bytes.subarray(places[index], place));
}

describe('any split of the bytes gives the same calls and the same output', () => {
  test('for sequences of frames, good and bad', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 30 }),
        fc.array(fc.nat(), { maxLength: 12 }),
        (frames, places) => {
          const bytes = Buffer.concat([preface, settings(), settingsAck, ...frames]);
          expect(run(cut(bytes, places))).toEqual(run([bytes]));
        },
      ),
      { numRuns: 400 },
    );
  });

  test('byte by byte', () => {
    fc.assert(
      fc.property(fc.array(anyFrame, { maxLength: 12 }), (frames) => {
        const bytes = Buffer.concat([preface, settings([1, 100]), ...frames]);
        expect(run(Array.from(bytes, (byte) => Buffer.from([byte])))).toEqual(run([bytes]));
      }),
      { numRuns: 60 },
    );
  });
});

describe('garbage never throws, and is answered by little', () => {
  const wildFrame = fc
    .tuple(fc.nat(12), fc.nat(255), fc.nat(9), fc.uint8Array({ maxLength: 60 }), fc.option(fc.nat(70)))
    .map(([type, frameFlags, id, body, length]) =>
      frame(type, frameFlags, id, Buffer.from(body), length ?? body.length),
    );

  test.each(['server', 'client'] as const)('as a %s', (role) => {
    fc.assert(
      fc.property(
        fc.array(wildFrame, { maxLength: 40 }),
        fc.uint8Array({ maxLength: 100 }),
        (frames, noise) => {
          const made = new SessionCase(optionsOf(role));
          made.sent();
          if (role === 'client') made.open(post, false);
          const bytes = Buffer.concat([
            role === 'server' ? preface : Buffer.alloc(0),
            settings(),
            ...frames,
            noise,
          ]);
          made.session.receive(bytes, 0);
          made.session.receive(Buffer.from(noise), 1);
          expect(made.session.takeOutput()?.length ?? 0).toBeLessThan(bytes.length * 3 + 400);
          made.session.end();
          expect(made.session.openCount).toBe(0);
          expect(made.calls.filter((call) => /^1 .*(end|reset|trailers)/.test(call)).length).toBeLessThan(3);
        },
      ),
      { numRuns: 600 },
    );
  });

  test('random bytes instead of a connection', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (noise) => {
        const made = new SessionCase(optionsOf('client'));
        made.session.receive(Buffer.from(noise), 0);
        expect(made.calls.length).toBeLessThan(3);
      }),
    );
  });
});

describe('two sessions back to back', () => {
  const exchange = fc.record({
    sizes: fc.array(fc.integer({ min: 0, max: 90_000 }), { minLength: 1, maxLength: 8 }),
    steps: fc.array(fc.tuple(fc.nat(7), fc.integer({ min: 1, max: 40_000 })), { maxLength: 60 }),
    windowBytes: fc.constantFrom(1, 100, 20_000, 65_535, 262_144),
    piece: fc.integer({ min: 1, max: 30_000 }),
    isGreeted: fc.boolean(),
  });

  test('deliver all payload of all streams in order, within the windows, and leave nothing behind', () => {
    fc.assert(
      fc.property(exchange, ({ sizes, steps, windowBytes, piece, isGreeted }) => {
        // Windows of a few bytes make a frame of each few bytes: such bodies are kept short.
        const most = windowBytes > 1000 ? 90_000 : windowBytes * 20;
        const bodies = sizes.map((size, index) => Buffer.alloc(Math.min(size, most), 65 + index));
        const { client, server, pipes, up, down } = joinedPair({ initialWindowBytes: windowBytes });
        if (isGreeted) settle(pipes);
        for (const body of bodies) writeAll(client.open(post, false), body, piece, client);
        for (const [what, bytes] of steps) {
          const pipe = pipes[what & 1];
          if (what === 6) server.session.setCongested(bytes % 2 === 0);
          else if (what === 7) client.session.setCongested(bytes % 2 === 0);
          else if (what < 4) pipe?.fill();
          pipe?.deliver(bytes);
        }
        server.session.setCongested(false);
        client.session.setCongested(false);
        settle(pipes);
        expect(client.failure ?? server.failure).toBeUndefined();
        for (const [index, body] of bodies.entries()) {
          expect(server.recorder(index).payload.equals(body)).toBe(true);
          expect(client.recorder(index).payload.equals(body)).toBe(true);
        }
        for (const side of [client.session, server.session]) {
          expect([side.openCount, side.queuedBytes, side.stats.completedStreams]).toEqual([
            0,
            0,
            bodies.length,
          ]);
        }
        for (const meter of [up, down]) {
          // What was sent before the SETTINGS of the peer came may be more than they allow.
          expect(isGreeted ? meter.lowest : 0).toBeGreaterThanOrEqual(0);
          expect(meter.connection).toBeGreaterThanOrEqual(8_388_608);
          expect(meter.connection).toBeLessThanOrEqual(16_777_216);
        }
      }),
      { numRuns: 60 },
    );
  });
});

test('a table of the peer with changing entries survives refused and reset streams', () => {
  const writer = new BlockWriter();
  const made = new SessionCase(optionsOf('server', { maxConcurrentStreams: 2 }));
  made.feed(preface, settings(), settingsAck);
  for (let id = 1; id < 40; id += 2) made.feed(writer.headers(id, [...get, 'x-id', `${id}`]), reset(id, 8));
  made.feed(writer.headers(41, get), writer.headers(43, get), writer.headers(45, [...get, 'x-late', '1']));
  made.stream(20).reset(8);
  made.feed(writer.headers(47, [...get, 'x-late', '1'], true));
  expect(made.failure).toBeUndefined();
  expect(made.calls.at(-1)).toBe('47 request GET / end');
});
