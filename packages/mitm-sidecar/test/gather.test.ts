// Reading a beginning: whatever becomes of it, the bytes stay on the wire, and nothing else of the reading does.
import { duplexPair } from 'node:stream';

import { describe, expect, test, vi } from 'vitest';

import { expectNothingLeft, openHandles } from '../../../testing/lab/resources.ts';
import { everySplit } from '../../../testing/lab/split.ts';
import { gather, type GatherOptions } from '../src/gather.ts';
import { Wire } from '../src/wire.ts';
import { nextTurn, record } from './streams.ts';

/** Everything up to a semicolon. */
function upToSemicolon(bytes: Buffer): string | undefined {
  const end = bytes.indexOf(';');
  return end === -1 ? undefined : bytes.toString('latin1', 0, end);
}

function options(given: Partial<GatherOptions<string>> = {}): GatherOptions<string> {
  return { recognise: upToSemicolon, timeoutMs: 5_000, timeStarts: 'now', ...given };
}

function wirePair() {
  const [near, far] = duplexPair();
  return { wire: new Wire(near), near, far };
}

describe('what is found', () => {
  test('is the same however the bytes are cut, and all of them stay on the wire', async () => {
    const tried = await everySplit(
      Buffer.from('a beginning;and more'),
      async (pieces) => {
        const { wire, far } = wirePair();
        for (const piece of pieces) far.write(piece);
        const found = await gather(wire, options()).result;
        const next = record(wire);
        await next.until(() => next.text.length === 20);
        return [found, next.text];
      },
      { maxSplits: 80 },
    );
    expect(tried).toBeGreaterThan(20);
  });

  test('may have been on the wire before', async () => {
    const { wire } = wirePair();
    wire.pushBack(Buffer.from('held;rest'));
    expect(await gather(wire, options()).result).toEqual({ kind: 'found', value: 'held' });
    wire.skip(5);
    expect(record(wire).text).toBe('rest');
  });

  test('what the rule throws is the outcome', async () => {
    const { wire, far } = wirePair();
    const error = new Error('not this');
    far.write('bytes');
    const outcome = await gather(
      wire,
      options({
        recognise: () => {
          throw error;
        },
      }),
    ).result;
    expect(outcome).toEqual({ kind: 'failed', error });
    expect(record(wire).text).toBe('bytes');
  });
});

describe('what ends the reading', () => {
  test.each([
    ['without a byte', '', 0],
    ['in the middle', 'half', 4],
  ])('the end of the stream %s', async (_name, sent, received) => {
    const { wire, far } = wirePair();
    far.end(sent);
    expect(await gather(wire, options()).result).toEqual({ kind: 'ended', received });
    expect(record(wire).text).toBe(sent);
  });

  test('the loss of the stream, with its error', async () => {
    const { wire, near, far } = wirePair();
    const reading = gather(wire, options());
    far.write('half');
    await nextTurn();
    const error = new Error('cable cut');
    near.destroy(error);
    expect(await reading.result).toEqual({ kind: 'closed', received: 4, error });
  });

  test('a stream that is gone already', async () => {
    const { wire } = wirePair();
    wire.destroy();
    await vi.waitFor(() => expect(wire.isClosed).toBe(true));
    expect(await gather(wire, options()).result).toEqual({ kind: 'closed', received: 0, error: undefined });
  });
});

describe('time', () => {
  test('runs from the call, bytes or not', async () => {
    const { wire, far } = wirePair();
    far.write('half');
    const reading = gather(wire, options({ timeoutMs: 20 }));
    expect(await reading.result).toEqual({ kind: 'timeout', received: 4 });
    expect(record(wire).text).toBe('half');
  });

  test('is not prolonged by bytes that come one by one', async () => {
    const { wire, far } = wirePair();
    const since = performance.now();
    const drip = setInterval(() => far.write('x'), 5);
    const outcome = await gather(wire, options({ timeoutMs: 40 })).result;
    clearInterval(drip);
    expect(outcome.kind).toBe('timeout');
    expect(performance.now() - since).toBeLessThan(2_000);
  });

  test('runs from the first byte where that is asked for', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const { wire, far } = wirePair();
      const reading = gather(wire, options({ timeoutMs: 20, timeStarts: 'first_byte' }));
      vi.advanceTimersByTime(600_000);
      expect(vi.getTimerCount()).toBe(0);
      far.write('x');
      await nextTurn();
      await nextTurn();
      expect(vi.getTimerCount()).toBe(1);
      vi.advanceTimersByTime(20);
      expect(await reading.result).toEqual({ kind: 'timeout', received: 1 });
    } finally {
      vi.useRealTimers();
    }
  });

  test('before the first byte is the silence that is allowed', async () => {
    const { wire } = wirePair();
    const reading = gather(wire, options({ timeoutMs: 5_000, timeStarts: 'first_byte', silenceMs: 15 }));
    expect(await reading.result).toEqual({ kind: 'timeout', received: 0 });
  });

  test('0 is no limit, and no timer', () => {
    const before = openHandles().get('Timeout') ?? 0;
    const { wire } = wirePair();
    const reading = gather(wire, options({ timeoutMs: 0 }));
    expect(openHandles().get('Timeout') ?? 0).toBe(before);
    reading.cancel();
  });

  test('leaves no timer behind, however it ends', async () => {
    const before = openHandles();
    const found = wirePair();
    found.far.write('x;');
    await gather(found.wire, options()).result;
    const ended = wirePair();
    ended.far.end();
    await gather(ended.wire, options()).result;
    gather(wirePair().wire, options()).cancel();
    await expectNothingLeft(before);
  });
});

describe('cancel', () => {
  test('leaves what was read to the next reader, and never settles', async () => {
    const { wire, far } = wirePair();
    const reading = gather(wire, options({ timeoutMs: 30 }));
    const settled = vi.fn<() => void>();
    void reading.result.then(settled);
    far.write('half');
    await nextTurn();
    await nextTurn();
    reading.cancel();
    const next = record(wire);
    expect(next.text).toBe('half');
    far.write(';more');
    await next.until(() => next.text === 'half;more');
    reading.cancel();
    expect(settled).not.toHaveBeenCalled();
  });

  test('after the outcome takes nothing from the next reader', async () => {
    const { wire, far } = wirePair();
    far.write('x;');
    const reading = gather(wire, options());
    await reading.result;
    const next = record(wire);
    reading.cancel();
    far.write('y');
    await next.until(() => next.calls.length === 2);
    expect(next.text).toBe('x;y');
  });
});

test('a drain or a silence is no news to it', async () => {
  const { wire, near, far } = wirePair();
  const reading = gather(wire, options());
  near.emit('drain');
  near.emit('timeout');
  far.write('still;');
  expect(await reading.result).toEqual({ kind: 'found', value: 'still' });
});
