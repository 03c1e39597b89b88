import { createHash, createPrivateKey, X509Certificate } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';

import { CaError, thisMachine, type TrustMachine } from 'soth-mitm';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';

import { hasCommand } from '../../../testing/lab/clients.ts';
import { type TemporaryDirectory, temporaryDirectory } from '../../../testing/lab/temporary.ts';
import { parseCaArguments } from '../src/ca-arguments.ts';
import { CaTrustError, runCaCommand } from '../src/ca-command.ts';
import { ConfigFileError } from '../src/config-file.ts';
import type { ExitClass } from '../src/status.ts';
import type { StopRequest } from '../src/stop-requests.ts';

const bundle = '/etc/ssl/certs/ca-certificates.crt';
const noStop = new Promise<never>(() => {});

let folder: TemporaryDirectory;
beforeEach(async () => {
  folder = await temporaryDirectory();
});
afterEach(async () => {
  await folder[Symbol.asyncDispose]();
});

interface Outcome {
  readonly exitClass: ExitClass;
  readonly out: string;
}

async function ca(
  argv: readonly string[],
  machine?: TrustMachine,
  variables: Readonly<Record<string, string>> = {},
  first: Promise<StopRequest> = noStop,
): Promise<Outcome> {
  const command = parseCaArguments(argv);
  if (command.kind !== 'ca') throw new Error('help was asked for');
  let out = '';
  const exitClass = await runCaCommand(command, {
    variables,
    cwd: folder.path,
    writeOut: (text) => {
      out += text;
    },
    stops: { first },
    ...(machine && { machine }),
  });
  return { exitClass, out };
}

/** A Debian on paper: its update program joins the anchors, and `deny` is what it says to a change of a file. */
function debian(deny?: string): TrustMachine {
  const files = new Map([['/etc/os-release', 'ID=debian\n']]);
  const change = (work: () => void): Promise<void> => {
    if (deny !== undefined) return Promise.reject(Object.assign(new Error(deny), { code: deny }));
    work();
    return Promise.resolve();
  };
  return {
    ...thisMachine(),
    platform: 'linux',
    environment: {},
    run: () => {
      const anchors = [...files].filter(([path]) => path.endsWith('.crt') && path !== bundle);
      files.set(bundle, anchors.map(([, text]) => text).join(''));
      return Promise.resolve({ code: 0, stdout: '', stderr: '' });
    },
    readText: (path) => Promise.resolve(files.get(path)),
    writeText: (path, text) => change(() => files.set(path, text)),
    remove: (path) => change(() => files.delete(path)),
    namesIn: () => Promise.resolve([]),
  };
}

describe('the files of the CA', () => {
  test('are made once, where run would make them, and the key is for its owner only', async () => {
    const path = folder.resolve('.soth-mitm', 'ca.pem');
    expect(await ca(['create'])).toEqual({ exitClass: 'ok', out: `made: ${path}\n` });
    expect(await ca(['create'])).toEqual({ exitClass: 'ok', out: `there already: ${path}\n` });
    expect((await readdir(folder.resolve('.soth-mitm'))).toSorted()).toEqual(['ca-key.pem', 'ca.pem']);
  });

  test('are named by the configuration, and flags go before it', async () => {
    const config = await folder.write(
      'c.yaml',
      'tls: { caCertPath: ./a.pem, caKeyPath: ./a-key.pem, caCommonName: Named CA }\n',
    );
    expect((await ca(['create', '--config', config])).out).toBe(`made: ${folder.resolve('a.pem')}\n`);
    const { subject } = new X509Certificate(await readFile(folder.resolve('a.pem')));
    expect(subject).toContain('CN=Named CA');
    expect((await ca(['path', '--config', config, '--ca-cert', 'b.pem'])).out).toBe(
      `${folder.resolve('b.pem')}\n`,
    );
  });

  test.each([
    ['the variable', {}, { SOTH_MITM_CA_KEY_PASSPHRASE: 'open sesame' }],
    ['the configuration', { caKeyPassphrase: 'open sesame' }, {}],
    ['a file that it names', { caKeyPassphraseFile: 'word' }, {}],
    [
      'the variable before the configuration',
      { caKeyPassphrase: 'no' },
      { SOTH_MITM_CA_KEY_PASSPHRASE: 'open sesame' },
    ],
  ])('are encrypted with the passphrase of %s', async (_rule, tls, variables) => {
    const word = await folder.write('word', 'open sesame\n');
    const named = 'caKeyPassphraseFile' in tls ? { caKeyPassphraseFile: word } : tls;
    const config = await folder.write('c.json', JSON.stringify({ tls: named }));
    await ca(['create', '--config', config], undefined, variables);
    const key = await readFile(folder.resolve('.soth-mitm', 'ca-key.pem'), 'utf8');
    expect(key).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    expect(createPrivateKey({ key, passphrase: 'open sesame' }).asymmetricKeyType).toBe('ec');
  });

  test('need not be there to be told, nor the key to be shown', async () => {
    expect((await ca(['path'])).out).toBe(`${folder.resolve('.soth-mitm', 'ca.pem')}\n`);
    await ca(['create']);
    await rm(folder.resolve('.soth-mitm', 'ca-key.pem'));
    const pem = await readFile(folder.resolve('.soth-mitm', 'ca.pem'), 'utf8');
    expect((await ca(['print'])).out).toBe(pem);
    const digest = createHash('sha256').update(new X509Certificate(pem).raw).digest('hex');
    expect((await ca(['fingerprint'])).out).toBe(`${digest}\n`);
  });

  test.each<[string, readonly string[], string, string]>([
    ['no certificate yet', ['print'], 'IO', 'soth-mitm ca create'],
    [
      'no certificate in the file',
      ['check', '--ca-cert', 'text.pem'],
      'INVALID_MATERIAL',
      'BEGIN CERTIFICATE',
    ],
    ['a broken one', ['fingerprint', '--ca-cert', 'broken.pem'], 'INVALID_MATERIAL', 'broken.pem'],
    ['a key without a place', ['create', '--ca-cert', 'x.pem'], 'INVALID_MATERIAL', '--ca-key'],
  ])('%s', async (_rule, argv, code, named) => {
    await folder.write('text.pem', 'no PEM');
    await folder.write('broken.pem', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n');
    const attempt = ca(argv);
    await expect(attempt).rejects.toBeInstanceOf(CaError);
    await expect(attempt).rejects.toMatchObject({ code });
    await expect(attempt).rejects.toThrow(named);
  });

  test.each([
    ['a key without its certificate', 'tls: { caKeyPath: k.pem }', '--ca-cert'],
    ['a path that is none', 'tls: { caCertPath: 1 }', 'tls.caCertPath'],
  ])('a configuration with %s', async (_rule, text, named) => {
    const config = await folder.write('c.yaml', text);
    const attempt = ca(['path', '--config', config]);
    await expect(attempt).rejects.toBeInstanceOf(ConfigFileError);
    await expect(attempt).rejects.toThrow(named);
  });
});

describe('what the machine trusts', () => {
  test('is told before and after each change', async () => {
    await ca(['create']);
    const machine = debian();
    expect(await ca(['check'], machine)).toEqual({
      exitClass: 'ca_not_trusted',
      out: `not trusted: system ${bundle}\n`,
    });
    expect((await ca(['install'], machine)).out).toBe(
      `trusted now: system ${bundle}\nChromium and Firefox keep lists of their own: soth-mitm ca install --store nss, as the user who runs them\n`,
    );
    expect((await ca(['install'], machine)).out).toContain(`trusted already: system ${bundle}\n`);
    expect(await ca(['check'], machine)).toEqual({ exitClass: 'ok', out: `trusted: system ${bundle}\n` });
    expect((await ca(['remove'], machine)).out).toBe(`removed: system ${bundle}\n`);
    expect((await ca(['remove'], machine)).out).toBe(`was not there: system ${bundle}\n`);
  });

  test('that something else keeps trusted is told', async () => {
    await ca(['create']);
    const machine = debian();
    await machine.writeText('/elsewhere.crt', (await ca(['print'])).out, { makesFolder: false });
    await machine.run({ program: 'update-ca-certificates', args: [] });
    expect((await ca(['remove'], machine)).out).toBe(
      `still trusted, by other means than ours: system ${bundle}\n`,
    );
  });

  test('that may not be changed is one sentence', async () => {
    await ca(['create']);
    const attempt = ca(['install'], debian('EACCES'));
    await expect(attempt).rejects.toBeInstanceOf(CaTrustError);
    await expect(attempt).rejects.toThrow(/^install_ca_trust: .*EACCES.*as root/u);
  });

  test('is left as it was when the user stops a program that waits', async () => {
    await ca(['create']);
    const machine = debian();
    const waiting: TrustMachine = {
      ...machine,
      run: (_command, signal) =>
        new Promise((_resolve, reject) => {
          const end = (): void => reject(new Error('it was ended'));
          if (signal?.aborted === true) end();
          signal?.addEventListener('abort', end);
        }),
    };
    const stopped = Promise.resolve({ kind: 'signal', signal: 'SIGINT' } as const);
    await expect(ca(['install'], waiting, {}, stopped)).rejects.toThrow(
      /^install_ca_trust: update-ca-certificates did not come to its end: it was ended$/u,
    );
    expect((await ca(['remove'], machine)).out).toBe(`was not there: system ${bundle}\n`);
  });

  test('of which the store is not there is one sentence', async () => {
    await ca(['create']);
    await expect(ca(['check', '--store', 'user'], debian())).rejects.toBeInstanceOf(CaTrustError);
  });
});

const hasNss = process.platform === 'linux' && (await hasCommand('certutil'));
test.skipIf(!hasNss)('NSS on this machine, with the tools of NSS (skipped without certutil)', async () => {
  await ca(['create']);
  const machine = { ...thisMachine(), home: folder.path };
  const place = `nss ${folder.resolve('.pki/nssdb')}\n`;
  const nss = ['--store', 'nss'];
  expect(await ca(['check', ...nss], machine)).toEqual({
    exitClass: 'ca_not_trusted',
    out: `not trusted: ${place}`,
  });
  expect((await ca(['install', ...nss], machine)).out).toBe(`trusted now: ${place}`);
  expect(await ca(['check', ...nss], machine)).toEqual({ exitClass: 'ok', out: `trusted: ${place}` });
  expect((await ca(['remove', ...nss], machine)).out).toBe(`removed: ${place}`);
});

describe('a passphrase', () => {
  test.each([
    ['of the environment', {}, { SOTH_MITM_CA_KEY_PASSPHRASE: 'hunter2' }],
    ['of the file', { caKeyPassphrase: 'hunter2' }, {}],
    ['of a file of its own', { caKeyPassphraseFile: 'secret' }, {}],
  ])('%s encrypts the key that create makes, and opens it again', async (_rule, tls, variables) => {
    const secret = await folder.write('secret', 'hunter2\n');
    const named = 'caKeyPassphraseFile' in tls ? { caKeyPassphraseFile: secret } : tls;
    const files = { caCertPath: folder.resolve('c.pem'), caKeyPath: folder.resolve('k.pem') };
    const config = await folder.write('config.json', JSON.stringify({ tls: { ...files, ...named } }));
    const made = await ca(['create', '--config', config], undefined, variables);
    expect(made.out).toMatch(/^made: /);
    expect(await readFile(files.caKeyPath, 'utf8')).toContain('BEGIN ENCRYPTED PRIVATE KEY');
    expect((await ca(['create', '--config', config], undefined, variables)).out).toMatch(/^there already: /);
  });
});
