package token_test

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
)

// TestErrorsKeepNoClaims checks that an error, which a cache of rejections keeps, does not keep
// the claims of its token alive.
func TestErrorsKeepNoClaims(t *testing.T) {
	const kept, size = 512, 12 << 10
	v := strictVerifier()
	v.RejectedClaims = map[string]map[string]string{"token_use": {"refresh": "refresh token"}}
	v.RequiredValues = map[string][]string{"ver": {"1"}}
	valid := fmt.Sprintf(`{"active":true,"iss":%q,"sub":"user_1","aud":%q,"client_id":"c","jti":"j","iat":%d,"exp":%d,"ver":1,"pad":%q}`,
		issuer, resource, now.Unix(), now.Unix()+60, strings.Repeat("x", size))
	for _, test := range []struct {
		name, old, new string
		wantReason     reason.Reason
	}{
		{"control", `"ver":1`, `"ver":1`, ""},
		{"kind", `"ver":1`, `"ver":1,"token_use":"refresh"`, reason.WrongType},
		{"value", `"ver":1`, `"ver":2`, reason.WrongClaim},
		{"type of a claim", `"jti":"j"`, `"jti":5`, reason.Malformed},
		{"spelling of a claim", `"jti":"j"`, `"Client_id":"j"`, reason.Malformed},
		{"missing claim", `"jti":"j",`, ``, reason.MissingClaim},
		{"issuer", issuer, "https://other.example", reason.WrongIssuer},
		{"audience", resource, "https://other.example", reason.WrongAudience},
		{"subject", `"user_1"`, `"mch_1"`, reason.WrongSubject},
		{"not active", `"active":true`, `"active":null`, reason.Inactive},
	} {
		payload := []byte(strings.Replace(valid, test.old, test.new, 1))
		before := heap()
		var results []any
		for range kept {
			got, err := v.VerifyClaims(payload, now)
			if reasonOf(err) != test.wantReason {
				t.Fatalf("%s: got %v, want reason %q", test.name, err, test.wantReason)
			}
			if err == nil {
				results = append(results, got)
				continue
			}
			results = append(results, err)
		}
		grown := int64(heap()) - int64(before)
		runtime.KeepAlive(results)
		if hasClaims := grown > kept*size/2; hasClaims != (test.wantReason == "") {
			t.Errorf("%s: %d results keep %d bytes", test.name, kept, grown)
		}
	}
}

// heap returns the bytes that are in use.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}
