// A chain runs its stages in order and reports on each of them; behind one that waits or fails nothing is run.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import {
  builtInStages,
  DecoderChain,
  DecoderChainError,
  type DecoderFrame,
  DecoderRegistry,
  type DecoderStage,
  decoderStages,
  type StageProcessors,
  type StageResult,
} from '../src/decoder-chain.ts';
import { frameKinds } from '../src/frames/frame.ts';
import { errorOf } from './wire-text.ts';

function frameOf(text: string): DecoderFrame {
  return { bytes: Buffer.from(text), isEnd: true, attributes: {} };
}

/** A stage that adds its mark. */
function marks(mark: string, ran: string[] = []): (frame: DecoderFrame) => StageResult {
  return (frame) => {
    ran.push(mark);
    return {
      status: 'applied',
      frame: {
        ...frame,
        bytes: Buffer.concat([frame.bytes, Buffer.from(mark)]),
        attributes: { ...frame.attributes, [mark]: 'true' },
      },
    };
  };
}

function allMarks(ran: string[]): StageProcessors {
  return Object.fromEntries(decoderStages.map((stage, index) => [stage, marks(String(index), ran)]));
}

describe('the list of stages', () => {
  test.each<[string, readonly DecoderStage[], DecoderStage]>([
    ['the first one behind the second', ['content_decode', 'transfer_decode'], 'transfer_decode'],
    ['one in the middle', ['transfer_decode', 'payload_parse', 'envelope_parse'], 'envelope_parse'],
  ])('DC-01 out of order is refused at the stage that is: %s', (_what, stages, offending) => {
    const error = errorOf(() => new DecoderChain(stages, {}));
    expect(error).toBeInstanceOf(DecoderChainError);
    expect(error).toMatchObject({ code: 'stage_out_of_order', stage: offending });
  });

  test.each<[string, readonly DecoderStage[]]>([
    ['one behind the other', ['content_decode', 'content_decode']],
    ['with others between', ['content_decode', 'envelope_parse', 'content_decode']],
  ])('DC-02 twice is refused: %s', (_what, stages) => {
    const error = errorOf(() => new DecoderChain(stages, {}));
    expect(error).toMatchObject({ code: 'duplicate_stage', stage: 'content_decode' });
  });

  test('may be any part of the order, and none', () => {
    fc.assert(
      fc.property(fc.subarray([...decoderStages]), (stages) => {
        expect(new DecoderChain(stages, {}).stages).toEqual(stages);
      }),
    );
  });

  test('is the chain’s own', () => {
    const stages: DecoderStage[] = ['content_decode'];
    const chain = new DecoderChain(stages, {});
    stages.push('payload_parse');
    expect(chain.stages).toEqual(['content_decode']);
  });
});

describe('a run', () => {
  test('DC-03 goes through all five stages in their order', async () => {
    const ran: string[] = [];
    const chain = new DecoderChain(decoderStages, allMarks(ran));
    const { frame, reports, failure } = await chain.run(frameOf('x'));
    expect(ran).toEqual(['0', '1', '2', '3', '4']);
    expect(frame.bytes.toString()).toBe('x01234');
    expect(frame.attributes).toEqual({ 0: 'true', 1: 'true', 2: 'true', 3: 'true', 4: 'true' });
    expect(reports).toEqual(
      decoderStages.map((stage, index) => ({
        stage,
        status: 'applied',
        bytesIn: index + 1,
        bytesOut: index + 2,
      })),
    );
    expect(failure).toBeUndefined();
  });

  test('DC-04 ends at a stage that waits: those behind it are blocked, and that is no failure', async () => {
    const ran: string[] = [];
    const chain = new DecoderChain(decoderStages, {
      ...allMarks(ran),
      content_decode: () => ({ status: 'pending' }),
    });
    const { frame, reports, failure } = await chain.run(frameOf('x'));
    expect(reports.map(({ status }) => status)).toEqual([
      'applied',
      'pending',
      'blocked',
      'blocked',
      'blocked',
    ]);
    expect(reports[1]).toEqual({ stage: 'content_decode', status: 'pending', bytesIn: 2, bytesOut: 0 });
    expect([ran, frame.bytes.toString(), failure]).toEqual([['0'], 'x0', undefined]);
  });

  test.each<[string, StageProcessors['envelope_parse'], string, string]>([
    ['says so', () => ({ status: 'failed', detail: 'bad prefix' }), 'stage_failed', 'bad prefix'],
    ['says so later', async () => ({ status: 'failed', detail: 'late' }), 'stage_failed', 'late'],
    [
      'throws',
      () => {
        throw new RangeError('too far');
      },
      'stage_failed',
      'too far',
    ],
    ['rejects', () => Promise.reject(new Error('no')), 'stage_failed', 'no'],
    ['is not there', undefined, 'missing_stage_processor', ''],
  ])('DC-05 fails at a stage that %s, with its name', async (_how, envelope, code, detail) => {
    const ran: string[] = [];
    const { envelope_parse: _none, ...others } = allMarks(ran);
    const processors = envelope === undefined ? others : { ...others, envelope_parse: envelope };
    const { frame, reports, failure } = await new DecoderChain(decoderStages, processors).run(frameOf('x'));
    expect(failure).toEqual({ stage: 'envelope_parse', code, detail });
    expect(reports[3]).toEqual({
      stage: 'envelope_parse',
      status: 'failed',
      bytesIn: 4,
      bytesOut: 0,
      failure,
    });
    expect(reports[4]).toEqual({ stage: 'payload_parse', status: 'blocked', bytesIn: 0, bytesOut: 0 });
    expect([ran, frame.bytes.toString()]).toEqual([['0', '1', '2'], 'x012']);
  });

  test('reports on each stage, applies nothing behind one that waits or fails, and has a failure exactly where one failed', async () => {
    const outcomes = fc.constantFrom('applied', 'pending', 'failed', 'throws', 'missing');
    await fc.assert(
      fc.asyncProperty(
        fc.subarray([...decoderStages]),
        fc.array(outcomes, { minLength: 5, maxLength: 5 }),
        async (stages, plan) => {
          const processors = Object.fromEntries(
            decoderStages.flatMap((stage, index) => {
              const outcome = plan[index];
              if (outcome === 'missing') return [];
              if (outcome === 'applied') return [[stage, marks('m')] as const];
              if (outcome === 'pending')
                return [[stage, (): StageResult => ({ status: 'pending' })] as const];
              const fail = (): StageResult => {
                if (outcome === 'throws') throw new Error('no');
                return { status: 'failed', detail: 'no' };
              };
              return [[stage, fail] as const];
            }),
          );
          const { frame, reports, failure } = await new DecoderChain(stages, processors).run(frameOf('x'));
          expect(reports.map(({ stage }) => stage)).toEqual(stages);
          const stop = reports.findIndex(({ status }) => status !== 'applied');
          const behind = stop === -1 ? [] : reports.slice(stop + 1);
          expect(behind.every(({ status }) => status === 'blocked')).toBe(true);
          expect(reports.filter((report) => report.failure !== undefined)).toEqual(
            reports.filter(({ status }) => status === 'failed'),
          );
          expect(failure).toEqual(reports.find(({ status }) => status === 'failed')?.failure);
          const appliedCount = reports.filter(({ status }) => status === 'applied').length;
          expect(frame.bytes).toHaveLength(1 + appliedCount);
        },
      ),
    );
  });
});

describe('a registry', () => {
  test('DC-06 keeps lists that a chain can have, and refuses others', () => {
    const registry = new DecoderRegistry([]);
    registry.register('mine', ['content_decode', 'payload_parse']);
    expect(registry.stagesOf('mine')).toEqual(['content_decode', 'payload_parse']);
    expect(registry.stagesOf('other')).toBeUndefined();
    expect(errorOf(() => registry.register('mine', ['payload_parse', 'content_decode']))).toMatchObject({
      code: 'stage_out_of_order',
    });
    expect(registry.stagesOf('mine')).toEqual(['content_decode', 'payload_parse']);
    registry.register('mine', []);
    expect(registry.stagesOf('mine')).toEqual([]);
  });

  test.each([...frameKinds, 'http_body'])('knows what %s goes through', (kind) => {
    expect(new DecoderRegistry().stagesOf(kind)).toEqual(builtInStages.get(kind));
    expect(builtInStages.get(kind)?.length).toBeGreaterThan(0);
  });
});
