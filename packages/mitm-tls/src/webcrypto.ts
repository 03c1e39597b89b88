// The one door to @peculiar/x509: it needs `reflect-metadata` to be there first and a crypto provider to be
// set. Loading it takes longer than the rest of the package together, so only what makes a certificate
// authority imports this file, and lazily.
// oxlint-disable-next-line import/no-unassigned-import -- its effect is what @peculiar/x509 needs
import 'reflect-metadata';
import { Crypto } from '@peculiar/webcrypto';
import { cryptoProvider } from '@peculiar/x509';

export * as x509 from '@peculiar/x509';

/** The provider given to every x509 call here; also set as its default for calls that take none. */
export const webcrypto: Crypto = new Crypto();

cryptoProvider.set(webcrypto);
