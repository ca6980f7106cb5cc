"""What pages print parses, runs and prints that; every page is in the site once; no path and no link is lost."""

from __future__ import annotations

import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest
from conftest import ROOT
from documented import PAGES, PROGRAM, Block, inline, lines_of, of_page, problems, words_of
from planted_study import plant

from scalesearch.study import StudyPaths

SITE = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
NAMES = [page.relative_to(ROOT).as_posix() for page in PAGES]


# ------------------------------------------------------------------ what is printed parses


@pytest.mark.parametrize("name", NAMES)
def test_what_a_page_prints_is_right(name):
    assert problems((ROOT / name).read_text(encoding="utf-8"), name) == []


@pytest.mark.parametrize(
    ("printed", "said"),
    [
        ("```bash\nscalesearch run --budgets 2x\n```", "No such option: --budgets"),
        ("```bash\nscalesearch run --budget 2x --lr 0.1 \\\n    --sedes 3\n```", "No such option: --sedes"),
        ("```bash\nscalesearch run --budget two\n```", "budget"),
        ("```bash\nscalesearch run --sampler latice\n```", "did you mean 'lattice'"),
        ("```bash\nscalesearch run --seeds three\n```", "three"),
        ("```bash\nscalesearch run --engine memry=8GB\n```", "memry"),
        ("```bash\nscalesearch run nosuch --budget 2x\n```", "nosuch"),
        ("```bash\nscalesearch searchh --budget 2x\n```", "no such command: searchh"),
        ("```bash\nscalesearch export mine --to tim\n```", "did you mean 'timm'"),
        ("```bash\nscalesearch export mine\n```", "--to"),
        ("```bash\nscalesearch count resnet8\n```", "resnet8"),
        ("```bash\nscalesearch plot mine parto\n```", "pareto"),
        ("```bash\nscalesearch train mine --ablate swich\n```", "swish"),
        ("```bash\nX=1 scalesearch list && scalesearch show mine --jsn > a.json\n```", "--jsn"),
        ("```bash\nsbatch docs/cluster/slurm.sh run --bugdet 2x\n```", "--bugdet"),
        ("```bash\npython benchmarks/nosuch.py\n```", "no such file: benchmarks/nosuch.py"),
        ("```console\n$ scalesearch cache cheque\nfine\n```", "cheque"),
        ("```text\nscalesearch run --budget 2x\n```", "nobody checks"),
        ("```\nscalesearch run --budget 2x\n```", "a block of kind ''"),
        ("```python\nfor x in\n```", "invalid syntax"),
        ("```toml\nbudget = ['2x']\n```", "budgets"),
        ("```toml\n[proxy]\nepochs = 0\n```", "epochs"),
        ("it is `scalesearch verify NAME --fidelty`", "--fidelty"),
        ("say `--sampel surface`", "no command has --sampel"),
    ],
)
def test_a_planted_mistake_is_found(printed, said):
    found = problems(printed)
    assert found and any(said in line for line in found), found


def test_a_page_without_mistakes_has_none():
    printed = "```bash\nscalesearch run --budget 2x  # a comment --with an option\n```\n"
    assert problems(printed + "`scalesearch run [STUDY] --base REF ...`") == []


# ------------------------------------------------------------------ cheap commands run and print what is printed


UNTRAINED = ("count", "exponents", "space", "scale", "table")
"""Commands that answer without a study and without training."""


def untrained() -> list[tuple[str, str, str]]:
    """Page, command and printed output (empty where none is shown) of every such command of the pages."""
    found = {}
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        shown = [(line, _output(block, line)) for block in of_page(page) for line in lines_of(block)]
        for line, output in [*shown, *((span, "") for span in inline(text))]:
            words = line.split("#")[0].split()
            if words[:1] == ["scalesearch"] and len(words) > 2 and words[1] in UNTRAINED and _concrete(words[2:]):
                command = " ".join(words)
                found[command] = (
                    page.relative_to(ROOT).as_posix(),
                    command,
                    output or found.get(command, ("", "", ""))[2],
                )
    return list(found.values())


def _concrete(words: list[str]) -> bool:
    return not any(re.match(r"[A-Z]|\.\.\.|\[", word) or "my_" in word or word in ("mine", "first") for word in words)


def _output(block: Block, line: str) -> str:
    """What a console shows below a command, up to the next."""
    if block.kind != "console":
        return ""
    return block.text.partition(f"$ {line}\n")[2].partition("\n$ ")[0]


COMMANDS = untrained()


def printed_in(output: str, out: str) -> list[str]:
    """Lines of a shown output that the real one lacks; `...` stands for what was left out."""
    real = [" ".join(line.split()) for line in out.splitlines()]
    lost = []
    for line in output.splitlines():
        part = " ".join(line.split("...")[0].split())
        if part and not set(part) <= {"─", " "} and not any(part in one for one in real):
            lost.append(line)
    return lost


@pytest.mark.slow
@pytest.mark.parametrize(("page", "command", "output"), COMMANDS, ids=[command for _, command, _ in COMMANDS])
def test_a_command_that_trains_nothing_prints_what_the_page_shows(call, empty_folder, page, command, output):
    ((_, *arguments),) = words_of(command)
    code, out, err = call(*arguments)
    assert code == 0, (page, err)
    assert printed_in(output, out) == []


def test_there_are_commands_to_run_and_outputs_to_compare():
    assert len(COMMANDS) >= 10
    assert sum(bool(output) for _, _, output in COMMANDS) >= 2


def test_an_output_that_differs_is_found():
    assert printed_in("a  1\nb 2 ...", "a 1\nb 2 3") == []
    assert printed_in("a 1\nb 3", "a 1\nb 2 3") == ["b 3"]


# ------------------------------------------------------------------ Python runs


NOT_RUN = {
    "docs/how-to/export.md": "what an export wrote, and trained weights: tests/test_export_*.py have both",
    "docs/how-to/your_network.md": "tests/test_networks_user.py runs both",
    "docs/tutorial/own_network.md": "tests/test_tutorial.py runs it",
}
"""Pages whose Python needs more than a study, and who runs it."""
WITH_PYTHON = [n for n in NAMES if n not in NOT_RUN and any(b.kind == "python" for b in of_page(ROOT / n))]


@pytest.fixture(scope="module")
def planted(tmp_path_factory):
    """A folder with finished studies of the names that pages load."""
    root = tmp_path_factory.mktemp("documented")
    for name in ("mine", "efficientnet_micro-fashion-mnist-mini-2x"):
        plant(StudyPaths(root / "studies" / name), networks=8, seeds=3)
    return root


@pytest.mark.parametrize(
    "name", [n if n == "README.md" else pytest.param(n, marks=pytest.mark.slow) for n in WITH_PYTHON]
)
def test_the_python_of_a_page_runs(name, planted, monkeypatch):
    """From top to bottom, in one namespace; what stands under `if __name__ == "__main__"` trains, and is only read."""
    monkeypatch.chdir(planted)
    names: dict[str, object] = {"__name__": "page"}
    for block in of_page(ROOT / name):
        if block.kind == "python":
            exec(compile(block.text, str(block), "exec"), names)
    assert len(names) > 3


def test_pages_that_run_nothing_have_python():
    assert [name for name in NOT_RUN if not any(block.kind == "python" for block in of_page(ROOT / name))] == []


# ------------------------------------------------------------------ pages, paths, links


def in_nav(entries: list[object]) -> list[str]:
    found = []
    for entry in entries:
        for one in entry.values() if isinstance(entry, dict) else [entry]:
            found += in_nav(one) if isinstance(one, list) else [one]
    return found


def test_the_contents_name_every_page_once():
    named = in_nav(SITE["nav"])
    assert sorted(named) == sorted(page.relative_to(ROOT / "docs").as_posix() for page in (ROOT / "docs").rglob("*.md"))


def test_no_folder_of_pages_is_overfull():
    assert {d.name for d in (ROOT / "docs").rglob("*") if d.is_dir() and len(list(d.iterdir())) > 20} == set()


def tracked() -> list[Path]:
    """Files that people write, but for notebooks."""
    places = ("scalesearch", "studies", "tests", "benchmarks", "docs", ".ci")
    endings = {".py", ".md", ".toml", ".sh", ".pyi", ".txt", ""}
    files = [path for place in places for path in (ROOT / place).rglob("*") if path.suffix in endings]
    files += [path for path in ROOT.iterdir() if path.suffix in (".md", ".toml", ".cff")]
    return [
        path for path in files if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    ]


TO_COME = ("benchmarks/gpu.md",)
"""Files that a script writes where there is a GPU."""


def lost_paths(text: str) -> list[str]:
    """Paths of the repository's documentation that a text names and that are not there."""
    named = re.findall(r"(?<![\w/.-])((?:docs|benchmarks|notebooks)/[\w./-]+\.(?:md|py|sh|png|ipynb))\b", text)
    return sorted({path for path in named if path not in TO_COME and not (ROOT / path).exists()})


def test_every_page_that_is_named_anywhere_is_there():
    lost = {str(path.relative_to(ROOT)): lost for path in tracked() if (lost := lost_paths(path.read_text("utf-8")))}
    lost.pop("tests/test_documentation.py", None)
    assert lost == {}


def test_a_lost_page_is_found():
    assert lost_paths("see docs/nosuch.md, docs/faq.md and benchmarks/README.md") == ["docs/nosuch.md"]


LINKED = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "benchmarks").rglob("*.md")]


def anchors(path: Path) -> set[str]:
    """What a page's headings are called in a link."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[\s]+", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip()) for heading in headings}


@pytest.mark.parametrize("path", LINKED, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path):
    text = re.sub(r"^```.*?^```", "", path.read_text(encoding="utf-8"), flags=re.M | re.S)
    wrong_links = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        place, _, anchor = target.partition("#")
        if not place.startswith(("http:", "https:", "mailto:")):
            goal = (path.parent / place) if place else path
            if not goal.exists() or (anchor and anchor not in anchors(goal)):
                wrong_links.append(target)
    assert wrong_links == []


# ------------------------------------------------------------------ the reference is made from the code


@pytest.fixture(scope="module")
def generated():
    where = importlib.util.spec_from_file_location("generated", ROOT / "docs/site/generated.py")
    module = importlib.util.module_from_spec(where)
    where.loader.exec_module(module)
    return module


def test_the_reference_has_every_command_and_option(generated):
    text = generated.commands()
    for name, command in PROGRAM.commands.items():
        section = text.partition(f" {name} {{ #{name} }}")[2].partition("\n### ")[0]
        context = command.make_context(name, [], resilient_parsing=True)
        options = [o for p in command.get_params(context) for o in p.opts if o.startswith("--") and o != "--help"]
        assert [option for option in options if option not in section] == [], name
        assert command.epilog in section


def test_every_key_of_a_definition_has_a_meaning(generated):
    from scalesearch.study.config import Engine, ProxyRecipe, StudyConfig

    for part, of in (("study", StudyConfig), ("proxy", ProxyRecipe), ("engine", Engine)):
        rows = [row.split(" | ") for row in generated.definition(part).splitlines()[2:]]
        keys = [field for field in of.__dataclass_fields__ if field not in ("proxy", "engine")]
        assert [row[0] for row in rows] == [f"| <code>{key}</code>" for key in keys]
        assert [row[0] for row in rows if len(row[1]) < 4] == []


def test_every_error_has_its_exit_code(generated):
    text = generated.exits()
    assert re.search(r"<code>UsageError</code> .* \| 2 \|", text) and re.search(
        r"<code>StudyError</code> .* \| 1 \|", text
    )


def test_every_notebook_has_a_page_of_its_name(generated):
    text = generated.notebooks()
    found = sorted((ROOT / "notebooks").glob("*.ipynb"))
    assert [path.stem for path in sorted((ROOT / "docs/tutorial/notebooks").glob("*.md"))] == [
        path.stem for path in found
    ]
    for path in found:
        first = "".join(generated.cells_of(path)[0]["source"]).splitlines()[0]
        page = (ROOT / f"docs/tutorial/notebooks/{path.stem}.md").read_text(encoding="utf-8")
        assert first.startswith("# ") and f"\n{first}\n" in page and f'{{{{ notebook("{path.stem}") }}}}' in page
        assert f"(notebooks/{path.stem}.md)" in text


def written(folder, name, *cells):
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.ipynb").write_text(json.dumps({"cells": cells}))


def test_a_notebook_is_a_page_with_what_its_cells_gave_when_it_was_run(generated, monkeypatch, tmp_path):
    monkeypatch.setattr(generated, "ROOT", tmp_path)
    monkeypatch.setattr(generated, "EXECUTED", tmp_path / "run")
    head = {"cell_type": "markdown", "source": ["# A name\n", "\n", "Why."]}
    code = {"cell_type": "code", "source": ["%%writefile a.py\n", "x = '```'"], "outputs": []}
    shell = {"cell_type": "code", "source": "!scalesearch list", "outputs": []}
    written(tmp_path / "notebooks", "one", head, code, shell)
    plain = generated.notebook("one")
    assert "# A name" not in plain and "\nWhy.\n" in plain and "not shown here" in plain
    assert "````python title=\"a.py\"\nx = '```'\n````" in plain and "````bash\nscalesearch list\n````" in plain
    outputs = [
        {"output_type": "stream", "text": ["a \x1b[1mstudy\x1b[0m  \n"]},
        {"output_type": "stream", "text": "and more\n"},
        {"output_type": "display_data", "data": {"image/png": "iVBORw0KGgo=\n", "text/plain": "<Figure>"}},
        {"output_type": "execute_result", "data": {
            "text/html": ["<style>a {}</style>\n", '<table border="1" class="dataframe">\n', "</table>"],
            "text/plain": "a table",
        }},
    ]  # fmt: skip
    written(tmp_path / "run", "one", head, code, {**shell, "source": ["!scalesearch list"], "outputs": outputs})
    page = generated.notebook("one")
    assert "not shown here" not in page and "````text\na study\nand more\n````" in page
    assert "(data:image/png;base64,iVBORw0KGgo=)" in page and '<div class="output"><table></table></div>' in page
    assert "<Figure>" not in page and "a table" not in page
    written(tmp_path / "run", "one", head, code, {**shell, "source": ["!scalesearch show"], "outputs": outputs})
    assert generated.notebook("one") == plain  # that run was of another notebook
