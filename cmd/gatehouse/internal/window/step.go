package window

import (
	"slices"
	"time"
)

// Party sends or receives a request.
type Party string

// The parties of a sign-in. The browser acts for the client.
const (
	Client  Party = "client"
	Browser Party = "browser"
	Server  Party = "server"
	Clerk   Party = "clerk"
)

// Outcome is the result of a step or a run.
type Outcome string

// The outcomes.
const (
	Succeeded Outcome = "succeeded"
	Neutral   Outcome = "neutral" // a probe that may fail, or a run that is in progress
	Failed    Outcome = "failed"
	Abandoned Outcome = "abandoned" // a run whose sign-in has not continued for a while
)

// Step is one request and its response. Secrets in it are shortened. It does not change
// after it was recorded.
type Step struct {
	ID   uint64    `json:"id"`  // counts from 1, without gaps
	Run  uint64    `json:"run"` // ID of the run that it belongs to
	Time time.Time `json:"time"`
	Took float64   `json:"took"` // milliseconds

	From    Party   `json:"from"`
	To      Party   `json:"to"`
	Kind    kind    `json:"kind"`
	Title   string  `json:"title"`  // a few words
	Spec    string  `json:"spec"`   // the name of the request in its specification
	Line    string  `json:"line"`   // method and path
	Status  int     `json:"status"` // 0 if the response broke off
	Outcome Outcome `json:"outcome"`

	Purpose string `json:"purpose"`           // what such a step is for, in sentences
	Why     string `json:"why,omitempty"`     // what went wrong, a sentence
	Effect  string `json:"effect,omitempty"`  // what clients and users see, a sentence
	Do      string `json:"do,omitempty"`      // how to fix it, in sentences
	Problem string `json:"problem,omitempty"` // ID of the problem in docs/doctor.md, if it is one of those

	Request  Message `json:"request"`
	Response Message `json:"response"`

	errorCode string // of Clerk, or empty
	headline  string // ends the headline of a run, or empty
}

// explain sets the explanation of a step.
func (s *Step) explain(e explanation) {
	s.Why, s.Effect, s.Do, s.Problem, s.headline = e.why, e.effect, e.do, e.problem, e.headline
}

// Message is the request or the response of a step.
type Message struct {
	Fields []Field `json:"fields,omitempty"` // headers and parameters
	Body   string  `json:"body,omitempty"`   // at most 16 KiB of it
}

// Field is a header or a parameter.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// add appends a field unless value is empty or the message has maxFields fields.
func (m *Message) add(name, value string) {
	if value != "" && len(m.Fields) < maxFields {
		m.Fields = append(m.Fields, Field{name, value})
	}
}

// kind is the purpose of a step.
type kind string

const (
	kindChallenge      kind = "challenge"
	kindResource       kind = "resource metadata"
	kindServerMetadata kind = "server metadata"
	kindMetadata       kind = "metadata"
	kindRegistration   kind = "registration"
	kindAuthorization  kind = "authorization"
	kindPage           kind = "page"
	kindDecision       kind = "decision"
	kindToken          kind = "token"
	kindRefresh        kind = "refresh"
	kindKeys           kind = "keys"
	kindUserInfo       kind = "userinfo"
	kindIntrospection  kind = "introspection"
	kindRevocation     kind = "revocation"
	kindBackend        kind = "backend"
	kindCall           kind = "call"
	kindStream         kind = "stream"
	kindSessionEnd     kind = "session end"
	kindLanding        kind = "landing page"
	kindPreflight      kind = "preflight"
	kindPagePart       kind = "part of a page"
	kindOther          kind = "other"
)

// kindInfo describes a kind of step on the page.
type kindInfo struct {
	title      string // at most 26 characters for requests to or from the MCP server, for which the page has less space
	spec       string // the name of the request in its specification
	purpose    string // sentences
	stage      string // ends "stopped at …"
	progress   string // what a run that has reached such a step is doing; empty if the step does not matter
	unfinished string // ends "sign-in not finished: …" if no step follows such a step
}

// signInOrder are the kinds of steps of a sign-in, in the order in which they happen.
var signInOrder = []kind{
	kindChallenge, kindResource, kindServerMetadata, kindMetadata, kindRegistration, kindAuthorization, kindPage, kindDecision,
	kindToken, kindRefresh, kindCall,
}

// rank returns how far a sign-in is with a step of kind k, from 1, or 0 if k is not a part
// of a sign-in.
func rank(k kind) int { return slices.Index(signInOrder, k) + 1 }

// recorded reports whether steps of kind k are shown.
func (k kind) recorded() bool { return k != kindPreflight && k != kindPagePart }

var kinds = map[kind]kindInfo{
	kindChallenge: {
		title: "Calls without a token",
		spec:  "Bearer challenge, RFC 9728 §5.1",
		purpose: "The server answers 401, which starts the sign-in. " +
			"The WWW-Authenticate header has the URL of the protected resource metadata (RFC 9728).",
		stage:      "the first request",
		progress:   "asked to sign in",
		unfinished: "the client has not fetched the metadata",
	},
	kindResource: {
		title: "Fetches resource metadata",
		spec:  "Protected resource metadata, RFC 9728",
		purpose: "The metadata of the MCP server (RFC 9728) names the resource that tokens must be issued for, the " +
			"authorization server, and the scopes to request.",
		stage:      "discovery",
		progress:   "finding the authorization server",
		unfinished: "the client has not continued after discovery",
	},
	kindServerMetadata: {
		title:   "Looks for OAuth metadata",
		spec:    "Authorization server metadata, MCP 2025-03-26",
		purpose: "Clients of the 2025-03-26 revision request the authorization server metadata from the MCP server itself.",
		stage:   "discovery",
	},
	kindMetadata: {
		title: "Fetches authorization server metadata",
		spec:  "Authorization server metadata, RFC 8414",
		purpose: "The metadata of the authorization server (RFC 8414) has the URLs for registration, authorization " +
			"and tokens, and lists the supported features.",
		stage:      "discovery",
		progress:   "finding the authorization server",
		unfinished: "the client has not continued after discovery",
	},
	kindRegistration: {
		title: "Registers a client",
		spec:  "Dynamic client registration, RFC 7591",
		purpose: "The client registers itself (RFC 7591) and gets a client ID. " +
			"It may only request the scopes that the response lists.",
		stage:      "registration",
		progress:   "registered, about to sign in",
		unfinished: "the client has registered, but not opened the sign-in page",
	},
	kindAuthorization: {
		title: "Opens the authorization endpoint",
		spec:  "Authorization request, RFC 6749 §4.1.1",
		purpose: "The client sends the user's browser to Clerk with a PKCE code challenge, so that only this client " +
			"can use the authorization code.",
		stage:      "authorization",
		progress:   "waiting for the user at the sign-in page",
		unfinished: "no one has signed in at the sign-in page",
	},
	kindPage: {
		title:      "Shows a page",
		spec:       "User authentication",
		purpose:    "The user signs in, sees which client requests access, and allows or denies it.",
		stage:      "the sign-in page",
		progress:   "waiting for the user in the browser",
		unfinished: "no one has completed the sign-in page",
	},
	kindDecision: {
		title: "Submits the page",
		spec:  "Authorization response, RFC 6749 §4.1.2",
		purpose: "The user signs in, or allows or denies access. Afterwards Clerk redirects the browser to the " +
			"client, with an authorization code that can be used once.",
		stage:      "consent",
		unfinished: "the client has not exchanged the code",
	},
	kindToken: {
		title:   "Exchanges the code for an access token",
		spec:    "Token request, RFC 6749 §4.1.3",
		purpose: "The client sends the authorization code and its PKCE code verifier, and gets an access token.",
		stage:   "the token request",
	},
	kindRefresh: {
		title:   "Refreshes the access token",
		spec:    "Refresh token grant, RFC 6749 §6",
		purpose: "The client exchanges its refresh token for a new access token. The user does not have to sign in again.",
		stage:   "the token refresh",
	},
	kindKeys: {
		title: "Fetches the signing keys",
		spec:  "JWK Set, RFC 7517 §5",
		purpose: "The server fetches Clerk's public keys and keeps them, so that it can verify tokens without asking " +
			"Clerk.",
		stage: "the signing keys",
	},
	kindUserInfo: {
		title: "Fetches the user's profile",
		spec:  "UserInfo, OpenID Connect Core §5.3",
		purpose: "Clerk's access tokens have no name and no email, so the server requests them from the userinfo " +
			"endpoint with the user's access token.",
		stage: "userinfo",
	},
	kindIntrospection: {
		title: "Introspects a token",
		spec:  "Token introspection, RFC 7662",
		purpose: "An opaque token has no readable claims, so the server asks Clerk whether it is valid and whom it " +
			"was issued to.",
		stage: "token introspection",
	},
	kindRevocation: {
		title:   "Revokes a token",
		spec:    "Token revocation, RFC 7009",
		purpose: "The client revokes a token that it no longer needs (RFC 7009).",
		stage:   "revocation",
	},
	kindBackend: {
		title:   "Calls Clerk's Backend API",
		spec:    "Clerk Backend API",
		purpose: "The server requests data from Clerk with its secret key.",
		stage:   "the Backend API",
	},
	kindCall: {
		title:   "Calls",
		spec:    "MCP request",
		purpose: "An MCP request with an access token. The server verifies the token before it handles the request.",
		stage:   "a call",
	},
	kindStream: {
		title:   "Opens a stream",
		spec:    "MCP event stream, GET",
		purpose: "The client keeps a stream open for messages that the server sends on its own.",
		stage:   "the stream",
	},
	kindSessionEnd: {
		title:   "Ends its session",
		spec:    "MCP session, DELETE",
		purpose: "The client ends its MCP session.",
		stage:   "the end of the session",
	},
	kindLanding: {
		title:   "Opens the landing page",
		spec:    "Page for browsers, not a part of MCP",
		purpose: "A browser opened the address of the MCP server. The page says how to connect a client.",
		stage:   "the landing page",
	},
	kindPreflight: {
		title:   "Sends a CORS preflight",
		purpose: "A browser asks whether a page of another origin may send a request.",
		stage:   "the preflight",
	},
	kindOther: {
		title:   "Sends another request",
		purpose: "This request is not part of a sign-in. Clients probe for URLs that not every server has.",
		stage:   "a request",
	},
}
