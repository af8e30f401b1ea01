"""The main colours of every picture in a folder: `python palette.py FOLDER OUTPUT --colours N`.

An ordinary script: it reads files, writes a file, logs to MLflow, and knows nothing of reprolock.
"""

import argparse
import json
from pathlib import Path

import mlflow
import numpy
from PIL import Image
from sklearn.cluster import KMeans

arguments = argparse.ArgumentParser()
arguments.add_argument("folder", type=Path)
arguments.add_argument("output", type=Path)
arguments.add_argument("--colours", type=int, default=3)
given = arguments.parse_args()

palettes, brightness = {}, []
for file in sorted(given.folder.iterdir()):
    picture = Image.open(file).convert("RGB")
    picture.thumbnail((64, 64))
    pixels = numpy.asarray(picture).reshape(-1, 3)
    found = KMeans(given.colours, n_init=4, random_state=0).fit(pixels)
    order = numpy.bincount(found.labels_).argsort()[::-1]
    palettes[file.name] = [
        "#{:02x}{:02x}{:02x}".format(*colour) for colour in found.cluster_centers_[order].round().astype(int)
    ]
    brightness.append(float(pixels.mean()))
    print(file.name, *palettes[file.name])

given.output.parent.mkdir(parents=True, exist_ok=True)
given.output.write_text(json.dumps(palettes, indent=2))
mlflow.log_metrics({"pictures": len(palettes), "brightness": sum(brightness) / len(brightness)})
