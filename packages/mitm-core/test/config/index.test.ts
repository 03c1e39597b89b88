// What the rest of the package, and users through it, may take from the configuration.
import { expect, test } from 'vitest';

import * as config from '../../src/config/index.ts';

test('the face of the configuration is these names', () => {
  expect(Object.keys(config).toSorted()).toEqual([
    'altSvcModes',
    'authorityChecks',
    'configFields',
    'configSchema',
    'failureModes',
    'interceptModes',
    'listenerKinds',
    'parseConfig',
    'planReload',
    'proxyTypes',
    'redirections',
    'responseOverflowModes',
    'routeModes',
    'trustSources',
    'unknownProtocolActions',
  ]);
});
