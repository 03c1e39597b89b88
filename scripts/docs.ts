// Writes docs/reference from the tables in the sources: configuration, events, errors and metrics. Nothing on these pages is
// written by hand, so that they cannot tell anything else than the code; a test compares them with what this makes.
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

import { configFields, mitmErrorCodes, type ConfigField } from '../packages/mitm-core/src/index.ts';
import {
  closeReasonMeanings,
  durationBoundsMs,
  durationDescriptions,
  eventTable,
  metricDescriptions,
  Metrics,
  prometheusGroupOf,
  prometheusHistogramOf,
  prometheusMetricOf,
} from '../packages/mitm-observe/src/index.ts';

/** A page of docs/reference. */
export interface ReferencePage {
  readonly file: string;
  readonly text: string;
}

/** Where the pages live. */
export const referenceFolder: string = fileURLToPath(new URL('../docs/reference/', import.meta.url));

/** All pages, made from the sources as they are now. */
export function referencePages(): readonly ReferencePage[] {
  return [
    { file: 'config.md', text: configPage(configFields()) },
    { file: 'errors.md', text: errorsPage() },
    { file: 'events.md', text: eventsPage() },
    { file: 'metrics.md', text: metricsPage() },
  ];
}

function configPage(fields: readonly ConfigField[]): string {
  const groups = new Map<string, ConfigField[]>([['', []]]);
  for (const field of fields) {
    const dot = field.path.lastIndexOf('.');
    const group = dot === -1 ? '' : field.path.slice(0, dot);
    groups.set(group, [...(groups.get(group) ?? []), field]);
  }
  const sections = [...groups].map(([group, members]) => configSection(group, members, fields));
  return page(
    'Configuration',
    'Every field, its range and what it is when left out. Times are in milliseconds and sizes in bytes, as the ends of the ' +
      'names say. Unknown fields are errors. Only `interception.destinations` must be given. A running proxy takes new ' +
      'values by reload, all or nothing; fields marked "restart" it cannot change.',
    ...sections,
  );
}

function configSection(
  group: string,
  members: readonly ConfigField[],
  fields: readonly ConfigField[],
): string {
  // A section stands under its own heading; what may be left out altogether is also a row where it would be given.
  const rows = members.filter((member) => !isSection(member, fields));
  const owner = fields.find(({ path }) => path === group.replace(/\[\]$/u, ''));
  const title = group === '' ? 'Top level' : `\`${group}\``;
  const described = owner === undefined ? [] : [owner.description];
  const head = ['Field', 'Type', 'Default', 'Change', 'Meaning'];
  const cells = rows.map((field) => [
    `\`${field.path.slice(group === '' ? 0 : group.length + 1)}\``,
    field.type,
    defaultText(field),
    field.reload ? 'reload' : 'restart',
    field.description,
  ]);
  return [`## ${title}`, ...described, table(head, cells)].join('\n\n');
}

function isSection({ path }: ConfigField, fields: readonly ConfigField[]): boolean {
  return fields.some((field) => field.path.startsWith(`${path}.`));
}

function defaultText({ required, default: value }: ConfigField): string {
  if (required) return 'required';
  return value === undefined ? 'none' : `\`${JSON.stringify(value)}\``;
}

function errorsPage(): string {
  return page(
    'Errors and close reasons',
    'Codes and reasons keep their meaning for ever and are never reused; new ones may join.',
    '## Errors thrown to callers',
    'Each is a `MitmError` with this `code`.',
    meaningTable('Code', mitmErrorCodes),
    '## Close reasons',
    'Why a flow ended: the `reason_code` of its `stream_closed` event.',
    meaningTable('Reason', closeReasonMeanings),
  );
}

function eventsPage(): string {
  const cells = Object.entries(eventTable).map(([kind, { rate, meaning }]) => [
    `\`${kind}\``,
    rate === 'chunk' ? 'often' : 'few a flow',
    meaning,
  ]);
  return page(
    'Events',
    'What can happen to a flow, as the names that listeners subscribe to and the event log writes. Events that come often, ' +
      'with each piece of a body or each frame, are the ones that are left out under pressure.',
    table(['Kind', 'Rate', 'Meaning'], cells),
  );
}

function metricsPage(): string {
  const {
    closedByReason: _closed,
    tlsFailuresByReason: _failures,
    durations,
    ...counts
  } = new Metrics().snapshot();
  return page(
    'Metrics',
    'The fields of `metrics()`, and what they are called in the text for Prometheus, where times are in seconds. Counts begin at 0 ' +
      'with the proxy and only rise, except those that say "now"; those that begin with "The most" or "Longest" keep the highest ' +
      'value so far.',
    table(
      ['Metric', 'In the text', 'Meaning'],
      [
        ...keysOf(counts).map((field) =>
          metricRow(field, prometheusMetricOf(field).name, metricDescriptions[field]),
        ),
        ...(['closedByReason', 'tlsFailuresByReason'] as const).map((field) => {
          const { name, label } = prometheusGroupOf(field);
          return metricRow(field, `${name}{${label}}`, metricDescriptions[field]);
        }),
      ],
    ),
    '## Durations',
    `\`durations\` has a histogram for each of these: \`count\`, \`sumMs\`, and in \`classes\` how many fell below each of ` +
      `${durationBoundsMs.map(String).join(', ')} ms, and how many were longer.`,
    table(
      ['Histogram', 'In the text', 'Meaning'],
      keysOf(durations).map((field) =>
        metricRow(field, prometheusHistogramOf(field).name, durationDescriptions[field]),
      ),
    ),
  );
}

function metricRow(field: string, name: string, meaning: string): readonly string[] {
  return [`\`${field}\``, `\`${name}\``, meaning];
}

function keysOf<T extends object>(value: T): (keyof T & string)[] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of a literal's type
  return Object.keys(value) as (keyof T & string)[];
}

function meaningTable(name: string, meanings: Readonly<Record<string, string>>): string {
  const cells = Object.entries(meanings).map(([key, meaning]) => [`\`${key}\``, meaning]);
  return table([name, 'Meaning'], cells);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lines = [head, head.map(() => '---'), ...rows];
  return lines.map((cells) => `| ${cells.map(escapeCell).join(' | ')} |`).join('\n');
}

function escapeCell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function page(title: string, ...blocks: readonly string[]): string {
  const origin = '<!-- Written by `npm run docs` from the sources; changes made here are lost. -->';
  return `${[`# ${title}`, origin, ...blocks].join('\n\n')}\n`;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  await mkdir(referenceFolder, { recursive: true });
  await Promise.all(referencePages().map(({ file, text }) => writeFile(join(referenceFolder, file), text)));
}
