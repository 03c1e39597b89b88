import { describe, expect, test } from 'vitest';

import { staticEntryCount, staticNameOf, staticNames, staticValues } from '../../src/h2/static-table.ts';

describe('the static table', () => {
  // RFC 7541 Appendix A.
  test.each([
    [1, ':authority', ''],
    [2, ':method', 'GET'],
    [3, ':method', 'POST'],
    [4, ':path', '/'],
    [5, ':path', '/index.html'],
    [6, ':scheme', 'http'],
    [7, ':scheme', 'https'],
    [8, ':status', '200'],
    [14, ':status', '500'],
    [15, 'accept-charset', ''],
    [16, 'accept-encoding', 'gzip, deflate'],
    [23, 'authorization', ''],
    [28, 'content-length', ''],
    [32, 'cookie', ''],
    [38, 'host', ''],
    [46, 'location', ''],
    [49, 'proxy-authorization', ''],
    [55, 'set-cookie', ''],
    [58, 'user-agent', ''],
    [61, 'www-authenticate', ''],
  ])('index %i is %s with %j', (index, name, value) => {
    expect([staticNames[index], staticValues[index]]).toEqual([name, value]);
  });

  test('it has 61 entries behind the index that means nothing', () => {
    expect([staticNames.length, staticValues.length]).toEqual([staticEntryCount + 1, staticEntryCount + 1]);
    expect([staticNames[0], staticValues[0]]).toEqual(['', '']);
  });

  test('by name: the values stand one after the other from its index on', () => {
    let entryCount = 0;
    for (const [name, entry] of staticNameOf) {
      expect(entry.name).toBe(name);
      for (const [n, value] of entry.values.entries()) {
        expect([staticNames[entry.index + n], staticValues[entry.index + n]]).toEqual([name, value]);
        entryCount++;
      }
    }
    expect(entryCount).toBe(staticEntryCount);
  });
});
