"""Is a tumour benign? Logistic regression with Spark ML on a Delta table, read at its commit through lakeFS's S3 gateway."""

import mlflow
import mlflow.data
from pyspark.ml import Pipeline
from pyspark.ml.classification import LogisticRegression
from pyspark.ml.evaluation import BinaryClassificationEvaluator
from pyspark.ml.feature import StandardScaler, VectorAssembler

import reprolock

run = reprolock.current()
table = run.dataset("measurements")
patients = table.spark()  # spark.read.format("delta").load("s3a://clinic/<commit>/measurements/")

# What reprolock logs by itself, once more by hand, as one would without it: the commit's address is the source.
source = table.url.rstrip("/").replace("s3a://", "s3://", 1)
mlflow.log_input(mlflow.data.load_delta(path=source, name="read_by_hand"), context="training")

training, testing = patients.randomSplit([0.7, 0.3], seed=run.seed)
features = [name for name in patients.columns if name != "target"]
pipeline = Pipeline(
    stages=[
        VectorAssembler(inputCols=features, outputCol="raw"),
        StandardScaler(inputCol="raw", outputCol="features", withMean=True),
        LogisticRegression(labelCol="target", maxIter=run.params["max_iter"], regParam=run.params["reg_param"]),
    ]
)
predictions = pipeline.fit(training).transform(testing)
area = BinaryClassificationEvaluator(labelCol="target").evaluate(predictions)
mlflow.log_metrics({"area_under_roc": area, "patients": patients.count()})

# Straight to the run's own branch in lakeFS, no copy on this disk.
predictions.select("target", "prediction").write.format("delta").save(run.output("predictions").url)
print(f"area under ROC {area:.4f} on {testing.count()} of {patients.count()} patients")
