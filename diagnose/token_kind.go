package diagnose

import (
	"fmt"
	"slices"
	"strings"

	"github.com/gatehouse-mcp/gatehouse/internal/quote"
	"github.com/gatehouse-mcp/gatehouse/internal/reason"
	"github.com/gatehouse-mcp/gatehouse/internal/token"
)

// Kinds of text that package token does not name.
const (
	kindNone      = "nothing"
	kindTruncated = "truncated token"
)

// kindInfo says what texts of one kind are for, and what to send in their place.
type kindInfo struct {
	what string // for whom they are
	fix  string
}

const sendAccessToken = "send the access_token of the token endpoint's answer"

// kindInfos are the kinds that are not access tokens. What is in the table is never accepted,
// except by a server whose provider says otherwise.
var kindInfos = map[string]kindInfo{
	kindNone: {
		"there is no token in the text",
		"write the access token into the file, or pipe it to standard input",
	},
	kindTruncated: {"it ends with an ellipsis, as programs show tokens in logs", "get the whole token from the client, not from a log"},
	token.KindID: {
		"it tells the client who signed in (OpenID Connect Core 1.0, section 2), and is not for servers",
		sendAccessToken + ", not its id_token",
	},
	token.KindSession: {
		"it is for the application whose user is signed in, not for MCP servers: any page of that application has it",
		"have the client sign in with OAuth, and " + sendAccessToken,
	},
	token.KindTemplate: {
		"the application makes it from a JWT template, and can write any audience into it",
		"have the client sign in with OAuth, and " + sendAccessToken,
	},
	token.KindM2M: {
		"it was issued to a machine, not to a user",
		"have the client sign in as a user, and " + sendAccessToken,
	},
	token.KindMachine: {
		"it was issued to a client that signed in as itself, without a user (client credentials)",
		"sign in as a user; if programs may call this server on their own account, set AllowMachines",
	},
	token.KindRefresh: {
		"it is for the token endpoint of the issuer only, which gives a new access token for it (RFC 6749 section 6)",
		sendAccessToken + ", not its refresh_token; if it reached another server, revoke it",
	},
	token.KindLogout: {
		"the issuer sends it to clients when a user signs out (OpenID Connect Back-Channel Logout)",
		sendAccessToken,
	},
	token.KindHandshake: {"it carries the cookies of a session between Clerk and an application", "do not store it; " + sendAccessToken},
	token.KindAPIKey: {
		"it identifies an application or a machine to the service that issued it",
		"have the client sign in with OAuth, and " + sendAccessToken,
	},
	token.KindSecretKey: {
		"whoever has it can do everything in the account that it is from",
		"replace it at the service that issued it, because it is now in a file or a terminal where it does not belong; it is not a token of a user",
	},
	"client secret": {
		"the client proves with it to the issuer which client it is",
		"replace it at the issuer; it is not a token of a user",
	},
	"secret of a webhook": {
		"it signs messages of a service",
		"replace it at the service; it is not a token of a user",
	},
	"publishable key": {
		"it is public and names an instance of the service",
		`to check the instance, pass it to "gatehouse doctor"; it is not a token`,
	},
	"authorization code": {
		"the client exchanges it once for tokens, at the token endpoint",
		"exchange it; " + sendAccessToken,
	},
	"personal access token": {
		"its owner made it for scripts; it names no server",
		"have the client sign in with OAuth, and " + sendAccessToken,
	},
	"opaque M2M token": {
		"it was issued to a machine, not to a user",
		"have the client sign in as a user, and " + sendAccessToken,
	},
	"identity pool token": {
		"it is for AWS services, not for MCP servers",
		"have the client sign in at the user pool, and " + sendAccessToken,
	},
	"client assertion":       {"a client proves with it to the issuer which client it is (RFC 7523)", sendAccessToken},
	"DPoP proof":             {"it proves that a client has a key, in a header of its own (RFC 9449)", sendAccessToken},
	"request object":         {"it is a request of a client to the issuer (RFC 9101)", sendAccessToken},
	"identity assertion":     {"a client exchanges it at another issuer for an access token", "exchange it; " + sendAccessToken},
	"security event token":   {"it reports an event to a server (RFC 8417)", sendAccessToken},
	"introspection response": {"it is what the issuer answers about a token (RFC 9701)", sendAccessToken},
}

// secretKinds are the kinds that must not be where the text was found, whatever the server makes
// of them.
var secretKinds = []string{token.KindSecretKey, "client secret", "secret of a webhook"}

// kindReasons are the reasons with which a guard rejects a token because it is one of another kind.
var kindReasons = []reason.Reason{
	reason.NoCredentials, reason.MalformedCredentials, reason.Opaque, reason.Encrypted, reason.Malformed, reason.WrongAlgorithm,
	reason.WrongType, reason.WrongIssuer, reason.MissingClaim, reason.WrongClaim, reason.WrongSubject, reason.MachineToken,
	reason.WrongAudience, reason.UnusableClaims, reason.Inactive,
}

// kind returns what the text is, in words.
func (e *explainer) kind() string {
	switch {
	case e.text.token == "":
		return kindNone
	case e.text.truncated:
		return kindTruncated
	}
	kind := e.seen.Kind
	f := e.failure()
	if f.reason == reason.MachineToken {
		return token.KindMachine
	}
	// The rules of the provider name kinds that the token itself does not show.
	if marked := e.markedKind(); marked != "" && (kind == token.KindJWT || kind == token.KindAccess) {
		return marked
	}
	return kind
}

// markedKind returns the kind that the rules of the provider mark, or "".
func (e *explainer) markedKind() string {
	for _, rule := range []token.Rule{token.RuleType, token.RuleKind} {
		if fault := tokenError(e.ruleError(rule)); fault != nil && fault.Kind != "" {
			return fault.Kind
		}
	}
	return ""
}

// kindFinding returns the finding that says what the text is.
func (e *explainer) kindFinding(r *TokenReport) Finding {
	f := Finding{ID: "token.kind", Level: OK, Title: "This is " + withArticle(r.Kind)}
	f.Evidence = e.kindEvidence()
	info, other := kindInfos[r.Kind]
	switch {
	case slices.Contains(secretKinds, r.Kind):
		f.Level = Fault
	case !other:
		return f
	case r.Kind == kindNone:
		f.Level = Fault
	case r.Verdict == Rejected && slices.Contains(kindReasons, r.Reason):
		f.Level = Fault
	default:
		f.Evidence += "; " + info.what
		return f
	}
	f.Title += ", not an access token"
	switch r.Kind {
	case token.KindMachine:
		f.Title = "This access token was issued to a machine, not to a user"
	case kindNone:
		f.Title = "There is no token in the text"
		f.Evidence, f.Consequence, f.Fix = e.kindEvidence(), "a client without a token has to sign in first", info.fix
		return f
	}
	f.Evidence += "; " + info.what
	f.Consequence = "the server rejects it: " + phraseOf(r.Reason)
	f.Fix = info.fix
	return f
}

// kindEvidence says by what the kind was recognized.
func (e *explainer) kindEvidence() string {
	n := len(e.text.token)
	switch {
	case n == 0 && e.text.oauthErr != "":
		return "it is an error of a token endpoint"
	case n == 0:
		return "it is empty"
	case e.seen.Header != "":
		parts := []string{fmt.Sprintf("a JWT of %d characters", n)}
		if e.seen.Type != "" {
			parts = append(parts, "type "+quote.String(e.seen.Type))
		}
		if e.seen.Issuer != "" {
			parts = append(parts, "of the issuer "+quote.String(e.seen.Issuer))
		}
		return strings.Join(parts, ", ")
	case e.seen.Vendor != "":
		return fmt.Sprintf("%d characters that begin as those of %s do", n, e.seen.Vendor)
	case e.seen.Kind == token.KindEncrypted:
		return fmt.Sprintf("%d characters in five parts: a JWE (RFC 7516), which only its issuer can read", n)
	}
	return fmt.Sprintf("%d characters that are not a JWT", n)
}

// withArticle returns a kind after its article, as it is spoken.
func withArticle(kind string) string {
	switch {
	case kind == kindNone:
		return kind
	case strings.HasPrefix(kind, "JWT"), strings.HasPrefix(kind, "DPoP"):
		return "a " + kind
	case strings.ContainsAny(kind[:1], "AEIOMaeio"):
		return "an " + kind
	}
	return "a " + kind
}
