"""`python -m training COMMAND`: corpus, tokenizer, train, export, tune, evaluate, confidence, cost, plot, card."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from training.places import BUNDLED_MODEL, Places, default_home


def _corpus(places: Places, _: argparse.Namespace) -> None:
    from training import corpus

    corpus.build(places)


def _tokenizer(places: Places, arguments: argparse.Namespace) -> None:
    from training import corpus, packing, tokenizer

    documents = corpus.load(places, "train")
    if arguments.start_from:
        words = tokenizer.load(arguments.start_from)
        words.encode_special_tokens = False
    else:
        words = tokenizer.train(document.text for document in documents)
    tokenizer.save(words, places.tokenizer)
    packed = packing.pack(documents, tokenizer.load(places.tokenizer), places.packed)
    print(f"{len(packed.tokens):,} tokens of {len(packed.paths):,} documents packed")


def _train(places: Places, arguments: argparse.Namespace) -> None:
    from training.state import Options
    from training.train import train

    given = {field.name: getattr(arguments, field.name, None) for field in fields(Options)}
    train(places, Options(**{name: value for name, value in given.items() if value is not None}))


def _export(places: Places, arguments: argparse.Namespace) -> None:
    from training.export import export

    export(places, arguments.run, arguments.folder, averaged=not arguments.last)


def _tune(places: Places, arguments: argparse.Namespace) -> None:
    from training import card
    from training.tune import tune

    part = tune(places, arguments.folder, spans=arguments.spans, budget=arguments.budget)
    card.record(arguments.folder, "tuning", part)


def _evaluate(places: Places, arguments: argparse.Namespace) -> None:
    from training import card, corpus, through_engine
    from training.evaluate import evaluate
    from training.judging import as_markdown
    from training.questions import KINDS

    if arguments.files:
        documents, split = corpus.from_folder(arguments.files, arguments.suffix), arguments.suffix
    else:
        documents, split = corpus.load(places, arguments.split), arguments.split
    asked = {
        "documents": documents,
        "split": split,
        "count": arguments.count,
        "budget": arguments.budget,
        "seed": arguments.seed,
        "kinds": arguments.kinds or KINDS,
    }
    if arguments.engine:
        part = through_engine.evaluate(places, arguments.folder, **asked, variants=arguments.variants)
    else:
        part = evaluate(places, arguments.folder, **asked, foreign=arguments.foreign)
    print(as_markdown(part))
    if arguments.name:
        card.record(arguments.folder, arguments.name, part)


def _confidence(places: Places, arguments: argparse.Namespace) -> None:
    from training import card, confidence

    found = confidence.find(places, arguments.folder, in_force=arguments.in_force)
    card.record(arguments.folder, "confidence", found)


def _cost(places: Places, arguments: argparse.Namespace) -> None:
    from training import card, corpus, cost

    part = cost.measure(arguments.folder, corpus.load(places, "tuning"))
    print(part)
    card.record(arguments.folder, "cost", part)


def _card(places: Places, arguments: argparse.Namespace) -> None:
    from training import card

    card.write(places, arguments.folder)


def _plot(places: Places, arguments: argparse.Namespace) -> None:
    from training.plot import plot

    print(plot([places.run(run) for run in arguments.runs], arguments.out))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description=__doc__)
    parser.add_argument(
        "--home", type=Path, default=default_home(), help="where corpus and checkpoints are kept"
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("corpus", help="choose the documents").set_defaults(call=_corpus)
    tokenizer = commands.add_parser("tokenizer", help="train the tokenizer and pack the corpus")
    tokenizer.set_defaults(call=_tokenizer)
    tokenizer.add_argument(
        "--from",
        dest="start_from",
        type=Path,
        help="model folder whose tokenizer to keep, to train it further",
    )
    train = commands.add_parser("train", help="train, or go on training")
    train.set_defaults(call=_train)
    train.add_argument("--run")
    train.add_argument("--from", dest="start_from", help="run, or model folder, a new run starts from")
    train.add_argument("--phase", choices=["short", "long"])
    train.add_argument("--size", choices=["6m", "15m", "30m", "60m"])
    train.add_argument("--minutes", type=float)
    train.add_argument("--steps", type=int)
    train.add_argument("--decay-steps", dest="decay_steps", type=int)
    train.add_argument("--rows", type=int)
    train.add_argument(
        "--processes", type=int, help="on a CPU: so many processes of one thread share each step"
    )
    train.add_argument("--seed", type=int)
    train.add_argument("--device")
    train.add_argument("--no-compile", dest="compile", action="store_false", default=None)
    export = commands.add_parser("export", help="write a run's weights as a Hugging Face model")
    export.set_defaults(call=_export)
    export.add_argument("--run", default="main")
    export.add_argument("--folder", type=Path, default=BUNDLED_MODEL)
    export.add_argument("--last", action="store_true", help="the last weights, not their running average")
    tune = commands.add_parser("tune", help="fit the cache mixture's weights on the tuning packages")
    tune.set_defaults(call=_tune)
    tune.add_argument("--folder", type=Path, default=BUNDLED_MODEL)
    tune.add_argument("--spans", type=int, default=300)
    tune.add_argument("--budget", type=int, default=1500)
    evaluate = commands.add_parser("evaluate", help="fill holes in the held-out packages")
    evaluate.set_defaults(call=_evaluate)
    evaluate.add_argument("--folder", type=Path, default=BUNDLED_MODEL)
    evaluate.add_argument("--split", choices=["held-out", "held-out-npm", "tuning"], default="held-out")
    evaluate.add_argument("--files", type=Path, help="ask about the files of this folder instead")
    evaluate.add_argument("--suffix", default=".js")
    evaluate.add_argument("--count", type=int, default=300, help="holes of each kind")
    evaluate.add_argument("--budget", type=int, default=1500, help="prompt tokens")
    evaluate.add_argument("--seed", type=int, default=1)
    evaluate.add_argument("--kinds", nargs="+", help="whole line, second half, block; all where left out")
    evaluate.add_argument("--engine", action="store_true", help="through the real engine, in its variants")
    evaluate.add_argument("--variants", nargs="+", default=[], help="of the engine; all where left out")
    evaluate.add_argument("--foreign", action="store_true", help="only lines that use names from other files")
    evaluate.add_argument("--name", help="record the table under this heading beside the weights")
    confidence = commands.add_parser("confidence", help="find the bar below which a completion is not shown")
    confidence.set_defaults(call=_confidence)
    confidence.add_argument("--folder", type=Path, default=BUNDLED_MODEL)
    confidence.add_argument("--in-force", action="store_true", help="write it into the model's codeface.json")
    cost = commands.add_parser("cost", help="measure what the cache mixture adds to a decode step")
    cost.set_defaults(call=_cost)
    cost.add_argument("--folder", type=Path, default=BUNDLED_MODEL)
    card = commands.add_parser("card", help="write the model card and training/RESULTS.md")
    card.set_defaults(call=_card)
    card.add_argument("--folder", type=Path, default=BUNDLED_MODEL)
    plot = commands.add_parser("plot", help="draw the loss of one or more runs")
    plot.set_defaults(call=_plot)
    plot.add_argument("runs", nargs="+")
    plot.add_argument("--out", type=Path, default=BUNDLED_MODEL / "loss.png")
    return parser


def main() -> None:
    arguments = _parser().parse_args()
    arguments.call(Places(arguments.home), arguments)


if __name__ == "__main__":
    main()
