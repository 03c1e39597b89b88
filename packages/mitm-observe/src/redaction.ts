// Takes what may be a credential out of the texts that events carry, before they are written down: user names and passwords
// in targets, values in queries, and whatever looks like a token. Names stay, so that a log still tells what was asked.

/** How much of a text that came from a peer is withheld, from the most to the least. */
export const redactionLevels = ['values', 'secrets', 'nothing'] as const;
/**
 * `values` withholds every value of a query and whatever looks like a credential; `secrets` of a query only the values that look
 * like one or have the name of one; `nothing` writes texts as they are.
 */
export type RedactionLevel = (typeof redactionLevels)[number];

/** What stands in place of what was withheld. */
export const redactedText = '[redacted]';

/** Takes credentials out of one text. */
export type Redactor = (text: string) => string;

/** Request targets and what is like them. */
const targetFields: ReadonlySet<string> = new Set(['target', 'grpcPath', 'authority']);

/** Sentences and values of which a peer may have chosen a part. */
const proseFields: ReadonlySet<string> = new Set([
  'data',
  'decoderErrorDetail',
  'detail',
  'event',
  'grpcMessage',
  'id',
  'parseErrorDetail',
  'rawProviderError',
  'reasonDetail',
  'reasonPhrase',
  'tlsOpsProviderErrorDetail',
  'userAgent',
]);

const redactors: Readonly<
  Record<RedactionLevel, { readonly target: Redactor; readonly prose: Redactor } | undefined>
> = {
  values: { target: (text) => redactTarget(text, true), prose: redactProse },
  secrets: { target: (text) => redactTarget(text, false), prose: redactProse },
  nothing: undefined,
};

/** What a field of an event passes through at this level; undefined for a field that holds nothing to withhold. */
export function redactorOf(field: string, level: RedactionLevel): Redactor | undefined {
  const pair = redactors[level];
  if (pair === undefined) return undefined;
  if (targetFields.has(field)) return pair.target;
  return proseFields.has(field) ? pair.prose : undefined;
}

const userInfo = /^(?<scheme>(?:[a-z][a-z0-9+.-]*:)?\/\/)?[^/?#]*@/i;

/** A request target without its user information, and with its query and path cleaned. */
function redactTarget(target: string, withholdsValues: boolean): string {
  const clean = target.includes('@') ? target.replace(userInfo, `$<scheme>${redactedText}@`) : target;
  const query = clean.indexOf('?');
  if (query === -1) return redactPath(clean);
  const items = clean
    .slice(query + 1)
    .split('&')
    .map((item) => redactItem(item, withholdsValues));
  return `${redactPath(clean.slice(0, query))}?${items.join('&')}`;
}

/** The shortest text that is looked at for being a credential. */
const shortestSecret = 20;

function redactPath(path: string): string {
  if (path.length <= shortestSecret && !path.includes(';')) return path;
  return path
    .split('/')
    .map((segment) => {
      const [name = '', ...parameters] = segment.split(';');
      const kept = looksSecret(name) ? redactedText : name;
      return [kept, ...parameters.map((item) => redactItem(item, false))].join(';');
    })
    .join('/');
}

/** One `name=value` of a query. Without a name, the whole is a value. */
function redactItem(item: string, withholdsValues: boolean): string {
  const equals = item.indexOf('=');
  const name = item.slice(0, Math.max(equals, 0));
  const value = item.slice(equals + 1);
  if (value === '') return item;
  if (!withholdsValues && !isSecretName(name) && !looksSecret(value)) return item;
  return equals === -1 ? redactedText : `${name}=${redactedText}`;
}

const secretWords: ReadonlySet<string> = new Set(
  (
    'access apikey assertion auth authentication authorization bearer code credential credentials csrf jsessionid jwt ' +
    'key nonce otp pass passphrase passwd password phpsessid pin pwd secret session sessionid sid sig sign signature ' +
    'state ticket token xsrf'
  ).split(' '),
);

/** Whether a name such as `access_token`, `X-Api-Key` or `clientSecret` is one under which credentials go. */
function isSecretName(name: string): boolean {
  return name
    .replaceAll(/(?<=[a-z0-9])(?=[A-Z])/g, '_')
    .toLowerCase()
    .split(/[^a-z0-9]+/)
    .some((word) => secretWords.has(word) || /(?:token|secret|password)$/.test(word));
}

const uuid = /^[\da-f]{8}(?:-[\da-f]{4}){3}-[\da-f]{12}$/i;
const webToken = /^eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*$/;
const unbrokenRun = /^[\w~+=:%-]+$/;
const turns = /(?<=[a-z])\d|(?<=\d)[a-z]/gi;

/**
 * Whether a text reads like something random: long, unbroken, and turning between letters and digits time and again. A UUID is
 * taken for a name; so are words with a number in them.
 */
function looksSecret(text: string): boolean {
  if (text.length < shortestSecret) return false;
  if (webToken.test(text)) return true;
  if (!unbrokenRun.test(text) || uuid.test(text)) return false;
  const turnCount = text.match(turns)?.length ?? 0;
  return turnCount >= (text.length < 32 ? 4 : 3);
}

const addressWithUser = /(?<scheme>[a-z][a-z0-9+.-]*:\/\/)[^\s/?#@]*@/gi;
const authorization = /\b(?<scheme>bearer|basic|digest|negotiate|ntlm)\s+[\w+/=.~-]{6,}/gi;
const anyWebToken = /\beyJ[\w-]+\.[\w-]+\.[\w-]*/g;
const assignment = /(?<name>[\w.-]+)(?<sign>["']?\s*[=:]\s*["']?)(?<value>[^\s"'&;,}]+)/g;

/** A sentence without what reads like a credential in it. */
function redactProse(text: string): string {
  if (!/[=:@]|\b(?:bearer|basic|digest|negotiate|ntlm)\b|eyJ/i.test(text)) return text;
  return text
    .replaceAll(addressWithUser, `$<scheme>${redactedText}@`)
    .replaceAll(authorization, `$<scheme> ${redactedText}`)
    .replaceAll(anyWebToken, redactedText)
    .replaceAll(assignment, (whole, name: string, sign: string, value: string) =>
      isSecretName(name) && !value.startsWith(redactedText) && !isScheme(value)
        ? `${name}${sign}${redactedText}`
        : whole,
    );
}

function isScheme(value: string): boolean {
  return /^(?:bearer|basic|digest|negotiate|ntlm)$/i.test(value);
}
