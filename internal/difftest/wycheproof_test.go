package difftest

import (
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/lestrrat-go/jwx/v3/jwk"
)

// signatureVectors is Wycheproof's file of JSON Web Signatures.
type signatureVectors struct {
	NumberOfTests int
	TestGroups    []struct {
		Comment string
		Public  json.RawMessage
		Tests   []struct {
			TcID    int
			Comment string
			JWS     json.RawMessage
			Result  string
		}
	}
}

// algorithmOf returns the algorithm that the vectors of a key expect.
func algorithmOf(comment, alg string) string {
	switch {
	case alg == "ES521":
		return "ES512" // an error in the file: RFC 7518 has no ES521
	case alg == "PS256" && (comment == "rfc7520" || comment == "rfc7520WithKeyOps"):
		return "PS384" // an error in the file: the example of RFC 7520 §4.2 is PS384
	}
	return alg
}

// vector is one signature as TestSignatureVectors of internal/token reads it.
type vector struct {
	Name, Raw, Algorithm string
	Key                  []byte // PKIX
	Valid                bool
}

// TestWycheproofSignatures gives the vectors to the test of internal/token, which reaches
// the signature check alone: the vectors have no claims.
func TestWycheproofSignatures(t *testing.T) {
	text, err := fs.ReadFile(wycheproof.TestVectors, "json_web_signature_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var file signatureVectors
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	var vectors []vector
	counts := map[string]int{}
	for _, group := range file.TestGroups {
		key, alg := publicKey(t, group.Public)
		for _, test := range group.Tests {
			switch {
			case key == nil:
				counts["symmetric key"]++
				continue
			case alg == "":
				counts["key for another use, which internal/keys rejects"]++
				continue
			}
			raw := string(test.JWS)
			var compact string
			if json.Unmarshal(test.JWS, &compact) == nil {
				raw = compact
			}
			der, err := x509.MarshalPKIXPublicKey(key)
			if err != nil {
				t.Fatal(err)
			}
			name := fmt.Sprintf("%s %d %s", group.Comment, test.TcID, test.Comment)
			vectors = append(vectors, vector{name, raw, algorithmOf(group.Comment, alg), der, test.Result == "valid"})
			counts[test.Result]++
		}
	}
	total := 0
	for _, n := range counts {
		total += n
	}
	t.Logf("%d vectors: %v", total, counts)
	if total != file.NumberOfTests || counts["valid"] < 30 || counts["invalid"] < 250 {
		t.Errorf("%d of %d vectors read, %v: the file is not the one that this test knows", total, file.NumberOfTests, counts)
	}
	checkVectors(t, vectors)
}

// checkVectors runs the test of internal/token with the vectors.
func checkVectors(t *testing.T, vectors []vector) {
	t.Helper()
	text, err := json.Marshal(vectors)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "vectors.json")
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.Command("go", "test", "-count=1", "-v", "-run=^TestSignatureVectors$", "./internal/token", "-vectors="+path)
	command.Dir = filepath.Join("..", "..")
	out, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", command, err, out)
	}
	if want := fmt.Sprintf("%d vectors", len(vectors)); !strings.Contains(string(out), want) {
		t.Errorf("the test of internal/token did not check %s:\n%s", want, out)
	}
}

// publicKey returns the key and its algorithm; nil if it is symmetric.
func publicKey(t *testing.T, text json.RawMessage) (key any, alg string) {
	t.Helper()
	if text == nil {
		return nil, ""
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	alg, _ = members["alg"].(string)
	delete(members, "alg") // jwx does not read a key with a wrong algorithm
	text, err := json.Marshal(members)
	if err != nil {
		t.Fatal(err)
	}
	parsed, err := jwk.ParseKey(text)
	if err != nil {
		t.Fatal(err)
	}
	if err := jwk.Export(parsed, &key); err != nil {
		t.Fatal(err)
	}
	return key, alg
}
