package diagnose

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
)

// fetchDocuments fetches the protected resource metadata from every URL at which clients look
// for it (MCP authorization, "Protected Resource Metadata Discovery Requirements").
func (d *doctor) fetchDocuments(ctx context.Context) {
	type place struct{ name, url string }
	var places []place
	add := func(name, url string) {
		if url != "" && !slices.ContainsFunc(places, func(p place) bool { return p.url == url }) {
			places = append(places, place{name, url})
		}
	}
	if hint := d.observed.Challenge.ResourceMetadata; hint != "" && d.checkNamed(hint) == "" {
		add(placeChallenge, hint)
	}
	add(placePath, d.metadataURL())
	add(placeRoot, d.rootMetadataURL())
	d.documentAnswers = make([]*answer, len(places))
	var functions []func()
	for i, p := range places {
		functions = append(functions, func() {
			d.documentAnswers[i] = d.prober.get(ctx, p.url, !d.isLoopbackTarget())
		})
	}
	all(functions...)
	for i, p := range places {
		d.observed.Documents = append(d.observed.Documents, readResource(p.name, d.documentAnswers[i]))
	}
}

// document returns the document that clients use, or nil.
func (d *doctor) document() *observedResource {
	for i := range d.observed.Documents {
		if d.observed.Documents[i].Usable() {
			return &d.observed.Documents[i]
		}
	}
	return nil
}

// checkDocuments judges where the metadata is and whether clients can read it.
func (d *doctor) checkDocuments() {
	document := d.document()
	switch {
	case document == nil && d.observed.Open:
		d.skip("metadata", "the endpoint asks for no token, and the server has no metadata", "")
		return
	case document == nil:
		d.checkNoDocument()
		return
	}
	if first := d.observed.Documents[0]; first.Place == placeChallenge && !first.Usable() {
		d.foundDocument(d.documentAnswers[0], "metadata.hint")
		return
	}
	var atPath bool
	for i, r := range d.observed.Documents {
		a := d.documentAnswers[i]
		atPath = atPath || r.Usable() && a.request.url == d.metadataURL()
		if r.Usable() && !hasMedia(a, "application/json") {
			d.found("metadata.type", a.String())
		}
		if r.Usable() && r.HasScopes && len(r.Scopes) == 0 {
			d.found("metadata.empty_scopes", a.String())
		}
		if r.Usable() && len(r.AuthorizationServers) == 0 {
			d.found("metadata.no_servers", a.String())
		}
	}
	if !atPath {
		d.found("metadata.not_at_path", fmt.Sprintf("found at %s; %s", document.URL, d.describeDocument(d.metadataURL())),
			"metadata", d.metadataURL())
	}
	d.compareDocuments(document)
	d.ok("metadata", "%s", d.describeDocuments())
}

// checkNoDocument judges a server without usable metadata: the first document that is
// there but cannot be read is the cause.
func (d *doctor) checkNoDocument() {
	for _, a := range d.documentAnswers {
		if a.err != nil || a.status != http.StatusNotFound {
			d.foundDocument(a, "metadata.missing")
			return
		}
	}
	d.found("metadata.missing", d.describeDocuments(), "metadata", d.metadataURL(), "root", d.rootMetadataURL())
}

// foundDocument adds the problem of a document that cannot be read. otherwise is the ID of a
// document that does not exist.
func (d *doctor) foundDocument(a *answer, otherwise string) {
	to := a.location()
	switch {
	case a.err == nil && to != nil && loginPath.MatchString(to.Path):
		d.found("metadata.protected", a.String())
	case a.err == nil && to != nil:
		d.found("metadata.redirect", a.String(), "url", a.request.url)
	default:
		status := a.status
		if a.err != nil { // the body may have broken off
			status = 0
		}
		if e, ok := ExplainMetadataAnswer(status, a.isHTML(), a.request.url); ok {
			d.foundProblem(e, a.String())
			return
		}
		d.found(otherwise, a.String()+"; "+d.describeDocuments(), "metadata", d.metadataURL(), "root", d.rootMetadataURL())
	}
}

// compareDocuments reports documents that lead to different issuers.
func (d *doctor) compareDocuments(first *observedResource) {
	for _, r := range d.observed.Documents {
		if !r.Usable() || len(r.AuthorizationServers) == 0 || len(first.AuthorizationServers) == 0 {
			continue
		}
		// A document at the root may be that of another resource of the host.
		same := r.Place != placeRoot || r.Resource == first.Resource || r.Resource == originOf(d.endpoint)
		switch {
		case same && r.AuthorizationServers[0] != first.AuthorizationServers[0]:
			d.found("metadata.differ", fmt.Sprintf("%s names %s, and %s names %s", first.URL,
				quote.List(first.AuthorizationServers),
				r.URL, quote.List(r.AuthorizationServers)), "member", "authorization_servers")
			return
		case r.Place == placePath && r.Resource != first.Resource && first.Resource == d.resource():
			d.foundAs(Warning, "metadata.differ", fmt.Sprintf("resource is %s in %s, and %s in %s",
				quote.String(first.Resource), first.URL,
				quote.String(r.Resource), r.URL), "member", "resource")
			return
		}
	}
}

func (d *doctor) describeDocument(url string) string {
	for i, a := range d.documentAnswers {
		if a.request.url == url {
			return "GET " + url + ": " + describeProblem(d.observed.Documents[i])
		}
	}
	return ""
}

func (d *doctor) describeDocuments() string {
	var parts []string
	for _, r := range d.observed.Documents {
		parts = append(parts, "GET "+withoutQuery(r.URL)+": "+describeProblem(r))
	}
	return strings.Join(parts, "; ")
}

func describeProblem(r observedResource) string {
	if r.Usable() {
		return fmt.Sprintf("resource %s", quote.String(r.Resource))
	}
	return r.Problem
}
