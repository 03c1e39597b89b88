// Formats flows as aligned lines for people: what varies in width comes last. Text that peers chose cannot reach the terminal
// as control characters.
import type { FlowSummary } from './flow-summary.ts';

const widths = { method: 7, status: 7, protocol: 9, bytes: 8, duration: 8 } as const;

/** The line above the first flow. */
export const flowHeading = cells('METHOD', 'STATUS', 'PROTOCOL', 'UP', 'DOWN', 'TIME', 'URL');

/** One line for one flow, without its line break. */
export function flowLine(flow: FlowSummary): string {
  const line = cells(
    flow.method,
    String(flow.status),
    flow.protocol,
    bytesText(flow.bytesUp),
    bytesText(flow.bytesDown),
    durationText(flow.durationMs),
    flow.url,
  );
  return printable(flow.note === undefined ? line : `${line}  (${flow.note})`);
}

function cells(...[method, status, protocol, up, down, duration, url]: readonly string[]): string {
  return [
    `  ${(method ?? '').padEnd(widths.method)}`,
    (status ?? '').padEnd(widths.status),
    (protocol ?? '').padEnd(widths.protocol),
    (up ?? '').padStart(widths.bytes),
    (down ?? '').padStart(widths.bytes),
    `${(duration ?? '').padStart(widths.duration)} `,
    url ?? '',
  ].join(' ');
}

/** A size as people read it: `512 B`, `1.5 kB`, `20 MB`. A kB has 1000 bytes. */
export function bytesText(bytes: number): string {
  const units = ['kB', 'MB', 'GB', 'TB'];
  if (bytes < 1_000) return `${bytes} B`;
  let value = bytes / 1_000;
  let unit = 0;
  // What would be shown as 1000 belongs to the next unit.
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1_000;
    unit += 1;
  }
  return `${value < 9.95 ? value.toFixed(1) : value.toFixed(0)} ${units[unit]}`;
}

/** A time as people read it: `0.4 ms`, `12 ms`, `3.2 s`. */
export function durationText(ms: number): string {
  if (ms < 9.95) return `${ms.toFixed(1)} ms`;
  return ms < 999.5 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

/** A text without control characters. */
export function printable(text: string): string {
  return text.replaceAll(/\p{Cc}/gu, '?');
}
