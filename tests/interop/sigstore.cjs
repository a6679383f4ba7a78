// Run by node with @sigstore/bundle and @sigstore/verify:  node sigstore.cjs PUBLIC_KEY BUNDLE…
// prints one JSON object: for each bundle null where sigstore-js accepts it, or why it doesn't.
"use strict";
const { createHash, createPublicKey } = require("node:crypto");
const { readFileSync } = require("node:fs");
const { basename } = require("node:path");
const { bundleFromJSON } = require("@sigstore/bundle");
const { toSignedEntity, toTrustMaterial, Verifier } = require("@sigstore/verify");

const [keyFile, ...files] = process.argv.slice(2);
const pem = readFileSync(keyFile);
const hint = createHash("sha256").update(pem).digest("hex");
const root = { mediaType: "", tlogs: [], ctlogs: [], certificateAuthorities: [], timestampAuthorities: [] };
const trust = toTrustMaterial(root, (wanted) => {
  if (wanted !== hint) throw new Error(`unknown key ${wanted}`);
  return { publicKey: createPublicKey(pem), validFor: () => true };
});
const verifier = new Verifier(trust, { tlogThreshold: 0, ctlogThreshold: 0, timestampThreshold: 0 });

const answers = {};
for (const file of files) {
  try {
    verifier.verify(toSignedEntity(bundleFromJSON(JSON.parse(readFileSync(file, "utf8")))));
    answers[basename(file)] = null;
  } catch (error) {
    answers[basename(file)] = `${error.name}: ${error.message}`;
  }
}
console.log(JSON.stringify(answers));
