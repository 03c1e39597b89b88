// Proxies made through the public API, and what a test has to release when it is over.
import { temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { createMitmProxy, EventRecorder, type InterceptHandler, type MitmConfigInput } from '../src/index.ts';

export const cleanUps: AsyncDisposable[] = [];

export function keep<T extends AsyncDisposable>(resource: T): T {
  cleanUps.push(resource);
  return resource;
}

export async function startProxy(config: Partial<MitmConfigInput> = {}, handler: InterceptHandler = {}) {
  const folder = keep(await temporaryDirectory());
  const proxy = keep(
    await createMitmProxy({
      handler,
      config: {
        bind: '127.0.0.1:0',
        interception: { destinations: ['*:*'] },
        tls: { caCertPath: folder.resolve('ca.pem'), caKeyPath: folder.resolve('ca-key.pem') },
        ...config,
      },
    }).start(),
  );
  const recorder = new EventRecorder();
  proxy.events.subscribe(recorder);
  return { proxy, recorder, folder };
}
