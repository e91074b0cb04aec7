// The AWS SDK for JavaScript v3 with its default chain. The argument is the address of S3.
"use strict";

const { S3Client, ListObjectsV2Command } = require("@aws-sdk/client-s3");

let client;
require("./loop")(() => {
  client ??= new S3Client({ endpoint: process.argv[2], forcePathStyle: true });
  return client.send(new ListObjectsV2Command({ Bucket: "bucket" }));
});
