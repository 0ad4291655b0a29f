package signin

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/savedsignin"
)

// The releases of Ory Hydra whose registration response is in testdata, without its token.
var hydraReleases = []string{"v2.3.0", "v26.2.0"}

// answerOfHydra returns the members of a recorded registration response. It has members in
// other forms than go-sdk expects: jwks is an object, contacts is null, and client_uri is empty.
func answerOfHydra(t *testing.T, release string) map[string]any {
	t.Helper()
	body, err := os.ReadFile("testdata/registration-hydra-" + release + ".json")
	if err != nil {
		t.Fatal(err)
	}
	var answer map[string]any
	if err := json.Unmarshal(body, &answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

// TestParseRegistration changes one member of the answers of Ory Hydra.
func TestParseRegistration(t *testing.T) {
	t.Parallel()
	const remove = "remove"
	for _, test := range []struct {
		name, member string
		value        any
		wantErr      string
	}{
		{name: "control"},
		{name: "unused member of any form", member: "contacts", value: map[string]any{"a": []any{1}}},
		{name: "unused time of any form", member: "client_id_issued_at", value: "2026-07-28"},
		{name: "no way to manage the client", member: "registration_client_uri", value: remove},
		{name: "a way to manage the client in another form", member: "registration_client_uri", value: []string{"x"}},
		{name: "no client_id", member: "client_id", value: remove, wantErr: "client_id is missing or empty"},
		{name: "client_id null", member: "client_id", wantErr: "client_id is missing or empty"},
		{name: "client_id empty", member: "client_id", value: "", wantErr: "client_id is missing or empty"},
		{name: "client_id a number", member: "client_id", value: 7, wantErr: "client_id is a number, want a string"},
		{
			name:    "client_secret an object",
			member:  "client_secret",
			value:   map[string]any{},
			wantErr: "the client's secret is an object, want a string",
		},
		{name: "scope an array", member: "scope", value: []string{"a"}, wantErr: "scope is an array, want a string"},
		{
			name:    "expiry a string",
			member:  "client_secret_expires_at",
			value:   "never",
			wantErr: "expiry of the client's secret is a string, want an integer",
		},
		{
			name:    "expiry with a fraction",
			member:  "client_secret_expires_at",
			value:   1.5,
			wantErr: "expiry of the client's secret is a number, want an integer",
		},
		{
			name:    "token_endpoint_auth_method an array",
			member:  "token_endpoint_auth_method",
			value:   []string{"none"},
			wantErr: "token_endpoint_auth_method is an array, want a string",
		},
		{
			name:    "redirect_uris a string",
			member:  "redirect_uris",
			value:   "http://127.0.0.1/",
			wantErr: "redirect_uris is a string, want an array",
		},
		{
			name:    "redirect_uris of numbers",
			member:  "redirect_uris",
			value:   []int{1},
			wantErr: "redirect_uris is an array, want an array of strings",
		},
		{
			name:    "redirect URI that runs a script",
			member:  "redirect_uris",
			value:   []string{"http://127.0.0.1/", "JavaScript:alert(1)"},
			wantErr: `redirect_uris[1] has the disallowed scheme "javascript"`,
		},
		{
			name:    "redirect URI that is not a URL",
			member:  "redirect_uris",
			value:   []string{"http://%"},
			wantErr: "redirect_uris[0] is not a URL",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			for _, release := range hydraReleases {
				answer := answerOfHydra(t, release)
				switch {
				case test.value == remove:
					delete(answer, test.member)
				case test.member != "":
					answer[test.member] = test.value
				}
				body, err := json.Marshal(answer)
				if err != nil {
					t.Fatal(err)
				}
				got, err := parseRegistration(body)
				wantErr(t, err, test.wantErr)
				if err != nil {
					continue
				}
				want := &registration{clientID: "3c5ff873-8258-4449-aaa4-595f87017cc4", scope: "openid offline_access notes:read"}
				if uri, ok := answer["registration_client_uri"].(string); ok {
					token := answer["registration_access_token"].(string)
					want.management = &management{uri: uri, token: savedsignin.Secret(token)}
				}
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(registration{}, management{})); diff != "" {
					t.Errorf("%s: registration (-want +got):\n%s", release, diff)
				}
			}
		})
	}
}

// TestParseRegistrationOfAnotherForm has answers that are not one JSON object.
func TestParseRegistrationOfAnotherForm(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]string{
		"empty":                     "",
		"HTML":                      "<html>",
		"array":                     `[{"client_id":"a"}]`,
		"null":                      "null",
		"two objects":               `{"client_id":"a"}{"client_id":"b"}`,
		"same name twice":           `{"client_id":"a","client_id":"b"}`,
		"name in other letters":     `{"Client_ID":"a"}`,
		"nested thousands of times": `{"client_id":"a","jwks":` + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + `}`,
	} {
		if got, err := parseRegistration([]byte(body)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, got)
		}
	}
}
