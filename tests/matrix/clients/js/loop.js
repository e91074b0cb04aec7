// One call for each line of standard input, each answered with a line of JSON.
"use strict";

const readline = require("node:readline");

module.exports = async (call) => {
  console.log(JSON.stringify({ ready: true }));
  for await (const _ of readline.createInterface({ input: process.stdin })) {
    try {
      await call();
      console.log(JSON.stringify({ ok: true }));
    } catch (error) {
      console.log(JSON.stringify({ ok: false, error: `${error.name}: ${error.message}` }));
    }
  }
};
