#!/bin/sh
# Checks a release of gatekeeper with openssl and jq: signatures, digests, subjects, policy and verdict.
#
#   sh verify.sh PUBLIC_KEY RELEASE POLICY_SHA256
#
# Take this script and PUBLIC_KEY from your own copy, never from the release. POLICY_SHA256 is the digest of the
# policy that you demand, as `gatekeeper policy validate` prints it. Exit code 0: all of it holds; 1: it does not, and
# the reason is printed; 2: usage.
#
# It does not compute the privacy budget, the risk bounds and the verdict again: `gatekeeper verify` does.
set -eu
LC_ALL=C
export LC_ALL
unset CDPATH

[ $# -eq 3 ] || { echo "usage: verify.sh PUBLIC_KEY RELEASE POLICY_SHA256" >&2; exit 2; }
key=$1 release=${2%/} policy=$3
for program in openssl jq; do
  command -v "$program" >/dev/null || { echo "needs $program" >&2; exit 2; }
done

# Names come from the release: what steers a terminal is left out of what is printed.
say() { printf '%s\n' "$*" | tr -d '\000-\011\013-\037\177'; }
refuse() { say "NOT VERIFIED: $*"; exit 1; }

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 1' HUP INT TERM

hex() { openssl dgst -sha256 -r "$1" | cut -d ' ' -f 1; }
bytes() { wc -c <"$1" | tr -d ' '; }

# decode FILTER FILE: a member of a JSON file, from base64. Lines of 64 characters suit every openssl.
decode() { jq -r "$1" "$2" | fold -w 64 | openssl base64 -d; }

# holds WHAT FILE FILTER [jq options]: the one JSON value in the file makes the filter true, or the release is refused.
holds() {
  what=$1 file=$2 filter=$3
  shift 3
  jq -e -s "$@" "length == 1 and (.[0] | $filter)" "$file" >/dev/null 2>&1 || refuse "$what"
}

# open_bundle FILE TYPE: verify the signature, and leave the signed statement in $scratch/FILE's name.
open_bundle() {
  bundle=$release/$1
  payload=$scratch/$(basename "$1")
  holds "$1 is no bundle with exactly one signature" "$bundle" '
    .mediaType == "application/vnd.dev.sigstore.bundle.v0.3+json"
    and .dsseEnvelope.payloadType == "application/vnd.in-toto+json"
    and (.dsseEnvelope.signatures | length) == 1
    and (.dsseEnvelope.payload | type) == "string" and (.dsseEnvelope.signatures[0].sig | type) == "string"'
  decode '.dsseEnvelope.payload' "$bundle" >"$payload" || refuse "$1 holds broken base64"
  decode '.dsseEnvelope.signatures[0].sig' "$bundle" >"$scratch/sig" || refuse "$1 holds broken base64"
  # What DSSE signs: the type and the payload, each after its length in bytes.
  { printf 'DSSEv1 28 application/vnd.in-toto+json %s ' "$(bytes "$payload")"; cat "$payload"; } >"$scratch/pae"
  openssl dgst -sha256 -verify "$key" -signature "$scratch/sig" "$scratch/pae" >/dev/null 2>&1 ||
    refuse "$1 is not signed by this key, or was changed"
  holds "$1 is not a statement of type $2" "$payload" \
    '._type == "https://in-toto.io/Statement/v1" and .predicateType == $type' --arg type "$2"
}

# The trust root and the demand come from outside.
if [ ! -f "$key" ] || [ -L "$key" ]; then refuse "there is no public key $key, or it is a link"; fi
[ -d "$release" ] || refuse "there is no release $release"
folder=$(cd -P -- "$(dirname -- "$key")" && pwd -P)
case $folder/ in
  "$(cd -P -- "$release" && pwd -P)"/*) refuse "the public key lies inside the release, so it proves nothing about it" ;;
esac
key=$folder/$(basename -- "$key")
# From here on the release is `.`: whatever it is called, no pattern and no option is made of its name.
called=$release
cd -P -- "$release"
release=.
printf '%s\n' "$policy" | grep -Eq '^[0-9a-f]{64}$' || refuse "the policy's digest has 64 lower-case hexadecimal digits"

# Regular files with one name each, and no folders but those of a release.
none() { found=$(find "$@") && [ -z "$found" ]; }
none "$release" ! -type f ! -type d || refuse "it holds a link or a special file"
none "$release" -type f -links +1 || refuse "it holds a hard link"
printf '%s\n' attestations model.onnx model.sig >"$scratch/names"
ls -A "$release" >"$scratch/found"
cmp -s "$scratch/names" "$scratch/found" || refuse "its files are not model.onnx, model.sig and attestations/"
none "$release/attestations" -type d ! -path "$release/attestations" ! -path "$release/attestations/approvals" \
  ! -path "$release/attestations/timestamps" || refuse "it holds a folder that does not belong to a release"
# grown FOLDER ENDING: what was added after signing is called as it must be; it is not looked at.
grown() {
  [ -d "$release/attestations/$1" ] || return 0
  none "$release/attestations/$1" -name "*[!A-Za-z0-9_.-]*" || refuse "$1/ holds other files than *$2"
  ! ls -A "$release/attestations/$1" | grep -Evq "^[A-Za-z0-9][A-Za-z0-9_-]*$2\$" || refuse "$1/ holds other files than *$2"
}
grown approvals '\.sigstore\.json'
grown timestamps '\.tsr'

# The model: one file, by its digest.
model=$(hex "$release/model.onnx")
root=$(openssl dgst -sha256 -binary "$release/model.onnx" | openssl dgst -sha256 -r | cut -d ' ' -f 1)
open_bundle model.sig https://model_signing/signature/v1.0
holds "model.sig signs another model" "$scratch/model.sig" '
  .predicate.resources == [{"name": "model.onnx", "algorithm": "sha256", "digest": $model}]
  and (.subject | length) == 1 and .subject[0].digest == {"sha256": $root}' --arg model "$model" --arg root "$root"

# The attestations: signed, each of its type, about this model and no other.
attest() {
  open_bundle "attestations/$1.sigstore.json" "$2"
  holds "attestations/$1.sigstore.json is about something else than this model" "$scratch/$1.sigstore.json" '
    (.subject | length) == 2 and .subject[0] == {"name": "model.onnx", "digest": {"sha256": $model}}
    and .subject[1].digest == {"sha256": $root}' --arg model "$model" --arg root "$root"
  cat "$release/attestations/$1.sigstore.json" >>"$scratch/claims"
}
: >"$scratch/claims"
attest certificate urn:gatekeeper:certificate:v1
attest svr https://in-toto.io/attestation/svr/v0.2
attest vsa https://slsa.dev/verification_summary/v1
attest test-result https://in-toto.io/attestation/test-result/v0.1
attest provenance https://slsa.dev/provenance/v1
attest mlbom https://cyclonedx.org/bom

# The verdict: every statement says that this very policy passed.
holds "the certificate approves another model, or under another policy than $policy" "$scratch/certificate.sigstore.json" '
  .predicate.approval | .model_digest == $model and .policy_digest == $policy' --arg model "$model" --arg policy "$policy"
holds "the verification result is not of the policy $policy, or not that it passed" "$scratch/svr.sigstore.json" '
  [.predicate.verifier.policies[].digest] == [{"sha256": $policy}]
  and any(.predicate.properties[]; . == "GATEKEEPER_POLICY_PASSED")' --arg policy "$policy"
holds "the verification summary is not that the policy $policy passed" "$scratch/vsa.sigstore.json" '
  .predicate | .verificationResult == "PASSED" and .policy.digest == {"sha256": $policy}
  and (.inputAttestations | length) == 1 and .inputAttestations[0].digest == {"sha256": $certificate}' \
  --arg policy "$policy" --arg certificate "$(hex "$release/attestations/certificate.sigstore.json")"
holds "the test result is not that every rule passed" "$scratch/test-result.sigstore.json" '
  .predicate | (.result == "PASSED" or .result == "WARNED") and .failedTests == []'

# The files beside the attestations: those that the certificate binds, by digest, and no others.
holds "the certificate binds files that can't be" "$scratch/certificate.sigstore.json" '
  .predicate.files | type == "array"
  and all(.[]; .name | test("\\Aattestations/[A-Za-z0-9][A-Za-z0-9._-]*\\z"))'
jq -r '.predicate.files[] | .sha256 + " " + .name' "$scratch/certificate.sigstore.json" >"$scratch/bound" ||
  refuse "the certificate binds files that can't be"
while read -r digest name; do
  [ -f "$release/$name" ] || refuse "$name is missing"
  [ "$(hex "$release/$name")" = "$digest" ] || refuse "$name is not the file that the certificate binds"
done <"$scratch/bound"
[ "$(hex "$release/attestations/policy.json")" = "$policy" ] || refuse "policy.json is not the policy $policy"
jq -e -n --slurpfile one "$scratch/mlbom.sigstore.json" --slurpfile other "$release/attestations/bom.cdx.json" \
  '[$one[].predicate] == $other' >/dev/null 2>&1 || refuse "bom.cdx.json is not the bill of materials that was signed"
cmp -s "$scratch/claims" "$release/attestations/claims.jsonl" || refuse "claims.jsonl is not the attestations, one a line"
openssl pkey -pubin -in "$key" -out "$scratch/key.pem" 2>/dev/null || refuse "the public key can't be read"
cmp -s "$scratch/key.pem" "$release/attestations/signer.pub" || refuse "signer.pub is not this public key"
{
  cut -d ' ' -f 2 "$scratch/bound" | sed 's|^attestations/||'
  for name in certificate svr vsa test-result provenance mlbom; do echo "$name.sigstore.json"; done
  printf '%s\n' claims.jsonl signer.pub
  for folder in approvals timestamps; do [ ! -d "$release/attestations/$folder" ] || echo "$folder"; done
} | sort >"$scratch/names"
ls -A "$release/attestations" | sort >"$scratch/found"
cmp -s "$scratch/names" "$scratch/found" ||
  refuse "attestations/ holds other files than the certificate binds: $(comm -3 "$scratch/names" "$scratch/found" | tr -d '\t' | head -n 3 | tr '\n' ' ')"

say "VERIFIED $called"
echo "  signed by    $(hex "$scratch/key.pem")"
echo "  model        $model"
echo "  policy       $policy"
jq -r '"  verdict of   " + .predicate.created' "$scratch/certificate.sigstore.json"
if [ -d "$release/attestations/approvals" ] || [ -d "$release/attestations/timestamps" ]; then
  echo "  not looked at: what was added later to approvals/ and timestamps/"
fi
echo "  not computed again: privacy budget, risk bounds, verdict (gatekeeper verify does)"
