"""Where things are: the repository, the folder that holds everything the bench makes, and programs on the PATH.

Nothing here starts or writes anything, and nothing is made inside the repository.
"""
import os
import shutil
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
DOCS_PAGE = ROOT / 'docs' / 'performance.md'
SIDECAR = ROOT / 'apps' / 'sidecar' / 'dist' / 'main.js'
FACADE = ROOT / 'packages' / 'soth-mitm' / 'dist' / 'index.js'
PINNED_NODE = ROOT / 'node_modules' / '.bin' / 'node'

HOME = Path(os.environ.get('BENCH_HOME') or Path(tempfile.gettempdir()) / 'soth-mitm-bench').resolve()
BIN = HOME / 'bin'
CERTS = HOME / 'certs'
WWW = HOME / 'www'
NPM = HOME / 'npm'
RUN = HOME / 'run'

# Programs of the system, and the Debian packages that bring them.
APT = {
    'gcc': 'gcc libssl-dev',
    'openssl': 'openssl',
    'npm': 'npm',
    'nginx': 'nginx',
    'haproxy': 'haproxy',
    'squid': 'squid-openssl',
    'mitmdump': 'mitmproxy',
    'h2load': 'nghttp2-client',
}


def die(text):
    """Ends the program with one line that says what is wrong and what to do."""
    sys.exit(f'bench: {text}')


def tool(name):
    """Finds a program on the PATH, or in the sbin next to a bin of it, where Debian puts servers."""
    folders = os.environ.get('PATH', '').split(os.pathsep)
    folders += [str(Path(folder).parent / 'sbin') for folder in folders if Path(folder).name == 'bin']
    return shutil.which(name, path=os.pathsep.join(folders))


def node_program(choice):
    """The Node to measure with: the one asked for, else the one of the lockfile, else the system's."""
    if choice:
        return shutil.which(choice) or die(f'no such node: {choice}')
    if PINNED_NODE.exists():
        return str(PINNED_NODE)
    return shutil.which('node') or die('no node: npm install brings one, or name it with --node PATH')
