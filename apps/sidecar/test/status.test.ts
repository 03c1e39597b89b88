import { describe, expect, test } from 'vitest';

import { authorityText, exitCodes, type StatusFact, statusRecord } from '../src/status.ts';

test('exit classes keep their codes', () => {
  expect(exitCodes).toEqual({
    ok: 0,
    config_invalid: 20,
    event_sink_init_failed: 21,
    sidecar_init_failed: 22,
    runtime_failed: 23,
    ca_trust_failed: 24,
    ca_not_trusted: 25,
    log_not_intact: 26,
    log_unreadable: 27,
  });
});

const keys = ['schema', 'stage', 'outcome', 'exit_code', 'exit_class', 'unix_ms', 'detail'];

describe('a record of each stage', () => {
  test.each<readonly [string, StatusFact, object]>([
    ['startup', { stage: 'startup' }, { outcome: 'in_progress', detail: null }],
    ['draining', { stage: 'draining', detail: 'SIGTERM' }, { outcome: 'in_progress', detail: 'SIGTERM' }],
    ['reloaded', { stage: 'reloaded', outcome: 'ok', detail: 'd' }, { outcome: 'ok', detail: 'd' }],
    [
      'reloaded in vain is no exit',
      { stage: 'reloaded', outcome: 'error', detail: 'd' },
      { outcome: 'error', exit_code: 0, exit_class: 'ok' },
    ],
    ['a good exit', { stage: 'exit', exitClass: 'ok', detail: null }, { outcome: 'ok', exit_code: 0 }],
    [
      'a bad exit',
      { stage: 'exit', exitClass: 'event_sink_init_failed', detail: 'why' },
      { outcome: 'error', exit_code: 21, exit_class: 'event_sink_init_failed', detail: 'why' },
    ],
  ])('%s', (_rule, fact, expected) => {
    const record = statusRecord(fact, 1_700_000_000_000);
    expect(Object.keys(record)).toEqual(keys);
    expect(record).toMatchObject({
      schema: 'soth-mitm-automation-status-v1',
      stage: fact.stage,
      unix_ms: 1_700_000_000_000,
      ...expected,
    });
  });

  test('running lists every place', () => {
    const places = ['127.0.0.1:8080', '/run/s.sock'];
    const record = statusRecord({ stage: 'running', host: '127.0.0.1', port: 8080, places }, 1);
    expect(record).toMatchObject({ detail: '127.0.0.1:8080, /run/s.sock', listen_port: 8080 });
  });

  test('running also says where, behind the keys of the contract', () => {
    const record = statusRecord({ stage: 'running', host: '::1', port: 8080 }, 1);
    expect(Object.keys(record)).toEqual([...keys, 'listen_addr', 'listen_port']);
    expect(record).toMatchObject({
      outcome: 'ready',
      detail: '[::1]:8080',
      listen_addr: '::1',
      listen_port: 8080,
    });
  });
});

test.each([
  ['127.0.0.1', '127.0.0.1:80'],
  ['::1', '[::1]:80'],
])('%s with a port is %s', (host, text) => {
  expect(authorityText(host, 80)).toBe(text);
});
