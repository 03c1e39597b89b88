// A header block on its way out: HEADERS, and CONTINUATION where one frame cannot hold it (RFC 9113 §4.3).

import type { HeaderList } from '../header-map.ts';
import type { FrameOutput } from './frame-output.ts';
import { frameFlag, frameHeadBytes, frameType, maxFramePayload, writeFrameHead } from './frames.ts';
import type { HpackEncoder } from './hpack-encoder.ts';

/** Encodes fields into the output as the frames of one block; returns where its HEADERS frame begins. */
export function writeBlock(
  output: FrameOutput,
  encoder: HpackEncoder,
  streamId: number,
  fields: HeaderList,
  isEnded: boolean,
  sensitiveNames: ReadonlySet<string> | undefined,
): number {
  const most = encoder.maxEncodedBytes(fields);
  const moreFrames = Math.floor(most / maxFramePayload);
  const at = output.room(frameHeadBytes + most + moreFrames * frameHeadBytes);
  const bytes = output.bytes;
  const blockAt = at + frameHeadBytes;
  const end = encoder.encode(fields, bytes, blockAt, sensitiveNames);
  const flags = isEnded ? frameFlag.endStream : 0;
  if (end - blockAt <= maxFramePayload) {
    writeFrameHead(bytes, at, end - blockAt, frameType.headers, flags | frameFlag.endHeaders, streamId);
    output.commit(end);
  } else output.commit(splitBlock(bytes, at, end, flags, streamId));
  return at;
}

// Moves the parts of a block apart, the last one first, so that a frame head fits in front of each.
function splitBlock(bytes: Buffer, at: number, blockEnd: number, flags: number, streamId: number): number {
  const blockAt = at + frameHeadBytes;
  const lastPart = Math.ceil((blockEnd - blockAt) / maxFramePayload) - 1;
  for (let part = lastPart; part > 0; part--) {
    const start = blockAt + part * maxFramePayload;
    const end = Math.min(blockEnd, start + maxFramePayload);
    const to = start + part * frameHeadBytes;
    bytes.copyWithin(to, start, end);
    const partFlags = part === lastPart ? frameFlag.endHeaders : 0;
    writeFrameHead(bytes, to - frameHeadBytes, end - start, frameType.continuation, partFlags, streamId);
  }
  writeFrameHead(bytes, at, maxFramePayload, frameType.headers, flags, streamId);
  return blockEnd + lastPart * frameHeadBytes;
}
