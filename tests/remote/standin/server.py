"""The process of the stand-in: `python -m tests.remote.standin.server`, told what to do by one line of JSON on its input.

Its first line of output tells its ports: that of the database, and that of the control, where `GET /counts` tells what it
did and `POST /faults` sets what goes wrong. It ends when its input ends, so none is left behind. The token comes in on
the input too, so that it stands in no list of processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.remote.standin.access import Access
from tests.remote.standin.faults import Chooser, Faults
from tests.remote.standin.libsql import Library, NotHere
from tests.remote.standin.over_http import OverHttp
from tests.remote.standin.over_websocket import OverWebSocket
from tests.remote.standin.rules import Limits
from tests.remote.standin.streams import Place, Streams

HOST = "127.0.0.1"


def main() -> None:
    """Serve until told to stop."""
    config = json.loads(sys.stdin.readline())
    try:
        place = Place(Library(), Path(config["path"]), Limits(**config["limits"]))
    except NotHere as problem:
        print(json.dumps({"not_here": str(problem)}), flush=True)
        return
    threading.Thread(target=_end_with_input, daemon=True).start()
    asyncio.run(_serve(place, config))


async def _serve(place: Place, config: dict[str, Any]) -> None:
    chooser = Chooser(Faults.of(config["faults"]))
    # One connection stays, or the last that closes would write the whole log back each time.
    kept = place.database()
    kept.run("PRAGMA journal_mode = WAL")
    kept.run("SELECT count(*) FROM sqlite_schema")  # only now it has the log open
    streams = Streams(place)
    access = Access(config["token"], place.limits.token_seconds)
    app = web.Application(client_max_size=0)
    app.add_routes(OverHttp(streams, access, chooser).routes())
    app.router.add_get("/", OverWebSocket(streams, access, chooser).handle)
    runners = [web.AppRunner(each, shutdown_timeout=0.1) for each in (app, _control(chooser))]
    ports = []
    for runner, port in zip(runners, (config["port"], 0), strict=True):
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()
        ports.append(runner.addresses[0][1])
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    sweeper = asyncio.create_task(streams.sweep())
    print(json.dumps({"port": ports[0], "control": ports[1]}), flush=True)
    await stop.wait()
    sweeper.cancel()
    await streams.end()
    kept.close()
    # Without waiting for clients that stay connected, as a server that ends does.
    os._exit(0)


def _control(chooser: Chooser) -> web.Application:
    async def counts(_: web.Request) -> web.Response:
        return web.json_response(chooser.counts())

    async def faults(request: web.Request) -> web.Response:
        chooser.set(Faults.of(await request.json()))
        return web.json_response({})

    app = web.Application()
    app.add_routes([web.get("/counts", counts), web.post("/faults", faults)])
    return app


def _end_with_input() -> None:
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
