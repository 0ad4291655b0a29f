package localclerk

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

//go:embed pages
var pageFiles embed.FS

var (
	signInPage   = parsePage("signin.html")
	consentPage  = parsePage("consent.html")
	errorPage    = parsePage("error.html")
	formPostPage = parsePage("formpost.html")
)

var (
	pageStyle = readStyle()
	styleHash = hashOf(string(pageStyle))
)

func parsePage(name string) *template.Template {
	return template.Must(template.ParseFS(pageFiles, "pages/layout.html", "pages/"+name))
}

func readStyle() template.CSS {
	css, err := pageFiles.ReadFile("pages/style.css")
	if err != nil {
		panic(err) // it is embedded
	}
	return template.CSS(css)
}

// hashOf is a hash source of Content Security Policy Level 3 section 2.3.1.
func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// layout is what every page shows.
type layout struct {
	Style  template.CSS
	Issuer string
}

// show renders a page that may post forms to this server and, through it, to
// the redirect URI: browsers hold a form's redirects to form-action too.
func (s *Server) show(w http.ResponseWriter, status int, page *template.Template, data any, redirectURI string) {
	var body bytes.Buffer
	if err := page.ExecuteTemplate(&body, "layout.html", data); err != nil {
		s.log.Error("rendering a page", "error", err)
		http.Error(w, "rendering the page", http.StatusInternalServerError)
		return
	}
	noStore(w)
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", strings.Join([]string{
		"default-src 'none'",
		"style-src " + styleHash,
		"form-action 'self' " + formTarget(redirectURI),
		"base-uri 'none'",
		"frame-ancestors 'none'",
	}, "; "))
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// formTarget is a redirect URI as a source of a Content Security Policy: its
// origin if the policy's grammar has words for it (it has none for IPv6
// addresses), else its scheme.
func formTarget(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme == "" {
		return ""
	}
	if u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Hostname(), hostSource) != "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

const hostSource = base62 + ".-"

func (s *Server) layout() layout { return layout{Style: pageStyle, Issuer: s.issuer} }

// face is a user as the pages show one.
type face struct {
	ID, Name, Initials, Detail string
}

func newFace(u User) face {
	f := face{ID: u.ID, Name: u.Name(), Detail: cmp.Or(u.Email, u.Username)}
	for _, part := range strings.Fields(f.Name) {
		first, _ := utf8.DecodeRuneInString(part)
		f.Initials += string(unicode.ToUpper(first))
	}
	if u.Banned {
		f.Detail += ", banned"
	}
	return f
}

func (s *Server) showSignIn(w http.ResponseWriter, r *http.Request, transaction string, req authorizeRequest) {
	eventOf(r).Client = req.client.id
	var faces []face
	for _, u := range s.currentPeople().users {
		faces = append(faces, newFace(u))
	}
	s.show(w, http.StatusOK, signInPage, struct {
		layout
		Client, Transaction, SignIn string
		Users                       []face
	}{s.layout(), req.client.name, transaction, actionSignIn, faces}, req.redirectURI)
}

type scopeLine struct{ Scope, Words string }

var scopeWords = map[string]string{
	ScopeOpenID:          "Know that it is you",
	ScopeProfile:         "See your name, username and picture",
	ScopeEmail:           "See your email address",
	ScopePublicMetadata:  "See your public metadata",
	ScopePrivateMetadata: "See your private metadata",
	ScopeOfflineAccess:   "Stay connected while you are away",
	ScopeOrganization:    "See the organization you pick below",
}

func scopeLines(scopes []string) []scopeLine {
	var lines []scopeLine
	for _, scope := range scopes {
		lines = append(lines, scopeLine{scope, cmp.Or(scopeWords[scope], "Do what this server's own permission covers:")})
	}
	return lines
}

type organizationOption struct{ ID, Name, Role string }

func (s *Server) showConsent(w http.ResponseWriter, r *http.Request, transaction string, req authorizeRequest, user User) {
	eventOf(r).Client, eventOf(r).User = req.client.id, user.ID
	var options []organizationOption
	for _, o := range s.currentPeople().memberships(user.ID) {
		m, _ := o.member(user.ID)
		options = append(options, organizationOption{o.ID, o.Name, strings.TrimPrefix(m.Role, "org:")})
	}
	target, loopback := redirectTarget(req.redirectURI)
	s.show(w, http.StatusOK, consentPage, struct {
		layout
		Client, ClientURI, Transaction string
		User, Target                   string
		Loopback, PicksOrganization    bool
		Scopes                         []scopeLine
		Organizations                  []organizationOption
		Allow, Deny, SignOut           string
	}{
		layout:            s.layout(),
		Client:            req.client.name,
		ClientURI:         req.client.uri,
		Transaction:       transaction,
		User:              user.Name(),
		Target:            target,
		Loopback:          loopback,
		PicksOrganization: slices.Contains(req.scopes, ScopeOrganization),
		Scopes:            scopeLines(req.scopes),
		Organizations:     options,
		Allow:             actionAllow,
		Deny:              actionDeny,
		SignOut:           actionSignOut,
	}, req.redirectURI)
}

// redirectTarget names whom a redirect URI leads to, and whether that is an
// app on this computer.
func redirectTarget(uri string) (name string, loopback bool) {
	u, err := url.Parse(uri)
	switch {
	case err != nil:
		return uri, false
	case u.Host == "":
		return u.Scheme + ":", true
	case u.Scheme != "http" && u.Scheme != "https":
		return u.Scheme + "://" + u.Host, true
	}
	return u.Host, isLoopbackHost(u.Hostname())
}

// showRefusal answers a request that must not be redirected: a page for
// browsers, Clerk's error envelope for everybody else.
func (s *Server) showRefusal(w http.ResponseWriter, r *http.Request, refused *refusal) {
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		s.writeClerkError(w, r, clerkError{
			status:      http.StatusBadRequest,
			Code:        refused.code,
			Message:     firstSentence[refused.code],
			LongMessage: refused.description(),
			fix:         refused.fix,
		})
		return
	}
	note(r, refused.code, refused.description(), refused.fix)
	s.show(w, http.StatusBadRequest, errorPage, struct {
		layout
		Code, Problem, Fix string
	}{s.layout(), refused.code, refused.particulars, refused.fix}, "")
}

// showFormPost sends an authorization response as a form (OAuth 2.0 Form Post
// Response Mode). It waits for a click, since the pages run no script.
func (s *Server) showFormPost(w http.ResponseWriter, r *http.Request, req authorizeRequest, params url.Values) {
	s.show(w, http.StatusOK, formPostPage, struct {
		layout
		Client string
		Action template.URL
		Params url.Values
	}{s.layout(), req.client.name, template.URL(req.redirectURI), params}, req.redirectURI)
}
