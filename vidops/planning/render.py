"""supervisord's configuration and the exec shim's specs, as text. Pure.

One INI file a program, each naming the shim and a spec file and nothing that could need escaping; everything
else of a program is in the spec (JSON). The format's traps are in docs/design/supervisord.md.
"""

from __future__ import annotations

import json
import re
import shlex

from vidops.errors import PermanentError
from vidops.resources.layout import MINFDS, Layout
from vidops.resources.specs import FFMPEG, PYTHON, Program

LOG_BYTES = 1024 * 1024
"""Of one program's log; one older file of as much is kept."""
PROGRAM_PATTERN = r"[a-z0-9](?:[a-z0-9_-]|\.(?=[a-z0-9])){0,150}"

PROTOCOL = 2
"""Version of the RPC namespace that `supervisord_conf` names. Raised when an older control plane could not use a newer
supervisord's, or the other way round."""

_SIGNALS = ("TERM", "HUP", "INT", "QUIT", "KILL", "USR1", "USR2")


def ini_value(text: str) -> str:
    """`text` as the value of an option that supervisord reads back as the same text.

    Raises `PermanentError` for what its format cannot express.
    """
    if re.search(r"[\x00-\x1f\x7f]", text):
        raise PermanentError(f"{text!r} holds a control character, which supervisord's configuration cannot express")
    if text != text.strip() or re.search(r"(?:^|\s)[;#]", text):
        raise PermanentError(
            f"{text!r} begins or ends with a space, or holds ';' or '#' after one, which supervisord would read as "
            "a comment: use another path"
        )
    return text.replace("%", "%%")


def supervisord_conf(layout: Layout) -> str:
    """The main file. Programs are not included: the vidops plugin reads each one's file when it is asked to.

    `minfds` is small on purpose: before each start, supervisord closes that many descriptors one by one in Python
    (65536: 60 ms). Python's own are close-on-exec anyway, and the plugin raises the limit on open files.
    """
    run_dir = ini_value(layout.run_dir)
    socket = ini_value(layout.supervisor_socket)
    return f"""\
[unix_http_server]
file={socket}
chmod=0600

[supervisord]
identifier=vidops
directory=/
pidfile={run_dir}/supervisor.pid
logfile={run_dir}/logs/supervisord.log
logfile_maxbytes={LOG_BYTES}
logfile_backups=1
childlogdir={run_dir}/logs
nocleanup=true
umask=077
minfds={MINFDS}
minprocs=1

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[rpcinterface:vidops]
supervisor.rpcinterface_factory=vidops.runtime.supervisor_plugin:make
run_dir={run_dir}

[supervisorctl]
serverurl=unix://{socket}
"""


def program_conf(name: str, program: Program, layout: Layout, *, python: str, shim: str) -> str:
    """One program's file. No restart policy: `autostart` and `autorestart` are off, the reconciler decides.

    `startsecs=0` makes a process count as running from its first moment, so that its end is always an EXITED.
    """
    if not re.fullmatch(PROGRAM_PATTERN, name):
        raise PermanentError(f"{name!r} is not a program's name: lower-case letters, digits and - _ . between")
    signal = program.stop_signal.removeprefix("SIG")
    if signal not in _SIGNALS:
        raise PermanentError(f"{name}: stop_signal {program.stop_signal!r} is none of {', '.join(_SIGNALS)}")
    command = shlex.join([python, "-I", "-S", shim, layout.spec_file(name)])
    return f"""\
[program:{name}]
command={ini_value(command)}
autostart=false
autorestart=false
startsecs=0
startretries=0
stopsignal={signal}
stopwaitsecs={max(1, round(program.stop_timeout))}
stopasgroup=true
killasgroup=true
redirect_stderr=true
stdout_logfile={ini_value(layout.log_file(name))}
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups=1
"""


def program_spec(
    name: str, program: Program, *, owner: str, fingerprint: str, python: str, ffmpeg: str, mounts: str = ""
) -> str:
    """What the exec shim reads. `python` and `ffmpeg` replace their placeholders at the front of the argv; `mounts`:
    the file that says which disks must be there before directories are made.

    Raises `PermanentError` where there is nothing to execute.
    """
    if not program.argv or not program.argv[0]:
        raise PermanentError(f"{name}: the command is empty")
    places = {PYTHON: python, FFMPEG: ffmpeg}
    spec: dict[str, object] = {
        "program": name,
        "argv": [places.get(program.argv[0], program.argv[0]), *program.argv[1:]],
        "env": program.env,
        "secret_env": {
            variable: reference.model_dump(exclude_none=True) for variable, reference in program.secret_env.items()
        },
        "directories": list(program.directories),
        "mounts": mounts,
        "loopback_device": program.loopback_device,
        "owner": owner,
        "fingerprint": fingerprint,
    }
    if program.secret_input is not None:
        spec["secret_input"] = program.secret_input.model_dump(exclude_none=True)
    return json.dumps(spec, indent=1, sort_keys=True) + "\n"
