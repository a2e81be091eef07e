"""A disk of this process alone that is small, or fills up, or becomes read-only in the middle of a run.

Linux only: a file system in memory, mounted where only this process sees it, which also users without rights may do
where the system lets them have name spaces.
"""

import ctypes
import math
import os
import resource

import lightning as L

_NEW_MOUNTS, _NEW_USER = 0x00020000, 0x10000000  # sched.h
_READ_ONLY, _REMOUNT, _PRIVATE = 1, 32, 0x40000 | 0x4000  # sys/mount.h


def mount(folder, size):
    """Puts a disk of so many bytes at a folder, for this process and those that it starts.

    Raises:
        OSError: the system does not allow it.
    """
    own = _NEW_MOUNTS if os.geteuid() == 0 else _NEW_MOUNTS | _NEW_USER
    _call("unshare", own)
    _call("mount", b"none", b"/", None, _PRIVATE, None)
    _call("mount", b"none", os.fsencode(folder), b"tmpfs", 0, f"size={size}".encode())


def allowed(folder):
    """Whether this system lets a process mount a disk: tried in a process of its own, which ends with 0 then."""
    try:
        mount(folder, 1 << 16)
    except (OSError, AttributeError):
        os._exit(1)
    os._exit(0)


def fill(folder):
    """Writes until nothing more fits, and leaves the file."""
    with open(os.path.join(folder, "filler"), "ab", buffering=0) as file:
        for size in (1 << 16, 1 << 8, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                pass


def _call(name, *arguments):
    library = ctypes.CDLL(None, use_errno=True)
    if getattr(library, name)(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


class Disk(L.Callback):
    """Breaks the disk of a run before one of its steps, and mends it before another.

    Args:
        folder: on that disk.
        kind: `full`, `read-only`, or `limit`, the system's on the size of a file.
        step: the first one with the broken disk.
        until: the first one with a good disk again; default: none.
    """

    def __init__(self, folder, kind, step=4, until=None):
        self.folder, self.kind, self.step, self.until = folder, kind, step, until

    def on_train_batch_start(self, trainer, *unused):
        if trainer.global_step == self.until:
            self.set(False)
        elif trainer.global_step == self.step or (self.kind == "full" and self._is_broken(trainer.global_step)):
            self.set(True)  # what a save has freed is used by others

    def _is_broken(self, step):
        return self.step < step < (self.until or math.inf)

    def set(self, broken):
        """Breaks or mends the disk."""
        if self.kind == "full" and broken:
            fill(self.folder)
        elif self.kind == "full":
            os.remove(os.path.join(self.folder, "filler"))
        elif self.kind == "limit":
            most = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000 if broken else most, most))
        else:
            _call("mount", b"none", os.fsencode(self.folder), None, _REMOUNT | (_READ_ONLY if broken else 0), None)
