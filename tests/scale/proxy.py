"""A TCP proxy in a process of its own that delays what passes: set delay, jitter and loss, for each direction.

Chunks are delayed by half a round trip each way, drawn from a uniform distribution (the model has a gamma one: only
mean and spread are the same), never out of order. A chunk that is lost comes again after the retransmission time. A new
connection first waits for a round trip, as a handshake does which a proxy on the same machine would answer at once.
"""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import astuple, dataclass
from pathlib import Path

_EARLY_S, _TOGETHER_S = 0.003, 0.010


@dataclass(frozen=True)
class Setting:
    """The mean round trip in ms, its standard deviation as a share, the chance that something is lost in a round trip."""

    rtt_ms: float
    jitter: float = 0.0
    loss: float = 0.0
    again_ms: float = 200.0

    def one_way(self, chance: random.Random) -> float:
        """Seconds for one direction. Two independent halves have the spread of the whole trip."""
        half = self.rtt_ms / 2
        spread = self.jitter * self.rtt_ms / 2**0.5 * 3**0.5
        lost = chance.random() < 1 - (1 - self.loss) ** 0.5
        return (half + chance.uniform(-spread, spread) + (self.again_ms if lost else 0.0)) / 1000


async def _pass_on(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, setting: Setting, chance: random.Random, wait: float
) -> None:
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

    async def send() -> None:
        while True:
            due, data = await queue.get()
            # The loop rounds what it waits up to whole ms, and a busy machine adds to that: the rest is waited for here.
            await asyncio.sleep(max(0.0, due - loop.time() - _EARLY_S))
            while loop.time() < due:
                await asyncio.sleep(0)
            if not data:
                writer.close()
                return
            writer.write(data)
            with suppress(ConnectionError):
                await writer.drain()

    sender = asyncio.create_task(send())
    last, begun, delay = loop.time() + wait, 0.0, 0.0
    with suppress(ConnectionError):
        while data := await reader.read(1 << 20):
            now = loop.time()
            if now - begun > _TOGETHER_S:  # head and body of a reply come as two parts, and travel with one delay
                delay, begun = setting.one_way(chance) + wait, now
            last, wait = max(last, now + delay), 0.0
            await queue.put((last, data))
    await queue.put((last, b""))
    await sender


async def _serve(port: int, setting: Setting, seed: int) -> None:
    chance = random.Random(seed)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        handshake = setting.one_way(chance) + setting.one_way(chance)
        await asyncio.gather(
            _pass_on(reader, back, setting, chance, handshake), _pass_on(there, writer, setting, chance, 0.0)
        )

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await server.serve_forever()


@contextmanager
def delaying(port: int, setting: Setting, *, seed: int = 1) -> Iterator[int]:
    """A proxy to a port of this machine, as a process; its own port."""
    command = [sys.executable, str(Path(__file__).resolve()), str(port), str(seed), *map(str, astuple(setting))]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1]), Setting(*map(float, sys.argv[3:])), int(sys.argv[2])))
