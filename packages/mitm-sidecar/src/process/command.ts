// Runs a program of the operating system and gives its output. Never through a shell.
import { execFile } from 'node:child_process';

const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;

/**
 * What the program wrote to its standard output. A non-zero exit is no error: lsof ends so when it found nothing.
 * @param signal kills the program
 * @throws when the program can't be started, was killed, or wrote more than 32 MiB
 */
export function runCommand(file: string, args: readonly string[], signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      signal,
      killSignal: 'SIGKILL',
      encoding: 'utf8',
      maxBuffer: MAX_OUTPUT_BYTES,
      windowsHide: true,
      // Dates and messages in one language, whatever the user speaks.
      env: { ...process.env, LC_ALL: 'C' },
    } as const;
    execFile(file, args, options, (error, stdout) => {
      if (error === null || typeof error.code === 'number') resolve(stdout);
      else reject(error);
    });
  });
}

/** How a source runs programs; tests give recorded output. */
export type CommandRunner = typeof runCommand;
