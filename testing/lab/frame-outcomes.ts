// Frames sent through a proxy between two raw peers, and what became of them: on the wire, for both ends, and for the handler.
import type { InterceptHandler, StreamChunk } from 'soth-mitm';
import { expect } from 'vitest';

import { startProxy } from './proxy.ts';
import { type RawPair, startRawPairs } from './websocket-pair.ts';
import { clientFrame, frame, type FrameFields, framesIn } from './websocket-wire.ts';

export const CONTINUATION = 0;
export const TEXT = 1;
export const BINARY = 2;
export const CLOSE = 8;
export const PING = 9;
export const PONG = 10;

export const patience = { timeout: 10_000 };
export const directions = ['client_to_server', 'server_to_client'] as const;
export type Direction = (typeof directions)[number];

export interface Rule {
  readonly rule: string;
  readonly frames: readonly FrameFields[];
  /** Bytes of each write; all at once unless given. */
  readonly piece?: number;
  /** What both ends are closed with, and how many of the frames had passed before; everything passes unless given. */
  readonly refused?: { readonly with: number; readonly after: number };
}

/** A rule and a direction for each run of a test. */
export function inBoth(rules: readonly Rule[]): readonly (readonly [string, Direction, Rule])[] {
  return directions.flatMap((direction) => rules.map((rule) => [rule.rule, direction, rule] as const));
}

export function wire(direction: Direction, fields: FrameFields): Buffer {
  return direction === 'client_to_server' ? clientFrame(fields) : frame(fields);
}

export function ends(pair: RawPair, direction: Direction) {
  return direction === 'client_to_server'
    ? { sender: pair.client, receiver: pair.server }
    : { sender: pair.server, receiver: pair.client };
}

export const goodbye: FrameFields = { opcode: CLOSE, payload: closePayload(1000, 'bye') };

export function closePayload(code: number, reason: string | Buffer = ''): Buffer {
  return Buffer.concat([Buffer.from([code >> 8, code & 0xff]), Buffer.from(reason)]);
}

function isUtf8(bytes: Buffer): boolean {
  try {
    new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** The messages in frames that are right, as a handler is shown them. */
export function messagesOf(frames: readonly FrameFields[]): readonly string[] {
  const messages: string[] = [];
  let parts: Buffer[] = [];
  let kind = 'text';
  for (const { opcode = TEXT, isFinal = true, payload = '' } of frames) {
    if (opcode === CLOSE) messages.push(`close ${Buffer.from(payload).toString('hex')}`);
    if (opcode >= CLOSE) continue;
    if (opcode !== CONTINUATION) {
      parts = [];
      kind = opcode === TEXT ? 'text' : 'binary';
    }
    parts.push(Buffer.from(payload));
    if (!isFinal) continue;
    const whole = Buffer.concat(parts);
    const issue = kind === 'text' && !isUtf8(whole) ? ' invalid_utf8' : '';
    messages.push(`${kind} ${whole.toString('hex')}${issue}`);
  }
  return messages;
}

export interface FrameLab extends AsyncDisposable {
  /** What the handler was shown since the last pair was opened. */
  readonly chunks: readonly StreamChunk[];
  /** A new pair of peers, and nothing shown yet. */
  open(extensions?: string): Promise<RawPair>;
  /** What the handler was shown of one direction, in the form of {@link messagesOf}. */
  shown(direction: Direction): readonly string[];
}

export async function startFrameLab(): Promise<FrameLab> {
  const chunks: StreamChunk[] = [];
  const handler: InterceptHandler = { onStreamChunk: (chunk) => void chunks.push(chunk) };
  // Looking for the process of each client would only take time.
  const proxy = await startProxy({ handler, config: { processAttribution: { enabled: false } } });
  const pairs = await startRawPairs();
  return {
    chunks,
    open: async (extensions) => {
      chunks.length = 0;
      return pairs.open(proxy, extensions);
    },
    shown: (direction) => shownOf(chunks.filter((chunk) => chunk.direction === direction)),
    [Symbol.asyncDispose]: async () => {
      await pairs[Symbol.asyncDispose]();
      await proxy.finish();
      await proxy[Symbol.asyncDispose]();
    },
  };
}

function shownOf(chunks: readonly StreamChunk[]): readonly string[] {
  return chunks.map(({ frameKind, payload, facts }) => {
    const issue = 'issue' in facts && facts.issue !== undefined ? ` ${facts.issue}` : '';
    return `${frameKind.replace('websocket_', '')} ${Buffer.from(payload).toString('hex')}${issue}`;
  });
}

/** Sends the frames of a rule and checks what became of them, on the wire, for both ends and for the handler. */
export function expectOutcome(lab: FrameLab, direction: Direction, rule: Rule): Promise<void> {
  return rule.refused === undefined
    ? expectPassed(lab, direction, rule)
    : expectRefused(lab, direction, rule, rule.refused);
}

async function expectPassed(lab: FrameLab, direction: Direction, { frames, piece }: Rule): Promise<void> {
  await using pair = await lab.open();
  const { sender, receiver } = ends(pair, direction);
  const all = frames.at(-1)?.opcode === CLOSE ? frames : [...frames, goodbye];
  const sent = Buffer.concat(all.map((fields) => wire(direction, fields)));
  await sender.send(sent, piece);
  expect((await receiver.bytes(sent.length)).equals(sent)).toBe(true);
  await expect.poll(() => lab.shown(direction), patience).toEqual(messagesOf(all));
  expect(sender.received).toHaveLength(0);
}

async function expectRefused(
  lab: FrameLab,
  direction: Direction,
  { frames, piece }: Rule,
  refused: NonNullable<Rule['refused']>,
): Promise<void> {
  await using pair = await lab.open();
  const { sender, receiver } = ends(pair, direction);
  const passing = frames.slice(0, refused.after);
  await sender.send(Buffer.concat(frames.map((fields) => wire(direction, fields))), piece);
  const passed = Buffer.concat(passing.map((fields) => wire(direction, fields)));
  const atReceiver = await receiver.ended();
  expect(atReceiver.subarray(0, passed.length).equals(passed)).toBe(true);
  const told = { opcode: CLOSE, payload: closePayload(refused.with) };
  const isToServer = direction === 'client_to_server';
  expect(framesIn(atReceiver.subarray(passed.length))).toEqual([{ ...told, isMasked: isToServer }]);
  expect(framesIn(await sender.ended())).toEqual([{ ...told, isMasked: !isToServer }]);
  await expect.poll(() => lab.shown(direction), patience).toEqual(messagesOf(passing));
}
