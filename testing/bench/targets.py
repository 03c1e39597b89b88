"""The proxies that can be measured: what each can do, what it needs, and the command that starts it.

A planner turns a Launch into arguments and environment; it writes only below `launch.work`.
"""
import os
import pwd
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Callable, Dict, FrozenSet, Optional

from places import APT, CERTS, FACADE, HERE, NPM, ROOT, SIDECAR, tool
from processes import Ports
from scenarios import KINDS, mode_of
from templates import fill, write_config


@dataclass(frozen=True)
class Launch:
    """What a target is told when it starts for one kind of scenario."""

    kind: str
    port: int
    work: Path  # an empty folder of its own
    node: str
    origin: Dict[str, int]  # by the names of ORIGIN_OF

    @property
    def mode(self):
        return mode_of(self.kind)


@dataclass(frozen=True)
class Target:
    name: str
    text: str
    kinds: FrozenSet[str] = frozenset(KINDS)
    is_direct: bool = False  # TLS comes in without CONNECT
    program: Optional[str] = None  # of the system
    build: Optional[Path] = None  # of the repository
    plan: Optional[Callable] = None  # Launch -> (argv, environment); absent: no process
    commands: Dict[str, str] = field(default_factory=dict)  # by mode, in place of `plan`

    def obstacle(self, kind):
        """None when it can run this kind, else why not."""
        mode = mode_of(kind)
        if kind not in self.kinds:
            return 'cannot do this'
        if self.commands and mode not in self.commands:
            return f'no command for {mode} mode'
        if self.commands:
            return None
        if self.program and not tool(self.program):
            return f'not installed (Debian: apt-get install {APT[self.program]})'
        if self.build and not self.build.exists():
            return f'{self.build.relative_to(ROOT)} is missing: `npm start -- --once` or `npm test` builds it'
        return None

    def start_plan(self, launch):
        """Arguments, environment and working folder. Commands given by the user run where the user is."""
        if self.commands:
            values = dict(command_values(launch), work=launch.work)
            return [fill(word, **values) for word in shlex.split(self.commands[launch.mode])], {}, None
        argv, env = self.plan(launch)
        return argv, env, launch.work


def command_values(launch):
    return dict(port=launch.port, ca_cert=CERTS / 'ca.pem', ca_key=CERTS / 'ca.key',
                upstream_ca=CERTS / 'origin-ca.pem', mode=launch.mode, node=launch.node)


def plan_ours(launch):
    # A list that names nothing the client asks for makes every connection a tunnel.
    destination = 'nothing.invalid:443' if launch.mode == 'tunnel' else '*:*'
    values = command_values(launch)
    return [launch.node, SIDECAR, 'run', '--listen', f'127.0.0.1:{launch.port}', '--intercept', destination,
            '--ca-cert', values['ca_cert'], '--ca-key', values['ca_key'],
            '--upstream-ca', values['upstream_ca']], {}


def plan_ours_log(launch):
    argv, env = plan_ours(launch)
    return argv, {**env, 'SOTH_MITM_EVENT_LOG_V2_PATH': str(launch.work / 'events.jsonl')}


def plan_ours_small(launch):
    argv, env = plan_ours(launch)
    return argv, dict(env, NODE_OPTIONS='--max-semi-space-size=16')


def plan_library(launch, hook):
    values = command_values(launch)
    return [launch.node, HERE / 'allow-all.mjs', launch.port, values['ca_cert'], values['ca_key'],
            values['upstream_ca'], launch.mode, hook], {}


def plan_ours_handler(launch):
    return plan_library(launch, 'onRequest')


def plan_ours_chunks(launch):
    return plan_library(launch, 'onStreamChunk')


def listener_ports(launch):
    """A port for each listener of a peer that has one for each kind; the one that counts is the launch's."""
    return {f'{kind}_port': launch.port if kind == launch.kind else Ports.take() for kind in KINDS}


def plan_haproxy(launch):
    conf = write_config('haproxy.cfg', launch.work, **listener_ports(launch), **launch.origin)
    return [tool('haproxy'), '-f', conf], {}


def plan_nginx(launch):
    conf = write_config('nginx-proxy.conf', launch.work, **listener_ports(launch), **launch.origin)
    return [tool('nginx'), '-e', 'stderr', '-p', launch.work, '-c', conf], {}


def plan_mitmdump(launch):
    shutil.copy(CERTS / 'mitmproxy-ca.pem', launch.work)
    options = ['flow_detail=0', 'termlog_verbosity=error', 'ssl_insecure=true', f'confdir={launch.work}']
    if launch.kind == 'sse':
        options.append('stream_large_bodies=1')  # without it events are held back until the stream ends
    argv = [tool('mitmdump'), '--listen-host', '127.0.0.1', '-p', launch.port, '--quiet']
    for option in options:
        argv += ['--set', option]
    return argv + (['--ignore-hosts', '.*'] if launch.mode == 'tunnel' else []), {}


def plan_squid(launch):
    program, work = tool('squid'), launch.work
    certgen = Path(program).resolve().parent.parent / 'lib' / 'squid' / 'security_file_certgen'
    names = {user.pw_name for user in pwd.getpwall()}
    user = next((name for name in ('proxy', 'squid') if name in names), 'nobody')
    options = rules = ''
    if launch.mode == 'intercept':
        store = work / 'ssl_db'
        subprocess.run([certgen, '-c', '-s', store, '-M', '16MB'], check=True, capture_output=True)
        options = (f'ssl-bump tls-cert={CERTS / "ca-both.pem"} generate-host-certificates=on '
                   'dynamic_cert_mem_cache_size=16MB')
        rules = (f'sslcrtd_program {certgen} -s {store} -M 16MB\nsslcrtd_children 2 startup=1 idle=1\n'
                 'acl step1 at_step SslBump1\nssl_bump peek step1\nssl_bump bump all')
    if os.getuid() == 0:
        for path in [work, *work.rglob('*')]:
            shutil.chown(path, user)
    conf = write_config('squid.conf', work, port=launch.port, bump_port_options=options, bump_rules=rules, user=user)
    return [program, '-n', f'bench{launch.port}', '-N', '-f', conf], {}


def plan_mockttp(launch):
    env = {'NODE_PATH': str(NPM / 'node_modules'), 'RSA_CA_CERT': str(CERTS / 'ca-rsa.pem'),
           'RSA_CA_KEY': str(CERTS / 'ca-rsa.key'), 'MODE': launch.mode, 'H2': '1' if launch.kind == 'h2' else ''}
    return [launch.node, HERE / 'peers' / 'mockttp.cjs', launch.port], env


def plan_http_mitm_proxy(launch):
    env = {'NODE_PATH': str(NPM / 'node_modules'), 'WORK': str(launch.work)}
    return [launch.node, HERE / 'peers' / 'http-mitm-proxy.cjs', launch.port], env


HTTP1 = frozenset(('h1', 'sse'))

TARGETS = {
    target.name: target
    for target in (
        Target('ours', 'the built program, without a handler', frozenset(KINDS), build=SIDECAR, plan=plan_ours),
        Target('ours-log', 'the built program with an event log', frozenset(KINDS), build=SIDECAR, plan=plan_ours_log),
        Target('ours-small', 'the built program with the limit on young memory that docs/operations.md gives it',
               frozenset(KINDS), build=SIDECAR, plan=plan_ours_small),
        Target('ours-handler', 'the built library with an onRequest handler that allows everything',
               frozenset(KINDS), build=FACADE, plan=plan_ours_handler),
        Target('ours-chunks', 'the built library with an onStreamChunk handler that counts', frozenset(KINDS),
               build=FACADE, plan=plan_ours_chunks),
        Target('haproxy', 'reverse proxy with a static certificate: the fixed reference', is_direct=True,
               program='haproxy', plan=plan_haproxy),
        Target('nginx', 'reverse proxy with a static certificate', HTTP1, is_direct=True, program='nginx',
               plan=plan_nginx),
        Target('mitmdump', 'mitmproxy without its screen', program='mitmdump', plan=plan_mitmdump),
        Target('squid', 'ssl-bump, no cache', HTTP1 | {'ws', 'tunnel', 'wstunnel'}, program='squid', plan=plan_squid),
        Target('mockttp', 'from npm, with a rule that passes everything through', plan=plan_mockttp),
        Target('http-mitm-proxy', 'from npm, without handlers', HTTP1 | {'ws'}, plan=plan_http_mitm_proxy),
        Target('direct', 'no proxy: client and origin alone, on one core', is_direct=True),
    )
}


def targets_for(commands):
    """The table with what the command line adds or replaces: pairs of NAME or NAME:tunnel, and a command line."""
    table = dict(TARGETS)
    given = {}
    for name, command in commands:
        base, _, mode = name.partition(':')
        modes = given.setdefault(base, {})
        modes[mode or 'intercept'] = command
        if not mode and '{mode}' in command:
            modes.setdefault('tunnel', command)
    for name, modes in given.items():
        known = table.get(name, Target(name, 'a command given with --target-cmd'))
        table[name] = replace(known, kinds=frozenset(KINDS), is_direct=False, commands=modes)
    return table
