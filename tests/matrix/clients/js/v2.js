// The AWS SDK for JavaScript v2 with its default chain. The argument is the address of S3.
"use strict";

const { S3 } = require("aws-sdk");

let client;
require("./loop")(() => {
  client ??= new S3({ endpoint: process.argv[2], s3ForcePathStyle: true });
  return client.listObjectsV2({ Bucket: "bucket" }).promise();
});
