// Directories that remove themselves: at disposal, or when the process ends and nobody disposed of them.
import { rmSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A directory of the test's own, gone with everything in it once disposed of. */
export interface TemporaryDirectory extends AsyncDisposable {
  readonly path: string;
  /** The absolute path of a name inside the directory. */
  resolve(...names: readonly string[]): string;
  /** Writes a file (mode 0600) and answers its absolute path. */
  write(name: string, content: string | Uint8Array): Promise<string>;
}

/** Makes an empty directory under the system's temporary one. */
export async function temporaryDirectory(prefix = 'soth-lab-'): Promise<TemporaryDirectory> {
  const path = await mkdtemp(join(tmpdir(), prefix));
  const removeAtExit = (): void => rmSync(path, { recursive: true, force: true });
  process.once('exit', removeAtExit);
  return {
    path,
    resolve: (...names) => join(path, ...names),
    async write(name, content) {
      const file = join(path, name);
      await writeFile(file, content, { mode: 0o600 });
      return file;
    },
    async [Symbol.asyncDispose]() {
      process.off('exit', removeAtExit);
      await rm(path, { recursive: true, force: true });
    },
  };
}
