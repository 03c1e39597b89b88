// A client and a server that echoes: what is needed to move real payload between two sessions.
import type { H2Stream } from '../../src/h2/stream.ts';
import { Pipe, WindowMeter } from './joined-sessions.ts';
import { ok, optionsOf, SessionCase } from './session-case.ts';

/** Writes a body in pieces, each when the stream says that it takes one, and then ends the stream. */
export function writeAll(stream: H2Stream, body: Buffer, pieceBytes: number, owner: SessionCase): void {
  const recorder = owner.recorders[owner.streams.indexOf(stream)];
  let at = 0;
  const more = (): void => {
    let isWritable = true;
    while (isWritable && at < body.length) {
      isWritable = stream.sendData(body.subarray(at, at + pieceBytes));
      at += pieceBytes;
    }
    if (at < body.length || at === Number.POSITIVE_INFINITY) return;
    at = Number.POSITIVE_INFINITY;
    stream.sendEnd();
  };
  if (recorder !== undefined) {
    recorder.onWritable = more;
    recorder.onData = (from, bytes) => from.consume(bytes);
  }
  more();
}

export interface JoinedPair {
  readonly client: SessionCase;
  readonly server: SessionCase;
  /** From client to server, and back. */
  readonly pipes: readonly [Pipe, Pipe];
  readonly up: WindowMeter;
  readonly down: WindowMeter;
}

/** Joins a client with a server that sends back what it gets, as it gets it. */
export function joinedPair(changes: Parameters<typeof optionsOf>[1]): JoinedPair {
  const client = new SessionCase(optionsOf('client', changes));
  const server = new SessionCase(optionsOf('server', changes));
  server.onRequest = (stream, _head, isEnded) => echo(stream, server, isEnded);
  const up = new WindowMeter();
  const down = new WindowMeter();
  const pipes = [new Pipe(client, server, up, down), new Pipe(server, client, down, up)] as const;
  return { client, server, pipes, up, down };
}

// What the windows of the other side hold back stays unconsumed here, so that the sender is held back in turn.
function echo(stream: H2Stream, server: SessionCase, isBodyless: boolean): void {
  const recorder = server.recorders.at(-1);
  if (recorder === undefined) throw new RangeError('a request comes with its recorder');
  let heldBytes = 0;
  recorder.onWritable = () => {
    stream.consume(heldBytes);
    heldBytes = 0;
  };
  const note = recorder.data.bind(recorder);
  recorder.data = (view, isEnded) => {
    note(view, isEnded);
    heldBytes += view.length;
    if (stream.sendData(view)) recorder.onWritable();
    if (isEnded) stream.sendEnd();
  };
  stream.sendHead(ok, isBodyless);
}
