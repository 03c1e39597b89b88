"""Processes as Linux shows them: CPU time of a whole tree, load of a core, programs pinned to a core, free ports.

Whatever is started here is ended here, and nothing else ever is.
"""
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from places import RUN

TICK = os.sysconf('SC_CLK_TCK')


def stat_fields(pid):
    """The fields of /proc/PID/stat behind the name, which may hold blanks and brackets itself."""
    return Path(f'/proc/{pid}/stat').read_text().rsplit(')', 1)[1].split()


def tree(pid):
    """The process and its descendants; empty when it is gone."""
    found = [pid]
    try:
        tasks = os.listdir(f'/proc/{pid}/task')
    except OSError:
        return []
    for task in tasks:
        try:
            children = Path(f'/proc/{pid}/task/{task}/children').read_text().split()
        except OSError:
            continue  # a thread that has just ended
        for child in children:
            found += tree(int(child))
    return found


def cpu_seconds(pid):
    """User and system time of a process tree, with that of children already waited for. 0 for no process."""
    total = 0
    for member in tree(pid) if pid else []:
        try:
            total += sum(map(int, stat_fields(member)[11:15]))
        except OSError:
            pass  # ended between the listing and now
    return total / TICK


def core_times(core):
    """Seconds that a core has been busy, and seconds stolen from it by other guests of the same machine."""
    for line in Path('/proc/stat').read_text().splitlines():
        if line.startswith(f'cpu{core} '):
            fields = [int(field) / TICK for field in line.split()[1:]]
            return fields[0] + fields[1] + fields[2], fields[7]
    return 0, 0


class Process:
    """A program pinned to one core, its output in a log file; stop() ends exactly the tree that it started."""

    running = []

    def __init__(self, name, argv, core, env=None, cwd=None):
        self.name = name
        self.log = RUN / f'{name}.log'
        with open(self.log, 'wb') as log:
            try:
                self.popen = subprocess.Popen(
                    list(map(str, argv)),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    cwd=cwd,
                    env={**os.environ, **(env or {})},
                    start_new_session=True,
                    preexec_fn=lambda: os.sched_setaffinity(0, {core}),
                )
            except OSError as error:
                raise RuntimeError(f'{argv[0]}: {error.strerror}') from None
        self.pid = self.popen.pid
        Process.running.append(self)

    def wait_port(self, port, seconds=30):
        """Waits until it accepts connections and returns itself; raises with the end of its log if it never does."""
        end = time.time() + seconds
        while time.time() < end:
            if self.popen.poll() is not None:
                break
            try:
                socket.create_connection(('127.0.0.1', port), 0.5).close()
                return self
            except OSError:
                time.sleep(0.1)
        text = self.log.read_text(errors='replace').strip()[-600:]
        self.stop()
        raise RuntimeError(f'{self.name} does not listen on its port\n{text}')

    def stop(self):
        """Asks the tree to end, and ends what has not after seven seconds."""
        if self not in Process.running:
            return
        Process.running.remove(self)
        started = {}  # by start time too, so that a number given out again is never hit
        for member in tree(self.pid):
            try:
                started[member] = stat_fields(member)[19]
            except OSError:
                pass
        if self.popen.poll() is None:
            self.popen.terminate()
            try:
                self.popen.wait(5)
            except subprocess.TimeoutExpired:
                pass
        signal_all(started, signal.SIGTERM)
        end = time.time() + 2
        while time.time() < end and any(Path(f'/proc/{m}').exists() for m in started if m != self.pid):
            time.sleep(0.05)
        signal_all(started, signal.SIGKILL)
        self.popen.wait()

    @classmethod
    def stop_all(cls):
        for process in reversed(cls.running[:]):
            process.stop()


def signal_all(started, number):
    """Signals those processes that are still the ones that started at the given time."""
    for pid, start in started.items():
        try:
            if stat_fields(pid)[19] == start:
                os.kill(pid, number)
        except OSError:
            pass


class Ports:
    """Free ports from BENCH_PORT upwards: below the range that the kernel gives to outgoing connections."""

    next = int(os.environ.get('BENCH_PORT', 21000))

    @classmethod
    def take(cls):
        while cls.next < 65535:
            cls.next += 1
            with socket.socket() as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                try:
                    probe.bind(('127.0.0.1', cls.next))
                    return cls.next
                except OSError:
                    pass  # taken
        raise RuntimeError('no free port above BENCH_PORT')
