"""The exec shim: turns its process into a program, as its spec file says. Run as `python -I -S exec.py SPEC.json`.

supervisord's INI cannot hold every argument (`%`, ` ;`, `"` in environments) and shows what it holds to whoever
asks, so it only holds the way to a spec file (0600), and this stands between. It starts before every process of
vidops, so it imports as little as it can and nothing of vidops: about 20 ms on a small machine, most of it for the
interpreter. Where it can, supervisord's fork runs it as it is, without one (`supervisor_plugin`).

The spec: {"program", "argv": [...], "env": {...}, "secret_env": {NAME: {"env"|"file"|"credential": ...}},
"secret_input": {"text", "values": {NAME: reference}} or not there, "directories": [...],
"mounts": path or "", "loopback_device": path or "", "owner": token, "fingerprint": hex}. Secrets are references: they
are read here, at the last moment, into the environment of the one process that needs them.

Exit codes, where it cannot: 78 (EX_CONFIG: bad spec, missing secret), 75 (EX_TEMPFAIL: the disk is away),
127 (no such program), 126 (not executable).
Sources: prctl(2) PR_SET_PDEATHSIG, proc(5), systemd.exec(5) on credentials, sysexits(3).
"""

import ctypes
import json
import os
import resource
import signal
import sys

EX_CONFIG = 78
EX_TEMPFAIL = 75
PR_SET_PDEATHSIG = 1
VIDIOC_QUERYCAP = 0x80685600
VIDIOC_STREAMON = 0x40045612
VIDEO_OUTPUT = (2).to_bytes(4, sys.byteorder)
SECRET_LIMIT = 64 * 1024
"""Bytes; a larger file is not a secret but a mistake (a device, a log)."""
LINE_LIMIT = 64 * 1024
"""Bytes of a line of a log in which a secret is looked for."""
FILES_LIMIT = 65536
"""Open files that a program may have where the hard limit allows: a gateway has one a viewer."""

HANDLED = (
    signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD,
    signal.SIGUSR1, signal.SIGUSR2,
)  # fmt: skip
"""By Python, or by supervisord."""

Reference = dict[str, "str | None"]


class Refused(Exception):
    """The program cannot be started; `code` is the exit code, the text says what to do."""

    def __init__(self, message: str, code: int = EX_CONFIG) -> None:
        super().__init__(message)
        self.code = code


def resolve_secret(reference: Reference, environ: "os._Environ[str] | dict[str, str]") -> str:
    """The secret behind `{"env": NAME}`, `{"file": PATH}` or `{"credential": NAME}`; a final newline is not part of it.

    Raises `Refused`, with a text that names the reference and never the value.
    """
    if name := reference.get("env"):
        if name not in environ:
            raise Refused(f"secret: the environment variable {name} is not set where vidops was started: set it there")
        return environ[name]
    if name := reference.get("credential"):
        directory = environ.get("CREDENTIALS_DIRECTORY")
        if not directory:
            raise Refused(
                f"secret: no credentials directory for credential {name}: "
                f"add LoadCredential={name}:PATH to the systemd unit"
            )
        if "/" in name or name in (".", ".."):
            raise Refused(f"secret: {name!r} is not a credential's name")
        return _read_secret(f"{directory}/{name}")
    if path := reference.get("file"):
        return _read_secret(path)
    raise Refused("secret: the reference is empty: give one of env, file, credential")


def _read_secret(path: str) -> str:
    try:
        # Not blocking: the open of a pipe that nobody writes would hang the start for ever.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            data = file.read(SECRET_LIMIT + 1)
    except OSError as error:
        raise Refused(f"secret: cannot read {path}: {error.strerror}") from None
    if data is None or len(data) > SECRET_LIMIT:
        raise Refused(f"secret: {path} is not a small file (at most {SECRET_LIMIT} bytes)")
    try:
        return data.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        raise Refused(f"secret: {path} is not text (UTF-8)") from None


def base36(number: int) -> str:
    digits = ""
    while True:
        number, digit = divmod(number, 36)
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[digit] + digits
        if not number:
            return digits


def run_id(pid: int) -> str:
    """`<pid>_<start time in clock ticks since boot>`, base 36: no two starts share it until the next boot.

    Whoever finds it in a file's name can tell whether that very process still runs (`runtime.procfs`).
    """
    with open(f"/proc/{pid}/stat", "rb") as file:
        # The second field, the name, may hold spaces and brackets: count from its end. Start time is field 22.
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    return f"{base36(pid)}_{base36(ticks)}"


def die_with_parent() -> None:
    """SIGKILL for this process when supervisord dies; at once, if it has died already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    expected = os.environ.get("VIDOPS_SUPERVISOR_PID")
    if expected is not None and str(os.getppid()) != expected:
        raise Refused(f"supervisord (pid {expected}) is gone, and this start with it")


def leave_sockets(program: str) -> None:
    """Close what a service manager has passed (`runtime.activation`): it is for gateways, and for nothing else."""
    if program.startswith("gateway."):
        return
    for descriptor in set(json.loads(os.environ.pop("VIDOPS_LISTEN_FDS", "{}")).values()):
        os.close(descriptor)


def default_signals() -> None:
    """As a program expects them: ignore nothing that Python does, handle nothing that supervisord does, and let in what
    its plugin held back."""
    signal.set_wakeup_fd(-1)
    for number in HANDLED:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_LIMIT if hard == resource.RLIM_INFINITY else min(FILES_LIMIT, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def disk_away(directory: str, mounts: str) -> str:
    """The mount point that a directory lies below and that nothing is mounted on now; empty where all is well.

    `mounts`: a JSON file with a list of mount points. Without it nothing is known to be mounted.
    """
    try:
        with open(mounts, encoding="utf-8") as file:
            known = json.load(file)
    except FileNotFoundError:
        return ""
    for mount in known:
        if f"{directory}/".startswith(f"{mount}/") and not os.path.ismount(os.path.realpath(mount)):
            return str(mount)
    return ""


def ready_for_writer(device: str) -> None:
    """Make a v4l2loopback device take a writer again. Whatever goes wrong is for the writer itself to say.

    v4l2loopback 0.12 notices the end of a writer only where that had asked to stream, and FFmpeg writes without. With
    `exclusive_caps` the next VIDIOC_QUERYCAP, anybody's, then leaves the node with neither capture nor output, and the
    kernel refuses its formats ("VIDIOC_G_FMT: Invalid argument") until the module is loaded anew. Asking to stream
    marks an opener as a writer even though it fails, closing tells the device that it is gone, and QUERYCAP spreads it.
    """
    import fcntl

    for request, argument in ((VIDIOC_STREAMON, VIDEO_OUTPUT), (VIDIOC_QUERYCAP, bytes(104))):
        try:
            descriptor = os.open(device, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return
        try:
            fcntl.ioctl(descriptor, request, argument)
        except OSError:
            pass
        finally:
            os.close(descriptor)


def percent_encoded(text: str) -> str:
    """RFC 3986: everything but unreserved characters by its bytes."""
    unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
    return "".join(chr(byte) if byte in unreserved else f"%{byte:02X}" for byte in text.encode())


def secret_input(text: str, values: "dict[str, str]") -> str:
    """Make the text with its secrets in memory; the path that the program reads it from.

    A program's arguments are everybody's to read (proc(5), cmdline); its descriptors are its user's.
    """
    for name, value in values.items():
        text = text.replace(f"@secret:{name}@", percent_encoded(value))
    descriptor = os.memfd_create("input", 0)
    os.write(descriptor, text.encode())
    return f"/dev/fd/{descriptor}"


def clear_output(secrets: "list[str]") -> None:
    """Have what this process prints from now on go through a child that takes the secrets out of it, line by line.

    It ends with the last writer, whatever signals the group gets: last words matter most.
    """
    hidden = sorted({form.encode() for s in secrets if s for form in (s, percent_encoded(s))}, key=len, reverse=True)
    source, sink = os.pipe()
    if os.fork():
        os.close(source)
        os.dup2(sink, 1)
        os.dup2(sink, 2)
        os.close(sink)
        return
    try:
        os.close(sink)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            signal.signal(number, signal.SIG_IGN)
        with open(source, "rb") as lines:
            while line := lines.readline(LINE_LIMIT):
                for secret in hidden:
                    line = line.replace(secret, b"***")
                os.write(1, line)
    finally:
        os._exit(0)


def main(path: str, *, forked: bool = False) -> None:
    """Returns only where `forked`, for a program that needs an interpreter of its own: the child that clears its output
    (`clear_output`) lives as long as it does, and should not hold a copy of supervisord's memory for that."""
    try:
        with open(path, encoding="utf-8") as file:
            spec = json.load(file)
    except (OSError, ValueError) as error:
        raise _unusable(path, error) from None
    if forked and isinstance(spec, dict) and spec.get("secret_input") is not None:
        return
    die_with_parent()
    default_signals()
    os.umask(0o077)
    try:
        leave_sockets(spec["program"])
        argv = [argument.replace("@run@", run_id(os.getpid())) for argument in spec["argv"]]
        env = {name: value for name, value in os.environ.items() if not name.startswith("SUPERVISOR_")}
        env.update(spec["env"])
        secrets = spec["secret_env"].items()
        directories = spec["directories"]
        mounts = spec.get("mounts", "")
        loopback_device = spec.get("loopback_device", "")
        hidden = spec.get("secret_input")
        own = {"OWNER": spec["owner"], "FINGERPRINT": spec["fingerprint"], "PROGRAM": spec["program"]}
        file_name = argv[0]
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _unusable(path, error) from None
    for name, reference in secrets:
        env[name] = resolve_secret(reference, os.environ)
    if hidden is not None:
        values = {name: resolve_secret(reference, os.environ) for name, reference in hidden["values"].items()}
        clear_output(list(values.values()))
        place = secret_input(hidden["text"], values)
        argv = [argument.replace("@secret_input@", place) for argument in argv]
    env.update({f"VIDOPS_{name}": value for name, value in own.items()})
    for directory in directories:
        if away := disk_away(directory, mounts):
            raise Refused(f"the disk of {away} is not mounted: mount it, and this goes on", EX_TEMPFAIL)
        try:
            os.makedirs(directory, mode=0o700, exist_ok=True)
        except OSError as error:
            raise Refused(f"cannot make the directory {directory}: {error.strerror}") from None
    if loopback_device:
        ready_for_writer(loopback_device)
    raise_file_limit()
    # supervisord's pipe would make a program that reads its standard input wait for ever.
    os.dup2(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC), 0)
    try:
        os.execvpe(file_name, argv, env)  # noqa: S606 - no shell is the point
    except FileNotFoundError:
        raise Refused(f"{file_name}: no such program: install it, or correct the stack file", 127) from None
    except (OSError, ValueError) as error:
        raise Refused(f"{file_name}: cannot be executed: {error}", 126) from None


def _unusable(path: str, error: Exception) -> Refused:
    return Refused(f"cannot use {path}: {error}: apply the stack file again, it writes this anew")


def _say(refused: Refused) -> None:
    # Paths need not be text.
    os.write(2, f"vidops: {refused}\n".encode("utf-8", "backslashreplace"))


def run(path: str, *, forked: bool = False) -> int | None:
    """The exit code of a process that cannot become its program, after saying why; None as `main` returns."""
    try:
        main(path, forked=forked)
    except Refused as refused:
        _say(refused)
        return refused.code
    except (TypeError, ValueError, AttributeError) as error:
        # Valid JSON of the wrong shape, deep inside: nobody but a hand has written that.
        _say(_unusable(path, error))
        return EX_CONFIG
    return None


if __name__ == "__main__":
    sys.exit(run(sys.argv[1]))
