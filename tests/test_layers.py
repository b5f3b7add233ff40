"""The house: every file has a layer, imports only from its own or lower ones, never in a circle, and stays short.

Imports are read from the source text, wherever they stand, so that none hides in a function or behind a condition.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import legato

ROOT = Path(legato.__file__).parent
FILES = {
    ".".join(("legato", *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}

# The longest prefix of a module's name decides. A new file or folder enters here, with the layer it may build on.
LAYERS = {
    "legato.errors": 0,
    "legato.lazy": 0,
    "legato.streams": 0,
    "legato.terminal": 0,
    "legato.partials": 0,
    "legato.progress": 0,
    "legato.setting": 0,
    "legato.defaults": 0,
    "legato.faults": 0,
    "legato.schema": 0,
    "legato.files": 0,
    "legato.shown": 0,
    "legato.codes": 0,
    "legato.classes": 0,
    "legato.batch": 0,
    "legato.label": 1,
    "legato.ranked": 0,
    "legato.arguments": 0,
    "legato.forward_mode": 0,
    "legato.devices": 0,
    "legato.ranks": 0,
    "legato.workers": 7,
    "legato.pools": 7,
    "legato.population": 0,
    "legato.moments": 0,
    "legato.types": 0,
    "legato.trace": 0,
    "legato.distributions": 0,
    "legato.nets": 0,
    "legato.player": 0,
    "legato.alarm": 0,
    "legato.adamw": 0,
    "legato.families": 1,
    "legato.posteriors": 1,
    "legato.noise": 1,
    "legato.likelihoods": 1,
    "legato.counts": 1,
    "legato.flows": 2,
    "legato.vamp": 2,
    "legato.sequences": 2,
    "legato.objectives.term": 1,
    "legato.conditional": 2,
    "legato.classifier": 3,
    "legato.priors": 2,
    "legato.objectives": 2,
    "legato.codebooks": 2,
    "legato.latents": 3,
    "legato.fitted.fits": 6,
    "legato.fitted.kept": 6,
    "legato.fitted": 3,
    "legato.model": 4,
    "legato.vocabulary": 5,
    "legato.autoencoder_kl": 5,
    "legato.recipe": 5,
    "legato.recipes": 5,
    "legato.definition": 5,
    "legato.data": 5,
    "legato.stored": 6,
    "legato.tensors": 6,
    "legato.run": 6,
    "legato.checkpoint": 6,
    "legato.training": 6,
    "legato.sentence": 6,
    "legato.latent_space": 6,
    "legato.loading": 6,
    "legato.refits": 7,
    "legato.unsaved": 6,
    "legato.pictures": 6,
    "legato.measures": 6,
    "legato.survey": 7,
    "legato.doctor": 7,
    "legato.exported": 7,
    "legato.pythae": 7,
    "legato.claims": 7,
    "legato.experiment": 7,
    "legato.estimator": 7,
    "legato.sweep.table": 8,
    "legato.sweep": 7,
    "legato.report": 8,
    "legato.explorer": 8,
    "legato.demo": 8,
    "legato.measured": 9,  # a survey that can be shown
    "legato.doctored": 9,  # a check-up that can be shown
    "legato.cli": 9,
    "legato.__main__": 9,
    "legato.commands": 9,
}

# Imports that stand in a function because they close a circle, each with the reason why the circle cannot be opened.
CLOSING: dict[tuple[str, str], str] = {}

MODEL_SIDE = (
    "legato.model",
    "legato.latents",
    "legato.conditional",
    "legato.classifier",
    "legato.priors",
    "legato.families",
    "legato.posteriors",
)

# Words of the grammar that only the grammar imports: what stands above it asks a model what it can, never what it is.
WORDS = (
    *("legato.families", "legato.posteriors", "legato.likelihoods", "legato.counts", "legato.priors", "legato.vamp"),
    *("legato.flows", "legato.codebooks", "legato.sequences", "legato.latents", "legato.objectives"),
)
GRAMMAR = (
    *WORDS,
    "legato.conditional",
    "legato.classifier",
    "legato.model",
    "legato.vocabulary",
    "legato.recipe",
    "legato.recipes",
    "legato.fitted",
)


def imports(module: str) -> set[str]:
    """The modules of legato that `module` imports, by absolute name."""
    found = set()
    for node in ast.walk(ast.parse(FILES[module].read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            names = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name in FILES else str(node.module) for name in names}
    return {name for name in found if name in FILES and name != module}


GRAPH = {module: imports(module) for module in FILES}


def layer(module: str) -> int | None:
    """The layer of the longest known prefix."""
    parts = module.split(".")
    return next((LAYERS[p] for n in range(len(parts), 1, -1) if (p := ".".join(parts[:n])) in LAYERS), None)


def below(module: str, names: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in names)


def test_every_file_has_a_layer():
    assert [module for module in FILES if module != "legato" and layer(module) is None] == []


def test_a_file_imports_only_from_its_own_or_lower_layers():
    upwards = [
        f"{module} ({layer(module)}) imports {other} ({layer(other)})"
        for module, others in GRAPH.items()
        for other in others
        if "legato" not in (module, other) and layer(other) > layer(module)
    ]
    assert upwards == []


def test_the_package_itself_imports_nothing_of_its_own():
    assert GRAPH["legato"] == set()


def test_imports_make_no_circle():
    graph = {module: {o for o in others if (module, o) not in CLOSING} for module, others in GRAPH.items()}
    while leaves := {module for module, others in graph.items() if not others}:
        graph = {module: others - leaves for module, others in graph.items() if module not in leaves}
    assert graph == {}


def test_every_exemption_is_an_import_in_a_function_that_closes_a_circle():
    for module, other in CLOSING:
        assert other in GRAPH[module]
        top = {node for node in ast.parse(FILES[module].read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)}
        assert not any(other in ast.unparse(node).split() for node in top)
        reached, new = set(), {other}
        while new:
            reached |= new
            new = set().union(*(GRAPH[m] for m in new)) - reached
        assert module in reached


def test_models_and_objectives_never_import_each_other():
    for module, others in GRAPH.items():
        if below(module, MODEL_SIDE):
            assert not [o for o in others if below(o, ("legato.objectives",))], module
        if below(module, ("legato.objectives",)):
            assert not [o for o in others if below(o, MODEL_SIDE)], module


def test_nothing_above_the_grammar_knows_a_family_a_latent_a_prior_or_a_term():
    above = {module: others for module, others in GRAPH.items() if not below(module, GRAMMAR)}
    assert [(module, other) for module, others in above.items() for other in others if below(other, WORDS)] == []


def test_no_net_knows_a_family():
    for module, others in GRAPH.items():
        if below(module, ("legato.nets",)):
            assert all(below(o, ("legato.nets", "legato.types", "legato.errors", "legato.defaults")) for o in others), module


def test_every_module_says_what_it_is_beginning_with_a_noun():
    """A file is a thing. A sentence that begins with a question's word makes its reader wait for the thing."""
    asks = {"What", "With", "How", "Where", "Whether", "Which", "When", "Who", "From", "Why", "Of", "To", "In", "If", "Every"}
    first = {module: (ast.get_docstring(ast.parse(path.read_text())) or "").split(" ")[0] for module, path in FILES.items()}
    assert {module: word for module, word in first.items() if not word or word in asks} == {}


def test_no_file_is_longer_than_400_lines():
    lengths = {p: len(p.read_text().splitlines()) for p in ROOT.rglob("*") if p.suffix in (".py", ".j2")}
    assert {str(path): length for path, length in lengths.items() if length > 400} == {}


PICKLED = {"legato.pythae.saved": "torch.load(file, map_location='cpu', weights_only=True)"}  # weights alone: docs/safety.md


def test_nothing_unpickles_but_weights_of_pythae():
    for module, path in FILES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import | ast.ImportFrom):
                names = {alias.name for alias in node.names} | {str(getattr(node, "module", ""))}
                assert not names & {"pickle", "cloudpickle", "dill", "joblib", "shelve", "marshal"}, module
            elif isinstance(node, ast.Call):
                called = ast.unparse(node.func) in {"torch.load", "torch.save", "eval", "exec"}
                assert not called or ast.unparse(node) == PICKLED.get(module), module
                assert not [k for k in node.keywords if k.arg == "allow_pickle" and ast.unparse(k.value) != "False"], module


def test_the_package_the_command_and_the_words_are_imported_without_torch():
    light = ["legato", "legato.errors", "legato.progress", "legato.setting", "legato.cli", "legato.commands.application"]
    present = [module for module in light if module in FILES]
    code = f"import sys\nfor m in {present!r}:\n    __import__(m); assert 'torch' not in sys.modules, m"
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert told.returncode == 0, told.stderr


@pytest.mark.parametrize("name", legato.__all__)
def test_every_public_name_is_there(name):
    assert getattr(legato, name) is not None
    assert name in dir(legato)


def test_a_public_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute `vae`"):
        _ = legato.vae
