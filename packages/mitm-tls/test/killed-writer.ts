// A process that writes an authority and kills itself, as `kill -9` would, before one of its calls to the file system.
// Arguments: the task as JSON. It says how many calls there were when it gets to its end.
import fs, { readFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';

/** What a killed writer is asked to do. */
export interface WriterTask {
  readonly kind: 'save' | 'rotate';
  readonly paths: { readonly certPath: string; readonly keyPath: string };
  /** PEM file with key and certificate of the authority to write. */
  readonly material: string;
  /** It dies before this call, from 1; 0 lets it live. */
  readonly diesBefore: number;
}

const task: WriterTask = JSON.parse(process.argv[2] ?? '');
let callCount = 0;
let isCounting = false;

function step(): void {
  if (!isCounting) return;
  callCount += 1;
  if (callCount === task.diesBefore) process.kill(process.pid, 'SIGKILL');
}

/** Lets every call to one of the object's methods count as a step. */
function watch(target: object, names: readonly string[]): void {
  for (const name of names) {
    const original: unknown = Reflect.get(target, name);
    if (typeof original !== 'function') throw new TypeError(`${name} is not there`);
    Reflect.set(target, name, function watched(this: unknown, ...args: unknown[]): unknown {
      step();
      return Reflect.apply(original, this, args);
    });
  }
}

const handle = await fs.promises.open(process.execPath, 'r');
watch(Object.getPrototypeOf(handle), ['writeFile', 'sync', 'chmod']);
await handle.close();
watch(fs.promises, ['open', 'link', 'rename', 'rm', 'mkdir', 'lstat', 'readFile', 'readdir']);
syncBuiltinESMExports();

const { loadCa } = await import('../src/ca-material.ts');
const { loadOrCreateCa, saveCa } = await import('../src/ca-files.ts');
const { CaRotation } = await import('../src/ca-rotation.ts');
const { CertStore } = await import('../src/cert-store.ts');

const text = readFileSync(task.material, 'utf8');
const ca = loadCa(text, text);
if (task.kind === 'save') {
  isCounting = true;
  await saveCa(ca, task.paths);
} else {
  const { ca: present } = await loadOrCreateCa(task.paths);
  const store = await CertStore.create(present);
  const rotation = await CaRotation.begin(store, { files: task.paths, overlapMs: 0, onNotice: () => {} });
  isCounting = true;
  await rotation.rotate({ ca });
}
process.stdout.write(String(callCount));
