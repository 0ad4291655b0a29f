package window

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse/localclerk"
	"github.com/google/go-cmp/cmp"
)

func TestAPIRejects(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	for _, test := range []struct {
		name, action, body, media string
		wantStatus                int
		wantErr                   string // "" for a control
	}{
		{"control: settings", "settings", `{"pkce_required":true}`, "application/json", 200, ""},
		{"control: media type with parameters", "settings", `{}`, "application/json; charset=utf-8", 200, ""},
		{"control: faults", "faults", `{"latency":"0s"}`, "application/json", 200, ""},
		{"control: rotate", "rotate", `{"overlap":true}`, "application/json", 200, ""},
		{"control: revoke", "revoke", `{"user":"ada"}`, "application/json", 200, ""},
		{"control: mint", "mint", `{}`, "application/json", 200, ""},
		{"form", "settings", "pkce_required=true", "application/x-www-form-urlencoded", 415, "want application/json"},
		{"text, which needs no CORS preflight", "settings", `{}`, "text/plain", 415, "want application/json"},
		{"not JSON", "settings", "{", "application/json", 400, "unexpected EOF"},
		{"an array", "settings", "[]", "application/json", 400, "cannot unmarshal array"},
		{"two objects", "settings", "{}{}", "application/json", 400, "more data after"},
		{"unknown member", "settings", `{"pkce":true}`, "application/json", 400, `unknown field \"pkce\"`},
		{"wrong type", "settings", `{"pkce_required":"yes"}`, "application/json", 400, "cannot unmarshal string"},
		{"unknown scope", "settings", `{"default_scopes":["notes"]}`, "application/json", 400, `got \"notes\"`},
		{
			name:       "too large",
			action:     "settings",
			body:       `{"default_scopes":["` + strings.Repeat("a", maxActionBytes) + `"]}`,
			media:      "application/json",
			wantStatus: 413,
			wantErr:    "too large",
		},
		{"latency", "faults", `{"latency":"2h"}`, "application/json", 400, "want 0 to 1m0s"},
		{"latency without unit", "faults", `{"latency":"5"}`, "application/json", 400, `got duration \"5\"`},
		{"status", "faults", `{"status":404}`, "application/json", 400, "want 500 to 599"},
		{"unknown user", "revoke", `{"user":"mallory"}`, "application/json", 400, `no user \"mallory\"`},
		{"kind", "mint", `{"kind":"golden"}`, "application/json", 400, `got kind \"golden\"`},
		{"unknown action", "explode", `{}`, "application/json", 405, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			resp, body := do(t, "POST", r.page.URL+Path+"api/"+test.action, test.body, "Content-Type", test.media)
			if resp.StatusCode != test.wantStatus || !strings.Contains(body, test.wantErr) {
				t.Errorf("got %d %s, want %d with %s", resp.StatusCode, body, test.wantStatus, test.wantErr)
			}
		})
	}
}

// TestSettingsChangeOneByOne changes each setting and checks that only this one changed.
func TestSettingsChangeOneByOne(t *testing.T) {
	t.Parallel()
	for _, setting := range newRig(t, nil).state().Settings {
		t.Run(setting.Name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			want := map[string]any{}
			for _, s := range r.state().Settings {
				want[s.Name] = s.Value
			}
			switch value := setting.Value.(type) {
			case bool:
				want[setting.Name] = !value
			case []string:
				want[setting.Name] = []string{"email"}
				if setting.Name == "custom_scopes" {
					want[setting.Name] = []string{"notes:write"}
				}
			}
			change, err := json.Marshal(map[string]any{setting.Name: want[setting.Name]})
			if err != nil {
				t.Fatal(err)
			}
			if resp, body := postJSON(t, r.page.URL+Path+"api/settings", string(change)); resp.StatusCode != http.StatusOK {
				t.Fatalf("got %d %s", resp.StatusCode, body)
			}
			got := map[string]any{}
			for _, s := range r.state().Settings {
				got[s.Name] = s.Value
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("settings (-want +got):\n%s", diff)
			}
		})
	}
}

// TestOrganizationsSwitch sends the switch Organizations, and other changes before it is
// turned on again, to a local Clerk whose default scopes contain that of organizations.
func TestOrganizationsSwitch(t *testing.T) {
	t.Parallel()
	const off, on = `{"organizations_enabled":false}`, `{"organizations_enabled":true}`
	for _, test := range []struct {
		name         string
		defaults     []string
		changes      []string
		wantScopes   []string
		wantDisabled bool
		wantStatus   int // of the last change; 0 means 200
	}{
		{name: "control", defaults: []string{"email", "user:org:read"}, wantScopes: []string{"email", "user:org:read"}},
		{
			name:         "off",
			defaults:     []string{"email", "user:org:read"},
			changes:      []string{off},
			wantScopes:   []string{"email"},
			wantDisabled: true,
		},
		{
			name:         "off, the only scope",
			defaults:     []string{"user:org:read"},
			changes:      []string{off},
			wantScopes:   []string{},
			wantDisabled: true,
		},
		{
			name:       "off twice and on",
			defaults:   []string{"email", "user:org:read"},
			changes:    []string{off, off, on},
			wantScopes: []string{"email", "user:org:read"},
		},
		{
			name:       "off and on, without the scope",
			defaults:   []string{"email"},
			changes:    []string{off, on},
			wantScopes: []string{"email"},
		},
		{name: "off and on, with the defaults of Clerk", changes: []string{off, on}},
		{
			name:       "other default scopes meanwhile",
			defaults:   []string{"email", "user:org:read"},
			changes:    []string{off, `{"default_scopes":["profile"]}`, on},
			wantScopes: []string{"profile"},
		},
		{
			name:         "the scope meanwhile",
			defaults:     []string{"email", "user:org:read"},
			changes:      []string{off, `{"default_scopes":["user:org:read"]}`},
			wantScopes:   []string{"email"},
			wantDisabled: true,
			wantStatus:   http.StatusBadRequest,
		},
		{
			name:       "off with another change that is invalid",
			defaults:   []string{"email", "user:org:read"},
			changes:    []string{`{"organizations_enabled":false,"custom_scopes":[" "]}`},
			wantScopes: []string{"email", "user:org:read"},
			wantStatus: http.StatusBadRequest,
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			s := localclerk.DefaultSettings()
			s.DefaultScopes = test.defaults
			if err := r.clerk.SetSettings(s); err != nil {
				t.Fatal(err)
			}
			status := http.StatusOK
			for i, change := range test.changes {
				resp, body := postJSON(t, r.page.URL+Path+"api/settings", change)
				status = resp.StatusCode
				if i < len(test.changes)-1 && status != http.StatusOK {
					t.Fatalf("%s: got %d %s", change, status, body)
				}
			}
			if want := max(test.wantStatus, http.StatusOK); status != want {
				t.Errorf("got status %d, want %d", status, want)
			}
			got := r.clerk.Settings()
			if diff := cmp.Diff(test.wantScopes, got.DefaultScopes); diff != "" || got.OrganizationsDisabled != test.wantDisabled {
				t.Errorf("organizations disabled: %t, want %t; default scopes (-want +got):\n%s",
					got.OrganizationsDisabled, test.wantDisabled, diff)
			}
		})
	}
}

func TestFaultsChange(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	change := func(body string) {
		t.Helper()
		if resp, answer := postJSON(t, r.page.URL+Path+"api/faults", body); resp.StatusCode != http.StatusOK {
			t.Fatalf("%s: got %d %s", body, resp.StatusCode, answer)
		}
	}
	change(`{"status":503,"paths":["/.well-known/jwks.json"]}`)
	change(`{"clock_offset":"-1h"}`)
	f := r.clerk.Faults()
	if f.Status != 503 || f.ClockOffset != -time.Hour || len(f.Paths) != 1 {
		t.Errorf("faults = %+v, want both changes", f)
	}
	if resp, _ := do(t, "GET", r.page.URL+"/.well-known/jwks.json", ""); resp.StatusCode != 503 {
		t.Errorf("the local Clerk answers %d, want 503", resp.StatusCode)
	}
	if resp, _ := do(t, "GET", r.page.URL+Path+"api/state", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("the window answers %d during an outage, want 200", resp.StatusCode)
	}
	change(`{"status":0,"clock_offset":"0s"}`)
	if resp, _ := do(t, "GET", r.page.URL+"/.well-known/jwks.json", ""); resp.StatusCode != http.StatusOK {
		t.Errorf("after the outage the local Clerk answers %d, want 200", resp.StatusCode)
	}
}

func TestRotateAndMint(t *testing.T) {
	t.Parallel()
	r := newRig(t, nil)
	keys := func() string {
		_, body := do(t, "GET", r.page.URL+"/.well-known/jwks.json", "")
		return body
	}
	kids := func(body string) []string {
		var set struct{ Keys []struct{ Kid, N string } }
		if err := json.Unmarshal([]byte(body), &set); err != nil {
			t.Fatal(err)
		}
		var ids []string
		for _, k := range set.Keys {
			ids = append(ids, k.Kid)
		}
		return ids
	}
	first := keys()
	postJSON(t, r.page.URL+Path+"api/rotate", `{"same_kid":true}`)
	second := keys()
	if first == second || !cmp.Equal(kids(first), kids(second)) {
		t.Errorf("same kid: got %v after %v, want another key with the same", kids(second), kids(first))
	}
	postJSON(t, r.page.URL+Path+"api/rotate", `{"overlap":true}`)
	if got := kids(keys()); len(got) != 2 || got[1] != kids(second)[0] {
		t.Errorf("overlap: got %v, want a new one and then %v", got, kids(second))
	}
	_, body := postJSON(t, r.page.URL+Path+"api/mint", `{"user":"grace","opaque":true,"lifetime":"1m"}`)
	var minted struct{ Token string }
	if err := json.Unmarshal([]byte(body), &minted); err != nil {
		t.Fatal(err)
	}
	if token, ok := r.clerk.OpaqueToken(minted.Token); !ok || r.userName(token.User) != "Grace Hopper" {
		t.Errorf("minted %q for %+v, want Grace's", minted.Token, token)
	}
	postJSON(t, r.page.URL+Path+"api/revoke", `{"user":"grace"}`)
	if tokens := r.state().Tokens; len(tokens) != 1 || !tokens[0].Revoked {
		t.Errorf("tokens = %+v, want one, revoked", tokens)
	}
}

func TestStateListsUsers(t *testing.T) {
	t.Parallel()
	s := newRig(t, nil).state()
	if len(s.Users) != 4 || len(s.Organizations) != 2 || s.Users[0].Name != "Ada Lovelace" || len(s.Users[0].Organizations) != 2 {
		t.Errorf("users %+v, organizations %+v, want the seeded ones", s.Users, s.Organizations)
	}
	if s.Organizations[0].Members[0] != (Member{"Ada Lovelace", "org:admin"}) {
		t.Errorf("first member = %+v, want Ada the admin", s.Organizations[0].Members[0])
	}
	if !strings.HasSuffix(s.Endpoint, "/mcp") {
		t.Errorf("endpoint = %q, want it to end in /mcp", s.Endpoint)
	}
}

// TestNotesDescribeTheCurrentValue switches every setting on and off.
func TestNotesDescribeTheCurrentValue(t *testing.T) {
	t.Parallel()
	for _, setting := range settings {
		if setting.on == "" || setting.on == setting.off {
			t.Errorf("%s: the note is %q when on and %q when off", setting.name, setting.on, setting.off)
		}
	}
	for _, test := range []struct {
		on   bool
		want string
	}{
		{true, "Clients that Clerk does not know register themselves."},
		{false, "Clients that Clerk does not know stop at registration."},
	} {
		all := settingsOf(localclerk.Settings{DynamicOAuthClientRegistration: test.on})
		if got := all[0].Note; got != test.want {
			t.Errorf("registration %t: note %q, want %q", test.on, got, test.want)
		}
	}
}
