// Lists the fields of the configuration as facts: the reference page, the suggestions for mistyped keys and the reload plan
// read this list, so that none of them can forget a field.
import { z } from 'zod';

import { configSchema } from './schema.ts';

/** One field of the configuration. */
export interface ConfigField {
  /** In dots; what holds for each item of a list has `[]`: `compatibilityOverrides[].ruleId`. */
  readonly path: string;
  /** In words: `boolean`, `integer 1–65535`, `"keep" | "strip"`, `list of text`. */
  readonly type: string;
  /** What the field is when left out; undefined when it is then absent. */
  readonly default: unknown;
  /** Whether it, or the thing it belongs to, cannot do without it. */
  readonly required: boolean;
  readonly description: string;
  /** Whether a running proxy can take a new value. */
  readonly reload: boolean;
}

/** What a running proxy cannot change: where it listens, the files of its authority, and where secrets are logged. */
export const restartPaths = [
  'bind',
  'unixSocketPath',
  'listeners',
  'tls.caCertPath',
  'tls.caKeyPath',
  'tls.caKeyPassphrase',
  'tls.caKeyPassphraseFile',
  'tls.keyLogPath',
] as const;

/** All fields in the order of the schema: groups first, then what is in them. */
export function configFields(): readonly ConfigField[] {
  const complete: unknown = configSchema.parse({ interception: { destinations: ['*:*'] } });
  return fieldsBelow(inputSchema(), '', complete);
}

/** The keys that the object at this path may have; list indexes in the path are ignored. */
export function keysAt(path: readonly PropertyKey[]): readonly string[] {
  let node: SchemaNode | undefined = inputSchema();
  for (const step of path) {
    node = nodeOf(typeof step === 'number' ? node?.items : node?.properties?.[String(step)]);
  }
  return Object.keys(node?.properties ?? {});
}

type SchemaNode = z.core.JSONSchema.JSONSchema;

function inputSchema(): SchemaNode {
  return z.toJSONSchema(configSchema, { io: 'input' });
}

/** JSON Schema allows booleans and tuples where this configuration only has schemas. */
function nodeOf(schema: SchemaNode['items']): SchemaNode | undefined {
  return typeof schema === 'object' && !Array.isArray(schema) ? schema : undefined;
}

function fieldsBelow(parent: SchemaNode, prefix: string, complete: unknown): ConfigField[] {
  return Object.entries(parent.properties ?? {}).flatMap(([key, schema]) => {
    const node = nodeOf(schema) ?? {};
    const path = `${prefix}${key}`;
    const value = propertyOf(complete, key);
    const item = nodeOf(node.items);
    const below =
      item?.properties === undefined
        ? fieldsBelow(node, `${path}.`, value)
        : fieldsBelow(item, `${path}[].`, undefined);
    const isSection = item === undefined && below.length > 0;
    const field: ConfigField = {
      path,
      type: typeText(node),
      default: isSection ? undefined : (node.default ?? value),
      required: parent.required?.includes(key) ?? false,
      description: node.description ?? '',
      reload: !restartPaths.some((restart) => path === restart || path.startsWith(`${restart}[].`)),
    };
    return [field, ...below];
  });
}

function propertyOf(value: unknown, key: string): unknown {
  return typeof value === 'object' && value !== null ? Reflect.get(value, key) : undefined;
}

function typeText(node: SchemaNode): string {
  if (node.anyOf !== undefined) return node.anyOf.map(typeText).join(' | ');
  if (node.enum !== undefined) return node.enum.map((value) => JSON.stringify(value)).join(' | ');
  if (node.type === 'integer') return `integer ${node.minimum}–${node.maximum}`;
  if (node.type === 'string') return 'text';
  if (node.type === 'array') return `list of ${typeText(nodeOf(node.items) ?? {})}`;
  return String(node.type);
}
