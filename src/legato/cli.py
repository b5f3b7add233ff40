"""The `legato` command: which commands there are, and how their mistakes are told.

Covered: the overview, dispatch, and exit codes (0 done; 2 a mistake, in one line; 128 + n a signal). Each command is a file
of `legato.commands`, imported only when it is called, so that `legato --help` costs no torch.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module

from cyclopts import App, CoercionError, CycloptsError, MissingArgumentError, UnusedCliTokensError

from legato import __version__, faults, terminal
from legato.errors import Mistake, Stopped, unknown
from legato.files import refused

COMMANDS = {
    "demo": "trains an autoencoder, one with noise, and a VAE on MNIST, and writes a report; 5 minutes",
    "recipes": "every named model: sentence, paper, options",
    "data": "what is in a source: count, shape, range, labels, problems, the likelihood that fits",
    "train": "trains a recipe: legato train RECIPE --data SOURCE --out RUN",
    "evaluate": "ELBO, rate, distortion, log-likelihood and more of a RUN, with intervals",
    "compare": "two RUNs or more: paired differences of ELBO, distortion, rate and log-likelihood",
    "doctor": "whether a space can be sampled as it is, by what prior, what to change: legato doctor RUN|MODEL --data SOURCE",
    "report": "one HTML file of a RUN: curves, samples, map, measures with intervals",
    "explore": "a page on which you drag through latent space and see the image at once: legato explore RUN [RUN]",
    "sweep": "many runs that differ by a few words, side by side, from a TOML file: a table and a picture",
    "claims": "what is said of VAEs, measured on your data: a family of models, 14 verdicts, a report",
    "refit": "a prior fitted to the codes of a RUN in minutes, from which samples are then drawn: sample --from NAME",
    "sample": "a picture of decoded draws from the prior",
    "reconstruct": "a picture of images above their reconstructions",
    "interpolate": "a path through latent space between images",
    "traverse": "what each latent dimension does, one row each",
    "encode": "every image's code, mu and sigma, to Parquet or NPZ",
    "export": "encoder and decoder as ONNX files, checked, for other programs and browsers",
    "score": "every image's log p(x), to Parquet, CSV or NPZ",
    "convert": "a model that Pythae saved, as a RUN: legato convert FOLDER --data SOURCE --out RUN",
}

# for a sentence, in the place of Python's own names of types
KINDS = {"int": "a whole number", "float": "a number", "bool": "yes or no"}


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs `legato …` and ends the process with its exit code."""
    terminal.prepare()
    try:
        code = run(sys.argv[1:] if arguments is None else list(arguments))
    except SystemExit as ending:  # of a rank that has said already, or need not say, why
        code = int(ending.code or 0)
    failure = terminal.failure()
    if failure is not None and code == 0:  # else a mistake was told already, and its code stands
        code = _told(f"the output could not be written ({failure.strerror}): all else is done", 2)
    if int(os.environ.get("WORLD_SIZE") or 1) > 1:
        # At once: threads by which ranks spoke to each other may outlive their group, and end an ending process with a crash.
        sys.stderr.flush()
        os._exit(code)
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """Runs one command line and returns its exit code."""
    name = arguments[0] if arguments else "--help"
    try:
        if name in COMMANDS:
            faults.hear()  # before a command maps a file
            _call(import_module(f"legato.commands.{name}").app, arguments[1:])
        elif name.startswith("-"):
            _call(_overview(), arguments)
        else:
            raise unknown("command", name, COMMANDS)
    except CycloptsError as error:
        return _told(_misused(error, name), 2)
    except Mistake as error:
        return _told(" ".join(str(error).split()), 2)  # one line, whatever a library has put into it
    except KeyboardInterrupt as interruption:
        return _told("interrupted", 128 + terminal.signal_of(interruption))
    except Stopped as stopped:
        return _told(str(stopped), 128 + stopped.number)
    except OSError as error:
        return _told(str(refused(error)), 2)
    return 0


def _call(app: App, arguments: list[str]) -> None:
    # Neither printed nor ended by the library: its messages have several lines, and its exit code is not ours.
    app(arguments, exit_on_error=False, print_error=False, result_action="return_value")


def _misused(error: CycloptsError, name: str) -> str:
    """The line on what is wrong with a command line, and where it is told how it goes."""
    if name not in COMMANDS:
        return f"no option is named `{name}`: `legato --help` lists the commands"
    more = f"`legato {name}{' RECIPE' if name == 'train' else ''} --help` tells how it goes"
    spare = error.unused_tokens or []
    if isinstance(error, UnusedCliTokensError):
        words = f"`{' '.join(spare)}` {'is a word' if len(spare) == 1 else 'are words'} too many"
        if name == "train":
            more = "a source is named by --data, a run by --out, and --resume takes no name (--resume --out RUN)"
        return f"{words}: {more}"
    if isinstance(error, MissingArgumentError) and error.argument is not None and not error.argument.tokens:
        place = error.argument.index
        if place is not None and error.keyword is None:
            return f"{error.argument.name.lstrip('-').upper()} is missing: {more}"
    said = " ".join(str(error).split())
    if isinstance(error, CoercionError) and "unable to convert" in said:
        for kind, words in KINDS.items():
            said = said.replace(f" into {kind}.", f" into {words}")
    return f"{said} ({more})" if said.endswith("?") else f"{said.rstrip('.')}: {more}"


def _told(line: str, code: int) -> int:
    print(f"legato: {terminal.one_line(line)}", file=sys.stderr)
    return code


def _overview() -> App:
    """`legato --help`: the commands as stubs, since their own files may need torch."""
    app = App(
        name="legato",
        version=__version__,
        help="Variational autoencoders: train, measure, explore. `legato COMMAND --help` tells a command's options.",
    )
    for place, (name, line) in enumerate(COMMANDS.items()):
        app.command(App(name=name, help=line, sort_key=place))  # in our order: the library sorts by name
    return app
