import { describe, expect, test } from 'vitest';

import { chromiumDatabase, nssDatabases, nssPlace } from '../../src/trust/nss.ts';
import { RecordedMachine, subject } from './recorded-machine.ts';

const linux = {
  '/h/.pki/nssdb/cert9.db': '',
  '/h/.mozilla/firefox/profiles.ini': '',
  '/h/.mozilla/firefox/abcd.default/prefs.js': '',
  '/h/.mozilla/firefox/efgh.default-release/cert9.db': '',
  '/h/.config/mozilla/firefox/x.default/cert9.db': '',
  '/h/snap/firefox/common/.mozilla/firefox/y.default/cert9.db': '',
  '/h/.var/app/org.mozilla.firefox/.mozilla/firefox/z.default/cert9.db': '',
};
const darwin = { '/h/Library/Application Support/Firefox/Profiles/a.default-release/cert9.db': '' };

test('the databases of a user are those of Chromium, and of the profiles of Firefox that have one', async () => {
  expect(await nssDatabases(new RecordedMachine({ platform: 'linux', files: linux }))).toEqual([
    '/h/.pki/nssdb',
    '/h/.mozilla/firefox/efgh.default-release',
    '/h/.config/mozilla/firefox/x.default',
    '/h/snap/firefox/common/.mozilla/firefox/y.default',
    '/h/.var/app/org.mozilla.firefox/.mozilla/firefox/z.default',
  ]);
  expect(await nssDatabases(new RecordedMachine({ platform: 'darwin', files: darwin }))).toEqual([
    '/h/Library/Application Support/Firefox/Profiles/a.default-release',
  ]);
  expect(await nssDatabases(new RecordedMachine({ platform: 'win32', files: linux }))).toEqual([]);
});

test('Chromium makes its database below the home folder', () => {
  expect(chromiumDatabase('/h')).toBe('/h/.pki/nssdb');
});

test('a CA goes in to sign certificates of servers, read from the input', () => {
  const { install, remove, undo } = nssPlace(subject, { folder: '/db' });
  expect(install).toEqual([
    {
      kind: 'run',
      command: {
        program: 'certutil',
        args: ['-A', '-d', 'sql:/db', '-n', 'soth-mitm-f0f0f0f0f0f0f0f0', '-t', 'C,,', '-a'],
        input: subject.pem,
        comesWith: expect.stringContaining('libnss3-tools') as unknown,
      },
    },
  ]);
  expect(remove).toMatchObject([
    { kind: 'run', command: { args: ['-D', '-d', 'sql:/db', '-n', 'soth-mitm-f0f0f0f0f0f0f0f0'] } },
  ]);
  expect(undo).toEqual(remove);
});

test('a database that is missing is made first', () => {
  const { install } = nssPlace(subject, { folder: '/db', isMissing: true });
  expect(install).toMatchObject([
    { kind: 'make_folder', path: '/db' },
    { kind: 'run', command: { args: ['-N', '-d', 'sql:/db', '--empty-password'] } },
    { kind: 'run', command: { input: subject.pem } },
  ]);
});

describe('whether it is trusted, by what certutil answers', () => {
  const bad = 'certutil: function failed: SEC_ERROR_BAD_DATABASE: security library: bad database.';
  test.each([
    ['good', { code: 0, stdout: 'certutil: certificate is valid\n' }, false, true],
    [
      'not there',
      {
        code: 255,
        stderr: 'certutil: could not find certificate named "soth-mitm-f0": PR_FILE_NOT_FOUND_ERROR',
      },
      false,
      false,
    ],
    [
      'there and not trusted',
      {
        code: 255,
        stdout:
          "certutil: certificate is invalid: Peer's certificate issuer has been marked as not trusted by the user.",
      },
      false,
      false,
    ],
    ['no database, as expected', { code: 255, stderr: bad }, true, false],
    ['no database where there should be one', { code: 255, stderr: bad }, false, undefined],
  ])('%s', (_name, result, isMissing, expected) => {
    const { probe } = nssPlace(subject, { folder: '/db', isMissing });
    const answer = probe.kind === 'ask' ? probe.answer({ stdout: '', stderr: '', ...result }) : 'no question';
    expect(answer).toBe(expected);
  });
});
