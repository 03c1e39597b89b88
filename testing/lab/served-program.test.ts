// A server program is there when it answers, and gone with its scope.
import { expect, test } from 'vitest';

import { dialLoopback } from './clients.ts';
import { serveProgram } from './served-program.ts';

const server = "require('net').createServer().listen(Number(process.argv[1]), '127.0.0.1')";

test('a server answers on its port until it is let go of', async () => {
  let port = 0;
  {
    await using program = await serveProgram(process.execPath, (given) => ['-e', server, String(given)]);
    port = program.port;
    (await dialLoopback(port)).destroy();
  }
  await expect(dialLoopback(port)).rejects.toThrow('ECONNREFUSED');
});

test('one that ends at once says why', async () => {
  const broken = serveProgram(process.execPath, () => ['-e', 'console.error("no"); process.exit(3)']);
  await expect(broken).rejects.toThrow('ended at once: no');
});
