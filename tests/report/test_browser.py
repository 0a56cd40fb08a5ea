"""The page in a real browser: what it shows is what the run has, and all of it can be reached."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lcbench.report.page import report, write
from lcbench.runs import Run, read_run
from tests.report import made

By = pytest.importorskip("selenium.webdriver.common.by").By
Keys = pytest.importorskip("selenium.webdriver.common.keys").Keys
Select = pytest.importorskip("selenium.webdriver.support.select").Select

HOSTILE = (
    "<script>window.attacked = 1</script>",
    "</script><script>window.attacked = 1</script>",
    "<img src=x onerror='window.attacked = 1'>",
    "<!-- <script> --> ]]> &lt;b&gt; &amp;",
    "javascript:alert(1) ${window.attacked = 1} {{7*7}} \\u003cscript>",
    "line\u2028separator\u2029 \u202eright to left\u202c \u2066isolate NUL \x00 bell \x07",
    "half a pair \ud83d alone \udc00 and a whole one 🙂",
)
UNSEEN = "\u2028\u2029\u202e\u202c\u2066\u2069\x00\x07\ud83d\udc00"
Open = Callable[..., Any]


@pytest.fixture
def opened(chromium: Any) -> Open:
    """Open a file at a width; the browser, when the page says that it is ready."""

    def opening(page: Path, width: int = 1280) -> Any:
        size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
        chromium.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        for kind in ("browser", "performance"):
            chromium.get_log(kind)
        chromium.get(page.as_uri())
        until(lambda: chromium.execute_script("return 'ready' in document.documentElement.dataset"))
        return chromium

    return opening


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not within its time"
        time.sleep(0.02)


def choose(browser: Any, name: str, text: str) -> None:
    Select(browser.find_element(By.ID, name)).select_by_visible_text(text)


def listed(browser: Any) -> list[str]:
    return [e.text for e in browser.find_elements(By.CSS_SELECTOR, "#samples .id")]


def counted(browser: Any) -> int:
    return int(browser.find_element(By.ID, "found").text.split()[0].replace(",", ""))


def grid(browser: Any, section: str, system: int) -> dict[tuple[str, str], str]:
    """(row, column) -> text of every cell of a heat-map."""
    table = browser.find_element(By.CSS_SELECTOR, f"#{section} figure[data-system='{system}'] table")
    columns = [e.text for e in table.find_elements(By.CSS_SELECTOR, "thead th")][1:]
    found = {}
    for row in table.find_elements(By.CSS_SELECTOR, "tbody tr"):
        name = row.find_element(By.TAG_NAME, "th").text
        found.update({(name, c): e.text for c, e in zip(columns, row.find_elements(By.TAG_NAME, "td"), strict=True)})
    return found


def verdicts(run: Run, attn: str) -> dict[str, float]:
    return {
        r["sample_id"]: 0.0 if r["finish"] == "failed" else r["score"]
        for (of, _, _), rows in run.rows.items()
        if of == attn
        for r in rows
    }


def test_cells_of_the_heat_map_are_those_of_the_summary(opened: Open, page: Path, run: Run) -> None:
    browser = opened(page)
    for system, attn in enumerate(("softmax", "lucid")):
        cells = [c for c in run.summary["cells"] if c["attn"] == attn]
        expected = {(c["task"], f"{c['length'] // 1024}k"): f"{c['score']:.1f}" for c in cells}
        assert grid(browser, "heat", system) == expected
    assert len(expected) == 9


def test_cells_of_the_depth_map_are_means_over_records(opened: Open, page: Path, run: Run) -> None:
    browser = opened(page)
    choose(browser, "depth-task", "ruler/niah_single_2")
    shown = grid(browser, "depth", 1)
    assert len(shown) == 30
    for (band, length), text in shown.items():
        low = int(band.split("–")[0]) / 100
        rows = run.rows["lucid", "ruler/niah_single_2", int(length[:-1]) * 1024]
        here = [r["score"] for r in rows if low <= r["evidence"][0]["depth"] < low + 0.1]
        assert text == (f"{100 * sum(here) / len(here):.1f}\nn = {len(here)}" if here else "·")


def test_filters_find_what_the_records_say(opened: Open, page: Path, run: Run) -> None:
    browser = opened(page)
    softmax, lucid = verdicts(run, "softmax"), verdicts(run, "lucid")
    assert counted(browser) == len(softmax) == 450

    browser.find_element(By.ID, "by-disagreement").click()
    assert counted(browser) == sum(softmax[k] != lucid[k] for k in softmax)
    choose(browser, "by-system", "softmax")
    choose(browser, "by-verdict", "right")
    assert counted(browser) == sum(softmax[k] > lucid[k] for k in softmax)
    choose(browser, "by-task", "ruler/vt")
    choose(browser, "by-length", "8k")
    assert counted(browser) == sum(softmax[k] > lucid[k] for k in softmax if k.startswith("ruler/vt:8192:"))
    browser.find_element(By.ID, "by-disagreement").click()
    assert counted(browser) == sum(softmax[k] for k in softmax if k.startswith("ruler/vt:8192:"))
    choose(browser, "by-length", "all")
    choose(browser, "by-system", "any")
    choose(browser, "by-verdict", "failed")
    assert listed(browser) == ["ruler/vt:4096:3"]
    browser.find_element(By.CSS_SELECTOR, "#samples .items summary").click()
    until(lambda: "out of memory" in browser.find_element(By.CSS_SELECTOR, "#samples .items").text)
    choose(browser, "by-verdict", "wrong")
    choose(browser, "by-system", "lucid")
    assert counted(browser) == sum(lucid[k] == 0 for k in lucid if k.startswith("ruler/vt:")) - 1  # what failed is not


def test_search_and_the_parts_of_a_sample(opened: Open, page: Path, run: Run) -> None:
    browser = opened(page)
    row = run.rows["lucid", "ruler/niah_single_1", 8192][7]
    browser.find_element(By.ID, "by-words").send_keys(row["references"][0])
    until(lambda: counted(browser) == 1)
    assert listed(browser) == [row["sample_id"]]
    browser.find_element(By.CSS_SELECTOR, "#samples .items summary").click()
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "#samples .body"))
    said = [e.get_attribute("textContent") for e in browser.find_elements(By.CSS_SELECTOR, "#samples .said")]
    softmax = run.rows["softmax", "ruler/niah_single_1", 8192][7]
    answers = [x for r in (softmax, row) for x in (r["completion"], r["extracted"])]
    assert said == [row["references"][0], *row["excerpt"], *answers]
    assert browser.find_element(By.CSS_SELECTOR, "#samples .said mark").text == row["references"][0]
    assert f"evidence at {100 * row['evidence'][0]['depth']:.0f}%" in browser.find_element(By.ID, "samples").text


def test_a_cell_opens_its_samples(opened: Open, page: Path) -> None:
    browser = opened(page)
    browser.find_element(By.CSS_SELECTOR, "#heat button[aria-label^='lucid, ruler/vt at 16k']").click()
    assert counted(browser) == 50
    assert all(name.startswith("ruler/vt:16384:") for name in listed(browser))
    browser.find_element(By.ID, "after").click()
    assert listed(browser)[0] == "ruler/vt:16384:25"
    assert not browser.find_element(By.ID, "after").is_enabled()


def test_a_cell_without_a_score_says_why_and_opens_its_samples(opened: Open, tmp_path: Path) -> None:
    def change(row: dict[str, Any]) -> None:
        if row["cell"] == "lucid|ruler/vt:16384":
            row.update(finish="failed", completion=None, extracted=None, error="out of memory", score=0.0)

    write(tmp_path / "report.html", report([read_run(made.run_folder(tmp_path / "run", n=3, change=change))])[0])
    browser = opened(tmp_path / "report.html")
    label = "lucid, ruler/vt at 16k: n/a, 3 of 3 failed"
    cell = browser.find_element(By.CSS_SELECTOR, f"#heat button[aria-label='{label}']")
    assert cell.text == "n/a"
    cell.click()
    assert counted(browser) == 3


def test_charts_say_the_figures_they_draw(opened: Open, page: Path, figures: dict[str, Any]) -> None:
    browser = opened(page)

    def told(section: str) -> str:
        return browser.find_element(By.CSS_SELECTOR, f"#{section} svg[role=img] desc").get_attribute("textContent")

    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == 3)
    point = figures["curves"][0]["points"][0]
    low, high = point["ci"]
    assert f"softmax at 4k: {point['score']:.1f} [{low:.1f}, {high:.1f}], n = 150" in told("curves")
    choose(browser, "cost-axis", "Peak memory")
    until(lambda: "2 GiB, on the front" in told("cost"))
    row = next(r for r in figures["forests"][0]["rows"] if (r["task"], r["length"]) == ("ruler/vt", 8192))
    signed = f"{row['difference']:+.1f} [{row['low']:+.1f}, {row['high']:+.1f}]".replace("-", "−")
    assert f"ruler/vt 8k: {signed}" in told("forest")
    browser.find_element(By.CSS_SELECTOR, "#forest details summary").click()
    until(lambda: f"ruler/vt 8k {signed.replace(' [', ' [')}" in browser.find_element(By.ID, "forest").text)


def test_nothing_leaves_and_the_policy_is_kept(opened: Open, page: Path) -> None:
    browser = opened(page)
    browser.find_element(By.CSS_SELECTOR, "#samples .items summary").click()
    assert browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)") == []
    events = [json.loads(e["message"])["message"] for e in browser.get_log("performance")]
    sent = [e["params"]["request"]["url"] for e in events if e["method"] == "Network.requestWillBeSent"]
    assert [url for url in sent if url != page.as_uri()] == []
    assert browser.get_log("browser") == []
    refused = "const i = new Image(); i.onerror = () => arguments[0](true); i.src = 'https://example.org/x.png'"
    assert browser.execute_async_script(f"const done = arguments; (function () {{ {refused} }}).apply(null, done)")
    assert "Content Security Policy" in browser.get_log("browser")[0]["message"]


def test_what_a_model_says_stays_text(opened: Open, tmp_path: Path) -> None:
    def change(row: dict[str, Any]) -> None:
        text = HOSTILE[row["index"] % len(HOSTILE)]
        row.update(completion=text, extracted=text, references=(text,), excerpt=(text, text), error=text, flags=(text,))

    name = "<script>window.attacked = 1</script><img src=x onerror=window.attacked=1>"
    run = made.run_folder(tmp_path / "run", tasks=(made.NEEDLES[0],), lengths=(4096,), n=7, model=name, change=change)
    html, _ = report([read_run(run)])
    write(tmp_path / "report.html", html)
    browser = opened(tmp_path / "report.html")
    assert name in browser.find_element(By.ID, "systems").text
    for summary in browser.find_elements(By.CSS_SELECTOR, "#samples .items summary"):
        summary.click()
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "#samples .body")) == 7)
    bodies = browser.find_elements(By.CSS_SELECTOR, "#samples .body")
    for text, body in zip(HOSTILE, bodies, strict=True):
        seen = [e.get_attribute("textContent") for e in body.find_elements(By.CSS_SELECTOR, ".said")]
        assert len(seen) == 9 and len(set(seen)) == 1  # reference, two excerpts, completion, error and answer of two
        assert seen[0] == "".join(f"⟨U+{ord(c):04X}⟩" if c in UNSEEN else c for c in text)
    assert browser.execute_script("return window.attacked") is None
    assert browser.find_elements(By.CSS_SELECTOR, "main img, main script") == []
    assert browser.get_log("browser") == []


def test_what_turns_the_writing_is_written_out_in_names_too(opened: Open, tmp_path: Path) -> None:
    models = ("one\u202e", "two\u202e")
    runs = [made.run_folder(tmp_path / str(k), attns=("softmax",), n=3, model=m) for k, m in enumerate(models)]
    write(tmp_path / "report.html", report([read_run(path) for path in runs])[0])
    browser = opened(tmp_path / "report.html")
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == 3)
    page = browser.execute_script("return document.title + document.documentElement.outerHTML")
    assert "two⟨U+202E⟩" in page and "\u202e" not in page


def test_ten_thousand_records_open_in_three_seconds(opened: Open, tmp_path: Path) -> None:
    words = random.Random(0)

    def change(row: dict[str, Any]) -> None:  # text that a deflater cannot make nothing of: 2,000 characters a record
        row["completion"] = " ".join(f"{words.getrandbits(32):x}" for _ in range(110))
        row["excerpt"] = tuple(" ".join(f"{words.getrandbits(32):x}" for _ in range(36)) for _ in range(3))

    lengths = (4096, 8192, 16384, 32768, 65536)
    run = made.run_folder(tmp_path / "run", lengths=lengths, n=334, change=change)
    html, figures = report([read_run(run)])
    assert sum(s["n"] for s in figures["systems"]) == 10_020
    write(tmp_path / "report.html", html)
    start = time.monotonic()
    browser = opened(tmp_path / "report.html")
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == 3)
    seconds = time.monotonic() - start
    print(f"10,020 records: {seconds:.2f} s, {len(html) / 2**20:.1f} MiB")
    assert counted(browser) == 5_010
    assert seconds < 3
    start = time.monotonic()
    browser.find_element(By.ID, "by-words").send_keys(":333")
    until(lambda: counted(browser) < 5_010)
    assert time.monotonic() - start < 2


@pytest.mark.parametrize("long", [False, True])
def test_a_phone_has_no_sideways_scroll(opened: Open, page: Path, tmp_path: Path, long: bool) -> None:
    if long:
        names = [f"a-run-folder-of-a-very-long-name-{k}-SmolLM2-135M-Instruct-ruler+babilong-0123456789" for k in "ab"]
        runs = [read_run(made.run_folder(tmp_path / name, n=2, seed=k)) for k, name in enumerate(names)]
        page = tmp_path / "report.html"
        write(page, report(runs)[0])
    browser = opened(page, 390)
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == 3)
    for summary in browser.find_elements(By.CSS_SELECTOR, "details.table summary, #samples li:first-child summary"):
        browser.execute_script("arguments[0].click()", summary)
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "#samples .body"))
    assert browser.execute_script("return document.documentElement.scrollWidth <= innerWidth")
    wider = """return [...document.querySelectorAll('body *')].filter(e => !e.closest('.box, .skip')
        && e.getBoundingClientRect().right > innerWidth + 1).map(e => e.outerHTML.slice(0, 80))"""
    assert browser.execute_script(wider) == []
    small = """return [...document.querySelectorAll('main svg[role=img] text')].filter(e =>
        e.getScreenCTM().a * parseFloat(getComputedStyle(e).fontSize) < 12).length"""
    assert browser.execute_script(small) == 0
    cut = """const box = (e) => e.getBoundingClientRect();
        return [...document.querySelectorAll('main svg[role=img] text')].filter(e => {
            const drawing = box(e.closest('svg'));
            return box(e).left < drawing.left - 1 || box(e).right > drawing.right + 1; }).map(e => e.textContent)"""
    assert browser.execute_script(cut) == []
    unreached = "return [...document.querySelectorAll('.box')].filter(e => e.tabIndex < 0 || !e.ariaLabel).length"
    assert browser.execute_script(unreached) == 0


def test_everything_is_reached_by_keys(opened: Open, page: Path) -> None:
    browser = opened(page)
    filters = {"by-task", "by-length", "by-system", "by-verdict", "by-words", "by-disagreement"}
    wanted = {"curve", "depth-task", "cost-axis", "cost-length", *filters, "after"}
    reached, cells, unseen = set(), 0, []
    body = browser.find_element(By.TAG_NAME, "body")
    for _ in range(120):
        body.send_keys(Keys.TAB)
        body, name, label, outline = browser.execute_script(
            "const e = document.activeElement;return [e, e.id, e.ariaLabel ?? '', getComputedStyle(e).outlineStyle]"
        )
        reached.add(name)
        cells += label.startswith(("softmax, ruler", "lucid, ruler"))
        if outline == "none":
            unseen.append(name or label)
        if name == "after":
            break
    assert wanted - reached == set()
    assert cells == 18
    assert unseen == []

    focus = "document.getElementById(arguments[0]).focus()"
    browser.execute_script(focus, "by-verdict")
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)  # any -> right
    right = counted(browser)
    browser.switch_to.active_element.send_keys(Keys.ARROW_DOWN)  # right -> wrong
    assert (right, counted(browser)) != (450, 450)
    browser.execute_script(focus, "by-disagreement")
    before = counted(browser)
    browser.switch_to.active_element.send_keys(Keys.SPACE)
    assert counted(browser) < before
    first = browser.find_element(By.CSS_SELECTOR, "#samples .items summary")
    first.send_keys(Keys.ENTER)
    until(lambda: browser.find_elements(By.CSS_SELECTOR, "#samples .body"))
    cell = browser.find_element(By.CSS_SELECTOR, "#heat button")
    cell.send_keys(Keys.ENTER)
    assert counted(browser) == 50
    assert browser.switch_to.active_element.get_attribute("id") == "by-task"


def test_drawings_have_a_title_a_description_and_a_table(opened: Open, page: Path) -> None:
    browser = opened(page)
    until(lambda: len(browser.find_elements(By.CSS_SELECTOR, "svg[role=img]")) == 3)
    nameless = """return [...document.querySelectorAll('svg[role=img]')].filter(s =>
        s.getAttribute('aria-labelledby').split(' ').some(id => !document.getElementById(id)?.textContent)
        || !s.closest('section').querySelector('details.table')).length"""
    assert browser.execute_script(nameless) == 0
    unnamed = """return [...document.querySelectorAll('select, input, button, summary')].filter(e =>
        !(e.labels?.length || e.getAttribute('aria-label') || e.textContent.trim())).length"""
    assert browser.execute_script(unnamed) == 0


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_stand_out_from_their_cells(opened: Open, page: Path, scheme: str) -> None:
    """Contrast of WCAG 2: 4.5 for text, in every cell, every chart and every line of the list."""
    browser = opened(page)
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    )
    contrast = """
        const rgb = (c) => c.match(/[\\d.]+/g).map(Number);
        const light = (c) => { const [r, g, b] = rgb(c).map(v => v / 255).map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4); return .2126 * r + .7152 * g + .0722 * b; };
        const ground = (e) => { for (let x = e; x; x = x.parentElement) { const c = getComputedStyle(x).backgroundColor; if (rgb(c)[3] !== 0) return c; } return 'rgb(255, 255, 255)'; };
        const of = (e) => { const s = getComputedStyle(e), a = light(e.closest('svg') ? s.fill : s.color), b = light(ground(e)); return (Math.max(a, b) + .05) / (Math.min(a, b) + .05); };
        return Math.min(...[...document.querySelectorAll('.filled, table.map button, svg text, .verdict b, .quiet, .caption, p, th, td, label, a')].filter(e => !e.matches('.skip')).map(of));"""  # noqa: E501
    assert browser.execute_script(contrast) >= 4.5
    pale = "return [...document.querySelectorAll('main *')].filter(e => getComputedStyle(e).opacity < 1).length"
    assert browser.execute_script(pale) == 0
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
