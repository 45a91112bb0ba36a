"""A stand-in for `vllm serve` in tests of the local deployer; its behaviour is told by FAKE_ variables."""

import argparse
import http.server
import json
import os
import signal
import socketserver
import subprocess
import sys
import threading
import time


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    allow_reuse_address = "FAKE_NO_REUSE" not in os.environ
    daemon_threads = True


class Handler(http.server.BaseHTTPRequestHandler):
    model: str
    served_name: str

    def do_GET(self) -> None:
        if self.path == "/health":
            if "FAKE_HANGING_HEALTH" in os.environ:
                time.sleep(3600)
            self.answer(int(os.environ.get("FAKE_HEALTH", "200")), {})
            return
        card = {"id": os.environ.get("FAKE_ID", self.served_name), "root": os.environ.get("FAKE_ROOT", self.model)}
        self.answer(int(os.environ.get("FAKE_MODELS", "200")), {"data": [card]})

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        status = int(os.environ.get("FAKE_" + self.path.removeprefix("/v1/").replace("/", "_").upper(), "404"))
        self.answer(status, {"choices": [{"text": "x"}]} if status == 200 else {"error": "FAKE"})

    def answer(self, status: int, body: object) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *arguments: object) -> None:
        """Be quiet."""


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("command")
    parser.add_argument("model")
    for flag in ("host", "port", "served-model-name"):
        parser.add_argument(f"--{flag}")
    options = parser.parse_args()
    for line in range(int(os.environ.get("FAKE_LINES", "0"))):
        say(f"INFO line {line}")
    if "FAKE_ECHO" in os.environ:
        say(os.environ["FAKE_ECHO"])
    if "FAKE_ENVIRONMENT" in os.environ:
        say("ENVIRONMENT " + json.dumps(dict(os.environ)))
    if "FAKE_STUBBORN" in os.environ:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if "FAKE_CHILD" in os.environ:
        own_session = os.environ["FAKE_CHILD"] == "own session"
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
        environment = {} if os.environ["FAKE_CHILD"] == "no marks" else None
        child = subprocess.Popen([sys.executable, "-c", code], env=environment, start_new_session=own_session)
        say(f"CHILD {child.pid}")
    if "FAKE_EXIT" in os.environ:
        say("RuntimeError: asked to exit")
        sys.exit(int(os.environ["FAKE_EXIT"]))
    if "FAKE_SLEEP" in os.environ:
        threading.Event().wait(3600)
    Handler.model, Handler.served_name = options.model, options.served_model_name
    Server((options.host, int(options.port)), Handler).serve_forever()


main()
