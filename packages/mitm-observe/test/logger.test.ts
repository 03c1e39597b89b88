import type { Logger as PinoLogger } from 'pino';
import { describe, expect, expectTypeOf, test } from 'vitest';

import { createLogger, logLevels, silentLogger, type Logger, type LoggerOptions } from '../src/logger.ts';

function linesOf(use: (logger: Logger) => void, level: LoggerOptions['level'] = 'trace'): unknown[] {
  const lines: unknown[] = [];
  use(createLogger({ level, destination: { write: (line) => void lines.push(JSON.parse(line)) } }));
  return lines;
}

function everything(logger: Logger): void {
  for (const level of logLevels) logger[level](level);
}

describe('a created logger', () => {
  test.each(logLevels)('writes %s lines with their fields', (level) => {
    const [line] = linesOf((logger) => logger[level]({ flowId: 7 }, 'flow closed'));
    expect(line).toMatchObject({ flowId: 7, msg: 'flow closed' });
  });

  test('writes from its level on, and `info` when none is given', () => {
    expect(linesOf(everything, 'warn')).toMatchObject([{ msg: 'warn' }, { msg: 'error' }]);
    expect(linesOf(everything, 'silent')).toEqual([]);
    const lines: string[] = [];
    everything(createLogger({ destination: { write: (line) => void lines.push(line) } }));
    expect(lines).toHaveLength(3);
  });

  test('gives its children the fields they are asked to add', () => {
    const [line] = linesOf((logger) => logger.child({ flowId: 7 }).info('opened'));
    expect(line).toMatchObject({ flowId: 7, msg: 'opened' });
  });

  const names = [
    'authorization',
    'Authorization',
    'cookie',
    'set-cookie',
    'Set-Cookie',
    'proxy-authorization',
    'x-api-key',
  ];

  test.each(names)('never writes the value of %s', (name) => {
    const headers = { [name]: 'secret', accept: '*/*' };
    const lines = linesOf((logger) => {
      logger.info(headers, 'flat');
      logger.info({ headers }, 'below');
      logger.info({ request: { headers } }, 'two below');
      logger.child({ headers }).info('in a child');
    });
    expect(lines).toHaveLength(4);
    expect(JSON.stringify(lines)).not.toContain('secret');
    expect(lines[1]).toMatchObject({ headers: { [name]: '[redacted]', accept: '*/*' } });
  });

  test('writes to standard output when no destination is given', () => {
    expect(() => createLogger({ level: 'silent' }).error('not written')).not.toThrow();
  });
});

test('the silent logger takes everything and its children are as silent', () => {
  const child = silentLogger.child({ flowId: 1 });
  for (const level of logLevels) expect(child[level]({ a: 1 }, 'text')).toBeUndefined();
  expect(child).toBe(silentLogger);
});

test('a pino logger is a logger', () => {
  expectTypeOf<PinoLogger>().toExtend<Logger>();
});
