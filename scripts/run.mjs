// Where `npm start` and `npm test` come in: installs what the lockfile says with the pinned pnpm, then runs one task.
// It needs Node 18 or newer and npm, and nothing else. SOTH_SYSTEM_NODE=1 runs the task on the system's Node.
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import process from 'node:process';
import { fileURLToPath } from 'node:url';

const LOWEST_NODE = [22, 19];
const root = fileURLToPath(new URL('..', import.meta.url));
const windows = process.platform === 'win32';
const { packageManager } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8'));
const [task, ...args] = process.argv.slice(2);
const env = {
  ...process.env,
  DO_NOT_TRACK: '1',
  TURBO_TELEMETRY_DISABLED: '1',
  TURBO_NO_UPDATE_NOTIFIER: '1',
};
for (const key of Object.keys(env)) {
  if (/^npm_(lifecycle|package|command|execpath|node_execpath)/i.test(key)) delete env[key];
}
// npm 12 runs no install script unless told so, and pnpm's puts its binary in place.
env.npm_config_allow_scripts = 'pnpm';

function pnpm(...argv) {
  // Without --prefer-offline npx asks the registry again and again for a minute when there is no network.
  const npx = ['--yes', '--prefer-offline', '--loglevel=error', packageManager.split('+')[0], ...argv];
  const list = windows ? npx.map((argument) => (/\s/.test(argument) ? `"${argument}"` : argument)) : npx;
  const { status, signal, error } = spawnSync('npx', list, {
    cwd: root,
    env,
    stdio: 'inherit',
    shell: windows,
  });
  if (error) throw error;
  if (status !== 0) process.exit(status ?? (signal === 'SIGINT' ? 130 : 1));
}

// Ctrl-C belongs to the task: it drains and ends, and this process ends with it.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => {});

pnpm('install', '--frozen-lockfile', '--reporter=append-only', '--loglevel=warn');

const bin = new URL('../node_modules/.bin/node', import.meta.url);
const pinned = spawnSync(fileURLToPath(bin), ['-v'], { shell: windows, encoding: 'utf8' });
if (env.SOTH_SYSTEM_NODE === '1' || pinned.status !== 0) {
  const [major, minor] = process.versions.node.split('.').map(Number);
  if (major < LOWEST_NODE[0] || (major === LOWEST_NODE[0] && minor < LOWEST_NODE[1])) {
    console.error(
      `The Node that comes with the lockfile does not run here, and Node ${process.versions.node} is older than ` +
        `${LOWEST_NODE.join('.')}. Install Node ${LOWEST_NODE.join('.')} or newer and run the command again.`,
    );
    process.exit(1);
  }
  for (const end of ['', '.cmd', '.ps1', '.CMD']) rmSync(new URL(bin.href + end), { force: true });
  console.log("using the system's Node");
}

pnpm('run', task, ...args);
