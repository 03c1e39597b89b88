import { describe, expect, test } from 'vitest';

import {
  decodeGrpcMessage,
  grpcCallOf,
  grpcDetectionModes,
  grpcMethodOf,
  grpcProtocolOf,
  grpcStatusNames,
  grpcStatusOf,
  grpcStatusOfHttp,
  grpcWebTrailers,
  isTrailersOnly,
} from '../src/grpc.ts';

describe('which protocol a content type names', () => {
  test.each([
    ['application/grpc', 'grpc'],
    ['application/grpc+proto', 'grpc'],
    ['application/grpc+json; charset=utf-8', 'grpc'],
    ['Application/GRPC', 'grpc'],
    ['application/grpc-web', 'grpc_web'],
    ['application/grpc-web+proto', 'grpc_web'],
    ['application/grpc-web-text', 'grpc_web_text'],
    ['application/grpc-web-text+proto', 'grpc_web_text'],
    ['application/connect+proto', 'connect_stream'],
    ['application/connect+json', 'connect_stream'],
  ])('%s is %s', (contentType, protocol) => {
    expect(grpcProtocolOf(contentType)).toBe(protocol);
  });

  test.each([
    ['none', undefined],
    ['an empty one', ''],
    ['JSON, as in unary Connect', 'application/json'],
    ['protobuf, as in unary Connect', 'application/proto'],
    ['a longer name', 'application/grpcx'],
    ['another suffix of words', 'application/grpc-webx'],
    ['nothing behind the plus', 'application/grpc+'],
    ['Connect without a codec', 'application/connect'],
    ['another type', 'text/grpc'],
  ])('%s is not one of them', (_rule, contentType) => {
    expect(grpcProtocolOf(contentType)).toBeUndefined();
  });
});

describe('service and method of a path', () => {
  test.each([
    ['/pkg.Service/Method', 'pkg.Service', 'Method'],
    ['/Service/Method?x=/a/b', 'Service', 'Method'],
    ['/a/b', 'a', 'b'],
  ])('%s', (path, service, method) => {
    expect(grpcMethodOf(path)).toEqual({ service, method });
  });

  test.each(['', '/', '/a', '/a/', '//b', '/a/?x', '/a?x=/b', '/a/b/c', '/a/b/', 'a/b', '*'])(
    '%j has none',
    (path) => {
      expect(grpcMethodOf(path)).toBeUndefined();
    },
  );
});

describe('calls are told by their content type alone', () => {
  test('a path that looks like a call adds its names', () => {
    expect(grpcCallOf('application/grpc', '/pkg.Service/Method')).toEqual({
      protocol: 'grpc',
      detectionMode: 'content_type_and_path',
      target: { service: 'pkg.Service', method: 'Method' },
    });
  });

  test('any other path does not matter', () => {
    const call = grpcCallOf('application/grpc-web', '/api/pkg.Service/Method');
    expect(call).toEqual({ protocol: 'grpc_web', detectionMode: 'content_type', target: undefined });
    expect(grpcDetectionModes).toContain(call?.detectionMode);
  });

  test('GR-12 a path without the content type tells nothing', () => {
    expect(grpcCallOf(undefined, '/pkg.Service/Method')).toBeUndefined();
  });

  test('GR-13 REST is not gRPC', () => {
    expect(grpcCallOf('application/json', '/v1/models')).toBeUndefined();
  });
});

describe('how a call ended', () => {
  test('there are 17 codes, each with its own name', () => {
    expect(grpcStatusNames).toHaveLength(17);
    expect(new Set(grpcStatusNames).size).toBe(17);
  });

  test.each(grpcStatusNames.map((name, code) => [code, name] as const))(
    'grpc-status %i is %s',
    (code, name) => {
      expect(grpcStatusOf(['grpc-status', String(code)])).toEqual({ code, name, message: undefined });
    },
  );

  test.each([
    ['a code that is not defined', '17', 17],
    ['no number', 'x', 2],
    ['a negative number', '-1', 2],
    ['nothing', '', 2],
    ['more digits than any code has', '0000000000', 2],
  ])('%s is UNKNOWN', (_rule, value, code) => {
    expect(grpcStatusOf(['grpc-status', value])).toMatchObject({ code, name: 'UNKNOWN' });
  });

  test('without grpc-status nothing is known', () => {
    expect(grpcStatusOf(['grpc-message', 'x', 'grpc-encoding', 'gzip'])).toBeUndefined();
  });

  test('the message is read in plain text, names in any case', () => {
    const fields = ['Grpc-Message', 'not%20found', 'Grpc-Status', '5'];
    expect(grpcStatusOf(fields)).toEqual({ code: 5, name: 'NOT_FOUND', message: 'not found' });
  });

  test.each([
    ['plain text', 'not found', 'not found'],
    ['UTF-8, in either case of hexadecimal', 'caf%c3%A9', 'café'],
    ['UTF-8 that was not encoded', 'caf\u00c3\u00a9', 'café'],
    ['a percent sign by itself', '100% of %zz %4', '100% of %zz %4'],
    ['octets that are not UTF-8', 'a%ffb', 'a\ufffdb'],
    ['line ends', 'a%0D%0Ab', 'a\r\nb'],
    ['nothing', '', ''],
  ])('grpc-message: %s', (_rule, value, message) => {
    expect(decodeGrpcMessage(value)).toBe(message);
  });

  test.each([
    ['a head that ends the stream with a status', ['grpc-status', '5'], true, true],
    ['a head that does not end it', ['grpc-status', '5'], false, false],
    ['an end without a status', ['content-type', 'application/grpc'], true, false],
  ])('Trailers-Only: %s', (_rule, fields, isEnded, expected) => {
    expect(isTrailersOnly([':status', '200', ...fields], isEnded)).toBe(expected);
  });

  test.each([
    [400, 'INTERNAL'],
    [401, 'UNAUTHENTICATED'],
    [403, 'PERMISSION_DENIED'],
    [404, 'UNIMPLEMENTED'],
    [429, 'UNAVAILABLE'],
    [502, 'UNAVAILABLE'],
    [503, 'UNAVAILABLE'],
    [504, 'UNAVAILABLE'],
    [200, 'UNKNOWN'],
    [500, 'UNKNOWN'],
  ])('HTTP %i without grpc-status means %s', (status, name) => {
    expect(grpcStatusOfHttp(status)).toBe(name);
  });

  test('gRPC-Web has its trailers in the last frame', () => {
    const bytes = new TextEncoder().encode('xgrpc-status: 5\r\nGrpc-Message:no%20x\r\n\r\nno line\n: x\n');
    const fields = grpcWebTrailers(bytes.subarray(1));
    expect(fields).toEqual(['grpc-status', '5', 'grpc-message', 'no%20x']);
    expect(grpcStatusOf(fields)).toMatchObject({ code: 5, message: 'no x' });
  });
});
