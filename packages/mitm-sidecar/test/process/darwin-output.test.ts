// Output of lsof and ps on macOS, and property lists. The samples are written in the documented formats (lsof(8) "output for
// other programs", ps(1), Apple's property list DTD); they were not recorded on a Mac.
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';

import { bundlePath, parseBundleId, parseLsof, parsePs } from '../../src/process/darwin-output.ts';
import { connectionKey } from '../../src/process/snapshot.ts';

function pidOf(
  output: string,
  near: string,
  nearPort: number,
  far: string,
  farPort: number,
): number | undefined {
  const key = connectionKey({ address: near, port: nearPort }, { address: far, port: farPort });
  return key === undefined ? undefined : parseLsof(output).get(key);
}

describe('PA-34 sockets that lsof lists', () => {
  const output = `p412
f23
n127.0.0.1:51000->127.0.0.1:8080
f24
n[::1]:51001->[::1]:8080
p977
f18
n127.0.0.1:8080->127.0.0.1:51000
f19
n*:8080
p1203
f7
n[fe80:1::1%lo0]:51002->[fe80:1::2%lo0]:8080
`;

  test.each([
    ['over IPv4', '127.0.0.1', 51_000, '127.0.0.1', 8_080, 412],
    ['over IPv6', '::1', 51_001, '::1', 8_080, 412],
    ['the other end of the same connection', '127.0.0.1', 8_080, '127.0.0.1', 51_000, 977],
    ['with a zone', 'fe80:1::1', 51_002, 'fe80:1::2', 8_080, 1_203],
    ['not by a part of the port', '127.0.0.1', 5_100, '127.0.0.1', 8_080, undefined],
  ])('%s', (_, near, nearPort, far, farPort, pid) => {
    expect(pidOf(output, near, nearPort, far, farPort)).toBe(pid);
  });

  test('listeners and other lines are passed over', () => {
    expect(parseLsof(output).size).toBe(4);
    expect(parseLsof('').size).toBe(0);
    expect(parseLsof('pnone\nn127.0.0.1:1->127.0.0.1:2\n').size).toBe(0);
    expect(parseLsof('n127.0.0.1:1->127.0.0.1:2\n').size).toBe(0);
    expect(parseLsof('p1\nnlocalhost:1->localhost:2\n').size).toBe(0);
  });

  test('a socket that two processes share is of the first one listed', () => {
    expect(
      pidOf('p5\nn127.0.0.1:1->127.0.0.1:2\np6\nn127.0.0.1:1->127.0.0.1:2\n', '127.0.0.1', 1, '127.0.0.1', 2),
    ).toBe(5);
  });

  test('garbage is passed over', () => {
    fc.assert(
      fc.property(fc.array(fc.string()), (lines) => {
        expect(parseLsof(lines.map((line) => `p${line}`).join('\n')).size).toBe(0);
      }),
    );
  });
});

describe('processes that ps lists', () => {
  const output = `    1     0 Sun Nov  1 08:00:01 2026     /sbin/launchd
  412     1 Sun Nov 22 16:39:07 2026     /Applications/Google Chrome.app/Contents/MacOS/Google Chrome
 1203   977 Sun Nov 22 16:40:11 2026     -zsh
`;

  test.each([
    [
      1,
      { pid: 1, parentPid: 0, started: 'Sun Nov  1 08:00:01 2026', name: 'launchd', path: '/sbin/launchd' },
    ],
    [
      412,
      {
        pid: 412,
        parentPid: 1,
        started: 'Sun Nov 22 16:39:07 2026',
        name: 'Google Chrome',
        path: '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
      },
    ],
    [1_203, { pid: 1_203, parentPid: 977, started: 'Sun Nov 22 16:40:11 2026', name: '-zsh' }],
  ])('PA-26 PA-27 pid %i', (pid, expected) => {
    expect(parsePs(output).get(pid)).toEqual(expected);
  });

  test('other lines are passed over', () => {
    expect(parsePs('  PID  PPID STARTED COMM\n\n 7 1 Sun Nov 22\n').size).toBe(0);
  });
});

describe('the bundle around an executable', () => {
  test.each([
    ['PA-23 an application', '/Applications/X.app/Contents/MacOS/X', '/Applications/X.app'],
    [
      'PA-23 an application within another is itself',
      '/Applications/X.app/Contents/Frameworks/X Helper.app/Contents/MacOS/X Helper',
      '/Applications/X.app/Contents/Frameworks/X Helper.app',
    ],
    ['PA-24 a plain program', '/usr/bin/curl', undefined],
    ['PA-24 a program somewhere else in a bundle', '/Applications/X.app/Contents/Resources/tool', undefined],
    ['PA-24 a folder with a similar name', '/opt/x.apps/Contents/MacOS/x', undefined],
  ])('%s', (_, path, expected) => {
    expect(bundlePath(path)).toBe(expected);
  });
});

describe('the id in a property list', () => {
  const head = '<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">\n<dict>\n';
  test.each([
    [
      'among others',
      `${head}<key>CFBundleName</key><string>X</string>\n\t<key>CFBundleIdentifier</key>\n\t<string>com.example.x</string></dict>`,
      'com.example.x',
    ],
    [
      'with escaped characters',
      `${head}<key>CFBundleIdentifier</key><string>a&amp;b&lt;&unknown;</string>`,
      'a&b<&unknown;',
    ],
    [
      'not from a comment',
      `${head}<!-- <key>CFBundleIdentifier</key>\n<string>old</string> --><key>CFBundleIdentifier</key><string>new</string>`,
      'new',
    ],
    ['is absent', `${head}<key>CFBundleName</key><string>X</string>`, undefined],
    ['is empty', `${head}<key>CFBundleIdentifier</key><string> </string>`, undefined],
    ['is no text', `${head}<key>CFBundleIdentifier</key><array/>`, undefined],
    ['is not read from a binary list', 'bplist00<key>CFBundleIdentifier</key><string>x</string>', undefined],
  ])('%s', (_, plist, expected) => {
    expect(parseBundleId(plist)).toBe(expected);
  });
});
