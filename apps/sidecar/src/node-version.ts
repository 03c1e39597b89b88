// Which Node the program needs. An older one would stop at an import, with words that tell nobody what to do.

/** The lowest version, as `engines` of the manifest has it. */
export const lowestNode = '22.19';

/** What is to be said of this version of Node, as in `22.19.0`; undefined where it will do. */
export function tooOld(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [lowestMajor = 0, lowestMinor = 0] = lowestNode.split('.').map(Number);
  const isEnough = major > lowestMajor || (major === lowestMajor && minor >= lowestMinor);
  return isEnough ? undefined : `soth-mitm: needs Node.js ${lowestNode} or newer, and this is ${version}\n`;
}
