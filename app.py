"""Start the page: python app.py, then open the address that it prints.

On a Hugging Face Space this file runs as it is. docs/hosting.md tells about every other place.
For education and research only.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import NoReturn

from demo.uploads import private_folder

LOG_LEVELS = ("debug", "info", "warning", "error")
# What logs under these names is ours. Libraries stay at "warning": they could log parts of a case.
OWN_LOGGERS = ("demo", "dermmm")


class Parser(argparse.ArgumentParser):
    """Tells about a wrong argument in one line, as about any other failed start."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see python {self.prog} --help\n")


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = Parser(
        description="Serve the Derm-MMMModal page. Education and research only; "
        "not for any patient's care.",
        epilog="Spaces, Docker, networks without internet, several replicas: docs/hosting.md.",
    )
    parser.add_argument(
        "--host", help="address to listen on (default: 127.0.0.1, this computer only)"
    )
    parser.add_argument("--port", type=_port, help="port (default: the first free from 7860)")
    parser.add_argument(
        "--checkpoints", metavar="DIR", help="folder of the weights (default: the repository's)"
    )
    parser.add_argument(
        "--cases", type=Path, metavar="DIR", help="teaching cases: a folder with cases.csv"
    )
    parser.add_argument(
        "--root-path",
        type=_root_path,
        metavar="PATH",
        help="path or whole address behind a reverse proxy, such as /derm",
    )
    parser.add_argument(
        "--auth",
        type=Path,
        metavar="FILE",
        help="ask for a login; the file holds a line user:password for each account",
    )
    parser.add_argument(
        "--embed",
        type=_embedder,
        nargs="+",
        metavar="ADDRESS",
        help="whose pages may show this one in a frame, such as https://lms.example.org, or none "
        "(default: Hugging Face)",
    )
    parser.add_argument(
        "--queue",
        type=_count,
        metavar="N",
        help="how many cases may wait for the model before more are turned away",
    )
    parser.add_argument(
        "--log-level",
        choices=LOG_LEVELS,
        default="warning",
        help="how much is logged, never a case (default: warning)",
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Load the model, build the page and serve it until it is stopped."""
    args = parse(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    for name in OWN_LOGGERS:
        logging.getLogger(name).setLevel(args.log_level.upper())
    # A stop by signal must end like any other, so that the folder of uploads is removed.
    for end in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        if signal.getsignal(end) is signal.SIG_DFL:  # nohup has set SIGHUP aside
            signal.signal(end, lambda *_: sys.exit(0))
    with private_folder() as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # private to this process; read by Gradio
        try:
            serve(args)
        except (ValueError, OSError) as error:
            print("error:", " ".join(str(error).split()), file=sys.stderr)
            sys.exit(2)


def serve(args: argparse.Namespace) -> None:
    """Serve the page until it is stopped.

    Raises:
        ValueError: the weights, the cases or the accounts are not what they should be.
        OSError: one of them is not there, or the port cannot be had.
    """
    declare_gpu_function()
    # The thread that speaks to visitors waits up to this long for the one of the model, at each
    # step. With Python's own 5 ms ten visitors at once get about a tenth fewer answers.
    sys.setswitchinterval(0.0005)
    import dermmm
    from demo.accounts import check, read
    from demo.gate import EMBEDDERS
    from demo.ui import QUEUE_SIZE, build_demo, launch_settings

    accounts = None if args.auth is None else read(args.auth)
    embedders = EMBEDDERS if args.embed is None else tuple(e for e in args.embed if e != "none")
    demo = build_demo(
        dermmm.load(args.checkpoints, onnx=True), args.cases, args.queue or QUEUE_SIZE
    )
    try:
        _, address, _ = demo.launch(
            server_name=args.host,
            server_port=args.port,
            root_path=args.root_path,
            auth=None if accounts is None else check(accounts),
            prevent_thread_lock=True,
            quiet=True,  # else it advises a public link
            **launch_settings(embedders),
        )
    except OSError as error:
        raise OSError(
            f"cannot listen on {args.host or '127.0.0.1'}, port {args.port or '7860 to 7959'}; "
            "choose another --host or --port"
        ) from error
    print(f"Derm-MMMModal: {address} (education and research only; Ctrl-C stops it)", flush=True)
    demo.block_thread()


def declare_gpu_function() -> None:
    """Declare the one GPU function without which a ZeroGPU Space does not start.

    It does nothing and the page never calls it: an answer takes the CPU less time than a wait for a
    GPU would. Elsewhere the package `spaces` is not installed, and nothing happens. It has to come
    before torch is imported.
    """
    if importlib.util.find_spec("spaces") is not None:
        import spaces  # type: ignore[import-not-found]

        spaces.GPU(_no_work)


def _no_work() -> None:
    """What ZeroGPU is told of."""


def _port(value: str) -> int:
    if not value.isdecimal() or not 0 < int(value) < 65536:
        raise argparse.ArgumentTypeError(f"got {value!r}; expected a number from 1 to 65535")
    return int(value)


def _count(value: str) -> int:
    if not value.isdecimal() or int(value) < 1:
        raise argparse.ArgumentTypeError(f"got {value!r}; expected a whole number from 1")
    return int(value)


def _embedder(value: str) -> str:
    if not re.fullmatch(r"none|https?://[\w.*-]+(:\d+)?", value):
        raise argparse.ArgumentTypeError(
            f"got {value!r}; expected an address such as https://lms.example.org, or none"
        )
    return value


def _root_path(value: str) -> str:
    if not value.startswith(("/", "http://", "https://")):
        raise argparse.ArgumentTypeError(
            f"got {value!r}; expected a path such as /derm, or an address that starts with https://"
        )
    return value.rstrip("/")


if __name__ == "__main__":
    main()
