// Who a pod is, by AWS's JavaScript clients: finds credentials with the client that the argument names, and calls
// GetCallerIdentity with them.
//
// Prints one JSON object: "arn", "key", "expiration", or "error" with the client's words. "took" is in seconds, without the start
// of Node. The modules are where MODULES says.

import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.MODULES, "package.json"));
const { STSClient, GetCallerIdentityCommand } = require("@aws-sdk/client-sts");
const { fromInstanceMetadata } = require("@smithy/credential-provider-imds");
const { MetadataService } = require("@aws-sdk/ec2-metadata-service");

const LIST = "/latest/meta-data/iam/security-credentials/";

const clients = {
  "credential-provider-imds": fromInstanceMetadata(),
  "ec2-metadata-service": async () => {
    // As the package's README shows it.
    const service = new MetadataService({});
    const role = await service.request(LIST, {});
    const found = JSON.parse(await service.request(`${LIST}${role}`, {}));
    return {
      accessKeyId: found.AccessKeyId,
      secretAccessKey: found.SecretAccessKey,
      sessionToken: found.Token,
      expiration: new Date(found.Expiration),
    };
  },
};

async function whoami(provider) {
  const credentials = await provider();
  const sts = new STSClient({ region: "us-east-1", endpoint: process.env.STS, credentials });
  const { Arn } = await sts.send(new GetCallerIdentityCommand({}));
  return { arn: Arn, key: credentials.accessKeyId, expiration: credentials.expiration };
}

const begun = performance.now();
let said;
try {
  said = await whoami(clients[process.argv[2]]);
} catch (error) {
  said = { error: `${error.name}: ${error.message}`, status: error.statusCode };
}
// Without an exit: Node ends when its connections have, and ec2-metadata-service leaves that of an error reply to the other side.
console.log(JSON.stringify({ ...said, took: (performance.now() - begun) / 1000 }));
