"""The guide: both languages say the same, and what they say is there."""

import glob
import os
import re
import shlex
import subprocess

import pytest

from mobilenet import run_record
from mobilenet.errors import UsageError
from scripts import flags_page
from tests.helpers import runs
import train_loop

PAGES = [os.path.basename(p) for p in sorted(glob.glob(os.path.join(runs.ROOT, 'docs', '*.md')))]
PAIRS = [('README.md', 'README.zh-CN.md')] + [(f'docs/{p}', f'docs/zh/{p}') for p in PAGES]


def read(path):
    with open(os.path.join(runs.ROOT, path), encoding='utf-8') as f:
        return f.read()


def code_lines(page):
    """Lines of the indented code blocks, continued lines joined, comments left out."""
    joined = re.sub(r'\\\n\s+', '', page)
    return [line.strip() for line in joined.splitlines() if line.startswith('    ')]


def commands(page):
    """Command lines as lists of words: python SCRIPT …, scripts/….sh …"""
    found = []
    for line in code_lines(page):
        if not re.match(r'([A-Z_]+=\S+ )*(python |scripts/)', line):
            continue
        words = shlex.split(line, comments=True)
        while words and re.match(r'[A-Z_]+=', words[0]):  # environment
            words = words[1:]
        if words[:1] == ['python'] and len(words) > 1:
            words = words[1:]
        if words and re.match(r'(\w+_loop\.py|scripts/[\w/]+\.(py|sh))$', words[0]):
            found.append(words)
    return found


def test_every_page_is_there_in_both_languages():
    chinese = sorted(os.listdir(os.path.join(runs.ROOT, 'docs', 'zh')))
    assert [p for p in chinese if p.endswith('.md')] == PAGES


@pytest.mark.parametrize('english,chinese', PAIRS)
def test_both_languages_say_the_same(english, chinese):
    one, other = read(english), read(chinese)
    assert [len(h) for h in re.findall(r'^(#+) ', one, re.M)] == [
        len(h) for h in re.findall(r'^(#+) ', other, re.M)
    ]
    assert set(re.findall(r'--\w+', one)) == set(re.findall(r'--\w+', other))
    assert commands(one) == commands(other)


@pytest.mark.parametrize('page', [p for pair in PAIRS for p in pair])
def test_links_lead_somewhere(page):
    folder = os.path.dirname(os.path.join(runs.ROOT, page))
    for target in re.findall(r'\]\(([^)#]+)\)', read(page)):
        assert target.startswith('http') or os.path.exists(os.path.join(folder, target)), target


def test_the_page_of_flags_is_what_the_code_says():
    for path, text in flags_page.pages().items():
        assert read(path) == text, f'{path}: run scripts/flags_page.py'


@pytest.mark.parametrize('page', ['docs/training.md', 'docs/zh/training.md'])
def test_the_guide_has_every_name_of_allow_changed(page):
    flags = train_loop.parse(['--dataset_name=digits']).flags
    (listed,) = re.findall(r'--allow_changed A,B`[^\n]*\n((?:`.*\n)+)', read(page))
    names = re.findall(r'`(\w+)`', re.split('[.。]', listed)[0])
    assert names == run_record.allowed_names(flags)


def all_commands():
    found = {tuple(c) for english, _ in PAIRS for c in commands(read(english))}
    return sorted(found)


@pytest.mark.parametrize('words', [c for c in all_commands() if c[0] == 'train_loop.py'])
def test_commands_of_training_are_understood(words):
    """All but the device and files of the reader's."""
    words = [w for w in words[1:] if w != '…']
    try:
        train_loop.parse(words)
    except UsageError as error:
        assert re.search(r'npu_bridge|no such file|no such checkpoint', str(error)), error


def test_scripts_that_are_named_have_the_flags_that_are_named():
    helps = {}
    for words in all_commands():
        script = words[0]
        assert os.path.exists(os.path.join(runs.ROOT, script)), script
        if not script.startswith('scripts/') or not script.endswith('.py'):
            continue
        if script not in helps:
            done = subprocess.run(
                runs.command(script, '--help'),
                env=runs.environment(),
                capture_output=True,
                text=True,
            )
            helps[script] = done.stdout
        for word in words[1:]:
            flag = re.match(r'--\w+', word)
            passed_on = 'train_loop.py' in helps[script]  # flags of another command
            assert not flag or flag.group() in helps[script] or passed_on, (script, word)
