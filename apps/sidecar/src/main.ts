#!/usr/bin/env node
// The command `soth-mitm`: ties the program to this process, and lets the process end by itself once nothing is open.
import process from 'node:process';
import { setFlagsFromString } from 'node:v8';

import { runProgram } from './program.ts';
import { StopRequests } from './stop-requests.ts';

// The path of a request runs through many small functions: letting the compiler put more of them into one saves a good part of what
// the processor waits for code. Before anything is hot.
setFlagsFromString('--max-inlined-bytecode-size=1500');
setFlagsFromString('--max-inlined-bytecode-size-cumulative=3000');

// A reader that went away, such as `head`, is no reason to stop serving.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});

const stops = new StopRequests({ source: process, exitNow: (code) => process.exit(code) });
process.exitCode = await runProgram(process.argv.slice(2), {
  variables: process.env,
  cwd: process.cwd(),
  writeOut: (text) => process.stdout.write(text),
  writeError: (text) => process.stderr.write(text),
  stops,
});
stops.close();
