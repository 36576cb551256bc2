"""Teacher-forced next-token distributions by llama.cpp.

    python llama_cpp_logits.py MODEL.gguf OUT.f32 --text TEXT.txt
        [--count 512] [--skip 0] [--threads 2]
    python llama_cpp_logits.py MODEL.gguf OUT.f32 --tokens-from OTHER.json

Tokenises the text with the model's own vocabulary, drops the first `skip`
tokens, feeds the next `count` (no beginning-of-sequence token is added) and
writes the log-probabilities after each of them in the format of
logits_file.py. `--tokens-from` takes the ids from another header instead.

The key/value cache is llama.cpp's default, f16. Its matrix products quantise
the activations to 8 bits, so even at equal weights it is not exact;
reference_logits.py measures by how much.
"""

import argparse
import json
from pathlib import Path

import llama_cpp

import logits_file


def parse_arguments():
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("model", help="GGUF file")
    parser.add_argument("out", help="the .f32 file to write")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--text", help="UTF-8 text file")
    source.add_argument("--tokens-from", help="header with the ids to feed")
    parser.add_argument("--count", type=int, default=512)
    parser.add_argument("--skip", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    return parser.parse_args()


def load(path, count, threads):
    """The model with room for `count` tokens, all of whose logits are kept."""
    return llama_cpp.Llama(
        model_path=path,
        n_ctx=count,
        n_batch=count,
        n_threads=threads,
        n_threads_batch=threads,
        logits_all=True,
        verbose=False,
    )


def tokenise(model, path, skip, count):
    """`count` ids of the text file `path` after its first `skip` ids."""
    text = Path(path).read_bytes()
    tokens = model.tokenize(text, add_bos=False, special=False)
    chosen = tokens[skip:skip + count]
    if len(chosen) < count:
        raise SystemExit(
            f"error: {path} has {len(tokens)} tokens, needed {skip} + {count}"
        )
    return chosen


def load_with_tokens(arguments):
    """The model and the ids to feed, from a text or another run's header."""
    if arguments.tokens_from:
        header = json.loads(Path(arguments.tokens_from).read_text())
        tokens = header["tokens"]
        return load(arguments.model, len(tokens), arguments.threads), tokens
    model = load(arguments.model, arguments.count, arguments.threads)
    return model, tokenise(
        model, arguments.text, arguments.skip, arguments.count
    )


def main():
    """Write the file that the command line asks for."""
    arguments = parse_arguments()
    model, tokens = load_with_tokens(arguments)
    model.eval(tokens)
    rows = (
        logits_file.log_softmax(model.scores[position])
        for position in range(len(tokens))
    )
    logits_file.write(
        arguments.out,
        rows,
        engine=f"llama-cpp-python {llama_cpp.__version__}, f16 cache, "
        f"one batch of {len(tokens)}",
        model=Path(arguments.model).name,
        tokens=tokens,
        vocab=model.n_vocab(),
    )


if __name__ == "__main__":
    main()
