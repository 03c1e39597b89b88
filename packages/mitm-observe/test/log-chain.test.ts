import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import { afterEach, beforeEach, expect, test } from 'vitest';

import { chainDigest, eventChainSchema, LogChain } from '../src/log-chain.ts';
import { LogFile } from '../src/log-file.ts';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'log-chain-'));
});
afterEach(() => rm(folder, { recursive: true }));

const key = Buffer.alloc(32, 7);

async function writtenChain(name: string): Promise<Record<string, unknown>[]> {
  const path = join(folder, name);
  const chain = await LogChain.begin(await LogFile.create(path), key);
  await chain.add({ segment: 0, byteOffset: 0, bytes: Buffer.from('one\ntwo\n'), lineCount: 2 });
  await chain.end();
  await chain.close();
  const lines = (await readFile(path, 'utf8')).split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line));
}

test('each entry vouches for what it says, for bytes of the log, and for the entry before', async () => {
  const [begin, added, end] = await writtenChain('a');
  const nonce = String(begin?.['nonce']);
  const first = chainDigest(key, '', { schema: eventChainSchema, nonce });
  expect(begin).toEqual({ schema: eventChainSchema, nonce, mac: first });
  const entry = { segment: 0, byte_offset: 0, byte_length: 8, line_count: 2 };
  const second = chainDigest(key, first, entry, Buffer.from('one\ntwo\n'));
  expect(added).toEqual({ ...entry, mac: second });
  expect(end).toEqual({
    end: true,
    line_count: 2,
    mac: chainDigest(key, second, { end: true, line_count: 2 }),
  });
});

test('it goes on under another key, under none, and under one again', async () => {
  const path = join(folder, 'turned');
  const chain = await LogChain.begin(await LogFile.create(path), key);
  const other = Buffer.alloc(32, 8);
  expect([chain.isKeyedBy(key), chain.isKeyedBy(other), chain.isKeyedBy(undefined)]).toEqual([
    true,
    false,
    false,
  ]);
  await chain.turnTo(other, { segment: 0, byteOffset: 8 });
  expect(chain.isKeyedBy(Buffer.from(other))).toBe(true);
  await chain.turnTo(undefined, { segment: 0, byteOffset: 8 });
  expect([chain.isKeyedBy(other), chain.isKeyedBy(undefined)]).toEqual([false, true]);
  await chain.add({ segment: 0, byteOffset: 8, bytes: Buffer.from('\n'), lineCount: 1 });
  await chain.turnTo(key, { segment: 1, byteOffset: 0 });
  await chain.end();
  await chain.close();
  const entries = (await readFile(path, 'utf8'))
    .split('\n')
    .slice(0, -1)
    .map((line): object => JSON.parse(line));
  const goesOn = { end: true, line_count: 0, continues: true };
  expect(entries).toMatchObject([
    { schema: eventChainSchema },
    goesOn,
    { schema: eventChainSchema, from_segment: 0, from_offset: 8 },
    goesOn,
    { schema: eventChainSchema, from_segment: 1, from_offset: 0 },
    { end: true, line_count: 0 },
  ]);
});

test('two chains with one key and one log have nothing in common', async () => {
  const macs = [...(await writtenChain('a')), ...(await writtenChain('b'))].map(({ mac }) => mac);
  expect(new Set(macs).size).toBe(6);
});

test('a digest depends on the key, the entry before and the entry', () => {
  const digest = chainDigest(key, 'p', { end: true, line_count: 0 });
  expect(digest).toMatch(/^[\da-f]{64}$/);
  expect(digest).not.toBe(chainDigest(Buffer.alloc(32, 8), 'p', { end: true, line_count: 0 }));
  expect(digest).not.toBe(chainDigest(key, 'q', { end: true, line_count: 0 }));
  expect(digest).not.toBe(chainDigest(key, 'p', { end: true, line_count: 1 }));
});
