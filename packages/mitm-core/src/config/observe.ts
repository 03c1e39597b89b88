// Configuration of what is written down: the event log.
import { z } from 'zod';

import { bytes, count, filePath, gibibyte, reading } from './field.ts';

const eventLogSchema = z
  .strictObject({
    path: filePath().describe('File to which each event is appended as one line of JSON.'),
    indexPath: filePath().optional().describe('File for the index of the log. Without it, none is written.'),
    flushEvery: count('events', 1_000_000)
      .default(1)
      .describe('After how many events the lines are written out. More is faster, and a crash loses more.'),
    rotateBytes: bytes(1_024 * gibibyte)
      .optional()
      .describe('Size at which a new file is begun, in bytes. Without it, never.'),
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

export const observeFields = { eventLog: eventLogSchema };
