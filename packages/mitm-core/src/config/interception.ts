// Configuration of what is intercepted: destinations, what happens to the rest, and who asks.
import { addressClasses, checkModes, parseDestination, parseHostRule } from 'mitm-policy';
import { z } from 'zod';

import { count, milliseconds, readableBy } from './field.ts';

/** Whether the handler decides before a request goes on, or only watches. */
export const interceptModes = ['monitor', 'enforce'] as const;
export type InterceptMode = (typeof interceptModes)[number];

/** What happens to a request that names another authority than its connection was made for. */
export const authorityChecks = ['off', 'warn', 'block'] as const;
export type AuthorityCheck = (typeof authorityChecks)[number];

/** What happens to an intercepted connection that speaks neither TLS nor HTTP. */
export const unknownProtocolActions = ['tunnel', 'block'] as const;
export type UnknownProtocolAction = (typeof unknownProtocolActions)[number];

const destination = readableBy(parseDestination);
const hostRule = readableBy(parseHostRule);

const interceptionSchema = z
  .strictObject({
    destinations: z
      .array(destination, {
        error: 'must be a list of HOST:PORT entries to intercept; `*:*` is everything',
      })
      .min(1, { error: 'must name at least one HOST:PORT to intercept; to intercept everything, list `*:*`' })
      .describe(
        'What to intercept, as `HOST:PORT`. The host is a name, an IPv4 or `[IPv6]` address, or a pattern in which `*` stands for any characters; `*.example.org` is everything below example.org but not itself. The port is a number or `*`. `*:*` is everything.',
      ),
    passthroughUnlisted: z
      .boolean()
      .default(true)
      .describe(
        'What happens to destinations that are not listed: true tunnels them unread, false refuses them.',
      ),
    ignoreHosts: z
      .array(hostRule)
      .default([])
      .describe(
        'Hosts that are always tunnelled, even if listed in `destinations`. Written like a destination, the port may be left out.',
      ),
    blockedHosts: z
      .array(hostRule)
      .default([])
      .describe(
        'Hosts that are always refused with 403; this goes before `ignoreHosts` and `destinations`. Written like a destination, the port may be left out.',
      ),
    authorityCheck: z
      .enum(authorityChecks)
      .default('warn')
      .describe(
        'What happens to an intercepted request that names another authority than the connection was made for. It is never sent elsewhere: `off` lets it pass to the same origin, `warn` also reports it, `block` answers 421.',
      ),
    sniCheck: z
      .enum(checkModes)
      .default('warn')
      .describe(
        'What happens to a ClientHello whose server name is not the host of its CONNECT. Both names are judged in any case; `warn` also reports it, `block` refuses its requests with 403, `off` does neither.',
      ),
    ipLiteralCheck: z
      .enum(checkModes)
      .default('off')
      .describe(
        'What happens to targets that are IP addresses instead of names: `warn` reports them, `block` refuses them with 403.',
      ),
    privateTargetCheck: z
      .enum(checkModes)
      .default('off')
      .describe(
        'What happens to targets with an address of one of `privateClasses`, written as such or found for their name: `warn` reports them, `block` refuses them with 403. The address that was checked is the one that is dialled. A name that another proxy looks up is not checked.',
      ),
    privateClasses: z
      .array(z.enum(addressClasses))
      .min(1, { error: 'must name at least one kind of address' })
      .default(addressClasses.filter((name) => name !== 'public'))
      .describe(
        'The kinds of address that `privateTargetCheck` is about. Addresses of IPv6 that carry one of IPv4 are of its kind.',
      ),
    allowedPrivateTargets: z
      .array(hostRule)
      .default([])
      .describe(
        'Targets that `privateTargetCheck` lets pass. Written like a destination, the port may be left out.',
      ),
    unknownProtocol: z
      .enum(unknownProtocolActions)
      .default('tunnel')
      .describe(
        'What happens to a connection to an intercepted destination that speaks neither TLS nor HTTP: `tunnel` relays it unread, `block` refuses it.',
      ),
  })
  .describe('What is intercepted, tunnelled or refused.');

const processAttributionSchema = z
  .strictObject({
    enabled: z
      .boolean()
      .default(true)
      .describe('Look up which local process opened a connection. Remote clients are never looked up.'),
    lookupTimeoutMs: milliseconds()
      .default(5_000)
      .describe('Time for one lookup, in milliseconds. When it is over, the process counts as unknown.'),
    cacheCapacity: count('entries', 1_000_000)
      .default(4_096)
      .describe('How many results of lookups are remembered.'),
    cacheTtlMs: milliseconds()
      .optional()
      .describe(
        'How long a result is remembered, in milliseconds. Without it, until it has to make room or its process ends.',
      ),
  })
  .prefault({})
  .describe('Which local process is behind a connection.');

export const interceptionFields = {
  interception: interceptionSchema,
  interceptMode: z
    .enum(interceptModes)
    .default('enforce')
    .describe(
      'Whether the handler decides. `enforce` asks it before the first byte of a request goes to the origin; `monitor` forwards at once, hands it a copy and ignores its verdict.',
    ),
  processAttribution: processAttributionSchema,
};
