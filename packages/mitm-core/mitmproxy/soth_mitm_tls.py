"""A mitmproxy addon that writes one JSON line for each step of a TLS handshake.

    mitmdump -s soth_mitm_tls.py --set soth_mitm_tls_log=tls.jsonl

The lines are what `parseTlsCallback` of mitm-core reads. A `-` instead of a file name writes them to standard output. Works with
mitmproxy 8 and later.
"""

import json
import sys
import typing

from mitmproxy import ctx, exceptions, tls

SCHEMA = "soth-mitm-tls-callback-v1"


def address(pair) -> typing.Optional[str]:
    """An address as `host:port`, IPv6 in brackets."""
    if not pair:
        return None
    host, port = pair[0], pair[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def callback(hook: str, data: tls.TlsData) -> dict:
    """What a hook is told, as the fields of a line. Fields that are not known are left out."""
    client = data.context.client
    server = data.context.server
    target = server.address or (None, 0)
    fields = {
        "schema": SCHEMA,
        "hook": hook,
        "flow_id": client.id,
        "client_addr": address(client.peername),
        "server_host": client.sni or server.sni or target[0],
        "server_port": target[1],
        "sni": data.conn.sni,
        "alpn": data.conn.alpn.decode("latin-1") if data.conn.alpn else None,
        "tls_version": data.conn.tls_version,
        "error": data.conn.error if hook.startswith("tls_failed") else None,
    }
    return {name: value for name, value in fields.items() if value is not None}


class TlsCallbacks:
    """Writes the lines. A line is complete and flushed before the handshake goes on."""

    def __init__(self) -> None:
        self.output: typing.Optional[typing.TextIO] = None

    def load(self, loader) -> None:
        loader.add_option("soth_mitm_tls_log", str, "-", "Where TLS callbacks are written; - is standard output.")

    def configure(self, updated) -> None:
        if "soth_mitm_tls_log" not in updated:
            return
        self.done()
        name = ctx.options.soth_mitm_tls_log
        if name == "-":
            self.output = sys.stdout
            return
        try:
            self.output = open(name, "a", encoding="utf-8")
        except OSError as error:
            raise exceptions.OptionsError(f"soth_mitm_tls_log: {name} cannot be written: {error}") from error

    def done(self) -> None:
        if self.output not in (None, sys.stdout):
            self.output.close()
        self.output = None

    def write(self, hook: str, data: tls.TlsData) -> None:
        if self.output is None:
            return
        self.output.write(json.dumps(callback(hook, data), ensure_ascii=True) + "\n")
        self.output.flush()

    def tls_start_client(self, data: tls.TlsData) -> None:
        self.write("tls_handshake_started_client", data)

    def tls_start_server(self, data: tls.TlsData) -> None:
        self.write("tls_handshake_started_server", data)

    def tls_established_client(self, data: tls.TlsData) -> None:
        self.write("tls_handshake_succeeded_client", data)

    def tls_established_server(self, data: tls.TlsData) -> None:
        self.write("tls_handshake_succeeded_server", data)

    def tls_failed_client(self, data: tls.TlsData) -> None:
        self.write("tls_failed_client", data)

    def tls_failed_server(self, data: tls.TlsData) -> None:
        self.write("tls_failed_server", data)


addons = [TlsCallbacks()]
