"""A real Slurm of one machine in a folder: munged, slurmctld and slurmd, on loopback, while tests need it."""

import getpass
import os
import shutil
import socket
import subprocess
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_IFCHR

import psutil

PROGRAMS = ("munged", "mungekey", "slurmctld", "slurmd", "sbatch", "squeue", "scancel", "srun")
GPUS = 4  # that are none: character devices of the same names

SETTINGS = """\
ClusterName=here
SlurmctldHost={host}(127.0.0.1)
SlurmUser={user}
SlurmdUser={user}
SlurmctldPort={controller}
SlurmdPort={daemon}
CommunicationParameters=NoCtldInAddrAny,NoInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket,cred_expire=5
CredType=cred/munge
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SchedulerParameters=batch_sched_delay=0,sched_interval=1,bf_interval=1
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
MpiDefault=none
ReturnToService=2
KillWait=15
SlurmdParameters=config_overrides
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
GresTypes=gpu
NodeName={host} NodeAddr=127.0.0.1 CPUs={gpus} {gres} State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE PriorityTier=1 State=UP
PartitionName=first Nodes=ALL MaxTime=INFINITE PriorityTier=2 State=UP
"""


def missing() -> list[str]:
    """What a Slurm would need and this machine lacks."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    return [name for name in PROGRAMS if shutil.which(name, path=path) is None]


@contextmanager
def slurm_here(folder: Path):
    """Yields whether it has GPUs (for which one must be root); SLURM_CONF names it meanwhile."""
    (folder / "state").mkdir()
    (folder / "spool").mkdir()
    gpus = write_settings(folder)
    before = {name: os.environ.get(name) for name in ("SLURM_CONF", "PATH")}
    os.environ["SLURM_CONF"] = str(folder / "slurm.conf")
    os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], "/usr/sbin", "/sbin"])
    started = []
    try:
        subprocess.run(["mungekey", "--create", f"--keyfile={folder}/munge.key"], check=True)
        started.append(start(folder, "munged", "--foreground", "--force", f"--key-file={folder}/munge.key",
                             f"--socket={folder}/munge.socket", f"--pid-file={folder}/munge.pid",
                             f"--log-file={folder}/munge.log", f"--seed-file={folder}/munge.seed"))
        until(lambda: (folder / "munge.socket").exists(), folder)
        started += [start(folder, "slurmctld", "-D"), start(folder, "slurmd", "-D")]
        until(lambda: "idle" in said("sinfo", "--noheader", "--format=%t"), folder)
        yield gpus
    finally:
        stop(started)
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})


def write_settings(folder: Path) -> bool:
    try:
        for index in range(GPUS):
            os.mknod(folder / f"gpu{index}", 0o600 | S_IFCHR, os.makedev(1, 3))
        (folder / "gres.conf").write_text(f"Name=gpu File={folder}/gpu[0-{GPUS - 1}]\n")
        gres = f"Gres=gpu:{GPUS}"
    except PermissionError:
        gres = ""
    controller, daemon = ports(2)
    (folder / "slurm.conf").write_text(SETTINGS.format(
        host=socket.gethostname().partition(".")[0], user=getpass.getuser(), controller=controller, daemon=daemon,
        folder=folder, gpus=GPUS, gres=gres))
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\nCgroupAutomount=no\n"
                                        f"CgroupMountpoint={folder}/cgroup\n")
    return bool(gres)


def ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    try:
        return [one.getsockname()[1] for one in sockets]
    finally:
        for one in sockets:
            one.close()


def start(folder: Path, *command: str) -> subprocess.Popen:
    with open(folder / f"{command[0]}.out", "wb") as out:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True)


def stop(started: list[subprocess.Popen]) -> None:
    """End what runs and the daemons, and the steps that live without them."""
    said("scancel", f"--user={getpass.getuser()}", "--signal=KILL")
    end = time.monotonic() + 5
    while said("squeue", "--noheader").strip() and time.monotonic() < end:
        time.sleep(0.2)
    for process in reversed(started):
        process.kill()
        process.wait()
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            ours = process.environ().get("SLURM_CONF") == os.environ["SLURM_CONF"]
            if ours and process.name().startswith("slurm"):
                process.kill()


def said(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, timeout=30).stdout


def until(done, folder: Path, seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not done():
        if time.monotonic() > end:
            logs = [f"== {path.name}\n{path.read_text()[-2000:]}" for path in sorted(folder.glob("*.out"))]
            raise RuntimeError("Slurm does not come up:\n" + "\n".join(logs))
        time.sleep(0.1)
