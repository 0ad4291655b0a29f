package difftest

import (
	"encoding/json"
	"io/fs"
	"testing"

	"github.com/c2sp/wycheproof"
	"github.com/lestrrat-go/jwx/v3/jwk"

	"github.com/gatehouse-mcp/gatehouse/internal/token"
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

// algorithmOf says what a key is for, as its vectors mean it.
func algorithmOf(comment, alg string) string {
	switch {
	case alg == "ES521":
		return "ES512" // a slip: RFC 7518 has no ES521
	case alg == "PS256" && (comment == "rfc7520" || comment == "rfc7520WithKeyOps"):
		return "PS384" // a slip: the example of RFC 7520 §4.2 is PS384
	}
	return alg
}

func TestWycheproofSignatures(t *testing.T) {
	text, err := fs.ReadFile(wycheproof.TestVectors, "json_web_signature_test.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors signatureVectors
	if err := json.Unmarshal(text, &vectors); err != nil {
		t.Fatal(err)
	}
	judged := map[string]int{}
	for _, group := range vectors.TestGroups {
		key, alg := publicKey(t, group.Public)
		for _, test := range group.Tests {
			switch {
			case key == nil:
				judged["symmetric: no key of ours"]++
				continue
			case alg == "":
				judged["key for another use: for the key set to refuse"]++
				continue
			}
			raw := string(test.JWS)
			var compact string
			if json.Unmarshal(test.JWS, &compact) == nil {
				raw = compact
			}
			err := token.CheckSignature(raw, []string{algorithmOf(group.Comment, alg)}, key)
			if (err == nil) != (test.Result == "valid") {
				t.Errorf("%s %d %s: %v, want it %s", group.Comment, test.TcID, test.Comment, err, test.Result)
			}
			judged[test.Result]++
		}
	}
	total := 0
	for _, n := range judged {
		total += n
	}
	t.Logf("%d vectors: %v", total, judged)
	if total != vectors.NumberOfTests || judged["valid"] < 30 || judged["invalid"] < 250 {
		t.Errorf("%d of %d vectors met, %v judged: the file is not the one this test knows", total, vectors.NumberOfTests, judged)
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
	delete(members, "alg") // jwx does not read a key with a slip in it
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
