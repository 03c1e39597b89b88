import { expect, test } from 'vitest';

import { ConfigError, generateCa, MitmProxyBuilder } from '../src/index.ts';

test('the builder makes the same proxy, signing with the authority it was given', async () => {
  const ca = await generateCa({ commonName: 'builder test' });
  const proxy = await new MitmProxyBuilder({ bind: '127.0.0.1:0', interception: { destinations: ['*:*'] } })
    .withCa(ca)
    .build()
    .start();
  expect(proxy.ca.fingerprint).toBe(ca.fingerprint);
  await proxy.shutdown();
});

test('build() validates and opens nothing', () => {
  const builder = new MitmProxyBuilder({ interception: { destinations: [] } });
  expect(() => builder.build()).toThrow(ConfigError);
});
