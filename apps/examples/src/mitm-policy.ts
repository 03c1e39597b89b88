import { applyOverride, DestinationPolicy, Overrides } from 'mitm-policy';

const policy = new DestinationPolicy({
  destinations: ['api.example.org:443', '*.example.net:*'],
  passthroughUnlisted: true,
  ignoreHosts: ['updates.example.net'],
  blockedHosts: ['*.tracker.example'],
});
const overrides = new Overrides([
  {
    ruleId: 'old-server',
    hostPattern: 'legacy.example.net',
    forceTunnel: false,
    disableH2: true,
    strictHeaderMode: false,
    skipUpstreamVerify: false,
  },
]);

for (const host of ['api.example.org', 'legacy.example.net', 'updates.example.net', 'a.tracker.example']) {
  const verdict = policy.decide({ host, port: 443 });
  const decision = applyOverride(verdict, overrides.find(host));
  process.stdout.write(`${host}: ${decision.action} (${decision.reason}), HTTP/2 ${!decision.disableH2}\n`);
}
