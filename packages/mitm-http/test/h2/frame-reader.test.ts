import fc from 'fast-check';
import { expect, test } from 'vitest';

import { h2CodeName } from '../../src/h2/error-codes.ts';
import { FrameReader } from '../../src/h2/frame-reader.ts';
import type { FrameSink } from '../../src/h2/frame-reader.ts';
import { data, flags, frame, paddedData, ping, preface, settings, uint32 } from './wire-frames.ts';

class SinkLog implements FrameSink {
  isOver = false;
  readonly lines: string[] = [];
  readonly views: Buffer[] = [];
  #data = '';

  dataHead(id: number, isEnded: boolean, frameBytes: number, dataBytes: number): void {
    this.#data = '';
    this.lines.push(`data ${id}${isEnded ? ' end' : ''} ${dataBytes} of ${frameBytes}`);
  }

  dataPiece(chunk: Buffer, start: number, end: number, isLast: boolean): void {
    this.views.push(chunk);
    this.#data += chunk.toString('latin1', start, end);
    if (isLast) this.lines.push(this.#data);
  }

  headerBlock(
    id: number,
    isEnded: boolean,
    dependsOn: number,
    bytes: Buffer,
    start: number,
    end: number,
  ): void {
    const text = bytes.toString('latin1', start, end);
    this.lines.push(`block ${id}${isEnded ? ' end' : ''} on ${dependsOn} ${text}`);
  }

  frame(type: number, frameFlags: number, id: number, bytes: Buffer, start: number, end: number): void {
    this.lines.push(`frame ${type} ${frameFlags} ${id} ${bytes.toString('latin1', start, end)}`.trim());
  }

  fault(code: number): void {
    this.isOver = true;
    this.lines.push(`fault ${h2CodeName(code)}`);
  }

  flood(reason: string): void {
    this.isOver = true;
    this.lines.push(reason);
  }
}

const limits = { maxContinuationFrames: 3, maxHeaderBlockBytes: 20 };

function read(chunks: readonly Buffer[], expectsPreface = false): SinkLog {
  const sink = new SinkLog();
  const reader = new FrameReader(expectsPreface, limits, sink);
  for (const chunk of chunks) reader.push(chunk);
  return sink;
}

const hello = settings();
const prioritised = Buffer.concat([
  Buffer.from([1]),
  uint32(0x8000_0003),
  Buffer.from([9]),
  Buffer.from('abc-'),
]);

test.each([
  ['DATA', [data(1, 'hello', true)], ['data 1 end 5 of 5', 'hello']],
  ['DATA with nothing', [data(1, '')], ['data 1 0 of 0']],
  [
    'DATA with padding',
    [paddedData(3, 'hello', 4), ping()],
    ['data 3 5 of 10', 'hello', 'frame 6 0 0 12345678'],
  ],
  ['DATA of padding only', [paddedData(3, '', 4), ping()], ['data 3 0 of 5', 'frame 6 0 0 12345678']],
  ['a block in one frame', [frame(1, 5, 1, 'abc')], ['block 1 end on -1 abc']],
  ['a block with padding and priority', [frame(1, 0x2c, 1, prioritised)], ['block 1 on 3 abc']],
  ['a block of nothing', [frame(1, 4, 1)], ['block 1 on -1']],
  [
    'a block in three frames',
    [frame(1, 1, 1, 'ab'), frame(9, 0, 1, 'c'), frame(9, 4, 1, 'd')],
    ['block 1 end on -1 abcd'],
  ],
  ['CONTINUATION of no block', [frame(9, 4, 1, 'a')], ['fault PROTOCOL_ERROR']],
  ['CONTINUATION of another block', [frame(1, 0, 1, 'a'), frame(9, 4, 3, 'b')], ['fault PROTOCOL_ERROR']],
  ['anything else inside a block', [frame(1, 0, 1, 'a'), ping()], ['fault PROTOCOL_ERROR']],
  ['other frames', [frame(8, 0, 7, 'abcd'), frame(99, 3, 0, 'x')], ['frame 8 0 7 abcd', 'frame 99 3 0 x']],
  ['nothing after a fault', [ping('x'), ping()], ['fault FRAME_SIZE_ERROR']],
  [
    'too many pieces',
    [frame(1, 0, 1, 'a'), ...Array.from({ length: 4 }, () => frame(9, 0, 1))],
    ['continuation_flood'],
  ],
  [
    'pieces too large',
    [frame(1, 0, 1, 'a'.repeat(10)), frame(9, 4, 1, 'b'.repeat(11))],
    ['continuation_flood'],
  ],
  ['a first piece too large', [frame(1, 0, 1, 'a'.repeat(21))], ['continuation_flood']],
])('%s', (_rule, frames, lines) => {
  const whole = read([Buffer.concat([hello, ...frames])]).lines.map((line) => line.trim());
  expect(whole).toEqual(['frame 4 0 0', ...lines]);
  const bytes = Array.from(Buffer.concat([hello, ...frames]), (byte) => Buffer.from([byte]));
  expect(read(bytes).lines.map((line) => line.trim())).toEqual(whole);
});

test('the preface is read in any pieces, and refused at its first wrong byte', () => {
  expect(read([preface.subarray(0, 5), preface.subarray(5), hello], true).lines).toEqual(['frame 4 0 0']);
  expect(read([preface.subarray(0, 5), Buffer.from('X')], true).lines).toEqual(['fault PROTOCOL_ERROR']);
});

test('payload is never copied: views of the chunks go through, also when a frame is cut', () => {
  const bytes = data(1, 'x'.repeat(1000));
  const chunks = [hello, bytes.subarray(0, 300), bytes.subarray(300)];
  const sink = read(chunks);
  expect(sink.views[0]).toBe(chunks[1]);
  expect(sink.views[1]).toBe(chunks[2]);
});

test('a head that breaks a rule is refused before its payload comes', () => {
  expect(read([hello, frame(1, 5, 1, '', 16_385)]).lines).toEqual(['frame 4 0 0', 'fault FRAME_SIZE_ERROR']);
});

test('a sink that is over gets nothing more of the chunk', () => {
  const sink = new SinkLog();
  sink.frame = () => {
    sink.isOver = true;
    sink.lines.push('over');
  };
  new FrameReader(false, limits, sink).push(Buffer.concat([hello, data(1, 'a'), ping()]));
  expect(sink.lines).toEqual(['over']);
});

test('law: any split gives the same frames', () => {
  const anyFrame = fc.oneof(
    fc.string({ maxLength: 30 }).map((text) => data(1, text)),
    fc.nat(20).map((padding) => paddedData(1, 'text', padding)),
    fc.constant(Buffer.concat([frame(1, 0, 1, 'ab'), frame(9, flags.endHeaders, 1, 'cd')])),
    fc
      .tuple(fc.nat(255), fc.uint8Array({ maxLength: 20 }))
      .map(([type, body]) => frame(type, 4, 1, Buffer.from(body))),
  );
  fc.assert(
    fc.property(
      fc.array(anyFrame, { maxLength: 12 }),
      fc.array(fc.nat(), { maxLength: 9 }),
      (frames, places) => {
        const bytes = Buffer.concat([hello, ...frames]);
        const cuts = [0, ...places.map((place) => place % bytes.length), bytes.length].toSorted(
          (a, b) => a - b,
        );
        const chunks = cuts.slice(1).map((end, index) => bytes.subarray(cuts[index], end));
        expect(read(chunks).lines).toEqual(read([bytes]).lines);
      },
    ),
  );
});
