"""Names that hold keys, and names that only sound so: a miss writes a key down, a false alarm refuses an honest file."""

from __future__ import annotations

import pytest

from reprolock.model.secrecy import is_secret_name


@pytest.mark.parametrize(
    "name",
    [
        "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "HF_TOKEN", "OPENAI_API_KEY", "DB_PASSWORD", "password",
        "PGPASSWORD", "PGSSLPASSWORD", "MYSQL_PWD", "dbPwd",
        "spark.ssl.keyStorePassword", "spark.ssl.keyPassword", "spark.ssl.trustStorePassword", "spark.ssl.ui.keyPassword",
        "spark.hadoop.javax.jdo.option.ConnectionPassword", "spark.authenticate.secret",
        "spark.hadoop.fs.s3a.secret.key", "spark.hadoop.fs.s3a.bucket.one.access.key",
        "spark.hadoop.fs.azure.account.key", "spark.hadoop.fs.azure.account.key.ACCT.dfs.core.windows.net",
        "spark.hadoop.fs.azure.account.oauth2.client.secret.ACCT.dfs.core.windows.net",
        "spark.hadoop.fs.azure.sas.fixed.token.ACCT.dfs.core.windows.net",
        "apiKey", "accessToken", "sfPassword", "clientSecret",
    ],
)  # fmt: skip
def test_a_name_that_holds_a_key(name: str) -> None:
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    [
        "tokenizer", "max_tokens", "TOKENIZERS_PARALLELISM", "keyboard", "primary_key", "primaryKey", "partitionKey", "bypass",
        "BYPASS", "first_pass", "PWD", "OLDPWD", "passwords_file", "spark.ssl.keyStore", "spark.ssl.keyStoreType",
        "spark.hadoop.fs.azure.sas.token.provider.type", "spark.hadoop.fs.azure.account.keyprovider.ACCT", "secretary",
        "spark.sql.shuffle.partitions", "spark.kryo.registrationRequired", "account.keys",
    ],
)  # fmt: skip
def test_a_name_that_only_sounds_so(name: str) -> None:
    assert not is_secret_name(name)
