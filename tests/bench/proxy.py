# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy that counts the bytes of connections and makes each round trip longer. A program of its own.

    proxy.py PORT OTHER_PORT MILLISECONDS FILE

FILE holds two unsigned 64-bit numbers, little endian: bytes towards OTHER_PORT, and bytes back. A connection costs a
round trip, then each direction has half of it.
"""

from __future__ import annotations

import asyncio
import mmap
import struct
import sys
from contextlib import suppress

BLOCK = 256 * 1024
AHEAD = 64


class Counter:
    """Two numbers in a file that others read while they grow."""

    def __init__(self, path):
        with open(path, "r+b") as file:
            self._memory = mmap.mmap(file.fileno(), 16)
        self._numbers = [0, 0]

    def add(self, direction, size):
        self._numbers[direction] += size
        struct.pack_into("<QQ", self._memory, 0, *self._numbers)


async def relay(reader, writer, delay, count):
    """Passes on what arrives, each block `delay` seconds after it came."""
    loop = asyncio.get_running_loop()
    queue = asyncio.Queue(AHEAD)

    async def receive():
        block = b"first"
        while block:
            with suppress(ConnectionError):
                block = await reader.read(BLOCK)
                count(len(block))
                await queue.put((loop.time() + delay, block))
                continue
            block = b""
            await queue.put((loop.time(), block))

    receiving = asyncio.create_task(receive())
    try:
        while True:
            due, block = await queue.get()
            if due > loop.time():
                await asyncio.sleep(due - loop.time())
            if not block:
                break
            writer.write(block)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except (ConnectionError, OSError):
        writer.close()
    finally:
        if writer.is_closing():
            receiving.cancel()
        with suppress(asyncio.CancelledError):
            await receiving


async def serve(port, other, delay, counter):
    # The loop itself does not keep the tasks of connections alive.
    alive = set()

    async def connected(reader, writer):
        alive.add(asyncio.current_task())
        asyncio.current_task().add_done_callback(alive.discard)
        if delay:
            await asyncio.sleep(delay)
        try:
            back, forth = await asyncio.open_connection("127.0.0.1", other, limit=BLOCK)
        except OSError:
            writer.close()
            return
        await asyncio.gather(
            relay(reader, forth, delay / 2, lambda size: counter.add(0, size)),
            relay(back, writer, delay / 2, lambda size: counter.add(1, size)),
        )
        for each in (writer, forth):
            with suppress(ConnectionError, OSError):
                each.close()

    server = await asyncio.start_server(connected, "127.0.0.1", port, limit=BLOCK, backlog=512)
    print("ready", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(int(arguments[0]), int(arguments[1]), int(arguments[2]) / 1000, Counter(arguments[3])))
