package diagnose

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const (
	clerkAPI            = "https://api.clerk.com"
	maxClerkClients     = 100 // that are asked for
	maxListedClients    = 5
	clerkSecretVariable = "CLERK_SECRET_KEY"
)

// clerkSettings are the settings of an instance that a server depends on (GET
// /v1/instance/oauth_application_settings).
type clerkSettings struct {
	Registration  *bool    `json:"dynamic_oauth_client_registration"`
	DefaultScopes []string `json:"default_scopes"`
	JWT           *bool    `json:"oauth_jwt_access_tokens"`
	Audience      *bool    `json:"aud_claim_enabled"`
}

// clerkClient is an OAuth application of an instance (GET /v1/oauth_applications).
type clerkClient struct {
	Name    string `json:"name"`
	Scopes  string `json:"scopes"`
	Dynamic bool   `json:"dynamically_registered"`
}

// checkClerkSettings reads the settings of the instance with its secret key, which is sent to
// the Backend API alone.
func (d *doctor) checkClerkSettings(ctx context.Context) {
	if d.observed.Issuer.Kind != "clerk" {
		return
	}
	if d.cfg.ClerkSecretKey == "" {
		d.skip("clerk", "reading the settings of the instance needs its secret key",
			"set CLERK_SECRET_KEY, or pass --secret-key-file")
		return
	}
	api := strings.TrimSuffix(cmp.Or(d.cfg.ClerkAPIURL, clerkAPI), "/")
	if u, err := url.Parse(api); err != nil || u.Scheme != "https" && !(u.Scheme == "http" && wellknown.IsLoopback(u.Host)) {
		d.skip("clerk", fmt.Sprintf("the URL of the Backend API, %q, is not https, so the secret key was not sent", api),
			"correct CLERK_API_URL")
		return
	}
	d.progress("reading the settings of the Clerk instance")
	var set, settings, clients *answer
	all(
		func() { set = d.askClerk(ctx, api+"/v1/jwks") },
		func() { settings = d.askClerk(ctx, api+"/v1/instance/oauth_application_settings") },
		func() {
			clients = d.askClerk(ctx, fmt.Sprintf("%s/v1/oauth_applications?limit=%d", api, maxClerkClients))
		},
	)
	if d.isKeyOfInstance(set) {
		d.judgeClerkSettings(settings)
		d.judgeClerkClients(clients)
	}
}

func (d *doctor) askClerk(ctx context.Context, address string) *answer {
	return d.prober.send(ctx, request{
		method: http.MethodGet, url: address, document: true,
		header: http.Header{"Authorization": {"Bearer " + string(d.cfg.ClerkSecretKey)}, "Accept": {"application/json"}},
	})
}

// isKeyOfInstance reports whether the secret key belongs to the instance under examination:
// the instance has the same keys at both APIs.
func (d *doctor) isKeyOfInstance(a *answer) bool {
	if a.err == nil && (a.status == http.StatusUnauthorized || a.status == http.StatusForbidden) {
		d.found("clerk.key_rejected", a.String())
		return false
	}
	set, ok := parseKeys(a)
	if !ok || a.status != http.StatusOK {
		d.skip("clerk", a.String(), "")
		return false
	}
	ids := kids(set)
	if slices.ContainsFunc(ids, func(id string) bool { return slices.Contains(d.keyIDs, id) }) || len(d.keyIDs) == 0 {
		return true
	}
	evidence := fmt.Sprintf("the keys at the Backend API are %s, those of %s are %s", quote.List(ids), d.issuer,
		quote.List(d.keyIDs))
	if d.target == "" {
		d.found("clerk.other_instance", evidence)
	} else {
		d.skip("clerk", "the secret key is for another Clerk instance: "+evidence,
			"pass the key of this instance with --secret-key-file")
	}
	return false
}

// askedScopes returns the scopes that the server asks clients for.
func (d *doctor) askedScopes() []string {
	if scopes := d.observed.Challenge.Scopes; len(scopes) > 0 {
		return scopes
	}
	if document := d.document(); document != nil {
		return document.Scopes
	}
	return nil
}

func (d *doctor) judgeClerkSettings(a *answer) {
	var s clerkSettings
	if _, problem := objectOf(a); problem != "" || json.Unmarshal(a.body, &s) != nil {
		d.skip("clerk", a.String(), "")
		return
	}
	defaults := s.DefaultScopes
	if defaults == nil {
		defaults = clerkDefaultScopes
	}
	evidence := fmt.Sprintf("dynamic_oauth_client_registration %s, oauth_jwt_access_tokens %s, aud_claim_enabled %s, "+
		"default_scopes %s",
		describeFlag(s.Registration), describeFlag(s.JWT), describeFlag(s.Audience), quote.List(defaults))
	if isOff(s.JWT) {
		level := Warning
		if d.rejectsOpaque {
			level = Fault
			evidence += "; the server answers an opaque token with the reason opaque"
		}
		d.foundAs(level, "clerk.opaque", evidence)
	}
	if missing := without(d.askedScopes(), append(slices.Clone(defaults), "offline_access")); len(missing) > 0 {
		d.found("clerk.default_scopes", fmt.Sprintf("%s; the server asks for %s", evidence, quote.List(d.askedScopes())),
			"scopes", strings.Join(missing, ", "))
	}
	if isOff(s.Audience) {
		d.found("clerk.no_audience", evidence)
	}
	d.ok("clerk", "%s", evidence)
}

func isOff(b *bool) bool { return b != nil && !*b }

func describeFlag(b *bool) string {
	if b == nil {
		return "unknown"
	}
	return fmt.Sprint(*b)
}

// judgeClerkClients reports registered clients that cannot ask for what the server wants: a
// client of Clerk holds only the scopes that it registered with.
func (d *doctor) judgeClerkClients(a *answer) {
	var page struct {
		Data []clerkClient `json:"data"`
	}
	if a.err != nil || a.status != http.StatusOK {
		return
	}
	if json.Unmarshal(a.body, &page) != nil && json.Unmarshal(a.body, &page.Data) != nil {
		return
	}
	asked := d.askedScopes()
	var names []string
	count := 0
	for _, c := range page.Data {
		missing := without(asked, append(strings.Fields(c.Scopes), "offline_access"))
		if !c.Dynamic || len(missing) == 0 {
			continue
		}
		if count++; count <= maxListedClients {
			names = append(names, fmt.Sprintf("%q lacks %s", quote.Clip(c.Name, 40), strings.Join(missing, ", ")))
		}
	}
	if count > 0 {
		d.found("clerk.client_scopes", fmt.Sprintf("%d of %d clients; the server asks for %s", count, len(page.Data),
			quote.List(asked)),
			"count", fmt.Sprint(count), "clients", strings.Join(names, "; "))
	}
}
