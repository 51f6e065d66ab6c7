"""Run on the machine or in the container that is looked at: every process that may be seen, with its user, rights and listening sockets.

One JSON list on standard output. Standard library and /proc alone: a slim image has neither `ps` nor `ss`.
"""

import ipaddress
import json
import os
import re
import struct
from pathlib import Path

LISTEN = "0A"
MARKS = ("TEAL_STACK_HOME", "TEAL_STACK_PART")


def read(pid, name):
    return Path(f"/proc/{pid}/{name}").read_text(errors="replace")


def address(hexadecimal):
    """The kernel's form: words of four bytes in the machine's order."""
    raw = b"".join(struct.pack("=I", int(hexadecimal[at : at + 8], 16)) for at in range(0, len(hexadecimal), 8))
    found = ipaddress.ip_address(raw)
    return str(getattr(found, "ipv4_mapped", None) or found)  # Java listens on IPv6 sockets for IPv4, too


def listening(pid):
    """{inode: [address, port]} of the network namespace of a process."""
    found = {}
    for kind in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/{pid}/net/{kind}").read_text().splitlines()[1:]
        except OSError:
            continue
        for fields in map(str.split, rows):
            if fields[3] == LISTEN:
                host, _, port = fields[1].partition(":")
                found[fields[9]] = [address(host), int(port, 16)]
    return found


def sockets(pid):
    found = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            target = os.readlink(f"/proc/{pid}/fd/{name}")
        except OSError:
            continue
        if inode := re.fullmatch(r"socket:\[(\d+)\]", target):
            found.add(inode[1])
    return found


def process(pid):
    """Raises OSError when it ended meanwhile or belongs to somebody else."""
    said = dict(line.split(":\t", 1) for line in read(pid, "status").splitlines() if ":\t" in line)
    environ = dict(pair.split("=", 1) for pair in read(pid, "environ").split("\0") if "=" in pair)
    ports = listening(pid)
    return {
        "pid": int(pid),
        "parent": int(said["PPid"]),
        "argv": read(pid, "cmdline").split("\0")[:-1],
        "exe": os.readlink(f"/proc/{pid}/exe"),
        "uids": [int(uid) for uid in said["Uid"].split()],  # real, effective, saved, of the file system
        "capabilities": int(said["CapEff"], 16),
        "no_new_privileges": said.get("NoNewPrivs") == "1",
        "marks": {name: environ[name] for name in MARKS if name in environ},
        "listens": [ports[inode] for inode in sockets(pid) if inode in ports],
    }


def main():
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if int(pid) != os.getpid():
            try:
                found.append(process(pid))
            except OSError:
                continue
    print(json.dumps(found))


main()
