// Compares two configurations: what a reload would change, and which of it a running proxy cannot take.
import { isDeepStrictEqual } from 'node:util';

import { restartPaths } from './fields.ts';
import type { MitmConfig } from './schema.ts';

export interface ReloadPlan {
  /** The paths of all fields that differ, in the order of the schema. A list counts as one field. */
  readonly changed: readonly string[];
  /** Those of them that need a restart; a reload is only possible if there are none. */
  readonly needsRestart: readonly string[];
}

/** Says what changes from `current` to `next`. Changes nothing itself and throws nothing. */
export function planReload(current: MitmConfig, next: MitmConfig): ReloadPlan {
  const changed = changedPaths(current, next, '');
  const needsRestart = changed.filter((path) => restartPaths.some((restart) => restart === path));
  return { changed, needsRestart };
}

/** Sections are compared field by field; lists, the listen address and whatever is given only once, as a whole. */
function changedPaths(current: unknown, next: unknown, path: string): string[] {
  if (isDeepStrictEqual(current, next)) return [];
  if (path === 'bind' || path.endsWith('.bind') || !isSection(current) || !isSection(next)) return [path];
  const keys = new Set([...Object.keys(current), ...Object.keys(next)]);
  return [...keys].flatMap((key) =>
    changedPaths(current[key], next[key], path === '' ? key : `${path}.${key}`),
  );
}

function isSection(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
