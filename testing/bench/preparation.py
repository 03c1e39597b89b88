"""Makes once what every run needs: the load client, certificates, files to serve, and the peers that come from npm.

It names system programs that are missing and never installs them.
"""
import os
import subprocess

from places import APT, BIN, CERTS, HERE, HOME, NPM, WWW, die, tool
from scenarios import FILES

NPM_PEERS = ['mockttp@4.6.5', 'http-mitm-proxy@1.1.0']

EXTENSIONS = """subjectAltName=DNS:localhost,IP:127.0.0.1
basicConstraints=critical,CA:FALSE
keyUsage=critical,digitalSignature
extendedKeyUsage=serverAuth
subjectKeyIdentifier=hash
authorityKeyIdentifier=keyid
"""

# Files that a program wants in one piece.
BUNDLES = {
    'ca-both.pem': ('ca.pem', 'ca.key'),
    'mitmproxy-ca.pem': ('ca-rsa.key', 'ca-rsa.pem'),
    'origin-both.pem': ('origin.pem', 'origin.key'),
}


def openssl(*args):
    subprocess.run(['openssl', *args], cwd=CERTS, check=True, capture_output=True)


def make_certificates():
    """Two authorities for the proxies (P-256; RSA for peers that want it), one for the origin, and its certificate."""
    if is_prepared():
        return
    CERTS.mkdir(exist_ok=True)
    ec = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1']
    rsa = ['-newkey', 'rsa:2048']
    for name, key, subject in (
        ('ca', ec, '/CN=bench CA/O=bench'),
        ('ca-rsa', rsa, '/CN=bench RSA CA/O=bench'),
        ('origin-ca', ec, '/CN=bench origin CA/O=bench'),
    ):
        openssl('req', '-x509', '-nodes', '-days', '3650', '-addext', 'keyUsage=critical,keyCertSign,cRLSign',
                *key, '-keyout', f'{name}.key', '-out', f'{name}.pem', '-subj', subject)
    openssl('req', '-nodes', *ec, '-keyout', 'origin.key', '-out', 'origin.csr', '-subj', '/CN=localhost')
    (CERTS / 'origin.ext').write_text(EXTENSIONS)
    openssl('x509', '-req', '-in', 'origin.csr', '-CA', 'origin-ca.pem', '-CAkey', 'origin-ca.key',
            '-CAcreateserial', '-days', '3650', '-sha256', '-extfile', 'origin.ext', '-out', 'origin.pem')
    for name, parts in BUNDLES.items():
        (CERTS / name).write_text(''.join((CERTS / part).read_text() for part in parts))


def is_prepared():
    return (CERTS / list(BUNDLES)[-1]).exists()


def build_clients():
    BIN.mkdir(exist_ok=True)
    for name, libraries in (('connect-shim', []), ('lc', ['-lssl', '-lcrypto'])):
        command = ['gcc', '-O2', '-o', str(BIN / name), str(HERE / f'{name}.c'), *libraries]
        if subprocess.run(command).returncode:
            die(f'{name}.c does not build (Debian: apt-get install {APT["gcc"]})')


def install_peers():
    NPM.mkdir(exist_ok=True)
    if not (NPM / 'package.json').exists():
        (NPM / 'package.json').write_text('{"private":true}\n')
    # Below `npm run` these would make npm install into the repository.
    env = {key: value for key, value in os.environ.items() if key.lower() != 'npm_config_local_prefix'}
    print('npm install', *NPM_PEERS, flush=True)
    command = ['npm', 'install', '--no-audit', '--no-fund', '--loglevel=error', '--prefix', str(NPM), *NPM_PEERS]
    subprocess.run(command, cwd=NPM, env=env, check=True)


def setup(_args):
    """The command `setup`. It may be repeated; certificates stay."""
    missing = [name for name in APT if not tool(name)]
    for name in missing:
        print(f'missing: {name}   (Debian: apt-get install {APT[name]})')
    needed = [name for name in ('gcc', 'openssl', 'npm', 'nginx') if name in missing]
    if needed:
        die('cannot go on without ' + ', '.join(needed))
    HOME.mkdir(parents=True, exist_ok=True)
    if HOME.stat().st_uid != os.getuid():
        die(f'{HOME} belongs to somebody else: set BENCH_HOME')
    build_clients()
    make_certificates()
    WWW.mkdir(exist_ok=True)
    for name, size in FILES.items():
        (WWW / name).write_bytes(b'x' * size)
    install_peers()
    print('ready in', HOME)
