package gatehouse

import (
	"context"
	"encoding/json"
	"net/http"

	"github.com/gatehouse-mcp/gatehouse/internal/listen"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/remote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

// Hints about a client that tries to register at the MCP server although registration is not
// known to be off at the issuer.
const (
	hintRegistrationOn = "registration is on at the identity provider; have the client register at the registration_endpoint " +
		"of its metadata"
	hintRegistrationUnknown = "check that the metadata of the identity provider can be fetched, and that its registration_endpoint " +
		"is an https URL"
)

// RegistrationHandler returns a handler that rejects the registration of a client (RFC 7591)
// and says why. The MCP server registers no clients, the issuer does. If registration is off
// there, some clients send the request to the path /register of the MCP server, and show
// the answer to their user. [Guard.Mount] registers it for POST, unless the mux has a pattern
// for that path already.
func (g *Guard) RegistrationHandler() http.Handler {
	return listen.LimitBodies(g.limits.bodies, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Access-Control-Allow-Origin", "*")
		switch r.Method {
		case http.MethodPost:
			g.rejectRegistration(w, r)
		case http.MethodOptions:
			h.Set("Access-Control-Allow-Methods", "POST, OPTIONS")
			h.Set("Access-Control-Allow-Headers", g.corsHeaders)
			h.Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
		default:
			h.Set("Allow", "POST, OPTIONS")
			writeError(w, r, http.StatusMethodNotAllowed,
				errorBody{Error: reason.CodeInvalidRequest, Description: infoOf(reason.RegistrationUnavailable).Phrase})
		}
	}))
}

// rejectRegistration answers in the form of RFC 7591 section 3.2.2. The description is made
// of configuration and of the issuer's metadata, and of no text of the request.
func (g *Guard) rejectRegistration(w http.ResponseWriter, r *http.Request) {
	info := infoOf(reason.RegistrationUnavailable)
	rejection := Rejection{Reason: info.Reason, Status: info.Status}
	first := g.issuers[0]
	issuer := first.Issuer
	description := info.Phrase + "; "
	switch endpoint, known := first.documents.registrationEndpoint(r.Context()); {
	case endpoint != "":
		description += "register at " + endpoint
		rejection.Hint = hintRegistrationOn
	case known:
		rejection.Hint = g.hint(info, rejection)
		description += "registration of clients is off at the identity provider (" + issuer + "): " + rejection.Hint
		first.registrationOff.Do(func() {
			g.Logger.Warn("a client cannot register: registration of clients is off at the issuer",
				"issuer", issuer, "hint", rejection.Hint)
		})
	default:
		description += "register at the identity provider (" + issuer + ")"
		rejection.Hint = hintRegistrationUnknown
	}
	g.counters.reject(rejection.Reason)
	if g.OnReject != nil {
		g.OnReject(r, rejection)
	}
	writeError(w, r, info.Status, errorBody{info.Code, description, info.Reason})
}

// registrationEndpoint returns the registration_endpoint of the issuer's metadata. known is
// false if no metadata can be fetched, or if the endpoint in it is not a plain URL.
func (d documents) registrationEndpoint(ctx context.Context) (endpoint string, known bool) {
	for _, document := range []*remote.Document{d.authorizationServer, d.openIDConfiguration} {
		c, err := document.Get(ctx)
		if err != nil {
			continue
		}
		known = true
		var metadata struct {
			Endpoint string `json:"registration_endpoint"`
		}
		if json.Unmarshal(c.Body, &metadata) != nil || metadata.Endpoint == "" {
			continue
		}
		if wellknown.Issuer(metadata.Endpoint) != nil {
			return "", false // not a URL that an answer should contain
		}
		return metadata.Endpoint, true
	}
	return "", known
}
