// What a machine can judge of pages: that their links lead somewhere, and that the tables of packages name what is exported.
import { posix } from 'node:path';

import type { RepositoryFile } from './workspace.ts';

function isPage({ path }: RepositoryFile): boolean {
  return path.endsWith('.md') && !path.startsWith('.changeset/');
}

function withoutCode(text: string): string {
  return text.replaceAll(/^```[^]*?^```$/gm, '').replaceAll(/`[^`\n]*`/g, '');
}

/** The names by which the headings of a page can be linked to, as GitHub makes them. */
function anchorsOf(text: string): ReadonlySet<string> {
  const headings = text.replaceAll(/^```[^]*?^```$/gm, '').matchAll(/^#+ (.+)$/gm);
  return new Set(
    Array.from(headings, ([, heading = '']) =>
      heading
        .toLowerCase()
        .replaceAll(/[^\p{Letter}\p{Number}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  );
}

/** A path, and every folder above it. */
function placesOf(path: string): string[] {
  const folder = posix.dirname(path);
  return folder === '.' ? [path] : [path, ...placesOf(folder)];
}

/** Links to places of the repository, or to headings of its pages, that are not there. */
export function brokenLinks(files: readonly RepositoryFile[]): readonly string[] {
  const places = new Set(files.flatMap(({ path }) => placesOf(path)));
  const anchors = new Map(files.filter(isPage).map(({ path, text }) => [path, anchorsOf(text)]));
  return files.filter(isPage).flatMap(({ path, text }) =>
    Array.from(withoutCode(text).matchAll(/\]\(([^)\s]+)\)/g), ([, link = '']) => link).flatMap((link) => {
      if (/^[a-z]+:/.test(link)) return [];
      const [target = '', anchor] = link.split('#');
      const place = target === '' ? path : posix.join(posix.dirname(path), target);
      if (!places.has(place)) return [`${path}: ${link} leads nowhere`];
      const isThere = anchor === undefined || anchors.get(place)?.has(anchor) === true;
      return isThere ? [] : [`${path}: ${link} names no heading`];
    }),
  );
}

/** Names in the first column of the tables in a package's README that its index does not export. */
export function unknownExports(files: readonly RepositoryFile[]): readonly string[] {
  const texts = new Map(files.map(({ path, text }) => [path, text]));
  return files.flatMap(({ path, text }) => {
    const folder = /^(packages\/[^/]+)\/README\.md$/.exec(path)?.[1];
    if (folder === undefined) return [];
    const exported = new Set(texts.get(`${folder}/src/index.ts`)?.match(/\w+/g) ?? []);
    const columns = Array.from(text.matchAll(/^\| (`[^|]*)\|/gm), ([, column = '']) => column);
    return columns
      .flatMap((column) => Array.from(column.matchAll(/`(\w+)/g), ([, name = '']) => name))
      .filter((name) => !exported.has(name))
      .map((name) => `${path}: ${name} is not exported`);
  });
}
