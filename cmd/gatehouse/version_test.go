package main

import (
	"encoding/json"
	"runtime/debug"
	"strings"
	"testing"
)

// TestVersions checks the output for builds with and without a commit.
func TestVersions(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "c47955d90f683f5aea8af054fee2313b56da2f44"}
	at := debug.BuildSetting{Key: "vcs.time", Value: "2026-11-26T12:27:51Z"}
	tests := []struct {
		name     string
		settings []debug.BuildSetting
		want     string // after the first line; empty without a commit
	}{
		{"go install", nil, ""},
		{"checkout", []debug.BuildSetting{revision, at, {Key: "vcs.modified", Value: "false"}},
			"commit    c47955d90f683f5aea8af054fee2313b56da2f44 of 2026-11-26T12:27:51Z\n"},
		{"changed checkout", []debug.BuildSetting{revision, at, {Key: "vcs.modified", Value: "true"}},
			"commit    c47955d90f683f5aea8af054fee2313b56da2f44 of 2026-11-26T12:27:51Z, with changes that are not committed\n"},
	}
	for _, test := range tests {
		v := versionsOf(&debug.BuildInfo{Settings: test.settings, Deps: []*debug.Module{{Path: sdkModule, Version: "v1.8.0"}}})
		want := "gatehouse " + version + "\n" + test.want + "go        "
		if got := v.String(); !strings.HasPrefix(got, want) || !strings.Contains(got, "go-sdk    v1.8.0\n") {
			t.Errorf("%s: got %q, want it to begin with %q", test.name, got, want)
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Contains(string(text), `"commit"`); got != (test.want != "") {
			t.Errorf("%s: got %s", test.name, text)
		}
	}
}
