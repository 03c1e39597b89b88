#!/usr/bin/env python3
"""Compares intercepting proxies by CPU time per request. README.md tells how; `list` names scenarios and targets."""
import sys

sys.dont_write_bytecode = True  # leaves nothing behind in the repository

import argparse
import json
import os
import platform
import shutil
import signal
import subprocess
import time
from pathlib import Path

if not sys.platform.startswith('linux'):
    sys.exit('bench: it reads /proc and pins cores, and so runs on Linux only')

import fcntl

import report
from places import BIN, DOCS_PAGE, HOME, RUN, die, node_program, tool
from preparation import NPM_PEERS, is_prepared, setup
from processes import Process
from rounds import Bench
from scenarios import SCENARIOS
from targets import TARGETS, targets_for

RUN_EPILOG = """Placeholders in commands: {port} {ca_cert} {ca_key} {upstream_ca} {mode} (intercept or tunnel)
{node} (the chosen Node) {work} (an empty folder). Such commands run in the current folder, without a shell."""


def list_all(_args):
    """The command `list`."""
    print('scenarios')
    for name, scenario in SCENARIOS.items():
        print(f'  {name:16} {scenario.text}')
    print('targets')
    for name, target in TARGETS.items():
        obstacle = target.obstacle('h1')
        print(f'  {name:16} {target.text} [{" ".join(sorted(target.kinds))}]' + (f'  ({obstacle})' if obstacle else ''))


def first_line(*command):
    try:
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=20)
        return (done.stdout + done.stderr).strip().splitlines()[0]
    except (OSError, IndexError, subprocess.TimeoutExpired):
        return None


def environment(args, node, names, has_h2):
    """What the figures depend on besides the targets themselves."""
    info = Path('/proc/cpuinfo').read_text().splitlines()
    asked = {'haproxy': ('haproxy', '-v'), 'nginx': ('nginx', '-v'), 'squid': ('squid', '-v'),
             'mitmdump': ('mitmdump', '--version')}
    programs = {name: first_line(tool(program), flag) for name, (program, flag) in asked.items()
                if name in names and tool(program)}
    programs.update({peer.split('@')[0]: peer.split('@')[1] for peer in NPM_PEERS if peer.split('@')[0] in names})
    if has_h2:
        programs['h2load'] = first_line(tool('h2load'), '--version')
    return dict(
        date=time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime()),
        cpu=next((line.split(':')[1].strip() for line in info if line.startswith('model name')), ''),
        cores=os.cpu_count(),
        kernel=platform.release(),
        load=os.getloadavg()[0],
        node=first_line(node, '--version'),
        openssl=first_line('openssl', 'version'),
        programs=programs,
        rounds=args.rounds,
        seconds=args.seconds,
    )


def commands_given(args):
    """What --ours, --ours-tunnel and --target-cmd say, as pairs."""
    pairs = [(name, command) for name, command in (('ours', args.ours), ('ours:tunnel', args.ours_tunnel)) if command]
    for text in args.target_cmd:
        name, is_given, command = text.partition('=')
        if not is_given or not name or not command:
            die(f"--target-cmd {text}: write NAME='COMMAND'")
        pairs.append((name, command))
    return pairs


def check_request(args, scenarios, names, table):
    """Whatever can be known to fail is told before anything is measured."""
    for name in scenarios:
        if name not in SCENARIOS:
            die(f'no scenario {name}: `npm run bench -- list` names them')
    for name in names:
        if name not in table:
            die(f'no target {name}: `npm run bench -- list` names them')
        target = table[name]
        if not target.commands and target.build and not target.build.exists():
            die(f'{name}: {target.obstacle("h1")}')
    if args.rounds < 1 or args.seconds <= 0 or args.warmup < 0 or (args.first_warmup or 0) < 0:
        die('--rounds wants at least 1, --seconds more than 0, warm-ups 0 or more')
    if not (BIN / 'lc').exists() or not is_prepared():
        die('nothing is prepared: run `npm run bench -- setup` first')
    if any(SCENARIOS[name].kind == 'h2' for name in scenarios) and not tool('h2load'):
        die('h2 scenarios want h2load (Debian: apt-get install nghttp2-client)')
    if args.write_docs:
        try:
            report.replace_generated(DOCS_PAGE.read_text(), '')
        except (OSError, ValueError) as error:
            die(f'{DOCS_PAGE}: {error}')
    try:
        os.sched_setaffinity(0, {args.client_core})
    except OSError:
        die('two cores are needed: see --proxy-core and --client-core')


def take_lock():
    lock = open(HOME / 'lock', 'w')
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        die('another run is going on in this BENCH_HOME')
    return lock


def run(args):
    """The command `run`."""
    scenarios, names = args.scenario.split(','), args.targets.split(',')
    table = targets_for(commands_given(args))
    check_request(args, scenarios, names, table)
    node = node_program(args.node)
    lock = take_lock()
    shutil.rmtree(RUN, ignore_errors=True)
    RUN.mkdir()
    baselines = args.baseline.split(',') if args.baseline else [b for b in ('haproxy', 'mitmdump') if b in names]
    direct = {name for name in names if table[name].is_direct}
    env = environment(args, node, names, any(SCENARIOS[name].kind == 'h2' for name in scenarios))
    print(report.machine_line(env), flush=True)
    samples, summaries, sections = [], {}, []
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    bench = Bench(args, node, table)
    try:
        bench.start_origins()
        for name in scenarios:
            taken = bench.run(SCENARIOS[name], names)
            samples += taken
            summaries[name] = report.summarise(taken, baselines, direct)
            sections.append((name, SCENARIOS[name].text, *report.cells_of(summaries[name], baselines)))
            print(report.table(*sections[-1][2:]), flush=True)
    finally:
        Process.stop_all()
        if args.json:
            whole = dict(env=env, summary=summaries, samples=samples)
            Path(args.json).write_text(json.dumps(whole, indent=1) + '\n')
        lock.close()
    note = report.noise(samples)
    print(f'\n{report.LEGEND}' + (f'\n{note}' if note else ''))
    for sample in {sample['target']: sample for sample in samples if sample.get('note')}.values():
        print(f'{sample["scenario"]} {sample["target"]}: {sample["note"].splitlines()[0]}')
    if args.write_docs:
        page = report.replace_generated(DOCS_PAGE.read_text(), report.generated(env, sections, note))
        DOCS_PAGE.write_text(page)
        print(f'written: {DOCS_PAGE}')


def arguments():
    parser = argparse.ArgumentParser(prog='bench', description=__doc__)
    commands = parser.add_subparsers(required=True, metavar='setup | list | run')
    part = commands.add_parser('setup', help='build the load client, make certificates, install the npm peers')
    part.set_defaults(act=setup)
    commands.add_parser('list', help='scenarios and targets').set_defaults(act=list_all)
    part = commands.add_parser('run', help='measure', epilog=RUN_EPILOG,
                               formatter_class=argparse.RawDescriptionHelpFormatter)
    part.add_argument('--scenario', default='h1-1k,newconn,tunnel-1k')
    part.add_argument('--targets', default='ours,haproxy')
    part.add_argument('--rounds', type=int, default=5)
    part.add_argument('--seconds', type=float, default=1.5, help='measured time of one sample')
    part.add_argument('--warmup', type=float, default=0.5, help='seconds of load before each sample')
    part.add_argument('--first-warmup', type=float,
                      help='seconds of load after a target has started, in place of what the scenario says')
    part.add_argument('--conns', type=int, help='connections, instead of those of the scenario')
    part.add_argument('--baseline', help='targets to give ratios against (haproxy,mitmdump)')
    part.add_argument('--ours', metavar='COMMAND', help='another proxy in place of the built program, on {port}')
    part.add_argument('--ours-tunnel', metavar='COMMAND', help='the same for tunnel scenarios')
    part.add_argument('--target-cmd', metavar='NAME=COMMAND', action='append', default=[],
                      help='a further target; NAME:tunnel=COMMAND for its tunnel mode')
    part.add_argument('--node', metavar='PATH', help='another Node than the one of the lockfile')
    part.add_argument('--connect-host', default='127.0.0.1', help='host of the CONNECT line')
    part.add_argument('--proxy-core', type=int, default=0)
    part.add_argument('--client-core', type=int, default=1)
    part.add_argument('--json', metavar='FILE', help='environment, summary and all samples')
    part.add_argument('--write-docs', action='store_true', help='put the tables into docs/performance.md')
    part.add_argument('-v', '--verbose', action='store_true', help='print every sample')
    part.set_defaults(act=run)
    return parser.parse_args()


def main():
    args = arguments()
    try:
        args.act(args)
    except KeyboardInterrupt:
        sys.exit(130)
    except (RuntimeError, subprocess.CalledProcessError) as error:
        die(error)


if __name__ == '__main__':
    main()
