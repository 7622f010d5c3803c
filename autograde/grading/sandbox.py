"""Where a submission runs: a Jupyter kernel behind bubblewrap, and the weaker thing where bubblewrap is missing.

Inside, the file system is Python, torch and `seglab`, read-only, and a small empty home. The grader, the gradebook and
other people's work are not hidden there: they do not exist. There is no network; the kernel's sockets are files.
"""

import functools
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path

import psutil
from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager
from jupyter_client.provisioning import LocalProvisioner

import autograde
import seglab

SEGLAB = Path(seglab.__file__).resolve().parent
AUTOGRADE = Path(autograde.__file__).resolve().parent
MIB = 2**20


@dataclass(frozen=True)
class Limits:
    """What one submission may use. Bytes and seconds; `memory` counts all its processes together."""

    memory: int = 4096 * MIB
    disk: int = 256 * MIB  # of each of the home and /tmp
    processes: int = 256
    cpu_seconds: int = 1200
    output: int = 8 * MIB  # of all the outputs of a notebook together

    def as_rlimits(self, contained: bool) -> dict[str, int]:
        limits = {
            "RLIMIT_DATA": self.memory,  # of one process: an allocation beyond it raises MemoryError where it is made
            "RLIMIT_AS": 4 * self.memory,  # a backstop: torch maps far more than it uses
            "RLIMIT_CPU": self.cpu_seconds,
            "RLIMIT_FSIZE": self.disk,
            "RLIMIT_CORE": 0,
            "RLIMIT_NOFILE": 1024,
        }
        # Without a user namespace of its own the count would include the instructor's own processes.
        return limits | ({"RLIMIT_NPROC": self.processes} if contained else {})


@functools.cache
def isolation() -> str:
    """'bubblewrap' where it works, else 'process': a process of its own, and nothing more. Reports carry the word."""
    if os.environ.get("SEGLAB_ISOLATION") == "process" or not shutil.which("bwrap"):
        return "process"
    command = [*_bubblewrap(Path(tempfile.gettempdir()), MIB), sys.executable, "-c", "print('inside')"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    except (OSError, subprocess.TimeoutExpired):
        return "process"
    return "bubblewrap" if done.stdout.strip() == "inside" else "process"


def _bubblewrap(run: Path, disk: int) -> list[str]:
    """The command line in front of the kernel's. `run` is the only place that both sides see, for the sockets."""
    command = ["bwrap", "--unshare-all", "--unshare-user", "--disable-userns", "--uid", "1000", "--gid", "1000"]
    command += ["--hostname", "sandbox", "--die-with-parent", "--new-session", "--cap-drop", "ALL", "--clearenv"]
    # Before everything else: Python or the course itself may lie below one of these.
    command += ["--size", str(disk), "--tmpfs", "/tmp", "--size", str(disk), "--tmpfs", "/home"]
    for name in ("/bin", "/sbin", "/lib", "/lib32", "/lib64"):
        if os.path.islink(name):
            command += ["--symlink", os.readlink(name), name]
        elif os.path.isdir(name):
            command += ["--ro-bind", name, name]
    command += ["--ro-bind", "/usr", "/usr"]
    for name in ("/etc/ld.so.cache", "/etc/alternatives", "/etc/fonts", "/etc/localtime"):
        command += ["--ro-bind-try", name, name]
    for directory in _python_directories():
        command += ["--ro-bind", directory, directory]
    command += ["--ro-bind", str(SEGLAB), str(SEGLAB)]
    if any(AUTOGRADE.is_relative_to(directory) for directory in _python_directories()):
        command += ["--tmpfs", str(AUTOGRADE), "--remount-ro", str(AUTOGRADE)]  # installed beside the libraries
    command += ["--proc", "/proc", "--dev", "/dev", "--size", str(disk), "--tmpfs", "/dev/shm", "--remount-ro", "/dev"]
    command += ["--bind", str(run), str(run), "--chdir", "/home", "--remount-ro", "/"]
    for name, value in _environment(Path("/home")).items():
        command += ["--setenv", name, value]
    return command


def _python_directories() -> list[str]:
    """Where this Python and its libraries live, the outer ones only."""
    found = {os.path.realpath(p) for p in (sys.prefix, sys.base_prefix, sys.exec_prefix)} | {
        sys.prefix,
        sys.base_prefix,
    }
    found = {p for p in found if not p.startswith("/usr/") and p != "/usr"}
    return sorted(p for p in found if not any(p != q and Path(p).is_relative_to(q) for q in found))


def _environment(home: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "TMPDIR": "/tmp" if home == Path("/home") else str(home),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "PYTHONPATH": str(SEGLAB.parent),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONSAFEPATH": "1",
        "OMP_NUM_THREADS": "1",  # the same sums in the same order for every student
        "MPLBACKEND": "module://matplotlib_inline.backend_inline",
        "SEGLAB_CACHE": str(home / "cache"),
        "IPYTHONDIR": str(home / "ipython"),
    }


class SandboxProvisioner(LocalProvisioner):
    """Launches a kernel inside the sandbox (entry point `seglab-sandbox` of jupyter_client's provisioners)."""

    async def launch_kernel(self, cmd, **kwargs):
        manager = self.parent
        kwargs["cwd"] = str(manager.home)
        if manager.isolation == "bubblewrap":
            cmd = [*_bubblewrap(manager.run, manager.limits.disk), *cmd]
            kwargs["env"] = {"PATH": os.environ.get("PATH", "/usr/bin:/bin")}
        else:
            kwargs["env"] = _environment(manager.home)
        kwargs["stdout"] = kwargs["stderr"] = subprocess.DEVNULL  # prints arrive as messages; the rest is noise
        return await super().launch_kernel(cmd, **kwargs)


class SandboxKernelManager(KernelManager):
    """A kernel manager whose kernel is `seglab.bridge.kernel` in the sandbox, whatever kernel a notebook asks for."""

    def __init__(self, limits: Limits, **kwargs):
        # Short, because the path of a Unix socket may have no more than about a hundred characters.
        self.folder = Path(tempfile.mkdtemp(prefix="seg-"))
        self.run, self.home = self.folder / "run", self.folder / "home"
        self.run.mkdir()
        self.home.mkdir()
        self.limits, self.isolation = limits, isolation()
        super().__init__(transport="ipc", ip=str(self.run / "k"), autorestart=False, **kwargs)
        self.connection_file = str(self.run / "connection.json")

    @property
    def socket_path(self) -> str:
        return str(self.run / "agent")

    @property
    def kernel_spec(self):
        limits = json.dumps(self.limits.as_rlimits(self.isolation == "bubblewrap"))
        return KernelSpec(
            argv=[sys.executable, "-m", "seglab.bridge.kernel", "{connection_file}", self.socket_path, limits],
            display_name="sandbox",
            language="python",
            interrupt_mode="message",
            metadata={"kernel_provisioner": {"provisioner_name": "seglab-sandbox"}},
        )

    def used_bytes(self) -> int:
        """Resident memory of all the processes in the sandbox, and what it wrote where both sides see it."""
        process = getattr(self.provisioner, "process", None)
        if process is None:
            return 0
        total = 0
        for pid in _family(process.pid):
            try:
                total += psutil.Process(pid).memory_info().rss
            except psutil.Error:
                continue  # it is gone
        for folder, _, files in os.walk(self.run):
            for name in files:
                try:
                    total += os.lstat(os.path.join(folder, name)).st_size
                except OSError:
                    continue
        return total

    def destroy(self) -> None:
        """Kill everything in it and take its folder away."""
        try:
            if self.has_kernel:
                self.shutdown_kernel(now=True)
        finally:
            self.cleanup_connection_file()
            # Not shutil.rmtree: folders nested a thousand deep are more than its recursion can take.
            subprocess.run(["rm", "-rf", "--", str(self.folder)], check=False, capture_output=True)


_LISTED = os.path.exists(f"/proc/self/task/{threading.get_native_id()}/children")


def _family(pid: int) -> list[int]:
    """A process, its children, their children, and so on."""
    if not _LISTED:
        try:
            return [pid, *(child.pid for child in psutil.Process(pid).children(recursive=True))]
        except psutil.Error:
            return []
    family = [pid]
    for one in family:  # it grows meanwhile
        family += _children(one)
    return family


def _children(pid: int) -> list[int]:
    """The kernel lists them by thread. Searching all processes, as psutil does, would slow down on a busy server."""
    found = []
    for file in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += map(int, file.read_text().split())
        except OSError:
            continue  # this thread is gone
    return found


class Watchdog(threading.Thread):
    """Kills the sandbox when it uses more memory than it may.

    It looks now and then by itself, and whenever a cell ends or an exercise begins. So whatever runs when it fires has
    taken the memory, however late it looks: what had been taken before was found before. It measures and kills under a
    lock, so that no other cell can begin in between.
    """

    interval = 0.1  # seconds

    def __init__(self, manager: SandboxKernelManager):
        super().__init__(daemon=True, name="sandbox-memory")
        self.manager, self.fired, self._finished = manager, False, threading.Event()
        self._looking = threading.Lock()
        self.pid = manager.provisioner.process.pid

    def run(self):
        while not self._finished.wait(self.interval) and self.within_limits():
            continue

    def within_limits(self) -> bool:
        """Look now; where it is too much, kill."""
        with self._looking:
            if self.fired or self._finished.is_set():
                return not self.fired
            try:
                self.fired = self.manager.used_bytes() > self.manager.limits.memory
            except Exception:  # whatever a submission does so that it cannot be measured
                self.fired = True
            if self.fired:
                self._kill()
            return not self.fired

    def _kill(self):
        for pid in reversed(_family(self.pid)):
            try:
                psutil.Process(pid).kill()
            except psutil.Error:
                continue  # it is gone already

    def stop(self):
        self._finished.set()
