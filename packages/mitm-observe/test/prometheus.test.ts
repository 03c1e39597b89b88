// The text for Prometheus, held against its own rules, and against promtool where that is installed.
import { spawnSync } from 'node:child_process';

import { describe, expect, test } from 'vitest';

import { closeReasons } from '../src/close-reason.ts';
import { durationBoundsMs } from '../src/duration-histogram.ts';
import { durationDescriptions, metricDescriptions, Metrics } from '../src/metrics.ts';
import { prometheusMetricOf, prometheusText } from '../src/prometheus.ts';

function busyMetrics(): Metrics {
  const metrics = new Metrics();
  metrics.connectionOpened();
  metrics.flowOpened();
  metrics.flowClosed(1500);
  metrics.count('stream_closed', { reasonCode: 'blocked', bytesFromClient: 7 });
  for (const ms of [0.2, 3, 3, 400_000]) metrics.took('request', ms);
  return metrics;
}

interface Sample {
  readonly name: string;
  readonly labels: string;
  readonly value: number;
}

/** A strict reading of the format: throws for any line that is not exactly one of its four forms. */
function parse(text: string): { readonly types: Map<string, string>; readonly samples: Sample[] } {
  if (!text.endsWith('\n')) throw new Error('the last line has no end');
  const types = new Map<string, string>();
  const samples: Sample[] = [];
  let helped = '';
  for (const line of text.slice(0, -1).split('\n')) {
    const help = /^# HELP ([a-z][a-z0-9_]*) (\S.*)$/.exec(line);
    const type = /^# TYPE ([a-z][a-z0-9_]*) (counter|gauge|histogram)$/.exec(line);
    const sample = /^([a-z][a-z0-9_]*)(?:\{([a-z]+="[^"\\\n]*")\})? (\d+(?:\.\d+)?(?:e[+-]\d+)?)$/.exec(line);
    if (help !== null) {
      if (types.has(help[1] ?? '')) throw new Error(`told twice: ${line}`);
      helped = help[1] ?? '';
    } else if (type !== null) {
      if (type[1] !== helped) throw new Error(`of another metric: ${line}`);
      types.set(helped, type[2] ?? '');
    } else if (sample !== null) {
      const family = (sample[1] ?? '').replace(/_(?:bucket|sum|count)$/, '');
      if (sample[1] !== helped && family !== helped) throw new Error(`of another metric: ${line}`);
      samples.push({ name: sample[1] ?? '', labels: sample[2] ?? '', value: Number(sample[3]) });
    } else {
      throw new Error(`not a line of the format: ${line}`);
    }
  }
  return { types, samples };
}

test('every metric is there once, with its type and a sample', () => {
  const { types, samples } = parse(prometheusText(new Metrics().snapshot()));
  expect(types.size).toBe(
    Object.keys(metricDescriptions).length - 1 + Object.keys(durationDescriptions).length,
  );
  for (const [name, type] of types) {
    expect(samples.some((sample) => sample.name === name || sample.name === `${name}_count`)).toBe(true);
    expect(name.endsWith('_total')).toBe(type === 'counter');
  }
  expect(new Set(samples.map(({ name, labels }) => `${name}{${labels}}`)).size).toBe(samples.length);
});

test('what is counted is told, in seconds and bytes', () => {
  const { samples } = parse(prometheusText(busyMetrics().snapshot()));
  const valueOf = (name: string, labels = '') =>
    samples.find((sample) => sample.name === name && sample.labels === labels)?.value;
  expect(valueOf('soth_mitm_connections_total')).toBe(1);
  expect(valueOf('soth_mitm_active_connections')).toBe(1);
  expect(valueOf('soth_mitm_flow_duration_seconds_total')).toBe(1.5);
  expect(valueOf('soth_mitm_bytes_from_client_total')).toBe(7);
  expect(valueOf('soth_mitm_flows_closed_total', 'reason="blocked"')).toBe(1);
  expect(samples.filter(({ name }) => name === 'soth_mitm_flows_closed_total')).toHaveLength(
    closeReasons.length,
  );
  expect(valueOf('soth_mitm_request_duration_seconds_sum')).toBe(400.0062);
});

test('the classes of a histogram are added up', () => {
  const { samples } = parse(prometheusText(busyMetrics().snapshot()));
  const buckets = samples.filter(({ name }) => name === 'soth_mitm_request_duration_seconds_bucket');
  expect(buckets).toHaveLength(durationBoundsMs.length + 1);
  expect(buckets.map(({ value }) => value)).toEqual(
    buckets.map(({ value }) => value).toSorted((a, b) => a - b),
  );
  expect(buckets[0]).toMatchObject({ labels: 'le="0.00025"', value: 1 });
  expect(buckets.at(-2)).toMatchObject({ labels: 'le="300"', value: 3 });
  expect(buckets.at(-1)).toMatchObject({ labels: 'le="+Inf"', value: 4 });
});

function isCountName(name: string): name is Parameters<typeof prometheusMetricOf>[0] {
  return Object.hasOwn(metricDescriptions, name) && !/ByReason$|^durations$/.test(name);
}

describe('names and types stay', () => {
  const names = Object.keys(new Metrics().snapshot()).filter(isCountName);

  test('as they are known', () => {
    // New ones may join; none of these is renamed.
    const known = [
      'soth_mitm_active_connections',
      'soth_mitm_connections_total',
      'soth_mitm_active_flows',
      'soth_mitm_max_active_flows',
      'soth_mitm_flow_total',
      'soth_mitm_flow_duration_seconds_total',
      'soth_mitm_flow_duration_max_seconds',
      'soth_mitm_request_total',
      'soth_mitm_response_total',
      'soth_mitm_bytes_from_client_total',
      'soth_mitm_bytes_from_server_total',
      'soth_mitm_intercepted_total',
      'soth_mitm_tunnelled_total',
      'soth_mitm_blocked_total',
      'soth_mitm_handler_panic_total',
      'soth_mitm_handler_timeout_total',
      'soth_mitm_handler_fail_open_total',
      'soth_mitm_upstream_connect_error_total',
      'soth_mitm_upstream_timeout_total',
      'soth_mitm_tls_failure_total',
      'soth_mitm_leaf_cache_hit_total',
      'soth_mitm_leaf_cache_miss_total',
      'soth_mitm_decoder_failure_total',
      'soth_mitm_idle_timeout_total',
      'soth_mitm_stream_stage_timeout_total',
      'soth_mitm_stuck_flow_total',
      'soth_mitm_budget_denial_total',
      'soth_mitm_flow_permit_denial_total',
      'soth_mitm_in_flight_budget_denial_total',
      'soth_mitm_current_in_flight_bytes',
      'soth_mitm_in_flight_bytes_watermark',
      'soth_mitm_backpressure_activation_total',
      'soth_mitm_process_attribution_failure_total',
      'soth_mitm_process_attribution_timeout_total',
      'soth_mitm_process_cache_connection_hit_total',
      'soth_mitm_process_cache_identity_hit_total',
      'soth_mitm_process_cache_miss_total',
      'soth_mitm_process_cache_eviction_total',
      'soth_mitm_process_pid_reuse_detected_total',
      'soth_mitm_dropped_dispatch_work_total',
      'soth_mitm_events_dropped_total',
      'soth_mitm_event_queue_depth',
      'soth_mitm_event_queue_depth_watermark',
      'soth_mitm_event_log_write_error_total',
      'soth_mitm_listener_error_total',
      'soth_mitm_open_upstream_connections',
      'soth_mitm_event_loop_delay_mean_seconds',
      'soth_mitm_event_loop_delay_p99_seconds',
      'soth_mitm_event_loop_delay_max_seconds',
      'soth_mitm_invalid_transition_total',
      'soth_mitm_stale_flow_reap_total',
      'soth_mitm_closed_flow_id_eviction_total',
    ];
    expect(names.map((name) => prometheusMetricOf(name).name)).toEqual(expect.arrayContaining(known));
  });

  test.each(names)(
    '%s is a gauge exactly where its description says that it may fall, or is the most so far',
    (name) => {
      const isGauge = /\bnow\b|^The most|^Longest/.test(metricDescriptions[name]);
      expect(prometheusMetricOf(name).type).toBe(isGauge ? 'gauge' : 'counter');
    },
  );
});

const promtool = spawnSync('promtool', ['--version']).status === 0;

test.runIf(promtool)('promtool finds nothing to complain of', () => {
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], {
    input: prometheusText(busyMetrics().snapshot()),
    encoding: 'utf8',
  });
  expect({ status, stdout, stderr }).toEqual({ status: 0, stdout: '', stderr: '' });
});
