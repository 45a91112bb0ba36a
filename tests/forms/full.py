"""A document in which every field of the schema is set, and what a browser sends of a form."""

from collections.abc import Mapping

from tuning.forms.document_fields import FIELDS
from tuning.forms.merging import Sheet
from tuning.forms.parameters import Row

FULL = """\
schema_version: 1
name: everything
description: |
  two lines
  of text
engine:
  name: vllm
  image: v0.12.0
  executable: /opt/vllm/bin/vllm
  environment: {VLLM_LOGGING_LEVEL: DEBUG, EMPTY: '', QUOTED: '"a" b ', LINES: "a\\nb"}
  allow_unknown_flags: true
model:
  id: org/model
  served_name: chat
  tokenizer: org/tokenizer
deployment:
  mode: local
  gpus: [1, 0]
search_space:
  parameters:
    max-num-seqs: {min: 16, max: 256, step: 16, log: true}
    gpu-memory-utilization: {type: float, min: 0.5, max: 1, step: 0.25}
    max-num-batched-tokens: [null, 2048, 8192]
    enable-prefix-caching: {values: [true, null]}
    env:VLLM_WORKERS: ['1', '2']
    long-prefill-token-threshold: {values: [1, 2], when: {enable-prefix-caching: [true, null]}}
    speculative-config: [{method: ngram, tokens: [1, 2.0, 'x, y']}, null]
    dtype: auto
    seed: null
  fixed:
    max-model-len: 4096
    swap-space: 4.0
    quantization: null
    load-format: 'yes: no'
    compilation-config: {level: 3, 'odd key': []}
  constraints:
    - max-num-batched-tokens >= max-num-seqs
    - not enable-prefix-caching == true or seed != 1
strategy: {name: bayesian, seed: 3, initial_random: 4}
budget: {experiments: 30, wall_clock_s: 3600.5, gpu_hours: 2.0, max_failures: 3}
objective: {name: balanced, statistic: p95}
slo:
  ttft_ms: {p99: 500, p99.9: 800.5}
  tpot_ms: {mean: 50}
  itl_ms: {p50: 20}
  e2e_ms: {p90: 6000}
  error_rate: 0.0
  min_output_tokens_per_s: 10
  min_requests_per_s: 0.5
workload:
  benchmark: builtin
  scenarios: ['D(512,128)', dataset, 'N(480,240)/(300,150)']
  dataset: {path: prompts.csv, prompt_field: text, output_tokens: 128}
  concurrency: [1, 8]
  request_rates_per_s: [0.5, 4]
  arrivals: constant
  requests: 100
  seconds: 30.0
  warmup_requests: 0
  min_completed: 5
  ignore_eos: false
  sampling: {temperature: 0.0, top_p: 0.9, stop: ['a', "b\\n"]}
  seed: 7
limits: {pull_s: 1, download_s: 2, ready_s: 3, load_point_s: 40, request_s: 5, experiment_s: 600, stop_s: 7}
baseline: true
replicates: 2
finalists: 3
max_parallel: 2
"""


def sent(sheet: Sheet, **changes: str) -> dict[str, str]:
    """What a browser sends of a form that shows `sheet`; `changes` are fields, with `__` for the dots in names."""
    posted = {each.name: _line_breaks(each.kind, sheet.texts[each.name]) for each in FIELDS}
    posted = {name: text for name, text in posted.items() if text or name not in SWITCHES}
    for at, row in sheet.rows.rows.items():
        posted.update({f"rows-{at}-{name}": text for name, text in columns(row).items() if text or name != "log"})
    posted |= {"yaml": sheet.yaml.replace("\n", "\r\n"), "base": sheet.base.replace("\n", "\r\n")}
    posted |= {name.replace("__", "."): text for name, text in changes.items()}
    return {name: text for name, text in posted.items() if text or name not in SWITCHES}


SWITCHES = {each.name for each in FIELDS if each.kind == "switch"}


def columns(row: Row) -> Mapping[str, str]:
    """The texts of a row by name."""
    return dict(vars(row))


def _line_breaks(kind: str, text: str) -> str:
    """As a browser has them: none in a single line, two characters in an area."""
    is_area = kind in ("prose", "lines", "variables")
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    return ("\r\n" if is_area else "").join(lines)
