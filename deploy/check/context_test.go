package check

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// TestBuildContext checks with the matcher of Docker what .dockerignore keeps out of image builds:
// secrets, which would stay in the layers of the first stage and in its cache.
func TestBuildContext(t *testing.T) {
	file, err := os.Open(filepath.Join(repository, ".dockerignore"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		t.Fatal(err)
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{
		"deploy/compose/secrets/session-key":       true, // made by secrets.sh
		"deploy/compose/secrets/assertion-key.pem": true,
		"assertion-key.pem":                        true, // made as docs/deploy.md says
		"tls/mcp.example.com.key":                  true,
		".env":                                     true,
		"examples/clerk/.env":                      true,
		".git/config":                              true,
		"go.work":                                  false,
		"cmd/gatehouse/main.go":                    false,
		"localclerk/pages/sign-in.html":            false,
		"deploy/compose/backend/main.go":           false,
		"secret.go":                                false,
	} {
		got, err := matcher.MatchesOrParentMatches(path)
		if err != nil {
			t.Fatal(err)
		}
		if got != want {
			t.Errorf("%s: kept out is %v, want %v", path, got, want)
		}
	}
}
