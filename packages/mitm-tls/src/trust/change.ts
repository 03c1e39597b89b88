// Asks a place about a CA, and carries out the steps of a change. Only this file runs what the places describe.
import { decodePem, splitCertificatePems } from '../certificate.ts';
import { commandError, fileError, leftoverError, saidBy, startError, type TrustOperation } from './errors.ts';
import type { Command, CommandResult, Machine } from './machine.ts';
import type { TrustPlace, TrustProbe, TrustStep, TrustSubject } from './place.ts';

/** What is being done, where. */
export interface TrustTask {
  readonly machine: Machine;
  readonly operation: TrustOperation;
  /** Ends programs that wait, for instance for a password. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Whether a place trusts the CA. Throws CaError: `UNSUPPORTED_OPERATION` where a program is missing, `PERMISSION_DENIED` where
 * this user may not ask, `OPERATION_FAILED` where the answer is neither yes nor no.
 */
export async function isTrustedIn(
  place: TrustPlace,
  subject: TrustSubject,
  task: TrustTask,
): Promise<boolean> {
  const { probe } = place;
  if (probe.kind === 'ask') return await askProgram(probe, task);
  const bundle = await readText(probe.path, task);
  return bundle !== undefined && holds(bundle, subject.pem);
}

/** Puts the CA in. When a step fails, what was begun is taken back. Throws CaError like {@link isTrustedIn}, and `IO`. */
export async function installIn(place: TrustPlace, task: TrustTask): Promise<void> {
  try {
    await takeSteps(place.install, task);
  } catch (error) {
    try {
      await takeSteps(place.undo, task);
    } catch (undoError) {
      throw leftoverError(error, undoError);
    }
    throw error;
  }
}

/** Takes the CA out. Throws CaError like {@link installIn}. */
export async function removeFrom(place: TrustPlace, task: TrustTask): Promise<void> {
  await takeSteps(place.remove, task);
}

/** Whether a file that an installation wrote is still there. */
export async function hasLeftovers(place: TrustPlace, task: TrustTask): Promise<boolean> {
  for (const step of place.remove) {
    if (step.kind === 'delete' && (await readText(step.path, task)) !== undefined) return true;
  }
  return false;
}

function holds(bundle: string, pem: string): boolean {
  const wanted = decodePem(pem);
  return splitCertificatePems(bundle).some((block) => decodePem(block).equals(wanted));
}

async function askProgram(probe: Extract<TrustProbe, { kind: 'ask' }>, task: TrustTask): Promise<boolean> {
  const { about, command, answer } = probe;
  const result = await withFile(about, task, () => runCommand(command, task));
  const isTrusted = answer(result);
  if (isTrusted === undefined) throw commandError(command, result, task);
  return isTrusted;
}

async function withFile<T>(
  file: { readonly path: string; readonly text: string } | undefined,
  task: TrustTask,
  work: () => Promise<T>,
): Promise<T> {
  if (file === undefined) return await work();
  try {
    await takeSteps([{ kind: 'write', ...file }], task);
    return await work();
  } finally {
    await takeSteps([{ kind: 'delete', path: file.path }], task);
  }
}

async function takeSteps(steps: readonly TrustStep[], task: TrustTask): Promise<void> {
  for (const step of steps) await takeStep(step, task);
}

async function takeStep(step: TrustStep, task: TrustTask): Promise<void> {
  if (step.kind === 'run') {
    const result = await runCommand(step.command, task);
    if (result.code === 0 || step.nothingToDo?.test(saidBy(result)) === true) return;
    throw commandError(step.command, result, task);
  }
  const folderFrom = step.kind === 'write' ? step.folderFrom : undefined;
  try {
    await changeFile(step, task.machine);
  } catch (error) {
    throw fileError(step.path, error, task, folderFrom);
  }
}

async function changeFile(step: Exclude<TrustStep, { kind: 'run' }>, machine: Machine): Promise<void> {
  switch (step.kind) {
    case 'write':
      return await machine.writeText(step.path, step.text, { makesFolder: step.folderFrom === undefined });
    case 'delete':
      return await machine.remove(step.path);
    case 'make_folder':
      return await machine.makeFolder(step.path);
  }
}

async function readText(path: string, task: TrustTask): Promise<string | undefined> {
  try {
    return await task.machine.readText(path);
  } catch (error) {
    throw fileError(path, error, task);
  }
}

async function runCommand(command: Command, task: TrustTask): Promise<CommandResult> {
  try {
    return await task.machine.run(command, task.signal);
  } catch (error) {
    throw startError(command, error, task);
  }
}
