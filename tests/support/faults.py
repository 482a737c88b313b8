# Copyright (c) ocm.airgap contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong with one exchange: actions for the rules of a FaultProxy. `share`: of a body, 0 to 1."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Callable

from .fault_proxy import Action, Answer, Exchange
from .images import digest


def answer(status: int, body: bytes = b"", **headers: str) -> Action:
    """This, and the registry is not asked. `_` in a header's name stands for `-`."""
    ready = Answer(status, (), body).having(**headers)

    def act(exchange: Exchange) -> None:
        exchange.take_body()
        exchange.send(ready)

    return act


def refusal(status: int, code: str, message: str = "", **headers: str) -> Action:
    """An error answer as the distribution specification has it."""
    body = json.dumps({"errors": [{"code": code, "message": message or code.lower()}]}).encode()
    return answer(status, body, Content_Type="application/json", **headers)


def changed(change: Callable[[Answer], Answer]) -> Action:
    """The registry's answer, changed."""
    return lambda exchange: exchange.send(change(exchange.forward()))


def headers(**given: str) -> Action:
    """The registry's answer with other headers ("": without)."""
    return changed(lambda found: found.having(**given))


def body(change: Callable[[bytes], bytes]) -> Action:
    """The registry's answer with another body, of the length that it has."""
    return changed(
        lambda found: replace(found.having(Content_Length=""), body=change(found.body)) if found.body else found
    )


def flipped(content: bytes) -> bytes:
    """One bit of the byte in the middle."""
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


def reset_inside(share: float) -> Action:
    """The answer breaks off with RST."""

    def act(exchange: Exchange) -> None:
        _begin(exchange, share)
        time.sleep(0.3)  # RST overtakes what the other side has not read yet
        exchange.reset()

    return act


def early_end(share: float, chunked: bool = False) -> Action:
    """The connection ends within the answer; its length was told in full, or with `chunked` not at all."""

    def act(exchange: Exchange) -> None:
        _begin(exchange, share, chunked)
        exchange.close()

    return act


def stall_inside(share: float, seconds: float = 3) -> Action:
    """Nothing more comes within the answer."""

    def act(exchange: Exchange) -> None:
        _begin(exchange, share)
        exchange.stall(seconds)

    return act


def _begin(exchange: Exchange, share: float, chunked: bool = False) -> None:
    found = exchange.forward()
    exchange.start(found, chunked)
    exchange.write(found.body[: int(len(found.body) * share)])


def longer(more: bytes, length_told: bool) -> Action:
    """Bytes behind the end. length_told: the length says so as well; otherwise there is none."""

    def act(exchange: Exchange) -> None:
        found = exchange.forward()
        found = replace(found.having(Content_Length=""), body=found.body + more)
        exchange.start(found, chunked=not length_told)
        exchange.write(found.body)

    return act


def drip(seconds: float, count: int) -> Action:
    """The answer comes in `count` pieces with a pause between them."""

    def act(exchange: Exchange) -> None:
        found = exchange.forward()
        exchange.start(found)
        size = len(found.body) // count + 1
        for at in range(0, len(found.body), size):
            exchange.write(found.body[at : at + size])
            time.sleep(seconds)

    return act


def silence(seconds: float = 3) -> Action:
    """No answer at all; the registry is not asked."""
    return lambda exchange: exchange.stall(seconds)


def answer_lost(exchange: Exchange) -> None:
    """The registry did it, and the answer never arrives."""
    exchange.forward()
    exchange.reset()


def reset_at_once(exchange: Exchange) -> None:
    """Before anything is read or answered."""
    exchange.reset()


def upload_broken(share: float) -> Action:
    """The registry gets a part of the body, then both connections break."""

    def act(exchange: Exchange) -> None:
        exchange.forward_part(share)
        exchange.reset()

    return act


def not_logged_in(exchange: Exchange) -> None:
    """The registry does not get the login, and answers as it does then."""
    exchange.send(exchange.forward(without="authorization"))


def tunnel(exchange: Exchange) -> None:
    """A proxy that does what CONNECT asks for."""
    exchange.tunnel()


def from_file(path: Path, media_type: str = "") -> Action:
    """The registry's answer to a GET with the bytes that the file has at that time, as if they were meant; HEAD is not
    supported. Without the file nothing is broken."""

    def act(exchange: Exchange) -> None:
        if not path.exists():
            exchange.send(exchange.forward())
        elif exchange.method == "HEAD":
            answer(405)(exchange)
        else:
            raw = path.read_bytes()
            found = exchange.forward().having(Content_Length="", Docker_Content_Digest=digest(raw))
            exchange.send(replace(found.having(Content_Type=media_type) if media_type else found, body=raw))

    return act


def elsewhere(url: str, status: int = 307, **more: str) -> Action:
    """A redirect. `{path}` in the URL is the path that was asked for."""

    def act(exchange: Exchange) -> None:
        answer(status, Location=url.replace("{path}", exchange.path), **more)(exchange)

    return act


def first_times(count: int) -> Any:
    """The numbers of the first matches."""
    return range(1, count + 1)
