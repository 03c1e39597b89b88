// The two ends of an exchange as receivers that write down what they are told.
import type { Failure } from 'mitm-core';
import type { HeaderList } from 'mitm-http';

import type { RequestReceiver, ResponseMessage, ResponseReceiver } from '../src/relay/sides.ts';

/** Remembers what it is told; `isReady` is what it answers to each piece. */
export class RequestRecorder implements RequestReceiver {
  readonly told: string[] = [];
  failure: Failure | undefined = undefined;
  isReady = true;

  requestData(piece: Buffer): boolean {
    this.told.push(piece.length > 40 ? `(${piece.length})` : `data ${piece.toString('latin1')}`);
    return this.isReady;
  }

  requestEnd(trailers: HeaderList | undefined): void {
    this.told.push(`end${trailers === undefined ? '' : ` ${trailers.join(' ')}`}`);
  }

  requestFailed(failure: Failure): void {
    this.failure = failure;
    this.told.push(`failed ${failure.reason}`);
  }

  clientDrained(): void {
    this.told.push('drained');
  }
}

/** As {@link RequestRecorder}, for an answer. */
export class ResponseRecorder implements ResponseReceiver {
  readonly told: string[] = [];
  failure: Failure | undefined = undefined;
  isUntouched: boolean | undefined = undefined;
  isReady = true;

  informational(head: ResponseMessage): void {
    this.told.push(`interim ${head.status}`);
  }

  responseHead(head: ResponseMessage, framing: { readonly kind: string }): void {
    this.told.push(`head ${head.status} ${framing.kind}`);
  }

  responseData(piece: Buffer): boolean {
    this.told.push(piece.length > 40 ? `(${piece.length})` : `data ${piece.toString('latin1')}`);
    return this.isReady;
  }

  responseEnd(trailers: HeaderList | undefined): void {
    this.told.push(`end${trailers === undefined ? '' : ` ${trailers.join(' ')}`}`);
  }

  responseFlush(): void {
    this.told.push('flush');
  }

  responseFailed(failure: Failure, isUntouched: boolean): void {
    this.failure = failure;
    this.isUntouched = isUntouched;
    this.told.push('failed');
  }

  upstreamDrained(): void {
    this.told.push('drained');
  }
}
