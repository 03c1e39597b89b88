// A temporary directory is private, holds what is written, and is gone afterwards.
import { existsSync } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';

import { expect, test } from 'vitest';

import { temporaryDirectory } from './temporary.ts';

test('a directory disappears with everything in it', async () => {
  const exitListeners = process.listenerCount('exit');
  let path: string;
  {
    await using folder = await temporaryDirectory();
    path = folder.path;
    const file = await folder.write('key.pem', 'secret');
    expect(file).toBe(folder.resolve('key.pem'));
    expect(await readFile(file, 'utf8')).toBe('secret');
    expect((await stat(file)).mode & 0o777).toBe(process.platform === 'win32' ? 0o666 : 0o600);
  }
  expect(existsSync(path)).toBe(false);
  expect(process.listenerCount('exit')).toBe(exitListeners);
});
