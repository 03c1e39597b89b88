// Clients of HTTP/2 as programs use them, each through a CONNECT of the proxy: what goes in is a request, what comes out is what the
// client made of the answer, and in which version it was told.
import { readFile } from 'node:fs/promises';

import { ProxyAgent, request as undiciRequest } from 'undici';

import { askHttp2, http2ThroughProxy } from './http2-peers.ts';
import { runProgram } from './programs.ts';
import type { ClientSettings } from './real-clients.ts';
import { temporaryDirectory } from './temporary.ts';

export interface Http2Request {
  readonly method: 'GET' | 'HEAD' | 'POST';
  readonly url: string;
  readonly body?: Buffer;
}

export interface Http2Told {
  readonly status: number;
  readonly body: Buffer;
  /** As the client names it; undefined where it does not say. */
  readonly version: string | undefined;
}

export interface Http2Program {
  readonly name: string;
  /** The command that has to be installed; none for what comes with Node. */
  readonly command: string | undefined;
  readonly send: (request: Http2Request, settings: ClientSettings) => Promise<Http2Told>;
}

async function withCurl({ method, url, body }: Http2Request, settings: ClientSettings): Promise<Http2Told> {
  await using folder = await temporaryDirectory();
  const output = folder.resolve('output');
  const args = ['-q', '-sS', '--http2', '--proxy', `http://127.0.0.1:${settings.proxyPort}`];
  args.push('--cacert', settings.caFile, '-o', output, '-w', '%{http_code} %{http_version}');
  if (method === 'HEAD') args.push('--head');
  else args.push('-X', method);
  if (body !== undefined) args.push('--data-binary', `@${await folder.write('body', body)}`, '-H', 'Expect:');
  const { code, stdout, stderr } = await runProgram('curl', [...args, url]);
  if (code !== 0) throw new Error(`curl ended with ${code}: ${stderr}`);
  const [status, version] = stdout.toString().split(' ');
  const isBodyless = method === 'HEAD' || status === '204' || status === '304';
  return { status: Number(status), body: isBodyless ? Buffer.alloc(0) : await readFile(output), version };
}

async function withUndici({ method, url, body }: Http2Request, settings: ClientSettings): Promise<Http2Told> {
  const agent = new ProxyAgent({
    uri: `http://127.0.0.1:${settings.proxyPort}`,
    allowH2: true,
    requestTls: { ca: settings.ca },
  });
  try {
    const answer = await undiciRequest(url, {
      dispatcher: agent,
      method: method,
      ...(body !== undefined && { body }),
    });
    const content = Buffer.from(await answer.body.arrayBuffer());
    return { status: answer.statusCode, body: content, version: undefined };
  } finally {
    await agent.close();
  }
}

async function withNode({ method, url, body }: Http2Request, settings: ClientSettings): Promise<Http2Told> {
  const { host, pathname } = new URL(url);
  await using client = await http2ThroughProxy({
    proxyPort: settings.proxyPort,
    authority: host,
    ca: settings.ca,
  });
  const answer = await askHttp2(client, { ':method': method, ':path': pathname }, body);
  if (answer.rstCode !== 0) throw new Error(`the stream was reset with ${answer.rstCode}`);
  return { status: answer.headers[':status'] ?? 0, body: answer.body, version: '2' };
}

const goProgram = `
package main

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
)

func main() {
	ca, err := os.ReadFile(os.Args[1])
	if err != nil { panic(err) }
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	proxy, _ := url.Parse(os.Args[2])
	body, _ := io.ReadAll(os.Stdin)
	client := &http.Client{Transport: &http.Transport{
		Proxy: http.ProxyURL(proxy), TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: true}}
	var content io.Reader
	if len(body) > 0 { content = bytes.NewReader(body) }
	request, err := http.NewRequest(os.Args[3], os.Args[4], content)
	if err != nil { panic(err) }
	answer, err := client.Do(request)
	if err != nil { panic(err) }
	fmt.Fprintf(os.Stderr, "%d %d\\n", answer.StatusCode, answer.ProtoMajor)
	if _, err = io.Copy(os.Stdout, answer.Body); err != nil { panic(err) }
}
`;

/** Go's own client, built once for all requests. */
export class GoClient implements AsyncDisposable {
  readonly #binary: string;
  readonly #folder: AsyncDisposable;

  private constructor(binary: string, folder: AsyncDisposable) {
    this.#binary = binary;
    this.#folder = folder;
  }

  static async build(): Promise<GoClient> {
    const folder = await temporaryDirectory();
    const source = await folder.write('main.go', goProgram);
    const binary = folder.resolve('client');
    const { code, stderr } = await runProgram('go', ['build', '-o', binary, source], {
      timeoutMs: 120_000,
      environment: { GO111MODULE: 'off', GOFLAGS: '' },
    });
    if (code !== 0) throw new Error(`go build ended with ${code}: ${stderr}`);
    return new GoClient(binary, folder);
  }

  async send({ method, url, body }: Http2Request, settings: ClientSettings): Promise<Http2Told> {
    const args = [settings.caFile, `http://127.0.0.1:${settings.proxyPort}`, method, url];
    const result = await runProgram(this.#binary, args, body === undefined ? {} : { input: body });
    if (result.code !== 0) throw new Error(`the client ended with ${result.code}: ${result.stderr}`);
    const [status, version] = result.stderr.trim().split(' ');
    return { status: Number(status), body: result.stdout, version };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#folder[Symbol.asyncDispose]();
  }
}

export const http2Programs: readonly Http2Program[] = [
  { name: 'curl', command: 'curl', send: withCurl },
  { name: 'undici', command: undefined, send: withUndici },
  { name: 'node', command: undefined, send: withNode },
];
