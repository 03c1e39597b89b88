// What can go wrong on one direction of a connection, and the pump that makes it go wrong at a given byte: before it, and without a
// fault at all, everything passes as it came.
import type { Socket } from 'node:net';

import type { Random } from './random.ts';

/** `split` and `slow` change nothing but the timing; whatever is right must still succeed. */
export const faultKinds = ['stall', 'reset', 'fin', 'garbage', 'split', 'slow'] as const;
type FaultKind = (typeof faultKinds)[number];

/** On which of the four connections in a row the fault is: inside or below TLS, on the client's or the origin's side. */
const faultPlaces = ['client_plain', 'client_wire', 'origin_wire', 'origin_plain'] as const;
export type FaultPlace = (typeof faultPlaces)[number];

export interface Fault {
  readonly kind: FaultKind;
  readonly place: FaultPlace;
  readonly direction: 'up' | 'down';
  /** How many bytes of that direction pass first. */
  readonly atBytes: number;
  /** Which connection of the place, counted from 0. */
  readonly connectionIndex: number;
  /** Starts what is random about it. */
  readonly noise: number;
}

/** Most bytes that are sent one by one, and most pieces that are held up. */
const splitByteCount = 300;
const slowPieceCount = 12;

/** A stream between two sockets that knows how to end abruptly. */
export interface Side {
  readonly socket: Socket;
  /** Ends it so that the peer sees a reset. */
  reset(): void;
}

/** Passes one direction from a socket to another from now on, with at most one fault. */
export function pump(from: Side, to: Side, fault: Fault | undefined, random: Random): void {
  new FaultyPump(from, to, fault, random).start();
}

class FaultyPump {
  readonly #from: Side;
  readonly #to: Side;
  readonly #fault: Fault | undefined;
  readonly #random: Random;
  #passedBytes = 0;
  #isBroken = false;
  #heldPieces = 0;
  #splitBytes = 0;
  #work: Promise<void> | undefined;

  constructor(from: Side, to: Side, fault: Fault | undefined, random: Random) {
    this.#from = from;
    this.#to = to;
    this.#fault = fault;
    this.#random = random;
  }

  start(): void {
    const to = this.#to;
    const { socket } = this.#from;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    if (socket.readableEnded) this.#end();
    else socket.on('end', () => this.#end());
    socket.on('error', () => to.reset());
    socket.on('close', () => {
      if (!socket.readableEnded) to.socket.destroy();
    });
    to.socket.on('drain', () => {
      if (this.#work === undefined && !this.#isStalled) socket.resume();
    });
  }

  get #isStalled(): boolean {
    return this.#isBroken && this.#fault?.kind === 'stall';
  }

  #take(chunk: Buffer): void {
    const { socket } = this.#from;
    if (this.#isBroken) return;
    const fault = this.#fault;
    const healthyBytes = fault === undefined ? chunk.length : Math.max(0, fault.atBytes - this.#passedBytes);
    const healthy = chunk.subarray(0, healthyBytes);
    this.#passedBytes += chunk.length;
    if (healthy.length > 0 && !this.#to.socket.write(healthy)) socket.pause();
    const rest = chunk.subarray(healthy.length);
    if (fault !== undefined && rest.length > 0) this.#fail(fault, rest);
  }

  #fail(fault: Fault, rest: Buffer): void {
    const { socket } = this.#from;
    const to = this.#to.socket;
    switch (fault.kind) {
      case 'stall':
        this.#isBroken = true;
        socket.pause();
        return;
      case 'reset':
        this.#isBroken = true;
        this.#from.reset();
        this.#to.reset();
        return;
      case 'fin':
        this.#isBroken = true;
        to.end();
        return;
      case 'garbage':
        if (this.#heldPieces === 0) to.write(this.#random.bytes(1 + this.#random.below(64)));
        this.#heldPieces += 1;
        to.write(rest);
        return;
      case 'split':
      case 'slow':
        socket.pause();
        this.#work = this.#deliver(fault.kind, rest).then(() => {
          this.#work = undefined;
          socket.resume();
        });
    }
  }

  async #deliver(kind: 'split' | 'slow', rest: Buffer): Promise<void> {
    const to = this.#to.socket;
    if (kind === 'slow' && this.#heldPieces < slowPieceCount) {
      this.#heldPieces += 1;
      await pause(1 + this.#random.below(12));
    }
    let offset = 0;
    const singleCount = kind === 'split' ? Math.min(rest.length, splitByteCount - this.#splitBytes) : 0;
    for (; offset < singleCount; offset += 1) {
      this.#splitBytes += 1;
      to.write(rest.subarray(offset, offset + 1));
      await turn();
    }
    if (offset < rest.length) to.write(rest.subarray(offset));
  }

  #end(): void {
    const { socket } = this.#to;
    if (this.#work === undefined) socket.end();
    else void this.#work.then(() => socket.end());
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
}

function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
