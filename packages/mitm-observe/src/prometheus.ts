// Writes a snapshot of the metrics in the text format that Prometheus and its kin read (exposition format 0.0.4). The names follow
// from the fields of the snapshot by one rule, and stay.
import { type DurationSnapshot, durationBoundsMs } from './duration-histogram.ts';
import {
  type CountName,
  durationDescriptions,
  type DurationName,
  metricDescriptions,
  type ProxyMetrics,
} from './metrics.ts';

/** The media type of {@link prometheusText}. */
export const prometheusContentType = 'text/plain; version=0.0.4; charset=utf-8';

/** Counts that can fall, or that say the most or the longest so far. All others only rise. */
const gauges: ReadonlySet<string> = new Set([
  'activeConnections',
  'activeFlows',
  'maxActiveFlows',
  'flowDurationMaxMs',
  'currentInFlightBytes',
  'inFlightBytesWatermark',
  'eventQueueDepth',
  'eventQueueDepthWatermark',
  'openUpstreamConnections',
  'tlsBackoffActive',
  'eventLoopDelayMeanMs',
  'eventLoopDelayP99Ms',
  'eventLoopDelayMaxMs',
] satisfies readonly CountName[]);

/** Groups of counts, and the label that tells their members apart. */
const groups = {
  closedByReason: { name: 'soth_mitm_flows_closed_total', label: 'reason' },
  tlsFailuresByReason: { name: 'soth_mitm_tls_handshakes_failed_total', label: 'reason' },
} as const;

/** How a metric is called in the text, and what it is. */
export interface PrometheusMetric {
  readonly name: string;
  readonly type: 'counter' | 'gauge' | 'histogram';
}

/** What a field of the snapshot is called in the text. Durations are in seconds there. */
export function prometheusMetricOf(field: CountName): PrometheusMetric {
  const isGauge = gauges.has(field);
  const words = field
    .replace(/Count$/, '')
    .replace(/^total(?=[A-Z])/, '')
    .replace(/Total(?=Ms$)/, '')
    .replace(/Ms$/, 'Seconds')
    .replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)
    .replace(/^_/, '');
  return {
    name: `soth_mitm_${words}${isGauge ? '' : '_total'}`,
    type: isGauge ? 'gauge' : 'counter',
  };
}

/** What a histogram is called in the text. */
export function prometheusHistogramOf(field: DurationName): PrometheusMetric {
  const words = field.replaceAll(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
  return { name: `soth_mitm_${words}_duration_seconds`, type: 'histogram' };
}

/** The names of a group of counts in the text. */
export function prometheusGroupOf(field: keyof typeof groups): PrometheusMetric & { readonly label: string } {
  return { ...groups[field], type: 'counter' };
}

/** The whole text for one snapshot, ending with a line feed. */
export function prometheusText(snapshot: ProxyMetrics): string {
  const { closedByReason, tlsFailuresByReason, durations, ...counts } = snapshot;
  const blocks = entriesOf(counts).map(([field, value]) => {
    const metric = prometheusMetricOf(field);
    const meaning = metricDescriptions[field].replace('in milliseconds', 'in seconds');
    return block(metric, meaning, [`${metric.name} ${number(inUnit(field, value))}`]);
  });
  for (const [field, members] of entriesOf({ closedByReason, tlsFailuresByReason })) {
    const { label, ...metric } = prometheusGroupOf(field);
    const samples = Object.entries(members).map(
      ([key, value]) => `${metric.name}{${label}="${key}"} ${value}`,
    );
    blocks.push(block(metric, metricDescriptions[field], samples));
  }
  for (const [field, histogram] of entriesOf(durations)) {
    const metric = prometheusHistogramOf(field);
    blocks.push(block(metric, durationDescriptions[field], histogramSamples(metric.name, histogram)));
  }
  return blocks.join('');
}

function block({ name, type }: PrometheusMetric, meaning: string, samples: readonly string[]): string {
  const help = meaning.replaceAll('\\', '\\\\').replaceAll('\n', '\\n');
  return [`# HELP ${name} ${help}`, `# TYPE ${name} ${type}`, ...samples, ''].join('\n');
}

function histogramSamples(name: string, { classes, count, sumMs }: DurationSnapshot): string[] {
  let below = 0;
  const buckets = durationBoundsMs.map((bound, index) => {
    below += classes[index] ?? 0;
    return `${name}_bucket{le="${number(bound / 1000)}"} ${below}`;
  });
  return [
    ...buckets,
    `${name}_bucket{le="+Inf"} ${count}`,
    `${name}_sum ${number(sumMs / 1000)}`,
    `${name}_count ${count}`,
  ];
}

function inUnit(field: string, value: number): number {
  return field.endsWith('Ms') ? value / 1000 : value;
}

/** A number as the format takes it, without the noise of a division. */
function number(value: number): string {
  return String(Number(value.toPrecision(15)));
}

function entriesOf<T extends object>(table: T): [keyof T & string, T[keyof T & string]][] {
  // oxlint-disable-next-line typescript/no-unsafe-type-assertion -- the keys of an object are those of its type here
  return Object.entries(table) as [keyof T & string, T[keyof T & string]][];
}
