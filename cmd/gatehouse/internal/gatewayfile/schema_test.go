package gatewayfile

import (
	"encoding/json"
	"flag"
	"os"
	"reflect"
	"regexp"
	"testing"

	"github.com/google/jsonschema-go/jsonschema"
	"go.yaml.in/yaml/v3"

	"github.com/gatehouse-mcp/gatehouse/cmd/gatehouse/internal/providername"
)

var update = flag.Bool("update", false, "rewrite docs/gateway.schema.json")

const published = "../../../../docs/gateway.schema.json"

// The published schema is that of the types.
func TestSchemaIsPublished(t *testing.T) {
	if *update {
		if err := os.WriteFile(published, []byte(Schema()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(published)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != Schema() {
		t.Errorf("docs/gateway.schema.json is not the schema of the types; run go test ./cmd/gatehouse/internal/gatewayfile -update")
	}
}

// The schema accepts what the loader accepts, and rejects what it rejects by the form alone.
func TestSchemaAgreesWithTheLoader(t *testing.T) {
	var s jsonschema.Schema
	if err := json.Unmarshal([]byte(Schema()), &s); err != nil {
		t.Fatal(err)
	}
	resolved, err := s.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		text  string
		valid bool
	}{
		"template": {Template, true}, "minimal": {minimal, true},
		"provider by name":      {"provider: {name: oidc, issuer: \"https://i.example.com\"}\nendpoints: [{url: \"https://a.example.com/mcp\", upstream: {url: \"http://localhost\"}}]", true},
		"unknown member":        {"colour: red\n" + minimal, false},
		"number as text":        {minimal + "    max_body_bytes: \"4\"\n", false},
		"duration":              {minimal + "    leeway: 5\n", false},
		"no endpoints":          {"listen: localhost:3000", false},
		"unknown provider":      {"provider: nope\n" + minimal[len("provider: {name: oidc, issuer: \"https://issuer.example.com\"}\n"):], false},
		"provider without name": {"provider: {issuer: \"https://i.example.com\"}\n" + minimal[len("provider: {name: oidc, issuer: \"https://issuer.example.com\"}\n"):], false},
		"provider in a list":    {"provider: [oidc]\n" + minimal[len("provider: {name: oidc, issuer: \"https://issuer.example.com\"}\n"):], false},
		"setting of another provider": {"provider: {name: oidc, issuer: \"https://i.example.com\", realm: x}\n" +
			minimal[len("provider: {name: oidc, issuer: \"https://issuer.example.com\"}\n"):], false},
	} {
		var value any
		if err := yaml.Unmarshal([]byte(test.text), &value); err != nil {
			t.Fatal(err)
		}
		if err := resolved.Validate(value); (err == nil) != test.valid {
			t.Errorf("%s: the schema says %v, want valid: %v", name, err, test.valid)
		}
		if faults := faultsOf(t, test.text); (faults == nil) != test.valid {
			t.Errorf("%s: the loader says %q, want valid: %v", name, faults, test.valid)
		}
	}
}

// Every name in the file is plain, and every member of the file's own types is described.
func TestNames(t *testing.T) {
	plain := regexp.MustCompile(`^[a-z0-9]+(_[a-z0-9]{2,}|_v1|_of)*$`)
	seen := map[reflect.Type]bool{}
	var check func(typ reflect.Type, described bool)
	check = func(typ reflect.Type, described bool) {
		for typ.Kind() == reflect.Pointer || typ.Kind() == reflect.Slice {
			typ = typ.Elem()
		}
		if typ.Kind() != reflect.Struct || seen[typ] || typ == typeProvider {
			return
		}
		seen[typ] = true
		for _, m := range membersOf(typ) {
			if !plain.MatchString(m.name) {
				t.Errorf("%s has the member %q", typ, m.name)
			}
			if described && m.doc == "" {
				t.Errorf("%s of %s has no description", m.name, typ)
			}
			check(m.typ, described)
		}
	}
	check(reflect.TypeFor[File](), true)
	for _, p := range providername.All() {
		check(reflect.TypeOf(p.NewConfig()).Elem(), false)
	}
	for field, want := range map[string]string{
		"URL": "url", "MaxBodyBytes": "max_body_bytes", "FrontendAPIURL": "frontend_api_url", "MCPServerID": "mcp_server_id",
		"ClientIDs": "client_ids", "JWKSURL": "jwks_url", "AcceptV1": "accept_v1", "H2C": "h2c", "AppIDURI": "app_id_uri", "AnyOf": "any_of",
		"JWTSecret": "jwt_secret", "TenantID": "tenant_id",
	} {
		if got := memberName(field); got != want {
			t.Errorf("memberName(%q) = %q, want %q", field, got, want)
		}
	}
}
