"""Print every event of one CloudWatch Logs group as JSON lines, read with boto3.

An independent reader for the tests: boto3 shares no code with the agent. It works against anything that speaks the
CloudWatch Logs API at --endpoint-url. Keys come from the environment as for any AWS tool (AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY).

Each line is {"stream": ..., "timestamp": milliseconds, "message": ...}.
"""

import argparse
import json
import sys

import boto3
from botocore.config import Config

# The most that one call may ask for (API reference, GetLogEvents and FilterLogEvents).
PAGE = 10_000


def with_get(logs, group):
    """Stream by stream with GetLogEvents; within a stream in the order the service keeps."""
    for page in logs.get_paginator("describe_log_streams").paginate(logGroupName=group):
        for stream in page["logStreams"]:
            name = stream["logStreamName"]
            request = {"logGroupName": group, "logStreamName": name, "startFromHead": True, "limit": PAGE}
            while True:
                answer = logs.get_log_events(**request)
                for event in answer["events"]:
                    yield name, event
                # The end is told by the same token coming back.
                token = answer["nextForwardToken"]
                if token == request.get("nextToken"):
                    break
                request["nextToken"] = token


def with_filter(logs, group):
    """All streams at once with FilterLogEvents."""
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, limit=PAGE)
    for page in pages:
        for event in page["events"]:
            yield event["logStreamName"], event


METHODS = {"get": with_get, "filter": with_filter}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--endpoint-url", required=True)
    parser.add_argument("--region", default="eu-west-1")
    parser.add_argument("--method", choices=METHODS, default="get")
    parser.add_argument("group")
    arguments = parser.parse_args()

    config = Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 2}, proxies={})
    logs = boto3.client("logs", endpoint_url=arguments.endpoint_url, region_name=arguments.region, config=config)
    for stream, event in METHODS[arguments.method](logs, arguments.group):
        line = {"stream": stream, "timestamp": event["timestamp"], "message": event["message"]}
        sys.stdout.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
