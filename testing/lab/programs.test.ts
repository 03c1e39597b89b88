import { describe, expect, test } from 'vitest';

import { runProgram } from './programs.ts';

function runNode(program: string, options?: Parameters<typeof runProgram>[2]): ReturnType<typeof runProgram> {
  return runProgram(process.execPath, ['-e', program], options);
}

describe('runProgram', () => {
  test('gives input, and keeps output, complaints and the exit code', async () => {
    const program = 'process.stdin.pipe(process.stdout); console.error("said"); process.exitCode = 3;';
    const result = await runNode(program, { input: Buffer.from('given') });
    expect({ ...result, stdout: result.stdout.toString() }).toEqual({
      code: 3,
      stdout: 'given',
      stderr: 'said\n',
    });
  });

  test('adds to the environment and takes settings of programs out of it', async () => {
    const names = ['https_proxy', 'GIT_SSL_CAINFO', 'LAB'];
    for (const name of names) process.env[name] = 'inherited';
    try {
      const program = `console.log(${JSON.stringify(names)}.map((name) => process.env[name] ?? 'none').join())`;
      const { stdout } = await runNode(program, { environment: { LAB: 'added' } });
      expect(stdout.toString()).toBe('none,none,added\n');
    } finally {
      for (const name of names) Reflect.deleteProperty(process.env, name);
    }
  });

  test('kills a program that takes too long, and says what it complained of', async () => {
    const program = 'console.error("still here"); setInterval(() => {}, 1000);';
    await expect(runNode(program, { timeoutMs: 500 })).rejects.toThrow(/did not happen within 500 ms/u);
  });

  test('rejects for a program that is not there', async () => {
    await expect(runProgram('no-such-program-of-the-lab', [])).rejects.toThrow('ENOENT');
  });
});
