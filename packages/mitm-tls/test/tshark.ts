// What Wireshark's engine makes of a ClientHello: its bytes, put into a packet, and the fields that it finds there.
import { hasCommand } from '../../../testing/lab/clients.ts';
import { runProgram } from '../../../testing/lab/programs.ts';
import { temporaryDirectory } from '../../../testing/lab/temporary.ts';

/** Why it can't be asked; undefined where it can. */
export async function missingTshark(): Promise<string | undefined> {
  for (const command of ['tshark', 'text2pcap']) {
    if (!(await hasCommand(command))) return `${command} is not installed`;
  }
  return undefined;
}

/** Which of these fields this release knows: JA4 came with 4.2. */
export async function knownFields(fields: readonly string[]): Promise<readonly string[]> {
  const listed = await output('tshark', ['-G', 'fields']);
  return fields.filter((field) => listed.includes(`\t${field}\t`));
}

/** The values of fields in the hello that these bytes of a connection begin with, by field. */
export async function fieldsOf(
  bytes: Buffer,
  fields: readonly string[],
): Promise<Readonly<Record<string, string>>> {
  await using folder = await temporaryDirectory();
  const dump = await folder.write('hello.txt', hexDump(bytes));
  const capture = folder.resolve('hello.pcap');
  await output('text2pcap', ['-q', '-T', '50000,443', dump, capture]);
  const wanted = fields.flatMap((field) => ['-e', field]);
  const told = await output('tshark', [
    '-r',
    capture,
    '-Y',
    'tls.handshake.type == 1',
    '-T',
    'fields',
    ...wanted,
  ]);
  const values = told.trimEnd().split('\t');
  return Object.fromEntries(fields.map((field, index) => [field, values[index] ?? '']));
}

/** As text2pcap reads it: an offset, then the bytes that stand there. */
function hexDump(bytes: Buffer): string {
  const lines: string[] = [];
  for (let at = 0; at < bytes.length; at += 16) {
    const some = [...bytes.subarray(at, at + 16)].map((byte) => byte.toString(16).padStart(2, '0'));
    lines.push(`${at.toString(16).padStart(6, '0')} ${some.join(' ')}\n`);
  }
  return lines.join('');
}

async function output(command: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runProgram(command, args);
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${stderr}`);
  return stdout.toString();
}
