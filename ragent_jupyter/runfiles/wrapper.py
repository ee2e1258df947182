"""The wrapper: the parent of one run's job, and the only witness of its start and its end.

    python -I -S wrapper.py RUN_DIR [--executor-id ID]

One file, standard library only, any Python from 3.8 on; it imports nothing of ragent, so that it also runs on a cluster
node that has none. It reads spec.json, env.json and orders.jsonl in the run's folder, and writes claim.json, job.log,
wrapper.jsonl and exit.json there. It keeps the run's sidecar alive. If it is killed, the job lives on.

What it never does: decide a status, kill a process that it cannot prove to be of this run, run a job twice.
"""

from __future__ import annotations

import errno
import json
import os
import select
import signal
import stat
import sys
import time

TYPE_CHECKING = False  # typing is not imported at run time: it would cost a fifth of our start
if TYPE_CHECKING:
    from typing import Any

    Family = dict[int, tuple[float, int]]
    Step = tuple[int, float]

TICK_MIN, TICK_MAX = 0.05, 0.25  # seconds between two looks at the orders; an idle job is looked at more seldom
LEFT_OVER_GRACE = 2.0  # seconds that processes which outlive the job have between TERM and KILL
KILL_PATIENCE = 5.0  # seconds to wait for processes that got KILL (one in an uninterruptible call cannot die)
SIDECAR_DEATHS = 5  # quick ones in a row, then it is given up
SIDECAR_QUICK = 10.0  # seconds; a longer life forgives the deaths before it
DRAIN_IDLE, DRAIN_MAX = 10.0, 600.0  # after the job's end: how long a sidecar may be silent, and last at all
RESERVE = 4096  # bytes kept for the verdict, in case the disk is full when it is due
LINUX = sys.platform.startswith("linux")

# --- kill points (as in kill_points.py; this file stands alone) -----------------------------------------------------
_kill = os.environ.get("RAGENT_KILL_AT", "").split(":", 2)
_left = int(_kill[1]) if len(_kill) > 1 else 0


def kill_point(name: str) -> None:
    """Die here if RAGENT_KILL_AT=<point>:<n>[:<marker>] says so."""
    global _left
    if _left > 0:
        import fnmatch

        if fnmatch.fnmatchcase(name, _kill[0]):
            _left -= 1
            if _left == 0:
                try:
                    if len(_kill) > 2:
                        os.close(os.open(_kill[2], os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
                    os.kill(os.getpid(), signal.SIGKILL)
                except FileExistsError:
                    pass  # another process of the test has already died of this


# --- processes ------------------------------------------------------------------------------------------------------
def tool(*argv: str) -> str:
    """The output of a small system program (not on Linux, where /proc tells); "" if it fails."""
    import subprocess

    try:
        env = {"PATH": "/bin:/usr/bin:/sbin:/usr/sbin", "LC_ALL": "C"}
        return subprocess.run(argv, stdout=subprocess.PIPE, timeout=5, env=env).stdout.decode("utf-8", "replace")
    except (OSError, subprocess.TimeoutExpired):
        return ""


def boot_id() -> str:
    if not LINUX:
        return tool("sysctl", "-n", "kern.bootsessionuuid").strip()
    try:
        with open("/proc/sys/kernel/random/boot_id") as file:
            return file.read().strip()
    except OSError:
        return ""


def process(pid: int) -> tuple[float, int] | None:
    """(start time, process group) of a process that is no zombie, else None. Same units as runfiles/proc.py."""
    if LINUX:
        try:
            with open("/proc/%d/stat" % pid, "rb") as file:
                data = file.read()
        except OSError:
            return None
        fields = data[data.rfind(b")") + 2 :].split()
        return None if fields[0] in b"ZX" else (float(fields[19]), int(fields[2]))
    words = tool("ps", "-o", "stat=,pgid=,lstart=", "-p", str(pid)).split(None, 2)
    if len(words) < 3 or words[0].startswith("Z"):
        return None
    return time.mktime(time.strptime(words[2].strip(), "%a %b %d %H:%M:%S %Y")), int(words[1])


def start_time(pid: int) -> float | None:
    found = process(pid)
    return found[0] if found else None


def has_mark(pid: int, mark: bytes) -> bool:
    """Whether a process was started with `mark` (b"RAGENT_RUN_ID=…") in its environment."""
    if not LINUX:
        return (" " + mark.decode() + " ") in tool("ps", "-Eww", "-o", "command=", "-p", str(pid)).strip() + " "
    try:
        with open("/proc/%d/environ" % pid, "rb") as file:
            return mark in file.read().split(b"\0")
    except OSError:
        return False


def find_family(group: int, mark: bytes, but: set[int]) -> Family:
    """{pid: (start time, group)} of what lives of a job: members of its group, and whoever carries its mark.

    but: pids to leave out (ourselves, the sidecar).
    """
    found: Family = {}
    names = os.listdir("/proc") if LINUX else tool("ps", "-axo", "pid=").split()
    for pid in map(int, filter(str.isdigit, names)):
        about = None if pid in but else process(pid)
        if about and (about[1] == group or has_mark(pid, mark)):
            found[pid] = about
    return found


def send(pid: int, started: float, group: int, mark: bytes, number: int) -> bool:
    """Signal that very process, if it still is one of ours; a pid may have been given to another since we looked."""
    try:
        handle = os.pidfd_open(pid) if hasattr(os, "pidfd_open") and hasattr(signal, "pidfd_send_signal") else -1
    except OSError:  # gone, or a kernel without it
        handle = -1
    try:
        about = process(pid)
        if not about or about[0] != started or not (about[1] == group or has_mark(pid, mark)):
            return False
        if handle >= 0:
            signal.pidfd_send_signal(handle, number)
        else:
            os.kill(pid, number)
        return True
    except (ProcessLookupError, PermissionError):
        return False
    finally:
        if handle >= 0:
            os.close(handle)


def oom_kills() -> int:
    """How often the kernel's out-of-memory killer has struck in our cgroup; if that is not told, on this machine."""
    v2, v1 = "/sys/fs/cgroup%s/memory.events", "/sys/fs/cgroup/memory%s/memory.oom_control"
    places: list[str] = []
    try:
        with open("/proc/self/cgroup") as file:
            for line in file.read().splitlines():
                _, kinds, path = line.split(":", 2)
                if not kinds:
                    places += [v2 % path, v2 % ("/unified" + path)]
                elif "memory" in kinds.split(","):
                    places.append(v1 % path)
    except OSError:
        pass  # no cgroups here
    # In a container the path is the host's, and its own cgroup is what it sees as the root.
    for place in [*places, v2 % "", v1 % "", "/proc/vmstat"]:
        try:
            with open(place) as file:
                for words in map(str.split, file):
                    if words[0] == "oom_kill":
                        return int(words[1])
        except OSError:
            continue
    return 0


# --- files ----------------------------------------------------------------------------------------------------------
def sync_folder(path: str) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    except OSError:
        pass  # some network file systems refuse this on a folder; the file itself was synced
    finally:
        os.close(fd)


def link_new(temp: str, path: str, point: str) -> bool:
    """Give a whole file its name unless that is taken; of several who try, one wins. True if it was us."""
    try:
        kill_point(point + ".link")
        os.link(temp, path)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK):
            raise
        # A file system without hard links: the name is exclusive here too, but not the bytes at the same moment.
        try:
            fd = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644)
        except FileExistsError:
            return False
        with open(temp, "rb") as whole, os.fdopen(fd, "wb") as file:
            file.write(whole.read())
            file.flush()
            os.fsync(file.fileno())
    kill_point(point + ".linked")
    sync_folder(os.path.dirname(path))
    return True


class Verdict:
    """exit.json, and the 4 KiB that are kept for it: its bytes go where they stand, so a full disk cannot refuse."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "exit.json")
        self.temp = os.path.join(folder, ".exit.json.%d.tmp" % os.getpid())
        self.fd = -1
        try:
            self.reserve()
        except OSError:
            pass  # the disk is full already: publish() tries again

    def reserve(self) -> None:
        if self.fd < 0:
            self.fd = os.open(self.temp, os.O_RDWR | os.O_CREAT, 0o644)
        if os.fstat(self.fd).st_size < RESERVE:
            os.pwrite(self.fd, b" " * RESERVE, 0)
            os.fsync(self.fd)

    def publish(self, exit: dict[str, Any]) -> None:
        """Raises OSError if the disk refused; it may be tried again."""
        self.reserve()
        data = json.dumps(exit).encode()
        kill_point("wrapper.exit.write")
        os.pwrite(self.fd, data + b" " * (RESERVE - len(data) - 1) + b"\n", 0)
        kill_point("wrapper.exit.fsync")
        os.fsync(self.fd)
        link_new(self.temp, self.path, "wrapper.exit")
        os.unlink(self.temp)


def claim(folder: str, executor_id: str) -> bool:
    """Become the run's one wrapper; False if it has one, dead or alive. A run is started at most once.

    The claim is linked into place as a whole file: one that was created empty, by a wrapper that died before it wrote,
    would hold the run for ever and not tell who held it.
    """
    pid = os.getpid()
    pane = os.environ.get("TMUX_PANE", "")
    words = {
        "run_id": os.path.basename(folder),
        "host": os.uname().nodename,
        "boot_id": boot_id(),
        "pid": pid,
        "start_time": start_time(pid) or 0.0,
        "executor_id": executor_id + ":" + pane if executor_id and pane else executor_id,
        "at": time.time(),
    }
    temp = os.path.join(folder, ".claim.json.%d.tmp" % pid)
    fd = os.open(temp, os.O_WRONLY | os.O_CREAT, 0o644)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps(words).encode())
            file.flush()
            kill_point("wrapper.claim.fsync")
            os.fsync(fd)
        return link_new(temp, os.path.join(folder, "claim.json"), "wrapper.claim")
    finally:
        os.unlink(temp)


class Facts:
    """wrapper.jsonl: one write(2) a line. What a full disk refuses is kept, and tried again at every tick."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "wrapper.jsonl")
        self.fd = -1
        self.seq = 0
        self.waiting: list[bytes] = []

    def say(self, type_: str, **more: Any) -> None:
        self.seq += 1
        self.waiting.append(json.dumps(dict(type=type_, seq=self.seq, at=time.time(), **more)).encode() + b"\n")
        self.flush()

    def flush(self) -> None:
        try:
            while self.waiting and self.append(self.waiting[0]):
                self.waiting.pop(0)
        except OSError:
            pass  # the disk is full, or hangs: they wait for the next tick

    def append(self, line: bytes) -> bool:
        """False if the disk took but a part of it; the next try begins on a line of its own."""
        if self.fd < 0:
            self.fd = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        size = os.fstat(self.fd).st_size
        torn = size > 0 and os.pread(self.fd, 1, size - 1) != b"\n"
        data = b"\n" + line if torn else line
        kill_point("wrapper.fact.append")
        whole = os.write(self.fd, data) == len(data)
        kill_point("wrapper.fact.appended")
        return whole


class Orders:
    """Reads orders.jsonl: complete lines only, each order once, garbage passed over."""

    def __init__(self, folder: str) -> None:
        self.path = os.path.join(folder, "orders.jsonl")
        self.offset = 0
        self.rest = b""
        self.seen: set[str] = set()

    def read(self) -> list[dict[str, Any]]:
        try:
            size = os.stat(self.path).st_size
            if size == self.offset:
                return []
            if size < self.offset:  # not as we left it: read it anew; `seen` keeps an order from counting twice
                self.offset, self.rest = 0, b""
            with open(self.path, "rb") as file:
                file.seek(self.offset)
                data = file.read(1 << 20)
        except OSError:
            return []
        self.offset += len(data)
        lines = (self.rest + data).split(b"\n")
        self.rest = lines.pop()
        orders = []
        for line in lines:
            try:
                order = json.loads(line)
                if order["order_id"] not in self.seen:
                    self.seen.add(order["order_id"])
                    orders.append(order)
            except (ValueError, KeyError, TypeError):
                continue
        return orders


class Screen:
    """What a person sees who attaches to our terminal. It is never waited for; what it cannot take is passed over."""

    CHUNK = 64 << 10

    def __init__(self) -> None:
        self.fd = -1
        try:
            about = os.fstat(1)
            if stat.S_ISREG(about.st_mode):
                self.fd = 1
            elif about.st_rdev != os.stat(os.devnull).st_rdev:
                # A descriptor of our own: O_NONBLOCK on the one we were given would be set for its other holders too.
                name = os.ttyname(1) if os.isatty(1) else "/proc/self/fd/1"
                self.fd = os.open(name, os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            pass  # nobody to show anything to

    def show(self, data: bytes) -> int:
        """How many bytes it took."""
        if self.fd < 0:
            return len(data)
        try:
            return os.write(self.fd, data)
        except BlockingIOError:
            return 0
        except OSError:  # hung up: the tmux server is gone
            self.fd = -1
            return len(data)

    def say(self, text: str) -> None:
        self.show(b"\x1b[2m[ragent] " + text.encode("utf-8", "replace") + b"\x1b[0m\n")

    def follow(self, fd: int, at: int) -> int:
        """Show what a file holds from `at` on; the new `at`."""
        size = os.fstat(fd).st_size
        if self.fd < 0:
            return size
        if size - at > 16 * self.CHUNK:
            self.say("… %d bytes passed over; the whole log is job.log" % (size - self.CHUNK - at))
            at = size - self.CHUNK
        return at + self.show(os.pread(fd, self.CHUNK, at)) if size > at else at

    def follow_lines(self, path: str, at: int, prefix: bytes) -> int:
        """As `follow`, whole lines only and each with a prefix."""
        try:
            fd = os.open(path, os.O_RDONLY)
        except OSError:
            return at
        try:
            data = os.pread(fd, self.CHUNK, at)
        finally:
            os.close(fd)
        end = data.rfind(b"\n") + 1 or (len(data) if len(data) == self.CHUNK else 0)
        if end:
            self.show(b"".join(prefix + line + b"\n" for line in data[:end].splitlines()))
        return at + end


class Log:
    """job.log. The job itself writes it; past the cap its middle is given back, behind a kept head and tail."""

    def __init__(self, folder: str, cap: int, facts: Facts, screen: Screen) -> None:
        self.fd = os.open(os.path.join(folder, "job.log"), os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        self.side = os.path.join(folder, "sidecar.log")
        self.cap, self.facts, self.screen = cap, facts, screen
        self.head = -(-cap // 4 // 4096) * 4096  # bytes, whole blocks
        self.hole_end = 0
        self.size = self.shown = self.side_shown = 0

    def tick(self) -> bool:
        """True if it has grown since the last look."""
        try:
            return self.look()
        except OSError:  # the file system hangs or is gone: no reason to leave the job
            return False

    def look(self) -> bool:
        before, self.size = self.size, os.fstat(self.fd).st_size
        on_disk = self.size - (self.hole_end - self.head if self.hole_end else 0)
        if 0 < self.cap < on_disk:
            self.punch()
        self.shown = self.screen.follow(self.fd, self.shown)
        if self.screen.fd >= 0:
            self.side_shown = self.screen.follow_lines(self.side, self.side_shown, b"sidecar \xe2\x94\x82 ")
        return self.size != before

    def punch(self) -> None:
        """Give back what lies between the head and the last half of the cap. Offsets and size do not move."""
        start = self.hole_end or self.head
        end = (self.size - self.cap // 2) // 4096 * 4096
        if end <= start:
            return
        try:
            import ctypes

            call = ctypes.CDLL(None, use_errno=True).fallocate
            call.argtypes = [ctypes.c_int, ctypes.c_int, ctypes.c_longlong, ctypes.c_longlong]
            if call(self.fd, 0x02 | 0x01, start, end - start) != 0:  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE
                raise OSError(ctypes.get_errno(), "fallocate")
        except (ImportError, AttributeError, OSError):
            self.cap = 0  # neither this file system nor macOS can: the log stays whole
            return
        self.hole_end = end
        self.facts.say("log_punched", start=self.head, end=end)


# --- the job --------------------------------------------------------------------------------------------------------
class LaunchError(Exception):
    """The job could not be started: what is wrong, and what to do about it."""

    def __init__(self, problem: str, remedy: str) -> None:
        Exception.__init__(self, problem)
        self.problem, self.remedy = problem, remedy


def find_program(name: str, cwd: str, env: dict[str, str]) -> str:
    """The path of a command, looked up as a shell would, but in the job's PATH and folder. Raises LaunchError."""
    if "/" in name:
        path = os.path.join(cwd, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
        if not os.path.lexists(path):
            raise LaunchError("There is no file %s." % path, "Check the command's spelling and its folder.")
        if os.path.isdir(path):
            raise LaunchError("%s is a folder, not a program." % path, "Name the program in it.")
        remedy = "Run chmod +x %s, or start it through its program, as in: python %s" % (name, name)
        raise LaunchError("%s is not executable." % path, remedy)
    folders = env.get("PATH", os.defpath).split(":")
    for folder in folders:
        path = os.path.join(cwd, folder, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    remedy = "Check its spelling, or install it where the run looks: %s" % (":".join(folders) or "an empty PATH")
    if name and os.path.isfile(os.path.join(cwd, name)):
        remedy = "There is such a file in the run's folder: write ./%s, or python %s." % (name, name)
    raise LaunchError("The command %r was not found." % name, remedy)


def spawn(argv: list[str], cwd: str, env: dict[str, str], log: int) -> int:
    """Start a program in a session of its own, with default signals; stdout and stderr are `log`.

    Returns its pid. Raises LaunchError.
    """
    try:
        os.chdir(cwd)
    except OSError as error:
        raise LaunchError(
            "The run's folder %s cannot be entered: %s." % (cwd, os.strerror(error.errno or 0)),
            "Create it again, or give the run another folder (cwd).",
        ) from None
    if not argv or not argv[0]:
        raise LaunchError("The command is empty.", "Say what to run, as in: python train.py")
    path = find_program(argv[0], cwd, env)

    def raw(text: str) -> bytes:  # whatever the locale of this process says, the job's words are UTF-8
        return text.encode("utf-8", "surrogateescape")

    defaults = set(signal.valid_signals()) - {signal.SIGKILL, signal.SIGSTOP}
    try:
        return os.posix_spawn(
            raw(path),
            [raw(word) for word in argv],
            {raw(name): raw(value) for name, value in env.items()},
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_DUP2, log, 1),
                (os.POSIX_SPAWN_DUP2, log, 2),
            ],
            setsid=True,
            setsigmask=[],
            setsigdef=defaults,
        )
    except ValueError as error:
        problem = "The command or its environment cannot be passed on: %s." % error
        raise LaunchError(problem, "Remove the NUL byte, or the '=' in a variable's name.") from None
    except OSError as error:
        raise LaunchError(*explain(error, path)) from None


def explain(error: OSError, path: str) -> tuple[str, str]:
    """(problem, remedy) of a file that is there, but that the kernel would not execute."""
    try:
        with open(path, "rb") as file:
            first = file.readline(256)
    except OSError:  # may be executed, but not read
        first = b""
    if error.errno == errno.ENOENT and first.startswith(b"#!"):
        program = first[2:].strip().decode("utf-8", "replace")
        remedy = "Correct the file's first line, or start it through the right program, as in: python %s" % path
        if first.endswith(b"\r\n"):
            remedy = "The file has Windows line ends: convert it, as in: sed -i 's/\\r$//' %s" % path
        return "The interpreter %r, named in the first line of %s, does not exist." % (program, path), remedy
    if error.errno == errno.ENOEXEC:
        return (
            "%s is neither a program nor a script with a #! line." % path,
            "Start it through its program (sh, python).",
        )
    if error.errno == errno.E2BIG:
        return "The command line and its environment are too long.", "Put the arguments into a file."
    return "%s could not be started: %s." % (path, os.strerror(error.errno or 0)), "Try the command in a terminal."


class Job:
    """Our child, and whatever it leaves behind."""

    def __init__(self, pid: int, mark: bytes) -> None:
        self.pid, self.mark = pid, mark
        self.group = pid
        self.status: tuple[int, Any] | None = None  # wait4's words, once it is reaped
        self.gone = False

    def ended(self) -> bool:
        """Whether it has exited. It is left a zombie where that can be: so its pid and group are still its own."""
        if self.gone:
            return True
        if hasattr(os, "waitid"):
            self.gone = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
        else:
            self.reap(os.WNOHANG)
            self.gone = self.status is not None
        return self.gone

    def reap(self, flags: int = 0) -> None:
        if self.status is None:
            pid, status, usage = os.wait4(self.pid, flags)
            if pid:
                self.status = (status, usage)

    def signal(self, number: int) -> None:
        """To its whole group, as Ctrl-C in a terminal would; one that is suspended is woken to hear it."""
        for each in (number, signal.SIGCONT):
            try:
                os.killpg(self.group, each)
            except (ProcessLookupError, PermissionError):
                pass  # ended this very moment; ended() will tell

    def verdict(self) -> dict[str, Any]:
        self.reap()
        assert self.status is not None
        status, usage = self.status
        signalled = os.WIFSIGNALED(status)
        return {
            "kind": "signalled" if signalled else "exited",
            "exit_code": None if signalled else os.WEXITSTATUS(status),
            "signal": os.WTERMSIG(status) if signalled else None,
            "utime_s": usage.ru_utime,
            "stime_s": usage.ru_stime,
            "max_rss_bytes": usage.ru_maxrss * (1024 if LINUX else 1),
        }


class Attached:
    """A process that was there before us (a kernel). We watch it; the most we do to it is what Jupyter's Stop does."""

    mark, group = b"", -1

    def __init__(self, pid: int, started: float) -> None:
        self.pid, self.started = pid, started
        self.finished = False

    def ended(self) -> bool:
        return self.finished or start_time(self.pid) != self.started

    def signal(self, number: int) -> None:
        if start_time(self.pid) == self.started:
            os.kill(self.pid, signal.SIGINT)
        self.finished = True

    def verdict(self) -> dict[str, Any]:
        return {"kind": "finished"}


class Ladder:
    """A stop: signals, each with its grace. Also the shorter one for processes that outlive the job."""

    def __init__(self, job: Job | Attached, facts: Facts, screen: Screen) -> None:
        self.job, self.facts, self.screen = job, facts, screen
        self.steps: list[Step] = []
        self.order_id: str | None = None
        self.current = 0  # the signal whose grace runs
        self.deadline: float | None = None
        self.told: set[int] = set()  # pids that got the current signal
        self.survivors: set[tuple[int, float]] = set()
        self.killed = False

    def begin(self, steps: list[Step], order_id: str | None, now: float) -> None:
        """Start it, or if one is under way, let a shorter one take its place."""
        if self.deadline is not None and len(steps) >= len(self.steps) + 1:
            return  # the one under way is as far, or further
        self.order_id = order_id if order_id is not None else self.order_id
        self.steps, self.deadline = steps, now

    def tick(self, now: float, left: Family | None = None) -> bool:
        """Send what is due. left: what lives on after the job, None while it lives. False: all was tried in vain."""
        if self.deadline is None:
            return True
        if now >= self.deadline:
            if not self.steps:
                if left is not None:
                    return False
                self.deadline = (
                    now + KILL_PATIENCE
                )  # it has KILL, and has not died yet: it will, or nothing can be done
                return True
            (number, grace), self.steps = self.steps[0], self.steps[1:]
            self.current, self.deadline, self.told = number, now + grace, set()
            self.killed = self.killed or number == signal.SIGKILL
            if self.order_id is not None:
                name = signal.Signals(number).name[3:]
                self.facts.say("signal_sent", order_id=self.order_id, signal=name, grace_s=grace)
                self.screen.say("%s sent, then %.0f s of grace" % (name, grace))
            if left is None:
                self.job.signal(number)
        for pid, (started, _) in (left or {}).items():
            if pid not in self.told or self.current == signal.SIGKILL:
                self.told.add(pid)
                if send(pid, started, self.job.group, self.job.mark, self.current):
                    self.survivors.add((pid, started))
        return True

    def outlived(self, left: Family, now: float) -> None:
        """The job has ended, these have not. Its group has heard the current signal; those who left it have not."""
        if self.deadline is None:
            self.begin([(signal.SIGTERM, LEFT_OVER_GRACE), (signal.SIGKILL, KILL_PATIENCE)], None, now)
        else:
            self.told = {pid for pid, (_, group) in left.items() if group == self.job.group}


class Sidecar:
    """Keeps the run's sidecar alive. Whatever becomes of it, the job does not notice."""

    def __init__(self, spec: dict[str, Any] | None, folder: str, facts: Facts) -> None:
        self.spec, self.folder, self.facts = spec, folder, facts
        self.pid: int | None = None
        self.deaths, self.started, self.due = 0, 0.0, 0.0
        self.exit: int | None = None

    def tick(self, now: float) -> None:
        if self.pid is not None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                signalled = os.WIFSIGNALED(status)
                self.exit = -os.WTERMSIG(status) if signalled else os.WEXITSTATUS(status)
                self.died(now, ("signal %d" if signalled else "exit code %d") % abs(self.exit))
        elif self.spec and now >= self.due:
            self.start(now)

    def start(self, now: float) -> None:
        assert self.spec is not None
        self.started, self.exit = now, None
        log = -1
        try:
            log = os.open(os.path.join(self.folder, "sidecar.log"), os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
            # The role keeps whoever looks for the job's processes from taking it for one of them.
            env = dict(self.spec.get("env") or {}, RAGENT_ROLE="sidecar")
            self.pid = spawn(self.spec["argv"], self.folder, env, log)
            self.facts.say("sidecar_state", state="started", pid=self.pid)
        except LaunchError as error:
            self.died(now, error.problem)
        except OSError as error:  # its log: the disk is full, the folder is gone
            self.died(now, str(error))
        finally:
            if log >= 0:
                os.close(log)

    def died(self, now: float, how: str) -> None:
        lived = now - self.started
        self.deaths = self.deaths + 1 if lived < SIDECAR_QUICK else 1
        self.due = now + min(0.25 * 2**self.deaths, 30.0)
        pid, self.pid = self.pid, None
        if self.deaths >= SIDECAR_DEATHS:
            self.spec = None
            self.facts.say("sidecar_state", state="given_up", pid=pid, detail=how)
        else:
            self.facts.say("sidecar_state", state="died", pid=pid, detail="%s after %.1f s" % (how, lived))

    def progress(self) -> tuple[int, ...]:
        """Changes while it works."""
        sizes = []
        for name in ("facts.jsonl", "live.json", "watch.json", "metrics"):
            try:
                about = os.stat(os.path.join(self.folder, name))
                sizes += [about.st_size, about.st_mtime_ns]
            except OSError:
                sizes.append(0)
        return tuple(sizes)

    def signal(self, number: int) -> None:
        if self.pid is not None:
            os.kill(self.pid, number)  # our unreaped child: the pid is its own


# --- the wrapper ----------------------------------------------------------------------------------------------------
class Wrapper:
    """One run, from its claim to its verdict."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.run_id = os.path.basename(folder)
        self.term = False
        self.finished_before = False
        self.wake = os.pipe()
        for fd in self.wake:
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self.wake[1], warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.signal(signal.SIGTERM, self.on_term)  # scancel, a shutdown: it is passed on to the job
        self.screen = Screen()
        self.verdict = Verdict(folder)
        self.facts = Facts(folder)
        self.orders = Orders(folder)
        self.spec: dict[str, Any] = {}
        self.sidecar = Sidecar(None, folder, self.facts)
        self.ooms = 0

    def on_term(self, *_: object) -> None:
        self.term = True

    def wait(self, seconds: float) -> None:
        """Until a child ends, a signal comes or the time is over."""
        if select.select([self.wake[0]], [], [], seconds)[0]:
            os.read(self.wake[0], 512)

    def load(self) -> dict[str, str]:
        """Read spec.json; the job's environment. Raises LaunchError."""
        try:
            with open(os.path.join(self.folder, "spec.json"), "rb") as file:
                self.spec = json.loads(file.read())
            if self.spec.get("mode") == "attach":
                return {}
            with open(os.path.join(self.folder, "env.json"), "rb") as file:
                env = json.loads(file.read())
            return {str(name): str(value) for name, value in env.items()}
        except (OSError, ValueError, AttributeError) as error:
            problem = "The run's folder is not whole: %s: %s." % (type(error).__name__, error)
            raise LaunchError(problem, "Retry the run; if it happens again, see whether the disk is full.") from None

    def run(self) -> None:
        try:
            env = self.load()
            exit = self.stopped_before() or self.attend(env)
        except LaunchError as error:
            exit = {"kind": "launch_error", "problem": error.problem, "remedy": error.remedy}
            self.screen.say("not started: %s %s" % (error.problem, error.remedy))
        whole: dict[str, Any] = {"run_id": self.run_id, "at": time.time(), "host": os.uname().nodename}
        whole.update((name, value) for name, value in exit.items() if value is not None)
        self.publish(whole)
        if "exit_code" in whole or "signal" in whole:
            how = "exit code %s" % whole["exit_code"] if "exit_code" in whole else "signal %s" % whole["signal"]
            self.screen.say(
                "ended with %s after %.1f s" % (how, float(whole["at"]) - float(whole.get("started_at", whole["at"])))
            )

    def stopped_before(self) -> dict[str, Any] | None:
        """The verdict of a run whose stop was there before its start."""
        for order in self.orders.read():
            if order.get("type") == "finish":
                self.finished_before = True  # a short script was quicker than we: its rows are there to be read
            elif order.get("type") == "stop":
                self.facts.say("stop_seen", order_id=order["order_id"])
                problem = "It was stopped before it had started."
                return {"kind": "exited", "order_id": order["order_id"], "problem": problem}
        return None

    def start(self, env: dict[str, str], log: Log) -> Job | Attached:
        mode = self.spec.get("mode")
        if mode == "attach":
            attach = self.spec["attach"]
            attached = Attached(attach["pid"], attach["start_time"])
            attached.finished = self.finished_before
            return attached
        env["RAGENT_RUN_ID"] = self.run_id  # by this mark its processes are known, wherever they go
        self.screen.say("%s: %s" % (self.run_id, self.spec.get("command") or " ".join(self.spec["argv"])))
        kill_point("wrapper.spawn")
        pid = spawn(self.spec["argv"], self.spec["cwd"], env, log.fd)
        kill_point("wrapper.spawned")
        os.chdir(self.folder)  # the job's folder may be deleted or unmounted without us in its way
        return Job(pid, b"RAGENT_RUN_ID=" + self.run_id.encode())

    def attend(self, env: dict[str, str]) -> dict[str, Any]:
        """Start the job and stay with it until nothing of it is left; the verdict."""
        try:
            log = Log(self.folder, self.spec.get("log_cap_bytes") or 0, self.facts, self.screen)
        except OSError as error:
            raise LaunchError("job.log cannot be made: %s." % error, "See whether the disk is full.") from None
        self.ooms = oom_kills()
        started_at = time.time()
        job = self.start(env, log)
        self.facts.say("job_started", pid=job.pid, start_time=start_time(job.pid) or 0.0)
        self.sidecar = Sidecar(self.spec.get("sidecar"), self.folder, self.facts)
        ladder = Ladder(job, self.facts, self.screen)
        pause, ended_at, order_id = TICK_MIN, 0.0, None
        while True:
            now = time.monotonic()
            left = None
            if job.ended():
                left = self.left_of(job)
                if not ended_at:
                    ended_at, order_id = time.time(), ladder.order_id
                    if left:
                        ladder.outlived(left, now)
                if not left:
                    break
            else:
                self.obey(job, ladder, now)
            if not ladder.tick(now, left):
                break
            self.facts.flush()
            self.sidecar.tick(now)
            busy = log.tick() or ladder.deadline is not None
            pause = TICK_MIN if busy else min(pause * 1.1, TICK_MAX)
            self.wait(pause)
        log.tick()
        exit = job.verdict()
        exit.update(at=ended_at, order_id=order_id, job_pid=job.pid, started_at=started_at)
        exit["survivors"] = len(ladder.survivors)
        by_kill = exit.get("signal") == signal.SIGKILL or exit.get("exit_code") == 128 + signal.SIGKILL
        exit["oom"] = bool(by_kill and not ladder.killed and oom_kills() > self.ooms)
        return exit

    def left_of(self, job: Job | Attached) -> Family:
        if isinstance(job, Attached):
            return {}
        but = {os.getpid(), job.pid} | ({self.sidecar.pid} if self.sidecar.pid else set())
        return find_family(job.group, job.mark, but)

    def obey(self, job: Job | Attached, ladder: Ladder, now: float) -> None:
        grace = self.spec.get("stop") or {}
        int_s, term_s = float(grace.get("int_s", 10)), float(grace.get("term_s", 10))
        steps: list[Step] = [(signal.SIGINT, int_s), (signal.SIGTERM, term_s), (signal.SIGKILL, KILL_PATIENCE)]
        for order in self.orders.read():
            if order.get("type") == "stop":
                self.facts.say("stop_seen", order_id=order["order_id"])
                ladder.begin(steps[2:] if order.get("now") else steps, order["order_id"], now)
            elif order.get("type") == "finish" and isinstance(job, Attached):
                job.finished = True
        if self.term:
            self.term = False
            ladder.begin(steps[1:], None, now)

    def publish(self, exit: dict[str, Any]) -> None:
        """Write exit.json; a disk that refuses is asked again until it takes it, or the folder is gone."""
        pause = TICK_MIN
        while True:
            try:
                return self.verdict.publish(exit)
            except FileNotFoundError:
                return
            except OSError as error:
                self.screen.say("exit.json cannot be written yet: %s" % error)
            self.wait(pause)
            pause = min(pause * 2, 5.0)

    def drain(self) -> None:
        """Let the sidecar read what the job left. It ends by itself; one that does not move is ended."""
        side = self.sidecar
        if side.pid is None:  # it is between two lives, or the job was over before it began: it has all to read
            side.exit, side.due = None, 0.0
        began = moved = time.monotonic()
        seen: tuple[int, ...] = ()
        told = 0.0
        while side.pid is not None or (side.spec and side.exit != 0):
            now = time.monotonic()
            side.tick(now)
            progress = side.progress()
            if progress != seen:
                moved, seen = now, progress
            if not told and (self.term or now - began > DRAIN_MAX or now - moved > DRAIN_IDLE):
                side.spec, told = None, now
                side.signal(signal.SIGTERM)
            elif told and now - told > LEFT_OVER_GRACE:
                side.signal(signal.SIGKILL)
            self.facts.flush()
            self.wait(TICK_MIN)


def main(argv: list[str]) -> int:
    if not argv or argv[0].startswith("-"):
        sys.stderr.write("usage: wrapper.py RUN_DIR [--executor-id ID]\n")
        return 2
    executor_id = argv[2] if len(argv) > 2 and argv[1] == "--executor-id" else ""
    while True:  # descriptors 0 to 2 are taken, whoever started us: a file of ours must not become a stdout
        fd = os.open(os.devnull, os.O_RDWR)
        if fd > 2:
            os.close(fd)
            break
    # The terminal may hang up (the tmux server is killed), somebody may press Ctrl-C or Ctrl-Z in it: we stay.
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])  # whoever started us may have had some blocked
    folder = os.path.abspath(argv[0])
    try:
        if not claim(folder, executor_id):
            return 0
    except OSError as error:
        sys.stderr.write("the run cannot be claimed: %s\n" % error)
        return 1
    wrapper = Wrapper(folder)
    wrapper.run()
    wrapper.drain()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
