package diagnose

import (
	"fmt"
	"net/http"
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
func challengeText(a *answer) string { return challengeTextOf(a.header) }

func challengeTextOf(h http.Header) string {
	text := strings.Join(h.Values("Www-Authenticate"), ", ")
	return text[:min(len(text), maxChallenges)]
}

// readChallenge reads the challenge of an answer as a lenient client does. It does not set the
// status.
func readChallenge(h http.Header) (c observedChallenge) {
	text := challengeTextOf(h)
	if c.Present = text != ""; !c.Present {
		return c
	}
	params := map[string]string{}
	challenges, err := oauthex.ParseWWWAuthenticate(h.Values("Www-Authenticate"))
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
	return c
}

// checkChallenge judges the challenge of the 401.
func (d *doctor) checkChallenge() {
	if d.observed.Open {
		d.skip("challenge", "the endpoint asks for no token", "")
		return
	}
	evidence := "WWW-Authenticate: " + quote.Clip(challengeText(d.challenged), 400)
	if !d.observed.Challenge.Present {
		evidence = d.challenged.String()
	}
	fromGuard := readGuardBody(d.challenged).Reason != ""
	for _, e := range challengeProblems(d.challenged.header, d.endpoint, fromGuard) {
		switch e.ID {
		case "challenge.error":
			if d.observed.Public { // the challenge is that for an invalid token
				continue
			}
		case "challenge.renamed":
			name, _ := renamedChallenge(d.challenged.header)
			d.foundProblem(e, fmt.Sprintf("%s; it has %s: %s", evidence, name, quote.String(d.challenged.header.Get(name))))
			continue
		case "challenge.stripped":
			d.foundProblem(e, evidence+"; the body is that of Gatehouse's guard, which always sends the header")
			continue
		}
		d.foundProblem(e, evidence)
	}
	d.ok("challenge", "%s", evidence)
}

// challengeProblems returns the problems of the challenge in a 401 of the endpoint to a request
// without a token, the worst first. fromGuard says that the guard of Gatehouse wrote the answer.
func challengeProblems(h http.Header, endpoint *url.URL, fromGuard bool) (problems []Explanation) {
	c := readChallenge(h)
	text, metadata := challengeTextOf(h), metadataURLOf(endpoint)
	if !c.Present {
		return []Explanation{noChallengeProblem(h, metadata, fromGuard)}
	}
	_, err := oauthex.ParseWWWAuthenticate(h.Values("Www-Authenticate"))
	unquoted := unquotedMetadata.MatchString(text)
	add := func(id string, values ...string) { problems = append(problems, Explain(id, values...)) }
	switch {
	case err != nil && !unquoted:
		return []Explanation{Explain("challenge.malformed", "metadata", metadata)}
	case !c.Bearer:
		return []Explanation{Explain("challenge.not_bearer", "metadata", metadata, "scheme", quote.Clip(c.FirstScheme, 40))}
	case c.FirstScheme != "bearer":
		add("challenge.not_first")
	}
	switch {
	case c.ResourceMetadata == "":
		add("challenge.no_metadata", "metadata", metadata)
	case unquoted:
		add("challenge.unquoted", "metadata", metadata)
	}
	if c.ResourceMetadata != "" {
		if e, ok := ExplainMetadataURL(c.ResourceMetadata, endpoint); ok {
			problems = append(problems, e)
		}
	}
	if c.Error != "" {
		add("challenge.error")
	}
	if confusing.MatchString(text) {
		add("challenge.confusing")
	}
	slices.SortStableFunc(problems, func(a, b Explanation) int { return levelRank[a.Level] - levelRank[b.Level] })
	return problems
}

// noChallengeProblem explains a 401 without WWW-Authenticate.
func noChallengeProblem(h http.Header, metadata string, fromGuard bool) Explanation {
	if name, ok := renamedChallenge(h); ok {
		return Explain("challenge.renamed", "name", name)
	}
	if fromGuard {
		return Explain("challenge.stripped")
	}
	return Explain("challenge.missing", "metadata", metadata)
}

// renamedChallenge returns the name under which a gateway passes WWW-Authenticate on.
func renamedChallenge(h http.Header) (name string, ok bool) {
	for name := range h {
		if renamedHeader.MatchString(name) {
			return name, true
		}
	}
	return "", false
}

// sameMachine reports whether a and b have the same origin, where all names of this machine
// count as one.
func sameMachine(a, b *url.URL) bool {
	if originOf(a) == originOf(b) {
		return true
	}
	return a.Scheme == b.Scheme && a.Port() == b.Port() && wellknown.IsLoopback(a.Host) && wellknown.IsLoopback(b.Host)
}
