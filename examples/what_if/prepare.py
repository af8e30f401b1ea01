"""scikit-learn's wines as two CSV files: all of them, and those without a measurement far from the others."""

from sklearn.datasets import load_wine

wines = load_wine(as_frame=True).frame
measured = wines.drop(columns="target")
far = ((measured - measured.mean()).abs() > 3 * measured.std()).any(axis="columns")
wines.to_csv("all.csv", index=False)
wines[~far].to_csv("usual.csv", index=False)
print(f"{len(wines)} wines, {far.sum()} of them unusual")
