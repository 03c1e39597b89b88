import { once } from 'node:events';
import { access, readFile } from 'node:fs/promises';
import { connect } from 'node:tls';

import { expect, test } from 'vitest';

import { demoAnswer, openDemoOrigin } from '../src/demo-origin.ts';

test('its certificate is good for localhost, and only its own authority vouches for it', async () => {
  const origin = await openDemoOrigin();
  try {
    const port = Number(origin.authority.split(':')[1]);
    const ca = await readFile(origin.caPath, 'utf8');
    const trusting = connect({ host: '127.0.0.1', port, servername: 'localhost', ca });
    await once(trusting, 'secureConnect');
    expect(trusting.authorized).toBe(true);
    trusting.write('POST /a?b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi');
    let text = '';
    for await (const piece of trusting) text += String(piece);
    expect(text).toContain(JSON.stringify(demoAnswer('POST', '/a?b', 2)));

    const doubting = connect({ host: '127.0.0.1', port, servername: 'localhost' });
    await expect(once(doubting, 'secureConnect')).rejects.toThrow(/certificate/u);
  } finally {
    await origin.close();
  }
  await expect(access(origin.caPath)).rejects.toThrow('ENOENT');
});
