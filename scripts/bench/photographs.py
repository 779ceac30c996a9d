"""JPEGs of ImageNet's usual size, cut from scikit-learn's two photographs."""

import io

import numpy as np

HEIGHT, WIDTH = 375, 500
BYTES = 72000


def encoded(count):
    """`count` images of HEIGHT x WIDTH as bytes, each at the first quality that makes it BYTES."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    random, photographs, made = np.random.RandomState(0), load_sample_images().images, []
    for i in range(count):
        photograph = photographs[i % 2]
        y = random.randint(photograph.shape[0] - HEIGHT + 1)
        x = random.randint(photograph.shape[1] - WIDTH + 1)
        pixels = photograph[y : y + HEIGHT, x : x + WIDTH] + random.normal(0, 4, [HEIGHT, WIDTH, 1])
        image = Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))
        for quality in range(84, 99):
            file = io.BytesIO()
            image.save(file, 'JPEG', quality=quality)
            if file.tell() >= BYTES:
                break
        made.append(file.getvalue())
    return made
