# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A program that switches a server of the estate in the moment in which a log tells of something.

Its arguments: the log, where in it the new lines begin, a regular expression, and an action and a server as of
`lab service`. It is a program of its own, and quick, because it works beside a run that does not wait for it.
"""

from __future__ import annotations

import re
import socket
import sys
import time


def main(log: str, begin: str, pattern: str, action: str, name: str) -> None:
    wanted, seen = re.compile(pattern.encode()), b""
    end = time.monotonic() + 300
    with open(log, "rb") as stream:
        stream.seek(int(begin))
        while not wanted.search(seen) and time.monotonic() < end:
            time.sleep(0.005)
            # What a line begins with may have been read before its end is written.
            seen = seen[-1000:] + stream.read()
    with socket.socket(socket.AF_UNIX) as client:
        client.connect("/run/lab/service.sock")
        client.sendall(f"{action} {name}\n".encode())
        client.recv(1000)


if __name__ == "__main__":
    main(*sys.argv[1:])
