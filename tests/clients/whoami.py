"""Who a pod is, by boto3: finds credentials as any program does, and calls GetCallerIdentity with them.

Prints one JSON object: "arn", and of the credentials "key", "expiration" as botocore believes it and "left" in seconds; or
"error" with botocore's words. "took" is in seconds, without the start of Python.
"""

import json
import os
import time

import boto3
from botocore.exceptions import BotoCoreError, ClientError


def whoami():
    session = boto3.Session(region_name="us-east-1")
    credentials = session.get_credentials()
    if credentials is None:
        return {"error": "no credentials"}
    sts = session.client("sts", endpoint_url=os.environ["STS"])
    arn = sts.get_caller_identity()["Arn"]
    key = credentials.get_frozen_credentials().access_key
    # Not public; there is no other way to see what botocore made of the document's Expiration.
    expiry = credentials._expiry_time
    return {
        "arn": arn,
        "key": key,
        "method": credentials.method,
        "expiration": expiry.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "left": expiry.timestamp() - time.time(),
    }


begun = time.monotonic()
try:
    said = whoami()
except (BotoCoreError, ClientError) as error:
    said = {"error": f"{type(error).__name__}: {error}"}
said["took"] = time.monotonic() - begun
print(json.dumps(said))
