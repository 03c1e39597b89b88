// Certificates with any fault, made by the openssl program at test time: authorities, leaves with dates and extensions as wished, and
// OCSP responses about them. Nothing here is made or judged by the code under test.
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

import { hasCommand } from './clients.ts';
import { runProgram } from './programs.ts';
import { type TemporaryDirectory, temporaryDirectory } from './temporary.ts';

/** Whether the program is there; tests skip without it. */
export const hasOpenssl: boolean = await hasCommand('openssl');

/** A certificate and its key as files and as text. The certificate file may go on with the chain. */
export interface OpensslCertificate {
  readonly certFile: string;
  readonly keyFile: string;
  readonly certPem: string;
  readonly keyPem: string;
}

interface LeafWishes {
  /** DNS names and addresses in the words of openssl: `DNS:a.test`, `IP:127.0.0.1`. */
  readonly names?: readonly string[];
  /** In the form `YYYYMMDDHHMMSSZ`. */
  readonly startDate?: string;
  readonly endDate?: string;
  /** Arguments of `openssl req` for the key; EC P-256 unless said. */
  readonly keyArguments?: readonly string[];
  readonly digest?: string;
  /** Further lines of the extension section. */
  readonly extensions?: readonly string[];
  /** Certificates that follow the leaf in its file. */
  readonly chain?: readonly OpensslCertificate[];
}

interface StapleWishes {
  /** Days that the response is valid; a negative number makes one of the past. */
  readonly days?: number;
  /** Another certificate that the responder signs with. */
  readonly signer?: OpensslCertificate;
}

/** An authority that the openssl program runs. */
export interface OpensslAuthority {
  readonly certificate: OpensslCertificate;
  /** An authority below this one. */
  intermediate(name: string): Promise<OpensslAuthority>;
  issue(wishes?: LeafWishes): Promise<OpensslCertificate>;
  revoke(certificate: OpensslCertificate): Promise<void>;
  /** An OCSP response about a certificate, in DER, as the index says at this moment. */
  staple(certificate: OpensslCertificate, wishes?: StapleWishes): Promise<Buffer>;
}

export interface OpensslLab extends AsyncDisposable {
  readonly folder: TemporaryDirectory;
  root(name: string): Promise<OpensslAuthority>;
  /** A certificate that nobody else has signed. */
  selfSigned(names: readonly string[]): Promise<OpensslCertificate>;
}

const ecKey = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256'];
const loopback = ['DNS:localhost', 'IP:127.0.0.1'];

async function openssl(args: readonly string[], cwd: string): Promise<void> {
  const { code, stderr } = await runProgram('openssl', args, { cwd });
  if (code !== 0) throw new Error(`openssl ${args.join(' ')} ended with ${code}: ${stderr}`);
}

async function filesOf(certFile: string, keyFile: string): Promise<OpensslCertificate> {
  return {
    certFile,
    keyFile,
    certPem: await readFile(certFile, 'utf8'),
    keyPem: await readFile(keyFile, 'utf8'),
  };
}

/** Runs one authority in a folder of its own, with the index that `openssl ca` and `openssl ocsp` share. */
class FolderAuthority implements OpensslAuthority {
  readonly certificate: OpensslCertificate;
  readonly #folder: TemporaryDirectory;
  readonly #name: string;
  #count = 0;

  private constructor(folder: TemporaryDirectory, name: string, certificate: OpensslCertificate) {
    this.certificate = certificate;
    this.#folder = folder;
    this.#name = name;
  }

  static async open(
    folder: TemporaryDirectory,
    name: string,
    certificate: OpensslCertificate,
  ): Promise<FolderAuthority> {
    const authority = new FolderAuthority(folder, name, certificate);
    const config = `[ca]\ndefault_ca = lab\n[lab]\ndatabase = ${name}.index\nserial = ${name}.serial\nnew_certs_dir = .
certificate = ${certificate.certFile}\nprivate_key = ${certificate.keyFile}\ndefault_md = sha256\ndefault_days = 30
policy = any\nunique_subject = no\nrand_serial = no\n[any]\ncommonName = supplied\n`;
    await folder.write(`${name}.cnf`, config);
    await folder.write(`${name}.index`, '');
    await folder.write(`${name}.serial`, '1000\n');
    return authority;
  }

  async intermediate(name: string): Promise<OpensslAuthority> {
    const certificate = await this.#sign(name, name, {
      extensions: ['basicConstraints = critical, CA:true', 'keyUsage = critical, keyCertSign, cRLSign'],
    });
    return FolderAuthority.open(this.#folder, name, certificate);
  }

  async issue(wishes: LeafWishes = {}): Promise<OpensslCertificate> {
    const { names = loopback, extensions = [] } = wishes;
    const stem = `${this.#name}-leaf-${(this.#count += 1)}`;
    return this.#sign(stem, 'lab leaf', {
      ...wishes,
      extensions: [
        'basicConstraints = critical, CA:false',
        'keyUsage = critical, digitalSignature, keyEncipherment',
        ...(extensions.some((line) => line.startsWith('extendedKeyUsage'))
          ? []
          : ['extendedKeyUsage = serverAuth, clientAuth']),
        `subjectAltName = ${names.join(',')}`,
        ...extensions,
      ],
    });
  }

  async revoke(certificate: OpensslCertificate): Promise<void> {
    const leafFile = await this.#leafAlone(certificate);
    await openssl(['ca', '-config', `${this.#name}.cnf`, '-revoke', leafFile], this.#folder.path);
  }

  async staple(certificate: OpensslCertificate, wishes: StapleWishes = {}): Promise<Buffer> {
    const { days = 1, signer = this.certificate } = wishes;
    const leafFile = await this.#leafAlone(certificate);
    const output = `${leafFile}.ocsp`;
    const { certFile } = this.certificate;
    const request = [
      'ocsp',
      '-issuer',
      certFile,
      '-cert',
      leafFile,
      '-no_nonce',
      '-reqout',
      `${leafFile}.req`,
    ];
    await openssl(request, this.#folder.path);
    const answer = ['ocsp', '-index', `${this.#name}.index`, '-CA', certFile, '-reqin', `${leafFile}.req`];
    const signing = ['-rsigner', signer.certFile, '-rkey', signer.keyFile];
    await openssl([...answer, ...signing, '-ndays', String(days), '-respout', output], this.#folder.path);
    return readFile(join(this.#folder.path, output));
  }

  async #leafAlone({ certPem, certFile }: OpensslCertificate): Promise<string> {
    const [leaf = ''] = certPem.match(/-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/) ?? [];
    const name = `${certFile.split('/').at(-1)}.leaf`;
    await this.#folder.write(name, `${leaf}\n`);
    return name;
  }

  async #sign(stem: string, commonName: string, wishes: LeafWishes): Promise<OpensslCertificate> {
    const { startDate, endDate, digest, keyArguments = ecKey, extensions = [], chain = [] } = wishes;
    const cwd = this.#folder.path;
    const [certFile, keyFile] = [join(cwd, `${stem}.pem`), join(cwd, `${stem}.key`)];
    const request = ['req', '-new', ...keyArguments, '-nodes', '-keyout', keyFile, '-out', `${stem}.csr`];
    await openssl([...request, '-subj', `/CN=${commonName}`], cwd);
    await writeFile(join(cwd, `${stem}.ext`), `${extensions.join('\n')}\n`);
    const sign = [
      'ca',
      '-batch',
      '-notext',
      '-config',
      `${this.#name}.cnf`,
      '-in',
      `${stem}.csr`,
      '-out',
      certFile,
    ];
    const dates = [
      ...(startDate ? ['-startdate', startDate] : []),
      ...(endDate ? ['-enddate', endDate] : []),
    ];
    await openssl([...sign, '-extfile', `${stem}.ext`, ...dates, ...(digest ? ['-md', digest] : [])], cwd);
    const leaf = await filesOf(certFile, keyFile);
    if (chain.length === 0) return leaf;
    await writeFile(certFile, [leaf, ...chain].map(({ certPem }) => certPem).join(''));
    return filesOf(certFile, keyFile);
  }
}

/** Opens a folder in which authorities live; disposing of it removes everything. */
export async function openOpensslLab(): Promise<OpensslLab> {
  const folder = await temporaryDirectory('soth-openssl-');
  const made = async (
    stem: string,
    subject: string,
    extensions: readonly string[],
  ): Promise<OpensslCertificate> => {
    const [certFile, keyFile] = [folder.resolve(`${stem}.pem`), folder.resolve(`${stem}.key`)];
    const args = [
      'req',
      '-x509',
      '-new',
      ...ecKey,
      '-nodes',
      '-keyout',
      keyFile,
      '-out',
      certFile,
      '-days',
      '30',
    ];
    const added = extensions.flatMap((line) => ['-addext', line]);
    await openssl([...args, '-subj', `/CN=${subject}`, ...added], folder.path);
    return filesOf(certFile, keyFile);
  };
  return {
    folder,
    root: async (name) =>
      FolderAuthority.open(
        folder,
        name,
        await made(name, `Lab ${name}`, ['keyUsage=critical,keyCertSign,cRLSign']),
      ),
    selfSigned: (names) => made('self-signed', 'lab leaf', [`subjectAltName=${names.join(',')}`]),
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
