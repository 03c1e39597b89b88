// A proxy that signs with the files of an authority, and answers every request itself: what it shows to clients is what is judged.
import { createMitmProxy, type MitmProxyHandle } from 'soth-mitm';

import type { AuthorityFiles } from './authority-forms.ts';

/** Whatever host is asked for, it is reached at this port of loopback. */
export function startSigningProxy(files: AuthorityFiles, originPort: number): Promise<MitmProxyHandle> {
  return createMitmProxy({
    config: {
      bind: '127.0.0.1:0',
      interception: { destinations: ['*:*'] },
      routeMode: 'reverse',
      reverseUpstream: { host: '127.0.0.1', port: originPort },
      tls: {
        caCertPath: files.certPath,
        caKeyPath: files.keyPath,
        ...(files.passphrase !== undefined && { caKeyPassphrase: files.passphrase }),
      },
    },
    handler: { onRequest: () => ({ action: 'block', status: 200, body: Buffer.from('seen') }) },
  }).start();
}
