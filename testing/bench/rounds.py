"""A scenario from start to end: origins and targets up, warm-up, rounds in turn, everything down again.

Each target is measured once per round and the order is reversed every second one, so that a machine that gets faster or
slower hits all of them alike.
"""
import json
import shutil
import subprocess
import time
from dataclasses import dataclass, replace
from typing import Optional

from measure import Meter
from places import BIN, CERTS, HERE, RUN, tool
from processes import Ports, Process
from scenarios import ORIGIN_OF
from targets import Launch, Target
from templates import write_config


@dataclass
class Row:
    """A line of the table: a running target, and the shim in front of it if it has one."""

    name: str
    target: Target
    process: Optional[Process]
    port: int
    shim: Optional[Process] = None
    shim_port: int = 0

    @property
    def pid(self):
        return self.process.pid if self.process else 0

    def stop(self):
        for process in (self.shim, self.process):
            if process:
                process.stop()


class Bench:
    """Runs scenarios. `table` are the targets by name."""

    def __init__(self, args, node, table):
        self.args = args
        self.node = node
        self.table = table
        self.origin = {name: Ports.take() for name in sorted(set(ORIGIN_OF.values()))}
        self.meter = Meter(args, self.origin)

    def start_origins(self):
        core = self.args.client_core
        conf = write_config('nginx-origin.conf', RUN, **self.origin)
        nginx = [tool('nginx'), '-e', 'stderr', '-p', RUN, '-c', conf]
        Process('nginx-origin', nginx, core).wait_port(self.origin['origin_h1'])
        certificate = [CERTS / 'origin.pem', CERTS / 'origin.key']
        for kind, script, further in (('sse', 'sse', certificate), ('ws', 'ws', certificate), ('wsplain', 'ws', [])):
            port = self.origin[f'origin_{kind}']
            command = [self.node, HERE / 'peers' / f'{script}-origin.mjs', port, *further]
            Process(f'{kind}-origin', command, core).wait_port(port)

    def start(self, target, kind):
        """Starts a target for one kind of scenario: its process (None without a proxy) and its port."""
        if target.plan is None and not target.commands:
            return None, self.origin[ORIGIN_OF[kind]]
        work = RUN / f'{target.name}-{kind}'
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        launch = Launch(kind, Ports.take(), work, self.node, self.origin)
        argv, env, cwd = target.start_plan(launch)
        process = Process(f'{target.name}-{kind}', argv, self.args.proxy_core, env, cwd)
        return process.wait_port(launch.port), launch.port

    def start_shim(self, row):
        """Puts the shim for h2load in front of a row."""
        row.shim_port = Ports.take()
        command = [BIN / 'connect-shim', '-l', row.shim_port, '-x', row.port]
        if not row.target.is_direct:
            command += ['-c', f'{self.args.connect_host}:{self.origin["origin_h2"]}']
        row.shim = Process(f'shim-{row.target.name}', command, self.args.client_core).wait_port(row.shim_port)

    def rows_of(self, target, scenario):
        """The rows of one target, running and checked. For h2load there is a shim; direct targets go both ways."""
        process, port = self.start(target, scenario.kind)
        rows = [Row(target.name, target, process, port)]
        try:
            if scenario.is_h2load and target.is_direct:
                rows.append(Row(f'{target.name}+shim', target, process, port))
            if scenario.is_h2load:
                self.start_shim(rows[-1])
            refusal = self.meter.refusal(rows[0], scenario)
            if refusal:
                raise RuntimeError(refusal)
        except RuntimeError:
            for row in rows:
                row.stop()
            raise
        return rows

    def open_rows(self, scenario, names):
        """The rows of all targets that can do this; the others are told on the screen, with the reason."""
        rows, left_out = [], {}
        for name in names:
            target = self.table[name]
            obstacle = target.obstacle(scenario.kind)
            if not obstacle:
                try:
                    rows += self.rows_of(target, scenario)
                except (RuntimeError, subprocess.CalledProcessError) as error:
                    obstacle = str(error)
            if obstacle:
                left_out.setdefault(obstacle, []).append(name)
        for why, who in left_out.items():
            print(f'left out: {", ".join(who)}: {why}', flush=True)
        return rows

    def run(self, scenario, names):
        """All samples of a scenario."""
        print(f'\n## {scenario.name}: {scenario.text}', flush=True)
        samples = []

        def keep(row, number, result):
            samples.append(dict(scenario=scenario.name, target=row.name, round=number, **result))
            if self.args.verbose:
                print(' ', json.dumps(samples[-1]), flush=True)

        (self.run_idle if scenario.idle_seconds else self.run_load)(scenario, names, keep)
        return samples

    def run_load(self, scenario, names, keep):
        rows = self.open_rows(scenario, names)
        for row in rows:
            self.warm_up(row, scenario)
        for number in range(self.args.rounds):
            for row in in_turn(rows, number):
                keep(row, number, self.meter.sample(row, scenario, self.args.seconds, self.args.warmup))
        for row in rows:
            row.stop()

    def warm_up(self, row, scenario):
        """Compilers, pools, caches of certificates."""
        seconds = scenario.warmup_seconds if self.args.first_warmup is None else self.args.first_warmup
        load = replace(scenario, conns=scenario.warmup_conns or scenario.conns)
        self.meter.sample(row, load, 0.5, seconds if row.pid else 0)

    def run_idle(self, scenario, names, keep):
        """Memory: a fresh process for every sample, after some load of the usual kind."""
        load = replace(scenario, conns=24, idle_seconds=0)
        for number in range(self.args.rounds):
            for name in in_turn(names, number):
                for row in self.open_rows(scenario, [name]):
                    self.meter.load_client(row, load, 0.5, 1.5)
                    time.sleep(1)
                    keep(row, number, self.meter.sample(row, scenario, 1, 1))
                    row.stop()


def in_turn(items, number):
    """The order of round `number`: reversed every second time."""
    return list(items) if number % 2 == 0 else list(items)[::-1]
