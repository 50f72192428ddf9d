"""``python -m rig.standin --kubeconfig F [--namespace N] [--release v0.8] [--traps A1,8]``."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys

from rig.standin import ALL_TRAPS, StandIn


async def _run(standin: StandIn) -> None:
    loop = asyncio.get_running_loop()
    task = asyncio.ensure_future(standin.run(lambda: print("standin: watching", flush=True)))
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, task.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await task


def main() -> int:
    """Runs the stand-in until it is told to stop."""
    parser = argparse.ArgumentParser(prog="rig.standin", description=__doc__)
    parser.add_argument("--kubeconfig", required=True)
    parser.add_argument("--namespace", help="only this namespace")
    parser.add_argument("--release", default="v0.8", help="v0.8, v0.7, v0.6 or v0.3")
    parser.add_argument(
        "--traps",
        help=f"some of {','.join(sorted(ALL_TRAPS))}; empty for none, default: the release's",
    )
    parser.add_argument("--verbose", action="store_true")
    args = parser.parse_args()
    logging.basicConfig(
        level=logging.DEBUG if args.verbose else logging.WARNING,
        format="%(asctime)s %(name)s %(levelname)s %(message)s",
    )
    logging.getLogger("httpx2").setLevel(logging.WARNING)
    traps = None if args.traps is None else [trap for trap in args.traps.split(",") if trap]
    try:
        standin = StandIn(
            args.kubeconfig, traps=traps, release=args.release, namespace=args.namespace
        )
    except ValueError as exc:
        print(f"standin: {exc}", file=sys.stderr)
        return 2
    asyncio.run(_run(standin))
    return 0


if __name__ == "__main__":
    sys.exit(main())
