import { gzipSync } from 'node:zlib';

import { expect, test } from 'vitest';

import { EventStreamParser } from '../../src/frames/event-stream.ts';
import type { FrameFacts } from '../../src/frames/frame.ts';
import { JsonValueParser } from '../../src/frames/json-array.ts';
import { NdjsonParser } from '../../src/frames/ndjson.ts';
import { builtInFramers, FramerRegistry, jsonArrayFramer, isStreamType } from '../../src/frames/select.ts';
import type { FramedMessage, FramerFactory } from '../../src/frames/select.ts';
import { SseParser } from '../../src/frames/sse.ts';
import { HeaderMap } from '../../src/header-map.ts';

function messageOf(contentType?: string): FramedMessage {
  const headers = new HeaderMap(contentType === undefined ? [] : ['Content-Type', contentType]);
  return { direction: 'response', headers, path: '/' };
}

test.each([
  ['text/event-stream', 'sse_data'],
  ['Text/Event-Stream; charset=utf-8', 'sse_data'],
  [' text/event-stream ;x', 'sse_data'],
  ['application/x-ndjson', 'ndjson_line'],
  ['application/ndjson', 'ndjson_line'],
  ['application/jsonl', 'ndjson_line'],
  ['application/x-jsonlines', 'ndjson_line'],
  ['application/json-lines', 'ndjson_line'],
  ['application/stream+json', 'ndjson_line'],
  ['application/json-seq', 'json_value'],
  ['application/geo+json-seq', 'json_value'],
  ['application/vnd.amazon.eventstream', 'event_stream_message'],
  ['application/grpc', 'grpc_message'],
  ['application/grpc+proto', 'grpc_message'],
  ['application/grpc+json', 'grpc_message'],
  ['application/grpc-web', 'grpc_message'],
  ['application/grpc-web+proto', 'grpc_message'],
  ['application/grpc-web-text', 'grpc_message'],
  ['application/grpc-web-text+proto', 'grpc_message'],
  ['application/connect+json', 'grpc_message'],
])('%s is cut into %s', (contentType, kind) => {
  expect(new FramerRegistry().select(messageOf(contentType), 1024)?.kind).toBe(kind);
});

test.each([
  'application/json',
  'application/problem+json',
  'application/grpcish',
  'application/connect',
  'application/grpc+',
  'text/event-streams',
  'text/html',
  'text/',
  '/event-stream',
  '+json-seq',
  'json-seq',
  ';',
  '',
  undefined,
])('%s is not cut', (contentType) => {
  expect(new FramerRegistry().select(messageOf(contentType), 1024)).toBeUndefined();
});

test.each([
  ['text/event-stream', SseParser],
  ['application/ndjson', NdjsonParser],
  ['application/json-seq', JsonValueParser],
  ['application/vnd.amazon.eventstream', EventStreamParser],
])('the parser of %s has the limit that was given', (contentType, expected) => {
  const registry = new FramerRegistry();
  expect(registry.select(messageOf(contentType), 1024)).toBeInstanceOf(expected);
  expect(() => registry.select(messageOf(contentType), 0)).toThrow(RangeError);
});

/** Factories that tell which one was asked. */
function registryOf(...patterns: readonly string[]): {
  readonly registry: FramerRegistry;
  readonly asked: string[];
} {
  const asked: string[] = [];
  const factoryOf =
    (pattern: string): FramerFactory =>
    () => {
      asked.push(pattern);
      return undefined;
    };
  return { registry: new FramerRegistry(patterns.map((pattern) => [pattern, factoryOf(pattern)])), asked };
}

test.each([
  ['application/a+x', 'application/a+x'],
  ['application/a+y', 'application/a+*'],
  ['application/a+y+x', 'application/a+*'],
  ['application/b+x', '+x'],
  ['application/b+y+x', '+x'],
  ['image/b+x', '+x'],
  ['application/b+y', 'application/*'],
  ['application/a', 'application/*'],
  ['application/b', 'application/*'],
  ['image/b', undefined],
])('the most exact pattern wins: %s is for %s', (contentType, pattern) => {
  const { registry, asked } = registryOf('application/*', '+x', 'application/a+*', 'application/a+x');
  expect(registry.select(messageOf(contentType), 1024)).toBeUndefined();
  expect(asked).toEqual(pattern === undefined ? [] : [pattern]);
});

test.each<[string | undefined, boolean]>([
  [undefined, false],
  ['', false],
  ['application/json', false],
  ['text/plain; charset=utf-8', false],
  ['text/event-stream', true],
  ['Text/Event-Stream; charset=utf-8', true],
  ['application/x-ndjson', true],
  ['application/grpc+proto', true],
  ['application/connect+json', true],
])('whether %j is a stream by nature: %s', (contentType, isStream) => {
  expect(isStreamType(contentType)).toBe(isStream);
});

test('patterns have no case, and a later one of the same name takes the place of the earlier one', () => {
  const registry = new FramerRegistry();
  registry.register('Text/Event-Stream', () => new NdjsonParser(1024));
  expect(registry.select(messageOf('text/event-stream'), 1024)?.kind).toBe('ndjson_line');
});

test('a factory may look at the message, and leave it alone', () => {
  const registry = new FramerRegistry();
  registry.register('application/json', (message, maxBytes) =>
    message.path.endsWith(':stream') ? jsonArrayFramer(message, maxBytes) : undefined,
  );
  const message = messageOf('application/json');
  expect(registry.select(message, 1024)).toBeUndefined();
  expect(registry.select({ ...message, path: '/model:stream' }, 1024)?.kind).toBe('json_value');
});

test.each([
  '',
  '*',
  '*/*',
  'text',
  'text/',
  '/plain',
  'text/pl*',
  'text/*+json',
  '*/json',
  '+',
  '+*',
  'text/a; charset=utf-8',
  'text/a b',
  ' text/a',
  'te\u00e4xt/a',
])('%j is no pattern', (pattern) => {
  expect(() => new FramerRegistry().register(pattern, () => undefined)).toThrow(RangeError);
});

test('registries share nothing', () => {
  const one = new FramerRegistry();
  one.register('x/y', () => new NdjsonParser(1));
  expect(new FramerRegistry().select(messageOf('x/y'), 1)).toBeUndefined();
  expect(builtInFramers.has('x/y')).toBe(false);
});

test('one emit takes the facts of every parser, told apart by their kind', () => {
  const seen: string[] = [];
  const emit = (payload: Uint8Array, facts: FrameFacts): void => {
    const detail = facts.kind === 'sse_data' ? facts.event : 'none';
    seen.push(`${Buffer.from(payload).toString()} ${detail}`);
  };
  const registry = new FramerRegistry();
  registry.select(messageOf('text/event-stream'), 64)?.push(Buffer.from('event: a\ndata: b\n\n'), emit);
  registry.select(messageOf('application/jsonl'), 64)?.push(Buffer.from('{}\n'), emit);
  expect(seen).toEqual(['b a', '{} none']);
});

test.each([
  ['application/grpc', 'grpc-encoding'],
  ['application/grpc-web+proto', 'grpc-encoding'],
  ['application/connect+json', 'connect-content-encoding'],
])('messages of %s are inflated with the coding that %s names', (contentType, field) => {
  const headers = new HeaderMap(['Content-Type', contentType, field, 'gzip']);
  const parser = new FramerRegistry().select({ direction: 'response', headers, path: '/' }, 1_000);
  const sent = gzipSync('text');
  const seen: string[] = [];
  const prefix = Buffer.from([1, 0, 0, 0, sent.length]);
  parser?.push(Buffer.concat([prefix, sent]), (payload) => seen.push(Buffer.from(payload).toString()));
  expect(seen).toEqual(['text']);
});
