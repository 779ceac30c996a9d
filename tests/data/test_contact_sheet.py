"""Contact sheets: where pixels and captions are."""

import numpy as np
import pytest

from data import contact_sheet


def test_contact_sheet_places_pixels_and_captions():
    images = np.zeros([5, 40, 50, 3], np.float32)
    images[:] = np.linspace(-1, 1, 5)[:, None, None, None]
    images[2, 0, 0, 1] = np.nan
    sheet = np.asarray(
        contact_sheet.sheet(images, ['a', 'Ж — 猫', 'x' * 500, '', 'e'], 'title', columns=2)
    )
    scale = 3  # 40 pixels become at least 96
    assert sheet.shape[1] == contact_sheet.GAP + 2 * (50 * scale + contact_sheet.GAP)
    for index, grey in enumerate((0, 64, 128, 191, 255)):
        y = contact_sheet.TITLE + index // 2 * (40 * scale + contact_sheet.LINE + contact_sheet.GAP)
        x = contact_sheet.GAP + index % 2 * (50 * scale + contact_sheet.GAP)
        assert (
            abs(
                sheet[y + scale : y + 40 * scale, x + scale : x + 50 * scale].astype(int) - grey
            ).max()
            <= 1
        )
    y = contact_sheet.TITLE + 40 * scale + contact_sheet.LINE + contact_sheet.GAP
    assert sheet[y + 1, contact_sheet.GAP + 1].tolist() == [255, 0, 255]
    with pytest.raises(ValueError):
        contact_sheet.sheet(images, ['a'])
