import { describe, expect, test } from 'vitest';

import { hasLeftovers, installIn, isTrustedIn, removeFrom } from '../../src/trust/change.ts';
import type { TrustPlace } from '../../src/trust/place.ts';
import { RecordedMachine, type RecordedMachineOptions, subject, systemError } from './recorded-machine.ts';

const publish = { kind: 'run', command: { program: 'publish', args: [] } } as const;
const place: TrustPlace = {
  store: 'system',
  name: '/bundle',
  probe: { kind: 'bundle', path: '/bundle' },
  install: [{ kind: 'write', path: '/anchor', text: subject.pem, folderFrom: 'a package' }, publish],
  undo: [{ kind: 'delete', path: '/anchor' }],
  remove: [{ kind: 'delete', path: '/anchor' }, publish],
};

function paper(options: Partial<RecordedMachineOptions> = {}): RecordedMachine {
  return new RecordedMachine({ platform: 'linux', answer: () => ({}), ...options });
}

const install = (machine: RecordedMachine): Promise<void> =>
  installIn(place, { machine, operation: 'install_ca_trust' });

describe('a bundle trusts', () => {
  const other = '-----BEGIN CERTIFICATE-----\nBBBB\n-----END CERTIFICATE-----\n';
  const wrapped = '-----BEGIN CERTIFICATE-----\r\nAA\r\nAA\r\n-----END CERTIFICATE-----\r\n';
  test.each([
    ['a CA that it holds among others', `# comment\n${other}${subject.pem}${other}`, true],
    ['however the lines are cut', `${other}${wrapped}`, true],
    ['no other', other, false],
    ['nothing when empty', '', false],
    ['nothing when missing', undefined, false],
  ])('%s', async (_name, text, expected) => {
    const machine = paper({ files: text === undefined ? {} : { '/bundle': text } });
    expect(await isTrustedIn(place, subject, { machine, operation: 'is_ca_trusted' })).toBe(expected);
  });
});

describe('install', () => {
  test('takes the steps in order', async () => {
    const machine = paper();
    await install(machine);
    expect(machine.lines).toEqual(['write /anchor', 'publish']);
  });

  test('takes back what was begun when a program fails', async () => {
    const machine = paper({ answer: () => ({ code: 1, stderr: 'disk full' }) });
    await expect(install(machine)).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
      message: 'install_ca_trust: publish  ended with 1: disk full',
    });
    expect(machine.lines).toEqual(['write /anchor', 'publish', 'remove /anchor']);
    expect(machine.files.size).toBe(0);
  });

  test('tells when even that fails', async () => {
    let writes = 0;
    const machine = paper({
      answer: () => systemError('ENOENT'),
      refuse: () => ((writes += 1) === 1 ? undefined : 'EROFS'),
    });
    await expect(install(machine)).rejects.toMatchObject({
      code: 'OPERATION_FAILED',
      message: expect.stringMatching(/publish is not there.*could not be taken back.*EROFS/) as unknown,
    });
  });

  test.each([
    ['EACCES', 'PERMISSION_DENIED'],
    ['ENOENT', 'UNSUPPORTED_OPERATION'],
    ['ENOSPC', 'IO'],
  ])('is not begun when the system says %s', async (systemCode, code) => {
    let isFirst = true;
    const machine = paper({
      refuse: () => {
        const refused = isFirst ? systemCode : undefined;
        isFirst = false;
        return refused;
      },
    });
    await expect(install(machine)).rejects.toMatchObject({ code, path: '/anchor' });
    expect(machine.lines).not.toContain('publish');
  });
});

test('remove does all it can even when half is gone', async () => {
  const machine = paper();
  await removeFrom(place, { machine, operation: 'uninstall_ca_trust' });
  expect(machine.lines).toEqual(['remove /anchor', 'publish']);
});

test('leftovers are the files that a removal would delete', async () => {
  const operation = 'uninstall_ca_trust';
  expect(await hasLeftovers(place, { machine: paper({ files: { '/anchor': '' } }), operation })).toBe(true);
  expect(
    await hasLeftovers(place, { machine: paper({ files: { '/bundle': subject.pem } }), operation }),
  ).toBe(false);
});

test('a file that a question is about goes, also when the program can not be asked', async () => {
  const asking: TrustPlace = {
    ...place,
    probe: {
      kind: 'ask',
      about: { path: '/asked', text: 'x' },
      command: { program: 'ask', args: ['/asked'] },
      answer: () => true,
    },
  };
  const machine = paper({ answer: () => systemError('EACCES') });
  await expect(isTrustedIn(asking, subject, { machine, operation: 'is_ca_trusted' })).rejects.toMatchObject({
    code: 'PERMISSION_DENIED',
  });
  expect(machine.lines).toEqual(['write with folder /asked', 'ask /asked', 'remove /asked']);
});
