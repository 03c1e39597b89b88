// Asks the kernel for one socket by its two ends, where the optional package koffi is installed: some microseconds however many
// sockets the machine has, where `/proc/net/tcp` has to be read as a whole.
import type { RawSocketCalls } from '../native/c-library.ts';
import type { SocketRow } from './proc-net.ts';
import {
  type DiagAnswer,
  diagRequest,
  diagSocket,
  parseDiagReply,
  type SocketEnds,
} from './sock-diag-message.ts';
import type { TcpFamily } from './source.ts';

const REPLY_BYTES = 1_024;

/** One netlink socket. */
export class SocketDiagnosis {
  readonly #calls: RawSocketCalls;
  readonly #reply: Buffer;
  /** Below zero when there is none, or none any more. */
  #fd: number;
  #sequence: number;
  /** Whether a socket was ever found: until then `absent` may mean that the kernel can't tell. */
  #isProven: boolean;

  constructor(calls: RawSocketCalls) {
    this.#calls = calls;
    this.#reply = Buffer.alloc(REPLY_BYTES);
    this.#fd = calls.open(diagSocket.family, diagSocket.type, diagSocket.protocol);
    this.#sequence = 0;
    this.#isProven = false;
  }

  /**
   * The client's socket; `absent` when there is none with these ends; `undefined` where the kernel does not tell, and its tables have
   * to be read.
   */
  find({ remote, local }: TcpFamily): SocketRow | 'absent' | undefined {
    const row = this.#ask({ near: remote, far: local });
    if (row !== 'absent' || this.#isProven) return row;
    // Our own end of the connection is there for sure, as long as it is open.
    return typeof this.#ask({ near: local, far: remote }) === 'object' ? 'absent' : undefined;
  }

  close(): void {
    if (this.#fd >= 0) this.#calls.close(this.#fd);
    this.#fd = -1;
  }

  #ask(ends: SocketEnds): SocketRow | 'absent' | undefined {
    if (this.#fd < 0) return undefined;
    this.#sequence = (this.#sequence + 1) >>> 0;
    const request = diagRequest(ends, this.#sequence);
    if (request === undefined) return undefined;
    const answer = this.#exchange(request, ends);
    if (answer === 'absent') return answer;
    if (answer !== undefined && 'inode' in answer) {
      this.#isProven = true;
      return answer;
    }
    // A kernel that is silent or refuses will do so again.
    this.close();
    return undefined;
  }

  /** The kernel has answered before `send` returns. */
  #exchange(request: Buffer, ends: SocketEnds): DiagAnswer | undefined {
    if (this.#calls.send(this.#fd, request) !== request.length) return undefined;
    const length = this.#calls.receive(this.#fd, this.#reply);
    return length < 0 ? undefined : parseDiagReply(this.#reply.subarray(0, length), ends, this.#sequence);
  }
}
