// The program on a socket that systemd opens: by systemd's own starter, which starts it with the first client.
import { expect, test } from 'vitest';

import { createLabAuthority } from '../lab/certificates.ts';
import { curl, hasCommand } from '../lab/clients.ts';
import { startHttpsOrigin } from '../lab/origins.ts';
import { refusedPort } from '../lab/raw-origins.ts';
import { ProgramProcess } from './program-process.ts';

const canActivate =
  process.platform === 'linux' && (await hasCommand('systemd-socket-activate')) && (await hasCommand('curl'));

test.skipIf(!canActivate)('the client that makes systemd start the program is served', async () => {
  await using authority = await createLabAuthority();
  await using origin = await startHttpsOrigin({
    authority,
    handler: (_request, response) => void response.end('from the origin'),
  });
  const port = await refusedPort();
  const config = {
    bind: 'none',
    listeners: [{ fd: 3 }],
    interception: { destinations: ['*:*'] },
    upstream: { caPaths: [await authority.caFile()] },
  };
  await using program = await ProgramProcess.start(
    async (folder) => ['run', '--config', await folder.write('config.json', JSON.stringify(config))],
    { startedBy: ['systemd-socket-activate', '-l', `127.0.0.1:${port}`] },
  );
  await program.complaint(/Listening on /);
  const { code, stdout } = await curl([
    '-sk',
    '-x',
    `http://127.0.0.1:${port}`,
    `https://${origin.authority}/`,
  ]);
  expect([code, stdout.toString()]).toEqual([0, 'from the origin']);
  expect(await program.port()).toBe(port);
  program.signal('SIGTERM');
  expect(await program.end()).toBe(0);
});
