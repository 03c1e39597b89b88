// The demo and self-check: an origin, one request through the proxy, a comparison of what client, handler and events saw, and
// then a line for each flow.
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';

import type { InterceptHandler, MitmConfigInput, MitmProxyHandle } from 'soth-mitm';

import { deferred } from './deferred.ts';
import { demoAnswer, type DemoOrigin, openDemoOrigin } from './demo-origin.ts';
import { type DemoAnswer, sendThroughProxy } from './demo-request.ts';
import { curlCommand, demoScreen, dialable } from './demo-screen.ts';
import { DemoWatch, type Sighting } from './demo-watch.ts';
import { SelfCheckError } from './exit-reason.ts';
import { flowHeading, flowLine } from './flow-lines.ts';
import { FlowSummaries } from './flow-summary.ts';

const checkMs = 10_000;
const path = '/hello?from=soth-mitm';
const body = '{"question":"what does a proxy see?"}';

export interface DemoOptions {
  readonly writeOut: (text: string) => void;
  readonly environment: NodeJS.ProcessEnv;
}

/** One run of the demo, from the origin's start to its end. */
export class Demo {
  /** What the proxy calls. */
  readonly handler: InterceptHandler;
  readonly #watch: DemoWatch;
  readonly #origin: DemoOrigin;
  readonly #options: DemoOptions;

  private constructor(origin: DemoOrigin, options: DemoOptions) {
    const watch = new DemoWatch(origin.authority);
    this.handler = watch;
    this.#watch = watch;
    this.#origin = origin;
    this.#options = options;
  }

  /** Starts the origin. */
  static async open(options: DemoOptions): Promise<Demo> {
    return new Demo(await openDemoOrigin(), options);
  }

  /** The configuration with the demo's origin among what is intercepted and trusted. */
  configure(config: MitmConfigInput): MitmConfigInput {
    return withDemoOrigin(config, this.#origin);
  }

  /**
   * Sends the request, checks it, and prints what was seen and what to try next.
   *
   * @throws SelfCheckError when client, handler and events do not agree on it
   */
  async show(proxy: MitmProxyHandle): Promise<void> {
    const { address } = proxy;
    const unsubscribe = proxy.events.subscribe(this.#watch);
    try {
      const answer = await this.#send(proxy);
      const sighting = await this.#sighting();
      checkSighting(answer, sighting);
      this.#options.writeOut(demoScreen({ address, sighting, answer }));
    } finally {
      unsubscribe();
    }
    const command = curlCommand({
      address,
      caPath: resolve(proxy.currentConfig().tls.caCertPath),
      url: `https://${this.#origin.authority}/hello`,
      environment: this.#options.environment,
      platform: process.platform,
    });
    this.#options.writeOut(`Send one yourself, from another terminal:\n\n  ${command}\n\n`);
  }

  /** Prints a line for each flow from now on. */
  follow(proxy: MitmProxyHandle): void {
    const { writeOut } = this.#options;
    writeOut(`Each flow is a line below. Ctrl-C stops.\n\n${flowHeading}\n`);
    proxy.events.subscribe(new FlowSummaries((summary) => writeOut(`${flowLine(summary)}\n`)));
  }

  /** Ends the origin. */
  async close(): Promise<void> {
    await this.#origin.close();
  }

  async #send(proxy: MitmProxyHandle): Promise<DemoAnswer> {
    try {
      return await sendThroughProxy({
        proxy: dialable(proxy.address),
        ca: await readFile(proxy.currentConfig().tls.caCertPath, 'utf8'),
        authority: this.#origin.authority,
        method: 'POST',
        path,
        body,
        signal: AbortSignal.timeout(checkMs),
      });
    } catch (error) {
      const detail = error instanceof Error ? error.message : String(error);
      throw selfCheckError(`the request got no answer (${detail})`, error);
    }
  }

  async #sighting(): Promise<Sighting> {
    const late = deferred<never>();
    const timer = setTimeout(() => {
      late.reject(selfCheckError('the answer arrived, but handler and events did not tell of it'));
    }, checkMs);
    try {
      return await Promise.race([this.#watch.seen, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }
}

/** The configuration with an origin added to what is intercepted and trusted; what is no list stays as it is. */
export function withDemoOrigin(
  config: MitmConfigInput,
  { authority, caPath }: Pick<DemoOrigin, 'authority' | 'caPath'>,
): MitmConfigInput {
  const { interception, upstream } = config;
  const destinations: unknown = interception?.destinations;
  const caPaths: unknown = upstream?.caPaths ?? [];
  return {
    ...config,
    ...(Array.isArray(destinations)
      ? { interception: { ...interception, destinations: [...interception.destinations, authority] } }
      : {}),
    ...(Array.isArray(caPaths)
      ? { upstream: { ...upstream, caPaths: [...(upstream?.caPaths ?? []), caPath] } }
      : {}),
  };
}

/**
 * Compares what the client got with what handler and events saw of it.
 *
 * @throws SelfCheckError that names the first difference
 */
export function checkSighting(answer: DemoAnswer, { summary, ...seen }: Sighting): void {
  const expected = `${JSON.stringify(demoAnswer('POST', path, Buffer.byteLength(body)))}\n`;
  const facts: readonly (readonly [string, unknown, unknown])[] = [
    ['the status that the client got', answer.status, 200],
    ['the body that the client got', answer.body, expected],
    ['the status that the handler saw', seen.answerStatus, 200],
    ['the status in the events', summary.status, 200],
    ['the size of the request in the events', summary.bytesUp, Buffer.byteLength(body)],
    ['the size of the answer in the events', summary.bytesDown, Buffer.byteLength(expected)],
  ];
  const wrong = facts.find(([, actual, wanted]) => actual !== wanted);
  if (wrong === undefined) return;
  const [what, actual, wanted] = wrong;
  throw selfCheckError(`${what} is ${JSON.stringify(actual)}, not ${JSON.stringify(wanted)}`);
}

function selfCheckError(what: string, cause?: unknown): SelfCheckError {
  return new SelfCheckError(
    `the demo's own request failed: ${what}; run without --demo if the configuration does not allow it`,
    { cause },
  );
}
