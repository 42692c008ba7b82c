//! RT015: code manages WebSocket connections of an API Gateway.

use crate::guard::rule::{GuardRule, GuardSeverity, RuleSample};

/// The rule.
pub static RULE: GuardRule = GuardRule::new(
    "RT015",
    "connection-management",
    GuardSeverity::Error,
    "code manages WebSocket connections of an API Gateway",
    "A table of connections has to be kept right through every disconnect that is not \
     reported: stale rows, GoneException loops and one call for each client and message.",
    "put one event; the platform's bridge publishes it to everybody who subscribes",
    &[
        RuleSample::new(
            "src/push.ts",
            r##"import { ApiGatewayManagementApiClient } from '@aws-sdk/client-apigatewaymanagementapi';
"##,
        ),
        RuleSample::new(
            "src/push.py",
            r##"import boto3

SERVICE = "apigatewaymanagementapi"
client = boto3.client(SERVICE, endpoint_url=url)
"##,
        ),
        RuleSample::new(
            "src/old.js",
            r##"const AWS = require('aws-sdk');
const api = new AWS.ApiGatewayManagementApi({ endpoint });
"##,
        ),
    ],
    &[
        RuleSample::new(
            "src/push.py",
            r##"import boto3

client = boto3.client("apigateway")
"##,
        ),
        RuleSample::new(
            "src/old.js",
            r##"const AWS = require('aws-sdk');
const api = new AWS.APIGateway();
"##,
        ),
    ],
);
