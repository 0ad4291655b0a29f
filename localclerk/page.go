package localclerk

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"html/template"
	"net/http"
	"net/url"
	"strings"
)

//go:embed pages
var pageFiles embed.FS

var (
	homePage     = parsePage("home.html")
	signInPage   = parsePage("signin.html")
	consentPage  = parsePage("consent.html")
	errorPage    = parsePage("error.html")
	formPostPage = parsePage("formpost.html")
)

var (
	pageStyle = readStyle()
	styleHash = cspHash(string(pageStyle))
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

// cspHash returns text as a hash source of Content Security Policy Level 3 section
// 2.3.1.
func cspHash(text string) string {
	sum := sha256.Sum256([]byte(text))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}

// layout is the data of the layout, which every page has.
type layout struct {
	Style  template.CSS
	Issuer string
}

func (s *Server) layout() layout { return layout{Style: pageStyle, Issuer: s.issuer} }

// renderPage renders a page whose forms may be posted to this server. The redirect
// URI is allowed too, because browsers apply form-action also to the redirects
// that follow a form.
func (s *Server) renderPage(w http.ResponseWriter, status int, page *template.Template, data any, redirectURI string) {
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
		"form-action 'self' " + cspFormTarget(redirectURI),
		"base-uri 'none'",
		"frame-ancestors 'none'",
	}, "; "))
	h.Set("X-Frame-Options", "DENY")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin")
	w.WriteHeader(status)
	w.Write(body.Bytes())
}

// cspFormTarget returns a redirect URI as a source of a Content Security Policy: its
// origin, or its scheme if the policy's grammar cannot express the origin, as
// with IPv6 addresses.
func cspFormTarget(redirectURI string) string {
	u, err := url.Parse(redirectURI)
	if err != nil || u.Scheme == "" {
		return ""
	}
	if u.Scheme != "http" && u.Scheme != "https" || strings.Trim(u.Hostname(), cspHostCharacters) != "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

const cspHostCharacters = base62 + ".-"
