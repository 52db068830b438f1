#!/bin/sh
# Who a pod is, by curl: takes credentials as scripts do, and calls GetCallerIdentity with them. The argument is v1 or v2, the
# version of IMDS. Prints STS's answer; a status that is not 200 ends it with curl's 22 and what curl says.
set -eu

imds=http://169.254.169.254/latest
roles=$imds/meta-data/iam/security-credentials/
ask="curl --silent --show-error --fail --max-time 2"
case $1 in
v1) set -- ;;
v2)
    token=$($ask --request PUT --header 'X-aws-ec2-metadata-token-ttl-seconds: 60' $imds/api/token)
    set -- --header "X-aws-ec2-metadata-token: $token"
    ;;
esac
role=$($ask "$@" $roles)
document=$($ask "$@" "$roles$role")

# The document is one member to a line, as the service writes it.
member() {
    printf '%s\n' "$document" | sed -n 's/^ *"'"$1"'" : "\(.*\)",\{0,1\}$/\1/p'
}

$ask --aws-sigv4 aws:amz:us-east-1:sts --user "$(member AccessKeyId):$(member SecretAccessKey)" \
    --header "X-Amz-Security-Token: $(member Token)" \
    --data 'Action=GetCallerIdentity&Version=2011-06-15' "$STS/"
