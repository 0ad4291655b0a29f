package main

import (
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/testlog"
)

// The log of the gateway has the names of its file where the library's would be, in each hint.
func TestGatewayLogHasNamesOfFile(t *testing.T) {
	var out testlog.Buffer
	logger := slog.New(fileNames{slog.NewTextHandler(&out, nil)})
	logger.Warn("request rejected", slog.Group("rejection", "detail", "got AllowedHosts", "hint", "add the host to AllowedHosts"))
	logger.With("endpoint", "x").Warn("set RequireAudience", "hint", "compare Provider.Issuer with iss")
	for _, want := range []string{
		`rejection.detail="got AllowedHosts"`, // what was seen is not changed
		`rejection.hint="add the host to allowed_hosts"`,
		`msg="set require_audience" endpoint=x hint="compare issuer with iss"`,
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, out.String())
		}
	}
}

// No reason that a user of the gateway can fix by a setting names a field of the library.
func TestGatewayHintsOfReasons(t *testing.T) {
	names := []gatehouse.Reason{"wrong_issuer", "unbound", "wrong_audience", "forbidden_host", "forbidden_origin",
		"unknown_key", "opaque", "machine_token", "session_of_another_user", "too_many_sessions", "too_many_failed_sign_ins"}
	found := 0
	for _, info := range gatehouse.Reasons() {
		name := info.Reason
		if !slices.Contains(names, name) {
			continue
		}
		found++
		var out testlog.Buffer
		slog.New(fileNames{slog.NewTextHandler(&out, nil)}).Warn("rejected", "hint", info.Do)
		for _, field := range []string{"Provider.", "TokenRules", "Resource ", "AllowedHosts", "AllowedOrigins", "MaxSessions", "SessionKey", "TrustedProxies", "Requirement."} {
			if strings.Contains(out.String(), field) {
				t.Errorf("%s: the hint has %q: %s", name, field, out.String())
			}
		}
	}
	if found != len(names) {
		t.Errorf("found %d of %d reasons", found, len(names))
	}
}
