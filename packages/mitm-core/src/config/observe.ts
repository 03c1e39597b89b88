// Configuration of what is written down and told about the proxy itself: the event log, and the listener for its metrics.
import { redactionLevels } from 'mitm-observe';
import { z } from 'zod';

import { readBind } from './address.ts';
import { bytes, count, filePath, gibibyte, readAs, reading } from './field.ts';

const eventLogSchema = z
  .strictObject({
    path: filePath().describe('File to which each event is appended as one line of JSON.'),
    indexPath: filePath()
      .optional()
      .describe('File for the index of the log. Without it, `path` with `.index.tsv` behind it.'),
    flushEvery: count('events', 1_000_000)
      .default(1)
      .describe(
        'After how many events the lines are written out, within 10 ms; fewer wait for a second. A crash loses what waits.',
      ),
    rotateBytes: bytes(1_024 * gibibyte)
      .optional()
      .describe('Size at which a new file is begun, in bytes. Without it, never.'),
    leftovers: z
      .enum(['replace', 'refuse'])
      .default('replace')
      .describe(
        'What becomes of a log that an earlier run left at `path`. `replace` removes it with its further files; `refuse` does not start.',
      ),
    includeData: z
      .boolean()
      .default(false)
      .describe('Write the text of server-sent events. Its length is always written.'),
    redaction: z
      .enum(redactionLevels)
      .default('values')
      .describe(
        'What is withheld of texts that came from outside. `values`: user names and passwords, every value of a query, and whatever looks like a credential. `secrets`: of a query, only values that look like a credential or have the name of one. `nothing`: everything is written as it came.',
      ),
    hmacKeyPath: filePath()
      .optional()
      .describe(
        'File whose bytes, at least 32, are a secret key. With it, a chain of digests is written to `path` with `.chain.jsonl` behind it, by which `soth-mitm log verify` finds any later change.',
      ),
  })
  .superRefine(
    (log, ctx) => {
      if (log.indexPath === undefined || log.indexPath !== log.path) return;
      ctx.addIssue({
        code: 'custom',
        path: ['indexPath'],
        message: 'must be another file than eventLog.path',
        input: log.indexPath,
      });
    },
    reading('path', 'indexPath'),
  )
  .optional()
  .describe('Writes all events to a file. Without it, nothing is written.');

const adminSchema = z
  .strictObject({
    bind: z
      .union([z.string(), z.strictObject({ host: z.string(), port: z.number() })], {
        error: 'must be a text HOST:PORT, such as 127.0.0.1:9464',
      })
      .default('127.0.0.1:9464')
      .describe(
        'Address and port, as `HOST:PORT`. Whoever can reach it can read the metrics, and nothing else; there is no password.',
      )
      .transform(readAs(readBind)),
  })
  .optional()
  .describe(
    'A listener of its own that answers `/metrics`, in the text format of Prometheus, and `/healthz`. Without this section there is none.',
  );

export const observeFields = { eventLog: eventLogSchema, admin: adminSchema };
