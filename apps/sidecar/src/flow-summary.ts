// Folds the events of each flow into one summary when the flow ends. A connection that only carried requests has none of its
// own, since each of its requests has one.
import type { EventSink, MitmEvent } from 'soth-mitm';

/** A flow that has ended. */
export interface FlowSummary {
  readonly flowId: number;
  /** `CONNECT` for a tunnel, `-` when no request was read. */
  readonly method: string;
  /** Of the request; `host:port` when there was none. */
  readonly url: string;
  /** `HTTP/1.1`, `HTTP/2`, or what the flow became, such as `websocket`. */
  readonly protocol: string;
  /** The answer's status, or how the flow ended without one. */
  readonly status: number | 'tunnel' | 'blocked' | 'failed';
  readonly bytesUp: number;
  readonly bytesDown: number;
  readonly durationMs: number;
  /** Why it ended, where that needs saying. */
  readonly note: string | undefined;
}

interface OpenFlow {
  readonly beganNs: bigint;
  readonly isChild: boolean;
  hasChildren: boolean;
  request: MitmEvent<'request_headers'> | undefined;
  status: number | undefined;
}

const goodEnds: ReadonlySet<string> = new Set(['mitm_http_completed', 'websocket_completed', 'relay_eof']);

/** Hears all events and tells each flow that ended. */
export class FlowSummaries implements EventSink {
  readonly #tell: (summary: FlowSummary) => void;
  readonly #open: Map<number, OpenFlow>;

  constructor(tell: (summary: FlowSummary) => void) {
    this.#tell = tell;
    this.#open = new Map();
  }

  consume(event: MitmEvent): void {
    const { flowId } = event.context;
    // The engine's own facts are nobody's flow.
    if (flowId === 0) return;
    const flow = this.#open.get(flowId) ?? this.#begin(event);
    // Flows that began before anybody listened have no beginning to tell of.
    if (flow === undefined) return;
    if (event.kind === 'request_headers') flow.request = event;
    else if (event.kind === 'response_headers') flow.status = event.statusCode;
    else if (event.kind === 'stream_closed') {
      this.#open.delete(flowId);
      const summary = summaryOf(flow, event);
      if (summary !== undefined) this.#tell(summary);
    }
  }

  #begin(event: MitmEvent): OpenFlow | undefined {
    if (event.flowSequenceId !== 1) return undefined;
    const { parentFlowId } = event;
    const parent = parentFlowId === undefined ? undefined : this.#open.get(parentFlowId);
    if (parent !== undefined) parent.hasChildren = true;
    const flow: OpenFlow = {
      beganNs: event.occurredAtMonotonicNs,
      isChild: parentFlowId !== undefined,
      hasChildren: false,
      request: undefined,
      status: undefined,
    };
    this.#open.set(event.context.flowId, flow);
    return flow;
  }
}

function summaryOf(flow: OpenFlow, end: MitmEvent<'stream_closed'>): FlowSummary | undefined {
  const { request } = flow;
  const { context, reasonCode } = end;
  const isNamed = context.serverPort !== 0;
  const isBroken = reasonCode === 'connect_parse_failed' || reasonCode === 'capacity_denied';
  if (request === undefined && !flow.isChild) {
    if (flow.hasChildren || reasonCode === 'mitm_http_completed' || !(isNamed || isBroken)) return undefined;
  }
  const isGood = goodEnds.has(reasonCode);
  return {
    flowId: context.flowId,
    method: request?.method ?? (flow.isChild || !isNamed ? '-' : 'CONNECT'),
    url: request === undefined ? targetText(end) : requestUrl(request),
    protocol: protocolText(request, context.protocol),
    status: flow.status ?? statusText(reasonCode),
    bytesUp: end.bytesFromClient ?? 0,
    bytesDown: end.bytesFromServer ?? 0,
    durationMs: Number(end.occurredAtMonotonicNs - flow.beganNs) / 1e6,
    note: isGood ? undefined : (end.reasonDetail ?? reasonCode),
  };
}

function statusText(reasonCode: string): FlowSummary['status'] {
  if (reasonCode === 'blocked') return 'blocked';
  return reasonCode === 'relay_eof' ? 'tunnel' : 'failed';
}

function protocolText(request: MitmEvent<'request_headers'> | undefined, protocol: string): string {
  const isPlain = protocol === 'http1' || protocol === 'http2';
  return request !== undefined && isPlain ? request.version : protocol;
}

function targetText({ context: { serverHost, serverPort } }: MitmEvent<'stream_closed'>): string {
  if (serverPort === 0) return '-';
  return serverHost.includes(':') ? `[${serverHost}]:${serverPort}` : `${serverHost}:${serverPort}`;
}

function requestUrl({ scheme, authority, target }: MitmEvent<'request_headers'>): string {
  if (scheme === undefined || authority === undefined) return target;
  if (target === '*') return `${scheme}://${authority}`;
  return target.startsWith('/') ? `${scheme}://${authority}${target}` : target;
}
