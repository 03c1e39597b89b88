// A change that is ready to be made: everything that can go wrong has been tried. A reload prepares all of its changes before it
// makes the first one, so that it happens as a whole or not at all.

export interface PreparedChange {
  /** Makes the change. Never rejects: what is left over from before is tidied up as well as can be. */
  readonly apply: () => Promise<void>;
  /** Lets go of what was prepared; everything stays as it was. Never rejects. */
  readonly discard: () => Promise<void>;
}

/**
 * Prepares changes one after the other. When one can't be prepared, those before it are let go of.
 *
 * @throws what the first step that fails throws
 */
export async function prepareAll(steps: readonly (() => Promise<PreparedChange>)[]): Promise<PreparedChange> {
  const prepared: PreparedChange[] = [];
  const discard = async (): Promise<void> => {
    for (const change of prepared.toReversed()) await change.discard();
  };
  try {
    for (const step of steps) prepared.push(await step());
  } catch (error) {
    await discard();
    throw error;
  }
  return {
    apply: async () => {
      // All at the same moment; only then is waited for what that leaves to do.
      await Promise.all(prepared.map((change) => change.apply()));
    },
    discard,
  };
}

/** A change that changes nothing. */
export const noChange: PreparedChange = Object.freeze({
  apply: () => Promise.resolve(),
  discard: () => Promise.resolve(),
});
