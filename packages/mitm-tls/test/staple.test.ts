// Stapled OCSP responses as the openssl program makes them, and what they are worth.
import { X509Certificate } from 'node:crypto';

import { afterAll, beforeAll, describe, expect, test } from 'vitest';

import {
  hasOpenssl,
  openOpensslLab,
  type OpensslAuthority,
  type OpensslCertificate,
  type OpensslLab,
} from '../../../testing/lab/openssl-authority.ts';
import { parseOcspResponse } from '../src/ocsp-response.ts';
import {
  judgeStaple,
  noRevocation,
  revocationModes,
  type RevocationMode,
  type Staple,
  stapleRefusal,
} from '../src/staple.ts';

const mustStaple = 'tlsfeature = status_request';
const dayMs = 86_400_000;

const judged = (given: Staple, mode: RevocationMode = 'enforce', nowMs = Date.now()) => {
  const facts = judgeStaple(given, mode, nowMs);
  return {
    facts: [facts.upstreamOcspStaplePresent, facts.upstreamOcspStapleStatus, facts.revocationDecision],
    refusal: stapleRefusal(given, facts)?.code,
  };
};

describe.skipIf(!hasOpenssl)('a staple', () => {
  const made: { lab?: OpensslLab; authority?: OpensslAuthority; other?: OpensslAuthority } = {};
  const certificates: Record<'good' | 'revoked' | 'promising', OpensslCertificate | undefined> = {
    good: undefined,
    revoked: undefined,
    promising: undefined,
  };

  beforeAll(async () => {
    made.lab = await openOpensslLab();
    made.authority = await made.lab.root('authority');
    made.other = await made.lab.root('other');
    certificates.good = await made.authority.issue();
    certificates.revoked = await made.authority.issue();
    certificates.promising = await made.authority.issue({ extensions: [mustStaple] });
    await made.authority.revoke(certificates.revoked);
  });
  afterAll(() => made.lab?.[Symbol.asyncDispose]());

  function authority(): OpensslAuthority {
    if (made.authority === undefined) throw new Error('the authority has not been made');
    return made.authority;
  }

  function certificate(name: keyof typeof certificates): OpensslCertificate {
    const found = certificates[name];
    if (found === undefined) throw new Error(`${name} has not been made`);
    return found;
  }

  function staple(name: keyof typeof certificates, response: Buffer | null | undefined): Staple {
    return {
      response,
      certificate: new X509Certificate(certificate(name).certPem),
      issuer: new X509Certificate(authority().certificate.certPem),
    };
  }

  test('that says good lets the certificate pass', async () => {
    const response = await authority().staple(certificate('good'));
    expect(judged(staple('good', response))).toEqual({
      facts: ['true', 'present', 'signal_present'],
      refusal: undefined,
    });
  });

  test('RV-01 that says revoked refuses it in mode enforce, and only reports it otherwise', async () => {
    const response = await authority().staple(certificate('revoked'));
    const facts = ['true', 'revoked', 'signal_revoked'];
    expect(judged(staple('revoked', response))).toEqual({ facts, refusal: 'CERT_REVOKED' });
    expect(judged(staple('revoked', response), 'passive_observe')).toEqual({ facts, refusal: undefined });
  });

  test('RV-03 that is missing refuses a certificate that promises one, and no other', () => {
    expect(judged(staple('promising', null))).toEqual({
      facts: ['false', 'missing', 'signal_missing_staple'],
      refusal: 'STAPLE_MISSING',
    });
    expect(judged(staple('good', null))).toEqual({
      facts: ['false', 'missing', 'no_signal'],
      refusal: undefined,
    });
  });

  describe('RV-04 that cannot be used is invalid, which matters only where one was promised', () => {
    const invalid = ['true', 'invalid', 'signal_invalid_staple'];
    test('garbage', () => {
      const response = Buffer.from('3003020101', 'hex');
      expect(judged(staple('promising', response))).toEqual({ facts: invalid, refusal: 'STAPLE_INVALID' });
      expect(judged(staple('good', response))).toEqual({ facts: invalid, refusal: undefined });
    });

    test('one about another certificate', async () => {
      const response = await authority().staple(certificate('good'));
      expect(judged(staple('promising', response)).facts).toEqual(invalid);
    });

    test('one that another authority has signed', async () => {
      const signer = made.other?.certificate;
      const response = await authority().staple(certificate('good'), signer === undefined ? {} : { signer });
      expect(judged(staple('good', response)).facts).toEqual(invalid);
    });

    test('one of another time', async () => {
      const response = await authority().staple(certificate('good'));
      const at = (days: number): readonly string[] =>
        judged(staple('good', response), 'enforce', Date.now() + days * dayMs).facts;
      expect(at(0)).not.toEqual(invalid);
      expect(at(2)).toEqual(invalid);
      expect(at(-2)).toEqual(invalid);
    });

    test('one with a changed byte anywhere in what is signed', async () => {
      const response = await authority().staple(certificate('good'));
      const { signedBytes } = parseOcspResponse(response);
      const start = signedBytes.byteOffset - response.byteOffset;
      for (let at = start; at < start + signedBytes.length; at += 7) {
        const changed = Buffer.from(response);
        changed[at] = (changed[at] ?? 0) ^ 0x01;
        expect(judged(staple('good', changed)).facts).toEqual(invalid);
      }
    });
  });

  test('a responder that the authority has made for it may sign', async () => {
    const signer = await authority().issue({ extensions: ['extendedKeyUsage = OCSPSigning'] });
    const response = await authority().staple(certificate('good'), { signer });
    expect(judged(staple('good', response)).facts).toEqual(['true', 'present', 'signal_present']);
  });

  test('a certificate of the authority that was not made for it may not', async () => {
    const signer = await authority().issue();
    const response = await authority().staple(certificate('good'), { signer });
    expect(judged(staple('good', response)).facts).toEqual(['true', 'invalid', 'signal_invalid_staple']);
  });

  test('nobody asked for is not checked', () => {
    const facts = ['unknown', 'not_checked', 'no_signal'];
    expect(judged(staple('promising', undefined)).facts).toEqual(facts);
    expect(judged(staple('promising', null), 'off').facts).toEqual(facts);
  });
});

test.each(revocationModes)('RV-05 on the client’s leg nothing applies, mode %s', (mode) => {
  expect(noRevocation(mode)).toEqual({
    upstreamOcspStaplePresent: 'not_applicable',
    upstreamOcspStapleStatus: 'not_applicable',
    revocationPolicyMode: mode,
    revocationDecision: 'not_applicable',
  });
});
