#!/usr/bin/env node
// The command `soth-mitm`: ties the program to this process, and lets the process end by itself once nothing is open.
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';

import { tooOld } from './node-version.ts';
import { exitCodes } from './status.ts';

async function run(): Promise<number> {
  const { runProgram } = await import('./program.ts');
  const { StopRequests } = await import('./stop-requests.ts');
  const stops = new StopRequests({ source: process, exitNow: (code) => process.exit(code) });
  const exitCode = await runProgram(process.argv.slice(2), {
    variables: process.env,
    cwd: process.cwd(),
    writeOut: (text) => process.stdout.write(text),
    writeError: (text) => process.stderr.write(text),
    stops,
  });
  stops.close();
  return exitCode;
}

// The path of a request runs through many small functions: letting the compiler put more of them into one saves a good part of what
// the processor waits for code. Before anything is hot.
setFlagsFromString('--max-inlined-bytecode-size=1500');
setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');

// A reader that went away, such as `head`, is no reason to stop serving.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const complaint = tooOld(process.versions.node);
if (complaint === undefined) process.exitCode = await run();
else {
  process.stderr.write(complaint);
  process.exitCode = exitCodes.sidecar_init_failed;
}
