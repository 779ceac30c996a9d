#!/usr/bin/env python3
"""Writes the guide's page of all flags, from the tables of the code, in both languages.

    python scripts/flags_page.py            writes docs/flags.md and docs/zh/flags.md
    python scripts/flags_page.py --check    exit status 1 where they are not what the code says

The Chinese help of each flag stands in docs/zh/flag_help.tsv.
"""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

import data
from mobilenet import flag_types, flags, text
from mobilenet.errors import UsageError
from scripts import tool

ROOT = sys.path[0]

HELP_ZH = os.path.join(ROOT, 'docs', 'zh', 'flag_help.tsv')
ENGLISH = {
    'title': '# Flags\n\nMade from the code by `scripts/flags_page.py`. '
    '`--name=value` and `--name value` are the same; a switch alone is true.',
    'head': '| flag | default | what it does |',
    'only': 'for {} only: ',
    'path': 'docs/flags.md',
}
CHINESE = {
    'title': '# 参数\n\n由 `scripts/flags_page.py` 根据代码生成。'
    '`--name=value` 与 `--name value` 相同；开关不带值即为 true。',
    'head': '| 参数 | 默认值 | 作用 |',
    'only': '仅用于 {}：',
    'path': 'docs/zh/flags.md',
}


def translations():
    """{English group title or flag: Chinese}."""
    rows = (line.split('\t') for _, line in text.read_lines(HELP_ZH) if not line.startswith('#'))
    return {row[0].strip(): row[1].strip() for row in rows if len(row) == 2}


def page(words, say):
    """The page as text. say(name, english) gives what stands there."""
    lines = [words['title']]
    for command, groups in (
        (
            'train_loop.py',
            flags.training(data.DATASET_NAMES, data.PREPROCESSING_NAMES, data.AUGMENTATIONS),
        ),
        ('eval_loop.py', flags.evaluation(data.DATASET_NAMES, data.PREPROCESSING_NAMES)),
    ):
        lines += ['', f'## {command}']
        for title, table in groups:
            lines += ['', f'### {say(title, title)}', '', words['head'], '| --- | --- | --- |']
            lines += [row(f, words, say(f.name, f.help)) for f in table]
    return '\n'.join(lines) + '\n'


def row(f, words, explained):
    only = words['only'].format(f.device) if f.device else ''
    choices = ' (' + ', '.join(f'`{c}`' for c in f.choices) + ')' if f.choices else ''
    default = flag_types.shown_default(f.default).replace('; default ', '')
    explained = f'{only}{explained}{choices}'.replace('|', '\\|')
    return f'| `--{f.name}` | {default} | {explained} |'


def pages():
    """{path: text} of both languages. Raises UsageError where a Chinese help is missing."""
    chinese = translations()

    def say(name, english):
        if name not in chinese:
            raise UsageError(f'{HELP_ZH}: no line for {name}; add one')
        return chinese[name]

    return {
        ENGLISH['path']: page(ENGLISH, lambda name, english: english),
        CHINESE['path']: page(CHINESE, say),
    }


def main():
    parser = flag_types.Parser(prog='flags_page.py', description=__doc__.split('\n\n')[0])
    flag_types.add_switch(parser, '--check', 'only say whether the pages are what the code says')
    args = parser.parse_args()
    stale = []
    for name, wanted in pages().items():
        path = os.path.join(ROOT, name)
        if not os.path.exists(path) or text.read_text(path) != wanted:
            stale.append(name)
            if not args.check:
                text.write_text(path, wanted)
                print(f'wrote {name}')
    if args.check and stale:
        print(f'not what the code says: {", ".join(stale)}; run scripts/flags_page.py')
        return 1
    return 0


if __name__ == '__main__':
    tool.run(main)
