package forwardauth

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-mcp/gatehouse"
)

func TestFaults(t *testing.T) {
	valid := func() Config {
		return Config{Proxy: Envoy, Bodies: true, Endpoints: []Endpoint{{Guard: gatehouse.Config{
			Resource: resource, Provider: gatehouse.OIDC("https://issuer.example.com")}}}}
	}
	tests := []struct {
		name   string
		change func(cfg *Config, guard *gatehouse.Config)
		want   string // the field; empty if there is no fault
	}{
		{"valid", func(*Config, *gatehouse.Config) {}, ""},
		{"no proxy", func(cfg *Config, _ *gatehouse.Config) { cfg.Proxy = "" }, "Proxy"},
		{"unknown proxy", func(cfg *Config, _ *gatehouse.Config) { cfg.Proxy = "apache" }, "Proxy"},
		{"nginx without bodies", func(cfg *Config, _ *gatehouse.Config) { cfg.Proxy, cfg.Bodies = Nginx, false }, ""},
		{"nginx with bodies", func(cfg *Config, _ *gatehouse.Config) { cfg.Proxy = Nginx }, "Bodies"},
		{"Caddy with bodies", func(cfg *Config, _ *gatehouse.Config) { cfg.Proxy = Caddy }, "Bodies"},
		{"lists", func(_ *Config, guard *gatehouse.Config) { guard.ShowLocked = true }, "Endpoints[0].Guard.ShowLocked"},
		{"tools", func(_ *Config, guard *gatehouse.Config) { guard.SecuritySchemes = true }, "Endpoints[0].Guard.SecuritySchemes"},
		{"session key", func(_ *Config, g *gatehouse.Config) { g.SessionKey = make(gatehouse.SessionKey, 32) }, "Endpoints[0].Guard.SessionKey"},
		{"sessions", func(_ *Config, g *gatehouse.Config) { g.MaxSessions = 500 }, "Endpoints[0].Guard.MaxSessions"},
		{"sessions of one user", func(_ *Config, g *gatehouse.Config) { g.MaxSessionsPerUser = 5 }, "Endpoints[0].Guard.MaxSessionsPerUser"},
		{"idle sessions", func(_ *Config, g *gatehouse.Config) { g.SessionTimeout = time.Hour }, "Endpoints[0].Guard.SessionTimeout"},
		{"limit of bodies", func(_ *Config, g *gatehouse.Config) { g.MaxBodyBytes = 1 << 20 }, ""},
		{"limit of bodies without bodies", func(cfg *Config, g *gatehouse.Config) { cfg.Bodies, g.MaxBodyBytes = false, 1<<20 },
			"Endpoints[0].Guard.MaxBodyBytes"},
		{"shared limits", func(_ *Config, g *gatehouse.Config) {
			g.RateLimits.Shared, g.RateLimits.RequestsPerMinute = sharedLimits{}, 60
		}, ""},
		{"shared limits of nothing", func(_ *Config, g *gatehouse.Config) { g.RateLimits.Shared = sharedLimits{} },
			"Endpoints[0].Guard.RateLimits.Shared"},
		{"every address", func(cfg *Config, _ *gatehouse.Config) { cfg.TrustedProxies = prefixes("0.0.0.0/0") }, "TrustedProxies"},
		{"every address of IPv6", func(cfg *Config, _ *gatehouse.Config) { cfg.TrustedProxies = prefixes("::/0") }, "TrustedProxies"},
		{"zero address", func(cfg *Config, _ *gatehouse.Config) { cfg.TrustedProxies = make([]netip.Prefix, 1) }, "TrustedProxies"},
		{"one address", func(cfg *Config, _ *gatehouse.Config) { cfg.TrustedProxies = prefixes("10.0.0.7/32") }, ""},
		{"no endpoints", func(cfg *Config, _ *gatehouse.Config) { cfg.Endpoints = nil }, "Endpoints"},
		{"two endpoints", func(cfg *Config, g *gatehouse.Config) {
			other := *g
			other.Resource = "https://mcp.example.com/other"
			cfg.Endpoints = append(cfg.Endpoints, Endpoint{Guard: other})
		}, ""},
		{"the same endpoint twice", func(cfg *Config, g *gatehouse.Config) {
			cfg.Endpoints = append(cfg.Endpoints, Endpoint{Guard: *g})
		}, "Endpoints[1].Guard.Resource"},
		{"no resource", func(_ *Config, g *gatehouse.Config) { g.Resource = "" }, "Resource"},
		{"path of the questions", func(_ *Config, g *gatehouse.Config) { g.Resource = "https://mcp.example.com/auth" }, "Endpoints[0].Guard.Resource"},
		{"path below it", func(_ *Config, g *gatehouse.Config) { g.LocalPath = "/auth/mcp" }, "Endpoints[0].Guard.Resource"},
		{"challenge in a result", func(_ *Config, g *gatehouse.Config) { g.ChallengeInResult = true }, "Endpoints[0].Guard.ChallengeInResult"},
		{"landing page", func(_ *Config, g *gatehouse.Config) { g.LandingPage = http.NotFoundHandler() }, "Endpoints[0].Guard.LandingPage"},
		{"closed by default", func(_ *Config, g *gatehouse.Config) { g.DenyUndeclared = true }, ""},
		{"closed by default without bodies", func(cfg *Config, g *gatehouse.Config) { cfg.Bodies, g.DenyUndeclared = false, true },
			"Endpoints[0].Guard.DenyUndeclared"},
		{"too many requirements", func(_ *Config, g *gatehouse.Config) {
			for range maxRequirements + 1 {
				g.Requirements = append(g.Requirements, requirements[0])
			}
		}, "Endpoints[0].Guard.Requirements"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			cfg := valid()
			test.change(&cfg, &cfg.Endpoints[0].Guard)
			h, err := New(cfg)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				h.Close()
				return
			}
			var fault *gatehouse.ConfigError
			if !errors.As(err, &fault) || fault.Field != test.want {
				t.Fatalf("got %v, want a fault of %s", err, test.want)
			}
		})
	}
}

// sharedLimits is a limiter that never limits.
type sharedLimits struct{}

func (sharedLimits) Take(context.Context, string, int, gatehouse.Rate) (time.Duration, error) {
	return 0, nil
}

func prefixes(text string) []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix(text)} }

// Verification cannot be disabled: the connections of a proxy come from anywhere.
func TestSkippedVerificationIsAFault(t *testing.T) {
	_, err := New(Config{Proxy: Caddy, Endpoints: []Endpoint{{Guard: gatehouse.Config{
		Resource: "http://localhost:3000/mcp",
		Provider: gatehouse.Provider{Name: "test", Issuer: "https://issuer.example.com", DangerouslySkipVerification: true},
	}}}})
	if err == nil || !strings.Contains(err.Error(), "DangerouslySkipVerification") {
		t.Errorf("got %v, want a fault of DangerouslySkipVerification", err)
	}
}

func TestWarnings(t *testing.T) {
	f := newFixture(t, Nginx, func(cfg *Config) { cfg.Endpoints[0].Guard.Requirements = requirements })
	if all := strings.Join(f.Warnings(), "\n"); !strings.Contains(all, "nginx sends no bodies") || !strings.Contains(all, "all of its 3 requirements") {
		t.Errorf("got warnings %q, want one about bodies", all)
	}
	f = newFixture(t, Nginx, nil)
	if all := strings.Join(f.Warnings(), "\n"); strings.Contains(all, "bodies") {
		t.Errorf("got warnings %q without requirements", all)
	}
}
