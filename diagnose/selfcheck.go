package diagnose

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	// selfCheckTimeout bounds [SelfCheck].
	selfCheckTimeout = 20 * time.Second
	// maxSelfCheckIssuers bounds the issuers that it looks at.
	maxSelfCheckIssuers = 4
)

// SelfCheck makes the checks that a server can make about itself when it starts: of the
// metadata, the keys and the registration of its issuers, and whether its public URL leads to its
// own resource metadata. It returns the warnings and faults.
//
// It sends a few requests without a token to each issuer and one to the public URL, registers no
// client, and returns within 20 seconds. What is unreachable is not reported: the guard logs that
// itself, and a server often cannot connect to its own public URL. A server on loopback is not
// asked for its metadata.
func SelfCheck(ctx context.Context, cfg Config, guard *gatehouse.Guard) []Finding {
	cfg = cfg.withDefaults()
	cfg.Timeout = min(cfg.Timeout, selfCheckTimeout)
	ctx, cancel := context.WithTimeout(ctx, cfg.Timeout)
	defer cancel()
	var out []Finding
	for _, issuer := range issuersOf(guard) {
		d := newDoctor(cfg)
		d.issuer = issuer
		d.examineIssuer(ctx)
		d.checkClocks()
		out = append(out, worthLogging(sorted(d.findings))...)
	}
	if ctx.Err() != nil { // what is missing was not asked for
		return out
	}
	return append(out, checkOwnMetadata(ctx, cfg, guard)...)
}

// issuersOf returns the issuers at which the clients of a guard sign in.
func issuersOf(guard *gatehouse.Guard) []string {
	var out []string
	for _, p := range guard.Providers() {
		if p.DangerouslySkipVerification {
			continue
		}
		for _, issuer := range p.AuthorizationServers {
			if !slices.Contains(out, issuer) && len(out) < maxSelfCheckIssuers {
				out = append(out, issuer)
			}
		}
	}
	return out
}

// worthLogging returns the warnings and faults that are not about the connection.
func worthLogging(findings []Finding) []Finding {
	var out []Finding
	for _, f := range findings {
		about, _, _ := strings.Cut(f.ID, ".")
		if (f.Level == Warning || f.Level == Fault) && about != "dns" && about != "connect" {
			out = append(out, f)
		}
	}
	return out
}

// checkOwnMetadata checks that the public URL of the guard leads to its own metadata.
func checkOwnMetadata(ctx context.Context, cfg Config, guard *gatehouse.Guard) []Finding {
	u, err := url.Parse(guard.Resource())
	if err != nil || wellknown.IsLoopback(u.Host) {
		return nil
	}
	address := originOf(u) + wellknown.ProtectedResource(u)
	a := newProber(cfg).get(ctx, address, false)
	if a.err != nil {
		return nil
	}
	var m resourceMetadata
	switch err := json.Unmarshal(a.body, &m); {
	case a.status != 200:
		return []Finding{ownMetadata(a.String(), "is not served")}
	case err != nil:
		return []Finding{ownMetadata(a.String()+", which is not JSON", "is not served")}
	case m.Resource != guard.Resource():
		return []Finding{ownMetadata(fmt.Sprintf("%s has the resource %s, want %s", address, quote.String(m.Resource), quote.String(guard.Resource())),
			"is that of another server")}
	}
	return nil
}

func ownMetadata(evidence, problem string) Finding {
	return Finding{
		ID:          "metadata.self",
		Level:       Warning,
		Title:       "The resource metadata at the public URL " + problem,
		Evidence:    evidence,
		Consequence: "clients that use this URL do not find where to sign in",
		Fix: "have the proxy forward /.well-known/oauth-protected-resource and the paths below it to this server, " +
			"or set Resource (MCP_URL) to the URL that clients use",
	}
}
