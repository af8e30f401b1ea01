"""Which of three growers made a wine? A decision tree, judged by five-fold cross-validation."""

import mlflow
from sklearn.model_selection import cross_val_score
from sklearn.tree import DecisionTreeClassifier

import reprolock

run = reprolock.current()
wines = run.dataset("wines").pandas()
tree = DecisionTreeClassifier(max_depth=run.params["max_depth"], random_state=run.seed)
accuracy = cross_val_score(tree, wines.drop(columns="target"), wines["target"], cv=5).mean()
mlflow.log_metrics({"accuracy": accuracy, "wines": len(wines)})
print(f"accuracy {accuracy:.4f} on {len(wines)} wines, depth {run.params['max_depth']}")
