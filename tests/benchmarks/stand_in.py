"""Stands in for genai-bench in the default test run: its flags, files, exit codes and habits, in the standard library.

`test_genai_bench.py` holds it to the same contract as the real tool. Habits kept: no client time-out, no back-off, new
requests until enough have ended, a debug file and exit code 1 when none succeeded, an `error_rate` of 0 always, the key
written in plain text.
"""

import argparse
import csv
import http.client
import json
import sys
import threading
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("command", choices=["benchmark"])
    for flag in (
        *("api-backend", "api-base", "api-key", "api-model-name", "model-tokenizer", "task", "traffic-scenario"),
        *("additional-request-params", "metrics-time-unit", "metrics-refresh-interval", "experiment-base-dir"),
        *("experiment-folder-name", "log-dir", "dataset-path", "dataset-prompt-column"),
    ):
        parser.add_argument(f"--{flag}")
    for flag in ("num-concurrency", "batch-size", "max-time-per-run", "max-requests-per-run"):
        parser.add_argument(f"--{flag}", type=int, required=True)
    return Run(parser.parse_args()).run()


class Run:
    """One scenario at one concurrency."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self.arguments = arguments
        self.rows: list[dict[str, Any]] = []
        self.end_at = time.monotonic() + 60 * arguments.max_time_per_run
        self.folder = Path(arguments.experiment_base_dir) / arguments.experiment_folder_name

    def run(self) -> int:
        self.folder.mkdir(parents=True)
        (self.folder / "experiment_metadata.json").write_text(json.dumps(vars(self.arguments)))
        say(f"Starting benchmark {self.arguments.api_key}")
        start = time.monotonic()
        users = [threading.Thread(target=self.user, daemon=True) for _ in range(self.arguments.num_concurrency)]
        for user in users:
            user.start()
        while len(self.rows) < self.arguments.max_requests_per_run and time.monotonic() < self.end_at:
            time.sleep(0.02)
        return self.save(list(self.rows), time.monotonic() - start)

    def user(self) -> None:
        while True:
            self.rows.append(self.request())

    def request(self) -> dict[str, Any]:
        address = urlsplit(self.arguments.api_base)
        start = time.monotonic()
        try:
            connection = http.client.HTTPConnection(address.hostname or "", address.port)
            connection.request("POST", "/v1/chat/completions", json.dumps(self.body()))
            answer = connection.getresponse()
            if answer.status != 200:
                return self.failed(answer.status, answer.read().decode())
            return self.read(answer, start)
        except (OSError, http.client.HTTPException) as error:
            return self.failed(503, str(error))

    def read(self, answer: http.client.HTTPResponse, start: float) -> dict[str, Any]:
        first: float | None = None
        usage: dict[str, int] = {}
        for line in answer:
            message = json.loads(line[6:]) if line.startswith(b"data: {") else {}
            if first is None and any(choice["delta"].get("content") for choice in message.get("choices", [])):
                first = time.monotonic()
            usage = message.get("usage") or usage
        end = time.monotonic()
        ttft, e2e = ((first or end) - start) * 1000, (end - start) * 1000
        tokens = usage.get("completion_tokens", 0)
        return {
            "ttft": ttft,
            "tpot": (e2e - ttft) / (tokens - 1) if tokens > 1 else None,
            "e2e_latency": e2e,
            "num_input_tokens": usage.get("prompt_tokens", 0),
            "num_output_tokens": tokens,
            "error_code": None,
            "error_message": None,
        }

    def failed(self, code: int, message: str) -> dict[str, Any]:
        names = ("ttft", "tpot", "e2e_latency", "num_input_tokens", "num_output_tokens")
        return {**dict.fromkeys(names), "error_code": code, "error_message": message}

    def body(self) -> dict[str, Any]:
        scenario = self.arguments.traffic_scenario
        prompt, tokens = "What is to be served here?", None
        if scenario == "dataset":
            with Path(self.arguments.dataset_path).open(newline="") as file:
                entries = [row[self.arguments.dataset_prompt_column] for row in csv.DictReader(file)]
            prompt = entries[len(self.rows) % len(entries)]
        else:
            tokens = int(scenario.rstrip(")").split(",")[-1])
        body = {"model": self.arguments.api_model_name, "messages": [{"role": "user", "content": prompt}]}
        body |= {"max_tokens": tokens, "stream": True, "stream_options": {"include_usage": True}}
        body |= {"ignore_eos": scenario != "dataset"} if self.arguments.api_backend == "vllm" else {}
        return {**body, **json.loads(self.arguments.additional_request_params)}

    def save(self, rows: list[dict[str, Any]], duration_s: float) -> int:
        scenario, streams = self.arguments.traffic_scenario, self.arguments.num_concurrency
        name = scenario.translate(str.maketrans("/,", "__", "()"))
        succeeded = any(row["error_code"] is None for row in rows)
        aggregated = {"scenario": scenario, "run_duration": duration_s if succeeded else 0.0, "error_rate": 0}
        document = {"aggregated_metrics": aggregated, "individual_request_metrics": rows, "_time_unit": "ms"}
        file = f"{name}_text-to-text_num_concurrency_{streams}_time_{duration_s:.0f}s.json"
        path = self.folder / (file if succeeded else f"debug_for_run_{name}_{streams}.json")
        path.write_text(json.dumps(document))
        say("The whole experiment has finished!" if succeeded else "ValueError: No values found for metric 'ttft'.")
        return 0 if succeeded else 1


def say(text: str) -> None:
    """One line of log."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
