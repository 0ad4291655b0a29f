package window

import "time"

// Party is who speaks or is spoken to.
type Party string

// The parties of a sign-in. The browser acts for the client.
const (
	Client  Party = "client"
	Browser Party = "browser"
	Server  Party = "server"
	Clerk   Party = "clerk"
)

// Outcome is how a step, or a run, came out.
type Outcome string

// The outcomes there are.
const (
	Good    Outcome = "good"
	Neutral Outcome = "neutral" // neither good nor bad: a probe, or a run under way
	Failed  Outcome = "failed"
)

// Step is one request and its answer. Secrets in it are shortened beyond use.
// It never changes once it is recorded.
type Step struct {
	ID   uint64    `json:"id"`  // counts from 1, without gaps
	Run  uint64    `json:"run"` // of the run it belongs to
	Time time.Time `json:"time"`
	Took float64   `json:"took"` // milliseconds

	From    Party   `json:"from"`
	To      Party   `json:"to"`
	Kind    kind    `json:"kind"`
	Title   string  `json:"title"` // for people, a few words
	Line    string  `json:"line"`  // method and path
	Status  int     `json:"status"`
	Outcome Outcome `json:"outcome"`

	Purpose string `json:"purpose"`       // what such a step is for, a sentence
	Why     string `json:"why,omitempty"` // what went wrong, a sentence
	Do      string `json:"do,omitempty"`  // what to do about it, a sentence

	Request  Message `json:"request"`
	Response Message `json:"response"`
}

// Message is one side of a step: what was sent, or answered.
type Message struct {
	Fields []Field `json:"fields,omitempty"` // headers and parameters
	Body   string  `json:"body,omitempty"`   // at most 16 KiB of it
}

// Field is a header or a parameter.
type Field struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

func (m *Message) add(name, value string) {
	if value != "" && len(m.Fields) < maxFields {
		m.Fields = append(m.Fields, Field{name, value})
	}
}

// kind is what a step is for.
type kind string

const (
	kindChallenge      kind = "challenge"
	kindResource       kind = "resource metadata"
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
	kindGoodbye        kind = "goodbye"
	kindPreflight      kind = "preflight"
	kindOther          kind = "other"
	kindServerMetadata kind = "server metadata"
)

// about is what is told of each kind of step.
var about = map[kind]struct{ title, purpose, stage string }{
	kindChallenge:      {"Asks without a token", "The client knocks first. The 401 is its invitation to sign in: the WWW-Authenticate header says where the server describes itself.", "the first call"},
	kindResource:       {"Reads the server's card", "The server's own description (RFC 9728): which URL a token must be for, who signs people in, and which scopes to ask for.", "discovery"},
	kindServerMetadata: {"Looks for Clerk at the server", "Clients of the 2025-03-26 revision ask the MCP server itself for its authorization server's description.", "discovery"},
	kindMetadata:       {"Reads Clerk's description", "The authorization server's addresses and abilities (RFC 8414): where to register, to sign in, and to fetch tokens.", "discovery"},
	kindRegistration:   {"Registers", "The client introduces itself (RFC 7591) and gets a client ID. The scopes in the answer are all it may ever ask for.", "registration"},
	kindAuthorization:  {"Opens the sign-in", "The client sends the person's browser to Clerk, with a PKCE challenge that ties the answer to this client.", "authorization"},
	kindPage:           {"Shows a page", "The person sees who asks for access, signs in, and decides.", "the sign-in page"},
	kindDecision:       {"Presses a button", "The person's answer. Clerk sends the browser back to the client with a code that works once.", "consent"},
	kindToken:          {"Trades the code for a token", "The client proves with its PKCE verifier that it is the one who asked, and gets an access token.", "the token request"},
	kindRefresh:        {"Refreshes the token", "The client trades its refresh token for a new access token; nobody has to sign in again.", "the token refresh"},
	kindKeys:           {"Fetches the signing keys", "The server fetches Clerk's public keys once, to verify tokens by itself from then on.", "the signing keys"},
	kindUserInfo:       {"Asks who this is", "Access tokens carry no name and no email; whoever needs them asks Clerk with the caller's own token.", "userinfo"},
	kindIntrospection:  {"Asks about a token", "An opaque token says nothing by itself, so Clerk is asked what it stands for.", "token verification"},
	kindRevocation:     {"Revokes a token", "The client gives back a token that it no longer needs.", "revocation"},
	kindBackend:        {"Calls the Backend API", "The server asks Clerk something with its secret key.", "the Backend API"},
	kindCall:           {"Calls", "A request of MCP with a token. The server checks the token before anything else.", "a call"},
	kindStream:         {"Listens", "The client keeps a stream open for what the server has to say by itself.", "the stream"},
	kindGoodbye:        {"Says goodbye", "The client ends its session.", "the end of the session"},
	kindPreflight:      {"Asks for leave", "A browser asks whether a page of another origin may call here (CORS).", "the preflight"},
	kindOther:          {"Asks for something else", "No step of a sign-in; clients probe for addresses that not every server has.", "a request"},
}
