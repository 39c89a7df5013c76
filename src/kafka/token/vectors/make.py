"""Makes msk_iam.json, the tokens that AWS's own signer gives for fixed keys and clocks:

    pip install aws-msk-iam-sasl-signer-python==1.0.2 botocore==1.44.8
    python make.py > msk_iam.json
"""

import datetime
import importlib.metadata
import json

import botocore.auth
from aws_msk_iam_sasl_signer import MSKAuthTokenProvider as signer
from botocore.credentials import CredentialProvider, Credentials

# The keys are those of AWS's documentation.
ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
ODD = "IQoJb3JpZ2luX2VjEA0aCXVzLWVhc3QtMSJHMEUCIQ+/==~-_. &%?#'\"()*!,;:@[]{}|^`\\<>$é"
CASES = [
    ("us-east-1", SECRET, None, "2026-03-04T05:06:07"),
    ("us-east-1", SECRET, "IQoJb3JpZ2luX2VjEA0aCXVzLWVhc3QtMQ==", "2026-03-04T05:06:07"),
    ("eu-central-1", SECRET, None, "2024-02-29T23:59:59"),
    ("ap-southeast-2", SECRET, ODD, "2025-12-31T23:59:59"),
    ("ap-southeast-2", SECRET, ODD, "2026-01-01T00:00:00"),
    ("us-gov-west-1", "a+b/c d=&%" * 4, "x" * 900, "2030-10-09T08:07:06"),
    ("sa-east-1", SECRET, "a/b+c=d", "1999-12-31T23:59:59"),
]


class Provider(CredentialProvider):
    def __init__(self, credentials):
        super().__init__()
        self.credentials = credentials

    def load(self):
        return self.credentials


def case(region, secret, token, clock):
    now = datetime.datetime.fromisoformat(clock)
    botocore.auth.get_current_datetime = lambda *_, **__: now
    provider = Provider(Credentials(ID, secret, token))
    token_made, expires = signer.generate_auth_token_from_credentials_provider(region, provider)
    return {
        "region": region,
        "access_key_id": ID,
        "secret_access_key": secret,
        "session_token": token,
        "clock": clock + "Z",
        "token": token_made,
        "expires_ms": expires,
    }


name = "aws-msk-iam-sasl-signer-python"
versions = {of: importlib.metadata.version(of) for of in (name, "botocore")}
agent = f"{name}/{versions[name]}"
print(json.dumps({"made_with": versions, "user_agent": agent, "cases": [case(*c) for c in CASES]}, indent=1))
