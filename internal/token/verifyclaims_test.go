package token_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

func TestVerifyClaims(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	v := token.Verifier{
		Rules: token.Rules{
			Algorithms:     []string{"RS256"},
			Types:          []string{"at+jwt"},
			RequiredClaims: []string{"client_id"},
			SubjectPrefix:  "user_",
			Audience:       token.AudienceIfPresent,
		},
		Issuers:   []string{"https://issuer.example.com"},
		Resources: []string{"https://mcp.example.com/mcp"},
	}
	const rest = `"client_id":"c","sub":"user_1","exp":1800000060`
	const issuer = `"iss":"https://issuer.example.com"`
	const iss = `"active":true,` + issuer
	tests := []struct {
		name, payload string
		wantReason    reason.Reason // empty means accepted
	}{
		{"control", `{` + iss + `,` + rest + `}`, ""},
		{"bound", `{` + iss + `,"aud":["https://mcp.example.com/mcp"],` + rest + `}`, ""},
		{"foreign audience", `{` + iss + `,"aud":"https://other.example.com",` + rest + `}`, reason.WrongAudience},
		{"foreign issuer", `{"active":true,"iss":"https://evil.example.com",` + rest + `}`, reason.WrongIssuer},
		{"no issuer", `{"active":true,` + rest + `}`, reason.MissingClaim},
		{"no client", `{` + iss + `,"sub":"user_1","exp":1800000060}`, reason.MissingClaim},
		{"machine", `{` + iss + `,"client_id":"c","sub":"mch_1","exp":1800000060}`, reason.WrongSubject},
		{"expired", `{` + iss + `,"client_id":"c","sub":"user_1","exp":1799999000}`, reason.Expired},
		{"no expiry", `{` + iss + `,"client_id":"c","sub":"user_1"}`, reason.MissingClaim},
		{"twice", `{` + iss + `,"sub":"user_2",` + rest + `}`, reason.Malformed},
		{"not an object", `[]`, reason.Malformed},
		{"active last", `{` + issuer + `,` + rest + `,"active":true}`, ""},
		{"inactive", `{"active":false}`, reason.Inactive},
		{"inactive, with the claims of a valid token", `{"active":false,` + issuer + `,` + rest + `}`, reason.Inactive},
		{"active is the string true", `{"active":"true",` + issuer + `,` + rest + `}`, reason.Inactive},
		{"active is the string false", `{"active":"false",` + issuer + `,` + rest + `}`, reason.Inactive},
		{"active is null", `{"active":null,` + issuer + `,` + rest + `}`, reason.Inactive},
		{"active is 0", `{"active":0,` + issuer + `,` + rest + `}`, reason.Inactive},
		{"active is 1", `{"active":1,` + issuer + `,` + rest + `}`, reason.Inactive},
		{"active is a list", `{"active":[true],` + issuer + `,` + rest + `}`, reason.Inactive},
		{"active is missing", `{` + issuer + `,` + rest + `}`, reason.Inactive},
		{"active in upper case", `{"ACTIVE":true,` + issuer + `,` + rest + `}`, reason.Malformed},
		{"active in two cases", `{"active":true,"Active":false,` + issuer + `,` + rest + `}`, reason.Malformed},
		{"active with an escape", `{"\u0061ctive":true,` + issuer + `,` + rest + `}`, reason.Malformed},
		{"active twice", `{"active":false,"active":true,` + issuer + `,` + rest + `}`, reason.Malformed},
		{"active in an object", `{"token":{"active":true},` + issuer + `,` + rest + `}`, reason.Inactive},
		{"too large", fmt.Sprintf(`{%s,%s,"x":%q}`, iss, rest, make([]byte, 20<<10)), reason.TooLarge},
	}
	for _, test := range tests {
		got, err := v.VerifyClaims([]byte(test.payload), now)
		var rejection *token.Error
		switch {
		case test.wantReason == "" && (err != nil || got.Subject != "user_1" || got.ClientID != "c"):
			t.Errorf("%s: %+v, %v; want it accepted", test.name, got, err)
		case test.wantReason != "" && (!errors.As(err, &rejection) || rejection.Reason != test.wantReason):
			t.Errorf("%s: %v, want %q", test.name, err, test.wantReason)
		}
	}
}
