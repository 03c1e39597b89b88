// What the rules ask of a TypeScript file, answered from its syntax tree, so that comments and strings never count as code.
import { parseAst } from 'vitest/node';

import type { RepositoryFile } from './workspace.ts';

/** One import, whatever its form: static, re-export, type, dynamic or `import x = require()`. */
export interface Import {
  readonly specifier: string;
  /** Erased by the compiler. `import { type X }` is not: with verbatim module syntax its module is still loaded. */
  readonly isTypeOnly: boolean;
  /** The imported names; `*` for a namespace, a dynamic import or a re-export of everything. */
  readonly names: readonly string[];
}

interface FunctionSpan {
  readonly line: number;
  readonly lineCount: number;
}

/** The facts of one file. */
export interface Syntax {
  readonly imports: readonly Import[];
  readonly functions: readonly FunctionSpan[];
  readonly hasDefaultExport: boolean;
  readonly usesConsole: boolean;
  /** Only re-exports by name, and imports for their effect. */
  readonly isPureIndex: boolean;
  /** Names bound by a top-level `let` or `var`. */
  readonly mutableBindings: readonly string[];
  /** The callees as written, e.g. `expect`, `fc.assert`. */
  readonly calls: ReadonlySet<string>;
}

type SyntaxNode = Readonly<Record<string, unknown>> & { readonly type: string };

function isNode(value: unknown): value is SyntaxNode {
  return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string';
}

function* nodesIn(value: unknown): Generator<SyntaxNode> {
  if (Array.isArray(value)) {
    for (const element of value) yield* nodesIn(element);
  } else if (isNode(value)) {
    yield value;
    for (const child of Object.values(value)) if (typeof child === 'object') yield* nodesIn(child);
  }
}

function listOf(node: SyntaxNode, key: string): readonly SyntaxNode[] {
  const value = node[key];
  return Array.isArray(value) ? value.filter(isNode) : [];
}

function childOf(node: SyntaxNode, key: string): SyntaxNode | undefined {
  const value = node[key];
  return isNode(value) ? value : undefined;
}

function textOf(node: SyntaxNode | undefined, key: string): string | undefined {
  const value = node?.[key];
  return typeof value === 'string' ? value : undefined;
}

function numberOf(node: SyntaxNode, key: string): number {
  const value = node[key];
  return typeof value === 'number' ? value : 0;
}

function importedName(specifier: SyntaxNode): string {
  if (specifier.type === 'ImportDefaultSpecifier') return 'default';
  const source = childOf(specifier, 'imported') ?? childOf(specifier, 'local');
  if (specifier.type === 'ImportNamespaceSpecifier') return '*';
  return textOf(source, 'name') ?? textOf(source, 'value') ?? '*';
}

function importOf(node: SyntaxNode): Import | undefined {
  const external = childOf(node, 'moduleReference');
  const source = childOf(node, 'source') ?? (external && childOf(external, 'expression'));
  const specifier = textOf(source, 'value');
  if (specifier === undefined) return undefined;
  switch (node.type) {
    case 'ImportDeclaration':
    case 'ExportNamedDeclaration':
      return {
        specifier,
        isTypeOnly: node['importKind'] === 'type' || node['exportKind'] === 'type',
        names: listOf(node, 'specifiers').map(importedName),
      };
    case 'ExportAllDeclaration':
      return { specifier, isTypeOnly: node['exportKind'] === 'type', names: ['*'] };
    case 'TSImportEqualsDeclaration':
      return { specifier, isTypeOnly: node['importKind'] === 'type', names: ['*'] };
    case 'TSImportType':
      return { specifier, isTypeOnly: true, names: ['*'] };
    case 'ImportExpression':
      return { specifier, isTypeOnly: false, names: ['*'] };
    default:
      return undefined;
  }
}

const functionTypes = new Set(['ArrowFunctionExpression', 'FunctionDeclaration', 'FunctionExpression']);

function calleeOf(node: SyntaxNode | undefined): string {
  if (node?.type !== 'MemberExpression') return textOf(node, 'name') ?? '';
  return `${calleeOf(childOf(node, 'object'))}.${textOf(childOf(node, 'property'), 'name') ?? ''}`;
}

function isPureIndexStatement(node: SyntaxNode): boolean {
  if (node.type === 'ImportDeclaration') return listOf(node, 'specifiers').length === 0;
  return node.type === 'ExportNamedDeclaration' && childOf(node, 'declaration') === undefined;
}

function mutableNames(statement: SyntaxNode): readonly string[] {
  const node = childOf(statement, 'declaration') ?? statement;
  if (node.type !== 'VariableDeclaration' || node['kind'] === 'const') return [];
  return listOf(node, 'declarations').map((declared) => textOf(childOf(declared, 'id'), 'name') ?? '?');
}

function lineCounter(text: string): (offset: number) => number {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    const next = starts.findIndex((start) => start > offset);
    return next < 0 ? starts.length : next;
  };
}

/** Parses a file; throws where it is no TypeScript. */
export function syntaxOf(file: RepositoryFile): Syntax {
  const program: unknown = parseAst(file.text, { lang: 'ts' });
  if (!isNode(program)) throw new TypeError(`${file.path} has no syntax tree`);
  const lineAt = lineCounter(file.text);
  const imports: Import[] = [];
  const functions: FunctionSpan[] = [];
  const calls = new Set<string>();
  let usesConsole = false;
  for (const node of nodesIn(program)) {
    const found = importOf(node);
    if (found) imports.push(found);
    if (functionTypes.has(node.type)) {
      const line = lineAt(numberOf(node, 'start'));
      functions.push({ line, lineCount: lineAt(numberOf(node, 'end') - 1) - line + 1 });
    }
    if (node.type === 'CallExpression') calls.add(calleeOf(childOf(node, 'callee')));
    if (node.type === 'MemberExpression' && /^(?:globalThis\.)?console\./.test(calleeOf(node)))
      usesConsole = true;
  }
  const statements = listOf(program, 'body');
  return {
    imports,
    functions,
    calls,
    usesConsole,
    hasDefaultExport: statements.some(isDefaultExport),
    isPureIndex: statements.every(isPureIndexStatement),
    mutableBindings: statements.flatMap(mutableNames),
  };
}

function isDefaultExport(node: SyntaxNode): boolean {
  if (node.type === 'ExportDefaultDeclaration') return true;
  return listOf(node, 'specifiers').some(
    (specifier) => textOf(childOf(specifier, 'exported'), 'name') === 'default',
  );
}
