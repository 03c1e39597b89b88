"""One sample of one target: runs the load client against it and tells CPU time per request, rate, latency and errors.

A sample that could not be taken is `{'failed': reason}`; it is never silently left out.
"""
import json
import re
import subprocess
import threading
import time

from places import BIN, RUN, tool
from processes import core_times, cpu_seconds
from scenarios import ORIGIN_OF, mode_of

ORIGIN_ISSUER = 'bench origin CA'


class Meter:
    """Takes samples. `origin` holds the origin's ports by name; `args` are those of the command `run`."""

    def __init__(self, args, origin):
        self.args = args
        self.origin = origin

    def sample(self, row, scenario, seconds, warmup):
        """One sample, with what else happened on the two cores meanwhile. Returns once the target is idle again."""
        pid = row.pid
        cores = (self.args.proxy_core, self.args.client_core)
        began, own, before = time.time(), cpu_seconds(pid), [core_times(core) for core in cores]
        take = self.h2load if scenario.is_h2load else self.load_client
        result = take(row, scenario, seconds, warmup)
        span, own = time.time() - began, cpu_seconds(pid) - own
        after = [core_times(core) for core in cores]
        result['other_load'] = max(0, (after[0][0] - before[0][0] - own) / span)
        result['steal'] = sum(now[1] - then[1] for then, now in zip(before, after)) / span
        self.settle(pid)
        return result

    @staticmethod
    def settle(pid):
        """Waits, three seconds at most, until it has finished what it does for connections that are gone."""
        for _ in range(30):
            before = cpu_seconds(pid)
            time.sleep(0.1)
            if cpu_seconds(pid) - before < 0.02:
                return

    def load_client(self, row, scenario, seconds, warmup):
        origin = self.origin[ORIGIN_OF[scenario.kind]]
        conns = scenario.conns if scenario.conns == 1 else self.args.conns or scenario.conns
        command = [BIN / 'lc', '-m', 'direct' if row.target.is_direct else 'connect', '-x', row.port, '-t', origin,
                   '-h', self.args.connect_host, '-p', scenario.path, '-c', conns, '-d', seconds, '-w', warmup]
        command += ['-L', scenario.body_bytes] if scenario.body_bytes is not None else []
        command += scenario.flags
        command += ['-T', row.pid] if row.pid else []
        command += ['-I', scenario.idle_seconds] if scenario.idle_seconds else []
        try:
            done = subprocess.run(list(map(str, command)), capture_output=True, text=True,
                                  timeout=seconds + warmup + 150)
            note = {'note': done.stderr.strip()[:300]} if done.stderr else {}
            return {**json.loads(done.stdout), **note}
        except (subprocess.TimeoutExpired, ValueError) as error:
            return {'failed': type(error).__name__}

    def h2load(self, row, scenario, seconds, warmup):
        """h2load in timed mode; CPU time is read when it says that the measured window begins and ends."""
        log = RUN / 'h2load.log'
        log.unlink(missing_ok=True)
        command = [tool('h2load'), '-t1', '-c', self.args.conns or scenario.conns, '-m32',
                   '-D', f'{seconds * 1000:.0f}ms', '--warm-up-time', f'{warmup * 1000:.0f}ms', '--npn-list=h2',
                   f'--log-file={log}', f'--connect-to=127.0.0.1:{row.shim_port or row.port}',
                   f'https://localhost:{self.origin["origin_h2"]}{scenario.path}']
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                   text=True)
        killer = threading.Timer(seconds + warmup + 60, process.kill)
        killer.start()
        lines, window = [], {}
        try:
            for line in process.stdout:
                lines.append(line)
                if line.startswith('Main benchmark duration is started'):
                    window['begin'] = time.time(), cpu_seconds(row.pid)
                elif line.startswith('Main benchmark duration is over'):
                    window['end'] = time.time(), cpu_seconds(row.pid)
        except BaseException:
            process.kill()
            raise
        finally:
            process.wait()
            killer.cancel()
        if not any('Application protocol: h2' in line for line in lines) or len(window) < 2:
            return {'failed': 'no HTTP/2', 'note': 'h2load: ' + '; '.join(complaints_of(lines)[:4])}
        (began, cpu_began), (ended, cpu_ended) = window['begin'], window['end']
        times, bad = answers_in_window(log.read_text(), began, ended)
        lost = lost_streams(''.join(lines))
        count, span, cpu = len(times), ended - began, cpu_ended - cpu_began
        note = {'note': f'{bad} answers without 2xx, {lost} streams without an answer'} if bad + lost else {}
        return dict(rps=count / span, n=count, cpu_us=cpu * 1e6 / count if count else 0, busy=cpu / span,
                    errs=bad + lost, seconds=span, **percentiles(times), **note)

    def refusal(self, row, scenario):
        """None when the target does what the scenario says, told from who signed the certificate; else why not."""
        if row.name == 'direct':
            return None
        is_web_socket = scenario.kind.startswith('ws')
        path = '/' if is_web_socket else '/sse?n=1' if scenario.kind == 'sse' else '/1k'
        flags = scenario.flags if is_web_socket else ()
        probe = self.load_client(row, type(scenario)('probe', '', scenario.kind, path, 1, None, flags), 0.3, 0)
        seen = probe.get('issuer')
        if mode_of(scenario.kind) == 'tunnel':
            refusal = f'it does not pass the origin through: certificate from {seen or probe}'
            return None if seen == ORIGIN_ISSUER else refusal
        if row.target.is_direct or (seen and seen != ORIGIN_ISSUER):
            return None
        if scenario.kind == 'wsplain':
            return None if probe.get('n') and not probe.get('errs') else f'it does not relay: {probe}'
        return f'it does not intercept: certificate from {seen or probe}'


def complaints_of(lines):
    """What h2load says besides its progress."""
    return [line.strip() for line in lines
            if line.strip() and not re.match('progress|spawning|Warm-up|TLS|Cipher|Server Temp', line)]


def lost_streams(text):
    """Streams that h2load gave up, from its summary."""
    found = re.search(r'(\d+) failed, (\d+) errored, (\d+) timeout', text)
    return sum(map(int, found.groups())) if found else 0


def answers_in_window(log, began, ended):
    """Times in µs of the answers that ended inside the window, sorted, and how many of them were not 2xx."""
    times, bad = [], 0
    for line in log.splitlines():
        start, status, us = line.split('\t')[:3]
        begin, end = int(start) / 1e6, (int(start) + int(us)) / 1e6
        is_cut = status == '-1' and end > ended - 0.1  # h2load drops what is open when it stops
        if not began <= end <= ended or is_cut:
            continue
        # Status 0: its head came during the warm-up, where h2load does not look at it.
        bad += not (status.startswith('2') or (status == '0' and begin <= began))
        if status != '-1':
            times.append(int(us))
    return sorted(times), bad


def percentiles(times):
    """p50, p95, p99 and p99.9 of sorted times, named as the load client names them."""
    last = len(times) - 1
    return {f'p{q}'.replace('.', ''): times[min(last, int(len(times) * q / 100))] if times else 0
            for q in (50, 95, 99, 99.9)}
