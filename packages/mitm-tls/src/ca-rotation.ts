// Replaces the authority of a store by a new one without surprising its clients: the successor is made and announced,
// the old one goes on signing for as long as clients are given to learn of it, and only then does the new one sign.
import { resolve } from 'node:path';

import { loadCaFromFiles, type CaPaths, pairState, saveCa } from './ca-files.ts';
import { finishSuccession, promoteSuccessor, successionPaths } from './ca-succession.ts';
import { caBackdateMs, type CertificateAuthority, generateCa, type GenerateCaOptions } from './ca.ts';
import type { CertStore } from './cert-store.ts';
import { CaError } from './errors.ts';

/** After a failure, the next attempt waits this long. */
const retryMs = 3_600_000;

/** The stages of a rotation: a successor is there, it signs from now on, or something failed and the old one stays. */
export const caRotationStages = ['announced', 'activated', 'failed'] as const;
export type CaRotationStage = (typeof caRotationStages)[number];

/** What happened in a rotation. */
export interface CaRotationNotice {
  readonly stage: CaRotationStage;
  /** SHA-256 of the authority that signed until now. */
  readonly currentFingerprint: string;
  /** SHA-256 of the new one, where there is one. */
  readonly nextFingerprint?: string | undefined;
  /** Where the certificate of the new one can be read. */
  readonly certPath?: string | undefined;
  /** When the new one begins to sign, milliseconds since 1970; of `announced`. */
  readonly activatesAtMs?: number | undefined;
  /** Of `failed`. */
  readonly error?: unknown;
}

/** What of a rotation can change while it is watched. */
export interface CaRotationSettings extends Pick<GenerateCaOptions, 'commonName' | 'organization'> {
  /** Age at which an authority is replaced, in milliseconds; never when left out. */
  readonly afterMs?: number | undefined;
  /** How long the old authority signs on beside an announced successor, in milliseconds. */
  readonly overlapMs: number;
}

export interface CaRotationOptions extends CaRotationSettings {
  /** The files of the authority; without them it lives in memory, and is replaced on demand only. */
  readonly files?: (CaPaths & { readonly passphrase?: string | undefined }) | undefined;
  /** Told of each stage. Must not throw. */
  readonly onNotice: (notice: CaRotationNotice) => void;
  /** Milliseconds since 1970; `Date.now` when left out. */
  readonly now?: () => number;
}

/** How an authority is replaced on demand. */
export interface RotateCaOptions {
  /** The new authority; one is made when left out. */
  readonly ca?: CertificateAuthority | undefined;
  /** How long the old one signs on, in milliseconds; 0, which is at once, when left out. */
  readonly overlapMs?: number | undefined;
}

interface Successor {
  readonly ca: CertificateAuthority;
  readonly activatesAtMs: number;
}

/** The rotation of one store's authority. */
export class CaRotation {
  readonly #store: CertStore;
  readonly #now: () => number;
  #options: CaRotationOptions;
  #successor: Successor | undefined;
  /** Steps run one after the other. */
  #work: Promise<unknown>;
  #isClosed: boolean;

  private constructor(store: CertStore, options: CaRotationOptions) {
    this.#store = store;
    this.#options = options;
    this.#now = options.now ?? Date.now;
    this.#successor = undefined;
    this.#work = Promise.resolve();
    this.#isClosed = false;
  }

  /**
   * Takes up a rotation where the last process left it, and watches the age of the authority from now on. Throws {@link
   * CaError} `OPERATION_FAILED` when what is to be rotated can't be, or what files bring.
   */
  static async begin(store: CertStore, options: CaRotationOptions): Promise<CaRotation> {
    const rotation = new CaRotation(store, options);
    rotation.check(options);
    rotation.#successor = await rotation.#storedSuccessor();
    rotation.#arm();
    return rotation;
  }

  /** The announced authority, while the old one still signs. */
  get successor(): CertificateAuthority | undefined {
    return this.#successor?.ca;
  }

  /** Other settings from now on. Throws {@link CaError} `OPERATION_FAILED` as `begin` does; nothing has changed then. */
  configure(changes: CaRotationSettings): void {
    this.check(changes);
    const { files, onNotice } = this.#options;
    this.#options = { ...changes, files, onNotice };
    this.#arm();
  }

  /** Throws what `configure` would throw. */
  check({ afterMs }: CaRotationSettings): void {
    if (afterMs !== undefined && this.#options.files !== undefined) this.#requireRotatable();
  }

  /**
   * Replaces the authority: at once, or after an overlap in which the old one signs on. Resolves with the new one when it
   * signs, or when it is announced. Rejects with {@link CaError}; the old one goes on then.
   */
  rotate(options: RotateCaOptions = {}): Promise<CertificateAuthority> {
    return this.#afterOthers(async () => {
      this.#requireRotatable();
      const { overlapMs = 0 } = options;
      const ca = await this.#announce(options.ca, overlapMs);
      if (overlapMs <= 0) await this.#activate();
      this.#arm();
      return ca;
    });
  }

  /** Rotates no more; resolves when nothing is being written any longer. The authority that signs then stays. */
  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#work;
  }

  #requireRotatable(): void {
    const { files } = this.#options;
    const { ca } = this.#store;
    if (!ca.isSelfSigned) {
      throw new CaError(
        'OPERATION_FAILED',
        `the CA "${ca.subject}" is an intermediate and cannot be replaced by one made here: have its issuer make another`,
      );
    }
    if (files !== undefined && resolve(files.certPath) === resolve(files.keyPath)) {
      throw new CaError(
        'OPERATION_FAILED',
        `the CA ${files.keyPath} holds certificate and key in one file and cannot be replaced: give two files`,
        { path: files.keyPath },
      );
    }
  }

  #arm(): void {
    const successor = this.#successor;
    const { afterMs, files } = this.#options;
    if (successor !== undefined) {
      this.#ringAt(Math.min(successor.activatesAtMs, this.#store.ca.notAfter.getTime()));
    } else if (afterMs !== undefined && files !== undefined) {
      this.#ringAt(this.#madeAt(this.#store.ca) + afterMs);
    }
  }

  #ringAt(atMs: number): void {
    this.#store.setAlarm(atMs, () => {
      void this.#afterOthers(() => this.#step());
    });
  }

  /** One step of a rotation by age. Never rejects. */
  async #step(): Promise<void> {
    if (this.#isClosed) return;
    try {
      if (this.#successor === undefined) await this.#announce(undefined, this.#options.overlapMs);
      if (this.#successor !== undefined && this.#successor.activatesAtMs <= this.#now())
        await this.#activate();
      this.#arm();
    } catch (error) {
      const currentFingerprint = this.#store.ca.fingerprint;
      this.#options.onNotice({ stage: 'failed', currentFingerprint, error });
      this.#ringAt(this.#now() + retryMs);
    }
  }

  #afterOthers<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#work.then(work);
    // Whoever asked is told of a failure; who comes next is not stopped by it.
    this.#work = done.catch(() => {});
    return done;
  }

  /** When an authority was made, as far as its certificate tells: its validity began a while before. */
  #madeAt(ca: CertificateAuthority): number {
    return Math.min(ca.notBefore.getTime() + caBackdateMs, this.#now());
  }

  async #storedSuccessor(): Promise<Successor | undefined> {
    const { files, overlapMs } = this.#options;
    if (files === undefined) return undefined;
    await finishSuccession(files);
    const { next } = successionPaths(files);
    if ((await pairState(next)) === 'none') return undefined;
    // Written by us: a key file that holds its certificate.
    const ca = await loadCaFromFiles(next.keyPath, next.keyPath, files);
    return { ca, activatesAtMs: this.#madeAt(ca) + overlapMs };
  }

  async #announce(given: CertificateAuthority | undefined, overlapMs: number): Promise<CertificateAuthority> {
    const { files, commonName, organization } = this.#options;
    const ca =
      given ??
      this.#successor?.ca ??
      (await this.#storedSuccessor())?.ca ??
      (await generateCa({
        ...(commonName === undefined ? {} : { commonName }),
        ...(organization === undefined ? {} : { organization }),
        now: new Date(this.#now()),
      }));
    const next = files === undefined ? undefined : successionPaths(files).next;
    if (files !== undefined && next !== undefined) {
      await saveCa(ca, { ...next, passphrase: files.passphrase, overwrite: true });
    }
    const activatesAtMs = this.#now() + overlapMs;
    this.#successor = { ca, activatesAtMs };
    if (overlapMs > 0) {
      this.#options.onNotice({
        stage: 'announced',
        currentFingerprint: this.#store.ca.fingerprint,
        nextFingerprint: ca.fingerprint,
        certPath: next?.certPath,
        activatesAtMs,
      });
    }
    return ca;
  }

  async #activate(): Promise<void> {
    const { files } = this.#options;
    const successor = this.#successor;
    if (successor === undefined) return;
    const currentFingerprint = this.#store.ca.fingerprint;
    let { ca } = successor;
    if (files !== undefined) {
      // Another process with the same files may have been quicker: what is there is what signs then.
      if ((await pairState(successionPaths(files).next)) === 'none') {
        ca = await loadCaFromFiles(files.certPath, files.keyPath, files);
      } else await promoteSuccessor(files);
    }
    this.#successor = undefined;
    this.#store.use(ca);
    this.#options.onNotice({
      stage: 'activated',
      currentFingerprint,
      nextFingerprint: ca.fingerprint,
      certPath: files?.certPath,
    });
  }
}
