"""Start the page: python app.py, then open the address that it prints.

On a Hugging Face Space this file runs as it is. For education and research only.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from tempfile import TemporaryDirectory


def parse(arguments: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        description="Serve the Derm-MMMModal page. Education and research only."
    )
    parser.add_argument("--host", help="address to listen on (default: this computer only)")
    parser.add_argument("--port", type=int, help="port (default: the first free one from 7860)")
    parser.add_argument("--checkpoints", metavar="DIR", help="folder of the weights")
    parser.add_argument("--root-path", help="path behind a reverse proxy, such as /derm")
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> None:
    """Load the model, build the page and serve it until it is stopped."""
    args = parse(arguments)
    # A stop by signal must end like any other, so that the folder of uploads is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with TemporaryDirectory(prefix="derm-mmmodal-") as uploads:
        os.environ["GRADIO_TEMP_DIR"] = uploads  # private to this process; read by Gradio
        import dermmm
        from demo.ui import build_demo, launch_settings

        demo = build_demo(dermmm.load(args.checkpoints))
        demo.launch(
            server_name=args.host,
            server_port=args.port,
            root_path=args.root_path,
            **launch_settings(),
        )


if __name__ == "__main__":
    main()
