package jose_test

import (
	"slices"
	"testing"

	"github.com/gatehouse-mcp/gatehouse/internal/jose"
)

func TestTable(t *testing.T) {
	t.Parallel()
	for _, name := range jose.Names() {
		alg, ok := jose.Lookup(name)
		if !ok || !slices.Contains(jose.CanonicalNames(), alg.Name) || jose.Canonical(name) != alg.Name {
			t.Errorf("%s is %+v, want an algorithm under its canonical name", name, alg)
		}
		if (alg.KeyType == jose.EC) != (alg.Curve != nil) || (alg.KeyType == jose.OKP) != (alg.Hash == 0) {
			t.Errorf("%s is %+v, want a curve for EC and a hash for RSA and EC", name, alg)
		}
		if alg.Hash != 0 && !alg.Hash.Available() {
			t.Errorf("%s: hash %v is not linked in", name, alg.Hash)
		}
	}
	for _, name := range append(jose.CanonicalNames(), jose.DefaultNames()...) {
		if jose.Canonical(name) != name {
			t.Errorf("%s is listed, its canonical name is %s", name, jose.Canonical(name))
		}
	}
}

func TestLookupRejects(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"", "none", "HS256", "HS512", "rs256", "RS256 ", "ES256K", "Ed448", "EDDSA"} {
		if alg, ok := jose.Lookup(name); ok {
			t.Errorf("Lookup(%q) = %+v, want none", name, alg)
		}
		if jose.Canonical(name) != name {
			t.Errorf("Canonical(%q) = %q", name, jose.Canonical(name))
		}
	}
}
