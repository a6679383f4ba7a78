#!/bin/sh
# The main job, from end to end, on synthetic lesions: certify, verify, and what a refusal looks like.
# usage: demo.sh DIRECTORY    (DIRECTORY is made anew)
set -eu
out=$1
rm -rf "$out"
mkdir -p "$out"

# A release key for this demo only. Its passphrase lives in this shell and nowhere else.
GATEKEEPER_KEY_PASSPHRASE=$(openssl rand -hex 16)
export GATEKEEPER_KEY_PASSPHRASE
gatekeeper keys generate "$out/release"

# What the data have spent over all runs is kept in a ledger. An organisation has one; this one is for this demo only.
GATEKEEPER_LEDGER=$out/ledger.sqlite
GATEKEEPER_LEDGER_KEY=$out/ledger.key
export GATEKEEPER_LEDGER GATEKEEPER_LEDGER_KEY
gatekeeper ledger init

gatekeeper certify examples/lesions.yaml --policy policies/demo.yaml \
  --key "$out/release.key" --out "$out/lesion-classifier" --runs "$out/runs" -o json:"$out/report.json" -o text:"$out/report.txt"

echo
gatekeeper verify "$out/lesion-classifier" --public-key "$out/release.pub" --policy policies/demo.yaml
echo
echo "signed model: $out/lesion-classifier/model.onnx    report: $out/report.txt, $out/report.json"
echo "the ledger: gatekeeper ledger show --ledger $GATEKEEPER_LEDGER --ledger-key $GATEKEEPER_LEDGER_KEY"
echo "to see a refusal: gatekeeper ledger init, then"
echo "                  gatekeeper certify examples/lesions-1e9.yaml --policy policies/demo.yaml --no-sign"
