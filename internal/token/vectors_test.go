package token_test

import (
	"crypto/x509"
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

var vectorsFile = flag.String("vectors", "", "check the signatures in this file too, as JSON")

// vector is one JWS, and whether its signature is valid.
type vector struct {
	Name, Raw, Algorithm string
	Key                  []byte // PKIX
	Valid                bool
}

// TestSignatureVectors checks signatures without claims. internal/difftest runs it with
// the vectors of Project Wycheproof.
func TestSignatureVectors(t *testing.T) {
	t.Parallel()
	var vectors []vector
	if *vectorsFile == "" {
		vectors = ownVectors()
	} else if err := json.Unmarshal(must(os.ReadFile(*vectorsFile)), &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors {
		key, err := x509.ParsePKIXPublicKey(v.Key)
		if err != nil {
			t.Fatalf("%s: %v", v.Name, err)
		}
		if err := token.CheckSignature(v.Raw, []string{v.Algorithm}, key); (err == nil) != v.Valid {
			t.Errorf("%s: %v, want it valid: %t", v.Name, err, v.Valid)
		}
	}
	t.Logf("%d vectors", len(vectors))
}

// ownVectors are signatures of the test issuer, by the right key and by another.
func ownVectors() (vectors []vector) {
	for alg, kid := range map[string]string{"RS256": "rsa", "PS256": "rsa", "ES256": "ec", "EdDSA": "ed"} {
		d := draft{headerText: `{"alg":"` + alg + `"}`, claimsText: "any text", method: alg}
		der := must(x509.MarshalPKIXPublicKey(signingKeys()[kid].Public()))
		raw := d.signedBy(kid)
		header, _, signature := cut(raw)
		vectors = append(vectors,
			vector{alg, raw, alg, der, true},
			vector{alg + " of other text", header + "." + encode("other text") + "." + signature, alg, der, false},
		)
	}
	return vectors
}
