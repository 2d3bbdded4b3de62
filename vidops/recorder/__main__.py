"""The process of a capture that FFmpeg alone cannot do."""

from __future__ import annotations

import argparse
import asyncio
import logging
import signal
import sys

from vidops.errors import PermanentError, TemporaryError, VidopsError
from vidops.ports import Frame
from vidops.recorder.detector import Detector
from vidops.recorder.motion import MotionRecorder, Rules
from vidops.recorder.spool import Spool
from vidops.recorder.stills import Camera, take_stills, take_timelapse
from vidops.resources.layout import Layout
from vidops.runtime.clock import SystemClock
from vidops.runtime.hubclient import HubClient
from vidops.runtime.programs import find_ffmpeg

HUB_PATIENCE = 30.0


def arguments(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="vidops.recorder", description="Stills, timelapses and motion.")
    parser.add_argument("--run-dir", required=True)
    parser.add_argument("--camera", required=True)
    parser.add_argument("--spool", required=True)
    parser.add_argument("--run", required=True, help="the id of this very process")
    kinds = parser.add_subparsers(dest="kind", required=True)
    stills = kinds.add_parser("stills")
    stills.add_argument("--every", type=float, required=True)
    timelapse = kinds.add_parser("timelapse")
    for name in ("--every", "--fps", "--duration"):
        timelapse.add_argument(name, type=float, required=True)
    motion = kinds.add_parser("motion")
    for name in ("--threshold", "--pre-roll", "--post-roll", "--longest"):
        motion.add_argument(name, type=float, required=True)
    return parser.parse_args(argv)


async def record(given: argparse.Namespace) -> None:
    """Until cancelled. Raises `OSError`, `TemporaryError`, `PermanentError`."""
    spool, clock = Spool(given.spool, given.run), SystemClock()
    spool.tidy()
    async with HubClient(Layout(given.run_dir, state_dir="", data_dir="")) as hub:
        if not await hub.ready(HUB_PATIENCE):
            raise TemporaryError("the hub does not answer", reason="NoHub")
        camera = Camera(hub, given.camera)
        match given.kind:
            case "stills":
                await take_stills(camera, spool, clock, every=given.every)
            case "timelapse":
                await take_timelapse(
                    camera, spool, clock, every=given.every, fps=given.fps, duration=given.duration
                )  # fmt: skip
            case _:
                await record_motion(hub, camera, spool, given)


async def record_motion(hub: HubClient, camera: Camera, spool: Spool, given: argparse.Namespace) -> None:
    rules = Rules(given.threshold, given.pre_roll, given.post_roll, given.longest)
    recorder = MotionRecorder(rules, spool, camera.size)
    detectors: list[Detector] = []
    size_changed = asyncio.Event()
    size_changed.set()

    def on_frame(frame: Frame) -> None:
        recorder.take(frame)
        if detectors and detectors[0].size == camera.size():
            detectors[0].look(frame)
        else:
            size_changed.set()

    def on_gone() -> None:
        if not recorder.failed.done():
            recorder.failed.set_exception(PermanentError(f"there is no camera {given.camera}", reason="UnknownCamera"))

    async def detect() -> None:
        while True:
            await size_changed.wait()
            size_changed.clear()
            if not all(camera.size()):
                continue
            detector = Detector(find_ffmpeg(), camera.size(), recorder.scored)
            detectors[:] = [detector]
            looking = asyncio.create_task(detector.run())
            changing = asyncio.create_task(size_changed.wait())
            try:
                await asyncio.wait((looking, changing), return_when=asyncio.FIRST_COMPLETED)
                if looking.done():
                    looking.result()
            finally:
                for task in (looking, changing):
                    task.cancel()
                await asyncio.gather(looking, changing, return_exceptions=True)

    subscription = hub.subscribe(given.camera, on_frame, on_gone=on_gone)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(detect())
            group.create_task(_until(recorder.failed))
    finally:
        subscription.close()
        recorder.finish()


async def _until(failed: asyncio.Future[None]) -> None:
    await failed


async def main(argv: list[str]) -> int:
    loop = asyncio.get_running_loop()
    working = asyncio.create_task(record(arguments(argv)))
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, working.cancel)
    try:
        await working
    except asyncio.CancelledError:
        return 0
    except (OSError, VidopsError, BaseExceptionGroup) as raised:
        error = _first(raised)
        if not isinstance(error, OSError | VidopsError):
            raise
        # The last line of the log is what status shows.
        print(error, file=sys.stderr)
        return 1
    return 0


def _first(error: BaseException) -> BaseException:
    found = error
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")
    sys.exit(asyncio.run(main(sys.argv[1:])))
