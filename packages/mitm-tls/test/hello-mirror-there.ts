// Whether the optional package that mirrors hellos works here.
import { HelloMirror } from '../src/hello-mirror.ts';

function reason(): string | undefined {
  try {
    HelloMirror.load();
    return undefined;
  } catch (error) {
    return String(error);
  }
}

/** Why it does not; undefined where it does. */
export const mirrorMissing = reason();
