// What gRPC says in HTTP: which calls are gRPC, by content type alone, which method they call, and how they ended.
import { mediaType } from './content-coding.ts';
import type { HeaderList } from './header-map.ts';

/** The ways of framing calls that are told apart: gRPC, gRPC-Web in bytes and in base64, and streams of Connect. */
export const grpcProtocols = ['grpc', 'grpc_web', 'grpc_web_text', 'connect_stream'] as const;
/** See {@link grpcProtocols}. */
export type GrpcProtocol = (typeof grpcProtocols)[number];

/** What told that a call is gRPC: the content type, and whether the path looked like a call too. */
export const grpcDetectionModes = ['content_type_and_path', 'content_type'] as const;
/** See {@link grpcDetectionModes}. */
export type GrpcDetectionMode = (typeof grpcDetectionModes)[number];

/** The names of the status codes 0 to 16, at their places. */
export const grpcStatusNames = [
  'OK',
  'CANCELLED',
  'UNKNOWN',
  'INVALID_ARGUMENT',
  'DEADLINE_EXCEEDED',
  'NOT_FOUND',
  'ALREADY_EXISTS',
  'PERMISSION_DENIED',
  'RESOURCE_EXHAUSTED',
  'FAILED_PRECONDITION',
  'ABORTED',
  'OUT_OF_RANGE',
  'UNIMPLEMENTED',
  'INTERNAL',
  'UNAVAILABLE',
  'DATA_LOSS',
  'UNAUTHENTICATED',
] as const;
/** See {@link grpcStatusNames}. */
export type GrpcStatusName = (typeof grpcStatusNames)[number];

/** Which method of which service is called. */
export interface GrpcMethod {
  /** The service, with its package where it has one: `package.Service`. */
  readonly service: string;
  readonly method: string;
}

/** A recognised call. */
export interface GrpcCall {
  readonly protocol: GrpcProtocol;
  readonly detectionMode: GrpcDetectionMode;
  /** `undefined` where the path names no service and method. */
  readonly target: GrpcMethod | undefined;
}

/** How a call ended. */
export interface GrpcStatus {
  /** 0 to 16 are defined; what is no number counts as 2. */
  readonly code: number;
  /** `UNKNOWN` for codes that are not defined. */
  readonly name: GrpcStatusName;
  /** `grpc-message` in plain text. */
  readonly message: string | undefined;
}

const unknownCode = 2;
const statusField = 'grpc-status';
const messageField = 'grpc-message';

/** Which protocol a Content-Type names, `undefined` for any other, unary Connect included, which has no frames. */
export function grpcProtocolOf(contentType: string | undefined): GrpcProtocol | undefined {
  if (contentType === undefined) return undefined;
  const type = mediaType(contentType);
  const plus = type.indexOf('+');
  const base = plus < 0 ? type : type.slice(0, plus);
  if (plus === type.length - 1 && plus >= 0) return undefined;
  switch (base) {
    case 'application/grpc':
      return 'grpc';
    case 'application/grpc-web':
      return 'grpc_web';
    case 'application/grpc-web-text':
      return 'grpc_web_text';
    case 'application/connect':
      return plus < 0 ? undefined : 'connect_stream';
    default:
      return undefined;
  }
}

/** The method that a path names: exactly two parts that are not empty, the query ignored. */
export function grpcMethodOf(path: string): GrpcMethod | undefined {
  const query = path.indexOf('?');
  const end = query < 0 ? path.length : query;
  const slash = path.indexOf('/', 1);
  if (!path.startsWith('/') || slash < 2 || slash >= end - 1) return undefined;
  const method = path.slice(slash + 1, end);
  return method.includes('/') ? undefined : { service: path.slice(1, slash), method };
}

/** Recognises a call by the content type of its request; the path only adds names. */
export function grpcCallOf(contentType: string | undefined, path: string): GrpcCall | undefined {
  const protocol = grpcProtocolOf(contentType);
  if (protocol === undefined) return undefined;
  const target = grpcMethodOf(path);
  return { protocol, detectionMode: target === undefined ? 'content_type' : 'content_type_and_path', target };
}

/** How a call ended, from its trailers or, in a Trailers-Only answer, its head; `undefined` without `grpc-status`. */
export function grpcStatusOf(fields: HeaderList): GrpcStatus | undefined {
  const status = valueOf(fields, statusField);
  if (status === undefined) return undefined;
  const message = valueOf(fields, messageField);
  const code = /^\d{1,9}$/.test(status) ? Number(status) : unknownCode;
  return {
    code,
    name: grpcStatusNames[code] ?? 'UNKNOWN',
    message: message === undefined ? undefined : decodeGrpcMessage(message),
  };
}

/** Whether a head is all there is of an answer (Trailers-Only): it ended the stream and has the status. */
export function isTrailersOnly(fields: HeaderList, isEnded: boolean): boolean {
  return isEnded && valueOf(fields, statusField) !== undefined;
}

/** The status that a client of gRPC concludes from the HTTP status of an answer without `grpc-status`. */
export function grpcStatusOfHttp(httpStatus: number): GrpcStatusName {
  switch (httpStatus) {
    case 400:
      return 'INTERNAL';
    case 401:
      return 'UNAUTHENTICATED';
    case 403:
      return 'PERMISSION_DENIED';
    case 404:
      return 'UNIMPLEMENTED';
    case 429:
    case 502:
    case 503:
    case 504:
      return 'UNAVAILABLE';
    default:
      return 'UNKNOWN';
  }
}

/** The trailers in the last frame of gRPC-Web: header lines, names in any case. What is no line of that kind is skipped. */
export function grpcWebTrailers(payload: Uint8Array): HeaderList {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1');
  const list: string[] = [];
  for (const line of text.split('\n')) {
    const colon = line.indexOf(':');
    if (colon > 0) list.push(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }
  return list;
}

/**
 * `grpc-message` in plain text: percent-encoded UTF-8, where a percent sign that begins no octet stands for itself. Never throws:
 * octets that are not UTF-8 become U+FFFD.
 */
export function decodeGrpcMessage(value: string): string {
  const octets = value.replace(/%([\da-f]{2})/gi, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(octets, 'latin1').toString('utf8');
}

function valueOf(fields: HeaderList, lowerName: string): string | undefined {
  for (let i = 0; i < fields.length; i += 2) {
    const name = fields[i] ?? '';
    if (name.length === lowerName.length && name.toLowerCase() === lowerName) return fields[i + 1];
  }
  return undefined;
}
