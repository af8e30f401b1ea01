"""scikit-learn's two photographs as they are, and again as if taken in the evening."""

from pathlib import Path

import sklearn.datasets
from PIL import Image, ImageEnhance

photographs = Path(sklearn.datasets.__file__).parent / "images"
for folder, brightness in (("day", 1.0), ("evening", 0.4)):
    Path(folder).mkdir()
    for photograph in sorted(photographs.glob("*.jpg")):
        picture = Image.open(photograph)
        if brightness == 1.0:
            Path(folder, photograph.name).write_bytes(photograph.read_bytes())
        else:
            ImageEnhance.Brightness(picture).enhance(brightness).save(Path(folder, photograph.name), quality=90)
Path("day", "README.txt").write_text("Photographs by volunteers, from scikit-learn.\n")
