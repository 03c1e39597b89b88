// A client that insists on an encrypted hello (RFC 9849), made with Go's own TLS: where the server does not take it, it says
// `ech_required` and leaves.
import { runProgram } from './programs.ts';
import { temporaryDirectory } from './temporary.ts';

const source = `package main

import (
	"bufio"
	"crypto/ecdh"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net"
	"os"
)

func vector(content []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(content))), content...)
}

// An ECHConfigList with one configuration (RFC 9849, section 4) for a public name.
func configList(publicName string) []byte {
	key, err := ecdh.X25519().GenerateKey(rand.Reader)
	if err != nil {
		panic(err)
	}
	content := append([]byte{7, 0, 0x20}, vector(key.PublicKey().Bytes())...)
	content = append(content, vector([]byte{0, 1, 0, 1})...)
	content = append(content, 32, byte(len(publicName)))
	content = append(content, publicName...)
	content = append(content, 0, 0)
	return vector(append([]byte{0xfe, 0x0d}, vector(content)...))
}

// Arguments: the proxy, the target, a file with the CA, and "ech" or "plain".
func main() {
	pem, err := os.ReadFile(os.Args[3])
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	connection, err := net.Dial("tcp", os.Args[1])
	if err != nil {
		panic(err)
	}
	fmt.Fprintf(connection, "CONNECT %s HTTP/1.1\\r\\nHost: %s\\r\\n\\r\\n", os.Args[2], os.Args[2])
	reader := bufio.NewReader(connection)
	for line := ""; line != "\\r\\n"; {
		if line, err = reader.ReadString('\\n'); err != nil {
			panic(err)
		}
	}
	config := &tls.Config{RootCAs: roots, ServerName: "localhost"}
	if os.Args[4] == "ech" {
		config.EncryptedClientHelloConfigList = configList("public.test")
		config.ServerName = "hidden.test"
	}
	secure := tls.Client(connection, config)
	err = secure.Handshake()
	fmt.Println(err)
	secure.Close()
}
`;

export interface EchClient extends AsyncDisposable {
  /** Shakes hands through a proxy, with an encrypted hello or without, and leaves; answers what the client says of it. */
  shake(asked: EchRequest): Promise<string>;
}

interface EchRequest {
  readonly proxyPort: number;
  /** Where to, as `host:port`. */
  readonly authority: string;
  /** A file with the CA that it trusts. */
  readonly caFile: string;
  readonly hello: 'ech' | 'plain';
}

/** Builds the client; needs `go`. */
export async function buildEchClient(): Promise<EchClient> {
  const folder = await temporaryDirectory();
  const binary = folder.resolve('client');
  const build = ['build', '-o', binary, await folder.write('main.go', source)];
  const { code, stderr } = await runProgram('go', build, {
    timeoutMs: 120_000,
    environment: { GO111MODULE: 'off', GOFLAGS: '' },
  });
  if (code !== 0) throw new Error(`go build ended with ${code}: ${stderr}`);
  return {
    async shake({ proxyPort, authority, caFile, hello }) {
      const told = await runProgram(binary, [`127.0.0.1:${proxyPort}`, authority, caFile, hello]);
      if (told.code !== 0) throw new Error(`the client ended with ${told.code}: ${told.stderr}`);
      return told.stdout.toString().trim();
    },
    [Symbol.asyncDispose]: () => folder[Symbol.asyncDispose](),
  };
}
