"""Is a tumour benign? Logistic regression with Spark ML, on whatever commit of the data the lock pins."""

import argparse

import mlflow
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler

import reprolock

arguments = argparse.ArgumentParser()
arguments.add_argument("--max-iter", type=int, required=True)
max_iter = arguments.parse_args().max_iter

run = reprolock.current()
data = run.dataset("train").spark()
features = [name for name in data.columns if name != "target"]
training, testing = data.randomSplit([0.7, 0.3], seed=run.seed)

pipeline = Pipeline(
    stages=[
        VectorAssembler(inputCols=features, outputCol="raw"),
        StandardScaler(inputCol="raw", outputCol="features", withMean=True),
        LogisticRegression(labelCol="target", maxIter=max_iter, regParam=run.params["reg_param"]),
    ]
)
model = pipeline.fit(training)
predictions = model.transform(testing)
area = BinaryClassificationEvaluator(labelCol="target").evaluate(predictions)

mlflow.log_metrics({"area_under_roc": area, "rows": data.count()})
predictions.select("target", "prediction").write.parquet(run.output("predictions").url)
print(f"area under ROC {area:.4f} on {testing.count()} of {data.count()} rows")
