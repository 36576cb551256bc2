"""Golden token ids, from the tokenizers that the models were published with.

    python tools/goldens/tokenizer_ids.py MODELS_FOLDER [--check-llama-cpp]

MODELS_FOLDER holds the GGUF files named below. Needs transformers, tokenizers, sentencepiece,
protobuf, gguf (and llama-cpp-python for the check). Writes crates/model/tests/goldens/
tokenizer_ids.json:

- `real`: ids of the published tokenizer class over each GGUF file's vocabulary, special tokens
  parsed and not;
- `byte_level`: a small BPE vocabulary under Llama 3's and GPT-2's splitting rules, as the
  `tokenizer.json` that Hugging Face's library saves, with its ids;
- `sentence_piece`: a small SentencePiece model (pieces, scores, types) with SentencePiece's ids.

--check-llama-cpp prints where llama.cpp disagrees with Hugging Face on the real vocabularies. The
known cause is Unicode normal form C, which Qwen's published tokenizer applies and llama.cpp does
not.
"""

import argparse
import io
import json
import os
from pathlib import Path

from tokenizer_texts import TEXTS, TRAINING

OUTPUT = Path(__file__).resolve().parents[2] / "crates/model/tests/goldens/tokenizer_ids.json"
REAL = ["smollm2-135m-instruct-q4_1.gguf", "qwen2.5-coder-0.5b-instruct.gguf"]

# Values of tokenizer.ggml.token_type.
CONTROL, USER_DEFINED, UNUSED = 3, 4, 5

# The splitting pattern in Llama 3's published tokenizer.json.
LLAMA3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def published_tokenizer(metadata):
    """The tokenizer class that the model was published with, over the file's vocabulary.

    (`AutoTokenizer.from_pretrained(gguf_file=...)` is a re-creation that leaves out SmolLM2's
    splitting of digits and Qwen's normal form C.)
    """
    from tokenizers import AddedToken, pre_tokenizers
    from transformers import GPT2Tokenizer, Qwen2Tokenizer

    spelling = metadata["tokens"]
    kinds = metadata["token_type"]
    vocab = {text: i for i, text in enumerate(spelling) if kinds[i] != UNUSED}
    merges = [tuple(merge.split(" ")) for merge in metadata["merges"]]
    tokenizer = {"smollm": GPT2Tokenizer, "qwen2": Qwen2Tokenizer}[metadata["pre"]](vocab, merges)
    tokenizer = tokenizer.backend_tokenizer
    if metadata["pre"] == "smollm":  # its tokenizer.json has this in place of GPT-2's own
        digits = pre_tokenizers.Digits(individual_digits=True)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    for text, kind in zip(spelling, kinds):
        if kind in (CONTROL, USER_DEFINED):
            added = AddedToken(text, normalized=False, special=kind == CONTROL)
            (tokenizer.add_special_tokens if kind == CONTROL else tokenizer.add_tokens)([added])
    return tokenizer


def read_metadata(path):
    from gguf import GGUFReader

    fields = GGUFReader(path).fields
    names = ["pre", "tokens", "merges", "token_type"]
    return {name: fields[f"tokenizer.ggml.{name}"].contents() for name in names}


def real_ids(folder, name):
    tokenizer = published_tokenizer(read_metadata(Path(folder, name)))

    def ids(literal):
        tokenizer.encode_special_tokens = literal
        return [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS]

    return {"file": name, "parsed": ids(False), "literal": ids(True)}


def byte_level_vocabulary(rule):
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE(ignore_merges=rule == "llama-bpe"))
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=rule == "gpt-2")
    if rule == "llama-bpe":
        split = pre_tokenizers.Split(Regex(LLAMA3), behavior="isolated")
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    else:
        tokenizer.pre_tokenizer = byte_level
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<|endoftext|>", "<|im_end|>"],
    )
    tokenizer.train_from_iterator(TRAINING, trainer)
    return {
        "pre": rule,
        "tokenizer_json": tokenizer.to_str(),
        "parsed": [tokenizer.encode(text, add_special_tokens=False).ids for text in TEXTS],
    }


def sentence_piece_vocabulary():
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2 as proto

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(TRAINING),
        model_writer=model,
        model_type="bpe",
        vocab_size=420,
        byte_fallback=True,
        normalization_rule_name="identity",
        remove_extra_whitespaces=False,
        allow_whitespace_only_pieces=True,
        split_digits=True,
        max_sentencepiece_length=16,
        minloglevel=2,
    )
    parsed = proto.ModelProto.FromString(model.getvalue())
    processor = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    # SentencePiece's C strings and its own space character set some texts apart.
    texts = [i for i, text in enumerate(TEXTS) if "\0" not in text]
    return {
        "tokens": [piece.piece for piece in parsed.pieces],
        "scores": [piece.score for piece in parsed.pieces],
        "token_types": [piece.type for piece in parsed.pieces],
        "texts": texts,
        "ids": [processor.encode(TEXTS[i]) for i in texts],
        "decoded": [processor.decode(processor.encode(TEXTS[i])) for i in texts],
    }


def check_llama_cpp(folder, golden):
    from llama_cpp import Llama

    model = Llama(str(Path(folder, golden["file"])), vocab_only=True, verbose=False)
    for i, text in enumerate(TEXTS):
        for mode, special in (("parsed", True), ("literal", False)):
            ids = model.tokenize(text.encode(), add_bos=False, special=special)
            if ids != golden[mode][i]:
                print(golden["file"], mode, repr(text), golden[mode][i], ids, sep="\n    ")


def lines(entry):
    """JSON of one entry, each list of ids on a line of its own."""
    parts = []
    for key, value in entry.items():
        if isinstance(value, list) and value and isinstance(value[0], (list, str)):
            value = "[\n" + ",\n".join(json.dumps(item) for item in value) + "\n]"
        else:
            value = json.dumps(value)
        parts.append(f"{json.dumps(key)}: {value}")
    return "{\n" + ",\n".join(parts) + "\n}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--check-llama-cpp", action="store_true")
    arguments = parser.parse_args()
    if arguments.check_llama_cpp:
        for golden in json.loads(OUTPUT.read_text())["real"]:
            check_llama_cpp(arguments.folder, golden)
        return
    real = [lines(real_ids(arguments.folder, name)) for name in REAL]
    byte_level = [lines(byte_level_vocabulary(rule)) for rule in ("llama-bpe", "gpt-2")]
    texts = "[\n" + ",\n".join(json.dumps(text) for text in TEXTS) + "\n]"
    content = (
        f'{{\n"texts": {texts},\n"real": [{", ".join(real)}],\n'
        f'"byte_level": [{", ".join(byte_level)}],\n'
        f'"sentence_piece": {lines(sentence_piece_vocabulary())}\n}}\n'
    )
    json.loads(content)
    beside = OUTPUT.with_suffix(".tmp")
    beside.write_text(content)
    os.replace(beside, OUTPUT)


if __name__ == "__main__":
    main()
