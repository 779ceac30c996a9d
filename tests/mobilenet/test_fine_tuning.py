"""What a training from weights is told by before its graph is built."""

import pytest

from mobilenet import fine_tuning
from mobilenet.configuration import Config


@pytest.mark.parametrize(
    'given,classes,there,offset',
    [('auto', 1000, 1001, 1), ('auto', 1000, 1000, 0), ('auto', 10, 11, 0), ('0', 1000, 1001, 0)],
)
def test_label_offset(monkeypatch, tmp_path, given, classes, there, offset):
    monkeypatch.setattr(fine_tuning, '_classes', lambda path: there)
    config = Config(
        flags={'label_offset': given},
        label_offset=0,
        num_classes=classes,
        train_dir=str(tmp_path),
        checkpoint_path='x.pb',
    )
    config = fine_tuning.with_label_offset(config)
    assert (config.label_offset, config.num_classes) == (offset, classes + offset)


def test_what_is_said():
    config = Config(
        label_offset=1,
        num_classes=1001,
        warmup_steps=50,
        total_steps=40,
        warmup_epochs=5.0,
        learning_rate=0.1,
        dump_steps=[[50, 60], [39, 39]],
        profile_steps=[[40, 40]],
        summary_images_at_step=None,
    )
    lines = list(fine_tuning.said(config))
    assert lines[0].startswith('labels 0 to 999 are outputs 1 to 1000')
    assert 'warm-up of 5 epochs is longer than the run' in lines[1]
    assert lines[2:] == ['--profile_steps does nothing: the last step of this run is 39']
    *_, line = fine_tuning.said(config.replace(total_steps=50, summary_images_at_step=50))
    assert '--summary_images' in line
    plain = config.replace(label_offset=0, warmup_steps=40, profile_steps=None)
    assert not list(fine_tuning.said(plain))
