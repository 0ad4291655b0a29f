package window

import (
	"mime"
	"net/http"
	"strings"
)

// wantsPage reports whether a browser opens a URL: a GET or HEAD whose Accept header names
// text/html. MCP clients do not send that.
func wantsPage(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	for accept := range strings.SplitSeq(strings.Join(r.Header.Values("Accept"), ","), ",") {
		if media, _, _ := mime.ParseMediaType(accept); media == "text/html" {
			return true
		}
	}
	return false
}

// isPartOfPage reports whether a browser fetches a part of a page that it shows, such as an
// image. Browsers ask for the icon by themselves.
func isPartOfPage(r *http.Request) bool {
	switch r.Header.Get("Sec-Fetch-Dest") {
	case "", "document", "empty":
		return r.URL.Path == "/favicon.ico"
	}
	return r.Method == http.MethodGet
}

// browserNames have the marks by which browsers can be recognized, in this order: the
// User-Agent of Edge also names Chrome and Safari, for example.
var browserNames = []struct{ mark, name string }{
	{"Edg/", "Edge"}, {"OPR/", "Opera"}, {"Firefox/", "Firefox"}, {"Chrome/", "Chrome"}, {"Safari/", "Safari"},
}

// browserName returns the name of the browser with a User-Agent, or "" if it is not one.
func browserName(userAgent string) string {
	if !strings.HasPrefix(userAgent, "Mozilla/") {
		return ""
	}
	for _, browser := range browserNames {
		if strings.Contains(userAgent, browser.mark) {
			return browser.name
		}
	}
	return "A browser"
}

// agentName returns a User-Agent as the name of a client: its first product, or the browser
// in whose page the client runs.
func agentName(userAgent string) string {
	if browser := browserName(userAgent); browser == "A browser" {
		return "A page in a browser"
	} else if browser != "" {
		return "A page in " + browser
	}
	product, _, _ := strings.Cut(strings.TrimSpace(userAgent), " ")
	return redactName(product)
}
