import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { TurnTracker } from '../../src/websocket/turn.ts';
import type { TurnStart, TurnSummary } from '../../src/websocket/turn.ts';

/** `C` and `S` are data of client and server, `c` and `s` control frames, `x` the client's close frame, digits wait so many times 100 ms. */
class Played {
  readonly starts: TurnStart[] = [];
  readonly turns: TurnSummary[] = [];
  readonly tracker: TurnTracker;
  nowMs = 1000;
  #sequenceNo = 0;

  constructor(script = '', idleMs?: number) {
    const sink = {
      turnStarted: (turn: TurnStart) => void this.starts.push(turn),
      turnCompleted: (turn: TurnSummary) => void this.turns.push(turn),
    };
    this.tracker = idleMs === undefined ? new TurnTracker(sink) : new TurnTracker(sink, idleMs);
    this.play(script);
  }

  play(script: string, payloadBytes = 5): void {
    for (const step of script) {
      if (/\d/.test(step)) {
        this.nowMs += Number(step) * 100;
        continue;
      }
      this.tracker.frame({
        direction: 'Ccx'.includes(step) ? 'client_to_server' : 'server_to_client',
        sequenceNo: ++this.#sequenceNo,
        isControl: 'csx'.includes(step),
        isClose: step === 'x',
        payloadBytes,
        atMs: this.nowMs,
      });
    }
  }

  /** Each completed turn: numbers of its first and last frame, and why it was complete. */
  get summary(): unknown[] {
    return this.turns.map((turn) => [turn.firstFrameSequenceNo, turn.lastFrameSequenceNo, turn.flushReason]);
  }
}

describe('where a turn ends', () => {
  test('WS-38 when the client speaks again after an answer', () => {
    const played = new Played();
    played.play('C1', 7);
    played.play('C', 8);
    played.play('1Ss1C', 10);
    expect(played.turns).toEqual([
      {
        turnId: 1,
        initiatedBy: 'client_to_server',
        startedAtUnixMs: 1000,
        endedAtUnixMs: 1200,
        firstFrameSequenceNo: 1,
        lastFrameSequenceNo: 4,
        clientFrameCount: 2,
        serverFrameCount: 2,
        clientPayloadBytes: 15,
        serverPayloadBytes: 20,
        flushReason: 'rollover',
      },
    ]);
    expect(played.tracker.finish(false)).toBe('eof');
    expect(played.turns[1]).toMatchObject({
      turnId: 2,
      clientFrameCount: 1,
      serverFrameCount: 0,
      flushReason: 'eof',
    });
    expect(played.starts).toEqual(
      played.turns.map(({ turnId, initiatedBy, firstFrameSequenceNo, startedAtUnixMs }) => ({
        turnId,
        initiatedBy,
        firstFrameSequenceNo,
        startedAtUnixMs,
      })),
    );
  });

  test('WS-39 the same when the server began', () => {
    const played = new Played('SSCcS');
    expect(played.summary).toEqual([[1, 4, 'rollover']]);
    expect(played.turns[0]).toMatchObject({
      initiatedBy: 'server_to_client',
      serverFrameCount: 2,
      clientFrameCount: 2,
    });
  });

  test.each([
    ['no answer, no end', 'CCCC', []],
    ['an answer alone ends nothing', 'CSSS', []],
    ['a control frame is no answer', 'CsC', []],
    ['a control frame does not begin a new one', 'CScC', [[1, 3, 'rollover']]],
    ['a control frame opens a turn where none is', 'sCS', [[1, 2, 'rollover']]],
    ['a close frame is counted and ends it', 'CSx', [[1, 3, 'close_frame']]],
    ['a close frame alone is a turn', 'x', [[1, 1, 'close_frame']]],
    ['nothing begins behind a close frame', 'CxCSs', [[1, 2, 'close_frame']]],
  ])('%s: %s', (_rule, script, turns) => {
    expect(new Played(script).summary).toEqual(turns);
  });
});

describe('silence', () => {
  test('750 ms complete a turn', () => {
    const played = new Played('C');
    expect(played.tracker.idleAtMs).toBe(1750);
    played.tracker.expire(1749);
    expect(played.turns).toEqual([]);
    played.tracker.expire(1750);
    expect(played.summary).toEqual([[1, 1, 'idle_timeout']]);
    expect(played.turns[0]?.endedAtUnixMs).toBe(1000);
    expect(played.tracker.idleAtMs).toBeUndefined();
    played.tracker.expire(9999);
    expect(played.turns).toHaveLength(1);
  });

  test('each frame begins it anew', () => {
    const played = new Played('C7s');
    expect(played.tracker.idleAtMs).toBe(2450);
  });

  test('whoever speaks first after it begins a turn', () => {
    const played = new Played('C');
    played.tracker.expire(2000);
    played.play('S');
    expect(played.starts[1]).toMatchObject({ turnId: 2, initiatedBy: 'server_to_client' });
  });

  test('a timer that is late changes nothing', () => {
    const played = new Played('CS8S');
    expect(played.summary).toEqual([[1, 2, 'idle_timeout']]);
    expect(played.starts).toHaveLength(2);
  });

  test('0 is never', () => {
    const played = new Played('C99999', 0);
    expect(played.tracker.idleAtMs).toBeUndefined();
    played.play('C');
    expect(played.turns).toEqual([]);
  });
});

describe('the end', () => {
  test.each([
    ['C', false, 'eof', [[1, 1, 'eof']]],
    ['C', true, 'error', [[1, 1, 'error']]],
    ['Cx', false, 'close_frame', [[1, 2, 'close_frame']]],
    ['Cx', true, 'error', [[1, 2, 'close_frame']]],
    ['', false, 'eof', []],
  ])('after %j, failed %s: %s', (script, isFailed, reason, turns) => {
    const played = new Played(script);
    expect(played.tracker.finish(isFailed)).toBe(reason);
    played.play('CS');
    expect(played.summary).toEqual(turns);
  });
});

test('any frames: turns alternate, end after they began, and count every frame until the first close frame', () => {
  const scripts = fc.string({
    unit: fc.constantFrom('C', 'S', 'c', 's', 'C', 'S', '1', '9', 'x'),
    maxLength: 60,
  });
  fc.assert(
    fc.property(scripts, (script) => {
      const played = new Played(script);
      played.tracker.finish(false);
      const { turns, starts } = played;
      expect(starts).toHaveLength(turns.length);
      for (const [index, turn] of turns.entries()) {
        expect(turn.turnId).toBe(index + 1);
        expect(turn.startedAtUnixMs).toBeLessThanOrEqual(turn.endedAtUnixMs);
        const frameCount = turn.clientFrameCount + turn.serverFrameCount;
        expect(frameCount).toBe(turn.lastFrameSequenceNo - turn.firstFrameSequenceNo + 1);
        expect(turn.firstFrameSequenceNo).toBe((turns[index - 1]?.lastFrameSequenceNo ?? 0) + 1);
      }
      const frames = script.replaceAll(/\d/g, '').replace(/x.*/, 'x');
      expect(turns.at(-1)?.lastFrameSequenceNo ?? 0).toBe(frames.length);
    }),
  );
});

test('a clock that was set back lets no turn end before it began', () => {
  const played = new Played('C');
  played.nowMs = 500;
  played.play('S');
  played.tracker.finish(false);
  expect(played.turns[0]).toMatchObject({ startedAtUnixMs: 1000, endedAtUnixMs: 1000 });
});
