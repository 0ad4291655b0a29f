//go:build providers && unix

package providers

import (
	"context"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxPages bounds the pages and redirects of one sign-in.
const maxPages = 30

// browser is a user at a browser without scripts. It follows redirects, keeps cookies, and
// fills in every form that a page shows, until the authorization server redirects to the
// client.
type browser struct {
	// fields are what the user types: names of inputs, and their values.
	fields map[string]string
	// deny makes the user press the button that rejects the consent.
	deny   bool
	client *http.Client
	pages  []string // what the browser requested, for messages
}

// newBrowser returns a browser without cookies whose user types the given values.
func newBrowser(t testing.TB, fields map[string]string) *browser {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{fields: fields, client: &http.Client{Jar: jar, CheckRedirect: stay, Timeout: stepTime}}
}

// authorize opens an authorization URL, signs in, and returns the redirect to the client,
// which it does not follow. The client's redirect URI is the parameter redirect_uri of link.
func (b *browser) authorize(ctx context.Context, link string) (*url.URL, error) {
	start, err := url.Parse(link)
	if err != nil {
		return nil, err
	}
	redirectURI := start.Query().Get("redirect_uri")
	if redirectURI == "" {
		return nil, fmt.Errorf("the authorization URL %s has no redirect_uri", link)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, link, nil)
	if err != nil {
		return nil, err
	}
	b.pages = nil
	for range maxPages {
		b.pages = append(b.pages, req.Method+" "+req.URL.Redacted())
		page, location, err := b.open(req)
		if err != nil {
			return nil, err
		}
		switch {
		case location != nil && strings.HasPrefix(location.String(), redirectURI):
			return location, nil
		case location != nil:
			req, err = http.NewRequestWithContext(ctx, http.MethodGet, location.String(), nil)
		default:
			req, err = b.fill(ctx, req.URL, page)
		}
		if err != nil {
			return nil, fmt.Errorf("%w\npages so far:\n%s", err, strings.Join(b.pages, "\n"))
		}
	}
	return nil, fmt.Errorf("no redirect to %s after %d pages:\n%s", redirectURI, maxPages, strings.Join(b.pages, "\n"))
}

// visit is like authorize, and then follows the redirect to the client, which listens.
func (b *browser) visit(ctx context.Context, link string) error {
	location, err := b.authorize(ctx, link)
	if err != nil {
		return err
	}
	resp, err := get(ctx, location.String())
	if err != nil {
		return fmt.Errorf("redirecting to the client: %w", err)
	}
	return resp.Body.Close()
}

// open sends a request. It returns the redirect, or else the page.
func (b *browser) open(req *http.Request) (page string, location *url.URL, err error) {
	resp, err := b.client.Do(req)
	if err != nil {
		return "", nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return "", nil, err
	}
	if location, err := resp.Location(); err == nil {
		return "", location, nil
	}
	return string(body), nil, nil
}

var (
	formElement    = regexp.MustCompile(`(?is)<form\b([^>]*)>(.*?)</form>`)
	controlElement = regexp.MustCompile(`(?is)<(input|button)\b([^>]*)>`)
	attributeText  = regexp.MustCompile(`(?is)\b([a-z-]+)\s*=\s*("[^"]*"|'[^']*'|[^\s"'>]+)`)
	tag            = regexp.MustCompile(`(?s)<script.*?</script>|<style.*?</style>|<[^>]*>|\s+`)
)

// denyingButtons are the names and values of buttons that reject a consent, and
// otherButtons those of buttons that do something else.
var (
	denyingButtons = []string{"cancel", "deny", "reject", "no", "abort"}
	otherButtons   = []string{"sign_out", "signout", "logout", "switch"}
)

// fill returns the request that submits the first form of a page that is sent by POST.
func (b *browser) fill(ctx context.Context, base *url.URL, page string) (*http.Request, error) {
	for _, form := range formElement.FindAllStringSubmatch(page, -1) {
		attributes := attributesOf(form[1])
		if !strings.EqualFold(attributes["method"], http.MethodPost) {
			continue
		}
		target, err := base.Parse(attributes["action"])
		if err != nil {
			return nil, err
		}
		values := b.values(form[2])
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), strings.NewReader(values.Encode()))
		if err != nil {
			return nil, err
		}
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		req.Header.Set("Origin", target.Scheme+"://"+target.Host)
		return req, nil
	}
	const maxText = 1000
	text := strings.TrimSpace(tag.ReplaceAllString(page, " "))
	return nil, fmt.Errorf("the page has no form to fill in: %s", text[:min(len(text), maxText)])
}

// values returns what the user sends with a form: the hidden inputs, what the user typed,
// and one of the buttons.
func (b *browser) values(form string) url.Values {
	values := url.Values{}
	pressed := false
	for _, control := range controlElement.FindAllStringSubmatch(form, -1) {
		a := attributesOf(control[2])
		name, kind := a["name"], strings.ToLower(a["type"])
		switch {
		case name == "":
		case kind == "submit" || control[1] == "button" && kind != "button" && kind != "reset":
			does := func(buttons []string) bool {
				return slices.Contains(buttons, strings.ToLower(name)) || slices.Contains(buttons, strings.ToLower(a["value"]))
			}
			if !pressed && does(denyingButtons) == b.deny && !does(otherButtons) {
				values.Set(name, a["value"])
				pressed = true
			}
		case kind == "button" || kind == "reset":
		default:
			if typed, ok := b.fields[name]; ok {
				values.Set(name, typed)
			} else if kind != "checkbox" && kind != "radio" || !values.Has(name) {
				values.Set(name, a["value"])
			}
		}
	}
	return values
}

func attributesOf(text string) map[string]string {
	attributes := map[string]string{}
	for _, match := range attributeText.FindAllStringSubmatch(text, -1) {
		attributes[strings.ToLower(match[1])] = html.UnescapeString(strings.Trim(match[2], `"'`))
	}
	return attributes
}
