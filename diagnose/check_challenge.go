package diagnose

import (
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/modelcontextprotocol/go-sdk/oauthex"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/wellknown"
)

const maxChallenges = 16 << 10 // bytes of all WWW-Authenticate headers

var (
	unquotedMetadata = regexp.MustCompile(`(?i)resource_metadata=([^"\s,][^\s,]*)`)
	renamedHeader    = regexp.MustCompile(`(?i)^x-.*www-authenticate$`)

	// confusing matches free text before a parameter, in which a search for the name of the
	// parameter finds something else.
	confusing = regexp.MustCompile(`(?i)error_description="[^"]*\b(scope|resource_metadata|error)=`)
)

// challengeText returns the WWW-Authenticate headers of an answer.
func challengeText(a *answer) string {
	text := strings.Join(a.header.Values("Www-Authenticate"), ", ")
	return text[:min(len(text), maxChallenges)]
}

// readChallenge reads the challenge as a lenient client does.
func (d *doctor) readChallenge() {
	c := &d.observed.Challenge
	text := challengeText(d.challenged)
	if c.Present = text != ""; !c.Present {
		return
	}
	params := map[string]string{}
	challenges, err := oauthex.ParseWWWAuthenticate(d.challenged.header.Values("Www-Authenticate"))
	if err == nil && len(challenges) > 0 {
		c.FirstScheme = challenges[0].Scheme
		i := slices.IndexFunc(challenges, func(c oauthex.Challenge) bool { return c.Scheme == "bearer" })
		if c.Bearer = i >= 0; c.Bearer {
			params = challenges[i].Params
		}
	}
	c.ResourceMetadata, c.Error = params["resource_metadata"], params["error"]
	c.Scopes = strings.Fields(params["scope"])
	if m := unquotedMetadata.FindStringSubmatch(text); m != nil && (err != nil || c.ResourceMetadata == m[1]) {
		c.Bearer, c.ResourceMetadata = true, m[1]
		c.FirstScheme, _, _ = strings.Cut(strings.ToLower(text), " ")
	}
}

// checkChallenge judges the challenge of the 401.
func (d *doctor) checkChallenge() {
	if d.observed.Open {
		d.skip("challenge", "the endpoint asks for no token", "")
		return
	}
	c := d.observed.Challenge
	text := challengeText(d.challenged)
	evidence := "WWW-Authenticate: " + quote.Clip(text, 400)
	metadata := d.metadataURL()
	if !c.Present {
		d.checkNoChallenge(metadata)
		return
	}
	_, err := oauthex.ParseWWWAuthenticate(d.challenged.header.Values("Www-Authenticate"))
	unquoted := unquotedMetadata.MatchString(text)
	switch {
	case err != nil && !unquoted:
		d.found("challenge.malformed", evidence, "metadata", metadata)
		return
	case !c.Bearer:
		d.found("challenge.not_bearer", evidence, "metadata", metadata, "scheme", quote.Clip(c.FirstScheme, 40))
		return
	case c.FirstScheme != "bearer":
		d.found("challenge.not_first", evidence)
	}
	switch {
	case c.ResourceMetadata == "":
		d.found("challenge.no_metadata", evidence, "metadata", metadata)
	case unquoted:
		d.found("challenge.unquoted", evidence, "metadata", metadata)
	}
	if c.ResourceMetadata != "" {
		d.checkHint(c.ResourceMetadata, evidence)
	}
	if c.Error != "" && !d.observed.Public {
		d.found("challenge.error", evidence)
	}
	if confusing.MatchString(text) {
		d.found("challenge.confusing", evidence)
	}
	d.ok("challenge", "%s", evidence)
}

// checkNoChallenge judges a 401 without WWW-Authenticate.
func (d *doctor) checkNoChallenge(metadata string) {
	for name := range d.first.header {
		if renamedHeader.MatchString(name) {
			d.found("challenge.renamed", fmt.Sprintf("%s; it has %s: %s", d.first, name,
				quote.String(d.first.header.Get(name))),
				"name", name)
			return
		}
	}
	if readGuardBody(d.first).Reason != "" {
		d.found("challenge.stripped", d.first.String()+"; the body is that of Gatehouse's guard, which always sends the header")
		return
	}
	d.found("challenge.missing", d.first.String(), "metadata", metadata)
}

// checkHint judges the URL of the metadata in the challenge.
func (d *doctor) checkHint(raw, evidence string) {
	if e, ok := ExplainMetadataURL(raw, d.endpoint); ok {
		d.foundProblem(e, evidence)
	}
}

// sameMachine reports whether a and b have the same origin, where all names of this machine
// count as one.
func sameMachine(a, b *url.URL) bool {
	if originOf(a) == originOf(b) {
		return true
	}
	return a.Scheme == b.Scheme && a.Port() == b.Port() && wellknown.IsLoopback(a.Host) && wellknown.IsLoopback(b.Host)
}
