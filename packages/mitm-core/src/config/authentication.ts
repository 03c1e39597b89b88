// Configuration of who may use the proxy: names and passwords that its clients have to give.
import { z } from 'zod';

/** What Basic (RFC 7617 §2) and SOCKS5 (RFC 1929 §2) both can carry. */
const maxCredentialBytes = 255;

function credential(pattern: RegExp, error: string): z.ZodString {
  return z
    .string()
    .regex(pattern, { error })
    .refine((value) => new TextEncoder().encode(value).length <= maxCredentialBytes, {
      error: `must have at most ${maxCredentialBytes} bytes in UTF-8`,
    });
}

const user = z.strictObject({
  username: credential(/^[^:\p{Cc}]+$/u, 'must be a name without colons and control characters').describe(
    'Name of the user. Policy, handler and events see it.',
  ),
  password: credential(/^[^\p{Cc}]+$/u, 'must be a text without control characters').describe(
    'Password of the user. Never shown in messages, logs and events.',
  ),
});

export const authenticationFields = {
  proxyAuthentication: z
    .strictObject({
      realm: z
        .string()
        .regex(/^[ !#-[\]-~]{1,128}$/u, {
          error: 'must be 1 to 128 printable ASCII characters without quotes and backslashes',
        })
        .default('soth-mitm')
        .describe('What clients show when they ask their user for a password.'),
      users: z
        .array(user)
        .superRefine((users, ctx) => {
          const names = new Set<string>();
          for (const [index, { username }] of users.entries()) {
            if (names.has(username))
              ctx.addIssue({
                code: 'custom',
                path: [index, 'username'],
                message: 'must not be given twice: each user has one password',
                input: undefined,
              });
            names.add(username);
          }
        })
        .default([])
        .describe(
          'Who may use the proxy. With at least one user, clients without valid credentials get 407, or are refused by SOCKS5.',
        ),
    })
    .prefault({})
    .describe(
      'Names and passwords that clients have to give: in Proxy-Authorization as Basic, or in SOCKS5. They are never sent on.',
    ),
};
