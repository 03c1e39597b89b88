// Configuration of the exceptions: per-host rules that loosen or tighten how a destination is treated.
import { headLeniencies } from 'mitm-http';
import { parseOverridePattern } from 'mitm-policy';
import { z } from 'zod';

import { readableBy, reading, text } from './field.ts';

export const overrideFlags = ['forceTunnel', 'disableH2', 'strictHeaderMode', 'skipUpstreamVerify'] as const;

/** All fields that give a rule an effect; one of them must be set. */
const effectFields = [...overrideFlags, 'responseLeniency'] as const;

const overrideSchema = z
  .strictObject({
    ruleId: text().describe('Name of the rule in events; no two rules share one.'),
    hostPattern: readableBy(parseOverridePattern).describe(
      'A host, or `*.` and a domain for every host below it. No port.',
    ),
    forceTunnel: z
      .boolean()
      .default(false)
      .describe('Tunnel the host unread although it would be intercepted.'),
    disableH2: z.boolean().default(false).describe('Offer only HTTP/1.1 for this host, on both legs.'),
    strictHeaderMode: z
      .boolean()
      .default(false)
      .describe('Refuse HTTP/1 heads of this host that are only accepted out of leniency.'),
    skipUpstreamVerify: z
      .boolean()
      .default(false)
      .describe(
        'Accept any certificate from this host. Whoever sits between can then read and change the traffic.',
      ),
    responseLeniency: z
      .array(z.enum(headLeniencies))
      .refine((names) => new Set(names).size === names.length, { error: 'names a fault twice' })
      .default([])
      .describe(
        'Faults in the HTTP/1 response heads of this host that are repaired instead of refused: `bare_lf` (lines that end in ' +
          'LF alone), `obs_fold` (values continued on the next line), `space_before_colon`.',
      ),
  })
  .superRefine(
    (rule, ctx) => {
      if (overrideFlags.some((flag) => rule[flag]) || rule.responseLeniency.length > 0) return;
      ctx.addIssue({
        code: 'custom',
        message: `changes nothing: set one of ${effectFields.join(', ')}, or remove the rule`,
      });
    },
    reading(...effectFields),
  );

export const overrideFields = {
  compatibilityOverrides: z
    .array(overrideSchema)
    .superRefine(
      (rules, ctx) => {
        const firstIndexes = new Map<string, number>();
        for (const [index, rule] of rules.entries()) {
          const ruleId: unknown = rule?.ruleId;
          if (typeof ruleId !== 'string') continue;
          const first = firstIndexes.get(ruleId);
          if (first === undefined) firstIndexes.set(ruleId, index);
          else {
            ctx.addIssue({
              code: 'custom',
              path: [index, 'ruleId'],
              message: `is already the name of rule ${first}: give each rule its own`,
              input: ruleId,
            });
          }
        }
      },
      { when: ({ value }) => Array.isArray(value) },
    )
    .default([])
    .describe('Exceptions for single hosts. The first rule whose pattern matches the host applies.'),
};
