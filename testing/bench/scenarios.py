"""What is measured: one row for each kind of traffic. It says what the proxy has to do and what a right answer is."""
from dataclasses import dataclass
from typing import Optional, Tuple

# h1, h2, sse, ws: intercepted HTTP/1.1, HTTP/2, event streams, WebSockets; wsplain: the last of them without TLS;
# tunnel, wstunnel: bytes passed on untouched.
KINDS = ('h1', 'h2', 'sse', 'ws', 'wsplain', 'tunnel', 'wstunnel')
TUNNELS = ('tunnel', 'wstunnel')
ORIGIN_OF = {'h1': 'origin_h1', 'h2': 'origin_h2', 'sse': 'origin_sse', 'ws': 'origin_ws',
             'wsplain': 'origin_wsplain', 'tunnel': 'origin_h1', 'wstunnel': 'origin_ws'}


def mode_of(kind):
    return 'tunnel' if kind in TUNNELS else 'intercept'


@dataclass(frozen=True)
class Scenario:
    name: str
    text: str
    kind: str
    path: str
    conns: int
    body_bytes: Optional[int] = None  # another length is an error
    flags: Tuple[str, ...] = ()  # further flags of the load client
    idle_seconds: int = 0  # above 0: connections are held open and memory is measured, not CPU
    warmup_seconds: float = 2  # of load before the first sample
    warmup_conns: Optional[int] = None  # where the scenario itself asks too little to warm anything up

    @property
    def is_h2load(self):
        """h2load measures HTTP/2 under load; the load client holds idle connections, of either version."""
        return self.kind == 'h2' and '-2' not in self.flags


KIB = 1 << 10
FILES = {'1k': KIB, '64k': 64 * KIB, '10m': 10 * KIB * KIB}

SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario('h1-1k', 'HTTP/1.1 interception, keep-alive, 1 KiB', 'h1', '/1k', 24, KIB),
        Scenario('h1-64k', 'HTTP/1.1 interception, keep-alive, 64 KiB', 'h1', '/64k', 24, 64 * KIB),
        Scenario('newconn', 'CONNECT + full TLS handshake + 1 KiB for every request', 'h1', '/1k', 24, KIB, ('-K',),
                 warmup_seconds=20),
        Scenario('resumed', 'the same, resuming TLS sessions', 'h1', '/1k', 24, KIB, ('-K', '-R'),
                 warmup_seconds=20),
        Scenario('tunnel-1k', 'CONNECT passthrough, keep-alive, 1 KiB', 'tunnel', '/1k', 24, KIB),
        Scenario('tunnel-10m', 'CONNECT passthrough, 10 MiB', 'tunnel', '/10m', 4, FILES['10m']),
        Scenario('sse', '20 server-sent events, 5 ms apart, intercepted', 'sse', '/sse?n=20&ms=5', 1, None, ('-S',),
                 warmup_seconds=10, warmup_conns=24),
        Scenario('sse-10k', '10 streams of 1,000 small server-sent events a second each, intercepted', 'sse',
                 '/sse?n=1000&ms=1', 10, None, ('-S',)),
        Scenario('ws-64', 'WebSocket messages of 64 B and their echoes, intercepted', 'ws', '/', 24, None, ('-W', '64')),
        Scenario('ws-64-raw', 'the same messages, passed on as bytes', 'wstunnel', '/', 24, None, ('-W', '64')),
        Scenario('ws-64-plain', 'the same messages without TLS on either side, intercepted', 'wsplain', '/', 24, None,
                 ('-W', '64', '-P')),
        Scenario('ws-16k', 'WebSocket messages of 16 KiB and their echoes, intercepted', 'ws', '/', 24, None,
                 ('-W', '16384')),
        Scenario('h2-1k', 'HTTP/2 on both sides, 8 connections x 32 streams, 1 KiB', 'h2', '/1k', 8),
        Scenario('h2-64k', 'HTTP/2 on both sides, 8 connections x 32 streams, 64 KiB', 'h2', '/64k', 8),
        Scenario('idle', 'memory of idle intercepted connections, 1,000 unless --conns says otherwise',
                 'h1', '/1k', 1000, KIB, (), 5),
        Scenario('idle-h2', 'memory of idle intercepted HTTP/2 connections of clients, 1,000 unless --conns says otherwise',
                 'h2', '/1k', 1000, KIB, ('-2',), 5),
    )
}
